"""The door of inputs: the forms in which a person may give an input become rows of unit, time and value.

A value of `inputs` may be

- a number: constant (not for an impulse);
- a DataArray over `time`, over `unit` and `time`, or over `unit` alone (a constant for each unit);
- a pandas Series indexed by time, by `unit` and `time`, or by `unit` alone (a constant for each unit: a covariate, such
  as `table.groupby("unit")["weight"].first()`);
- a long table (a DataFrame, or the path of a CSV file): columns `time`, the input's own name or else `value`, and
  `unit` where units differ; other columns are not read;
- a dict from times to values, a list of pairs (time, value), or a dict from units to such dicts.

Without `unit` it is the same for every unit; with it, it must name every unit and no other. A unit of measure stands
in `attrs["units"]` or in a header such as "dose [mg]"; without one, values are in the declared unit and times in the
model's.
In an impulse NaN means none; a continuous input may hold no NaN.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.base.errors import DataError, unknown
from workbench.base.schema import TIME, UNIT
from workbench.base.tables import Column, in_unit, is_table, listed, read_labels, read_numbers, read_table
from workbench.declare.model import Model
from workbench.declare.quantity import Input

_FORMS = (
    "a number, a DataArray or Series over time, a table with columns time and value, or a dict from times to values"
)


@dataclass(frozen=True)
class Series:
    """One input as it was given.

    Attributes
    ----------
    values
        (n,) in the declared unit.
    times
        (n,) raw times and their unit, for a clock to read; None for a constant.
    labels
        Labels of the units it names, None where it is the same for all.
    index
        (n,) place of each row's unit among the labels.
    """

    values: NDArray[np.float64]
    times: Column | None
    labels: tuple[Any, ...] | None
    index: NDArray[np.int64]


def read_inputs(model: Model, inputs: Any) -> dict[str, Series]:
    """Return the inputs of a model by name, in declared units; an impulse that is not given is left out.

    Raises
    ------
    DataError
        If a name is unknown, a continuous input is missing, or a value has no accepted form.
    UnitError
        If values cannot be converted into the declared unit.
    """
    inputs = {} if inputs is None else inputs
    if not isinstance(inputs, Mapping):
        raise DataError(f"inputs: got {type(inputs).__name__}; expected a mapping from an input's name to its series")
    for name in inputs:
        if name not in model.inputs:
            raise DataError(unknown("input", str(name), model.inputs, model.name))
    missing = [n for n, q in model.inputs.items() if q.kind != "impulse" and inputs.get(n) is None]
    if missing:
        names = ", ".join(map(repr, missing))
        raise DataError(f"{model.name}: got no input {names}; expected inputs={{{missing[0]!r}: ...}} with {_FORMS}")
    return {n: read_series(q, inputs[n]) for n, q in model.inputs.items() if inputs.get(n) is not None}


def read_series(quantity: Input, value: Any) -> Series:
    """Return one input as rows, from any of the forms this module's docstring lists."""
    import pandas as pd
    import xarray as xr

    where = f"input {quantity.name!r}"
    if isinstance(value, xr.DataArray):
        columns = _from_array(value, where)
    elif isinstance(value, pd.Series):
        columns = _from_pandas(value, where)
    elif is_table(value):
        columns = _from_table(value, quantity, where)
    elif isinstance(value, Real) or (isinstance(value, np.ndarray) and value.ndim == 0):
        columns = {"value": Column(np.array([value]))}
    elif isinstance(value, Mapping) and value and all(isinstance(v, Mapping) for v in value.values()):
        columns = _from_rows([(u, t, v) for u, rows in value.items() for t, v in rows.items()], (UNIT, TIME, "value"))
    elif isinstance(value, Mapping):
        columns = _from_rows(list(value.items()), (TIME, "value"))
    elif isinstance(value, Sequence | np.ndarray):
        columns = _from_rows(_pairs(value, where), (TIME, "value"))
    else:
        raise DataError(f"{where}: got {type(value).__name__}; expected {_FORMS}")
    values = read_numbers(columns["value"].values, where)
    labels, index = (
        read_labels(columns[UNIT].values, where) if UNIT in columns else (None, np.zeros(values.size, np.int64))
    )
    times = columns.get(TIME)
    if quantity.kind == "impulse" and times is None:
        raise DataError(f"{where}: got amounts without times; expected amounts at times, such as {{0.0: 100.0}}")
    return Series(in_unit(values, columns["value"].units, quantity.unit, where), times, labels, index)


def _from_array(array: Any, where: str) -> dict[str, Column]:
    for dim in array.dims:
        if dim not in (TIME, UNIT):
            raise DataError(f"{where}: got dim {dim!r}; expected no dims but 'time' and 'unit'")
    dims = [dim for dim in (UNIT, TIME) if dim in array.dims]
    values = np.asarray(array.transpose(*dims).values)
    columns = {"value": Column(values.ravel(), array.attrs.get("units"))}
    if TIME in dims:
        if TIME not in array.coords:
            raise DataError(f"{where}: got a dim 'time' without times; expected a coordinate 'time'")
        times = array[TIME].values
        columns[TIME] = Column(np.tile(times, values.size // max(times.size, 1)), array[TIME].attrs.get("units"))
    if UNIT in dims:
        labels = array.get_index(UNIT)
        if not labels.is_unique:
            raise DataError(f"{where}: got unit {labels[labels.duplicated()][0]!r} twice; expected each unit once")
        columns[UNIT] = Column(np.repeat(labels.to_numpy(), values.size // max(labels.size, 1)))
    return columns


def _from_pandas(series: Any, where: str) -> dict[str, Column]:
    value = Column(series.to_numpy(), series.attrs.get("units"))
    if series.index.nlevels == 1:
        return {"value": value, UNIT if series.index.name == UNIT else TIME: Column(series.index.to_numpy())}
    columns = read_table(series.to_frame("value"), where)
    if set(columns) != {UNIT, TIME, "value"} or series.index.nlevels > 2:
        names = list(series.index.names)
        raise DataError(f"{where}: got a Series with index {names}; expected an index of time, or of 'unit' and 'time'")
    return {**columns, "value": value}


def _from_table(table: Any, quantity: Input, where: str) -> dict[str, Column]:
    columns = read_table(table, where)
    if TIME not in columns:
        raise DataError(f"{where}: got a table with columns {listed(columns)}; expected a column 'time'")
    name = quantity.name if quantity.name in columns else "value"
    if name not in columns:
        raise DataError(f"{where}: got a table with columns {listed(columns)}; expected {quantity.name!r} or 'value'")
    return {"value": columns[name], **{key: columns[key] for key in (TIME, UNIT) if key in columns}}


def _pairs(rows: Any, where: str) -> list[Any]:
    for row in rows:
        if not isinstance(row, tuple | list | np.ndarray) or len(row) != 2:
            raise DataError(f"{where}: got {row!r} in a list; expected pairs of time and value")
    return list(rows)


def _from_rows(rows: list[Any], names: tuple[str, ...]) -> dict[str, Column]:
    columns = {name: np.empty(len(rows), dtype=object) for name in names}  # objects, so that no number becomes text
    for k, row in enumerate(rows):
        for name, item in zip(names, row, strict=True):
            columns[name][k] = item
    return {name: Column(column) for name, column in columns.items()}
