"""Identifiability before data and after: against closed forms, finite differences, and models that hide parameters."""

import itertools

import arviz_stats
import numpy as np
import pandas as pd
import pytest
import scipy.integrate
import scipy.optimize
import scipy.special
import scipy.stats
import xarray as xr
from calibrations import Level, level_data, levels, lynx_hare, lynx_hare_data
from models import LynxHare

import workbench as wb
from workbench.base.errors import DataError, ParameterError, SolveError
from workbench.calibrate.coordinates import coordinates_of
from workbench.calibrate.directions import Spectrum, collinearity
from workbench.calibrate.identify import gate, scores_of, values_of
from workbench.calibrate.information import Frame, fisher
from workbench.calibrate.normal_scores import NormalScores
from workbench.calibrate.problem import pose
from workbench.calibrate.reading_information import reading_information
from workbench.calibrate.sensitivity import sensitivities

TIMES = np.linspace(0.0, 5.0, 11)


class Line(wb.Static):
    """A regression line: everything is known in closed form."""

    time_unit = "h"
    a = wb.Parameter("mg", prior=wb.prior.Normal(mu=1.0, sigma=2.0))
    b = wb.Parameter("mg/h", prior=wb.prior.Normal(mu=0.0, sigma=0.5))
    s = wb.Input("h")
    y = wb.Output("mg", noise=wb.noise.Normal(sigma=0.7))

    def observe(self, t, x, u, p):
        return {"y": p.a + p.b * u.s}


class Blind(wb.Static):
    """Only the product of k and area is seen; a third parameter acts below what readings resolve."""

    time_unit = "h"
    k = wb.Parameter("W/m**2", prior=wb.prior.LogNormal(median=2.0, sigma=0.5))
    area = wb.Parameter("m**2", prior=wb.prior.LogNormal(median=3.0, sigma=0.5))
    faint = wb.Parameter("W", prior=wb.prior.Normal(mu=0.0, sigma=1.0))
    s = wb.Input("1")
    y = wb.Output("W", noise=wb.noise.Normal(sigma=wb.prior.HalfNormal(1.0)))

    def observe(self, t, x, u, p):
        return {"y": p.k * p.area * u.s + 1e-4 * p.faint}


SLOPE = {"s": {0.0: 0.0, 5.0: 5.0}}


def line_data() -> xr.Dataset:
    noise = np.random.default_rng(4).normal(size=TIMES.size)
    return xr.Dataset({"y": ("time", 2.0 - 0.4 * TIMES + 0.7 * noise)}, {"time": TIMES})


@pytest.fixture(scope="module")
def line() -> wb.Calibration:
    return wb.calibrate(Line(), line_data(), inputs=SLOPE, draws=2000, tune=500, seed=1, progress=False)


@pytest.fixture(scope="module")
def blind() -> wb.Calibration:
    data = xr.Dataset({"y": ("time", 6.0 * TIMES + np.random.default_rng(1).normal(size=TIMES.size))}, {"time": TIMES})
    return wb.calibrate(Blind(), data, inputs=SLOPE, draws=500, tune=500, seed=2, progress=False)


def line_posterior() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the information of the readings, and mean and covariance of the posterior, on the parameters' own scales."""
    design = np.stack([np.ones_like(TIMES), TIMES], axis=1)
    information = design.T @ design / 0.7**2
    prior = np.diag([2.0**-2, 0.5**-2])
    covariance = np.linalg.inv(information + prior)
    mean = covariance @ (design.T @ line_data().y.values / 0.7**2 + prior @ [1.0, 0.0])
    return information, mean, covariance


def test_information_and_posterior_of_a_line_in_closed_form():
    found = wb.identify(Line(), TIMES, inputs=SLOPE)
    information, _, covariance = line_posterior()
    scale = np.outer([2.0, 0.5], [2.0, 0.5])
    assert found.information.shape[1:] == (2, 2)
    np.testing.assert_allclose(
        found.information, np.broadcast_to(information * scale, found.information.shape), rtol=1e-9
    )
    ratio = np.sqrt(np.diag(covariance)) / [2.0, 0.5]
    np.testing.assert_allclose(found.table["sd_ratio"], ratio, rtol=1e-9)
    np.testing.assert_allclose(found.table["sd_ratio_alone"], 1 / np.sqrt(1 + np.diag(information * scale)), rtol=1e-9)
    assert list(found.table["units"]) == ["mg", "mg/h"]


def test_contraction_of_a_line_is_that_of_the_closed_form(line):
    _, _, covariance = line_posterior()
    expected = 1 - np.diag(covariance) / [4.0, 0.25]
    table = line.identify().table
    error = 4 * np.sqrt(2 / 2000) * (1 - expected)  # four standard errors of a variance from 2000 independent draws
    assert (np.abs(table["contraction"] - expected) < error).all()
    rho = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
    assert table["correlation"]["a"] == pytest.approx(rho, abs=0.03)
    assert table["partner"]["a"] == "b"


def test_profile_of_a_line_is_that_of_least_squares(line):
    information, _, _ = line_posterior()
    best = np.linalg.lstsq(np.stack([np.ones_like(TIMES), TIMES], axis=1), line_data().y.values, rcond=None)[0]
    half = np.sqrt(scipy.stats.chi2.ppf(0.89, 1) * np.diag(np.linalg.inv(information)))
    found = line.identify(profiles=True)
    for k, name in enumerate(("a", "b")):
        profile = found.profiles[name]
        np.testing.assert_allclose(profile.interval, [best[k] - half[k], best[k] + half[k]], atol=2e-3 * half[k])
        parabola = -0.5 * ((profile.values - best[k]) / half[k]) ** 2 * scipy.stats.chi2.ppf(0.89, 1)
        np.testing.assert_allclose(profile.drop, parabola, atol=1e-6)
        assert found.table.loc[name, "profile89_lb"] == profile.interval[0]
    assert profile.closed == (True, True)
