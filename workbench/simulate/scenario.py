"""What happens to each unit, ready for a kernel: the time is cut into segments in which every input is a straight line.

At the boundary of two segments the later one counts: an impulse at the time of a reading acts just before it, and so
does a new value of a "previous" input. The forms that inputs may have are listed in `workbench.simulate.series`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.base.clock import Clock, check_times_of_units
from workbench.base.errors import DataError
from workbench.base.tables import listed
from workbench.declare.model import Model
from workbench.declare.quantity import Input
from workbench.simulate.series import Series, read_inputs

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Schedule:
    """Segments of every unit, one after the other.

    Attributes
    ----------
    offset
        (U + 1,) the segments of unit k are offset[k] to offset[k + 1]; each unit has at least one.
    begin
        (S,) time at which a segment begins, in the model's unit, increasing within a unit; first its clock's start.
    level
        (S, I) value of each continuous input at the segment's begin, in the order of `model.inputs`, impulses left out.
    slope
        (S, I) its rate of change within the segment, 0 for "previous".
    jump
        (S, N) amounts added to the states, in the order of `model.state_layout`, at the segment's begin.
    shock
        (members, S, N) random amounts added likewise, of a model with process noise; None without.
    """

    offset: Index
    begin: Array
    level: Array
    slope: Array
    jump: Array
    shock: Array | None = None

    @cached_property
    def longest(self) -> int:
        """Most segments of a unit."""
        return int(np.diff(self.offset).max(initial=1))

    @cached_property
    def addresses(self) -> tuple[int, ...]:
        """Where the arrays lie in memory, as kernels take them; asked once, as asking takes a while."""
        arrays = (self.offset, self.begin, self.level, self.slope, self.jump)
        assert all(array.flags.c_contiguous for array in arrays)
        return tuple(array.ctypes.data for array in arrays)


@dataclass(frozen=True, eq=False)
class _Rows:
    """One input as rows (n,) sorted by unit, then time, in the model's time unit."""

    unit: Index
    time: Array
    value: Array

    def keep(self, chosen: NDArray[np.bool_]) -> "_Rows":
        return _Rows(self.unit[chosen], self.time[chosen], self.value[chosen])


def unit_labels(model: Model, inputs: Any) -> tuple[Any, ...] | None:
    """Return the labels of units that the inputs name, None where they are the same for all."""
    return next((s.labels for s in read_inputs(model, inputs).values() if s.labels is not None), None)


def build_schedule(
    model: Model, inputs: Any, *, units: Sequence[Any] | None, begin: Array, end: Array, clock: Clock
) -> Schedule:
    """Return what the inputs do to each unit between the first and the last time asked for.

    The clock of a unit starts at the first time asked for, or at its first impulse where that is earlier. Impulses
    after the last time are left out; those at one time add up. A continuous input is never extrapolated: "linear"
    covers both ends, "previous" begins at or before the start and holds its last value, a constant covers everything.

    Parameters
    ----------
    model
        The model.
    inputs
        Mapping from an input's name to its series; the forms are listed in `workbench.simulate.series`.
    units
        Labels of the units, None for one nameless unit.
    begin, end
        (U,) first and last time asked for, in the model's time unit.
    clock
        Reads the times of the inputs.

    Raises
    ------
    DataError
        If an input is unknown, missing, not known everywhere, or names other units; if its times cannot be used.
    UnitError
        If it cannot be converted into the declared unit.
    """
    given = read_inputs(model, inputs)
    labels = None if units is None else tuple(units)
    placed = {name: _place(name, series, labels, begin.size, clock) for name, series in given.items()}
    impulses = {n: _amounts(n, rows) for n, rows in placed.items() if model.inputs[n].kind == "impulse"}
    start = np.array(begin, dtype=np.float64)
    for rows in impulses.values():
        np.minimum.at(start, rows.unit, rows.time)
    lines, held = list[tuple[_Rows, Array]](), list[tuple[Index, Array]]()
    for name, quantity in model.inputs.items():
        if quantity.kind == "impulse":
            continue
        rows = _cover(
            quantity, placed[name], constant=given[name].times is None, span=(start, end), read=(labels, clock)
        )
        lines.append((rows, _slopes(rows, quantity.kind)))
        held.append(_changes(*lines[-1], kind=quantity.kind, span=(start, end)))
    for name, rows in impulses.items():
        impulses[name] = acting = rows.keep((rows.value != 0) & (rows.time <= end[rows.unit]))
        held.append((acting.unit, acting.time))
    unit, time = _boundaries(start, held)
    offset = np.zeros(begin.size + 1, dtype=np.int64)
    np.cumsum(np.bincount(unit, minlength=begin.size), out=offset[1:])
    level, slope = np.empty((time.size, len(lines))), np.empty((time.size, len(lines)))
    for column, (rows, slopes) in enumerate(lines):
        last = _last_before(rows.unit, rows.time, unit, time)
        slope[:, column] = slopes[last]
        level[:, column] = rows.value[last] + slopes[last] * (time - rows.time[last])
    return Schedule(offset, time, level, slope, _jumps(model, impulses, unit, time))


def _place(name: str, series: Series, labels: tuple[Any, ...] | None, count: int, clock: Clock) -> _Rows:
    """Return the rows of every unit, sorted by unit; what is the same for all is repeated. A constant is at time 0."""
    where, size = f"input {name!r}", series.values.size
    time = np.zeros(size) if series.times is None else clock.numbers(series.times.values, where, series.times.units)
    if series.labels is None:
        every = np.repeat(np.arange(count), size)
        return _Rows(every, np.tile(time, count), np.tile(series.values, count))
    if labels is None:
        raise DataError(
            f"{where}: got units {listed(series.labels)}; expected none, as the data are of one nameless unit"
        )
    known = {label: k for k, label in enumerate(labels)}
    strange = [label for label in series.labels if label not in known]
    if strange:
        raise DataError(f"{where}: got unknown units {listed(strange)}; expected {listed(labels)}")
    named = set(series.labels)
    absent = [label for label in labels if label not in named]
    if absent:
        raise DataError(
            f"{where}: got nothing for units {listed(absent)}, only for {listed(series.labels)}; expected all"
        )
    unit = np.array([known[label] for label in series.labels], dtype=np.int64)[series.index]
    order = np.argsort(unit, kind="stable")
    return _Rows(unit[order], time[order], series.values[order])


def _amounts(name: str, rows: _Rows) -> _Rows:
    rows = rows.keep(~np.isnan(rows.value))
    if not np.isfinite(rows.time).all():
        raise DataError(f"input {name!r}: got an amount without a time; expected a time for every amount")
    if np.isinf(rows.value).any():
        raise DataError(f"input {name!r}: got an infinite amount; expected finite numbers, NaN for none")
    return rows


def _cover(quantity: Input, rows: _Rows, *, constant: bool, span: tuple[Array, Array], read: Any) -> _Rows:
    """Return the rows of a continuous input, which are known, in order, and cover the span of every unit."""
    (start, end), (labels, clock) = span, read
    where = f"input {quantity.name!r}"
    if constant:
        rows = _Rows(rows.unit, start[rows.unit], rows.value)
    check_times_of_units(rows.time, rows.unit, where, labels=labels, clock=clock)
    if not np.isfinite(rows.value).all():
        row = int(np.argmin(np.isfinite(rows.value)))
        place = "" if constant else f" at {clock.label(rows.time[row])}"
        unit = "" if labels is None else f", unit {labels[rows.unit[row]]!r}"
        raise DataError(f"{where}: got {rows.value[row]:g}{place}{unit}; expected a finite number at every time")
    if rows.time.size == 0:
        raise DataError(f"{where}: got no values; expected at least one")
    every = np.arange(start.size)
    first, last = np.searchsorted(rows.unit, every, "left"), np.searchsorted(rows.unit, every, "right") - 1
    slack = 1e-12 * np.maximum(np.abs(start), np.abs(end))  # for a rounded unit, never for a sample
    time = rows.time.copy()
    short = time[first] > start + slack
    if quantity.kind == "linear" and not constant:
        short |= time[last] < end - slack
        time[last] = np.maximum(time[last], end)
    if short.any():
        k = int(np.argmax(short))
        unit = "" if labels is None else f", unit {labels[k]!r}"
        known = f"{clock.label(rows.time[first[k]])} to {clock.label(rows.time[last[k]])}"
        raise DataError(
            f"{where}{unit}: got values from {known}; expected them to cover {clock.label(start[k])} to "
            f"{clock.label(end[k])}, as nothing is extrapolated"
        )
    time[first] = np.minimum(time[first], start)
    return _Rows(rows.unit, time, rows.value)


def _slopes(rows: _Rows, kind: str) -> Array:
    """Return the rate of change after each row; 0 for "previous" and after a unit's last row."""
    slopes = np.zeros(rows.time.size)
    if kind == "linear":
        inside = np.flatnonzero(rows.unit[1:] == rows.unit[:-1])
        slopes[inside] = (rows.value[inside + 1] - rows.value[inside]) / (rows.time[inside + 1] - rows.time[inside])
    return slopes


def _changes(rows: _Rows, slopes: Array, *, kind: str, span: tuple[Array, Array]) -> tuple[Index, Array]:
    """Return unit and time of the rows where the line changes after the start; other rows need no boundary."""
    start, end = span[0][rows.unit], span[1][rows.unit]
    line = slopes if kind == "linear" else rows.value
    changed = (rows.time > start) & (rows.time < end if kind == "linear" else rows.time <= end)
    changed[1:] &= line[1:] != line[:-1]  # a unit's first row is never after its start
    return rows.unit[changed], rows.time[changed]


def _boundaries(start: Array, held: list[tuple[Index, Array]]) -> tuple[Index, Array]:
    """Return unit and time of every segment's begin: the starts, and what the inputs add, each once and in order."""
    unit = np.concatenate([np.arange(start.size), *(u for u, _ in held)])
    time = np.concatenate([start, *(t for _, t in held)])
    order = np.lexsort((time, unit))
    unit, time = unit[order], time[order]
    fresh = np.ones(unit.size, dtype=bool)
    fresh[1:] = (np.diff(unit) != 0) | (np.diff(time) != 0)
    return unit[fresh], time[fresh]


def _last_before(unit: Index, time: Array, at_unit: Index, at_time: Array) -> Index:
    """Return, for each place, the last of the sorted rows (unit, time) of its unit that is not after it."""
    order = np.lexsort((np.concatenate([time, at_time]), np.concatenate([unit, at_unit])))  # stable: rows before places
    seen = np.cumsum(order < unit.size) - 1
    places = order >= unit.size
    last = np.empty(at_unit.size, dtype=np.int64)
    last[order[places] - unit.size] = seen[places]
    return last


def _jumps(model: Model, impulses: dict[str, _Rows], unit: Index, time: Array) -> Array:
    jump = np.zeros((time.size, model.state_layout.size))
    for name, rows in impulses.items():
        target = model.inputs[name].into
        into = model.state_layout.places[name].start if target is None else model.impulse_places[target]
        np.add.at(jump[:, into], _last_before(unit, time, rows.unit, rows.time), rows.value)
    return jump
