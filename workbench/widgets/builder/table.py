"""The data's part of the form: the file, its first rows, and which column is what."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from workbench.base.schema import TIME, UNIT
from workbench.base.tables import Column
from workbench.report.render import unit_text
from workbench.widgets.builder.form import Form, Item, digits

_MOST = 5  # rows of a table that are shown


def data_items(form: Form) -> list[Item]:
    """Return the file, its first rows, and which column is what."""
    path = form.draft.parts.get("data", "")
    items = [
        form.field("data", "File (CSV, netCDF)", path, suggestions=_files(), wide=True),
        *(
            [form.field("frame", "or a table in the kernel", "", type="choice", options=["", *form.frames])]
            if form.frames
            else []
        ),
    ]
    table = form.checked.table
    if table is None:
        return items
    rows = next(iter(table.values())).values.size if table else 0
    headers = [f"{name} [{column.units}]" if column.units else name for name, column in table.items()]
    items.append({"kind": "text", "id": "rows", "text": f"{rows} rows, {len(table)} columns"})
    items.append({"kind": "table", "id": "head", "head": headers, "rows": _rows(table)})
    if form.checked.model is None:
        return items
    outputs = {name: one for name, one in form.checked.model.outputs.items() if one.noise is not None}
    for name, words in (
        (TIME, "Time"),
        (UNIT, "Unit (person, asset)"),
        *((n, o.long_name or n) for n, o in outputs.items()),
    ):
        given = form.draft.parts["columns"].get(name, {})
        given = {"column": given} if isinstance(given, str) else given
        place, declared_as = f"columns/{name}", getattr(outputs.get(name), "unit", "")
        items.append(_column(form, place, f"{words}{_in(declared_as)}", given, table))
    return items + _inputs(form, table) + _pooling(form) + _left_out(form)


def _column(form: Form, path: str, label: str, given: Mapping[str, Any], table: Mapping[str, Column]) -> Item:
    problem = form.checked.problems.get(path, "")
    column = form.field(f"{path}/column", "Column", given.get("column", ""), suggestions=list(table))
    unit = form.field(f"{path}/unit", "In", given.get("unit", ""), short=True, hint=_said(given, table))
    return {"kind": "row", "id": path, "label": label, "items": [column, unit], "problem": problem}


def _inputs(form: Form, table: Mapping[str, Column]) -> list[Item]:
    assert form.checked.model is not None
    items: list[Item] = []
    for name, one in form.checked.model.inputs.items():
        given = form.draft.parts["inputs"].get(name, {})
        place = f"inputs/{name}"
        row = _column(form, place, f"{one.long_name or name}{_in(one.unit)}", given, table)
        how = next((way for way in ("column", "value", "series") if way in given), "column")
        ways = ["column", "series"] if one.kind == "impulse" else ["column", "value", "series"]
        first = form.field(f"how/{name}", "From", how, type="choice", options=ways, short=True)
        if how == "column":
            once = form.field(f"{place}/once", "once for each unit", bool(given.get("once", False)), type="check")
            row["items"] = [first, *row["items"], once]
        elif how == "value":
            row["items"] = [first, form.field(f"{place}/value", "Number", given.get("value", ""), short=True)]
        else:
            pairs = given.get("series", "")
            text = pairs if isinstance(pairs, str) else ", ".join(f"{digits(t)}: {digits(v)}" for t, v in pairs)
            row["items"] = [first, form.field(f"series/{name}", "time: value", text, hint="0: 320, 12: 320")]
        items.append(row)
    return items


def _pooling(form: Form) -> list[Item]:
    """Return how units share parameters, where there are units."""
    if UNIT not in form.draft.parts["columns"] or form.checked.model is None:
        return []
    model, pool = form.checked.model, form.draft.parts["pool"]
    options = ["complete", "partial", "none"]
    fields = [
        form.field(f"pool/{name}", name, pool.get(name, "complete"), type="choice", options=options, short=True)
        for name in model.estimated
    ]
    return [{"kind": "row", "id": "pool", "label": "Units share", "items": fields, "problem": ""}] if fields else []


def _left_out(form: Form) -> list[Item]:
    """Return for each output that was measured whether the model leaves something out of it, and over what."""
    if form.checked.model is None:
        return []
    model, items = form.checked.model, list[Item]()
    coordinates = [TIME, *(name for name, one in model.inputs.items() if one.kind != "impulse")]
    for name in model.outputs:
        if name not in form.draft.parts["columns"]:
            continue
        place, given = f"discrepancy/{name}", form.draft.parts["discrepancy"].get(name)
        over = "" if given is None else given.get("over", [TIME])
        text = over if isinstance(over, str) else ", ".join(map(str, over))
        fields = [form.field(f"leaves/{name}", "Over (none: empty)", text, suggestions=coordinates, hint="time")]
        if given is not None:
            joint = form.field(f"{place}/joint", "fitted with the parameters", given.get("joint", True), type="check")
            fields.append(joint)
        problem = form.checked.problems.get(place, "")
        items.append(
            {"kind": "row", "id": place, "label": f"Discrepancy of {name}", "items": fields, "problem": problem}
        )
    return items


def _in(unit: str) -> str:
    shown = unit_text(unit) if unit else ""
    return f" ({shown})" if shown else ""


def _said(given: Mapping[str, Any], table: Mapping[str, Column]) -> str:
    """Return the unit that the table says of a column."""
    column = table.get(str(given.get("column", "")))
    return (column.units or "") if column is not None else ""


def _rows(table: Mapping[str, Column]) -> list[list[str]]:
    columns = [[str(value) for value in column.values[:_MOST]] for column in table.values()]
    return [list(row) for row in zip(*columns, strict=True)]


def _files() -> list[str]:
    """Return data files below the working folder, to choose from."""
    found: Iterable[Path] = (
        p for pattern in ("*.csv", "*.nc", "data/*.csv", "data/*.nc") for p in Path().glob(pattern)
    )
    return sorted(path.as_posix() for path in found)[:60]
