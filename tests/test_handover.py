"""A calibration's draws seed a filter, which says when its sensors call for another calibration, and why."""

import itertools

import numpy as np
import pytest
import xarray as xr

import workbench as wb
from workbench.base.errors import DataError
from workbench.calibrate.problem import pose


class Oven(wb.Ode):
    """A chamber that is heated on and off, and loses heat to a room of 20 degrees."""

    time_unit = "h"
    excess = wb.State("K", start=wb.prior.Normal(mu=10.0, sigma=5.0))
    tau = wb.Parameter("h", prior=wb.prior.LogNormal(median=5.0, sigma=0.3))
    heat = wb.Input("K/h", kind="previous")
    wall = wb.Output("K", noise=wb.noise.Normal(sigma=0.5))
    door = wb.Output("K", noise=wb.noise.Normal(sigma=0.5))

    def rhs(self, t, x, u, p):
        return {"excess": u.heat - x.excess / p.tau}

    def observe(self, t, x, u, p):
        return {"wall": x.excess, "door": 0.5 * x.excess}


HEAT = {float(t): 4.0 if t % 10 else 0.0 for t in range(0, 200, 5)}
BEFORE, AFTER = np.arange(0.0, 20.0, 0.5), np.arange(20.0, 120.0, 0.5)
DRAWS = 300


def truth(times, tau=5.0, change=(np.inf, 5.0)):
    """The closed form, piece by piece; tau becomes `change[1]` at the time `change[0]`."""
    edges = np.union1d(np.arange(0.0, 125.0, 5.0), [0.0, *(c for c in change[:1] if np.isfinite(c))])
    out, x = np.empty(times.size), 12.0
    for a, b in itertools.pairwise(edges):
        now = change[1] if a >= change[0] else tau
        level = HEAT[float(a // 5 * 5)] * now
        here = (times >= a) & (times < b)
        out[here] = level + (x - level) * np.exp(-(times[here] - a) / now)
        x = level + (x - level) * np.exp(-(b - a) / now)
    return out


def readings(times, seed, *, change=(np.inf, 5.0)):
    rng = np.random.default_rng(seed)
    x = truth(times, change=change)
    wall, door = x + 0.5 * rng.standard_normal(times.size), 0.5 * x + 0.5 * rng.standard_normal(times.size)
    return xr.Dataset({"wall": ("time", wall), "door": ("time", door)}, {"time": times})


@pytest.fixture(scope="module")
def calibration():
    """A calibration to readings up to 20 h whose draws are given, correlated, so that all that follows is known."""
    rng = np.random.default_rng(1)
    tau = 5.0 + 0.05 * rng.standard_normal((1, DRAWS))
    start = 12.0 - 2 * (tau - 5.0) + 0.1 * rng.standard_normal((1, DRAWS))
    posterior = xr.Dataset({"tau": (("chain", "draw"), tau), "excess_start": (("chain", "draw"), start)})
    problem = pose(Oven, readings(BEFORE, 0), inputs={"heat": HEAT})
    return wb.Calibration(xr.DataTree.from_dict({"posterior": posterior}), None, problem)


def follow(calibration, data, **given):
    given = {"filter": wb.EnKF(members=DRAWS), "seed": 1} | given
    return wb.assimilate(Oven, data, inputs={"heat": HEAT}, parameters=calibration, **given)


def test_draws_seed_the_members_and_are_carried_to_the_first_reading(calibration):
    made = follow(calibration, readings(AFTER, 1))
    tau, start = (calibration.posterior[n].values[0] for n in ("tau", "excess_start"))
    x = start
    for a in range(0, 20, 5):  # each draw by the closed form, from where the calibration's clock started
        level = HEAT[float(a)] * tau
        x = level + (x - level) * np.exp(-5.0 / tau)
    first = made.isel(time=0)
    assert float(first.excess_forecast) == pytest.approx(x.mean(), rel=1e-5)
    assert float(first.excess_forecast_sd) == pytest.approx(x.std(ddof=1), rel=1e-4)
    assert float(first.tau_forecast) == pytest.approx(tau.mean(), rel=1e-9)
    assert float(first.tau_forecast_sd) == pytest.approx(tau.std(ddof=1), rel=1e-6)
    gaussian = follow(calibration, readings(AFTER, 1), filter=wb.ExtendedKalman())
    assert float(gaussian.excess_forecast[0]) == pytest.approx(x.mean(), rel=1e-3)
    assert float(gaussian.excess_forecast_sd[0]) == pytest.approx(x.std(), rel=0.02)


def test_the_same_span_needs_no_carrying(calibration):
    made = follow(calibration, readings(BEFORE, 2))
    start = calibration.posterior["excess_start"].values[0]
    assert float(made.excess_forecast[0]) == pytest.approx(start.mean(), rel=1e-9)


def test_a_right_model_needs_no_calibration(calibration):
    made = follow(calibration, readings(AFTER, 3))
    assert made.attrs["recalibration"] == ""
    assert not made.recalibration.any()
    assert made.recalibration.attrs["flag_meanings"] == "shift spread"
    assert made.recalibration.dims == ("time",)


def test_a_biased_sensor_is_named_with_its_time(calibration):
    data = readings(AFTER, 3)
    data["door"][100:] += 1.0  # from 70 h on
    made = follow(calibration, data)
    said = made.attrs["recalibration"]
    assert said.startswith("a new calibration is due: 'door' reads ")
    assert "SDs above its forecast since " in said
    assert "which a right model passes once in 8e+04 readings" in said  # 200 readings, 2 outputs, 2 detectors, 0.01
    since = float(said.split("since ")[1].split(" h")[0])
    assert 68.0 <= since <= 73.0
    assert not made.recalibration[:100].any()
    assert (made.recalibration[-60:] & 1).all()


def test_a_changed_plant_is_told_by_what_it_does(calibration):
    with pytest.warns(UserWarning, match="does not follow"):
        made = follow(calibration, readings(AFTER, 4, change=(60.0, 8.0)))
    assert "'wall' reads" in made.attrs["recalibration"]
    first = int(np.flatnonzero(made.recalibration.values)[0])
    assert 60.0 <= AFTER[first] <= 70.0


def test_a_sensor_that_scatters(calibration):
    data, rng = readings(AFTER, 3), np.random.default_rng(5)
    data["wall"][80:] += 0.75 * rng.standard_normal(AFTER.size - 80)
    said = follow(calibration, data).attrs["recalibration"]
    assert "'wall' scatters 1." in said or "'wall' scatters 2" in said
    assert "'door'" not in said


def test_a_drift_is_told_from_a_shift(calibration):
    data = readings(AFTER, 3)
    data["door"] += np.maximum(AFTER - 60.0, 0.0) * 0.02  # 0.04 SDs per h
    assert "drifting by 0.0" in follow(calibration, data).attrs["recalibration"]


@pytest.mark.slow
def test_right_models_seldom_call():
    """At most 0.01 of runs; of 400 runs with one model 4 are expected, 12 would be a chance of 0.001."""
    called = 0
    for seed in range(400):
        data = readings(AFTER, seed)
        given = {"inputs": {"heat": {t: h for t, h in HEAT.items() if t >= 20.0}}, "parameters": {"tau": 5.0}}
        made = wb.assimilate(Oven, data, filter=wb.Kalman(), **given)
        called += bool(made.recalibration.any())
    assert called <= 12


def test_units_and_clocks_that_do_not_fit_are_refused(calibration):
    dates = readings(AFTER, 1)
    dates = dates.assign_coords(time=np.datetime64("2026-01-01", "ns") + (60 * AFTER) * np.timedelta64(1, "m"))
    with pytest.raises(DataError, match="times of the calibration"):
        follow(calibration, dates)
    with pytest.raises(DataError, match="nothing is extrapolated"):
        wb.assimilate(Oven, readings(AFTER, 1), inputs={"heat": {20.0: 1.0}}, parameters=calibration)


def test_a_calibration_of_its_own_is_handed_over():
    """From readings to a posterior, to a filter that goes on from it, to what is wrong with a sensor."""
    real = wb.calibrate(Oven, readings(BEFORE, 0), inputs={"heat": HEAT}, draws=300, chains=2, seed=1)
    data = readings(AFTER, 3)
    made = follow(real, data)
    assert made.attrs["recalibration"] == ""
    assert float(made.tau_sd[-1]) < 0.5 * float(real.posterior["tau"].std())
    assert abs(float(made.tau[-1]) - 5.0) < 4 * float(made.tau_sd[-1])
    data["door"][100:] += 1.0
    found = wb.explain(Oven, data, inputs={"heat": HEAT}, parameters=real)
    assert found.attrs["verdict"].startswith("door biased since 7")
    assert float(found["probability"].sel(explanation="door biased")) > 0.95
