"""Parameters of a notebook: declared once, as annotated assignments in the cell tagged `parameters`.

The cell is read as text and never run; each annotation becomes a field of a strict pydantic model:

    draws: Annotated[int, Field(ge=50, le=20_000, description="posterior draws a chain")] = 1000
    pooling: Literal["complete", "partial"] = "partial"
"""

import ast
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.base.errors import ParameterError, nearest, unknown
from workbench.report.annotations import choices, describe, evaluate, shown

if TYPE_CHECKING:
    from pydantic import BaseModel

WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False, "null": None, "none": None}
FORM = "`name: type = value`, such as `draws: Annotated[int, Field(ge=50)] = 1000`"
TAG = "parameters"


def declared(source: str, where: str) -> dict[str, tuple[Any, Any]]:
    """Return each parameter's type and default, read from the source of a parameters cell.

    Raises
    ------
    ParameterError
        If a statement is neither an import nor a declaration of the form `name: type = value`.
    """
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise ParameterError(f"{where}, line {error.lineno}: got {error.msg}; expected {FORM}") from None
    fields: dict[str, tuple[Any, Any]] = {}
    for node in statements:
        if isinstance(node, ast.Import | ast.ImportFrom) or (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        ):
            continue
        place = f"{where}, line {node.lineno}"
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None):
            raise ParameterError(f"{place}: got `{ast.unparse(node)}`; expected {FORM}")
        name = node.target.id
        if name in fields:
            raise ParameterError(f"{place}: got a second declaration of {name!r}; expected one")
        try:
            default = ast.literal_eval(node.value)
        except (ValueError, TypeError, SyntaxError):
            raise ParameterError(
                f"{place}: got `{ast.unparse(node.value)}` as the default of {name!r}; "
                "expected a plain value such as 1e-3, 'text', [1, 2] or None (constraints go into Annotated)"
            ) from None
        fields[name] = (evaluate(node.annotation, f"{place}, {name!r}"), default)
    return fields


def _model(fields: Mapping[str, tuple[Any, Any]], where: str) -> "type[BaseModel]":
    from pydantic import BaseModel, ConfigDict, create_model

    for name in fields:
        if name.startswith("_") or hasattr(BaseModel, name):
            raise ParameterError(f"{where}: got a parameter named {name!r}, which is reserved; choose another name")
    config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())
    model: type[BaseModel] = create_model("Parameters", __config__=config, **dict(fields))  # type: ignore[call-overload]
    check(model, {name: default for name, (_, default) in fields.items()}, f"{where}, default values")
    return model


def notebook_parameters(path: str | Path) -> "type[BaseModel]":
    """Return the pydantic model of a notebook's parameters, defaults validated; nothing of the notebook is run.

    Raises
    ------
    ParameterError
        If the file is not a notebook, more than one cell is tagged `parameters`, or a declaration is wrong.
    """
    path = Path(path)
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        tagged = [cell for cell in cells if TAG in cell.get("metadata", {}).get("tags", ())]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ParameterError(f"{path.name}: got a file that is no notebook; expected an .ipynb of format 4") from None
    if len(tagged) > 1:
        raise ParameterError(f"{path.name}: got {len(tagged)} cells tagged {TAG!r}; expected one")
    source = "".join(tagged[0]["source"]) if tagged else ""
    where = f"{path.name}, cell tagged {TAG!r}"
    return _model(declared(source, where), where)


def native(value: Any) -> Any:
    """Return `value` as JSON has it: numpy numbers and arrays, tuples, paths and dates become plain values."""
    if isinstance(value, Mapping):
        return {key: native(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [native(item) for item in value]
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        return native(value.tolist())
    if isinstance(value, Path):
        return str(value)
    return value.isoformat() if hasattr(value, "isoformat") else value


def check(model: "type[BaseModel]", given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return all parameters, defaults filled in; ParameterError that lists every problem of `given`."""
    from pydantic import ValidationError

    values = native(given)
    fields = model.model_fields
    problems = {name: unknown("parameter", str(name), fields) for name in values if name not in fields}
    for name in values.keys() & fields.keys():
        try:
            json.dumps(values[name])
        except (TypeError, ValueError):
            problems[name] = f"{name}: got {shown(values[name])}; expected {describe(fields[name])}"
    sound = {name: value for name, value in values.items() if name not in problems}
    result: dict[str, Any] = {}
    try:
        # Through JSON: strict about types, yet an int is a fine float; what passes can be written into a notebook.
        result = model.model_validate_json(json.dumps(sound)).model_dump()
    except ValidationError as error:
        for item in error.errors(include_url=False):
            name = str(item["loc"][0])
            problems.setdefault(name, _sentence(name, item, values[name], fields[name]))
    if problems:
        order = [problems[name] for name in values if name in problems]
        raise ParameterError(f"{where}: " + "\n".join(order) if len(order) == 1 else "\n- ".join([f"{where}:", *order]))
    return result


def _sentence(name: str, item: Mapping[str, Any], value: Any, field: Any) -> str:
    """Say what was got where, what was expected, and the nearest choice if the field is a choice."""
    place, part = name, value
    for step in item["loc"][1:]:
        if (isinstance(part, list) and isinstance(step, int)) or (isinstance(part, dict) and step in part):
            place, part = f"{place}[{step!r}]", part[step]
    whole = f" in {shown(value)}" if place != name else ""
    close = nearest(part, choices(field.annotation)) if isinstance(part, str) else None
    hint = f"; did you mean {close!r}?" if close else ""
    return f"{place}: got {shown(part)}{whole}; expected {describe(field)}{hint}"


def validate(path: str | Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all parameters of the notebook at `path` as JSON-native values: those given, defaults for the others.

    Raises
    ------
    ParameterError
        If a name is unknown, a type wrong or a value out of range; every problem is listed with got, expected, nearest.
    """
    return check(notebook_parameters(path), given, Path(path).stem)


def read_pairs(path: Path, texts: Iterable[str]) -> dict[str, Any]:
    """Return the values of texts such as "draws=500", as `read_texts` reads them.

    Raises
    ------
    ParameterError
        If one is no pair, or `read_texts` refuses it.
    """
    pairs = [text.partition("=") for text in texts]
    for key, equals, _ in pairs:
        if not equals or not key.strip():
            raise ParameterError(f"got the parameter {key!r}; expected key=value")
    return read_texts(path, {key.strip(): value for key, _, value in pairs})


def read_texts(path: str | Path, texts: Mapping[str, str]) -> dict[str, Any]:
    """Return values typed on a command line, each read as its parameter's declared type wants ("1e-3" is a number)."""
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    fields = notebook_parameters(path).model_fields
    values: dict[str, Any] = {}
    for name, text in texts.items():
        guesses = _guesses(text)
        values[name] = guesses[0]
        if name not in fields:
            continue
        adapter: TypeAdapter[Any] = TypeAdapter(fields[name].rebuild_annotation(), config=ConfigDict(strict=True))
        for guess in guesses:
            try:
                adapter.validate_json(json.dumps(guess))
            except ValidationError:
                continue
            values[name] = guess
            break
    return values


def _guesses(text: str) -> list[Any]:
    """Return what `text` may mean, the most particular first and the text itself last."""
    word = text.strip().lower()
    guesses: list[Any] = [WORDS[word]] if word in WORDS else []
    for read in (int, float, json.loads, ast.literal_eval):
        try:
            value = native(read(text.strip()))
            json.dumps(value)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            continue
        whole = isinstance(value, float) and value.is_integer()
        guesses += [int(value), value] if whole else [value]
    return [*guesses, text]


def check_parameters(namespace: Mapping[str, Any]) -> None:
    """Refuse parameters that do not fit their declaration: `wb.check_parameters(globals())` after the parameters cell.

    The runner validates before a notebook starts; this guards runs by other means (papermill itself, edits by hand).

    Parameters
    ----------
    namespace
        The notebook's `globals()`. Declarations are taken from the cells that ran (`In`), where Jupyter keeps them,
        else from the namespace's annotations.

    Raises
    ------
    ParameterError
        If a parameter's value does not fit its declared type, choice or range.
    """
    fields = _from_cells(namespace) or _from_annotations(namespace)
    missing = [name for name in fields if name not in namespace]
    if missing or not fields:
        raise ParameterError(f"got no value for {', '.join(missing) or 'any parameter'}; expected a cell with {FORM}")
    check(_model(fields, "parameters"), {name: namespace[name] for name in fields}, "parameters")


def _from_cells(namespace: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the declarations of the last cell that is a parameters cell.

    Python 3.14 keeps annotations of the last compiled statement alone, so a kernel's namespace does not have them all.
    """
    for source in reversed(namespace.get("In", ())):
        try:
            fields = declared(source, "parameters")
        except ParameterError:
            continue
        if fields:
            return fields
    return {}


def _from_annotations(namespace: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    annotations = namespace.get("__annotations__") or {}
    if not annotations and callable(namespace.get("__annotate__")):
        annotations = namespace["__annotate__"](1)
    return {
        name: (evaluate(ast.parse(kind, mode="eval").body, name) if isinstance(kind, str) else kind, namespace[name])
        for name, kind in annotations.items()
        if name in namespace
    }
