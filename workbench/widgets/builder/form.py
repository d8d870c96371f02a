"""What the form shows, as plain data: items, each with its problem beside it. A pure function of a draft."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.base.errors import WorkbenchError
from workbench.declare import noise as noises
from workbench.declare import prior as priors
from workbench.declare.quantity import DIRECTIONS
from workbench.declare.written.declaration import KINDS
from workbench.declare.written.expression import parse
from workbench.declare.written.latex import latex, left_side
from workbench.recipe import believed
from workbench.recipe.catalogue import catalogue
from workbench.recipe.check import Checked
from workbench.recipe.draft import NEW, Draft, quantities
from workbench.recipe.recipe import SIZES
from workbench.report.maths import FormulaError, mathml
from workbench.report.render import unit_text

Item = dict[str, Any]


@dataclass(frozen=True)
class Form:
    """A draft with what was found of it.

    Attributes
    ----------
    frames
        Names of DataFrames in the kernel.
    """

    draft: Draft
    checked: Checked
    frames: tuple[str, ...] = ()

    def field(self, path: str, label: str, value: Any, *, at: str | None = None, **more: Any) -> Item:
        """Return a field: `type` is text (the default), choice, area or check; `at` says whose problem it shows."""
        text = value if isinstance(value, bool) else "" if value is None else _number_text(value)
        problem = self.checked.problems.get(path if at is None else at, "")
        return {"kind": "field", "id": path, "label": label, "value": text, "problem": problem, **more}

    def model(self) -> list[Item]:
        """Return the choice of a model, its name and clock, and its equations with how they are printed."""
        plain = self.draft.model
        chosen = next((name for name, one in catalogue().items() if one == plain), "")
        items = [
            self.field("choose", "Start from", chosen, type="choice", options=["", *catalogue()], at="model"),
            self.field("model/name", "Name", plain["name"]),
            self.field("rekind", "Kind", plain["kind"], type="choice", options=list(KINDS), short=True),
            {"kind": "text", "id": "kinds", "text": _KINDS.get(plain["kind"], "")},
            self.field("model/time_unit", "Unit of time", plain["time_unit"], short=True),
            *([self.field("model/dt", "Step", plain.get("dt", 1.0), short=True)] if plain["kind"] == "Map" else []),
            self.field("model/words", "In words", plain.get("words", ""), type="area"),
        ]
        for method, sheet in plain["equations"].items():
            if method == "reset":  # stands with its event
                continue
            for name, text in sheet.items():
                path = f"model/equations/{method}/{name}"
                problem = self.checked.problems.get(path) or self.checked.problems.get(f"model/equations/{method}", "")
                label = _LEFT.get(method, "{} =").format(name)
                items.append({**self.field(path, label, text), "problem": problem, "wide": True})
                items.append({"kind": "maths", "id": f"{path}/shown", "html": _printed(method, name, text)})
        return items

    def quantities(self) -> list[Item]:
        """Return the states, parameters, inputs and outputs, and what adds another."""
        items: list[Item] = []
        for kind, one in (
            ("State", self._state),
            ("Parameter", self._parameter),
            ("Input", self._input),
            ("Output", self._output),
            ("Event", self._event),
        ):
            for name, given in quantities(self.draft, kind).items():
                base = f"model/quantities/{name}"
                words = given.get("long_name", "")
                inner = [
                    self.field(f"{base}/unit", "Unit", given.get("unit", ""), short=True),
                    *one(base, given),
                    self.field(f"{base}/long_name", "In words", words),
                    {"kind": "button", "id": f"remove/{name}", "label": f"Remove {name}", "quiet": True},
                ]
                label = f"{name}: {words}" if words else name
                problem = self.checked.problems.get(base, "")
                items.append(
                    {
                        "kind": "group",
                        "id": base,
                        "label": label,
                        "tag": kind.lower(),
                        "items": inner,
                        "problem": problem,
                    }
                )
        problem = self.checked.problems.get("add", "")
        items.append({"kind": "add", "id": "add", "label": "Add", "options": list(NEW), "problem": problem})
        return items

    def _state(self, base: str, given: Mapping[str, Any]) -> list[Item]:
        start, noise = given.get("start"), given.get("noise")
        if isinstance(start, Mapping):
            items = [self._prior(f"{base}/start", "Start", start, given.get("unit", ""))]
        else:
            items = [
                self.field(f"{base}/start", "Start", start, short=True),
                {"kind": "button", "id": f"estimate/{base}/start", "label": "Estimate it", "quiet": True},
            ]
        items += self._ends(f"{base}/bounds", given.get("bounds"), "At least", "At most")
        if isinstance(noise, Mapping):
            return [*items, self._prior(f"{base}/noise", "Process noise", noise, "")]
        return [*items, self.field(f"{base}/noise", "Process noise", noise, short=True, hint="none")]

    def _ends(self, path: str, given: Any, low: str, high: str) -> list[Item]:
        """Return the fields of a pair of which either may be left out."""
        ends = given if isinstance(given, list | tuple) and len(given) == 2 else (None, None)
        labels = zip((low, high), ends, strict=True)
        return [self.field(f"{path}/{k}", label, end, short=True) for k, (label, end) in enumerate(labels)]

    def _event(self, base: str, given: Mapping[str, Any]) -> list[Item]:
        way = self.field(f"{base}/direction", "Crossing", given.get("direction", "both"), type="choice", short=True)
        items = [{**way, "options": list(DIRECTIONS)}]
        items.append(self.field(f"{base}/ends", "life ends with it", given.get("ends", False), type="check"))
        name, sheet = base.rpartition("/")[2], self.draft.model["equations"].get("reset", {})
        for state in quantities(self.draft, "State"):
            key = f"{name}.{state}"
            path = f"model/equations/reset/{key}"
            items.append(self.field(path, f"{state} becomes", sheet.get(key, ""), wide=True, hint="as it was"))
        return items

    def _parameter(self, base: str, given: Mapping[str, Any]) -> list[Item]:
        prior = given.get("prior")
        known = "estimated" if isinstance(prior, Mapping) else "known"
        way: Item = {
            "kind": "field",
            "id": f"known/{base}",
            "label": "Is",
            "value": known,
            "problem": "",
            "type": "choice",
        }
        way |= {"options": ["estimated", "known"], "short": True}
        if isinstance(prior, Mapping):
            return [way, self._prior(f"{base}/prior", "Prior", prior, given.get("unit", ""))]
        return [way, self.field(f"{base}/value", "Value", given.get("value"), short=True)]

    def _input(self, base: str, given: Mapping[str, Any]) -> list[Item]:
        kinds = self.field(f"{base}/kind", "Between samples", given.get("kind", "linear"), type="choice", short=True)
        items = [{**kinds, "options": ["linear", "previous", "impulse"]}]
        if given.get("kind") == "impulse":
            states = list(quantities(self.draft, "State"))
            items.append(
                self.field(f"{base}/into", "Into", given.get("into"), type="choice", options=states, short=True)
            )
        return items

    def _output(self, base: str, given: Mapping[str, Any]) -> list[Item]:
        noise = given.get("noise")
        name = noise.get("noise", "") if isinstance(noise, Mapping) else ""
        items = [
            self.field(
                f"shape/{base}/noise", "Error of the sensor", name, type="choice", options=["", *noises.FAMILIES]
            )
        ]
        for key, value in (noise or {}).items():
            path = f"{base}/noise/{key}"
            if key == "noise":
                continue
            if isinstance(value, Mapping):
                unit = given.get("unit", "") if key in noises.FAMILIES[name].in_unit else "1"
                items.append(self._prior(path, key, value, unit))
            else:
                items.append(self.field(path, key, value, short=True))
        if name:
            items += self._ends(f"{base}/limits", given.get("limits"), "Quantified from", "up to")
            words = "counts the increase since the reading before"
            items.append(self.field(f"{base}/increment", words, given.get("increment", False), type="check"))
        return items

    def _prior(self, path: str, label: str, given: Mapping[str, Any], unit: str) -> Item:
        """Return a prior: its family, arguments, and, where it has one, its curve, whose interval can be dragged."""
        name = str(given.get("prior", ""))
        families = list(believed.OFFERED) if name in believed.OFFERED else [name, *believed.OFFERED]
        items = [self.field(f"shape/{path}", "Family", name, type="choice", options=families, short=True)]
        items += [self.field(f"{path}/{key}", key, value, short=True) for key, value in given.items() if key != "prior"]
        problem = self.checked.problems.get(path, "")
        made = {
            "kind": "prior",
            "id": path,
            "label": label,
            "unit": unit_text(unit),
            "items": items,
            "problem": problem,
        }
        try:
            return {**made, **believed.curve(priors.from_dict(given))}
        except (WorkbenchError, TypeError, ValueError, ArithmeticError):
            return {**made, "x": []}

    def wrong(self, *starts: str) -> int:
        """Return how many problems there are below these paths."""
        return sum(path.startswith(starts) for path in self.checked.problems)

    def sizes(self) -> list[Item]:
        """Return draws, tuning, chains and seed."""
        words = {"draws": "Draws a chain", "tune": "Tuning draws", "chains": "Chains", "seed": "Seed"}
        fields = [self.field(f"sizes/{n}", words[n], self.draft.parts.get(n, SIZES[n]), short=True) for n in SIZES]
        return [{"kind": "row", "id": "sizes", "label": "", "items": fields, "problem": ""}]


_KINDS = {
    "Ode": "Ode: an equation for the rate of each state",
    "Map": "Map: an equation for each state one step on",
    "Static": "Static: formulas without a memory; of a state, if there are any, an expression that is zero",
}
_LEFT = {
    "rhs": "d {} / dt =",
    "residual": "{}: 0 =",
    "step": "next {} =",
    "start": "{} at the start =",
    "events": "{} where 0 =",
}


def _printed(method: str, name: str, text: Any) -> str:
    """Return an equation as MathML; nothing while it is no formula."""
    try:
        return mathml(f"{left_side(method, name)} = {latex(parse(text, where=name))}", display=True)
    except (WorkbenchError, FormulaError):
        return ""


def digits(value: float) -> str:
    """Return a number with all its digits, whole ones without a point."""
    return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _number_text(value: Any) -> str:
    if isinstance(value, float):
        return digits(value) if value.is_integer() else f"{value:.6g}"
    return str(value)
