"""Process noise: random kicks to states at many instants between the times asked for.

A state's noise is additive, dx = f dt + sigma dB. Each stretch between two times (of outputs, or of changes of inputs)
is cut into equal steps, and half-way through each the state gets sigma sqrt(step) times a standard normal number, with
the solution of the equations before and after it: Strang splitting, of weak order 2 (Misawa, Journal of Differential
Equations 177 (2001) 364-387; a stationary variance is off by a factor 1 - (step / time constant)^2 / 6). A map is
kicked once a step, at its end.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.declare.model import Model
from workbench.declare.prior import Prior
from workbench.simulate.scenario import Schedule

Array = NDArray[np.float64]
STEPS = 200  # of a whole run, at least
BETWEEN = 4  # two times asked for, at least


def shaken(
    model: Model, schedule: Schedule, theta: Array, *, times: Array, seed: int | None, first: int = 0
) -> Schedule:
    """Return the schedule with kicks for every member; as it is where no state has process noise.

    Parameters
    ----------
    theta
        (members, units, parameters).
    times
        (rows,) times asked for, the same for every unit.
    seed
        Seed; a member's kicks depend on it and on the member's number alone. None: new ones each time.
    first
        Number of the first member.
    """
    sigma = _strengths(model, theta)
    if sigma is None:
        return schedule
    kicks = [_instants(model, schedule, unit, times) for unit in range(schedule.offset.size - 1)]
    made, weight = _cut(schedule, kicks)
    seeds = np.random.SeedSequence(seed).entropy
    shock = np.zeros((len(theta), made.begin.size, model.state_layout.size))
    for member in range(len(theta)):
        rng = np.random.default_rng([int(seeds), first + member])  # type: ignore[arg-type]
        for unit in range(sigma.shape[1]):
            place = slice(made.offset[unit], made.offset[unit + 1])
            noisy = np.flatnonzero(sigma[member, unit])
            drawn = rng.standard_normal((place.stop - place.start, noisy.size))
            shock[member, place, noisy] = (weight[place, None] * drawn * sigma[member, unit, noisy]).T
    return replace(made, shock=shock)


def _strengths(model: Model, theta: Array) -> Array | None:
    """Return sigma (members, units, states), None where there is no noise."""
    noisy = {name: state.noise for name, state in model.states.items() if state.noise is not None}
    if not noisy:
        return None
    sigma = np.zeros((*theta.shape[:2], model.state_layout.size))
    for name, noise in noisy.items():
        source = f"{name}_noise" if isinstance(noise, Prior) else noise
        number = theta[..., model.theta_layout.places[source]] if isinstance(source, str) else float(source)
        sigma[..., model.state_layout.places[name]] = number
    return sigma


def _instants(model: Model, schedule: Schedule, unit: int, times: Array) -> tuple[Array, Array]:
    """Return the times of a unit's kicks and the roots of the steps they stand for."""
    begin = schedule.begin[schedule.offset[unit] : schedule.offset[unit + 1]]
    last = times[-1]
    if hasattr(model, "dt"):
        count = int(np.floor((last - begin[0]) / model.dt + 1e-9))
        return begin[0] + model.dt * np.arange(1, count + 1), np.ones(count)
    edges = np.union1d(begin, times[times >= begin[0]])
    edges = edges[edges <= last]
    gaps = np.diff(edges)
    step = getattr(model, "noise_step", None)
    longest = (last - begin[0]) / STEPS if step is None else step
    least = BETWEEN if step is None else 1
    counts = np.maximum(np.ceil(gaps / longest - 1e-9), least).astype(int)
    steps = np.repeat(gaps / counts, counts)
    inside = np.concatenate([np.arange(count) + 0.5 for count in counts]) if counts.size else np.empty(0)
    return np.repeat(edges[:-1], counts) + inside * steps, np.sqrt(steps)


def _cut(schedule: Schedule, kicks: list[tuple[Array, Array]]) -> tuple[Schedule, Array]:
    """Return the schedule cut at the kicks, and for each segment the root of the step its kick stands for (0: none)."""

    def parts() -> Iterator[tuple[Any, ...]]:
        for unit, (times, roots) in enumerate(kicks):
            old = np.arange(schedule.offset[unit], schedule.offset[unit + 1])
            begin = np.union1d(schedule.begin[old], times)
            source = old[np.searchsorted(schedule.begin[old], begin, side="right") - 1]
            weight, kept = np.zeros(begin.size), np.isin(begin, schedule.begin[old])
            weight[np.searchsorted(begin, times)] = roots
            moved = schedule.level[source] + schedule.slope[source] * (begin - schedule.begin[source])[:, None]
            yield begin, moved, schedule.slope[source], schedule.jump[source] * kept[:, None], weight

    begin, level, slope, jump, weight = (list(column) for column in zip(*parts(), strict=True))
    offset = np.concatenate([[0], np.cumsum([b.size for b in begin])]).astype(np.int64)
    return Schedule(offset, *map(np.concatenate, (begin, level, slope, jump))), np.concatenate(weight)
