"""The likelihood of a model with process noise, in its PyMC model and at draws of its posterior."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import scipy.special
from numpy.typing import NDArray

from workbench.calibrate.discrepancy.discrepancy import coefficients_variable, scale_variable
from workbench.calibrate.filtered.plan import Filtered, filtered
from workbench.calibrate.fleet.pooling import noise_variable
from workbench.calibrate.problem import Problem

Array = NDArray[np.float64]
READINGS = "readings"  # the observed variable: of all outputs together, as they hang together


def observe_filtered(problem: Problem, theta: Any) -> None:
    """Add the readings of all outputs to a PyMC model, as one variable `readings`, time by time and unit by unit.

    Its log density is that of the innovations of the extended Kalman filter (Schweppe, IEEE Trans. Information Theory
    11 (1965) 61-70); `theta` is (units, parameters). Discrepancies are known to the filter by their coefficients, which
    are variables of the model.
    """
    made, count = filtered(problem), problem.rows.size - 1
    columns = [pt.broadcast_to(noise_variable(problem, name), (count,))[:, None] for name in made.arguments]
    for name in made.corrected:
        term = problem.terms[name]
        weights = coefficients_variable(term, scale_variable(term)).ravel()
        columns.append(pt.broadcast_to(weights, (count, math.prod(term.shape) * term.basis.size)))
    given = pt.concatenate([theta, *columns], axis=1)

    def logp(value: Any, theta: Any, _number: Any) -> Any:
        return made.op(theta, value, *(pt.constant(part) for part in made.plan))[0].sum()

    number = np.arange(made.readings.size)  # says how many there are
    pm.CustomDist(READINGS, given, number, logp=logp, signature="(u,p),(n)->(n)", observed=made.readings)


class Innovations(NamedTuple):
    """What a filter says at draws (members), on the scale on which noise is Gaussian.

    Attributes
    ----------
    log_density, expected, sd
        By output (members, n) at every row, of a vector the elements of one row after the other: the log density of a
        reading given those before it (zero where there is none), what was expected of it, and the SD of that.
    mean, covariance
        (members, units, states), (members, units, states, states) of the states after the last row of a unit.
    """

    log_density: dict[str, Array]
    expected: dict[str, Array]
    sd: dict[str, Array]
    mean: Array
    covariance: Array


def innovations(problem: Problem, theta: Array, variables: Mapping[str, Array]) -> Innovations:
    """Run the filter at draws: theta (members, units, parameters), and noise arguments from variables."""
    made, n = filtered(problem), problem.model.state_layout.size
    members, units = theta.shape[:2]
    given = np.concatenate([theta, *columns(problem, made, variables, (members, units))], axis=2)
    every = made.everywhere
    found, moments = np.empty((members, 3, every.place.size)), np.empty((members, units, made.op.states))
    for member in range(members):
        found[member, 0], _, seen, moments[member] = made.op.run(given[member], made.every_reading, every)
        found[member, 1:] = seen.T
    upper = np.zeros((members, units, n, n))
    row, column = np.triu_indices(n)
    upper[..., row, column] = upper[..., column, row] = moments[..., n:]
    by_element = found.reshape(members, 3, *every.place.shape)
    density, expected, sd = (
        {name: by_element[:, k][:, :, at].reshape(members, -1) for name, at in made.places.items()} for k in range(3)
    )
    return Innovations(density, expected, sd, moments[..., :n], upper)


def columns(problem: Problem, made: Filtered, variables: Mapping[str, Array], shape: tuple[int, int]) -> list[Array]:
    """Return what follows the parameters in theta (members, units, columns): arguments of noise, then coefficients."""
    members, units = shape
    made_of = [
        np.broadcast_to(np.asarray(variables[name], dtype=float).reshape(members, -1), shape)[..., None]
        for name in made.arguments
    ]
    for name in made.corrected:
        weights = problem.terms[name].coefficients(variables).reshape(members, 1, -1)
        made_of.append(np.broadcast_to(weights, (members, units, weights.shape[2])))
    return made_of


def log_evidence(problem: Problem, theta: Array, variables: Mapping[str, Array]) -> Array:
    """Return (members,) the log density of all readings at draws; -inf where they cannot be filtered."""
    density = innovations(problem, theta, variables).log_density
    return np.sum([part.sum(axis=1) for part in density.values()], axis=0)


def one_step_ahead(
    problem: Problem, theta: Array, variables: Mapping[str, Array], rng: np.random.Generator
) -> tuple[dict[str, Array], dict[str, Array], dict[str, Array]]:
    """Return readings (members, every row) drawn from what was expected of each given those before it.

    And of each measured one its log density, and the probability of less.
    """
    found = innovations(problem, theta, variables)
    drawn, density, pit = dict[str, Array](), dict[str, Array](), dict[str, Array]()
    for name, rows in problem.measured.items():
        noise, y = problem.model.outputs[name].noise, problem.readings(name)
        assert noise is not None
        is_log = noise.name == "LogNormal"
        values = found.expected[name] + found.sd[name] * rng.standard_normal(found.sd[name].shape)
        drawn[name] = np.exp(values) if is_log else values
        density[name] = found.log_density[name][:, rows]
        gap = (np.log(y) if is_log else y) - found.expected[name][:, rows]
        pit[name] = scipy.special.ndtr(gap / found.sd[name][:, rows])
    return drawn, density, pit


def observed_readings(problem: Problem) -> dict[str, Array]:
    """Return what a problem's PyMC model observes, by the names of its observed variables."""
    if problem.is_noisy:
        return {READINGS: filtered(problem).readings}
    return {name: problem.readings(name) for name in problem.measured}
