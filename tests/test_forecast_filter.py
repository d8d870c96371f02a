"""Forecasts from a filter's last state against exact moments of linear models; inputs, particles, units, bad input."""

import json

import numpy as np
import pytest
import scipy.linalg
import xarray as xr
from filter_models import Nile, Spring

import workbench as wb
from workbench.base.errors import DataError
from workbench.sync.assimilate import final_state

TIMES = np.arange(0.0, 3.0, 0.1)
AHEAD = np.array([2.9, 3.0, 3.7, 5.0])
COUNT = 4000
F, Q = np.array([[0.0, 1.0], [-4.0, -0.5]]), np.diag([0.0, 0.16])


def readings(seed=1):
    rng = np.random.default_rng(seed)
    place = np.cos(2 * TIMES) + 0.1 * rng.standard_normal(TIMES.size)
    return xr.Dataset({"place": ("time", place)}, {"time": TIMES})


@pytest.fixture(scope="module")
def followed():
    return wb.assimilate(Spring, readings(), inputs={"force": 0.0, "blow": {0.5: 0.7}}, filter=wb.Kalman())


def exact(state, t, force=0.0, blows=()):
    """Mean and covariance of the states ahead: matrix exponentials, and the noise's integral by quadrature."""
    gap = t - state.time
    nodes, weights = np.polynomial.legendre.leggauss(40)
    s, w = 0.5 * gap * (nodes + 1), 0.5 * gap * weights
    E = [scipy.linalg.expm(F * (gap - x)) for x in s]
    phi = scipy.linalg.expm(F * gap)
    mean = phi @ state.arrays["mean"] + sum(a * e @ [0.0, force] for a, e in zip(w, E, strict=True))
    for at, size in blows:
        mean = mean + scipy.linalg.expm(F * (t - at)) @ [0.0, size] * (at <= t)
    P = phi @ state.arrays["covariance"] @ phi.T + sum(a * e @ Q @ e.T for a, e in zip(w, E, strict=True))
    return mean, P


def check(made, state, force=0.0, blows=()):
    for k, t in enumerate(AHEAD):
        mean, P = exact(state, t, force, blows)
        for i, name in enumerate(("x", "v")):
            values, sd = made[name].values[:, k], np.sqrt(P[i, i])
            assert abs(values.mean() - mean[i]) < 4.5 * sd / np.sqrt(COUNT)
            assert values.std() == pytest.approx(sd, rel=4.5 / np.sqrt(2 * COUNT))
        got = np.corrcoef(made["x"].values[:, k], made["v"].values[:, k])[0, 1]
        assert got == pytest.approx(P[0, 1] / np.sqrt(P[0, 0] * P[1, 1]), abs=4.5 / np.sqrt(COUNT))
        read = made["place"].values[:, k]
        assert read.std() == pytest.approx(np.sqrt(P[0, 0] + 0.01), rel=4.5 / np.sqrt(2 * COUNT))


def test_moments_are_those_of_the_linear_model(followed):
    given = {"model": Spring, "members": COUNT, "seed": 1}
    made = wb.forecast(followed, AHEAD, inputs={"force": 0.0}, **given)
    check(made, final_state(followed))
    assert made["place"].attrs["units"] == "m"
    assert json.loads(made.attrs["parameters"])["damping"] == 0.5
    xr.testing.assert_identical(made, wb.forecast(followed, AHEAD, inputs={"force": 0.0}, **given))


def test_a_scenario_of_inputs(followed):
    blows = [(3.0, 0.7), (4.0, -1.0)]
    inputs = {"force": 1.5, "blow": {0.5: 9.0, **dict(blows)}}  # the blow at 0.5 is past
    made = wb.forecast(followed, AHEAD, model=Spring, inputs=inputs, members=COUNT, seed=2)
    check(made, final_state(followed), 1.5, blows)


def test_a_blow_at_the_last_reading_is_not_given_twice(followed):
    given = {"model": Spring, "members": COUNT, "seed": 1}
    once = wb.forecast(followed, AHEAD, inputs={"force": 0.0}, **given)
    twice = wb.forecast(followed, AHEAD, inputs={"force": 0.0, "blow": {float(TIMES[-1]): 5.0}}, **given)
    np.testing.assert_array_equal(once["x"], twice["x"])


def test_members_go_on_as_they_are(followed):
    filters = {"inputs": {"force": 0.0, "blow": {0.5: 0.7}}, "seed": 3}
    given = {"model": Spring, "inputs": {"force": 0.0}, "noise": False, "seed": 1}
    ensemble = wb.assimilate(Spring, readings(), filter=wb.EnKF(members=2000), **filters)
    made = wb.forecast(ensemble, AHEAD, **given)
    np.testing.assert_allclose(made["x"].values[:, 0], final_state(ensemble).arrays["members"][:, 0])
    particles = wb.assimilate(Spring, readings(), filter=wb.ParticleFilter(particles=2000), **filters)
    for found in (made, wb.forecast(particles, AHEAD, **given)):
        for k, t in enumerate(AHEAD):
            mean, P = exact(final_state(followed), t)
            assert found["place"].values[:, k].mean() == pytest.approx(mean[0], abs=0.2 * np.sqrt(P[0, 0]))
            assert found["place"].values[:, k].std() == pytest.approx(np.sqrt(P[0, 0]), rel=0.15)
    state = final_state(particles)
    weights = np.exp(state.arrays["log_weights"] - state.arrays["log_weights"].max())
    expected = weights @ state.arrays["members"][:, 0] / weights.sum()
    drawn = wb.forecast(particles, AHEAD, members=20_000, **given)["x"].values[:, 0]
    assert drawn.mean() == pytest.approx(expected, abs=1e-3)


def test_estimated_parameters_are_carried_with_the_states():
    prior = wb.prior.LogNormal(median=4.0, sigma=0.3)
    given = {"inputs": {"force": 0.0}, "parameters": {"stiffness": prior, "damping": 0.6}}
    made = wb.assimilate(Spring, readings(), filter=wb.ExtendedKalman(), **given)
    ahead = wb.forecast(made, AHEAD, model=Spring, inputs={"force": 0.0}, members=COUNT, noise=False, seed=1)
    written = json.loads(ahead.attrs["parameters"])
    assert written["stiffness"] == "varies"
    assert written["damping"] == 0.6
    state = final_state(made)
    # x' = v and v' = -k x - 0.6 v: after a short time x'' tells k, which is log-normal with the filter's moments
    assert state.names[2] == "stiffness"
    short = wb.forecast(
        made, [2.9, 2.9 + 1e-4], model=Spring, inputs={"force": 0.0}, members=COUNT, noise=False, seed=1
    )
    assert (short["x"].values[:, 1] - short["x"].values[:, 0]).mean() == pytest.approx(
        1e-4 * state.arrays["mean"][1], rel=0.05
    )
    assert float(made["stiffness"][-1]) == pytest.approx(
        np.exp(state.arrays["mean"][2] + 0.5 * state.arrays["covariance"][2, 2]), rel=1e-6
    )


def test_units_and_dates():
    days = np.datetime64("2026-01-01", "ns") + np.arange(30) * np.timedelta64(100, "ms")
    both = xr.concat([readings(1), readings(2)], dim=xr.IndexVariable("unit", ["a", "b"])).assign_coords(time=days)
    made = wb.assimilate(Spring, both, inputs={"force": 0.0}, filter=wb.Kalman())
    ahead = wb.forecast(made, days[-1:], model=Spring, inputs={"force": 0.0}, members=4000, noise=False, seed=1)
    assert ahead["x"].dims == ("member", "unit", "time")
    for unit in ("a", "b"):
        mean = float(made["x"].sel(unit=unit)[-1])
        assert float(ahead["x"].sel(unit=unit).mean()) == pytest.approx(mean, abs=0.01)
    with pytest.raises(DataError, match=r"got 2026-01-01T00:00:02\.8; expected times from 2026-01-01T00:00:02\.9 on"):
        wb.forecast(made, days[-2:], model=Spring, inputs={"force": 0.0})


def test_a_map_is_kicked_at_its_steps():
    level = xr.Dataset({"flow": ("time", [1100.0, 1160.0, 963.0])}, {"time": [1871.0, 1872.0, 1873.0]})
    made = wb.assimilate(Nile, level, filter=wb.Kalman())
    ahead = wb.forecast(made, [1873.0, 1874.0, 1880.0], model=Nile, members=COUNT, seed=1)
    variance = float(made["level_sd"][-1]) ** 2 + np.array([0, 1, 7]) * 1469.178
    np.testing.assert_allclose(ahead["level"].var("member"), variance, rtol=4.5 * np.sqrt(2 / COUNT))
    np.testing.assert_allclose(ahead["flow"].var("member"), variance + 15098.53, rtol=4.5 * np.sqrt(2 / COUNT))


def test_what_was_stored_or_smoothed_is_forecast_alike(followed, tmp_path):
    given = {"model": Spring, "inputs": {"force": 0.0}, "members": 50, "seed": 1}
    here = wb.forecast(followed, AHEAD, **given)
    followed.to_netcdf(tmp_path / "followed.nc")
    with xr.open_dataset(tmp_path / "followed.nc") as back:
        xr.testing.assert_identical(wb.forecast(back, AHEAD, **given), here)
    smoothed = wb.smooth(Spring, readings(), inputs={"force": 0.0, "blow": {0.5: 0.7}}, filter=wb.Kalman())
    xr.testing.assert_allclose(wb.forecast(smoothed, AHEAD, **given), here)


def test_the_model_is_recalled_in_its_session(followed):
    given = {"inputs": {"force": 0.0}, "members": 50, "seed": 1}
    xr.testing.assert_identical(
        wb.forecast(followed, AHEAD, **given), wb.forecast(followed, AHEAD, model=Spring, **given)
    )
    from_elsewhere = followed.assign_attrs(model_digest="0" * 64)
    with pytest.raises(DataError, match=r"and no model; expected wb.forecast\(followed, times, model=...\)"):
        wb.forecast(from_elsewhere, AHEAD, **given)


def test_mistakes_are_refused(followed):
    with pytest.raises(DataError, match="got model Nile; expected Spring, which the filter followed"):
        wb.forecast(followed, AHEAD, model=Nile)
    with pytest.raises(DataError, match=r"times: got 2 s; expected times from 2\.9 s on, the last reading"):
        wb.forecast(followed, [2.0, 3.0], model=Spring, inputs={"force": 0.0})
    with pytest.raises(DataError, match="force"):
        wb.forecast(followed, AHEAD, model=Spring)
    with pytest.raises(DataError, match="nothing is extrapolated"):
        wb.forecast(followed, AHEAD, model=Spring, inputs={"force": {0.0: 0.0, 4.0: 1.0}})


class Slope(Nile):
    """The local linear trend: two readings tell level and slope, one does not."""

    slope = wb.State("1", start=wb.prior.Flat())

    def step(self, t, x, u, p):
        return {"level": x.level + x.slope, "slope": x.slope}


def test_a_state_that_no_reading_told_is_not_forecast():
    seen = xr.Dataset({"flow": ("time", [1100.0, 1160.0])}, {"time": [1871.0, 1872.0]})
    made = wb.assimilate(Slope, seen, filter=wb.Kalman())
    assert np.isfinite(wb.forecast(made, [1873.0], model=Slope)["level"]).all()
    with pytest.raises(DataError, match="got a filter's state that is still diffuse"):
        wb.forecast(wb.assimilate(Slope, seen.isel(time=[0]), filter=wb.Kalman()), [1873.0], model=Slope)
