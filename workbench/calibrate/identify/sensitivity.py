"""Outputs at the rows of a design and their derivatives by what is estimated, for many sets of parameters."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from workbench.calibrate.problem import Problem
from workbench.declare.simulator import Simulator
from workbench.simulate.graph import needs_graph
from workbench.simulate.kernel import longest_run, solve, source
from workbench.simulate.op import Solve

Array = NDArray[np.float64]
STEP = 1e-2  # prior SDs of a central difference: its error is about 1e-5 of the bend, and noise of 1e-6 becomes 1e-4


def sensitivities(problem: Problem, theta: Array, steps: Array) -> Iterator[tuple[Array, Array]]:
    """Yield outputs (rows, outputs) and their derivatives (rows, outputs, estimated) for each set of parameters.

    They come from the kernel's forward sensitivities. A simulator has none, nor have outputs such as eigenvalues: there
    they are central differences, all evaluations of which are one batch (of a simulator, over its processes).

    Parameters
    ----------
    problem
        The model and the design.
    theta
        (members, units, parameters).
    steps
        (members, units, estimated) what counts as a small step of each estimated parameter: one SD of its prior.
    """
    if isinstance(problem.model, Simulator) or needs_graph(problem.model):
        yield from _differences(problem, theta, STEP * steps)
        return
    model, s, times = problem.model, problem.schedule, problem.observations.time
    columns = model.theta_layout.columns(model.estimated)
    op = Solve(
        source(model, problem.method, sensitivities=True),
        estimated=columns,
        outputs=model.output_layout.size,
        tolerances=(model.rtol, model.atol),
        longest_run=longest_run(s),
    )
    schedule = (s.offset, s.begin, s.level, s.slope, s.jump, problem.rows, times)
    for member in theta:
        storage: list[list[Array]] = [[np.empty(0)], [np.empty(0)]]
        op.perform(None, [member, *schedule], storage)  # type: ignore[arg-type]
        yield storage[0][0], storage[1][0]


def _differences(problem: Problem, theta: Array, steps: Array) -> Iterator[tuple[Array, Array]]:
    columns = problem.model.theta_layout.columns(problem.model.estimated)
    moved = np.repeat(theta[:, None], 1 + 2 * len(columns), axis=1)
    for k, column in enumerate(columns):
        moved[:, 1 + 2 * k, :, column] += steps[:, :, k]
        moved[:, 2 + 2 * k, :, column] -= steps[:, :, k]
    times = problem.observations.time
    flat = moved.reshape(-1, *theta.shape[1:])
    made = solve(problem.model, flat, problem.schedule, rows=problem.rows, times=times, method=problem.method)
    outputs = made.outputs.reshape(len(theta), 1 + 2 * len(columns), times.size, -1)
    unit = np.repeat(np.arange(theta.shape[1]), np.diff(problem.rows))
    for member, each in enumerate(outputs):
        twice = each[1::2] - each[2::2]
        yield each[0], np.moveaxis(twice, 0, -1) / (2 * steps[member, unit][:, None, :])
