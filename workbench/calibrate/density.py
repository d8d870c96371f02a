"""The log density of a PyMC model and its gradient as one machine-code function, kept on disk between sessions.

nutpie's own route compiles its outer function anew in every session, and a second graph to map draws back. Here the
outer function is cached under the key of the graph that it calls, and draws are mapped back by NumPy.
"""

import ctypes
import hashlib
import pickle
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numba
import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray
from nutpie.compile_pymc import CompiledPyMCModel
from pymc.pytensorf import compile as compile_graph
from pytensor.compile.mode import get_mode
from pytensor.graph.replace import clone_replace
from pytensor.link.numba.cache import CACHED_SRC_FUNCTIONS, compile_numba_function_src

from workbench.base.errors import SamplingError
from workbench.calibrate.space import Space, space_of

Array = NDArray[np.float64]
VERSION = 1  # of what surrounds a graph; part of the key under which machine code is kept
DOUBLES = ctypes.POINTER(ctypes.c_double)

_LOGP = """
def logp(size, point, slope, value, counters):
    try:
        total, gradient = density(numba.carray(point, ({size},)))
        finite = np.isfinite(total.item())
        for k in range({size}):
            slope[k] = gradient[k]
            finite = finite and np.isfinite(gradient[k])
        value[0] = total.item()
    except Exception:
        count_one(counters)
        return 1
    if not finite:
        count_one(counters)
        return 2
    return 0
"""

_EXPAND = """
def expand(size, width, point, out, counters):
    for k in range({size}):
        out[k] = point[k]
    return 0
"""


@intrinsic
def count_one(typing_context, counters):  # type: ignore[no-untyped-def]
    """Add one to the integer at an address, safely among threads."""

    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        word = builder.bitcast(arguments[0], cgutils.intp_t.as_pointer())
        builder.atomic_rmw("add", word, cgutils.intp_t(1), "monotonic")
        return context.get_dummy_value()

    return numba.types.void(counters), code


@dataclass(frozen=True)
class Density:
    """A compiled log density over the unconstrained space of a model.

    Attributes
    ----------
    space
        The free variables and their places in a point.
    failures
        (1,) how many evaluations gave no finite density or gradient (a model that could not be solved, mostly).
    """

    space: Space
    failures: NDArray[np.int64]
    _logp: Any
    _expand: Any
    _call: Callable[..., int] = field(repr=False)

    def evaluate(self, point: Array) -> tuple[float, Array]:
        """Return the log density at a point (size,) and its gradient (size,); -inf and zeros where there is none."""
        point = np.ascontiguousarray(point, dtype=np.float64)
        slope, value = np.zeros(self.space.size), np.zeros(1)
        pointers = (a.ctypes.data_as(DOUBLES) for a in (point, slope, value))
        failed = self._call(self.space.size, *pointers, self.failures.ctypes.data)
        return (-np.inf, np.zeros(self.space.size)) if failed else (float(value[0]), slope)

    def for_nutpie(self, start: Callable[[int], Array]) -> CompiledPyMCModel:
        """Return what nutpie samples from, with a function from a chain's seed to its start."""
        size = self.space.size
        return CompiledPyMCModel(
            compiled_logp_func=self._logp,
            compiled_expand_func=self._expand,
            initial_point_func=start,
            shared_data={},
            shared_var_keys={},
            user_data=self.failures,
            n_expanded=size,
            shape_info=(["point"], [slice(0, size)], [(size,)]),
            logp_func=None,
            expand_func=None,
            _n_dim=size,
            _shapes={"point": (size,)},
            _coords={},
            dims={},
            reparameterized_names=[],
        )


def compile_density(model: pm.Model) -> Density:
    """Compile the joint log density of a model and its gradient, or load them from the cache of compiled graphs."""
    space = space_of(model)
    if space.size == 0:
        raise SamplingError("got a model without free variables; expected at least one quantity with a prior")
    double, word = numba.types.CPointer(numba.types.double), numba.types.voidptr
    signature = numba.types.int64(numba.types.uint64, double, double, double, word)
    # without fast-math the numbers do not depend on what was inlined where, so a cached graph gives the same draws
    with pytensor.config.change_flags(numba__fastmath=False):
        logp = _c_function(_LOGP, "logp", signature, size=space.size, density=_graph(model, space))
    signature = numba.types.int64(numba.types.uint64, numba.types.uint64, double, double, word)
    expand = _c_function(_EXPAND, "expand", signature, size=space.size)
    prototype = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_uint64, DOUBLES, DOUBLES, DOUBLES, ctypes.c_void_p)
    return Density(space, np.zeros(1, dtype=np.int64), logp, expand, prototype(logp.address))


def _graph(model: pm.Model, space: Space) -> Any:
    """Return the Numba function from a point to the log density and its gradient."""
    point = pt.TensorType("float64", shape=(space.size,))("point")
    values = [model.rvs_to_values[rv] for rv in model.free_RVs]
    logp = model.logp()
    try:
        slopes = pt.grad(logp, values)
    except NotImplementedError as error:
        raise SamplingError(f"got a density without a gradient ({error}); expected other priors") from error
    parts = {v: point[s.place].reshape(s.shape) for v, s in zip(values, space.variables, strict=True)}
    logp, gradient = clone_replace([logp, pt.concatenate([s.ravel() for s in slopes])], parts)
    mode = get_mode("NUMBA").excluding("local_usmm")  # it looks for a BLAS, which takes a second and may warn
    with model:
        return compile_graph([point], [logp, gradient], mode=mode).vm.jit_fn


def _c_function(template: str, name: str, signature: Any, *, size: int, density: Any = None) -> Any:
    """Return a C function around the graph, from the cache where the same was compiled before."""
    source = template.format(size=size)
    inner = "" if density is None else CACHED_SRC_FUNCTIONS.get(density.py_func)
    key = None if inner is None else hashlib.sha256(f"{VERSION}|{source}|{inner}".encode()).hexdigest()
    names = globals() | {"density": density}
    function = compile_numba_function_src(source, name, global_env=names, cache_key=key)
    with warnings.catch_warnings():  # data above 1 MB cannot be cached: then it compiles in every session
        warnings.filterwarnings("ignore", message=".*Cannot cache compiled function.*")
        try:
            return numba.cfunc(signature, cache=key is not None)(function)
        except (AttributeError, EOFError, ImportError, OSError, ValueError, pickle.UnpicklingError):  # a damaged cache
            return numba.cfunc(signature)(function)
