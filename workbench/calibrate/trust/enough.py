"""Whether there are as many readings as free parameters: with fewer, some combination is what the priors say."""

import math
from typing import TYPE_CHECKING

import numpy as np

from workbench.calibrate.trust.card import Gate

if TYPE_CHECKING:
    from workbench.calibrate.calibration import Calibration
    from workbench.calibrate.problem import Problem

GATE = "enough readings"


def gate(calibration: "Calibration") -> Gate:
    """Return the gate "enough readings"; its figure is the smallest number of readings for each free parameter.

    A population counts as its median and its SD, not as the values of its units, which it holds. Units that share
    nothing of a parameter need readings of their own for it. A discrepancy is not counted.
    """
    problem = calibration.problem
    if problem is None:
        says = "opened without its model; use Calibration.open(path, model)"
        return Gate(GATE, "not run", float("nan"), 1.0, says)
    shared, own = parameters(problem)
    readings = readings_of_units(problem)
    counts = [("the data", int(readings.sum()), shared + own * readings.size)]
    labels = problem.units or ()
    counts += [(f"unit {u!r}", int(n), own) for u, n in zip(labels, readings, strict=False) if own]
    counts = [one for one in counts if one[2]] or [("the data", int(readings.sum()), 1)]
    where, count, free = min(counts, key=lambda one: one[1] / one[2])
    figure = count / free
    if figure >= 1.0:
        return Gate(GATE, "passed", figure, 1.0, f"{count} readings of {where} for {free} free parameters")
    says = (
        f"got {count} readings of {where} for {free} free parameters; expected as many or more: what they leave open "
        "the priors say; measure more, fix parameters (value=...), or pool units ('partial')"
    )
    return Gate(GATE, "failed", figure, 1.0, says)


def parameters(problem: "Problem") -> tuple[int, int]:
    """Return how many free parameters units share, and how many each has to itself."""
    shared = own = 0
    for name in problem.estimated:
        size = math.prod(problem.model.labels[dim].size for dim in problem.quantity(name).dims)
        way = problem.pool.get(name, "complete")
        own += size * (way == "none")
        shared += size * {"complete": 1, "partial": 2, "none": 0}[way]
    return shared, own


def readings_of_units(problem: "Problem") -> np.ndarray:
    """Return (units,) how many numbers were read of each, elements of vectors counted one by one."""
    total = np.zeros(problem.rows.size - 1, dtype=np.int64)
    for name, places in problem.measured.items():
        values = problem.observations.values[name]
        rows = places // (values.size // len(values))
        total += np.histogram(rows, bins=problem.rows)[0] if rows.size else 0
    return total
