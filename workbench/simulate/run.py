"""`wb.simulate`: states and outputs of a model over time, for one set of parameters or for many draws."""

import json
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from workbench.base.clock import Clock, check_times
from workbench.base.errors import DataError, SolveError
from workbench.base.schema import TIME, UNIT
from workbench.declare.model import Model, as_model
from workbench.simulate.kernel import SOLVED, STORM, TOO_LONG, TOO_SMALL, Solutions, solve
from workbench.simulate.members import Members, gather
from workbench.simulate.scenario import build_schedule, unit_labels

_WHY = {
    TOO_LONG: "took {steps} steps; try a shorter span, wider tolerances (rtol, atol) or other parameters",
    TOO_SMALL: "needed steps too small to take: a state grows without bound, is no longer a number, or the Jacobian is "
    "singular; check the equations and the parameters, and the tolerances of states much smaller than atol",
    STORM: "met {events} events, the last ones without time between them: the events set each other off, or come ever "
    "closer; give thresholds that reset and release some distance (hysteresis), or an event that ends the asset's life",
}  # after "the solver stopped at t after it"


def simulate(
    model: Any, times: Any, *, parameters: Any = None, inputs: Any = None, start: Any = None, seed: int | None = None
) -> xr.Dataset:
    """Solve a model at the times asked for.

    The clock starts at the first time, or at the first impulse where that is earlier. A value at the time of an impulse
    or of a jump is the one just after it.

    Parameters
    ----------
    model
        The model (a class is instantiated).
    times
        (time,) increasing: numbers in the model's time unit, or datetime64.
    parameters
        Mapping from names to numbers or DataArrays over chain, draw, member, unit; a Dataset of draws; or a posterior.
        Names left out take their declared value, or the median of their prior.
    inputs
        Mapping from an input's name to its series over its own time (see `workbench.simulate.scenario`).
    start
        Mapping from states to starts that replace the declared ones.
    seed
        Seed of process noise; a model without any gives the same for every seed.

    Returns
    -------
    xarray.Dataset
        States and outputs over the dims of the draws, `unit` where there are several, and `time`; units, long names,
        the model's name and its parameters in the attributes. Where some of many members failed, they are NaN and
        counted.

    Raises
    ------
    DataError, ParameterError, UnitError
        If times, parameters or inputs cannot be used as they are.
    SolveError
        If the equations could not be solved (for draws: for none of them).
    """
    model = as_model(model)
    clock = Clock.of(times, model.time_unit)
    numbers = clock.numbers(times, "times")
    check_times(numbers, "times")
    if numbers.size == 0:
        raise DataError("times: got none; expected at least one")
    theta, override = gather(model, parameters, start, unit_labels(model, inputs))
    count = theta.values.shape[1]
    ends = np.full(count, numbers[0]), np.full(count, numbers[-1])
    schedule = build_schedule(model, inputs, units=theta.units, begin=ends[0], end=ends[1], clock=clock)
    rows = np.arange(count + 1, dtype=np.int64) * numbers.size
    made = solve(model, theta.values, schedule, rows=rows, times=np.tile(numbers, count), override=override.values)
    failed = refuse_failures(model, made, theta)
    dataset = as_dataset(model, made, theta, clock, numbers)
    dataset.attrs |= attributes(model, theta, made)
    if failed:
        dataset.attrs["failed_members"] = failed
    return dataset


def refuse_failures(model: Model, made: Solutions, theta: Members) -> int:
    """Return how many members failed; SolveError when all did, with where the first stopped and what to try."""
    bad = made.log[..., 0] != SOLVED
    failed = int(bad.any(axis=1).sum())
    if not failed:
        return 0
    member, unit = np.argwhere(bad)[0]
    status, reached, steps, rejected, events = made.log[member, unit]
    where = f"{model.name}" + (f", unit {theta.units[unit]!r}" if theta.units else "")
    values = ", ".join(f"{n}={v:.4g}" for n, v in zip(theta.names, theta.values[member, unit], strict=True))
    why = _WHY[int(status)].format(steps=int(steps), rejected=int(rejected), events=int(events))
    sentence = f"{where}: the solver stopped at t = {reached:.6g} {model.time_unit} after it {why} ({values})"
    if failed == len(bad):
        raise SolveError(sentence)
    warnings.warn(f"{failed} of {len(bad)} members failed and are NaN; the first: {sentence}", stacklevel=3)
    return failed


def as_dataset(model: Model, made: Solutions, theta: Members, clock: Clock, numbers: Any) -> xr.Dataset:
    """Return states and outputs over the dims of the draws, `unit` and `time`; every unit has the same times."""
    labels = clock.labels(numbers)
    dims = [*theta.index, *([UNIT] if theta.units else []), TIME]
    shape = [*theta.shape, *([len(theta.units)] if theta.units else []), len(labels)]
    columns = {n: made.states[..., k] for k, n in enumerate(model.states)}
    columns |= {n: made.outputs[..., k] for k, n in enumerate(model.outputs)}
    quantities = {**model.states, **model.outputs}
    data = {n: (dims, c.reshape(shape), describe(quantities[n])) for n, c in columns.items()}
    coords: dict[str, Any] = {**theta.index, TIME: (TIME, labels, clock.attributes)}
    if theta.units:
        coords[UNIT] = list(theta.units)
    return xr.Dataset(data, coords)


def describe(quantity: Any) -> dict[str, str]:
    """Return the attributes of a quantity's results: units and long name."""
    return {"units": quantity.unit, "long_name": quantity.long_name or quantity.name}


def attributes(model: Model, theta: Members, made: Solutions) -> dict[str, Any]:
    """Return the attributes that name the model, its parameters and the method."""
    same = np.all(theta.values == theta.values[:1, :1], axis=(0, 1))
    values = {n: float(theta.values[0, 0, k]) if same[k] else "varies" for k, n in enumerate(theta.names)}
    return {
        "Conventions": "CF-1.11",
        "model": model.name,
        "parameters": json.dumps(values),
        "solver": _solver(made.methods),
        "rtol": model.rtol,
        "atol": model.atol,
    }


def _solver(methods: Mapping[str, int]) -> str:
    """Return the methods' names, with their members where several methods solved some."""
    if len(methods) == 1:
        return next(iter(methods))
    return ", ".join(f"{name} ({count} member{'s' if count > 1 else ''})" for name, count in methods.items())
