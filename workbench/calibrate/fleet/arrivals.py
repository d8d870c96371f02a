"""Units that joined a fleet in this session: what their datasets of draws were made of, for forecasts to go on from."""

import hashlib

import numpy as np
import xarray as xr

from workbench.base.errors import DataError
from workbench.base.recent import Recent
from workbench.calibrate.problem import Problem
from workbench.calibrate.sbc.fingerprint import fingerprint

JOINED = "joined"
_JOINED = Recent[Problem](64)  # each as large as a unit's readings


def remembered(problem: Problem) -> str:
    """Return a digest of a unit's model, readings and inputs, under which its problem is recalled in this session."""
    made = hashlib.sha256(fingerprint(problem).encode())
    for name in sorted(problem.measured):
        made.update(np.ascontiguousarray(problem.readings(name)).tobytes())
    return _JOINED.keep(made.hexdigest(), problem)


def recalled(draws: xr.Dataset) -> Problem:
    """Return the problem of a unit's draws; DataError where they are of another session, or of long ago."""
    found = _JOINED.get(draws.attrs.get(JOINED, ""))
    if found is None:
        raise DataError(
            "got draws of a new unit from another session, or of long ago, which hold neither equations nor readings; "
            "expected those of calibration.new_unit(data, inputs=...) of this one: the same seed gives the same draws"
        )
    return found
