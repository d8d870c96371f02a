"""Whether ranks are uniform: simultaneous bands of their empirical distribution function, exact, and what leaves them.

If a posterior is right, the rank of a parameter's true value among L independent draws of the posterior is uniform on
0, 1, ..., L over data sets simulated from the prior (Talts, Betancourt, Simpson, Vehtari & Gelman 2018, theorem 1,
arXiv:1804.06788). Of N such ranks, the number C_i below i is then binomial with N trials of probability
z_i = i / (L + 1), for each i = 1, ..., L, and C_1, C_2, ... is a Markov chain,

    C_(i+1) - C_i | C_i  ~  Binomial(N - C_i, (z_(i+1) - z_i) / (1 - z_i)),                                  (1)

so the probability that all C_i stay within intervals is a product of small matrices: Sailynoja, Burkner & Vehtari
(2022), Graphical test for discrete uniformity and its applications in goodness-of-fit evaluation and multiple sample
comparison, Statistics and Computing 32, 32, section 2.2. The intervals here are those of the binomial at one pointwise
tail.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import scipy.special
import scipy.stats
from numpy.typing import NDArray

Array = NDArray[np.float64]
LEVEL = 0.99
"""Probability that uniform ranks stay within a band."""


@dataclass(frozen=True)
class Uniform:
    """The law of the counts C_i of `count` ranks, each uniform on 0, ..., `highest`."""

    count: int
    highest: int

    @cached_property
    def points(self) -> Array:
        """(L,) probabilities z_i that a rank is below i."""
        return np.arange(1, self.highest + 1) / (self.highest + 1)

    @cached_property
    def tails(self) -> Array:
        """(L, N + 1) the smaller of P(C_i <= c) and P(C_i >= c)."""
        each = np.arange(self.count + 1)
        below = scipy.special.bdtr(each, self.count, self.points[:, None])
        above = np.hstack(
            [np.ones((self.highest, 1)), scipy.special.bdtrc(each[:-1], self.count, self.points[:, None])]
        )
        return np.minimum(below, above)

    def counts(self, ranks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return C_i (L,) of ranks (N,)."""
        return np.searchsorted(np.sort(ranks), np.arange(1, self.highest + 1))

    def inside(self, tail: float) -> float:
        """Return the probability that every C_i has a tail above `tail`, by (1)."""
        allowed = self.tails > tail
        if not allowed.any(axis=1).all():
            return 0.0
        low = allowed.argmax(axis=1)
        high = self.count - allowed[:, ::-1].argmax(axis=1)
        place, before = np.zeros(1, dtype=int), 0.0
        chance = np.ones(1)
        for z, first, last in zip(self.points, low, high, strict=True):
            there = np.arange(first, last + 1)
            steps, left = there - place[:, None], self.count - place[:, None]
            chance = chance @ _binomial(steps, left, (z - before) / (1 - before))
            place, before = there, z
        return float(min(chance.sum(), 1.0))

    def p_value(self, ranks: NDArray[np.int64]) -> float:
        """Return the probability that uniform ranks somewhere lie as far out as these do where they are farthest."""
        return 1.0 - self.inside(float(self.tails[np.arange(self.highest), self.counts(ranks)].min()))

    def band(self, level: float = LEVEL) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the smallest and the largest C_i (L,) of the narrowest band that holds them all with this probability.

        Ranks leave it just where their `p_value` is at most 1 - level.
        """
        allowed = self.tails > _tail(self, level)
        return allowed.argmax(axis=1), self.count - allowed[:, ::-1].argmax(axis=1)


@lru_cache(maxsize=64)
def _tail(law: Uniform, level: float) -> float:
    """Return the largest pointwise tail at which all counts are inside with probability `level` or more."""
    low, high = np.log(1e-3 * (1 - level) / law.highest), np.log(1 - level)
    for _ in range(24):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if law.inside(float(np.exp(middle))) >= level else (low, middle)
    return float(np.exp(low))


def _binomial(k: NDArray[np.int64], n: NDArray[np.int64], p: float) -> Array:
    """Return binomial probabilities, zero where k is none of 0, ..., n."""
    possible = (k >= 0) & (k <= n)
    k = np.where(possible, k, 0)
    ways = scipy.special.gammaln(n + 1) - scipy.special.gammaln(k + 1) - scipy.special.gammaln(n - k + 1)
    return np.where(possible, np.exp(ways + scipy.special.xlogy(k, p) + scipy.special.xlog1py(n - k, -p)), 0.0)


def share_interval(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Return the interval of a binomial probability by Clopper & Pearson (1934), Biometrika 26, 404-413."""
    tail = 0.5 * (1 - level)
    low = scipy.stats.beta.ppf(tail, successes, trials - successes + 1) if successes else 0.0
    high = scipy.stats.beta.ppf(1 - tail, successes + 1, trials - successes) if successes < trials else 1.0
    return float(low), float(high)
