"""Walkers: populations that are led from the prior to the posterior, and walk there, without a gradient.

They move in two ways. By differences between other walkers (differential-evolution Metropolis: ter Braak, Statistics
and Computing 16 (2006) 239-249), which finds scales and correlations by itself and jumps between modes; and by
independent draws from a Student's t that was fitted to the population, which forgets at once where it was, and serves
where the posterior is nearly normal. Half of the walkers moves at a time, by differences in the other half, which
stays, so the posterior stays as it is; and the halves of all populations are one batch of evaluations.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Generators = list[np.random.Generator]
TAIL = 6.0  # degrees of freedom of the independent draws
JUMP = 0.1  # share of the differences that are taken whole, from mode to mode
AIM = 0.25  # accepted share of the other differences, about the best of a random walk


class Density(Protocol):
    """A log density in two parts, at points (n, size) of an unconstrained space."""

    def prior(self, points: Array) -> Array:
        """Return the log density of the prior (n,)."""

    def likelihood(self, points: Array) -> Array:
        """Return the log density of the data (n,), -inf where there is none."""


@dataclass
class Crowd:
    """Where the walkers of all populations are.

    Attributes
    ----------
    points
        (chains, walkers, size).
    prior, likelihood
        (chains, walkers) log densities there.
    heat
        (chains,) power of the likelihood: with 0 they walk in the prior, with 1 in the posterior.
    """

    points: Array
    prior: Array
    likelihood: Array
    heat: Array

    def density(self) -> Array:
        """Return the log density (chains, walkers) of what they walk in."""
        return _tempered(self.prior, self.likelihood, self.heat)

    def temper(self, rngs: Generators, *, walkers: int, share: float) -> "Crowd":
        """Return walkers drawn by weight, where the likelihood counts more.

        It counts so much more that the effective number falls to a share of those with a density (sequential Monte
        Carlo: Del Moral, Doucet & Jasra, Journal of the Royal Statistical Society B 68 (2006) 411-436).
        """
        chosen, heats = np.empty((len(rngs), walkers), dtype=int), np.empty(len(rngs))
        for chain, rng in enumerate(rngs):
            heats[chain], weights = _warmer(self.likelihood[chain], self.heat[chain], share)
            places = (rng.uniform() + np.arange(walkers)) / walkers  # systematic: copies stay side by side
            chosen[chain] = np.minimum(np.searchsorted(np.cumsum(weights), places), weights.size - 1)
        rows = np.arange(len(rngs))[:, None]
        return Crowd(self.points[rows, chosen], self.prior[rows, chosen], self.likelihood[rows, chosen], heats)


@dataclass
class Ways:
    """How the walkers of each population move.

    Attributes
    ----------
    step
        (chains,) factor on the differences.
    share
        (chains,) share of independent draws.
    centre, root, whitener
        (chains, size), and twice (chains, size, size): place of the law of independent draws, Cholesky root of its
        covariance, and the inverse of that.
    forgotten
        (chains,) how much of where it was a walker forgets at a proposal, of late.
    """

    step: Array
    share: Array
    centre: Array
    root: Array
    whitener: Array
    forgotten: Array

    @staticmethod
    def of(points: Array) -> "Ways":
        """Return ways fitted to points (chains, n, size)."""
        chains, _, size = points.shape
        law = np.empty((chains, size)), np.empty((chains, size, size)), np.empty((chains, size, size))
        ways = Ways(np.ones(chains), np.full(chains, 0.5), *law, np.full(chains, 0.1))
        ways.fit(points)
        return ways

    def fit(self, points: Array) -> None:
        """Fit the law of independent draws to points (chains, n, size)."""
        for chain, cloud in enumerate(points):
            spread = np.atleast_2d(np.cov(cloud.T))
            spread[np.diag_indices(len(spread))] *= 1.02  # walkers may be few, or some the same
            spread[np.diag_indices(len(spread))] += 1e-12
            self.centre[chain], self.root[chain] = cloud.mean(axis=0), np.linalg.cholesky(spread)
            self.whitener[chain] = np.linalg.inv(self.root[chain])

    def adapt(self, tally: "Tally") -> None:
        """Aim at a good rate of acceptance, and move more in the way that brings walkers further."""
        self.step *= np.exp(0.3 * (tally.accepted_differences - AIM))
        by_difference, by_draw = tally.advance.T + 1e-9
        self.share = 0.9 * self.share + 0.1 * np.clip(by_draw / (by_draw + by_difference), 0.1, 0.9)
        self.forgotten = 0.9 * self.forgotten + 0.1 * tally.forgotten

    def law(self, chain: int, points: Array) -> Array:
        """Return the log density (n,) of independent draws at points (n, size), up to a constant."""
        far = self.whitener[chain] @ (points - self.centre[chain]).T
        return -0.5 * (TAIL + points.shape[1]) * np.log1p((far**2).sum(axis=0) / TAIL)


@dataclass
class Tally:
    """What a sweep did.

    Attributes
    ----------
    accepted
        (chains, walkers) 1 where a proposal was.
    accepted_differences
        (chains,) share accepted of the moves by differences.
    advance
        (chains, 2) squared advance of a proposal, by differences and by independent draws, in units of the population's
        spread, over twice the number of dimensions: what is forgotten, 1 for draws that are all accepted.
    forgotten
        (chains,) the same over both ways.
    """

    accepted: Array
    accepted_differences: Array
    advance: Array
    forgotten: Array


def sweep(density: Density, crowd: Crowd, ways: Ways, rngs: Generators) -> Tally:
    """Let every walker propose one move, and accept or refuse it (Metropolis); `crowd` is changed in place."""
    chains, walkers, size = crowd.points.shape
    order = np.stack([rng.permutation(walkers) for rng in rngs])
    first, second = np.split(order, [walkers // 2], axis=1)
    accepted, independent = np.zeros((chains, walkers)), np.zeros((chains, walkers), dtype=bool)
    advance = np.zeros((chains, walkers))
    rows = np.arange(chains)[:, None]
    for movers, others in ((first, second), (second, first)):
        old = crowd.points[rows, movers]
        made = [_propose(old[c], crowd.points[c, others[c]], ways, chain=c, rng=rng) for c, rng in enumerate(rngs)]
        new, odds, drawn = (np.stack(parts) for parts in zip(*made, strict=True))
        prior, likelihood = evaluate(density, new)
        gain = _tempered(prior, likelihood, crowd.heat) - crowd.density()[rows, movers] + odds
        taken = np.log(np.stack([rng.uniform(size=movers.shape[1]) for rng in rngs])) < gain
        crowd.points[rows, movers] = np.where(taken[..., None], new, old)
        crowd.prior[rows, movers] = np.where(taken, prior, crowd.prior[rows, movers])
        crowd.likelihood[rows, movers] = np.where(taken, likelihood, crowd.likelihood[rows, movers])
        accepted[rows, movers], independent[rows, movers] = taken, drawn
        for c in range(chains):
            far = ways.whitener[c] @ (new[c] - old[c]).T
            advance[c, movers[c]] = taken[c] * (far**2).sum(axis=0) / (2 * size)
    ways_taken = (~independent, independent)
    far = [_mean(advance, way, 0.0) for way in ways_taken]
    return Tally(accepted, _mean(accepted, ways_taken[0], AIM), np.stack(far, axis=1), advance.mean(axis=1))


def _mean(values: Array, chosen: NDArray[np.bool_], otherwise: float) -> Array:
    """Return the mean (chains,) of the chosen among the walkers."""
    count = chosen.sum(axis=1)
    return np.where(count > 0, (values * chosen).sum(axis=1) / np.maximum(count, 1), otherwise)


def evaluate(density: Density, points: Array) -> tuple[Array, Array]:
    """Return both log densities (chains, n) at points (chains, n, size); the data are not asked where no prior is."""
    flat = points.reshape(-1, points.shape[-1])
    prior, likelihood = density.prior(flat), np.full(len(flat), -np.inf)
    possible = np.isfinite(prior)
    likelihood[possible] = density.likelihood(flat[possible])
    return prior.reshape(points.shape[:2]), likelihood.reshape(points.shape[:2])


def _propose(
    points: Array, others: Array, ways: Ways, *, chain: int, rng: np.random.Generator
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Return a proposal for each point (n, size), the log odds (n,) that its making adds, and which are drawn."""
    n, size = points.shape
    a = rng.integers(len(others), size=n)
    b = (a + rng.integers(1, len(others), size=n)) % len(others)
    factor = np.where(rng.uniform(size=n) < JUMP, 1.0, ways.step[chain] * 2.38 / np.sqrt(2 * size))
    jitter = 1e-3 * others.std(axis=0) * rng.normal(size=(n, size))
    moved = points + factor[:, None] * (others[a] - others[b]) + jitter
    stretch = np.sqrt(TAIL / rng.chisquare(TAIL, size=n))
    fresh = ways.centre[chain] + (stretch * (ways.root[chain] @ rng.normal(size=(size, n)))).T
    drawn = rng.uniform(size=n) < ways.share[chain]
    odds = np.where(drawn, ways.law(chain, points) - ways.law(chain, fresh), 0.0)
    return np.where(drawn[:, None], fresh, moved), odds, drawn


def _tempered(prior: Array, likelihood: Array, heat: Array) -> Array:
    known = np.isfinite(likelihood)
    return np.where(known, prior + heat[:, None] * np.where(known, likelihood, 0.0), -np.inf)


def _warmer(likelihood: Array, heat: float, share: float) -> tuple[float, Array]:
    """Return the next power of the likelihood, at most 1, and the weights (n,) of walkers for it."""

    def weights(power: float) -> Array:
        raised = np.exp(np.where(known, (power - heat) * (likelihood - best), -np.inf))
        return raised / raised.sum()

    known = np.isfinite(likelihood)
    best, wanted = likelihood[known].max(), share * known.sum()
    low, high = heat, 1.0
    if 1 / (weights(high) ** 2).sum() < wanted:
        while high - low > 1e-6 * high:
            middle = 0.5 * (low + high) if low else 0.03 * high  # temperatures differ by orders of magnitude
            low, high = (middle, high) if 1 / (weights(middle) ** 2).sum() >= wanted else (low, middle)
    return high, weights(high)
