"""The unconstrained space in which PyMC's densities live, as plain NumPy: thousands of draws at once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
from numpy.typing import NDArray
from pymc.distributions import transforms
from pymc.pytensorf import constant_fold

Array = NDArray[np.float64]
Map = Callable[[Array], Array]


@dataclass(frozen=True)
class Variable:
    """One free variable: where it lies in the flat vector, its shape, and the maps to and from its own scale."""

    name: str
    place: slice
    shape: tuple[int, ...]
    constrain: Map
    unconstrain: Map


@dataclass(frozen=True)
class Space:
    """All free variables of a `pm.Model`, in the order of the flat vector."""

    variables: tuple[Variable, ...]

    @property
    def size(self) -> int:
        """Length of the flat vector."""
        return self.variables[-1].place.stop if self.variables else 0

    def constrain(self, points: Array) -> dict[str, Array]:
        """Return the variables (..., *shape) on their own scales from points (..., size)."""
        lead = points.shape[:-1]
        return {v.name: v.constrain(points[..., v.place].reshape((*lead, *v.shape))) for v in self.variables}

    def unconstrain(self, values: dict[str, Array]) -> Array:
        """Return points (..., size) from variables (..., *shape) on their own scales."""
        flat = []
        for v in self.variables:
            value = v.unconstrain(np.asarray(values[v.name], dtype=np.float64))
            lead = value.shape[: value.ndim - len(v.shape)]
            flat.append(value.reshape((*lead, -1)))
        return np.concatenate(flat, axis=-1)


def space_of(model: pm.Model) -> Space:
    """Return the space of a model whose free variables have constant shapes."""
    made, at = [], 0
    for rv in model.free_RVs:
        shape = tuple(int(n) for n in constant_fold(tuple(rv.shape)))
        size = int(np.prod(shape))
        constrain, unconstrain = _maps(model.rvs_to_transforms.get(rv), rv)
        made.append(Variable(str(rv.name), slice(at, at + size), shape, constrain, unconstrain))
        at += size
    return Space(tuple(made))


def _maps(transform: Any, rv: Any) -> tuple[Map, Map]:
    match transform:
        case None:
            return _same, _same
        case transforms.LogTransform():
            return np.exp, np.log
        case transforms.LogOddsTransform():
            return _interval(0.0, 1.0)
        case transforms.Interval():
            ends = transform.args_fn(*rv.owner.inputs)
            low, high = (None if e is None else _constant(e) for e in ends)
            return _interval(low, high)
    return _compiled(transform.backward, rv), _compiled(transform.forward, rv)


def _same(x: Array) -> Array:
    return x


def _constant(value: Any) -> Array | None:
    number = np.asarray(value.eval(mode="FAST_COMPILE") if hasattr(value, "eval") else value, dtype=np.float64)
    return number if np.isfinite(number).all() else None


def _interval(low: Any, high: Any) -> tuple[Map, Map]:
    """Return the maps of PyMC's interval transform with the given ends."""
    if low is not None and high is not None:

        def constrain(y: Array) -> Array:
            share = np.where(y >= 0, 1 / (1 + np.exp(-np.abs(y))), np.exp(-np.abs(y)) / (1 + np.exp(-np.abs(y))))
            return low + (high - low) * share

        return constrain, lambda x: np.log(x - low) - np.log(high - x)
    if low is not None:
        return (lambda y: low + np.exp(y)), (lambda x: np.log(x - low))
    if high is not None:
        return (lambda y: high - np.exp(y)), (lambda x: np.log(high - x))
    return _same, _same


def _compiled(map_: Any, rv: Any) -> Map:
    """Return a rarer transform (a circular one, say) as PyTensor runs it, in Python."""
    x = pt.dvector("x")
    function = pytensor.function([x], map_(x, *rv.owner.inputs), mode="FAST_COMPILE")
    return lambda values: np.asarray(function(np.ravel(values))).reshape(np.shape(values))
