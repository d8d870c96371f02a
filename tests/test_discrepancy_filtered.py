"""Discrepancies of models with process noise: known to the filter by their coefficients, which are sampled."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import xarray as xr
from noisy_models import FED, Ornstein, Tanks, ornstein, tanks
from test_filter_likelihood import by_differences, dense_ornstein, run

import workbench as wb
from workbench.base.errors import DataError
from workbench.calibrate.discrepancy import second
from workbench.calibrate.discrepancy.confounding import shares
from workbench.calibrate.filtered.leftover import quadratic
from workbench.calibrate.filtered.likelihood import innovations
from workbench.calibrate.filtered.plan import filtered
from workbench.calibrate.predict import theta_of
from workbench.calibrate.problem import pose

VALUES = {"rate": 0.5, "target": 1.5, "x_noise": 0.6}


def test_known_discrepancy_of_a_gaussian_process_is_taken_off_its_readings():
    data = ornstein(1)
    problem = pose(Ornstein(), data, discrepancy=wb.Discrepancy("y", length_scale=8.0))
    term = problem.terms["y"]
    weights = 0.3 * np.random.default_rng(3).normal(size=term.basis.size)
    theta = [*(VALUES[n] for n in problem.model.theta), 0.2, *weights]
    density, slopes, _, _ = run(problem, theta)
    times, y = data.time.values[1:], data.y.values[1:]
    delta = (term.features @ weights)[1:]
    given = {"rate": 0.5, "target": 1.5, "sigma": 0.6, "noise": 0.2}
    assert density.sum() == pytest.approx(dense_ornstein(times, y - delta, **given), rel=1e-8)
    assert density.sum() != pytest.approx(dense_ornstein(times, y, **given), rel=1e-2)
    columns = filtered(problem).op.estimated
    assert len(columns) == 4 + weights.size
    for k, column in enumerate(columns):
        assert slopes[:, k].sum() == pytest.approx(by_differences(problem, theta, column), rel=1e-6, abs=1e-6)


def test_each_noise_has_its_discrepancy():
    """It multiplies where readings are positive, and is added elsewhere; errors of a share grow with it."""
    declared = [wb.Discrepancy(name, length_scale=3.0, functions=4) for name in ("first", "flow", "last")]
    problem = pose(Tanks(), tanks(), inputs=FED, discrepancy=declared)
    values = {"k1": 0.25, "k2": 0.5, "k3": 0.4, "shared": 0.15, "a_start": 4.4, "a_noise": 0.3}
    weights = 0.1 * np.random.default_rng(4).normal(size=12)
    theta = [*(values[n] for n in problem.model.theta), 0.12, 0.15, *weights]
    slopes = run(problem, theta)[1]
    columns = filtered(problem).op.estimated
    assert len(columns) == 20
    for k, column in enumerate(columns):
        assert slopes[:, k].sum() == pytest.approx(by_differences(problem, theta, column), rel=1e-6, abs=1e-7)

    # without the output whose errors are a share, readings with the functions taken off have the same density
    data = tanks().drop_vars("flow")
    some = pose(Tanks(), data, inputs=FED, discrepancy=[declared[0], declared[2]])
    deltas = {n: some.terms[n].features @ weights[part] for n, part in (("first", slice(4)), ("last", slice(8, 12)))}
    plain = [*(values[n] for n in problem.model.theta), 0.12]
    ours = run(some, [*plain, *weights[:4], *weights[8:]])[0].sum()
    taken = data.assign(first=data["first"] * np.exp(-deltas["first"]), last=data["last"] - deltas["last"])
    jacobian = deltas["first"][~np.isnan(data["first"].values)].sum()
    assert ours == pytest.approx(run(pose(Tanks(), taken, inputs=FED), plain)[0].sum() - jacobian, rel=1e-8)


def test_errors_of_a_share_grow_with_the_discrepancy():
    """At the first reading, whose start is known: y ~ N(h + delta, (share (h + delta))^2), h + delta twice h."""

    class Share(Ornstein):
        x = wb.State("1", start=2.0, noise=0.1)
        y = wb.Output("1", noise=wb.noise.Proportional(sigma=0.1))

    data = xr.Dataset({"y": ("time", [3.7, 2.0])}, {"time": [0.0, 1.0]})
    problem = pose(Share(), data, discrepancy=wb.Discrepancy("y", length_scale=2.0, functions=3))
    features = problem.terms["y"].features
    weights = features[0] * 2.0 / (features[0] ** 2).sum()
    theta = [*({"rate": 0.5, "target": 1.5}[n] for n in problem.model.theta), *weights]
    assert run(problem, theta)[0][0] == pytest.approx(-0.5 * np.log(2 * np.pi * 0.16) - 0.5 * 0.09 / 0.16, rel=1e-9)


def test_units_share_the_function():
    """And a pass over draws says what the sampled density does."""
    parts = [ornstein(seed, n) for seed, n in ((3, 12), (4, 20))]
    table = pd.concat([d.to_dataframe().reset_index().assign(unit=name) for d, name in zip(parts, "ab", strict=True)])
    problem = pose(Ornstein(), table, discrepancy=wb.Discrepancy("y", length_scale=8.0, sigma=0.5))
    term, rng = problem.terms["y"], np.random.default_rng(5)
    variables = {"y_sigma": np.full((1, 3), 0.2), term.weights: rng.normal(size=(1, 3, term.basis.size))}
    theta = np.broadcast_to([VALUES[n] for n in problem.model.theta], (3, 2, 3))
    found = innovations(problem, theta, variables).log_density["y"].sum(axis=1)
    deltas = term.function(variables, term.features)
    for draw in range(3):
        alone = 0.0
        for part, own in zip(parts, np.split(deltas[draw], problem.rows[1:-1]), strict=True):
            times, y = part.time.values[1:], part.y.values[1:] - own[1:]
            alone += dense_ornstein(times, y, rate=0.5, target=1.5, sigma=0.6, noise=0.2)
        assert found[draw] == pytest.approx(alone, rel=1e-5)


@pytest.fixture(scope="module")
def bent():
    """Readings of a process that an unknown wave bends."""
    data = ornstein(1, 120)
    return data.assign(y=data.y + 1.2 * np.sin(2 * np.pi * data.time / 40.0))


class Known(Ornstein):
    """The process with its target known, so that a wave is none of it."""

    target = wb.Parameter("1", value=1.5)


@pytest.fixture(scope="module")
def calibration(bent):
    declared = wb.Discrepancy("y", length_scale=8.0, span={"time": (0.0, 44.0)})
    return wb.calibrate(Known, bent, discrepancy=declared, draws=600, tune=600, seed=1, progress=False)


def test_posterior_is_that_of_the_exact_gaussian_process(calibration, bent):
    """With the process and the function both Gaussian, the function given the rest has a known mean at the readings."""
    posterior, term = calibration.posterior, calibration.problem.terms["y"]
    variables = {str(n): v.values for n, v in posterior.data_vars.items()}
    ours = term.at_data(variables)[:, 1:]
    times, y = bent.time.values[1:], bent.y.values[1:]
    s, t = np.minimum.outer(times, times), np.maximum.outer(times, times)
    means, variances = [], []
    draws = [posterior[n].values.ravel()[::24] for n in ("rate", "x_noise", "y_sigma", "y_discrepancy_sigma")]
    basis = term.features[1:]
    for rate, sigma, noise, spread in zip(*draws, strict=True):
        amplitudes = term.basis.amplitudes(np.array([spread]), [np.array([8.0])])[0]
        K = (basis * amplitudes**2) @ basis.T
        rest = sigma**2 / (2 * rate) * (np.exp(-rate * (t - s)) - np.exp(-rate * (t + s)))
        rest += noise**2 * np.eye(times.size)
        gain = np.linalg.solve(K + rest, K).T
        means.append(gain @ (y - 1.5 * (1 - np.exp(-rate * times))))
        variances.append(np.diag(K - gain @ K))
    sd = np.sqrt(np.mean(variances, axis=0) + np.var(means, axis=0))
    assert ours.mean(axis=0) == pytest.approx(np.mean(means, axis=0), abs=0.12 * sd.max())
    assert ours.std(axis=0) == pytest.approx(sd, rel=0.12)
    assert float(posterior.attrs.get("failed_evaluations", 0)) == 0
    assert calibration.tree["sample_stats"].diverging.values.mean() < 0.005


def test_forecast_and_card_hold_the_function(calibration, tmp_path):
    made = wb.forecast(calibration, [40.5, 44.0], seed=2, noise=False)
    assert made.y.values == pytest.approx(made.x.values + made.y_discrepancy.values)
    gate = next(g for g in calibration.trust.gates if g.name == "discrepancy")
    found = shares(calibration)
    assert set(found) == {"rate", "x_noise"}  # the sensor's noise is a nuisance
    assert gate.verdict == "passed"
    assert gate.figure == pytest.approx(max(found.values()))
    table = calibration.discrepancy()
    assert table.loc["elpd(y)", "mean"] > table.loc["elpd(y)", "mean_without"] - 2
    path = tmp_path / "bent.nc"
    calibration.save(path)
    from workbench.calibrate.calibration import Calibration

    opened = Calibration.open(path, Known)
    assert wb.forecast(opened, [40.5, 44.0], seed=2, noise=False).identical(made)


@pytest.mark.parametrize("zero_at", [(), (20.0,)])
def test_function_fitted_after_the_parameters_against_a_dense_process(bent, zero_at):
    """SD by quadrature of the exact marginal density, and the function by its exact mean, given the parameters."""
    declared = wb.Discrepancy(
        "y", length_scale=8.0, sigma=wb.prior.HalfNormal(1.0), functions=12, zero_at=zero_at, joint=False
    )
    problem = pose(Known(), bent, discrepancy=declared)
    term, shape = problem.terms["y"], (1, 1500)
    given = {"rate": np.full(shape, 0.5), "x_noise": np.full(shape, 0.6), "y_sigma": np.full(shape, 0.2)}
    made = second.drawn(problem, given, np.random.default_rng(2))
    times, basis = bent.time.values[1:], term.features[1:]
    s, t = np.minimum.outer(times, times), np.maximum.outer(times, times)
    rest = 0.36 * (np.exp(-0.5 * (t - s)) - np.exp(-0.5 * (t + s))) + 0.04 * np.eye(times.size)
    left = bent.y.values[1:] - 1.5 * (1 - np.exp(-0.5 * times))
    grid, logs, means = np.geomspace(1e-3, 6.0, 200), [], []
    for spread in grid:
        scale = term.basis.amplitudes(np.array([spread]), [np.array([8.0])])[0]
        features = basis * scale
        if zero_at:
            anchor = term.basis.functions(np.array([[20.0]]))[0] * scale
            features = features - np.outer(features @ anchor, anchor) / (anchor @ anchor)
        K = features @ features.T
        logs.append(scipy.stats.multivariate_normal(np.zeros(times.size), K + rest).logpdf(left))
        means.append(K @ np.linalg.solve(K + rest, left))
    logs = np.array(logs) + scipy.stats.halfnorm().logpdf(grid) + np.log(grid)
    share = np.exp(logs - logs.max()) / np.exp(logs - logs.max()).sum()
    exact = np.interp([0.1, 0.5, 0.9], np.cumsum(share), grid)
    found = np.mean(made["y_discrepancy_sigma"][0][:, None] < exact, axis=0)
    assert found == pytest.approx([0.1, 0.5, 0.9], abs=4.5 * 0.5 / np.sqrt(1500))
    drawn = term.at_data(made)[:, 1:]
    spread = drawn.std(axis=0)
    assert (np.abs(drawn.mean(axis=0) - share @ np.array(means)) < 5 * spread / np.sqrt(1500) + 1e-3).all()
    if zero_at:
        assert term.function(made, term.basis.functions(np.array([[20.0]]))) == pytest.approx(0.0, abs=1e-9)


def test_a_walk_may_try_any_sd(bent):
    """Beyond 1e8 rounding leaves no factor by Cholesky; the density only falls."""
    problem = pose(Known(), bent, discrepancy=wb.Discrepancy("y", length_scale=8.0, functions=40, joint=False))
    given = {name: np.full((1, 1), value) for name, value in {"rate": 0.5, "x_noise": 0.6, "y_sigma": 0.2}.items()}
    found = quadratic(problem, "y", theta_of(problem, given), given)
    left = second._LeftByFilter(problem, "y", *found)
    every = [
        left._likelihood({"y_discrepancy_sigma": np.array([sd])}, np.array([0]))[0] for sd in (1e2, 1e6, 1e10, 1e14)
    ]
    assert np.isfinite(every).all()
    assert (np.diff(every) < 0).all()


def test_a_calibration_whose_function_comes_after(bent):
    declared = wb.Discrepancy("y", length_scale=8.0, functions=12, joint=False)
    sizes = {"draws": 100, "tune": 300, "seed": 1, "progress": False}
    made, plain = (wb.calibrate(Known, bent, discrepancy=d, **sizes) for d in (declared, None))
    assert made.posterior["rate"].identical(plain.posterior["rate"])
    assert made.posterior["y_sigma"].identical(plain.posterior["y_sigma"])
    assert "y_discrepancy_sigma" in made.posterior
    both = [wb.Discrepancy(name, joint=False) for name in ("first", "last")]
    with pytest.raises(DataError, match=r"got discrepancies of \['first', 'last'\] with joint=False; expected one"):
        pose(Tanks(), tanks(), inputs=FED, discrepancy=both)
