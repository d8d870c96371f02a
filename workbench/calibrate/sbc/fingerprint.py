"""What a posterior hangs on beside the numbers that were read: two studies of one fingerprint share their design."""

import hashlib
import json

import numpy as np

from workbench.calibrate.discrepancy.terms import encoded
from workbench.calibrate.fleet import correlation
from workbench.calibrate.problem import Problem
from workbench.declare.describe import digest


def fingerprint(problem: Problem) -> str:
    """Return a SHA-256 of the model's meaning, of what was measured when and of which unit, of inputs and pooling.

    Values that were read do not count, nor rows at which nothing was measured, nor inputs after the last reading.
    """
    observations, schedule = problem.observations, problem.schedule
    made = hashlib.sha256()
    made.update(json.dumps([digest(problem.model), sorted((n, repr(w)) for n, w in problem.pool.items())]).encode())
    spreads = sorted((name, repr(one.sd)) for name, one in problem.partials.items() if one.sd is not None)
    if spreads:
        made.update(json.dumps(spreads).encode())
    if problem.correlated:
        made.update(correlation.encoded(problem.correlated).encode())
    if problem.terms:
        made.update(encoded(problem).encode())
    made.update(json.dumps([str(unit) for unit in problem.units or ()]).encode())
    last = observations.time[problem.rows[:-1]]
    for name in sorted(problem.measured):
        rows, *element = np.nonzero(~np.isnan(observations.values[name]))
        made.update(name.encode())
        for array in (observations.unit_index[rows], observations.time[rows], *element):
            made.update(np.ascontiguousarray(array).tobytes())
        last = np.maximum(last, _last(observations.unit_index[rows], observations.time[rows], last))
    for unit, end in enumerate(last):
        own = slice(schedule.offset[unit], schedule.offset[unit + 1])
        acts = schedule.begin[own] <= end
        for array in (schedule.begin, schedule.level, schedule.slope, schedule.jump):
            made.update(np.ascontiguousarray(array[own][acts]).tobytes())
    return made.hexdigest()


def _last(units: np.ndarray, times: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """Return the last of the times of each unit."""
    last = otherwise.copy()
    np.maximum.at(last, units, times)
    return last
