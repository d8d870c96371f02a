"""Eigenproblems in Numba, so that graphs that hold them are compiled whole; the operation is `declare.eigen.Eigen`."""

import hashlib
import inspect
from typing import Any

import numpy as np
from pytensor.graph.basic import Apply
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_and_cache_key

from workbench.declare.eigen import EQUAL, ROUNDING, SKEW, Eigen, EigenPull, pull


def solve(stiffness: Any, mass: Any) -> tuple[Any, Any]:
    """Return eigenvalues and vectors as `Eigen` says, in what Numba compiles: those of L^-1 K L^-T, with M = L L^T.

    Loops over single numbers compile faster than expressions of arrays.
    """
    n = stiffness.shape[0]
    values, vectors = np.full(n, np.nan), np.zeros((n, n))
    for given in (stiffness, mass):
        size, skew = 0.0, 0.0
        for i in range(n):
            for j in range(n):
                size, skew = max(size, abs(given[i, j])), max(skew, abs(given[i, j] - given[j, i]))
                if not abs(given[i, j]) < np.inf:
                    return values, vectors
        if skew > SKEW * size:
            return values, vectors
    lower, reduced = np.zeros((n, n)), stiffness.copy()
    for j in range(n):
        for i in range(j, n):
            left = mass[i, j]
            for k in range(j):
                left -= lower[i, k] * lower[j, k]
            if i == j and not left > 0.0:
                for m in range(n):
                    values[m] = np.inf
                return values, vectors
            lower[i, j] = np.sqrt(left) if i == j else left / lower[j, j]
    for c in range(n):  # L^-1 K, then the same of its rows: L^-1 K L^-T
        for i in range(n):
            for k in range(i):
                reduced[i, c] -= lower[i, k] * reduced[k, c]
            reduced[i, c] /= lower[i, i]
    for r in range(n):
        for i in range(n):
            for k in range(i):
                reduced[r, i] -= lower[i, k] * reduced[r, k]
            reduced[r, i] /= lower[i, i]
    values, vectors = np.linalg.eigh(reduced)
    for c in range(n):
        most = 0.0
        for i in range(n - 1, -1, -1):  # v = L^-T w
            for k in range(i + 1, n):
                vectors[i, c] -= lower[k, i] * vectors[k, c]
            vectors[i, c] /= lower[i, i]
            most = max(most, abs(vectors[i, c]))
        first = 0
        while abs(vectors[first, c]) < 0.5 * most:
            first += 1
        if vectors[first, c] < 0.0:
            for i in range(n):
                vectors[i, c] = -vectors[i, c]
    return values, vectors


def push(values: Any, vectors: Any, stiffness: Any, mass: Any) -> tuple[Any, Any]:
    """Return the derivatives of eigenvalues and vectors from those of K and M, as `declare.eigen` says; Numba's too."""
    n, most = values.size, 0.0
    slopes, moved, along, mixed = np.zeros(n), np.zeros((n, n)), np.zeros((n, n, 2)), np.zeros((n, n))
    for i in range(n):
        most = max(most, abs(values[i]))
        for r in range(n):
            by_k, by_m = 0.0, 0.0
            for c in range(n):
                by_k += stiffness[r, c] * vectors[c, i]
                by_m += mass[r, c] * vectors[c, i]
            for j in range(n):  # v_j^T K' v_i and v_j^T M' v_i
                along[j, i, 0] += vectors[r, j] * by_k
                along[j, i, 1] += vectors[r, j] * by_m
    for i in range(n):
        count, total = 0, 0.0
        for j in range(n):
            gap = values[i] - values[j]
            if abs(gap) <= max(EQUAL * max(abs(values[i]), abs(values[j])), ROUNDING * most):
                count += 1
                total += along[j, j, 0] - values[j] * along[j, j, 1]
                mixed[j, i] = -0.5 * along[j, i, 1]
            else:
                mixed[j, i] = (along[j, i, 0] - values[i] * along[j, i, 1]) / gap
        slopes[i] = total / max(1, count)
        for r in range(n):
            for j in range(n):
                moved[r, i] += vectors[r, j] * mixed[j, i]
    return slopes, moved


def _key(function: Any, *constants: float) -> str:
    return hashlib.sha256(f"{inspect.getsource(function)}|{constants}".encode()).hexdigest()


@register_funcify_and_cache_key(Eigen)
def _eigen_in_numba(op: Eigen, node: Apply, **_: Any) -> tuple[Any, str]:
    inner = numba_njit(solve)

    @numba_njit
    def eigen(stiffness, mass):  # type: ignore[no-untyped-def]
        return inner(stiffness.astype(np.float64), mass.astype(np.float64))

    return eigen, _key(solve, SKEW)


@register_funcify_and_cache_key(EigenPull)
def _pull_in_numba(op: EigenPull, node: Apply, **_: Any) -> tuple[Any, str]:
    inner = numba_njit(pull)

    @numba_njit
    def contract(values, vectors, values_bar, vectors_bar):  # type: ignore[no-untyped-def]
        return inner(values, np.ascontiguousarray(vectors), values_bar, np.ascontiguousarray(vectors_bar))

    return contract, _key(pull, EQUAL, ROUNDING)
