"""What monitors of intensive care record, as data and inputs of the model of the circulation."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.base.errors import DataError, ParameterError
from workbench.base.share import data_file
from workbench.base.tables import numbers_of, read_table

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[np.float64]
COLUMNS = {
    "time": ("s", (-np.inf, np.inf)),
    "ecg": ("mV", (-10.0, 10.0)),
    "abp": ("mmHg", (-20.0, 300.0)),
    "pap": ("mmHg", (-20.0, 150.0)),
    "respiration": ("1", (-np.inf, np.inf)),
}
"""Columns of a file: unit, and the range beyond which a value is a fault."""

PRESSURES = ("abp", "pap")
STUCK, REFRACTORY, KNOT, OPENING = 0.4, 0.3, 0.1, 0.15  # s: flat line; between R peaks; of respiration; R to ejection


def record(
    path: str | Path | None = None, *, ventricle_below: float | None = None, every: int = 5
) -> "tuple[xr.Dataset, dict[str, xr.DataArray]]":
    """Return pressures as data, and beats, respiration and the catheter's tip as inputs; time 0 is the first R peak.

    Parameters
    ----------
    path
        A CSV file with the columns `time, ecg, abp, pap, respiration` (units in brackets after a name are converted;
        without: s, mV, mmHg, mmHg, any), evenly sampled; an empty abp or pap is a gap. None: the 16 s that come with
        the package.
    ventricle_below
        mmHg: where the pulmonary pressure falls below it in diastole, the tip has fallen back into the right
        ventricle (see `fallen`); None: never.
    every
        Of so many samples one is kept.

    Raises
    ------
    DataError
        If the file cannot be read; a column is missing, stuck, or holds an impossible value; if samples are not
        evenly spaced, or fewer than six beats are found.
    UnitError
        If a header's unit cannot be converted.
    """
    import xarray as xr

    file = data_file("icu_pressures.csv") if path is None else Path(path)
    found, made = read_table(file, file.name), dict[str, Array]()
    for name, (unit, limits) in COLUMNS.items():
        made[name] = numbers_of(found, name, unit, file.name)
        _refuse_impossible(made[name], limits, f"{file.name}, {name!r}", unit, gaps=name in PRESSURES)
    step = _step(made["time"], file.name)
    for name in PRESSURES:
        _refuse_stuck(made[name], int(STUCK / step), f"{file.name}, {name!r}")
    beats = r_peaks(made["time"], made["ecg"])
    if beats.size < 6:
        raise DataError(
            f"{file.name}: got {beats.size} R peaks in 'ecg'; expected 6 or more: give another lead, or a longer record"
        )
    time, first = made["time"] - beats[0], int(np.argmin(np.abs(made["time"] - beats[0])))
    beats = beats - beats[0]
    tip = fallen(time[first:], made["pap"][first:], beats, ventricle_below)

    def series(at: Array, values: Array, unit: str) -> xr.DataArray:
        return xr.DataArray(values, {"time": ("time", at, {"units": "s"})}, "time", attrs={"units": unit})

    chest = made["respiration"] - made["respiration"].mean()
    scale = chest.std()
    knots = np.append(np.arange(0.0, time[-1], KNOT), time[-1])
    inputs = {
        "beat": series(beats, beats, "s"),
        "chest": series(knots, np.interp(knots, time, chest / (scale if scale > 0 else 1.0)), "1"),
        "tip": series(tip[0], tip[1], "1"),
    }
    words = {"abp": "arterial pressure", "pap": "pulmonary arterial pressure"}
    kept = slice(first, None, every)
    variables = {n: ("time", made[n][kept], {"units": "mmHg", "long_name": words[n]}) for n in PRESSURES}
    return xr.Dataset(variables, {"time": ("time", time[kept], {"units": "s"})}), inputs


def r_peaks(time: Array, ecg: Array) -> Array:
    """Return the times (s) of the R peaks, or of the deepest points, of an ECG: its largest excursions.

    A sample is one if it is farther from the median than half of what one in 100 samples is, and the farthest within
    0.3 s on both sides.
    """
    far = np.abs(ecg - np.median(ecg))
    step = float(np.median(np.diff(time)))
    reach = max(1, int(REFRACTORY / step))
    padded = np.pad(far, reach, constant_values=-1.0)
    highest = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).max(axis=1)
    peaks = np.flatnonzero((far >= highest) & (far > 0.5 * np.quantile(far, 0.99)))
    return np.asarray(time[peaks[np.diff(peaks, prepend=-reach - 1) > reach]], dtype=np.float64)


def fallen(time: Array, pap: Array, beats: Array, below: float | None) -> tuple[Array, Array]:
    """Return times (s) from which on the catheter's tip is in the right ventricle (1) or in the artery (0).

    A catheter that is not far enough in falls back through the valve when the heart empties and fills. In the artery
    pressure runs off through the lungs; in the ventricle it drops within 0.1 s to that of the veins. In a diastole in
    which it falls below a limit, the tip counts as fallen from when it is half way there, until blood is ejected
    again, when both pressures are one.

    Parameters
    ----------
    time, pap
        (T,) s and mmHg.
    beats
        Times of the R peaks.
    below
        mmHg; None: it never falls.

    Raises
    ------
    ParameterError
        If the limit is not below the highest pressure.
    """
    times, places = [float(time[0])], [0.0]
    if below is None:
        return np.array(times), np.array(places)
    if not below < np.nanmax(pap):
        raise ParameterError(
            f"got ventricle_below={below:g} mmHg with pulmonary pressures up to {np.nanmax(pap):g}; expected less"
        )
    limit = 0.5 * (below + np.nanmedian(pap))
    starts = np.concatenate([[beats[0] - np.median(np.diff(beats))], beats])
    ends = np.append(beats, np.inf) + OPENING
    for start, end in zip(starts, ends, strict=True):
        inside = np.flatnonzero((time >= start + 2 * OPENING) & (time < end))
        if not inside.size or not np.nanmin(pap[inside], initial=np.inf) < below:
            continue
        begin = max(float(time[inside[np.argmax(pap[inside] < limit)]]), times[-1])
        if begin == times[-1]:
            times.pop(), places.pop()
        times, places = [*times, begin], [*places, 1.0]
        if end < time[-1]:
            times, places = [*times, float(end)], [*places, 0.0]
    return np.array(times), np.array(places)


def _step(time: Array, where: str) -> float:
    """Return the step of an even clock in s; DataError for another."""
    steps = np.diff(time)
    if time.size < 200 or not (steps > 0).all() or steps.max() > 1.5 * np.median(steps):
        row = int(np.argmax((steps <= 0) | (steps > 1.5 * np.median(steps)))) + 1 if steps.size else 0
        raise DataError(
            f"{where}: got {time.size} rows, or a time in row {row} that is not one step after the one before; "
            "expected 200 or more, evenly spaced: leave pressures empty where there are none"
        )
    step = float(np.median(steps))
    if step > 0.02:
        raise DataError(f"{where}: got a sample every {step:g} s; expected 0.02 s or less, or beats cannot be told")
    return step


def _refuse_impossible(values: Any, limits: tuple[float, float], where: str, unit: str, *, gaps: bool) -> None:
    wrong = np.flatnonzero(~((values >= limits[0]) & (values <= limits[1])) & ~(gaps & np.isnan(values)))
    if wrong.size:
        raise DataError(
            f"{where}: got {values[wrong[0]]:g} {unit} in row {wrong[0]}; expected {limits[0]:g} to {limits[1]:g}"
            + (", and an empty cell where the line was flushed or closed" if gaps else "")
        )


def _refuse_stuck(values: Array, longest: int, where: str) -> None:
    """Refuse a line that is damped to one value."""
    known = np.flatnonzero(np.isfinite(values))
    if known.size < 100:
        raise DataError(f"{where}: got {known.size} readings; expected 100 or more")
    changes = np.concatenate([[0], np.flatnonzero(np.diff(values[known]) != 0) + 1, [known.size]])
    run = int(np.argmax(np.diff(changes)))
    if np.diff(changes)[run] > longest:
        row = known[changes[run]]
        raise DataError(
            f"{where}: got {values[row]:g} mmHg {np.diff(changes)[run]} times from row {row} on; expected readings "
            "that vary: the line is closed or clotted, leave them empty"
        )
