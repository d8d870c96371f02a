"""The scale on which estimated parameters are filtered: unbounded, so that no correction leaves their support."""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Scales(NamedTuple):
    """Parameters estimated jointly: J places in theta, and the ends of their supports (infinite: none).

    phi = theta without ends, log(theta - low), -log(high - theta), or logit of the fraction between two ends.
    """

    place: NDArray[np.int64]
    low: Array
    high: Array


def no_scales() -> Scales:
    """Return the scales of no parameters."""
    return Scales(np.empty(0, dtype=np.int64), np.empty(0), np.empty(0))


@njit(cache=True, error_model="numpy")
def natural(low: float, high: float, phi: float) -> tuple[float, float]:
    """Return a parameter, and its derivative by phi."""
    if low == -math.inf and high == math.inf:
        return phi, 1.0
    if high == math.inf:
        size = math.exp(min(phi, 700.0))
        return low + size, size
    if low == -math.inf:
        size = math.exp(min(-phi, 700.0))
        return high - size, size
    share = 1.0 / (1.0 + math.exp(-phi)) if phi > -700.0 else 0.0
    return low + (high - low) * share, (high - low) * share * (1.0 - share)


def unbounded(low: float, high: float, theta: Array) -> Array:
    """Return phi of values of a parameter inside its support."""
    with np.errstate(divide="ignore"):
        if low == -math.inf and high == math.inf:
            return theta
        if high == math.inf:
            return np.log(theta - low)
        if low == -math.inf:
            return -np.log(high - theta)
        return np.log(theta - low) - np.log(high - theta)


def moments(low: float, high: float, mean: Array, sd: Array) -> tuple[Array, Array]:
    """Return mean and SD of a parameter whose phi is Gaussian (Gauss-Hermite quadrature with 32 nodes)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(32)
    weights = weights / weights.sum()
    phi = mean[..., None] + sd[..., None] * nodes
    values = naturals(low, high, phi)
    centre = (values * weights).sum(axis=-1)  # no matrix product, whose rounding depends on the number of rows
    return centre, np.sqrt(((values - centre[..., None]) ** 2 * weights).sum(axis=-1))


@njit(cache=True, error_model="numpy")
def naturals(low: float, high: float, phi: Any) -> Any:
    """Return the parameters of an array of phi."""
    made = np.empty_like(phi)
    for place in np.ndindex(phi.shape):
        made[place] = natural(low, high, phi[place])[0]
    return made
