"""Alarms on a filter's innovations, at a rate of false alarms that the user sets."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workbench.base.errors import DataError
from workbench.sync.detectors import DETECTORS, Detector, detect, threshold

Array = NDArray[np.float64]


def watch(followed: xr.Dataset, *, a_year: float = 1.0, detectors: Sequence[Detector] = DETECTORS) -> xr.Dataset:
    """Return the alarms that a filter's innovations raise, at a rate of false alarms that the user sets.

    Each detector on each output has an equal share of the rate, and its threshold from its exact mean run length, so
    that while model and sensors are right there are `a_year` false alarms a year in all (fewer where two detectors
    find the same). A detector begins anew after its alarm.

    Parameters
    ----------
    followed
        What `wb.assimilate` returned; or a Dataset of normalised innovations (innovation / SD). `time` is in dates or
        has units of time in its attributes; NaN where nothing was read.
    a_year
        False alarms a year, of all outputs and detectors together.
    detectors
        What looks at them: `Outlier()`, `Shift(size)`, `Spread(ratio)`, `Drift(half_life)` of
        `workbench.sync.detectors`.

    Returns
    -------
    xarray.Dataset
        Over `output` ("level", or "level[a]" of a unit or an element), `detector` and `time`: `statistic` (signed),
        `alarm` (whether it is raised at that reading); `threshold` and `run_length` (readings between false alarms)
        over `output` and `detector`.

    Raises
    ------
    DataError
        If times have no unit, innovations are not over time, or the rate is not positive.
    """
    if not a_year > 0:
        raise DataError(f"watch: got a_year={a_year!r}; expected a positive number of false alarms a year")
    series = normalised(followed)
    names = list(series)
    years = _years(followed["time"])
    shape = (len(names), len(detectors), years.size)
    statistic, raised = np.full(shape, np.nan), np.zeros(shape, dtype=bool)
    thresholds, lengths = np.full(shape[:2], np.nan), np.full(shape[:2], np.nan)
    for i, z in enumerate(series.values()):
        read = np.flatnonzero(np.isfinite(z))
        if read.size < 2:
            continue
        a_reading = (years[read[-1]] - years[read[0]]) / (read.size - 1)
        for j, detector in enumerate(detectors):
            lengths[i, j] = max(len(names) * len(detectors) / (a_year * a_reading), 2.0)
            thresholds[i, j] = threshold(detector, lengths[i, j])
            statistic[i, j, read], raised[i, j, read] = detect(z[read], detector, thresholds[i, j])
    coords = {"output": names, "detector": [d.name for d in detectors], "time": followed["time"]}
    every = ("output", "detector", "time")
    made = xr.Dataset(
        {
            "statistic": (every, statistic, {"long_name": "statistic of the detector"}),
            "alarm": (every, raised, {"long_name": "alarm raised"}),
            "threshold": (every[:2], thresholds),
            "run_length": (every[:2], lengths, {"long_name": "readings between false alarms"}),
        },
        coords,
    )
    return made.assign_attrs(false_alarms_a_year=a_year)


def normalised(followed: xr.Dataset) -> dict[str, Array]:
    """Return the normalised innovations (time,) of every output, unit and element, by a label such as "level[a]".

    Raises
    ------
    DataError
        If one is not over time.
    """
    ends = "_innovation_normalised"
    chosen = [str(n) for n in followed.data_vars if str(n).endswith(ends)] or [str(n) for n in followed.data_vars]
    made = dict[str, Array]()
    for name in chosen:
        array = followed[name]
        if "time" not in array.dims or not np.issubdtype(array.dtype, np.number):
            raise DataError(
                f"watch: got {name!r}, {array.dtype} over {array.dims}; expected innovations over time, of one unit "
                "where units are read at times of their own"
            )
        others = [d for d in array.dims if d != "time"]
        rows = array.transpose(*others, "time").values.reshape(-1, array.sizes["time"])
        labels = [array.get_index(d) for d in others]
        places = itertools.product(*labels) if labels else [()]
        for place, row in zip(places, rows, strict=True):
            of = f"[{', '.join(map(str, place))}]" if place else ""
            made[name.removesuffix(ends) + of] = np.asarray(row, dtype=np.float64)
    return made


def _years(time: xr.DataArray) -> Array:
    """Return times in years (of 365.25 days) since the first."""
    from workbench.base.units import convert

    if np.issubdtype(time.dtype, np.datetime64):
        return np.asarray((time - time[0]) / np.timedelta64(1, "D"), dtype=np.float64) / 365.25
    unit: Any = time.attrs.get("units")
    if unit is None:
        raise DataError("watch: got times without a unit; expected dates, or attrs['units'] such as 'h'")
    return np.asarray(convert(time.values - time.values[0], unit, "d"), dtype=np.float64) / 365.25
