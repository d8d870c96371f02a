"""The door of time: datetimes and numbers in any unit of time become numbers in a model's time unit, and back.

A time is a number, a datetime (datetime64, pandas Timestamp, Python datetime or date), an ISO 8601 text, or a duration
(timedelta64). Datetimes with a time zone are converted to UTC; those without one are taken as they are. Equal instants
give equal numbers whatever the unit they came in: each is rounded once.
"""

import datetime
import numbers
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.base import units
from workbench.base.errors import DataError, UnitError

_FINEST = np.timedelta64(1, "ns")
_EXACT = 2.0**50  # a whole number below it survives the four roundings on its way to a label
_CURE = "expected numbers, datetimes, or texts such as '2024-05-01T12:00'"


@dataclass(frozen=True)
class Clock:
    """How times are counted.

    Attributes
    ----------
    time_unit
        Unit of the numbers.
    origin
        The instant that is 0, where times are datetimes; None where they are numbers.
    """

    time_unit: str
    origin: np.datetime64 | None = None

    @classmethod
    def of(cls, times: Any, time_unit: str, where: str = "times") -> "Clock":
        """Return the clock for `times`: its origin is their earliest datetime, or None when they are numbers.

        `where` names them in an error.

        Raises
        ------
        DataError
            If the times are neither, or datetimes of which none is known.
        """
        read = read_times(times, where)
        if read.dtype.kind != "M":
            return cls(time_unit)
        known = read[~np.isnat(read)]
        if known.size == 0:
            raise DataError(f"{where}: got {read.size} datetimes, none of them known; expected at least one")
        return cls(time_unit, known.min())

    def numbers(self, times: Any, where: str = "times", unit: str | None = None) -> NDArray[np.float64]:
        """Return times as numbers in the clock's time unit (since its origin, for datetimes); NaN where not known.

        Parameters
        ----------
        times
            Any shape; a DataArray's `attrs["units"]` is the unit of its numbers.
        where
            Names the times in an error.
        unit
            Unit of numeric times where they carry none; the clock's own by default.

        Raises
        ------
        DataError
            If they are no times, or numbers where the clock counts datetimes, or the other way round.
        UnitError
            If their unit is no unit of time.
        """
        read = read_times(times, where)
        if read.dtype.kind == "M":
            if self.origin is None:
                raise DataError(
                    f"{where}: got datetimes such as {_written(read.flat[0])}; expected numbers in {self.time_unit}"
                )
            return _count(read - self.origin, self._nanoseconds)
        if self.origin is not None and read.size:
            first = read.flat[0] if read.dtype.kind == "m" else f"{read.flat[0]:g}"
            raise DataError(
                f"{where}: got times such as {first}; expected datetimes, as those since {_written(self.origin)}"
            )
        if read.dtype.kind == "m":
            return _count(read, self._nanoseconds)
        given = (getattr(times, "attrs", None) or {}).get("units", unit)
        return _rescale(read, given, self.time_unit, where)

    def labels(self, numbers: Any) -> NDArray[Any]:
        """Return numbers of the clock as a person reads them: datetime64[ns] where it has an origin, else as they are.

        Datetimes more than 13 days from the origin are rounded to a microsecond, and after 35 years to a millisecond:
        what float64 still holds.
        """
        numbers = np.asarray(numbers, dtype=np.float64)
        if self.origin is None:
            return numbers
        exact = np.nan_to_num(numbers * self._nanoseconds)
        size = np.abs(exact)
        grain = np.where(size < _EXACT, 1, np.where(size < 1e3 * _EXACT, 1_000, 1_000_000))
        whole = np.rint(exact / grain).astype(np.int64) * grain
        return np.where(np.isnan(numbers), np.datetime64("NaT", "ns"), self.origin + whole.astype("timedelta64[ns]"))

    def label(self, number: float) -> str:
        """Return one time as a sentence shows it: "2.5 h", or a datetime."""
        return f"{number:.10g} {self.time_unit}" if self.origin is None else _written(self.labels(number)[()])

    @property
    def attributes(self) -> dict[str, str]:
        """Attributes of a time coordinate (datetimes carry their unit in their type)."""
        numeric = {"units": self.time_unit} if self.origin is None else {}
        return {"long_name": "time", "axis": "T", **numeric}

    @property
    def _nanoseconds(self) -> float:
        second = self.time_unit == units.DIMENSIONLESS  # where times may be numbers of cases, datetimes count seconds
        return 1e9 if second else units.factor(self.time_unit, "s") * 1e9


def check_times(times: NDArray[np.float64], where: str, clock: Clock | None = None) -> None:
    """Refuse times that are not one row of known, increasing numbers.

    Parameters
    ----------
    times
        (n,) numbers.
    where
        Names them in the error.
    clock
        Writes times as a person reads them.

    Raises
    ------
    DataError
        For the first time that is missing or not finite, repeated, or before the one above it; rows count from 0.
    """
    if times.ndim != 1:
        raise DataError(f"{where}: got times of shape {times.shape}; expected one row of times")
    wrong = ~np.isfinite(times)
    wrong[1:] |= ~(times[1:] > times[:-1])
    if not wrong.any():
        return
    row = int(np.argmax(wrong))
    if not np.isfinite(times[row]):
        raise DataError(f"{where}: got time {times[row]:g} in row {row}; expected a time in every row")
    label = clock.label if clock else "{:.10g}".format
    now, before = label(times[row]), label(times[row - 1])
    if times[row] == times[row - 1]:
        raise DataError(f"{where}: got time {now} in rows {row - 1} and {row}; expected each time once")
    raise DataError(f"{where}: got time {now} in row {row}, after {before}; expected times sorted from early to late")


def check_times_of_units(
    times: NDArray[np.float64], index: NDArray[np.int64], where: str, *, labels: Any = None, clock: Clock | None = None
) -> None:
    """Refuse times that do not increase within a unit; rows (n,) are sorted by the unit's `index`.

    Raises
    ------
    DataError
        As `check_times`, for the first unit that is wrong; `labels` name it, and rows count within it.
    """
    wrong = ~np.isfinite(times)
    wrong[1:] |= (np.diff(index) == 0) & ~(times[1:] > times[:-1])
    if wrong.any():
        unit = index[np.argmax(wrong)]
        check_times(times[index == unit], where if labels is None else f"{where}, unit {labels[unit]!r}", clock)


def read_times(times: Any, where: str) -> NDArray[Any]:
    """Return times of any accepted kind as an array of float64, datetime64[ns] (UTC) or timedelta64[ns].

    Raises
    ------
    DataError
        If they are of no such kind, or of several.
    """
    try:
        array = np.asarray(times)
    except ValueError:
        raise DataError(f"{where}: got rows of unequal length; {_CURE}") from None
    if array.dtype.kind in "OUT":
        array = _read_objects(array.astype(object), where)
    if array.dtype.kind in "Mm":
        try:
            return array.astype(f"{array.dtype.kind}8[ns]")
        except OverflowError:
            raise DataError(f"{where}: got datetimes from {array.min()}; expected the years 1678 to 2261") from None
    if array.dtype.kind not in "iuf":
        raise DataError(f"{where}: got times of type {array.dtype}; {_CURE}")
    return array.astype(np.float64)


def _read_objects(array: NDArray[Any], where: str) -> NDArray[Any]:
    """Read what only Python can: texts, Timestamps, dates, and numbers among missing values."""
    import pandas as pd

    known = [item for item in array.flat if not (item is None or item is pd.NaT or item is pd.NA or item != item)]
    if all(isinstance(item, numbers.Real) and not isinstance(item, bool | np.timedelta64) for item in known):
        return np.reshape([float("nan") if pd.isna(item) else float(item) for item in array.flat], array.shape)
    if all(isinstance(item, datetime.timedelta | np.timedelta64) for item in known):
        return pd.to_timedelta(array.ravel()).to_numpy().reshape(array.shape)
    if not all(isinstance(item, str | datetime.date | np.datetime64) for item in known):
        kinds = ", ".join(sorted({type(item).__name__ for item in known}))
        raise DataError(f"{where}: got times of type {kinds}; {_CURE}")
    try:
        read = pd.to_datetime(array.ravel(), format="ISO8601", utc=True).tz_localize(None)
    except (ValueError, OverflowError):
        likely = [item for item in known if pd.isna(pd.to_datetime(item, format="ISO8601", utc=True, errors="coerce"))]
        raise DataError(f"{where}: got time {(likely or known)[0]!r}; {_CURE}") from None
    return read.to_numpy().reshape(array.shape)


def _written(instant: Any) -> str:
    return str(instant.astype("datetime64[ns]")).rstrip("0").rstrip(".")


def _count(spans: NDArray[np.timedelta64], nanoseconds: float) -> NDArray[np.float64]:
    """Return spans of time as multiples of so many nanoseconds; NaN where not known."""
    return np.where(np.isnat(spans), np.nan, (spans / _FINEST) / nanoseconds)


def _rescale(times: NDArray[np.float64], source: str | None, target: str, where: str) -> NDArray[np.float64]:
    """Convert with one rounding: 7 min become the float nearest to 7/60 h."""
    if source is None or source == target:
        return times
    try:
        up, down = units.factor(source, target), units.factor(target, source)
    except UnitError as error:
        raise UnitError(f"{where}: {error}") from None
    return times / down if down > 1 else times * up
