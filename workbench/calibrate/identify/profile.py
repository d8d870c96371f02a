"""Profile likelihoods: how well the data alone settle each parameter, whatever the priors say.

PL(x) = the largest likelihood at which a parameter is x, over all others; its interval holds the x whose likelihood is
within chi2(mass, 1) / 2 of the largest (Raue et al., Bioinformatics 25 (2009) 1923-1929). A profile that stays above
that on one side or on both is of a parameter that data do not identify: flat all along by structure, flat to one side
in practice. The priors of what is estimated are taken out of the compiled density. What varies between units
of a population stays, as part of the model, and its SDs are held at their medians: their joint density with effects of
units has no top.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.interpolate
import scipy.stats
from numpy.typing import NDArray

from workbench.base.errors import ParameterError
from workbench.base.threads import one_blas_thread
from workbench.calibrate.calibration import MASS
from workbench.calibrate.identify.climb import Climb, Likelihood
from workbench.calibrate.identify.coordinates import Coordinate, coordinates_of
from workbench.calibrate.sampling.density import compile_density
from workbench.declare.simulator import Simulator

if TYPE_CHECKING:
    from workbench.calibrate.calibration import Calibration

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Profile:
    """The profile likelihood of one parameter.

    Attributes
    ----------
    label, units
        Of the parameter.
    values
        (n,) increasing, in its unit.
    drop
        (n,) log likelihood less the largest that was found.
    interval
        Ends at which the drop is that of `mass`; the end of the support, or infinite, where it is not reached.
    closed
        Whether each end was reached.
    mass
        Confidence of the interval.
    evaluations, seconds
        What it took.
    """

    label: str
    units: str
    values: Array
    drop: Array
    interval: tuple[float, float]
    closed: tuple[bool, bool]
    mass: float
    evaluations: int
    seconds: float

    @property
    def columns(self) -> tuple[str, str]:
        """Names of the ends in a table."""
        return f"profile{100 * self.mass:.0f}_lb", f"profile{100 * self.mass:.0f}_ub"


@one_blas_thread()
def profile_likelihoods(calibration: "Calibration", chosen: Sequence[Coordinate]) -> dict[str, Profile]:
    """Return the profile likelihood of each chosen coordinate, by label; ParameterError for a simulator."""
    problem, made = calibration.problem, calibration.model
    assert problem is not None
    assert made is not None
    if isinstance(problem.model, Simulator):
        raise ParameterError(
            f"{problem.model.name}: got profiles of a simulator, which has no gradient to climb by; expected none "
            "(contraction and prior sensitivity need no gradient)"
        )
    density = compile_density(made)
    likelihood = Likelihood(made, density, {c.variable for c in coordinates_of(problem)})
    climb = Climb.of(calibration, likelihood)
    found = {}
    for coordinate in chosen:
        begun, before = time.perf_counter(), likelihood.evaluations
        points, values = climb.profile(coordinate, _threshold())
        found[coordinate.label] = _summary(coordinate, climb, points, values, (likelihood.evaluations - before, begun))
    return found


def _threshold() -> float:
    """Return how far the log likelihood falls to the ends of the interval."""
    return float(0.5 * scipy.stats.chi2.ppf(MASS, 1))


def _summary(coordinate: Coordinate, climb: Climb, points: Array, values: Array, cost: tuple[int, float]) -> Profile:
    """Return a profile in the unit of its parameter, with the interval's ends by interpolation."""
    variable = next(v for v in climb.likelihood.space.variables if v.name == coordinate.variable)
    order = np.argsort(points)
    points, drop = points[order], values[order] - values.max()
    top = int(np.argmax(drop))
    signed = np.sqrt(-2 * np.minimum(drop, 0.0)) * np.sign(np.arange(points.size) - top)
    reach = np.sqrt(2 * _threshold())
    ends, closed = [], []
    for sign, support in zip((-1.0, 1.0), coordinate.prior.support, strict=True):
        side = slice(0, top + 1) if sign < 0 else slice(top, None)
        root, place = signed[side], points[side]
        reached = bool((np.abs(root) >= reach).any())
        closed.append(reached)
        if not reached:
            ends.append(float(support))
            continue
        curve = scipy.interpolate.PchipInterpolator(np.maximum.accumulate(root) + 1e-12 * np.arange(root.size), place)
        ends.append(float(variable.constrain(np.array([curve(sign * reach)]))[0]))
    evaluations, begun = cost
    made = variable.constrain(points)
    return Profile(
        coordinate.label, coordinate.units, made, drop, (ends[0], ends[1]), (closed[0], closed[1]), MASS,
        evaluations, time.perf_counter() - begun,
    )  # fmt: skip
