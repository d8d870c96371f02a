"""Programs compute what PyTensor's graphs compute, and their derivatives are those of finite differences."""

import numpy as np
import pytensor
import pytensor.scalar as ps
import pytensor.tensor as pt
import pytest
import scipy.special
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench.base.errors import DeclarationError
from workbench.declare import lower as tables
from workbench.declare.lower import lower
from workbench.declare.program import SCALAR, Builder, Operation, Program
from workbench.declare.trace import differentiate, input_names, program, trace
from workbench.simulate.kernels.lines import print_lines

m = wb.math
RNG = np.random.default_rng(1)

# functions of wb.math and operators, the same on numbers and symbols: name -> f(x, a)
OURS = {
    "add": lambda x, a: x + a + 3.0,
    "sub": lambda x, a: 2.0 - x - a,
    "mul": lambda x, a: 3.0 * x * a * x,
    "div": lambda x, a: x / a / (2.0 + x),
    "neg": lambda x, a: -(-x + a),
    "square": lambda x, a: (x + a) ** 2,
    "cube": lambda x, a: (x - a) ** 3,
    "root": lambda x, a: (x + a) ** 0.5,
    "inverse power": lambda x, a: (x + a) ** -1.5,
    "power": lambda x, a: x**a,
    "power of two": lambda x, a: 2.0 ** (x * a),
    "math.power": lambda x, a: m.power(a, x),
    "mod": lambda x, a: (5.0 * x + a) % 1.3,
    "mod by a parameter": lambda x, a: 5.0 * x % a,
    "abs": lambda x, a: abs(x - 2.0 * a),
    "absolute": lambda x, a: m.absolute(x * a),
    "sign": lambda x, a: x * m.sign(a - x),
    "floor": lambda x, a: x * m.floor(5.0 * a),
    "ceil": lambda x, a: x * m.ceil(5.0 * a),
    "exp": lambda x, a: m.exp(-x * a),
    "expm1": lambda x, a: m.expm1(x * a),
    "exp minus one": lambda x, a: m.exp(x) - 1.0 + a,
    "log": lambda x, a: m.log(x / a),
    "log1p": lambda x, a: m.log1p(x * a),
    "log of one plus": lambda x, a: m.log(1.0 + x * a),
    "log of one minus exp": lambda x, a: m.log(1.0 - m.exp(-x * a)) + m.log(1.0 - m.exp(-4.0 * x)),
    "log2": lambda x, a: m.log2(x + a),
    "log10": lambda x, a: m.log10(x + a),
    "sqrt": lambda x, a: m.sqrt(x * a),
    "sin": lambda x, a: m.sin(x * a),
    "cos": lambda x, a: m.cos(x * a),
    "tan": lambda x, a: m.tan(x * a),
    "arcsin": lambda x, a: m.arcsin(x * a),
    "arccos": lambda x, a: m.arccos(x * a),
    "arctan": lambda x, a: m.arctan(x * a),
    "sinh": lambda x, a: m.sinh(x * a),
    "cosh": lambda x, a: m.cosh(x * a),
    "tanh": lambda x, a: m.tanh(x * a),
    "arcsinh": lambda x, a: m.arcsinh(x * a),
    "arccosh": lambda x, a: m.arccosh(1.0 + x * a),
    "arctanh": lambda x, a: m.arctanh(x * a),
    "minimum": lambda x, a: m.minimum(x, 0.5 * a) * m.minimum(x, 5.0),
    "maximum": lambda x, a: m.maximum(x, 0.5 * a) * m.maximum(0.1, x),
    "clip": lambda x, a: m.clip(x, 0.0, a) + m.clip(x, a, 3.0),
    "where": lambda x, a: m.where(x < a, x * a, a) + m.where(x >= a, x, x / a),
    "where both": lambda x, a: m.where((x < a) & (a < 3.0) | (x > 9.0), x**2, a),
    "where not": lambda x, a: m.where(~(x > 3.0 * a), x**2, a),
    "where at most": lambda x, a: m.where(x <= a, 1.0, x),
    "sum": lambda x, a: m.sum([x, a, x * a, 2.0]),
    "dot": lambda x, a: m.dot([x, a, 3.0], [a, a, x]),
    "sigmoid": lambda x, a: 1.0 / (1.0 + m.exp(-x * a)),
    "softplus": lambda x, a: m.log1p(m.exp(x * a)),
    "constant": lambda x, a: 4.0,
    "unused": lambda x, a: a * (x - x),
}
MATRIX = np.array([[1.0, -2.0], [0.5, 3.0]])
# functions of pytensor.tensor, with NumPy's or SciPy's
THEIRS = {
    "pt.exp": (lambda x, a: pt.exp(x) * pt.log(a), lambda x, a: np.exp(x) * np.log(a)),
    "pt.arctan2": (pt.arctan2, np.arctan2),
    "pt.erf": (lambda x, a: pt.erf(x * a) + pt.erfc(x), lambda x, a: scipy.special.erf(x * a) + scipy.special.erfc(x)),
    "pt.sigmoid": (lambda x, a: pt.sigmoid(x * a), lambda x, a: scipy.special.expit(x * a)),
    "pt.softplus": (lambda x, a: pt.softplus(3.0 * x * a), lambda x, a: np.logaddexp(0, 3.0 * x * a)),
    "pt.exp2": (lambda x, a: pt.exp2(x * a), lambda x, a: np.exp2(x * a)),
    "pt.sqr": (lambda x, a: pt.sqr(x) * pt.reciprocal(a), lambda x, a: x * x / a),
    "pt.clip": (lambda x, a: pt.clip(x * a, 0.1, 0.2) + pt.clip(x, 0, 1), lambda x, a: np.clip(x * a, 0.1, 0.2) + x),
    "pt.switch": (lambda x, a: pt.switch(pt.lt(x, a), x * x, a), lambda x, a: np.where(x < a, x * x, a)),
    "pt.deg2rad": (lambda x, a: pt.deg2rad(x) + pt.rad2deg(a), lambda x, a: np.deg2rad(x) + np.rad2deg(a)),
    "pt.stack": (lambda x, a: pt.stack([x, a, x * a]).sum(), lambda x, a: x + a + x * a),
    "pt.as_tensor": (lambda x, a: pt.as_tensor([x, a, 2.0]).sum(), lambda x, a: x + a + 2),
    "pt.max": (lambda x, a: pt.maximum(pt.stack([x, a]), 0.5).sum(), lambda x, a: max(x, 0.5) + max(a, 0.5)),
    "pt.dot": (lambda x, a: pt.dot(pt.stack([x, a]), pt.stack([a, a])), lambda x, a: x * a + a * a),
    "matrix": (
        lambda x, a: pt.exp(pt.dot(MATRIX, pt.stack([x, a]))).sum(),
        lambda x, a: np.exp(MATRIX @ [x, a]).sum(),
    ),
    "index": (lambda x, a: pt.stack([x, a, x * a])[2] * pt.stack([x, a])[-1], lambda x, a: x * a * a),
    "slice": (
        lambda x, a: (pt.stack([x, a, x * a])[1:] * np.array([2.0, 3.0])).sum(),
        lambda x, a: 2 * a + 3 * x * a,
    ),
    "set_subtensor": (
        lambda x, a: pt.exp(pt.set_subtensor(pt.stack([x, a, x])[1:], x * a)).sum(),
        lambda x, a: np.exp(x) + 2 * np.exp(x * a),
    ),
    "inc_subtensor": (
        lambda x, a: pt.exp(pt.inc_subtensor(pt.stack([x, a])[0], x * a)).sum(),
        lambda x, a: np.exp(x + x * a) + np.exp(a),
    ),
    "concatenate": (
        lambda x, a: pt.concatenate([pt.stack([x, a]), pt.stack([x])])[::-1][0] * a,
        lambda x, a: x * a,
    ),
    "reshape": (
        lambda x, a: pt.exp(pt.stack([x, a, a * a, 0.5]).reshape((2, 2)).T @ MATRIX)[0].sum(),
        lambda x, a: np.exp(np.array([[x, a], [a * a, 0.5]]).T @ MATRIX)[0].sum(),
    ),
    "sum over an axis": (
        lambda x, a: pt.outer(pt.stack([x, a]), pt.stack([a, x, a])).sum(axis=0)[1],
        lambda x, a: (x + a) * x,
    ),
    "mean": (lambda x, a: pt.mean(pt.stack([x, a])), lambda x, a: (x + a) / 2),
    "powers": (lambda x, a: (pt.as_tensor([1.0, 2.0]) * x ** np.arange(2) * a).sum(), lambda x, a: a + 2 * a * x),
}  # fmt: skip


def ours(names):
    return {n: f"y{k}" for k, n in enumerate(names)}


def model_of(functions) -> wb.Ode:
    """Return a model whose outputs are functions of its state x and its estimated parameter a."""
    places = ours(functions)
    body = {
        "time_unit": "s",
        "x": wb.State("1", start="a"),
        "a": wb.Parameter("1", prior=wb.prior.Uniform(0, 10)),
        "rhs": lambda self, t, x, u, p: {"x": 0.0},
        "observe": lambda self, t, x, u, p: {y: functions[n](x.x, p.a) for n, y in places.items()},
        **{y: wb.Output("1") for y in places.values()},
    }
    namespace = type(wb.Ode).__prepare__("Functions", (wb.Ode,))
    namespace.update(body)
    return type(wb.Ode)("Functions", (wb.Ode,), namespace)()


@pytest.fixture(scope="module", params=["ours", "theirs"])
def functions(request):
    """Return the reference functions, and the program of the symbolic ones with its derivatives."""
    symbolic = OURS if request.param == "ours" else {n: f for n, (f, _) in THEIRS.items()}
    reference = OURS if request.param == "ours" else {n: f for n, (_, f) in THEIRS.items()}
    traced = trace(model_of(symbolic))
    return reference, program(traced, "observe"), differentiate(traced, "observe")


POINTS = [tuple(map(np.float64, point)) for point in ((0.31, 0.73), (0.83, 0.37), (0.52, 1.27))]


@pytest.mark.parametrize(("x", "a"), POINTS)
def test_values(functions, x, a):
    reference, made, slopes = functions
    found = made.run({"t": 0.0, "x0": x, "p0": a})
    for name, value, again in zip(reference, found, slopes.program.run({"t": 0.0, "x0": x, "p0": a}), strict=False):
        assert value == pytest.approx(float(reference[name](x, a)), rel=1e-12, abs=1e-14), name
        assert again == pytest.approx(value, rel=1e-12, abs=1e-14), name


@pytest.mark.parametrize(("x", "a"), POINTS)
def test_derivatives(functions, x, a):
    reference, _, slopes = functions
    found = dict(zip(slopes.entries, slopes.program.run({"t": 0.0, "x0": x, "p0": a})[slopes.rows :], strict=True))
    assert slopes.rows == len(reference)
    for row, (name, f) in enumerate(reference.items()):
        for column, along in enumerate([(1.0, 0.0), (0.0, 1.0)]):
            h = np.array([-2, -1, 1, 2]) * 1e-3
            around = [float(f(x + step * along[0], a + step * along[1])) for step in h]
            expected = float(np.dot([1, -8, 8, -1], around)) / 12e-3  # five points, error h^4
            assert found.get((row, column), 0.0) == pytest.approx(expected, rel=1e-7, abs=1e-8), (name, column)


def test_derivatives_that_are_zero_are_left_out():
    traced = trace(model_of({"x": lambda x, a: 3.0 * x, "none": lambda x, a: 2.0, "a": lambda x, a: m.floor(x) + a}))
    assert differentiate(traced, "observe").entries == ((0, 0), (2, 1))


def test_every_operation_of_the_tables_exists_in_pytensor():
    classes = {name for module in (ps.basic, ps.math) for name in vars(module)}
    for table in (tables._SAME, tables._CHAINS, tables._RULES):
        assert set(table) <= classes
    assert {*tables._SAME.values(), *tables._CHAINS.values()} <= set(SCALAR)


LEAVES = st.sampled_from(["x0", "x1", "x2", 0.0, 1.0, 2.0, -1.0, 0.5, 3.0])
UNARY = "exp log1p tanh sin sqrt expm1 absolute".split()
BINARY = "add sub mul div minimum maximum less".split()
TREES = st.recursive(
    LEAVES,
    lambda t: st.tuples(st.sampled_from(UNARY), t) | st.tuples(st.sampled_from(BINARY), t, t),
    max_leaves=12,
)


def grow(tree, leaves):
    """Return the value of a tree for leaves that are numbers, arrays or symbols."""
    if not isinstance(tree, tuple):
        return leaves.get(tree, tree)
    name, *branches = tree
    arguments = [grow(branch, leaves) for branch in branches]
    match name:
        case "add":
            return arguments[0] + arguments[1]
        case "sub":
            return arguments[0] - arguments[1]
        case "mul":
            return arguments[0] * arguments[1]
        case "div":
            return m.where(m.absolute(arguments[1]) > 0.1, arguments[0] / (arguments[1] + 1e-3), arguments[0])
        case "less":
            return m.where(arguments[0] < arguments[1], arguments[0], 2.0 * arguments[1])
    return getattr(m, name)(*arguments)


@settings(max_examples=120, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(TREES, min_size=1, max_size=6))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_random_expressions_equal_pytensor(trees):
    symbols = pt.dscalars("x0", "x1", "x2")
    leaves = dict(zip(("x0", "x1", "x2"), symbols, strict=True))
    graphs = [pt.as_tensor(grow(tree, leaves)).astype("float64") for tree in trees]
    program = lower(symbols, graphs, tuple(leaves), "test")
    direct = pytensor.function(symbols, graphs, mode=pytensor.compile.mode.Mode("py", None), on_unused_input="ignore")
    for _ in range(4):
        point = RNG.uniform(-2, 2, 3)
        with np.errstate(all="ignore"):
            expected = np.array(direct(*point))
        found = np.array(program.run(dict(zip(leaves, point, strict=True))))
        known = np.isfinite(expected) & (np.abs(expected) < 1e8)
        np.testing.assert_allclose(found[known], expected[known], rtol=1e-9, atol=1e-9)
        printed = run_printed(program, point)
        np.testing.assert_allclose(printed[known], found[known], rtol=1e-12, atol=1e-12)


def run_printed(program: Program, point) -> np.ndarray:
    """Run the lines that the printer writes, as Python."""
    import math

    known = {"math": math, **dict(zip(program.inputs, map(np.float64, point), strict=True))}
    try:
        exec("\n".join(print_lines(program)), known)
    except (ValueError, OverflowError, ZeroDivisionError):  # what Numba returns as NaN or infinity, Python raises
        return np.array(program.run(dict(zip(program.inputs, point, strict=True))))
    first = len(program.inputs)
    names = [*program.inputs, *(f"v{k}" for k in range(len(program.operations)))]
    assert len(names) == first + len(program.operations)
    return np.array([float(known[names[ref]]) if isinstance(ref, int) else ref for ref in program.outputs])


def test_constant_one_is_not_the_second_input():
    builder = Builder(("x0", "x1"))
    by_reference, by_constant = builder.add("sub", 0, 1), builder.add("sub", 0, 1.0)
    program = builder.program([by_reference, by_constant])
    assert program.run({"x0": 5.0, "x1": 3.0}) == [2.0, 4.0]
    x0, x1 = pt.dscalars("x0", "x1")
    program = lower([x0, x1], [x0 / (x1 + 1.0) - x0 / (1.0 + x0), x1 - 1.0, x0 - 0.0, x0 - x1], ("x0", "x1"), "test")
    assert program.run({"x0": 5.0, "x1": 3.0}) == pytest.approx([5 / 4 - 5 / 6, 2.0, 5.0, 2.0])


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "pow", "minimum"])
@pytest.mark.parametrize("constant", [0.0, 1.0, -1.0, 2.0])
def test_neutral_constants_change_no_value(name, constant):
    builder = Builder(("x",))
    program = builder.program([builder.add(name, 0, constant), builder.add(name, constant, 0)])
    with np.errstate(all="ignore"):
        expected = [float(SCALAR[name](3.0, constant)), float(SCALAR[name](constant, 3.0))]
    assert program.run({"x": 3.0}) == expected
    if (name, constant) in {("add", 0.0), ("mul", 1.0)}:
        assert program.operations == ()


def test_what_is_equal_is_kept_once_and_what_is_not_needed_is_dropped():
    builder = Builder(("x", "y"))
    first, second = builder.add("mul", 0, 1), builder.add("mul", 0, 1)
    builder.add("exp", 0)
    program = builder.program([builder.add("add", first, second)])
    assert program.operations == (Operation("mul", (0, 1)), Operation("add", (2, 2)))
    assert program.run({"x": 2.0, "y": 3.0}) == [12.0]


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [("pow", (-8.0, 1 / 3), np.nan), ("log", (-1.0,), np.nan), ("log", (0.0,), -np.inf), ("div", (1.0, 0.0), np.inf),
     ("exp", (1e3,), np.inf), ("gammaln", (-1.0,), np.inf), ("sqrt", (-1.0,), np.nan), ("mod", (1.0, 0.0), np.nan)],
)  # fmt: skip
def test_operations_without_a_value_read_nan_or_infinity(name, arguments, expected):
    builder = Builder(("x", "y"))
    assert builder.add(name, *arguments) == pytest.approx(expected, nan_ok=True)
    program = builder.program([builder.add(name, *range(len(arguments)))])
    point = dict(zip(("x", "y"), (*arguments, 0.0), strict=False))
    assert program.run(point) == pytest.approx([expected], nan_ok=True)


def test_input_names_count_by_kind():
    model = model_of({"x": lambda x, a: x})
    assert input_names(model) == ["t", "x0", "p0"]


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (pt.round, "got PyTensor's RoundHalfToEven, which kernels do not know; expected a function of wb.math"),
        (
            lambda x: pt.linalg.inv(pt.stack([x, 1.0, 1.0, x]).reshape((2, 2)))[0, 0],
            "which has no scalar form; expected",
        ),
        (lambda x: pt.cast(x, "int64") / 2, "got a cast to int64; expected wb.math.floor or a comparison"),
    ],
)
def test_what_has_no_scalar_form_is_refused(function, says):
    x = pt.dscalar("x")
    with pytest.raises(DeclarationError) as error:
        lower([x], [function(x)], ("x",), "Model.rhs")
    assert says in str(error.value)
    assert str(error.value).startswith("Model.rhs: got ")
