"""Modal updating: the stiffness of a structure from the frequencies and shapes of its measured modes.

With stiffness parts K_i, each scaled by a factor, and shapes read at channels by c_j = C v_j,

    K(theta) = K_0 + sum_i theta_i K_i,   K(theta) v_j = lambda_j M v_j,   f_j = sqrt(lambda_j) / (2 pi)           (1)
    MAC(a, b) = (a' b)^2 / ((a' a) (b' b))                                                                         (2)
    shape_j = c_j (c_j' psi_j) / (c_j' c_j)                                                                        (3)
    K_r = B' K B, M_r = B' M B,   v = B q                                                                          (4)

where psi_j is the measured shape: (3) gives the computed shape the sign and size that fit it best. A measured mode is
paired with the computed one of highest MAC, as modes change places when the stiffness changes. Of k measured modes the
lowest 2k are looked at: seen at few places, a high mode may have the shape of a low one.

Sources
-------
Equation 1, with the stiffness parts of the footbridge: Otsuki Y et al. (2022), Adv. Struct. Eng. 25(4), 698.
Equations 2 and 3, the modal assurance criterion and the modal scale factor: Allemang RJ, Brown DL (1982), Proc. 1st
Int. Modal Analysis Conf., 110-116. Equation 4, the Ritz projection: Bathe KJ (1996), Finite Element Procedures, ch. 10.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.base.errors import DataError
from workbench.declare import math as m

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Structure:
    """A structure whose stiffness is a sum of parts, and its measured modes.

    Attributes
    ----------
    mass
        (n, n) symmetric.
    parts
        (p, n, n), the nominal stiffness of each part, symmetric.
    channels
        (c, n), what each channel reads of a vector of displacements.
    shapes
        (c, k), measured shapes, NaN where a channel is not known.
    """

    mass: Array
    parts: Array
    channels: Array
    shapes: Array

    def __repr__(self) -> str:
        (c, k), (p, n) = self.shapes.shape, self.parts.shape[:2]
        return f"Structure({n} degrees of freedom, {p} parts; {k} modes at {c} channels)"

    def modes(self, factors: Any) -> tuple[Any, Any]:
        """Return frequencies (k,) in Hz if M and K are in consistent units of seconds, and shapes (c, k) by (1) to (3).

        `factors` (p,) are of the parts, 1 as designed; numbers or symbols.
        """
        values, vectors = m.eigh(m.dot(factors, self.parts.transpose(1, 0, 2)), self.mass)  # (1)
        known = np.isfinite(self.shapes)
        seen = vectors[:, : 2 * self.shapes.shape[1]].T @ self.channels.T  # (2k, c)
        along, sizes = seen @ np.where(known, self.shapes, 0.0), seen**2 @ known.astype(float)  # (2k, k)
        likeness = along**2 / sizes  # (2), but for the size of the measured shape
        pair = m.where(likeness >= likeness.max(axis=0), 1.0, 0.0)  # one of each column: a product compiles faster
        shapes = m.dot(seen.T, pair * along / sizes)  # (3)
        return m.sqrt(m.dot(values[: 2 * self.shapes.shape[1]], pair)) / (2 * m.pi), shapes


def mac(one: Array, other: Array) -> Array:
    """Return the modal assurance criterion (a, b) of shapes (c, a) and (c, b), by (2)."""
    sizes = np.outer((one**2).sum(axis=0), (other**2).sum(axis=0))
    return np.asarray((one.T @ other) ** 2 / sizes)


def modes_of(structure: Structure, factors: Array, count: int) -> tuple[Array, Array]:
    """Return the lowest eigenvalues (count,) and vectors (n, count) by shift-invert Lanczos; masses may be zero.

    Raises
    ------
    DataError
        If the stiffness is singular: the structure floats, or a part has the factor 0.
    """
    import scipy.sparse as sp
    from scipy.sparse.linalg import eigsh

    stiffness = sp.csc_matrix(np.tensordot(factors, structure.parts, 1))
    try:
        values, vectors = eigsh(stiffness, count, sp.csc_matrix(structure.mass), sigma=0.0)
    except RuntimeError as error:
        raise DataError(f"got a stiffness without modes ({error}); expected a structure on supports") from None
    order = np.argsort(values)
    return values[order], vectors[:, order]


def reduced(structure: Structure, snapshots: Array, *, size: int, count: int) -> tuple[Structure, Array]:
    """Return the structure projected on a basis, by (4), and the basis (n, size).

    The basis is a proper orthogonal decomposition, in the energy of the nominal stiffness, of the modes of full
    solutions, so that static shapes of parts far from their design are in it, too.

    Parameters
    ----------
    snapshots
        (s, p) factors at which the full structure is solved.
    size, count
        Vectors in the basis; modes of each snapshot.
    """
    import scipy.linalg

    vectors = np.hstack([modes_of(structure, row, count)[1] for row in snapshots])
    if not count <= size <= vectors.shape[1]:
        raise DataError(f"got size={size}; expected {count} to {vectors.shape[1]}, the modes of the snapshots")
    energy, turns = scipy.linalg.eigh(vectors.T @ structure.parts.sum(axis=0) @ vectors)
    basis = vectors @ (turns[:, -size:] / np.sqrt(energy[-size:]))
    parts = np.stack([basis.T @ part @ basis for part in structure.parts])
    mass = basis.T @ structure.mass @ basis
    made = Structure(
        (mass + mass.T) / 2, (parts + parts.transpose(0, 2, 1)) / 2, structure.channels @ basis, structure.shapes
    )
    return made, basis
