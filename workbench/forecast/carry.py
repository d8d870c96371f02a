"""Forecasts from a filter: members of its last state carried on by the model's kernel, and read by noisy sensors."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workbench.base.clock import Clock, check_times
from workbench.base.errors import DataError
from workbench.base.schema import MEMBER
from workbench.calibrate.sensors.likelihood import draw_readings
from workbench.declare.model import Model, as_model
from workbench.declare.prior import Prior
from workbench.simulate.increments import count as count_between
from workbench.simulate.kernel import solve
from workbench.simulate.members import Members
from workbench.simulate.results import as_dataset, attributes, refuse_failures
from workbench.simulate.scenario import Schedule, build_schedule
from workbench.simulate.walk import shaken
from workbench.sync.filters.plant import bounds
from workbench.sync.filters.protocol import FilterState
from workbench.sync.filters.scale import naturals
from workbench.sync.past import Past, recalled

Array = NDArray[np.float64]
DRAWS = 1000  # from mean and covariance


def forecast_followed(
    dataset: xr.Dataset, times: Any, *, model: Any, inputs: Any, members: int | None, noise: bool, seed: int | None
) -> xr.Dataset:
    """Return what members of a filter's last state do, and what their sensors read; see `wb.forecast`.

    Members start within the bounds of the states; kicks of process noise may carry them beyond, as in `wb.simulate`. A
    member that starts beyond an event's threshold has the event when it comes back, where that direction counts.
    """
    model = recalled(dataset) if model is None else as_model(model)
    followed = Past.of(dataset, model)
    clock, rng = followed.clock, np.random.default_rng(seed)
    last = np.array([state.time for state in followed.states])
    numbers = _ahead(clock, times, float(last.max()))
    drawn = [_members(state, members, rng) for state in followed.states]
    states, theta = zip(
        *[_split(model, s, p, d) for s, p, d in zip(*_lists(followed), drawn, strict=True)], strict=True
    )
    begin = np.array([_begin(model, s, p) for s, p in zip(*_lists(followed), strict=True)])
    schedule = build_schedule(
        model, inputs, units=followed.units, begin=begin, end=np.full(begin.size, numbers[-1]), clock=clock
    )
    schedule = _from_now(schedule, begin, last)
    values = np.stack(theta, axis=1)
    of = Members(values, tuple(model.theta_layout.labels()), {MEMBER: np.arange(len(values))}, followed.units)
    schedule = shaken(model, schedule, values, times=numbers, seed=int(rng.integers(2**63)))
    rows = np.arange(begin.size + 1, dtype=np.int64) * numbers.size
    override = np.stack(states, axis=1)
    made = solve(model, values, schedule, rows=rows, times=np.tile(numbers, begin.size), override=override)
    count_between(model, made, numbers.size)
    failed = refuse_failures(model, made, of)
    result = as_dataset(model, made, of, clock, numbers)
    result.attrs = attributes(model, of, made) | ({"failed_members": failed} if failed else {})
    return _read(model, result, followed, rng) if noise else result


def _ahead(clock: Clock, times: Any, last: float) -> Array:
    """Return times as numbers, none before the last reading."""
    numbers = clock.numbers(times, "times")
    check_times(numbers, "times", clock)
    if numbers.size == 0 or numbers[0] < last - 1e-9 * max(abs(last), 1.0):
        got = "none" if numbers.size == 0 else clock.label(numbers[0])
        raise DataError(f"times: got {got}; expected times from {clock.label(last)} on, the last reading")
    return np.maximum(numbers, last)  # 2.9 may be 2.9000000000000004


def _lists(followed: Past) -> tuple[list[FilterState], list[dict[str, Any]]]:
    return followed.states, followed.plants


def _members(state: FilterState, count: int | None, rng: np.random.Generator) -> Array:
    """Return (B, Z) equally probable members of a filter's state.

    Raises
    ------
    DataError
        If the state is still diffuse.
    """
    if "members" in state.arrays:
        members = state.arrays["members"]
        weights = state.arrays.get("log_weights")
        if weights is None and count is None:
            return members
        size = len(members) if count is None else count
        chance = np.full(len(members), 1.0) if weights is None else np.exp(weights - weights.max())
        ranks = (np.arange(size) + rng.random()) / size  # systematic: each as often as its weight, to within one
        picked = np.searchsorted(np.cumsum(chance / chance.sum()), ranks)
        return members[np.minimum(picked, len(members) - 1)]
    if np.abs(state.arrays.get("diffuse", np.zeros(1))).max(initial=0.0) > 1e-9:
        raise DataError("got a filter's state that is still diffuse; expected readings that tell every state")
    size = DRAWS if count is None else count
    values, directions = np.linalg.eigh(state.arrays["covariance"])
    scores = rng.standard_normal((size, values.size))
    return state.arrays["mean"] + scores * np.sqrt(np.maximum(values, 0.0)) @ directions.T


def _split(model: Model, state: FilterState, plant: Mapping[str, Any], members: Array) -> tuple[Array, Array]:
    """Return states (B, N) within their bounds and parameters (B, P) of members."""
    n, labels = model.state_layout.size, model.theta_layout.labels()
    theta = np.tile([plant["parameters"][label] for label in labels], (len(members), 1))
    for j, name in enumerate(state.names[n:], start=n):
        low, high = plant["supports"][name]
        ends = -np.inf if low is None else low, np.inf if high is None else high
        theta[:, labels.index(name)] = naturals(*ends, np.ascontiguousarray(members[:, j]))
    return np.clip(members[:, :n], *bounds(model)), theta


def _begin(model: Model, state: FilterState, plant: Mapping[str, Any]) -> float:
    """Return the time from which a unit is carried on: that of its state; of a map that of the last step before it."""
    dt = getattr(model, "dt", None)
    if dt is None:
        return state.time
    return float(plant["begin"] + dt * np.floor((state.time - plant["begin"]) / dt + 1e-9))


def _from_now(schedule: Schedule, begin: Array, last: Array) -> Schedule:
    """Return a schedule whose clocks start at `begin`, without impulses up to `last`, which the filter has seen."""
    parts = []
    for unit, (start, seen) in enumerate(zip(begin, last, strict=True)):
        own = slice(schedule.offset[unit], schedule.offset[unit + 1])
        times, first = schedule.begin[own], int(np.searchsorted(schedule.begin[own], start, "right")) - 1
        level, slope, jump = (part[own][first:].copy() for part in (schedule.level, schedule.slope, schedule.jump))
        level[0] += slope[0] * (start - times[first])
        jump[times[first:] <= seen] = 0.0
        parts.append((np.concatenate([[start], times[first + 1 :]]), level, slope, jump))
    offset = np.concatenate([[0], np.cumsum([part[0].size for part in parts])]).astype(np.int64)
    return Schedule(offset, *(np.ascontiguousarray(np.concatenate(p)) for p in zip(*parts, strict=True)))


def _read(model: Model, dataset: xr.Dataset, followed: Past, rng: np.random.Generator) -> xr.Dataset:
    """Return the dataset with outputs as sensors read them; those of errors that last, which no filter reads, as is."""
    for name, output in model.outputs.items():
        if output.noise is None or output.noise.family.joint:
            continue
        values = dataset[name].values.copy()
        for unit, plant in enumerate(followed.plants):
            arguments = {
                key: np.asarray(plant["noise"].get(f"{name}_{key}", a.quantile(0.5)) if isinstance(a, Prior) else a)
                for key, a in output.noise.arguments
            }
            place = (slice(None), unit) if followed.units is not None else slice(None)
            values[place] = draw_readings(output.noise, values[place], arguments, rng, output.limits)
        dataset[name] = dataset[name].copy(data=values)
    return dataset
