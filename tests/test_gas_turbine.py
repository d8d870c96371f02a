"""The gas turbine: cycles of an ideal gas by another package, drift by its closed form, and files that are wrong."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import workbench as wb
from workbench.base.errors import DataError, UnitError
from workbench.base.share import data_file
from workbench.domains.power_plants import gas_turbine as gt
from workbench.domains.power_plants import gas_turbine_records as records

CoolProp = pytest.importorskip("CoolProp.CoolProp")


def test_work_of_the_compressor_against_real_air() -> None:
    """Enthalpies of CoolProp's air (Lemmon et al. 2000): heat capacity grows by some percent up to 650 K."""
    inlet, ratio = 288.15, 12.0
    first = CoolProp.PropsSI("H", "T", inlet, "P", 101325.0, "Air")
    entropy = CoolProp.PropsSI("S", "T", inlet, "P", 101325.0, "Air")
    last = CoolProp.PropsSI("H", "S", entropy, "P", ratio * 101325.0, "Air")
    assert gt.compression_work(inlet, ratio, 0.86) == pytest.approx((last - first) / 0.86, rel=0.02)


def test_temperature_before_the_turbine_by_hand() -> None:
    firing = gt.firing_temperature(823.15, 12.0, 0.89)
    assert firing * (1 - 0.89 * (1 - 12.0**-0.25)) == pytest.approx(823.15, rel=1e-12)
    assert 1100 < firing - 273.15 < 1150, "1100 degC, as control reports at its limit"


def test_power_of_the_machine_at_full_load() -> None:
    power = gt.net_power(288.15, 101325.0, 12.6e5, 823.15, (0.86, 0.89, 0.0, 0.0), 0.0142)
    flow = 0.0142 * 12.6e5 / np.sqrt(gt.firing_temperature(823.15, 12.6e5 / 101325, 0.89))
    heat = 1148 * (gt.firing_temperature(823.15, 12.6e5 / 101325, 0.89) - 823.15)
    work = 1005 * 288.15 * ((12.6e5 / 101325) ** (287.05 / 1005) - 1) / 0.86
    assert power == pytest.approx(0.985 * flow * (heat - work), rel=1e-12)
    assert 130e6 < power < 160e6, "a machine of 160 MW"


def test_power_lost_by_a_dirty_filter_by_finite_differences() -> None:
    T, p, ratio, firing = 288.15, 101325.0, 12.0, 1373.15

    def power(inlet: float) -> float:
        expansion = ratio * inlet / p  # the compressor keeps its ratio, gas expands to the pressure of the air
        turbine = gt.HOT * 0.89 * firing * (1 - expansion**-gt.EXPANSION)
        return inlet * (turbine - gt.compression_work(T, ratio, 0.86))

    slope = (power(p * 1.0001) / power(p * 0.9999) - 1) / 2e-4
    work = power(p) / p
    assert gt.inlet_loss(ratio, firing, work, 0.89) == pytest.approx(slope, rel=1e-3)
    assert 1.5 < slope < 2.2


def test_humidity_and_nox() -> None:
    assert gt.humidity_ratio(15.0, 101325.0, 0.6) == pytest.approx(0.00633, abs=1e-5), "ISO air, as in the rule"
    assert gt.nox_factor(288.0, 13.5e5, 0.00633) == 1.0
    dry, wet = gt.nox_factor(288.0, 13.5e5, 0.0), gt.nox_factor(288.0, 13.5e5, 0.01)
    assert wet / dry == pytest.approx(np.exp(-0.19), rel=1e-12)


def test_the_schedule_of_control() -> None:
    assert gt.schedule(1100.0, 550.0) == 0.0
    assert gt.schedule(1080.0, 550.0) == -20.0
    assert gt.schedule(1100.0, 530.0) == 20.0


def drifted(
    rng: np.random.Generator, days: int, wander: float = 0.05, tau: float = 10.0, push: float = 0.2
) -> np.ndarray:
    """Return a level with noise of 0.5, by exact steps of (11) and (12)."""
    slow = np.cumsum(wander * rng.normal(size=days))
    fast, keep = np.zeros(days), np.exp(-1 / tau)
    for k in range(1, days):
        fast[k] = keep * fast[k - 1] + push * np.sqrt(tau / 2 * (1 - keep**2)) * rng.normal()
    return slow + fast + 0.5 * rng.normal(size=days)


def test_density_of_drift_is_that_of_its_covariance() -> None:
    """The filter's evidence against a normal density of all days at once."""
    days = np.arange(40.0)
    z = drifted(np.random.default_rng(3), 40)
    known = {"first": 0.3, "wander": 0.05, "tau": 10.0, "push": 0.2, "residual_sigma": 0.5}
    data = xr.Dataset({"residual": ("time", z, {"units": "1"})}, {"time": days})
    followed = wb.assimilate(gt.Drift(), data, filter=wb.Kalman(), parameters=known)
    s, t = np.meshgrid(days, days)
    stationary = 0.2**2 * 10.0 / 2
    covariance = 0.05**2 * np.minimum(s, t) + stationary * (np.exp(-np.abs(s - t) / 10) - np.exp(-(s + t) / 10))
    covariance += 0.25 * np.eye(40)
    _, log_det = np.linalg.slogdet(covariance)
    exact = -0.5 * ((z - 0.3) @ np.linalg.solve(covariance, z - 0.3) + log_det + 40 * np.log(2 * np.pi))
    assert float(followed["log_evidence"][-1]) == pytest.approx(exact, abs=0.05)


@pytest.mark.slow
def test_a_year_of_simulated_drift_lies_in_its_interval() -> None:
    inside, widths = [], []
    for k in range(12):
        z = drifted(np.random.default_rng(k), 700)
        data = xr.Dataset({"residual": ("time", z[:400], {"units": "1"})}, {"time": np.arange(400.0)})
        made = wb.calibrate(gt.Drift(), data, draws=200, tune=200, chains=2, seed=k, progress=False)
        ahead = wb.forecast(made, np.arange(400.0, 700.0, 10.0), seed=k)["residual"]
        low, high = ahead.quantile([0.05, 0.95], ("chain", "draw")).values
        inside.append(np.mean((z[400::10] >= low) & (z[400::10] <= high)))
        widths.append((high - low)[-5:].mean() / (high - low)[:5].mean())
    assert 0.75 < np.mean(inside) < 0.99
    assert np.min(widths) > 1.0, "intervals widen"


def test_a_planted_change_of_filter_is_found() -> None:
    rng, days = np.random.default_rng(1), np.arange(300.0)
    dirt = 3 + 0.01 * (days % 120) + 0.05 * rng.normal(size=300)
    level = xr.DataArray(dirt, {"time": days}, "time")
    np.testing.assert_allclose(records.falls(level, 0.6), [120.0, 240.0], atol=1)
    assert records.falls(level[:115], 0.6).size == 0


def test_the_package_has_hours_that_the_plant_can_have() -> None:
    hours = records.hours()
    assert hours.data.sizes["time"] == 2018
    assert 100 < float(hours.data["power"].min()) < float(hours.data["power"].max()) < 180
    assert float(hours.inputs["discharge"].max()) < 16
    assert any("NOX_mg_m3 stands still" in fault for fault in hours.faults)
    assert not np.isfinite(hours.data["NOx"].values[122:130]).any()
    assert np.array_equal(np.unique(hours.year), [2011, 2012, 2013])


def changed(folder: Path, old: str, new: str) -> Path:
    """Return a copy of the package's table with one text replaced."""
    text = data_file("gas_turbine.csv").read_text("utf-8")
    assert old in text
    file = folder / "machine.csv"
    file.write_text(text.replace(old, new, 1), "utf-8")
    return file


def test_exchanged_columns_are_put_right(tmp_path: Path) -> None:
    file = changed(tmp_path, "CDP_mbar,TEY_MWH", "TEY_MWH,CDP_mbar")
    hours, right = records.hours(file), records.hours()
    xr.testing.assert_equal(hours.data, right.data)
    assert hours.faults[0].startswith("The columns TEY_MWH and CDP_mbar carry each other's values")
    assert not any("carry" in fault for fault in right.faults)


def test_later_rows_may_be_empty(tmp_path: Path) -> None:
    lines = data_file("gas_turbine.csv").read_text("utf-8").splitlines()
    lines[-1] = ",".join([*lines[-1].split(",")[:-3], "", "", ""])
    file = tmp_path / "machine.csv"
    file.write_text("\n".join(lines), "utf-8")
    assert np.isnan(records.hours(file).data["power"].values[-1])


@pytest.mark.parametrize(
    ("old", "new", "error", "words"),
    [
        ("CDP_mbar", "CDP_bar", DataError, "expected a column 'CDP_mbar'; did you mean 'CDP_mbar' by 'CDP_bar'"),
        ("AT_C", "AT_C [K]", DataError, "'AT_C': got .* expected -50 to 60"),
        ("AT_C", "AT_C [bar]", UnitError, "AT_C"),
        ("1086.2", "", DataError, "'TIT_C': got nan degC in row 0"),
        ("1086.2", "-9999", DataError, "codes of dead sensors"),
        ("1086.2", "hot", DataError, "'hot' in row 0"),
        ("0,2011,", "0,2014,", DataError, "'year': got 2011 after 2014 in row 1; expected rows in the order of time"),
        ("0,2011,", "0,11,", DataError, "'year': got 11 in row 0; expected a calendar year"),
        ("11,2011,", "0,2011,", DataError, "'row': got 0 after 0"),
    ],
)
def test_wrong_files_are_refused_in_a_sentence(
    old: str, new: str, error: type[Exception], words: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        records.hours(changed(tmp_path, old, new))


def test_a_stuck_sensor_is_refused(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.read_csv(data_file("gas_turbine.csv"), comment="#")
    frame.loc[100:160, "TAT_C"] = 550.0
    frame.to_csv(tmp_path / "machine.csv", index=False)
    with pytest.raises(DataError, match=r"'TAT_C': got 550 degC in 61 rows from row 100 on.* the sensor is stuck"):
        records.hours(tmp_path / "machine.csv")
    frame["CDP_mbar"], frame["TEY_MWH"] = 1.0, 1.0
    frame.to_csv(tmp_path / "machine.csv", index=False)
    with pytest.raises(DataError, match="got medians of 1 in 'TEY_MWH' and 1 in 'CDP_mbar'"):
        records.hours(tmp_path / "machine.csv")
