"""Gradients that go back over the solver's steps equal forward sensitivities, and finite differences."""

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
import xarray as xr
from models import Dosing, LynxHare
from pymc.blocking import DictToArrayBijection, RaveledVars
from test_arrays import sensitive
from test_sensitivities import DOSING, LYNX, TIMES, problem
from test_solver import SCENARIO
from vector_models import HeatBar

import workbench as wb
from workbench.base.errors import DeclarationError
from workbench.calibrate.sampling.density import compile_density
from workbench.simulate.adjoint import PullTaped, SolveTaped, operation
from workbench.simulate.kernel import source
from workbench.simulate.kernels.arrays import _by_pullbacks, tangent
from workbench.simulate.methods.dop853 import DOP853
from workbench.simulate.methods.rodas5p import RODAS5P
from workbench.simulate.methods.tsit5 import TSIT5
from workbench.simulate.op import Solve


def taped(given, model, method, **settings) -> SolveTaped:
    """Return the operation with a tape for the same problem."""
    text = source(model, method, sensitivities=False, adjoint=True)
    sizes = model.output_layout.size, model.state_layout.size
    run = settings.pop("longest_run", given.op.longest_run)
    return SolveTaped(
        text, estimated=given.op.estimated, sizes=sizes, tolerances=given.op.tolerances, longest_run=run, **settings
    )


def gradient(given, op, weights):
    """Return outputs, the cotangents of theta, and the tape."""
    solved, pulled = [[None], [None]], [[None]]
    inputs = [given.theta, *given.arrays]
    op.perform(None, inputs, solved)
    PullTaped(op).perform(None, [*inputs, weights, solved[1][0]], pulled)
    return solved[0][0], pulled[0][0], solved[1][0]


def compare(given, op):
    """Compare outputs and gradients, unit by unit, with those of forward sensitivities; return the tape."""
    y, d = given.perform()
    weights = np.random.default_rng(1).normal(size=y.shape)
    found, theta_bar, tape = gradient(given, op, weights)
    np.testing.assert_allclose(found, y, rtol=1e-13)
    weighted = (weights[:, :, None] * d).sum(axis=1)
    expected = np.array([weighted[a:b].sum(axis=0) for a, b in zip(given.rows, given.rows[1:], strict=False)])
    assert (np.abs(expected).max(axis=1) > 0).all()
    np.testing.assert_allclose(
        theta_bar[:, list(op.estimated)], expected, atol=1e-11 * np.abs(expected).max(), rtol=1e-8
    )
    return tape


METHODS = [TSIT5, RODAS5P, pytest.param(DOP853, marks=pytest.mark.slow)]


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_doses_steps_ramps_an_estimated_start_and_units(method):
    doses = {0: {0.0: 100.0}, 1: {1.0: 40.0, 5.0: 60.0}}
    other, inputs = {**DOSING, "ka": 0.7, "V": 31.0}, {**SCENARIO, "dose": doses}
    given = problem(Dosing, DOSING, other, times=TIMES, inputs=inputs, tolerance=1e-7, method=method)
    compare(given, taped(given, Dosing(), method))


def test_steps_are_taken_again_where_memory_is_short():
    given = problem(Dosing, DOSING, times=TIMES, inputs=SCENARIO, tolerance=1e-9, method=TSIT5)
    steps = compare(given, taped(given, Dosing(), TSIT5))[0, 0]
    run = int(steps * 1.3)
    short = taped(given, Dosing(), TSIT5, longest_run=run, memory=1)
    tape = compare(given, short)
    assert tape[0, 0] == steps
    assert tape[0, 3] == short.room(1) == int(np.ceil(np.sqrt(run)))
    assert tape[0, 1] >= steps / tape[0, 3]  # the stride
    assert tape.size < 5 + 3 * run + 4 * np.sqrt(2 * steps) * 2


def test_vector_parameters_of_a_bar():
    model, inputs = HeatBar(cells=5), {"left": {0.0: 1.0, 7.0: 0.4}, "heat": 0.1, "flash": {3.0: 2.0}}
    given = sensitive(model, RODAS5P, inputs, {"k": np.linspace(0.01, 0.02, 5)})
    compare(given, taped(given, model, RODAS5P))


class Many(wb.Ode):
    """As many rates as decide for the adjoint."""

    time_unit = "s"
    cells: int = 40
    T = wb.State("1", dims=("cell",), start=1.0)
    k = wb.Parameter("1/s", dims=("cell",), prior=wb.prior.LogNormal(median=0.1, sigma=0.3))
    total = wb.Output("1", noise=wb.noise.Normal(sigma=0.1))

    def rhs(self, t, x, u, p):
        return {"T": -p.k * x.T * wb.math.mean(x.T)}

    def observe(self, t, x, u, p):
        return {"total": wb.math.sum(x.T)}


def test_the_choice_and_who_overrides_it():
    schedule = problem(LynxHare, LYNX, times=np.arange(3.0)).schedule
    assert isinstance(operation(LynxHare(), TSIT5, schedule), Solve)
    assert isinstance(operation(Many(), TSIT5, schedule), SolveTaped)
    assert isinstance(operation(Many(cells=10), TSIT5, schedule), Solve)

    class Back(LynxHare):
        adjoint = True

    class Forth(Many):
        adjoint = False

    assert isinstance(operation(Back(), TSIT5, schedule), SolveTaped)
    assert isinstance(operation(Forth(cells=33), TSIT5, schedule), Solve)


def test_events_have_no_adjoint():
    class Falling(wb.Ode):
        time_unit = "s"
        adjoint = True
        h = wb.State("m", start=1.0)
        g = wb.Parameter("m/s", prior=wb.prior.LogNormal(median=1.0, sigma=0.1))
        ground = wb.Event("m", ends=True)
        height = wb.Output("m", noise=wb.noise.Normal(sigma=0.1))

        def rhs(self, t, x, u, p):
            return {"h": -p.g}

        def observe(self, t, x, u, p):
            return {"height": x.h}

        def events(self, t, x, u, p):
            return {"ground": x.h}

    schedule = problem(LynxHare, LYNX, times=np.arange(3.0)).schedule
    with pytest.raises(DeclarationError, match="Falling: got adjoint = True with events"):
        operation(Falling(), TSIT5, schedule)


def test_the_gradient_of_a_posterior_by_finite_differences():
    class Back(LynxHare):
        adjoint = True
        rtol, atol = 1e-9, 1e-10

    times = np.arange(0.0, 11.0)
    truth = wb.simulate(Back(), times, parameters={k: v for k, v in LYNX.items() if "start" not in k},
                        start={"hare": 34.0, "lynx": 5.9})  # fmt: skip
    data = truth[["hare_pelts", "lynx_pelts"]] * 1.1
    for name in data:
        data[name].attrs["units"] = "1"
    density = compile_density(wb.to_pymc(Back(), data))
    point = np.log([0.5, 0.03, 0.8, 0.025, 34.0, 5.9, 0.2, 0.3])
    value, slope = density.evaluate(point)
    assert np.isfinite(value)
    differences = []
    for step in 1e-5 * np.eye(point.size):
        differences.append((density.evaluate(point + step)[0] - density.evaluate(point - step)[0]) / 2e-5)
    np.testing.assert_allclose(slope, differences, rtol=1e-4, atol=1e-4 * np.abs(slope).max())


def test_a_unit_that_cannot_be_solved_has_no_gradient():
    given = problem(
        Dosing, DOSING, {**DOSING, "ka": np.nan}, times=TIMES, inputs=SCENARIO, tolerance=1e-7, method=TSIT5
    )
    y, theta_bar, tape = gradient(given, taped(given, Dosing(), TSIT5), np.ones((2 * len(TIMES), 2)))
    assert np.isinf(y[len(TIMES) :]).all()
    assert np.isfinite(y[: len(TIMES)]).all()
    assert (theta_bar[1] == 0).all()
    assert (theta_bar[0] != 0).any()
    assert tape[1, 0] == -1


def test_graphs_compiled_by_numba_give_what_python_gives():
    given = problem(Dosing, DOSING, times=TIMES, inputs=SCENARIO, tolerance=1e-7, method=TSIT5)
    op = taped(given, Dosing(), TSIT5)
    theta = pt.dmatrix("theta")
    y, tape = op(theta, *given.arrays)
    weights = np.random.default_rng(1).normal(size=(len(TIMES), 2))
    slope = pt.grad((y * weights).sum(), theta)
    made = pytensor.function([theta], [y, slope, y.shape[0], tape.shape], mode="NUMBA")(given.theta)
    expected = gradient(given, op, weights)
    np.testing.assert_allclose(made[0], expected[0], rtol=1e-13)
    np.testing.assert_allclose(made[1], expected[1], rtol=1e-11)
    assert made[2] == len(TIMES)
    assert tuple(made[3]) == expected[2].shape


class Shared(wb.Ode):
    """One start is made of another, and so are a rate and an output."""

    time_unit = "s"
    adjoint = True
    x = wb.State("1")
    y = wb.State("1")
    b = wb.Parameter("1", prior=wb.prior.LogNormal(median=1.0, sigma=0.3))
    c = wb.Parameter("1", prior=wb.prior.LogNormal(median=2.0, sigma=0.3))
    rate = wb.Parameter("1/s", value=0.7)
    sum = wb.Output("1", noise=wb.noise.Normal(sigma=1.0))
    twice = wb.Output("1", noise=wb.noise.Normal(sigma=1.0))

    def start(self, p):
        return {"x": p.b, "y": p.b / p.c}

    def rhs(self, t, x, u, p):
        flow = p.rate * (x.x - p.c * x.y)
        return {"x": flow, "y": -flow * x.x}

    def observe(self, t, x, u, p):
        return {"sum": x.x + p.c, "twice": 2 * (x.x + p.c) * x.y}


def test_what_one_output_passes_on_to_another_is_not_left_off():
    times = np.linspace(0, 2, 9)
    data = xr.Dataset({n: ("time", 3 + np.sin(times)) for n in ("sum", "twice")}, {"time": times})
    f = wb.to_pymc(Shared(), data).logp_dlogp_function(ravel_inputs=True)
    f.set_extra_values({})
    point = DictToArrayBijection.map(wb.to_pymc(Shared(), data).initial_point())

    def density(values):
        return f(RaveledVars(values, point.point_map_info))

    step = 1e-4 * np.eye(2)
    differences = [(density(point.data + h)[0] - density(point.data - h)[0]) / 2e-4 for h in step]
    np.testing.assert_allclose(density(point.data)[1], differences, rtol=1e-5)


def test_a_tangent_by_two_pullbacks_is_the_tangent():
    x, y, a, b = pt.dscalars("x", "y", "a", "b")
    outputs = [x * y, (x * y) * x, x]
    made = [pt.stack(_by_pullbacks(outputs, [x, y], [a, b])), pt.stack(tangent(outputs, [x, y], [a, b]))]
    at = {x: 2.0, y: 3.0, a: 0.5, b: -1.0}
    expected = [0.5 * 3 - 2, 0.5 * 12 - 4, 0.5]
    for one in made:
        np.testing.assert_allclose(one.eval(at), expected, rtol=1e-12)
