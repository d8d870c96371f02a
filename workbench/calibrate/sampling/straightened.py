"""A compiled density in the coordinates of `workbench.calibrate.fleet.effects`, around the machine code that is there.

One function serves every model: what it changes comes with the pointer of user data, as the address of the density
does that it calls.
"""

import ctypes
import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from nutpie.compile_pymc import CompiledPyMCModel

from workbench.calibrate.fleet.effects import Array, Effects
from workbench.calibrate.sampling.density import Density, count_one

HEAD = 4  # words of user data: failures, addresses of the density and of its own user data, number of effects


@intrinsic
def call_density(typing_context, address, size, point, slope, value, bound):  # type: ignore[no-untyped-def]
    """Call the C function of a log density, everything given as integers; 0 where it succeeds."""
    word = ir.IntType(64)

    def code(context, builder, signature, given):  # type: ignore[no-untyped-def]
        function = builder.inttoptr(given[0], ir.FunctionType(word, [word] * 5).as_pointer())
        return builder.call(function, given[1:])

    return types.int64(*[types.int64] * 6), code


def logp(size, point, slope, value, bound):  # type: ignore[no-untyped-def]
    """Evaluate a density in straight coordinates, with its gradient; not 0 where there is none."""
    words = numba.carray(bound, (HEAD,), np.int64)
    count = words[3]
    places = numba.carray(bound, (HEAD + 4 * count,), np.int64)[HEAD:].reshape((4, count))
    numbers = numba.carray(bound, (HEAD + 8 * count,), np.float64)[HEAD + 4 * count :].reshape((4, count))
    out, total = numba.carray(slope, (size,)), numba.carray(value, (1,))
    own = numba.carray(point, (size,)).copy()
    ways = np.empty((4, count))  # derivatives of an effect by y, by mu and by the SD's coordinate; those of the volume
    volume = 0.0
    for k in range(count):
        unit, mu, u = places[0, k], own[places[1, k]], own[places[2, k]]
        information, pull, low, high = numbers[0, k], numbers[1, k], numbers[2, k], numbers[3, k]
        if np.isfinite(high):
            share = 1.0 / (1.0 + np.exp(-u))
            s = low + (high - low) * share
            rate = (high - low) * share * (1.0 - share) / s  # d log s / du
        else:
            s = low + np.exp(u)
            rate = np.exp(u) / s
        total_information = 1.0 + s * s * information
        b, root, y = s * s * information / total_information, np.sqrt(total_information), own[unit]
        mean = s * (pull - information * mu) / total_information
        distance = mean + y / root
        by_log_s = mean * (1.0 - 2.0 * b) - b * y / root
        ways[0, k], ways[1, k], ways[2, k], ways[3, k] = 1.0 / root, -b / s, by_log_s * rate, -b * rate
        volume -= np.log(root)
        own[unit] = distance
        if places[3, k] == 1:
            own[unit] = mu + s * distance
            ways[0, k], ways[1, k], ways[3, k] = s / root, 1.0 - b, (1.0 - b) * rate
            ways[2, k] = s * (distance + by_log_s) * rate
            volume += np.log(s)
    arrays = own.ctypes.data, out.ctypes.data, total.ctypes.data
    failed: int = call_density(words[1], size, arrays[0], arrays[1], arrays[2], words[2])  # type: ignore[call-arg]
    if failed != 0:
        count_one(bound)
        return failed
    total[0] += volume
    for k in range(count):
        slope_k = out[places[0, k]]
        out[places[1, k]] += slope_k * ways[1, k]
        out[places[2, k]] += slope_k * ways[2, k] + ways[3, k]
        out[places[0, k]] = slope_k * ways[0, k]
    return 0


@functools.cache
def _compiled() -> tuple[Any, Callable[..., int]]:
    double = types.CPointer(types.double)
    signature = types.int64(types.uint64, double, double, double, types.voidptr)
    made: Any = numba.cfunc(signature, cache=True)(logp)
    return made, ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_uint64, *[ctypes.c_void_p] * 4)(made.address)


@dataclass(frozen=True)
class Straightened(Density):
    """A density over straight coordinates.

    Attributes
    ----------
    inner
        The density in its own space.
    effects
        What lies between the two.
    """

    inner: Density
    effects: Effects

    @staticmethod
    def of(inner: Density, effects: Effects) -> "Straightened":
        """Return a density in straight coordinates; it counts its own failures."""
        places = [effects.unit, effects.population, effects.spread, effects.centred]
        numbers = [effects.information, effects.pull, effects.low, effects.high]
        head = [0, inner._logp.address, inner._bound.ctypes.data, effects.unit.size]
        words = np.concatenate([head, *places]).astype(np.int64).view(np.float64)
        bound = np.concatenate([words, *numbers])
        kept = {f.name: getattr(inner, f.name) for f in fields(Density)}
        made, call = _compiled()
        return Straightened(**kept | {"_bound": bound, "_logp": made, "_call": call}, inner=inner, effects=effects)

    def for_nutpie(self, start: Callable[[int], Array]) -> CompiledPyMCModel:
        """Return what nutpie samples from; starts are given in the density's own space."""
        return super().for_nutpie(lambda seed: self.effects.straight(start(seed)))
