"""The likelihood of readings at a limit of quantification: the chance of what lies at the limit or beyond it."""

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from workbench.sync.filters.plant import Plant
from workbench.sync.filters.sensors import log_density, shown, variance

_LOG_2PI = math.log(2 * math.pi)


def upper_limits(plant: Plant) -> NDArray[np.float64]:
    """Return the upper limit of each measured element, (M,), infinite where there is none."""
    rows = []
    for name in plant.measured:
        high = plant.model.outputs[name].limits[1]
        rows += [math.inf if high is None else float(high)] * math.prod(plant.model.output_layout.shapes[name])
    return np.array(rows, dtype=float)


@njit(cache=True, error_model="numpy")
def log_normal_tail(z: float) -> float:
    """Return log Phi(z), far below by its asymptotic series (Abramowitz & Stegun 26.2.12)."""
    if z > -30.0:
        return math.log(0.5 * math.erfc(-z / math.sqrt(2.0)))
    s = 1.0 / (z * z)
    return -0.5 * (z * z + _LOG_2PI) - math.log(-z) + math.log1p(-s * (1.0 - 3.0 * s * (1.0 - 5.0 * s * (1 - 7.0 * s))))


@njit(cache=True, error_model="numpy")
def _log_beta_share(a: float, b: float, x: float) -> float:
    """Return log I_x(a, b) for x below (a + 1) / (a + b + 2), by the continued fraction DLMF 8.17.22 (Lentz)."""
    tiny = 1e-300
    c, d = 1.0, 1.0 / max(1.0 - (a + b) * x / (a + 1.0), tiny)
    made = d
    for m in range(1, 500):
        for half in range(2):
            if half == 0:
                term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
            else:
                term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
            d = 1.0 + term * d
            c = 1.0 + term / c
            d = 1.0 / (d if abs(d) > tiny else tiny)
            c = c if abs(c) > tiny else tiny
            made *= d * c
        if abs(d * c - 1.0) < 1e-15:
            break
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    return a * math.log(x) + b * math.log1p(-x) - math.log(a) - log_beta + math.log(made)


@njit(cache=True, error_model="numpy")
def log_student_tail(nu: float, z: float) -> float:
    """Return log P(T < z) of Student's t: I_x(nu / 2, 1 / 2) / 2 at x = nu / (nu + z^2) for z below 0 (DLMF 8.17)."""
    if z > 0.0:
        return math.log1p(-math.exp(log_student_tail(nu, -z)))
    x, a = nu / (nu + z * z), 0.5 * nu
    if x < (a + 1.0) / (a + 2.5):
        return math.log(0.5) + _log_beta_share(a, 0.5, x)
    if z == 0.0:
        return math.log(0.5)
    return math.log(0.5) + math.log1p(-math.exp(_log_beta_share(0.5, a, z * z / (nu + z * z))))


@njit(cache=True, error_model="numpy")
def _log_count_tail(kind: int, first: float, limit: float, value: float, upper: bool) -> float:
    """Return the log chance of counts up to a limit, or from it on, by sums of chances, the smaller side of the two."""
    if upper and limit <= 0.0:
        return 0.0
    total = 0.0
    if not upper or value > limit:
        for count in range(math.ceil(limit) if upper else math.floor(limit) + 1):
            total += math.exp(log_density(kind, first, 0.0, float(count), value))
        if upper:
            return math.log1p(-min(total, 1.0))
        return math.log(min(total, 1.0)) if total > 0.0 else log_density(kind, first, 0.0, math.floor(limit), value)
    top = log_density(kind, first, 0.0, math.ceil(limit), value)
    if top == -math.inf:
        return top
    term, at = 1.0, float(math.ceil(limit))
    while term > 1e-17 * total or at < value:
        total += term
        at += 1.0
        term = math.exp(log_density(kind, first, 0.0, at, value) - top)
    return top + math.log(total)


@njit(cache=True, error_model="numpy")
def log_beyond(kind: int, arguments: Any, limit: float, value: float, upper: bool) -> float:
    """Return the log chance that a reading of an output lies at a limit or beyond it: below, or above (`upper`).

    `arguments` are the two of its noise, `kind` as in `sensors.KINDS`.
    """
    first, second = arguments
    if kind >= 6:
        return _log_count_tail(kind, first, limit, value, upper)
    if kind == 1 and value <= 0.0:
        return -math.inf
    gap = shown(kind, limit) - shown(kind, value)
    gap = -gap if upper else gap
    if kind == 4:
        return log_student_tail(first, gap / second)
    if kind == 5:
        return math.log(0.5) + gap / first if gap < 0.0 else math.log1p(-0.5 * math.exp(-gap / first))
    return log_normal_tail(gap / math.sqrt(variance(kind, first, second, value)))
