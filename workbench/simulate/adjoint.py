"""The solver as a PyTensor operation whose gradient is the discrete adjoint: its cost hardly grows with parameters."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import DisconnectedType
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.op import Op
from pytensor.link.numba.cache import _call_cached_ptr
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_and_cache_key

from workbench.base.errors import DeclarationError
from workbench.declare.model import Model
from workbench.simulate.kernel import longest_run, pointers, source
from workbench.simulate.kernels import arrays, cache
from workbench.simulate.methods.tableau import Method
from workbench.simulate.op import SCHEDULE_TYPES, VERSION, Solve
from workbench.simulate.scenario import Schedule

MANY = 16  # estimated parameters from which on the adjoint takes less time than forward sensitivities
MEMORY = 2**28  # bytes that states on a tape may take, of all units together
_D, _L = numba.types.CPointer(numba.types.float64), numba.types.CPointer(numba.types.int64)
_N, _F = numba.types.int64, numba.types.float64
_SCHEDULE = (_D, _N, _L, _D, _N, _D, _D, _D, _L, _D, _N)
_RUN = numba.types.FunctionType(numba.types.void(*_SCHEDULE, _F, _F, _N, _N, _D, _D))
_PULL = numba.types.FunctionType(numba.types.void(*_SCHEDULE, _N, _N, _D, _D, _D))


def operation(model: Model, method: Method | None, schedule: Schedule) -> "Solve | SolveTaped":
    """Return the operation that solves a model: with sensitivities, or with the adjoint where that takes less time.

    It does where parameters are many, and where states are printed as loops (then even for two parameters).

    `model.adjoint` overrides the choice; DeclarationError where it asks for an adjoint that there is none of.
    """
    columns = model.theta_layout.columns(model.estimated)
    possible = method is not None and not model.thresholds
    if model.adjoint and not possible:
        what = "events" if model.thresholds else "equations that are not integrated"
        raise DeclarationError(f"{model.name}: got adjoint = True with {what}; expected None or False")
    tolerances, run = (model.rtol, model.atol), longest_run(schedule)
    faster = len(columns) >= MANY or model.state_layout.size > arrays.MANY
    if possible and (faster if model.adjoint is None else model.adjoint):
        sizes = model.output_layout.size, model.state_layout.size
        text = source(model, method, sensitivities=False, adjoint=True)
        return SolveTaped(text, estimated=columns, sizes=sizes, tolerances=tolerances, longest_run=run)
    text = source(model, method, sensitivities=True)
    outputs = model.output_layout.size
    return Solve(text, estimated=columns, outputs=outputs, tolerances=tolerances, longest_run=run)


class SolveTaped(Op):
    """Outputs of a model at the rows of the data, and the tape of the steps that led to them.

    Inputs are those of `Solve`. Results are Y (rows, outputs) and a tape (numbers,) for `PullTaped`, of which only what
    the steps need is ever touched. A unit that cannot be solved reads infinity, so its density is zero.

    Parameters
    ----------
    source
        Source of the kernel, as `adjoint.emit` prints it.
    estimated
        Columns of theta that are estimated.
    sizes
        Number of outputs, and of states.
    tolerances
        Relative and absolute tolerance of the solver.
    longest_run
        Number of steps after which a unit counts as failed.
    memory
        Bytes that the states on the tape may take; steps between those kept are taken again.
    """

    __props__ = ("source", "estimated", "sizes", "tolerances", "longest_run", "memory")

    def __init__(
        self, source: str, *, estimated: Sequence[int], sizes: tuple[int, int], tolerances: tuple[float, float],
        longest_run: int, memory: int = MEMORY,
    ):  # fmt: skip
        self.source, self.estimated, self.sizes = source, tuple(estimated), sizes
        self.tolerances, self.longest_run, self.memory = tolerances, longest_run, memory

    def __str__(self) -> str:
        return "SolveTaped"

    def room(self, units: int) -> int:
        """Return how many states there is room for on the tape of a unit."""
        return min(self.longest_run, max(self.memory // (16 * self.sizes[1] * units), self.least))

    @property
    def least(self) -> int:
        """States for which there is room in any case: as many between two of them cover the longest run."""
        return int(np.ceil(np.sqrt(self.longest_run)))

    def make_node(self, theta: Any, *schedule: Any) -> Apply:
        """Return the application to theta and the seven arrays of the schedule."""
        given = [pt.as_tensor_variable(theta).astype("float64")]
        given += [
            kind().type.filter_variable(pt.as_tensor_variable(s))
            for kind, s in zip(SCHEDULE_TYPES, schedule, strict=True)
        ]
        y = pt.TensorType("float64", shape=(given[-1].type.shape[0], self.sizes[0]))()
        return Apply(self, given, [y, pt.dmatrix()])

    def perform(self, node: Apply, inputs: Sequence[Any], storage: Any) -> None:
        """Solve outside Numba graphs."""
        made = _arrays(inputs)
        room = self.room(made[1])
        y, tape = np.empty((made[-1], self.sizes[0])), np.empty((made[1], self.width(room)))
        run = cache.entry(self.source)
        run(*pointers(*made, *self.tolerances, self.longest_run, room, y, tape))
        storage[0][0], storage[1][0] = y, tape

    def width(self, room: Any) -> Any:
        """Return the length of a unit's tape."""
        return 5 + 3 * self.longest_run + 2 * room * self.sizes[1]

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        """One row of Y for each time."""
        units = shapes[0][0]
        room = pt.minimum(self.longest_run, pt.maximum(self.memory // (16 * self.sizes[1] * units), self.least))
        return [(shapes[7][0], self.sizes[0]), (units, self.width(room))]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Only theta carries derivatives, and only into Y."""
        return [[True, False], *([False, False] for _ in node.inputs[1:])]

    def pullback(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], cotangents: Sequence[Variable]
    ) -> list[Variable]:
        """Go back over the steps on the tape."""
        nothing = [DisconnectedType()() for _ in inputs[1:]]
        if isinstance(cotangents[0].type, DisconnectedType):
            return [inputs[0].zeros_like(), *nothing]
        return [PullTaped(self)(*inputs, cotangents[0], outputs[1]), *nothing]


class PullTaped(Op):
    """Cotangents of theta (units, parameters), from those of Y (rows, outputs) and the tape of a solve."""

    __props__ = ("solve",)

    def __init__(self, solve: SolveTaped):
        self.solve = solve

    def __str__(self) -> str:
        return "PullTaped"

    def make_node(self, *given: Any) -> Apply:
        """Return the application to the solve's inputs, the cotangents of Y, and the tape."""
        inputs = [pt.as_tensor_variable(g) for g in given]
        return Apply(self, inputs, [pt.TensorType("float64", shape=inputs[0].type.shape)()])

    def perform(self, node: Apply, inputs: Sequence[Any], storage: Any) -> None:
        """Go back outside Numba graphs."""
        *inputs, y_bar, tape = inputs
        given, op = _arrays(inputs), self.solve
        bar, theta_bar = np.empty((given[1], len(op.estimated))), np.zeros_like(given[0])
        pull = cache.entry(op.source, "pull")
        cotangents = np.ascontiguousarray(y_bar, dtype=np.float64)
        pull(*pointers(*given, op.longest_run, op.room(given[1]), cotangents, tape, bar))
        theta_bar[:, list(op.estimated)] = bar
        storage[0][0] = theta_bar

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Those of theta."""
        return [shapes[0]]


def _arrays(inputs: Sequence[Any]) -> tuple[Any, ...]:
    """Return what both entries of the kernel take first."""
    theta, offset, begin, level, slope, jump, rows, times = (np.ascontiguousarray(i) for i in inputs)
    return theta, rows.size - 1, offset, begin, begin.size, level, slope, jump, rows, times, times.size


def _key(*parts: Any) -> str:
    return hashlib.sha256(repr((VERSION, *parts)).encode()).hexdigest()


def _entry(op: SolveTaped, entry: str) -> tuple[str, Any, str]:
    """Return the key of a kernel, a function to the address of one of its entries, and the name of that."""
    key = cache.key(op.source)
    cache.load(op.source)

    @numba_njit
    def address():  # type: ignore[no-untyped-def]
        with numba.objmode(found=numba.types.intp):
            found = cache.address(key, entry)
        return found

    return key, address, f"workbench.kernel.{key}.{entry}"


@register_funcify_and_cache_key(SolveTaped)
def _solve_in_numba(op: SolveTaped, node: Apply, **_: Any) -> tuple[Any, str]:
    """Call the kernel by its address, as `Solve` does."""
    key, address, name = _entry(op, "run")
    (outputs, states), (rtol, atol), longest_run = op.sizes, op.tolerances, op.longest_run
    memory, least = op.memory, op.least

    @numba_njit
    def solve(theta, *schedule):  # type: ignore[no-untyped-def]
        offset, begin, level, slope, jump, rows, times = schedule
        units = rows.size - 1
        room = min(longest_run, max(memory // (16 * states * units), least))
        y = np.empty((times.size, outputs))
        tape = np.empty((units, 5 + 3 * longest_run + 2 * room * states))
        run = _call_cached_ptr(get_ptr_func=address, func_type_ref=_RUN, unique_func_name_lit=name)
        run(
            np.ascontiguousarray(theta).ctypes, units, offset.ctypes, begin.ctypes, begin.size, level.ctypes,
            slope.ctypes, jump.ctypes, rows.ctypes, times.ctypes, times.size, rtol, atol, longest_run, room,
            y.ctypes, tape.ctypes,
        )  # fmt: skip
        return y, tape

    return solve, _key("taped", key, op.sizes, op.tolerances, longest_run, memory)


@register_funcify_and_cache_key(PullTaped)
def _pull_in_numba(op: PullTaped, node: Apply, **_: Any) -> tuple[Any, str]:
    key, address, name = _entry(op.solve, "pull")
    estimated, longest_run = np.array(op.solve.estimated, dtype=np.int64), op.solve.longest_run
    memory, least, states = op.solve.memory, op.solve.least, op.solve.sizes[1]

    @numba_njit
    def pull(theta, *given):  # type: ignore[no-untyped-def]
        offset, begin, level, slope, jump, rows, times, y_bar, tape = given
        units = rows.size - 1
        room = min(longest_run, max(memory // (16 * states * units), least))
        bar = np.empty((units, estimated.size))
        call = _call_cached_ptr(get_ptr_func=address, func_type_ref=_PULL, unique_func_name_lit=name)
        call(
            np.ascontiguousarray(theta).ctypes, units, offset.ctypes, begin.ctypes, begin.size, level.ctypes,
            slope.ctypes, jump.ctypes, rows.ctypes, times.ctypes, times.size, longest_run, room,
            np.ascontiguousarray(y_bar).ctypes, tape.ctypes, bar.ctypes,
        )  # fmt: skip
        theta_bar = np.zeros(theta.shape)
        for k in range(units):
            for c in range(estimated.size):
                theta_bar[k, estimated[c]] = bar[k, c]
        return theta_bar

    return pull, _key("pull taped", key, op.solve.estimated, op.solve.sizes, longest_run, memory)
