"""The ensemble Kalman filter: members carried by the model's kernel, corrected by their own covariances."""

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from workbench.base.errors import DataError, SolveError
from workbench.simulate.kernels.calls import carry
from workbench.sync.filters.analysis import Localisation, PerturbedObservations, SquareRoot, tapers
from workbench.sync.filters.analysis import perturbed as _perturbed
from workbench.sync.filters.analysis import serial as _serial
from workbench.sync.filters.analysis import square_root as _square_root
from workbench.sync.filters.belief import starts
from workbench.sync.filters.gaussian import compare
from workbench.sync.filters.plan import PIECES
from workbench.sync.filters.plant import Plant
from workbench.sync.filters.protocol import Cyclic, FilterState, Records, begin, records
from workbench.sync.filters.scale import natural, no_scales, unbounded
from workbench.sync.filters.sensors import shown

Array = NDArray[np.float64]


@njit(cache=True, error_model="numpy")
def advance(address: int, plan: Any, k: int, given: Any, members: Any, made: Any, rng: Any) -> int:
    """Carry members (B, Z) over the legs of a cycle with noise of their own; return how many were replaced.

    A member that fails is replaced by another, chosen at random; -1 where all failed.
    """
    theta, scales, sigma, low, high, _ = given
    states = made[0]
    count, n = members.shape[0], sigma.size
    replaced = 0
    for leg in range(plan.leg[k], plan.leg[k + 1]):
        kick(members, sigma, plan.before[leg], rng)
        start(members, theta, scales, states.shape[1], made[5])
        failed = carry(address, plan, leg, theta, made[5], made[:5])
        if failed == count:
            return -1
        for b in range(count):
            if np.isnan(states[b, 0]):
                other = rng.integers(0, count)
                while np.isnan(states[other, 0]):
                    other = rng.integers(0, count)
                members[b] = members[other]
                for i in range(n):
                    members[b, i] = states[other, i]
            else:
                for i in range(n):
                    members[b, i] = states[b, i]
        replaced += failed
        kick(members, sigma, plan.after[leg], rng)
        clip(members, low, high)
    return replaced


@njit(cache=True, error_model="numpy")
def kick(members: Any, sigma: Any, weight: float, rng: Any) -> None:
    """Add process noise."""
    if weight > 0.0:
        for i in range(sigma.size):
            if sigma[i] > 0.0:
                size = sigma[i] * math.sqrt(weight)
                for b in range(members.shape[0]):
                    members[b, i] += size * rng.standard_normal()


@njit(cache=True, error_model="numpy")
def clip(members: Any, low: Any, high: Any) -> None:
    """Move states that are beyond a bound onto it."""
    for i in range(low.size):
        if low[i] > -math.inf or high[i] < math.inf:
            for b in range(members.shape[0]):
                members[b, i] = min(max(members[b, i], low[i]), high[i])


@njit(cache=True, error_model="numpy")
def start(members: Any, theta: Any, scales: Any, n: int, made: Any) -> None:
    """Write the states of members where a kernel starts from, and their parameters."""
    for b in range(members.shape[0]):
        for i in range(n):
            made[b, i] = members[b, i]
        for j in range(scales.place.size):
            theta[b, scales.place[j]] = natural(scales.low[j], scales.high[j], members[b, n + j])[0]


@njit(cache=True, error_model="numpy")
def look(address: int, plan: Any, k: int, given: Any, members: Any, made: Any) -> None:
    """Compute the outputs of members at the end of a cycle."""
    start(members, given[0], given[1], made[0].shape[1], made[5])
    carry(address, plan, plan.until.size - plan.y.shape[0] + k, given[0], made[5], made[:5])


@njit(cache=True, error_model="numpy")
def summary(members: Any, weights: Any, scales: Any, out: Any) -> None:
    """Write mean and SD of each column (2, Z), of parameters on their own scale; without `weights` these are equal."""
    count, z = members.shape
    n = z - scales.place.size
    values = np.empty(count)
    for i in range(z):
        total = 0.0
        for b in range(count):
            value = members[b, i]
            if i >= n:
                value = natural(scales.low[i - n], scales.high[i - n], value)[0]
            values[b] = value
            total += value * (weights[b] if weights.size else 1.0 / count)
        square = 0.0
        for b in range(count):
            square += (values[b] - total) ** 2 * (weights[b] if weights.size else 1.0 / (count - 1))
        out[0, i], out[1, i] = total, math.sqrt(square)


@njit(cache=True, error_model="numpy")
def _centre(members: Any, mean: Any, A: Any) -> None:
    count, z = members.shape
    for i in range(z):
        mean[i] = 0.0
    for b in range(count):
        for i in range(z):
            mean[i] += members[b, i] / count
    for b in range(count):
        for i in range(z):
            A[b, i] = members[b, i] - mean[i]


@njit(cache=True, error_model="numpy")
def _correct(plan: Any, k: int, how: Any, members: Any, made: Any, room: Any, rng: Any) -> float:
    """Take in the readings of a cycle; return their log density."""
    way, inflation, rotate, gate, taper, own = how
    outputs, (count, z), many = made[1], members.shape, plan.column.size
    h, Y, spread = np.zeros(many), np.empty((count, many)), np.zeros(many)
    for j in range(many):
        for b in range(count):
            Y[b, j] = shown(plan.kind[j], outputs[b, plan.column[j]])
            h[j] += Y[b, j] / count
        for b in range(count):
            Y[b, j] -= h[j]
            spread[j] += Y[b, j] ** 2 / (count - 1)
    if compare(plan, k, gate, h, spread, room) == 0:
        return 0.0
    innovation, flag, noise = room
    used = np.flatnonzero(flag == 0)
    v, R, Ys = innovation[0][used], noise[used], Y[:, used]
    total = 0.0
    for place in used:
        if plan.kind[place] == 1:
            total -= math.log(plan.y[k, place])
    mean, A = np.empty(z), np.empty((count, z))
    _centre(members, mean, A)
    if way == 0:
        total += _perturbed(mean, A, Ys, v, R, (taper[:, used], own[used][:, used]), rng)
    elif taper.size:
        total += _serial(mean, A, Ys, v, R, taper[:, used], own[used][:, used])
    else:
        total += _square_root(mean, A, Ys, v, R, rotate, rng)
    for b in range(count):
        for i in range(z):
            members[b, i] = mean[i] + inflation * A[b, i]
    return total


@njit(cache=True, error_model="numpy")
def _cycles(where: Any, span: Any, given: Any, members: Any, how: Any, record: Any, rng: Any) -> int:
    """Run cycles span[0] to span[1], `where` says what of them; return the first that failed, or -1."""
    address, plan, what = where
    count = members.shape[0]
    n, outputs = given[2].size, record.outputs.shape[2]
    made = (np.empty((count, n)), np.empty((count, outputs)), np.empty((count, 5)),
            np.empty(2, np.int64), np.empty(2, np.int64), np.empty((count, n)))  # fmt: skip
    none, plain = np.empty(0), given[5]
    noise = np.empty(plan.column.size)
    for k in range(span[0], span[1]):
        r = k - span[0]
        if what & 1:
            record.replaced[r] = advance(address, plan, k, given, members, made, rng)
            if record.replaced[r] < 0:
                return k
        summary(members, none, given[1], record.forecast[r])
        if record.history[0].shape[0]:
            record.history[0][r] = members
        if what & 2:
            look(address, plan, k, given, members, made)
            summary(made[1], none, plain, record.outputs[r, :2])
            record.evidence[r] = _correct(
                plan, k, how, members, made, (record.innovation[r], record.flag[r], noise), rng
            )
            clip(members, given[3], given[4])
            look(address, plan, k, given, members, made)
            summary(made[1], none, plain, record.outputs[r, 2:])
        summary(members, none, given[1], record.analysis[r])
        record.size[r] = count
        if record.history[0].shape[0]:
            record.history[1][r] = members
    return -1


@dataclass(frozen=True)
class EnKF(Cyclic):
    """The ensemble Kalman filter (Evensen, Data Assimilation, 2nd ed. 2009).

    Parameters
    ----------
    members
        Number of members.
    analysis
        `wb.SquareRoot(rotate=...)` or `wb.PerturbedObservations()`.
    inflation
        Factor on the members' distances from their mean after each correction, for what the ensemble is too small to
        know.
    localisation
        `wb.Localisation(dim, radius)`: how far readings reach along a vector state.
    gate
        Refuse a reading that lies further than so many SDs from its forecast, and say so; infinite: refuse none.
    """

    members: int = 100
    analysis: SquareRoot | PerturbedObservations = field(default_factory=SquareRoot)
    inflation: float = 1.0
    localisation: Localisation | None = None
    gate: float = 20.0
    holds: ClassVar[tuple[str, ...]] = ("members",)

    def __post_init__(self) -> None:
        if not isinstance(self.members, int) or self.members < 2:
            raise DataError(f"EnKF: got members={self.members!r}; expected a whole number, 2 or more")
        if not self.inflation > 0:
            raise DataError(f"EnKF: got inflation={self.inflation!r}; expected a number above 0, such as 1.02")
        if not isinstance(self.analysis, SquareRoot | PerturbedObservations):
            raise DataError(
                f"EnKF: got analysis={self.analysis!r}; expected wb.SquareRoot() or wb.PerturbedObservations()"
            )

    def pieces(self, model: Any) -> int | None:
        """Return 4 legs between readings."""
        return PIECES

    def init(self, plant: Plant, seed: int | None) -> FilterState:
        """Return members drawn from what is believed when the clock starts."""
        rng = np.random.default_rng(seed)
        arrays = {"members": initial_members(plant, rng, self.members)}
        return begin(float(plant.schedule.begin[0]), plant.names, arrays, rng)

    def _run(
        self, plant: Plant, state: FilterState, span: tuple[int, int], what: int, *, keep: bool
    ) -> tuple[FilterState, Records]:
        members, rng = np.array(state.arrays["members"]), state.generator()
        record = records(plant, span[1] - span[0], (members.shape, members.shape), keep=keep)
        taper, own = tapers(plant, self.localisation)
        root = isinstance(self.analysis, SquareRoot)
        rotate = isinstance(self.analysis, SquareRoot) and self.analysis.rotate
        how = (1 if root else 0, float(self.inflation), rotate, float(self.gate), taper, own)
        given = of_members(plant, len(members))
        refuse_ensemble(plant, _cycles((plant.run, plant.plan, what), np.array(span), given, members, how, record, rng))
        time = float(plant.plan.until[plant.plan.leg[span[1]] - 1])
        return state.moved(time, {"members": members}, rng, record.evidence), record


def of_members(plant: Plant, count: int) -> tuple[Any, ...]:
    """Return what compiled loops over members take of a plant."""
    theta = np.tile(plant.belief.theta, (count, 1))
    return theta, plant.belief.scales, plant.sigma, plant.low, plant.high, no_scales()


def initial_members(plant: Plant, rng: np.random.Generator, count: int) -> Array:
    """Return (B, Z) members drawn from what is believed when the clock starts."""
    theta = plant.belief.sample(rng, count)
    x = starts(plant.model, plant.schedule, theta)
    scales = plant.belief.scales
    phi = [unbounded(lo, hi, theta[:, p]) for p, lo, hi in zip(*scales, strict=True)]
    return np.ascontiguousarray(np.concatenate([x, *(column[:, None] for column in phi)], axis=1))


def refuse_ensemble(plant: Plant, failed: int) -> None:
    """Raise SolveError where no member could be carried on."""
    if failed >= 0:
        leg = plant.plan.leg[failed + 1] - 1
        raise SolveError(
            f"{plant.model.name}: no member could be carried to t = {plant.plan.until[leg]:.6g} "
            f"{plant.model.time_unit}; check starts, process noise and bounds"
        )
