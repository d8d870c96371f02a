"""The door of values: tables, files and arrays become plain numbers, with the unit they were written in.

A column is named by its header. A header may end with a unit in brackets, as in "conc [mg/L]", which is then the unit
of the column. Nothing here knows a model.
"""

import io
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from workbench.base import units
from workbench.base.errors import DataError, UnitError, nearest
from workbench.base.schema import TIME, UNIT

_HEADER = re.compile(r"(?P<name>.*\S)\s*\[(?P<unit>[^\[\]]*)\]\s*")


@dataclass(frozen=True)
class Column:
    """A column as it was found: raw values, and their unit where the header or an attribute says it."""

    values: NDArray[Any]
    units: str | None = None


def is_table(data: Any) -> bool:
    """Say whether `data` is a pandas DataFrame or the path of a file."""
    import pandas as pd

    return isinstance(data, pd.DataFrame | str | Path)


def read_table(data: Any, where: str, *, whole: Collection[str] = ()) -> dict[str, Column]:
    """Return the columns of a DataFrame, or of a CSV file, by name, units in the headers taken off.

    Headers in `whole` are names as they stand, such as "T[3]" of an element of a vector.

    A level of the index named `time` or `unit` counts as a column, and an index of datetimes as `time`. In a CSV file
    the first line that does not start with # is the header; empty fields and NA are missing.

    Raises
    ------
    DataError
        If the file cannot be read, or two columns have one name; `where` names the table.
    """
    if isinstance(data, str | Path):
        data = _read_csv(Path(data), where)
    named = [(str(header), data.iloc[:, k].to_numpy()) for k, header in enumerate(data.columns)]
    found = dict[str, Column]()
    for header, values in named:
        name, unit = (header, None) if header in whole else split_header(header)
        if name in found:
            raise DataError(f"{where}: got two columns named {name!r}; expected each name once")
        found[name] = Column(values, unit)
    return {**_index(data), **found}


def split_header(header: str) -> tuple[str, str | None]:
    """Return the name and the unit of a header: "conc [mg/L]" gives ("conc", "mg/L")."""
    match = _HEADER.fullmatch(header)
    return (match["name"], match["unit"]) if match else (header.strip(), None)


def _index(frame: Any) -> dict[str, Column]:
    import pandas as pd

    if isinstance(frame.index, pd.DatetimeIndex):
        return {TIME: Column(frame.index.to_numpy())}
    levels = {split_header(str(header)): k for k, header in enumerate(frame.index.names)}
    return {
        name: Column(frame.index.get_level_values(k).to_numpy(), unit)
        for (name, unit), k in levels.items()
        if name in (TIME, UNIT)
    }


def _read_csv(path: Path, where: str) -> Any:
    import pandas as pd

    try:
        lines = path.expanduser().read_text(encoding="utf-8-sig").splitlines(keepends=True)
        text = "".join(line for line in lines if not line.startswith("#"))
        frame = pd.read_csv(io.StringIO(text), skipinitialspace=True)
    except OSError as error:
        raise DataError(f"{where}: got {str(path)!r}; expected the path of a file ({error.strerror})") from None
    except ValueError as error:  # of pandas, and of the decoding
        raise DataError(f"{where}, {path.name}: expected a CSV file with a header in UTF-8; {error}") from None
    if not isinstance(frame.index, pd.RangeIndex):
        raise DataError(
            f"{where}, {path.name}: got rows with more fields than the header; expected one name for each field"
        )
    return frame


def read_numbers(values: Any, where: str) -> NDArray[np.float64]:
    """Return values of any shape as float64; NaN for None and for what pandas calls missing.

    Raises
    ------
    DataError
        If something is no number, text included; the first is named with its row, counted from 0.
    """
    array = np.asarray(values)
    if array.dtype.kind in "biuf":
        return array.astype(np.float64)
    if array.dtype.kind not in "OUT":
        raise DataError(f"{where}: got values of type {array.dtype}; expected numbers")
    import pandas as pd

    numbers = np.empty(array.shape)
    texts = []  # one word among numbers makes text of a whole CSV column: the word is what is wrong, not the first cell
    for place, item in np.ndenumerate(array):
        try:
            numbers[place] = np.nan if item is None or item is pd.NA else float(item)
        except (TypeError, ValueError):
            _refuse_cell(item, place, where)
        if isinstance(item, str | bytes):
            texts.append((item, place))
    if texts:
        _refuse_cell(*texts[0], where)
    return numbers


def _refuse_cell(item: Any, place: tuple[int, ...], where: str) -> NoReturn:
    row = f" in row {place[-1]}" if place else ""
    raise DataError(f"{where}: got {item!r}{row}; expected numbers, NaN where there is none") from None


def in_unit(values: NDArray[np.float64], source: Any, target: str, where: str) -> NDArray[np.float64]:
    """Return values written in unit `source` (None: already in `target`) in unit `target`.

    Raises
    ------
    UnitError
        If a unit is unknown or cannot be converted; `where` names the values.
    """
    if source is None:
        return values
    try:
        return units.convert(values, source if isinstance(source, str) else repr(source), target)
    except UnitError as error:
        raise UnitError(f"{where}: {error}") from None


def require(columns: Mapping[str, Any], name: str, where: str) -> Any:
    """Return a column by its name; DataError, with the nearest name, where there is none."""
    if name not in columns:
        close = nearest(name, columns)
        hint = f"; did you mean {name!r} by {close!r}?" if close else ""
        raise DataError(f"{where}: got columns {listed(columns)}; expected a column {name!r}{hint}")
    return columns[name]


def numbers_of(columns: Mapping[str, Column], name: str, unit: str, where: str) -> NDArray[np.float64]:
    """Return the numbers of a column in a unit, that of its header converted; errors as `require`, `read_numbers`."""
    column, place = require(columns, name, where), f"{where}, {name!r}"
    return in_unit(read_numbers(column.values, place), column.units, unit, place)


def read_labels(values: Any, where: str) -> tuple[tuple[Any, ...], NDArray[np.int64]]:
    """Return the distinct labels of units in the order in which they appear, and the place of each row's among them.

    Raises
    ------
    DataError
        If a row has none.
    """
    import pandas as pd

    index, found = pd.factorize(np.asarray(values))
    if (index < 0).any():
        raise DataError(f"{where}: got no unit in row {int(np.argmax(index < 0))}; expected a label in every row")
    return tuple(found.tolist()), index.astype(np.int64)


def listed(labels: Any, most: int = 12) -> str:
    """Return labels as a sentence lists them, cut where there are many."""
    shown = [repr(label) for label in list(labels)[:most]]
    return ", ".join(shown) + (f", ... ({len(labels)} in all)" if len(labels) > most else "")
