"""From a problem to the PyMC model that a user can read and edit."""

from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from workbench.base.errors import ParameterError
from workbench.base.schema import UNIT
from workbench.calibrate import graphs
from workbench.calibrate.discrepancy import integrated
from workbench.calibrate.discrepancy.discrepancy import scale_variable, with_discrepancy
from workbench.calibrate.filtered.likelihood import observe_filtered
from workbench.calibrate.fleet.correlation import chains_of
from workbench.calibrate.fleet.pooling import distribution, noise_variable, variable
from workbench.calibrate.problem import Problem
from workbench.declare.prior import Prior
from workbench.declare.simulator import Simulator
from workbench.declare.static import Static
from workbench.simulate.adjoint import operation
from workbench.simulate.graph import needs_graph


def build(problem: Problem) -> pm.Model:
    """Return the PyMC model: priors, one solve for all units, and the likelihood of each output's readings."""
    if problem.first is not problem:
        raise ParameterError(
            f"{problem.model.name}: got a discrepancy with joint=False, whose posterior has no density that could be "
            "written down; expected joint=True here, or wb.calibrate"
        )
    model = problem.model
    count = problem.rows.size - 1
    with pm.Model(coords=_coords(problem)) as made:
        shares = {n: distribution(n, prior) for group in problem.correlated for n, prior in group.priors.items()}
        chains = chains_of(problem.correlated, shares, pt.sqrt)
        theta = {}
        for name, quantity in model.theta.items():
            if quantity.prior is None:
                theta[name] = pt.constant(np.broadcast_to(quantity.nominal(), model.shape(quantity)))
            else:
                way, partial = problem.pool[name], problem.resolved.get(name)
                theta[name] = variable(
                    quantity, way, count, model.shape(quantity), partial=partial, chain=chains.get(name)
                )
        if problem.is_noisy:
            observe_filtered(problem, _matrix(problem, theta, count))
            return made
        outputs = _solve(problem, _matrix(problem, theta, count))
        for name in problem.measured:
            _observe(problem, name, outputs)
        sensors = [problem.sensor(name) for name in problem.measured]
        if any(s.noise.family.readings == "count" or s.output.limits != (None, None) for s in sensors):
            # a failed solve reads infinity, which has no density under other noise; a count's mean is held finite, and
            # infinity lies beyond a limit
            pm.Potential("failed_solve", pt.switch(pt.isinf(outputs).any(), -np.inf, 0.0))
    return made


def _coords(problem: Problem) -> dict[str, Any]:
    coords: dict[str, Any] = {} if problem.units is None else {UNIT: list(problem.units)}
    observations = problem.observations
    labels = observations.clock.labels(observations.time)
    if observations.layout != "sample":
        coords |= {"time": np.unique(labels)}
    coords |= problem.model.labels
    for name, rows in problem.measured.items():
        if _sample_dim(problem, name):
            coords[f"{name}_sample"] = rows
    return coords


def _sample_dim(problem: Problem, name: str) -> bool:
    """Whether the readings of an output need a dim of their own: ragged tables, and outputs not measured everywhere."""
    return problem.observations.layout == "sample" or not problem.is_whole(name)


def _matrix(problem: Problem, theta: dict[str, Any], count: int) -> Any:
    """Return theta (units, parameters)."""
    if any(quantity.dims for quantity in problem.model.theta.values()):
        columns = []
        for name, place in problem.model.theta_layout.places.items():
            size = place.stop - place.start
            by_unit = theta[name].reshape((count if UNIT in problem.dims_of(name) else 1, size))
            columns.append(pt.broadcast_to(by_unit, (count, size)))
        return pt.concatenate(columns, axis=1)
    if count == 1:
        return pt.stack([t if t.ndim == 0 else t[0] for t in theta.values()])[None, :]
    return pt.stack([pt.broadcast_to(t, (count,)) if t.ndim == 0 else t for t in theta.values()], axis=1)


def _solve(problem: Problem, theta: Any) -> Any:
    """Return the outputs at every row of the data (rows, outputs)."""
    model, s = problem.model, problem.schedule
    if isinstance(model, Simulator):
        from workbench.calibrate.sampling.blackbox import Evaluate

        return Evaluate(problem)(theta)
    if isinstance(model, Static):
        graphs.warn_of_repeats(problem)
        if needs_graph(model):
            return graphs.outputs(problem, theta)
    solve = operation(model, problem.method, s)
    arrays = (s.offset, s.begin, s.level, s.slope, s.jump, problem.rows, problem.observations.time)
    outputs, _ = solve(theta, *(pt.constant(np.ascontiguousarray(a)) for a in arrays))
    return outputs


def _observe(problem: Problem, name: str, outputs: Any) -> None:
    sensor = problem.sensor(name)
    arguments = {
        key: noise_variable(problem, f"{name}_{key}") if isinstance(value, Prior) else value
        for key, value in sensor.noise.arguments
    }
    place, own = problem.model.output_layout.places[name], problem.model.output_layout.shapes[name]
    centre = sensor.centre(outputs[:, place].ravel() if own else outputs[:, place.start])
    if term := problem.terms.get(name):
        scale = scale_variable(term)
        if integrated.integrable(sensor):
            integrated.observe(name, term, sensor, centre, arguments, scale)
            return
        centre = with_discrepancy(term, centre, scale)
    if _sample_dim(problem, name):
        sensor.observe(name, centre, arguments, shape=(sensor.rows.size,), dims=f"{name}_sample")
        return
    shape = problem.observations.scatter(sensor.readings, own).shape
    dims = (*problem.observations.dims, *problem.model.outputs[name].dims)
    sensor.observe(name, centre, arguments, shape=shape, dims=dims)
