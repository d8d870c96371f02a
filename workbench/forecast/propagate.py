"""`wb.forecast`: every draw of a posterior, or member of a filter, carried on in time and read as by a sensor."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workbench.base.clock import check_times
from workbench.base.errors import DataError
from workbench.calibrate.calibration import Calibration
from workbench.calibrate.discrepancy.discrepancy import elsewhere
from workbench.calibrate.filtered.walks import walked_on
from workbench.calibrate.fleet.arrivals import JOINED, recalled
from workbench.calibrate.problem import Problem
from workbench.forecast.carry import forecast_followed
from workbench.forecast.readings import read, solve_on, waits
from workbench.simulate.members import gather
from workbench.simulate.results import as_dataset, attributes, refuse_failures
from workbench.simulate.scenario import Schedule, build_schedule
from workbench.sync.observations import spans


def forecast(
    calibration_or_state: Any,
    times: Any,
    *,
    model: Any = None,
    inputs: Mapping[str, Any] | None = None,
    members: int | None = None,
    noise: bool = True,
    seed: int | None = None,
) -> xr.Dataset:
    """Return what the sensors will read at `times`: of a calibration at every draw, of a filter at every member.

    Of a calibration each draw is solved from the start of the data on, so times inside the data give the fit, and other
    inputs give what would have happened. An increment counts from the time before; at the first time, from the last
    reading before it. Errors that last (`wb.noise.AR1`) go on from the last reading of each unit. A discrepancy is in
    its output, and beside it as `<output>_discrepancy`; away from the data its SD grows to that of its prior.

    From a filter's last state each member is carried on with process noise of its own (as `wb.simulate` does it):
    members of an ensemble, particles by their weights, draws from mean and covariance. Past impulses have acted.
    So is each draw of a calibration with process noise, from its filter's state at the last of the data.

    Parameters
    ----------
    calibration_or_state
        A calibration, a twin that holds one, `calibration.new_unit(data)` in this session, or `wb.assimilate(...)`.
    times
        (time,) increasing, not before a unit's clock starts, nor of a filter before its last reading; numbers or
        datetime64, as the data.
    model
        Of a filter: the model that it followed; None recalls it, where that was in this session.
    inputs
        Inputs that replace those of the calibration, over the whole span from the start of the data to the last time.
        Of a filter: all inputs, from its last reading to the last time.
    members
        Of a filter: how many members; by default as many as it has, 1000 of a mean and covariance.
    noise
        True: outputs are readings, with the sensor's noise (where it is known); False: the outputs themselves.
    seed
        Seed of the noise; the same seed gives the same readings.

    Returns
    -------
    xarray.Dataset
        States and outputs over chain, draw (of a filter: member), `unit` where there are several, and time, with units;
        `<event>_time` of each event.

    Raises
    ------
    DataError
        If times or inputs cannot be used as they are, or the calibration was opened without its model; if they lie
        beyond the span that a discrepancy was made for; if a filter's model is missing, or its state still diffuse.
    SolveError
        If no draw could be solved.
    """
    if "followed" in getattr(calibration_or_state, "attrs", {}):
        given = {"model": model, "inputs": inputs, "members": members}
        return forecast_followed(calibration_or_state, times, **given, noise=noise, seed=seed)
    if model is not None or members is not None:
        raise DataError("got model= or members= for a calibration, which has both; expected neither")
    return _carry_on(*_calibrated(calibration_or_state), times, inputs=inputs, noise=noise, seed=seed)


def _calibrated(given: Any) -> tuple[Problem, xr.Dataset]:
    """Return problem and posterior of a calibration, a twin's or a new unit; DataError where there is none."""
    if isinstance(given, xr.Dataset) and JOINED in given.attrs:
        return recalled(given), given
    calibration = getattr(given, "posterior", None)
    calibration = calibration if isinstance(calibration, Calibration) else given
    if not isinstance(calibration, Calibration):
        raise DataError(
            f"got {type(calibration).__name__} to forecast from; expected a calibration (wb.calibrate), "
            "draws of a new unit with readings (calibration.new_unit), or the dataset of a filter (wb.assimilate)"
        )
    if calibration.problem is None:
        raise DataError("got a calibration opened without its model; expected Calibration.open(path, model)")
    return calibration.problem, calibration.posterior


def _carry_on(
    problem: Problem, posterior: xr.Dataset, times: Any, *, inputs: Any, noise: bool, seed: int | None
) -> xr.Dataset:
    model, clock = problem.model, problem.observations.clock
    numbers = clock.numbers(times, "times")
    check_times(numbers, "times")
    if numbers.size == 0:
        raise DataError("times: got none; expected at least one")
    begin, _ = spans(problem.observations)
    schedule = build_schedule(
        model,
        {**problem.inputs, **(inputs or {})},
        units=problem.units,
        begin=begin,
        end=np.maximum(begin, numbers[-1]),
        clock=clock,
    )
    _refuse_early(numbers[0], schedule.begin[schedule.offset[:-1]], problem)
    theta, _ = gather(model, {name: posterior[name] for name in model.estimated}, None, problem.units)
    if problem.is_noisy:
        variables = {str(n): v.values for n, v in posterior.data_vars.items()}
        rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(1)[0])
        made = walked_on(problem, theta.values, schedule, numbers, variables=variables, rng=rng)
    else:
        made = solve_on(problem, theta.values, schedule, numbers)
    failed = refuse_failures(model, made, theta)
    dataset = as_dataset(model, made, theta, clock, numbers)
    of_chains = {n: c for n, c in posterior.coords.items() if c.dims == ("chain",)}
    dataset = dataset.assign_coords(of_chains)  # the modes that chains are in
    dataset.attrs |= attributes(model, theta, made) | ({"failed_members": failed} if failed else {})
    dataset = _corrected(problem, posterior, dataset, schedule, numbers)
    return read(problem, posterior, dataset, numbers, seed) if noise else dataset


def _corrected(
    problem: Problem, posterior: xr.Dataset, dataset: xr.Dataset, schedule: Schedule, times: NDArray[np.float64]
) -> xr.Dataset:
    """Return the dataset with discrepancies in the outputs, and beside them as `<output>_discrepancy`."""
    for name, term in problem.terms.items():
        values = dataset[name]
        delta = elsewhere(problem, name, {str(n): v.values for n, v in posterior.data_vars.items()}, schedule, times)
        delta = (delta if term.wait is None else delta * waits(problem, name, times)).reshape(values.shape)
        unit = "1" if term.relative else term.output.unit
        attrs = {"units": unit, "long_name": f"discrepancy of {term.output.long_name or name}"}
        dataset = dataset.assign(
            {name: values.copy(data=term.added(values.values, delta)), term.name: values.copy(data=delta)}
        )
        dataset[term.name].attrs = attrs
    return dataset


def _refuse_early(first: float, starts: NDArray[np.float64], problem: Problem) -> None:
    """Refuse times at which the clock of a unit has not started yet."""
    last = int(np.argmax(starts))
    if first < starts[last]:
        label = problem.observations.clock.label
        unit = "" if problem.units is None else f", where the clock of unit {problem.units[last]!r} starts"
        raise DataError(f"times: got {label(first)}; expected times from {label(starts[last])} on{unit}")
