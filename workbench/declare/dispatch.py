"""Which library a function of `wb.math` calls: PyTensor for its variables, NumPy for numbers, none for a dry run."""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from workbench.declare.probe import Symbol, UsesPyTensor, balance, extent

_PYTENSOR = {"absolute": "abs", "power": "pow"}


def is_tensor(value: Any) -> bool:
    """Return whether a value is PyTensor's, which is not loaded for the answer."""
    tensors = sys.modules.get("pytensor.graph.basic")
    return tensors is not None and isinstance(value, tensors.Variable)


def cells(values: Any) -> Iterator[Any]:
    """Yield what nested sequences hold; what is no sequence is its own only cell."""
    if not isinstance(values, list | tuple):
        yield values
        return
    for value in values:
        yield from cells(value)


def symbol_of(arguments: Any) -> Symbol | None:
    """Return the first of the dry run's symbols in nested sequences, None where there is none."""
    return next((a for a in cells(arguments) if isinstance(a, Symbol)), None)


def call(name: str, arguments: tuple[Any, ...]) -> Any:
    """Call the function of PyTensor or of NumPy that has this name."""
    if any(is_tensor(a) for a in cells(arguments)):
        import pytensor.tensor as pt

        return getattr(pt, _PYTENSOR.get(name, name))(*arguments)
    return getattr(np, name)(*arguments)


def wrap(symbol: Symbol, unit: Any, name: str, *arguments: Any, by: Callable[..., Any] = np.broadcast) -> Symbol:
    """Return the symbol of a function's value, in the shape that NumPy's function `by` would give it."""
    if any(is_tensor(a) for a in cells(arguments)):
        raise UsesPyTensor
    inside = ", ".join(_text(a) for a in arguments)
    try:
        shape = by(*(_stand_in(a) for a in arguments)).shape
    except (ValueError, TypeError) as error:  # of shapes that do not fit, of an axis that is not there
        shapes = ", ".join(str(extent(a)) for a in cells(arguments) if np.ndim(_stand_in(a)))
        symbol.context.refuse(f"'{name}({inside})' of shapes {shapes} ({error})", "shapes that fit")
    return Symbol(unit, f"{name}({inside})", symbol.context, shape)


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_text, value))}]"
    return value.text if isinstance(value, Symbol) else str(value)


def _stand_in(value: Any) -> Any:
    """Return numbers of the same shape for symbols."""
    if isinstance(value, list | tuple):
        return [_stand_in(v) for v in value]
    return np.zeros(value.extent) if isinstance(value, Symbol) else value


def alike(name: str, values: tuple[Any, ...], shown: tuple[Any, ...], by: Callable[..., Any] = np.broadcast) -> Symbol:
    """Return a symbol with the one unit that all `values` share; bare numbers take it."""
    symbol = symbol_of(shown)
    assert symbol is not None
    known = [v for v in cells(values) if isinstance(v, Symbol) and v.unit is not None]
    for value in known[1:]:
        balance(value, known[0].unit, f"'{name}(...)'", "the same unit for each of its values")
    return wrap(symbol, known[0].unit if known else None, name, *shown, by=by)
