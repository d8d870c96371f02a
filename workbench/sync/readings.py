"""The door of readings: datasets, tables and files become rows sorted by unit, still on their own clock."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.base.errors import DataError, nearest
from workbench.base.schema import SAMPLE, TIME, UNIT
from workbench.base.tables import Column, in_unit, is_table, listed, read_labels, read_numbers, read_table
from workbench.declare.model import Model

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
        (N,) of each output, in its declared unit.
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
        return _from_table(model, read_table(data, "data"))
    raise DataError(f"data: got {type(data).__name__}; expected {_FORMS}")


def _from_table(model: Model, columns: dict[str, Column]) -> Readings:
    if TIME not in columns and model._timeless:  # its rows are cases, numbered from 0
        columns = {TIME: Column(np.arange(len(next(iter(columns.values())).values))), **columns}
    if TIME not in columns:
        raise DataError(f"data: got columns {listed(columns)}; expected a column 'time', or an index of times")
    chosen = _outputs(model, [name for name in columns if name not in (TIME, UNIT)])
    size = columns[TIME].values.size
    labels, index = None, np.zeros(size, dtype=np.int64)
    if UNIT in columns:
        labels, index = read_labels(columns[UNIT].values, "data")
    order = np.argsort(index, kind="stable")
    values = {name: _numbers(model, name, columns[name])[order] for name in chosen}
    times = Column(columns[TIME].values[order], columns[TIME].units)
    return Readings("time" if labels is None else "sample", labels, index[order], times, values)


def _from_dataset(model: Model, data: Any) -> Readings:
    chosen = _outputs(model, [str(name) for name in data.data_vars])
    dims = {name: set(data[name].dims) for name in chosen}
    first = dims[chosen[0]]
    if first not in ({TIME}, {UNIT, TIME}, {SAMPLE}):
        got = listed(data[chosen[0]].dims) or "none"
        raise DataError(f"output {chosen[0]!r}: got dims {got}; expected 'time', or 'unit' and 'time'")
    for name in chosen:
        if dims[name] != first:
            raise DataError(
                f"output {name!r}: got dims {listed(data[name].dims) or 'none'}; expected those of {chosen[0]!r}, "
                f"{listed(data[chosen[0]].dims)} (NaN where one was not measured)"
            )
    if TIME not in data.coords and TIME in first and model._timeless:
        data = data.assign_coords({TIME: np.arange(data.sizes[TIME])})
    if TIME not in data.coords:
        raise DataError(f"data: got coordinates {listed(data.coords) or 'none'}; expected a coordinate 'time'")
    if SAMPLE in first:
        return _from_samples(model, data, chosen)
    order = [dim for dim in (UNIT, TIME) if dim in first]
    data = data[chosen].transpose(*order)
    values = {name: _numbers(model, name, Column(data[name].values, data[name].attrs.get("units"))) for name in chosen}
    labels, index = None, np.zeros(1, dtype=np.int64)
    if UNIT in first:
        labels, index = read_labels(data.get_index(UNIT), "data")
        if len(labels) < index.size:
            twice = labels[int(np.argmax(np.bincount(index)))]
            raise DataError(f"data: got unit {twice!r} twice; expected each unit once")
    times = Column(np.tile(data[TIME].values, index.size), data[TIME].attrs.get("units"))
    layout = "time" if labels is None else "grid"
    return Readings(layout, labels, np.repeat(index, data.sizes[TIME]), times, values)


def _from_samples(model: Model, data: Any, chosen: list[str]) -> Readings:
    rows = [name for name in (TIME, UNIT) if name in data.coords]
    for name in rows:
        if data[name].dims != (SAMPLE,):
            raise DataError(f"data: got {name!r} with dims {listed(data[name].dims) or 'none'}; expected 'sample'")
    columns = {name: Column(data[name].values, data[name].attrs.get("units")) for name in [*chosen, *rows]}
    return _from_table(model, columns)


def _numbers(model: Model, name: str, column: Column) -> NDArray[np.float64]:
    where = f"output {name!r}"
    return in_unit(read_numbers(column.values, where), column.units, model.outputs[name].unit, where).ravel()


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
