"""Kernels of vector states: against closed forms, SciPy, and the kernels that print every element."""

import numpy as np
import pytest
import scipy.integrate
from test_sensitivities import Problem
from vector_models import Brusselator, HeatBar, bar_exact, brusselator

import workbench as wb
from workbench.base.clock import Clock
from workbench.simulate.kernel import longest_run, solve, source
from workbench.simulate.kernels import arrays
from workbench.simulate.methods.dop853 import DOP853
from workbench.simulate.methods.rodas5p import RODAS5P
from workbench.simulate.methods.tsit5 import TSIT5
from workbench.simulate.op import Solve
from workbench.simulate.scenario import build_schedule

TIMES = np.linspace(0.0, 20.0, 6)


def posed(model, inputs, values, times=TIMES):
    """Return theta (1, parameters), the schedule, and the offsets of rows of one unit."""
    ends = np.array([times[0]]), np.array([times[-1]])
    schedule = build_schedule(
        model, inputs, units=None, begin=ends[0], end=ends[1], clock=Clock.of(times, model.time_unit)
    )
    theta = np.empty(model.theta_layout.size)
    for name, place in model.theta_layout.places.items():
        theta[place] = np.ravel(values.get(name, model.theta[name].nominal()))
    return theta[None], schedule, np.array([0, len(times)])


def solved(model, method, inputs, values, times=TIMES):
    theta, schedule, rows = posed(model, inputs, values, times)
    return solve(model, theta[None], schedule, rows=rows, times=times, method=method)


def sensitive(model, method, inputs, values) -> Problem:
    theta, schedule, rows = posed(model, inputs, values)
    op = Solve(
        source(model, method, sensitivities=True),
        estimated=model.theta_layout.columns(model.estimated),
        outputs=model.output_layout.size,
        tolerances=(model.rtol, model.atol),
        longest_run=longest_run(schedule),
    )
    return Problem(op, theta, schedule, rows, TIMES)


@pytest.mark.parametrize("method", [TSIT5, RODAS5P], ids=lambda m: m.name)
def test_heat_bar_of_80_cells_by_the_matrix_exponential(method):
    model, k = HeatBar(cells=80), 0.01 * (1 + 0.3 * np.sin(np.arange(80.0)))
    made = solved(model, method, {"left": 2.0, "heat": {0.0: 0.5, 20.0: 0.1}, "flash": {}}, {"k": k})
    expected = bar_exact(TIMES, k, 2.0, (0.5, -0.02))
    np.testing.assert_allclose(made.states[0], expected, atol=2e-5)
    np.testing.assert_allclose(made.outputs[0], expected[:, [26, 79]], atol=2e-5)


def test_a_jacobian_that_is_a_band_is_kept_as_one():
    made = source(HeatBar(cells=80), RODAS5P, sensitivities=False)
    assert "LOWER = 1\nUPPER = 1\nWIDE = 4\n" in made
    assert len(made) < 100_000


@pytest.mark.parametrize("method", [TSIT5, RODAS5P, pytest.param(DOP853, marks=pytest.mark.slow)], ids=lambda m: m.name)
def test_loops_equal_what_is_printed_element_by_element(method, monkeypatch):
    inputs = {"left": {0.0: 1.0, 7.0: 0.4}, "heat": {0.0: 0.0, 20.0: 0.1}, "flash": {3.0: 2.0}}
    found = []
    for many in (4, 64):
        monkeypatch.setattr(arrays, "MANY", many)
        found.append(sensitive(HeatBar(cells=5), method, inputs, {"k": 0.01 * np.arange(1.0, 6.0)}).perform())
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10 * np.abs(other).max())
    assert np.abs(found[0][1]).max() > 1.0


def test_sensitivities_of_a_bar_by_complex_steps(monkeypatch):
    monkeypatch.setattr(arrays, "MANY", 4)
    k = 0.01 * np.arange(1.0, 6.0)
    _, d = sensitive(HeatBar(cells=5), RODAS5P, {"left": 1.0, "heat": 0.0, "flash": {}}, {"k": k}).perform()
    for column in range(5):
        exact = bar_exact(TIMES, k + 1e-30j * np.eye(5)[column], 1.0, (0.0, 0.0)).imag / 1e-30
        np.testing.assert_allclose(d[:, :, column], exact[:, [1, 4]], atol=3e-4 * np.abs(d).max())


@pytest.fixture(scope="module")
def reference():
    """Return the fields of the reaction at some times, by SciPy."""
    start = np.concatenate([1.0 + np.outer(np.linspace(0, 1, 8), np.linspace(0, 1, 8)).ravel(), np.full(64, 3.0)])
    return scipy.integrate.solve_ivp(
        brusselator, (0, 4), start, method="DOP853", rtol=1e-11, atol=1e-11, t_eval=np.linspace(0, 4, 5), args=(8,)
    ).y.T


def test_reaction_and_diffusion_on_a_grid(reference):
    times, model = np.linspace(0, 4, 5), Brusselator()
    grid = np.linspace(0, 1, 8)
    theta, schedule, rows = posed(model, {}, {}, times)
    start = np.concatenate([1.0 + np.outer(grid, grid).ravel(), np.full(64, 3.0)])[None, None]
    made = solve(model, theta[None], schedule, rows=rows, times=times, override=start, method=RODAS5P)
    np.testing.assert_allclose(made.states[0], reference, atol=2e-7)
    np.testing.assert_allclose(made.outputs[0, :, 0], reference[:, :64].mean(axis=1), atol=2e-7)
    text = source(model, RODAS5P, sensitivities=False)
    assert "LOWER = 16\n" in text  # of 64 in the order of the declaration


def test_a_thousand_states():
    model = HeatBar(cells=1000)
    made = wb.simulate(model, TIMES, inputs={"left": 1.0, "heat": 0.0, "flash": {}}, parameters={"k": 0.01})
    assert made.attrs["solver"] == "Rodas5P"
    coarse = bar_exact(TIMES, np.full(100, 0.01), 1.0, (0.0, 0.0))
    fine = made["T"].values.reshape(6, 100, 10).mean(axis=2)
    np.testing.assert_allclose(fine, coarse, atol=2e-3)  # the coarser bar is 1e-3 from the finer one
    np.testing.assert_allclose(made["far"], made["T"][:, -1])
