"""What a filter's compiled loop goes through: legs between readings, segments of the inputs in each, and readings."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.declare.model import Model
from workbench.simulate.kernel import longest_run
from workbench.simulate.scenario import Schedule
from workbench.simulate.walk import BETWEEN
from workbench.sync.filters.sensors import Sensors

Array = NDArray[np.float64]
Index = NDArray[np.int64]


class Plan(NamedTuple):
    """Plain arrays: C cycles (one a reading's time), L legs (a cycle has one or more), S segments of the inputs.

    The last C legs have no length: they look at the outputs at the end of a cycle.

    Attributes
    ----------
    leg
        (C + 1,) the legs of cycle k are leg[k] to leg[k + 1].
    until
        (L,) time at which a leg ends.
    before, after
        (L,) squared weight of the process noise added before and after a leg: half its length each for an `Ode`
        (Strang's splitting, second order in the length); 0 and 1 for a step of a `Map`.
    segment
        (L + 1,) the segments of a leg.
    begin, level, slope, jump
        (S,), (S, I), (S, I), (S, N) as in `simulate.scenario.Schedule`; what acts at the end of a leg is in it.
    y
        (C, M) readings of the M elements of outputs that were measured, NaN where missing.
    """

    leg: Index
    until: Array
    before: Array
    after: Array
    segment: Index
    begin: Array
    level: Array
    slope: Array
    jump: Array
    y: Array
    at_limit: NDArray[np.bool_]
    column: Index
    kind: Index
    first: Array
    second: Array
    rtol: float
    atol: float
    longest_run: int


def make_plan(
    model: Model, schedule: Schedule, readings: tuple[Array, Array, NDArray[np.bool_]], sensors: Sensors,
    *, pieces: int | None, tight: bool = False, past: Any = None,
) -> Plan:  # fmt: skip
    """Return the plan of one unit.

    Parameters
    ----------
    schedule
        What the inputs do to the unit, from the start of its clock on.
    readings
        Their times (C,), values (C, M), and which of these lie at a limit of quantification.
    pieces
        Legs between two readings of a model with process noise that has no `noise_step`; None: one leg, as noise is
        added by the filter itself or there is none.
    tight
        Whether the kernel solves to 1e-11, for a filter that is exact.
    past
        When the clock started, and the filter's state (or whatever has a `time`) from which the plan goes on; by
        default it begins with the schedule.
    """
    origin, since = (float(schedule.begin[0]),) * 2 if past is None else (past[0], past[1].time)
    times, y, at_limit = readings
    edges, ends, before, after, leg = _legs(model, (origin, since), times, pieces)
    look = edges[leg[1:] - 1, 1]
    begins, closes = np.concatenate([edges[:, 0], look]), np.concatenate([edges[:, 1], look])
    slack = 1e-9 * getattr(model, "dt", 0.0)
    low = np.searchsorted(schedule.begin, begins + slack, "right")
    high = np.searchsorted(schedule.begin, closes + slack, "right")
    count = np.maximum(high - low, 0) + 1
    segment = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
    place = np.arange(segment[-1]) - np.repeat(segment[:-1], count)
    source = np.repeat(low, count) + place - 1
    head = place == 0
    begin = np.where(head, np.repeat(begins, count), schedule.begin[source])
    level = schedule.level[source] + schedule.slope[source] * (begin - schedule.begin[source])[:, None]
    jump = np.where(head[:, None], 0.0, schedule.jump[source])
    if past is None:
        jump[0] = schedule.jump[0]
    nothing = np.zeros(times.size)
    return Plan(
        leg, np.concatenate([ends, times]), np.concatenate([before, nothing]), np.concatenate([after, nothing]),
        segment, begin, np.ascontiguousarray(level), np.ascontiguousarray(schedule.slope[source]),
        np.ascontiguousarray(jump), y, at_limit, sensors.column, sensors.kind, sensors.first, sensors.second,
        1e-11 if tight else float(model.rtol), 1e-13 if tight else float(model.atol), longest_run(schedule),
    )  # fmt: skip


def _legs(
    model: Model, starts: tuple[float, float], times: Array, pieces: int | None
) -> tuple[Array, Array, Array, Array, Index]:
    """Return for each leg where it begins and ends, when it is read, its noise before and after; and those of cycles.

    `starts` are when the clock starts, from which steps of a `Map` are counted, and when the first cycle does, which
    goes to the first readings; it may have no length.
    """
    start, since = starts
    froms = np.concatenate([[since], times[:-1]])
    dt = getattr(model, "dt", None)
    if dt is not None:
        number = np.floor((np.concatenate([[since], times]) - start) / dt + 1e-9)
        steps = np.diff(number).astype(np.int64)
        counts = np.maximum(steps, 1) if pieces else np.ones(times.size, dtype=np.int64)
        leg = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        within = np.arange(leg[-1]) - np.repeat(leg[:-1], counts)
        first = np.repeat(number[:-1], counts) + (within if pieces else 0)
        last = np.minimum(first + 1, np.repeat(number[1:], counts)) if pieces else number[1:]
        edges = start + dt * np.stack([first, last], axis=1)
        ends = edges[:, 1].copy()
        ends[leg[1:] - 1] = times
        moved = (last > first).astype(float)
        return edges, ends, np.zeros(moved.size), moved if pieces else np.zeros(moved.size), leg
    gaps = times - froms
    counts = np.ones(times.size, dtype=np.int64)
    if pieces:
        step = getattr(model, "noise_step", None)
        fine = np.maximum(np.ceil(gaps / step - 1e-9), 1) if step else np.full(times.size, pieces)
        counts = np.where(gaps > 0, fine, 1).astype(np.int64)
    leg = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    within = np.arange(leg[-1]) - np.repeat(leg[:-1], counts)
    length, begin = np.repeat(gaps / counts, counts), np.repeat(froms, counts)
    edges = np.stack([begin + within * length, begin + (within + 1) * length], axis=1)
    edges[leg[1:] - 1, 1] = times
    half = 0.5 * np.diff(edges, axis=1)[:, 0] if pieces else np.zeros(leg[-1])
    return edges, edges[:, 1].copy(), half, half, leg


PIECES = BETWEEN
