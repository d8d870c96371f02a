"""The steam cycle: balances that close, an independent plant, and tables that are wrong."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import workbench as wb
from workbench.base.errors import DataError, UnitError
from workbench.base.share import data_file
from workbench.domains.power_plants.steam_cycle import COOLING, GENERATOR, SENSORS, STATES, SteamCycle, cycle, hours

STATE = dict(zip(STATES, (100.0, 100.0, 540.0, 10.0, 0.05, 5000.0, 15.0, 0.88, 0.86), strict=True))


def test_mass_and_energy_are_kept() -> None:
    made = cycle(STATE)
    assert made["F_extraction"] + made["F_condensate"] == pytest.approx(made["F_steam"])
    rejected = STATE["mw"] * COOLING * (made["T_outlet"] - made["T_inlet"])
    assert made["heat"] == pytest.approx(1000 * made["P"] / GENERATOR + rejected, rel=1e-9)
    assert made["P"] > cycle({**STATE, "eta_lp": 0.84})["P"]


def test_the_model_says_the_same_as_its_equations() -> None:
    made = wb.simulate(SteamCycle(), [0.0], parameters=STATE)
    exact = cycle(STATE)
    assert [made[name].item() for name in SENSORS] == pytest.approx([exact[name] for name in SENSORS], rel=1e-9)


def test_an_independent_plant() -> None:
    """TESPy with CoolProp's IAPWS-95; it has pumps, whose work the twin neglects."""
    from benchmarks.steam_plant import plant, readings

    network, parts = plant()
    for load in (1.0, 0.6):
        parts["high"].set_attr(eta_s=0.88)
        parts["low_turbine"].set_attr(eta_s=0.86)
        parts["1"].set_attr(m=100 * load, p=55 + 45 * load, T=540)
        parts["2"].set_attr(p=10 * load)
        parts["wi"].set_attr(m=5000, T=15)
        network.solve("design")
        true = readings(parts)
        named = {"m1": "F_steam", "p1": "p_steam", "T1": "T_steam", "p2": "p_extraction", "p3": "p_condenser"}
        state = {name: true[sensor] for name, sensor in {**named, "mw": "F_cooling", "Ti": "T_inlet"}.items()}
        made = cycle({**state, "eta_hp": 0.88, "eta_lp": 0.86})
        for name, sensor in SENSORS.items():
            tenth = 0.2 * sensor.sd * (true[name] if sensor.relative else 1.0)
            assert made[name] == pytest.approx(true[name], abs=tenth), name


def test_sound_hours_are_those_of_the_classes() -> None:
    seen = hours()
    clean = seen.known["fault"] == 0
    read = seen.readings[clean]
    drawn = read[:, list(SENSORS).index("F_steam")] / read[:, list(SENSORS).index("F_feed")]
    assert np.std(drawn) == pytest.approx(0.01 * np.sqrt(2), rel=0.25)
    assert seen.readings.shape == (240, 15)
    assert set(np.unique(seen.known["true_eta_lp"])) == {0.835, 0.86}


LINES = [line for line in data_file("steam_plant.csv").read_text("utf-8").splitlines() if not line.startswith("#")]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda head, rows: [head.replace("F_feed", "F_fed"), *rows], DataError, r"column 'F_feed'; did you mean"),
        (lambda head, rows: [head.replace("P [MW]", "P [bar]"), *rows], UnitError, r"'bar'.*convertible to 'MW'"),
        (lambda head, rows: [head, rows[0].replace(rows[0].split(",")[1], "-3"), *rows[1:]], DataError, r"got -3 kg/s"),
        (
            lambda head, rows: [head, *(",".join([r.split(",")[0], "80", *r.split(",")[2:]]) for r in rows)],
            DataError,
            r"'F_steam': got 80 throughout.*stuck",
        ),
        (lambda head, rows: [head, rows[0].replace(rows[0].split(",")[1], "wet")], DataError, r"got 'wet' in row 0"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path: Path, change: Any, error: Any, message: str) -> None:
    path = tmp_path / "own.csv"
    path.write_text("\n".join(change(LINES[0], LINES[1:20])) + "\n", "utf-8")
    with pytest.raises(error, match=message):
        hours(path)
