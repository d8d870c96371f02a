"""What a filter's likelihood goes through: which readings, from which instant to which, under which inputs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.calibrate.filtered.kernel import source
from workbench.calibrate.filtered.moments import Element, Moments
from workbench.calibrate.filtered.op import Filter
from workbench.calibrate.problem import Problem
from workbench.declare.model import Model
from workbench.simulate.kernel import longest_run
from workbench.simulate.scenario import Schedule

Array = NDArray[np.float64]
Index = NDArray[np.int64]


class Plan(NamedTuple):
    """Plain arrays of U units, C times of readings, S segments of inputs, M measured elements, R readings.

    Attributes
    ----------
    rows
        (U + 1,) the times of unit k are rows[k] to rows[k + 1].
    segment
        (C + 1,) the segments on the way to a time, from the time before or the start of the clock.
    begin, level, slope, jump
        (S,), (S, I), (S, I), (S, moments) as in `simulate.scenario.Schedule`.
    times
        (C,) times of readings.
    place
        (C, M) which reading is that of an element at a time, -1 for none.
    features
        (C, functions) of the discrepancies, one output's after the other's.
    counts
        (U + 1,) the readings of unit k are counts[k] to counts[k + 1].
    """

    rows: Index
    segment: Index
    begin: Array
    level: Array
    slope: Array
    jump: Array
    times: Array
    place: Index
    features: Array
    counts: Index


@dataclass(frozen=True, eq=False)
class Filtered:
    """A problem's readings as its filter takes them, time by time, and the operation that is their likelihood.

    Attributes
    ----------
    arguments
        Names of the noise arguments that follow the parameters in theta.
    corrected
        Outputs whose discrepancies' coefficients come after them.
    places
        For each output, which of the M elements are its.
    values
        (C, M) what was read, NaN where nothing was.
    """

    op: Filter
    plan: Plan
    arguments: tuple[str, ...]
    corrected: tuple[str, ...]
    places: dict[str, slice]
    values: Array

    @property
    def readings(self) -> Array:
        """(R,) what was read."""
        return self.values[self.plan.place >= 0]

    @property
    def everywhere(self) -> Plan:
        """The plan of going through every element at every time, read or not."""
        times, elements = self.values.shape
        return self.plan._replace(
            place=np.arange(times * elements, dtype=np.int64).reshape(times, elements), counts=self.plan.rows * elements
        )

    @property
    def every_reading(self) -> Array:
        """(C * M,) what was read, NaN where nothing was."""
        return self.values.ravel()


def filtered(problem: Problem) -> Filtered:
    """Return what a problem's filter goes through, made once."""
    kept = vars(problem)
    if "_filtered" not in kept:
        kept["_filtered"] = _filtered(problem)
    return kept["_filtered"]


def _filtered(problem: Problem) -> Filtered:
    model, seen = problem.model, problem.observations
    elements, columns, places = list[Element](), list[Array](), dict[str, slice]()
    for name in problem.measured:
        at, noise = model.output_layout.places[name], model.outputs[name].noise
        assert noise is not None
        places[name] = slice(len(elements), len(elements) + at.stop - at.start)
        functions = problem.terms[name].basis.size if name in problem.terms else 0
        elements += [Element(k, noise, name, functions) for k in range(at.start, at.stop)]
        columns.append(seen.values[name].reshape(seen.time.size, -1))
    values = np.concatenate(columns, axis=1)
    known = ~np.isnan(values)
    place = np.full(values.shape, -1, dtype=np.int64)
    place[known] = np.arange(known.sum())
    counts = np.concatenate([[0], np.cumsum(known.sum(axis=1))])[problem.rows]
    made = Moments(model, elements)
    op = Filter(
        source(model, problem.method, elements),
        estimated=made.theta_layout.columns(made.estimated),
        states=made.state_layout.size,
        tolerances=(model.rtol, model.atol),
        longest_run=longest_run(problem.schedule),
    )
    legs = _legs(model, problem.schedule, problem.rows, seen.time, made.state_layout.size)
    corrected = tuple(name for name in places if name in problem.terms)
    features = np.concatenate([np.empty((seen.time.size, 0)), *(problem.terms[n].features for n in corrected)], axis=1)
    plan = Plan(problem.rows, *legs, np.ascontiguousarray(seen.time), place, features, counts.astype(np.int64))
    return Filtered(op, plan, made.arguments, corrected, places, values)


def _legs(
    model: Model, schedule: Schedule, rows: Index, times: Array, states: int
) -> tuple[Index, Array, Array, Array, Array]:
    """Return the segments on the way to each time, with room for the moments' jumps."""
    dt = getattr(model, "dt", None)
    parts = [segments_to(schedule, slice(*schedule.offset[k : k + 2]), times[rows[k] : rows[k + 1]], dt)
             for k in range(rows.size - 1)]  # fmt: skip
    counts, begin, level, slope, jump = (np.concatenate(part) for part in zip(*parts, strict=True))
    segment = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    wide = np.zeros((begin.size, states))
    wide[:, : jump.shape[1]] = jump
    return segment, begin, np.ascontiguousarray(level), np.ascontiguousarray(slope), wide


def segments_to(schedule: Schedule, own: slice, times: Array, dt: float | None) -> Sequence[Array]:
    """Return how many segments lead to each time of a unit, and begin, level, slope and jump of them all.

    The first of a leg goes on with the inputs as they are; what acts at the end of a leg is in it. Legs of a map end
    at its last step before a reading.
    """
    begin, level, slope, jump = (a[own] for a in (schedule.begin, schedule.level, schedule.slope, schedule.jump))
    ends = times if dt is None else begin[0] + dt * np.floor((times - begin[0]) / dt + 1e-9)
    froms, slack = np.concatenate([begin[:1], ends[:-1]]), 1e-9 * (dt or 0.0)
    low, high = (np.searchsorted(begin, edge + slack, "right") for edge in (froms, ends))
    counts = np.maximum(high - low, 0) + 1
    first = np.cumsum(counts) - counts
    source = np.repeat(low - first - 1, counts) + np.arange(counts.sum())
    starts = begin[source].copy()
    starts[first] = froms
    jumps = jump[source].copy()
    jumps[first] = 0.0
    jumps[0] = jump[0]
    return counts, starts, level[source] + slope[source] * (starts - begin[source])[:, None], slope[source], jumps
