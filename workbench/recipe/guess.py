"""Which column is meant: by its name first, by its unit where the name does not say it. People correct the rest."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from workbench.base import units
from workbench.base.errors import UnitError, nearest
from workbench.base.schema import TIME, UNIT
from workbench.base.tables import Column
from workbench.declare.model import Model

_TIMES = ("time", "t", "hour", "hours", "day", "days", "year", "date", "datetime", "timestamp", "minute", "second")
_UNITS = ("unit", "subject", "id", "patient", "person", "animal", "asset", "machine", "station", "cell", "bridge")
Table = Mapping[str, Column]


def guess(model: Model, table: Table) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return columns and inputs as `wb.read` takes them, those that were guessed; each column is used once."""
    free = dict(table)
    columns: dict[str, Any] = {}
    for name, words in ((TIME, _TIMES), (UNIT, _UNITS)):
        found = next((column for word in words for column in free if column.lower() == word), None)
        if found is not None:
            columns[name] = {"column": found}
            del free[found]
    inputs: dict[str, Any] = {}
    quantities: dict[str, Any] = {**model.outputs, **model.inputs}
    for name, quantity in quantities.items():
        if name in model.outputs and model.outputs[name].noise is None:
            continue
        words = (name, *quantity.long_name.split())
        found = _by_name(words, free, quantity.unit) or (
            _by_unit(free, quantity.unit) if name in model.outputs else None
        )
        if found is None:
            continue
        if name in model.outputs:
            columns[name] = {"column": found}
            free = {column: one for column, one in free.items() if column != found}
        else:
            inputs[name] = {"column": found}
    once = {
        name: {**given, "once": True} if _is_once(table, given["column"], columns) else given
        for name, given in inputs.items()
    }
    return columns, once


def _fits(column: Column, unit: str) -> bool:
    try:
        units.factor(column.units or unit, unit)
    except UnitError:
        return False
    return True


def _numeric(column: Column) -> bool:
    return column.values.dtype.kind in "biuf"


def _by_name(words: tuple[str, ...], table: Table, unit: str) -> str | None:
    """Return the column that has one of the words, or a name that is near the first; times another where that fits."""
    lowered = {column.lower(): column for column in table if _numeric(table[column])}
    found = next((lowered[word.lower()] for word in words if word.lower() in lowered), None)
    found = found or (nearest(words[0], lowered.values()) if len(words[0]) > 2 else None)
    if found is None or _fits(table[found], unit):
        return found
    for other in table:
        if other.isidentifier() and found.isidentifier() and _numeric(table[other]) and table[other].units:
            product = units.parse(table[found].units or "1") * units.parse(table[other].units or "1")
            if units.scale_and_dimension(product)[1] == units.scale_and_dimension(units.parse(unit))[1]:
                return f"{found} * {other}"
    return None


def _by_unit(table: Table, unit: str) -> str | None:
    """Return the only column whose header has a unit that fits, None where there are several."""
    fitting = [name for name, column in table.items() if column.units and _numeric(column) and _fits(column, unit)]
    return fitting[0] if len(fitting) == 1 else None


def _is_once(table: Table, formula: str, columns: Mapping[str, Any]) -> bool:
    """Return whether all columns of a formula are constant within each unit."""
    import pandas as pd

    parts = [table[name] for name in table if name in formula.split(" * ")]
    labels = table[columns[UNIT]["column"]].values if UNIT in columns else np.zeros(parts[0].values.size)
    return all(pd.Series(part.values).groupby(labels).nunique().max() <= 1 for part in parts)
