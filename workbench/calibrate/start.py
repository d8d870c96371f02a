"""Where chains begin: prior draws scored by the density, the best of them climbed, and chains scattered around the top.

Posteriors of differential equations are multimodal far from the data, so a chain that begins at the prior's median may
never find the mode that matters.
"""

from dataclasses import dataclass

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

from workbench.base.errors import SamplingError
from workbench.calibrate.density import Density
from workbench.calibrate.pooling import draw_prior, scale_of, spread_prior
from workbench.calibrate.problem import Problem
from workbench.declare.prior import Prior

Array = NDArray[np.float64]
DRAWS, CLIMBS, ITERATIONS = 400, 8, 150


@dataclass(frozen=True)
class Start:
    """The mode around which chains start.

    Attributes
    ----------
    top
        (size,) best point found, in the unconstrained space.
    best
        Log density there.
    spread
        (size, size) inverse curvature there: about the covariance of the posterior.
    tops
        (climbs,) log densities that the climbs reached, from the best down.
    population
        Whether some parameter is drawn from a population of units.
    """

    top: Array
    best: float
    spread: Array
    tops: Array
    population: bool

    def point(self, density: Density, seed: int) -> Array:
        """Return a start about one posterior SD from the top, nearer where the density falls too fast.

        It hangs on the chain's own seed, as chains in parallel threads ask in no certain order.
        """
        values, vectors = np.linalg.eigh(0.5 * (self.spread + self.spread.T))
        rng = np.random.default_rng(seed)
        step = vectors @ (np.sqrt(np.clip(values, 1e-12, 1.0)) * rng.normal(size=self.top.size))
        for shrink in (1.0, 0.5, 0.25, 0.1, 0.01):
            point = self.top + shrink * step
            if density.evaluate(point)[0] > self.best - 5.0 - 2.0 * self.top.size:
                return point
        return self.top.copy()


def find_start(problem: Problem, density: Density, rng: np.random.Generator) -> Start:
    """Return where chains may start; SamplingError when no draw of the prior has a finite density."""
    with np.errstate(all="ignore"):  # a draw may round to the end of its support
        points = density.space.unconstrain(draw_free(problem, rng, DRAWS))
    scores = np.array([density.evaluate(point)[0] for point in points])
    usable = np.flatnonzero(np.isfinite(scores))
    if usable.size == 0:
        raise SamplingError(
            f"{problem.model.name}: got no finite density at any of {DRAWS} draws from the prior; expected some: the "
            "equations cannot be solved there, or the outputs are impossible under their noise (not positive under "
            "LogNormal noise, say); look at wb.simulate with such draws, and at the priors"
        )
    first = usable[np.argsort(scores[usable])[::-1][:CLIMBS]]
    frozen = _spreads(problem, density)
    climbs = sorted((_climb(density, points[k], frozen) for k in first), key=lambda climb: -climb[1])
    top, best, curvature = climbs[0]
    return Start(top, best, curvature, np.array([climb[1] for climb in climbs]), population=bool(frozen.any()))


def draw_free(problem: Problem, rng: np.random.Generator, size: int, *, narrow: bool = True) -> dict[str, Array]:
    """Return prior draws (size, *shape) of every free variable of the PyMC model.

    As starts, populations are kept `narrow`: their SD between units is at most its prior's median.
    """
    drawn: dict[str, Array] = {}
    count = problem.rows.size - 1
    for name in problem.estimated:
        quantity = problem.quantity(name)
        assert quantity.prior is not None
        way, shape = problem.pool.get(name, "complete"), problem.model.shape(quantity)
        if way == "complete":
            drawn[name] = draw_prior(quantity.prior, rng, (size, *shape))
        elif way == "none":
            drawn[name] = draw_prior(quantity.prior, rng, (size, count, *shape))
        else:
            drawn |= _draw_population(name, quantity.prior, rng, shape=(size, count, *shape), narrow=narrow)
    return drawn


def _draw_population(
    name: str, prior: Prior, rng: np.random.Generator, *, shape: tuple[int, ...], narrow: bool
) -> dict[str, Array]:
    """Return draws of a population and its units; `shape` is (draws, units), then that of a vector."""
    scale = scale_of(prior)
    population = draw_prior(prior, rng, (shape[0], *shape[2:]))
    spread = draw_prior(spread_prior(prior), rng, population.shape)
    if narrow:
        spread = np.minimum(spread, spread_prior(prior).quantile(0.5))
    latent = scale.link(population)[:, None] + spread[:, None] * rng.normal(size=shape)
    units = scale.unlink(latent)
    return {f"{name}_pop": population, f"{name}_sd": spread, name: units, f"{name}_offset": latent}


def _spreads(problem: Problem, density: Density) -> NDArray[np.bool_]:
    """Mark the between-unit SDs: they stay put in a climb, whose density is unbounded as they shrink to zero."""
    frozen = np.zeros(density.space.size, dtype=bool)
    names = {f"{name}_sd" for name, way in problem.pool.items() if way == "partial"}
    for variable in density.space.variables:
        if variable.name in names:
            frozen[variable.place] = True
    return frozen


def _climb(density: Density, point: Array, frozen: NDArray[np.bool_]) -> tuple[Array, float, Array]:
    """Return the point a short L-BFGS climb reaches, its log density, and the inverse curvature there."""

    def descend(free: Array) -> tuple[float, Array]:
        whole = point.copy()
        whole[~frozen] = free
        value, slope = density.evaluate(whole)
        return (-value, -slope[~frozen]) if np.isfinite(value) else (1e25, np.zeros(free.size))

    found = scipy.optimize.minimize(
        descend, point[~frozen], jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS}
    )
    top = point.copy()
    top[~frozen] = found.x
    inverse = 0.01 * np.eye(point.size)
    inverse[np.ix_(~frozen, ~frozen)] = found.hess_inv.todense()
    return top, -float(found.fun), inverse
