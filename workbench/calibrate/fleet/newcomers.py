"""Many units that join the fleet at once, each known by a few readings: a draw of each for every draw of the fleet.

Given what the fleet shares, phi, units are independent. Each draw of p(phi | fleet) is kept as it is, and each unit's
own values are drawn from p(eta | phi, readings): draws of the population are resampled by their likelihood, and move by
random-walk Metropolis, whose steps are fitted to each unit (Gelman, Roberts & Gilks, Bayesian Statistics 5 (1996)
599-607). What newcomers say about the fleet is left out, where `newcomer` lets one unit's readings choose among its
draws: there may be thousands of them, and a draw stays one of a network.
"""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workbench.base.errors import DataError, ParameterError
from workbench.base.schema import UNIT
from workbench.calibrate.fleet.newcomer import Fleet
from workbench.calibrate.predict import noise_arguments, outputs_of, solve_data
from workbench.calibrate.problem import Problem, pose

Array = NDArray[np.float64]
MOVES = 30  # of each draw; half of them find the lengths of steps
GOAL = 0.4  # acceptance at which steps of a few values are as long as they should be
TOGETHER = 2_000_000  # readings times draws that are solved at once


def all_joined(fleet: Problem, posterior: xr.Dataset, data: Any, inputs: Any, rng: np.random.Generator) -> xr.Dataset:
    """Return draws of the parameters of every unit of these readings (see `Calibration.new_units`)."""
    draws = Fleet.of(fleet, posterior)
    problem = _pose(fleet, draws, data, inputs)
    assert problem.units is not None
    chains, count, size = draws.centre.shape
    z = rng.normal(size=(chains, count, len(problem.units), size))
    z = _resampled(z, _log_likelihood(problem, draws, z), rng)
    likelihood = _log_likelihood(problem, draws, z)
    density = likelihood - 0.5 * np.sum(z**2, axis=-1)
    step = np.full(len(problem.units), 2.38 / np.sqrt(max(size, 1)))
    for move in range(MOVES if size else 0):
        tried = z + step[:, None] * rng.normal(size=z.shape)
        there = _log_likelihood(problem, draws, tried)
        raised = there - 0.5 * np.sum(tried**2, axis=-1)
        with np.errstate(invalid="ignore"):  # from one impossible place to another
            taken = np.log(rng.uniform(size=there.shape)) < raised - density
        z, density = np.where(taken[..., None], tried, z), np.where(taken, raised, density)
        likelihood = np.where(taken, there, likelihood)
        if move < MOVES // 2:
            step *= np.exp(taken.mean(axis=(0, 1)) - GOAL)
    _refuse_impossible(problem, likelihood)
    coords = {n: c for n, c in posterior.coords.items() if set(c.dims) <= {"chain", "draw"}} | {
        UNIT: list(problem.units)
    }
    made = {n: posterior[n] for n in draws.common}
    for name, values in _variables(draws, z).items():
        made[name] = xr.DataArray(
            values, coords, ("chain", "draw", UNIT, *fleet.quantity(name).dims), attrs=posterior[name].attrs
        )
    return xr.Dataset(made, attrs={"model": fleet.model.name})


def _pose(fleet: Problem, draws: Fleet, data: Any, inputs: Any) -> Problem:
    """Return the problem of the new units; refuse what the fleet cannot be a prior of."""
    if fleet.terms or fleet.is_noisy:
        what = "a discrepancy" if fleet.terms else "process noise"
        raise ParameterError(f"new_units: got a calibration with {what}; expected one without: ask new_unit for each")
    problem = pose(fleet.model, data, inputs=inputs, pool=dict.fromkeys(draws.scales, "partial"))
    for name in problem.measured:
        if problem.measured[name].size and name not in fleet.measured:
            raise DataError(
                f"new_units: got readings of {name!r}, which was not read in the fleet, so its noise is not known; "
                f"expected readings of {', '.join(map(repr, fleet.measured))}"
            )
    return problem


def _variables(draws: Fleet, z: Array) -> dict[str, Array]:
    """Return what units have of their own (chains, draws, units, ...) of standard normal z (..., E)."""
    z = z.copy()
    for columns, root in draws.ties:
        z[..., columns] = (root[:, :, None] @ z[..., columns, None])[..., 0]
    effects = draws.centre[:, :, None] + draws.spread[:, :, None] * z
    made, first = dict[str, Array](), 0
    for name, scale in draws.scales.items():
        size = int(np.prod(draws.shapes[name]))
        made[name] = scale.unlink(effects[..., first : first + size]).reshape(*z.shape[:3], *draws.shapes[name])
        first += size
    return made


def _log_likelihood(problem: Problem, draws: Fleet, z: Array) -> Array:
    """Return the log density (chains, draws, units) of each unit's readings; -inf where it could not be solved."""
    chains, count, units, _ = z.shape
    own, total = _variables(draws, z), np.zeros((chains, count, units))
    piece = max(1, TOGETHER // (chains * max(1, problem.observations.time.size)))
    for first in range(0, count, piece):
        some = slice(first, first + piece)
        variables = {n: v[:, some] for n, v in {**draws.common, **own}.items()}
        solutions = solve_data(problem, variables)
        with np.errstate(all="ignore"):
            for name in problem.measured:
                sensor = problem.sensor(name)
                centre = sensor.centre(outputs_of(problem, name, solutions))
                each = sensor.log_density(centre, noise_arguments(problem.model, name, variables, sensor.unit))
                of_unit = np.zeros((units, len(each)))
                np.add.at(of_unit, sensor.unit[sensor.rows], each.T)
                total[:, some] += of_unit.T.reshape(chains, -1, units)
    return np.where(np.isnan(total), -np.inf, total)


def _resampled(z: Array, likelihood: Array, rng: np.random.Generator) -> Array:
    """Return z of the draws of each chain, resampled for each unit by weight."""
    best = likelihood.max(axis=1, keepdims=True)
    weights = np.cumsum(np.exp(likelihood - np.where(np.isfinite(best), best, 0.0)), axis=1)
    count = z.shape[1]
    places = (rng.uniform(size=weights[:, :1].shape) + np.arange(count)[:, None]) / count * weights[:, -1:]
    made = np.empty_like(z)
    for chain, unit in np.ndindex(z.shape[0], z.shape[2]):
        rows = np.minimum(np.searchsorted(weights[chain, :, unit], places[chain, :, unit]), count - 1)
        made[chain, :, unit] = z[chain, rng.permutation(rows), unit]
    return made


def _refuse_impossible(problem: Problem, likelihood: Array) -> None:
    """Refuse units whose readings no draw can explain."""
    assert problem.units is not None
    lost = ~np.isfinite(likelihood).any(axis=(0, 1))
    if lost.any():
        raise DataError(
            f"new_units: got readings of unit {problem.units[int(np.argmax(lost))]!r} that no draw of the fleet can "
            "explain; expected a unit like the others: look at units, inputs and times"
        )
