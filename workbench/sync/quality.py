"""Marks of doubtful readings in a variable beside them: nothing is dropped, and what a check saw stays to be read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workbench.base.errors import DataError, unknown
from workbench.base.schema import TIME, UNIT

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
FLAGS = {"missing": 1, "out_of_range": 2, "spike": 4, "stuck": 8, "after_gap": 16, "clock_jump": 32}
"""Bits of a quality variable, as CF conventions' `flag_masks` (section 3.5); 0 is a reading without a mark."""


class Check(Protocol):
    """What marks readings of one sensor."""

    @property
    def flag(self) -> str:
        """Which of `FLAGS` it sets."""

    def marks(self, time: Array, values: Array) -> Mask:
        """Return which of (n,) readings, none missing, at (n,) times in their order of arrival, are marked."""


@dataclass(frozen=True)
class Range:
    """A reading outside what the sensor, or the asset, can show (the gross range test of QARTOD, IOOS 2020).

    Parameters
    ----------
    low, high
        Ends of the range, in the unit of the readings.
    """

    low: float = -np.inf
    high: float = np.inf
    flag: ClassVar[str] = "out_of_range"

    def marks(self, time: Array, values: Array) -> Mask:
        """Mark what is outside."""
        return (values < self.low) | (values > self.high)


@dataclass(frozen=True)
class Spike:
    """A reading far from the median of its neighbours (Hampel identifier: Pearson et al., EURASIP J. 2016:87).

    Parameters
    ----------
    neighbours
        Readings on each side.
    limit
        Distance that is too far, in SDs: 1.4826 times the median absolute deviation of the neighbours from their
        median, and not below that of the whole series of differences over the root of two (of a quantised signal the
        neighbours are often equal).
    """

    neighbours: int = 3
    limit: float = 6.0
    flag: ClassVar[str] = "spike"

    def marks(self, time: Array, values: Array) -> Mask:
        """Mark what is far off; too short a series has no spikes."""
        width = 2 * self.neighbours + 1
        if values.size < width:
            return np.zeros(values.size, dtype=bool)
        padded = np.pad(values, self.neighbours, mode="reflect")
        window = np.lib.stride_tricks.sliding_window_view(padded, width)
        middle = np.median(window, axis=1)
        local = 1.4826 * np.median(np.abs(window - middle[:, None]), axis=1)
        steps = np.diff(values)
        moving = np.abs(steps[steps != 0])
        usual = 1.4826 * np.median(moving) / np.sqrt(2) if moving.size else 0.0
        scale = np.maximum(local, usual)
        return (np.abs(values - middle) > self.limit * scale) & (scale > 0)


@dataclass(frozen=True)
class Stuck:
    """A run of equal readings longer than chance gives (the flat line test of QARTOD, IOOS 2020).

    Parameters
    ----------
    least
        Equal readings in a row from which on all of them are marked.
    """

    least: int = 12
    flag: ClassVar[str] = "stuck"

    def marks(self, time: Array, values: Array) -> Mask:
        """Mark the whole run."""
        edges = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1], [True]]))
        lengths = np.diff(edges)
        return np.repeat(lengths >= self.least, lengths)


@dataclass(frozen=True)
class Gap:
    """The first reading after a silence.

    Parameters
    ----------
    factor
        Silence that counts, in median intervals between readings.
    """

    factor: float = 5.0
    flag: ClassVar[str] = "after_gap"

    def marks(self, time: Array, values: Array) -> Mask:
        """Mark what came after a silence."""
        if time.size < 3:
            return np.zeros(time.size, dtype=bool)
        steps = np.diff(time)
        onward = steps[steps > 0]
        return np.concatenate([[False], steps > self.factor * (np.median(onward) if onward.size else np.inf)])


@dataclass(frozen=True)
class ClockJump:
    """A reading whose clock did not go on: its time is not after that of every reading before it."""

    flag: ClassVar[str] = "clock_jump"

    def marks(self, time: Array, values: Array) -> Mask:
        """Mark what goes back or stands still."""
        latest = np.maximum.accumulate(time)
        return np.concatenate([[False], time[1:] <= latest[:-1]])


CHECKS: tuple[Check, ...] = (ClockJump(), Gap(), Stuck(), Spike())


def screen(
    data: xr.Dataset, *, limits: Mapping[str, tuple[float, float]] | None = None, checks: Sequence[Check] = CHECKS
) -> xr.Dataset:
    """Return the readings with a variable `<name>_quality` beside each: bits that say what is doubtful about them.

    Parameters
    ----------
    data
        Readings over `time` (and `unit`), in their order of arrival; times may repeat and go back.
    limits
        For some variables the range that a reading may have, in its unit.
    checks
        What is looked for in every variable, beside missing values and ranges.

    Returns
    -------
    xarray.Dataset
        `data`, its values unchanged, and the marks as integers with `flag_masks` and `flag_meanings` in their
        attributes (CF conventions); `usable` takes out what is marked.

    Raises
    ------
    DataError
        If `data` has no time, a variable is not over it, or `limits` names none of the variables.
    """
    if TIME not in data.coords:
        raise DataError(f"screen: got coordinates {[str(c) for c in data.coords]}; expected {TIME!r} among them")
    for name in limits or {}:
        if name not in data.data_vars:
            raise DataError(unknown("variable", name, map(str, data.data_vars), "screen limits"))
    time = _seconds(data[TIME].values)
    made = data.copy()
    for label, array in data.data_vars.items():
        name = str(label)
        if TIME not in array.dims or not np.issubdtype(array.dtype, np.number) or set(array.dims) - {TIME, UNIT}:
            raise DataError(
                f"screen: got {name!r}, {array.dtype} over {array.dims}; expected numbers over time, or unit and time"
            )
        mine = [*checks, *([Range(*limits[name])] if limits and name in limits else [])]
        rows = array.transpose(..., TIME).values.reshape(-1, time.size)
        marks = np.stack([_marked(time, np.asarray(row, dtype=np.float64), mine) for row in rows])
        rest = [d for d in array.dims if d != TIME]
        flags = xr.DataArray(marks.reshape(*[array.sizes[d] for d in rest], time.size), dims=[*rest, TIME])
        made[f"{name}_quality"] = flags.transpose(*array.dims).assign_attrs(
            long_name=f"quality of {name}",
            flag_masks=np.array(list(FLAGS.values()), dtype=np.int8),
            flag_meanings=" ".join(FLAGS),
        )
    return made


def usable(data: xr.Dataset, accept: Sequence[str] = ("after_gap",)) -> xr.Dataset:
    """Return the readings that are not marked, NaN in place of the others, for a model that takes what it is given.

    Parameters
    ----------
    data
        What `screen` returned.
    accept
        Marks that do not disqualify: a reading after a silence is as good as any.
    """
    for flag in accept:
        if flag not in FLAGS:
            raise DataError(unknown("flag", flag, FLAGS, "usable"))
    bad = sum(FLAGS.values()) - sum(FLAGS[flag] for flag in set(accept))
    names = [str(n) for n in data.data_vars if f"{n}_quality" in data.data_vars]
    kept = {n: data[n].where((data[f"{n}_quality"] & bad) == 0).assign_attrs(data[n].attrs) for n in names}
    made = data.assign(kept).drop_vars([f"{n}_quality" for n in names])
    jumped = ClockJump().marks(_seconds(data[TIME].values), np.empty(0))
    return made.isel({TIME: ~jumped})


def _marked(time: Array, values: Array, checks: Sequence[Check]) -> NDArray[np.int8]:
    """Return the marks of one sensor; a check sees only what was read, but the clock runs for what was not, too."""
    read = np.isfinite(values)
    marks = np.where(read, 0, FLAGS["missing"]).astype(np.int8)
    for check in checks:
        if isinstance(check, ClockJump):
            marks[check.marks(time, values)] |= FLAGS[check.flag]
        else:
            marks[np.flatnonzero(read)[check.marks(time[read], values[read])]] |= FLAGS[check.flag]
    return marks


def _seconds(time: NDArray[Any]) -> Array:
    """Return times as numbers, dates as seconds since the first."""
    if np.issubdtype(time.dtype, np.datetime64):
        return (time - time[0]) / np.timedelta64(1, "s")
    return np.asarray(time, dtype=np.float64)
