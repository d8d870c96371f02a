"""Whether times carry a time zone: those of data and inputs must both or neither, or hours are lost in silence."""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from workbench.base.errors import DataError
from workbench.base.schema import TIME

WORDS = {True: "with a time zone", False: "without one"}


def refuse_mixed_zones(data: Any, inputs: Mapping[str, Any]) -> None:
    """Refuse data whose datetimes have a time zone beside inputs whose datetimes have none, or the other way round.

    Datetimes without a zone are taken for UTC; beside others with a zone they were likely meant as local time.

    Raises
    ------
    DataError
        For the first such input.
    """
    ours = zoned(data)
    if ours is None:
        return
    for name, given in inputs.items():
        theirs = zoned(given)
        if theirs is not None and theirs != ours:
            raise DataError(
                f"input {name!r}: got times {WORDS[theirs]}, and data {WORDS[ours]}; expected both with a time zone, "
                "or both in UTC without one (pandas: .tz_convert('UTC').tz_localize(None))"
            )


def zoned(given: Any) -> bool | None:
    """Say whether the times of data, or of one input, have a time zone; None where they are no datetimes at hand."""
    import pandas as pd
    import xarray as xr

    if isinstance(given, xr.Dataset | xr.DataArray):
        return _zoned(np.ravel(given[TIME].values)) if TIME in given.coords else None
    if isinstance(given, pd.DataFrame) and TIME in given.columns:
        return _zoned(given[TIME])
    if isinstance(given, pd.DataFrame | pd.Series):
        index = given.index
        if isinstance(index, pd.MultiIndex):
            return _zoned(index.get_level_values(TIME)) if TIME in index.names else None
        return _zoned(index)
    if isinstance(given, Mapping):
        nested = next((one for one in given.values() if not np.isscalar(one)), None)
        return _zoned(given) if nested is None else zoned(nested)  # a dict from units to dicts
    if isinstance(given, Sequence) and not isinstance(given, str):
        return _zoned(pair[0] for pair in given if isinstance(pair, Sequence) and pair)
    return None


def _zoned(times: Iterable[Any]) -> bool | None:
    """Say of the first time that is a datetime whether it has a zone."""
    import pandas as pd

    for time in times:
        if time is pd.NaT or time is None:
            continue
        if isinstance(time, str):
            time = pd.to_datetime(time, format="ISO8601", errors="coerce")
        if isinstance(time, np.datetime64):
            return False
        return time.tzinfo is not None if isinstance(time, datetime.datetime) else None
    return None
