"""What a model's equations come down to, in words: a formula for each start, derivative and output.

The equations run on symbols that remember how they came about, through NumPy's dispatch, so `wb.math` and Python's
operators need nothing of their own. Local names, helper functions and layout leave no trace; constants do.
"""

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from workbench.base.errors import DeclarationError
from workbench.declare.indexing import index_text
from workbench.declare.names import Context, Names

if TYPE_CHECKING:
    from workbench.declare.model import Model

_KINDS = ("workbench.declare.ode", "workbench.declare.static")  # homes of the methods that a model inherits
_LONGEST = 2000  # characters, above which a hash stands for a formula: text of shared parts doubles with each use
_SIGNS = {
    "add": "+", "subtract": "-", "multiply": "*", "divide": "/", "power": "**", "remainder": "%", "less": "<",
    "less_equal": "<=", "greater": ">", "greater_equal": ">=", "equal": "==", "not_equal": "!=", "bitwise_and": "&",
    "bitwise_or": "|",
}  # fmt: skip


class _Formula(NDArrayOperatorsMixin):
    """A symbol that remembers how it came about; a declared vector also knows its length."""

    def __init__(self, text: str, length: int | None = None):
        long, self.length = len(text) > _LONGEST, length
        self.text = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" if long else text

    def __array_ufunc__(self, function: Any, method: str, *arguments: Any, **_: Any) -> "_Formula":
        texts = [_text(argument) for argument in arguments]
        sign = _SIGNS.get(function.__name__)
        return _Formula(f"({f' {sign} '.join(texts)})" if sign else f"{function.__name__}({', '.join(texts)})")

    def __array_function__(self, function: Any, _: Any, arguments: Any, named: Any) -> "_Formula":
        return self.__array_ufunc__(function, "__call__", *arguments, *named.values())

    def __getitem__(self, index: Any) -> "_Formula":
        parts = index if isinstance(index, tuple) else (index,)
        return _Formula(f"{self.text}[{', '.join(map(index_text, parts))}]")

    def __iter__(self) -> Iterator["_Formula"]:
        if self.length is None:
            raise TypeError("a formula does not know its length")
        return (self[k] for k in range(self.length))

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("a formula is no array")


def _text(value: Any) -> str:
    if isinstance(value, _Formula):
        return value.text
    if type(value).__module__.startswith("pytensor"):
        raise TypeError("a formula holds no PyTensor variable")
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, np.ndarray) and value.ndim:
        return _text(value.tolist())
    return repr(None if value is None else float(value))


def flat(made: Mapping[str, Any]) -> dict[str, Any]:
    """Return what equations gave by name; what a reset gives as "event.state"."""
    return {
        f"{name}.{inner}" if inner else name: part
        for name, value in made.items()
        for inner, part in (value.items() if isinstance(value, Mapping) else [("", value)])
    }


def formulas(model: "Model", method: str) -> dict[str, str] | str:
    """Return what `start`, `rhs` or `observe` computes, by name, such as {"T": "(((u.To - x.T) / p.R) + u.Q)"}.

    A formula longer than 2000 characters holds hashes (`sha256:...`) of its parts. Where the method calls PyTensor
    itself, its text without comments and layout is returned instead.

    Raises
    ------
    DeclarationError
        If it calls PyTensor and was typed where Python keeps no text.
    """
    if method == "run":  # of a simulator
        return _text_of(model, method, "a simulator whose text is not known; expected it in a file or a notebook")
    continuous = {name: quantity for name, quantity in model.inputs.items() if quantity.kind != "impulse"}
    context = Context(f"{model.name}.{method}", set())
    kinds = (("state", "x", model.states), ("input", "u", continuous), ("parameter", "p", model.parameters))

    def named(letter: str, quantities: Mapping[str, Any]) -> dict[str, _Formula]:
        shapes = {name: model.shape(quantity) for name, quantity in quantities.items()}
        return {n: _Formula(f"{letter}.{n}", s[0] if len(s) == 1 else None) for n, s in shapes.items()}

    x, u, p = (Names(kind, named(letter, quantities), context) for kind, letter, quantities in kinds)
    try:
        made = getattr(model, method)(p) if method == "start" else getattr(model, method)(_Formula("t"), x, u, p)
        return {name: _text(value) for name, value in flat(made).items()}
    except (TypeError, NotImplementedError):  # what PyTensor says to a formula
        refusal = "equations that call PyTensor and whose text is not known; expected the class in a file or a notebook"
        return _text_of(model, method, f"{refusal}, or functions of wb.math")


def _text_of(model: "Model", method: str, refusal: str) -> str:
    """Return the text of a method without comments and layout."""
    written = source(model, method)
    if written is None:
        raise DeclarationError(f"{model.name}.{method}: got {refusal}")
    return ast.unparse(ast.parse(written))


def source(model: "Model", method: str) -> str | None:
    """Return a method of the model's own as it was written, None where there is none or Python keeps no text."""
    function = getattr(type(model), method)
    if function.__module__ in _KINDS:
        return None
    try:
        return textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        return None
