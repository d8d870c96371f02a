"""Readings around an output: NumPy's densities equal PyMC's, and drawn readings have the moments of their law."""

import numpy as np
import pymc as pm
import pytest

import workbench as wb
from workbench.calibrate.likelihood import draw_readings, likelihood, log_density
from workbench.declare.noise import FAMILIES

NOISES = {
    "Normal": {"sigma": 0.7},
    "LogNormal": {"sigma": 0.4},
    "StudentT": {"nu": 7.0, "sigma": 0.7},
    "Laplace": {"b": 0.6},
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
