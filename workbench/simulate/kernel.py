"""The kernels of a model, traced and compiled once for each instance, and run over members in parallel threads."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.declare.model import Model
from workbench.declare.simulator import Simulator
from workbench.declare.static import Static
from workbench.declare.trace import trace
from workbench.simulate.kernels import cache
from workbench.simulate.kernels.adjoint import emit as emit_adjoint
from workbench.simulate.kernels.module import emit
from workbench.simulate.methods.dop853 import DOP853
from workbench.simulate.methods.rodas5p import RODAS5P
from workbench.simulate.methods.tableau import Method
from workbench.simulate.methods.tsit5 import TSIT5
from workbench.simulate.scenario import Schedule

Array = NDArray[np.float64]
SOLVED, TOO_LONG, TOO_SMALL, STIFF, STORM = 0, 1, 2, 3, 4
TIGHT = 1e-8  # relative tolerance from which on the method of order 8 takes less time than the one of order 5
PATIENCE = 1000  # steps held short by stability alone, after which an explicit method gives way to a stiff one; or
# forty of them, where more than five times as many are still to come
_LOCK = threading.Lock()


@dataclass(slots=True)  # not frozen, which takes longer to make than a step
class Solutions:
    """What a run over members gives.

    Attributes
    ----------
    states
        (members, rows, states), NaN where a unit failed, and after its life has ended.
    outputs
        (members, rows, outputs), NaN likewise.
    log
        (members, units, 5): status (0 solved, 1 too many steps, 2 step too small, 4 too many events), time reached,
        steps, rejected steps, events.
    happened
        (members, units, most events, 2): time and number of each event, NaN where there were fewer.
    methods
        The methods that were used, and how many members each solved.
    reasons
        Why members and units failed, where the status does not say it (of simulators and static models).
    notes
        What else is to be known, as attributes of a dataset.
    """

    states: Array
    outputs: Array
    log: Array
    happened: Array
    methods: dict[str, int]
    reasons: dict[tuple[int, int], str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


def method_of(model: Model) -> Method | None:
    """Return the explicit method for a model's tolerance, None for a model that is not integrated."""
    kept = vars(model).setdefault("_kernels", {})
    if "method" not in kept:
        tightest = min([model.rtol, *(s.rtol for s in model.states.values() if s.rtol is not None)])
        kept["method"] = (DOP853 if tightest <= TIGHT else TSIT5) if "rhs" in model._methods else None
    return kept["method"]


def source(model: Model, method: Method | None, *, sensitivities: bool, adjoint: bool = False) -> str:
    """Return the source of the model's kernel (traced at the first use, kept with the instance)."""
    kept = vars(model).setdefault("_kernels", {})
    kind = (method.name if method else "", sensitivities, adjoint)
    if kind in kept:
        return kept[kind]
    with _LOCK:
        if kind not in kept:
            if "trace" not in kept:
                kept["trace"] = trace(model)
            if isinstance(model, Static):
                from workbench.simulate import graph

                kept[kind] = graph.source(model, sensitivities=sensitivities)
            elif adjoint:
                assert method is not None
                kept[kind] = emit_adjoint(kept["trace"], method)
            else:
                kept[kind] = emit(kept["trace"], method, sensitivities=sensitivities)
    return kept[kind]


def longest_run(schedule: Schedule) -> int:
    """Return the number of steps after which a unit counts as failed."""
    return 50_000 + 50 * schedule.longest


def pointers(*arguments: Any) -> list[Any]:
    """Return a kernel's arguments as `cache.entry` takes them: addresses of contiguous arrays, and numbers."""
    return [cache.memory(a) if isinstance(a, np.ndarray) else a for a in arguments]


def schedule_arguments(schedule: Schedule, rows: NDArray[np.int64], times: Array) -> tuple[Any, ...]:
    """Return what both kinds of kernel take between theta and the tolerances."""
    offset, begin, level, slope, jump = schedule.addresses
    return rows.size - 1, offset, begin, schedule.begin.size, level, slope, jump, rows, times, times.size


def _asked(schedule: Schedule, rows: NDArray[np.int64], times: Array) -> list[Any]:
    """Return the pointers of `schedule_arguments`, those of the last call where it asked for the same arrays."""
    kept = vars(schedule).get("_asked")
    if kept is None or kept[0] is not rows or kept[1] is not times:
        kept = vars(schedule)["_asked"] = (rows, times, pointers(*schedule_arguments(schedule, rows, times)))
    return kept[2]


def solve(
    model: Model,
    theta: Array,
    schedule: Schedule,
    *,
    rows: NDArray[np.int64],
    times: Array,
    override: Array | None = None,
    method: Method | None = None,
) -> Solutions:
    """Solve every member and unit at the given times.

    Parameters
    ----------
    model
        The model.
    theta
        (members, units, parameters) in the order of `model.theta_layout`.
    schedule
        What the inputs do to each unit.
    rows
        (units + 1,) offsets of each unit's times.
    times
        (rows,) times asked for, increasing within a unit, not before its clock starts.
    override
        (members, units, states) starts; NaN keeps the declared one.
    method
        What solves the equations. None: the explicit method for the tolerance; members whose steps stability alone
        holds short, a thousand times, are solved again by Rodas5P.
    """
    if isinstance(model, Simulator):
        from workbench.simulate import blackbox

        return blackbox.solve(model, theta, schedule, rows=rows, times=times)
    if override is None:
        override = _declared_starts(model, theta)
    problem = (schedule, rows, times)
    if isinstance(model, Static):
        from workbench.simulate import static

        run = partial(_run, model, theta, override, problem, method=None, patience=0)
        return static.solve(model, theta, schedule, rows=rows, times=times, run=run)
    first = method or method_of(model)
    made = _run(model, theta, override, problem, method=first, patience=0 if method else PATIENCE)
    if method or (made.log.size == 5 and made.log.item(0) != STIFF):  # one member alone: no array is asked
        return made
    stiff = made.log[..., 0] == STIFF
    if not stiff.any():
        return made
    again = np.flatnonzero(stiff.any(axis=1))
    if schedule.shock is not None:
        problem = (replace(schedule, shock=schedule.shock[again]), rows, times)
    other = _run(model, theta[again], override[again], problem, method=RODAS5P, patience=0)
    return _joined(made, other, again)


def _joined(made: Solutions, other: Solutions, again: NDArray[np.int64]) -> Solutions:
    """Return the solutions of one method with those of another in the place of some members."""
    made.states[again], made.outputs[again], made.log[again] = other.states, other.outputs, other.log
    wide = max(made.happened.shape[2], other.happened.shape[2])
    happened = _unknown((*made.happened.shape[:2], wide, 2))
    happened[:, :, : made.happened.shape[2]] = made.happened
    happened[again] = np.nan
    happened[again, :, : other.happened.shape[2]] = other.happened
    shares = {**{name: len(made.log) - again.size for name in made.methods}, **other.methods}
    return replace(made, happened=happened, methods={name: share for name, share in shares.items() if share})


def count_stiff(model: Model, theta: Array, schedule: Schedule, *, rows: NDArray[np.int64], times: Array) -> int:
    """Return for how many members stability alone holds the steps of an explicit method short (as in `solve`)."""
    if "rhs" not in model._methods:
        return 0
    problem = (schedule, rows, times)
    made = _run(model, theta, _declared_starts(model, theta), problem, method=method_of(model), patience=PATIENCE // 5)
    return int((made.log[..., 0] == STIFF).any(axis=1).sum())


def _declared_starts(model: Model, theta: Array) -> Array:
    """Return NaN for each start; of one unit alone always the same array, which is only read."""
    shape = (*theta.shape[:2], model.state_layout.size)
    if theta.shape[:2] != (1, 1):
        return _unknown(shape)
    kept = vars(model).setdefault("_kernels", {})
    if "starts" not in kept:
        kept["starts"] = _unknown(shape)
    return kept["starts"]


def _unknown(shape: tuple[int, ...]) -> Array:
    """Return NaN, in half the time of `np.full`."""
    made = np.empty(shape)
    made.fill(np.nan)
    return made


def _run(
    model: Model,
    theta: Array,
    override: Array,
    problem: tuple[Schedule, Any, Array],
    *,
    method: Method | None,
    patience: int,
) -> Solutions:
    """Solve by one method; where more events happened than there is room for, once more with room."""
    schedule, rows, times = problem
    members, units = theta.shape[:2]
    n, k, r = model.state_layout.size, model.output_layout.size, times.size
    states, outputs = np.empty((members, r, n)), np.empty((members, r, k))
    log = np.zeros((members, units, 5))
    shaken = schedule.shock is not None
    shock = np.ascontiguousarray(schedule.shock) if shaken else 0  # which none reads
    theta, override = np.ascontiguousarray(theta), np.ascontiguousarray(override)  # held while addresses are in use
    values = (*pointers(theta, override), *_asked(schedule, rows, times))
    settings = (model.rtol, model.atol, longest_run(schedule), members, patience, int(shaken))
    run = cache.entry(source(model, method, sensitivities=False))
    room = 8 if model.thresholds else 0
    while True:
        happened = _unknown((members, units, room, 2))
        given = (*values, *settings, *pointers(shock, room, happened if room else 0, states, outputs, log))
        _over_members(run, given, members * units)
        most = int(log[..., 4].max(initial=0)) if room else 0
        if most <= room:
            break
        room = most
    return Solutions(states, outputs, log, happened[:, :, :most], {method.name if method else "steps": members})


def _over_members(run: Callable[..., None], given: tuple[Any, ...], members: int) -> None:
    """Run a kernel over all members, in parallel where there are several (C calls run without the GIL)."""
    if members == 1:
        run(0, 1, *given)
        return
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    pieces = min(members, 4 * workers)
    edges = np.linspace(0, members, pieces + 1).astype(int)
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda lo, hi: run(lo, hi, *given), edges[:-1], edges[1:]))
