"""Vector quantities, from their declaration to a posterior: beside exact solutions, and the same models in scalars."""
# ruff: noqa: E501 - one mistake a row

from functools import cache

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import xarray as xr

import workbench as wb
from workbench.base.errors import DataError, DeclarationError, ParameterError
from workbench.calibrate.sampling.density import compile_density
from workbench.declare.describe import digest, document
from workbench.declare.names import Context
from workbench.declare.probe import Symbol
from workbench.declare.trace import program, trace

TIMES = np.array([0.0, 5.0, 12.0, 30.0])
K, C = np.array([1.0, 2.5, 1.5, 3.0]), 10.0


class Bar(wb.Ode):
    """A bar of cells in a row, heated at its left end, with a heat conductance before each cell."""

    time_unit = "s"
    rtol = 1e-8
    cells: int = 4
    T = wb.State("K", start=300.0, dims=("cell",))
    k = wb.Parameter("W/K", prior=wb.prior.LogNormal(median=2.0, sigma=0.3), dims=("cell",))
    C = wb.Parameter("J/K", value=C)
    left = wb.Input("K")
    T_read = wb.Output("K", noise=wb.noise.Normal(sigma=wb.prior.HalfNormal(0.5)), dims=("cell",))
    mean = wb.Output("K")

    def rhs(self, t, x, u, p):
        flow = -p.k * wb.math.diff(wb.math.concatenate([u.left, x.T]))
        return {"T": (flow - wb.math.concatenate([flow[1:], [0.0]])) / p.C}

    def observe(self, t, x, u, p):
        return {"T_read": x.T, "mean": wb.math.mean(x.T)}


class Scalars(wb.Ode):
    """The same bar, written scalar by scalar."""

    time_unit = "s"
    rtol = 1e-8
    T0 = wb.State("K", start=300.0)
    T1 = wb.State("K", start=300.0)
    T2 = wb.State("K", start=300.0)
    T3 = wb.State("K", start=300.0)
    k0 = wb.Parameter("W/K", prior=wb.prior.LogNormal(median=2.0, sigma=0.3))
    k1 = wb.Parameter("W/K", prior=wb.prior.LogNormal(median=2.0, sigma=0.3))
    k2 = wb.Parameter("W/K", prior=wb.prior.LogNormal(median=2.0, sigma=0.3))
    k3 = wb.Parameter("W/K", prior=wb.prior.LogNormal(median=2.0, sigma=0.3))
    C = wb.Parameter("J/K", value=C)
    left = wb.Input("K")
    mean = wb.Output("K")

    def rhs(self, t, x, u, p):
        T, k = [u.left, x.T0, x.T1, x.T2, x.T3], [p.k0, p.k1, p.k2, p.k3]
        flow = [-k[j] * (T[j + 1] - T[j]) for j in range(4)] + [0.0]
        return {f"T{j}": (flow[j] - flow[j + 1]) / p.C for j in range(4)}

    def observe(self, t, x, u, p):
        return {"mean": (x.T0 + x.T1 + x.T2 + x.T3) / 4}


def exact(k, times=TIMES, start=300.0, left=350.0):
    """Return (times, cells) temperatures of the bar by the matrix exponential."""
    n = k.size
    system = np.zeros((n + 1, n + 1))
    for j in range(n):
        for a, b in ((j, j - 1), (j - 1, j)):
            if a >= 0:
                system[a, a] -= k[j] / C
                system[a, b if b >= 0 else n] += k[j] / C * (1.0 if b >= 0 else left)
    begin = np.append(np.broadcast_to(start, n), 1.0)
    return np.array([(scipy.linalg.expm(system * t) @ begin)[:n] for t in times])


INPUTS = {"left": 350.0}


# -- solutions ---------------------------------------------------------------------------------------------------------
def test_heat_bar_is_its_matrix_exponential():
    made = wb.simulate(Bar, TIMES, parameters={"k": K}, inputs=INPUTS)
    assert made["T"].dims == ("time", "cell")
    assert made["cell"].values.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(made["T"], exact(K), rtol=1e-7)
    np.testing.assert_array_equal(made["T_read"], made["T"])
    assert made.attrs["parameters"] == '{"k": [1.0, 2.5, 1.5, 3.0], "C": 10.0}'
    assert made["T"].attrs["units"] == "K"


def test_the_same_in_scalars():
    vector = wb.simulate(Bar, TIMES, parameters={"k": K}, inputs=INPUTS)
    scalar = wb.simulate(Scalars, TIMES, parameters={f"k{j}": K[j] for j in range(4)}, inputs=INPUTS)
    for j in range(4):
        np.testing.assert_allclose(vector["T"][:, j], scalar[f"T{j}"], rtol=1e-14)
    np.testing.assert_allclose(vector["mean"], scalar["mean"], rtol=1e-14)


def test_draws_units_and_labels_of_a_vector_parameter():
    rng = np.random.default_rng(0)
    k = xr.DataArray(rng.uniform(1, 3, (2, 3, 4)), {"cell": [3, 1, 0, 2]}, ("unit", "draw", "cell")).assign_coords(
        unit=["a", "b"]
    )
    start = xr.DataArray([300.0, 310.0, 320.0, 330.0], dims="cell")
    made = wb.simulate(Bar, TIMES, parameters={"k": k}, inputs=INPUTS, start={"T": start})
    assert made["T"].dims == ("draw", "unit", "time", "cell")
    for unit in "ab":
        for draw in range(3):
            mine = k.sel(unit=unit, cell=[0, 1, 2, 3])[draw].values
            found = made["T"].sel(unit=unit, draw=draw)
            np.testing.assert_allclose(found, exact(mine, start=start.values), rtol=1e-7)


def test_forms_of_an_array_at_the_door():
    one = wb.simulate(Bar, TIMES, parameters={"k": K}, inputs=INPUTS)
    scalar = wb.simulate(Bar, TIMES, parameters={"k": 2.0}, inputs=INPUTS)
    both = wb.simulate(Bar, TIMES, parameters={"k": np.stack([K, np.full(4, 2.0)])}, inputs=INPUTS)
    assert both["T"].dims == ("member", "time", "cell")
    np.testing.assert_array_equal(both["T"][0], one["T"])
    np.testing.assert_array_equal(both["T"][1], scalar["T"])
    np.testing.assert_array_equal(scalar["T"], wb.simulate(Bar, TIMES, inputs=INPUTS)["T"])  # the prior's median
    milli = xr.DataArray(1000 * K, dims="cell", attrs={"units": "mW/K"})
    np.testing.assert_allclose(wb.simulate(Bar, TIMES, parameters={"k": milli}, inputs=INPUTS)["T"], one["T"])


def test_inputs_over_draws_and_results_on_disk(tmp_path):
    left = xr.DataArray([350.0, 340.0, 330.0], dims="member")
    made = wb.simulate(Bar, TIMES, parameters={"k": K}, inputs={"left": left})
    assert made["T"].dims == ("member", "time", "cell")
    np.testing.assert_allclose(made["T"][2], exact(K, left=330.0), rtol=1e-7)
    stored = wb.simulate(Bar, TIMES, parameters={"k": np.stack([K, 2 * K])}, inputs=INPUTS, store=tmp_path / "a.zarr")
    np.testing.assert_allclose(stored["T"][1], exact(2 * K), rtol=1e-7)


class Grid(wb.Ode):
    """Diffusion on a grid with insulated edges, in dimensionless units."""

    time_unit = "s"
    rows: int = 3
    columns: int = 4
    rtol = 1e-9
    c = wb.State("1", dims=("row", "column"))
    D = wb.Parameter("1/s", value=0.3)
    corner = wb.Output("1")
    profile = wb.Output("1", dims=("column",))

    def start(self, p):
        return {"c": np.arange(self.rows * self.columns, dtype=float).reshape(self.rows, self.columns)}

    def rhs(self, t, x, u, p):
        c = x.c
        tall = wb.math.concatenate([c[:1], c, c[-1:]])
        wide = wb.math.concatenate([c[:, :1], c, c[:, -1:]], axis=1)
        return {"c": p.D * (wb.math.diff(wb.math.diff(tall, axis=0), axis=0) + wb.math.diff(wb.math.diff(wide)))}

    def observe(self, t, x, u, p):
        return {"corner": x.c[0, -1], "profile": wb.math.sum(x.c, axis=0)}


def second_difference(n):
    """Return the matrix of second differences with insulated ends."""
    made = np.diag(np.full(n, -2.0)) + np.diag(np.ones(n - 1), 1) + np.diag(np.ones(n - 1), -1)
    made[0, 0] = made[-1, -1] = -1.0
    return made


def test_diffusion_on_a_grid():
    made = wb.simulate(Grid, [0.0, 1.0, 4.0])
    assert made["c"].dims == ("time", "row", "column")
    assert made["c"].shape == (3, 3, 4)
    system = 0.3 * (np.kron(second_difference(3), np.eye(4)) + np.kron(np.eye(3), second_difference(4)))
    expected = np.array([scipy.linalg.expm(system * t) @ np.arange(12.0) for t in (0, 1, 4)]).reshape(3, 3, 4)
    np.testing.assert_allclose(made["c"], expected, rtol=1e-7)
    np.testing.assert_allclose(made["corner"], expected[:, 0, -1], rtol=1e-7)
    np.testing.assert_allclose(made["profile"], expected.sum(axis=1), rtol=1e-7)


class Chain(wb.Ode):
    """Masses on springs between two walls; doses of speed into the first, in a matrix form."""

    time_unit = "s"
    rtol = 1e-9
    n_masses: int = 3
    x = wb.State("m", start=[0.0, 0.01, -0.02], dims="mass")
    v = wb.State("m/s", start="v0", dims="mass")
    v0 = wb.Parameter("m/s", value=[0.1, 0.0, -0.1], dims="mass")
    w2 = wb.Parameter("1/s**2", value=4.0)
    kick = wb.Input("m/s", kind="impulse", into="v[gold]")

    def coords(self):
        return {"mass": ["lead", "gold", "tin"]}

    def rhs(self, t, x, u, p):
        return {"x": x.v, "v": p.w2 * (second_difference(3) - np.diag([1.0, 0.0, 1.0])) @ x.x}


def test_masses_on_springs_with_a_kick():
    times = np.array([0.0, 1.0, 2.0, 5.0])
    made = wb.simulate(Chain, times, inputs={"kick": {2.0: 0.5}})
    assert made["mass"].values.tolist() == ["lead", "gold", "tin"]
    stiff = 4.0 * (second_difference(3) - np.diag([1.0, 0.0, 1.0]))
    system = np.block([[np.zeros((3, 3)), np.eye(3)], [stiff, np.zeros((3, 3))]])
    state, found = np.array([0.0, 0.01, -0.02, 0.1, 0.0, -0.1]), []
    for step, kick in zip(np.diff(times, prepend=0.0), (0, 0, 0.5, 0), strict=True):
        state = scipy.linalg.expm(system * step) @ state + kick * np.eye(6)[4]
        found.append(state)
    both = np.concatenate([made["x"], made["v"]], axis=1)
    np.testing.assert_allclose(both, found, rtol=1e-6, atol=1e-9)


class Lorenz96(wb.Ode):
    """x_i' = (x_{i+1} - x_{i-2}) x_{i-1} - x_i + F on a ring (Lorenz 1996), and its energy as an event."""

    time_unit = "s"
    places: int = 5
    x = wb.State("1", start=wb.prior.Normal(mu=8.0, sigma=1.0), dims="place")
    F = wb.Parameter("1", value=8.0)
    per_s = wb.Parameter("1/s", value=1.0)
    high = wb.Event("1", direction="rising")

    def rhs(self, t, x, u, p):
        roll = wb.math.roll
        return {"x": ((roll(x.x, -1) - roll(x.x, 2)) * roll(x.x, 1) - x.x + p.F) * p.per_s}

    def events(self, t, x, u, p):
        return {"high": wb.math.dot(x.x, x.x) - 200.0}

    def reset(self, t, x, u, p):
        return {"high": {"x": wb.math.where(x.x > 5.0, 0.0, x.x)}}


def test_rolled_equations_are_those_of_numpy():
    model = Lorenz96()
    x = np.random.default_rng(1).normal(size=5)
    values = dict(zip([f"x{k}" for k in range(5)], x, strict=True)) | {"t": 0.0, "p0": 8.0, "p1": 1.0}
    values |= {f"p{2 + k}": 0.0 for k in range(5)}
    expected = (np.roll(x, -1) - np.roll(x, 2)) * np.roll(x, 1) - x + 8.0
    np.testing.assert_allclose(program(trace(model), "rhs").run(values), expected, rtol=1e-14)
    assert model.theta["x_start"].dims == ("place",)


def test_an_event_resets_elements():
    begin = [9.0, 4.0, 8.0, 3.0, 4.9]
    made = wb.simulate(Lorenz96, np.linspace(0, 0.2, 5), parameters={"x_start": begin})
    np.testing.assert_array_equal(made["x"][0], begin)
    assert made["high_time"].size > 0
    assert float((made["x"] ** 2).sum("place").max()) < 200.0


# -- the dry run -------------------------------------------------------------------------------------------------------
A, G, M = np.array([0.5, 2.0, -1.0, 3.0]), np.arange(12.0).reshape(3, 4) - 5.5, np.arange(16.0).reshape(4, 4)
m = wb.math
EXPRESSIONS = {
    "scalars among vectors": lambda x, g: m.concatenate([x[0], x, [1.0], 2.0]),
    "rows": lambda x, g: m.concatenate([g[:1], g, g[-1:]])[1:] - m.concatenate([g[:1], g, g[-1:]], 0)[:-1],
    "columns": lambda x, g: m.concatenate([g[:, :1], g], axis=1),
    "stack": lambda x, g: m.stack([x[0] * 2, 1.0, x[3]]),
    "stack of vectors": lambda x, g: m.stack([x, x * 2], axis=1),
    "diff": lambda x, g: m.diff(m.diff(g), axis=0),
    "roll": lambda x, g: m.roll(x, 1) + m.roll(x, -2) + m.roll(x, 5) + m.roll(x, 0),
    "roll of rows": lambda x, g: m.roll(g, 1, axis=0) * m.roll(g, -1),
    "sums": lambda x, g: m.sum(g, axis=0) * m.sum(x) + m.mean(g, axis=0) * m.mean(x) + m.sum(g),
    "sum of a list of vectors": lambda x, g: m.sum([x, 2 * x, g[0]]) + m.mean([x, g[1]]),
    "products": lambda x, g: m.dot(M, x) + M @ x + x @ M + m.dot(g, x)[0] + x @ x,
    "product of matrices": lambda x, g: m.dot(g[:, :3], g),
    "indices": lambda x, g: x[[0, 2]] * g[np.array([0, 2]), 1:3][0] + g[[0, 1], [2, 3]] + g[..., 0][:2],
    "new axes": lambda x, g: x[:, None] * g[0][None, :],
    "backwards": lambda x, g: x[::-1] * x[-3:][[0, 1, 2, 0]],
    "choices": lambda x, g: m.where(x > 0, x, 0.0) * m.maximum(x, g[0]) + m.clip(x, 0.0, 1.0),
    "functions": lambda x, g: m.exp(-m.absolute(x)) + m.sqrt(x**2) + abs(x) - (-x) / (2.0 + x**2),
    "arrays of numbers": lambda x, g: A * x + x * A - [1, 2, 3, 4] + np.float64(2) * x,
    "a loop": lambda x, g: m.stack([k * element for k, element in enumerate(x)]),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_arrays_symbols_and_programs_agree(name):
    import pytensor.tensor as pt

    from workbench.declare.lower import lower

    function = EXPRESSIONS[name]
    expected = function(A, G)
    x, g = (pt.TensorType("float64", shape=a.shape)() for a in (A, G))
    made = lower([x, g], [pt.as_tensor_variable(function(x, g))], [f"i{k}" for k in range(16)], name)
    numbers = made.run({f"i{k}": v for k, v in enumerate([*A, *G.ravel()])})
    np.testing.assert_allclose(numbers, np.ravel(expected), rtol=1e-13)
    context = Context("Bar.rhs", set())
    dry = function(Symbol(None, "x.x", context, (4,)), Symbol(None, "x.g", context, (3, 4)))
    assert dry.extent == np.shape(expected)


def test_units_of_functions_of_arrays():
    from workbench.base import units

    context = Context("Bar.rhs", set())
    x, y = (Symbol(units.parse(unit), "x", context, (4,)) for unit in ("m", "s"))
    found = [m.diff(x), m.concatenate([0.0, x]), m.sum(x), m.mean(x), m.stack([x[0], 1.0]), m.roll(x, 1), x @ y, M @ x]
    assert [str(f.unit) for f in found] == ["meter"] * 6 + ["meter * second", "meter"]
    with pytest.raises(DeclarationError, match="the same unit for each of its values"):
        m.concatenate([x, y])


def variant(rhs="return {'T': -p.k * x.T}", *, dims="('cell',)", start="300.0", value="2.0", more=""):
    """Return a class of a small vector model, made from text with what a mistake changes."""
    lines = [
        "class Small(wb.Ode):",
        "    time_unit = 's'",
        *([] if "cells" in more else ["    cells: int = 3"]),
        f"    T = wb.State('K', start={start}, dims={dims})",
        f"    k = wb.Parameter('1/s', value={value}, dims=('cell',))",
        *[f"    {line}" for line in more.split("; ") if line],
        "    def rhs(self, t, x, u, p):",
        f"        {rhs}",
    ]
    names = {"wb": wb, "np": np}
    exec("\n".join(lines), names)
    return names["Small"]


MISTAKES = {
    "size not known": ({"dims": "('cel',)"}, "Small.T: got dim 'cel' of a size that is not known; expected a setting such as `cels: int = 10`"),
    "reserved": ({"dims": "('time',)"}, "Small.T: got dim 'time', a name with a meaning of its own"),
    "a quantity's name": ({"dims": "('k',)"}, "Small.T: got dim 'k', the name of a quantity"),
    "no names": ({"dims": "(3,)"}, "Small.T: got dims=(3,); expected names of dims, such as dims=('cell',)"),
    "twice": ({"dims": "('cell', 'cell')"}, "Small.T: got dims=('cell', 'cell'); expected each dim once"),
    "array of wrong length": ({"start": "[1.0, 2.0]"}, "Small: got dim 'cell' of several sizes, 3 by setting 'cells', 2 by start of 'T'; expected one size"),
    "value of wrong length": ({"value": "[1.0, 2.0]"}, "got dim 'cell' of several sizes, 3 by setting 'cells', 2 by value of 'k'"),
    "array with too many axes": ({"start": "np.zeros((3, 3))"}, "Small.T: got start of shape (3, 3); expected one axis for each of the dims ('cell',)"),
    "array with holes": ({"start": "[1.0, np.nan, 2.0]"}, "Small.T: got start nan; expected it within the bounds"),
    "an empty dim": ({"more": "cells: int = 0"}, "Small: got cells=0; expected at least 1"),
    "labels of an unknown dim": ({"more": "coords = lambda self: {'cel': [1, 2, 3]}"}, "Small.coords: got unknown dim 'cel'; expected one of 'cell'; did you mean 'cell'?"),
    "labels that are too few": ({"more": "coords = lambda self: {'cell': [1, 2]}"}, "several sizes, 2 by coords(), 3 by setting 'cells'"),
    "labels given twice": ({"more": "coords = lambda self: {'cell': [1, 2, 2]}"}, "got labels of dim 'cell' more than once"),
    "wrong shape": ({"rhs": "return {'T': -p.k[1:] * x.T[1:]}"}, "Small.rhs: got an expression of shape (2,) for 'T'; expected shape (3,), or a scalar"),
    "wrong shape of numbers": ({"rhs": "return {'T': np.zeros(2) * p.k[0] * x.T[0]}"}, "Small.rhs: got an expression of shape (2,) for 'T'"),
    "shapes that do not fit": ({"rhs": "return {'T': p.k * x.T[1:]}"}, "Small.rhs: got 'p.k * x.T[1:]' with shapes (3,) and (2,); expected shapes that fit"),
    "parts that do not fit": ({"rhs": "return {'T': wb.math.where(x.T[1:] > 0, x.T, 0)}"}, "Small.rhs: got 'where("),
    "index too large": ({"rhs": "return {'T': p.k * x.T[3]}"}, "Small.rhs: got 'x.T[3]' of shape (3,); expected an index within it"),
    "index by a symbol": ({"rhs": "return {'T': p.k * x.T[t]}"}, "Small.rhs: got an index on 'x.T' that is not fixed, or none; expected whole numbers, slices or arrays"),
    "length of a symbol": ({"rhs": "return {'T': p.k * x.T / len(x.T)}"}, "Small.rhs: got len() of the symbol 'x.T'; expected the model's setting"),
    "shape of a symbol": ({"rhs": "return {'T': p.k * x.T / x.T.shape[0]}"}, "Small.rhs: got '.shape' of the symbol 'x.T'; expected the model's setting"),
    "method of a symbol": ({"rhs": "return {'T': p.k * x.T.sum()}"}, "Small.rhs: got '.sum' of the symbol 'x.T'; expected wb.math.sum"),
    "numpy on a vector": ({"rhs": "return {'T': p.k * np.cumsum(x.T)}"}, "Small.rhs: got numpy.cumsum on the symbol 'x.T'"),
    "unit of an element": ({"rhs": "return {'T': wb.math.stack([x.T[0], x.T[1], x.T[2]])}"}, "Small.rhs: got 'T' = stack([x.T[0], x.T[1], x.T[2]], 0) with units K and K/s"),
    "input with dims": ({"more": "q = wb.Input('K', dims='cell')"}, "Small.q: got dims=('cell',) of a wb.Input; expected none: it is a scalar"),
    "impulse into a vector": ({"more": "q = wb.Input('K', kind='impulse', into='T')"}, "Small.q: got unknown state 'T'; expected one of 'T[0]', 'T[1]', 'T[2]'"),
    "start of other dims": ({"start": "'T0'", "more": "T0 = wb.Parameter('K', value=[1.0, 2.0], dims='end')"}, "Small.T.start: got 'T0' with dims=('end',); expected a scalar or dims=('cell',)"),
}  # fmt: skip


def test_the_small_model_is_right():
    assert variant()().state_layout.size == 3
    assert variant(start="np.arange(3.0)")().states["T"].start == (0.0, 1.0, 2.0)
    assert hash(variant(start="[1.0, 2.0, 3.0]")().states["T"]) is not None
    assert variant("return {'T': [-x.T[0] * p.k[k] for k in range(3)]}")().state_layout.size == 3


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_is_refused_at_birth(mistake):
    changes, says = MISTAKES[mistake]
    with pytest.raises(DeclarationError) as error:
        variant(**changes)
    assert says in str(error.value)


def test_a_setting_that_has_no_default_sizes_an_instance():
    class Free(wb.Ode):
        """A model whose size is said late."""

        time_unit = "s"
        n_cells: int
        T = wb.State("K", start=1.0, dims="cell")
        k = wb.Parameter("1/s", value=1.0)

        def rhs(self, t, x, u, p):
            return {"T": -p.k * x.T}

    assert Free(2).state_layout.size == 2
    assert Free(5).shape(Free.quantities["T"]) == (5,)
    with pytest.raises(DeclarationError, match="n_cells=0"):
        Free(0)


def test_meaning_counts_dims_labels_and_arrays():
    digests = {digest(variant()())}
    digests |= {digest(variant(start="[300.0, 300.0, 301.0]")())}
    digests |= {digest(variant(more="coords = lambda self: {'cell': ['a', 'b', 'c']}")())}
    digests |= {digest(variant("return {'T': -p.k[0] * x.T}")())}
    digests |= {digest(variant("return {'T': -p.k[::-1] * x.T}")())}
    assert len(digests) == 5
    assert digest(variant("k = p.k[:]\n        return {'T': -k * x.T}")()) not in digests
    told = document(variant(start="[1.0, 2.0, 3.0]")())
    assert told["quantities"]["T"]["start"] == [1.0, 2.0, 3.0]
    assert told["quantities"]["T"]["dims"] == ["cell"]
    assert told["labels"] == {"cell": [0, 1, 2]}
    assert "over cell" in variant().__doc__


def test_bad_parameters():
    for given, says in {
        "too few": (np.ones(3), "k: got an array of shape (3,); expected shape (4,), or a DataArray"),
        "other labels": (xr.DataArray(np.ones(4), {"cell": [1, 2, 3, 4]}, "cell"), "k: got cell 1, 2, 3, 4; expected 0, 1, 2, 3"),
        "too few labels": (xr.DataArray(np.ones(3), dims="cell"), "k: got cell 0, 1, 2; expected 0, 1, 2, 3"),
        "other dims": (xr.DataArray(np.ones(4), dims="cel"), "k: got unknown dim 'cel'"),
        "below": (np.array([1.0, -1.0, 1.0, 1.0]), "k: got -1 W/K; expected a number within its prior's support"),
    }.values():  # fmt: skip
        with pytest.raises(ParameterError) as error:
            wb.simulate(Bar, TIMES, parameters={"k": given}, inputs=INPUTS)
        assert says in str(error.value)


# -- composed ----------------------------------------------------------------------------------------------------------
class Heater(wb.Ode):
    """A heater that warms up."""

    time_unit = "s"
    q = wb.State("K", start=300.0)
    rate = wb.Parameter("1/s", value=0.1)
    hot = wb.Output("K")

    def rhs(self, t, x, u, p):
        return {"q": p.rate * (350.0 - x.q)}

    def observe(self, t, x, u, p):
        return {"hot": x.q}


def test_a_vector_model_in_a_composed_one():
    model = wb.compose("Both", {"heater": Heater, "bar": Bar}, {"bar.left": "heater.hot"})
    made = wb.simulate(model, TIMES, parameters={"bar_k": K})
    seconds = np.linspace(0, 30, 3001)
    left = xr.DataArray(350 - 50 * np.exp(-0.1 * seconds), {"time": seconds}, "time")
    alone = wb.simulate(Bar, TIMES, parameters={"k": K}, inputs={"left": left})
    assert made["bar_T"].dims == ("time", "bar_cell")
    np.testing.assert_allclose(made["bar_T"], alone["T"], rtol=1e-5)
    with pytest.raises(DeclarationError, match=r"got output 'one.T_read' with dims=\('cell',\) for input 'two.left'"):
        wb.compose("Wrong", {"one": Bar, "two": Bar}, {"two.left": "one.T_read"})


# -- readings and posteriors -------------------------------------------------------------------------------------------
def readings(times=TIMES, units=()):
    """Return noisy readings of the bar over time (and unit) and cell."""
    rng = np.random.default_rng(3)
    values = np.array([exact(K * (1 + 0.1 * j), times) for j in range(max(len(units), 1))])
    values = values + rng.normal(0, 0.3, values.shape)
    coords = {"time": times, "cell": np.arange(4)} | ({"unit": list(units)} if units else {})
    dims = (*(["unit"] if units else []), "time", "cell")
    return xr.Dataset({"T_read": (dims, values if units else values[0], {"units": "K"})}, coords)


def density_of(data, pool=None):
    """Return the compiled density of the bar, and its space."""
    return compile_density(wb.to_pymc(Bar, data, inputs=INPUTS, pool=pool))


def expected_density(k, sigma, data):
    """Return the log density of a bar's parameters and readings, up to the Jacobians of the transforms."""
    prior = scipy.stats.lognorm(0.3, scale=2.0).logpdf(k).sum() + scipy.stats.halfnorm(scale=0.5).logpdf(sigma)
    known = np.isfinite(data["T_read"].values)
    law = scipy.stats.norm(exact(k, data["time"].values)[known], sigma)
    return prior + law.logpdf(data["T_read"].values[known]).sum()


def check_density(data):
    """Compare density and gradient with SciPy's laws around the matrix exponential, and with differences."""
    density = density_of(data)
    assert [(v.name, v.shape) for v in density.space.variables] == [("k", (4,)), ("T_read_sigma", ())]
    for k, sigma in ((K, 0.4), (np.array([2.0, 1.0, 3.0, 0.7]), 0.9)):
        point = np.log([*k, sigma])  # whose Jacobian is the sum of the logarithms
        value, slope = density.evaluate(point)
        assert value == pytest.approx(expected_density(k, sigma, data) + point.sum(), rel=1e-6)
        differences = [
            (expected_density(*split(point + step), data) - expected_density(*split(point - step), data)) / 2e-5 + 1
            for step in 1e-5 * np.eye(5)
        ]
        np.testing.assert_allclose(slope, differences, rtol=1e-5, atol=1e-5)


def split(point):
    """Return k and sigma at a point."""
    return np.exp(point[:4]), float(np.exp(point[4]))


def test_density_of_a_vector():
    check_density(readings())


def test_density_where_some_elements_were_measured():
    data = readings().isel(cell=[3, 0])
    whole = data.reindex(cell=range(4))
    whole["T_read"][1, 3] = data["T_read"][1, 0] = np.nan
    check_density(whole)
    frame = data["T_read"].to_pandas().rename(columns=lambda cell: f"T_read[{cell}] [K]").reset_index()
    points = [np.log([2.0, 1.0, 3.0, 0.7, 0.9]), np.zeros(5)]
    forms = [density_of(form) for form in (whole, data, frame)]
    for point in points:
        assert len({form.evaluate(point)[0] for form in forms}) == 1


def test_bad_readings():
    data = readings()
    for given, says in (
        (data.assign_coords(cell=[0, 1, 2, 7]), "output 'T_read': got cell 0, 1, 2, 7; expected 0, 1, 2, 3"),
        (data.drop_vars("cell").isel(cell=[0, 1]), "output 'T_read': got 2 of 'cell'; expected 4, or their labels"),
        (data.isel(cell=0, drop=True), "output 'T_read': got dims 'time'; expected 'time', or 'unit' and 'time', and 'cell'"),
        (data["T_read"][:, 0].to_series().reset_index(), "expected columns 'T_read[0]', 'T_read[1]'"),
    ):  # fmt: skip
        with pytest.raises(DataError) as error:
            wb.to_pymc(Bar, given, inputs=INPUTS)
        assert says in str(error.value)


@pytest.mark.parametrize("way", ["complete", "none", "partial"])
def test_pooling_is_elementwise(way):
    data = readings(units=("a", "b", "c"))
    made = wb.to_pymc(Bar, data, inputs=INPUTS, pool={"k": way})
    assert made.named_vars_to_dims["T_read"] == ("unit", "time", "cell")
    lead = () if way == "complete" else ("unit",)
    assert made.named_vars_to_dims["k"] == (*lead, "cell")
    if way == "partial":
        assert made.named_vars_to_dims["k_pop"] == made.named_vars_to_dims["k_sd"] == ("cell",)
    density = compile_density(made)
    point = np.random.default_rng(5).normal(0.3, 0.1, density.space.size)
    value, slope = density.evaluate(point)
    differences = [
        (density.evaluate(point + step)[0] - density.evaluate(point - step)[0]) / 2e-5
        for step in 1e-5 * np.eye(point.size)
    ]
    assert np.isfinite(value)
    np.testing.assert_allclose(slope, differences, rtol=1e-4, atol=1e-2)


@cache
def calibrated():
    """Return a short calibration, shared by the tests."""
    return wb.calibrate(Bar, readings(), inputs=INPUTS, draws=150, tune=250, chains=2, seed=1, progress=False)


def test_posterior_of_a_vector():
    tree = calibrated().tree
    assert tree["posterior"]["k"].dims == ("chain", "draw", "cell")
    assert tree["posterior"]["k"].attrs["units"] == "W/K"
    for group in ("posterior_predictive", "log_likelihood"):
        assert tree[group]["T_read"].dims == ("chain", "draw", "time", "cell")
    assert tree["observed_data"]["T_read"].dims == ("time", "cell")
    middle, spread = (getattr(tree["posterior"]["k"], f)(("chain", "draw")).values for f in ("mean", "std"))
    assert (np.abs(middle - K) < 4 * spread).all()
    assert (spread < 0.6).all()  # the prior's
    k, sigma = (tree["posterior"][n].values[1, 70] for n in ("k", "T_read_sigma"))
    law = scipy.stats.norm(exact(k), sigma)
    found = tree["log_likelihood"]["T_read"][1, 70]  # some are near 0, while solutions are good to six digits
    np.testing.assert_allclose(found, law.logpdf(readings()["T_read"]), rtol=1e-6, atol=1e-5)


def test_summaries_figures_and_forecasts_of_a_vector():
    from workbench.report import figures, tables

    calibration = calibrated()
    assert [f"k[{j}]" for j in range(4)] == calibration.summary().index[:4].tolist()
    assert "k[3]" in tables.summary(calibration)["parameter"].tolist()
    titles = [ax.get_title() for ax in figures.individual_fits(calibration).axes if ax.get_title()]
    assert titles == ["cell 0", "cell 1", "cell 2", "cell 3"]
    ranks = [ax.get_title() for ax in figures.ranks(calibration).axes if ax.get_title()]
    assert ranks == ["k[0]", "k[2]", "k[3]", "T_read_sigma"]
    assert len(figures.prior_posterior(calibration, ["k"]).axes[0].lines) >= 4
    ahead = wb.forecast(calibration, [30.0, 40.0], inputs=INPUTS, noise=False)
    k = calibration.posterior["k"].values[0, 3]
    np.testing.assert_allclose(ahead["T_read"][0, 3], exact(k, [30.0, 40.0]), rtol=1e-6)
    assert wb.forecast(calibration, [30.0, 40.0], inputs=INPUTS, seed=1)["T_read"].dims[-1] == "cell"


def test_a_store_gives_a_vector_back(tmp_path):
    calibration = calibrated()
    for name in ("a.nc", "a.zarr"):
        calibration.save(tmp_path / name)
        again = wb.Calibration.open(tmp_path / name, Bar)
        xr.testing.assert_identical(again.posterior["k"], calibration.posterior["k"])
        assert again.problem.observations.values["T_read"].shape == (4, 4)


def test_new_units_of_a_vector_population():
    from workbench.calibrate.fleet.population import new_unit
    from workbench.report.predictive import prior_units

    drawn = prior_units(Bar, pool={"k": "partial"}, draws=5, seed=1)
    assert drawn["k"].dims == ("member", "cell")
    assert len(np.unique(drawn["k"])) == 20
    same = new_unit(calibrated(), 1)
    xr.testing.assert_equal(same["k"], calibrated().posterior["k"])
