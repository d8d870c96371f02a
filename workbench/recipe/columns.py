"""`wb.read`: which column of a table is which quantity of a model, in which unit."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.base import units
from workbench.base.errors import DataError, UnitError, WorkbenchError, unknown
from workbench.base.inert import check_inert
from workbench.base.schema import TIME, UNIT
from workbench.base.tables import Column, listed, read_numbers, read_table, require
from workbench.declare.model import Model, as_model
from workbench.declare.quantity import Input
from workbench.declare.written.expression import parse

if TYPE_CHECKING:
    import pandas as pd

LARGEST = 200_000_000  # bytes of a file that a form reads; larger ones are better thinned first
Table = Mapping[str, Column]


class Read(NamedTuple):
    """What `wb.calibrate` takes: a table of readings, and the inputs by name."""

    readings: "pd.DataFrame"
    inputs: dict[str, Any]


@dataclass(frozen=True)
class Source:
    """Where the values of a quantity come from.

    Attributes
    ----------
    column
        A column's name, or a formula of such names ("dose * weight").
    value
        A number that holds always, in place of a column.
    series
        Pairs of time and value, in place of a column; they are the same for all units.
    unit
        What the values are in, where the table does not say it or says it wrongly.
    once
        Of an input: each unit has one value, a covariate, or one dose at its first time.
    """

    column: str | None = None
    value: float | None = None
    series: tuple[tuple[float, float], ...] | None = None
    unit: str | None = None
    once: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, what is not given left out."""
        plain: dict[str, Any] = {
            n: getattr(self, n) for n in ("column", "value", "unit") if getattr(self, n) is not None
        }
        if self.series is not None:
            plain["series"] = [list(pair) for pair in self.series]
        return {**plain, "once": True} if self.once else plain


def source_of(given: Any, where: str) -> Source:
    """Return a source from plain data, a column's name or a number; DataError for what is none."""
    if isinstance(given, str):
        return Source(column=given)
    if isinstance(given, int | float) and not isinstance(given, bool):
        return Source(value=_number(given, where))
    if not isinstance(given, Mapping):
        raise DataError(f"{where}: got {given!r}; expected a column's name, or column=, value= or series=")
    for key in given:
        if key not in Source.__dataclass_fields__:
            raise DataError(unknown("key", str(key), Source.__dataclass_fields__, where))
    column, unit, once = given.get("column"), given.get("unit"), given.get("once", False)
    if sum(given.get(key) is not None for key in ("column", "value", "series")) != 1:
        raise DataError(f"{where}: got {dict(given)!r}; expected one of column=, value= and series=")
    for key, text in (("column", column), ("unit", unit)):
        if text is not None and not isinstance(text, str):
            raise DataError(f"{where}: got {key}={text!r}; expected text")
    if not isinstance(once, bool):
        raise DataError(f"{where}: got once={once!r}; expected true or false")
    value = None if given.get("value") is None else _number(given["value"], where)
    return Source(column, value, _pairs(given.get("series"), where), unit, once)


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise DataError(f"{where}: got {value!r}; expected a finite number")
    return float(value)


def _pairs(given: Any, where: str) -> tuple[tuple[float, float], ...] | None:
    if given is None:
        return None
    if (
        not isinstance(given, list | tuple)
        or not given
        or not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in given)
    ):
        raise DataError(f"{where}: got series={given!r}; expected pairs of a time and a value, such as [[0, 320]]")
    return tuple((_number(time, where), _number(value, where)) for time, value in given)


def open_table(data: Any) -> dict[str, Column]:
    """Return the columns of a DataFrame, a CSV file or a netCDF file, by name.

    Raises
    ------
    DataError
        If it is no such file, too large (200 MB), or cannot be read.
    """
    if not isinstance(data, str | Path):
        return read_table(data, "data")
    path = Path(data).expanduser()
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataError(f"data: got {str(data)!r}; expected the path of a file ({error.strerror})") from None
    if size > LARGEST:
        raise DataError(
            f"data: got {path.name} of {size / 1e6:.0f} MB; expected at most {LARGEST / 1e6:.0f} MB: thin it first, or "
            "give a DataFrame or Dataset to wb.calibrate"
        )
    return _netcdf(path) if path.suffix in (".nc", ".netcdf", ".h5") else read_table(path, "data")


def write_table(data: Any, path: Path) -> Path:
    """Write the columns of a DataFrame, those of its index that count included, as a CSV file that reads the same."""
    import pandas as pd

    columns = open_table(data)
    named = {f"{name} [{one.units}]" if one.units else name: one.values for name, one in columns.items()}
    pd.DataFrame(named).to_csv(path, index=False)
    return path


def _netcdf(path: Path) -> dict[str, Column]:
    import xarray as xr

    try:
        check_inert(path)
        with xr.open_dataset(path, engine="h5netcdf") as opened:
            dataset = opened.load()
    except WorkbenchError:
        raise
    except Exception as error:  # of h5py and xarray, which share no base class
        raise DataError(
            f"data: got {path.name}, which is no whole netCDF file ({error}); expected one of netCDF-4"
        ) from None
    frame = dataset.to_dataframe().reset_index()
    said = {str(name): dataset[name].attrs.get("units") for name in dataset.variables}
    return {str(name): Column(frame[name].to_numpy(), said.get(str(name))) for name in frame.columns}


def read(model: Any, data: Any, *, columns: Mapping[str, Any], inputs: Mapping[str, Any] | None = None) -> Read:
    """Return readings and inputs of a model from a table whose columns have other names or units.

    Parameters
    ----------
    model
        The declaration.
    data
        A DataFrame, or the path of a CSV or netCDF file. Units stand in headers, as in "dose [mg/kg]".
    columns
        For `time` (of a `wb.Static` it may be left out: rows are cases), for `unit` where there are several, and for
        each output that was measured: the name of a column, or {"column": name, "unit": what it is in}. A formula of
        columns will do: "systolic - diastolic".
    inputs
        For each input such a column, a number, or {"series": [[time, value], ...]}; with {"once": True} the column is
        one value of each unit: of a continuous input a covariate, of an impulse a dose at the unit's first time.

    Returns
    -------
    Read
        `readings` and `inputs`, as `wb.calibrate` takes them.

    Raises
    ------
    DataError, UnitError
        If the file, a column, a formula or a unit cannot be used.
    """
    import pandas as pd

    model, table = as_model(model), open_table(data)
    for name in columns:
        if name not in (TIME, UNIT, *model.outputs):
            raise DataError(unknown("quantity", str(name), [TIME, UNIT, *model.outputs], "columns"))
    if TIME not in columns and not model._timeless:
        raise DataError(f"columns: got {listed(columns) or 'none'}; expected one for 'time'")
    found = {name: _quantity_of(model, table, name, given) for name, given in columns.items()}
    if TIME not in columns:  # rows are cases, numbered from 0
        count = next((one.values.size for one in table.values()), 0)
        found = {TIME: Column(np.arange(float(count)), None), **found}
    headers = {name: f"{name} [{one.units}]" if one.units and name != UNIT else name for name, one in found.items()}
    rows = pd.DataFrame({name: one.values for name, one in found.items()})
    acting = {}
    for name, given in (inputs or {}).items():
        if name not in model.inputs:
            raise DataError(unknown("input", name, model.inputs, "inputs"))
        source = source_of(given, f"inputs, {name!r}")
        acting[name] = _input(model.inputs[name], table, source, rows, headers[TIME])
    return Read(rows.rename(columns=headers), acting)


def _quantity_of(model: Model, table: Table, name: str, given: Any) -> Column:
    """Return the values of a time, a unit or an output; of an output in its declared unit."""
    where = f"columns, {name!r}"
    found = column_of(table, source_of(given, where), where)
    if name not in model.outputs or found.units is None:
        return found
    unit = model.outputs[name].unit
    return Column(units_at(read_numbers(found.values, where), found.units, unit, where), unit)


def column_of(table: Table, source: Source, where: str) -> Column:
    """Return a source's values (rows,) with their unit, None where nobody says it; DataError, UnitError."""
    if source.column is None:
        raise DataError(f"{where}: got no column; expected the name of one, of {listed(table)}")
    if source.column in table:
        found = table[source.column]
        return Column(found.values, source.unit or found.units)
    try:
        formula = parse(source.column, where=where)
    except WorkbenchError as error:
        raise DataError(str(error)) from None
    if formula.text.isidentifier():
        require(table, formula.text, where)
    for name in formula.names:
        require(table, name, where)
    quantity = units.registry().Quantity
    numbers = {name: read_numbers(table[name].values, f"{where}, {name!r}") for name in formula.names}
    try:
        parts = {n: quantity(values, units.parse(table[n].units or "1")) for n, values in numbers.items()}
        made = quantity(formula.value(parts))
    except Exception as error:  # of pint, which share no base class with arithmetic's
        raise UnitError(f"{where}: got {source.column!r}, which cannot be computed ({error})") from None
    values = np.broadcast_to(np.asarray(made.magnitude, dtype=np.float64), next(iter(numbers.values())).shape)
    return Column(values, source.unit or (str(made.units) if made.units != units.parse("1") else None))


def units_at(values: NDArray[np.float64], given: str, wanted: str, where: str) -> NDArray[np.float64]:
    """Return values in the wanted unit; UnitError names the place."""
    try:
        return units.convert(values, given, wanted)
    except UnitError as error:
        raise UnitError(f"{where}: {error}") from None


def _input(quantity: Input, table: Table, source: Source, rows: Any, time: str) -> Any:
    """Return what acts, in one of the forms that inputs may have."""
    import pandas as pd

    where = f"inputs, {quantity.name!r}"
    given = source.unit or quantity.unit
    if source.value is not None:
        if quantity.kind == "impulse":
            raise DataError(f"{where}: got a constant; expected amounts at times, as in series=[[0, 320]]")
        return float(units_at(np.array(source.value), given, quantity.unit, where))
    if source.series is not None:
        values = units_at(np.array([value for _, value in source.series]), given, quantity.unit, where)
        return list(zip((time for time, _ in source.series), values.tolist(), strict=True))
    found = column_of(table, source, where)
    values = units_at(read_numbers(found.values, where), found.units or quantity.unit, quantity.unit, where)
    frame = pd.DataFrame({TIME: rows[TIME], "value": values, **({UNIT: rows[UNIT]} if UNIT in rows else {})})
    frame = frame.dropna(subset=["value"])
    if source.once:
        first = _once(frame, f"{where}: got values of {source.column!r}")
        if quantity.kind != "impulse":
            return first.set_index(UNIT)["value"] if UNIT in first else float(first["value"].iloc[0])
        frame = first
    elif quantity.kind == "impulse":
        frame = frame[frame["value"] != 0]
    return frame.rename(columns={TIME: time})


def _once(frame: Any, got: str) -> Any:
    """Return the first row in time of each unit; DataError where a unit has several values."""
    if frame.empty:
        raise DataError(f"{got} that are all missing; expected one value of each unit")
    ordered = frame.sort_values(TIME, kind="stable")
    groups = ordered.groupby(UNIT, sort=False)["value"] if UNIT in frame else ordered["value"]
    if np.any(groups.nunique() > 1):
        raise DataError(f"{got} that change; expected one value of each unit")
    return ordered.drop_duplicates(UNIT).sort_index() if UNIT in frame else ordered.iloc[:1]
