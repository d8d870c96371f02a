"""The unscented transform: points of a Gaussian, and moments of points (Julier & Uhlmann, Proc. IEEE 92 (2004) 401)."""

import math
from typing import Any

import numpy as np
from numba import njit

from workbench.sync.filters.ensemble import clip


@njit(cache=True, error_model="numpy")
def factor(P: Any, L: Any) -> bool:
    """Write the lower Cholesky factor of a covariance, whose columns are 0 where nothing is left to vary.

    Return False if a variance is below zero.
    """
    L[:] = 0.0
    for j in range(P.shape[0]):
        left = P[j, j]
        for k in range(j):
            left -= L[j, k] ** 2
        if not left >= -1e-9 * abs(P[j, j]):
            return False
        if left <= 1e-14 * P[j, j]:
            continue
        L[j, j] = math.sqrt(left)
        for i in range(j + 1, P.shape[0]):
            total = P[i, j]
            for k in range(j):
                total -= L[i, k] * L[j, k]
            L[i, j] = total / L[j, j]
    return True


@njit(cache=True, error_model="numpy")
def place(mean: Any, L: Any, reach: float, low: Any, high: Any, points: Any) -> None:
    """Write the mean and, at `reach` columns of L to both sides, 2 Z points; those beyond a bound are moved onto it."""
    z = mean.size
    points[:] = mean
    for j in range(z):
        for i in range(j, z):
            points[1 + j, i] += reach * L[i, j]
            points[1 + z + j, i] -= reach * L[i, j]
    clip(points, low, high)


@njit(cache=True, error_model="numpy")
def covariance(X: Any, Y: Any, weight: float, extra: float, made: Any) -> None:
    """Write the covariance (A, B) of points X (2 Z + 1, A) and Y (2 Z + 1, B).

    Distances are taken from the first point, of which a small `alpha` gives a huge negative weight: with d its distance
    from the mean, the weighted sum about the mean is that about the first point, plus (beta - alpha^2) d d'.
    """
    made[:] = 0.0
    dx, dy = np.zeros(X.shape[1]), np.zeros(Y.shape[1])
    for b in range(1, X.shape[0]):
        for i in range(dx.size):
            gap = weight * (X[b, i] - X[0, i])
            dx[i] += gap
            for j in range(dy.size):
                made[i, j] += gap * (Y[b, j] - Y[0, j])
        for j in range(dy.size):
            dy[j] += weight * (Y[b, j] - Y[0, j])
    for i in range(dx.size):
        for j in range(dy.size):
            made[i, j] += extra * dx[i] * dy[j]


@njit(cache=True, error_model="numpy")
def centre(X: Any, weight: float, mean: Any) -> None:
    """Write the mean of points, whose weights sum to 1."""
    for i in range(mean.size):
        total = 0.0
        for b in range(1, X.shape[0]):
            total += X[b, i] - X[0, i]
        mean[i] = X[0, i] + weight * total


@njit(cache=True, error_model="numpy")
def transition(points: Any, L: Any, reach: float, A: Any) -> None:
    """Write the matrix A with A L = half the points' distances across, over `reach`: the leg's regression."""
    z = L.shape[0]
    for j in range(z - 1, -1, -1):
        for i in range(z):
            A[i, j] = 0.0
            if L[j, j] > 0.0:
                total = 0.5 * (points[1 + j, i] - points[1 + z + j, i]) / reach
                for k in range(j + 1, z):
                    total -= A[i, k] * L[k, j]
                A[i, j] = total / L[j, j]
