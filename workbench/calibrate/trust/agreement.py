"""Whether priors and data agree: a posterior far in a prior's tail, or piled up against its end, is ruled by both."""

from typing import TYPE_CHECKING

import numpy as np

from workbench.calibrate.identify.coordinates import Coordinate, coordinates_of
from workbench.calibrate.identify.identify import scores_of
from workbench.calibrate.trust.card import Gate

if TYPE_CHECKING:
    from workbench.calibrate.calibration import Calibration

GATE = "prior agreement"
FAR = 3.5
"""SDs from the prior's median, on the scale on which it is normal, at which the posterior's mean is too far: of true
values drawn from the prior one in 2100 lies there."""
PILED = 1.6
"""Distance of draws from an end, mean over SD, below which they pile up against it: exactly 1 where the density falls
off from the end exponentially, 1.32 for half a normal density, 1.73 where it is flat, and large for a peak inside."""


def gate(calibration: "Calibration") -> Gate:
    """Return the gate "prior agreement"; its figure is the farthest posterior mean in SDs of its prior."""
    problem = calibration.problem
    if problem is None:
        says = "opened without its model; use Calibration.open(path, model)"
        return Gate(GATE, "not run", float("nan"), FAR, says)
    chosen = [c for c in coordinates_of(problem) if c.scores.proper]
    if not chosen:
        return Gate(GATE, "not run", float("nan"), FAR, "no parameter has a proper prior to compare with", wanted=False)
    means = scores_of(calibration, chosen).reshape(-1, len(chosen)).mean(axis=0)
    worst = int(np.argmax(np.abs(means)))
    figure = float(np.abs(means[worst]))
    one = chosen[worst]
    if figure > FAR:
        side = "above" if means[worst] > 0 else "below"
        says = (
            f"the posterior of {one.label} lies {figure:.1f} prior SDs {side} the median of {one.prior!r}: data and "
            "prior contradict each other; look at units, at the equations, then at what the prior rests on"
        )
        return Gate(GATE, "failed", figure, FAR, says)
    piled = [words for c in chosen if not c.nuisance and (words := _piled(calibration, c))]
    if piled:
        says = f"{'; '.join(piled)}: the data ask for what the prior forbids; widen it, or look at units and equations"
        return Gate(GATE, "failed", figure, FAR, says)
    says = f"the posterior farthest from its prior is that of {one.label}, {figure:.1f} prior SDs from the median"
    return Gate(GATE, "passed", figure, FAR, says)


def _piled(calibration: "Calibration", one: Coordinate) -> str:
    """Return where draws pile up against a finite end of a prior other than zero, which physics may have put there."""
    variable = calibration.posterior[one.variable]
    draws = variable.isel(dict(zip(variable.dims[2:], one.place, strict=True))).values.ravel()
    for end in one.prior.support:
        if not np.isfinite(end) or end == 0.0:
            continue
        away = np.abs(draws - end)
        if away.mean() < PILED * away.std() and away.std() < 0.5 * _width(one):
            return f"{one.label} piles up at {end:g} {one.units}, an end of {one.prior!r}"
    return ""


def _width(one: Coordinate) -> float:
    """Return half of the width that holds the middle 68 % of a prior: its SD, were it normal."""
    return 0.5 * (one.prior.quantile(0.84) - one.prior.quantile(0.16))
