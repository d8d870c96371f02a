"""Hours of a gas turbine as they were published, or as a user has them: checked, columns that were exchanged put right.

In a copy of the published table that is going round, the headers of yield and discharge pressure are exchanged: yields
of 10 to 15 MWh and pressures of 100 to 175 "mbar". No machine yields so little at such a firing temperature, nor runs
on a tenth of the air's pressure; the two do not overlap in MWh and bar, so that the values tell which is which.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from workbench.base.errors import DataError
from workbench.base.share import data_file
from workbench.base.tables import Column, numbers_of, read_table
from workbench.domains.power_plants.gas_turbine import GasTurbine, schedule

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[np.float64]
MEASURED = {
    "TEY_MWH": ("power", "MWh", (20.0, 600.0)),
    "NOX_mg_m3": ("NOx", "mg/m**3", (0.1, 2000.0)),
    "CO_mg_m3": ("CO_root", "mg/m**3", (0.0, 5000.0)),
}
"""Columns that may have gaps, which are asked for: output of the model, unit, range beyond which a value is a fault."""

SENSORS = {
    "AT_C": ("T_ambient", "degC", (-50.0, 60.0)),
    "AP_mbar": ("p_ambient", "hPa", (500.0, 1100.0)),
    "AH_pct": ("humidity", "percent", (0.0, 105.0)),
    "CDP_mbar": ("discharge", "bar", (3.0, 40.0)),
    "TIT_C": ("firing", "degC", (700.0, 1700.0)),
    "TAT_C": ("exhaust", "degC", (300.0, 800.0)),
    "AFDP_mbar": ("filter_drop", "hPa", (0.0, 50.0)),
}
"""Columns without gaps: name of the quantity, unit, and the range. CDP is named mbar by its publisher and holds bar."""

FEWEST, STUCK = 200, 24  # values of a column; hours for which no sensor of a running machine stands still


@dataclass(frozen=True)
class Hours:
    """What a file holds, by rows, and what was found wrong with it.

    Attributes
    ----------
    data
        power (MW), NOx (mg/m^3) and CO_root (the root of CO in mg/m^3) over `time`, which counts hours of running; NaN
        where asked for.
    inputs
        Sensors by the names of the model's inputs, and `filter_drop` (hPa).
    year
        (time,) calendar years.
    faults
        Sentences on what was mended.
    """

    data: "xr.Dataset"
    inputs: "dict[str, xr.DataArray]"
    year: Array
    faults: tuple[str, ...]


def hours(path: str | Path | None = None) -> Hours:
    """Return what was recorded, hour by hour.

    Parameters
    ----------
    path
        A CSV file with the columns `year, AT_C, AP_mbar, AH_pct, AFDP_mbar, TIT_C, TAT_C, CDP_mbar, TEY_MWH, CO_mg_m3,
        NOX_mg_m3` in the order of time (`GTEP_mbar` is not used; `row` counts hours where some are left out); None for
        every 11th hour of 2011 to 2013, which come with the package. The last three may be empty where they are
        asked for.

    Raises
    ------
    DataError
        If the file cannot be read; a column is missing, stuck or holds an impossible value; years fall.
    UnitError
        If a header's unit cannot be converted.
    """
    import xarray as xr

    file = data_file("gas_turbine.csv") if path is None else Path(path)
    found, faults = dict(read_table(file, file.name)), list[str]()
    if _exchanged(found, file.name):
        found["TEY_MWH"], found["CDP_mbar"] = found["CDP_mbar"], found["TEY_MWH"]
        faults.append("The columns TEY_MWH and CDP_mbar carry each other's values; they were exchanged back.")
    year, time = _clock(found, file.name)
    made = dict[str, xr.DataArray]()
    for column, (name, unit, limits) in {**SENSORS, **MEASURED}.items():
        values = numbers_of(found, column, unit, file.name)
        _check(values, limits, f"{file.name}, {column!r}", unit, gaps=column in MEASURED)
        still = _stuck(values, time, 4 if column in MEASURED else STUCK)  # control holds sensors for some hours
        if still.any() and column not in MEASURED:
            raise DataError(
                f"{file.name}, {column!r}: got {values[still][0]:g} {unit} in {still.sum()} rows from row "
                f"{np.argmax(still)} on; expected readings that move within {STUCK} h: the sensor is stuck, or the "
                "column is filled"
            )
        if still.any():
            values = np.where(still, np.nan, values)
            faults.append(
                f"{column} stands still for a day or longer, {still.sum()} rows in all, the first of them row "
                f"{np.argmax(still)}; they are taken as not measured."
            )
        if name == "CO_root":
            values, unit = np.sqrt(values), "(mg/m**3)**0.5"
        if name == "humidity":
            values, unit = values / 100, "1"
        unit = "MW" if unit == "MWh" else unit  # the energy of an hour
        made[name] = xr.DataArray(values, {"time": time}, "time", attrs={"units": unit})
    made["schedule"] = schedule(made["firing"], made["exhaust"]).assign_attrs(units="K")
    outputs = {name: made.pop(name) for name, *_ in MEASURED.values()}
    return Hours(xr.Dataset(outputs), made, year, tuple(faults))


def _exchanged(found: Mapping[str, Column], where: str) -> bool:
    """Say whether yield and discharge pressure have each other's values; DataError where neither way is possible."""
    power, pressure = (numbers_of(found, n, u, where) for n, u in (("TEY_MWH", "MWh"), ("CDP_mbar", "bar")))
    if not np.isfinite(power).any() or not np.isfinite(pressure).any():
        return bool(np.nanmedian(pressure) > SENSORS["CDP_mbar"][2][1]) if np.isfinite(pressure).any() else False
    ways = [
        bool(MEASURED["TEY_MWH"][2][0] <= np.nanmedian(a) and SENSORS["CDP_mbar"][2][0] <= np.nanmedian(b) <= 40.0)
        for a, b in ((power, pressure), (pressure, power))
    ]
    if not any(ways):
        raise DataError(
            f"{where}: got medians of {np.nanmedian(power):g} in 'TEY_MWH' and {np.nanmedian(pressure):g} in "
            "'CDP_mbar'; expected MWh above 20, and bar between 3 and 40 (the publisher's header says mbar)"
        )
    return not ways[0]


def _clock(found: Mapping[str, Column], where: str) -> tuple[Array, Array]:
    """Return the year of each row, and the hours of running before it."""
    year = numbers_of(found, "year", "1", where)
    wrong = np.flatnonzero(~(np.isfinite(year) & (year == np.round(year)) & (np.abs(year - 2000) < 100)))
    if wrong.size:
        raise DataError(
            f"{where}, 'year': got {year[wrong[0]]:g} in row {wrong[0]}; expected a calendar year in all rows"
        )
    row = numbers_of(found, "row", "1", where) if "row" in found else np.arange(float(year.size))
    for name, series, least in (("year", year, 0.0), ("row", row, 0.5)):
        back = np.flatnonzero(~(np.diff(series) >= least))
        if back.size:
            raise DataError(
                f"{where}, {name!r}: got {series[back[0] + 1]:g} after {series[back[0]]:g} in row {back[0] + 1}; "
                "expected rows in the order of time: sort them"
            )
    return year, row


def _check(values: Array, limits: tuple[float, float], where: str, unit: str, *, gaps: bool) -> None:
    """Refuse readings that no machine has, and too few; DataError."""
    known = np.isfinite(values)
    if known.sum() < FEWEST:
        raise DataError(f"{where}: got {known.sum()} values; expected at least {FEWEST} hours")
    wrong = np.flatnonzero(~((values >= limits[0]) & (values <= limits[1])) & ~(np.isnan(values) & gaps))
    if wrong.size:
        raise DataError(
            f"{where}: got {values[wrong[0]]:g} {unit} in row {wrong[0]}; expected {limits[0]:g} to {limits[1]:g}: "
            f"take out rows with gaps and codes of dead sensors (there are {wrong.size})"
        )


def _stuck(values: Array, time: Array, rows: int) -> NDArray[np.bool_]:
    """Return which readings stand still for `STUCK` hours or more, over `rows` or more."""
    ends = np.concatenate([[-1], np.flatnonzero(np.diff(values) != 0), [values.size - 1]])
    still = np.zeros(values.size, dtype=bool)
    for first, last in zip(ends[:-1] + 1, ends[1:], strict=True):
        still[first : last + 1] = (
            last - first >= rows - 1 and time[last] - time[first] >= STUCK and np.isfinite(values[first])
        )
    return still


def choose(hours: Hours, rows: NDArray[np.intp]) -> "tuple[xr.Dataset, dict[str, xr.DataArray]]":
    """Return outputs and the model's inputs of some rows (n,), on a clock that counts them.

    The static model has no memory, and hours of running play no part in it.
    """
    time = {"time": np.arange(float(len(rows)))}
    some = {n: v.isel(time=rows).assign_coords(time) for n, v in hours.inputs.items() if n in GasTurbine().inputs}
    return hours.data.isel(time=rows).assign_coords(time), some


def daily(hours: Hours, values: Array, rows: NDArray[np.bool_]) -> "xr.DataArray":
    """Return the means (D,) of values (T,) over days of running, of chosen rows (T,), NaN where there is none."""
    import xarray as xr

    day = (hours.data["time"].values // 24).astype(int)
    used = rows & np.isfinite(values)
    span = np.arange(day[rows].min(), day[rows].max() + 1)
    count, total = (np.bincount(day[used] - span[0], w, span.size) for w in (None, values[used]))
    with np.errstate(invalid="ignore"):
        return xr.DataArray(total / count, {"time": span.astype(float)}, "time", attrs={"units": "1"})


def falls(level: "xr.DataArray", least: float, window: int = 7) -> Array:
    """Return the times at which a series of days fell at once, as where a filter was changed; none is in the data.

    Parameters
    ----------
    level
        (D,) means of days.
    least
        Least fall between the medians of the days before and after.
    window
        How many days these medians are of.
    """
    time, known = level["time"].values, np.isfinite(level.values)
    time, values = time[known], level.values[known]
    inner = np.arange(window, values.size - window + 1)
    steps = np.array([np.median(values[k - window : k]) - np.median(values[k : k + window]) for k in inner])
    found = list[float]()
    while steps.size and steps.max() > least:
        place = int(steps.argmax())
        found.append(float(time[inner[place]]))
        steps[max(0, place - 2 * window) : place + 2 * window] = 0.0
    return np.sort(np.array(found))
