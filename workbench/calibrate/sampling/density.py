"""The log density of a PyMC model and its gradient as one machine-code function, kept on disk between sessions.

nutpie's own route compiles its outer function anew in every session, and a second graph to map draws back. Here the
outer function is cached under the key of the graph that it calls, and draws are mapped back by NumPy.

Readings are no constants of the machine code: they come with the pointer of user data, behind the count of failures.
So other readings of the same pattern need no compiler, neither in this session nor in another.
"""

import ctypes
import hashlib
import pickle
import warnings
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numba
import numpy as np
import pymc as pm
import pytensor
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray
from nutpie.compile_pymc import CompiledPyMCModel
from pytensor.link.numba.cache import CACHED_SRC_FUNCTIONS, compile_numba_function_src

from workbench.base.errors import SamplingError
from workbench.calibrate.sampling.logp import LogpGraph, places_of
from workbench.calibrate.sampling.space import Space, space_of

Array = NDArray[np.float64]
VERSION = 2  # of what surrounds a graph; part of the key under which machine code is kept
REMEMBERED = 8  # densities kept in a session, for further data

_LOGP = """
def logp(size, point, slope, value, bound):
    try:
        total, gradient = density(numba.carray(point, ({size},)), numba.carray(readings_of(bound), ({count},)))
        finite = np.isfinite(total.item())
        for k in range({size}):
            slope[k] = gradient[k]
            finite = finite and np.isfinite(gradient[k])
        value[0] = total.item()
    except Exception:
        count_one(bound)
        return 1
    if not finite:
        count_one(bound)
        return 2
    return 0
"""

_EXPAND = """
def expand(size, width, point, out, bound):
    for k in range({size}):
        out[k] = point[k]
    return 0
"""


@intrinsic
def count_one(typing_context, bound):  # type: ignore[no-untyped-def]
    """Add one to the integer at an address, safely among threads."""

    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        word = builder.bitcast(arguments[0], cgutils.intp_t.as_pointer())
        builder.atomic_rmw("add", word, cgutils.intp_t(1), "monotonic")
        return context.get_dummy_value()

    return numba.types.void(bound), code


@intrinsic
def readings_of(typing_context, bound):  # type: ignore[no-untyped-def]
    """Return the address of the readings, which follow the count of failures."""

    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        first = builder.bitcast(arguments[0], cgutils.intp_t.as_pointer())
        return builder.bitcast(builder.gep(first, [cgutils.intp_t(1)]), context.get_value_type(signature.return_type))

    return numba.types.CPointer(numba.types.double)(bound), code


@dataclass(frozen=True)
class Density:
    """A compiled log density over the unconstrained space of a model.

    Attributes
    ----------
    space
        The free variables and their places in a point.
    places
        Where the readings of each observed variable lie among all of them.
    """

    space: Space
    places: Mapping[str, slice]
    _bound: Array = field(repr=False)  # the count of failures as an integer, then all readings
    _logp: Any = field(repr=False)
    _expand: Any = field(repr=False)
    _call: Callable[..., int] = field(repr=False)

    @property
    def failures(self) -> NDArray[np.int64]:
        """(1,) how many evaluations gave no finite density or gradient (a model that could not be solved, mostly)."""
        return self._bound[:1].view(np.int64)

    @property
    def readings(self) -> dict[str, Array]:
        """The readings of each observed variable, flat."""
        return {name: self._bound[1:][place].copy() for name, place in self.places.items()}

    def with_readings(self, readings: Mapping[str, Array]) -> "Density":
        """Return the density of other readings of the same pattern, with a count of failures of its own.

        SamplingError when they are not those of the same observed variables, each as many as before.
        """
        sizes = {name: np.size(values) for name, values in readings.items()}
        expected = {name: place.stop - place.start for name, place in self.places.items()}
        if sizes != expected:
            raise SamplingError(f"got readings {sizes}; expected as many as were compiled, {expected}")
        return replace(self, _bound=_bound({name: readings[name] for name in self.places}))

    def shares_code(self, other: "Density") -> bool:
        """Say whether both are the same machine code, whatever the readings."""
        return self._logp is other._logp

    def evaluate(self, point: Array) -> tuple[float, Array]:
        """Return the log density at a point (size,) and its gradient (size,); -inf and zeros where there is none."""
        point = np.ascontiguousarray(point, dtype=np.float64)
        slope, value = np.zeros(self.space.size), np.zeros(1)
        addresses = (a.ctypes.data for a in (point, slope, value, self._bound))
        failed = self._call(self.space.size, *addresses)
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
            user_data=self._bound,
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
    """Compile the joint log density of a model and its gradient, or load them from the cache of compiled graphs.

    Where this session has compiled the same model of other readings, it is that machine code with the readings given.
    """
    space = space_of(model)
    if space.size == 0:
        raise SamplingError("got a model without free variables; expected at least one quantity with a prior")
    graph = LogpGraph.of(model)
    bound = _bound(graph.readings)
    for known, density in _REMEMBERED:
        if known.same(graph):
            return replace(density, space=space, places=places_of(graph.readings), _bound=bound)
    double, word = numba.types.CPointer(numba.types.double), numba.types.voidptr
    signature = numba.types.int64(numba.types.uint64, double, double, double, word)
    # without fast-math the numbers do not depend on what was inlined where, so a cached graph gives the same draws
    with pytensor.config.change_flags(numba__fastmath=False):
        source = _LOGP.format(size=space.size, count=bound.size - 1)
        logp = _c_function(source, "logp", signature, density=graph.compiled(model, space))
    signature = numba.types.int64(numba.types.uint64, numba.types.uint64, double, double, word)
    expand = _c_function(_EXPAND.format(size=space.size), "expand", signature)
    prototype = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_uint64, *[ctypes.c_void_p] * 4)
    density = Density(space, places_of(graph.readings), bound, logp, expand, prototype(logp.address))
    _REMEMBERED.append((graph, density))
    return density


def _bound(readings: Mapping[str, Array]) -> Array:
    return np.concatenate([np.zeros(1), *(np.ravel(values).astype(np.float64) for values in readings.values())])


_REMEMBERED: deque[tuple[LogpGraph, Density]] = deque(maxlen=REMEMBERED)


def _c_function(source: str, name: str, signature: Any, *, density: Any = None) -> Any:
    """Return a C function around the graph, from the cache where the same was compiled before."""
    inner = "" if density is None else CACHED_SRC_FUNCTIONS.get(density.py_func)
    key = None if inner is None else hashlib.sha256(f"{VERSION}|{__name__}|{source}|{inner}".encode()).hexdigest()
    names = globals() | {"density": density}
    function = compile_numba_function_src(source, name, global_env=names, cache_key=key)
    with warnings.catch_warnings():  # data above 1 MB cannot be cached: then it compiles in every session
        warnings.filterwarnings("ignore", message=".*Cannot cache compiled function.*")
        try:
            return numba.cfunc(signature, cache=key is not None)(function)
        except (AttributeError, EOFError, ImportError, OSError, ValueError, pickle.UnpicklingError):  # a damaged cache
            return numba.cfunc(signature)(function)
