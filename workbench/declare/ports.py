"""What joins the parts of a composed model: ports that are looked up, outputs that feed inputs, names that differ."""

import keyword
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from workbench.base import units
from workbench.base.errors import DeclarationError, UnitError, unknown
from workbench.declare.model import as_model
from workbench.declare.ode import Ode
from workbench.declare.quantity import Input, Output, Parameter, Quantity
from workbench.declare.wiring import Feed, Port

_KINDS: dict[str, tuple[type[Quantity], ...]] = {
    "input": (Input,),
    "output": (Output,),
    "input or parameter": (Input, Parameter),
}


def read_parts(name: str, parts: Any) -> dict[str, Ode]:
    """Return the models by the names of the parts; DeclarationError for what cannot be a part or a name."""
    if not _is_name(name):
        raise DeclarationError(f"got {name!r} as a model's name; expected an identifier such as 'Plant'")
    if not isinstance(parts, Mapping) or not parts:
        raise DeclarationError(f"{name}: got parts={parts!r}; expected a mapping such as {{'boiler': Boiler}}")
    models = {}
    for part, given in parts.items():
        if not _is_name(part):
            raise DeclarationError(f"{name}: got {part!r} as a part's name; expected an identifier such as 'boiler'")
        try:
            model = as_model(given)
        except TypeError as error:  # a class with settings that have no default
            raise DeclarationError(f"{name}: got {given!r} as part {part!r} ({error}); expected an instance") from None
        if not isinstance(model, Ode):
            raise DeclarationError(
                f"{name}: got {model!r} as part {part!r}; expected a wb.Ode: others cannot be composed"
            )
        models[part] = model
    return models


def read_pairs(name: str, connect: Any) -> dict[str, list[Any]]:
    """Return for each input's port the list of the ports that feed it."""
    pairs = list(connect.items() if isinstance(connect, Mapping) else connect)
    made: dict[str, list[Any]] = {}
    for pair in pairs:
        inlet, outlets = pair if isinstance(pair, tuple | list) and len(pair) == 2 else (None, None)
        listed = [outlets] if isinstance(outlets, str) else outlets
        if not isinstance(inlet, str) or not isinstance(listed, list | tuple) or not listed:
            raise DeclarationError(
                f"{name}: got {pair!r} in connect; expected a mapping from inputs to outputs, such as "
                "{'turbine.steam': 'boiler.steam'}, or to lists of outputs that add up"
            )
        if inlet in made or any(outlet in listed[:k] for k, outlet in enumerate(listed)):
            raise DeclarationError(
                f"{name}: got input {inlet!r} fed twice; expected it once, by an output or by a list of different "
                "outputs that add up"
            )
        made[inlet] = list(listed)
    return made


def read_feeds(
    name: str, models: Mapping[str, Ode], connect: Mapping[str, Iterable[Any]]
) -> dict[Port, tuple[Feed, ...]]:
    """Return what feeds each input that is fed, checked and with its conversion of units."""
    feeds: dict[Port, tuple[Feed, ...]] = {}
    for inlet, outlets in connect.items():
        part, local = port = _port(name, models, inlet, "input")
        quantity = models[part].inputs[local]
        if quantity.kind == "impulse":
            raise DeclarationError(
                f"{name}: got impulse {inlet!r} fed by an output; expected a continuous input: impulses stay free"
            )
        feeds[port] = tuple(_feed(name, models, inlet, quantity.unit, outlet) for outlet in outlets)
        if len(feeds[port]) > 1 and any(feed.shift for feed in feeds[port]):
            raise UnitError(
                f"{name}: got temperatures on different scales that add up to {inlet!r}; expected each in "
                f"{quantity.unit!r}"
            )
    return feeds


def _feed(name: str, models: Mapping[str, Ode], inlet: str, unit: str, outlet: Any) -> Feed:
    part, local = _port(name, models, outlet, "output")
    given, dims = models[part].outputs[local].unit, models[part].outputs[local].dims
    if dims:
        raise DeclarationError(
            f"{name}: got output {outlet!r} with dims={dims!r} for input {inlet!r}; expected a scalar, such as an "
            "output that reads one element"
        )
    try:
        shift = float(units.convert(0.0, given, unit))
    except (UnitError, TypeError):  # the latter is pint's, for an absolute temperature as a difference
        raise UnitError(
            f"{name}: got output {outlet!r} in {given!r} for input {inlet!r} in {unit!r}; expected units that convert "
            "into each other"
        ) from None
    return Feed((part, local), units.factor(given, unit), shift)


def read_names(
    name: str, models: Mapping[str, Ode], feeds: Mapping[Port, Any], share: Mapping[str, Any]
) -> dict[Port, str]:
    """Return the name in the composed model of each quantity that is not fed."""
    shared: dict[Port, str] = {}
    for one, ports in share.items():
        listed = [ports] if isinstance(ports, str) else ports
        if not _is_name(one) or not isinstance(listed, list | tuple) or not listed:
            raise DeclarationError(
                f"{name}: got {one!r}: {ports!r} in share; expected an identifier and a list of ports, such as "
                "{'T_env': ['boiler.T_env', 'wall.T_env']}"
            )
        found = [_port(name, models, port, "input or parameter") for port in listed]
        for port in found:
            if port in feeds or port in shared:
                how = "fed by an output" if port in feeds else f"shared as {shared[port]!r}"
                raise DeclarationError(
                    f"{name}: got {'.'.join(port)!r} shared as {one!r}, and {how}; expected one of them"
                )
            shared[port] = one
        _check_alike(name, models, one, found)
    names = {
        (part, local): shared.get((part, local), f"{part}_{local}")
        for part, model in models.items()
        for local in type(model).quantities
        if (part, local) not in feeds
    }
    owners: dict[str, Port] = {}
    for port, chosen in names.items():
        other = owners.setdefault(chosen, port)
        if other != port and not (port in shared and other in shared):
            raise DeclarationError(
                f"{name}: got {'.'.join(other)!r} and {'.'.join(port)!r}, which would both be named {chosen!r}; "
                "expected names of parts and of what is shared that keep them apart"
            )
    return names


def _check_alike(name: str, models: Mapping[str, Ode], shared: str, ports: list[Port]) -> None:
    """Refuse to share quantities that are declared differently (words may differ)."""
    first, *others = (type(models[part]).quantities[local] for part, local in ports)
    for port, other in zip(ports[1:], others, strict=True):
        differ = (
            [f.name for f in fields(first) if f.compare and f.name != "long_name"] if type(first) is type(other) else []
        )
        differ = [f"{k} ({a!r} and {b!r})" for k in differ if (a := getattr(first, k)) != (b := getattr(other, k))]
        if type(first) is not type(other):
            differ = [f"kind ({type(first).__name__} and {type(other).__name__})"]
        elif getattr(first, "into", None):
            differ = ["the state that an impulse goes into"]
        if differ:
            raise DeclarationError(
                f"{name}: got {'.'.join(ports[0])!r} and {'.'.join(port)!r} shared as {shared!r}, which differ in "
                f"{', '.join(differ)}; expected the same declaration (a subclass can declare it anew)"
            )


def _port(name: str, models: Mapping[str, Ode], port: Any, kind: str) -> Port:
    """Return the part and the quantity that a port names, of the kind that is asked for."""
    part, dot, local = port.partition(".") if isinstance(port, str) else ("", "", "")
    if not dot:
        raise DeclarationError(f"{name}: got port {port!r}; expected text such as '{next(iter(models))}.<{kind}>'")
    where = f"{name}, port {port!r}"
    if part not in models:
        raise DeclarationError(unknown("part", part, models, where))
    quantities = type(models[part]).quantities
    known = [local for local, quantity in quantities.items() if isinstance(quantity, _KINDS[kind])]
    if local not in known:
        sentence = unknown(kind, local, known, where)
        if local in quantities:
            sentence += f"; {local!r} is of kind {type(quantities[local]).__name__}; connect maps inputs to outputs"
        raise DeclarationError(sentence)
    return part, local


def _is_name(name: Any) -> bool:
    usable = isinstance(name, str) and name.isidentifier() and not keyword.iskeyword(name)
    return usable and not name.startswith("_")
