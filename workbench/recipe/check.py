"""What is wrong with a draft, said at the field that has it; and what is right already."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from workbench.base import units
from workbench.base.errors import WorkbenchError
from workbench.base.schema import TIME, UNIT
from workbench.base.tables import Column
from workbench.calibrate.posterior import check_counts
from workbench.calibrate.problem import Problem, pose
from workbench.calibrate.sampling.sample import FEWEST
from workbench.declare.discrepancy import Discrepancy
from workbench.declare.model import Model
from workbench.declare.written.declaration import checked, declared, parsed, quantity
from workbench.declare.written.discrepancy import discrepancy
from workbench.recipe.columns import column_of, open_table, read, source_of
from workbench.recipe.draft import Draft

_LEAST = {"draws": FEWEST, "tune": 0, "chains": 1, "seed": 0}


@dataclass
class Checked:
    """What came of a draft.

    Attributes
    ----------
    problems
        A sentence for each field that is wrong, by its path ("model/equations/rhs/T").
    model, table, problem
        The declaration, the columns of the file and the calibration problem, None where they cannot be.
    """

    problems: dict[str, str] = field(default_factory=dict)
    model: Model | None = None
    table: dict[str, Column] | None = None
    problem: Problem | None = None

    def attempt(self, path: str, function: Callable[..., Any], *given: Any, **named: Any) -> Any:
        """Return what a function gives; None, with the sentence at the path, where it refuses."""
        try:
            return function(*given, **named)
        except WorkbenchError as error:
            self.problems.setdefault(path, str(error))
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            self.problems.setdefault(path, f"got what cannot be used ({error})")
        return None


def check(draft: Draft) -> Checked:
    """Return everything that can be said of a draft: of its model, its table, and of both together."""
    made = Checked()
    _check_model(draft, made)
    _check_sizes(draft, made)
    path = draft.parts.get("data", "")
    if draft.frame is None and not path:
        return made
    made.table = (
        made.attempt("data", _opened, path) if draft.frame is None else made.attempt("data", open_table, draft.frame)
    )
    if made.table is None or made.model is None:
        return made
    _check_columns(draft, made)
    if not any(key.partition("/")[0] in ("columns", "inputs", "data") for key in made.problems):
        made.problem = made.attempt("data", _posed, draft, made.model)
        _check_discrepancy(draft, made)
    return made


def _check_model(draft: Draft, made: Checked) -> None:
    plain = made.attempt("model", checked, draft.model)
    if plain is None:
        return
    cases = plain["kind"] == "Static" and plain["time_unit"] == units.DIMENSIONLESS
    made.attempt("model/time_unit", units.factor, plain["time_unit"], units.DIMENSIONLESS if cases else "s")
    for name, given in plain["quantities"].items():
        place = f"model/quantities/{name}"
        if made.attempt(place, quantity, name, given) is not None:
            made.attempt(f"{place}/unit", units.parse, given["unit"])
    for method, sheet in plain["equations"].items():
        for name, text in sheet.items():
            made.attempt(f"model/equations/{method}/{name}", parsed, plain, method, {name: text})
    if made.problems:
        return
    try:
        made.model = declared(plain)
    except WorkbenchError as error:
        made.problems[_place(str(error), plain)] = str(error)


def _place(sentence: str, plain: Any) -> str:
    """Return the field that an error of the whole declaration speaks of."""
    where = re.match(r"\w+\.(\w+)(?:\[.*?\])?(?:\.(\w+))?: (.*)", sentence)
    if where is None:
        unused = re.match(r"\w+: got \w+ '(\w+)'", sentence)
        return f"model/quantities/{unused[1]}" if unused and unused[1] in plain["quantities"] else "model"
    head, _, rest = where.groups()
    named = re.findall(r"'(\w+)'", rest)
    if head in plain["equations"]:
        found = next((name for name in named if name in plain["equations"][head]), None)
        return f"model/equations/{head}/{found}" if found else f"model/equations/{head}"
    return f"model/quantities/{head}" if head in plain["quantities"] else "model"


def _check_sizes(draft: Draft, made: Checked) -> None:
    for size, least in _LEAST.items():
        if size in draft.parts:
            value = draft.parts[size]
            made.attempt(f"sizes/{size}", check_counts, **{size: (value, least)})


def _opened(path: str) -> dict[str, Column]:
    place = Path(path).expanduser()
    try:
        about = place.stat()
    except OSError:
        return open_table(path)  # which says what is wrong
    return _kept(place.as_posix(), about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=4)
def _kept(path: str, _changed: int, _size: int) -> dict[str, Column]:
    """Return the columns of a file, read once while it stays as it is."""
    return open_table(path)


def _check_columns(draft: Draft, made: Checked) -> None:
    assert made.table is not None
    assert made.model is not None
    columns, wanted = draft.parts["columns"], {TIME: None, UNIT: None, **made.model.outputs}
    if TIME not in columns and not made.model._timeless:
        made.problems["columns/time"] = "got no column of times; expected one"
    if not any(name in columns for name in made.model.outputs):
        first = next(iter(made.model.outputs), TIME)
        made.problems.setdefault(f"columns/{first}", "got no column of any output; expected one at least")
    for part, known in (("columns", wanted), ("inputs", made.model.inputs)):
        for name, given in draft.parts[part].items():
            where = f"{part}, {name!r}"
            source = made.attempt(f"{part}/{name}", source_of, given, where)
            if source is None or source.column is None:
                continue
            found = made.attempt(f"{part}/{name}", column_of, made.table, source, where)
            declared_as = known.get(name)
            if found is not None and found.units and declared_as is not None:
                made.attempt(f"{part}/{name}", units.factor, found.units, declared_as.unit)
    for name, one in made.model.inputs.items():
        if one.kind != "impulse" and name not in draft.parts["inputs"]:
            made.problems[f"inputs/{name}"] = "got nothing; expected a column, a number or pairs of time and value"


def _check_discrepancy(draft: Draft, made: Checked) -> None:
    """Pose the problem with the discrepancies one by one, so that each has its own to say."""
    terms: list[Discrepancy] = []
    for name, given in draft.parts["discrepancy"].items():
        one = made.attempt(f"discrepancy/{name}", discrepancy, name, given)
        if one is None or made.problem is None:
            continue
        posed = made.attempt(f"discrepancy/{name}", _posed, draft, made.model, [*terms, one])
        if posed is not None:
            terms, made.problem = [*terms, one], posed


def _posed(draft: Draft, model: Model | None, terms: list[Discrepancy] | None = None) -> Problem:
    parts = draft.parts
    data = draft.frame if draft.frame is not None else parts["data"]
    got = read(model, data, columns=parts["columns"], inputs=parts["inputs"])
    return pose(model, got.readings, inputs=got.inputs, pool=dict(parts["pool"]) or None, discrepancy=terms)
