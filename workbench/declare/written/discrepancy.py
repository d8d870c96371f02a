"""A declared discrepancy as plain data without what is the default, and back, and as Python."""

from collections.abc import Mapping
from typing import Any

from workbench.base.errors import DeclarationError, unknown
from workbench.base.schema import TIME
from workbench.declare import prior as priors
from workbench.declare.discrepancy import Discrepancy
from workbench.declare.kernel import Kernel, from_name
from workbench.declare.written.code import literal

_KEYS = ("over", "length_scale", "sigma", "kernel", "span", "functions", "zero_at", "flat_at", "joint")


def discrepancy(output: str, given: Any) -> Discrepancy:
    """Return the discrepancy of an output from its plain settings.

    Raises
    ------
    DeclarationError
        If a setting is unknown, or cannot be what it says.
    """
    where = f"discrepancy, {output!r}"
    if not isinstance(given, Mapping):
        raise DeclarationError(f"{where}: got {given!r}; expected settings such as over= and joint=")
    for key in given:
        if key not in _KEYS:
            raise DeclarationError(unknown("setting", str(key), _KEYS, where))
    made = {key: _read(value) for key, value in given.items()}
    if "over" in made:
        made["over"] = tuple(made["over"]) if isinstance(made["over"], list) else made["over"]
    if "kernel" in made:
        made["kernel"] = from_name(str(made["kernel"]))
    try:
        return Discrepancy(output, **made)
    except (TypeError, ValueError) as error:
        raise DeclarationError(f"{where}: got {dict(given)!r}, which cannot be used ({error})") from None


def _read(value: Any) -> Any:
    """Return a prior where its plain data stand, a mapping of such read likewise."""
    if isinstance(value, Mapping):
        return priors.from_dict(value) if "prior" in value else {name: _read(one) for name, one in value.items()}
    return value


def plain_discrepancy(one: Discrepancy) -> dict[str, Any]:
    """Return the settings that are not the default, from which `discrepancy` makes the same."""
    given = one.to_dict()
    del given["output"]
    lengths = {name: value for name, value in given["length_scale"].items() if value is not None}
    usual = {"over": [TIME], "length_scale": {}, "kernel": "Matern52", "zero_at": [], "flat_at": [], "joint": True}
    given["length_scale"] = lengths
    return {key: value for key, value in given.items() if value != usual.get(key)}


def code_of_discrepancy(one: Discrepancy) -> str:
    """Return the call that declares it; it needs `import workbench as wb`."""
    given = plain_discrepancy(one)
    parts = [literal(one.output)]
    for key in given:
        value = getattr(one, key)
        if key == "length_scale":
            value = {name: length for name, length in value.items() if length is not None}
        parts.append(f"{key}={f'wb.kernel.{value}' if isinstance(value, Kernel) else literal(value)}")
    return f"wb.Discrepancy({', '.join(parts)})"
