"""Glucose of people with diabetes: closed forms of the parts, replays, recordings, and files that are wrong."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import workbench as wb
from workbench.base.errors import DataError, UnitError
from workbench.base.share import data_file
from workbench.domains.patients import glucose_records as records
from workbench.domains.patients.glucose import Glucose, unexplained

STILL = {"agitation": 1e-9, "t_meal": 40.0, "t_insulin": 55.0, "effect": 0.25, "t_flux": 60.0}
TIMES = np.arange(0.0, 1441.0, 5.0)


def lived(usual: float = 0.0, parameters: dict[str, float] | None = None, **inputs) -> xr.Dataset:
    """Simulate a day without random flux."""
    given = {"basal": usual} | inputs
    return wb.simulate(
        Glucose(usual=usual), TIMES, inputs=given, parameters=STILL | (parameters or {}), seed=1
    ).squeeze()


def test_meals_and_insulin_arrive_as_the_paper_prints() -> None:
    made = lived(meal={60.0: 50.0}, bolus={60.0: 4.0})
    late = TIMES >= 60
    t = TIMES[late] - 60
    gut = 50 * t * np.exp(-t / 40) / 40**2  # U_G over A_G
    np.testing.assert_allclose(made["D2"].values[late] / 40, gut, atol=1e-3)
    site = 4 * t * np.exp(-t / 55) / 55**2  # U_I
    np.testing.assert_allclose(made["S2"].values[late] / 55, site, atol=1e-4)
    assert np.trapezoid(made["x"].values, TIMES) == pytest.approx(0.25 * 4, rel=2e-3), "effect of all its action"


def test_usual_insulin_is_a_steady_state() -> None:
    made = lived(usual=0.02)
    np.testing.assert_allclose(made["x"], 0.25 * 0.02, rtol=1e-6)
    np.testing.assert_allclose(made["S1"], 0.02 * 55, rtol=1e-6)


@pytest.mark.parametrize(("glucose", "loss"), [(100.0, 0.0), (262.0, 0.3)])  # 0.003 (G - 9 mmol/L) above 9 mmol/L
def test_rate_of_glucose_by_hand(glucose: float, loss: float) -> None:
    model = Glucose(usual=0.02)
    times = np.array([0.0, 1e-3])
    given = STILL | {"first": glucose, "production": 1.81}
    made = wb.simulate(model, times, inputs={"basal": 0.02}, parameters=given, seed=1)["G"].values.ravel()
    uptake = 0.0097 * 18.0 / 1.6 * 10 * (glucose / 18) / (0.85 * (glucose / 18 + 1))  # mmol/(kg min) to mg/(dL min)
    expected = 1.81 - uptake - loss - 0.25 * 0.02 * glucose
    assert (made[1] - made[0]) / 1e-3 == pytest.approx(expected, rel=3e-3, abs=3e-3)


def test_the_sensor_lags_by_its_time() -> None:
    made = lived(meal={60.0: 80.0})
    slope = np.gradient(made["cgm"].values, TIMES)
    steady = (TIMES > 300) & (TIMES < 900)
    lag = (made["G"].values - made["cgm"].values)[steady]
    np.testing.assert_allclose(lag, 8 * slope[steady], atol=0.03)


def test_a_replay_passes_through_the_flux() -> None:
    flux = np.sin(TIMES / 100)
    made = lived(kick=unexplained(TIMES, flux, 60.0))
    np.testing.assert_allclose(made["d"], flux, atol=1e-3)


def test_days_that_come_with_the_package() -> None:
    data, inputs = records.days()
    assert data.sizes["time"] == 1441
    assert float(data["time"][-1]) == 7200
    assert inputs["basal"].attrs["units"] == "U/h"
    assert float(inputs["basal"][0]) == pytest.approx(1.27)
    assert int((inputs["meal"] > 0).sum()) == 20
    made = wb.simulate(Glucose(usual=1.27 / 60), data["time"].values, inputs=inputs, parameters=STILL, seed=1)
    assert float(made["S1"].min()) == pytest.approx(1.27 / 60 * 55, rel=1e-3), "U/h is converted"


@pytest.mark.parametrize(
    ("old", "new", "error", "words"),
    [
        ("bolus [U]", "bolu [U]", DataError, "expected a column 'bolus'; did you mean 'bolus' by 'bolu'"),
        ("cgm [mg/dL]", "cgm [kg]", UnitError, "cgm"),
        ("\n5,148.7", "\n5,-1", DataError, "'cgm': got -1 mg/dL in row 1; expected 20 to 600, and an empty cell where"),
        ("\n5,148.7,138.6,1.27", "\n5,148.7,138.6,-2", DataError, "'basal': got -2 U/h in row 1; expected 0 to 20"),
        ("\n5,148.7", "\n0,148.7", DataError, "a time in row 1 not after the one before"),
        ("\n5,148.7", "\n5,high", DataError, "'high' in row 1"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, old: str, new: str, error: type[Exception], words: str) -> None:
    text = data_file("virtual_glucose.csv").read_text("utf-8")
    assert old in text
    file = tmp_path / "mine.csv"
    file.write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(error, match=words):
        records.days(file)


def table(cgm) -> pd.DataFrame:
    frame = pd.DataFrame({"time": 5.0 * np.arange(600), "cgm": cgm, "basal": 1.0, "bolus": np.nan, "meal": np.nan})
    return frame


def test_gaps_are_kept_and_long_ones_refused(tmp_path: Path) -> None:
    cgm = 120 + 30 * np.sin(np.arange(600) / 20)
    cgm[100:120] = np.nan
    table(cgm).to_csv(tmp_path / "a.csv", index=False)
    data, inputs = records.days(tmp_path / "a.csv")
    assert int(data["cgm"].isnull().sum()) == 20
    assert float(inputs["bolus"].sum()) == 0
    cgm[100:180] = np.nan
    table(cgm).to_csv(tmp_path / "b.csv", index=False)
    with pytest.raises(
        DataError, match=r"no reading for 6\.8 h after 495 min; expected gaps of six hours or less: cut"
    ):
        records.days(tmp_path / "b.csv")


def test_a_sensor_that_is_stuck_is_refused(tmp_path: Path) -> None:
    cgm = 120 + 30 * np.sin(np.arange(600) / 20)
    cgm[200:250] = 133.0
    table(cgm).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(
        DataError, match="got 133 mg/dL 50 times from row 200 on; expected readings that vary: the sensor"
    ):
        records.days(tmp_path / "a.csv")


def published(folder: Path, hours: float = 60.0) -> Path:
    """Write a file in the layout of the published one."""
    n = int(12 * hours)
    time = pd.date_range("2014-10-01 08:00", periods=n, freq="5min")
    frame = pd.DataFrame({"id": 4, "time": time, "gl": 150 + 40 * np.sin(np.arange(n) / 30)})
    frame = frame.assign(fast_insulin=0.0, slow_insulin=0.0, calories=0.0, HR=0.0)
    frame.loc[10, ["fast_insulin", "calories"]] = 5.0, 500.0
    frame.loc[[50, 338], "slow_insulin"] = 24.0, 12.0
    frame.loc[[3, 4], "gl"] = 39.6, 399.6
    other = frame.iloc[:100].assign(id=9)
    frame = pd.concat([frame, other])
    frame.to_csv(folder / "all.csv", index=False)
    return folder / "all.csv"


def test_a_recording(tmp_path: Path) -> None:
    data, inputs = records.recording(published(tmp_path), 4)
    assert np.isnan(data["cgm"].values[3:5]).all(), "low and high are no numbers"
    assert float(inputs["meal"][10]) == pytest.approx(60.0)
    assert float(inputs["bolus"][10]) == 5.0
    assert list(inputs["basal"].values[[0, 60, 337, 338, 700]]) == [1.0, 1.0, 1.0, 0.5, 0.5]
    assert records.subjects(tmp_path / "all.csv") == [4, 9]


def test_people_who_are_not_there(tmp_path: Path) -> None:
    file = published(tmp_path)
    with pytest.raises(DataError, match=r"3.*4.*9"):
        records.recording(file, 3)
    with pytest.raises(DataError, match="subject 9: got 8 hours; expected two days or more"):
        records.recording(file, 9)
    text = file.read_text("utf-8").replace("calories", "kcal", 1)
    file.write_text(text, "utf-8")
    with pytest.raises(DataError, match="expected a column 'calories'"):
        records.recording(file, 4)
