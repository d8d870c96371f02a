"""Events are found, reset states, end lives, and carry sensitivities across: closed forms and finite differences."""

import numpy as np
import pytest
import xarray as xr
from test_sensitivities import problem

import workbench as wb
from workbench.base.errors import DeclarationError, SolveError
from workbench.calibrate.sampling.density import compile_density
from workbench.simulate.methods.dop853 import DOP853
from workbench.simulate.methods.rodas5p import RODAS5P
from workbench.simulate.methods.tsit5 import TSIT5

METHODS = pytest.mark.parametrize("method", [TSIT5, DOP853, RODAS5P], ids=lambda method: method.name)


class Ball(wb.Ode):
    """A ball that bounces."""

    time_unit = "s"
    h = wb.State("m", start="height")
    v = wb.State("m/s", start=0.0)
    height = wb.Parameter("m", prior=wb.prior.LogNormal(median=10.0, sigma=0.1))
    g = wb.Parameter("m/s**2", prior=wb.prior.LogNormal(median=9.81, sigma=0.1))
    e = wb.Parameter("1", prior=wb.prior.LogNormal(median=0.8, sigma=0.1))
    bounce = wb.Event("m", direction="falling", long_name="bounces")
    seen = wb.Output("m", noise=wb.noise.Normal(sigma=0.1))

    def rhs(self, t, x, u, p):
        return {"h": x.v, "v": -p.g}

    def observe(self, t, x, u, p):
        return {"seen": x.h}

    def events(self, t, x, u, p):
        return {"bounce": x.h}

    def reset(self, t, x, u, p):
        return {"bounce": {"v": -p.e * x.v}}


VALUES = {"height": 10.0, "g": 9.81, "e": 0.8}


def bounces(count, height=10.0, g=9.81, e=0.8):
    first = np.sqrt(2 * height / g)
    return first + np.concatenate([[0], np.cumsum(2 * first * e ** np.arange(1, count))])


def ball(times, height=10.0, g=9.81, e=0.8):
    """Return the ball's height, also for complex numbers."""
    hits = bounces(30, height, g, e)
    made = []
    for t in times:
        k = int(np.searchsorted(hits.real, t))
        if k == 0:
            made.append(height - g * t**2 / 2)
            continue
        dt, speed = t - hits[k - 1], g * hits[0] * e**k
        made.append(speed * dt - g * dt**2 / 2)
    return np.array(made)


TIMES = np.linspace(0.0, 9.0, 37)


def test_a_ball_bounces_as_it_must():
    made = wb.simulate(Ball, TIMES)
    np.testing.assert_allclose(made.h, ball(TIMES), atol=2e-6)
    found = made.bounce_time.values
    np.testing.assert_allclose(found, bounces(found.size), rtol=1e-7)
    assert made.bounce_time.dims == ("bounce",)
    assert made.bounce_time.attrs == {"long_name": "times of bounces", "units": "s"}
    many = wb.simulate(Ball, [0.0, 1.86], parameters={"e": np.array([0.3, 0.8])}, start={"h": 5.0})
    assert many.bounce_time.dims == ("member", "bounce")
    np.testing.assert_allclose(many.bounce_time[0], bounces(4, 5.0, e=0.3), rtol=1e-7)
    np.testing.assert_allclose(many.bounce_time[1], [bounces(1, 5.0)[0], *[np.nan] * 3], rtol=1e-7)


@METHODS
def test_sensitivities_cross_events_exactly(method):
    times = TIMES[np.abs(TIMES[:, None] - bounces(9)).min(axis=1) > 0.02]
    y, d = problem(Ball, VALUES, times=times, tolerance=1e-9, method=method).perform()
    np.testing.assert_allclose(y[:, 0], ball(times), atol=1e-7)
    for column, name in enumerate(Ball().estimated):
        exact = ball(times, **{**VALUES, name: VALUES[name] + 1e-30j}).imag / 1e-30
        np.testing.assert_allclose(d[:, 0, column], exact, atol=1e-6 * np.abs(exact).max(), err_msg=name)


class Thermostat(wb.Ode):
    """A room with a heater that a thermostat switches: the mode is a state that moves in resets alone."""

    time_unit = "h"
    T = wb.State("degC", start=15.0)
    on = wb.State("1", start=1.0)
    loss = wb.Parameter("1/h", prior=wb.prior.LogNormal(median=0.3, sigma=0.2))
    gain = wb.Parameter("K/h", prior=wb.prior.LogNormal(median=8.0, sigma=0.2))
    low = wb.Parameter("degC", prior=wb.prior.Normal(mu=19.0, sigma=0.5))
    high = wb.Parameter("degC", prior=wb.prior.Normal(mu=21.0, sigma=0.5))
    To = wb.Input("degC")
    cold = wb.Event("degC", direction="falling")
    warm = wb.Event("degC", direction="rising")
    T_meas = wb.Output("degC", noise=wb.noise.Normal(sigma=0.1))

    def rhs(self, t, x, u, p):
        return {"T": p.loss * (u.To - x.T) + p.gain * x.on, "on": 0.0}

    def observe(self, t, x, u, p):
        return {"T_meas": x.T}

    def events(self, t, x, u, p):
        return {"cold": x.T - p.low, "warm": x.T - p.high}

    def reset(self, t, x, u, p):
        return {"cold": {"on": 1.0}, "warm": {"on": 0.0}}


WEATHER = {"To": {0.0: 5.0, 6.0: 12.0, 12.0: 2.0}}


def test_a_mode_is_switched_and_its_sensitivities_are_those_of_finite_differences():
    values = {"loss": 0.3, "gain": 8.0, "low": 19.0, "high": 21.0}
    made = wb.simulate(Thermostat, np.linspace(0, 12, 200), parameters=values, inputs=WEATHER)
    assert 18.999 < float(made.T[60:].min()) < float(made.T.max()) < 21.001
    assert set(np.unique(made.on)) == {0.0, 1.0}
    assert made.sizes["warm"] >= 3
    times = np.array([3.0, 5.0, 8.0, 11.9])
    times = np.concatenate([[0.0], times])
    case = problem(Thermostat, values, times=times, inputs=WEATHER, tolerance=1e-10, method=DOP853)
    y, d = case.perform()
    names = list(Thermostat().theta)
    for column, name in enumerate(Thermostat().estimated):
        h = 1e-4 * values[name]
        lines = [case.perform(case.theta + k * h * np.eye(4)[names.index(name)])[0] for k in (-2, -1, 1, 2)]
        slope = (lines[0] - 8 * lines[1] + 8 * lines[2] - lines[3]) / (12 * h)
        np.testing.assert_allclose(d[:, :, column], slope, atol=2e-5 * np.abs(slope).max(), err_msg=name)
    assert y.shape == (5, 1)


class Depot(wb.Ode):
    """A drug whose amount sets off a rescue dose when it falls below a threshold, beside planned doses."""

    time_unit = "h"
    amount = wb.State("mg", start=0.0)
    given = wb.State("1", start=0.0)
    k = wb.Parameter("1/h", prior=wb.prior.LogNormal(median=0.2, sigma=0.3))
    threshold = wb.Parameter("mg", prior=wb.prior.LogNormal(median=20.0, sigma=0.3))
    rescue = wb.Parameter("mg", prior=wb.prior.LogNormal(median=50.0, sigma=0.3))
    dose = wb.Input("mg", kind="impulse", into="amount")
    low = wb.Event("mg", direction="falling")
    level = wb.Output("mg", noise=wb.noise.Normal(sigma=1.0))

    def rhs(self, t, x, u, p):
        return {"amount": -p.k * x.amount, "given": 0.0}

    def observe(self, t, x, u, p):
        return {"level": x.amount}

    def events(self, t, x, u, p):
        return {"low": x.amount - p.threshold}

    def reset(self, t, x, u, p):
        return {"low": {"amount": x.amount + p.rescue, "given": x.given + 1}}


def depot(times, doses, k=0.2, threshold=20.0, rescue=50.0):
    """Return the amounts, event by event in closed form, for numbers that may be complex."""
    t, x, made = 0.0, 0.0 * k, {}
    stops = sorted({*times, *doses})
    for stop in stops:
        while x.real > threshold.real and x.real * np.exp(-k.real * (stop - t.real)) < threshold.real:
            t, x = t + np.log(x / threshold) / k, threshold + rescue
        t, x = stop, x * np.exp(-k * (stop - t))
        x = x + doses.get(stop, 0.0)
        made[stop] = x
    return np.array([made[t] for t in times])


@METHODS
def test_a_dose_at_a_threshold_beside_planned_ones(method):
    values, doses = {"k": 0.2, "threshold": 20.0, "rescue": 50.0}, {0.0: 100.0, 15.0: 30.0, 16.0: 30.0}
    times = np.array([0.0, 5.0, 9.0, 14.0, 16.5, 26.0, 40.0])
    plain = {name: np.complex128(value) for name, value in values.items()}
    y, d = problem(Depot, values, times=times, inputs={"dose": doses}, tolerance=1e-10, method=method).perform()
    np.testing.assert_allclose(y[:, 0], depot(times, doses, **plain).real, rtol=1e-7)
    for column, name in enumerate(Depot().estimated):
        exact = depot(times, doses, **{**plain, name: values[name] + 1e-30j}).imag / 1e-30
        np.testing.assert_allclose(d[:, 0, column], exact, atol=2e-6 * np.abs(exact).max(), err_msg=name)


def test_a_jump_that_crosses_a_threshold_is_an_event():
    class Alarm(Depot):
        low = wb.Event("mg", direction="rising")

        def reset(self, t, x, u, p):
            return {"low": {"given": x.given + p.rescue / p.rescue}}

    made = wb.simulate(Alarm, [0.0, 2.0, 3.0], inputs={"dose": {1.0: 100.0}})
    np.testing.assert_array_equal(made.given, [0.0, 1.0, 1.0])
    np.testing.assert_array_equal(made.low_time, [1.0])


class Wear(wb.Ode):
    """Wear that grows by itself until the part fails."""

    time_unit = "day"
    wear = wb.State("mm", start=1.0)
    rate = wb.Parameter("1/day", prior=wb.prior.LogNormal(median=0.1, sigma=0.1))
    limit = wb.Parameter("mm", value=5.0)
    failure = wb.Event("mm", direction="rising", ends=True)
    gap = wb.Output("mm", noise=wb.noise.Normal(sigma=0.1))

    def rhs(self, t, x, u, p):
        return {"wear": p.rate * x.wear}

    def observe(self, t, x, u, p):
        return {"gap": x.wear}

    def events(self, t, x, u, p):
        return {"failure": x.wear - p.limit}


def test_an_event_may_end_the_asset():
    rates = np.array([0.05, 0.1, 0.2])
    made = wb.simulate(Wear, np.arange(0.0, 21.0), parameters={"rate": rates})
    np.testing.assert_allclose(made.failure_time[1:, 0], np.log(5) / rates[1:], rtol=1e-6)
    assert np.isnan(made.failure_time[0, 0])
    np.testing.assert_array_equal(made.wear.notnull().sum("time"), [21, 17, 9])
    assert "failed_members" not in made.attrs
    y, d = problem(Wear, {"rate": 0.2, "limit": 5.0}, times=np.arange(0.0, 11.0)).perform()
    assert np.isinf(y[9:]).all()  # a reading after the end has no density
    np.testing.assert_array_equal(d[9:], 0.0)
    np.testing.assert_allclose(d[:9, 0, 0], np.arange(9) * np.exp(0.2 * np.arange(9)), rtol=1e-6)


def test_times_of_events_are_datetimes_where_time_is():
    made = wb.simulate(Wear, np.array(["2026-01-01", "2026-02-01"], "datetime64[ns]"))
    expected = np.datetime64("2026-01-01") + np.timedelta64(round(np.log(5) / 0.1 * 86400), "s")
    assert abs(made.failure_time.values[0] - expected) < np.timedelta64(5, "s")


def test_events_without_end_end_in_a_sentence():
    with pytest.raises(
        SolveError, match=r"Ball: the solver stopped at t = 12\.85.* s after it met \d+ events, the last"
    ):
        wb.simulate(Ball, [0.0, 20.0])

    class Relay(wb.Ode):
        time_unit = "s"
        x = wb.State("1", start=1.0)
        k = wb.Parameter("1/s", value=1.0)
        low = wb.Event("1", direction="falling")
        high = wb.Event("1", direction="rising")

        def rhs(self, t, x, u, p):
            return {"x": -p.k}

        def events(self, t, x, u, p):
            return {"low": x.x, "high": x.x - 0.5}

        def reset(self, t, x, u, p):
            return {"low": {"x": 1.0}, "high": {"x": -1.0}}

    with pytest.raises(SolveError, match=r"give thresholds that reset and release some distance \(hysteresis\)"):
        wb.simulate(Relay, [0.0, 2.0])


def test_two_events_at_one_time_both_happen():
    class Two(wb.Ode):
        time_unit = "s"
        x = wb.State("1", start=-1.0)
        a = wb.State("1", start=0.0)
        b = wb.State("1", start=0.0)
        k = wb.Parameter("1/s", value=0.5)
        one = wb.Event("1")
        other = wb.Event("1")

        def rhs(self, t, x, u, p):
            return {"x": p.k, "a": 0.0, "b": 0.0}

        def events(self, t, x, u, p):
            return {"one": x.x, "other": 2 * x.x}

        def reset(self, t, x, u, p):
            return {"one": {"a": x.a + 1}, "other": {"b": x.b + x.a}}

    made = wb.simulate(Two, [0.0, 5.0])
    assert (float(made.a[-1]), float(made.b[-1])) in {(1.0, 1.0), (1.0, 0.0)}
    np.testing.assert_allclose([made.one_time[0], made.other_time[0]], 2.0, rtol=1e-9)


def test_mistakes_in_events_are_refused_at_birth():
    def model(event, events=lambda self, t, x, u, p: {"full": x.level}, reset=lambda self, t, x, u, p: {}):
        def rhs(self, t, x, u, p):
            return {"level": p.k * x.level}

        body = {
            "time_unit": "s", "level": wb.State("m", start=1.0), "k": wb.Parameter("1/s", value=0.5), "full": event,
            "rhs": rhs, "events": events, "reset": reset,
        }  # fmt: skip
        return type(wb.Ode)("Tank", (wb.Ode,), body)

    model(wb.Event("m"))
    for mistake, said in (
        (lambda: model(wb.Event("m", direction="up")), r"unknown direction 'up'; expected one of 'rising', 'falling'"),
        (lambda: model(wb.Event("m", ends=1)), r"got ends=1; expected True or False"),
        (lambda: model(wb.Event("s")), r"Tank.events: got 'full' = x.level with units m and s"),
        (lambda: model(wb.Event("m"), lambda self, t, x, u, p: {}), r"got no event 'full'; expected one for each"),
        (lambda: model(wb.Event("m"), lambda self, t, x, u, p: {"ful": x.level}), r"unknown event 'ful'.*mean 'full'"),
        (
            lambda: model(wb.Event("m"), reset=lambda self, t, x, u, p: {"empty": {"level": 0.0}}),
            r"Tank.reset: got unknown event 'empty'",
        ),
        (
            lambda: model(wb.Event("m"), reset=lambda self, t, x, u, p: {"full": {"lvl": 0.0}}),
            r"Tank.reset: got unknown state 'lvl'.*did you mean 'level'",
        ),
        (
            lambda: model(wb.Event("m"), reset=lambda self, t, x, u, p: {"full": {"level": p.k}}),
            r"Tank.reset: got 'level' = p.k with units 1/s and m",
        ),
        (
            lambda: model(wb.Event("m", ends=True), reset=lambda self, t, x, u, p: {"full": {"level": 0.0}}),
            r"got a reset for 'full', which ends the asset's life; expected none",
        ),
    ):
        with pytest.raises(DeclarationError, match=said):
            mistake()


def test_a_posterior_across_events_has_the_gradient_of_its_density():
    values, doses = {"k": 0.2, "threshold": 20.0, "rescue": 50.0}, {0.0: 100.0, 15.0: 30.0}
    times = np.array([1.0, 5.0, 9.0, 14.0, 16.5, 26.0, 40.0])
    plain = {name: np.complex128(value) for name, value in values.items()}
    readings = depot(times, doses, **plain).real * (1 + 0.02 * np.sin(np.arange(7)))
    data = xr.Dataset({"level": ("time", readings)}, {"time": times})
    density = compile_density(wb.to_pymc(Depot, data, inputs={"dose": doses}))
    point = np.log([0.2, 20.0, 50.0]) + np.array([0.03, -0.02, 0.01])
    total, slope = density.evaluate(point)
    assert np.isfinite(total)
    for k in range(3):
        lines = [density.evaluate(point + step * 1e-3 * np.eye(3)[k])[0] for step in (-2, -1, 1, 2)]
        assert slope[k] == pytest.approx((lines[0] - 8 * lines[1] + 8 * lines[2] - lines[3]) / 0.012, rel=2e-4)
