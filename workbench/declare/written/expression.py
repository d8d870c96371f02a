"""Equations as people type them: Python's parser reads them, only arithmetic is let through, nothing typed is run."""

import ast
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

from workbench.base.errors import DeclarationError, unknown
from workbench.declare import math as functions

LONGEST = 4000  # characters of one formula
DEEPEST = 60  # operations within each other
_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow, ast.Mod: operator.mod, ast.BitAnd: operator.and_, ast.BitOr: operator.or_,
}  # fmt: skip
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
}  # fmt: skip
_ONE = (
    "exp expm1 log log1p log2 log10 sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh sqrt "
    "absolute floor ceil sign"
).split()
ARGUMENTS = {**dict.fromkeys(_ONE, 1), "abs": 1, "power": 2, "minimum": 2, "maximum": 2, "clip": 3, "where": 3}
"""The functions that formulas may call, each with its number of arguments; they are those of `wb.math`."""
CONSTANTS = {"pi": math.pi}
_EXPECTED = "names, numbers, + - * / ** ( ), comparisons, and functions such as exp(...)"


@dataclass(frozen=True)
class Expression:
    """A formula that was parsed and checked.

    Attributes
    ----------
    text
        As `ast.unparse` writes it: the same tree always has the same text.
    """

    text: str

    @cached_property
    def tree(self) -> ast.expr:
        """What was parsed."""
        return ast.parse(self.text, mode="eval").body

    @cached_property
    def names(self) -> frozenset[str]:
        """The names it reads, constants such as pi left out."""
        return frozenset(names_in(self.tree))

    def value(self, values: Mapping[str, Any]) -> Any:
        """Return its value where each name has one: numbers, arrays or symbols alike."""
        return _value(self.tree, values)

    def code(self, places: Mapping[str, str]) -> str:
        """Return it as Python with each name replaced ("T" by "x.T", say), and functions as those of `wb.math`."""
        return ast.unparse(_Placed(places).visit(ast.parse(self.text, mode="eval")).body)


def parse(text: Any, known: Iterable[str] | None = None, *, where: str) -> Expression:
    """Return the formula in a text.

    Parameters
    ----------
    text
        Such as "(To - T) / R + Q".
    known
        The names that may stand in it; None: any.
    where
        Names the formula in errors.

    Raises
    ------
    DeclarationError
        If it is no formula: a slip of the pen, an unknown name or function, or anything that is not arithmetic.
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        text = repr(text)
    if not isinstance(text, str) or not text.strip():
        raise DeclarationError(f"{where}: got {text!r}; expected a formula of {_EXPECTED}")
    if len(text) > LONGEST:
        raise DeclarationError(f"{where}: got a formula of {len(text)} characters; expected at most {LONGEST}")
    try:
        tree = ast.parse(" ".join(text.split()), mode="eval").body
    except SyntaxError as error:
        at = f" at character {error.offset}" if error.offset else ""
        raise DeclarationError(
            f"{where}: got {text!r}, which is no formula ({error.msg}{at}); expected {_EXPECTED}"
        ) from None
    except (ValueError, RecursionError, MemoryError):
        _too_deep(where)
    _check(tree, None if known is None else [*known], where)
    return Expression(ast.unparse(tree))


def names_in(tree: ast.expr) -> Iterator[str]:
    """Yield the names that a checked tree reads."""
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and id(node) not in called and node.id not in CONSTANTS:
            yield node.id


def _too_deep(where: str) -> NoReturn:
    raise DeclarationError(f"{where}: got a formula nested more than {DEEPEST} deep; expected a flatter one")


def _check(tree: ast.expr, known: list[str] | None, where: str) -> None:
    """Refuse what is not arithmetic; without recursion, as nesting may be deep."""
    waiting: list[tuple[ast.AST, int]] = [(tree, 1)]
    while waiting:
        node, depth = waiting.pop()
        if depth > DEEPEST:
            _too_deep(where)
        match node:
            case ast.Constant():
                _check_number(node.value, where)
            case ast.Name():
                if known is not None and node.id not in known and node.id not in CONSTANTS:
                    raise DeclarationError(unknown("name", node.id, known, where))
            case ast.Call():
                _check_call(node, where)
                waiting += [(argument, depth + 1) for argument in node.args]
            case ast.BinOp() if type(node.op) in _BINARY:
                waiting += [(node.left, depth + 1), (node.right, depth + 1)]
            case ast.UnaryOp() if type(node.op) in _UNARY:
                waiting.append((node.operand, depth + 1))
            case ast.Compare() if len(node.ops) == 1 and type(node.ops[0]) in _COMPARE:
                waiting += [(node.left, depth + 1), (node.comparators[0], depth + 1)]
            case ast.BinOp(op=ast.BitXor()):
                raise DeclarationError(f"{where}: got '^'; expected ** for powers")
            case _:
                raise DeclarationError(f"{where}: got {_shown(node)}; expected {_EXPECTED}")


def _shown(node: ast.AST) -> str:
    try:
        text = ast.unparse(node)
    except (RecursionError, ValueError):
        return type(node).__name__
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def _check_number(value: Any, where: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DeclarationError(f"{where}: got {value!r}; expected {_EXPECTED}")
    if not abs(value) <= 1e300:
        raise DeclarationError(f"{where}: got a number beyond 1e300; expected a smaller one")


def _check_call(node: ast.Call, where: str) -> None:
    name = node.func.id if isinstance(node.func, ast.Name) else None
    if name is None:
        raise DeclarationError(f"{where}: got {_shown(node.func)} called; expected {_EXPECTED}")
    if name not in ARGUMENTS:
        raise DeclarationError(unknown("function", name, ARGUMENTS, where))
    if node.keywords or len(node.args) != ARGUMENTS[name]:
        raise DeclarationError(f"{where}: got {_shown(node)}; expected {ARGUMENTS[name]} arguments of {name}")


def _value(node: ast.expr, values: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant():
            return float(node.value)  # type: ignore[arg-type]
        case ast.Name():
            return values[node.id] if node.id in values else CONSTANTS[node.id]
        case ast.Call(func=ast.Name(id=name)):
            return getattr(functions, name)(*(_value(argument, values) for argument in node.args))
        case ast.BinOp():
            return _BINARY[type(node.op)](_value(node.left, values), _value(node.right, values))
        case ast.UnaryOp():
            return _UNARY[type(node.op)](_value(node.operand, values))
        case ast.Compare():
            return _COMPARE[type(node.ops[0])](_value(node.left, values), _value(node.comparators[0], values))
    raise AssertionError(f"{type(node).__name__} was let through")


class _Placed(ast.NodeTransformer):
    """Puts names where Python finds them."""

    def __init__(self, places: Mapping[str, str]):
        self.places = places

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in self.places:
            return ast.parse(self.places[node.id], mode="eval").body
        return ast.parse(f"wb.math.{node.id}", mode="eval").body

    def visit_Call(self, node: ast.Call) -> ast.AST:
        assert isinstance(node.func, ast.Name)
        arguments = [self.visit(argument) for argument in node.args]
        return ast.Call(ast.parse(f"wb.math.{node.func.id}", mode="eval").body, arguments, [])

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Constant(float(node.value))  # type: ignore[arg-type]
