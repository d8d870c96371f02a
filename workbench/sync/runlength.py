"""How long a detector runs until it raises a false alarm, exactly, and the threshold that makes it run so long.

All act on z, the innovations divided by their SD: independent and standard normal while model and sensors are right.
"""

from collections.abc import Callable

import numpy as np
import scipy.optimize
from numpy.typing import NDArray
from scipy.special import ndtr

Array = NDArray[np.float64]
NODES = 80  # of the quadrature; thresholds agree with 160 of them to 1e-9


def _normal(x: Array) -> Array:
    return np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi)


def cusum_run_length(threshold: float, reference: float) -> float:
    """Return the mean number of readings until a one-sided CUSUM of z, begun at zero, exceeds a threshold.

    S = max(0, S + z - reference). Page's integral equation, L(s) = 1 + L(0) P(z < reference - s) + integral over y in
    (0, h) of L(y) phi(y + reference - s) (Page, Biometrika 41 (1954) 100-115, section 3), by Gauss-Legendre quadrature
    (Goel & Wu, Technometrics 13 (1971) 221-230).
    """
    x, w = np.polynomial.legendre.leggauss(NODES)
    y, w = 0.5 * threshold * (x + 1), 0.5 * threshold * w
    s = np.concatenate([[0.0], y])
    kernel = np.empty((NODES + 1, NODES + 1))
    kernel[:, 0] = ndtr(reference - s)
    kernel[:, 1:] = w * _normal(y + reference - s[:, None])
    return float(np.linalg.solve(np.eye(NODES + 1) - kernel, np.ones(NODES + 1))[0])


def ewma_run_length(threshold: float, weight: float) -> float:
    """Return the mean number of readings until a moving average of z, begun at zero, leaves its two limits.

    E = (1 - weight) E + weight z, limits at threshold times its stationary SD, sqrt(weight / (2 - weight)). Integral
    equation of Crowder, Technometrics 29 (1987) 401-407, eq. 3.
    """
    h = threshold * np.sqrt(weight / (2 - weight))
    x, w = np.polynomial.legendre.leggauss(NODES)
    y, w = h * x, h * w
    kernel = w * _normal((y - (1 - weight) * y[:, None]) / weight) / weight
    inside = np.linalg.solve(np.eye(NODES) - kernel, np.ones(NODES))
    return 1 + float((w * _normal(y / weight) / weight) @ inside)


def spread_run_length(threshold: float, reference: float) -> float:
    """Return the mean number of readings until a CUSUM of z^2, begun at zero, exceeds a threshold.

    S = max(0, S + z^2 - reference). A Markov chain over 400 equal cells of [0, threshold] (Brook & Evans, Biometrika 59
    (1972) 539-549). Against 800 cells it is right to 0.1 % at a run length of 1e3, and to 1 % at 1e7.
    """
    cells = 400
    width = 2 * threshold / (2 * cells - 1)
    edges = reference + width * (np.arange(-cells, cells) + 0.5)  # by how many cells S moves
    below = 2 * ndtr(np.sqrt(np.maximum(edges, 0.0))) - 1
    move = cells + np.arange(cells)[None, :] - np.arange(cells)[:, None]
    kernel = below[move] - below[move - 1]
    kernel[:, 0] = below[move[:, 0]]
    return float(np.linalg.solve(np.eye(cells) - kernel, np.ones(cells))[0])


def spread_threshold(run_length: float, reference: float) -> float:
    """Return the threshold at which a CUSUM of z^2 runs so many readings on average between false alarms."""
    return _solve(
        lambda h: spread_run_length(h, reference), run_length, 1e-2, 80.0 / max(reference - 1, 0.1), xtol=1e-4
    )


def cusum_threshold(run_length: float, reference: float) -> float:
    """Return the threshold at which a two-sided CUSUM runs so many readings on average between false alarms.

    Its sides never alarm together, so rates add: each runs twice as long (Van Dobben de Bruyn 1968).
    """
    return _solve(lambda h: cusum_run_length(h, reference), 2 * run_length, 1e-3, 60.0 / max(reference, 0.05))


def ewma_threshold(run_length: float, weight: float) -> float:
    """Return the limits, in stationary SDs, at which a moving average runs so many readings between false alarms."""
    return _solve(lambda h: ewma_run_length(h, weight), run_length, 1e-2, 12.0)


def _solve(run: Callable[[float], float], wanted: float, low: float, high: float, *, xtol: float = 1e-10) -> float:
    """Return where a growing run length is the one wanted; the low end where none is as short.

    Where rounding lets none be told longer, it is where that begins.
    """
    ceiling = 1e11  # 1 - kernel is singular to rounding beyond

    def short(h: float) -> float:
        length = run(h)
        return np.log(min(length, ceiling) if length > 0 else ceiling) - np.log(min(wanted, ceiling / 2))

    if short(low) >= 0:
        return low
    return float(scipy.optimize.brentq(short, low, high, xtol=xtol))
