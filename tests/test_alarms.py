"""Run lengths of detectors against published tables and simulation; faults that are found; bad input."""

import numpy as np
import pytest
import scipy.stats
import xarray as xr
from filter_models import Nile

import workbench as wb
from workbench.base.errors import DataError
from workbench.sync.alarms import watch
from workbench.sync.detectors import DETECTORS, Drift, Outlier, Shift, Spread, detect
from workbench.sync.runlength import (
    cusum_run_length,
    cusum_threshold,
    ewma_run_length,
    ewma_threshold,
    spread_run_length,
    spread_threshold,
)


def test_cusum_run_lengths_are_the_published_ones():
    """Montgomery, Introduction to Statistical Quality Control, table 9.3 and 9.4: two-sided, k = 0.5."""
    for h, length in ((4.0, 168.0), (5.0, 465.0)):
        assert cusum_run_length(h, 0.5) / 2 == pytest.approx(length, rel=0.003)
    for length, h in ((370.0, 4.77),):
        assert cusum_threshold(length, 0.5) == pytest.approx(h, abs=0.01)
    assert cusum_threshold(370.0, 0.25) == pytest.approx(8.01, abs=0.01)


def test_ewma_run_lengths_are_the_published_ones():
    """Lucas & Saccucci, Technometrics 32 (1990) 1-12, table 1: combinations with a run length of 500."""
    for weight, limit in ((0.4, 3.054), (0.25, 2.998), (0.2, 2.962), (0.1, 2.814), (0.05, 2.615)):
        assert ewma_run_length(limit, weight) == pytest.approx(500, rel=0.01)
        assert ewma_threshold(500.0, weight) == pytest.approx(limit, abs=0.003)


def test_the_spread_of_squares_runs_as_long_as_simulated():
    """Half as many cells agree; a long simulation agrees within its error."""
    detector = Spread(ratio=1.5)
    threshold = spread_threshold(500.0, detector.reference)
    _, raised = detect(np.random.default_rng(0).normal(size=2_000_000), detector, threshold)
    assert raised.sum() == pytest.approx(4000, abs=4 * np.sqrt(4000))
    # without memory: a threshold of nothing is passed by each z^2 above the reference
    chance = 1 - scipy.stats.chi2(1).cdf(detector.reference)
    assert spread_run_length(1e-9, detector.reference) == pytest.approx(1 / chance, rel=1e-6)


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda d: d.name)
def test_every_run_length_has_a_threshold(detector):
    limits = [detector.threshold(length) for length in (2.0, 3.0, 10.0, 1e3, 1e6, 1e9)]
    assert np.isfinite(limits).all()
    assert (np.diff(limits) >= 0).all()
    assert limits[-1] > limits[2] > 0


def naive(z, detector, threshold):
    """The detectors one reading at a time, from their definitions."""
    upper = lower = mean = 0.0
    out = []
    for value in z:
        if isinstance(detector, Outlier):
            over = abs(value) > threshold
        elif isinstance(detector, Shift):
            upper = max(0.0, upper + value - detector.size / 2)
            lower = max(0.0, lower - value - detector.size / 2)
            over = max(upper, lower) > threshold
        elif isinstance(detector, Spread):
            upper = max(0.0, upper + value * value - 2 * np.log(detector.ratio) / (1 - detector.ratio**-2))
            over = upper > threshold
        else:
            w = detector.weight
            mean = (1 - w) * mean + w * value
            over = abs(mean) > threshold * np.sqrt(w / (2 - w))
        out.append(over)
        if over:
            upper = lower = mean = 0.0
    return np.array(out)


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda d: d.name)
def test_watching_in_pieces_is_watching_one_by_one(detector):
    z = np.random.default_rng(1).normal(size=20_000)
    threshold = detector.threshold(300.0)
    _, raised = detect(z, detector, threshold)
    assert 40 < raised.sum() < 95
    np.testing.assert_array_equal(raised, naive(z, detector, threshold))


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda d: d.name)
def test_a_right_model_alarms_as_often_as_was_asked(detector):
    """A thousand years of daily readings, one false alarm a year."""
    z = np.random.default_rng(2).normal(size=365_250)
    _, raised = detect(z, detector, detector.threshold(365.25))
    assert raised.sum() == pytest.approx(1000, abs=4 * np.sqrt(1000))


def innovations(**outputs):
    size = len(next(iter(outputs.values())))
    return xr.Dataset({n: ("time", v) for n, v in outputs.items()}, {"time": ("time", np.arange(size), {"units": "h"})})


def test_all_together_stay_below_the_rate():
    rng = np.random.default_rng(3)
    years = 100
    made = watch(innovations(a=rng.normal(size=8766 * years), b=rng.normal(size=8766 * years)), a_year=2.0)
    every = int(made["alarm"].sum())
    assert every == pytest.approx(2.0 * years, abs=4 * np.sqrt(2.0 * years))
    np.testing.assert_allclose(made["run_length"], len(DETECTORS) * 2 * 8766 / 2.0, rtol=1e-4)


def test_faults_are_found_by_the_detector_made_for_them():
    rng, n, at = np.random.default_rng(4), 4000, 2000
    spike, shift, drift = rng.normal(size=(3, n))
    spike[at] += 12.0
    shift[at:] += 1.0
    drift[at:] += np.arange(n - at) / 500.0
    made = watch(innovations(spike=spike, shift=shift, drift=drift), a_year=0.1)
    assert made["alarm"].sel(output="spike", detector="outlier").values.nonzero()[0].tolist() == [at]
    for output, detector, within in (("shift", "shift", 60), ("drift", "drift", 600)):
        first = int(made["alarm"].sel(output=output, detector=detector).values.argmax())
        assert at < first < at + within
    assert made["statistic"].sel(output="shift", detector="shift")[at + 60 :].mean() > 0


def test_missing_readings_are_no_evidence():
    z = np.random.default_rng(5).normal(size=3000)
    holed = np.full(6000, np.nan)
    holed[::2] = z
    thin, whole = watch(innovations(a=holed)), watch(innovations(a=z))
    assert not thin["alarm"][..., 1::2].any()
    assert np.isnan(thin["statistic"][..., 1::2]).all()
    np.testing.assert_allclose(thin["run_length"] * 2, whole["run_length"], rtol=1e-3)
    nothing = watch(innovations(a=np.full(10, np.nan)))
    assert not nothing["alarm"].any()


def test_bad_input():
    good = innovations(a=np.zeros(10))
    with pytest.raises(DataError, match="got a_year=0; expected a positive number"):
        watch(good, a_year=0)
    with pytest.raises(DataError, match="got times without a unit"):
        watch(good.assign_coords(time=np.arange(10)))
    dates = good.assign_coords(time=np.datetime64("2026-01-01", "ns") + np.arange(10) * np.timedelta64(1, "h"))
    np.testing.assert_allclose(watch(dates)["run_length"], watch(good)["run_length"], rtol=1e-9)


def test_half_life():
    answer = Drift(half_life=10.0).statistic(np.concatenate([[1.0], np.zeros(20)]))
    assert answer[10] / answer[0] == pytest.approx(0.5)


def test_labels_of_units_and_elements():
    z = np.random.default_rng(6).normal(size=(3, 2, 50))
    made = xr.Dataset(
        {"T_innovation_normalised": (("cell", "unit", "time"), z), "T": ("time", np.ones(50))},
        {"time": ("time", np.arange(50), {"units": "h"}), "unit": ["a", "b"], "cell": [1, 2, 3]},
    )
    found = wb.watch(made)
    assert found["output"].values.tolist() == [f"T[{c}, {u}]" for c in (1, 2, 3) for u in "ab"]
    np.testing.assert_array_equal(found["statistic"].sel(output="T[2, b]", detector="outlier"), z[1, 1])
    with pytest.raises(DataError, match="expected innovations over time"):
        wb.watch(made.rename(time="sample").assign_coords(time=0.0))


@pytest.mark.slow
@pytest.mark.parametrize("rate", [1.0, 0.2])
def test_innovations_of_a_filter_alarm_as_often_as_was_asked(rate):
    """A thousand years of daily readings of the Nile's model at its own parameters, followed by Kalman's filter."""
    days, rng = 365_250, np.random.default_rng(7)
    level = np.cumsum(np.sqrt(1469.178) * rng.standard_normal(days))
    flow = level + np.sqrt(15098.53) * rng.standard_normal(days)
    data = xr.Dataset({"flow": ("time", flow)}, {"time": np.arange(float(days))})
    made = wb.assimilate(Nile, data, filter=wb.Kalman())
    z = made["flow_innovation_normalised"].values[1:]
    assert (z**2).sum() == pytest.approx(days - 1, abs=4 * np.sqrt(2 * days))  # chi-square
    assert abs(np.mean(z[1:] * z[:-1])) < 4 / np.sqrt(days)  # white
    watched = made.assign_coords(time=("time", np.arange(days), {"units": "d"})).isel(time=slice(1, None))
    alarms = wb.watch(watched, a_year=rate)["alarm"]
    years = days / 365.25
    for detector in alarms["detector"].values:
        count = int(alarms.sel(detector=detector).sum())
        expected = rate * years / alarms.sizes["detector"]
        assert count == pytest.approx(expected, abs=4 * np.sqrt(expected)), detector
    assert 0.8 * rate * years < int(alarms.any("detector").sum()) < rate * years + 4 * np.sqrt(rate * years)
