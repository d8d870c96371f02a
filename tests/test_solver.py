"""The solver meets its method's order conditions, exact solutions and SciPy's DOP853; failures end in a sentence."""

import functools
import time
import warnings
from itertools import combinations_with_replacement

import numpy as np
import pytest
import scipy.integrate
from models import Dosing, Growth, Kepler, dosing_exact, kepler_exact

import workbench as wb
from workbench.base.clock import Clock
from workbench.base.errors import SolveError
from workbench.simulate.kernel import SOLVED, TOO_LONG, TOO_SMALL, Solutions, method_of, solve
from workbench.simulate.methods.dop853 import DOP853
from workbench.simulate.methods.rodas5p import RODAS5P
from workbench.simulate.methods.tableau import Explicit
from workbench.simulate.methods.tsit5 import TSIT5
from workbench.simulate.scenario import build_schedule

PERIOD = 2 * np.pi
TOLERANCES = 10.0 ** np.arange(-4, -12, -1)
METHODS = (TSIT5, DOP853, RODAS5P)


# -- the method ----------------------------------------------------------------------------------------------------


@functools.cache
def trees(order: int) -> tuple[tuple, ...]:
    """Return the rooted trees of an order, each as the sorted tuple of its branches (Butcher 2016, section 300)."""
    if order == 1:
        return ((),)
    found = set()
    for sizes in partitions(order - 1):
        for branches in branchings(sizes):
            found.add(tuple(sorted(branches)))
    return tuple(sorted(found))


def partitions(total: int, most: int | None = None):
    """Yield the ways to write `total` as a sum of falling numbers."""
    most = total if most is None else most
    if total == 0:
        yield ()
    for first in range(min(total, most), 0, -1):
        for rest in partitions(total - first, first):
            yield (first, *rest)


def branchings(sizes):
    """Yield the choices of one tree for each size."""
    if not sizes:
        yield ()
        return
    count = sizes.count(sizes[0])
    for some in combinations_with_replacement(trees(sizes[0]), count):
        for rest in branchings(sizes[count:]):
            yield (*some, *rest)


def size(tree) -> int:
    return 1 + sum(map(size, tree))


def density(tree) -> int:
    return size(tree) * int(np.prod([density(branch) for branch in tree], dtype=int))


def stages(tree, a) -> np.ndarray:
    return np.prod([a @ stages(branch, a) for branch in tree], axis=0) if tree else np.ones(len(a))


def triangle(rows, size: int) -> np.ndarray:
    """Return the square matrix whose lower triangle has these rows, from the second on."""
    matrix = np.zeros((size, size))
    for row, weights in enumerate(rows, start=1):
        matrix[row, : len(weights)] = weights
    return matrix


def matrix_of(method: Explicit) -> np.ndarray:
    return triangle((*method.a, *method.extra_a), method.stages + len(method.extra_c))


def misfit(weights, order: int, a, share: float = 1.0) -> float:
    """Return the largest violation of the conditions of one order at a share of the step."""
    return max(abs(weights @ stages(tree, a) - share**order / density(tree)) for tree in trees(order))


def test_number_of_rooted_trees():
    assert [len(trees(order)) for order in range(1, 7)] == [1, 1, 2, 4, 9, 20]  # OEIS A000081


@pytest.mark.parametrize(("method", "embedded"), [(TSIT5, 4), (DOP853, 5)])
def test_explicit_methods_have_their_order_and_an_embedded_one(method, embedded):
    a = matrix_of(method)
    np.testing.assert_allclose(a.sum(axis=1), [*method.c, *method.extra_c], atol=1e-14)
    main = a[method.stages - 1]
    lower = main - np.pad(method.errors[0], (0, len(method.extra_c)))
    for order in range(1, method.order + 1):
        assert misfit(main, order, a) < 1e-13
    for order in range(1, embedded + 1):
        assert misfit(lower, order, a) < 1e-12
    assert misfit(lower, embedded + 1, a) > 1e-7
    assert misfit(main, method.order + 1, a) > 1e-7
    assert all(abs(sum(weights)) < 1e-15 for weights in method.errors)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.37, 0.5, 0.81, 1.0])
@pytest.mark.parametrize(("method", "dense"), [(TSIT5, 4), (DOP853, 7)])
def test_dense_output_has_its_order(method, dense, share):
    a = matrix_of(method)
    weights = np.array([np.polyval([*reversed(stage), 0.0], share) for stage in method.dense])
    for order in range(1, dense + 1):
        assert misfit(weights, order, a, share) < 1e-12
    if share in (0.0, 1.0):
        np.testing.assert_allclose(weights, share * a[method.stages - 1], atol=1e-13)
    slopes = np.array([np.polyval(np.polyder([*reversed(stage), 0.0]), share) for stage in method.dense])
    if share in (0.0, 1.0):  # the interpolant is smooth from step to step
        np.testing.assert_allclose(slopes, np.eye(len(a))[0 if share == 0 else method.stages - 1], atol=1e-11)


def linear_stages(tree, alpha, beta) -> np.ndarray:
    """Return the elementary weights of a Rosenbrock method (Hairer & Wanner II, section IV.7, theorem 7.4)."""
    if not tree:
        return np.ones(len(alpha))
    inner = [linear_stages(branch, alpha, beta) for branch in tree]
    return beta @ inner[0] if len(tree) == 1 else np.prod([alpha @ weights for weights in inner], axis=0)


def test_rodas5p_is_of_fifth_order_l_stable_and_dense_of_fourth():
    method, size_ = RODAS5P, RODAS5P.stages
    gamma = np.linalg.inv(np.eye(size_) / method.gamma - triangle(method.carry, size_))
    alpha = triangle(method.a, size_) @ gamma
    np.testing.assert_allclose(alpha.sum(axis=1), method.c, atol=1e-13)
    np.testing.assert_allclose(gamma.sum(axis=1), method.d, atol=1e-13)

    def wrong(weights, order, share=1.0):
        inner = weights @ gamma
        return max(
            abs(inner @ linear_stages(tree, alpha, alpha + gamma) - share**order / density(tree))
            for tree in trees(order)
        )

    weights, error = np.array(method.weights), np.array(method.error)
    assert max(wrong(weights, order) for order in range(1, 6)) < 1e-12
    assert max(wrong(weights - error, order) for order in range(1, 5)) < 1e-12
    assert wrong(weights - error, 5) > 1e-5
    for share in (0.0, 0.2, 0.5, 0.9, 1.0):
        inside = np.array([np.polyval([*reversed(stage), 0.0], share) for stage in method.dense])
        assert max(wrong(inside, order, share) for order in range(1, 5)) < 1e-12
    for z in (-1e3, -1e6):  # the stability function falls to zero
        ones, b = np.ones(size_), weights @ gamma
        assert abs(1 + z * b @ np.linalg.solve(np.eye(size_) - z * (alpha + gamma), ones)) < 13 / abs(z)


# -- exact solutions -----------------------------------------------------------------------------------------------


@functools.cache
def at(model: type, tolerance: float) -> wb.Ode:
    """Return the model with another tolerance."""
    body = type(wb.Ode).__prepare__(model.__name__, (model,))
    body.update(rtol=tolerance, atol=tolerance, __doc__=model.__doc__)
    return type(wb.Ode)(model.__name__, (model,), body)()


def run(model: type, times, *, tolerance: float = 1e-6, inputs=None, method=TSIT5, **values: float) -> Solutions:
    """Solve one member of one unit by one method (None: chosen)."""
    model, times = at(model, tolerance), np.asarray(times, dtype=float)
    theta = np.array([[[values.get(name, q.nominal()) for name, q in model.theta.items()]]])
    ends = times[:1], times[-1:]
    clock = Clock.of(times, model.time_unit)
    schedule = build_schedule(model, inputs, units=None, begin=ends[0], end=ends[1], clock=clock)
    return solve(model, theta, schedule, rows=np.array([0, times.size]), times=times, method=method)


def logistic(times, x0=0.1, r=1.3, capacity=5.0):
    return capacity / (1 + (capacity / x0 - 1) * np.exp(-r * np.asarray(times)))


NOTHING = {"dose": {}, "infusion": 0.0, "release": 0.0}
FREE = {"dose": {}, "infusion": {0.0: 0.0}, "release": {0.0: 0.0, 9.0: 0.0}}
LINEAR = {"ka": 1.2, "ke": 0.3, "share": 0.5}
PROBLEMS = {  # name: (model, end, what it is given, exact solution at times)
    "linear": (
        Dosing,
        4.0,
        {**LINEAR, "centre_start": 40.0, "inputs": {**NOTHING, "dose": {0.0: 100.0}}},
        lambda t: dosing_exact(t, values=LINEAR, start=[0.0, 40.0], **{**FREE, "dose": {0.0: 100.0}}) / 100,
    ),
    "logistic": (Growth, 6.0, {"x0": 0.1, "r": 1.3, "b": -1.3 / 5.0}, lambda t: logistic(t)[:, None]),
    "Kepler": (Kepler, PERIOD, {}, lambda t: kepler_exact(t, 0.3)),
}
MULTIPLE = {"linear": 3.0, "logistic": 3.0, "Kepler": 60.0}  # over one period, errors of Kepler's orbit grow


@functools.cache
def exactly(problem: str, rows: int) -> np.ndarray:
    """Return the exact solution at some times."""
    return PROBLEMS[problem][3](np.linspace(0.0, PROBLEMS[problem][1], rows))


@functools.cache
def errors(problem: str, rows: int, method=TSIT5) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest error over some times, relative to the size of the solution, and the steps, for TOLERANCES."""
    model, end, given, _ = PROBLEMS[problem]
    times = np.linspace(0.0, end, rows)
    found, steps = [], []
    for tolerance in TOLERANCES:
        made = run(model, times, tolerance=tolerance, method=method, **given)
        assert made.log[0, 0, 0] == SOLVED
        assert made.methods == {method.name: 1}
        reference = exactly(problem, rows)
        scale = 100.0 if problem == "linear" else 1.0
        found.append(np.abs(made.states[0] / scale - reference).max() / max(1.0, np.abs(reference).max()))
        steps.append(made.log[0, 0, 2])
    return np.array(found), np.array(steps)


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_errors_fall_with_the_order_of_the_method(problem, method):
    found, steps = errors(problem, 2, method)
    kept = (found > 1e-13) & (TOLERANCES < 1e-5)  # small steps, and not rounding alone
    order = -np.polyfit(np.log(steps[kept]), np.log(found[kept]), 1)[0]
    assert method.order - 1.5 < order < method.order + 1.5


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_errors_keep_to_the_tolerance(problem, method):
    multiple = MULTIPLE[problem] * (1 if method is TSIT5 else 10)  # the steps of the others are longer
    for rows in (2, 100):  # at the end, and inside the steps
        found, _ = errors(problem, rows, method)
        assert (found < multiple * TOLERANCES).all()
        assert (found > 1e-4 * TOLERANCES).all()  # tighter would be wasted work
        slope = np.polyfit(np.log10(TOLERANCES), np.log10(found), 1)[0]
        assert 0.75 < slope < 1.25


def test_more_output_times_change_neither_steps_nor_values():
    few, many = run(Kepler, [0.0, 2.0, PERIOD]), run(Kepler, np.union1d([2.0], np.linspace(0.0, PERIOD, 1000)))
    assert np.array_equal(few.log[0, 0, 2:], many.log[0, 0, 2:])
    assert np.array_equal(few.states[0, -1], many.states[0, -1])
    at_two = np.searchsorted(np.union1d([2.0], np.linspace(0.0, PERIOD, 1000)), 2.0)
    assert np.array_equal(few.states[0, 1], many.states[0, at_two])


def test_agrees_with_dop853():
    times = np.linspace(0.0, 12.0, 50)
    values = {"x0": 0.3, "r": 0.8, "b": -0.9, "s": 2.5, "w": 3.0}
    p = type("p", (), values)
    reference = scipy.integrate.solve_ivp(
        lambda t, y: Growth().rhs(t, type("x", (), {"x": y})(), None, p)["x"],
        (0.0, 12.0), [0.3], method="DOP853", rtol=1e-12, atol=1e-13, t_eval=times,
    )  # fmt: skip
    found = run(Growth, times, tolerance=1e-9, **values).states[0, :, 0]
    np.testing.assert_allclose(found, reference.y[0], atol=3e-9)


def test_the_clock_may_start_anywhere():
    shifted = run(Growth, np.linspace(1e6, 1e6 + 6, 20), x0=0.1, r=1.3, b=-0.26).states
    np.testing.assert_allclose(shifted, run(Growth, np.linspace(0, 6, 20), x0=0.1, r=1.3, b=-0.26).states, rtol=1e-8)
    before = run(Growth, np.linspace(-6, 0, 20), x0=0.1, r=1.3, b=-0.26).states
    np.testing.assert_allclose(before, shifted, rtol=1e-8)


def test_nothing_happens_where_nothing_does():
    made = run(Growth, [0.0, 1.0, 1e9], x0=0.4)
    assert np.array_equal(made.states[0, :, 0], [0.4, 0.4, 0.4])
    assert made.log[0, 0, 2] < 40
    assert np.array_equal(run(Growth, [3.0], x0=0.4, r=5.0).states[0, :, 0], [0.4])


# -- inputs --------------------------------------------------------------------------------------------------------

SCENARIO = {
    "dose": {0.0: 100.0, 3.0: 50.0, 3.5: 20.0, 12.0: 80.0},
    "infusion": {0.0: 2.0, 3.5: 15.0, 3.501: 0.0, 9.0: 4.0},  # a pulse shorter than any step
    "release": {0.0: 0.0, 2.0: 6.0, 2.5: 1.0, 14.0: 3.0, 30.0: 0.0},
}
CHANGES = sorted({t for rows in SCENARIO.values() for t in rows if t <= 24.0})


@pytest.mark.parametrize("tolerance", [1e-5, 1e-8])
def test_inputs_are_exact_at_impulses_jumps_and_kinks(tolerance):
    times = np.union1d(np.linspace(0.0, 24.0, 97), CHANGES)
    made = run(Dosing, times, tolerance=tolerance, inputs=SCENARIO, centre_start=10.0, V=20.0, **LINEAR)
    exact = dosing_exact(times, values=LINEAR, start=[0.0, 10.0], **SCENARIO)
    np.testing.assert_allclose(made.states[0], exact, rtol=8 * tolerance, atol=8 * tolerance)
    expected = np.stack([exact[:, 1] / 20.0, exact.sum(axis=1)], axis=1)
    np.testing.assert_allclose(made.outputs[0], expected, rtol=8 * tolerance, atol=16 * tolerance)


def test_a_reading_at_an_impulse_is_the_one_after_it():
    times = [-1e-9, 0.0, 3.0 - 1e-9, 3.0, 24.0]
    start = {"dose": {0.0: 100.0, 3.0: 50.0}, "infusion": 0.0, "release": 0.0}
    depot = run(Dosing, times, inputs=start, **LINEAR).states[0, :, 0]
    assert depot[0] == 0.0
    assert depot[1] == 100.0
    assert depot[3] - depot[2] == pytest.approx(50.0, abs=1e-6)
    assert run(Dosing, [0.0], inputs=start, **LINEAR).states[0, 0, 0] == 100.0


def test_doses_before_the_first_time_count():
    inputs = {**SCENARIO, "infusion": {-5.0: 2.0}, "release": {-5.0: 0.0, 24.0: 0.0}, "dose": {-5.0: 30.0, -1.0: 40.0}}
    times = np.linspace(0.0, 24.0, 7)
    made = run(Dosing, times, tolerance=1e-8, inputs=inputs, centre_start=10.0, **LINEAR)
    exact = dosing_exact([-5.0, *times], values=LINEAR, start=[0.0, 10.0], **inputs)[1:]
    np.testing.assert_allclose(made.states[0], exact, rtol=1e-7, atol=1e-7)


def test_doses_add_up():
    times = np.linspace(0.0, 24.0, 25)

    def response(doses):
        return run(Dosing, times, tolerance=1e-9, inputs={**NOTHING, "dose": doses}, centre_start=0.0, **LINEAR).states

    apart = response({0.0: 100.0}) + response({6.0: 30.0}) + response({20.0: 7.0})
    np.testing.assert_allclose(response({0.0: 100.0, 6.0: 30.0, 20.0: 7.0}), apart, rtol=1e-7, atol=1e-7)


# -- failures ------------------------------------------------------------------------------------------------------


def test_blow_up_is_a_sentence():
    made = run(Growth, [0.0, 5.0, 20.0], x0=0.1, b=1.0)  # x = 1 / (10 - t)
    assert made.log[0, 0, 0] == TOO_SMALL
    assert made.log[0, 0, 1] == pytest.approx(10.0, rel=1e-5)
    assert np.isnan(made.states).all()
    with pytest.raises(SolveError) as error:
        wb.simulate(Growth, [0.0, 5.0, 20.0], parameters={"x0": 0.1, "b": 1.0})
    said = str(error.value)
    assert said.startswith(
        "Growth: the solver stopped at t = 10 s after it needed steps too small to take: a state grows"
    )
    assert "check the equations and the parameters, " in said
    assert said.endswith("(x0=0.1, r=0, b=1, s=0, w=1)")


def tracking(t, s):
    """Return the solution of x' = -s (x - cos t), x(0) = 0."""
    return (s * s * np.cos(t) + s * np.sin(t) - s * s * np.exp(-s * t)) / (s * s + 1)


def test_a_stiff_problem_is_given_to_the_stiff_method():
    mild, stiff = wb.simulate(Growth, [0.0, 1.0], parameters={"x0": 0.0, "s": 10.0}), {"x0": 0.0, "s": 1e6}
    assert mild.attrs["solver"] == "Tsit5"
    assert float(mild.x[1]) == pytest.approx(tracking(1.0, 10.0), abs=1e-5)
    times = np.array([0.0, 1e-7, 1e-6, 1.0, 20.0, 1000.0])
    made = wb.simulate(Growth, times, parameters=stiff)
    assert made.attrs["solver"] == "Rodas5P"
    np.testing.assert_allclose(made.x, tracking(times, 1e6), atol=1e-5)
    both = wb.simulate(Growth, times, parameters={"x0": 0.0, "s": np.array([0.1, 1e6, 1e5])})
    assert both.attrs["solver"] == "Tsit5 (1 member), Rodas5P (2 members)"
    np.testing.assert_allclose(both.x, np.stack([tracking(times, s) for s in (0.1, 1e6, 1e5)]), atol=1e-5)


def test_too_many_steps_end_in_a_sentence():
    began = time.perf_counter()
    assert run(Growth, [0.0, 1e3], x0=0.0, s=1e7).log[0, 0, 0] == TOO_LONG
    with pytest.raises(SolveError) as error:
        wb.simulate(Growth, [0.0, 1e6], parameters={"x0": 0.0, "s": 1.0})
    assert time.perf_counter() - began < 20.0
    assert "after it took 50050 steps; try a shorter span, wider tolerances (rtol, atol)" in str(error.value)


def test_the_tolerance_chooses_the_explicit_method():
    assert method_of(at(Growth, 1e-6)) is TSIT5
    assert method_of(at(Growth, 1e-9)) is DOP853


@pytest.mark.parametrize("value", [1e308, 1e200])
def test_numbers_too_large_are_a_failure_too(value):
    assert run(Growth, [0.0, 1.0], x0=value, b=1.0).log[0, 0, 0] == TOO_SMALL


def test_members_that_fail_are_counted_and_the_others_are_right():
    b = np.array([-0.26, 1.0, -0.26, 2.0])
    with pytest.warns(UserWarning, match=r"2 of 4 members failed and are NaN; the first: Growth: .* b=1, ") as seen:
        made = wb.simulate(Growth, np.linspace(0, 12, 5), parameters={"x0": 0.1, "r": 1.3 * (b < 0), "b": b})
    assert len(seen) == 1
    assert made.attrs["failed_members"] == 2
    assert np.isnan(made.x[[1, 3]]).all()
    np.testing.assert_allclose(made.x[0], logistic(np.linspace(0, 12, 5)), rtol=1e-5)
    assert np.array_equal(made.x[0], made.x[2])
    with pytest.raises(SolveError, match="Growth: the solver stopped"):
        wb.simulate(Growth, np.linspace(0, 12, 5), parameters={"x0": 0.1, "b": np.array([1.0, 2.0])})


def test_no_warning_where_nothing_failed():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "failed_members" not in wb.simulate(Growth, [0.0, 1.0]).attrs
