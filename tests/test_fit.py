"""The gate of predictive fit: how often it alarms where the model is right, and that it alarms where it is wrong."""

import numpy as np
import pytest
import scipy.stats
import xarray as xr
from calibrations import levels, sensors

from workbench.calibrate.trust.fit import ALARM, FEW, Fitted, check, fitted, gate

RNG = np.random.default_rng(11)


class Given:
    """A calibration with nothing but a tree."""

    def __init__(self, tree):
        self.tree = tree


def line(errors, *, draws=400, sigma=None):
    """Return readings y = a + error beside the exact posterior of a and sigma, under a normal noise (flat priors)."""
    y, n = 3.0 + errors, errors.size
    rng = np.random.default_rng(5)
    s = np.sqrt(((y - y.mean()) ** 2).sum() / rng.chisquare(n - 1, draws)) if sigma is None else np.full(draws, sigma)
    a = y.mean() + s / np.sqrt(n) * rng.normal(size=draws)
    drawn = a[:, None] + s[:, None] * rng.normal(size=(draws, n))
    return Fitted("y", y, drawn, scipy.stats.norm(a[:, None], s[:, None]).logpdf(y), np.zeros(n, dtype=int))


def test_pits_are_those_of_the_closed_form():
    """Leave-one-out prediction of a normal sample is Student's t (Geisser 1975)."""
    one = line(RNG.normal(size=40), draws=20_000)
    others = [np.delete(one.observed, k) for k in range(40)]
    exact = [
        scipy.stats.t(38, o.mean(), o.std(ddof=1) * np.sqrt(1 + 1 / 39)).cdf(y)
        for o, y in zip(others, one.observed, strict=True)
    ]
    np.testing.assert_allclose(one.pit, exact, atol=0.02)
    assert (one.weights[1] < 0.7).all()


@pytest.mark.slow
def test_a_right_model_seldom_alarms():
    """The chance is said to be at most ALARM, all tests together."""
    count, alarms = 2000, 0
    for k in range(count):
        one = line(np.random.default_rng(k).normal(size=60), draws=200)
        alarms += 3 * min(one.shape, one.persistence[1], one.spread[1]) < ALARM
    assert alarms <= scipy.stats.binom(count, ALARM).ppf(0.999)


def test_a_right_model_seldom_alarms_in_short():
    ps = [line(np.random.default_rng(k).normal(size=40), draws=200) for k in range(40)]
    assert sum(2 * min(one.shape, one.persistence[1]) < ALARM for one in ps) <= 2


WRONG = {
    "heavy tails": RNG.standard_t(1.5, size=150),
    "skewed": RNG.exponential(size=150) ** 2,
    "a wave that the model lacks": np.sin(np.arange(150) / 6.0) + 0.5 * RNG.normal(size=150),
    "two kinds of readings": np.where(RNG.uniform(size=150) < 0.5, -3.0, 3.0) + 0.3 * RNG.normal(size=150),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_model_alarms(name):
    one = line(WRONG[name])
    assert 2 * min(one.shape, one.persistence[1]) < ALARM


def test_a_wrong_sigma_alarms():
    assert line(RNG.normal(size=150), sigma=2.0).shape < ALARM
    assert line(RNG.normal(size=150), sigma=0.5).shape < ALARM
    assert line(RNG.normal(size=150), sigma=1.0).shape > ALARM


def test_errors_that_grow_with_the_value_alarm():
    """Of a known curve: under the right noise the rank correlation is Spearman's, of no more than chance."""
    rng = np.random.default_rng(3)
    curve = np.geomspace(1.0, 100.0, 80)

    def beside(errors, sd):
        drawn = curve + sd * rng.normal(size=(2000, 80))
        logs = np.broadcast_to(scipy.stats.norm(curve, sd).logpdf(curve + errors), drawn.shape)
        return Fitted("y", curve + errors, drawn, logs, np.zeros(80, dtype=int))

    wrong, right = beside(0.2 * curve * rng.normal(size=80), 8.0), beside(8.0 * rng.normal(size=80), 8.0)
    assert wrong.spread[0] > 0.5
    assert 3 * wrong.spread[1] < ALARM < right.spread[1]
    exact = scipy.stats.spearmanr(np.abs(wrong.pit - 0.5), np.median(wrong.drawn, axis=0))
    assert wrong.spread[0] == pytest.approx(exact.statistic)
    fair = scipy.stats.spearmanr(np.abs(right.pit - 0.5), np.median(right.drawn, axis=0))
    assert right.spread[1] == pytest.approx(fair.pvalue, abs=0.01)


def test_series_are_told_apart():
    """Offsets between units are no persistence in time where units follow one another."""
    for calibration in (levels(), sensors()):
        found = fitted(calibration)
        assert found
        for one in found:
            assert one.drawn.shape == one.log_density.shape == (one.drawn.shape[0], one.observed.size)
            assert np.isfinite(one.log_density).all()
            # predictions lie where readings do, so rows were not mixed up
            middle = np.median(one.drawn, axis=0)
            assert np.corrcoef(middle, one.observed)[0, 1] > 0.3 or np.ptp(middle) < np.ptp(one.observed)
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
    groups = {"observed_data": seen, "posterior_predictive": drawn, "log_likelihood": drawn}
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
        line = ax.lines[-1]
        place, height = line.get_data()
        expected = [np.mean(one.pit < z) - z for z in place]
        np.testing.assert_allclose(height, expected, atol=1e-12)
        assert ax.get_title() == f"{one.name}  ({one.observed.size} readings)"
        assert line.get_color() == "#0072B2"  # within its band
