"""The combined cycle: tables of steam, densities of air, hand-made cycles, and files that are wrong."""

from pathlib import Path

import numpy as np
import pytest
import scipy.integrate

import workbench as wb
from workbench.base.errors import DataError, UnitError
from workbench.base.share import data_file
from workbench.domains.power_plants import combined_cycle as cc


def test_steam_condenses_where_the_tables_say() -> None:
    made = cc.saturation_temperature(np.array([1e5, 1e6, 1e7]))
    np.testing.assert_allclose(made, [372.755919, 453.035632, 584.149488], rtol=2e-9)  # IAPWS-IF97, table 36
    low = cc.saturation_temperature(np.array([2339.2, 7384.9])) - 273.15
    np.testing.assert_allclose(low, [20.0, 40.0], atol=0.01)  # steam tables (IAPWS-95) at 20 and 40 degC


def test_the_unit_of_the_vacuum_is_told_by_the_tables() -> None:
    _, inputs = cc.hours()
    found = inputs["vacuum"].values
    mercury = cc.saturation_temperature(1333.22 * found) - 273.15
    assert mercury.max() > 100, "as cm Hg some hours would have no vacuum at all"
    as_mbar = cc.saturation_temperature(100.0 * found) - 273.15
    assert as_mbar.min() > 15
    assert as_mbar.max() < 45
    assert np.corrcoef(as_mbar, inputs["T_ambient"])[0, 1] > 0.8


def test_density_of_moist_air() -> None:
    dry = cc.moist_air_density(288.15, 101325.0, 0.0)
    assert dry == pytest.approx(1.2250, abs=1e-4)  # International Standard Atmosphere, sea level
    moist = cc.moist_air_density(293.15, 101325.0, 0.5)
    assert moist == pytest.approx(1.1988, abs=5e-4)  # CIPM-2007 at 20 degC, 50 %


def test_a_gas_turbine_by_hand() -> None:
    work, exhaust = cc.gas_turbine(288.15, 14.0, 1373.0)
    hot = 1005 * 288.15 * (14 ** (287.05 / 1005) - 1) / 0.86  # T_2 - T_1 over eta, times c
    assert hot == pytest.approx(378.8e3, rel=2e-3)
    assert exhaust == pytest.approx(1373 * (1 - 0.89 * (1 - 14**-0.25)), rel=1e-12)
    assert work == pytest.approx(1148 * (1373 - exhaust) - hot, rel=1e-12)
    assert 500 < exhaust - 273.15 < 520


def test_the_work_of_steam_is_the_sum_of_small_carnot_engines() -> None:
    exhaust, condensing = 785.0, 305.0
    work, _ = scipy.integrate.quad(lambda T: cc.HOT * (1 - condensing / T), cc.STACK, exhaust)
    assert cc.steam_work(exhaust, condensing) == pytest.approx(work, rel=1e-10)


def test_the_plant_at_iso_conditions_and_its_slopes() -> None:
    at = {"T_ambient": [15.0, 16.0, 15.0, 15.0], "p_ambient": [1013.25, 1013.25, 1023.25, 1013.25]}
    at |= {"humidity": [0.6] * 4, "vacuum": [40.0, 40.0, 40.0, 41.0]}
    import xarray as xr

    time = {"time": np.arange(4.0)}
    inputs = {name: xr.DataArray(values, time, "time") for name, values in at.items()}
    power = wb.simulate(cc.CombinedCycle(), np.arange(4.0), inputs=inputs)["power"].values
    work, exhaust = cc.gas_turbine(288.15, 14.0, 1373.0)
    steam = 0.7 * cc.steam_work(exhaust, cc.saturation_temperature(4000.0))
    assert power[0] == pytest.approx(1050e-6 * (0.985 * work + steam), rel=1e-9)
    assert 400 < power[0] < 500, "nominally 480 MW"
    assert -3.0 < power[1] - power[0] < -1.0, "MW/K"
    assert power[2] / power[0] - 1 == pytest.approx(10 / 1013.25, rel=0.01), "in proportion to the pressure"
    assert -0.5 < power[3] - power[0] < -0.05, "MW/hPa"


@pytest.mark.parametrize(
    ("old", "new", "error", "words"),
    [
        ("AP_mbar", "AP_mba", DataError, "expected a column 'AP_mbar'; did you mean 'AP_mbar' by 'AP_mba'"),
        ("AP_mbar", "AP_mbar [kg]", UnitError, "AP_mbar"),
        ("AT_C", "AT_C [K]", DataError, "'AT_C': got .* expected -50 to 60"),
        ("1010.84", "", DataError, "got nan hPa in row 0; expected 500 to 1100: take out rows with gaps"),
        ("1010.84", "-9999", DataError, "codes of dead sensors"),
        ("1010.84", "high", DataError, "'high' in row 0"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, old: str, new: str, error: type[Exception], words: str) -> None:
    text = data_file("combined_cycle.csv").read_text("utf-8")
    assert old in text
    file = tmp_path / "mine.csv"
    file.write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(error, match=words):
        cc.hours(file)


def test_a_sensor_that_is_stuck_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    rows = "\n".join(f"{10 + k / 10},40.0,1010,{50 + k},{470 - k}" for k in range(30))
    file.write_text(f"AT_C,V_cmHg,AP_mbar,RH_pct,PE_MW\n{rows}\n", "utf-8")
    with pytest.raises(DataError, match="got 40 hPa in all rows; expected one that varies: the sensor is stuck"):
        cc.hours(file)


def test_embedded_hours() -> None:
    data, inputs = cc.hours()
    assert data.sizes["time"] == 1000
    assert float(data["power"][0]) == 480.48
    assert inputs["humidity"].max() < 1.01
    some, weather = cc.pick(data, inputs, np.array([5, 3]))
    assert list(some["power"].values) == [float(data["power"][5]), float(data["power"][3])]
    assert list(weather["vacuum"]["time"].values) == [0, 1]


def test_hours_that_are_asked_for_have_no_power(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(data_file("combined_cycle.csv").read_text("utf-8").replace(",480.48", ",", 1), "utf-8")
    data, inputs = cc.hours(file)
    assert np.flatnonzero(np.isnan(data["power"].values)).tolist() == [0]
    assert float(inputs["T_ambient"][0]) == 8.34
