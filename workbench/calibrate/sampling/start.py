"""Where chains begin: prior draws scored by the density, climbs from the best of them, and modes weighed at their tops.

Posteriors of differential equations are multimodal far from the data, so a chain that begins at the prior's median may
never find the mode that matters.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.base.errors import SamplingError
from workbench.base.threads import one_blas_thread
from workbench.calibrate.fleet.correlation import Chain, chains_of
from workbench.calibrate.fleet.effects import Effects, effects_of
from workbench.calibrate.fleet.pooling import draw_prior, scale_of
from workbench.calibrate.problem import Problem
from workbench.calibrate.sampling.density import Density
from workbench.calibrate.sampling.terrain import Climbed, Mode, Terrain, weighty

Array = NDArray[np.float64]
DRAWS, STEEPEST = 400, 100  # draws of the prior, and how many of the best a climb may begin at
FAR = 8.0  # spreads from the middle of its prior, beyond which a parameter that still rises is not followed
STARTS, FIRST, CLIMBS = 16, 8, 8
"""Climbs that begin, steps they take before they are compared, and the best that go on. On lynx and hare (200 seeds) 4
to 8 of the 8 reach the mode that matters, where of 8 whole climbs from the best draws some seeds sent none."""


@dataclass(frozen=True)
class Start:
    """The modes about which chains start.

    Attributes
    ----------
    modes
        Those whose weight is not negligible, the weightiest first.
    tops
        (climbs,) log densities that the climbs reached, from the best down.
    terrain
        The density that was climbed.
    effects
        In which coordinates the effects of units are sampled; None: in their own.
    """

    modes: tuple[Mode, ...]
    tops: Array
    terrain: Terrain
    effects: Effects | None = None

    @property
    def population(self) -> bool:
        """Whether some parameter is drawn from a population of units."""
        return bool(self.terrain.frozen.any())

    @property
    def top(self) -> Array:
        """(size,) the top of the weightiest mode, in the unconstrained space."""
        return self.modes[0].top

    @property
    def best(self) -> float:
        """Log density there."""
        return self.modes[0].log_density

    def shares(self, chains: int) -> list[int]:
        """Return how many chains begin at each mode: one at each, as far as they go, and the others at the first."""
        begun = min(chains, len(self.modes))
        return [chains - begun + 1, *([1] * (begun - 1))]

    def point(self, seed: int, place: int = 0) -> Array:
        """Return a start about one posterior SD from the top of a mode, nearer where the density falls too fast.

        It hangs on the chain's own seed, as chains in parallel threads ask in no certain order.
        """
        mode, scale = self.modes[place], self.terrain.scale
        values, vectors = np.linalg.eigh(mode.spread / np.outer(scale, scale))
        rng = np.random.default_rng(seed)
        step = scale * (vectors @ (np.sqrt(np.clip(values, 1e-12, 1.0)) * rng.normal(size=scale.size)))
        for shrink in (1.0, 0.5, 0.25, 0.1, 0.01):
            point = mode.top + shrink * step
            if self.terrain.density.evaluate(point)[0] > mode.log_density - 5.0 - 2.0 * scale.size:
                return point
        return mode.top.copy()


@one_blas_thread()
def find_start(problem: Problem, density: Density, rng: np.random.Generator) -> Start:
    """Return where chains may start; SamplingError when no draw of the prior has a finite density."""
    with np.errstate(all="ignore"):  # a draw may round to the end of its support
        points = density.space.unconstrain(draw_free(problem, rng, DRAWS))
    scores = np.array([density.evaluate(point)[0] for point in points])
    usable = np.flatnonzero(np.isfinite(scores) & np.isfinite(points).all(axis=1))
    if usable.size == 0:
        raise SamplingError(
            f"{problem.model.name}: got no finite density at any of {DRAWS} draws from the prior; expected some: the "
            "equations cannot be solved there, or the outputs are impossible under their noise (not positive under "
            "LogNormal noise, say); look at wb.simulate with such draws, and at the priors"
        )
    scale = _spread(points[np.isfinite(points).all(axis=1)])
    first = points[usable[_apart(points[usable] / scale, scores[usable])]]
    middle = np.sort(first, axis=0)[len(first) // 2]  # of each coordinate, one that was drawn
    terrain = Terrain(density, scale, _spreads(problem, density), middle)
    begun = sorted((terrain.climb(point, FIRST) for point in first), key=lambda climb: -climb[1])
    climbs = sorted((terrain.climb(climb[0]) for climb in begun[:CLIMBS]), key=lambda climb: -climb[1])
    modes = weighty(_modes(terrain, climbs))
    _check_effects(problem, density, np.vstack([first, modes[0].top]))
    _check_bounded(problem, density, terrain, modes[0])
    tops = np.array([climb[1] for climb in climbs])
    return Start(modes, tops, terrain, effects_of(problem, density, modes[0].top))


def _modes(terrain: Terrain, climbs: list[Climbed]) -> list[Mode]:
    """Return the different modes among the ends of climbs, which come from the best down."""
    found: list[Mode] = []
    for climb in climbs:
        if not any(terrain.joined(known.top, climb[0]) for known in found):
            mode = terrain.mode(climb)
            if mode.settled or not found:  # a climb that never ends is better than none
                found.append(mode)
    return found


def _check_effects(problem: Problem, density: Density, points: Array) -> None:
    """Refuse a parameter that the density does not depend on: neither a prior nor the data hold it."""
    idle = np.flatnonzero((np.array([density.evaluate(point)[1] for point in points]) == 0).all(axis=0))
    if idle.size:
        name = _name_at(density, idle[0])
        raise SamplingError(
            f"{problem.model.name}: got a density that does not depend on {name!r}; expected it to have a proper "
            "prior, or an effect on what was measured: its posterior would be flat without end; give it a prior, or a "
            "value"
        )


def _check_bounded(problem: Problem, density: Density, terrain: Terrain, mode: Mode) -> None:
    """Refuse a density that still rises where a parameter is far outside its prior, as if without end."""
    if mode.settled:
        return
    away = (mode.top - terrain.reference) / terrain.scale
    rise = density.evaluate(mode.top)[1] * terrain.scale * np.sign(away)
    endless = np.flatnonzero((np.abs(away) > FAR) & (rise > 1.0))
    if endless.size:
        name = _name_at(density, endless[0])
        value = float(np.ravel(density.space.constrain(mode.top)[name])[0])
        raise SamplingError(
            f"{problem.model.name}: got a density that rises without bound as {name!r} leaves its prior ({name} = "
            f"{value:.3g}, and still rising); expected data with noise: a model that fits them exactly (constant or "
            "simulated readings) draws the noise to 0; give the noise a number, or a prior that is 0 at 0"
        )


def _name_at(density: Density, place: Any) -> str:
    return next(v.name for v in density.space.variables if v.place.start <= place < v.place.stop)


def _spread(points: Array) -> Array:
    """Return the spreads (size,) of draws, without their far tails."""
    low, high = np.quantile(points, [0.16, 0.84], axis=0)
    spread = 0.5 * (high - low)
    return np.where(spread > 0, spread, 1.0)


def _apart(points: Array, scores: Array) -> NDArray[np.int64]:
    """Return places where climbs may begin: good draws that are far from any better one, so that few share a mode.

    (Multi-level single linkage: Rinnooy Kan & Timmer, Mathematical Programming 39 (1987) 57-78.)
    """
    order = np.argsort(-scores, kind="stable")[:STEEPEST]
    best = points[order]
    squares = (best**2).sum(axis=1)
    distances = squares[:, None] + squares - 2 * best @ best.T
    distances[np.triu_indices(len(best))] = np.inf  # only those to better ones
    return order[np.argsort(-distances.min(axis=1), kind="stable")[:STARTS]]


def draw_free(problem: Problem, rng: np.random.Generator, size: int, *, narrow: bool = True) -> dict[str, Array]:
    """Return prior draws (size, *shape) of every free variable of the PyMC model.

    As starts, populations are kept `narrow`: their SD between units is at most its prior's median.
    """
    drawn: dict[str, Array] = {}
    count = problem.rows.size - 1
    for group in problem.correlated:
        drawn |= group.draw(rng, size)
    chains = chains_of(problem.correlated, {name: share[:, None] for name, share in drawn.items()})
    for name in problem.estimated:
        quantity = problem.quantity(name)
        assert quantity.prior is not None
        way, shape = problem.pool.get(name, "complete"), problem.model.shape(quantity)
        if way == "complete":
            drawn[name] = draw_prior(quantity.prior, rng, (size, *shape))
        elif way == "none":
            drawn[name] = draw_prior(quantity.prior, rng, (size, count, *shape))
        else:
            sizes, chain = (size, count, *shape), chains.get(name)
            drawn |= _draw_population(problem, name, rng, shape=sizes, narrow=narrow, chain=chain)
    for term in problem.terms.values():
        drawn |= term.draw(rng, size)
    return drawn


def _draw_population(
    problem: Problem,
    name: str,
    rng: np.random.Generator,
    *,
    shape: tuple[int, ...],
    narrow: bool,
    chain: Chain | None,
) -> dict[str, Array]:
    """Return draws of a population and its units; `shape` is (draws, units), then that of a vector."""
    prior, law = problem.quantity(name).prior, problem.spread(name)
    assert prior is not None
    scale = scale_of(prior)
    population = draw_prior(prior, rng, (shape[0], *shape[2:]))
    spread = draw_prior(law, rng, population.shape)
    if narrow:
        spread = np.minimum(spread, law.quantile(0.5))
    distance = rng.normal(size=shape)
    mean, sd = (0.0, 1.0) if chain is None else chain.told
    latent = scale.link(population)[:, None] + spread[:, None] * (mean + sd * distance)
    if chain is not None:
        chain.known.append(distance)
    offset = latent if problem.centred[name] else distance
    return {f"{name}_pop": population, f"{name}_sd": spread, name: scale.unlink(latent), f"{name}_offset": offset}


def _spreads(problem: Problem, density: Density) -> NDArray[np.bool_]:
    """Mark SDs between units and correlations: they stay put in a climb, as the density is unbounded at their ends."""
    frozen = np.zeros(density.space.size, dtype=bool)
    names = {f"{name}_sd" for name, way in problem.pool.items() if way == "partial"}
    names |= {name for group in problem.correlated for name in group.priors}
    for variable in density.space.variables:
        if variable.name in names:
            frozen[variable.place] = True
    return frozen
