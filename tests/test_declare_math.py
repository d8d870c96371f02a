"""`wb.math` equals NumPy on plain numbers and on PyTensor's symbols, carries units in the dry run, and loads fast."""

import subprocess
import sys

import numpy as np
import pytest

import workbench as wb
from workbench.base import units
from workbench.base.errors import DeclarationError
from workbench.declare.names import Context
from workbench.declare.probe import Symbol

UNARY = {
    name: np.linspace(-0.9, 0.9, 7)
    for name in "exp expm1 log1p sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arctanh".split()
}
UNARY |= {name: np.linspace(0.1, 3.0, 7) for name in "log log2 log10 sqrt".split()}
UNARY |= {name: np.linspace(-2.3, 2.3, 7) for name in "absolute abs floor ceil sign".split()}
UNARY["arccosh"] = np.linspace(1.1, 3.0, 7)
PURE = set(UNARY) - {"absolute", "abs", "floor", "ceil", "sign", "sqrt"}
SEVERAL = {
    "power": (2.5, -1.3),
    "minimum": (0.3, 0.7),
    "maximum": (0.3, 0.7),
    "clip": (2.0, -1.0, 1.5),
    "where": (True, 0.3, 0.7),
}
A, B = np.array([0.5, 2.0, -1.0]), np.array([3.0, 0.25, 4.0])


def symbol(unit: str | None, name: str = "a") -> Symbol:
    return Symbol(None if unit is None else units.parse(unit), name, Context("Model.rhs", set()))


def unit_of(value: Symbol) -> str:
    assert isinstance(value, Symbol)
    return "none" if value.unit is None else f"{value.unit:~P}" or "1"


def test_every_function_is_tested():
    homes = {wb.math.__name__, "workbench.declare.arrays"}
    public = {n for n, f in vars(wb.math).items() if callable(f) and not n.startswith("_") and f.__module__ in homes}
    elsewhere = {"eigh", "eigenvalues", "concatenate", "diff", "mean", "roll", "stack"}  # test_eigen, test_vectors
    elsewhere.add("solve")  # test_load_test
    assert public == {*UNARY, *SEVERAL, "sum", "dot", *elsewhere}
    assert wb.math.pi == np.pi


@pytest.mark.parametrize("name", UNARY)
def test_one_argument_equals_numpy(name):
    import pytensor.tensor as pt

    points, function, expected = UNARY[name], getattr(wb.math, name), getattr(np, name)(UNARY[name])
    np.testing.assert_array_equal(function(points), expected)
    assert [function(float(v)) for v in points] == list(expected)
    x = pt.dvector("x")
    np.testing.assert_allclose(function(x).eval({x: points}, mode="FAST_COMPILE"), expected, rtol=1e-14)


@pytest.mark.parametrize("name", SEVERAL)
def test_several_arguments_equal_numpy(name):
    import pytensor.tensor as pt

    arguments, function = SEVERAL[name], getattr(wb.math, name)
    expected = getattr(np, name)(*arguments)
    assert function(*arguments) == expected
    symbols = [pt.bscalar("condition") if isinstance(a, bool) else pt.dscalar(f"x{k}") for k, a in enumerate(arguments)]
    given = dict(zip(symbols, arguments, strict=True))
    assert function(*symbols).eval(given, mode="FAST_COMPILE") == pytest.approx(expected, rel=1e-15)
    last = function(*arguments[:-1], symbols[-1])
    assert last.eval({symbols[-1]: arguments[-1]}, mode="FAST_COMPILE") == pytest.approx(expected, rel=1e-15)


def test_sums_and_products_equal_numpy():
    import pytensor.tensor as pt

    x, y = pt.dvectors("x", "y")
    scalars = pt.dscalars("p", "q", "r")
    given = dict(zip(scalars, A, strict=True))
    assert wb.math.sum(A) == wb.math.sum(list(A)) == wb.math.sum(tuple(A)) == wb.math.sum(v for v in A) == A.sum()
    assert wb.math.sum([]) == 0.0
    assert wb.math.sum(x).eval({x: A}, mode="FAST_COMPILE") == A.sum()
    assert wb.math.sum(list(scalars)).eval(given, mode="FAST_COMPILE") == A.sum()
    assert wb.math.dot(A, B) == wb.math.dot(list(A), tuple(B)) == wb.math.dot(A, list(B)) == A @ B
    assert wb.math.dot(x, y).eval({x: A, y: B}, mode="FAST_COMPILE") == A @ B
    assert wb.math.dot(B, list(scalars)).eval(given, mode="FAST_COMPILE") == A @ B
    np.testing.assert_array_equal(wb.math.dot(np.diag(A), B), A * B)
    with pytest.raises(ValueError, match="not aligned"):
        wb.math.dot(A, [1.0, 2.0])


@pytest.mark.parametrize("name", UNARY)
def test_units_of_one_argument(name):
    function = getattr(wb.math, name)
    if name in PURE:
        assert unit_of(function(symbol("1"))) == "1"
        with pytest.raises(
            DeclarationError, match=rf"Model.rhs: got '{name}\(a\)' with units m and 1; expected a pure"
        ):
            function(symbol("m"))
        with pytest.raises(DeclarationError, match=r"which differ by a factor of 1000"):
            function(symbol("m/mm"))
    else:
        kept = {"sqrt": "m", "sign": "none"}.get(name, "m²")
        assert unit_of(function(symbol("m**2"))) == kept
    assert unit_of(function(symbol(None))) in ("1", "none")


def test_units_of_several_arguments():
    m, km, s, bare = symbol("m"), symbol("km", "b"), symbol("s", "c"), symbol(None, "n")
    assert unit_of(wb.math.power(m, 3)) == "m³"
    assert unit_of(wb.math.power(symbol("1"), symbol("1", "b"))) == "1"
    assert unit_of(wb.math.minimum(m, 2.0)) == unit_of(wb.math.maximum(bare, m)) == "m"
    assert unit_of(wb.math.clip(m, 0.0, 5.0)) == unit_of(wb.math.clip(2.0, 0.0, m)) == "m"
    assert unit_of(wb.math.where(m > 3.0, s, 0.0)) == "s"
    assert unit_of(wb.math.sum([m, m, 1.0])) == "m"
    assert unit_of(wb.math.sum(v for v in (m, m))) == "m"
    assert unit_of(wb.math.dot([m, 2.0], [s, symbol("m*s")])) == "m·s".replace("·", "⋅")
    assert unit_of(wb.math.dot(np.array([1.0, 2.0]), [m, m])) == "m"
    for wrong in (
        lambda: wb.math.power(m, symbol("1", "b")),
        lambda: wb.math.power(2.0, m),
        lambda: wb.math.minimum(m, km),
        lambda: wb.math.clip(m, 0.0, s),
        lambda: wb.math.where(m > 3.0, m, s),
        lambda: wb.math.where(m > s, m, m),
        lambda: wb.math.sum([m, s]),
        lambda: wb.math.dot([m, m], [s, m]),
    ):
        with pytest.raises(DeclarationError, match=r"Model.rhs: got .* with units .*; expected"):
            wrong()


def test_units_of_operators():
    m, s, kelvin, celsius = symbol("m"), symbol("s"), symbol("K"), symbol("degC")
    assert unit_of(m * s / 2) == unit_of(2.0 * m * s) == unit_of(np.float64(2.0) * m * s) == "m⋅s"
    assert unit_of(m / s) == "m/s"
    assert unit_of(1 / s) == unit_of(s**-1) == "1/s"
    assert unit_of(m**0.5 * m**0.5) == "m"
    assert unit_of(-m + 3 - m) == unit_of(+m % 2) == unit_of(abs(m)) == unit_of(np.float64(1) + m) == "m"
    assert unit_of(m * (m > 3) * ~((m < 1) & (m >= 2) | (m <= 3))) == "m"
    assert unit_of(m * (np.float64(3) < m)) == unit_of(m * (np.float64(3) >= m)) == "m"
    assert unit_of(kelvin + (celsius - celsius)) == "K"
    for wrong in (lambda: m + s, lambda: 3 - m - s, lambda: m > s, lambda: m % s, lambda: m**m, lambda: 2**m):
        with pytest.raises(DeclarationError, match=r"Model.rhs: got .* with units .*; expected"):
            wrong()


def test_a_domain_imports_fast(tmp_path):
    (tmp_path / "domain.py").write_text(
        "import workbench.declare.math as wm\n"
        "from workbench.declare.ode import Ode\n"
        "from workbench.declare.quantity import Output, Parameter, State\n"
        "from workbench.declare import noise, prior\n"
        "class Decay(Ode):\n"
        "    time_unit = 'h'\n"
        "    x = State('1', start=1.0)\n"
        "    k = Parameter('1/h', prior=prior.LogNormal(median=0.5, sigma=0.3))\n"
        "    y = Output('1', noise=noise.Normal(sigma=prior.HalfNormal(0.5)))\n"
        "    def rhs(self, t, x, u, p):\n"
        "        return {'x': -p.k * wm.maximum(x.x, 0)}\n"
        "    def observe(self, t, x, u, p):\n"
        "        return {'y': wm.exp(x.x)}\n"
        "print(Decay().parameters['k'].nominal(), Decay().observe(0, *[type('x', (), {'x': 1.0})] * 3))\n"
    )
    code = "import sys, domain; print(*{name.partition('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    first, loaded = run.stdout.splitlines()
    assert first.startswith("0.5 {'y': ")
    assert {"numpy", "pint", "workbench"} <= set(loaded.split())
    assert {"pytensor", "pymc", "numba", "xarray", "pandas"} & set(loaded.split()) == set()
