"""The kernels of a model, traced and compiled once for each instance, and run over members in parallel threads."""

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.declare.model import Ode
from workbench.declare.trace import trace
from workbench.simulate import cache
from workbench.simulate.emit import emit
from workbench.simulate.scenario import Schedule
from workbench.simulate.tableaus import TSIT5

Array = NDArray[np.float64]
SOLVED, TOO_LONG, TOO_SMALL = 0, 1, 2
_LOCK = threading.Lock()
_C: dict[str, Any] = {"d": ctypes.POINTER(ctypes.c_double), "l": ctypes.POINTER(ctypes.c_int64)}


@dataclass(frozen=True)
class Solutions:
    """What a run over members gives.

    Attributes
    ----------
    states
        (members, rows, states), NaN where a unit failed.
    outputs
        (members, rows, outputs), NaN where a unit failed.
    log
        (members, units, 4): status (0 solved, 1 too many steps, 2 step too small), time reached, steps, rejected steps.
    """

    states: Array
    outputs: Array
    log: Array


def source(model: Ode, *, sensitivities: bool) -> str:
    """Return the source of the model's kernel (traced at the first use, kept with the instance)."""
    kept = vars(model).setdefault("_kernels", {})
    with _LOCK:
        if sensitivities not in kept:
            if "trace" not in kept:
                kept["trace"] = trace(model)
            kept[sensitivities] = emit(kept["trace"], TSIT5, sensitivities=sensitivities)
    return kept[sensitivities]


def longest_run(schedule: Schedule) -> int:
    """Return the number of steps after which a unit counts as failed: ample for any model that is not stiff."""
    return 20_000 + 50 * int(np.diff(schedule.offset).max(initial=1))


def pointers(*arguments: Any) -> Iterator[Any]:
    """Yield a kernel's arguments as C takes them: addresses of contiguous arrays, and numbers."""
    for argument in arguments:
        yield argument.ctypes.data_as(_C[argument.dtype.char]) if isinstance(argument, np.ndarray) else argument


def schedule_arguments(schedule: Schedule, rows: NDArray[np.int64], times: Array) -> tuple[Any, ...]:
    """Return what both kinds of kernel take between theta and the tolerances."""
    s, units = schedule, rows.size - 1
    return units, s.offset, s.begin, s.begin.size, s.level, s.slope, s.jump, rows, times, times.size


def solve(
    model: Ode,
    theta: Array,
    schedule: Schedule,
    *,
    rows: NDArray[np.int64],
    times: Array,
    override: Array | None = None,
) -> Solutions:
    """Solve every member and unit at the given times.

    Parameters
    ----------
    model
        The model.
    theta
        (members, units, parameters) in the order of `model.theta`.
    schedule
        What the inputs do to each unit.
    rows
        (units + 1,) offsets of each unit's times.
    times
        (rows,) times asked for, increasing within a unit, not before its clock starts.
    override
        (members, units, states) starts; NaN keeps the declared one.
    """
    members, units = theta.shape[:2]
    n, k, r = len(model.states), len(model.outputs), times.size
    if override is None:
        override = np.full((members, units, n), np.nan)
    made = Solutions(np.empty((members, r, n)), np.empty((members, r, k)), np.empty((members, units, 4)))
    values = (np.ascontiguousarray(theta), override, *schedule_arguments(schedule, rows, times))
    results = (members, made.states, made.outputs, made.log)
    run = cache.load(source(model, sensitivities=False)).run.ctypes

    def part(lo: int, hi: int) -> None:
        run(lo, hi, *pointers(*values, model.rtol, model.atol, longest_run(schedule), *results))

    _over_members(part, members)
    return made


def _over_members(part: Callable[[int, int], None], members: int) -> None:
    """Call `part(lo, hi)` over all members, in parallel where there are several (C calls run without the GIL)."""
    if members == 1:
        part(0, 1)
        return
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    pieces = min(members, 4 * workers)
    edges = np.linspace(0, members, pieces + 1).astype(int)
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(part, edges[:-1], edges[1:]))
