"""Calibration of models with process noise, and what follows from it: forecasts, the card, new units, studies."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import xarray as xr
from noisy_models import FED, Ornstein, Tanks, ornstein, tanks
from test_filter_likelihood import dense_ornstein

import workbench as wb
from workbench.base.errors import DataError, ParameterError
from workbench.calibrate.calibration import Calibration
from workbench.calibrate.filtered.walks import walked_data
from workbench.calibrate.predict import studies, theta_of
from workbench.calibrate.problem import pose


@pytest.fixture(scope="module")
def calibration():
    return wb.calibrate(Ornstein, ornstein(1), draws=750, tune=500, seed=1, progress=False)


def test_posterior_is_that_of_the_exact_gaussian_process(calibration):
    """The exact density at the draws is that which was sampled, but for a thousandth."""
    posterior, data = calibration.posterior, ornstein(1)
    times, y = data.time.values[1:], data.y.values[1:]
    names = {"rate": "rate", "target": "target", "sigma": "x_noise", "noise": "y_sigma"}
    draws = {key: posterior[name].values.ravel() for key, name in names.items()}
    exact = np.array([
        dense_ornstein(times, y, **dict(zip(draws, values, strict=True)))
        for values in zip(*(v[::10] for v in draws.values()), strict=True)
    ])  # fmt: skip
    ours = calibration.tree["log_likelihood"]["y"].sum("y_sample").values.ravel()[::10]
    assert ours == pytest.approx(exact, abs=1e-3)
    assert not calibration.trust.doubts


def test_card_judges_innovations(calibration):
    """At the truth the probabilities of less than each reading, given those before it, are uniform."""
    middle = np.median(calibration.tree["pit"]["y"].values.reshape(-1, 60), axis=0)
    assert scipy.stats.kstest(middle, "uniform").pvalue > 0.01
    assert abs(np.corrcoef(middle[1:], middle[:-1])[0, 1]) < 0.3
    fit = next(gate for gate in calibration.trust.gates if gate.name == "predictive fit")
    assert fit.verdict == "passed"


def test_noise_that_is_too_small_is_seen_by_the_card():
    class Still(Ornstein):
        x = wb.State("1", start=0.0, noise=0.02)
        y = wb.Output("1", noise=wb.noise.Normal(sigma=0.1))

    wrong = wb.calibrate(Still, ornstein(1), draws=200, tune=300, seed=1, progress=False)
    assert next(gate for gate in wrong.trust.gates if gate.name == "predictive fit").verdict == "failed"


def test_forecast_goes_on_from_the_filter(calibration):
    """Moments of the exact conditional law, mixed over the draws; later the stationary law."""
    data, posterior = ornstein(1), calibration.posterior
    times, y = data.time.values[1:], data.y.values[1:]
    ahead = times[-1] + np.array([0.0, 0.5, 2.0, 30.0])
    made = wb.forecast(calibration, ahead, seed=3)
    every = np.concatenate([times, ahead])
    means, variances = [], []
    draws = [posterior[n].values.ravel()[::15] for n in ("rate", "target", "x_noise", "y_sigma")]
    for rate, target, sigma, noise in zip(*draws, strict=True):
        s, t = np.minimum.outer(every, every), np.maximum.outer(every, every)
        K = sigma**2 / (2 * rate) * (np.exp(-rate * (t - s)) - np.exp(-rate * (t + s)))
        n, centre = times.size, target * (1 - np.exp(-rate * every))
        gain = np.linalg.solve(K[:n, :n] + noise**2 * np.eye(n), K[:n, n:]).T
        means.append(centre[n:] + gain @ (y - centre[:n]))
        variances.append(np.diag(K[n:, n:] - gain @ K[:n, n:]))
    mean, sd = np.mean(means, axis=0), np.sqrt(np.mean(variances, axis=0) + np.var(means, axis=0))
    found = made.x.stack(s=("chain", "draw"))
    assert found.mean("s").values == pytest.approx(mean, abs=0.05)
    assert found.std("s").values == pytest.approx(sd, rel=0.06)
    read = made.y.stack(s=("chain", "draw"))
    assert (read - found).std("s").values == pytest.approx(np.sqrt(np.mean(draws[3] ** 2)), rel=0.06)
    assert made.identical(wb.forecast(calibration, ahead, seed=3))


def test_forecast_inside_the_data_is_refused(calibration):
    with pytest.raises(DataError, match=r"times: got 1 h; expected times from the last of the data on"):
        wb.forecast(calibration, [1.0, 50.0])


def test_saved_calibration_goes_on_alike(calibration, tmp_path):
    calibration.save(tmp_path / "a.nc")
    again = Calibration.open(tmp_path / "a.nc", Ornstein)
    assert wb.forecast(again, [41.0], seed=1).y.values == pytest.approx(
        wb.forecast(calibration, [41.0], seed=1).y.values
    )


def test_studies_are_walks_of_the_process():
    """Simulated studies have the process's covariance, and differ among units."""
    table = [ornstein(s, 12).to_dataframe().reset_index().assign(unit=name) for s, name in ((3, "a"), (4, "b"))]
    problem = pose(Ornstein(), pd.concat(table))
    values = {"rate": 0.5, "target": 1.5, "x_noise": 0.6, "y_sigma": 0.2}
    draws = {n: np.full((1, 4000), v) for n, v in values.items()}
    made = walked_data(problem, theta_of(problem, draws), np.random.default_rng(1)).outputs[..., 0]
    for k in range(2):
        rows = slice(problem.rows[k] + 1, problem.rows[k + 1])
        t = problem.observations.time[rows]
        early, late = np.minimum.outer(t, t), np.maximum.outer(t, t)
        K = 0.36 * (np.exp(-0.5 * (late - early)) - np.exp(-0.5 * (late + early)))
        assert np.cov(made[:, rows].T) == pytest.approx(K, abs=0.03)
        assert made[:, rows].mean(axis=0) == pytest.approx(1.5 * (1 - np.exp(-0.5 * t)), abs=0.04)
    assert abs(np.corrcoef(made[:, 12], made[:, -1])[0, 1]) < 0.05
    read = studies(problem, draws, np.random.default_rng(1))["y"][0]
    assert np.std(read[:, 12]) ** 2 == pytest.approx(np.var(made[:, 12]) + 0.04, rel=0.08)


def test_prior_check_simulates_the_process():
    assert wb.check_prior(Ornstein, ornstein(1), seed=1).passed
    assert not wb.check_prior(Ornstein, ornstein(1) * 30, seed=1).passed


def test_new_unit_is_weighed_by_its_filter():
    """A unit's own target, from its readings: as in a calibration of all units together."""
    table = pd.concat([ornstein(s, 15).to_dataframe().reset_index().assign(unit=f"u{s}") for s in range(4)])
    pool = {"target": "partial"}
    fleet = wb.calibrate(Ornstein, table[table.unit != "u3"], pool=pool, seed=1, draws=500, tune=500, progress=False)
    whole = wb.calibrate(Ornstein, table, pool=pool, seed=1, draws=500, tune=500, progress=False)
    fresh = fleet.new_unit(table[table.unit == "u3"].drop(columns="unit"), seed=1)
    known = whole.posterior["target"].sel(unit="u3")
    assert float(fresh.target.mean()) == pytest.approx(float(known.mean()), abs=0.3 * float(known.std()))
    assert float(fresh.target.std()) == pytest.approx(float(known.std()), rel=0.25)


def test_information_before_data_is_refused():
    with pytest.raises(ParameterError, match=r"got process noise; expected none"):
        wb.identify(Ornstein, ornstein(1, 10))


def test_one_step_ahead_of_a_nonlinear_model():
    """Every row has a prediction, of its own noise, also where nothing was read."""
    cal = wb.calibrate(Tanks, tanks(), inputs=FED, draws=100, tune=200, chains=2, seed=1, progress=False)
    predicted = cal.tree["posterior_predictive"]
    assert np.isfinite(predicted["first"].values).all()
    assert (predicted["first"].values > 0).all()
    assert np.isfinite(predicted["last"].values).all()
    ahead = wb.forecast(cal, [8.0, 9.0], inputs={"feed": {0.0: 1.0, 9.0: 0.5}}, seed=1)
    assert np.isfinite(ahead["c"].values).all()
    assert isinstance(cal.posterior["a_noise"], xr.DataArray)


@pytest.mark.slow
def test_ranks_of_simulated_studies_are_uniform():
    """Simulation-based calibration of a linear model, whose likelihood is exact."""
    found = wb.sbc(Ornstein, ornstein(1, 20), n=200, seed=1, progress=False)
    assert found.gate.verdict == "passed", str(found)
