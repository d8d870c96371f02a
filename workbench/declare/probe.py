"""A dry run of a model's equations on symbols that know only their unit and how they were written.

It loads nothing heavy, so every mistake it can see is refused when the class is born: names, shapes, units, Python's
`if` on a symbol, NumPy on a symbol. The real trace (with PyTensor) happens when a kernel is needed.
"""

import operator
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np

from workbench.base import units
from workbench.base.errors import DeclarationError
from workbench.declare.indexing import index_text, is_index, numbers
from workbench.declare.names import Context

_LONGEST = 60
_SETTING = "the model's setting that says how many there are, such as self.cells"
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {  # NumPy's names for what NumPy's numbers do with symbols
    "multiply": operator.mul, "add": operator.add, "subtract": operator.sub, "divide": operator.truediv,
    "power": operator.pow, "remainder": operator.mod, "less": operator.lt, "less_equal": operator.le,
    "greater": operator.gt, "greater_equal": operator.ge, "equal": operator.eq, "matmul": operator.matmul,
}  # fmt: skip


class UsesPyTensor(Exception):
    """The equations call pytensor.tensor directly: the trace checks names and shapes, and nothing can check units."""


def _text(value: Any) -> str:
    text = value.text if isinstance(value, Symbol) else f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]} ..."


def _is_number(value: Any) -> bool:
    if isinstance(value, Symbol | str | bytes | complex):
        return False
    return getattr(value, "shape", ()) == () and hasattr(value, "__float__")


def extent(value: Any) -> tuple[int, ...]:
    """Return the shape of a symbol, a number or an array of numbers."""
    return value.extent if isinstance(value, Symbol) else np.shape(value)


class _NoLength(DeclarationError, TypeError):
    """A symbol has no length; `list(symbol)` asks for one, and does without it where the answer is a TypeError."""


class Symbol:
    """A value of the dry run: its unit (None: bare numbers, which take the unit of what they are added to), its shape.

    The shape is that of the declaration, and of what NumPy's rules make of it; () is a scalar.
    """

    __slots__ = ("context", "extent", "text", "unit")
    __hash__ = object.__hash__

    def __init__(self, unit: Any, text: str, context: Context, extent: tuple[int, ...] = ()):
        self.unit, self.text, self.context, self.extent = unit, text, context, extent

    # -- arithmetic ------------------------------------------------------------------------------------------------
    def _other(self, other: Any, sign: str) -> "Symbol":
        if isinstance(other, Symbol):
            return other
        if _is_number(other):
            return Symbol(None, _text(float(other)), self.context)
        if type(other).__module__.startswith("pytensor"):
            raise UsesPyTensor
        array = numbers(other)
        if array is None:
            got = f"'{self.text} {sign} ...' with {type(other).__name__} of shape {getattr(other, 'shape', '?')}"
            self.context.refuse(got, "a symbol, a number or an array of numbers")
        return Symbol(None, "[...]", self.context, array.shape)

    def _made(self, unit: Any, left: Any, sign: str, right: Any) -> "Symbol":
        text, shapes = f"({_text(left)} {sign} {_text(right)})", (extent(left), extent(right))
        try:
            return Symbol(unit, text, self.context, np.broadcast_shapes(*shapes))
        except ValueError:
            self.context.refuse(f"'{text[1:-1]}' with shapes {shapes[0]} and {shapes[1]}", "shapes that fit")

    def _same(self, other: Any, sign: str, flip: bool = False) -> "Symbol":
        left, right = (self._other(other, sign), self) if flip else (self, self._other(other, sign))
        if left.unit is None or right.unit is None:
            return self._made(left.unit if right.unit is None else right.unit, left, sign, right)
        balance(left, right.unit, f"'{_text(left)} {sign} {_text(right)}'", "the same unit on both sides")
        return self._made(left.unit, left, sign, right)

    def _product(self, other: Any, sign: str, combine: Callable, flip: bool = False) -> "Symbol":
        left, right = (self._other(other, sign), self) if flip else (self, self._other(other, sign))
        one = units.parse(units.DIMENSIONLESS)
        if left.unit is None and right.unit is None:
            return self._made(None, left, sign, right)
        unit = combine(one if left.unit is None else left.unit, one if right.unit is None else right.unit)
        return self._made(unit, left, sign, right)

    def __add__(self, other: Any) -> "Symbol":
        return self._same(other, "+")

    def __radd__(self, other: Any) -> "Symbol":
        return self._same(other, "+", flip=True)

    def __sub__(self, other: Any) -> "Symbol":
        return self._same(other, "-")

    def __rsub__(self, other: Any) -> "Symbol":
        return self._same(other, "-", flip=True)

    def __mul__(self, other: Any) -> "Symbol":
        return self._product(other, "*", operator.mul)

    def __rmul__(self, other: Any) -> "Symbol":
        return self._product(other, "*", operator.mul, flip=True)

    def __truediv__(self, other: Any) -> "Symbol":
        return self._product(other, "/", operator.truediv)

    def __rtruediv__(self, other: Any) -> "Symbol":
        return self._product(other, "/", operator.truediv, flip=True)

    def __mod__(self, other: Any) -> "Symbol":
        return self._same(other, "%")

    def __floordiv__(self, other: Any) -> NoReturn:
        self.context.refuse(f"'{_text(self)} // {_text(other)}'", "wb.math.floor(a / b)")

    def __rfloordiv__(self, other: Any) -> NoReturn:
        self.context.refuse(f"'{_text(other)} // {_text(self)}'", "wb.math.floor(a / b)")

    def __pow__(self, other: Any) -> "Symbol":
        if _is_number(other):
            unit = None if self.unit is None else self.unit ** float(other)
            return self._made(unit, self, "**", other)
        power = self._other(other, "**")
        pure(self, f"'{_text(self)} ** {_text(power)}'")
        pure(power, f"'{_text(self)} ** {_text(power)}'")
        return self._made(units.parse(units.DIMENSIONLESS), self, "**", power)

    def __rpow__(self, other: Any) -> "Symbol":
        return self._other(other, "**") ** self

    def __matmul__(self, other: Any) -> "Symbol":
        from workbench.declare.arrays import dot

        return dot(self, self._other(other, "@"))  # type: ignore[no-any-return]

    def __rmatmul__(self, other: Any) -> "Symbol":
        return self._other(other, "@") @ self

    def __neg__(self) -> "Symbol":
        return Symbol(self.unit, f"-{self.text}", self.context, self.extent)

    def __pos__(self) -> "Symbol":
        return self

    def __abs__(self) -> "Symbol":
        return Symbol(self.unit, f"abs({_text(self)})", self.context, self.extent)

    def _compared(self, other: Any, sign: str) -> "Symbol":
        self._same(other, sign)
        return self._made(None, self, sign, other)

    def __lt__(self, other: Any) -> "Symbol":
        return self._compared(other, "<")

    def __le__(self, other: Any) -> "Symbol":
        return self._compared(other, "<=")

    def __gt__(self, other: Any) -> "Symbol":
        return self._compared(other, ">")

    def __ge__(self, other: Any) -> "Symbol":
        return self._compared(other, ">=")

    def __eq__(self, other: object) -> bool:  # PyTensor's symbols answer whether they are the same symbol
        self.context.refuse(f"'{_text(self)} == {_text(other)}' or its opposite", "a comparison by <, <=, > or >=")

    def __and__(self, other: Any) -> "Symbol":
        return self._made(None, self, "&", other)

    def __or__(self, other: Any) -> "Symbol":
        return self._made(None, self, "|", other)

    def __invert__(self) -> "Symbol":
        return Symbol(None, f"~{self.text}", self.context, self.extent)

    # -- what a symbol is not ----------------------------------------------------------------------------------------
    def __bool__(self) -> bool:  # noqa: PLE0304 - it refuses
        self.context.refuse(
            f"Python's if, and, or, not, min or max on the symbol '{_text(self)}', whose value is not known yet",
            "wb.math.where(condition, a, b), wb.math.minimum, wb.math.maximum, or & | ~ between conditions",
        )

    def __float__(self, *_: Any) -> NoReturn:
        self.context.refuse(
            f"a plain number asked of the symbol '{_text(self)}' (by float() or the math module)",
            "wb.math, as in wb.math.exp(...)",
        )

    __int__ = __index__ = __round__ = __trunc__ = __float__

    # -- elements ----------------------------------------------------------------------------------------------------
    def __getitem__(self, index: Any) -> "Symbol":
        if not self.extent:
            self.context.refuse(f"an index on '{_text(self)}', which is a scalar", "the scalar itself")
        parts = index if isinstance(index, tuple) else (index,)
        if not all(map(is_index, parts)):
            got = f"an index on '{_text(self)}' that is not fixed, or none"
            self.context.refuse(got, "whole numbers, slices or arrays of whole numbers")
        text = f"{_text(self)}[{', '.join(map(index_text, parts))}]"
        try:
            shape = np.broadcast_to(0.0, self.extent)[index].shape
        except IndexError:
            self.context.refuse(f"'{text}' of shape {self.extent}", "an index within it")
        return Symbol(self.unit, text, self.context, shape)

    def __iter__(self) -> Iterator["Symbol"]:
        if not self.extent:
            self.context.refuse(f"a loop over '{_text(self)}', which is a scalar", "the scalar itself")
        if len(self.extent) > 1:
            self.context.refuse(f"a loop over '{_text(self)}' of shape {self.extent}", "a loop over its indices")
        return (self[k] for k in range(self.extent[0]))

    def __len__(self) -> int:
        raise _NoLength(f"{self.context.where}: got len() of the symbol '{_text(self)}'; expected {_SETTING}")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        expected = _SETTING if name in ("shape", "size", "ndim") else _math_name(name)
        self.context.refuse(f"'.{name}' of the symbol '{_text(self)}'", expected)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **_: Any) -> Any:
        same = _OPERATORS.get(ufunc.__name__) if method == "__call__" else None
        if same is not None:
            known = (float(i) if _is_number(i) else self._other(i, ufunc.__name__) for i in inputs)
            return same(*known)
        self.context.refuse(f"numpy.{ufunc.__name__} on the symbol '{_text(self)}'", _math_name(ufunc.__name__))

    def __array_function__(self, function: Any, *_: Any) -> NoReturn:
        self.context.refuse(f"numpy.{function.__name__} on the symbol '{_text(self)}'", _math_name(function.__name__))

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        if sys._getframe(1).f_globals.get("__name__", "").startswith("pytensor"):
            raise UsesPyTensor
        self.context.refuse(f"numpy on the symbol '{_text(self)}'", "wb.math, as in wb.math.exp(...)")


def _math_name(name: str) -> str:
    from workbench.declare import math as wb_math

    name = {"abs": "absolute", "fabs": "absolute", "fmin": "minimum", "fmax": "maximum", "matmul": "dot"}.get(
        name, name
    )
    return (
        f"wb.math.{name}" if hasattr(wb_math, name) else "a function of wb.math, which takes symbols and numbers alike"
    )


def _shown(unit: Any) -> str:
    return f"{unit:~P}" or "1"


def balance(value: Symbol, unit: Any, what: str, expected: str) -> None:
    """Refuse `value` unless its unit has the dimension and scale of `unit` (a degree Celsius counts as a kelvin)."""
    if value.unit is None:
        return
    (scale, dims), (wanted_scale, wanted_dims) = units.scale_and_dimension(value.unit), units.scale_and_dimension(unit)
    got = f"{what} with units {_shown(value.unit)} and {_shown(unit)}"
    if dims != wanted_dims:
        value.context.refuse(got, expected)
    if abs(scale / wanted_scale - 1) > 1e-9:
        value.context.refuse(
            f"{got}, which differ by a factor of {scale / wanted_scale:g}",
            f"{expected}: declare the quantities in units that fit, or a constant "
            "such as wb.Parameter('min/h', value=60) that converts",
        )


def pure(value: Symbol, what: str) -> None:
    """Refuse `value` unless it is a pure number."""
    balance(value, units.parse(units.DIMENSIONLESS), what, "a pure number (divide by a reference value first)")
