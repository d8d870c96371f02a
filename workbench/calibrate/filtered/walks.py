"""Paths of a model with process noise: from the start of the data, or from where its filter has left it."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from workbench.base.errors import DataError, SolveError
from workbench.calibrate.filtered.likelihood import innovations
from workbench.calibrate.filtered.plan import segments_to
from workbench.calibrate.problem import Problem
from workbench.simulate.kernel import Solutions, solve
from workbench.simulate.scenario import Schedule
from workbench.simulate.walk import shaken
from workbench.sync.filters.plant import bounds

Array = NDArray[np.float64]
TOGETHER = 250  # members whose kicks are in memory at once


def walked(
    problem: Problem, theta: Array, schedule: Schedule, times: Mapping[int, Array], *, rng: np.random.Generator,
    starts: Array | None = None,
) -> Solutions:  # fmt: skip
    """Return paths with fresh process noise, one a member; rows of one unit follow those of the other.

    Parameters
    ----------
    theta
        (members, units, parameters).
    schedule
        What the inputs do to each unit.
    times
        Of each unit (rows,) times, not before its clock starts.
    rng
        Source of the noise, which differs among members and units.
    starts
        (members, units, states) when the clock starts; None: as declared.
    """
    parts = list[list[Solutions]]()
    for unit, own in times.items():
        place = slice(*schedule.offset[unit : unit + 2])
        arrays = (a[place] for a in (schedule.begin, schedule.level, schedule.slope, schedule.jump))
        alone = Schedule(np.array([0, place.stop - place.start]), *map(np.ascontiguousarray, arrays))
        seed, rows, pieces = int(rng.integers(2**63)), np.array([0, own.size]), list[Solutions]()
        for first in range(0, len(theta), TOGETHER):
            some = slice(first, first + TOGETHER)
            given = np.ascontiguousarray(theta[some, unit : unit + 1])
            moved = shaken(problem.model, alone, given, times=own, seed=seed, first=first)
            override = None if starts is None else np.ascontiguousarray(starts[some, unit : unit + 1])
            pieces.append(
                solve(problem.model, given, moved, rows=rows, times=own, override=override, method=problem.method)
            )
        parts.append(pieces)
    return _joined(parts)


def _joined(parts: list[list[Solutions]]) -> Solutions:
    """Return solutions of units (each in pieces of members) as one."""
    fields = ("states", "outputs", "log", "happened")
    states, outputs, log, happened = (
        np.concatenate([np.concatenate([getattr(s, name) for s in pieces]) for pieces in parts], axis=1)
        for name in fields
    )
    methods = {name: len(states) for pieces in parts for s in pieces for name in s.methods}
    return Solutions(states, outputs, log, happened, methods)


def walked_data(problem: Problem, theta: Array, rng: np.random.Generator) -> Solutions:
    """Return paths at the rows of the data, from the start."""
    times, rows = problem.observations.time, problem.rows
    own = {k: times[rows[k] : rows[k + 1]] for k in range(rows.size - 1)}
    return walked(problem, theta, problem.schedule, own, rng=rng)


def walked_on(
    problem: Problem, theta: Array, schedule: Schedule, times: Array, *, variables: Mapping[str, Array],
    rng: np.random.Generator,
) -> Solutions:  # fmt: skip
    """Return paths at the same times (T,) of every unit, from states drawn from what the filter says at its last row.

    DataError where a time is before the last row of a unit.
    """
    seen, rows = problem.observations, problem.rows
    last = seen.time[rows[1:] - 1]
    if times[0] < last.max():
        label = seen.clock.label
        raise DataError(
            f"times: got {label(times[0])}; expected times from the last of the data on, {label(last.max())}, as a "
            "model with process noise goes on from its filter (inside the data the calibration's posterior_predictive "
            "predicts each reading from those before it, and wb.assimilate gives the states)"
        )
    found = innovations(problem, theta, variables)
    if not np.isfinite(found.mean).all():
        raise SolveError(f"{problem.model.name}: the filter could not be carried to the last of the data at a draw")
    values, vectors = np.linalg.eigh(found.covariance)
    roots = vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]
    starts = found.mean + (roots @ rng.standard_normal(found.mean.shape)[..., None])[..., 0]
    low, high = bounds(problem.model)
    starts = np.clip(starts, low, high)
    own = dict.fromkeys(range(len(last)), times)
    return walked(problem, theta, after(problem, schedule, float(times[-1])), own, rng=rng, starts=starts)


def after(problem: Problem, schedule: Schedule, until: float) -> Schedule:
    """Return what is left of a schedule after the last row of each unit: what acted up to there is gone."""
    dt, rows = getattr(problem.model, "dt", None), problem.rows
    counts, parts = list[int](), list[tuple[Array, ...]]()
    for k in range(rows.size - 1):
        last = problem.observations.time[rows[k + 1] - 1]
        made = segments_to(schedule, slice(*schedule.offset[k : k + 2]), np.array([last, max(until, last)]), dt)
        first = int(made[0][0])
        parts.append(tuple(part[first:] for part in made[1:]))
        counts.append(int(made[0][1]))
    offset = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Schedule(offset, *(np.ascontiguousarray(np.concatenate(part)) for part in zip(*parts, strict=True)))
