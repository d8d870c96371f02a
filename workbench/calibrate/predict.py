"""What a posterior says about the data it has seen: outputs, readings and log densities at every draw."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workbench.base.schema import UNIT
from workbench.calibrate.discrepancy.discrepancy import expected
from workbench.calibrate.filtered.likelihood import one_step_ahead
from workbench.calibrate.filtered.walks import walked_data
from workbench.calibrate.fleet.correlation import derived_of
from workbench.calibrate.fleet.pooling import from_offset
from workbench.calibrate.problem import Problem
from workbench.declare.model import Model
from workbench.declare.prior import Prior
from workbench.simulate.kernel import Solutions, solve

Array = NDArray[np.float64]


def derived(problem: Problem, free: Mapping[str, Array]) -> dict[str, Array]:
    """Add the parameters that the PyMC model derives from offsets on an unbounded scale, and correlations."""
    added = dict[str, Array]()
    for group in problem.correlated:
        added |= derived_of(problem, group, free)
    for name in problem.pool:
        if name not in free and name not in added:
            prior = problem.quantity(name).prior
            assert prior is not None
            own = len(problem.quantity(name).dims)
            added[name] = from_offset(prior, free, name, own=own, centred=problem.centred[name])
    return {**free, **added}


def theta_of(problem: Problem, variables: Mapping[str, Array]) -> Array:
    """Return theta (members, units, parameters) from variables (chains, draws), then `unit`, then a vector's dims."""
    units, model = problem.rows.size - 1, problem.model
    first = next(iter(variables.values()))
    members = first.shape[0] * first.shape[1]
    theta = np.empty((members, units, model.theta_layout.size))
    for name, place in model.theta_layout.places.items():
        if model.theta[name].prior is None:
            theta[:, :, place] = np.ravel(model.theta[name].nominal())
        else:
            each = units if UNIT in problem.dims_of(name) else 1
            theta[:, :, place] = variables[name].reshape(members, each, place.stop - place.start)
    return theta


def solve_data(problem: Problem, variables: Mapping[str, Array]) -> Solutions:
    """Return the solutions of every draw at the rows of the data."""
    theta = theta_of(problem, variables)
    times, method = problem.observations.time, problem.method
    return solve(problem.model, theta, problem.schedule, rows=problem.rows, times=times, method=method)


def noise_arguments(
    model: Model, name: str, variables: Mapping[str, Any], units: NDArray[np.int64] | None = None
) -> dict[str, Array]:
    """Return the arguments of an output's noise, draws as columns (members, 1) that broadcast over rows.

    An argument of each unit is (members, rows), where `units` (rows,) says of which unit a row is.
    """
    noise = model.outputs[name].noise
    assert noise is not None
    made = {}
    for key, value in noise.arguments:
        drawn = np.asarray(variables[f"{name}_{key}"] if isinstance(value, Prior) else value)
        each = drawn.ndim > 2 and units is not None
        if isinstance(value, Prior):
            drawn = drawn.reshape(drawn.shape[0] * drawn.shape[1], -1)[:, units] if each else drawn.reshape(-1, 1)
        made[key] = drawn
    return made


class Predicted(NamedTuple):
    """What draws say of the readings, by output; arrays (chains, draws, rows) of every row, or of each measured one.

    Attributes
    ----------
    readings
        Drawn at every row.
    log_density
        Of each measured one.
    pit
        Probability of less than each measured one.
    """

    readings: dict[str, Array]
    log_density: dict[str, Array]
    pit: dict[str, Array]


def predictive(problem: Problem, variables: Mapping[str, Array], rng: np.random.Generator) -> Predicted:
    """Return what draws of the parameters say of the readings.

    Of a vector, the elements of one row after the other, as in `Problem.measured`. Of a model with process noise, each
    reading is predicted from those before it.
    """
    first = next(iter(variables.values()))
    lead = first.shape[:2]
    if problem.is_noisy:
        ahead = one_step_ahead(problem, theta_of(problem, variables), variables, rng)
        return Predicted(*({n: v.reshape(*lead, -1) for n, v in part.items()} for part in ahead))
    solutions = solve_data(problem, variables)
    made = Predicted({}, {}, {})
    for name in problem.measured:
        sensor = problem.sensor(name)
        centre = expected(problem, name, variables, outputs_of(problem, name, solutions))
        arguments = noise_arguments(problem.model, name, variables, sensor.unit)
        made.readings[name] = sensor.draw(centre, arguments, rng).reshape(*lead, -1)
        made.log_density[name] = sensor.log_density(centre, arguments).reshape(*lead, -1)
        made.pit[name] = sensor.pit(centre, arguments, rng).reshape(*lead, -1)
    return made


def studies(problem: Problem, variables: Mapping[str, Array], rng: np.random.Generator) -> dict[str, Array]:
    """Return readings (chains, draws, rows) of studies like this one, simulated from draws alone."""
    noisy, made = problem.is_noisy, dict[str, Array]()
    solutions = walked_data(problem, theta_of(problem, variables), rng) if noisy else solve_data(problem, variables)
    lead = next(iter(variables.values())).shape[:2]
    for name in problem.measured:
        sensor = problem.sensor(name)
        centre = expected(problem, name, variables, outputs_of(problem, name, solutions))
        arguments = noise_arguments(problem.model, name, variables, sensor.unit)
        made[name] = sensor.draw(centre, arguments, rng).reshape(*lead, -1)
    return made


def outputs_of(problem: Problem, name: str, solutions: Solutions) -> Array:
    """Return the values of an output (members, places), of a vector the elements of one row after the other."""
    values = solutions.outputs[:, :, problem.model.output_layout.places[name]]
    return values.reshape(values.shape[0], -1)


def labelled(problem: Problem, rows: Mapping[str, Array]) -> xr.Dataset:
    """Return arrays (chains, draws, rows) in the layout of the data, with units and long names."""
    observations, model = problem.observations, problem.model
    data, own = {}, dict[str, Any]()
    for name, values in rows.items():
        output = model.outputs[name]
        dims = ("chain", "draw", *observations.dims, *output.dims)
        data[name] = xr.Variable(dims, observations.scatter(values, model.shape(output)), _describe(problem, name))
        own |= {dim: model.labels[dim] for dim in output.dims}
    lead = next(iter(rows.values())).shape[:2]
    coords = {"chain": np.arange(lead[0]), "draw": np.arange(lead[1]), **observations.coords, **own}
    dataset = xr.Dataset(data, coords)
    dataset["time"].attrs = observations.clock.attributes
    return dataset


def of_readings(problem: Problem, values: Mapping[str, Array], words: str) -> xr.Dataset:
    """Return numbers (chains, draws, n) of each reading, in the layout of the data where every row was measured.

    Else over `<output>_sample`. `words` say what they are of an output, such as "log density".
    """
    whole = {n: v for n, v in values.items() if problem.is_whole(n)}
    lead = next(iter(values.values())).shape[:2]
    dataset = (
        labelled(problem, whole) if whole else xr.Dataset(coords={"chain": range(lead[0]), "draw": range(lead[1])})
    )
    attrs = {name: _of_reading(problem, name, words) for name in values}
    for name in whole:
        dataset[name].attrs = attrs[name]
    for name in [n for n in values if n not in whole]:
        observations, output = problem.observations, problem.model.outputs[name]
        dim, shape = f"{name}_sample", problem.model.shape(output)
        rows, *element = np.unravel_index(problem.measured[name], (observations.time.size, *shape))
        dataset[name] = (("chain", "draw", dim), values[name], attrs[name])
        dataset.coords[f"{name}_time"] = (dim, observations.clock.labels(observations.time[rows]))
        if observations.units is not None:
            dataset.coords[f"{name}_unit"] = (dim, np.asarray(observations.units)[observations.unit_index[rows]])
        for own, places in zip(output.dims, element, strict=True):
            dataset.coords[f"{name}_{own}"] = (dim, problem.model.labels[own][places])
    return dataset


def _of_reading(problem: Problem, name: str, words: str) -> dict[str, str]:
    attrs = {"units": "1", "long_name": f"{words} of {name}"}
    if problem.sensor(name).noise.family.joint:
        attrs["comment"] = "of each reading given those before it of its unit"
    return attrs


def _describe(problem: Problem, name: str) -> dict[str, str]:
    output = problem.model.outputs[name]
    return {"units": output.unit, "long_name": output.long_name or name}
