"""Alarms on a filter's innovations, at a rate of false alarms that the user sets."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workbench.base.errors import DataError

Array = NDArray[np.float64]


class Detector(Protocol):
    """What turns standardised innovations into alarms."""

    @property
    def name(self) -> str:
        """A word for tables."""

    def threshold(self, run_length: float) -> float:
        """Return the threshold for a mean number of readings between false alarms."""

    def statistic(self, z: Array) -> Array:
        """Return the signed statistic after each of (n,) standardised innovations, begun at zero."""


@dataclass(frozen=True)
class Outlier:
    """One reading far off: |z| beyond a quantile of the normal distribution (z squared is chi-square of one degree)."""

    name: str = "outlier"

    def threshold(self, run_length: float) -> float:
        """Return the |z| that a right model exceeds once in so many readings."""
        from scipy.special import ndtri

        return float(-ndtri(0.5 / run_length))

    def statistic(self, z: Array) -> Array:
        """Return z itself."""
        return z


@dataclass(frozen=True)
class Shift:
    """A lasting shift of the mean: two-sided CUSUM (Page, Biometrika 41 (1954) 100-115).

    Parameters
    ----------
    size
        The shift, in SDs of an innovation, that is to be found fastest (the reference value is half of it).
    """

    size: float = 1.0
    name: str = "shift"

    def threshold(self, run_length: float) -> float:
        """Return the decision interval h."""
        from workbench.sync.runlength import cusum_threshold

        return cusum_threshold(run_length, 0.5 * self.size)

    def statistic(self, z: Array) -> Array:
        """Return the upper sum, or minus the lower one where that is larger."""
        upper, lower = _cusum(z - 0.5 * self.size), _cusum(-z - 0.5 * self.size)
        return np.where(upper >= lower, upper, -lower)


@dataclass(frozen=True)
class Drift:
    """A slow drift: exponentially weighted moving average (Roberts, Technometrics 1 (1959) 239-250).

    Parameters
    ----------
    half_life
        Readings after which a reading's weight has halved.
    """

    half_life: float = 30.0
    name: str = "drift"

    @property
    def weight(self) -> float:
        """The weight of the newest reading."""
        return float(1 - 0.5 ** (1 / self.half_life))

    def threshold(self, run_length: float) -> float:
        """Return the limits in SDs of the average."""
        from workbench.sync.runlength import ewma_threshold

        return ewma_threshold(run_length, self.weight)

    def statistic(self, z: Array) -> Array:
        """Return the average in units of its stationary SD."""
        from scipy.signal import lfilter

        w = self.weight
        return lfilter([w], [1, w - 1], z) / np.sqrt(w / (2 - w))


DETECTORS: tuple[Detector, ...] = (Outlier(), Shift(), Drift())


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
        What looks at them: `Outlier()`, `Shift(size)`, `Drift(half_life)` of `workbench.sync.alarms`.

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
            thresholds[i, j] = detector.threshold(lengths[i, j])
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


def detect(z: Array, detector: Detector, threshold: float) -> tuple[Array, NDArray[np.bool_]]:
    """Return a detector's statistic after each of (n,) innovations, and where it alarms; it begins anew after each."""
    statistic, raised = np.empty_like(z), np.zeros(z.size, dtype=bool)
    begin, piece = 0, 1024
    while begin < z.size:
        end = min(begin + piece, z.size)
        part = detector.statistic(z[begin:end])
        over = np.flatnonzero(np.abs(part) > threshold)
        if over.size:
            end = begin + int(over[0]) + 1
            raised[end - 1] = True
        elif end < z.size:  # no alarm so far: look further from the same begin, as the statistic has a memory
            piece *= 4
            continue
        statistic[begin:end] = part[: end - begin]
        begin, piece = end, 1024
    return statistic, raised


def _cusum(steps: Array) -> Array:
    """Return S = max(0, S + step), begun at zero: the sum less its lowest value so far."""
    total = np.cumsum(steps)
    return total - np.minimum(np.minimum.accumulate(total), 0.0)


def _years(time: xr.DataArray) -> Array:
    """Return times in years (of 365.25 days) since the first."""
    from workbench.base.units import convert

    if np.issubdtype(time.dtype, np.datetime64):
        return np.asarray((time - time[0]) / np.timedelta64(1, "D"), dtype=np.float64) / 365.25
    unit: Any = time.attrs.get("units")
    if unit is None:
        raise DataError("watch: got times without a unit; expected dates, or attrs['units'] such as 'h'")
    return np.asarray(convert(time.values - time.values[0], unit, "d"), dtype=np.float64) / 365.25
