"""A whole declaration as plain data, and back: what a form edits and a file keeps."""

import ast
import dataclasses
import keyword
import types
from collections.abc import Callable, Mapping
from typing import Any

from workbench.base.errors import DeclarationError, unknown
from workbench.declare import noise as noises
from workbench.declare import prior as priors
from workbench.declare.describe import document, table
from workbench.declare.formula import formulas
from workbench.declare.model import Model
from workbench.declare.ode import Map, Ode
from workbench.declare.quantity import Event, Input, Output, Parameter, Quantity, State
from workbench.declare.show import text_table
from workbench.declare.static import Static
from workbench.declare.written.expression import Expression, parse

KINDS: dict[str, type[Model]] = {"Ode": Ode, "Map": Map, "Static": Static}
QUANTITIES: dict[str, type[Quantity]] = {kind.__name__: kind for kind in (State, Parameter, Input, Output, Event)}
_TUNING = ("rtol", "atol", "adjoint", "noise_step", "dt")  # attributes of a class, beside its time unit
_PAIRS = ("bounds", "limits")


def written(model: Model) -> dict[str, Any]:
    """Return a model as plain data, from which `declared` makes one of the same meaning.

    Returns
    -------
    dict
        `name`, `kind` ("Ode", "Map" or "Static"), `words` (its docstring), `time_unit`, what else of its tolerances is
        not the default, `quantities` (each name's kind and those arguments that are not the default) and `equations`
        (for each method a formula for each name). Settings have become the numbers that they are.

    Raises
    ------
    DeclarationError
        If it is of another kind, has vectors, or its equations cannot be written as formulas.
    """
    kind = next((name for name, base in KINDS.items() if isinstance(model, base)), None)
    if kind is None:
        raise DeclarationError(
            f"{model.name}: got a wb.{type(model).__mro__[1].__name__}; expected a wb.Ode, wb.Map or wb.Static"
        )
    vectors = [name for name, quantity in type(model).quantities.items() if quantity.dims]
    if vectors:
        raise DeclarationError(f"{model.name}: got the vector {vectors[0]!r}; expected scalars, which can be written")
    own = type(model).__doc__ or ""
    words = own.removesuffix(f"\n\n{text_table(table(type(model)))}\n").strip()
    base = KINDS[kind]
    tuning = {n: getattr(model, n) for n in _TUNING if getattr(model, n, None) != getattr(base, n, None)}
    quantities = {name: _arguments(model, name, given) for name, given in document(model)["quantities"].items()}
    equations = {method: _formulas(model, method) for method in model._methods}
    return {
        "name": model.name,
        "kind": kind,
        **({"words": words} if words and words != f"{model.name}." else {}),
        "time_unit": model.time_unit,
        **tuning,
        "quantities": quantities,
        "equations": {method: found for method, found in equations.items() if found},
    }


def _arguments(model: Model, name: str, given: dict[str, Any]) -> dict[str, Any]:
    quantity = type(model).quantities[name]
    plain: dict[str, Any] = {f.name: f.default for f in dataclasses.fields(quantity)}
    return {
        key: value
        for key, value in given.items()
        if key == "quantity" or (list(plain[key]) if key in _PAIRS else plain[key]) != value
    }


def _formulas(model: Model, method: str) -> dict[str, str]:
    found = formulas(model, method)
    if isinstance(found, str) or any("sha256:" in text for text in found.values()):
        raise DeclarationError(
            f"{model.name}.{method}: got equations that are too long to be written, or call PyTensor; expected formulas"
        )
    return {name: parse(_bare(text), where=f"{model.name}.{method}[{name!r}]").text for name, text in found.items()}


class _Bare(ast.NodeTransformer):
    """Takes x., u. and p. off names, and writes a minus as one."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return ast.Name(node.attr)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "negative":
            return ast.UnaryOp(ast.USub(), node.args[0])
        return node


def _bare(text: str) -> str:
    return ast.unparse(_Bare().visit(ast.parse(text, mode="eval")))


def declared(plain: Any) -> Model:
    """Return the model that `written` describes.

    Raises
    ------
    DeclarationError
        For the first thing in it that cannot be: an unknown key, a formula that is none, and every mistake that a class
        would have been refused for.
    """
    plain = checked(plain)
    body: dict[str, Any] = {"time_unit": plain["time_unit"], **{n: plain[n] for n in _TUNING if n in plain}}
    body |= {name: quantity(name, given) for name, given in plain["quantities"].items()}
    base = KINDS[plain["kind"]]
    for method, sheet in plain["equations"].items():
        body[method] = _method(method, parsed(plain, method, sheet))
    if plain.get("words"):
        body["__doc__"] = plain["words"]
    made = types.new_class(plain["name"], (base,), {}, lambda namespace: _fill(namespace, body))
    return made()  # type: ignore[no-any-return]


def _fill(namespace: dict[str, Any], body: Mapping[str, Any]) -> None:
    for name, value in {"__module__": __name__, **body}.items():
        namespace[name] = value


def checked(plain: Any) -> dict[str, Any]:
    """Return a written declaration whose keys and names are in order; DeclarationError where they are not."""
    plain = dict(_mapping(plain, "model"))
    for key in plain:
        known = ("name", "kind", "words", "time_unit", *_TUNING, "quantities", "equations")
        if key not in known:
            raise DeclarationError(unknown("key", str(key), known, "model"))
    for key in ("name", "kind", "time_unit"):
        if not isinstance(plain.get(key), str):
            raise DeclarationError(f"model: got {key}={plain.get(key)!r}; expected text")
    if not isinstance(plain.get("words", ""), str):
        raise DeclarationError(f"model: got words={plain['words']!r}; expected text")
    for key in _TUNING:
        if not isinstance(plain.get(key), int | float | None):
            raise DeclarationError(f"model: got {key}={plain[key]!r}; expected a number")
    if plain["kind"] not in KINDS:
        raise DeclarationError(unknown("kind", plain["kind"], KINDS, "model"))
    for key in ("quantities", "equations"):
        plain[key] = _mapping(plain.get(key, {}), f"model: {key}")
    for name in (plain["name"], *plain["quantities"]):
        plain_name = isinstance(name, str) and name.isidentifier() and not name.startswith("_")
        if not plain_name or keyword.iskeyword(name) or name in ("t", "pi"):
            raise DeclarationError(
                f"model: got the name {name!r}; expected letters, digits and _, a letter first, and no word of Python"
            )
    for method in plain["equations"]:
        methods = KINDS[plain["kind"]]._methods
        if method not in methods:
            raise DeclarationError(unknown("equations", str(method), methods, plain["name"]))
    return plain


def _mapping(value: Any, where: str) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise DeclarationError(f"{where}: got {value!r}; expected names with what belongs to them")
    return value


def quantity(name: str, given: Any) -> Quantity:
    """Return one quantity from its plain data; DeclarationError where something in it is wrong."""
    given = dict(_mapping(given, name))
    kind = given.pop("quantity", None)
    if kind not in QUANTITIES:
        raise DeclarationError(unknown("quantity", str(kind), QUANTITIES, name))
    known = [f.name for f in dataclasses.fields(QUANTITIES[kind]) if f.name not in ("name", "dims")]
    for key, value in given.items():
        if key not in known:
            raise DeclarationError(unknown("argument", str(key), known, name))
        if isinstance(value, Mapping):
            given[key] = noises.from_dict(value) if "noise" in value else priors.from_dict(value)
        elif key in _PAIRS and isinstance(value, list):
            given[key] = tuple(value)
    if "unit" not in given:
        raise DeclarationError(f"{name}: got no unit; expected one such as 'mg', or '1' for a pure number")
    return QUANTITIES[kind](**given)


def places(plain: Mapping[str, Any], method: str) -> dict[str, str]:
    """Return the names that a method's formulas may read, each as Python finds it ("T": "x.T")."""
    letters = {"State": "x", "Input": "u", "Parameter": "p"}
    found = {} if method == "start" else {"t": "t"}
    for name, given in plain["quantities"].items():
        letter = letters.get(given["quantity"])
        if letter is None or (method == "start" and letter != "p") or given.get("kind") == "impulse":
            continue
        found[name] = f"{letter}.{name}"
    return found


def parsed(plain: Mapping[str, Any], method: str, sheet: Any) -> dict[str, Expression]:
    """Return the formulas of a method by name; DeclarationError where one is none."""
    known = places(plain, method)
    where = f"{plain['name']}.{method}"
    return {str(n): parse(text, known, where=f"{where}[{n!r}]") for n, text in _mapping(sheet, where).items()}


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return what stands under "event.state" within a mapping of its event."""
    made: dict[str, Any] = {}
    for name, value in flat.items():
        outer, dot, inner = name.partition(".")
        if dot:
            made.setdefault(outer, {})[inner] = value
        else:
            made[name] = value
    return made


def _method(method: str, sheet: Mapping[str, Expression]) -> Callable[..., Any]:
    """Return a method that evaluates formulas."""
    wanted = frozenset[str]().union(*(expression.names for expression in sheet.values()))

    def values(t: Any, *every: Any) -> dict[str, Any]:
        found = {name: names[name] for names in every for name in dir(names) if name in wanted} | {"t": t}
        return nested({name: expression.value(found) for name, expression in sheet.items()})

    if method == "start":
        return lambda self, p: values(None, p)
    return lambda self, t, x, u, p: values(t, x, u, p)
