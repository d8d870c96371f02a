"""Whether the data look like readings of the calibrated model: the gate "predictive fit", and its table."""

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.calibrate.trust.card import Gate
from workbench.calibrate.trust.pits import FEW, fitted

if TYPE_CHECKING:
    import pandas as pd

    from workbench.calibrate.calibration import Calibration

GATE = "predictive fit"
ALARM = 0.005
"""Chance that a right model fails the gate, all its tests together."""


def check(calibration: "Calibration") -> "pd.DataFrame":
    """Return a row an output: readings, coverage, shape, persistence and growth of PITs, and of LOO-PITs Pareto k."""
    import pandas as pd

    rows: dict[str, dict[str, Any]] = {}
    for one in fitted(calibration):
        rho, p_rho = one.persistence
        rows[one.name] = {
            "readings": one.size,
            "coverage_50": one.coverage(0.5),
            "coverage_90": one.coverage(0.9),
            "p_shape": one.shape,
            "autocorrelation": rho,
            "p_autocorrelation": p_rho,
            "growth": one.spread[0],
            "p_growth": one.spread[1],
            "largest_pareto_k": np.nan if one.weights is None else float(one.weights[1].max()),
            "unreliable": one.unreliable,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def gate(calibration: "Calibration") -> Gate:
    """Return the gate "predictive fit"; its figure is the smallest p-value times the number of tests."""
    each = [one for one in fitted(calibration) if one.size >= FEW]
    if not each:
        says = f"no output has {FEW} readings: nothing can be told"
        return Gate(GATE, "not run", float("nan"), ALARM, says, wanted=not _measured(calibration))
    tests = [
        (p, one, kind)
        for one in each
        for p, kind in ((one.shape, "shape"), (one.persistence[1], "time"), (one.spread[1], "spread"))
    ]
    p, worst, kind = min(tests, key=lambda test: test[0])
    figure = min(1.0, p * len(tests))
    if figure >= ALARM:
        says = "; ".join(
            f"{one.name}: {100 * one.coverage(0.9):.0f} % of {one.size} readings within 90 % intervals" for one in each
        )
        return Gate(GATE, "passed", figure, ALARM, says)
    if kind == "time":
        says = (
            f"errors of {worst.name} last from one reading to the next (correlation {worst.persistence[0]:.2f}): the "
            "equations leave something out; mend them, or add a discrepancy (wb.Discrepancy) or errors that last "
            "(wb.noise.AR1)"
        )
    elif kind == "spread":
        way, cure = ("grow", "wb.noise.Proportional, Combined or LogNormal") if worst.spread[0] > 0 else ("shrink", "")
        says = (
            f"errors of {worst.name} {way} with the value, beyond what its noise says (rank correlation "
            f"{worst.spread[0]:.2f}): look at the noise's family{f' ({cure})' if cure else ''}, then at the equations"
        )
    else:
        says = (
            f"readings of {worst.name} are not scattered as predicted ({100 * worst.coverage(0.5):.0f} % within 50 % "
            f"intervals, {100 * worst.coverage(0.9):.0f} % within 90 %): look at the noise's family (outliers want "
            "StudentT, errors that grow with the value LogNormal or Combined), at units, and at the equations"
        )
    return Gate(GATE, "failed", figure, ALARM, f"{says} (p = {figure:.2g})")


def _measured(calibration: "Calibration") -> bool:
    """Whether there are readings at all, if too few or of the wrong kind for the gate."""
    return "observed_data" in calibration.tree.children
