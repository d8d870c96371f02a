"""Particle filters: weighted particles carried by the model's kernel, for any noise of the sensors."""

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from workbench.base.errors import DataError
from workbench.sync.filters.ensemble import initial_members, look, of_members, refuse_ensemble, summary
from workbench.sync.filters.gaussian import compare
from workbench.sync.filters.guide import Bootstrap, Guided, Proposal, flow, steer
from workbench.sync.filters.limits import upper_limits
from workbench.sync.filters.plan import PIECES
from workbench.sync.filters.plant import Plant
from workbench.sync.filters.protocol import Cyclic, FilterState, Records, begin, records
from workbench.sync.filters.resampling import Multinomial, Resampler, Residual, Stratified, Systematic, resample
from workbench.sync.filters.weights import effective, expect, mark, normalise, weigh

Array = NDArray[np.float64]


@njit(cache=True, error_model="numpy")
def _renew(cloud: Any, room: Any, threshold: float, code: int, rng: Any) -> None:
    """Draw particles anew where fewer than a share of them count."""
    members, log_weights, _ = cloud
    weights, picked, other = room
    count = weights.size
    normalise(log_weights, weights)
    if effective(weights) >= threshold * count:
        return
    resample(code, weights, rng, picked)
    other[:] = members
    for b in range(count):
        members[b] = other[picked[b]]
        log_weights[b] = -math.log(count)


@njit(cache=True, error_model="numpy")
def _propose(where: Any, k: int, given: Any, cloud: Any, how: Any, room: Any, rng: Any) -> bool:
    """Carry particles to a cycle's readings; False where none is left. See `_cycles` for the arguments."""
    address, leading, plan = where
    members, log_weights, expected = cloud
    made, weights, guide, kicks, record, r = room
    before, blind = members.copy() if leading else members[:0], log_weights.copy()
    for leg in range(plan.leg[k + 1] - plan.leg[k]):
        for half in range(2):
            length = plan.after[plan.leg[k] + leg] if half else plan.before[plan.leg[k] + leg]
            for i in range(given[2].size):
                if length * given[2][i] > 0.0:
                    for b in range(members.shape[0]):
                        kicks[leg, half, b, i] = rng.standard_normal()
    flow(address, plan, k, given, members, kicks, made)
    record.replaced[r] = mark(blind, made[6])
    if normalise(blind, weights) == -math.inf:
        return False
    look(address, plan, k, given, members, made)
    expect(plan, made[1], weights, expected)
    summary(members, weights, given[1], record.forecast[r])
    summary(made[1], weights, given[5], record.outputs[r, :2])
    noise = np.empty(plan.column.size)
    aim = (record.innovation[r], record.flag[r], noise)
    if not (leading and compare(plan, k, how[2], expected[0], expected[1], aim)):
        log_weights[:] = blind
        return True
    used = np.flatnonzero(record.flag[r] == 0)
    steer((leading, plan), k, given, (before, log_weights, kicks), used, guide, rng)
    members[:] = before
    flow(address, plan, k, given, members, kicks, made)
    record.replaced[r] = mark(log_weights, made[6])
    look(address, plan, k, given, members, made)
    return normalise(log_weights, weights) > -math.inf


@njit(cache=True, error_model="numpy")
def _update(where: Any, k: int, cloud: Any, how: Any, outputs: Any, weights: Any, written: Any) -> float:
    """Take in the readings of a cycle; return their log density, which is -inf where no particle can explain them."""
    plan, (_, log_weights, expected) = where[2], cloud
    innovation, flag = written
    compare(plan, k, how[2], expected[0], expected[1], (innovation, flag, np.empty(plan.column.size)))
    before = log_weights.copy()
    weigh(plan, k, cloud, outputs, how[3], flag)
    total = normalise(log_weights, weights)
    if total == -math.inf:
        total = 0.0 if how[2] < math.inf else total
        log_weights[:] = before
        normalise(log_weights, weights)
        for j in range(flag.size):
            flag[j] = 1 if flag[j] == 1 else 2
    for b in range(weights.size):
        log_weights[b] = math.log(weights[b])
    return total


@njit(cache=True, error_model="numpy")
def _cycles(where: Any, steps: Any, given: Any, cloud: Any, how: Any, record: Any, rng: Any) -> int:
    """Run cycles steps[0] to steps[1], steps[2] says what of them; return the first that failed, or -1.

    `where` is the kernel's address, that of derivatives (0: propose blindly) and the plan; `cloud` particles, log
    weights and `expected` mean and variance of what is measured; `how` the threshold and code of resampling, the gate
    and the upper limits; `given` is that of `of_members`.
    """
    plan, (members, log_weights, _) = where[2], cloud
    (count, z), n, outputs = members.shape, given[2].size, record.outputs.shape[2]
    made = (np.empty((count, n)), np.empty((count, outputs)), np.empty((count, 5)), np.empty(2, np.int64),
            np.empty(2, np.int64), np.empty((count, n)), np.zeros(count, np.bool_))  # fmt: skip
    longest = 0
    for k in range(steps[0], steps[1]):
        longest = max(longest, plan.leg[k + 1] - plan.leg[k])
    many, p = (count, given[0].shape[1]) if where[1] else (0, 0)
    along = (np.empty((many, n + outputs)), np.empty((many, n + outputs, z)), made[3], made[4])
    guide = (np.empty((many, n + p)), along, np.empty((longest, many, n, n)))
    weights, picked, other = np.empty(count), np.empty(count, np.int64), np.empty((count, z))
    kicks = np.zeros((longest, 2, count, n))
    for k in range(steps[0], steps[1]):
        r = k - steps[0]
        if steps[2] & 1:
            _renew(cloud, (weights, picked, other), how[0], how[1], rng)
            if not _propose(where, k, given, cloud, how, (made, weights, guide, kicks, record, r), rng):
                return k
        else:
            look(where[0], plan, k, given, members, made)
        if record.history[0].shape[0]:
            record.history[0][r], record.history[2][r] = members, log_weights
        if steps[2] & 2:
            written = (record.innovation[r], record.flag[r])
            record.evidence[r] = _update(where, k, cloud, how, made[1], weights, written)
            summary(made[1], weights, given[5], record.outputs[r, 2:])
            summary(members, weights, given[1], record.analysis[r])
            record.size[r] = effective(weights)
        if record.history[0].shape[0]:
            record.history[1][r], record.history[3][r] = members, log_weights
    return -1


@dataclass(frozen=True)
class ParticleFilter(Cyclic):
    """The particle filter: exact as particles become many, whatever the equations and the noise of the sensors.

    The log evidence is that of an unbiased estimate of the evidence (Del Moral, Feynman-Kac Formulae, 2004, theorem
    7.4.2), of the model with its process noise split as in `wb.ExtendedKalman`. Readings at a limit of quantification
    count as what they are: at the limit or beyond it. A particle whose equations have no solution loses its weight, and
    is counted as replaced. Estimated parameters do not move, so that fewer and fewer of their values survive
    resampling: for long series take another filter, or calibrate.

    Parameters
    ----------
    particles
        Number of particles.
    resampler
        `wb.Systematic()`, `wb.Stratified()`, `wb.Residual()` or `wb.Multinomial()`.
    proposal
        `wb.Bootstrap()`, or `wb.Guided()` for sensors that say much more than the forecast.
    threshold
        Particles are drawn anew where the effective number falls below this share of all.
    gate
        Refuse a reading that lies further than so many SDs from its forecast, and say so; infinite: refuse none.
        Readings that no particle can explain are refused, too; with an infinite gate their evidence is 0.
    """

    particles: int = 1000
    resampler: Resampler = field(default_factory=Systematic)
    proposal: Proposal = field(default_factory=Bootstrap)
    threshold: float = 0.5
    gate: float = 20.0
    holds: ClassVar[tuple[str, ...]] = ("members", "log_weights")

    def __post_init__(self) -> None:
        if not isinstance(self.particles, int) or self.particles < 2:
            raise DataError(f"ParticleFilter: got particles={self.particles!r}; expected a whole number, 2 or more")
        if not isinstance(self.resampler, Systematic | Stratified | Residual | Multinomial):
            raise DataError(f"ParticleFilter: got resampler={self.resampler!r}; expected one such as wb.Systematic()")
        if not isinstance(self.proposal, Bootstrap | Guided):
            raise DataError(f"ParticleFilter: got proposal={self.proposal!r}; expected wb.Bootstrap() or wb.Guided()")
        if not 0.0 <= self.threshold <= 1.0:
            raise DataError(f"ParticleFilter: got threshold={self.threshold!r}; expected a share from 0 to 1")

    def pieces(self, model: Any) -> int | None:
        """Return 4 legs between readings."""
        return PIECES

    def init(self, plant: Plant, seed: int | None) -> FilterState:
        """Return particles drawn from what is believed when the clock starts, all of one weight."""
        rng = np.random.default_rng(seed)
        even = np.full(self.particles, -math.log(self.particles))
        arrays = {"members": initial_members(plant, rng, self.particles), "log_weights": even}
        return begin(float(plant.schedule.begin[0]), plant.names, arrays, rng)

    def _run(
        self, plant: Plant, state: FilterState, span: tuple[int, int], what: int, *, keep: bool
    ) -> tuple[FilterState, Records]:
        members, log_weights = np.array(state.arrays["members"]), np.array(state.arrays["log_weights"])
        rng, (count, _) = state.generator(), members.shape
        record = records(plant, span[1] - span[0], (members.shape, members.shape, (count,), (count,)), keep=keep)
        expected = np.array(state.arrays.get("expected", np.empty((2, plant.plan.column.size))))
        steered = isinstance(self.proposal, Guided) and plant.sigma.any()
        where = (plant.run, plant.slopes if steered else 0, plant.plan)
        how = (float(self.threshold), self.resampler.code, float(self.gate), upper_limits(plant))
        cloud, steps = (members, log_weights, expected), np.array([*span, what])
        refuse_ensemble(plant, _cycles(where, steps, of_members(plant, count), cloud, how, record, rng))
        arrays = {"members": members, "log_weights": log_weights} | ({} if what & 2 else {"expected": expected})
        time = float(plant.plan.until[plant.plan.leg[span[1]] - 1])
        return state.moved(time, arrays, rng, record.evidence), record
