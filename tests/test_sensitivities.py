"""Derivatives by parameters equal those of exact solutions, in kernels and through PyTensor's graphs."""

import functools
from dataclasses import dataclass

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
import scipy.integrate
from models import Dosing, LynxHare, dosing_exact
from pytensor.gradient import DisconnectedInputError
from test_solver import SCENARIO, at

from workbench.base.clock import Clock
from workbench.simulate.kernel import longest_run, method_of, solve, source
from workbench.simulate.op import SCHEDULE_TYPES, Pull, Solve
from workbench.simulate.scenario import Schedule, build_schedule

TIMES = np.union1d(np.linspace(0.0, 24.0, 9), [2.0, 2.5, 3.0, 3.5, 3.501, 9.0, 12.0])
DOSING = {"ka": 1.2, "ke": 0.3, "V": 20.0, "share": 0.4, "centre_start": 10.0}
LYNX = {"alpha": 0.55, "beta": 0.028, "gamma": 0.8, "delta": 0.024, "hare_start": 34.0, "lynx_start": 5.9}
TINY = 1e-30


@dataclass(frozen=True)
class Problem:
    """A solver operation, and what it is applied to."""

    op: Solve
    theta: np.ndarray
    schedule: Schedule
    rows: np.ndarray
    times: np.ndarray

    @property
    def arrays(self) -> list[np.ndarray]:
        s = self.schedule
        return [s.offset, s.begin, s.level, s.slope, s.jump, self.rows, self.times]

    def perform(self, theta=None) -> tuple[np.ndarray, np.ndarray]:
        storage = [[None], [None]]
        self.op.perform(None, [self.theta if theta is None else theta, *self.arrays], storage)
        return storage[0][0], storage[1][0]


def problem(model, *units, times, inputs=None, tolerance=1e-8, method=None) -> Problem:
    """Return the operation for units given by their parameters, all read at the same times."""
    model, count = at(model, tolerance), len(units)
    theta = np.array([[unit[name] for name in model.theta] for unit in units])
    ends = np.full(count, times[0]), np.full(count, times[-1])
    labels = tuple(range(count)) if count > 1 else None
    clock = Clock.of(times, model.time_unit)
    schedule = build_schedule(model, inputs, units=labels, begin=ends[0], end=ends[1], clock=clock)
    op = Solve(
        source(model, method or method_of(model), sensitivities=True),
        estimated=[list(model.theta).index(name) for name in model.estimated],
        outputs=len(model.outputs),
        tolerances=(model.rtol, model.atol),
        longest_run=longest_run(schedule),
    )
    rows = np.arange(count + 1, dtype=np.int64) * len(times)
    return Problem(op, theta, schedule, rows, np.tile(times, count))


def complex_step(outputs, values, names) -> np.ndarray:
    """Return the derivatives (rows, outputs, names) of analytic outputs, exact but for rounding."""
    columns = [outputs({**values, name: values[name] + 1j * TINY}).imag / TINY for name in names]
    return np.stack(columns, axis=-1)


def dosing(values, times=TIMES, scenario=SCENARIO) -> np.ndarray:
    amounts = dosing_exact(times, values=values, start=[0.0, values["centre_start"]], **scenario)
    return np.stack([amounts[:, 1] / values["V"], amounts.sum(axis=1)], axis=1)


def lynx(values, times) -> np.ndarray:
    alpha, beta, gamma, delta = (values[name] for name in ("alpha", "beta", "gamma", "delta"))

    def rhs(t, y):
        return [(alpha - beta * y[1]) * y[0], (-gamma + delta * y[0]) * y[1]]

    start = np.array([values["hare_start"], values["lynx_start"]], dtype=complex)
    span = (times[0], times[-1])
    return scipy.integrate.solve_ivp(rhs, span, start, method="DOP853", rtol=1e-12, atol=1e-12, t_eval=times).y.T


def far(found, expected) -> float:
    """Return the largest error, relative to the largest value of its column."""
    scale = np.abs(expected).max(axis=0)
    assert (scale > 0).all()
    return float((np.abs(found - expected) / scale).max())


@pytest.mark.parametrize("tolerance", [1e-5, 1e-7, 1e-9])
def test_linear_model_with_impulses_jumps_kinks_and_an_estimated_start(tolerance):
    y, d = problem(Dosing, DOSING, times=TIMES, inputs=SCENARIO, tolerance=tolerance).perform()
    expected = complex_step(dosing, DOSING, Dosing().estimated)
    assert Dosing().estimated == ("ka", "ke", "V", "centre_start")
    assert expected[:, 1, 2].max() == 0.0  # the total does not depend on the volume
    assert far(y, dosing(DOSING)) < tolerance
    assert np.abs(d[:, 1, 2]).max() == 0.0
    assert far(d[:, 0], expected[:, 0]) < 10 * tolerance
    assert far(d[:, 1][:, [0, 1, 3]], expected[:, 1][:, [0, 1, 3]]) < 10 * tolerance


@pytest.fixture(scope="module")
def lynx_reference():
    """Return times, exact outputs and their exact derivatives."""
    times = np.linspace(0.0, 20.0, 21)
    slopes = complex_step(lambda values: lynx(values, times), LYNX, LynxHare().estimated)
    return times, lynx(LYNX, times).real, slopes


@pytest.mark.parametrize("tolerance", [1e-5, 1e-7, 1e-9])
def test_nonlinear_model(tolerance, lynx_reference):
    times, outputs, slopes = lynx_reference
    y, d = problem(LynxHare, LYNX, times=times, tolerance=tolerance).perform()
    assert far(y, outputs) < 10 * tolerance
    assert far(d.reshape(21, -1), slopes.reshape(21, -1)) < 60 * tolerance


def test_outputs_are_those_of_the_kernel_without_sensitivities():
    given = problem(Dosing, DOSING, times=TIMES, inputs=SCENARIO, tolerance=1e-6)
    model = at(Dosing, 1e-6)
    plain = solve(model, given.theta[None], given.schedule, rows=given.rows, times=given.times)
    np.testing.assert_allclose(given.perform()[0], plain.outputs[0], rtol=1e-13)


def two_units() -> Problem:
    return problem(
        Dosing,
        DOSING,
        {**DOSING, "ka": 0.7, "V": 31.0},
        times=TIMES,
        inputs={**SCENARIO, "dose": {0: {0.0: 100.0}, 1: {1.0: 40.0, 5.0: 60.0}}},
    )


def test_units_do_not_touch_each_other():
    both = two_units()
    y, d = both.perform()
    n = len(TIMES)
    for unit, doses in ((0, {0.0: 100.0}), (1, {1.0: 40.0, 5.0: 60.0})):
        values = dict(zip(Dosing().theta, both.theta[unit], strict=True))
        alone = problem(Dosing, values, times=TIMES, inputs={**SCENARIO, "dose": doses}).perform()
        assert np.array_equal(y[unit * n : unit * n + n], alone[0])
        assert np.array_equal(d[unit * n : unit * n + n], alone[1])


def test_a_unit_that_fails_reads_infinity_and_has_no_slope():
    both = two_units()
    y, d = both.perform(np.vstack([both.theta[0], [1e9, *both.theta[1, 1:]]]))
    n = len(TIMES)
    assert np.isfinite(y[:n]).all()
    assert np.isposinf(y[n:]).all()
    assert (d[n:] == 0).all()
    assert (d[:n] != 0).any()
    y, d = both.perform(np.full_like(both.theta, np.nan))
    assert np.isposinf(y).all()


@functools.cache
def graph():
    """Return theta, the schedule and a scalar cost of a graph, with the applied operation."""
    theta = pt.dmatrix("theta")
    schedule = [kind(name) for kind, name in zip(SCHEDULE_TYPES, "obvsjrt", strict=True)]
    y, d = two_units().op(theta, *schedule)
    weights = pt.as_tensor_variable(np.linspace(0.5, 1.5, 2))
    return theta, schedule, (weights * y**2).sum(), y, d


@pytest.fixture(scope="module")
def cost_and_slope():
    """Return compiled functions of cost, gradient and outputs, in Python and in Numba."""
    theta, schedule, cost, y, _ = graph()
    outputs = [cost, pt.grad(cost, theta), y]
    return {
        "python": pytensor.function([theta, *schedule], outputs, mode="FAST_COMPILE"),
        "numba": pytensor.function([theta, *schedule], outputs, mode="NUMBA"),
    }


def test_gradient_of_a_graph_equals_finite_differences(cost_and_slope):
    given, (theta, schedule, cost, _, _) = two_units(), graph()
    only_cost = pytensor.function([theta, *schedule], cost, mode="FAST_COMPILE")
    _, slope, _ = cost_and_slope["python"](given.theta, *given.arrays)
    names = list(Dosing().theta)
    for unit in range(2):
        for column, name in enumerate(names):
            if name == "share":  # a constant: no slope is computed for it
                assert slope[unit, column] == 0.0
                continue
            h = 1e-2 * given.theta[unit, column]
            around = []
            for step in (-2, -1, 1, 2):
                moved = given.theta.copy()
                moved[unit, column] += step * h
                around.append(float(only_cost(moved, *given.arrays)))
            expected = np.dot([1, -8, 8, -1], around) / (12 * h)
            assert slope[unit, column] == pytest.approx(expected, rel=1e-5), (unit, name)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # infinity times no slope, as the unit failed
def test_numba_gives_what_python_gives(cost_and_slope):
    given = two_units()
    for theta in (given.theta, np.asfortranarray(given.theta), np.vstack([given.theta[0], np.full(5, np.nan)])):
        python = cost_and_slope["python"](theta, *given.arrays)
        numba = cost_and_slope["numba"](theta, *given.arrays)
        assert np.array_equal(python[2], numba[2])
        np.testing.assert_allclose(numba[0], python[0], rtol=1e-13)
        np.testing.assert_allclose(numba[1], python[1], rtol=1e-12)


def test_shapes_are_known_without_solving():
    theta, schedule, _, y, d = graph()
    assert y.type.shape == (None, 2)
    assert d.type.shape == (None, 2, 4)
    shapes = pytensor.function([theta, *schedule], [y.shape, d.shape], mode="FAST_RUN", on_unused_input="ignore")
    assert not any(isinstance(node.op, Solve) for node in shapes.maker.fgraph.toposort())
    given, rows = two_units(), 2 * len(TIMES)
    assert [list(shape) for shape in shapes(given.theta, *given.arrays)] == [[rows, 2], [rows, 2, 4]]
    fixed = given.op(pt.as_tensor(given.theta), *map(pt.as_tensor, given.arrays))
    assert [v.type.shape for v in fixed] == [(rows, 2), (rows, 2, 4)]


def test_only_theta_carries_slopes():
    theta, schedule, cost, y, d = graph()
    assert y.owner.op.connection_pattern(y.owner) == [[True, False]] + [[False, False]] * 7
    for symbol in (schedule[1], schedule[-1]):
        with pytest.raises(DisconnectedInputError):
            pt.grad(cost, symbol)
    with pytest.raises(DisconnectedInputError):
        pt.grad(d.sum(), theta)


def test_equal_operations_are_one():
    one, other = two_units().op, two_units().op
    assert one == other
    assert hash(one) == hash(other)
    assert one != problem(Dosing, DOSING, times=TIMES, inputs=SCENARIO, tolerance=1e-5).op
    assert Pull([0, 1]) == Pull((0, 1)) != Pull([1, 0])


def test_cotangents_go_to_the_columns_of_their_parameters():
    rng = np.random.default_rng(1)
    y_bar, d, rows = rng.normal(size=(5, 2)), rng.normal(size=(5, 2, 3)), np.array([0, 3, 5])
    expected = np.zeros((2, 6))
    for unit, part in enumerate((slice(0, 3), slice(3, 5))):
        expected[unit, [4, 0, 2]] = np.einsum("rk,rkc->c", y_bar[part], d[part])
    found = Pull([4, 0, 2])(y_bar, d, rows, 6)
    np.testing.assert_allclose(found.eval(mode="FAST_COMPILE"), expected)
    assert tuple(found.shape.eval(mode="FAST_COMPILE")) == (2, 6)
