"""The whole form: its sections in order, each with the number of its problems."""

from workbench.widgets.builder.form import Form, Item
from workbench.widgets.builder.table import data_items


def sections(form: Form) -> list[Item]:
    """Return the sections of the form."""
    whole = int("model" in form.checked.problems)
    return [
        _section(
            "model", "Model", form.model(), whole + form.wrong("model/equations", "model/time_unit", "model/name")
        ),
        _section("quantities", "Quantities", form.quantities(), form.wrong("model/quantities", "add")),
        _section("data", "Data", data_items(form), form.wrong("data", "columns", "inputs", "pool", "discrepancy")),
        _section("sizes", "Calibration", form.sizes(), form.wrong("sizes")),
    ]


def _section(id: str, title: str, items: list[Item], wrong: int) -> Item:
    return {"id": id, "title": title, "items": items, "wrong": wrong}
