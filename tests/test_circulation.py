"""The circulation: a windkessel in closed form, volume that is kept, another solver, lost scale, and wrong records."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.integrate
import xarray as xr

import workbench as wb
from workbench.base.errors import DataError, ParameterError, UnitError
from workbench.base.share import data_file
from workbench.domains.patients import circulation_records as records
from workbench.domains.patients.circulation import Circulation, activation

MODEL = Circulation()


class Tight(Circulation):
    """The same, solved more finely: steps across the opening of a valve are less exact than steps between."""

    rtol, atol = 1e-10, 1e-9


TIGHT = Tight()


def series(time: Any, values: Any, unit: str = "1") -> xr.DataArray:
    return xr.DataArray(np.asarray(values, float), {"time": np.asarray(time, float)}, "time", attrs={"units": unit})


def regular(until: float, beat: float = 0.63) -> dict[str, xr.DataArray]:
    """Return inputs of even beats, with respiration as a slow wave."""
    beats, knots = np.arange(0, until, beat), np.linspace(0, until, 40)
    return {
        "beat": series(beats, beats, "s"),
        "chest": series(knots, np.sin(knots)),
        "tip": series([0.0], [0.0]),
    }


def volumes(made: xr.Dataset, **values: float) -> np.ndarray:
    """Return the blood (mL) in all six chambers, of the priors' medians and other values."""
    p = {"resistance": 0.9, "decay": 1.4, "lungs": 0.15, "decay_lungs": 0.4} | values
    C, C_lungs = p["decay"] / p["resistance"], p["decay_lungs"] / (p["lungs"] * p["resistance"])
    held = C * (made["P_sa"] + 40 * made["P_sv"]) + C_lungs * (made["P_pa"] + 2 * made["P_pv"])
    return np.asarray(held + made["V_lv"] + made["V_rv"])


def test_activation_rises_to_one_and_ends() -> None:
    s = np.array([-0.1, 0.0, 0.1, 0.2, 0.25, 0.3, 0.5])
    np.testing.assert_allclose(activation(s, 0.2, 0.1), [0, 0, 0.5, 1, 0.5, 0, 0], atol=1e-12)


def test_without_a_beat_the_artery_runs_off_as_a_windkessel_does() -> None:
    never = {"beat": series([0.0], [100.0], "s"), "chest": series([0, 2], [0, 0]), "tip": series([0.0], [0.0])}
    time = np.linspace(0, 1.5, 31)
    made = wb.simulate(MODEL, time, inputs=never, parameters={"veins": 1e9, "filling_right": 5.0, "first": 80.0})
    np.testing.assert_allclose(made["abp"].squeeze(), 5 + 75 * np.exp(-time / 1.4), rtol=2e-5)


def test_no_blood_is_lost() -> None:
    held = volumes(wb.simulate(MODEL, np.linspace(0, 20, 400), inputs=regular(20)).squeeze())
    assert held[0] > 300
    np.testing.assert_allclose(held, held[0], rtol=1e-6)


def test_in_a_steady_state_all_flows_are_one() -> None:
    inputs = regular(126.1)
    inputs["chest"] = series([0.0, 126.1], [0.0, 0.0])
    time = np.linspace(126.0 - 0.63, 126.0, 2001)
    made = wb.simulate(MODEL, np.concatenate([[0.0], time]), inputs=inputs).squeeze().isel(time=slice(1, None))
    body = float(made["pumped"][-1] - made["pumped"][0])
    lung = np.trapezoid((made["P_pa"] - made["P_pv"]) / (0.15 * 0.9), time)
    left, right = (float(made[n].max() - made[n].min()) for n in ("V_lv", "V_rv"))
    np.testing.assert_allclose([lung, left, right], body, rtol=2e-3)  # valves do not leak: stroke is the whole fall


def test_pressures_have_no_scale_of_flow() -> None:
    time = np.linspace(0, 6, 151)
    one, other = (wb.simulate(TIGHT, time, inputs=regular(6.1), parameters={"resistance": R}) for R in (0.9, 1.8))
    for line in ("abp", "pap"):
        np.testing.assert_allclose(one[line], other[line], rtol=1e-6)
    np.testing.assert_allclose(one["pumped"], 2 * other["pumped"], rtol=1e-6)
    np.testing.assert_allclose(one["V_lv"], 2 * other["V_lv"], rtol=1e-6)


def by_hand(until: float, beat: float) -> Any:
    """Return the solution of the equations written out, at the priors' medians, by SciPy."""
    R, C, Z, Rp, Cp, Zp = 0.9, 1.4 / 0.9, 0.09, 0.135, 0.4 / 0.135, 0.027
    E, Er, out, into = 1.8, 0.63, 0.008 * 0.9, 0.008 * 0.9

    def shape(s: float) -> float:
        if 0 < s < 0.25:
            return (1 - np.cos(np.pi * s / 0.25)) / 2
        return (1 + np.cos(np.pi * (s - 0.25) / 0.2)) / 2 if 0.25 <= s < 0.45 else 0.0

    def rates(t: float, y: Any, since: float) -> list[float]:
        sa, sv, pa, pv, lv, rv = y
        left = (0.04 * E + 0.96 * E * shape(t - since - 0.12)) * lv
        right = (0.12 * Er + 0.88 * Er * shape(t - since - 0.06)) * rv
        mitral, tricuspid = max(pv - left, 0) / into, max(sv - right, 0) / into
        aortic, pulmonary = max(left - sa, 0) / (Z + out), max(right - pa, 0) / (Zp + out)
        body, lung = (sa - sv) / R, (pa - pv) / Rp
        return [
            (aortic - body) / C, (body - tricuspid) / (40 * C), (pulmonary - lung) / Cp, (lung - mitral) / (2 * Cp),
            mitral - aortic, tricuspid - pulmonary,
        ]  # fmt: skip

    y, states = [60.0, 7.0, 15.0, 10.0, 10 / (0.04 * E), 7 / (0.12 * Er)], []
    for start in np.arange(0, until - 1e-9, beat):
        grid = np.linspace(start, start + beat, 13)
        y = list((found := scipy.integrate.solve_ivp(
            rates, (start, start + beat), y, args=(start,), t_eval=grid, rtol=1e-9, atol=1e-9, max_step=0.01
        ).y)[:, -1])  # fmt: skip
        states.append(found[:, :-1])
    return np.concatenate(states, axis=1)


def test_another_solver_finds_the_same() -> None:
    until = 10 * 0.63
    inputs = regular(until)
    inputs["chest"] = series([0.0, until], [0.0, 0.0])
    time = np.concatenate([np.linspace(k * 0.63, (k + 1) * 0.63, 13)[:-1] for k in range(10)])
    made = wb.simulate(TIGHT, time, inputs=inputs).squeeze()
    own = np.array([made[n].values for n in ("P_sa", "P_sv", "P_pa", "P_pv", "V_lv", "V_rv")])
    np.testing.assert_allclose(own, by_hand(until, 0.63), rtol=1e-5)


def test_the_embedded_record() -> None:
    data, inputs = records.record(ventricle_below=11.5)
    beats = inputs["beat"].values
    assert beats.size == 25
    assert 0.61 < np.diff(beats).min() < np.diff(beats).max() < 0.65
    assert beats[0] == 0
    assert data["time"].values[0] == 0
    np.testing.assert_allclose(np.diff(data["time"]), 0.04, atol=1e-9)
    times, places = inputs["tip"]["time"].values, inputs["tip"].values
    assert (np.diff(times) > 0).all()
    assert int((np.diff(places, prepend=0) == 1).sum()) == 13  # with the one that lasts before the first R peak
    assert float(inputs["chest"].std()) == pytest.approx(1, abs=0.1)
    assert records.record()[1]["tip"].values.tolist() == [0.0]


def test_the_published_record_is_the_embedded_one(shared_data: Path) -> None:
    import pandas as pd

    published = pd.read_csv(shared_data / "patients/icu_waveform/mimic041_abp_pap_125hz.csv")
    own = pd.read_csv(data_file("icu_pressures.csv"), comment="#")
    for column, name in {"t_s": "time [s]", "V": "ecg [mV]", "ABP": "abp [mmHg]", "PAP": "pap [mmHg]"}.items():
        np.testing.assert_allclose(own[name], published[column], atol=1e-4)


def test_peaks_of_an_ecg_upright_or_not() -> None:
    time = np.arange(0, 10, 0.004)
    at = np.array([0.5, 1.3, 2.0, 3.1, 4.0, 4.6, 5.7, 6.5, 7.7, 8.8])
    ecg = sum(np.exp(-(((time - a) / 0.015) ** 2)) for a in at) + 0.2 * np.sin(2 * np.pi * time / 3)
    for lead in (ecg, -ecg):
        np.testing.assert_allclose(records.r_peaks(time, lead), at, atol=0.009)


@pytest.mark.parametrize(
    ("old", "new", "error", "words"),
    [
        ("abp [mmHg]", "apb [mmHg]", DataError, "expected a column 'abp'; did you mean 'abp' by 'apb'"),
        ("abp [mmHg]", "abp [mV]", UnitError, "abp"),
        ("pap [mmHg]", "pap [Pa]", DataError, "closed or clotted|R peaks|varies|expected"),
        ("0,0.069,67.9", "0,0.069,9999", DataError, "got 9999 mmHg in row 0; expected -20 to 300, and an empty cell"),
        ("0.008,0.0855", "5,0.0855", DataError, "evenly spaced"),
        ("0.008,0.0855", "0.008,dead", DataError, "'dead'"),
    ],
)
def test_a_wrong_record_is_refused(tmp_path: Path, old: str, new: str, error: type[Exception], words: str) -> None:
    text = data_file("icu_pressures.csv").read_text("utf-8")
    assert old in text
    file = tmp_path / "mine.csv"
    file.write_text(text.replace(old, new, 1), "utf-8")
    if "[Pa]" in new:
        data, _ = records.record(file)  # a unit in the header is converted
        assert float(data["pap"].max()) == pytest.approx(32.6875 * 0.00750062, rel=1e-3)
        return
    with pytest.raises(error, match=words):
        records.record(file)


def test_a_closed_line_and_an_ecg_without_beats_are_refused(tmp_path: Path) -> None:
    import pandas as pd

    table = pd.read_csv(data_file("icu_pressures.csv"), comment="#")
    file = tmp_path / "mine.csv"
    table.assign(**{"abp [mmHg]": np.where(table.index > 1500, 80.0, table["abp [mmHg]"])}).to_csv(file, index=False)
    with pytest.raises(DataError, match=r"got 80 mmHg 499 times from row 1501 on; .*the line is closed or clotted"):
        records.record(file)
    table.head(400).to_csv(file, index=False)
    with pytest.raises(DataError, match=r"got [0-5] R peaks in 'ecg'; expected 6 or more"):
        records.record(file)
    with pytest.raises(ParameterError, match="ventricle_below=40 mmHg with pulmonary pressures up to"):
        records.record(ventricle_below=40)


def test_gaps_of_a_line_are_kept(tmp_path: Path) -> None:
    import pandas as pd

    table = pd.read_csv(data_file("icu_pressures.csv"), comment="#")
    file = tmp_path / "mine.csv"
    table.assign(**{"abp [mmHg]": table["abp [mmHg]"].where(table.index < 1500)}).to_csv(file, index=False)
    data, _ = records.record(file)
    assert int(data["abp"].isnull().sum()) == 100


@pytest.mark.slow
def test_a_patient_whose_parameters_are_known_is_found_again() -> None:
    true = {"decay": 1.7, "impedance": 0.15, "lungs": 0.2, "strength": 2.6, "swing": 2.0, "rise": 0.22, "first": 70.0}
    time, inputs = np.arange(0, 7.5, 0.04), regular(7.6)
    made = wb.simulate(MODEL, time, inputs=inputs, parameters=true).squeeze()
    rng = np.random.default_rng(3)
    noisy = {n: ("time", made[n].values + rng.normal(0, 1.0, time.size), {"units": "mmHg"}) for n in ("abp", "pap")}
    found = wb.calibrate(
        MODEL, xr.Dataset(noisy, {"time": time}), inputs=inputs, draws=150, tune=250, chains=2, seed=1, progress=False
    )
    draws = found.posterior
    distance = {n: abs(float((draws[n].mean() - v) / draws[n].std())) for n, v in true.items()}
    assert max(distance.values()) < 3.2, distance
    narrow = {n: float(draws[n].std() / v) for n, v in true.items() if n != "swing"}
    assert max(narrow.values()) < 0.25, narrow
    assert float(np.log(draws["resistance"]).std()) == pytest.approx(0.35, rel=0.3)  # as the prior
