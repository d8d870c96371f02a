"""The unscented Kalman filter: a Gaussian carried by points that have its mean and covariance."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from workbench.base.errors import DataError
from workbench.simulate.kernels.calls import carry
from workbench.sync.filters.ensemble import look, of_members, start
from workbench.sync.filters.extended import initial_moments, refuse_failure
from workbench.sync.filters.gaussian import compare, project, spreads
from workbench.sync.filters.plan import PIECES
from workbench.sync.filters.plant import Plant
from workbench.sync.filters.points import centre, covariance, factor, place, transition
from workbench.sync.filters.protocol import Cyclic, FilterState, Records, begin, records
from workbench.sync.filters.sensors import shown

Array = NDArray[np.float64]
_LOG_2PI = math.log(2 * math.pi)


@njit(cache=True, error_model="numpy")
def _predict(where: Any, k: int, given: Any, rule: Any, moments: Any, made: Any, whole: Any) -> int:
    """Carry mean and covariance over a cycle's legs; return 0, 1 if a point had no solution, 2 without a covariance.

    `whole` (Z, Z) becomes the product of the legs' regressions, for smoothers; it may be empty.
    """
    (address, plan), (mean, P) = where, moments
    theta, scales, sigma, low, high, _ = given
    reach, weight, extra = rule
    points, L = made[6], made[7]
    z, n = mean.size, sigma.size
    A = np.empty((z, z))
    if whole.size:
        whole[:] = np.eye(z)
    for leg in range(plan.leg[k], plan.leg[k + 1]):
        for i in range(n):
            P[i, i] += plan.before[leg] * sigma[i] ** 2
        if not factor(P, L):
            return 2
        place(mean, L, reach, low, high, points)
        start(points, theta, scales, n, made[5])
        if carry(address, plan, leg, theta, made[5], made[:5]) > 0:
            return 1
        points[:, :n] = made[0]
        centre(points, weight, mean)
        covariance(points, points, weight, extra, P)
        for i in range(n):
            P[i, i] += plan.after[leg] * sigma[i] ** 2
        project(low, high, mean)
        if whole.size:
            transition(points, L, reach, A)
            whole[:] = A @ whole
    return 0


@njit(cache=True, error_model="numpy")
def room_of_points(z: int, n: int, outputs: int) -> Any:
    """Return the room in which 2 Z + 1 points are carried: see `simulate.kernels.calls.carry`; points and a factor."""
    count = 2 * z + 1
    return (np.empty((count, n)), np.empty((count, outputs)), np.empty((count, 5)), np.empty(2, np.int64),
            np.empty(2, np.int64), np.empty((count, n)), np.empty((count, z)), np.empty((z, z)))  # fmt: skip


@njit(cache=True, error_model="numpy")
def look_points(where: Any, k: int, given: Any, rule: Any, moments: Any, made: Any, out: Any) -> int:
    """Write outputs of the points and their means and SDs (2, K); return 0, or why it could not be done."""
    mean, P = moments
    reach, weight, extra = rule
    points, L, outputs = made[6], made[7], made[1]
    if not factor(P, L):
        return 2
    place(mean, L, reach, given[3], given[4], points)
    look(where[0], where[1], k, given, points, made)
    if not np.isfinite(outputs).all():
        return 1
    centre(outputs, weight, out[0])
    one = np.empty((1, 1))
    for i in range(outputs.shape[1]):
        covariance(outputs[:, i : i + 1], outputs[:, i : i + 1], weight, extra, one)
        out[1, i] = math.sqrt(max(one[0, 0], 0.0))
    return 0


@njit(cache=True, error_model="numpy")
def _correct(plan: Any, k: int, rule: Any, moments: Any, made: Any, gate: float, room: Any) -> float:
    """Take in the readings of a cycle at once; return their log density, NaN if their covariance is none."""
    mean, P = moments
    _, weight, extra = rule
    points, outputs = made[6], made[1]
    many, z = plan.column.size, mean.size
    Y, h, spread = np.empty((points.shape[0], many)), np.empty(many), np.empty(many)
    for j in range(many):
        for b in range(points.shape[0]):
            Y[b, j] = shown(plan.kind[j], outputs[b, plan.column[j]])
    centre(Y, weight, h)
    S, cross = np.empty((many, many)), np.empty((z, many))
    covariance(Y, Y, weight, extra, S)
    for j in range(many):
        spread[j] = max(S[j, j], 0.0)
    if compare(plan, k, gate, h, spread, room) == 0:
        return 0.0
    innovation, flag, noise = room
    covariance(points, Y, weight, extra, cross)
    used = np.flatnonzero(flag == 0)
    m = used.size
    C, L, total = np.empty((m, m)), np.empty((m, m)), 0.0
    for a in range(m):
        for b in range(m):
            C[a, b] = S[used[a], used[b]]
        C[a, a] += noise[used[a]]
        if plan.kind[used[a]] == 1:
            total -= math.log(plan.y[k, used[a]])
    if not factor(C, L):
        return np.nan
    v, W = np.empty(m), np.empty((z, m))  # both on the scale on which readings are independent, of variance 1
    for j in range(m):
        v[j] = innovation[0, used[j]]
        W[:, j] = cross[:, used[j]]
        for i in range(j):
            v[j] -= L[j, i] * v[i]
            W[:, j] -= L[j, i] * W[:, i]
        v[j] /= L[j, j]
        W[:, j] /= L[j, j]
        total -= 0.5 * (_LOG_2PI + v[j] ** 2) + math.log(L[j, j])
    for a in range(z):
        for j in range(m):
            mean[a] += W[a, j] * v[j]
            for b in range(z):
                P[a, b] -= W[a, j] * W[b, j]
    return total


@njit(cache=True, error_model="numpy")
def _cycles(where: Any, span: Any, what: int, given: Any, moments: Any, how: Any, record: Any) -> int:
    """Run cycles span[0] to span[1]; return -1, the first that failed, or -2 - k if k lost its covariance."""
    rule, gate = how
    plan, (mean, P) = where[1], moments
    n, z, outputs = given[2].size, mean.size, record.outputs.shape[2]
    none, made = np.empty((0, 0)), room_of_points(z, n, outputs)
    noise, keep = np.empty(plan.column.size), record.history[0].shape[0] > 0
    for k in range(span[0], span[1]):
        r, failed = k - span[0], 0
        if what & 1:
            failed = _predict(where, k, given, rule, moments, made, record.history[2][r] if keep else none)
        record.forecast[r, 0] = mean
        spreads(P, none, record.forecast[r, 1])
        if keep:
            record.history[0][r] = P
        if what & 2 and failed == 0:
            failed = look_points(where, k, given, rule, moments, made, record.outputs[r, :2])
            if failed == 0:
                room = (record.innovation[r], record.flag[r], noise)
                record.evidence[r] = _correct(plan, k, rule, moments, made, gate, room)
                project(given[3], given[4], mean)
                failed = 2 if np.isnan(record.evidence[r]) else 0
            if failed == 0:
                failed = look_points(where, k, given, rule, moments, made, record.outputs[r, 2:])
        if failed:
            return k if failed == 1 else -2 - k
        record.analysis[r, 0] = mean
        spreads(P, none, record.analysis[r, 1])
        if keep:
            record.history[1][r] = P
    return -1


@dataclass(frozen=True)
class UnscentedKalman(Cyclic):
    """The scaled unscented Kalman filter (Wan & van der Merwe, Proc. IEEE AS-SPCC 2000, algorithm 2.1).

    A Gaussian of Z states and parameters is carried by its mean and 2 Z points at alpha sqrt(Z + kappa) SDs, which give
    mean and covariance to second order of a Taylor series. Process noise is added in halves before and after each leg,
    as in `wb.ExtendedKalman`; points are drawn anew for each leg, and for the readings. Points beyond a bound of a
    state are moved onto it (Kandepu, Foss & Imsland, J. Process Control 18 (2008) 753-768).

    Parameters
    ----------
    alpha
        Spread of the points. Far below 1, differences between points drown in the solver's errors.
    beta
        What is known of the distribution's fourth moment: 2 for Gaussian ones.
    kappa
        Second scale; Z + kappa must be above 0. With alpha = 1, beta = kappa = 0 this is the cubature filter.
    gate
        Refuse a reading that lies further than so many SDs from its forecast, and say so; infinite: refuse none.
    """

    alpha: float = 1.0
    beta: float = 2.0
    kappa: float = 0.0
    gate: float = 20.0
    holds: ClassVar[tuple[str, ...]] = ("mean", "covariance")

    def __post_init__(self) -> None:
        if not 1e-4 <= self.alpha <= 1.0:
            raise DataError(f"UnscentedKalman: got alpha={self.alpha!r}; expected a number from 1e-4 to 1")
        if not (math.isfinite(self.beta) and math.isfinite(self.kappa)):
            raise DataError(f"UnscentedKalman: got beta={self.beta!r}, kappa={self.kappa!r}; expected finite numbers")

    def pieces(self, model: Any) -> int | None:
        """Return 4 legs between readings."""
        return PIECES

    def init(self, plant: Plant, seed: int | None) -> FilterState:
        """Return mean and covariance when the clock starts; DataError if a start has an improper prior."""
        mean, P, diffuse = initial_moments(plant)
        if diffuse.size:
            names = [plant.names[k] for k in np.flatnonzero(np.diag(diffuse))]
            raise DataError(
                f"{plant.model.name}: got a start with prior Flat of {names}; expected a proper one for "
                "wb.UnscentedKalman, as its points lie SDs apart (wb.ExtendedKalman takes it)"
            )
        arrays = {"mean": mean, "covariance": P}
        return begin(float(plant.schedule.begin[0]), plant.names, arrays, np.random.default_rng(seed))

    def rule(self, z: int) -> tuple[float, float, float]:
        """Return how far points lie out in SDs, the weight of each, and that of the first beyond 1 - their sum."""
        square = self.alpha**2 * (z + self.kappa)
        return math.sqrt(square), 0.5 / square, self.beta - self.alpha**2

    def _run(
        self, plant: Plant, state: FilterState, span: tuple[int, int], what: int, *, keep: bool
    ) -> tuple[FilterState, Records]:
        z = len(plant.names)
        if not z + self.kappa > 0:
            raise DataError(f"UnscentedKalman: got kappa={self.kappa!r}; expected more than -{z}, the states' number")
        record = records(plant, span[1] - span[0], ((z, z), (z, z), (z, z)), keep=keep)
        moments = (np.array(state.arrays["mean"]), np.array(state.arrays["covariance"]))
        given = of_members(plant, 2 * z + 1)
        how = (self.rule(z), float(self.gate))
        failed = _cycles((plant.run, plant.plan), np.array(span), what, given, moments, how, record)
        refuse_failure(plant, failed)
        arrays = dict(zip(("mean", "covariance"), moments, strict=True))
        time = float(plant.plan.until[plant.plan.leg[span[1]] - 1])
        return state.moved(time, arrays, state.generator(), record.evidence), record
