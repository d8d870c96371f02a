"""Readings beyond limits of quantification: how many there are, and whether anything else was read."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from workbench.calibrate.calibration import Calibration
    from workbench.calibrate.problem import Problem
    from workbench.calibrate.trust.card import Gate


def shares(problem: "Problem") -> dict[str, float]:
    """Return for each measured output with limits the share of its readings that lie within them."""
    found = {}
    for name in problem.measured:
        low, high = problem.model.outputs[name].limits
        readings = problem.readings(name)
        if (low is not None or high is not None) and readings.size:
            above = True if low is None else readings > low
            found[name] = float(np.mean(above & (True if high is None else readings < high)))
    return found


def notes(problem: "Problem") -> list[str]:
    """Return a sentence for each output of which every reading lies beyond a limit."""
    return [
        f"every reading of {name!r} lies at or beyond a limit of quantification: the data bound this output from one "
        "side only, and how far beyond it lies is what the priors say"
        for name, share in shares(problem).items()
        if share == 0.0
    ]


def gate(calibration: "Calibration") -> "Gate":
    """Return whether each output with limits has a reading within them; the figure is the smallest such share."""
    from workbench.calibrate.trust.card import Gate

    name, problem = "readings within limits", calibration.problem
    if problem is None:
        return Gate(name, "not run", float("nan"), 0.0, "opened without its model; use Calibration.open(path, model)")
    found = shares(problem)
    if not found:
        return Gate(name, "passed", 1.0, 0.0, "no output has limits of quantification")
    least = min(found, key=lambda one: found[one])
    if said := notes(problem):
        cure = "quote bounds, not values, or measure with a finer sensor"
        return Gate(name, "failed", 0.0, 0.0, f"{'; '.join(said)}; {cure}")
    return Gate(name, "passed", found[least], 0.0, f"at least {100 * found[least]:.0f} % of the readings ({least})")
