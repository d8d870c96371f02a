"""Where particles are proposed: carried by kicks of noise that are drawn blindly, or steered towards the readings."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from workbench.simulate.kernels.calls import carry, slopes
from workbench.sync.filters.ensemble import clip, start
from workbench.sync.filters.points import factor
from workbench.sync.filters.sensors import shown, shown_slope, variance


@dataclass(frozen=True)
class Bootstrap:
    """Particles follow the model and are weighted by the readings (Gordon, Salmond & Smith, IEE Proc. F 140 (1993))."""


@dataclass(frozen=True)
class Guided:
    """Each particle's noise is drawn given the readings, by a linearisation along its own path.

    The locally optimal proposal of Doucet, Godsill & Andrieu (Stat. Comput. 10 (2000) 197-208, section II.D), in the
    space of all kicks of process noise between two readings, where it is Gaussian; weights are those of the equations
    themselves, so that nothing is approximated. For exact sensors; each particle costs some derivatives more.
    """


Proposal = Bootstrap | Guided


@njit(cache=True, error_model="numpy")
def flow(address: int, plan: Any, k: int, given: Any, members: Any, kicks: Any, made: Any) -> None:
    """Carry particles (B, Z) over the legs of a cycle with given kicks (L, 2, B, N), in SDs, before and after each.

    Those that fail are marked in made[6] and stand where another is, so that there is something to carry on.
    """
    theta, scales, sigma, low, high, _ = given
    states, lost = made[0], made[6]
    (count, n), first = states.shape, plan.leg[k]
    lost[:] = False
    for leg in range(first, plan.leg[k + 1]):
        before, after = math.sqrt(plan.before[leg]), math.sqrt(plan.after[leg])
        for b in range(count):
            for i in range(n):
                members[b, i] += before * sigma[i] * kicks[leg - first, 0, b, i]
        start(members, theta, scales, n, made[5])
        failed = carry(address, plan, leg, theta, made[5], made[:5])
        if failed == count:
            lost[:] = True
            return
        other = 0
        while np.isnan(states[other, 0]):
            other += 1
        for b in range(count):
            bad = np.isnan(states[b, 0])
            lost[b] = lost[b] or bad
            for i in range(n):
                members[b, i] = states[other if bad else b, i] + after * sigma[i] * kicks[leg - first, 1, b, i]
        clip(members, low, high)


@njit(cache=True, error_model="numpy")
def _paths(address: int, plan: Any, k: int, given: Any, members: Any, guide: Any) -> None:
    """Carry particles without noise to the readings; write each leg's derivatives (L, B, N, N), and the outputs'."""
    theta, along, by_leg = guide
    values, derivatives = along[0], along[1]
    count, n = members.shape[0], given[2].size
    for b in range(count):
        for i in range(n):
            theta[b, i] = members[b, i]
        for p in range(given[0].shape[1]):
            theta[b, n + p] = given[0][b, p]
    first, last = plan.leg[k], plan.leg[k + 1]
    for leg in range(first, last):
        slopes(address, plan, leg, theta, along)
        for b in range(count):
            for i in range(n):
                theta[b, i] = min(max(values[b, i], given[3][i]), given[4][i])
                for a in range(n):
                    by_leg[leg - first, b, i, a] = derivatives[b, i, a]
    slopes(address, plan, plan.until.size - plan.y.shape[0] + k, theta, along)


@njit(cache=True, error_model="numpy")
def _gains(plan: Any, k: int, sigma: Any, used: Any, b: int, guide: Any, made: Any) -> bool:
    """Write what readings (m,) miss of one particle's path, their variances, and derivatives (m, D) by the kicks."""
    miss, R, J = made
    values, derivatives, by_leg, n = guide[1][0], guide[1][1], guide[2], sigma.size
    legs = plan.leg[k + 1] - plan.leg[k]
    G, other = np.empty((used.size, n)), np.empty(n)
    for j in range(used.size):
        place, at = used[j], n + plan.column[used[j]]
        kind, value = plan.kind[place], values[b, at]
        if not np.isfinite(value) or (kind == 1 and value <= 0.0):
            return False
        miss[j] = shown(kind, plan.y[k, place]) - shown(kind, value)
        R[j] = variance(kind, plan.first[place], plan.second[place], value)
        for i in range(n):
            G[j, i] = shown_slope(kind, value) * derivatives[b, at, i]
            if not np.isfinite(G[j, i]):
                return False
        if not R[j] > 0.0:
            return False
    for leg in range(legs - 1, -1, -1):
        before = math.sqrt(plan.before[plan.leg[k] + leg])
        after = math.sqrt(plan.after[plan.leg[k] + leg])
        for j in range(used.size):
            for i in range(n):
                J[j, (2 * leg + 1) * n + i] = after * sigma[i] * G[j, i]
                other[i] = 0.0
                for a in range(n):
                    other[i] += G[j, a] * by_leg[leg, b, a, i]
            for i in range(n):
                G[j, i] = other[i]
                J[j, 2 * leg * n + i] = before * sigma[i] * G[j, i]
                if not np.isfinite(G[j, i]):
                    return False
    return True


@njit(cache=True, error_model="numpy")
def steer(where: Any, k: int, given: Any, cloud: Any, used: Any, guide: Any, rng: Any) -> None:
    """Turn blind kicks (L, 2, B, N) into ones drawn given the readings `used`; write the correction into log weights.

    With readings v = J xi + error along a particle's path, kicks xi0 of the prior and errors e become draws of the
    posterior by xi = xi0 + J' S^-1 (v - J xi0 - e), S = J J' + R (conditioning by kriging: Journel & Huijbregts, Mining
    Geostatistics, 1978, chapter VII). By Bayes' rule prior over proposal is N(v; 0, S) / N(v; J xi, R).
    """
    address, plan = where
    members, log_weights, kicks = cloud
    _paths(address, plan, k, given, members, guide)
    n, m, legs = given[2].size, used.size, plan.leg[k + 1] - plan.leg[k]
    miss, R, J = np.empty(m), np.empty(m), np.zeros((m, 2 * legs * n))
    S, L, gap, whole = np.empty((m, m)), np.empty((m, m)), np.empty(m), np.empty(m)
    xi = np.empty(2 * legs * n)
    for b in range(members.shape[0]):
        if not _gains(plan, k, given[2], used, b, guide, (miss, R, J)):
            continue  # this one goes blindly
        for d in range(xi.size):
            xi[d] = kicks[d // (2 * n), (d // n) % 2, b, d % n]
        S[:] = J @ J.T
        for j in range(m):
            S[j, j] += R[j]
            gap[j] = miss[j] - math.sqrt(R[j]) * rng.standard_normal()
            for d in range(xi.size):
                gap[j] -= J[j, d] * xi[d]
        if not factor(S, L):
            continue
        total = 0.0
        for j in range(m):
            whole[j] = miss[j]
            for i in range(j):
                whole[j] -= L[j, i] * whole[i]
                gap[j] -= L[j, i] * gap[i]
            whole[j] /= L[j, j]
            gap[j] /= L[j, j]
            total -= 0.5 * whole[j] ** 2 + math.log(L[j, j])
        for j in range(m - 1, -1, -1):
            for i in range(j + 1, m):
                gap[j] -= L[i, j] * gap[i]
            gap[j] /= L[j, j]
        for d in range(xi.size):
            for j in range(m):
                xi[d] += J[j, d] * gap[j]
            kicks[d // (2 * n), (d // n) % 2, b, d % n] = xi[d]
        for j in range(m):
            left = miss[j]
            for d in range(xi.size):
                left -= J[j, d] * xi[d]
            total += 0.5 * (left * left / R[j] + math.log(R[j]))
        log_weights[b] += total
