"""Generalized eigenproblems K v = lambda M v in equations, with derivatives: modes of structures and the like.

Of numbers they are solved at once; of PyTensor variables, or lists of them, they become an operation of the graph.

Derivatives of distinct eigenvalues and of their vectors are those of Fox & Kapoor (1968, AIAA J. 6:2426, eqs 5 and 11),
with all modes in the expansion, where it is exact: lambda_i' = v_i^T (K' - lambda_i M') v_i, and v_i' is the sum over
j != i of v_j v_j^T (K' - lambda_i M') v_i / (lambda_i - lambda_j), minus v_i (v_i^T M' v_i) / 2.

Where eigenvalues are equal, their derivatives depend on the direction in which parameters move, and their vectors may
be any basis of a space: each of these eigenvalues is given the mean of their derivatives, which no basis changes, and
the vectors' share within the space is left out. `simulate` and `to_pymc` report such eigenvalues.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import DisconnectedType
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.op import Op
from pytensor.tensor.blockwise import Blockwise

from workbench.base.errors import DeclarationError

EQUAL = 1e-10  # relative distance up to which eigenvalues count as equal
ROUNDING = 1e-14  # the same, of the largest eigenvalue
SKEW = 1e-8  # relative difference of a matrix from its transpose up to which it counts as symmetric


class Eigen(Op):
    """Eigenvalues (n,), increasing, and vectors (n, n) as columns, with V^T M V = 1, of K (n, n) and M (n, n).

    The first entry of a vector that is at least half as large as its largest is positive. Where M is not positive
    definite, eigenvalues are infinite; where a matrix is not symmetric or not finite, NaN; vectors are then zero.
    """

    __props__ = ()
    gufunc_signature = "(n,n),(n,n)->(n),(n,n)"

    def make_node(self, stiffness: Any, mass: Any) -> Apply:
        """Return the application to two square matrices."""
        given = [pt.as_tensor_variable(i).astype("float64") for i in (stiffness, mass)]
        n = next((size for i in given for size in i.type.shape if size is not None), None)
        return Apply(self, given, [pt.TensorType("float64", shape=(n,))(), pt.TensorType("float64", shape=(n, n))()])

    def perform(self, node: Apply, inputs: Sequence[Any], storage: Any) -> None:
        """Solve by LAPACK."""
        storage[0][0], storage[1][0] = solve(*inputs)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        """As K's."""
        return [(shapes[0][0],), shapes[0]]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Both results depend on both matrices."""
        return [[True, True], [True, True]]

    def pullback(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], cotangents: Sequence[Variable]
    ) -> list[Variable]:
        """Return the cotangents of K and M."""
        given = zip(cotangents, outputs, strict=True)
        bars = [pt.zeros_like(out) if isinstance(bar.type, DisconnectedType) else bar for bar, out in given]
        return EigenPull()(*outputs, *bars)


class EigenPull(Op):
    """Cotangents of K and M from eigenvalues (n,), vectors (n, n) and the cotangents of these."""

    __props__ = ()
    gufunc_signature = "(n),(n,n),(n),(n,n)->(n,n),(n,n)"

    def make_node(self, *given: Any) -> Apply:
        """Return the application to values, vectors and their cotangents."""
        made = [pt.as_tensor_variable(i).astype("float64") for i in given]
        return Apply(self, made, [made[1].type(), made[1].type()])

    def perform(self, node: Apply, inputs: Sequence[Any], storage: Any) -> None:
        """Contract outside Numba graphs."""
        storage[0][0], storage[1][0] = pull(*inputs)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        """As the vectors'."""
        return [shapes[1], shapes[1]]


def pull(values: Any, vectors: Any, values_bar: Any, vectors_bar: Any) -> tuple[Any, Any]:
    """Return the cotangents of K and M; Numba compiles it too."""
    n, most = values.size, np.abs(values).max()
    of_k, of_m = np.zeros((n, n)), np.zeros((n, n))
    along = vectors.T @ vectors_bar
    for i in range(n):
        count, total = 0, 0.0
        for j in range(n):
            gap = values[i] - values[j]
            if abs(gap) <= max(EQUAL * max(abs(values[i]), abs(values[j])), ROUNDING * most):
                count += 1
                total += values_bar[j]
                of_m[j, i] -= 0.5 * along[j, i]
            else:
                of_k[j, i] = along[j, i] / gap
                of_m[j, i] -= of_k[j, i] * values[i]
        if count:  # none among infinite values
            of_k[i, i] += total / count
            of_m[i, i] -= total / count * values[i]
    return vectors @ of_k @ vectors.T, vectors @ of_m @ vectors.T


def solve(stiffness: Any, mass: Any) -> tuple[Any, Any]:
    """Return eigenvalues and vectors of two matrices of numbers, as `Eigen` says."""
    import scipy.linalg

    n = len(stiffness)
    both = np.stack([stiffness, mass])
    size = np.abs(both).max(axis=(1, 2), initial=0.0)
    skew = np.abs(both - np.swapaxes(both, 1, 2)).max(axis=(1, 2), initial=0.0)
    if not (skew <= SKEW * size).all():
        return np.full(n, np.nan), np.zeros((n, n))
    try:
        values, vectors = scipy.linalg.eigh(stiffness, mass)
    except scipy.linalg.LinAlgError:
        return np.full(n, np.inf), np.zeros((n, n))
    for k in range(n):
        large = np.abs(vectors[:, k])
        if vectors[np.argmax(large >= 0.5 * large.max()), k] < 0:
            vectors[:, k] *= -1
    return values, vectors


def _matrix(given: Any, what: str) -> Any:
    """Return a matrix of numbers or symbols, from a matrix or from rows."""
    if isinstance(given, list | tuple):
        cells = [cell for row in given for cell in (row if isinstance(row, list | tuple) else [row])]
        if any(isinstance(cell, Variable) for cell in cells):
            rows = [pt.stack(row) if isinstance(row, list | tuple) else row for row in given]
            if len({len(row) for row in given if isinstance(row, list | tuple)}) > 1:
                raise DeclarationError(f"wb.math.eigh: got rows of unequal length as {what}; expected a square matrix")
            given = pt.stack(rows)
    made = given if isinstance(given, Variable) else np.asarray(given, dtype=np.float64)
    shape = made.type.shape if isinstance(made, Variable) else made.shape
    if len(shape) != 2 or (None not in shape and shape[0] != shape[1]) or shape[:1] == (0,):
        raise DeclarationError(f"wb.math.eigh: got {what} of shape {shape}; expected a square matrix, shape (n, n)")
    return made


def eigh(stiffness: Any, mass: Any = None) -> tuple[Any, Any]:
    """Return eigenvalues (n,) and vectors (n, n) of numbers or of PyTensor variables, as `wb.math.eigh` says."""
    k = _matrix(stiffness, "K")
    m = _matrix(mass, "M") if mass is not None else np.eye(len(k)) if isinstance(k, np.ndarray) else pt.eye(k.shape[0])
    sizes = [i.type.shape[0] if isinstance(i, Variable) else len(i) for i in (k, m)]
    if None not in sizes and sizes[0] != sizes[1]:
        raise DeclarationError(f"wb.math.eigh: got K of {sizes[0]} rows and M of {sizes[1]}; expected the same of both")
    if isinstance(k, Variable) or isinstance(m, Variable):
        return tuple(Blockwise(Eigen())(k, m))
    values, vectors = solve(k, m)
    if not np.isfinite(values).all():
        raise ValueError(f"wb.math.eigh: {why(k, m)}")
    return values, vectors


def why(stiffness: Any, mass: Any) -> str:
    """Return in words why two matrices of numbers have no eigenvalues that `Eigen` finds."""
    for name, made in (("K", stiffness), ("M", mass)):
        if not np.isfinite(made).all():
            return f"got {name} with entries that are no finite numbers"
        if np.abs(made - made.T).max() > SKEW * np.abs(made).max():
            i, j = np.unravel_index(np.abs(made - made.T).argmax(), made.shape)
            return (
                f"got {name} that is not symmetric, with {made[i, j]:.6g} in row {i}, column {j} and {made[j, i]:.6g} "
                "the other way round; expected a symmetric matrix"
            )
    low = np.linalg.eigvalsh(mass).min()
    return f"got M that is not positive definite (its smallest eigenvalue is {low:.3g}); expected masses above zero"
