"""Weights of particles: from the readings' likelihood to numbers that sum to 1, and what they say."""

import math
from typing import Any

import numpy as np
from numba import njit

from workbench.sync.filters.limits import log_beyond
from workbench.sync.filters.sensors import log_density, shown


@njit(cache=True, error_model="numpy")
def normalise(log_weights: Any, weights: Any) -> float:
    """Write weights that sum to 1; return the log of what they summed to, -inf where all are 0."""
    top = -math.inf
    for b in range(log_weights.size):
        top = max(top, log_weights[b])
    if top == -math.inf:
        return top
    total = 0.0
    for b in range(log_weights.size):
        weights[b] = math.exp(log_weights[b] - top)
        total += weights[b]
    for b in range(log_weights.size):
        weights[b] /= total
    return top + math.log(total)


@njit(cache=True, error_model="numpy")
def effective(weights: Any) -> float:
    """Return the effective number of particles, 1 over the sum of squared weights (Liu & Chen 1998)."""
    total = 0.0
    for b in range(weights.size):
        total += weights[b] ** 2
    return 1.0 / total


@njit(cache=True, error_model="numpy")
def expect(plan: Any, outputs: Any, weights: Any, expected: Any) -> None:
    """Write mean and variance (2, M) of the outputs measured, on the scale of their noise."""
    for j in range(plan.column.size):
        mean, square = 0.0, 0.0
        for b in range(weights.size):
            if weights[b] > 0.0:
                mean += weights[b] * shown(plan.kind[j], outputs[b, plan.column[j]])
        for b in range(weights.size):
            if weights[b] > 0.0:
                square += weights[b] * (shown(plan.kind[j], outputs[b, plan.column[j]]) - mean) ** 2
        expected[0, j], expected[1, j] = mean, square


@njit(cache=True, error_model="numpy")
def mark(log_weights: Any, lost: Any) -> int:
    """Take the weight from particles that failed; return how many."""
    failed = 0
    for b in range(lost.size):
        if lost[b]:
            log_weights[b] = -math.inf
            failed += 1
    return failed


@njit(cache=True, error_model="numpy")
def weigh(plan: Any, k: int, cloud: Any, outputs: Any, upper: Any, flag: Any) -> None:
    """Multiply weights by the likelihood of the readings flagged as used, and of those at a limit."""
    members, log_weights, _ = cloud
    for b in range(members.shape[0]):
        for j in range(plan.column.size):
            value, y, kind = outputs[b, plan.column[j]], plan.y[k, j], plan.kind[j]
            if flag[j] == 3:
                arguments = (plan.first[j], plan.second[j])
                log_weights[b] += log_beyond(kind, arguments, y, value, y >= upper[j])
            elif flag[j] == 0:
                log_weights[b] += log_density(kind, plan.first[j], plan.second[j], y, value)
        if np.isnan(log_weights[b]):
            log_weights[b] = -math.inf
