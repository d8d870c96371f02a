"""Days of a virtual patient of simglucose, as a pump, a sensor and a diary would record them; and the same days with
other doses, which nobody can have of a real patient.

    python -m benchmarks.virtual_days adult#001 > data/virtual_glucose.csv

Four meals a day at varied times; the diary's grams are wrong by 20 %, and the pump's calculator doses for what it says,
with the patient's own settings. Each day insulin works up to a third better or worse. The sensor is simglucose's
GuardianRT, every 5 minutes.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from virtual_patients import parts, patient

DAY, EVERY = 1440, 5  # minutes
MEALS = ((420, 50), (750, 70), (1110, 80), (1290, 20))  # minute of the day and grams, in the mean
DAYS, ALTERED = 5, 4  # of which the last is lived again with other doses
OTHERS = {"more": (1.4, 1.0), "less": (0.6, 1.0), "faster": (1.0, 1.3), "slower": (1.0, 0.7)}  # factors of bolus, basal


@dataclass(frozen=True)
class Diary:
    """Minutes, grams eaten and written down, and the sensitivity of each day."""

    minute: np.ndarray
    eaten: np.ndarray
    written: np.ndarray
    sensitivity: np.ndarray


def diary(seed: int) -> Diary:
    """Return what a patient eats and writes down."""
    rng = np.random.default_rng(seed)
    at = np.array([d * DAY + m for d in range(DAYS) for m, _ in MEALS])
    minute = EVERY * np.round((at + rng.normal(0, 25, at.size)) / EVERY).astype(int)
    eaten = np.tile([g for _, g in MEALS], DAYS) * np.exp(0.25 * rng.standard_normal(at.size))
    written = np.maximum(5, 5 * np.round(eaten * np.exp(0.2 * rng.standard_normal(at.size)) / 5))
    return Diary(minute, eaten, written, np.clip(np.exp(0.2 * rng.standard_normal(DAYS)), 0.67, 1.5))


def live(name: str, seed: int, *, boluses: Any = None, bolus: float = 1.0, basal: float = 1.0) -> pd.DataFrame:
    """Return the days of a patient every 5 minutes: glucose, what the pump gave, and what the diary says.

    `boluses` (minutes to units) are given instead of what the calculator says; `bolus` and `basal` are factors of the
    doses of the last day.
    """
    person, act, quest = patient(name), parts().Action, parts().quest.loc[name]
    own = SimpleNamespace(**person._params.to_dict())
    usual, action, day = own.u2ss * own.BW / 6000, (own.kp3, own.Vmx), diary(seed)
    person._params = own
    grams = dict(zip(day.minute.tolist(), zip(day.eaten, day.written, strict=True), strict=True))
    noise = parts().noise(seed)
    rows, left = [], 0.0
    for t in range(DAYS * DAY + 1):
        last, better = t >= ALTERED * DAY, float(day.sensitivity[min(t // DAY, DAYS - 1)])
        own.kp3, own.Vmx = action[0] * better, action[1] * better
        eaten, written = grams.get(t, (0.0, 0.0))
        true = person.observation.Gsub
        given = 0.0
        if t in grams:
            read = rows[-1][1]
            dose = max(0.0, written / quest.CR + max(0.0, read - 150.0) / quest.CF * (written > 30))
            given = boluses[t] if boluses is not None else 0.05 * round(dose / 0.05)
        given *= bolus if last else 1.0
        rate = usual * (basal if last else 1.0)
        if t % EVERY == 0:
            rows.append((t, min(max(true + next(noise), 40.0), 400.0), true, 60 * rate, given, written))
        left += given
        now, left = min(left, 0.5), left - min(left, 0.5)  # a pump gives half a unit a minute
        person.step(act(CHO=eaten, insulin=rate + now))
    return pd.DataFrame(rows, columns=["time", "cgm", "glucose", "basal", "bolus", "meal"])


def with_others(name: str, seed: int) -> pd.DataFrame:
    """Return the days, and beside their glucose that of the same days with other doses on the last."""
    made = live(name, seed)
    given = dict(zip(made["time"].tolist(), made["bolus"].tolist(), strict=True))
    for other, (bolus, basal) in OTHERS.items():
        made[f"glucose_{other}"] = live(name, seed, boluses=given, bolus=bolus, basal=basal)["glucose"]
    return made


HEADER = """\
# Five days of {name}, a virtual patient of simglucose 0.2.11 (MIT licence; UVA/Padova model of 2008), made by
# benchmarks/virtual_days.py with seed {seed}: not a recording. cgm: its sensor; glucose: what it measures, without
# error; meal: grams of carbohydrate in a diary that errs by 20 %. glucose_more, _less: the same with boluses of the
# last day 1.4 or 0.6 as large; glucose_faster, _slower: with a basal rate 1.3 or 0.7 as high from its midnight on.
"""

if __name__ == "__main__":
    who, seed = sys.argv[1] if len(sys.argv) > 1 else "adult#001", 1
    table = with_others(who, seed)
    units = {"time": "min", "basal": "U/h", "bolus": "U", "meal": "g"}
    table.columns = [f"{n} [{units.get(n, 'mg/dL')}]" for n in table.columns]
    print(HEADER.format(name=who, seed=seed) + table.round(2).to_csv(index=False, float_format="%.4g"), end="")
