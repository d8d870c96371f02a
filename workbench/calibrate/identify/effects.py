"""Effects of units integrated out of Fisher information, and what their scatter says of SDs and correlations.

Standardised effects e of a unit are N(0, R), and its readings have the information A about them: they say as much as a
reading of e with the covariance inv(A), normal about zero with the covariance V = inv(A) + R. The information about
what V hangs on is 1/2 tr(inv(V) dV inv(V) dV') (Mentre, Mallet & Baccar, Biometrika 84 (1997) 429-442).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.calibrate.fleet.correlation import Group

Array = NDArray[np.float64]
STEP = 1e-30  # of a complex step, whose derivative is exact


@dataclass(frozen=True)
class Tie:
    """A group of correlated effects: their places among all effects, and the coordinates of its free variables."""

    group: Group
    places: list[int]
    coordinates: Mapping[str, int]

    def root(self, values: Array) -> Array:
        """Return the Cholesky factor (d, d) of the correlations at values (coordinates,)."""
        return self.group.root({name: values[k] for name, k in self.coordinates.items()})

    def slopes(self, values: Array) -> dict[int, Array]:
        """Return for each coordinate the derivative (d, d) of the correlations by it."""
        made = {}
        for k in self.coordinates.values():
            root = self.root(values + 1j * STEP * (np.arange(values.size) == k))
            made[k] = (root @ root.T).imag / STEP
        return made


@dataclass(frozen=True)
class Population:
    """How effects (E,) scatter among units.

    Attributes
    ----------
    correlation
        (E, E) of standardised effects.
    sds, ratio
        (E,) coordinates of the SDs, and derivatives of their logarithms by the scores.
    slopes
        For the coordinate of each free variable of correlations, the derivative (E, E) of `correlation` by its score.
    """

    correlation: Array
    sds: NDArray[np.int64]
    ratio: Array
    slopes: dict[int, Array]

    @staticmethod
    def at(values: Array, score_slopes: Array, *, sds: Any, ties: Sequence[Tie]) -> "Population":
        """Return the population at values (coordinates,), given their derivatives by the scores."""
        correlation, slopes = np.eye(sds.size), dict[int, Array]()
        for tie in ties:
            block, root = np.ix_(tie.places, tie.places), tie.root(values)
            correlation[block] = root @ root.T
            for k, slope in tie.slopes(values).items():
                slopes[k] = np.zeros((sds.size, sds.size))
                slopes[k][block] = slope * score_slopes[k]
        return Population(correlation, sds, score_slopes[sds] / values[sds], slopes)


def without_effects(population: Population, total: Array, own: Array, cross: Array) -> Array:
    """Return the information (n, n) about scores where effects of units are not known.

    Parameters
    ----------
    population
        How effects scatter.
    total
        (n, n) information where they are known.
    own, cross
        (units, E, E) information about standardised effects, and (units, n, E) of scores and effects together.
    """
    made, r = total.copy(), population.correlation
    sds, slopes = population.sds, population.slopes
    by_sd = np.outer(population.ratio, population.ratio)
    for a, b in zip(own, cross, strict=True):
        m = np.linalg.solve(np.eye(len(a)) + a @ r, a)  # inv(V), also where A is singular
        rm = r @ m
        made -= b @ (r - rm @ r) @ b.T
        made[np.ix_(sds, sds)] += (rm * rm.T + (rm @ r) * m) * by_sd
        for k, slope in slopes.items():
            turned = m @ slope @ m
            together = np.diag(r @ turned) * population.ratio
            made[sds, k] += together
            made[k, sds] += together
            for other, another in slopes.items():
                made[k, other] += 0.5 * np.sum(turned * another)
    return made
