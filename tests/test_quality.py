"""Marks on planted faults, none on clean series, and nothing lost."""

import numpy as np
import pytest
import xarray as xr

from workbench.base.errors import DataError
from workbench.sync.quality import FLAGS, Spike, screen, usable

N = 2000


def series(seed=1, **faults):
    """A daily cycle read to a tenth of a degree every ten minutes."""
    rng = np.random.default_rng(seed)
    t = np.arange(N) / 6.0
    values = np.round(20 + 5 * np.sin(2 * np.pi * t / 24) + rng.normal(0, 0.3, N), 1)
    data = xr.Dataset({"T": ("time", values, {"units": "degC"})}, {"time": ("time", t, {"units": "h"})})
    for at, value in faults.items():
        data["T"][int(at[1:])] = value
    return data


def marked(made, flag, name="T"):
    return np.flatnonzero(made[f"{name}_quality"].values & FLAGS[flag]).tolist()


def test_a_clean_series_has_few_marks_and_keeps_its_values():
    data = series()
    made = screen(data)
    xr.testing.assert_identical(made[["T"]], data)
    assert (made["T_quality"] != 0).sum() <= 1
    assert made["T_quality"].attrs["flag_meanings"].split() == list(FLAGS)
    assert made["T_quality"].attrs["flag_masks"].tolist() == list(FLAGS.values())


def test_planted_faults_are_marked_and_nothing_else():
    data = series(_300=35.0, _900=5.0)
    data["T"][1200:1230] = 18.3
    data["T"][1500:1502] = np.nan
    made = screen(data, limits={"T": (8.0, 30.0)})
    assert {300, 900} <= set(marked(made, "spike"))
    assert len(marked(made, "spike")) <= 3
    assert marked(made, "out_of_range") == [300, 900]
    stuck = marked(made, "stuck")
    assert set(range(1200, 1230)) <= set(stuck) <= set(range(1198, 1232))
    assert marked(made, "missing") == [1500, 1501]
    clean = usable(made)
    assert set(np.flatnonzero(np.isnan(clean["T"])).tolist()) >= {300, 900, 1500, 1501, *range(1200, 1230)}
    assert list(clean.data_vars) == ["T"]
    assert clean["T"].attrs["units"] == "degC"


def test_a_step_is_no_spike():
    data = series()
    data["T"][1000:] = data["T"][1000:] + 20.0
    assert not set(marked(screen(data), "spike")) & set(range(990, 1010))


def test_gaps_and_clocks_that_go_back():
    data = series().isel(time=[*range(500), *range(600, 800), *range(790, N)])
    made = screen(data)
    assert marked(made, "after_gap") == [500]
    assert marked(made, "clock_jump") == list(range(700, 710))
    straight = usable(made)
    assert (np.diff(straight["time"]) > 0).all()
    assert straight.sizes["time"] == data.sizes["time"] - 10
    assert np.isfinite(straight["T"][500])


def test_dates_and_units():
    dates = np.datetime64("2026-03-29", "ns") + np.arange(N) * np.timedelta64(10, "m")
    both = xr.concat([series(1), series(2, _77=99.0)], xr.IndexVariable("unit", ["a", "b"])).assign_coords(time=dates)
    made = screen(both)
    assert made["T_quality"].dims == both["T"].dims
    assert made["T_quality"].sel(unit="b").values[77] & FLAGS["spike"]
    assert not made["T_quality"].sel(unit="a").values[77]


def test_short_and_constant_series():
    assert not Spike().marks(np.arange(3.0), np.array([1.0, 50.0, 1.0])).any()
    constant = xr.Dataset({"T": ("time", np.ones(30))}, {"time": np.arange(30.0)})
    assert marked(screen(constant), "stuck") == list(range(30))
    assert marked(screen(constant.isel(time=[0])), "stuck") == []


def test_bad_input():
    with pytest.raises(DataError, match="got unknown variable 't'; expected one of 'T'; did you mean 'T'"):
        screen(series(), limits={"t": (0, 1)})
    with pytest.raises(DataError, match="expected 'time' among them"):
        screen(series().drop_vars("time"))
    with pytest.raises(DataError, match="expected numbers over time"):
        screen(series().assign(words=("time", ["x"] * N)))
    with pytest.raises(DataError, match="unknown flag 'gap'"):
        usable(screen(series()), accept=["gap"])
