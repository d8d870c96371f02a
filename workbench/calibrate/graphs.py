"""The outputs of static models without a scalar form, such as eigenvalues, as part of the posterior's graph."""

import warnings
from typing import Any

import numpy as np
import pytensor.tensor as pt

from workbench.calibrate.problem import Problem
from workbench.simulate import graph
from workbench.simulate.kernel import longest_run, solve
from workbench.simulate.op import Solve


def warn_of_repeats(problem: Problem) -> None:
    """Warn of eigenvalues of a static model that are repeated at draws of the prior."""
    if not graph.eigen_nodes(graph.traced_of(problem.model)):
        return
    with warnings.catch_warnings():  # of outputs that depend on their vectors, and of draws that fail
        warnings.simplefilter("ignore")
        times = problem.observations.time
        made = solve(problem.model, problem.typical, problem.schedule, rows=problem.rows, times=times)
    if made.notes:
        warnings.warn(
            f"{problem.model.name}: eigenvalues are repeated ({', '.join(made.notes.values())} drawn from the prior): "
            "each is given the mean of their derivatives, which is right where they stay equal as parameters move; "
            "where they only meet, a sampler sees kinks, and which mode is which, or what its vector is, means nothing",
            stacklevel=5,
        )


def outputs(problem: Problem, theta: Any) -> Any:
    """Return the outputs at every row of the data (rows, outputs), of theta (units, parameters).

    A row without finite outputs reads infinity.
    """
    model, s, times = problem.model, problem.schedule, problem.observations.time
    traced = graph.traced_of(model)
    unit = np.repeat(np.arange(problem.rows.size - 1), np.diff(problem.rows))
    states = pt.constant(np.empty((times.size, 0)))
    if model.states:
        source = graph.source(model, sensitivities=True)
        columns, size = model.theta_layout.columns(model.estimated), model.state_layout.size
        run = longest_run(s)
        op = Solve(source, estimated=columns, outputs=size, tolerances=(model.rtol, model.atol), longest_run=run)
        arrays = (s.offset, s.begin, s.level, s.slope, s.jump, problem.rows, times)
        states, _ = op(theta, *(pt.constant(np.ascontiguousarray(a)) for a in arrays))
    inputs = pt.constant(graph.inputs_at(s, problem.rows, times))
    at = graph.at_rows(traced, pt.constant(times), states, inputs)
    made, _ = graph.over_rows(traced, theta, pt.constant(unit), at=at)
    return pt.where(pt.isnan(made), np.inf, made)
