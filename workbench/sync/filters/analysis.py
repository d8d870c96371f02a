"""How an ensemble takes in readings: perturbed observations, the symmetric square root, and one by one with tapers."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from workbench.base.errors import DataError, unknown
from workbench.sync.filters.turns import ones, reflect, spin, turn

if TYPE_CHECKING:
    from workbench.sync.filters.plant import Plant

Array = NDArray[np.float64]
_LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class PerturbedObservations:
    """Each member takes in readings with errors of its own (Burgers et al., MWR 126 (1998) 1719-1724)."""


@dataclass(frozen=True)
class SquareRoot:
    """Members are transformed by the symmetric square root (Hunt, Kostelich & Szunyogh, Physica D 230 (2007) 112-126).

    With localisation readings are taken one by one (Whitaker & Hamill, MWR 130 (2002) 1913-1924).

    Parameters
    ----------
    rotate
        Turn the members at random about their mean after each correction, which keeps them Gaussian (Sakov & Oke, MWR
        136 (2008) 1042-1053).
    """

    rotate: bool = False


@dataclass(frozen=True)
class Localisation:
    """How far readings reach along a dim of vector states: covariances are tapered (Gaspari & Cohn, QJRMS 125 (1999)).

    Scalar states, parameters and scalar outputs are not tapered.

    Parameters
    ----------
    dim
        The dim, whose labels are places (numbers).
    radius
        Distance at which the taper, of support twice as wide, has fallen to 5/24, in units of the labels.
    period
        Length of the dim where its ends meet; None: they do not.
    """

    dim: str
    radius: float
    period: float | None = None


def gaspari_cohn(distance: Array) -> Array:
    """Return the taper at distances in units of the radius (Gaspari & Cohn 1999, equation 4.10)."""
    r = np.abs(distance)
    near = 1 - 5 / 3 * r**2 + 5 / 8 * r**3 + r**4 / 2 - r**5 / 4
    with np.errstate(divide="ignore", invalid="ignore"):
        far = 4 - 5 * r + 5 / 3 * r**2 + 5 / 8 * r**3 - r**4 / 2 + r**5 / 12 - 2 / (3 * r)
    return np.where(r <= 1, near, np.where(r < 2, far, 0.0))


def tapers(plant: "Plant", localisation: Localisation | None) -> tuple[Array, Array]:
    """Return tapers between states and measured outputs (Z, M), and among these (M, M); empty without localisation."""
    if localisation is None:
        return np.empty((0, plant.plan.column.size)), np.empty((plant.plan.column.size, plant.plan.column.size))
    model, dim = plant.model, localisation.dim
    if dim not in model.labels:
        raise DataError(unknown("dim", dim, model.labels, "Localisation"))
    labels = np.asarray(model.labels[dim], dtype=float)

    def places(layout: Any, quantities: Any) -> Array:
        found = np.full(layout.size, np.nan)
        for name, q in quantities.items():
            if dim in q.dims:
                axis = q.dims.index(dim)
                shape = [-1 if k == axis else 1 for k in range(len(q.dims))]
                found[layout.places[name]] = np.broadcast_to(labels.reshape(shape), layout.shapes[name]).ravel()
        return found

    at = np.concatenate([places(model.state_layout, model.states), np.full(len(plant.belief.joint), np.nan)])
    seen = places(model.output_layout, model.outputs)[plant.plan.column]

    def taper(a: Array, b: Array) -> Array:
        gap = np.abs(a[:, None] - b)
        if localisation.period is not None:
            gap = np.minimum(gap % localisation.period, localisation.period - gap % localisation.period)
        return np.where(np.isnan(gap), 1.0, gaspari_cohn(np.nan_to_num(gap) / localisation.radius))

    return taper(at, seen), taper(seen, seen)


@njit(cache=True, error_model="numpy")
def perturbed(mean: Any, A: Any, Y: Any, v: Any, R: Any, tapered: Any, rng: Any) -> float:
    """Correct mean (Z,) and anomalies (B, Z) by innovations v (M,); return the log density of these.

    Perturbations have mean zero over the members.
    """
    (count, z), m = A.shape, v.size
    taper, own = tapered
    n1 = count - 1
    D = np.empty((count, m))
    for j in range(m):
        total = 0.0
        for b in range(count):
            D[b, j] = math.sqrt(R[j]) * rng.standard_normal()
            total += D[b, j] / count
        for b in range(count):
            D[b, j] -= total
    C, cross = Y.T @ Y / n1, A.T @ Y / n1
    if taper.size:
        C, cross = C * own, cross * taper
    for j in range(m):
        C[j, j] += R[j]
    L = np.linalg.cholesky(C)
    total = 0.0
    W = np.empty((m, count + 1))  # C^-1 times what each member, and last the mean, misses
    for b in range(count + 1):
        for j in range(m):
            W[j, b] = v[j] if b == count else -D[b, j] - Y[b, j]
    for j in range(m):
        for i in range(j):
            for b in range(count + 1):
                W[j, b] -= L[j, i] * W[i, b]
        for b in range(count + 1):
            W[j, b] /= L[j, j]
        total -= 0.5 * (_LOG_2PI + W[j, count] ** 2) + math.log(L[j, j])
    for j in range(m - 1, -1, -1):
        for i in range(j + 1, m):
            for b in range(count + 1):
                W[j, b] -= L[i, j] * W[i, b]
        for b in range(count + 1):
            W[j, b] /= L[j, j]
    moved = W.T @ cross.T
    for i in range(z):
        mean[i] += moved[count, i]
        for b in range(count):
            A[b, i] += moved[b, i]
    return total


@njit(cache=True, error_model="numpy")
def square_root(mean: Any, A: Any, Y: Any, v: Any, R: Any, rotate: bool, rng: Any) -> float:
    """Correct mean and anomalies by the symmetric square root; return the log density of the innovations.

    The eigenvalues are those of the smaller of Ys Ys' and Ys' Ys, with Ys = Y R^-1/2.
    """
    (count, z), m = A.shape, v.size
    n1 = count - 1.0
    Ys, d = np.empty((count, m)), np.empty(m)
    total = -0.5 * m * _LOG_2PI
    for j in range(m):
        scale = 1.0 / math.sqrt(R[j])
        d[j] = v[j] * scale
        total += math.log(scale) - 0.5 * d[j] ** 2
        for b in range(count):
            Ys[b, j] = Y[b, j] * scale
    if rotate and m >= count:
        return total + _rotated_root(mean, A, Ys, d, rng)
    if m < count:
        values, U = np.linalg.eigh(Ys.T @ Ys)
        V = Ys @ U  # its columns are eigenvectors of Ys Ys', of length sqrt(value)
        c = d @ U
        f, w = np.empty(m), np.zeros(count)
        for j in range(m):
            value = max(values[j], 0.0)
            root = math.sqrt(1.0 + value / n1)
            f[j] = -1.0 / (n1 * root * (1.0 + root))  # (1 / root - 1) / value, without its cancellation
            c[j] /= n1 + value
            total += 0.5 * value * c[j] ** 2 * (n1 + value) - math.log(root)
        w = V @ c
        V_A = V.T @ A
        for j in range(m):
            V_A[j] *= f[j]
        moved = w @ A
        A += V @ V_A
    else:
        values, V = np.linalg.eigh(Ys @ Ys.T)
        c = (Ys @ d) @ V
        f = np.empty(count)
        for j in range(count):
            value = max(values[j], 0.0)
            f[j] = 1.0 / math.sqrt(1.0 + value / n1)
            total += 0.5 * c[j] ** 2 / (n1 + value) + math.log(f[j])
            c[j] /= n1 + value
        moved = (V @ c) @ A
        V_A = V.T @ A
        for j in range(count):
            V_A[j] *= f[j]
        A[:] = V @ V_A
    for i in range(z):
        mean[i] += moved[i]
    if rotate:
        turn(A, rng)
    return total


@njit(cache=True, error_model="numpy")
def _rotated_root(mean: Any, A: Any, Ys: Any, d: Any, rng: Any) -> float:
    """Correct mean and anomalies by a square root that is turned at random; return what hangs on the innovations.

    Roots that keep the mean differ by a turn alone, so before a uniform one the root of Cholesky serves as well as the
    symmetric one, and no eigenvalues are needed. In the space orthogonal to ones M = 1 + Ys Ys' / (B - 1) = L L', and
    A becomes L^-1 A.
    """
    (count, z), n1 = A.shape, A.shape[0] - 1.0
    one, size = ones(count)
    reflect(A, 0, one, size, np.empty(z))
    reflect(Ys, 0, one, size, np.empty(Ys.shape[1]))
    M, g, total = Ys @ Ys.T / n1, Ys @ d, 0.0
    for b in range(count):
        M[b, b] += 1.0
    L = np.linalg.cholesky(M)
    for b in range(count):
        for c in range(b):
            g[b] -= L[b, c] * g[c]
            for i in range(z):
                A[b, i] -= L[b, c] * A[c, i]
        g[b] /= L[b, b]
        for i in range(z):
            A[b, i] /= L[b, b]
            mean[i] += g[b] * A[b, i] / n1
        total += 0.5 * g[b] ** 2 / n1 - math.log(L[b, b])
    spin(A, rng)
    reflect(A, 0, one, size, np.empty(z))
    return total


@njit(cache=True, error_model="numpy")
def serial(mean: Any, A: Any, Y: Any, v: Any, R: Any, taper: Any, own: Any) -> float:
    """Correct mean and anomalies reading by reading with tapered gains; return the log density of the innovations."""
    (count, z), m = A.shape, v.size
    n1 = count - 1.0
    Y, h = Y.copy(), np.zeros(m)
    total = 0.0
    for j in range(m):
        y = Y[:, j].copy()
        f = R[j]
        for b in range(count):
            f += y[b] ** 2 / n1
        gap = v[j] - h[j]
        total -= 0.5 * (_LOG_2PI + math.log(f) + gap * gap / f)
        share = 1.0 / (1.0 + math.sqrt(R[j] / f))
        for i in range(z):
            if taper[i, j] > 0.0:
                gain = 0.0
                for b in range(count):
                    gain += A[b, i] * y[b]
                gain *= taper[i, j] / (n1 * f)
                mean[i] += gain * gap
                for b in range(count):
                    A[b, i] -= share * gain * y[b]
        for i in range(j, m):
            if own[i, j] > 0.0:
                gain = 0.0
                for b in range(count):
                    gain += Y[b, i] * y[b]
                gain *= own[i, j] / (n1 * f)
                h[i] += gain * gap
                for b in range(count):
                    Y[b, i] -= share * gain * y[b]
    return total
