"""Eigenproblems in Numba, so that graphs that hold them are compiled whole; the operation is `declare.eigen.Eigen`."""

import hashlib
import inspect
from typing import Any

import numpy as np
from pytensor.graph.basic import Apply
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_and_cache_key

from workbench.declare.eigen import EQUAL, ROUNDING, SKEW, Eigen, EigenPull, pull


def solve(stiffness: Any, mass: Any) -> tuple[Any, Any]:
    """Return eigenvalues and vectors as `Eigen` says, in what Numba compiles: those of L^-1 K L^-T, with M = L L^T."""
    n = stiffness.shape[0]
    values, vectors = np.full(n, np.nan), np.zeros((n, n))
    for given in (stiffness, mass):
        size = np.abs(given).max() if n else 0.0
        for i in range(n):
            for j in range(n):
                if not abs(given[i, j] - given[j, i]) <= SKEW * size or not size < np.inf:
                    return values, vectors
    lower, reduced = np.zeros((n, n)), stiffness.copy()
    for j in range(n):
        left = mass[j, j] - (lower[j, :j] ** 2).sum()
        if not left > 0.0:
            return np.full(n, np.inf), vectors
        lower[j, j] = np.sqrt(left)
        for i in range(j + 1, n):
            lower[i, j] = (mass[i, j] - (lower[i, :j] * lower[j, :j]).sum()) / lower[j, j]
    for _ in range(2):  # L^-1 K, then its transpose by L^-1: L^-1 K L^-T
        for i in range(n):
            for k in range(i):
                reduced[i] -= lower[i, k] * reduced[k]
            reduced[i] /= lower[i, i]
        reduced = reduced.T.copy()
    values, vectors = np.linalg.eigh(reduced)
    vectors = np.ascontiguousarray(vectors)
    for i in range(n - 1, -1, -1):  # v = L^-T w
        for k in range(i + 1, n):
            vectors[i] -= lower[k, i] * vectors[k]
        vectors[i] /= lower[i, i]
    for k in range(n):
        most = np.abs(vectors[:, k]).max()
        for i in range(n):
            if abs(vectors[i, k]) >= 0.5 * most:
                if vectors[i, k] < 0.0:
                    vectors[:, k] *= -1.0
                break
    return values, vectors


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
