"""A bridge deck as a thin orthotropic plate on elastic supports: rectangular elements with cubic Hermite functions.

The deflection w(x, z), x along and z across the bridge, minimises the energy

    1/2 int Dx w_xx^2 + Dz w_zz^2 + 2 nu sqrt(Dx Dz) w_xx w_zz + 2 (1 - nu) Dt w_xz^2 dA
      + 1/2 sum_s kv mean_s(w^2) + kr mean_s(w_x^2) - sum_i F_i w(x_i, z_i)                                         (1)
    D = E t^3 / (12 (1 - nu^2))                                                                                    (2)
    w(x, z) = sum_ij c_ij H_i(x) H_j(z)                                                                            (3)
    K(theta) c = f,   K = sum_i theta_i K_i                                                                        (4)
    K_r = B' K B, f_r = B' f,   c = B q                                                                            (5)

with kv and kr the stiffness of a support against settling and rocking, spread evenly over its width. By (3) every K_i
is a sum of Kronecker products of matrices of one direction. Elements conform: on any mesh or basis, loads do less work.

Sources
-------
Equations 1 and 2: Timoshenko SP, Woinowsky-Krieger S (1959), Theory of Plates and Shells, 2nd ed., sections 11 and 85
(Dx, Dz and, after Huber, sqrt(Dx Dz) where an isotropic plate has D). Equation 3: Bogner FK, Fox RL, Schmit LA (1965),
Proc. Conf. Matrix Methods in Structural Mechanics, AFFDL-TR-66-80, 397-443. Equation 5: Bathe KJ (1996), Finite Element
Procedures, ch. 10.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.base.errors import DataError
from workbench.declare import math as m

Array = NDArray[np.float64]

POISSON = 0.2  # of concrete without cracks, EN 1992-1-1, 3.1.3(4); and as the drawings of bridge 705 say
GAUSS = 6  # points of each element, exact for cubic thickness and more


def hermite(places: Any, nodes: Array, order: int = 0) -> Array:
    """Return the cubic Hermite functions of a line of nodes, or their derivatives, at places: (places, 2 nodes).

    Columns are, of each node, its value and its slope; `order` is 0, 1 or 2.
    """
    places = np.atleast_1d(np.asarray(places, dtype=np.float64))
    at = np.clip(np.searchsorted(nodes, places, side="right") - 1, 0, len(nodes) - 2)
    h = nodes[at + 1] - nodes[at]
    s = (places - nodes[at]) / h
    shapes = (
        (1 - 3 * s**2 + 2 * s**3, h * (s - 2 * s**2 + s**3), 3 * s**2 - 2 * s**3, h * (s**3 - s**2)),
        ((6 * s**2 - 6 * s) / h, 1 - 4 * s + 3 * s**2, (6 * s - 6 * s**2) / h, 3 * s**2 - 2 * s),
        ((12 * s - 6) / h**2, (6 * s - 4) / h, (6 - 12 * s) / h**2, (6 * s - 2) / h),
    )[order]
    made = np.zeros((len(places), 2 * len(nodes)))
    for k, shape in enumerate(shapes):
        made[np.arange(len(places)), 2 * at + k] = shape
    return made


def _gauss(low: Any, high: Any) -> tuple[Array, Array]:
    """Return Gauss points and weights on intervals."""
    points, weights = np.polynomial.legendre.leggauss(GAUSS)
    half = (np.atleast_1d(high) - np.atleast_1d(low)) / 2
    return ((np.atleast_1d(low) + half)[:, None] + half[:, None] * points).ravel(), (half[:, None] * weights).ravel()


def gram(nodes: Array, one: int, other: int, weight: Callable[[Array], Array] = np.ones_like) -> Array:
    """Return the integral of weight times H^(one)' H^(other) along a line of nodes: (2 nodes, 2 nodes)."""
    places, sizes = _gauss(nodes[:-1], nodes[1:])
    return np.asarray(
        hermite(places, nodes, one).T @ ((sizes * weight(places))[:, None] * hermite(places, nodes, other))
    )


@dataclass(frozen=True)
class Support:
    """A bearing line across the bridge at x (m), centred at z (m), of some width (m)."""

    x: float
    z: float
    width: float


@dataclass(frozen=True)
class Vehicle:
    """A vehicle that drives towards greater x.

    Attributes
    ----------
    axles
        Distances behind the first axle (m).
    wheels
        Load of each wheel (kN), a row for each axle, from the smallest z to the greatest.
    offsets
        Places of the wheels of an axle (m) from the vehicle's axis.
    contact
        Side (m) of the square on which a wheel presses at the plate's middle plane.
    """

    axles: tuple[float, ...]
    wheels: tuple[tuple[float, ...], ...]
    offsets: tuple[float, ...]
    contact: float

    @property
    def weight(self) -> float:
        """All wheels together (kN)."""
        return float(np.sum(self.wheels))


@dataclass(frozen=True, eq=False, repr=False)
class Deck:
    """A rectangular plate: lines of nodes (m) along and across, and its parts of stiffness.

    `parts` are sparse matrices (n, n) of kN and m by name, n = 4 len(x) len(z).
    """

    x: Array
    z: Array
    parts: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"Deck({len(self.x) - 1} x {len(self.z) - 1} elements; {', '.join(self.parts)})"

    def rows(self, x: Any, z: Any, along: int = 0, across: int = 0) -> Array:
        """Return what reads the deflection, or its derivatives, at points: (points, n); DataError off the deck."""
        x, z = np.atleast_1d(x), np.atleast_1d(z)
        off = (x < self.x[0]) | (x > self.x[-1]) | (z < self.z[0]) | (z > self.z[-1])
        if off.any():
            where = f"x = {x[off][0]:g} m, z = {z[off][0]:g} m"
            raise DataError(
                f"got a place off the deck, {where}; expected x from {self.x[0]:g} to {self.x[-1]:g} m and z from "
                f"{self.z[0]:g} to {self.z[-1]:g} m"
            )
        return np.einsum("pi,pj->pij", hermite(x, self.x, along), hermite(z, self.z, across)).reshape(len(x), -1)

    def load(self, vehicle: Vehicle, front: float, axis: float) -> Array:
        """Return the nodal forces (n,), down negative, of a vehicle with its first axle at `front`, on an axis z (m).

        Axles that are not on the bridge yet, or no more, press on nothing. DataError where no axle is on it, or a
        wheel leaves it across.
        """
        half = vehicle.contact / 2
        forces, pressed = np.zeros(4 * len(self.x) * len(self.z)), False
        for behind, wheels in zip(vehicle.axles, vehicle.wheels, strict=True):
            place = front - behind
            if not self.x[0] <= place <= self.x[-1]:
                continue
            pressed = True
            xs = np.clip(place + half * np.array([-0.75, -0.25, 0.25, 0.75]), self.x[0], self.x[-1])
            for offset, force in zip(vehicle.offsets, wheels, strict=True):
                zs = axis + offset + half * np.array([-0.75, -0.25, 0.25, 0.75])
                grid = np.meshgrid(xs, zs)
                forces -= force * self.rows(grid[0].ravel(), grid[1].ravel()).mean(axis=0)
        if not pressed:
            raise DataError(
                f"got a vehicle with its first axle at {front:g} m, off the bridge; expected an axle between "
                f"{self.x[0]:g} and {self.x[-1]:g} m"
            )
        return forces


def plate(x: Array, z: Array, modulus: Callable[[Array], Array], thickness: Callable[[Array], Array]) -> dict[str, Any]:
    """Return the parts of (1) of a plate whose modulus (kN/m2) and thickness (m) change across: sparse, kN and m."""

    def stiff(places: Array) -> Array:
        return np.asarray(modulus(places) * thickness(places) ** 3 / (12 * (1 - POISSON**2)))  # (2)

    bent = _kron(gram(x, 2, 0), gram(z, 0, 2, stiff))
    return {  # (1)
        "long": _kron(gram(x, 2, 2), gram(z, 0, 0, stiff)),
        "across": _kron(gram(x, 0, 0), gram(z, 2, 2, stiff)),
        "coupled": POISSON * (bent + bent.T),
        "twist": 2 * (1 - POISSON) * _kron(gram(x, 1, 1), gram(z, 1, 1, stiff)),
    }


def springs(x: Array, z: Array, supports: Sequence[Support], order: int) -> Any:
    """Return the stiffness of supports of 1 kN/m against settling (order 0), or 1 kN m against rocking (order 1)."""
    total: Any = 0
    for one in supports:
        across, weights = _gauss(one.z - one.width / 2, one.z + one.width / 2)
        rows = hermite(across, z)
        slope = hermite(one.x, x, order)
        total = total + _kron(slope.T @ slope, rows.T @ ((weights / one.width)[:, None] * rows))
    return total


def _kron(along: Array, across: Array) -> Any:
    import scipy.sparse as sp

    return sp.csc_matrix(sp.kron(sp.csc_matrix(along), sp.csc_matrix(across)))


def deflect(deck: Deck, factors: Mapping[str, float], forces: Array) -> Array:
    """Return the deflection (n, k) under forces (n, k), by (4), with a factor for each part; DataError if it floats."""
    from scipy.sparse.linalg import splu

    stiffness: Any = sum(factors[name] * part for name, part in deck.parts.items())
    try:
        return np.asarray(splu(stiffness.tocsc()).solve(forces))
    except RuntimeError as error:
        raise DataError(f"got a deck that floats ({error}); expected supports that hold it") from None


@dataclass(frozen=True, eq=False, repr=False)
class Reduced:
    """A deck under some loads, read at some places, projected on a basis by (5).

    `parts` are (p, r, r), in the order of the deck's, `forces` (r, k), and `reads` (s, r), by name.
    """

    parts: Array
    forces: Array
    reads: Mapping[str, Array]

    def __repr__(self) -> str:
        (p, r), k = self.parts.shape[:2], self.forces.shape[1]
        return f"Reduced({r} vectors, {p} parts, {k} loads; {', '.join(self.reads)})"

    def respond(self, factors: Any) -> dict[str, Any]:
        """Return what is read under each load, (s, k) by name; `factors` (p,) are numbers or symbols."""
        q = m.solve(m.dot(factors, self.parts.transpose(1, 0, 2)), self.forces)
        return {name: m.dot(rows, q) for name, rows in self.reads.items()}


def basis_of(deck: Deck, snapshots: Sequence[Mapping[str, float]], forces: Array, size: int) -> Array:
    """Return the `size` vectors (n, size) that hold most energy of the deflections under forces (n, k) at snapshots."""
    import scipy.linalg

    solved = np.hstack([deflect(deck, factors, forces) for factors in snapshots])
    if not 1 <= size <= solved.shape[1]:
        raise DataError(f"got size={size}; expected 1 to {solved.shape[1]}, the deflections of the snapshots")
    mean = {name: float(np.exp(np.mean([np.log(one[name]) for one in snapshots]))) for name in deck.parts}
    stiffness: Any = sum(mean[name] * part for name, part in deck.parts.items())
    solved /= np.sqrt(np.einsum("ij,ij->j", solved, stiffness @ solved))
    energy, turns = scipy.linalg.eigh(solved.T @ (stiffness @ solved))
    return np.asarray(solved @ (turns[:, -size:] / np.sqrt(energy[-size:])))


def reduced(deck: Deck, basis: Array, forces: Array, reads: Mapping[str, Array]) -> Reduced:
    """Return the deck projected on a basis (n, r), under forces (n, k), read by rows (s, n)."""
    parts = np.stack([basis.T @ (part @ basis) for part in deck.parts.values()])
    return Reduced(
        (parts + parts.transpose(0, 2, 1)) / 2, basis.T @ forces, {name: rows @ basis for name, rows in reads.items()}
    )
