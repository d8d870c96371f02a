"""Leave-one-out comparison of straight lines, against closed forms and what must be refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.optimize
import scipy.stats
import xarray as xr

import workbench as wb
from workbench.base.errors import DataError
from workbench.calibrate.calibration import Calibration
from workbench.calibrate.trust.compare import ALIKE, compare, stacking
from workbench.calibrate.trust.leave_out import leave_one_out

SIGMA, PRIOR = 0.5, 3.0
X = np.linspace(-1.0, 1.0, 25)
Y = 1.0 + 0.8 * X + SIGMA * np.random.default_rng(4).normal(size=X.size)
DATA = pd.DataFrame({"y": Y})


class Level(wb.Static):
    """Always the same."""

    a = wb.Parameter("1", prior=wb.prior.Normal(mu=0.0, sigma=PRIOR))
    y = wb.Output("1", noise=wb.noise.Normal(sigma=SIGMA))

    def observe(self, t, x, u, p):
        return {"y": p.a}


class Line(wb.Static):
    """A slope as well."""

    a = wb.Parameter("1", prior=wb.prior.Normal(mu=0.0, sigma=PRIOR))
    b = wb.Parameter("1", prior=wb.prior.Normal(mu=0.0, sigma=PRIOR))
    x = wb.Input("1")
    y = wb.Output("1", noise=wb.noise.Normal(sigma=SIGMA))

    def observe(self, t, x, u, p):
        return {"y": p.a + p.b * u.x}


@pytest.fixture(scope="module")
def level() -> Calibration:
    return wb.calibrate(Level, DATA, draws=1000, tune=400, seed=1, progress=False)


@pytest.fixture(scope="module")
def line() -> Calibration:
    return wb.calibrate(Line, DATA, inputs={"x": pd.Series(X)}, draws=1000, tune=400, seed=1, progress=False)


def exact(design, *, without=True):
    """Return log p(y_i | the others), or given all, of a linear model with normal priors and a known sigma."""
    found = []
    for i in range(Y.size):
        others = np.delete(np.arange(Y.size), i if without else [])
        precision = design[others].T @ design[others] / SIGMA**2 + np.eye(design.shape[1]) / PRIOR**2
        mean = np.linalg.solve(precision, design[others].T @ Y[others] / SIGMA**2)
        spread = np.sqrt(SIGMA**2 + design[i] @ np.linalg.solve(precision, design[i]))
        found.append(scipy.stats.norm(design[i] @ mean, spread).logpdf(Y[i]))
    return np.array(found)


def test_the_table_is_that_of_closed_forms(level, line):
    table = compare({"level": level, "line": line})
    designs = {"level": np.ones((Y.size, 1)), "line": np.stack([np.ones(Y.size), X], axis=1)}
    wanted = {name: exact(design) for name, design in designs.items()}
    assert list(table.index) == ["line", "level"]
    for name, each in wanted.items():
        assert table.loc[name, "elpd"] == pytest.approx(each.sum(), abs=0.1)
        assert table.loc[name, "se"] == pytest.approx(each.std(ddof=1) * np.sqrt(Y.size), abs=0.1)
        more = exact(designs[name], without=False) - each
        assert table.loc[name, "effective_parameters"] == pytest.approx(more.sum(), abs=0.1)
        assert table.loc[name, "largest_pareto_k"] < 0.7
        assert table.loc[name, "unreliable"] == 0
    difference = wanted["level"] - wanted["line"]
    assert difference.sum() < -ALIKE
    assert table.loc["level", "difference"] == pytest.approx(difference.sum(), abs=0.15)
    assert table.loc["level", "difference_se"] == pytest.approx(difference.std(ddof=1) * np.sqrt(Y.size), abs=0.1)
    assert table.loc["line", "difference"] == 0.0
    assert table["weight"].sum() == pytest.approx(1.0)
    assert table.loc["line", "weight"] > 0.8
    assert "25 readings: the standard error is rough" in table.loc["level", "note"]
    assert table.loc["line", "verdict"] == (line.trust.reason or "ok")
    alike = compare({"one": line, "again": line})
    assert alike["note"].tolist() == ["", "predicts about as well as the best"]


def changed(calibration, group, dataset) -> Calibration:
    groups = {node.path: node.to_dataset() for node in calibration.tree.subtree} | {f"/{group}": dataset}
    return replace(calibration, tree=xr.DataTree.from_dict(groups))


def test_weights_are_those_of_the_best_mixture():
    rng = np.random.default_rng(2)
    densities = np.stack([rng.normal(0, 1, 60), rng.normal(0.1, 1, 60), rng.normal(-3, 0.1, 60)]) - 800.0
    shares = np.exp(densities + 800.0)

    def loss(z):
        weights = np.exp(z) / np.exp(z).sum()
        return -np.log(weights @ shares).sum()

    best = scipy.optimize.minimize(loss, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12})
    wanted = np.exp(best.x) / np.exp(best.x).sum()
    np.testing.assert_allclose(stacking(densities), wanted, atol=1e-4)
    np.testing.assert_allclose(stacking(np.stack([densities[0], densities[0] - 2000.0])), [1.0, 0.0])


def test_a_reading_that_weighs_too_much_is_counted(line):
    density = line.tree["log_likelihood"].to_dataset()
    heavy = 40 * np.random.default_rng(1).standard_cauchy(density["y"].shape[:2])
    density["y"][:, :, 3] = -np.abs(heavy)
    table = compare({"line": line, "heavy": changed(line, "log_likelihood", density)})
    assert table.loc["heavy", "unreliable"] == 1
    assert "weigh too much" in table.loc["heavy", "note"]


def test_what_cannot_be_compared_is_refused(level, line):
    seen, density = line.tree["observed_data"].to_dataset(), line.tree["log_likelihood"].to_dataset()
    lasting = density.copy()
    lasting["y"].attrs["comment"] = "of each reading given those before it"
    bare = Calibration(xr.DataTree.from_dict({"posterior": line.posterior}))
    mistakes = {
        "different readings of 'y'": changed(line, "observed_data", seen + 1.0),
        "expected one unit": changed(line, "observed_data", seen.assign(y=seen["y"].assign_attrs(units="mg"))),
        "expected the same outputs": changed(line, "observed_data", seen.rename(y="z")),
        "last from reading to reading": changed(line, "log_likelihood", lasting),
        "not both with log densities": bare,
        "expected a calibration": line.tree,
    }
    for words, wrong in mistakes.items():
        with pytest.raises(DataError, match=words):
            compare({"level": level, "wrong": wrong})
    with pytest.raises(DataError, match="at least two"):
        compare({"level": level})


def test_readings_that_no_parameter_can_move_are_scored_as_they_are():
    """An output that is known before (a deflection without a load) beside one that is not."""
    rng = np.random.default_rng(0)
    density = rng.normal(-1.0, 0.3, size=(2, 400, 6))
    posterior = xr.Dataset({"a": (("chain", "draw"), rng.normal(size=(2, 400)))}, {"chain": [0, 1], "draw": range(400)})
    alone = leave_one_out(posterior, density[..., :4])
    density[..., 4:] = [-0.7, -2.0]
    both = leave_one_out(posterior, density)
    np.testing.assert_allclose(both.each, [*alone.each, -0.7, -2.0], rtol=1e-12)
    assert (both.effective, both.good_k, both.unreliable) == (alone.effective, alone.good_k, alone.unreliable)
    known = leave_one_out(posterior, density[..., 4:])
    assert (known.elpd, known.effective) == (pytest.approx(-2.7), 0.0)
