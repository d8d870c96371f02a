"""Readings of the static load test of bridge 705, its sensors, and what an independent model says of them.

Source: files of TNO in the repository jerbaroo/bridge-sim (MIT licence); Barisch-Rooney JO (2020), MSc thesis.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.base.errors import DataError, nearest
from workbench.base.share import data_file
from workbench.base.tables import listed, read_numbers, read_table, require
from workbench.domains.bridges.bridge705 import KINDS, LINES, TRUCK, near

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

COLUMNS = ("sensortype", "sensorlabel", "xpostruck", "inflinedata")
FILE = "bridge705_readings.csv"


def sensors() -> "pd.DataFrame":
    """Return the 66 sensors of the test by label: kind, x and z (m), and the direction in which strain is read."""
    import pandas as pd

    return pd.read_csv(data_file("bridge705_sensors.csv"), comment="#", index_col="label")


def readings(data: "str | Path | pd.DataFrame | None" = None) -> "xr.Dataset":
    """Return the readings as data of `LoadTest`, one row, NaN where a sensor has none at a position.

    Parameters
    ----------
    data
        A table or a CSV file with columns `sensortype` ("displacements" in mm, "strains" in microstrain),
        `sensorlabel`, `xpostruck` (m, first axle) and `inflinedata`, as published; None for those that come with the
        package. Strip T0, of which nobody wrote down the place, is left out.

    Raises
    ------
    DataError
        If the file cannot be read, a column is missing, a sensor is not one of the bridge or is read twice at a
        position, the truck is off the bridge, a sensor always reads the same, or a kind of sensor has no readings.
    """
    import pandas as pd

    where = "readings of the load test" if isinstance(data, pd.DataFrame) else Path(data or FILE).name
    found = read_table(data_file(FILE) if data is None else data, where)
    for name in COLUMNS:
        require(found, name, where)
    front, values = (read_numbers(found[name].values, f"{where}, {name!r}") for name in COLUMNS[2:])
    labels = [str(label).removesuffix("-Tcorr") for label in found["sensorlabel"].values]
    table = pd.DataFrame({"label": labels, "kind": found["sensortype"].values, "front": front, "value": values})
    table = table[table["label"] != "T0"]
    _refuse(table, where)
    return _as_data(table.pivot(index="label", columns="front", values="value"))


def _refuse(table: "pd.DataFrame", where: str) -> None:
    """Raise DataError where readings cannot be those of the bridge's sensors."""
    known = sensors()
    for label, kind in table[["label", "kind"]].drop_duplicates().itertuples(index=False):
        if label not in known.index:
            close = nearest(label, known.index)
            raise DataError(
                f"{where}: got sensor {label!r}"
                + (f"; did you mean {close!r}?" if close else "")
                + f" Expected one of {listed(known.index)}"
            )
        if known["kind"][label] != kind:
            raise DataError(f"{where}: got sensor {label!r} among {kind!r}; expected it in {known['kind'][label]!r}")
    longest = LINES[-1] + TRUCK.axles[-1]
    off = ~table["front"].between(0.0, longest)
    if off.any():
        raise DataError(
            f"{where}: got the truck at {table['front'][off].iloc[0]:g} m; expected its first axle between 0 and "
            f"{longest:g} m, where an axle is on the bridge"
        )
    twice = table[table.duplicated(["label", "front"])]
    if len(twice):
        raise DataError(
            f"{where}: got {twice['label'].iloc[0]!r} twice at {twice['front'].iloc[0]:g} m; expected it once"
        )
    for label, rows in table.groupby("label")["value"]:
        if rows.count() > 2 and rows.nunique() == 1:
            raise DataError(
                f"{where}: got {label!r} stuck at {rows.dropna().iloc[0]:g} at {rows.count()} positions; expected "
                "readings that change with the truck: leave the sensor out"
            )
    for kind in KINDS:
        if not table.loc[table["kind"] == kind, "value"].notna().any():
            raise DataError(f"{where}: got no readings of {kind!r}; expected both kinds of sensors")


def _as_data(wide: "pd.DataFrame") -> "xr.Dataset":
    """Return a table of labels by positions as one row of readings of both kinds."""
    import xarray as xr

    known = sensors()
    made: dict[str, Any] = {}
    for kind, (name, dim, unit, _) in KINDS.items():
        one = wide.loc[[label for label in known.index[known["kind"] == kind] if label in wide.index]]
        close = near(known.loc[one.index], one.columns.to_numpy())
        coords = {"time": [0.0], dim: list(one.index), "position": one.columns.to_numpy()}
        for output, part in ((name, close), (f"{name}_far", ~close)):
            seen = one.where(part).to_numpy()[None]
            made[output] = xr.DataArray(seen, coords, ("time", dim, "position"), attrs={"units": unit})
    return xr.Dataset(made)


def diana() -> "pd.DataFrame":
    """Return what TNO's finite-element model says of all sensors (rows) at the positions of the test (columns, m)."""
    import pandas as pd

    made = pd.read_csv(data_file("bridge705_diana.csv"), comment="#", index_col="label")
    return made.rename(columns=float)
