"""Units that joined a fleet in this session: what their datasets of draws were made of, for forecasts to go on from."""

import hashlib

import numpy as np
import xarray as xr

from workbench.base.errors import DataError
from workbench.calibrate.problem import Problem
from workbench.calibrate.sbc.fingerprint import fingerprint

JOINED = "joined"
KEPT = 64  # problems of this session, each as large as a unit's readings
_JOINED: dict[str, Problem] = {}


def remembered(problem: Problem) -> str:
    """Return a digest of a unit's model, readings and inputs, under which its problem is recalled in this session."""
    made = hashlib.sha256(fingerprint(problem).encode())
    for name in sorted(problem.measured):
        made.update(np.ascontiguousarray(problem.readings(name)).tobytes())
    key = made.hexdigest()
    _JOINED.pop(key, None)
    _JOINED[key] = problem
    if len(_JOINED) > KEPT:
        del _JOINED[next(iter(_JOINED))]
    return key


def recalled(draws: xr.Dataset) -> Problem:
    """Return the problem of a unit's draws; DataError where they are of another session, or of long ago."""
    try:
        return _JOINED[draws.attrs.get(JOINED, "")]
    except KeyError:
        raise DataError(
            "got draws of a new unit from another session, or of long ago, which hold neither equations nor readings; "
            "expected those of calibration.new_unit(data, inputs=...) of this one: the same seed gives the same draws"
        ) from None
