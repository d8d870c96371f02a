"""Smoothers against the joint Gaussian of all times, dense formulas and a grid."""

import numpy as np
import pytest
import xarray as xr
from filter_models import NILE, Nile, Spring
from test_filters_kalman import INPUTS, TIMES, conditioned, joint_gaussian, nile, readings

import workbench as wb
from workbench.base.errors import DataError
from workbench.sync.smoothers import ensemble_members, regress

H, Q = 15098.53, 1469.178


class Known(Nile):
    """The Nile with a start of known spread, from which members can be drawn."""

    level = wb.State("1", start=wb.prior.Normal(mu=1100.0, sigma=100.0), noise=np.sqrt(Q))


class Fine(Spring):
    noise_step = 0.05


def level(flow, precision=0.0, mean=0.0):
    """Mean and SD of the Nile's level given all flows: its precisions are added up and inverted."""
    n = len(flow)
    step = np.diff(np.eye(n), axis=0)
    seen = ~np.isnan(flow)
    A = step.T @ step / Q + np.diag(seen / H)
    b = np.where(seen, flow, 0.0) / H
    A[0, 0] += precision
    b[0] += precision * mean
    return np.linalg.solve(A, b), np.sqrt(np.diag(np.linalg.inv(A)))


def test_the_nile_from_a_diffuse_start() -> None:
    """Also over years that are missing: the first one, and a gap (Durbin & Koopman 2012, sections 2.4, 2.7, 5.3)."""
    data = nile()
    data["flow"][[0, *range(20, 40)]] = np.nan
    for given in (nile(), data):
        made = wb.smooth(Nile, given, filter=wb.Kalman())
        mean, sd = level(given.flow.values)
        np.testing.assert_allclose(made.level_smoothed, mean, rtol=1e-10)
        np.testing.assert_allclose(made.level_smoothed_sd, sd, rtol=1e-10)
        np.testing.assert_allclose(made.flow_smoothed, mean, rtol=1e-10)
        assert float(made.level_smoothed[-1]) == float(made.level[-1])
    assert np.isinf(made.level_sd[0])
    assert made.level_smoothed.attrs == {"units": "1", "long_name": "level, mean given all readings"}


@pytest.fixture(scope="module")
def exact():
    mean, C, _ = conditioned(*joint_gaussian(readings()), TIMES.size)
    return mean.reshape(-1, 2), np.sqrt(np.diag(C)).reshape(-1, 2)


def gaps(made, exact):
    """Largest error of means, in SDs, and of SDs, relative."""
    mean, sd = (np.stack([made[f"{n}_smoothed{e}"].values for n in ("x", "v")], axis=1) for e in ("", "_sd"))
    return np.abs((mean - exact[0]) / exact[1]).max(), np.abs(sd / exact[1] - 1).max()


def test_linear_equations_are_smoothed_exactly(exact) -> None:
    """Irregular times, forces, blows, and channels that are missing."""
    made = wb.smooth(Spring, readings(), inputs=INPUTS, filter=wb.Kalman(), seed=1)
    assert max(gaps(made, exact)) < 1e-8
    np.testing.assert_array_equal(made.place_smoothed, made.x_smoothed)
    np.testing.assert_allclose(made.speed_smoothed_sd, made.v_smoothed_sd, rtol=1e-12)
    plain = wb.assimilate(Spring, readings(), inputs=INPUTS, filter=wb.Kalman(), seed=1)
    xr.testing.assert_identical(made[list(plain.data_vars)], plain)


def test_a_diffuse_start_is_smoothed_exactly() -> None:
    """Both states Flat, and at first only the place is read: generalised least squares says what is known."""

    class Diffuse(Spring):
        x = wb.State("m", start=wb.prior.Flat())
        v = wb.State("m/s", start=wb.prior.Flat(), noise=0.4)

    data = readings()
    nothing, C, y, R = joint_gaussian(data, start=(0.0, 0.0), variance=0.0)
    B = np.stack([joint_gaussian(data, start=e, variance=0.0)[0] - nothing for e in ([1.0, 0.0], [0.0, 1.0])], axis=1)
    seen = ~np.isnan(y)
    S = np.linalg.inv(C[np.ix_(seen, seen)] + np.diag(R[seen]))
    K, information = C[:, seen] @ S, B[seen].T @ S @ B[seen]
    start = np.linalg.solve(information, B[seen].T @ S @ (y - nothing)[seen])
    mean = nothing + B @ start + K @ (y - nothing - B @ start)[seen]
    W = B - K @ B[seen]
    cov = C - K @ C[seen] + W @ np.linalg.inv(information) @ W.T
    made = wb.smooth(Diffuse, data, inputs=INPUTS, filter=wb.Kalman())
    assert np.isinf(made.v_sd[0])
    assert max(gaps(made, (mean.reshape(-1, 2), np.sqrt(np.diag(cov)).reshape(-1, 2)))) < 1e-7


def test_what_no_reading_tells_stays_unknown() -> None:
    class Two(Nile):
        other = wb.State("1", start=wb.prior.Flat())

        def step(self, t, x, u, p):
            return {"level": x.level, "other": x.other}

    made = wb.smooth(Two, nile(), filter=wb.Kalman())
    assert np.isinf(made.other_smoothed_sd).all()
    np.testing.assert_allclose(made.level_smoothed, level(np.array(NILE, float))[0], rtol=1e-10)


def test_extended_and_unscented_ones_are_exact_in_the_limit(exact) -> None:
    """Of linear equations both are one; noise in pieces is of second order in their length."""

    class Finer(Spring):
        noise_step = 0.025

    made = [wb.smooth(m, readings(), inputs=INPUTS, filter=wb.ExtendedKalman()) for m in (Fine, Finer)]
    errors = [gaps(m, exact) for m in made]
    assert max(errors[0]) < 1e-2
    assert errors[1][1] < 0.3 * errors[0][1]
    points = wb.smooth(Fine, readings(), inputs=INPUTS, filter=wb.UnscentedKalman())
    for name in ("x", "v", "place"):
        for end in ("_smoothed", "_smoothed_sd"):
            np.testing.assert_allclose(points[name + end], made[0][name + end], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("chosen", [wb.ExtendedKalman(), wb.UnscentedKalman(), wb.EnKF(members=400)], ids=repr)
def test_a_constant_is_the_same_at_all_times(chosen) -> None:
    times = np.arange(0, 6, 0.1)
    truth = wb.simulate(Spring, times, parameters={"stiffness": 5.0}, inputs={"force": 0.0}, seed=2)
    data = xr.Dataset({"place": truth.place + 0.1 * np.random.default_rng(3).standard_normal(times.size)})
    prior = wb.prior.LogNormal(median=4.0, sigma=0.3)
    made = wb.smooth(Spring, data, inputs={"force": 0.0}, filter=chosen, parameters={"stiffness": prior}, seed=1)
    last = made.isel(time=-1)
    loose = 0.1 if isinstance(chosen, wb.EnKF) else 1e-6
    assert float(np.abs(made.stiffness_smoothed - last.stiffness).max() / last.stiffness_sd) < loose
    np.testing.assert_allclose(made.stiffness_smoothed_sd, float(last.stiffness_sd), rtol=loose)
    assert made.stiffness_smoothed.attrs["units"] == "1/s**2"
    early = made.isel(time=slice(0, 10))
    assert float(early.x_smoothed_sd.mean()) < 0.8 * float(early.x_sd.mean())
    error = np.sqrt(float(((made.x_smoothed - truth.x) ** 2).mean()))
    assert error < np.sqrt(float(((made.x - truth.x) ** 2).mean()))


@pytest.mark.parametrize(
    "analysis", [wb.SquareRoot(), wb.SquareRoot(rotate=True), wb.PerturbedObservations()], ids=repr
)
def test_many_members_are_the_exact_smoother(analysis) -> None:
    data = nile()
    data["flow"][30:33] = np.nan
    mean, sd = level(data.flow.values, 1e-4, 1100.0)
    errors = []
    for members in (250, 4000):
        made = wb.smooth(Known, data, filter=wb.EnKF(members=members, analysis=analysis), seed=1)
        errors.append(np.sqrt((((made.level_smoothed - mean) / sd) ** 2).mean()))
    assert errors[1] < 0.06 > 0.5 * errors[1]
    assert errors[1] < 0.6 * errors[0], "errors fall with the root of the number of members"
    np.testing.assert_allclose(made.level_smoothed_sd, sd, rtol=0.08)


def test_the_backward_pass_is_the_ensemble_kalman_smoother() -> None:
    """That of Evensen & van Leeuwen (2000) corrects all earlier members with each reading, by the same matrix.

    Both are one with few members, and with many where there is no noise.
    """
    for size, noise in ((9, 1.0), (40, 0.0)):
        past, forecast, analysis = evensen(size, noise)
        np.testing.assert_allclose(ensemble_members(forecast, analysis), past, rtol=1e-7, atol=1e-8)


def evensen(B, noise, Z=9, C=6):
    """Members given all readings, before and after each, of a random linear map."""
    rng = np.random.default_rng(4)
    A = np.linalg.qr(rng.normal(size=(Z, Z)))[0]
    past, forecast, analysis = [], [], []
    now = rng.normal(size=(B, Z))
    for _ in range(C):
        now = now @ A.T + noise * rng.normal(size=(B, Z)) if forecast else now
        forecast.append(now)
        Y = now[:, :1]
        errors = rng.normal(size=(B, 1))
        away = Y - Y.mean()
        X = np.eye(B) + (1.0 + errors - Y) @ away.T / (B - 1) / (away.T @ away / (B - 1) + 0.5)
        now = X @ now
        analysis.append(now)
        past = [X @ m for m in past] + [now]
    return np.array(past), np.array(forecast), np.array(analysis)


def test_a_curved_map_against_a_grid() -> None:
    """The exact smoother by sums over a grid; Gaussian ones come near it, and nearer than any filter."""

    class Curved(wb.Map):
        time_unit = "h"
        x = wb.State("1", start=wb.prior.Normal(mu=0.5, sigma=0.5), noise=0.3)
        y = wb.Output("1", noise=wb.noise.Normal(sigma=0.4))

        def step(self, t, x, u, p):
            return {"x": x.x + 0.4 * wb.math.sin(2 * x.x)}

        def observe(self, t, x, u, p):
            return {"y": x.x + 0.1 * x.x**2}

    rng = np.random.default_rng(5)
    truth = [0.8]
    for _ in range(39):
        truth.append(truth[-1] + 0.4 * np.sin(2 * truth[-1]) + 0.3 * rng.standard_normal())
    y = np.array(truth) + 0.1 * np.array(truth) ** 2 + 0.4 * rng.standard_normal(40)
    grid = np.linspace(-4, 6, 1001)
    moved = grid + 0.4 * np.sin(2 * grid)
    T = np.exp(-0.5 * ((grid[:, None] - moved) / 0.3) ** 2)
    seen = np.exp(-0.5 * ((y[:, None] - grid - 0.1 * grid**2) / 0.4) ** 2)
    forward = [np.exp(-0.5 * ((grid - 0.5) / 0.5) ** 2) * seen[0]]
    for k in range(1, 40):
        step = (T @ forward[-1]) * seen[k]
        forward.append(step / step.sum())
    back = [np.ones(grid.size)]
    for k in range(38, -1, -1):
        step = T.T @ (seen[k + 1] * back[0])
        back.insert(0, step / step.sum())
    density = np.array(forward) * np.array(back)
    density /= density.sum(axis=1, keepdims=True)
    mean = density @ grid
    sd = np.sqrt(density @ grid**2 - mean**2)
    data = xr.Dataset({"y": ("time", y)}, {"time": np.arange(40.0)})
    for chosen, near in ((wb.ExtendedKalman(), 0.25), (wb.UnscentedKalman(), 0.2), (wb.EnKF(members=1000), 0.2)):
        made = wb.smooth(Curved, data, filter=chosen, seed=1)
        error = np.sqrt((((made.x_smoothed - mean) / sd) ** 2).mean())
        assert error < near
        assert error < 0.5 * np.sqrt((((made.x - mean) / sd) ** 2).mean())
        np.testing.assert_allclose(made.x_smoothed_sd, sd, rtol=0.35)


def test_a_covariance_may_be_singular() -> None:
    """A known part, one without noise, and units far apart: nothing is inverted."""
    rng = np.random.default_rng(6)
    scale = np.array([1e-6, 1.0, 1e5])
    L = np.array([[1.0, 0.0, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 0.0]]) * scale[:, None]
    A = rng.normal(size=(3, 3)) * scale[:, None] / scale
    P = L @ L.T
    noise = np.diag([0.0, 0.3, 0.0]) * np.outer(scale, scale)
    forecast = A @ P @ A.T + noise
    G, left, _ = regress(A, P, np.empty((0, 0)), forecast)
    S = 1 / np.sqrt(np.diag(forecast))
    expected = P @ A.T @ (S[:, None] * np.linalg.pinv(S[:, None] * forecast * S, rcond=1e-12) * S)
    np.testing.assert_allclose((G @ forecast) / np.outer(scale, scale), (P @ A.T) / np.outer(scale, scale), atol=1e-10)
    np.testing.assert_allclose(
        left / np.outer(scale, scale), (P - expected @ A @ P) / np.outer(scale, scale), atol=1e-10
    )


def test_units_on_their_own_times() -> None:
    one, other = readings(), readings().isel(time=slice(1, 5)) + 0.1
    frame = [d.to_dataframe().reset_index().assign(unit=u) for u, d in (("a", one), ("b", other))]
    import pandas as pd

    made = wb.smooth(Spring, pd.concat(frame), inputs=INPUTS, filter=wb.Kalman())
    alone = wb.smooth(Spring, other, inputs=INPUTS, filter=wb.Kalman())
    np.testing.assert_array_equal(made.x_smoothed[made.unit == "b"], alone.x_smoothed)


def test_smoothed_states_keep_their_bounds() -> None:
    class Positive(Known):
        level = wb.State("1", start=wb.prior.LogNormal(median=5.0, sigma=0.5), noise=np.sqrt(Q), bounds=(0.0, None))

    data = nile() * 0.0 + [-40.0, 60.0] * 50
    for chosen in (wb.ExtendedKalman(), wb.UnscentedKalman(), wb.EnKF(members=50)):
        made = wb.smooth(Positive, data, filter=chosen, seed=1)
        assert (made.level_smoothed >= 0).all()


def test_filters_without_a_smoother_are_refused() -> None:
    with pytest.raises(DataError, match=r"got filter=ParticleFilter.*expected one that can be smoothed: wb\.Kalman"):
        wb.smooth(Known, nile(), filter=wb.ParticleFilter(particles=100))
    with pytest.raises(DataError, match=r"EnKF: got localisation=Localisation\(dim='x'.*expected none to smooth"):
        wb.smooth(Known, nile(), filter=wb.EnKF(localisation=wb.Localisation("x", 2.0)))
    with pytest.raises(DataError, match="expected one such as"):
        wb.smooth(Known, nile(), filter=wb.EnKF)
