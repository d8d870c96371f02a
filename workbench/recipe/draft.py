"""A recipe in the making: whatever was typed is kept, right or wrong, and each edit gives a new draft."""

import copy
import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.base.errors import DeclarationError, ParameterError, WorkbenchError, unknown
from workbench.base.schema import TIME
from workbench.declare import noise as noises
from workbench.declare import prior as priors
from workbench.declare.written.declaration import QUANTITIES
from workbench.recipe import believed
from workbench.recipe.recipe import SIZES, Recipe

EMPTY: dict[str, Any] = {
    "name": "Twin", "kind": "Ode", "time_unit": "h", "quantities": {}, "equations": {"rhs": {}, "observe": {}},
}  # fmt: skip
_NAMED = ("columns", "inputs", "pool", "discrepancy")  # parts that hang on names of quantities
_WORDS = ("unit", "long_name", "kind", "into", "quantity", "words", "name", "time_unit", "column", "direction")
NEW: dict[str, dict[str, Any]] = {
    "State": {"unit": "1", "start": 0.0},
    "Parameter": {"unit": "1", "prior": {"prior": "LogNormal", "median": 1.0, "sigma": 1.0}},
    "Input": {"unit": "1", "kind": "linear"},
    "Output": {"unit": "1", "noise": {"noise": "Normal", "sigma": {"prior": "HalfNormal", "sigma": 1.0}}},
    "Event": {"unit": "1"},
}
"""What a quantity is when it has just been added."""


@dataclass(frozen=True)
class Draft:
    """All that a form shows, as it was typed.

    Attributes
    ----------
    parts
        A recipe's parts by name (model, data, columns, inputs, pool, discrepancy and sizes), which may hold what cannot
        be.
    frame
        A DataFrame in place of a file, None where `data` is a path.
    """

    parts: Mapping[str, Any] = field(
        default_factory=lambda: {"model": EMPTY, "columns": {}, "inputs": {}, "pool": {}, "discrepancy": {}}
    )
    frame: Any = field(default=None, compare=False)

    @staticmethod
    def of(recipe: Recipe) -> "Draft":
        """Return the draft of a recipe."""
        parts = {f.name: copy.deepcopy(getattr(recipe, f.name)) for f in dataclasses.fields(recipe) if f.name != "data"}
        path = isinstance(recipe.data, str | None)
        return Draft({**parts, "data": (recipe.data or "") if path else ""}, None if path else recipe.data)

    def recipe(self) -> Recipe:
        """Return the recipe; the errors of what cannot be."""
        parts = {key: copy.deepcopy(value) for key, value in self.parts.items()}
        for size in SIZES:
            if size in parts and (isinstance(parts[size], bool) or not isinstance(parts[size], int)):
                raise ParameterError(f"got {size}={parts[size]!r}; expected a whole number")
        data = self.frame if self.frame is not None else parts.pop("data", "") or None
        return Recipe(**{**parts, "data": data})

    @property
    def model(self) -> Mapping[str, Any]:
        """The declaration as it was typed."""
        return self.parts["model"]  # type: ignore[no-any-return]

    def with_(self, **parts: Any) -> "Draft":
        """Return a draft with other parts."""
        return dataclasses.replace(self, parts={**self.parts, **parts})


def number(text: Any) -> Any:
    """Return the number that a text is, or the text."""
    if not isinstance(text, str):
        return text
    try:
        value = float(text.strip().replace("−", "-"))
    except ValueError:
        return text.strip()
    return value if math.isfinite(value) else text.strip()


def changed(draft: Draft, path: Sequence[str], value: Any) -> Draft:
    """Return a draft in which the value at a path is another.

    Parameters
    ----------
    path
        Such as ("model", "quantities", "ka", "prior", "median"); what it leads through need not be there yet.
    value
        As it was typed: a number's text becomes a number where it can, an empty one is nothing.
    """
    if path[0] == "sizes":
        whole = number(value)
        return draft.with_(**{path[1]: int(whole) if isinstance(whole, float) and whole.is_integer() else whole})
    if path[0] == "data":
        return dataclasses.replace(draft.with_(data=str(value), sha256=None), frame=None)
    parts = copy.deepcopy(dict(draft.parts))
    inner: Any = parts
    for key in path[:-1]:
        step: Any = int(key) if isinstance(inner, list) else key
        if not isinstance(inner, list) and not isinstance(inner.get(step), dict | list):
            inner[step] = [None, None] if key in ("bounds", "limits") else {}
        inner = inner[step]
    last: Any = int(path[-1]) if isinstance(inner, list) else path[-1]
    if isinstance(value, str) and not value.strip():
        if isinstance(inner, list):
            inner[last] = None
        elif path[:3] == ("model", "equations", "reset"):
            inner.pop(last, None)
        elif path[-1] in ("unit", "column") or "equations" in path or {"prior", "noise"} & inner.keys() - {last}:
            inner[last] = ""  # it must be there, so its field stays
        else:
            inner.pop(last, None)
    else:
        formula = len(path) > 2 and path[1] == "equations"
        inner[last] = value if formula or path[-1] in _WORDS or not isinstance(value, str) else number(value)
    return dataclasses.replace(draft, parts=parts)


def added(draft: Draft, kind: str, name: str) -> Draft:
    """Return a draft with another quantity; DeclarationError where there is one of that name."""
    if kind not in NEW:
        raise DeclarationError(unknown("quantity", kind, NEW))
    if not name.isidentifier():
        raise DeclarationError(f"got the name {name!r}; expected letters, digits and _")
    model = copy.deepcopy(dict(draft.model))
    if name in model["quantities"]:
        raise DeclarationError(f"got {name!r} twice; expected each name once")
    model["quantities"][name] = {"quantity": kind, **copy.deepcopy(NEW[kind])}
    if kind in _EQUATION:
        model["equations"].setdefault(_equations_of(model, kind), {})[name] = "0" if kind == "State" else ""
    return draft.with_(model=model)


_EQUATION = ("State", "Output", "Event")
_OF_STATES = {"Ode": "rhs", "Map": "step", "Static": "residual"}


def _equations_of(model: Mapping[str, Any], kind: str) -> str:
    return _OF_STATES[model["kind"]] if kind == "State" else "events" if kind == "Event" else "observe"


def rekinded(draft: Draft, kind: str) -> Draft:
    """Return a draft of another kind of model, what stood for its states in the new kind's place."""
    if kind not in _OF_STATES:
        raise DeclarationError(unknown("kind", kind, _OF_STATES))
    model = copy.deepcopy(dict(draft.model))
    before = model["equations"].pop(_OF_STATES[model["kind"]], {})
    sheets = {_OF_STATES[kind]: before} if before else {}
    if kind != "Map":
        model.pop("dt", None)
    return draft.with_(model={**model, "kind": kind, "equations": {**sheets, **model["equations"]}})


def removed(draft: Draft, name: str) -> Draft:
    """Return a draft without a quantity and what belongs to it."""
    model = copy.deepcopy(dict(draft.model))
    model["quantities"].pop(name, None)
    for sheet in model["equations"].values():
        for key in [key for key in sheet if key.partition(".")[0] == name or key.endswith(f".{name}")]:
            del sheet[key]
    rest = {part: {n: v for n, v in draft.parts[part].items() if n != name} for part in _NAMED}
    return draft.with_(model=model, **rest)


def left_out(draft: Draft, output: str, over: str) -> Draft:
    """Return a draft in which an output has a discrepancy over coordinates ("time, T"), or none where that is empty."""
    kept = {name: given for name, given in draft.parts["discrepancy"].items() if name != output}
    names = [name.strip() for name in over.split(",") if name.strip()]
    if not names:
        return draft.with_(discrepancy=kept)
    before = draft.parts["discrepancy"].get(output, {})
    same = {key: value for key, value in before.items() if key not in ("over", "length_scale", "span")}
    return draft.with_(discrepancy={**kept, output: {**same, **({"over": names} if names != [TIME] else {})}})


def reshaped(given: Any, family: str) -> Any:
    """Return plain data of a prior of another family, with the same interval where it has one; or of a noise.

    Raises
    ------
    DeclarationError
        If the family has no such member.
    """
    if family in noises.FAMILIES and isinstance(given, Mapping) and "noise" in given:
        old = [value for key, value in given.items() if key != "noise"]
        spread = old[0] if old else {"prior": "HalfNormal", "sigma": 1.0}
        return {"noise": family, **{n: copy.deepcopy(spread) for n in noises.FAMILIES[family].arguments if n != "nu"}}
    try:
        like = priors.from_dict(given)
        low, high = believed.interval(like)
    except (WorkbenchError, TypeError):
        like, low, high = None, 0.1, 0.9
    return believed.spanning(family, low, high, like).to_dict()


def dragged(draft: Draft, path: Sequence[str], low: float, high: float) -> Draft:
    """Return a draft in which the prior at a path has another interval; DeclarationError where it cannot."""
    given: Any = draft.parts
    for key in path:
        given = given[key]
    like = priors.from_dict(given)
    return changed(draft, path, believed.spanning(like.name, low, high, like).to_dict())


def quantities(draft: Draft, kind: str) -> dict[str, Mapping[str, Any]]:
    """Return the quantities of a kind by name."""
    assert kind in QUANTITIES
    return {name: given for name, given in draft.model["quantities"].items() if given.get("quantity") == kind}
