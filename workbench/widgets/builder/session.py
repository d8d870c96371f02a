"""The view model of a builder: a draft, what a person does to it, and what is to be shown. It needs no browser."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench.base.errors import DataError, WorkbenchError, unknown
from workbench.base.tables import listed
from workbench.declare.model import Model
from workbench.recipe import draft as drafts
from workbench.recipe.catalogue import chosen
from workbench.recipe.check import Checked, check
from workbench.recipe.columns import source_of
from workbench.recipe.draft import Draft
from workbench.recipe.guess import guess
from workbench.recipe.recipe import Recipe, digest
from workbench.report.explorer.scene import Scene, scene, scene_before
from workbench.widgets.builder.form import Form, Item
from workbench.widgets.builder.view import sections

SPAN = 24.0  # of a preview without data, in the model's time unit


class Session:
    """What a builder knows. Every method that takes what a person did returns at once.

    Attributes
    ----------
    draft, checked
        What was typed, and what is wrong with it.
    said
        What the last button did, in words.
    refused
        Why what a person last did could not be done, by the field that says it; the draft is as it was.
    """

    def __init__(self, draft: Draft, frames: Mapping[str, Any]):
        self.frames = dict(frames)
        self.said, self.refused = "", dict[str, str]()
        self._before: list[Draft] = []
        self._file: tuple[str, str] | None = None  # where it was saved or opened, and that file's hash
        self._overwrite = ""
        self._unit, self._span = 0, SPAN
        self._take(draft)
        self._guess()

    def _take(self, draft: Draft) -> None:
        self.draft = draft
        self.checked: Checked = check(draft)

    def sections(self) -> list[Item]:
        """Return the form."""
        return sections(Form(self.draft, replace(self.checked, problems=self.problems), tuple(self.frames)))

    @property
    def problems(self) -> dict[str, str]:
        """Everything that a field has to say."""
        return {**self.checked.problems, **self.refused}

    def recipe(self) -> Recipe:
        """Return what is on the form; DataError that lists its problems."""
        if self.checked.problems:
            raise DataError(f"the form has problems: {'; '.join(self.checked.problems.values())}")
        return self.draft.recipe()

    def do(self, message: Mapping[str, Any]) -> None:
        """Do what a person did: a problem is noted where it belongs, and nothing is lost."""
        self.said, self.refused = "", {}
        verb, name = str(message.get("do", "")), str(message.get("id", ""))
        place = {"add": "add", "save": "file", "open": "file"}.get(verb, name.removeprefix("shape/"))
        try:
            match verb:
                case "set":
                    self._set(name, message.get("value"))
                case "drag":
                    low, high = float(message["low"]), float(message["high"])
                    self._edit(drafts.dragged(self.draft, name.split("/"), low, high))
                case "add":
                    self._edit(drafts.added(self.draft, str(message.get("kind")), str(message.get("name", "")).strip()))
                case "press":
                    self._press(name)
                case "undo":
                    if self._before:
                        self._take(self._before.pop())
                case "save":
                    self._save(str(message.get("path", "")))
                case "open":
                    self._open(str(message.get("path", "")))
        except WorkbenchError as error:
            self.refused[place] = str(error)
        except (KeyError, TypeError, ValueError) as error:
            self.refused[place] = f"got {dict(message)!r}, which cannot be done ({error})"

    def _edit(self, draft: Draft) -> None:
        self._before = [*self._before[-99:], self.draft]
        self._take(draft)

    def _set(self, name: str, value: Any) -> None:
        head, _, rest = name.partition("/")
        path = tuple(rest.split("/"))
        match head:
            case "choose":
                if value:
                    self._edit(
                        self.draft.with_(model=chosen(str(value)), pool={}, columns={}, inputs={}, discrepancy={})
                    )
                    self._guess()
            case "rekind":
                self._edit(drafts.rekinded(self.draft, str(value)))
            case "leaves":
                self._edit(drafts.left_out(self.draft, rest, str(value or "")))
            case "frame":
                self._frame(str(value))
            case "known":
                self._edit(self._known(path, str(value)))
            case "shape":
                self._edit(self._shape(path, str(value)))
            case "how":
                first = {"column": "", "value": 0.0, "series": [[0.0, 1.0]]}
                self._edit(drafts.changed(self.draft, ("inputs", rest), {value: first[str(value)]}))
            case "series":
                self._edit(drafts.changed(self.draft, ("inputs", rest), {"series": _pairs(str(value))}))
            case "preview":
                self._look(rest, value)
            case "data":
                self._edit(drafts.changed(self.draft, ("data",), str(value or "")))
                self._guess()
            case _ if not value and path[-1] == "column" and len(path) == 2 and head in ("columns", "inputs"):
                rest_of = {k: v for k, v in self.draft.parts[head].items() if k != path[0]}
                self._edit(self.draft.with_(**{head: rest_of}))
            case _:
                self._edit(drafts.changed(self.draft, (head, *path) if rest else (head,), value))

    def _known(self, path: tuple[str, ...], way: str) -> Draft:
        given = {k: v for k, v in self._at(path).items() if k not in ("prior", "value")}
        if way == "known":
            return drafts.changed(self.draft, path, {**given, "value": self._middle(path)})
        return drafts.changed(self.draft, path, {**given, "prior": drafts.NEW["Parameter"]["prior"]})

    def _middle(self, path: tuple[str, ...]) -> float:
        model = self.checked.model
        return float(model.parameters[path[-1]].nominal()) if model is not None else 1.0

    def _shape(self, path: tuple[str, ...], family: str) -> Draft:
        if not family:  # an output that no sensor measures
            return drafts.changed(self.draft, path, "")
        given = self._at(path[:-1]).get(path[-1])
        if path[-1] == "noise" and not given:
            given = drafts.NEW["Output"]["noise"]
        return drafts.changed(self.draft, path, drafts.reshaped(given, family))

    def _at(self, path: tuple[str, ...]) -> Mapping[str, Any]:
        inner: Any = self.draft.parts
        for key in path:
            inner = inner[key]
        return inner  # type: ignore[no-any-return]

    def _press(self, name: str) -> None:
        verb, _, rest = name.partition("/")
        if verb == "remove":
            self._edit(drafts.removed(self.draft, rest))
        elif verb == "estimate":
            self._edit(drafts.changed(self.draft, rest.split("/"), drafts.NEW["Parameter"]["prior"]))

    def _frame(self, name: str) -> None:
        if name not in self.frames:
            raise DataError(unknown("table", name, self.frames))
        made = self.draft.with_(data="", sha256=None)
        self._edit(Draft(made.parts, self.frames[name]))
        self._guess()

    def _guess(self) -> None:
        """Guess what columns are, where none of them is said yet or none is there."""
        table, model = self.checked.table, self.checked.model
        if table is None or model is None:
            return
        said = [given.get("column") for given in self.draft.parts["columns"].values() if isinstance(given, Mapping)]
        if not any(column in table for column in said):
            columns, inputs = guess(model, table)
            self._take(self.draft.with_(columns=columns, inputs={**inputs, **_fixed(self.draft)}))

    def _look(self, what: str, value: Any) -> None:
        if what == "unit":
            self._unit = int(value)
        else:
            span = drafts.number(value)
            if not isinstance(span, float) or span <= 0:
                raise DataError(f"got {value!r}; expected a positive number")
            self._span = span

    def preview(self) -> Scene | None:
        """Return the model over the data, or over a span where there are none; None while it cannot be shown."""
        problem, model = self.checked.problem, self.checked.model
        if problem is not None:
            labels = problem.units or (None,)
            return scene_before(problem, place=min(self._unit, len(labels) - 1))
        if model is None or self.draft.parts.get("data") or self.draft.frame is not None:
            return None
        try:
            return scene(model, times=(0.0, self._span), inputs=_acting(self.draft, model))
        except WorkbenchError as error:
            self.refused["preview"] = str(error)
            return None

    @property
    def looks(self) -> Item:
        """Which unit is shown, and of how many; the span of a preview without data."""
        problem = self.checked.problem
        units = [str(label) for label in (problem.units or ())] if problem is not None else []
        return {"units": units[:500], "unit": self._unit, "span": None if problem is not None else self._span}

    def _save(self, path: str) -> None:
        if not path.strip():
            raise DataError("got no name for the file; expected one such as twin.yaml")
        place = Path(path).expanduser()
        if place.suffix not in (".yaml", ".yml"):
            raise DataError(f"got {path!r}; expected a name that ends in .yaml")
        now = digest(place) if place.is_file() else None
        mine = self._file is not None and self._file[0] == str(place.absolute()) and self._file[1] == now
        if now is not None and not mine and self._overwrite != now:
            self._overwrite = now
            raise DataError(f"{path} is there already, and this panel did not write it; save again to overwrite it")
        self.recipe().save(place)
        self._file = str(place.absolute()), digest(place)
        self.said = f"Saved. Run it with: workbench run twin -f {path}"

    def _open(self, path: str) -> None:
        place = Path(path).expanduser()
        self._edit(Draft.of(opened(place)))
        self._file, self.said = (str(place.absolute()), digest(place)), f"{place.name} is open."


def opened(path: Path) -> Recipe:
    """Return the recipe in a file, whose declaration can be: a form has no fields for anything else."""
    recipe = Recipe.open(path)
    recipe.declared  # noqa: B018 - its error says what cannot be
    return recipe


def _pairs(text: str) -> Any:
    """Return pairs of time and value from "0: 320, 12: 320"; the text where it is none."""
    pairs = [[drafts.number(part) for part in one.split(":")] for one in text.split(",") if one.strip()]
    whole = all(len(pair) == 2 and all(isinstance(part, float) for part in pair) for pair in pairs)
    return pairs if pairs and whole else text


def _fixed(draft: Draft) -> dict[str, Any]:
    """Return the inputs that need no table."""
    return {
        n: given for n, given in draft.parts["inputs"].items() if isinstance(given, Mapping) and "column" not in given
    }


def _acting(draft: Draft, model: Model) -> dict[str, Any]:
    """Return the inputs that need no table, as `wb.simulate` takes them."""
    made: dict[str, Any] = {}
    for name, given in _fixed(draft).items():
        source = source_of(given, f"inputs, {name!r}")
        made[name] = source.value if source.value is not None else list(source.series or ())
    missing = [n for n, one in model.inputs.items() if one.kind != "impulse" and n not in made]
    if missing:
        raise DataError(f"the preview needs data, or a number for {listed(missing)}")
    return made
