"""`wb.simulate`: states and outputs of a model over time, for one set of parameters or for many draws."""

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from workbench.base.clock import Clock, check_times
from workbench.base.errors import DataError
from workbench.declare.model import as_model
from workbench.simulate import ensemble
from workbench.simulate.increments import count as count_between
from workbench.simulate.kernel import solve
from workbench.simulate.members import gather
from workbench.simulate.results import as_dataset, attributes, refuse_failures
from workbench.simulate.scenario import build_schedule, unit_labels
from workbench.simulate.walk import shaken


def simulate(
    model: Any,
    times: Any,
    *,
    parameters: Any = None,
    inputs: Any = None,
    start: Any = None,
    seed: int | None = None,
    store: str | Path | None = None,
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
        Mapping from names to numbers or DataArrays over chain, draw, member, unit (of a vector: and its own dims; or an
        array over these); a Dataset of draws; or a posterior. Names left out take their declared value, or the median
        of their prior.
    inputs
        Mapping from an input's name to its series over its own time (see `workbench.simulate.series`); a DataArray may
        also be over a dim of draws, such as `member`.
    start
        Mapping from states to starts that replace the declared ones: numbers or DataArrays, as parameters.
    seed
        Seed of process noise; a model without any gives the same for every seed.
    store
        Path of a zarr folder, which must not exist: results are written there piece by piece, with no more than about
        a hundred megabytes of them in memory, and read from there when they are looked at.

    Returns
    -------
    xarray.Dataset
        States and outputs (with what their sensors do, but for the noise) over the dims of the draws, `unit` where
        there are several, `time`, and the dims of a vector; for each event `<event>_time`, the times at which it
        happened (NaN beyond the last); units, long names, the model's name, its parameters and the method that solved
        it in the attributes. Where some of many members failed, they are NaN and counted. After an event that ends the
        asset's life, values are NaN.

    Raises
    ------
    DataError, ParameterError, UnitError
        If times, parameters or inputs cannot be used as they are.
    SolveError
        If the equations could not be solved (for draws: for none of them).
    """
    given = {"parameters": parameters, "inputs": inputs, "start": start}
    if store is not None:
        return ensemble.stream(_simulate, as_model(model), times, given, seed=seed, store=Path(store))
    return _simulate(as_model(model), times, given, seed=seed)


def _simulate(model: Any, times: Any, given: dict[str, Any], *, seed: int | None, first: int = 0) -> xr.Dataset:
    """Solve what is given; `first` is the number of the first of the members, of which each has noise of its own."""
    given, dim = ensemble.inputs_over_draws(model, given)
    parameters, inputs, start = given["parameters"], given["inputs"], given["start"]
    clock = Clock.of(times, model.time_unit)
    numbers = clock.numbers(times, "times")
    check_times(numbers, "times")
    if numbers.size == 0:
        raise DataError("times: got none; expected at least one")
    theta, override = gather(model, parameters, start, unit_labels(model, inputs))
    count = theta.values.shape[1]
    ends = np.full(count, numbers[0]), np.full(count, numbers[-1])
    schedule = build_schedule(model, inputs, units=theta.units, begin=ends[0], end=ends[1], clock=clock)
    schedule = shaken(model, schedule, theta.values, times=numbers, seed=seed, first=first)
    rows = np.arange(count + 1, dtype=np.int64) * numbers.size
    made = solve(model, theta.values, schedule, rows=rows, times=np.tile(numbers, count), override=override.values)
    count_between(model, made, numbers.size)
    failed = refuse_failures(model, made, theta)
    dataset = as_dataset(model, made, theta, clock, numbers)
    dataset.attrs |= attributes(model, theta, made)
    if failed:
        dataset.attrs["failed_members"] = failed
    return dataset if dim is None else dataset.rename(unit=dim)
