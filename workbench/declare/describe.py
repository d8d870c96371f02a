"""What a declaration says of itself: plain data, a digest of its meaning, and a table of its quantities."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from workbench.base.errors import DeclarationError
from workbench.declare.formula import formulas, source
from workbench.declare.noise import Noise
from workbench.declare.prior import Prior
from workbench.declare.quantity import Event, Input, Output, Parameter, Quantity, State
from workbench.declare.sensor import in_words as sensor_in_words
from workbench.declare.values import in_words

if TYPE_CHECKING:
    from workbench.declare.model import Model, ModelType


def document(model: "Model") -> dict[str, Any]:
    """Return a declaration as plain data for JSON.

    Returns
    -------
    dict
        `model` (the class's name), `time_unit`, `rtol`, `atol`, `settings`, `labels` (of the dims of vectors, where
        there are any), `quantities` (kind, unit and all arguments of each, by name), `equations` (a formula for each
        start, derivative and output; the text of a method that calls PyTensor itself) and `source` (each method as it
        was written, where its text is known).

    Raises
    ------
    DeclarationError
        If a setting is no plain data, or equations call PyTensor and were typed where Python keeps no text.
    """
    written = {method: source(model, method) for method in model._methods}
    return {
        "model": model.name,
        "time_unit": model.time_unit,
        "rtol": float(model.rtol),
        "atol": float(model.atol),
        "settings": {f.name: _plain(model, f.name, getattr(model, f.name)) for f in dataclasses.fields(model)},  # type: ignore[arg-type]
        **(
            {"labels": {dim: _plain(model, dim, labels) for dim, labels in model.labels.items()}}
            if model.labels
            else {}
        ),
        "quantities": {name: _arguments(quantity) for name, quantity in type(model).quantities.items()},
        "equations": {method: formulas(model, method) for method in model._methods},
        "source": {method: text for method, text in written.items() if text},
    }


def digest(model_or_document: "Model | Mapping[str, Any]") -> str:
    """Return the SHA-256 of what a declaration means, for a model or for what `document` says of it.

    Names, units, priors, noise, bounds, settings, tolerances and equations count. Equations count as the formulas they
    come down to: comments, layout, local names and helper functions do not, but the value of a constant does, wherever
    it stands. Where equations call PyTensor themselves, their text counts, without comments and layout. Long names and
    the order of declarations never do.
    """
    meant = dict(_leaves(_document_of(model_or_document)))
    return hashlib.sha256(json.dumps(meant, sort_keys=True).encode()).hexdigest()


def differences(got: "Model | Mapping[str, Any]", expected: "Model | Mapping[str, Any]") -> list[str]:
    """Return a sentence for each part in which the meaning of two declarations differs; none when digests are equal."""
    ours, theirs = (dict(_leaves(_document_of(one))) for one in (got, expected))
    said = dict[str, str]()
    for part in {**theirs, **ours}:
        if ours.get(part, ...) == theirs.get(part, ...):
            continue
        kind, name, *_ = f"{part}.".split(".")
        whole = [any(leaf.startswith(f"{kind}.{name}.") for leaf in leaves) for leaves in (ours, theirs)]
        if kind == "quantities" and not all(whole):
            one, other = ("it declared" if there else "no such quantity" for there in whole)
            said[name] = f"{name}: got {one}, expected {other}"
            continue
        one, other = (json.dumps(leaves[part]) if part in leaves else "nothing" for leaves in (ours, theirs))
        words = part.removeprefix("quantities.").removeprefix("equations.")
        said[part] = f"{words}: got {one}, expected {other}"
    return list(said.values())


def _document_of(one: Any) -> Mapping[str, Any]:
    return one if isinstance(one, Mapping) else document(one)


def _leaves(part: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the parts that have a meaning, by name ("quantities.R.prior.median"); words and source have none."""
    if not isinstance(part, Mapping):
        yield name, part
        return
    for key, value in part.items():
        words = key == "long_name" and name.startswith("quantities.")
        if not words and (name, key) != ("", "source"):
            yield from _leaves(value, f"{name}.{key}" if name else key)


def _plain(model: "Model", name: str, value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(model, name, item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(model, name, item) for item in value]
    raise DeclarationError(
        f"{model.name}.{name}: got a setting of type {type(value).__name__}; expected numbers, text, or lists, dicts "
        "or dataclasses of these"
    )


_ABSENT = ("dims", "limits", "increment", "bias", "drift")  # not written where they are not given


def _arguments(quantity: Quantity) -> dict[str, Any]:
    """Return a quantity's kind and arguments; numbers as floats, so that 20 and 20.0 are one start."""
    made: dict[str, Any] = {"quantity": type(quantity).__name__}
    for argument in dataclasses.fields(quantity):
        value = getattr(quantity, argument.name)
        absent = argument.name in _ABSENT and value == argument.default
        if argument.name == "name" or absent:
            continue
        if isinstance(value, Prior | Noise):
            value = value.to_dict()
        elif argument.name in ("bounds", "limits"):
            value = [None if end is None or math.isinf(end) else float(end) for end in value]
        elif argument.name == "dims":
            value = list(value)
        elif isinstance(value, tuple):
            value = np.asarray(value).tolist()
        elif value is not None and not isinstance(value, str | bool):
            value = float(value)
        made[argument.name] = value
    return made


class Row(NamedTuple):
    """One quantity in words: `says` is its start, prior or value, kind of input, or noise."""

    name: str
    kind: str
    unit: str
    says: str
    bounds: str
    long_name: str


def table(model: "Model | ModelType") -> list[Row]:
    """Return a row for each quantity of a model or of its class, in the order of declaration."""
    cls = model if isinstance(model, type) else type(model)
    return [
        Row(
            name,
            type(quantity).__name__.lower(),
            quantity.unit,
            _says(quantity) + (f", over {', '.join(quantity.dims)}" if quantity.dims else ""),
            _range(getattr(quantity, "bounds", (None, None))),
            str(getattr(quantity, "long_name", "")),
        )
        for name, quantity in cls.quantities.items()
    ]


def _says(quantity: Quantity) -> str:
    match quantity:
        case State(start=None):
            return "starts by start(p)"
        case State(start=start):
            return f"starts at {in_words(start)}"
        case Parameter(prior=None, value=value):
            return f"{in_words(value)}, known"
        case Parameter(prior=prior, value=value):
            return repr(prior) if value is None else f"{prior!r}, nominally {in_words(value)}"
        case Input(kind="impulse", into=into):
            return f"impulses into {into}" if into else "impulses"
        case Input(kind=kind):
            return {"linear": "linear between samples", "previous": "each value holds until the next"}[kind]
        case Event(direction=direction, ends=ends):
            words = {"both": "crossing zero", "rising": "rising through zero", "falling": "falling through zero"}
            return words[direction] + (", ends the asset's life" if ends else "")
        case Output():
            return sensor_in_words(quantity)
    return ""


def _range(bounds: Any) -> str:
    match bounds:
        case (None, None):
            return ""
        case (low, None):
            return f"at least {low:g}"
        case (None, high):
            return f"at most {high:g}"
    return f"{bounds[0]:g} to {bounds[1]:g}"
