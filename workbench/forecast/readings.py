"""Forecasts of what sensors read: counting goes on from the last reading, and so does an error that lasts."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workbench.calibrate.discrepancy.discrepancy import expected
from workbench.calibrate.predict import noise_arguments, outputs_of, solve_data
from workbench.calibrate.problem import Problem
from workbench.calibrate.sensors.errors_in_time import Chains, draw_errors
from workbench.calibrate.sensors.likelihood import draw_readings
from workbench.calibrate.sensors.sensor import listed
from workbench.declare.sensor import increments
from workbench.simulate.kernel import Solutions, solve
from workbench.simulate.scenario import Schedule

Array = NDArray[np.float64]


def solve_on(problem: Problem, theta: Array, schedule: Schedule, times: Array) -> Solutions:
    """Return the solutions at the same times (T,) of every unit; of increments, what came since the time before.

    At the first of the times it is what came since the last reading before it, or since the first row of a unit.
    """
    model, count = problem.model, theta.shape[1]
    leads = {name: _counted_from(problem, name, times[0]) for name, o in model.outputs.items() if o.increment}
    early = [np.unique([t for lead in leads.values() for t in lead[k] if t < times[0]]) for k in range(count)]
    rows = np.cumsum([0, *(before.size + times.size for before in early)]).astype(np.int64)
    every = np.concatenate([part for before in early for part in (before, times)])
    made = solve(model, theta, schedule, rows=rows, times=every)
    for name, lead in leads.items():
        place = model.output_layout.places[name]
        for k, before in enumerate(early):
            values = made.outputs[:, rows[k] : rows[k + 1], place]
            at = np.searchsorted(every[rows[k] : rows[k + 1]], lead[k])
            first, now = values[:, at, np.arange(at.size)], values[:, before.size :]
            then = np.concatenate([first[:, None], now[:, :-1]], axis=1)
            values[:, before.size :] = increments(model.outputs[name], now, then, (model.rtol, model.atol))
    if any(before.size for before in early):
        kept = np.concatenate([np.arange(end - times.size, end) for end in rows[1:]])
        made.states, made.outputs = made.states[:, kept], made.outputs[:, kept]
    return made


def waits(problem: Problem, name: str, times: Array) -> Array:
    """Return the time (units, times, elements) that readings of an increment at times (T,) count."""
    first = _counted_from(problem, name, times[0])[:, None]
    ends = np.broadcast_to(times[:, None], (len(first), times.size, first.shape[2]))
    return ends - np.concatenate([first, ends[:, :-1]], axis=1)


def _counted_from(problem: Problem, name: str, first: float) -> Array:
    """Return the time (units, elements) from which the first reading at or after `first` counts."""
    seen, starts = problem.observations, problem.observations.time[problem.rows[:-1]]
    place = problem.model.output_layout.places[name]
    if name not in seen.values:
        return np.repeat(starts[:, None], place.stop - place.start, axis=1)
    known = listed(problem, name) & (seen.time < first)[:, None]
    times = np.where(known, seen.time[:, None], -np.inf)
    units = zip(problem.rows[:-1], problem.rows[1:], strict=True)
    return np.stack([np.maximum(times[lo:hi].max(axis=0), seen.time[lo]) for lo, hi in units])


def read(problem: Problem, posterior: xr.Dataset, dataset: xr.Dataset, times: Array, seed: int | None) -> xr.Dataset:
    """Return the dataset with its outputs read by noisy sensors; those whose noise is not known, as they are.

    Errors that last go on from the last reading of a unit; up to there they are those of a sensor that was not read.
    """
    model, rng = problem.model, np.random.default_rng(seed)
    variables = {str(n): v.values for n, v in posterior.data_vars.items()}
    for name, output in model.outputs.items():
        if output.noise is None or not {f"{name}_{key}" for key in output.noise.priors} <= variables.keys():
            continue
        values = dataset[name].values
        flat = values.reshape(values.shape[0] * values.shape[1], -1)
        width = model.output_layout.places[name].stop - model.output_layout.places[name].start
        unit, time, element = (part.ravel() for part in np.indices((problem.rows.size - 1, times.size, width)))
        arguments = noise_arguments(model, name, variables, unit)
        if output.noise.family.joint:
            drawn = flat + _errors(problem, name, variables, unit * width + element, times[time], rng)
        else:
            drawn = draw_readings(output.noise, flat, arguments, rng, output.limits)
        dataset[name] = dataset[name].copy(data=drawn.reshape(values.shape))
    return dataset


def _errors(
    problem: Problem,
    name: str,
    variables: Mapping[str, Any],
    key: NDArray[np.int64],
    time: Array,
    rng: np.random.Generator,
) -> Array:
    """Return errors (members, n) of each unit and element (`key`) at times (n,), drawn on from those of the data."""
    lead = next(iter(variables.values())).shape[:2]
    keys, times, known = key, time, np.full((lead[0] * lead[1], key.size), np.nan)
    if name in problem.measured:
        sensor = problem.sensor(name)
        ends = sensor.chains.ends
        rows = sensor.rows[ends]
        values = outputs_of(problem, name, solve_data(problem, variables))
        centre = expected(problem, name, variables, values)[:, rows]
        keys, times = np.concatenate([keys, sensor.key[rows]]), np.concatenate([times, sensor.time[rows]])
        known = np.concatenate([known, sensor.readings[ends] - centre], axis=1)
    width = int(np.prod(problem.model.output_layout.shapes[name]))
    arguments = noise_arguments(problem.model, name, variables, keys // width)
    return draw_errors(arguments, Chains.of(keys, times), rng, known=known)[:, : key.size]
