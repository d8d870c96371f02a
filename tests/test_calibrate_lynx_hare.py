"""The posterior of Hudson Bay's lynx and hare is the published one, and its tree holds all that ArviZ reads."""

import arviz as az
import numpy as np
import pytest
import scipy.stats
from calibrations import REFERENCE, lynx_hare, lynx_hare_data, sensors, sensors_data
from models import LynxHare

import workbench as wb


def test_means_and_sds_are_the_reference():
    posterior = lynx_hare().posterior
    assert set(posterior.data_vars) == set(REFERENCE)
    for name, (mean, sd) in REFERENCE.items():
        draws = posterior[name]
        assert abs(float(draws.mean()) - mean) < 0.1 * sd, name
        assert float(draws.std(ddof=1)) == pytest.approx(sd, rel=0.1), name


def test_it_can_be_trusted():
    calibration = lynx_hare()
    assert calibration.trust.passed, str(calibration.trust)
    assert set(calibration.summary()["verdict"]) == {"ok"}
    assert (az.rhat(calibration.posterior).to_dataarray() < 1.01).all()


def test_the_summary_agrees_with_arviz():
    calibration = lynx_hare()
    own, theirs = calibration.summary(), az.summary(calibration.tree, round_to="none")
    assert list(own.index) == list(theirs.index)
    for column in ("mean", "sd", "eti89_lb", "eti89_ub", "ess_bulk", "ess_tail", "r_hat"):
        np.testing.assert_allclose(own[column], theirs[column].astype(float), rtol=1e-6, err_msg=column)


def test_groups_dims_and_units():
    tree = lynx_hare().tree
    assert set(tree.children) == {
        "posterior",
        "sample_stats",
        "posterior_predictive",
        "log_likelihood",
        "pit",
        "observed_data",
    }
    assert tree["posterior"].sizes == {"chain": 4, "draw": 2000}
    for group in ("posterior_predictive", "log_likelihood"):
        assert set(tree[group].data_vars) == {"hare_pelts", "lynx_pelts"}
        assert tree[group]["hare_pelts"].dims == ("chain", "draw", "time")
    for name, unit in {"alpha": "1/year", "hare_start": "1", "lynx_pelts_sigma": "1"}.items():
        assert tree["posterior"][name].attrs["units"] == unit
        assert tree["posterior"][name].attrs["long_name"]
    assert tree["observed_data"]["time"].attrs["units"] == "year"
    np.testing.assert_array_equal(tree["observed_data"]["hare_pelts"], lynx_hare_data()["hare_pelts"])
    statistics = tree["sample_stats"].to_dataset()
    assert {"diverging", "tree_depth", "n_steps", "step_size", "energy", "lp", "acceptance_rate"} <= set(statistics)
    assert {v.dims for v in statistics.values()} == {("chain", "draw")}
    assert 0.6 < float(statistics["acceptance_rate"].mean()) <= 1.0


def test_what_is_recorded():
    attrs = lynx_hare().posterior.attrs
    assert attrs["model"] == "LynxHare"
    assert (attrs["seed"], attrs["draws_asked"], attrs["tune"], attrs["interrupted"]) == (1, 2000, 1000, 0)
    assert attrs["sampling_time"] > 0
    assert attrs["compile_time"] > 0
    assert attrs["failed_evaluations"] >= 0
    assert attrs["climbed_to"][0] == attrs["start_log_density"] == max(attrs["climbed_to"])


def test_log_likelihoods_by_scipy():
    calibration = lynx_hare()
    draws = calibration.posterior.isel(draw=slice(0, 2000, 400))
    curves = wb.simulate(LynxHare(), lynx_hare_data().time.values, parameters=draws)
    for name in ("hare_pelts", "lynx_pelts"):
        law = scipy.stats.lognorm(draws[f"{name}_sigma"].values[..., None], scale=curves[name].values)
        found = calibration.tree["log_likelihood"][name].isel(draw=slice(0, 2000, 400))
        np.testing.assert_allclose(found, law.logpdf(lynx_hare_data()[name].values), rtol=1e-6, atol=1e-7)


def test_the_density_of_the_draws_is_prior_times_likelihood():
    """`lp` is on the unconstrained scale: what is left after the likelihood is the prior and the jacobian."""
    from calibrations import lynx_hare_log_density

    calibration = lynx_hare()
    draws = calibration.posterior.isel(chain=0, draw=[5, 500])
    for k in range(2):
        values = {str(n): float(v[k]) for n, v in draws.data_vars.items()}
        expected = lynx_hare_log_density(values).real + sum(np.log(v) for v in values.values())
        found = float(calibration.tree["sample_stats"]["lp"].isel(chain=0, draw=[5, 500][k]))
        assert found == pytest.approx(expected, abs=1e-3)


def test_the_posterior_predictive_covers_the_data():
    predictive = lynx_hare().tree["posterior_predictive"].to_dataset()
    data = lynx_hare_data()
    for name in ("hare_pelts", "lynx_pelts"):
        low, high = predictive[name].quantile([0.055, 0.945], ["chain", "draw"])
        inside = ((data[name] >= low) & (data[name] <= high)).mean()
        assert 0.75 <= float(inside) <= 1.0
        # each draw is a reading of its own curve: the scatter about it is the noise's
        curves = wb.simulate(LynxHare(), data.time.values, parameters=lynx_hare().posterior.isel(draw=slice(0, 200)))
        scatter = np.log(predictive[name].isel(draw=slice(0, 200)) / curves[name])
        scaled = scatter / lynx_hare().posterior[f"{name}_sigma"].isel(draw=slice(0, 200))
        assert float(scaled.std()) == pytest.approx(1.0, rel=0.03)
        assert abs(float(scaled.mean())) < 4.5 / np.sqrt(scaled.size)


@pytest.mark.filterwarnings("ignore:Estimated shape parameter of Pareto")
def test_arviz_reads_the_tree():
    tree = lynx_hare().tree
    for name in ("hare_pelts", "lynx_pelts"):
        loo = az.loo(tree, var_name=name)
        assert -120 < loo.elpd < -50
        assert loo.p > 0
    assert az.ess(tree["posterior"].to_dataset())["alpha"] > 400
    assert set(az.hdi(tree).data_vars) == set(REFERENCE)


@pytest.mark.filterwarnings("ignore:Estimated shape parameter of Pareto")
def test_gaps_keep_their_places():
    calibration = sensors()
    tree, data = calibration.tree, sensors_data()
    for name in data:
        np.testing.assert_array_equal(tree["observed_data"][name], data[name])
        assert tree["posterior_predictive"][name].dims == ("chain", "draw", "time")
        assert np.isfinite(tree["posterior_predictive"][name]).all()
        known = data["time"][~np.isnan(data[name])]
        density = tree["log_likelihood"][name]
        dim = "time" if known.size == data.sizes["time"] else f"{name}_sample"
        assert density.dims == ("chain", "draw", dim)
        np.testing.assert_array_equal(density["time" if dim == "time" else f"{name}_time"], known)
        x = 1 / (1 / calibration.posterior["x_start"] - calibration.posterior["a"] * known)
        laws = {
            "additive": lambda x: scipy.stats.norm(x, calibration.posterior["additive_sigma"].values[..., None]).logpdf,
            "relative": lambda x: scipy.stats.lognorm(0.2, scale=x).logpdf,
            "sharp": lambda x: scipy.stats.laplace(x, 0.2).logpdf,
            "counts": lambda x: scipy.stats.poisson(10 * x).logpmf,
        }
        if name in laws:
            expected = laws[name](x.values)(data[name].values[~np.isnan(data[name])])
            np.testing.assert_allclose(density, expected, rtol=1e-3, atol=1e-3)
        assert np.isfinite(density).all()
        assert np.isfinite(az.loo(tree, var_name=name).elpd)
    counts = tree["posterior_predictive"]["counts"]
    assert (counts == np.rint(counts)).all()
    assert (counts >= 0).all()


def test_failed_solves_are_counted_and_leave_draws_that_solve():
    calibration = sensors()
    posterior = calibration.posterior
    assert isinstance(posterior.attrs["failed_evaluations"], int)
    assert all(np.isfinite(v).all() for v in posterior.values())
    assert (1 / posterior["x_start"] > posterior["a"] * float(sensors_data().time.max())).all()
    assert np.isfinite(calibration.tree["sample_stats"]["lp"]).all()


def test_what_is_shown():
    calibration = lynx_hare()
    assert repr(calibration).startswith("Calibration of LynxHare: 4 chains of 2000 draws\n")
    html = calibration._repr_html_()
    assert "Trust card" in html
    assert all(name in html for name in REFERENCE)
