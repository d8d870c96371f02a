"""The gate of predictive fit: how often it alarms where the model is right, and that it alarms where it is wrong."""

from dataclasses import dataclass

import numpy as np
import pytest
import scipy.stats
import xarray as xr
from calibrations import levels, sensors

from workbench.calibrate.trust.fit import ALARM, check, gate
from workbench.calibrate.trust.pits import FEW, Fitted, fitted

RNG = np.random.default_rng(11)


class Given:
    """A calibration with nothing but a tree."""

    def __init__(self, tree):
        self.tree = tree


def line(errors, *, draws=400, sigma=None, seed=5):
    """Return readings y = a + error beside the exact posterior of a and sigma, under a normal noise (flat priors)."""
    y, n = 3.0 + errors, errors.size
    rng = np.random.default_rng(seed)
    s = np.sqrt(((y - y.mean()) ** 2).sum() / rng.chisquare(n - 1, draws)) if sigma is None else np.full(draws, sigma)
    a = y.mean() + s / np.sqrt(n) * rng.normal(size=draws)
    law = scipy.stats.norm(a[:, None], s[:, None])
    return Fitted("y", np.full(n, np.median(a)), law.cdf(y), law.logpdf(y), np.zeros(n, dtype=int))


def exact_loo_pits(y):
    """Leave-one-out prediction of a normal sample is Student's t (Geisser 1975)."""
    n = y.size
    others = [np.delete(y, k) for k in range(n)]
    laws = [scipy.stats.t(n - 2, o.mean(), o.std(ddof=1) * np.sqrt(1 + 1 / (n - 1))) for o in others]
    return np.array([law.cdf(one) for law, one in zip(laws, y, strict=True)])


def test_loo_pits_are_those_of_the_closed_form():
    errors = RNG.normal(size=40)
    one = line(errors, draws=20_000)
    np.testing.assert_allclose(one.loo_pit, exact_loo_pits(3.0 + errors), atol=0.01)
    assert one.unreliable == 0


def test_loo_pits_of_few_readings_leave_the_reading_out():
    """Of five readings each weighs so much that to count it, or to count it twice, shows."""
    rng, found, kept, exact = np.random.default_rng(1), [], [], []
    for _ in range(60):
        errors = rng.normal(size=5)
        one = line(errors, draws=4000, sigma=1.0, seed=int(rng.integers(1 << 30)))
        y = 3.0 + errors
        middle = (y.sum() - y) / 4
        exact.append(scipy.stats.norm(middle, np.sqrt(1.25)).cdf(y))  # sigma is known
        found.append(one.loo_pit)
        kept.append(one.pits.mean(axis=0))
    assert np.abs(np.array(found) - exact).mean() < 0.01
    assert np.abs(np.array(kept) - exact).mean() > 0.02


@dataclass(frozen=True)
class Line:
    """The law y_i ~ N(a + b t_i, s^2) with conjugate priors: b ~ N(0, 1), a ~ N(0, 4), 1 / s^2 ~ Gamma(3, 2)."""

    count: int

    def simulate(self, rng):
        """Return data from the prior, and of their exact posterior what `Fitted` holds."""
        t = np.linspace(-1, 1, self.count)
        design, prior = np.stack([np.ones_like(t), t], axis=1), np.diag([0.25, 1.0])
        s2 = 1 / rng.gamma(3.0, 1 / 2.0)
        truth = rng.normal(size=2) * np.sqrt(s2) * [2.0, 1.0]  # scaled by s, as conjugacy wants
        y = design @ truth + np.sqrt(s2) * rng.normal(size=self.count)
        precision = prior + design.T @ design
        mean = np.linalg.solve(precision, design.T @ y)
        shape, rate = 3.0 + self.count / 2, 2.0 + 0.5 * (y @ y - mean @ precision @ mean)
        drawn = 1 / rng.gamma(shape, 1 / rate, size=100)
        root = np.linalg.cholesky(np.linalg.inv(precision))
        about = mean + np.sqrt(drawn)[:, None] * (rng.normal(size=(100, 2)) @ root.T)
        pits = scipy.stats.norm.cdf((y - about @ design.T) / np.sqrt(drawn)[:, None])
        return Fitted("y", np.median(about @ design.T, axis=0), pits, None, np.zeros(self.count, dtype=int))


@pytest.mark.parametrize("count", [8, pytest.param(40, marks=pytest.mark.slow)])
def test_a_right_model_seldom_alarms(count):
    """The chance over data from the prior is at most what is said, with three parameters for eight readings too."""
    rng = np.random.default_rng(0)
    figures = []
    for _ in range(1000):
        one = Line(count).simulate(rng)
        figures.append(3 * min(one.shape, one.persistence[1], one.spread[1]))
    for level in (ALARM, 0.05, 0.2):
        assert np.mean(np.array(figures) < level) <= scipy.stats.binom(1000, level).ppf(0.999) / 1000


WRONG = {
    "heavy tails": RNG.standard_t(1.5, size=150),
    "skewed": RNG.exponential(size=150) ** 2,
    "a wave that the model lacks": np.sin(np.arange(150) / 6.0) + 0.5 * RNG.normal(size=150),
    "two kinds of readings": np.where(RNG.uniform(size=150) < 0.5, -3.0, 3.0) + 0.3 * RNG.normal(size=150),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_model_alarms(name):
    one = line(WRONG[name])
    assert 3 * min(one.shape, one.persistence[1], one.spread[1]) < ALARM


def test_a_wrong_sigma_alarms():
    assert line(RNG.normal(size=150), sigma=2.0).shape < ALARM
    assert line(RNG.normal(size=150), sigma=0.5).shape < ALARM
    assert line(RNG.normal(size=150), sigma=1.0).shape > ALARM


def test_errors_that_grow_with_the_value_alarm():
    """Of a known curve: under the right noise the rank correlation is Spearman's, of no more than chance."""
    rng = np.random.default_rng(3)
    curve = np.geomspace(1.0, 100.0, 80)

    def beside(errors, sd):
        return Fitted("y", curve, scipy.stats.norm.cdf(errors / sd)[None], None, np.zeros(80, dtype=int))

    wrong, right = beside(0.2 * curve * rng.normal(size=80), 8.0), beside(8.0 * rng.normal(size=80), 8.0)
    assert wrong.spread[0] > 0.5
    assert 3 * wrong.spread[1] < ALARM < right.spread[1]
    exact = scipy.stats.spearmanr(np.abs(wrong.pits[0] - 0.5), curve)
    assert wrong.spread[0] == pytest.approx(exact.statistic)
    fair = scipy.stats.spearmanr(np.abs(right.pits[0] - 0.5), curve)
    assert right.spread[1] == pytest.approx(2 * fair.pvalue, abs=0.02)


def test_series_are_told_apart():
    """Offsets between units are no persistence in time where units follow one another."""
    for calibration in (levels(), sensors()):
        found = fitted(calibration)
        assert found
        for one in found:
            assert one.pits.shape == (len(one.pits), one.size)
            assert np.isfinite(one.pits).all()
            assert one.log_density is None or one.log_density.shape == one.pits.shape
    level = fitted(levels())[0]
    units = levels().tree["observed_data"]["unit"].values
    assert np.unique(level.series).size == np.unique(units).size
    assert (np.diff(level.series) >= 0).all()
    assert gate(levels()).verdict == "passed"
    table = check(levels())
    assert table.loc["y", "readings"] == units.size
    assert 0.75 < table.loc["y", "coverage_90"] <= 1.0


def test_few_readings_tell_nothing():
    lead = {"chain": [0, 1], "draw": np.arange(50)}
    seen = xr.Dataset({"y": ("time", RNG.normal(size=FEW - 1))}, {"time": np.arange(FEW - 1.0)})
    drawn = xr.Dataset({"y": (("chain", "draw", "time"), RNG.normal(size=(2, 50, FEW - 1)))}, lead | dict(seen.coords))
    groups = {"observed_data": seen, "posterior_predictive": drawn, "log_likelihood": drawn, "pit": 0 * drawn}
    found = gate(Given(xr.DataTree.from_dict(groups)))
    assert found.verdict == "not run"
    assert not found.wanted
    assert gate(Given(xr.DataTree())).wanted


def test_the_figure_of_loo_pits_is_their_distribution_less_the_uniform_one() -> None:
    from calibrations import lynx_hare

    from workbench.report.figures import loo_pit

    calibration = lynx_hare()
    fig = loo_pit(calibration)
    for ax, one in zip(fig.axes, fitted(calibration), strict=True):
        line, pit = ax.lines[-1], one.loo_pit
        assert pit is not None
        place, height = line.get_data()
        expected = [np.mean(pit < z) - z for z in place]
        np.testing.assert_allclose(height, expected, atol=1e-12)
        assert ax.get_title() == f"{one.name}  ({one.size} readings)"
        assert line.get_color() == "#0072B2"  # within its band
