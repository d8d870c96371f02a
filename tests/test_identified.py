"""Identifiability after data: against closed forms, SciPy's optimisation, ArviZ, and models that hide parameters."""

import time

import arviz_stats
import numpy as np
import pytest
import scipy.optimize
import scipy.stats
import xarray as xr
from blackboxes import Growth
from calibrations import levels, lynx_hare, lynx_hare_log_density
from test_identify import SLOPE, TIMES, Blind, Line, Wide

import workbench as wb
from workbench.base.errors import ParameterError
from workbench.calibrate.calibration import MASS, Calibration
from workbench.calibrate.identify.directions import Spectrum
from workbench.calibrate.identify.identify import _held_out, gate
from workbench.calibrate.identify.normal_scores import NormalScores
from workbench.calibrate.problem import pose
from workbench.declare.prior import make
from workbench.report.identifiability import identifiability

LYNX_PRIORS = {
    "alpha": scipy.stats.truncnorm(-2, np.inf, 1, 0.5),
    "beta": scipy.stats.truncnorm(-1, np.inf, 0.05, 0.05),
    "gamma": scipy.stats.truncnorm(-2, np.inf, 1, 0.5),
    "delta": scipy.stats.truncnorm(-1, np.inf, 0.05, 0.05),
    "hare_start": scipy.stats.lognorm(1, scale=10),
    "lynx_start": scipy.stats.lognorm(1, scale=10),
    "hare_pelts_sigma": scipy.stats.lognorm(1, scale=np.exp(-1)),
    "lynx_pelts_sigma": scipy.stats.lognorm(1, scale=np.exp(-1)),
}


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
    """Return the information of the readings, and mean and covariance of the posterior, on their own scales."""
    design = np.stack([np.ones_like(TIMES), TIMES], axis=1)
    information = design.T @ design / 0.7**2
    prior = np.diag([2.0**-2, 0.5**-2])
    covariance = np.linalg.inv(information + prior)
    mean = covariance @ (design.T @ line_data().y.values / 0.7**2 + prior @ [1.0, 0.0])
    return information, mean, covariance


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


def test_profile_of_lynx_and_hare_is_that_of_scipys_equations_and_optimiser():
    profile = lynx_hare().identify(profiles=["gamma"]).profiles["gamma"]
    best = {name: float(lynx_hare().posterior[name].mean()) for name in LYNX_PRIORS}
    names = [name for name in best if name != "gamma"]

    def lost(logs, gamma):
        values = dict(zip([*names, "gamma"], [*np.exp(logs), gamma], strict=False))
        priors = sum(law.logpdf(values[name]) for name, law in LYNX_PRIORS.items())
        return priors - lynx_hare_log_density(values).real

    def lowest(gamma):
        free = names if gamma is not None else [*names, "gamma"]
        start = np.log([best[name] for name in free])
        draws = np.log([lynx_hare().posterior[name].values.ravel() for name in free])
        options = {"gtol": 1e-3, "hess_inv0": np.cov(draws)}
        return scipy.optimize.minimize(lost, start, args=(gamma,), method="BFGS", options=options).fun

    end = profile.interval[1]
    assert lowest(end) - lowest(None) == pytest.approx(0.5 * scipy.stats.chi2.ppf(MASS, 1), abs=5e-3)


def test_contraction_of_lynx_and_hare_is_that_of_the_unconstrained_scale():
    made = lynx_hare()
    start = time.process_time()
    table = made.identify().table
    assert time.process_time() - start < 1.0
    draws = np.log(lynx_hare().posterior["hare_start"].values)
    assert table["contraction"]["hare_start"] == pytest.approx(1 - draws.var(), abs=1e-3)
    assert (table["verdict"] == "seen").all()
    assert table["partner"]["alpha"] == "gamma"
    assert table["correlation"]["alpha"] < -0.9


def test_power_scaling_is_that_of_arviz_with_priors_by_scipy():
    posterior = lynx_hare().posterior
    prior = {name: (("chain", "draw"), law.logpdf(posterior[name].values)) for name, law in LYNX_PRIORS.items()}
    groups = {"posterior": posterior, "log_prior": xr.Dataset(prior, posterior.coords)}
    tree = xr.DataTree.from_dict({**groups, "log_likelihood": lynx_hare().tree["log_likelihood"].to_dataset()})
    expected = arviz_stats.psense_summary(tree)
    table = lynx_hare().identify().table
    for ours, theirs in (("prior_sensitivity", "prior"), ("likelihood_sensitivity", "likelihood")):
        np.testing.assert_allclose(table[ours], expected.loc[table.index, theirs], atol=6e-4)


def test_good_calibrations_pass():
    for calibration in (lynx_hare(), levels()):
        found = gate(calibration)
        assert found.verdict == "passed"
        assert found.figure > 0.8
    assert "x_start_pop" in gate(levels()).says
    assert list(levels().identify().table.index) == ["x_start_pop", "x_start_sd"]


def test_what_data_cannot_see_fails_with_its_name(blind):
    found = gate(blind)
    assert found.verdict == "failed"
    assert found.figure < found.threshold
    assert "'faint' by itself is not seen" in found.says
    assert "only the product" in found.says
    assert "posterior correlation -1.00" in found.says
    assert "fix one part by value=" in found.says
    table = blind.identify().table
    assert table["verdict"].to_dict() == {
        "k": "only in combination with 'area'",
        "area": "only in combination with 'k'",
        "faint": "not seen",
        "y_sigma": "seen",
    }


def test_profiles_of_what_data_cannot_see_have_no_ends(blind):
    found = blind.identify(profiles=True)
    assert {name: p.closed for name, p in found.profiles.items()} == {
        "k": (False, False),
        "area": (False, False),
        "faint": (False, False),
        "y_sigma": (True, True),
    }
    assert found.profiles["k"].interval == (0.0, np.inf)
    assert np.abs(found.profiles["k"].drop).max() < 1e-3
    assert found.table["profile89_ub"]["faint"] == np.inf
    assert "profile89_lb" in found.table


class Biased(wb.Static):
    """A temperature by a sensor whose bias is known to 0.1 K: nobody hopes to see the bias."""

    a = wb.Parameter("K", prior=wb.prior.Normal(mu=0.0, sigma=5.0))
    y = wb.Output("K", noise=wb.noise.Normal(sigma=0.2), bias=wb.prior.Normal(mu=0.0, sigma=0.1))

    def observe(self, t, x, u, p):
        return {"y": p.a}


def test_a_bias_that_is_there_to_be_averaged_over_fails_nothing():
    data = xr.Dataset({"y": ("time", 3.0 + 0.2 * np.random.default_rng(0).normal(size=20))}, {"time": np.arange(20.0)})
    made = wb.calibrate(Biased(), data, draws=500, tune=500, seed=1, progress=False)
    assert gate(made).verdict == "passed"
    table = made.identify().table
    assert table["verdict"].to_dict() == {"a": "seen", "y_bias": "not seen"}
    assert table["partner"]["a"] == "y_bias"


def test_a_flat_prior_has_no_contraction_and_no_say():
    data = xr.Dataset({"y": ("time", [1.0, 2.0, 1.5])}, {"time": [0.0, 1.0, 2.0]})
    made = wb.calibrate(Wide(), data, draws=200, tune=200, seed=1, progress=False)
    assert gate(made).verdict == "not run"
    (row,) = made.identify().table.to_dict("records")
    assert np.isnan(row["contraction"])
    assert row["prior_sensitivity"] == 0.0
    assert row["verdict"] == "seen"


def test_without_its_model_the_gate_is_not_run():
    alone = Calibration(lynx_hare().tree)
    assert gate(alone).verdict == "not run"
    with pytest.raises(ParameterError, match=r"Calibration\.open\(path, model\)"):
        alone.identify()


def test_a_direction_found_by_chance_is_not_taken_for_wide():
    scores = np.sqrt(0.5) * np.random.default_rng(0).normal(size=(4, 200, 100))
    assert Spectrum.of(np.cov(scores.reshape(-1, 100).T)).contraction[0] < 0.2  # of 100 directions the widest of these
    assert _held_out(scores) == pytest.approx(0.5, abs=0.06)


def test_a_posterior_at_the_end_of_a_support_counts_as_seen():
    prior = make("HalfNormal", 1.0)
    draws = np.abs(0.01 * np.random.default_rng(0).normal(size=4000))  # the data say: nearly none
    assert np.log(draws).var() == pytest.approx(np.log(100 * draws).var())  # on the log scale nothing was learned
    assert NormalScores(prior).scores(draws).var() < 0.2


def test_bad_wishes_are_said(line):
    with pytest.raises(ParameterError, match="did you mean 'a'"):
        line.identify(profiles=["aa"])
    data = xr.Dataset({"count": ("time", [5.0, 20.0, 60.0])}, {"time": [0.0, 4.0, 8.0]})
    simulator = Calibration(lynx_hare().tree, None, pose(Growth(), data))
    from workbench.calibrate.identify.profile import profile_likelihoods

    with pytest.raises(ParameterError, match="no gradient to climb by"):
        profile_likelihoods(simulator, [])


def test_figure_after_data(blind):
    fig = identifiability(blind.identify(profiles=["k", "y_sigma"]))
    panels = [ax for part in (fig.subfigs[0], fig.subfigs[1]) for ax in part.axes]
    assert [t.get_text() for t in panels[0].get_yticklabels()] == ["k", "area", "faint", "y_sigma"]
    shown = [f"{100 * max(c, 0):.0f}%" for c in blind.identify().table["contraction"]]
    assert [t.get_text() for t in panels[0].texts] == [*shown, "contraction"]
    assert panels[2].get_xlabel() == "k (W/m²)"
    assert identifiability(blind.identify()).axes[0].get_xlabel().startswith("score under the prior")
