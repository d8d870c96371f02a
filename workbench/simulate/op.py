"""The solver as a PyTensor operation: outputs and sensitivities come from one solve, so value and gradient share it."""

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

from workbench.simulate.kernel import pointers
from workbench.simulate.kernels import cache

VERSION = 2
_D, _L = numba.types.CPointer(numba.types.float64), numba.types.CPointer(numba.types.int64)
_N, _F = numba.types.int64, numba.types.float64
_RUN = numba.types.FunctionType(numba.types.void(_D, _N, _L, _D, _N, _D, _D, _D, _L, _D, _N, _F, _F, _N, _D, _D))
SCHEDULE_TYPES = (pt.lvector, pt.dvector, pt.dmatrix, pt.dmatrix, pt.dmatrix, pt.lvector, pt.dvector)


class Solve(Op):
    """Outputs of a model at the rows of the data, and their derivatives by the estimated parameters.

    Inputs are theta (units, parameters), and the schedule: offset, begin, level, slope, jump, rows, times as in
    `Schedule` (rows[k] to rows[k+1] are the rows of unit k). Results are Y (rows, outputs) and D (rows, outputs,
    estimated parameters). A unit that cannot be solved reads infinity, so its density is zero.

    Parameters
    ----------
    source
        Source of the kernel, with sensitivities, as `emit` prints it.
    estimated
        Columns of theta that are estimated, in the order of the sensitivities.
    outputs
        Number of outputs.
    tolerances
        Relative and absolute tolerance of the solver.
    longest_run
        Number of steps after which a unit counts as failed.
    """

    __props__ = ("source", "estimated", "outputs", "tolerances", "longest_run")

    def __init__(
        self, source: str, *, estimated: Sequence[int], outputs: int, tolerances: tuple[float, float], longest_run: int
    ):
        self.source, self.estimated, self.outputs = source, tuple(estimated), outputs
        self.tolerances, self.longest_run = tolerances, longest_run

    def __str__(self) -> str:
        return "Solve"

    def make_node(self, theta: Any, *schedule: Any) -> Apply:
        """Return the application to theta and the seven arrays of the schedule."""
        given = [pt.as_tensor_variable(theta).astype("float64")]
        given += [
            kind().type.filter_variable(pt.as_tensor_variable(s))
            for kind, s in zip(SCHEDULE_TYPES, schedule, strict=True)
        ]
        rows = given[-1].type.shape[0]
        y = pt.TensorType("float64", shape=(rows, self.outputs))()
        d = pt.TensorType("float64", shape=(rows, self.outputs, len(self.estimated)))()
        return Apply(self, given, [y, d])

    def perform(self, node: Apply, inputs: Sequence[Any], storage: Any) -> None:
        """Solve outside Numba graphs."""
        theta, offset, begin, level, slope, jump, rows, times = (np.ascontiguousarray(i) for i in inputs)
        y = np.empty((times.size, self.outputs))
        d = np.empty((times.size, self.outputs, len(self.estimated)))
        units, segments = rows.size - 1, begin.size
        arrays = (theta, units, offset, begin, segments, level, slope, jump, rows, times, times.size)
        cache.entry(self.source)(*pointers(*arrays, *self.tolerances, self.longest_run, y, d))
        storage[0][0], storage[1][0] = y, d

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Rows come from the times, the rest from the model."""
        rows = shapes[-1][0]
        return [(rows, self.outputs), (rows, self.outputs, len(self.estimated))]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Only the outputs, and only through theta, carry derivatives."""
        return [[True, False]] + [[False, False]] * len(SCHEDULE_TYPES)

    def pullback(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], cotangents: Sequence[Variable]
    ) -> list[Variable]:
        """Return the cotangent of theta from the sensitivities of the same solve."""
        theta, rows = inputs[0], inputs[-2]
        back = Pull(self.estimated)(cotangents[0], outputs[1], rows, theta.shape[1])
        return [back, *(DisconnectedType()() for _ in inputs[1:])]


class Pull(Op):
    """Cotangents of theta (units, parameters) from those of the outputs (rows, outputs) and the sensitivities."""

    __props__ = ("estimated",)

    def __init__(self, estimated: Sequence[int]):
        self.estimated = tuple(estimated)

    def make_node(self, y_bar: Any, d: Any, rows: Any, width: Any) -> Apply:
        """Return the application to cotangents, sensitivities, row offsets and the number of parameters."""
        given = [pt.as_tensor_variable(i) for i in (y_bar, d, rows, width)]
        size = given[2].type.shape[0]
        return Apply(self, given, [pt.TensorType("float64", shape=(None if size is None else size - 1, None))()])

    def perform(self, node: Apply, inputs: Sequence[Any], storage: Any) -> None:
        """Contract outside Numba graphs."""
        y_bar, d, rows, width = inputs
        storage[0][0] = pull(y_bar, d, rows, int(width), np.array(self.estimated, dtype=np.int64))

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        """One row a unit."""
        return [(shapes[2][0] - 1, node.inputs[3])]


def pull(y_bar: Any, d: Any, rows: Any, width: int, estimated: Any) -> Any:
    """Return theta's cotangents: for each unit, the sum over its rows and outputs of y_bar times d."""
    theta_bar = np.zeros((rows.size - 1, width))
    for unit in range(rows.size - 1):
        for r in range(rows[unit], rows[unit + 1]):
            for k in range(y_bar.shape[1]):
                weight = y_bar[r, k]
                if weight != 0.0:
                    for c in range(d.shape[2]):
                        theta_bar[unit, estimated[c]] += weight * d[r, k, c]
    return theta_bar


def _key(*parts: Any) -> str:
    return hashlib.sha256(repr((VERSION, *parts)).encode()).hexdigest()


@register_funcify_and_cache_key(Solve)
def _solve_in_numba(op: Solve, node: Apply, **_: Any) -> tuple[Any, str]:
    """Call the kernel by its address: compiled once, it gives the same numbers in every graph."""
    key = cache.key(op.source)
    cache.load(op.source)
    outputs, columns = op.outputs, len(op.estimated)
    (rtol, atol), longest_run = op.tolerances, op.longest_run
    name = f"workbench.kernel.{key}"

    @numba_njit
    def address():  # type: ignore[no-untyped-def]
        with numba.objmode(found=numba.types.intp):
            found = cache.address(key)
        return found

    @numba_njit
    def solve(theta, *schedule):  # type: ignore[no-untyped-def]
        offset, begin, level, slope, jump, rows, times = schedule
        y = np.empty((times.size, outputs))
        d = np.empty((times.size, outputs, columns))
        run = _call_cached_ptr(get_ptr_func=address, func_type_ref=_RUN, unique_func_name_lit=name)
        run(
            np.ascontiguousarray(theta).ctypes, rows.size - 1, offset.ctypes, begin.ctypes, begin.size, level.ctypes,
            slope.ctypes, jump.ctypes, rows.ctypes, times.ctypes, times.size, rtol, atol, longest_run,
            y.ctypes, d.ctypes,
        )  # fmt: skip
        return y, d

    return solve, _key("solve", key, op.estimated, outputs, op.tolerances, longest_run)


@register_funcify_and_cache_key(Pull)
def _pull_in_numba(op: Pull, node: Apply, **_: Any) -> tuple[Any, str]:
    estimated = np.array(op.estimated, dtype=np.int64)
    inner = numba_njit(pull)

    @numba_njit
    def contract(y_bar, d, rows, width):  # type: ignore[no-untyped-def]
        return inner(y_bar, d, rows, width.item(), estimated)

    return contract, _key("pull", op.estimated)
