"""Values as a declaration keeps and checks them: numbers, arrays that never change, and priors within bounds."""

import math
from typing import Any

import numpy as np

from workbench.base.errors import DeclarationError
from workbench.declare.prior import Prior

Bounds = tuple[float | None, float | None]


def kept(value: Any) -> Any:
    """Return a value as it is kept: an array, or a sequence of numbers, as nested tuples; what is neither as it is."""
    if not isinstance(value, list | tuple | np.ndarray):
        return value
    try:
        return _nested(np.asarray(value, dtype=np.float64).tolist())
    except (TypeError, ValueError):
        return value


def _nested(value: Any) -> Any:
    return tuple(map(_nested, value)) if isinstance(value, list) else value


def ends(bounds: Bounds, where: str) -> tuple[float, float]:
    """Return the ends of bounds, infinite where there are none; DeclarationError for what are no bounds."""
    if not isinstance(bounds, tuple | list) or len(bounds) != 2:
        raise DeclarationError(f"{where}: got bounds={bounds!r}; expected a pair such as (0, None)")
    try:
        low = -math.inf if bounds[0] is None else float(bounds[0])
        high = math.inf if bounds[1] is None else float(bounds[1])
    except (TypeError, ValueError):
        raise DeclarationError(f"{where}: got bounds={bounds!r}; expected a pair such as (0, None)") from None
    if not low < high:
        raise DeclarationError(f"{where}: got bounds {low:g} to {high:g}; expected the lower below the upper")
    return low, high


def check_value(value: Any, bounds: Bounds, *, where: str, what: str) -> None:
    """Refuse a number, an array or a prior that is none, or not within bounds."""
    low, high = ends(bounds, where)
    if isinstance(value, Prior):
        floor, ceiling = value.support
        if floor < low or ceiling > high:
            raise DeclarationError(
                f"{where}: got {what} {value!r} with values from {floor:g} to {ceiling:g}; "
                f"expected them within the bounds {low:g} to {high:g} (TruncatedNormal takes lower= and upper=)"
            )
    elif value is not None:
        try:
            numbers = np.asarray(value, dtype=np.float64).ravel()
        except (TypeError, ValueError):
            raise DeclarationError(f"{where}: got {what} {value!r}; expected a number or a prior") from None
        for number in numbers[~((low <= numbers) & (numbers <= high) & np.isfinite(numbers))]:
            raise DeclarationError(f"{where}: got {what} {number:g}; expected it within the bounds {low:g} to {high:g}")


def check_dims(value: Any, dims: Any, *, where: str, what: str) -> None:
    """Refuse dims that are no names, and an array with another number of axes."""
    if not isinstance(dims, tuple) or not all(isinstance(d, str) and d.isidentifier() for d in dims):
        raise DeclarationError(f"{where}: got dims={dims!r}; expected names of dims, such as dims=('cell',)")
    if len(set(dims)) < len(dims):
        raise DeclarationError(f"{where}: got dims={dims!r}; expected each dim once")
    if isinstance(value, tuple) and np.ndim(value) != len(dims):
        shape, wanted = np.shape(value), f"one axis for each of the dims {dims!r}" if dims else "a number"
        hint = "" if dims else ", or dims=('cell',) for a vector"
        raise DeclarationError(f"{where}: got {what} of shape {shape}; expected {wanted}{hint}")


def in_words(value: Any) -> str:
    """Return a start or value in a few words: 20, or "5 values from 18 to 21" for an array."""
    if isinstance(value, str):
        return value
    if isinstance(value, Prior):
        return repr(value)
    numbers = np.ravel(value)
    if np.ndim(value) == 0 or numbers.min() == numbers.max():
        return f"{numbers[0]:g}"
    return f"{numbers.size} values from {numbers.min():g} to {numbers.max():g}"
