"""Functions for equations: `wb.math.exp(x)` takes symbols and plain numbers alike.

PyTensor is called when an argument is a PyTensor variable, NumPy otherwise; the dry run of a declaration gets symbols
that carry units.
"""

import builtins
import operator
import sys
from functools import reduce
from typing import Any

import numpy as np

from workbench.base import units
from workbench.declare.probe import Symbol, UsesPyTensor, balance, pure

_PURE = "exp expm1 log log1p log2 log10 sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh".split()
_KEEP = "absolute floor ceil".split()
_PYTENSOR = {"absolute": "abs", "power": "pow"}


def _is_tensor(value: Any) -> bool:
    tensors = sys.modules.get("pytensor.graph.basic")
    return tensors is not None and isinstance(value, tensors.Variable)


def _symbol(arguments: tuple[Any, ...]) -> Symbol | None:
    return next((a for a in arguments if isinstance(a, Symbol)), None)


def _call(name: str, arguments: tuple[Any, ...]) -> Any:
    """Call the function of PyTensor or of NumPy that has this name."""
    if builtins.any(_is_tensor(a) for a in arguments):
        import pytensor.tensor as pt

        return getattr(pt, _PYTENSOR.get(name, name))(*arguments)
    return getattr(np, name)(*arguments)


def _wrap(symbol: Symbol, unit: Any, name: str, *arguments: Any) -> Symbol:
    inside = ", ".join(a.text if isinstance(a, Symbol) else str(a) for a in arguments)
    return Symbol(unit, f"{name}({inside})", symbol.context)


def _elementary(name: str) -> Any:
    def function(x: Any) -> Any:
        if not isinstance(x, Symbol):
            return _call(name, (x,))
        if name in _PURE:
            pure(x, f"'{name}({x.text})'")
            return _wrap(x, units.parse(units.DIMENSIONLESS), name, x)
        return _wrap(x, x.unit, name, x)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Return {name} of a symbol or number" + (
        ", which must be a pure number." if name in _PURE else "."
    )
    return function


(
    exp,
    expm1,
    log,
    log1p,
    log2,
    log10,
    sin,
    cos,
    tan,
    arcsin,
    arccos,
    arctan,
    sinh,
    cosh,
    tanh,
    arcsinh,
    arccosh,
    arctanh,
) = (_elementary(name) for name in _PURE)
absolute, floor, ceil = (_elementary(name) for name in _KEEP)
abs = absolute


def sqrt(x: Any) -> Any:
    """Return the square root; its unit is the root of the unit of `x`."""
    return (
        _wrap(x, None if x.unit is None else x.unit**0.5, "sqrt", x) if isinstance(x, Symbol) else _call("sqrt", (x,))
    )


def power(x: Any, exponent: Any) -> Any:
    """Return `x ** exponent`."""
    return x**exponent if _symbol((x, exponent)) is not None else _call("power", (x, exponent))


def sign(x: Any) -> Any:
    """Return -1, 0 or 1 with the sign of `x`."""
    return _wrap(x, None, "sign", x) if isinstance(x, Symbol) else _call("sign", (x,))


def _alike(name: str, values: tuple[Any, ...], shown: tuple[Any, ...]) -> Symbol:
    """Return a symbol with the one unit that all `values` share; bare numbers take it."""
    symbol = _symbol(shown)
    assert symbol is not None
    known = [v for v in values if isinstance(v, Symbol) and v.unit is not None]
    for value in known[1:]:
        balance(value, known[0].unit, f"'{name}(...)'", "the same unit for each of its values")
    return _wrap(symbol, known[0].unit if known else None, name, *shown)


def minimum(a: Any, b: Any) -> Any:
    """Return the smaller of two values."""
    return _alike("minimum", (a, b), (a, b)) if _symbol((a, b)) is not None else _call("minimum", (a, b))


def maximum(a: Any, b: Any) -> Any:
    """Return the larger of two values."""
    return _alike("maximum", (a, b), (a, b)) if _symbol((a, b)) is not None else _call("maximum", (a, b))


def clip(x: Any, low: Any, high: Any) -> Any:
    """Return `x`, held between `low` and `high`."""
    return minimum(maximum(x, low), high)


def where(condition: Any, a: Any, b: Any) -> Any:
    """Return `a` where the condition holds, `b` elsewhere (instead of Python's `if`)."""
    if _symbol((condition, a, b)) is not None:
        return _alike("where", (a, b), (condition, a, b))
    return _call("where", (np.bool_(condition) if isinstance(condition, bool) else condition, a, b))


def sum(values: Any) -> Any:
    """Return the sum of symbols or numbers, or of an array's elements."""
    if _is_tensor(values) or isinstance(values, np.ndarray):
        return values.sum()
    return reduce(operator.add, values, 0.0)


def dot(a: Any, b: Any) -> Any:
    """Return the sum of the products of two sequences of the same length, or the product of arrays."""
    if isinstance(a, list | tuple) or isinstance(b, list | tuple):
        return sum(x * y for x, y in zip(a, b, strict=True))
    if _is_tensor(a) or _is_tensor(b):
        import pytensor.tensor as pt

        return pt.dot(a, b)
    return np.dot(a, b)


def eigh(stiffness: Any, mass: Any = None) -> tuple[Any, Any]:
    """Return eigenvalues and vectors of K v = lambda M v, such as the squared circular frequencies and modes of a frame.

    Parameters
    ----------
    stiffness
        K, symmetric (n, n): a matrix of numbers, a PyTensor matrix, or a list of rows of symbols and numbers.
    mass
        M, symmetric and positive definite (n, n), likewise; None: the unit matrix.

    Returns
    -------
    values
        (n,) increasing, in units of K over those of M (not checked).
    vectors
        (n, n) one in each column, with V^T M V = 1; of each, the first entry at least half as large as its largest is
        positive.

    Raises
    ------
    DeclarationError
        If shapes do not fit.
    ValueError
        If numbers are not symmetric, or M is not positive definite.
    """
    if _symbol(tuple(cell for rows in (stiffness, mass) for cell in _cells(rows))) is not None:
        raise UsesPyTensor
    from workbench.declare import eigen

    return eigen.eigh(stiffness, mass)


def eigenvalues(stiffness: Any, mass: Any = None) -> Any:
    """Return the eigenvalues (n,), increasing, of K v = lambda M v; see `eigh`."""
    return eigh(stiffness, mass)[0]


def _cells(rows: Any) -> list[Any]:
    return [cell for row in rows for cell in _cells(row)] if isinstance(rows, list | tuple) else [rows]


pi = np.pi
