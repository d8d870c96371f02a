"""Reflections and random turns of the rows of a matrix, in place."""

import math
from typing import Any

import numpy as np
from numba import njit


@njit(cache=True, error_model="numpy")
def ones(count: int) -> tuple[Any, float]:
    """Return the vector and the divisor of the reflection that maps ones onto the first of the rows."""
    one = np.full(count, 1.0 / math.sqrt(count))
    one[0] += 1.0
    return one, one[0]


@njit(cache=True, error_model="numpy")
def reflect(A: Any, first: int, u: Any, size: float, work: Any) -> None:
    """Apply I - u u' / size to the rows of A from `first` on; u lies from `first` on, too."""
    for i in range(A.shape[1]):
        work[i] = 0.0
    for b in range(first, A.shape[0]):
        for i in range(A.shape[1]):
            work[i] += u[b] * A[b, i]
    for b in range(first, A.shape[0]):
        share = u[b] / size
        for i in range(A.shape[1]):
            A[b, i] -= share * work[i]


@njit(cache=True, error_model="numpy")
def turn(A: Any, rng: Any) -> None:
    """Turn anomalies (B, Z) by a random orthogonal matrix that keeps their mean at zero.

    Reflections of Gaussian vectors make it uniform (Stewart, SIAM J. Numer. Anal. 17 (1980) 403-409), in the space
    orthogonal to ones, which a reflection maps onto all rows but the first.
    """
    one, size = ones(A.shape[0])
    reflect(A, 0, one, size, np.empty(A.shape[1]))
    spin(A, rng)
    reflect(A, 0, one, size, np.empty(A.shape[1]))


@njit(cache=True, error_model="numpy")
def spin(A: Any, rng: Any) -> None:
    """Turn all rows but the first by a random orthogonal matrix."""
    count = A.shape[0]
    u, work = np.empty(count), np.empty(A.shape[1])
    for first in range(count - 1, 0, -1):
        length = 0.0
        for b in range(first, count):
            u[b] = rng.standard_normal()
            length += u[b] ** 2
        length = math.sqrt(length)
        sign = 1.0 if u[first] > 0.0 else -1.0
        u[first] += sign * length
        if first < count - 1:
            reflect(A, first, u, sign * length * u[first], work)
        if sign > 0.0:
            for i in range(A.shape[1]):
                A[first, i] = -A[first, i]
