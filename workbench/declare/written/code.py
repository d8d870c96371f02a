"""A written declaration as the Python that a person would have typed."""

import json
from collections.abc import Mapping
from typing import Any

from workbench.declare.noise import Noise
from workbench.declare.prior import Prior
from workbench.declare.quantity import Quantity
from workbench.declare.written.declaration import _TUNING, checked, nested, parsed, places, quantity


def code_of(plain: Any) -> str:
    """Return the class that declares what `declared(plain)` returns; it needs `import workbench as wb`.

    Raises
    ------
    DeclarationError
        If the declaration cannot be.
    """
    plain = checked(plain)
    lines = [f"class {plain['name']}(wb.{plain['kind']}):"]
    if plain.get("words"):
        lines += [f"    {_docstring(plain['words'])}", ""]
    lines += [f"    time_unit = {literal(plain['time_unit'])}"]
    lines += [f"    {name} = {literal(plain[name])}" for name in _TUNING if name in plain]
    lines += [f"    {name} = {_quantity(given, quantity(name, given))}" for name, given in plain["quantities"].items()]
    for method, sheet in plain["equations"].items():
        known = places(plain, method)
        texts = {name: expression.code(known) for name, expression in parsed(plain, method, sheet).items()}
        arguments = "self, p" if method == "start" else "self, t, x, u, p"
        lines += ["", f"    def {method}({arguments}):", f"        return {_dict(nested(texts), 8)}"]
    return "\n".join(lines) + "\n"


def _docstring(words: str) -> str:
    safe = words.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    first, *rest = safe.split("\n")
    lines = "\n".join([first, *(f"    {line}" if line else "" for line in rest)])
    return f'"""{lines}\n    """' if rest or safe.endswith('"') else f'"""{lines}"""'


def _dict(parts: Mapping[str, Any], indent: int) -> str:
    space = " " * (indent + 4)
    texts = (f"{literal(n)}: {_dict(v, indent + 4) if isinstance(v, Mapping) else v}" for n, v in parts.items())
    return "{\n" + "".join(f"{space}{text},\n" for text in texts) + " " * indent + "}"


def _quantity(given: Mapping[str, Any], made: Quantity) -> str:
    more = (f"{key}={literal(getattr(made, key))}" for key in given if key not in ("quantity", "unit"))
    return f"wb.{given['quantity']}({', '.join([literal(made.unit), *more])})"


def literal(value: Any) -> str:
    """Return a prior, a noise, or plain data as Python writes it."""
    if isinstance(value, Prior | Noise):
        room = "prior" if isinstance(value, Prior) else "noise"
        return f"wb.{room}.{value.name}({', '.join(f'{key}={literal(one)}' for key, one in value.arguments)})"
    if isinstance(value, tuple | list):
        inside = ", ".join(map(literal, value))
        return f"[{inside}]" if isinstance(value, list) else f"({inside},)" if len(value) == 1 else f"({inside})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{literal(key)}: {literal(one)}" for key, one in value.items()) + "}"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return f"float('{value}')"
    return repr(value)
