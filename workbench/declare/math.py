"""Functions for equations: `wb.math.exp(x)` takes symbols and plain numbers alike.

PyTensor is called when an argument is a PyTensor variable, NumPy otherwise; the dry run of a declaration gets symbols
that carry units.
"""

from typing import Any

import numpy as np

from workbench.base import units
from workbench.declare.arrays import concatenate, diff, dot, mean, roll, solve, stack, sum  # noqa: F401 - shown here
from workbench.declare.dispatch import alike as _alike
from workbench.declare.dispatch import call as _call
from workbench.declare.dispatch import symbol_of as _symbol
from workbench.declare.dispatch import wrap as _wrap
from workbench.declare.probe import Symbol, UsesPyTensor, pure

_PURE = "exp expm1 log log1p log2 log10 sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh".split()
_KEEP = "absolute floor ceil".split()


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


def eigh(stiffness: Any, mass: Any = None) -> tuple[Any, Any]:
    """Return eigenvalues and vectors of K v = lambda M v: a frame's squared circular frequencies and modes, say.

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
    if _symbol((stiffness, mass)) is not None:
        raise UsesPyTensor
    from workbench.declare import eigen

    return eigen.eigh(stiffness, mass)


def eigenvalues(stiffness: Any, mass: Any = None) -> Any:
    """Return the eigenvalues (n,), increasing, of K v = lambda M v; see `eigh`."""
    return eigh(stiffness, mass)[0]


pi = np.pi
