"""The door of readings: datasets, tables and files become rows sorted by unit, still on their own clock."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.base.errors import DataError, nearest
from workbench.base.schema import SAMPLE, TIME, UNIT
from workbench.base.tables import Column, in_unit, is_table, listed, read_labels, read_numbers, read_table
from workbench.declare.dims import elements
from workbench.declare.model import Model
from workbench.declare.quantity import Output

_FORMS = "a Dataset or a DataFrame with a time, or the path of a CSV file"


@dataclass(frozen=True, eq=False)
class Readings:
    """Readings before their times are on a clock.

    Attributes
    ----------
    layout
        "time", "grid" or "sample", as in `Observations`.
    labels
        Labels of the units, None for one nameless unit.
    index
        (N,) place of each row's unit among the labels, sorted.
    times
        (N,) raw times and their unit.
    values
        (N,) of each output, in its declared unit; of a vector (N, ...), its dims last.
    """

    layout: str
    labels: tuple[Any, ...] | None
    index: NDArray[np.int64]
    times: Column
    values: dict[str, NDArray[np.float64]]


def read(model: Model, data: Any) -> Readings:
    """Return the readings in `data`, of any of the forms that `observe` lists; errors are those of `observe`."""
    import pandas as pd
    import xarray as xr

    if isinstance(data, xr.DataArray | pd.Series) and data.name is None:
        raise DataError(f"data: got a {type(data).__name__} without a name; expected the name of an output")
    if isinstance(data, xr.DataArray):
        data = data.to_dataset()
    if isinstance(data, pd.Series):
        unit = data.attrs.get("units")
        data = data.to_frame(f"{data.name} [{unit}]" if unit else data.name)
    if isinstance(data, xr.Dataset):
        return _from_dataset(model, data)
    if is_table(data):
        return _from_table(model, read_table(data, "data", whole=elements(model, model.outputs)))
    raise DataError(f"data: got {type(data).__name__}; expected {_FORMS}")


def _from_table(model: Model, columns: dict[str, Column]) -> Readings:
    if TIME not in columns and model._timeless:  # its rows are cases, numbered from 0
        columns = {TIME: Column(np.arange(len(next(iter(columns.values())).values))), **columns}
    if TIME not in columns:
        raise DataError(f"data: got columns {listed(columns)}; expected a column 'time', or an index of times")
    known = elements(model, model.outputs)
    named = {name: known[name][0] if name in known else name for name in columns if name not in (TIME, UNIT)}
    chosen = _outputs(model, dict.fromkeys(named.values()))
    size = columns[TIME].values.size
    labels, index = None, np.zeros(size, dtype=np.int64)
    if UNIT in columns:
        labels, index = read_labels(columns[UNIT].values, "data")
    order = np.argsort(index, kind="stable")
    values = {name: np.full((size, *model.shape(model.outputs[name])), np.nan) for name in chosen}
    for column, name in named.items():
        if name not in values:
            continue
        if column not in known and model.outputs[name].dims:
            few = [element for element, (output, _) in known.items() if output == name]
            raise DataError(f"output {name!r}: got one column; expected columns {listed(few, 4)}, as it is a vector")
        place: tuple[Any, ...] = (slice(None), *(known[column][1] if column in known else ()))
        values[name][place] = _numbers(model, name, columns[column])
    times = Column(columns[TIME].values[order], columns[TIME].units)
    rows = {name: array[order] for name, array in values.items()}
    return Readings("time" if labels is None else "sample", labels, index[order], times, rows)


def _from_dataset(model: Model, data: Any) -> Readings:
    chosen = _outputs(model, [str(name) for name in data.data_vars])
    own = {name: model.outputs[name].dims for name in chosen}
    data = data[chosen].map(lambda array: _in_place(model, model.outputs[str(array.name)], array), keep_attrs=True)
    first = set(data[chosen[0]].dims) - set(own[chosen[0]])
    for name in chosen:
        got, also = listed(data[name].dims) or "none", f", and {listed(own[name])}" if own[name] else ""
        if first not in ({TIME}, {UNIT, TIME}, {SAMPLE}) or not set(own[name]) <= set(data[name].dims):
            raise DataError(f"output {name!r}: got dims {got}; expected 'time', or 'unit' and 'time'{also}")
        if set(data[name].dims) != first | set(own[name]):
            raise DataError(
                f"output {name!r}: got dims {got}; expected those of {chosen[0]!r}, "
                f"{listed([d for d in data[chosen[0]].dims if d in first])}{also} (NaN where one was not measured)"
            )
    if TIME not in data.coords:
        raise DataError(f"data: got coordinates {listed(data.coords) or 'none'}; expected a coordinate 'time'")
    order = [dim for dim in (UNIT, TIME, SAMPLE) if dim in first]
    values = {}
    for name in chosen:
        array = data[name].transpose(*order, *own[name])
        column = Column(array.values, array.attrs.get("units"))
        values[name] = _numbers(model, name, column).reshape(-1, *model.shape(model.outputs[name]))
    if SAMPLE in first:
        return _from_samples(data, values)
    labels, index = None, np.zeros(1, dtype=np.int64)
    if UNIT in first:
        labels, index = read_labels(data.get_index(UNIT), "data")
        if len(labels) < index.size:
            twice = labels[int(np.argmax(np.bincount(index)))]
            raise DataError(f"data: got unit {twice!r} twice; expected each unit once")
    times = Column(np.tile(data[TIME].values, index.size), data[TIME].attrs.get("units"))
    layout = "time" if labels is None else "grid"
    return Readings(layout, labels, np.repeat(index, data.sizes[TIME]), times, values)


def _in_place(model: Model, output: Output, array: Any) -> Any:
    """Return readings of a vector at the places of its labels, NaN where none was taken."""
    for dim in output.dims:
        if dim not in array.dims:
            continue
        labels, where = model.labels[dim], f"output {output.name!r}"
        if dim not in array.coords:
            if array.sizes[dim] != labels.size:
                raise DataError(f"{where}: got {array.sizes[dim]} of {dim!r}; expected {labels.size}, or their labels")
            continue
        strange = [label for label in array[dim].values.tolist() if label not in labels.tolist()]
        if strange or array.get_index(dim).has_duplicates:
            raise DataError(
                f"{where}: got {dim} {listed(array[dim].values.tolist())}; expected {listed(labels.tolist())}"
            )
        array = array.reindex({dim: labels})
    return array


def _from_samples(data: Any, values: dict[str, NDArray[np.float64]]) -> Readings:
    for name in (TIME, UNIT):
        if name in data.coords and data[name].dims != (SAMPLE,):
            raise DataError(f"data: got {name!r} with dims {listed(data[name].dims) or 'none'}; expected 'sample'")
    labels, index = None, np.zeros(data.sizes[SAMPLE], dtype=np.int64)
    if UNIT in data.coords:
        labels, index = read_labels(data[UNIT].values, "data")
    order = np.argsort(index, kind="stable")
    times = Column(data[TIME].values[order], data[TIME].attrs.get("units"))
    rows = {name: array[order] for name, array in values.items()}
    return Readings("time" if labels is None else "sample", labels, index[order], times, rows)


def _numbers(model: Model, name: str, column: Column) -> NDArray[np.float64]:
    where = f"output {name!r}"
    return in_unit(read_numbers(column.values, where), column.units, model.outputs[name].unit, where)


def _outputs(model: Model, names: Iterable[str]) -> list[str]:
    """Return the outputs with noise among the names; DataError where another name may be one that is misspelt."""
    names = list(names)
    measured = [name for name, output in model.outputs.items() if output.noise is not None]
    if not measured:
        raise DataError(f"{model.name}: got no output with a noise; expected at least one that sensors measure")
    found = [name for name in measured if name in names]
    missing = [name for name in measured if name not in names]
    strange = [name for name in names if name not in type(model).quantities]
    if found and not (missing and strange):
        return found
    got = f"got {listed(strange)}" if strange else f"got {listed(names)}" if names else "got nothing"
    pairs = [(name, close) for name in missing if (close := nearest(name, strange))]
    hint = f"; is {pairs[0][1]!r} meant to be {pairs[0][0]!r}?" if pairs else ""
    cure = " (leave out what is no output where an output was not measured)" if found else ""
    raise DataError(f"data: {got} and no {listed(missing)}; expected the names of outputs with noise{cure}{hint}")
