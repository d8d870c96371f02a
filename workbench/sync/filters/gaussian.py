"""What Gaussian filters share: taking in readings one by one, and tests that they agree with the forecast."""

import math
from typing import Any

import numpy as np
from numba import njit

from workbench.sync.filters.sensors import shown, variance

_LOG_2PI = math.log(2 * math.pi)


@njit(cache=True, error_model="numpy")
def compare(plan: Any, k: int, gate: float, h: Any, spread: Any, room: Any) -> int:
    """Compare the readings of cycle k with their forecast; return how many can be used.

    `h` (M,) are outputs on the scale of their noise, `spread` (M,) their variances; `room` is innovation and SD (2, M),
    flags (M,) and variances of the noise (M,). A reading further than `gate` SDs from its forecast is refused; one at a
    limit of quantification says only that, and is not used.
    """
    innovation, flag, noise = room
    used = 0
    for j in range(h.size):
        kind = plan.kind[j]
        value = math.exp(h[j]) if kind == 1 else h[j]
        noise[j] = variance(kind, plan.first[j], plan.second[j], value)
        y = plan.y[k, j]
        innovation[1, j] = math.sqrt(spread[j] + noise[j])
        if np.isnan(y):
            innovation[0, j] = np.nan
            flag[j] = 1
            continue
        innovation[0, j] = shown(kind, y) - h[j]
        flag[j] = 3 if plan.at_limit[k, j] else 0
        if flag[j] == 0 and not abs(innovation[0, j]) <= gate * innovation[1, j]:
            flag[j] = 2
        used += flag[j] == 0
    return used


@njit(cache=True, error_model="numpy")
def correct(plan: Any, k: int, H: Any, mean: Any, P: Any, D: Any, room: Any) -> float:
    """Take in the readings that are flagged as used, one by one; return their log density, NaN where P is lost.

    Readings' errors are independent, so one by one is exact (Durbin & Koopman, Time Series Analysis by State Space
    Methods, 2nd ed. 2012, section 6.4). `D` is the part of the covariance that is infinite, in units of a number that
    goes to infinity (section 5.2; Koopman, JASA 92 (1997) 1630-1638); a reading that it explains adds -log(F) / 2, as
    in SsfPack and KFAS (other packages add -log(2 pi) / 2 as well).
    """
    innovation, flag, noise = room
    z = mean.size
    first = mean.copy()
    total = 0.0
    g, e = np.empty(z), np.empty(z)
    diffuse = D.size > 0
    for j in range(H.shape[0]):
        if flag[j] != 0:
            continue
        v = innovation[0, j]
        f, far, size = noise[j], 0.0, 0.0
        for a in range(z):
            v -= H[j, a] * (mean[a] - first[a])
            g[a], e[a] = 0.0, 0.0
            for b in range(z):
                g[a] += P[a, b] * H[j, b]
                if diffuse:
                    e[a] += D[a, b] * H[j, b]
            f += H[j, a] * g[a]
            far += H[j, a] * e[a]
            size += H[j, a] * H[j, a]
        if plan.kind[j] == 1:
            total -= math.log(plan.y[k, j])
        if far > 1e-9 * size:
            total -= 0.5 * math.log(far)
            for a in range(z):
                mean[a] += e[a] / far * v
                for b in range(z):
                    P[a, b] += e[a] * e[b] * f / far**2 - (g[a] * e[b] + e[a] * g[b]) / far
                    D[a, b] -= e[a] * e[b] / far
            continue
        if not f > 0.0:
            return np.nan
        total -= 0.5 * (_LOG_2PI + math.log(f) + v * v / f)
        for a in range(z):
            e[a] = g[a] / f
            mean[a] += e[a] * v
        left = 0.0  # of the variance along H: lost to rounding where the reading is too sharp for what was known
        for a in range(z):
            for b in range(a + 1):  # Joseph's form, what cancels first
                P[a, b] = ((P[a, b] - e[a] * g[b]) - (g[a] - e[a] * (f - noise[j])) * e[b]) + e[a] * e[b] * noise[j]
                P[b, a] = P[a, b]
                left += (1.0 if a == b else 2.0) * H[j, a] * H[j, b] * P[a, b]
        if not abs(left - noise[j] * (f - noise[j]) / f) <= 1e-3 * noise[j]:
            return np.nan
    return total


@njit(cache=True, error_model="numpy")
def carried(A: Any, P: Any) -> Any:
    """Return A P A', symmetric to the last bit."""
    made = A @ P @ A.T
    for a in range(made.shape[0]):
        for b in range(a):
            made[a, b] = made[b, a] = 0.5 * (made[a, b] + made[b, a])
    return made


@njit(cache=True, error_model="numpy")
def project(low: Any, high: Any, mean: Any) -> None:
    """Move states that are beyond a bound onto it."""
    for i in range(low.size):
        mean[i] = min(max(mean[i], low[i]), high[i])


@njit(cache=True, error_model="numpy")
def spreads(P: Any, D: Any, made: Any) -> None:
    """Write the roots of a covariance's diagonal, infinite where it is diffuse."""
    for a in range(P.shape[0]):
        far = D.size > 0 and D[a, a] > 1e-9
        made[a] = math.inf if far else math.sqrt(max(P[a, a], 0.0))
