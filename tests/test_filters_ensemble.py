"""The ensemble filter against the Kalman filter, dense formulas, and what it must survive."""

import math

import numpy as np
import pytest
import scipy.stats
import xarray as xr
from filter_models import NILE, Nile

import workbench as wb
from workbench.base.errors import DataError, SolveError
from workbench.calibrate.sensors.likelihood import law
from workbench.declare.noise import Noise
from workbench.sync.filters.analysis import gaspari_cohn, perturbed, serial, square_root
from workbench.sync.filters.sensors import log_density, sensors, variance

NONE = np.empty((0, 0))


class Known(Nile):
    """The Nile with a start of known spread, from which members can be drawn."""

    level = wb.State("1", start=wb.prior.Normal(mu=1100.0, sigma=100.0), noise=np.sqrt(1469.178))


def nile() -> xr.Dataset:
    flow = np.array(NILE, dtype=float)
    flow[30:33] = np.nan
    return xr.Dataset({"flow": ("time", flow)}, {"time": np.arange(1871.0, 1971.0)})


@pytest.mark.parametrize("analysis", [wb.SquareRoot(), wb.SquareRoot(rotate=True), wb.PerturbedObservations()])
def test_many_members_are_the_kalman_filter(analysis) -> None:
    """Errors of a mean of 4000 members are a sixtieth of the spread; years are missing, and the noise is a Map's."""
    exact = wb.assimilate(Known, nile(), filter=wb.Kalman())
    made = wb.assimilate(Known, nile(), filter=wb.EnKF(members=4000, analysis=analysis), seed=1)
    gap = (made["level"] - exact["level"]) / exact["level_sd"]
    assert float(np.sqrt((gap**2).mean())) < 0.06
    np.testing.assert_allclose(made["level_sd"], exact["level_sd"], rtol=0.06)
    assert float(made["log_evidence"][-1]) == pytest.approx(float(exact["log_evidence"][-1]), abs=1.0)


@pytest.fixture(scope="module")
def ensemble():
    rng = np.random.default_rng(2)
    members = rng.normal(size=(12, 5)) @ rng.normal(size=(5, 5))
    mean = members.mean(axis=0)
    A = members - mean
    return mean, A, A[:, [0, 3]].copy(), np.array([0.7, -1.1]), np.array([0.5, 0.3])


def dense(mean, A, Y, v, R):
    """The Kalman update with the members' covariances (Evensen 2009, equations 4.26 to 4.29)."""
    n1 = len(A) - 1
    S = Y.T @ Y / n1 + np.diag(R)
    K = A.T @ Y / n1 @ np.linalg.inv(S)
    density = scipy.stats.multivariate_normal(np.zeros(v.size), S).logpdf(v)
    return mean + K @ v, A.T @ A / n1 - K @ (Y.T @ A / n1), density


def test_a_square_root_is_the_update_of_its_covariance(ensemble) -> None:
    """Also where there are more readings than members, and reading by reading with a taper of 1."""
    _, _, Y, v, R = ensemble
    many = np.tile(Y, 8) + 0.1 * np.random.default_rng(3).normal(size=(12, 16))
    cases = [(Y, v, R), (many - many.mean(axis=0), np.tile(v, 8), np.tile(R, 8))]
    for Y, v, R in cases:
        mean, P, density = dense(*ensemble[:2], Y, v, R)
        for way in ("root", "rotated", "serial"):
            m, A = ensemble[0].copy(), ensemble[1].copy()
            if way == "serial":
                got = serial(m, A, Y, v, R, np.ones((5, v.size)), np.ones((v.size, v.size)))
            else:
                got = square_root(m, A, Y, v, R, way == "rotated", np.random.default_rng(1))
            np.testing.assert_allclose(m, mean, rtol=1e-10, atol=1e-12, err_msg=way)
            np.testing.assert_allclose(A.T @ A / 11, P, rtol=1e-9, atol=1e-11, err_msg=way)
            np.testing.assert_allclose(A.mean(axis=0), 0.0, atol=1e-13)
            assert got == pytest.approx(density, rel=1e-10)


def test_perturbed_observations_are_the_update_on_average(ensemble) -> None:
    mean, P, density = dense(*ensemble)
    rng, spreads, taken = np.random.default_rng(4), [], (np.ones((5, 2)), np.ones((2, 2)))
    for taper in [(np.empty((0, 2)), NONE), taken]:
        for _ in range(2000):
            m, A = ensemble[0].copy(), ensemble[1].copy()
            got = perturbed(m, A, *ensemble[2:], taper, rng)
            np.testing.assert_allclose(m, mean, rtol=1e-10, atol=1e-12)
            spreads.append(A.T @ A / 11)
        assert got == pytest.approx(density, rel=1e-10)
    error = np.std(spreads, axis=0) / math.sqrt(len(spreads))
    assert (np.abs(np.mean(spreads, axis=0) - P) < 5 * error + 1e-12).all()


def test_a_taper_multiplies_covariances_with_a_reading(ensemble) -> None:
    mean, A, Y, v, R = (part.copy() for part in ensemble)
    Y, v, R = Y[:, :1].copy(), v[:1], R[:1]
    taper = np.array([[1.0], [0.5], [0.1], [0.0], [0.0]])
    cross, size = A.T @ Y / 11, float(Y[:, 0] @ Y[:, 0]) / 11
    expected = mean + (taper * cross / (size + R[0]))[:, 0] * v[0]
    m, B = mean.copy(), A.copy()
    serial(m, B, Y, v, R, taper, np.ones((1, 1)))
    np.testing.assert_allclose(m, expected, rtol=1e-12)
    np.testing.assert_array_equal(B[:, 3:], A[:, 3:])  # out of reach
    m = mean.copy()
    perturbed(m, A.copy(), Y, v, R, (taper, np.ones((1, 1))), np.random.default_rng(1))
    np.testing.assert_allclose(m, expected, rtol=1e-12)


def test_the_taper_of_gaspari_and_cohn() -> None:
    """1 at no distance, 5/24 at the radius, 0 from two on, smooth between, and a covariance on a line."""
    np.testing.assert_allclose(gaspari_cohn(np.array([0.0, 1.0, 2.0, 5.0])), [1.0, 5 / 24, 0.0, 0.0], atol=1e-14)
    for edge in (1.0, 2.0):
        near, far = gaspari_cohn(np.array([edge - 1e-9, edge + 1e-9]))
        assert near == pytest.approx(far, abs=1e-8)
    place = np.arange(40) / 3
    assert np.linalg.eigvalsh(gaspari_cohn(place[:, None] - place)).min() > -1e-12


@pytest.mark.parametrize(
    ("noise", "others"),
    [
        (wb.noise.StudentT(nu=5.0, sigma=0.4), wb.noise.StudentT(sigma=0.4, nu=5.0)),
        (wb.noise.Combined(additive=0.3, proportional=0.2), wb.noise.Combined(proportional=0.2, additive=0.3)),
        (wb.noise.Proportional(sigma=0.2), None),
        (wb.noise.Laplace(b=0.4), None),
        (wb.noise.LogNormal(sigma=0.4), None),
        (wb.noise.Poisson(), None),
        (wb.noise.NegativeBinomial(alpha=2.5), None),
    ],
)
def test_variances_and_densities_of_noises_are_those_of_scipy(noise: Noise, others: Noise | None) -> None:
    for one in (noise, others or noise):

        class Read(Nile):
            flow = wb.Output("1", noise=one)

        kind, first, second = (int, float, float)
        found = sensors(Read(), ["flow"], {})
        kind, first, second = int(found.kind[0]), float(found.first[0]), float(found.second[0])
        arguments = {key: np.float64(value) for key, value in one.arguments}
        exact = law(one, np.array(7.0), arguments)
        logarithmic = one.name == "LogNormal"
        assert variance(kind, first, second, 7.0) == pytest.approx(
            0.16 if logarithmic else float(exact.var()), rel=1e-9
        )
        y = 9.0
        density = exact.logpmf(y) if noise.family.readings == "count" else exact.logpdf(y)
        assert log_density(kind, first, second, y, 7.0) == pytest.approx(float(density), rel=1e-9)


class Explosive(wb.Ode):
    """x' = a x^2: members above 1 / (a t) blow up."""

    time_unit = "h"
    x = wb.State("1", start=wb.prior.LogNormal(median=1.0, sigma=0.6), bounds=(0.0, None))
    a = wb.Parameter("1/h", value=0.3)
    y = wb.Output("1", noise=wb.noise.Normal(sigma=0.3))

    def rhs(self, t, x, u, p):
        return {"x": p.a * x.x**2}

    def observe(self, t, x, u, p):
        return {"y": x.x}


def grown(units: int = 0) -> xr.Dataset:
    time = np.array([0.0, 1.0, 2.0])
    y = 1 / (1 / 0.9 - 0.3 * time)
    if not units:
        return xr.Dataset({"y": ("time", y)}, {"time": time})
    return xr.Dataset({"y": (("unit", "time"), np.tile(y, (units, 1)))}, {"time": time, "unit": list("abc")[:units]})


def test_members_that_blow_up_are_replaced_and_counted() -> None:
    data = grown()
    data["y"][0:2] = np.nan  # nothing corrects them before they go
    made = wb.assimilate(Explosive, data, filter=wb.EnKF(members=300), seed=1)
    share = scipy.stats.lognorm(0.6).sf(1 / (0.3 * 2.0))
    assert int(made["replaced"].sum()) == pytest.approx(300 * share, abs=4 * math.sqrt(300 * share))
    assert np.isfinite(made["x"]).all()
    with pytest.raises(SolveError, match="no member could be carried"):
        wb.assimilate(Explosive, data, filter=wb.EnKF(members=20), parameters={"a": 50.0}, seed=1)


def test_units_are_followed_each_by_itself() -> None:
    filter = wb.EnKF(members=30)
    both = wb.assimilate(Explosive, grown(2), filter=filter, seed=3)
    alone = wb.assimilate(Explosive, grown(1), filter=filter, seed=3)
    np.testing.assert_array_equal(both["x"].sel(unit="a"), alone["x"].sel(unit="a"))
    assert (both["x"].sel(unit="a") != both["x"].sel(unit="b")).any()  # members of their own
    again = wb.assimilate(Explosive, grown(2), filter=filter, seed=3)
    np.testing.assert_array_equal(both["x"], again["x"])


class Draining(wb.Ode):
    """A tank that only chance fills."""

    time_unit = "h"
    level = wb.State("m", start=wb.prior.Uniform(0.0, 0.2), noise=0.5, bounds=(0.0, None))
    k = wb.Parameter("1/h", value=0.5)
    gauge = wb.Output("m", noise=wb.noise.Normal(sigma=0.1))

    def rhs(self, t, x, u, p):
        return {"level": -p.k * x.level}

    def observe(self, t, x, u, p):
        return {"gauge": x.level}


@pytest.mark.parametrize("analysis", [wb.SquareRoot(), wb.PerturbedObservations()])
def test_a_bound_holds(analysis) -> None:
    data = xr.Dataset({"gauge": ("time", np.r_[0.05, -0.3 * np.ones(20)])}, {"time": np.arange(21) * 0.5})
    made = wb.assimilate(Draining, data, filter=wb.EnKF(members=50, analysis=analysis), seed=1)
    for name in ("level", "level_forecast"):
        assert (made[name] >= 0.0).all()
    assert float(made["level"][-1]) < float(made["level_forecast"][-1])


class AtLimit(Draining):
    """A gauge that does not read below 2 cm."""

    gauge = wb.Output("m", noise=wb.noise.Normal(sigma=0.1), limits=(0.02, None))


def test_readings_at_a_limit_are_not_used_and_flagged() -> None:
    data = xr.Dataset({"gauge": ("time", [0.1, 0.02, 0.4])}, {"time": [0.0, 1.0, 2.0]})
    made = wb.assimilate(AtLimit, data, filter=wb.EnKF(members=50), seed=1)
    assert made["gauge_flag"].values.tolist() == [0, 3, 0]
    data["gauge"][1] = np.nan
    other = wb.assimilate(AtLimit, data, filter=wb.EnKF(members=50), seed=1)
    np.testing.assert_array_equal(made["level"], other["level"])


class Remembering(Draining):
    gauge = wb.Output("m", noise=wb.noise.AR1(sigma=0.1, time_constant=1.0))


class Counting(Draining):
    gauge = wb.Output("m", noise=wb.noise.Normal(sigma=0.1), increment=True)


@pytest.mark.parametrize(("model", "words"), [(Remembering, "without memory"), (Counting, "no increments")])
def test_sensors_that_filters_do_not_take(model, words) -> None:
    data = xr.Dataset({"gauge": ("time", [np.nan, 0.1])}, {"time": [0.0, 1.0]})
    with pytest.raises(DataError, match=words):
        wb.assimilate(model, data, filter=wb.EnKF(members=10))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"members": 1}, "members=1"), ({"inflation": 0.0}, "inflation=0.0"), ({"analysis": "sqrt"}, "analysis='sqrt'")],
)
def test_settings_that_cannot_be(wrong, words) -> None:
    with pytest.raises(DataError, match=words):
        wb.EnKF(**wrong)
