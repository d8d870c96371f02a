"""Kalman and extended Kalman filters: the mean by the model's kernel, the covariance by its exact derivatives."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from workbench.base.errors import DataError, SolveError
from workbench.simulate.kernels.calls import slopes
from workbench.simulate.lead import linearity
from workbench.sync.filters.belief import starts
from workbench.sync.filters.gaussian import carried, compare, correct, project, spreads
from workbench.sync.filters.plan import PIECES
from workbench.sync.filters.plant import Plant
from workbench.sync.filters.protocol import Cyclic, FilterState, Records, begin, records
from workbench.sync.filters.scale import natural
from workbench.sync.filters.sensors import shown, shown_slope
from workbench.sync.filters.transition import Transitions, transitions

Array = NDArray[np.float64]
_MOMENTS = ("mean", "covariance", "diffuse")


@njit(cache=True, error_model="numpy")
def _linearise(address: int, plan: Any, leg: int, theta: Any, scales: Any, mean: Any, made: Any) -> bool:
    """Carry a mean (Z,) over a leg into `made`, the room of `slopes`, with derivatives by phi; False if it failed."""
    values, derivatives = made[0], made[1]
    n = mean.size - scales.place.size
    for i in range(n):
        theta[0, i] = mean[i]
    for j in range(scales.place.size):
        theta[0, n + scales.place[j]] = natural(scales.low[j], scales.high[j], mean[n + j])[0]
    slopes(address, plan, leg, theta, made)
    for j in range(scales.place.size):
        slope = natural(scales.low[j], scales.high[j], mean[n + j])[1]
        for i in range(values.shape[1]):
            derivatives[0, i, n + j] *= slope
    return np.isfinite(values[0, :n]).all()


@njit(cache=True, error_model="numpy")
def _predict(where: Any, k: int, given: Any, made: Any, mean: Any, P: Any, D: Any) -> Any:
    """Carry mean and covariance over a cycle's legs; return the transition (Z, Z), an empty one if it failed."""
    address, plan = where
    theta, scales, sigma, low, high, moves, inflation = given
    values, derivatives = made[0], made[1]
    z, n = mean.size, sigma.size
    whole, A = np.eye(z), np.eye(z)
    for leg in range(plan.leg[k], plan.leg[k + 1]):
        for i in range(n):
            P[i, i] += plan.before[leg] * sigma[i] ** 2
        if not _linearise(address, plan, leg, theta, scales, mean, made):
            return whole[:0]
        for i in range(n):
            mean[i] = values[0, i]
            for c in range(z):
                A[i, c] = derivatives[0, i, c]
        exact = moves.of[leg] if moves.of.size else -1
        if exact >= 0:
            A[:n, :n] = moves.phi[exact]
        P[:] = inflation ** (plan.until[leg] - plan.begin[plan.segment[leg]]) * carried(A, P)
        if D.size:
            D[:] = carried(A, D)
        for i in range(n):
            P[i, i] += plan.after[leg] * sigma[i] ** 2
        if exact >= 0:
            P[:n, :n] += moves.q[exact]
        project(low, high, mean)
        whole = A @ whole
    return whole


@njit(cache=True, error_model="numpy")
def look_linear(where: Any, k: int, given: Any, made: Any, moments: Any, out: Any, seen: Any) -> Any:
    """Write outputs' means and SDs (2, K), and of those measured derivatives and values on their scale; see `correct`.

    Return whether it could be done, and the variances of those measured.
    """
    (address, plan), (mean, P, D), (H, h) = where, moments, seen
    theta, scales, sigma = given[0], given[1], given[2]
    values, derivatives = made[0], made[1]
    cycles = plan.y.shape[0]
    n, z, outputs = sigma.size, mean.size, out.shape[1]
    ok = _linearise(address, plan, plan.until.size - cycles + k, theta, scales, mean, made)
    row = np.empty(z)
    for i in range(outputs):
        total = 0.0
        for a in range(z):
            row[a] = 0.0
            for b in range(z):
                row[a] += P[a, b] * derivatives[0, n + i, b]
            total += row[a] * derivatives[0, n + i, a]
        out[0, i], out[1, i] = values[0, n + i], math.sqrt(max(total, 0.0))
        if D.size:
            far = 0.0
            for a in range(z):
                for b in range(z):
                    far += derivatives[0, n + i, a] * D[a, b] * derivatives[0, n + i, b]
            out[1, i] = math.inf if far > 1e-9 else out[1, i]
    spread = np.empty(h.size)
    for j in range(h.size):
        i, kind = plan.column[j], plan.kind[j]
        h[j] = shown(kind, values[0, n + i])
        slope = shown_slope(kind, values[0, n + i])
        spread[j] = (slope * out[1, i]) ** 2
        for a in range(z):
            H[j, a] = slope * derivatives[0, n + i, a]
    return ok, spread


@njit(cache=True, error_model="numpy")
def _cycles(where: Any, span: Any, what: int, given: Any, moments: Any, gate: float, record: Any) -> int:
    """Run cycles span[0] to span[1]; return -1, the first that failed, or -2 - k if k lost its covariance."""
    plan, (mean, P, D) = where[1], moments
    n, z, outputs = given[2].size, mean.size, record.outputs.shape[2]
    many = plan.y.shape[1]
    made = (np.empty((1, n + outputs)), np.empty((1, n + outputs, z)), np.empty(2, np.int64), np.empty(2, np.int64))
    H, h, noise = np.empty((many, z)), np.empty(many), np.empty(many)
    for k in range(span[0], span[1]):
        r = k - span[0]
        if what & 1:
            whole = _predict(where, k, given, made, mean, P, D)
            if whole.shape[0] == 0:
                return k
            if record.history[0].shape[0]:
                record.history[2][r] = whole
        record.forecast[r, 0] = mean
        spreads(P, D, record.forecast[r, 1])
        if record.history[0].shape[0]:
            record.history[0][r] = P
        if what & 2:
            ok, spread = look_linear(where, k, given, made, moments, record.outputs[r, :2], (H, h))
            if not ok:
                return k
            room = (record.innovation[r], record.flag[r], noise)
            if compare(plan, k, gate, h, spread, room):
                record.evidence[r] = correct(plan, k, H, mean, P, D, room)
                if np.isnan(record.evidence[r]):
                    return -2 - k
                project(given[3], given[4], mean)
            look_linear(where, k, given, made, moments, record.outputs[r, 2:], (H, h))
        record.analysis[r, 0] = mean
        spreads(P, D, record.analysis[r, 1])
        if record.history[0].shape[0]:
            record.history[1][r], record.history[3][r] = P, D
    return -1


@dataclass(frozen=True)
class ExtendedKalman(Cyclic):
    """The extended Kalman filter (Jazwinski, Stochastic Processes and Filtering Theory, 1970, theorem 8.1).

    The mean follows the model; the covariance follows its linearisation about the mean, whose derivatives are the exact
    ones of the solver's steps. Process noise is added in halves before and after each leg (Strang's splitting).

    Parameters
    ----------
    gate
        Refuse a reading that lies further than so many SDs from its forecast, and say so; infinite: refuse none.
    inflation
        Factor on the covariance in each time unit, for what the linearisation does not know.
    """

    gate: float = 20.0
    inflation: float = 1.0
    holds: ClassVar[tuple[str, ...]] = _MOMENTS[:2]

    def pieces(self, model: Any) -> int | None:
        """Return 4 legs between readings."""
        return PIECES

    def init(self, plant: Plant, seed: int | None) -> FilterState:
        """Return mean and covariance when the clock starts; a start with prior Flat is diffuse."""
        mean, covariance, diffuse = initial_moments(plant)
        arrays = {"mean": mean, "covariance": covariance, "diffuse": diffuse}
        return begin(float(plant.schedule.begin[0]), plant.names, arrays, np.random.default_rng(seed))

    def _transitions(self, plant: Plant) -> Transitions:
        return Transitions.none(len(plant.sigma))

    def _run(
        self, plant: Plant, state: FilterState, span: tuple[int, int], what: int, *, keep: bool
    ) -> tuple[FilterState, Records]:
        z = len(plant.names)
        moments = tuple(np.array(state.arrays.get(name, np.empty((0, 0)))) for name in _MOMENTS)
        history = ((z, z), (z, z), (z, z), moments[2].shape)
        record = records(plant, span[1] - span[0], history, keep=keep)
        theta = np.concatenate([np.zeros(plant.sigma.size), plant.belief.theta])[None]
        given = (
            theta,
            plant.belief.scales,
            plant.sigma,
            plant.low,
            plant.high,
            self._transitions(plant),
            float(self.inflation),
        )
        failed = _cycles((plant.slopes, plant.plan), np.array(span), what, given, moments, self.gate, record)
        refuse_failure(plant, failed)
        arrays = dict(zip(_MOMENTS, moments, strict=True))
        if not np.abs(arrays["diffuse"]).max(initial=0.0) > 1e-9:
            arrays["diffuse"] = np.empty((0, 0))
        time = float(plant.plan.until[plant.plan.leg[span[1]] - 1])
        return state.moved(time, arrays, state.generator(), record.evidence), record


@dataclass(frozen=True)
class Kalman(ExtendedKalman):
    """The Kalman filter of a model that is linear and Gaussian, which is seen from its derivatives; exact.

    Of an `Ode` whose derivatives do not change in time, transition and noise are matrix exponentials (Van Loan, IEEE
    Trans. Automatic Control 23 (1978) 395-404), and what the inputs do is solved to 1e-11. Where they change with time
    or inputs, noise is added in 16 legs between readings, of second order in their length.
    """

    gate: float = math.inf
    tight: ClassVar[bool] = True

    def pieces(self, model: Any) -> int | None:
        """Return 16 legs between readings where no exponential is exact; none otherwise."""
        return None if not hasattr(model, "dt") and linearity(model)[1] else 16

    def _transitions(self, plant: Plant) -> Transitions:
        free, steady = linearity(plant.model)
        if not free or plant.belief.joint:
            got = f"parameters {list(plant.belief.joint)} to estimate" if free else "equations that are not linear"
            raise DataError(
                f"{plant.model.name}: got {got}; expected a linear model for wb.Kalman (take wb.ExtendedKalman)"
            )
        if plant.plan.kind.any():
            names = [n for n in plant.measured if plant.model.outputs[n].noise.name != "Normal"]  # type: ignore[union-attr]
            raise DataError(f"{names[0]}: got a noise that is not Normal; expected Normal for wb.Kalman")
        if not steady or hasattr(plant.model, "dt"):
            return super()._transitions(plant)
        return transitions(plant)


def initial_moments(plant: Plant) -> tuple[Array, Array, Array]:
    """Return mean (Z,), covariance (Z, Z) and its diffuse part when the clock starts.

    Starts that are expressions of parameters are linearised by central differences (exact for linear ones).
    """
    belief, n = plant.belief, plant.sigma.size
    places, mean, covariance, diffuse = belief.moments()
    step = np.where(diffuse, 1.0, 1e-3 * np.sqrt(np.diag(covariance)))
    step[step == 0.0] = 1.0
    values = np.concatenate([mean[None], mean + np.diag(step), mean - np.diag(step)])
    theta = belief.theta_of(places, values)
    x = starts(plant.model, plant.schedule, theta)
    u = places.size
    J = np.zeros((len(plant.names), u))
    J[:n] = (x[1 : u + 1] - x[u + 1 :]).T / (2 * step)
    joint = [int(np.flatnonzero(places == place)[0]) for place in belief.scales.place]
    J[np.arange(n, len(plant.names)), joint] = 1.0
    far = J @ np.diag(diffuse.astype(float)) @ J.T if diffuse.any() else np.empty((0, 0))
    return np.concatenate([x[0], mean[joint]]), J @ covariance @ J.T, far


def refuse_failure(plant: Plant, failed: int) -> None:
    """Raise SolveError for the first cycle that could not be carried on, k, or whose covariance is none, -2 - k."""
    if failed == -1:
        return
    cycle = failed if failed >= 0 else -2 - failed
    time = f"{plant.plan.until[plant.plan.leg[cycle + 1] - 1]:.6g} {plant.model.time_unit}"
    if failed >= 0:
        raise SolveError(
            f"{plant.model.name}: the filter could not be carried to t = {time}: "
            "no solution from its estimate; check starts, process noise and bounds"
        )
    raise SolveError(
        f"{plant.model.name}: the covariance is no longer positive definite at t = {time}, to rounding: a reading is "
        "too sharp for what was known; expected starts of smaller SD (or wb.prior.Flat() with wb.Kalman), noise "
        "that is not tiny beside the spread, and of wb.UnscentedKalman a beta of alpha**2 or more"
    )
