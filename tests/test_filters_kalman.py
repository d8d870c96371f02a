"""Kalman filters against exact answers: published ones, and the joint Gaussian."""

import itertools

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import xarray as xr
from filter_models import NILE, Nile, Spring

import workbench as wb
from workbench.base.errors import DataError, ParameterError
from workbench.sync.assimilate import final_state

TIMES = np.array([0.0, 0.3, 0.5, 1.3, 1.4, 2.0, 2.9])
FORCE = {0.0: 0.0, 1.0: 2.0, 3.0: -1.0}
INPUTS = {"force": FORCE, "blow": {0.5: 0.7, 1.7: -0.4}}


def nile():
    return xr.Dataset({"flow": ("time", np.array(NILE, dtype=float))}, {"time": np.arange(1871.0, 1971.0)})


def readings():
    rng = np.random.default_rng(1)
    place = np.cos(2 * TIMES) + 0.1 * rng.standard_normal(TIMES.size)
    speed = -2 * np.sin(2 * TIMES) + 0.3 * rng.standard_normal(TIMES.size)
    place[2], speed[[0, 4]] = np.nan, np.nan
    return xr.Dataset({"place": ("time", place), "speed": ("time", speed)}, {"time": TIMES})


def joint_gaussian(data, times=TIMES, start=(1.0, 0.0), variance=0.25):
    """Mean and covariance of the states at all times and of all readings together, without any filter.

    Means and transitions over pieces between events by the matrix exponential, noise by quadrature of its definition.
    """
    F = np.array([[0.0, 1.0], [-4.0, -0.5]])
    nodes, weights = np.polynomial.legendre.leggauss(20)
    mean, P, means, cross = np.array(start), np.diag([variance, variance]), [], []
    phis, knots = [], np.array(list(FORCE))
    for k, t in enumerate(times):
        before = times[k - 1] if k else t
        whole = np.eye(2)
        events = np.unique(
            [before, t, *(b for b in INPUTS["blow"] if before < b <= t), *(e for e in knots if before < e < t)]
        )
        for a, b in itertools.pairwise(events):
            gap = b - a
            phi = scipy.linalg.expm(F * gap)
            s = 0.5 * gap * (nodes + 1)
            E = [scipy.linalg.expm(F * (gap - x)) for x in s]
            push = np.interp(a + s, knots, list(FORCE.values()))
            mean = phi @ mean + sum(0.5 * gap * w * e @ [0.0, f] for w, e, f in zip(weights, E, push, strict=True))
            P = phi @ P @ phi.T + sum(
                0.5 * gap * w * e @ np.diag([0.0, 0.16]) @ e.T for w, e in zip(weights, E, strict=True)
            )
            whole = phi @ whole
            mean = mean + np.array([0.0, INPUTS["blow"].get(float(b), 0.0)])
        phis.append(whole)
        means.append(mean)
        cross.append(P)
    n = len(times)
    C = np.zeros((2 * n, 2 * n))
    for i in range(n):
        C[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = block = cross[i]
        for j in range(i + 1, n):
            block = phis[j] @ block
            C[2 * j : 2 * j + 2, 2 * i : 2 * i + 2] = block
            C[2 * i : 2 * i + 2, 2 * j : 2 * j + 2] = block.T
    y = np.stack([data.place.values, data.speed.values], axis=1).ravel()
    return np.concatenate(means), C, y, np.tile([0.01, 0.09], n)


def conditioned(mean, C, y, R, last):
    """Return moments of all states given the readings at the first `last` times."""
    seen = np.flatnonzero(~np.isnan(y) & (np.arange(y.size) < 2 * last))
    S = C[np.ix_(seen, seen)] + np.diag(R[seen])
    K = C[:, seen] @ np.linalg.inv(S)
    density = scipy.stats.multivariate_normal(mean[seen], S).logpdf(y[seen]) if seen.size else 0.0
    return mean + K @ (y[seen] - mean[seen]), C - K @ C[seen], density


@pytest.fixture(scope="module")
def exact():
    return joint_gaussian(readings())


def check(made, exact, rtol):
    for k in range(TIMES.size):
        for last, ends in ((k, "_forecast"), (k + 1, "")):
            mean, C, density = conditioned(*exact, last)
            got = [made[f"{n}{ends}"].values[k] for n in ("x", "v")]
            sd = [made[f"{n}{ends}_sd"].values[k] for n in ("x", "v")]
            np.testing.assert_allclose(got, mean[2 * k : 2 * k + 2], rtol=rtol, atol=rtol)
            np.testing.assert_allclose(sd, np.sqrt(np.diag(C)[2 * k : 2 * k + 2]), rtol=rtol)
        np.testing.assert_allclose(made.log_evidence.values[k], density, rtol=rtol, atol=rtol)


def test_the_nile_as_published():
    made = wb.assimilate(Nile, nile(), filter=wb.Kalman())
    assert float(made.log_evidence_total) == pytest.approx(-632.5456, abs=5e-5)
    # Durbin & Koopman (2012), section 2.2.2: the gain settles at 0.267, so P + H at 20 600 (here for these H and Q)
    steady = np.roots([1.0, -1469.178, -1469.178 * 15098.53]).max()
    assert made.level_forecast_sd.values[-1] ** 2 == pytest.approx(steady, rel=1e-9)
    assert np.isinf(made.level_forecast_sd.values[0])
    assert made.flow_innovation_normalised.values[1:].var() == pytest.approx(1.0, abs=0.2)
    assert made.flow.attrs["units"] == "1"
    assert made.diverged == ""


def test_missing_years_are_bridged():
    data = nile()
    data["flow"][20:40] = np.nan  # Durbin & Koopman (2012), section 2.7
    made = wb.assimilate(Nile, data, filter=wb.Kalman())
    assert (made.flow_flag.values[20:40] == 1).all()
    spread = made.level_sd.values[19:40] ** 2
    np.testing.assert_allclose(np.diff(spread), 1469.178, rtol=1e-9)
    assert np.ptp(made.level.values[19:40]) == 0.0


def test_linear_equations_are_followed_exactly(exact):
    check(wb.assimilate(Spring, readings(), inputs=INPUTS, filter=wb.Kalman()), exact, 1e-9)


def test_the_extended_filter_is_exact_in_the_limit(exact):
    errors = []
    for step in (0.05, 0.025):

        class Fine(Spring):
            noise_step = step

        made = wb.assimilate(Fine, readings(), inputs=INPUTS, filter=wb.ExtendedKalman())
        _, C, _ = conditioned(*exact, TIMES.size)
        errors.append(abs(made.x_sd.values[-1] - np.sqrt(C[-2, -2])))
        check(made, exact, 1e-2)
    assert errors[1] < 0.3 * errors[0], "the splitting is of second order"


def test_steps_give_what_one_loop_gives():
    from workbench.sync.assimilate import bound
    from workbench.sync.observations import observe

    chosen = wb.Kalman()
    model = Spring()
    (plant,) = bound(model, observe(model, readings()), inputs=INPUTS, filter=chosen, parameters=None)
    state = first = chosen.init(plant, 0)
    for k in range(TIMES.size):
        state = chosen.update(plant, chosen.predict(plant, state, k), k)
        state = type(state).from_dataset(state.to_dataset())
    made = wb.assimilate(Spring, readings(), inputs=INPUTS, filter=chosen)
    np.testing.assert_array_equal(state.arrays["mean"], final_state(made).arrays["mean"])
    np.testing.assert_array_equal(state.arrays["covariance"], final_state(made).arrays["covariance"])
    assert state.log_evidence == pytest.approx(float(made.log_evidence_total), rel=1e-12)
    assert state.time == TIMES[-1]
    np.testing.assert_array_equal(first.arrays["mean"], [1.0, 0.0])


def test_an_estimated_parameter_is_found():
    truth = wb.simulate(Spring, np.arange(0, 20, 0.1), parameters={"stiffness": 5.0}, inputs={"force": 0.0}, seed=2)
    rng = np.random.default_rng(3)
    data = xr.Dataset(
        {"place": truth.place + 0.1 * rng.standard_normal(200), "speed": truth.speed + 0.3 * rng.standard_normal(200)}
    )
    prior = wb.prior.LogNormal(median=4.0, sigma=0.3)
    given = {"inputs": {"force": 0.0}, "filter": wb.ExtendedKalman()}
    made = wb.assimilate(Spring, data, **given, parameters={"stiffness": prior})
    grid = np.linspace(3.2, 7.0, 39)  # the exact posterior: the prior times what Kalman's filter says of each value
    exact = [
        float(
            wb.assimilate(
                Spring, data, inputs={"force": 0.0}, filter=wb.Kalman(), parameters={"stiffness": g}
            ).log_evidence_total
        )
        for g in grid
    ]
    weight = np.exp(np.array(exact) - max(exact)) * prior.frozen().pdf(grid)
    weight /= weight.sum()
    mean = weight @ grid
    sd = np.sqrt(weight @ (grid - mean) ** 2)
    assert abs(float(made.stiffness[-1]) - mean) < 0.3 * sd
    assert float(made.stiffness_sd[-1]) == pytest.approx(sd, rel=0.15)
    assert abs(mean - 5.0) < 3 * sd
    assert made.stiffness.attrs["units"] == "1/s**2"
    # before any reading: mean and SD of the prior
    early = made.isel(time=0)
    frozen = prior.frozen()
    assert float(early.stiffness_forecast) == pytest.approx(frozen.mean(), rel=2e-3)
    assert float(early.stiffness_forecast_sd) == pytest.approx(frozen.std(), rel=1e-2)


def test_a_far_reading_is_refused_and_said():
    data = readings()
    data["place"][3] = 1e9
    made = wb.assimilate(Spring, data, inputs=INPUTS, filter=wb.ExtendedKalman())
    assert made.place_flag.values[3] == 2
    assert made.place_innovation.values[3] == pytest.approx(1e9)
    data["place"][3] = np.nan
    other = wb.assimilate(Spring, data, inputs=INPUTS, filter=wb.ExtendedKalman())
    np.testing.assert_array_equal(made.x, other.x)


def test_a_filter_that_lost_its_asset_says_so():
    data = xr.Dataset({"place": ("time", np.full(40, 50.0))}, {"time": np.arange(40) * 0.1})
    with pytest.warns(UserWarning, match="does not follow 'place': of its last 20 readings 20 were refused"):
        made = wb.assimilate(Spring, data, inputs={"force": 0.0}, filter=wb.ExtendedKalman())
    assert made.attrs["diverged"].startswith("the filter does not follow")


def test_mistakes_are_refused():
    class Curved(Spring):
        def rhs(self, t, x, u, p):
            return {"x": x.v, "v": u.force - p.stiffness * wb.math.minimum(x.x, 2 * x.x) - p.damping * x.v}

    data, none = readings(), {"force": 0.0}
    with pytest.raises(
        DataError, match=r"Curved: got equations that are not linear; expected a linear model for wb.Kalman"
    ):
        wb.assimilate(Curved, data, inputs=none, filter=wb.Kalman())
    with pytest.raises(DataError, match=r"0\.3"):
        wb.assimilate(Spring, data.isel(time=[0, 2, 1]), inputs=none)
    with pytest.raises(DataError, match=r"0\.3"):
        wb.assimilate(Spring, data.isel(time=[0, 1, 1]), inputs=none)
    with pytest.raises(DataError, match="got no samples"):
        wb.assimilate(Spring, data * np.nan, inputs=none)
    with pytest.raises(ParameterError, match="did you mean 'stiffness'"):
        wb.assimilate(Spring, data, inputs=none, parameters={"stifness": 3.0})
    with pytest.raises(DataError, match=r"got filter='EnKF'; expected one such as wb\.EnKF"):
        wb.assimilate(Spring, data, inputs=none, filter="EnKF")
