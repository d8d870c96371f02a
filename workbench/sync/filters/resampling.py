"""How particles are drawn anew by their weights (Douc, Cappe & Moulines, Proc. ISPA 2005, 64-69)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

_SYSTEMATIC, _STRATIFIED, _RESIDUAL, _MULTINOMIAL = range(4)


@dataclass(frozen=True)
class Systematic:
    """One uniform number for all: counts differ from their expectation by less than 1 (Carpenter et al. 1999)."""

    code = _SYSTEMATIC


@dataclass(frozen=True)
class Stratified:
    """A uniform number in each of B equal strata (Kitagawa, J. Comput. Graph. Stat. 5 (1996) 1-25)."""

    code = _STRATIFIED


@dataclass(frozen=True)
class Residual:
    """The whole part of each expectation for certain, the rest at random (Liu & Chen, JASA 93 (1998) 1032-1044)."""

    code = _RESIDUAL


@dataclass(frozen=True)
class Multinomial:
    """Each particle by itself (Gordon, Salmond & Smith 1993); the others vary less."""

    code = _MULTINOMIAL


Resampler = Systematic | Stratified | Residual | Multinomial


@njit(cache=True, error_model="numpy")
def _by_rank(weights: Any, total: float, ranks: Any, picked: Any) -> None:
    """Write for each of some increasing numbers in (0, 1) the particle at whose cumulative weight it lies."""
    last = weights.size - 1
    while last > 0 and weights[last] <= 0.0:
        last -= 1
    b, sum_ = 0, weights[0]
    for i in range(ranks.size):
        while ranks[i] * total >= sum_ and b < last:
            b += 1
            sum_ += weights[b]
        picked[i] = b


@njit(cache=True, error_model="numpy")
def _ordered(count: int, rng: Any) -> Any:
    """Return sorted uniform numbers, as sums of exponential ones (Devroye, Random Variate Generation, 1986, V)."""
    made, total = np.empty(count), 0.0
    for i in range(count):
        total += rng.standard_exponential()
        made[i] = total
    return made / (total + rng.standard_exponential())


@njit(cache=True, error_model="numpy")
def resample(code: int, weights: Any, rng: Any, picked: Any) -> None:
    """Write which particle each of B new ones copies, (B,); `weights` sum to 1."""
    count = weights.size
    if code <= 1:
        ranks, one = np.empty(count), rng.random()
        for i in range(count):
            ranks[i] = (i + (one if code == 0 else rng.random())) / count
        _by_rank(weights, 1.0, ranks, picked)
        return
    if code == 3:
        _by_rank(weights, 1.0, _ordered(count, rng), picked)
        return
    rest, total, taken = np.empty(count), 0.0, 0
    for b in range(count):
        whole = np.floor(count * weights[b] + 1e-12)
        rest[b] = max(count * weights[b] - whole, 0.0)
        total += rest[b]
        for _ in range(int(whole)):
            if taken < count:
                picked[taken] = b
                taken += 1
    if taken < count:
        _by_rank(rest, total, _ordered(count - taken, rng), picked[taken:])
