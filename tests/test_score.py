"""Scores of forecasts against closed forms, and against their definitions written out."""

import numpy as np
import pytest
import scipy.stats
import xarray as xr

from workbench.base.errors import DataError
from workbench.forecast.score import crps, persistence, pit, score

RNG = np.random.default_rng(1)


def gaussian_crps(mean, sd, y):
    """Gneiting, Raftery, Westveld & Goldman, Mon. Weather Rev. 133 (2005) 1098-1118, eq. 5."""
    z = (y - mean) / sd
    return sd * (z * (2 * scipy.stats.norm.cdf(z) - 1) + 2 * scipy.stats.norm.pdf(z) - 1 / np.sqrt(np.pi))


def test_crps_of_many_draws_is_the_closed_form_of_a_gaussian():
    y = np.array([-2.0, 0.0, 0.3, 4.0])
    draws = 1.0 + 0.5 * scipy.stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)[:, None] * np.ones(4)
    np.testing.assert_allclose(crps(draws, y), gaussian_crps(1.0, 0.5, y), rtol=1e-3)


def test_crps_by_pairs():
    draws, y = RNG.normal(size=(7, 5)), RNG.normal(size=5)
    away = np.abs(draws - y).mean(axis=0)
    apart = np.abs(draws[:, None] - draws[None]).sum(axis=(0, 1)) / (7 * 6)
    np.testing.assert_allclose(crps(draws, y), away - apart / 2, rtol=1e-12)
    holed = np.vstack([draws, np.full((2, 5), np.nan)])
    np.testing.assert_allclose(crps(holed, y), crps(draws, y), rtol=1e-12)


def test_few_members_are_not_punished():
    y = RNG.normal(size=200_000)
    expected = gaussian_crps(0.0, 1.0, y).mean()
    assert crps(RNG.normal(size=(3, y.size)), y).mean() == pytest.approx(expected, abs=4 * 0.8 / np.sqrt(y.size))


def test_crps_of_one_draw_is_the_absolute_error_and_of_no_reading_nothing():
    assert crps(np.array([[2.0]]), np.array([5.0])) == pytest.approx([3.0])
    assert np.isnan(crps(np.ones((3, 1)), np.array([np.nan]))).all()
    assert np.isnan(crps(np.full((3, 1), np.nan), np.array([1.0]))).all()


def test_pit_is_uniform_where_draws_are_right_counts_too():
    for law in (scipy.stats.norm(2, 3), scipy.stats.poisson(1.5)):
        draws = law.rvs(size=(99, 3000), random_state=2).astype(float)
        placed = pit(draws, law.rvs(size=3000, random_state=3).astype(float))
        assert scipy.stats.kstest(placed, "uniform").pvalue > 0.01
    wrong = pit(RNG.normal(size=(99, 3000)), RNG.normal(0.3, 1, 3000))
    assert scipy.stats.kstest(wrong, "uniform").pvalue < 1e-6


def case(shift=0.0, sd=1.0):
    times = np.arange(400.0)
    truth = xr.DataArray(RNG.normal(size=(2, 400)), {"unit": ["a", "b"], "time": times}, attrs={"units": "m"})
    draws = RNG.normal(shift, sd, size=(2, 100, 2, 400))
    made = xr.DataArray(draws, {"unit": ["a", "b"], "time": times}, ["chain", "draw", "unit", "time"])
    return made.assign_attrs(units="m").to_dataset(name="level"), truth.to_dataset(name="level")


def test_a_calibrated_forecast_covers_and_beats_a_biased_one():
    right, truth = case()
    biased, _ = case(shift=1.0)
    table = score(right, truth, reference=biased).sel(output="level")
    assert table["count"] == 800
    spread = np.sqrt(0.1 * 0.9 / 800)
    assert table["coverage"].sel(mass=0.9).item() == pytest.approx(0.9, abs=4 * spread)
    assert table["width"].sel(mass=0.5).item() == pytest.approx(2 * 0.6745, rel=0.02)
    assert table["rmse"].item() == pytest.approx(1.0, rel=0.1)
    assert table["crps"].item() == pytest.approx(1 / np.sqrt(np.pi), rel=0.1)  # E of the CRPS of N(0, 1)
    # a shift of one SD: E CRPS = E|N(1, 2)| - 1 / sqrt(pi)
    away = scipy.stats.foldnorm(1 / np.sqrt(2), scale=np.sqrt(2)).mean() - 1 / np.sqrt(np.pi)
    assert table["skill"].item() == pytest.approx(1 - (1 / np.sqrt(np.pi)) / away, abs=0.04)
    assert table["units"].item() == "m"


def test_units_are_converted_and_dims_are_kept_on_demand():
    right, truth = case()
    in_cm = truth * 100
    in_cm["level"].attrs["units"] = "cm"
    xr.testing.assert_allclose(score(right, truth), score(right, in_cm))
    assert score(right, truth, over=["time"])["crps"].sizes == {"output": 1, "unit": 2}


def test_readings_that_are_missing_do_not_count():
    right, truth = case()
    holed = truth.where(truth["time"] >= 100)
    later = score(right, truth.sel(time=slice(100, None)))
    xr.testing.assert_allclose(score(right, holed), later)
    assert later["count"].item() == 600


def test_nothing_in_common_is_an_error():
    right, truth = case()
    with pytest.raises(DataError, match="got no reading of level at a time that was forecast"):
        score(right, truth.assign_coords(time=truth["time"] + 1000.5))
    with pytest.raises(DataError, match="did you mean 'level'"):
        score(right, truth.rename(level="levle"))


def test_persistence_holds_the_last_reading():
    times = np.arange(5.0)
    seen = xr.Dataset({"y": ("time", [1.0, 2.0, np.nan, 7.0, 8.0], {"units": "m"})}, {"time": times})
    held = persistence(seen, [3.0, 4.0])
    assert held["y"].values.tolist() == [2.0, 2.0]
    assert held["y"].attrs["units"] == "m"
    table = score(held, seen)
    assert table["mae"].item() == pytest.approx(5.5)
    assert table["crps"].item() == pytest.approx(5.5)
    with pytest.raises(DataError, match="no reading before"):
        persistence(seen, [0.0])
