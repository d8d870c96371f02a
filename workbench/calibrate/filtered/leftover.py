"""What a filter leaves of readings without a discrepancy, and how that falls with the discrepancy's coefficients."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from workbench.calibrate.filtered.likelihood import columns
from workbench.calibrate.filtered.plan import Filtered, filtered
from workbench.calibrate.problem import Problem

Array = NDArray[np.float64]


def quadratic(problem: Problem, name: str, theta: Array, variables: Mapping[str, Array]) -> tuple[Array, Array]:
    """Return b (members, k) and G (members, k, k): the log density of readings is b'c - c'G c / 2 and a constant.

    The k coefficients c are those of the elements of the output, one's functions after the other's; theta is (members,
    units, parameters). With innovations v and what a coefficient takes off them F, both in SDs of what was expected,
    b = F'v and G = F'F. Exact where the model is linear, as v is then linear in c; elsewhere linearised about no
    function, by a difference of an SD of the readings, beyond what steps of the solver change.
    """
    made, term, lead = filtered(problem), problem.terms[name], next(iter(variables.values())).shape[:2]
    size, members = math.prod(term.shape) * term.basis.size, len(theta)
    none = {n: np.ones(lead) for n in term.rulers}
    none[term.weights] = np.zeros((*lead, *term.shape, term.basis.size))
    parts = columns(problem, made, {**variables, **none}, theta.shape[:2])
    given = np.concatenate([theta, *parts], axis=2)
    before = len(made.arguments) + made.corrected.index(name)
    first = theta.shape[2] + sum(part.shape[2] for part in parts[:before])
    read = _gaussian(problem, made)
    step = 1.0 if term.relative else float(np.std(problem.readings(name))) or 1.0
    vector, matrix, slopes = np.empty((members, size)), np.empty((members, size, size)), np.empty((read.size, size))
    for member in range(members):
        expected, sd = made.op.run(given[member], made.readings, made.plan)[2].T
        for k in range(size):
            moved = given[member].copy()
            moved[:, first + k] = step
            slopes[:, k] = (made.op.run(moved, made.readings, made.plan)[2][:, 0] - expected) / (step * sd)
        vector[member], matrix[member] = slopes.T @ ((read - expected) / sd), slopes.T @ slopes
    return vector, matrix


def _gaussian(problem: Problem, made: Filtered) -> Array:
    """Return (R,) the readings on the scale on which their noise is Gaussian."""
    values = made.readings.copy()
    for name, at in made.places.items():
        noise, place = problem.model.outputs[name].noise, made.plan.place[:, at]
        if noise is not None and noise.name == "LogNormal":
            own = place[place >= 0]
            values[own] = np.log(values[own])
    return values
