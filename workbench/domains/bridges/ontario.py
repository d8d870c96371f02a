"""The inventory of Ontario's provincial bridges: what they are, and their condition at each inspection.

Source: Ministry of Transportation of Ontario, Bridge Conditions (open data), one row a bridge with its Bridge Condition
Index by years. Contains information licensed under the Open Government Licence - Ontario.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.base.errors import DataError, unknown
from workbench.base.share import data_file
from workbench.base.tables import listed, read_numbers, require
from workbench.domains.bridges.condition import CLASSES, RISE

if TYPE_CHECKING:
    import pandas as pd

FILE = "ontario_bridges.csv"
COLUMNS: Mapping[str, str] = {
    "ID": "id",
    "STRUCTURE": "name",
    "HWY NAME": "highway",
    "LATITUDE": "latitude",
    "LONGITUDE": "longitude",
    "YEAR BUILT": "built",
    "LAST MAJOR REHAB": "major",
    "LAST MINOR REHAB": "minor",
    "# OF SPANS": "spans",
    "DECK LENGTH": "length",
}
TEXTS = ("id", "name", "highway")
SINCE = 2003  # the index was introduced before: until 2002 good bridges read 95 and more, and 75 ever after
SETTLED = 2006  # until then inspectors learnt the index: half of what read above 76 lost 5 points by the next time


@dataclass(frozen=True)
class Network:
    """Bridges and what was read of them.

    Attributes
    ----------
    bridges
        By `id`: name, highway, latitude and longitude (degrees), years built and last rehabilitated (`major`, `minor`;
        NaN: none recorded), spans, and length of the deck (m).
    readings
        Columns `unit` (the id), `time` (the year) and `bci`, sorted; at least one of each bridge.
    faults
        How often each fault was found, and what was done about it.
    """

    bridges: "pd.DataFrame"
    readings: "pd.DataFrame"
    faults: Mapping[str, int]

    def bridge(self, name: str) -> "pd.Series":
        """Return the row of a bridge; DataError, with the nearest name, if there is none."""
        if name not in self.bridges.index:
            raise DataError(unknown("bridge", name, self.bridges.index, "network"))
        return self.bridges.iloc[int(np.flatnonzero(self.bridges.index == name)[0])]

    def last(self, until: float = np.inf) -> "pd.DataFrame":
        """Return by `unit` the last reading up to a year: `time`, `bci` and `age` (yr); without those built since."""
        found = self.readings[self.readings["time"] <= until].groupby("unit").last()
        return found.assign(age=(found["time"] - self.bridges["built"].reindex(found.index)).clip(lower=0.0))

    def intervals(self, since: float = SETTLED, until: float = np.inf) -> "tuple[pd.DataFrame, dict[str, pd.Series]]":
        """Return what each inspection found, and what the one before it had: data and inputs of `Inspected`.

        Of pairs of readings that follow each other, both between the years `since` and `until`.
        A rise by more than 5 points counts as works (`worked` is 1, `excess` what it is above 5); everything else is a
        reading of a bridge of one of the `CLASSES` before.
        """
        table = self.readings[self.readings["time"].between(since, until)].copy()
        earlier = table.groupby("unit").shift()
        table["before"], table["years"] = earlier["bci"], table["time"] - earlier["time"]
        built = self.bridges["built"].reindex(table["unit"]).to_numpy()
        table["age"] = (earlier["time"] - built).clip(lower=0.0)
        table = table[table["before"].notna()]
        rise = table["bci"] - table["before"]
        alone = table["bci"].where(rise <= RISE)
        upper = 101.0
        for name, lower in CLASSES.items():
            table[name] = alone.where((table["before"] >= lower) & (table["before"] < upper))
            upper = lower
        table["worked"] = (rise > RISE).astype(float)
        table["excess"] = (rise - RISE).where(rise > RISE)
        if not len(table):
            raise DataError("intervals: got no bridge with two readings; expected some, to learn from")
        indexed = table.set_index(["unit", "time"])
        outputs = [*CLASSES, "worked", "excess"]
        return table[["unit", "time", *outputs]], {name: indexed[name] for name in ("before", "years", "age")}

    def some(self, bridges: Any) -> "Network":
        """Return the network of these ids alone."""
        for name in bridges:
            self.bridge(name)
        kept = self.readings[self.readings["unit"].isin(set(bridges))]
        return Network(self.bridges.loc[list(bridges)], kept.reset_index(drop=True), self.faults)


def network(data: str | Path | None = None, *, since: int = SINCE) -> Network:
    """Return the bridges of a file laid out as the ministry's; None for the sample that comes with the package.

    Left out are readings of 0, which stand for "not read", of years before the bridge was built, which are of the one
    that it replaced, and before `since`; rows that repeat another, and bridges that were never read. A missing year of
    construction, or length, becomes the median; a longitude east of Greenwich is one without its sign.

    Raises
    ------
    DataError
        If the file cannot be read; a column is missing; a value is no number; an index is outside 0 to 100; two rows of
        one bridge differ; a bridge was rehabilitated before it was built; or no bridge was read.
    """
    import pandas as pd

    path = data_file(FILE) if data is None else Path(data)
    raw = _rows(path)
    faults = {"rows that repeat another": int(raw.duplicated().sum())}
    raw = raw.drop_duplicates()
    twice = raw["ID"][raw["ID"].duplicated()]
    if len(twice):
        raise DataError(f"{path.name}: got bridge {twice.iloc[0]!r} in two rows that differ; expected one row a bridge")
    years = sorted(name for name in raw.columns if name.isdigit() and len(name) == 4)
    if not years:
        raise DataError(f"{path.name}: got columns {listed(raw.columns)}; expected years, such as '2010', with indices")
    columns: dict[str, Any] = {}
    for header, name in COLUMNS.items():
        values = raw[header].to_numpy()
        columns[name] = values if name in TEXTS else read_numbers(values, f"{path.name}, {header!r}")
    bridges = pd.DataFrame(columns).astype({"id": str, "name": str}).set_index("id")
    bci = np.column_stack([read_numbers(raw[year].to_numpy(), f"{path.name}, {year!r}") for year in years])
    wide = pd.DataFrame(bci, bridges.index, [float(year) for year in years])
    _refuse(wide, bridges, path.name)
    return _cleaned(bridges, wide, faults, since)


def _rows(path: Path) -> "pd.DataFrame":
    """Return the table below the line that names the columns; above it may be comments and names of groups."""
    import pandas as pd

    try:
        lines = path.expanduser().read_bytes().decode("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"got file {path.name!r}, which cannot be read ({error}); expected a CSV file") from None
    heads = [k for k, line in enumerate(lines[:20]) if line.split(",")[0].strip().strip('"') == "ID"]
    if not heads:
        raise DataError(f"{path.name}: got no line that begins with 'ID'; expected the ministry's columns below one")
    try:
        made = pd.read_csv(
            io.StringIO("\n".join(lines[heads[0] :])), dtype={"ID": str, "STRUCTURE": str, "HWY NAME": str}
        )
    except pd.errors.ParserError as error:
        raise DataError(f"{path.name}: got rows that are no table ({error}); expected comma-separated rows") from None
    made.columns = [" ".join(str(name).split()) for name in made.columns]
    for name in COLUMNS:
        require(dict.fromkeys(made.columns), name, path.name)
    return made[made["ID"].notna()]


def _refuse(wide: "pd.DataFrame", bridges: "pd.DataFrame", where: str) -> None:
    """Raise DataError where values cannot be those of bridges."""
    for row, column in np.argwhere((wide < 0).to_numpy() | (wide > 100).to_numpy())[:1]:
        value, bridge, year = wide.iloc[row, column], wide.index[row], wide.columns[column]
        raise DataError(f"{where}: got index {value:g} of bridge {bridge!r} in {year:.0f}; expected 0 to 100")
    for column in ("major", "minor"):
        early = bridges[bridges[column] < bridges["built"]]
        if len(early):
            row = early.iloc[0]
            raise DataError(
                f"{where}: got bridge {early.index[0]!r} rehabilitated in {row[column]:.0f} and built in "
                f"{row['built']:.0f}; expected it built first"
            )
    short = bridges["length"][bridges["length"] <= 0]
    if len(short):
        raise DataError(f"{where}: got length {short.iloc[0]:g} m of bridge {short.index[0]!r}; expected one above 0")


def _cleaned(bridges: "pd.DataFrame", wide: "pd.DataFrame", faults: dict[str, int], since: int) -> Network:
    east = bridges["longitude"] > 0
    bridges["longitude"] = bridges["longitude"].where(~east, -bridges["longitude"])
    faults["longitudes without their sign"] = int(east.sum())
    for column, words in (("built", "years of construction that are missing"), ("length", "lengths that are missing")):
        faults[words] = int(bridges[column].isna().sum())
        bridges[column] = bridges[column].fillna(bridges[column].median())
    long = wide.rename_axis("unit").reset_index().melt("unit", var_name="time", value_name="bci").dropna()
    long["time"] = long["time"].astype(float)
    built = bridges["built"].reindex(long["unit"]).to_numpy()
    codes, replaced = long["bci"] == 0, long["time"] < built
    faults["readings of 0"] = int(codes.sum())
    faults["readings of a bridge that was replaced"] = int((replaced & ~codes).sum())
    early = (long["time"] < since) & ~codes & ~replaced
    faults[f"readings before {since}"] = int(early.sum())
    long = long[~(codes | replaced | early)].sort_values(["unit", "time"], ignore_index=True)
    if not len(long):
        raise DataError(f"got no reading since {since}; expected some: look at the columns of years, or at since=")
    known = bridges.index.isin(long["unit"])
    faults["bridges without a reading"] = int((~known).sum())
    return Network(bridges[known], long, faults)
