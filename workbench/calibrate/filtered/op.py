"""The likelihood of a filter as a PyTensor operation: log densities and their derivatives come from one pass."""

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
from workbench.simulate.op import Pull

VERSION = 2
_D, _L = numba.types.CPointer(numba.types.float64), numba.types.CPointer(numba.types.int64)
_N, _F = numba.types.int64, numba.types.float64
_RUN = numba.types.FunctionType(
    numba.types.void(_D, _N, _L, _L, _D, _N, _D, _D, _D, _D, _L, _D, _D, _L, _F, _F, _N, _D, _D, _D, _D)
)
PLAN_TYPES = (
    pt.lvector, pt.lvector, pt.dvector, pt.dmatrix, pt.dmatrix, pt.dmatrix, pt.dvector, pt.lmatrix, pt.dmatrix,
    pt.lvector,
)  # fmt: skip


class Filter(Op):
    """Log density of each reading given those before it, and its derivatives by what is estimated.

    Inputs are theta (units, columns: parameters, noise arguments, coefficients of discrepancies), readings (R,), and a
    plan: rows, segment, begin, level, slope, jump, times, place, features, counts as in
    `workbench.calibrate.filtered.plan.Plan`. Results are L (R,) and DL (R, estimated). Where a unit cannot be filtered,
    its densities are zero.

    Parameters
    ----------
    source
        Source of the kernel (see `workbench.calibrate.filtered.kernel`).
    estimated
        Columns of theta that are estimated.
    states
        Number of moments.
    tolerances
        Relative and absolute tolerance of the solver.
    longest_run
        Number of steps between two readings after which a unit counts as failed.
    """

    __props__ = ("source", "estimated", "states", "tolerances", "longest_run")

    def __init__(
        self, source: str, *, estimated: Sequence[int], states: int, tolerances: tuple[float, float], longest_run: int
    ):
        self.source, self.estimated, self.states = source, tuple(estimated), states
        self.tolerances, self.longest_run = tolerances, longest_run

    def __str__(self) -> str:
        return "Filter"

    def make_node(self, theta: Any, readings: Any, *plan: Any) -> Apply:
        """Return the application to theta, readings and the nine arrays of the plan."""
        given = [pt.as_tensor_variable(theta).astype("float64"), pt.as_tensor_variable(readings).astype("float64")]
        given += [
            kind().type.filter_variable(pt.as_tensor_variable(s)) for kind, s in zip(PLAN_TYPES, plan, strict=True)
        ]
        many = given[1].type.shape[0]
        made = [pt.TensorType("float64", shape=shape)() for shape in ((many,), (many, len(self.estimated)))]
        return Apply(self, given, made)

    def run(self, theta: Any, readings: Any, plan: Sequence[Any]) -> tuple[Any, Any, Any, Any]:
        """Return L (R,), DL (R, estimated), what was expected and its SD (R, 2), moments (units, N) after the last."""
        rows, segment, begin, level, slope, jump, times, place, features, counts = map(np.ascontiguousarray, plan)
        theta, y = np.ascontiguousarray(theta), np.ascontiguousarray(readings, dtype=np.float64)
        L, DL, V = np.empty(y.size), np.empty((y.size, len(self.estimated))), np.empty((y.size, 2))
        X = np.empty((rows.size - 1, self.states))
        given = (theta, rows.size - 1, rows, segment, begin, begin.size, level, slope, jump, times, place, y, features)
        cache.entry(self.source)(*pointers(*given, counts, *self.tolerances, self.longest_run, L, DL, V, X))
        return L, DL, V, X

    def perform(self, node: Apply, inputs: Sequence[Any], storage: Any) -> None:
        """Filter outside Numba graphs."""
        storage[0][0], storage[1][0], _, _ = self.run(inputs[0], inputs[1], inputs[2:])

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        """One number a reading."""
        return [(shapes[1][0],), (shapes[1][0], len(self.estimated))]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Only the densities, and only through theta, carry derivatives."""
        return [[True, False], *([False, False] for _ in node.inputs[1:])]

    def pullback(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], cotangents: Sequence[Variable]
    ) -> list[Variable]:
        """Return the cotangent of theta from the derivatives of the same pass."""
        theta, counts = inputs[0], inputs[-1]
        back = Pull(self.estimated)(cotangents[0][:, None], outputs[1][:, None, :], counts, theta.shape[1])
        return [back, *(DisconnectedType()() for _ in inputs[1:])]


@register_funcify_and_cache_key(Filter)
def _filter_in_numba(op: Filter, node: Apply, **_: Any) -> tuple[Any, str]:
    """Call the kernel by its address, as `Solve` does."""
    key = cache.key(op.source)
    cache.load(op.source)
    columns, states = len(op.estimated), op.states
    (rtol, atol), longest_run = op.tolerances, op.longest_run
    name = f"workbench.kernel.{key}"

    @numba_njit
    def address():  # type: ignore[no-untyped-def]
        with numba.objmode(found=numba.types.intp):
            found = cache.address(key)
        return found

    @numba_njit
    def likelihood(theta, y, *plan):  # type: ignore[no-untyped-def]
        rows, segment, begin, level, slope, jump, times, place, features, counts = plan
        L, DL, V = np.empty(y.size), np.empty((y.size, columns)), np.empty((y.size, 2))
        X = np.empty((rows.size - 1, states))
        run = _call_cached_ptr(get_ptr_func=address, func_type_ref=_RUN, unique_func_name_lit=name)
        run(
            np.ascontiguousarray(theta).ctypes, rows.size - 1, rows.ctypes, segment.ctypes, begin.ctypes, begin.size,
            level.ctypes, slope.ctypes, jump.ctypes, times.ctypes, place.ctypes, np.ascontiguousarray(y).ctypes,
            features.ctypes, counts.ctypes, rtol, atol, longest_run, L.ctypes, DL.ctypes, V.ctypes, X.ctypes,
        )  # fmt: skip
        return L, DL

    parts = (VERSION, "filter", key, op.estimated, states, op.tolerances, longest_run)
    return likelihood, hashlib.sha256(repr(parts).encode()).hexdigest()
