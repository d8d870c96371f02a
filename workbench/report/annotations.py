"""Type annotations of parameters: read from source without running it, and said in words."""

import ast
import types
from collections.abc import Callable
from typing import Annotated, Any, Literal, Optional, Union, get_args, get_origin

from workbench.base.errors import ParameterError, unknown

PLAIN: dict[str, Any] = {"int": int, "float": float, "str": str, "bool": bool, "list": list, "dict": dict}
GENERIC = ("list", "dict", "Annotated", "Literal", "Optional", "Union")
CONSTRAINTS = (
    "ge", "gt", "le", "lt", "multiple_of", "min_length", "max_length", "pattern", "description", "title", "examples",
)  # fmt: skip
WORDS: dict[Any, str] = {
    int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "none", None: "none",
    list: "a list", dict: "a mapping", Any: "any value",
}  # fmt: skip


def evaluate(node: ast.expr, where: str) -> Any:
    """Return the type that an annotation's syntax tree stands for, from a fixed set of names; nothing is run.

    Raises
    ------
    ParameterError
        If the annotation is not built of int, float, str, bool, None, list, dict, Literal, Annotated, Optional, Union.
    """
    if isinstance(node, ast.Constant) and node.value is None:
        return None
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return evaluate(ast.parse(node.value, mode="eval").body, where)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return Union[evaluate(node.left, where), evaluate(node.right, where)]  # noqa: UP007
    if isinstance(node, ast.Name | ast.Attribute):
        name = _last(node)
        if name not in PLAIN:
            raise ParameterError(unknown("type", name, [*PLAIN, *GENERIC, "None"], where))
        return PLAIN[name]
    if isinstance(node, ast.Subscript):
        return _generic(node, where)
    raise ParameterError(f"{where}: got the type `{ast.unparse(node)}`; expected such as int or list[float]")


def _last(node: ast.expr) -> str:
    return ast.unparse(node).rpartition(".")[2]


def _generic(node: ast.Subscript, where: str) -> Any:
    head = _last(node.value)
    inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if head not in GENERIC:
        hint = " (JSON has lists, not tuples: write list)" if head.lower() in ("tuple", "set", "sequence") else ""
        raise ParameterError(unknown("type", head, GENERIC, where) + hint)
    try:
        if head == "Literal":
            return Literal[tuple(ast.literal_eval(item) for item in inner)]
        if head == "Annotated":
            kind, *notes = inner
            return Annotated[(evaluate(kind, where), *(_field(note, where) for note in notes))]
        kinds = tuple(evaluate(item, where) for item in inner)
        if head == "Optional":
            return Optional[kinds[0]]  # noqa: UP045
        return Union[kinds] if head == "Union" else PLAIN[head][kinds]  # noqa: UP007
    except ParameterError:
        raise
    except (ValueError, TypeError):
        raise ParameterError(f"{where}: got the type `{ast.unparse(node)}`, which is not a valid type") from None


def _field(node: ast.expr, where: str) -> Any:
    """Return the pydantic field of `Field(ge=0, ...)`, or a note as it is."""
    from pydantic import Field

    if not (isinstance(node, ast.Call) and _last(node.func) == "Field"):
        return ast.literal_eval(node)
    arguments: dict[str, Any] = {}
    for keyword in node.keywords:
        if keyword.arg not in CONSTRAINTS:
            raise ParameterError(unknown("argument of Field", str(keyword.arg), CONSTRAINTS, where))
        arguments[keyword.arg] = ast.literal_eval(keyword.value)
    if node.args:
        raise ParameterError(f"{where}: got `{ast.unparse(node)}`; expected the default after `=`, not in Field")
    field: Callable[..., Any] = Field
    return field(**arguments)


def describe(field: Any) -> str:
    """Say in words what a parameter takes: its type, choices and range.

    Parameters
    ----------
    field
        A pydantic `FieldInfo`, or a type.
    """
    kind, notes = getattr(field, "annotation", field), list(getattr(field, "metadata", ()))
    if get_origin(kind) is Annotated:
        kind, *more = get_args(kind)
        notes += [note for item in more for note in getattr(item, "metadata", [item])]
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        text = ("one of " if len(inner) > 1 else "") + ", ".join(repr(item) for item in inner)
    elif origin in (Union, types.UnionType):
        text = " or ".join(describe(item) for item in inner if item is not type(None))
    elif origin is list:
        text = f"a list (each {describe(inner[0])})"
    elif origin is dict:
        text = f"a mapping (each value {describe(inner[1])})"
    else:
        text = WORDS.get(kind, getattr(kind, "__name__", str(kind)))
    limits = _limits(notes)
    text = f"{text} {limits}" if limits else text
    return f"{text} or none" if type(None) in inner and origin is not Literal else text


def choices(kind: Any) -> list[str]:
    """Return the words among the choices of a type, wherever in it they stand."""
    if get_origin(kind) is Literal:
        return [item for item in get_args(kind) if isinstance(item, str)]
    return [word for item in get_args(kind) for word in choices(item)]


def _limits(notes: list[Any]) -> str:
    found = {key: getattr(note, key) for note in notes for key in CONSTRAINTS if getattr(note, key, None) is not None}
    text = f"from {found.pop('ge')} to {found.pop('le')}" if {"ge", "le"} <= found.keys() else ""
    forms = {
        "ge": "at least {}", "gt": "above {}", "le": "at most {}", "lt": "below {}", "multiple_of": "in steps of {}",
        "min_length": "of length at least {}", "max_length": "of length at most {}", "pattern": "matching {!r}",
    }  # fmt: skip
    parts = [form.format(found[key]) for key, form in forms.items() if key in found]
    return " and ".join([text, *parts] if text else parts)


def shown(value: Any) -> str:
    """Return a short text of a value with its kind where the text alone does not tell it."""
    text = repr(value)
    text = text if len(text) <= 60 else f"{text[:57]}..."
    if isinstance(value, bool | None | int | float | str | list | dict):
        return text
    return f"{text} ({type(value).__name__})"
