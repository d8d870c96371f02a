"""Evaluations of a simulator: each made once, in parallel processes, and its failures survived and counted.

What else runs outside Python (an FMU, a program with files) is a subclass of `Simulator` whose `run` calls it; nothing
here knows more of it than that.
"""

import hashlib
import traceback
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.base.errors import DeclarationError, unknown
from workbench.declare.names import Context, Names
from workbench.declare.prior import Prior
from workbench.declare.simulator import Simulator
from workbench.simulate.kernel import SOLVED, Solutions
from workbench.simulate.scenario import Schedule
from workbench.simulate.workers import Lost, Workers, can_work, cores

Array = NDArray[np.float64]
FAILED = 9  # status in the log
ROOM = 256 * 2**20  # bytes of evaluations that are kept with a model
_ADVICE = "where a simulator has no values, let it raise an exception, which counts as a failure"


@dataclass(frozen=True)
class Signal:
    """A continuous input of one unit: a function of time, straight between the `times` at which some input changes."""

    times: Array
    level: Array
    slope: Array

    def __call__(self, t: Any) -> Any:
        """Return the value at `t`, a number or an array; at a jump, the one just after it."""
        t = np.asarray(t, dtype=np.float64)
        piece = np.maximum(np.searchsorted(self.times, t, "right") - 1, 0)
        value = self.level[piece] + self.slope[piece] * (t - self.times[piece])
        return value if t.ndim else float(value)


@dataclass(frozen=True)
class Failure:
    """In place of values: why there are none, and whether what `run` returned has the wrong form."""

    why: str
    malformed: bool = False


@dataclass(frozen=True)
class Task:
    """What is asked of one unit.

    Attributes
    ----------
    times
        (n,) from the start of the clock on.
    leading
        How many of them (0 or 1) were not asked for.
    inputs
        A `Signal` for each continuous input, a list of pairs (time, amount) for each impulse.
    digest
        Hash of all this.
    """

    times: Array
    leading: int
    inputs: dict[str, Any]
    digest: bytes


class Bench:
    """A simulator and its tasks: calls it, and says what came out; it is what other processes get."""

    def __init__(self, model: Simulator, tasks: list[Task]):
        self.model, self.tasks = model, tasks

    def __call__(self, job: tuple[int, Array]) -> Array | Failure:
        """Return the outputs (n, width) of a unit for its theta (parameters,), or why there are none."""
        unit, theta = job
        model, task = self.model, self.tasks[unit]
        context = Context(f"{model.name}.run", set())
        layout = model.theta_layout
        values = {
            name: theta[place].reshape(layout.shapes[name]) if layout.shapes[name] else float(theta[place.start])
            for name, place in layout.places.items()
        }
        declared = {name: values[name] for name in model.parameters}
        u, p = Names("input", dict(task.inputs), context), Names("parameter", declared, context)
        try:
            made = _columns(model, model.run(task.times.copy(), u, p), task.times.size)
            made = _sensed(model, made, values, task.times)[task.leading :]
        except DeclarationError as error:
            return Failure(str(error), malformed=True)
        except (Exception, SystemExit) as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            return Failure(f"{type(error).__name__}: {error} (line {place.lineno} of {place.filename})")
        if not np.isfinite(made).all():
            row, column = np.argwhere(~np.isfinite(made))[0]
            label, t = model.output_layout.labels()[column], task.times[task.leading + row]
            return Failure(f"it returned {made[row, column]:g} for {label!r} at t = {t:g} {model.time_unit}")
        return made


def _columns(model: Simulator, made: Any, size: int) -> Array:
    """Return what `run` returned as (times, width); DeclarationError where it has another form."""
    where = f"{model.name}.run"
    if not isinstance(made, Mapping):
        names = ", ".join(map(repr, model.outputs))
        raise DeclarationError(f"{where}: got {type(made).__name__}; expected a dict with the names {names}; {_ADVICE}")
    for name in made:
        if name not in model.outputs:
            raise DeclarationError(unknown("output", str(name), model.outputs, where))
    columns = np.empty((size, model.output_layout.size))
    for name, place in model.output_layout.places.items():
        if name not in made:
            raise DeclarationError(f"{where}: got no output {name!r}; expected one for each of {list(model.outputs)}")
        value, shape = np.asarray(made[name]), (size, *model.output_layout.shapes[name])
        if value.dtype.kind not in "fiub" or value.shape not in ((), shape):
            kind = "" if value.dtype.kind in "fiub" else f" of type {value.dtype}"
            raise DeclarationError(
                f"{where}: got values{kind} of shape {value.shape} for {name!r}; expected numbers of shape {shape}, "
                f"one for each of the times, or a number; {_ADVICE}"
            )
        columns[:, place] = np.broadcast_to(value, shape).reshape(size, -1)
    return columns


def _sensed(model: Simulator, columns: Array, theta: Mapping[str, Any], times: Array) -> Array:
    """Return outputs (times, width) with what their sensors add: bias and drift."""
    for name, place in model.output_layout.places.items():
        for what, factor in (("bias", np.ones_like(times)), ("drift", times)):
            declared = getattr(model.outputs[name], what)
            error = np.ravel(theta[f"{name}_{what}"] if isinstance(declared, Prior) else declared)
            columns[:, place] += factor[:, None] * error.astype(np.float64)
    return columns


class Kept:
    """The evaluations of a model's instance, those least used forgotten beyond 256 MB."""

    def __init__(self) -> None:
        self._entries: OrderedDict[bytes, Array] = OrderedDict()
        self._bytes = 0

    @staticmethod
    def of(model: Simulator) -> "Kept":
        """Return what is kept with a model."""
        return vars(model).setdefault("_evaluations", Kept())

    def get(self, key: bytes) -> Array | None:
        """Return the values under a key, None where there are none."""
        if key in self._entries:
            self._entries.move_to_end(key)
        return self._entries.get(key)

    def put(self, key: bytes, values: Array) -> None:
        """Keep values."""
        if key not in self._entries:
            self._bytes += values.nbytes + len(key) + 200
        self._entries[key] = values
        while self._bytes > ROOM and len(self._entries) > 1:
            old, forgotten = self._entries.popitem(last=False)
            self._bytes -= forgotten.nbytes + len(old) + 200


class Box:
    """A simulator before a given task, asked about many members at a time; closed when done, as it has processes.

    Attributes
    ----------
    evaluations, failures, hits
        How often the simulator was run, how many of these runs failed, and how often a run was known already.
    first_failure
        Why the first run failed that did.
    size, width
        Number of rows, and of columns, of the outputs.
    """

    def __init__(
        self, model: Simulator, schedule: Schedule, *, rows: NDArray[np.int64], times: Array, parallel: bool = True
    ):
        self.model, self.rows, self.size, self.width = model, rows, times.size, model.output_layout.size
        self.evaluations = self.failures = self.hits = 0
        self.first_failure = ""
        self._kept, self._failed = Kept.of(model), dict[bytes, Failure]()
        self._bench = Bench(model, [_task(model, schedule, rows, times, unit) for unit in range(rows.size - 1)])
        self._count = model.processes or cores()
        # by itself a timeout needs a process that can be killed
        self._here = not parallel or model.processes == 1 or not can_work(self._bench, type(model))
        self._here |= self._count == 1 and model.timeout is None
        self._workers = Workers(self._bench, count=self._count, timeout=model.timeout)

    def __enter__(self) -> "Box":
        return self

    def __exit__(self, *_: Any) -> None:
        self._workers.close()

    def outputs(self, theta: Array) -> tuple[Array, dict[tuple[int, int], str]]:
        """Return outputs (members, rows, width) for theta (members, units, parameters), and why some failed.

        Rows of a member and unit that failed are NaN; the reasons are listed by member and unit. DeclarationError where
        the form of what `run` returns is wrong (and never was right, else it counts as a failure).
        """
        members, units = theta.shape[:2]
        keys = [[self._bench.tasks[k].digest + theta[m, k].tobytes() for k in range(units)] for m in range(members)]
        wanted = {
            key: (k, theta[m, k]) for m in range(members) for k, key in enumerate(keys[m]) if key not in self._failed
        }
        known = {key: values for key in wanted if (values := self._kept.get(key)) is not None}
        fresh = {key: job for key, job in wanted.items() if key not in known}
        for key, result in zip(fresh, self._run(list(fresh.values())), strict=True):
            if isinstance(result, Failure):
                if result.malformed and not (known or self.evaluations > self.failures):
                    raise DeclarationError(result.why)
                self._failed[key] = result
                self.first_failure = self.first_failure or result.why
                self.failures += 1
            else:
                known[key] = result
                self._kept.put(key, result)
            self.evaluations += 1
        self.hits += members * units - len(fresh)
        made = np.full((members, self.size, self.width), np.nan)
        failed = {}
        for m in range(members):
            for k, key in enumerate(keys[m]):
                if key in known:
                    made[m, self.rows[k] : self.rows[k + 1]] = known[key]
                else:
                    failed[m, k] = self._failed[key].why
        return made, failed

    def _run(self, jobs: list[tuple[int, Array]]) -> list[Array | Failure]:
        if self._here or (len(jobs) == 1 and self.model.timeout is None):
            return [self._bench(job) for job in jobs]
        return [Failure(made.why) if isinstance(made, Lost) else made for made in self._workers.map(jobs)]


def _task(model: Simulator, schedule: Schedule, rows: NDArray[np.int64], times: Array, unit: int) -> Task:
    pieces = slice(schedule.offset[unit], schedule.offset[unit + 1])
    begin = schedule.begin[pieces]
    asked = times[rows[unit] : rows[unit + 1]]
    leading = int(asked.size == 0 or asked[0] > begin[0])
    asked = np.concatenate([begin[:leading], asked])
    inputs: dict[str, Any] = {}
    continuous = [name for name, quantity in model.inputs.items() if quantity.kind != "impulse"]
    for column, name in enumerate(continuous):
        inputs[name] = Signal(begin, schedule.level[pieces, column], schedule.slope[pieces, column])
    for name, place in model.state_layout.places.items():
        amounts = schedule.jump[pieces, place.start]
        inputs[name] = [(float(t), float(a)) for t, a in zip(begin, amounts, strict=True) if a != 0.0]
    given = (asked, begin, schedule.level[pieces], schedule.slope[pieces], schedule.jump[pieces])
    parts = b"".join(hashlib.sha256(np.ascontiguousarray(part).tobytes()).digest() for part in given)
    return Task(asked, leading, inputs, hashlib.blake2b(parts, digest_size=16).digest())


def solve(model: Simulator, theta: Array, schedule: Schedule, *, rows: NDArray[np.int64], times: Array) -> Solutions:
    """Return what the kernels return for other models (see `workbench.simulate.kernel.solve`); states are none."""
    members, units = theta.shape[:2]
    with Box(model, schedule, rows=rows, times=times) as box:
        outputs, failed = box.outputs(np.ascontiguousarray(theta))
    log = np.full((members, units, 5), float(SOLVED))
    for place in failed:
        log[*place, 0] = FAILED
    nothing = np.empty((members, units, 0, 2))
    methods = {"black box": members}
    return Solutions(np.empty((members, times.size, 0)), outputs, log, nothing, methods, failed)
