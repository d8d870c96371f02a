"""Readings around an output: NumPy's densities equal PyMC's, and drawn readings have the moments of their law."""

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
import scipy.stats
from calibrations import richardson

import workbench as wb
from workbench.calibrate.sensors import tails
from workbench.calibrate.sensors.likelihood import at_least, chances, draw_readings, likelihood, log_density, up_to
from workbench.declare.noise import FAMILIES

NOISES = {
    "Normal": {"sigma": 0.7},
    "LogNormal": {"sigma": 0.4},
    "StudentT": {"nu": 7.0, "sigma": 0.7},
    "Laplace": {"b": 0.6},
    "Proportional": {"sigma": 0.3},
    "Combined": {"additive": 0.2, "proportional": 0.3},
    "AR1": {"sigma": 0.7, "time_constant": 2.0},  # by itself a reading has its marginal law
    "Poisson": {},
    "NegativeBinomial": {"alpha": 3.0},
}
OUTPUT = np.array([0.3, 2.0, 11.0])


def noise_of(name):
    return getattr(wb.noise, name)(**NOISES[name])


def test_every_noise_is_here():
    assert set(NOISES) == set(FAMILIES)


@pytest.mark.parametrize("name", NOISES)
def test_the_density_is_that_of_pymc(name):
    noise = noise_of(name)
    count = noise.family.readings == "count"
    readings = np.array([1, 0, 14]) if count else np.array([0.2, 2.5, 9.0])
    with pm.Model() as model:
        likelihood("y", noise, OUTPUT, NOISES[name], observed=readings, shape=3)
    (expected,) = model.compile_logp(vars=[model["y"]], sum=False, mode="FAST_COMPILE")({})
    columns = {key: np.full((2, 1), value) for key, value in NOISES[name].items()}
    found = log_density(noise, readings, np.tile(OUTPUT, (2, 1)), columns)
    np.testing.assert_allclose(found, np.tile(expected, (2, 1)), rtol=1e-12)


def law(name, m):
    """Return the mean and variance of a reading (of its logarithm under LogNormal), from textbooks."""
    a = NOISES[name]
    return {
        "Normal": lambda: (m, a["sigma"] ** 2),
        "LogNormal": lambda: (np.log(m), a["sigma"] ** 2),
        "StudentT": lambda: (m, a["sigma"] ** 2 * a["nu"] / (a["nu"] - 2)),
        "Laplace": lambda: (m, 2 * a["b"] ** 2),
        "Proportional": lambda: (m, (a["sigma"] * m) ** 2),
        "Combined": lambda: (m, a["additive"] ** 2 + (a["proportional"] * m) ** 2),
        "AR1": lambda: (m, a["sigma"] ** 2),
        "Poisson": lambda: (m, m),
        "NegativeBinomial": lambda: (m, m + m**2 / a["alpha"]),
    }[name]()


@pytest.mark.parametrize("name", NOISES)
def test_readings_have_the_moments_of_their_law(name):
    count = 40_000
    drawn = draw_readings(noise_of(name), np.tile(OUTPUT, (count, 1)), NOISES[name], np.random.default_rng(1))
    assert drawn.shape == (count, 3)
    drawn = np.log(drawn) if name == "LogNormal" else drawn
    for k, m in enumerate(OUTPUT):
        mean, variance = law(name, m)
        assert abs(drawn[:, k].mean() - mean) < 4.5 * np.sqrt(variance / count)
        assert drawn[:, k].var() == pytest.approx(variance, rel=0.08)


@pytest.mark.parametrize("name", NOISES)
def test_an_argument_of_each_draw_reaches_its_row(name):
    if not NOISES[name]:
        return
    noise, output = noise_of(name), np.full((2, 20_000), 50.0)
    columns = {key: np.array([[value], [4 * value]]) for key, value in NOISES[name].items()}
    drawn = draw_readings(noise, output, columns, np.random.default_rng(2))
    narrow, wide = sorted(drawn.std(axis=1))
    assert wide > 1.5 * narrow


@pytest.mark.parametrize("name", NOISES)
def test_no_reading_where_none_is_possible(name):
    output = np.array([[1.0, np.nan, np.inf, -np.inf, -1.0, 2.0]])
    drawn = draw_readings(noise_of(name), output, NOISES[name], np.random.default_rng(3))
    real = noise_of(name).family.readings == "real"
    np.testing.assert_array_equal(np.isfinite(drawn), [[True, False, False, False, real, True]])


@pytest.mark.parametrize("name", NOISES)
def test_the_same_stream_gives_the_same_readings(name):
    output = np.tile(OUTPUT, (4, 1))
    a, b, c = (draw_readings(noise_of(name), output, NOISES[name], np.random.default_rng(s)) for s in (5, 5, 6))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


STUDENT = [  # degrees of freedom, z, ln P(Z <= z): mpmath 1.3 with 50 digits
    (0.5, -10000.0, -5.742416317509615),
    (1, -300, -6.848516064191473),
    (4, -40, -13.66106721128188),
    (4, -1e-09, -0.6931471813099453),
    (30, -3, -5.916363741498326),
    (30, 2, -0.027692443129667333),
    (1000, -8, -34.000337117033645),
    (1000, -50, -630.586713106949),
    (2.5, 7, -0.005300206073124045),
]
POISSON = [  # k, mean, ln P(N <= k), ln P(N >= k): likewise
    (1, 30, -26.566012795514855, -9.357622968840613e-14),
    (5, 5.5, -0.6369205706100255, -0.44241648194838606),
    (50, 1000.0, -803.0387649860588, 0.0),
    (1000, 900.0, -0.0004907531324798106, -7.5057699942338925),
    (1000, 0.001, 0.0, -12819.884456471298),
    (1000, 20000.0, -16008.58933542742, 0.0),
]
NEGATIVE_BINOMIAL = [  # k, alpha, mean, ln P(N <= k), ln P(N >= k): likewise
    (1, 0.5, 300.0, -2.7943871441944736, -0.04164613697237085),
    (5, 3, 4.0, -0.29925393625987, -1.0234725496753079),
    (50, 0.1, 0.001, 0.0, -236.5216827170985),
    (50, 40, 500.0, -48.499251206758814, -5.1792108166734e-22),
    (1000, 10000.0, 900.0, -0.0008081589398504749, -7.016331188652678),
    (1000, 0.01, 1100.0, -0.041399344733931566, -3.204884052171253),
]


def test_tails_by_arithmetic_of_fifty_digits():
    for nu, z, exact in STUDENT:
        assert tails.student(np.array(float(z)), np.array(float(nu))) == pytest.approx(exact, rel=1e-9, abs=1e-13)
    for k, mean, below, above in POISSON:
        assert tails.poisson_up_to(k, np.array(float(mean))) == pytest.approx(below, rel=1e-9, abs=1e-15)
        assert tails.poisson_from(k, np.array(float(mean))) == pytest.approx(above, rel=1e-9, abs=1e-13)
    for k, alpha, mean, below, above in NEGATIVE_BINOMIAL:
        given = np.array(float(mean)), np.array(float(alpha))
        assert tails.negative_binomial_up_to(k, *given) == pytest.approx(below, rel=1e-9, abs=1e-15)
        assert tails.negative_binomial_from(k, *given) == pytest.approx(above, rel=1e-9, abs=1e-13)
    z = np.array([-40.0, -8.0, -1.0, -0.5, 0.0, 3.0, 9.0])
    np.testing.assert_allclose(tails.normal(z), scipy.stats.norm.logcdf(z), rtol=1e-13)
    np.testing.assert_allclose(tails.laplace(z), scipy.stats.laplace.logcdf(z), rtol=1e-13)


def limits_of(name):
    if name in ("Poisson", "NegativeBinomial"):
        return 2, 8
    return 0.9, 6.0


def by_scipy(name, output):
    a = NOISES[name]
    return {
        "Normal": lambda: scipy.stats.norm(output, 0.7),
        "AR1": lambda: scipy.stats.norm(output, 0.7),
        "Proportional": lambda: scipy.stats.norm(output, 0.3 * output),
        "Combined": lambda: scipy.stats.norm(output, np.hypot(0.2, 0.3 * output)),
        "LogNormal": lambda: scipy.stats.lognorm(0.4, scale=output),
        "StudentT": lambda: scipy.stats.t(7.0, output, 0.7),
        "Laplace": lambda: scipy.stats.laplace(output, 0.6),
        "Poisson": lambda: scipy.stats.poisson(output),
        "NegativeBinomial": lambda: scipy.stats.nbinom(a["alpha"], a["alpha"] / (a["alpha"] + output)),
    }[name]()


@pytest.mark.parametrize("name", NOISES)
def test_a_reading_at_a_limit_has_the_probability_of_being_there_or_beyond(name):
    noise, limits = noise_of(name), limits_of(name)
    count = noise.family.readings == "count"
    low, high = limits
    output = np.array([1.1, 2.0, 5.0, 1.1, 5.0])
    readings = np.array([low, low, high, 4, 5] if count else [low, low, high, 1.7, 4.4])
    law = by_scipy(name, output)
    inside = law.logpmf(readings) if count else law.logpdf(readings)
    beyond = law.logsf(high - 1) if count else law.logsf(high)
    expected = np.where(readings == low, law.logcdf(low), np.where(readings == high, beyond, inside))
    columns = {key: np.array([[value]]) for key, value in NOISES[name].items()}
    found = log_density(noise, readings, output[None], columns, limits)
    np.testing.assert_allclose(found[0], expected, rtol=1e-9)
    if name == "AR1":  # refused by a declaration
        return
    with pm.Model() as model:
        likelihood("y", noise, output, NOISES[name], limits=limits, observed=readings, shape=5)
    (same,) = model.compile_logp(vars=[model["y"]], sum=False, mode="FAST_COMPILE")({})
    np.testing.assert_allclose(same, expected, rtol=1e-9)


@pytest.mark.parametrize("name", [name for name in NOISES if name != "AR1"])
def test_slopes_are_finite_in_far_tails_and_those_of_finite_differences(name):
    noise, (low, high) = noise_of(name), limits_of(name)
    output = pt.dvector("output")
    given = {key: pt.dscalar(key) for key in NOISES[name]}
    total = up_to(noise, low, output, given).sum() + at_least(noise, high, output, given).sum()
    wrt = [output, *given.values()]
    function = pytensor.function(wrt, [total, *pytensor.grad(total, wrt)], mode="FAST_COMPILE")
    values = [float(value) for value in NOISES[name].values()]
    for places in (np.array([1e-6, 0.01, 1e3, 1e6]), np.array([0.5, 1.0, 3.0, 7.0, 40.0])):
        made = function(places, *values)
        assert all(np.isfinite(part).all() for part in made)
    point = np.array([*places, *values])

    def density(z):
        return float(function(z[:5], *z[5:])[0])

    exact = richardson(density, point, 1e-3)
    np.testing.assert_allclose(np.concatenate([np.ravel(part) for part in made[1:]]), exact, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", [name for name in NOISES if name != "AR1"])
def test_readings_are_drawn_and_clipped(name):
    noise = noise_of(name)
    limits = (2, 5) if noise.family.readings == "count" else (2.4, 3.9)
    output = np.full((1, 20_000), 3.0)
    drawn = draw_readings(noise, output, NOISES[name], np.random.default_rng(4), limits)
    assert (drawn.min(), drawn.max()) == limits
    share = np.mean(drawn == limits[0])
    expected = by_scipy(name, 3.0).cdf(limits[0])
    assert share == pytest.approx(expected, abs=4.5 * np.sqrt(expected * (1 - expected) / 20_000))
    with pm.Model() as model:
        likelihood("y", noise, np.full(20_000, 3.0), NOISES[name], limits=limits, shape=20_000)
    again = pm.draw(model["y"], random_seed=3, mode="FAST_COMPILE")
    assert (again.min(), again.max()) == limits
    assert np.mean(again == limits[0]) == pytest.approx(expected, abs=4.5 * np.sqrt(expected * (1 - expected) / 20_000))


@pytest.mark.parametrize("name", [name for name in NOISES if name != "AR1"])
def test_chances_are_the_frequencies_of_drawn_readings(name):
    noise, whole = noise_of(name), noise_of(name).family.readings == "count"
    limits = (2, 5) if whole else (2.4, 3.9)
    drawn = draw_readings(noise, np.full((1, 20_000), 3.0), NOISES[name], np.random.default_rng(4), limits)
    readings = np.array([2, 3, 4, 5] if whole else [2.4, 2.9, 3.3, 3.9])
    less, up_to = chances(noise, readings, np.array(3.0), NOISES[name], limits)
    for k, reading in enumerate(readings):
        for share, expected in ((np.mean(drawn < reading), less[k]), (np.mean(drawn <= reading), up_to[k])):
            assert share == pytest.approx(expected, abs=4.5 * np.sqrt(0.25 / 20_000))
    assert (less[0], up_to[-1]) == (0.0, 1.0)
