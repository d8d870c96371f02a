"""Climbs of a log density, the modes at their tops, and how much of the probability each mode holds.

Everything is measured in spreads of the prior, so that parameters of unlike size weigh alike.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

Array = NDArray[np.float64]
Climbed = tuple[Array, float, scipy.optimize.LbfgsInvHessProduct]  # a point, its log density, about the curvature there
ITERATIONS = 150  # of a climb
DENSE = 100
"""Dimensions up to which the curvature of a top is measured, by two gradients a dimension; in larger spaces modes are
weighed by their log density alone, as if they were equally wide."""
VALLEY = 2.0
"""Depth, in log density, of a valley that makes two tops two modes, as between equal normals 4.6 SDs apart; chains
cross what is shallower often enough."""
NEGLIGIBLE = 1e-3
"""Weight below which a mode does not matter: less than half a draw in the 400 independent ones that a reported number
needs (`workbench.calibrate.trust.convergence.ESS`)."""
SETTLED = 0.1  # log density that may be left to climb where a mode is said to be
SHARES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)  # of the way between two points, where valleys are looked for
STEP = 0.05  # of the differences of gradients, in SDs of the posterior
WIDEST = 10.0  # SD of a posterior in spreads of the prior, beyond which a direction counts as flat


class Slope(Protocol):
    """A log density with a gradient (`workbench.calibrate.sampling.density.Density` is one)."""

    def evaluate(self, point: Array) -> tuple[float, Array]:
        """Return the log density at a point (size,) and its gradient; -inf and zeros where there is none."""


@dataclass(frozen=True)
class Mode:
    """A top of the log density and its surroundings.

    Attributes
    ----------
    top
        (size,) in the unconstrained space.
    log_density
        There.
    spread
        (size, size) inverse of the negative second derivatives: about the covariance of the posterior about the top.
    log_weight
        Logarithm of the probability about the top, up to a constant that modes share (Laplace's approximation:
        Tierney & Kadane, Journal of the American Statistical Association 81 (1986) 82-86).
    to_climb
        Log density that a parabola through slope and curvature promises beyond the top; near 0 at a mode.
    """

    top: Array
    log_density: float
    spread: Array
    log_weight: float
    to_climb: float

    @property
    def settled(self) -> bool:
        """Whether the climb ended at a mode, and not on the way to one."""
        return self.to_climb < SETTLED


@dataclass(frozen=True)
class Terrain:
    """A log density to climb.

    Attributes
    ----------
    density
        Log density and gradient.
    scale
        (size,) spreads of the prior.
    frozen
        (size,) coordinates that stay as they are in `reference`: those along which the density has no bound.
    reference
        (size,) a point.
    """

    density: Slope
    scale: Array
    frozen: NDArray[np.bool_]
    reference: Array

    def climb(self, point: Array, iterations: int = ITERATIONS) -> Climbed:
        """Return the point that L-BFGS reaches, its log density, and a rough inverse curvature (in spreads)."""
        free, scale = ~self.frozen, self.scale[~self.frozen]
        whole = np.where(self.frozen, self.reference, point)

        def descend(scaled: Array) -> tuple[float, Array]:
            whole[free] = scaled * scale
            value, slope = self.density.evaluate(whole)
            return (-value, -slope[free] * scale) if np.isfinite(value) else (1e25, np.zeros(scale.size))

        options = {"maxiter": iterations}
        found = scipy.optimize.minimize(descend, whole[free] / scale, jac=True, method="L-BFGS-B", options=options)
        whole[free] = found.x * scale
        return whole, -float(found.fun), found.hess_inv

    def mode(self, climbed: Climbed) -> Mode:
        """Return what a climb reached as a mode."""
        top, value, rough = climbed
        free, scale = np.flatnonzero(~self.frozen), self.scale[~self.frozen]
        slope = self.density.evaluate(top)[1][free] * scale
        dense = free.size <= DENSE
        curvature = self._curvature(top, np.diag(rough.todense())) if dense else None
        if curvature is None:
            inverse = rough.todense()
            log_volume = 0.0
        else:
            values, vectors = np.linalg.eigh(curvature)
            values = np.maximum(values, WIDEST**-2)
            inverse = (vectors / values) @ vectors.T
            log_volume = float(np.sum(0.5 * np.log(2 * np.pi / values) + np.log(scale)))
        spread = np.diag((0.1 * self.scale) ** 2)
        spread[np.ix_(free, free)] = scale[:, None] * inverse * scale
        return Mode(top, value, spread, value + log_volume, 0.5 * float(slope @ inverse @ slope))

    def _curvature(self, top: Array, variances: Array) -> Array | None:
        """Return the negative second derivatives in spreads, None where a neighbour has no density.

        Steps are small against the SD of the posterior, which a rough guess may miss: then they shrink.
        """
        free, scale = np.flatnonzero(~self.frozen), self.scale[~self.frozen]
        steps = STEP * np.sqrt(np.clip(variances, 1e-12, 1.0))
        made = np.empty((free.size, free.size))
        stale = np.ones(free.size, dtype=bool)
        for _ in range(4):
            for k in np.flatnonzero(stale):
                shift = np.zeros(top.size)
                shift[free[k]] = steps[k] * scale[k]
                (up, above), (down, below) = self.density.evaluate(top + shift), self.density.evaluate(top - shift)
                if not (np.isfinite(up) and np.isfinite(down)):
                    return None
                made[k] = (below - above)[free] * scale / (2 * steps[k])
            wanted = STEP / np.sqrt(np.maximum(np.diag(made), 1e-300))
            stale = steps > 4 * wanted
            if not stale.any():
                break
            steps = np.where(stale, wanted, steps)
        return 0.5 * (made + made.T)

    def values(self, points: Array) -> Array:
        """Return the log densities (n,) at points (n, size)."""
        return np.array([self.density.evaluate(point)[0] for point in points])

    def joined(self, a: Array, b: Array) -> bool:
        """Whether no valley lies on the straight way between two points (size,)."""
        return bool(valleys(self.values, a[None], b[None])[0] < VALLEY)


def weighty(modes: list[Mode]) -> tuple[Mode, ...]:
    """Return the modes whose weight is not negligible, the weightiest first."""
    ranked = sorted(modes, key=lambda mode: -mode.log_weight)
    return tuple(m for m in ranked if m.log_weight >= ranked[0].log_weight + np.log(NEGLIGIBLE))


def valleys(values: Callable[[Array], Array], a: Array, b: Array) -> Array:
    """Return how far (n,) the log density falls between points a and b (n, size), below the lower of the two.

    (Hill-valley test: Ursem, Proceedings of the 1999 Congress on Evolutionary Computation, 1633-1640.)

    Parameters
    ----------
    values
        Returns the log densities (n,) at points (n, size), in one call.
    """
    ways = np.stack([a + share * (b - a) for share in SHARES])
    heights = values(ways.reshape(-1, a.shape[1])).reshape(len(SHARES), -1)
    with np.errstate(invalid="ignore"):
        depths = np.minimum(heights[0], heights[-1]) - heights[1:-1].min(axis=0)
    return np.where(np.isfinite(heights[[0, -1]]).all(axis=0), depths, np.inf)
