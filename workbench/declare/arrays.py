"""Functions of arrays for equations; `workbench.declare.math` shows them as `wb.math.concatenate` and so on.

Each takes symbols of a dry run, PyTensor variables and NumPy arrays alike.
"""

import operator
from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from workbench.base import units
from workbench.declare.dispatch import alike, call, cells, is_tensor, symbol_of, wrap
from workbench.declare.probe import Symbol, UsesPyTensor


def sum(values: Any, axis: int | None = None) -> Any:
    """Return the sum of a sequence of symbols or numbers, or of an array's elements (along an axis, if given)."""
    if isinstance(values, Symbol):
        return wrap(values, values.unit, "sum", values, axis, by=_reduced)
    if is_tensor(values) or hasattr(values, "__array_function__"):
        return call("sum", (values,) if axis is None else (values, axis))
    return reduce(operator.add, values, 0.0) if axis is None else sum(stack(list(values)), axis)


def mean(values: Any, axis: int | None = None) -> Any:
    """Return the mean of a sequence of symbols or numbers, or of an array's elements (along an axis, if given)."""
    if isinstance(values, Symbol):
        return wrap(values, values.unit, "mean", values, axis, by=_reduced)
    if is_tensor(values) or hasattr(values, "__array_function__"):
        return call("mean", (values,) if axis is None else (values, axis))
    values = list(values)
    return sum(values) / len(values) if axis is None else mean(stack(values), axis)


def _reduced(values: Any, axis: int | None) -> Any:
    return np.asarray(np.sum(values, axis))


def dot(a: Any, b: Any) -> Any:
    """Return the sum of the products of two sequences of the same length, or the product of arrays."""
    a, b = (np.asarray(v) if isinstance(v, list | tuple) and all(map(_is_plain, cells(v))) else v for v in (a, b))
    if isinstance(a, list | tuple) or isinstance(b, list | tuple):
        return reduce(operator.add, (x * y for x, y in zip(a, b, strict=True)), 0.0)
    symbol = symbol_of((a, b))
    if symbol is None:
        return call("dot", (a, b))
    one = units.parse(units.DIMENSIONLESS)
    known = [v.unit if isinstance(v, Symbol) else None for v in (a, b)]
    unit = None if known == [None, None] else operator.mul(*(one if u is None else u for u in known))
    return wrap(symbol, unit, "dot", a, b, by=lambda x, y: np.asarray(np.dot(x, y)))


def concatenate(parts: Sequence[Any], axis: int = 0) -> Any:
    """Return arrays joined along an axis that they have; a scalar counts as a vector of one."""
    parts = list(parts)
    if symbol_of(parts) is not None:
        return alike("concatenate", (parts,), (parts, axis), by=lambda p, a: np.concatenate(list(map(_vector, p)), a))
    return call("concatenate", (list(map(_vector, parts)), axis))


def _vector(part: Any) -> Any:
    if is_tensor(part):
        return part if part.ndim else part[None]
    return [part] if _is_plain(part) and np.ndim(part) == 0 else part


def _is_plain(value: Any) -> bool:
    return isinstance(value, int | float | np.generic | np.ndarray)


def stack(parts: Sequence[Any], axis: int = 0) -> Any:
    """Return scalars, or arrays of one shape, as an array with one more axis."""
    parts = list(parts)
    if symbol_of(parts) is not None:
        return alike("stack", (parts,), (parts, axis), by=np.stack)
    return call("stack", (parts, axis))


def diff(x: Any, axis: int = -1) -> Any:
    """Return the differences between neighbours along an axis: one fewer than there are elements."""
    return x[_along(axis, slice(1, None))] - x[_along(axis, slice(None, -1))]


def roll(x: Any, shift: int, axis: int = -1) -> Any:
    """Return the elements moved on along an axis, those beyond the end coming in at the beginning."""
    if isinstance(x, Symbol):
        return wrap(x, x.unit, "roll", x, shift, axis, by=np.roll)
    if not is_tensor(x):
        return np.roll(x, shift, axis)
    cut = -shift % x.type.shape[axis]
    return concatenate([x[_along(axis, slice(cut, None))], x[_along(axis, slice(None, cut))]], axis)


def solve(matrix: Any, right: Any) -> Any:
    """Return x with A x = b, for a matrix A (n, n) that is not singular and b (n,) or (n, k); units are not checked.

    Its derivatives are exact: x' = A^-1 (b' - A' x).
    """
    if symbol_of((matrix, right)) is not None:
        raise UsesPyTensor
    if not (is_tensor(matrix) or is_tensor(right)):
        return np.linalg.solve(matrix, right)
    import pytensor.tensor as pt

    return pt.linalg.solve(pt.as_tensor_variable(matrix), pt.as_tensor_variable(right), b_ndim=right.ndim)


def _along(axis: int, part: slice) -> tuple[Any, ...]:
    """Return the index that takes a part of one axis."""
    every = slice(None)
    return (*[every] * axis, part) if axis >= 0 else (..., part, *[every] * (-axis - 1))
