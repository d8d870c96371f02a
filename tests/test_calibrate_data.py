"""Data in other forms, layouts and units of measure are the same data: the same posterior density."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import xarray as xr
from calibrations import DRIFT, Level, level_data

import workbench as wb
from workbench.calibrate.problem import pose

TIMES = np.array([0.0, 0.5, 1.0, 2.0, 4.0])
READINGS = np.array([7.1, 6.2, 9.4, 8.8, 10.9])
POINT = {"x_start": np.array(7.0)}


def density(data, point=POINT, **keywords) -> float:
    return float(wb.to_pymc(Level(), data, **keywords).compile_logp(mode="FAST_COMPILE")(point))


def exact() -> float:
    law = scipy.stats.norm(7.0 + DRIFT * TIMES, 2)
    return scipy.stats.norm(5, 10).logpdf(7.0) + law.logpdf(READINGS).sum()


def dataset(values=READINGS, times=TIMES, unit="mg", time_unit=None) -> xr.Dataset:
    made = xr.Dataset({"y": ("time", values, {"units": unit})}, {"time": times})
    if time_unit:
        made["time"].attrs["units"] = time_unit
    return made


def csv_of(table: pd.DataFrame, folder, **columns):
    path = folder / "data.csv"
    table.rename(columns=columns).to_csv(path, index=False)
    return path


FORMS = {
    "dataset": lambda _: dataset(),
    "array": lambda _: dataset()["y"],
    "table": lambda _: pd.DataFrame({"time": TIMES, "y": READINGS}),
    "table by time": lambda _: pd.DataFrame({"y": READINGS}, index=pd.Index(TIMES, name="time")),
    "csv": lambda folder: csv_of(pd.DataFrame({"time": TIMES, "y": READINGS}), folder),
    "csv, text of its path": lambda folder: str(csv_of(pd.DataFrame({"time": TIMES, "y": READINGS}), folder)),
    "micrograms": lambda _: dataset(1e3 * READINGS, unit="ug"),
    "grams": lambda _: dataset(1e-3 * READINGS, unit="g"),
    "minutes": lambda _: dataset(times=60 * TIMES, time_unit="min"),
    "seconds and kilograms": lambda _: dataset(1e-6 * READINGS, 3600 * TIMES, "kg", "s"),
    "csv in minutes": lambda folder: csv_of(
        pd.DataFrame({"time": 60 * TIMES, "y": 1e3 * READINGS}), folder, time="time [min]", y="y [ug]"
    ),
    "durations": lambda _: dataset(times=(TIMES * 3600).astype("timedelta64[s]").astype("timedelta64[ns]")),
    "datetimes": lambda _: dataset(
        times=np.datetime64("2024-05-01T12:00", "ns") + (TIMES * 3600).astype("timedelta64[s]")
    ),
    "later on the clock": lambda _: dataset(times=TIMES + 1000.0),
    "with rows that hold nothing": lambda _: dataset([*READINGS, np.nan], [*TIMES, 9.0]),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_changes_nothing(form, tmp_path):
    np.testing.assert_allclose(density(FORMS[form](tmp_path)), exact(), rtol=1e-7)


def test_other_readings_change_something():
    assert abs(density(dataset(READINGS + 0.1)) - exact()) > 0.01


def grid() -> xr.Dataset:
    """Return the long table as units by all times, NaN where a unit was not read."""
    return level_data().set_index(["unit", "time"]).to_xarray()


@pytest.mark.parametrize("pool", ["complete", "none", "partial"])
def test_a_long_table_is_a_grid_with_gaps(pool):
    start = np.linspace(0.0, 14.0, 8)
    point = {
        "complete": POINT,
        "none": {"x_start": start},
        "partial": {"x_start": start, "x_start_pop": np.array(7.0), "x_start_sd_log__": np.array(1.0)},
    }[pool]
    assert np.isnan(grid()["y"]).any()
    a, b = (density(data, point, pool={"x_start": pool}) for data in (level_data(), grid()))
    np.testing.assert_allclose(a, b, rtol=1e-9)


def test_the_order_of_units_in_a_table_does_not_matter():
    turned = pd.concat([rows for _, rows in sorted(level_data().groupby("unit"), reverse=True)])
    model = wb.to_pymc(Level(), turned, pool={"x_start": "none"})
    start = {unit: float(k) for k, unit in enumerate(level_data().unit.unique())}
    found = model.compile_logp(mode="FAST_COMPILE")({"x_start": np.array([start[u] for u in model.coords["unit"]])})
    expected = density(level_data(), {"x_start": np.array(list(start.values()))}, pool={"x_start": "none"})
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_the_posterior_itself():
    """By its closed form too, five prior SDs away from the prior's mean."""
    far = 50.0 + READINGS
    data = dataset(1e3 * far, 60 * TIMES, "ug", "min")
    few = {"draws": 200, "tune": 200, "chains": 2, "seed": 1, "progress": False}
    a, b = wb.calibrate(Level(), dataset(far), **few), wb.calibrate(Level(), data, **few)
    for name in ("mean", "std"):
        first, second = (float(getattr(c.posterior["x_start"], name)()) for c in (a, b))
        assert first == pytest.approx(second, rel=1e-6)
    xr.testing.assert_allclose(a.tree["observed_data"].to_dataset(), b.tree["observed_data"].to_dataset(), rtol=1e-12)
    assert b.tree["observed_data"]["y"].attrs["units"] == "mg"
    precision = 1 / 100 + 5 / 4
    mean = (5 / 100 + (far - DRIFT * TIMES).sum() / 4) / precision
    assert float(a.posterior["x_start"].mean()) == pytest.approx(mean, abs=5 / np.sqrt(200 * precision))


def test_units_keep_their_labels():
    for labels in ([3, 1], ["b", "a"], [2.5, 1.5]):
        table = pd.DataFrame({"unit": np.repeat(labels, 2), "time": [0.0, 1.0] * 2, "y": [1.0, 2.0, 3.0, 4.0]})
        problem = pose(Level(), table, pool={"x_start": "none"})
        assert problem.units is not None
        assert sorted(problem.units) == sorted(labels)
        model = wb.to_pymc(Level(), table, pool={"x_start": "none"})
        assert sorted(model.coords["unit"]) == sorted(labels)
