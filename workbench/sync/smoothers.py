"""Smoothers: backward passes over what a filter wrote down, after which each time knows the later readings, too."""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from workbench.base.errors import DataError
from workbench.sync.filters.ensemble import EnKF, clip, look, of_members, summary
from workbench.sync.filters.extended import ExtendedKalman, look_linear, refuse_failure
from workbench.sync.filters.gaussian import carried, project, spreads
from workbench.sync.filters.plant import Plant
from workbench.sync.filters.protocol import Filter, Records
from workbench.sync.filters.unscented import UnscentedKalman, look_points, room_of_points

Array = NDArray[np.float64]


class Smoothed(NamedTuple):
    """Mean and SD of C times given all readings: of Z states and parameters (C, 2, Z), of K outputs (C, 2, K).

    Parameters are as the filter holds them, as in `Records`.
    """

    states: Array
    outputs: Array


def backward(filter: Filter, plant: Plant, records: Records) -> Smoothed:
    """Return what all readings say of each time, from the records of a run with `keep=True`.

    Gaussian filters: Rauch, Tung & Striebel (AIAA J. 3 (1965) 1445-1450; Sarkka, Bayesian Filtering and Smoothing,
    2013, theorem 8.2), with the transitions linearised about the filter's means, or regressed on its points (Sarkka,
    IEEE Trans. Automatic Control 53 (2008) 845-849). Ensembles: see `ensemble_members`.

    Raises
    ------
    DataError
        If there is no smoother for the filter.
    SolveError
        If outputs have no solution at a smoothed estimate.
    """
    refuse_unsmoothed(filter)
    if isinstance(filter, EnKF):
        return _ensemble(plant, records)
    if isinstance(filter, UnscentedKalman):
        return _unscented(filter, plant, records)
    return _linear(plant, records)


def refuse_unsmoothed(filter: Filter) -> None:
    """Refuse a filter for which there is no smoother."""
    if not isinstance(filter, ExtendedKalman | UnscentedKalman | EnKF):
        raise DataError(
            f"got filter={filter!r}; expected one that can be smoothed: wb.Kalman(), wb.ExtendedKalman(), "
            "wb.UnscentedKalman() or wb.EnKF() (particles lose their pasts in resampling, and those of states without "
            "noise of their own cannot be drawn anew)"
        )
    if isinstance(filter, EnKF) and filter.localisation is not None:
        raise DataError(
            f"EnKF: got localisation={filter.localisation!r}; expected none to smooth, as covariances of few members "
            "across times would tie places together that localisation keeps apart (take more members)"
        )


@njit(cache=True, error_model="numpy")
def regress(A: Any, P: Any, D: Any, forecast: Any) -> Any:
    """Return how a state hangs on the next one: gain (Z, Z), and covariance and diffuse part of what is left.

    x ~ N(m, P + kappa D), kappa to infinity (`D` may be empty), next = A x + w, with cov(next) = `forecast` without its
    diffuse part. The next state is taken as Z exact readings of x whose errors are w, on axes on which these are
    independent, one after the other (as in `gaussian.correct`): no covariance is inverted, it may be singular, and
    diffuse starts are exact, as in Durbin & Koopman (2012), section 5.3.
    """
    z = P.shape[0]
    moved = carried(A, P)
    scale = np.ones(z)
    for i in range(z):
        if forecast[i, i] > 0.0:
            scale[i] = math.sqrt(forecast[i, i])
    noise = forecast - moved
    for i in range(z):
        for j in range(z):
            noise[i, j] /= scale[i] * scale[j]
            moved[i, j] = A[i, j] / scale[i]
    values, axes = np.linalg.eigh(noise)
    H = axes.T @ moved
    G, left, far_left = np.zeros((z, z)), P.copy(), D.copy()
    for i in range(z):
        h, q = H[i], max(values[i], 0.0)
        g = left @ h
        f, whole = h @ g + q, h @ (P @ h) + q
        far, far_whole = 0.0, 0.0
        gap = axes[:, i] / scale - h @ G
        if D.size:
            e = far_left @ h
            far, far_whole = h @ e, h @ (D @ h)
            if far > 1e-9 * max(far_whole, h @ h):
                G += np.outer(e / far, gap)
                left += np.outer(e, e) * (f / far**2) - (np.outer(g, e) + np.outer(e, g)) / far
                far_left -= np.outer(e, e) / far
                continue
        if f > 1e-12 * whole:
            G += np.outer(g / f, gap)
            left -= np.outer(g, g) / f
    return G, left, far_left


@njit(cache=True, error_model="numpy")
def _pass(forecast: Any, analysis: Any, history: Any, low: Any, high: Any) -> Any:
    """Return means (C, Z), covariances (C, Z, Z) and their diffuse parts, from the last cycle to the first."""
    before, after, moves, far = history
    mean, P, D = analysis.copy(), after.copy(), far.copy()
    for k in range(len(mean) - 2, -1, -1):
        G, left, far_left = regress(moves[k + 1], after[k], far[k], before[k + 1])
        mean[k] += G @ (mean[k + 1] - forecast[k + 1])
        P[k] = left + carried(G, P[k + 1])
        if far_left.size:
            D[k] = far_left + carried(G, D[k + 1])
        project(low, high, mean[k])
    return mean, P, D


def _moments(plant: Plant, records: Records) -> tuple[Array, Array, Array, Array]:
    """Return smoothed means, covariances and diffuse parts, and their means and SDs (C, 2, Z)."""
    none = np.empty((len(records.forecast), 0, 0))
    history = records.history if len(records.history) == 4 else (*records.history, none)
    ends = (np.ascontiguousarray(records.forecast[:, 0]), np.ascontiguousarray(records.analysis[:, 0]))
    mean, P, D = _pass(*ends, history, plant.low, plant.high)
    states = np.empty_like(records.analysis)
    states[:, 0] = mean
    for k in range(len(mean)):
        spreads(P[k], D[k], states[k, 1])
    return mean, P, D, states


@njit(cache=True, error_model="numpy")
def _look_linear(where: Any, given: Any, mean: Any, P: Any, D: Any, out: Any) -> int:
    n, (z, many) = given[2].size, (mean.shape[1], where[1].column.size)
    outputs = out.shape[2]
    made = (np.empty((1, n + outputs)), np.empty((1, n + outputs, z)), np.empty(2, np.int64), np.empty(2, np.int64))
    seen = (np.empty((many, z)), np.empty(many))
    for k in range(len(mean)):
        if not look_linear(where, k, given, made, (mean[k], P[k], D[k]), out[k], seen)[0]:
            return k
    return -1


def _linear(plant: Plant, records: Records) -> Smoothed:
    mean, P, D, states = _moments(plant, records)
    outputs = np.empty_like(records.outputs[:, :2])
    theta = np.concatenate([np.zeros(plant.sigma.size), plant.belief.theta])[None]
    given = (theta, plant.belief.scales, plant.sigma)
    refuse_failure(plant, _look_linear((plant.slopes, plant.plan), given, mean, P, D, outputs))
    return Smoothed(states, outputs)


@njit(cache=True, error_model="numpy")
def _look_points(where: Any, given: Any, rule: Any, mean: Any, P: Any, out: Any) -> int:
    made = room_of_points(mean.shape[1], given[2].size, out.shape[2])
    for k in range(len(mean)):
        failed = look_points(where, k, given, rule, (mean[k], P[k]), made, out[k])
        if failed:
            return k
    return -1


def _unscented(filter: UnscentedKalman, plant: Plant, records: Records) -> Smoothed:
    mean, P, _, states = _moments(plant, records)
    outputs = np.empty_like(records.outputs[:, :2])
    z = len(plant.names)
    given = of_members(plant, 2 * z + 1)
    refuse_failure(plant, _look_points((plant.run, plant.plan), given, filter.rule(z), mean, P, outputs))
    return Smoothed(states, outputs)


def ensemble_members(forecast: Array, analysis: Array) -> Array:
    """Return members (C, B, Z) given all readings, from those before (C, B, Z) and after each.

    The ensemble Rauch-Tung-Striebel smoother (Raanes, QJRMS 142 (2016) 1259-1264): each member is moved by what its own
    future missed, times the regression of members on their next forecasts. With no more members than states, or without
    process noise, it is the ensemble Kalman smoother of Evensen & van Leeuwen (MWR 128 (2000) 1852-1867); with more
    it knows that the states of one time are all that the next one hangs on, and errs less.
    """
    members = analysis.copy()
    for k in range(len(members) - 2, -1, -1):
        ahead = forecast[k + 1] - forecast[k + 1].mean(axis=0)
        spread = ahead.std(axis=0)
        spread[spread == 0.0] = 1.0  # of what is known
        regression = np.linalg.pinv(ahead / spread, rcond=1e-10) @ (analysis[k] - analysis[k].mean(axis=0))
        members[k] += (members[k + 1] - forecast[k + 1]) / spread @ regression
    return members


@njit(cache=True, error_model="numpy")
def _tell(where: Any, given: Any, members: Any, states: Any, outputs: Any) -> None:
    count, n = members.shape[1], given[2].size
    made = (np.empty((count, n)), np.empty((count, outputs.shape[2])), np.empty((count, 5)),
            np.empty(2, np.int64), np.empty(2, np.int64), np.empty((count, n)))  # fmt: skip
    none = np.empty(0)
    for k in range(len(members)):
        clip(members[k], given[3], given[4])
        summary(members[k], none, given[1], states[k])
        look(where[0], where[1], k, given, members[k], made)
        summary(made[1], none, given[5], outputs[k])


def _ensemble(plant: Plant, records: Records) -> Smoothed:
    members = ensemble_members(*records.history)
    states, outputs = np.empty_like(records.analysis), np.empty_like(records.outputs[:, :2])
    _tell((plant.run, plant.plan), of_members(plant, members.shape[1]), members, states, outputs)
    return Smoothed(states, outputs)
