"""What sensors, pumps and diaries of people with diabetes say, as data and inputs of the model of their glucose."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.base.errors import DataError, unknown
from workbench.base.share import data_file
from workbench.base.tables import listed, numbers_of, read_numbers, read_table, require

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

CARBOHYDRATE = 0.12
"""Grams of carbohydrate a kcal of food: 48 % of energy, at 4 kcal/g (Eurodiab: Toeller M et al. (1996), Eur. J. Clin.
Nutr. 50, 10: 43 to 50 % of the energy that people with type 1 diabetes eat)."""

RANGE = (39.6, 399.6)
"""What the sensor reads, 2.2 to 22.2 mmol/L; beyond it says low or high."""

COLUMNS = {
    "time": ("min", (-np.inf, np.inf)),
    "cgm": ("mg/dL", (20.0, 600.0)),
    "basal": ("U/h", (0.0, 20.0)),
    "bolus": ("U", (0.0, 60.0)),
    "meal": ("g", (0.0, 500.0)),
}
"""Columns of a user's file: unit, and the range beyond which a value is a fault."""

PUBLISHED = ("id", "time", "gl", "fast_insulin", "slow_insulin", "calories")
LONGEST_GAP, STUCK = 360.0, 36  # minutes; readings in a row


def days(path: str | Path | None = None) -> "tuple[xr.Dataset, dict[str, xr.DataArray]]":
    """Return readings of a sensor, and basal rate, boluses and meals as inputs.

    Parameters
    ----------
    path
        A CSV file with the columns `time, cgm, basal, bolus, meal` (units in brackets after a name are converted;
        without: min, mg/dL, U/h, U, g); an empty cgm is a gap. None: five days of a virtual patient that come with
        the package.

    Raises
    ------
    DataError
        If the file cannot be read; a column is missing, stuck, or holds an impossible value; if times do not
        increase, or a gap is longer than six hours.
    UnitError
        If a header's unit cannot be converted.
    """
    file = data_file("virtual_glucose.csv") if path is None else Path(path)
    found, made = read_table(file, file.name), {}
    for column, (unit, limits) in COLUMNS.items():
        values = numbers_of(found, column, unit, file.name)
        made[column] = np.where(np.isnan(values), 0.0, values) if column in ("bolus", "meal") else values
        _refuse_impossible(made[column], limits, f"{file.name}, {column!r}", unit, gaps=column == "cgm")
    return _assembled(file.name, made["time"], made["cgm"], (made["basal"], made["bolus"], made["meal"]))


def subjects(path: str | Path) -> list[int]:
    """Return the numbers of the people in the published file."""
    return sorted({int(v) for v in read_numbers(_published(path)["id"], "id")})


def recording(path: str | Path, subject: int) -> "tuple[xr.Dataset, dict[str, xr.DataArray]]":
    """Return one person of the D1NAMO recordings, as `days`.

    Meals are recorded in kcal and become grams by `CARBOHYDRATE`. Slow insulin is given off evenly over 24 hours after
    its dose (Heinemann L et al. (2000), Diabetes Care 23, 644-649), the first one's rate before it; where none is
    recorded the rate is 0, and what it does is in the production. Readings at the sensor's limits are left out.

    Parameters
    ----------
    path
        The published file, `fetch("d1namo_glucose")`.
    subject
        Number of the person.

    Raises
    ------
    DataError
        If there is no such subject, or less than two days of it; and as `days`.
    """
    table = _published(path)
    ids = subjects(path)
    if subject not in ids:
        raise DataError(unknown("subject", str(subject), map(str, ids), Path(path).name))
    own = table[table["id"] == subject]
    minutes = (own["time"] - own["time"].iloc[0]).dt.total_seconds().to_numpy() / 60
    if minutes[-1] < 2880:
        raise DataError(
            f"subject {subject}: got {minutes[-1] / 60:.0f} hours; expected two days or more, of {listed(ids)}"
        )
    glucose = own["gl"].to_numpy(dtype=float)
    glucose = np.where((glucose <= RANGE[0] + 0.01) | (glucose >= RANGE[1] - 0.01), np.nan, glucose)
    slow = own["slow_insulin"].to_numpy(dtype=float)
    doses = np.flatnonzero(slow > 0)
    rate = np.zeros(minutes.size)
    if doses.size:
        last = np.maximum(np.searchsorted(doses, np.arange(minutes.size), "right") - 1, 0)
        rate = slow[doses[last]] / 24
    grams = CARBOHYDRATE * own["calories"].to_numpy(dtype=float)
    given = (rate, own["fast_insulin"].to_numpy(dtype=float), grams)
    return _assembled(f"subject {subject}", minutes, glucose, given)


def _published(path: str | Path) -> "pd.DataFrame":
    import pandas as pd

    found = read_table(Path(path), Path(path).name)
    table = pd.DataFrame({n: require(found, n, Path(path).name).values for n in PUBLISHED})
    return table.assign(time=pd.to_datetime(table["time"]))


def _refuse_impossible(values: Any, limits: tuple[float, float], where: str, unit: str, *, gaps: bool) -> None:
    wrong = np.flatnonzero(~((values >= limits[0]) & (values <= limits[1])) & ~(gaps & np.isnan(values)))
    if wrong.size:
        raise DataError(
            f"{where}: got {values[wrong[0]]:g} {unit} in row {wrong[0]}; expected {limits[0]:g} to {limits[1]:g}"
            + (", and an empty cell where the sensor was off" if gaps else "")
        )


def _assembled(where: str, time: Any, cgm: Any, given: Any) -> "tuple[xr.Dataset, dict[str, xr.DataArray]]":
    """Return data and inputs, checked as one."""
    import xarray as xr

    steps = np.diff(time)
    if time.size < 100 or not (steps > 0).all():
        row = int(np.argmax(steps <= 0)) + 1
        raise DataError(f"{where}: got {time.size} rows, or a time in row {row} not after the one before; expected 100 "
                        "or more that increase")  # fmt: skip
    known = np.flatnonzero(np.isfinite(cgm))
    if not known.size:
        raise DataError(f"{where}: got no reading of the sensor; expected numbers in mg/dL")
    silent = np.diff(time[known], prepend=time[0], append=time[-1])
    longest, start = silent.max(), np.concatenate([time[:1], time[known]])[int(np.argmax(silent))]
    if longest > LONGEST_GAP:
        raise DataError(f"{where}: got no reading for {longest / 60:.1f} h after {start:g} min; "
                        "expected gaps of six hours or less: cut the file there, and take the longer part")  # fmt: skip
    changes = np.concatenate([[0], np.flatnonzero(np.diff(cgm[known]) != 0) + 1, [known.size]])
    run = int(np.argmax(np.diff(changes)))
    if np.diff(changes)[run] >= STUCK:
        row = known[changes[run]]
        raise DataError(f"{where}: got {cgm[row]:g} mg/dL {np.diff(changes)[run]} times from row {row} on; expected "
                        "readings that vary: the sensor is stuck, leave them empty")  # fmt: skip
    coords = {"time": ("time", time, {"units": "min"})}
    attrs = {"units": "mg/dL", "long_name": "glucose by the sensor"}
    data = xr.Dataset({"cgm": ("time", cgm, attrs)}, coords)
    units = {"basal": "U/h", "bolus": "U", "meal": "g"}
    inputs = {n: xr.DataArray(v, coords, "time", attrs={"units": units[n]}) for n, v in zip(units, given, strict=True)}
    return data, inputs
