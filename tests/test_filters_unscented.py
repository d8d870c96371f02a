"""The unscented filter against the Kalman filter where that is exact, and against its own textbook elsewhere."""

import numpy as np
import pytest
import scipy.integrate
import xarray as xr
from filter_models import NILE, Nile, Spring
from scipy.special import digamma, polygamma

import workbench as wb
from workbench.base.errors import DataError, SolveError
from workbench.sync.assimilate import bound, final_state
from workbench.sync.observations import observe

SETTINGS = [wb.UnscentedKalman(), wb.UnscentedKalman(alpha=0.3, kappa=1.0), wb.UnscentedKalman(beta=0.0)]


class Known(Nile):
    """The Nile with a start of known spread."""

    level = wb.State("1", start=wb.prior.Normal(mu=1100.0, sigma=100.0), noise=np.sqrt(1469.178))


def nile() -> xr.Dataset:
    flow = np.array(NILE, dtype=float)
    flow[30:33] = np.nan
    return xr.Dataset({"flow": ("time", flow)}, {"time": np.arange(1871.0, 1971.0)})


def agree(made: xr.Dataset, exact: xr.Dataset, rtol: float) -> None:
    for name in exact.data_vars:
        if not str(name).startswith(("final", "replaced", "effective")):
            scale = float(np.nanmax(np.abs(exact[name]))) or 1.0
            np.testing.assert_allclose(made[name], exact[name], rtol=rtol, atol=rtol * scale, err_msg=str(name))


@pytest.mark.parametrize("filter", SETTINGS)
def test_a_linear_map_is_followed_exactly(filter) -> None:
    agree(wb.assimilate(Known, nile(), filter=filter), wb.assimilate(Known, nile(), filter=wb.Kalman()), 1e-9)


class Fine(Spring):
    """Solved tightly, so that what differs is not the solver's steps."""

    rtol, atol = 1e-11, 1e-13


def springs() -> xr.Dataset:
    rng, time = np.random.default_rng(1), np.array([0.0, 0.3, 0.5, 1.3, 1.4, 2.0, 2.9])
    place, speed = np.cos(2 * time) + 0.1 * rng.standard_normal(7), -2 * np.sin(2 * time) + 0.3 * rng.standard_normal(7)
    place[2], speed[[0, 4]] = np.nan, np.nan
    return xr.Dataset({"place": ("time", place), "speed": ("time", speed)}, {"time": time})


INPUTS = {"force": {0.0: 0.0, 1.0: 2.0, 3.0: -1.0}, "blow": {0.5: 0.7, 1.7: -0.4}}


@pytest.mark.parametrize("filter", SETTINGS)
def test_linear_equations_are_followed_as_by_the_extended_filter(filter) -> None:
    """The extended filter is exact here but for where noise is added, which both do alike."""
    exact = wb.assimilate(Fine, springs(), inputs=INPUTS, filter=wb.ExtendedKalman())
    agree(wb.assimilate(Fine, springs(), inputs=INPUTS, filter=filter), exact, 1e-8)


DRAG = wb.prior.Normal(mu=1.0, sigma=0.4)


class Falling(wb.Ode):
    """A body that falls through thickening air, seen by a radar (Julier & Uhlmann 2004, section VI; in km and s)."""

    time_unit = "s"
    rtol, atol = 1e-10, 1e-12
    height = wb.State("km", start=wb.prior.Normal(mu=91.4, sigma=1.0))
    speed = wb.State("km/s", start=wb.prior.Normal(mu=-6.1, sigma=1.0), noise=0.1)
    drag = wb.Parameter("1/km", prior=DRAG)
    thins = wb.Parameter("km", value=6.1, long_name="height over which air thins by e")
    radar = wb.Parameter("km", value=30.5, long_name="height of the radar, and how far away")
    distance = wb.Output("km", noise=wb.noise.Normal(sigma=0.3))

    def rhs(self, t, x, u, p):
        return {"height": x.speed, "speed": p.drag * wb.math.exp(-x.height / p.thins) * x.speed**2}

    def observe(self, t, x, u, p):
        return {"distance": wb.math.sqrt(p.radar**2 + (x.height - p.radar) ** 2)}


def radar() -> xr.Dataset:
    time = np.arange(1.0, 16.0)

    def rhs(t, x):
        return x[1], 0.7 * np.exp(-x[0] / 6.1) * x[1] ** 2

    x = scipy.integrate.solve_ivp(rhs, (0, 15), [91.0, -6.0], t_eval=time, rtol=1e-10, atol=1e-12).y
    distance = np.hypot(30.5, x[0] - 30.5) + 0.3 * np.random.default_rng(7).standard_normal(time.size)
    distance[4] = np.nan
    return xr.Dataset({"distance": ("time", np.r_[np.nan, distance])}, {"time": np.r_[0.0, time]})


def textbook(data: xr.Dataset, alpha: float, beta: float, kappa: float):
    """The scaled unscented filter as Wan & van der Merwe write it, with weights of the centre; noise at four legs."""
    n = 3
    spread = alpha**2 * (n + kappa)
    lam = spread - n
    wm = np.r_[lam / spread, np.full(2 * n, 0.5 / spread)]
    wc = wm + np.r_[1 - alpha**2 + beta, np.zeros(2 * n)]
    m, P, noise = np.array([91.4, -6.1, 1.0]), np.diag([1.0, 1.0, 0.16]), np.diag([0.0, 0.1**2, 0.0])

    def sigma_points():
        root = np.linalg.cholesky(spread * P)
        return np.concatenate([m[None], m + root.T, m - root.T])

    def moved(x, gap):
        def rhs(t, x):
            return x[1], x[2] * np.exp(-x[0] / 6.1) * x[1] ** 2, 0.0

        return scipy.integrate.solve_ivp(rhs, (0, gap), x, rtol=1e-10, atol=1e-12).y[:, -1]

    total, made = 0.0, []
    for k, y in enumerate(data.distance.values):
        for _ in range(4 if k else 0):
            P = P + noise / 8
            X = np.stack([moved(x, 0.25) for x in sigma_points()])
            m = wm @ X
            P = (wc[:, None] * (X - m)).T @ (X - m) + noise / 8
        if not np.isnan(y):
            X = sigma_points()
            Y = np.hypot(30.5, X[:, 0] - 30.5)
            S = wc @ (Y - wm @ Y) ** 2 + 0.3**2
            K, v = (wc * (Y - wm @ Y)) @ (X - m) / S, y - wm @ Y
            m, P = m + K * v, P - np.outer(K, K) * S
            total -= 0.5 * (np.log(2 * np.pi * S) + v**2 / S)
        made.append((m, np.sqrt(np.diag(P))))
    return made, total


@pytest.mark.parametrize("rule", [(1.0, 2.0, 0.0), (0.1, 2.0, 0.0), (1.0, 0.0, -1.0)])
def test_a_falling_body_is_followed_as_by_the_textbook(rule) -> None:
    data = radar()
    made = wb.assimilate(Falling, data, filter=wb.UnscentedKalman(*rule), parameters={"drag": DRAG})
    exact, total = textbook(data, *rule)
    for k, name in enumerate(("height", "speed", "drag")):
        np.testing.assert_allclose(made[name], [m[k] for m, _ in exact], rtol=1e-6, err_msg=name)
        np.testing.assert_allclose(made[f"{name}_sd"], [s[k] for _, s in exact], rtol=1e-5, err_msg=name)
    assert float(made.log_evidence_total) == pytest.approx(total, rel=1e-6)
    assert abs(float(made.drag[-1]) - 0.7) < 4 * float(made.drag_sd[-1])


def test_the_last_legs_regression_is_what_smoothers_need() -> None:
    """On a linear model it is the transition, which the extended filter knows from derivatives."""
    kept = []
    for filter in (wb.UnscentedKalman(), wb.ExtendedKalman()):
        model = Fine()
        (plant,) = bound(model, observe(model, springs()), inputs=INPUTS, filter=filter, parameters=None)
        kept.append(filter.run(plant, filter.init(plant, 0), keep=True)[1].history)
    for ours, theirs in zip(kept[0], kept[1][:3], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-9)


def test_steps_give_what_one_loop_gives() -> None:
    filter, model = wb.UnscentedKalman(), Falling()
    (plant,) = bound(model, observe(model, radar()), inputs=None, filter=filter, parameters=None)
    state = filter.init(plant, 0)
    for k in range(16):
        state = filter.update(plant, filter.predict(plant, state, k), k)
        state = type(state).from_dataset(state.to_dataset())
    last = final_state(wb.assimilate(Falling, radar(), filter=filter))
    np.testing.assert_array_equal(state.arrays["mean"], last.arrays["mean"])
    np.testing.assert_array_equal(state.arrays["covariance"], last.arrays["covariance"])


class Draining(wb.Ode):
    """A tank that only chance fills."""

    time_unit = "h"
    level = wb.State("m", start=wb.prior.Uniform(0.0, 0.2), noise=0.5, bounds=(0.0, None))
    k = wb.Parameter("1/h", value=0.5)
    one = wb.Parameter("m", value=1.0)
    gauge = wb.Output("m", noise=wb.noise.Normal(sigma=0.1))

    def rhs(self, t, x, u, p):
        return {"level": -p.k * p.one * wb.math.sqrt(x.level / p.one)}  # no number below the bound

    def observe(self, t, x, u, p):
        return {"gauge": x.level}


def test_a_bound_holds_for_the_mean_and_for_every_point() -> None:
    data = xr.Dataset({"gauge": ("time", np.r_[0.05, -0.3 * np.ones(20)])}, {"time": np.arange(21) * 0.5})
    made = wb.assimilate(Draining, data, filter=wb.UnscentedKalman())
    for name in ("level", "level_forecast", "gauge", "gauge_forecast"):
        assert (made[name] >= 0.0).all()
    assert float(made["level"][-1]) < float(made["level_forecast"][-1])


@pytest.mark.parametrize(
    ("wrong", "words"), [({"alpha": 0.0}, "alpha=0.0"), ({"alpha": 2.0}, "alpha=2.0"), ({"beta": np.inf}, "beta=inf")]
)
def test_settings_that_cannot_be(wrong, words) -> None:
    with pytest.raises(DataError, match=words):
        wb.UnscentedKalman(**wrong)


def test_what_it_cannot_take_is_said() -> None:
    with pytest.raises(DataError, match=r"prior Flat of \['level'\]; expected a proper one"):
        wb.assimilate(Nile, nile(), filter=wb.UnscentedKalman())
    with pytest.raises(DataError, match=r"kappa=-1\.0; expected more than -1"):
        wb.assimilate(Known, nile(), filter=wb.UnscentedKalman(kappa=-1.0))
    curved = {"filter": wb.UnscentedKalman(beta=-1e6), "parameters": {"drag": DRAG}}
    with pytest.raises(SolveError, match="no longer positive definite at t = 1 s, to rounding"):
        wb.assimilate(Falling, radar(), **curved)


@pytest.mark.parametrize(
    ("prior", "exact"),
    [
        (wb.prior.LogNormal(median=4.0, sigma=0.3), (np.log(4.0), 0.3**2)),
        (
            wb.prior.Gamma(alpha=3.0, beta=2.0),
            (digamma(3.0) - np.log(2.0), polygamma(1, 3)),
        ),
        (wb.prior.HalfNormal(sigma=1.0), (-0.5 * (np.euler_gamma + np.log(2.0)), np.pi**2 / 8)),
        (wb.prior.Uniform(1.0, 3.0), (0.0, np.pi**2 / 3)),
    ],
)
def test_moments_of_what_is_estimated_are_those_of_its_prior(prior, exact) -> None:
    """Of the logarithm, and of the logit of what has two ends: closed forms."""

    class Sprung(Spring):
        stiffness = wb.Parameter("1/s**2", prior=prior)

    model, filter = Sprung(), wb.UnscentedKalman()
    given = {"inputs": INPUTS, "filter": filter, "parameters": {"stiffness": prior}}
    (plant,) = bound(model, observe(model, springs()), **given)
    state = filter.init(plant, 0)
    assert float(state.arrays["mean"][2]) == pytest.approx(float(exact[0]), rel=1e-6, abs=1e-9)
    assert float(state.arrays["covariance"][2, 2]) == pytest.approx(float(exact[1]), rel=1e-6)
