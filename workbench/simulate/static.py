"""Solutions of static models: by kernels where equations have a scalar form, else by graphs; and why there is none."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.declare.eigen import solve as solve_matrices
from workbench.declare.eigen import why
from workbench.declare.model import Model
from workbench.simulate import graph
from workbench.simulate.kernel import Solutions
from workbench.simulate.kernels.modes import NEAR
from workbench.simulate.kernels.newton import WHY
from workbench.simulate.scenario import Schedule

Array = NDArray[np.float64]
NO_VALUE = 10  # status: an output is no finite number
_MEMBERS = 64  # whose graphs are evaluated at once


def solve(
    model: Model,
    theta: Array,
    schedule: Schedule,
    *,
    rows: NDArray[np.int64],
    times: Array,
    run: Callable[[], Solutions],
) -> Solutions:
    """Return the solutions of a static model, with reasons for failures, and a note on repeated eigenvalues.

    Parameters
    ----------
    theta, schedule, rows, times
        As in `workbench.simulate.kernel.solve`.
    run
        Runs the model's kernel.
    """
    members, units = theta.shape[:2]
    inputs, unit = graph.inputs_at(schedule, rows, times), np.repeat(np.arange(units), np.diff(rows))
    notes = dict[str, str]()
    if graph.needs_graph(model):
        made = run() if model.states else _empty(model, members, units, times.size)
        notes = _repeated(model, _outputs(model, made, theta, unit=unit, times=times, inputs=inputs))
        _mark(made, unit, times)
    else:
        made = run()
        notes = _repeated(model, _noted(model, made))
    reasons, bad = {}, np.argwhere(made.log[..., 0] != 0)
    if bad.size:
        member, k = map(int, bad[0])
        status, time, steps, culprit = made.log[member, k, :4]
        row = int(np.flatnonzero((unit == k) & (times == time))[0])
        if status == NO_VALUE:
            words = _no_value(model, theta[member, k], graph.Row(times[row], made.states[member, row], inputs[row]))
            words = f"{model.output_layout.labels()[int(culprit)]!r} is no finite number: {words}"
        else:
            words = WHY[int(status)].format(steps=int(steps), name=model.state_layout.labels()[int(culprit)])
        reasons[member, k] = f"t = {time:.6g}{'' if model.time_unit == '1' else f' {model.time_unit}'}: {words}"
    failed = np.repeat(made.log[..., 0] != 0, np.diff(rows), axis=1)
    made.states[failed], made.outputs[failed] = np.nan, np.nan
    return replace(made, methods={"Newton" if model.states else "formulas": members}, reasons=reasons, notes=notes)


def _empty(model: Model, members: int, units: int, count: int) -> Solutions:
    """Return solutions without states."""
    outputs, log = np.empty((members, count, model.output_layout.size)), np.zeros((members, units, 5))
    return Solutions(np.empty((members, count, 0)), outputs, log, np.empty((members, units, 0, 2)), {})


def _outputs(model: Model, made: Any, theta: Array, *, unit: Any, times: Array, inputs: Array) -> list[Any]:
    """Write the outputs of graphs; return for each eigenproblem (members, n - 1) which eigenvalues equal the next."""
    function = graph.compiled(model)
    (members, units), near = theta.shape[:2], list[Any]()
    for lo in range(0, members, _MEMBERS):
        part, states = theta[lo : lo + _MEMBERS], made.states[lo : lo + _MEMBERS]
        b = len(part)
        index = (unit + units * np.arange(b)[:, None]).ravel()
        at = np.tile(times, b), states.reshape(b * times.size, -1), np.tile(inputs, (b, 1))
        y, *values = function(part.reshape(b * units, -1), index, *at)
        made.outputs[lo : lo + b] = y.reshape(b, times.size, -1)
        near.append([_near(found, b) for found in values])
    return [np.concatenate(each) for each in zip(*near, strict=True)]


def _noted(model: Model, made: Solutions) -> list[Any]:
    """Return what `_outputs` returns, from the kernel's log, where a binary digit stands for each pair."""
    sizes = [node.outputs[0].type.shape[-1] for node in graph.eigen_nodes(graph.traced_of(model))]
    ends = np.cumsum([n - 1 for n in sizes], dtype=int)
    pairs = np.arange(ends[-1] if sizes else 0)
    digits = (made.log[..., 4, None] // 2.0**pairs % 2 == 1).any(axis=1)
    made.log[..., 4] = 0.0
    return np.split(digits, ends[:-1], axis=1) if sizes else []


def _near(values: Array, members: int) -> Any:
    """Return (members, n - 1) whether eigenvalues (of each unit, of each row, or the same for all) equal the next."""
    values = values if values.ndim == 2 else np.tile(values, (members, 1))
    near = values[:, 1:] <= values[:, :-1] + NEAR * np.maximum(np.abs(values[:, 1:]), np.abs(values[:, :-1]))
    near &= np.isfinite(values[:, 1:])
    return near.reshape(members, -1, near.shape[1]).any(axis=1)


def _mark(made: Any, unit: Any, times: Array) -> None:
    """Note in the log where outputs are no finite numbers: in which row first, and which output."""
    strange = ~np.isfinite(made.outputs)
    for k in np.unique(unit[strange.any(axis=(0, 2))]):
        mine = np.flatnonzero(unit == k)
        for member in np.flatnonzero(strange[:, mine].any(axis=(1, 2)) & (made.log[:, k, 0] == 0)):
            row, column = np.argwhere(strange[member, mine])[0]
            made.log[member, k, :4] = NO_VALUE, times[mine[row]], 0, column


def _repeated(model: Model, near: list[Any]) -> dict[str, str]:
    """Return a note on eigenvalues that are equal for some members, and warn where outputs depend on their vectors."""
    said, wild = [], False
    nodes = graph.eigen_nodes(graph.traced_of(model))
    for number, (node, each) in enumerate(zip(nodes, near, strict=True)):
        if not each.any():
            continue
        modes = ", ".join(f"{k + 1} and {k + 2}" for k in np.flatnonzero(each.any(axis=0)))
        share = f" in {each.any(axis=1).sum()} of {len(each)} members" if len(each) > 1 else ""
        said.append(f"{f'eigenproblem {number + 1}: ' if len(nodes) > 1 else ''}modes {modes}{share}")
        wild = wild or graph.reads_vectors(graph.traced_of(model), node)
    if not said:
        return {}
    note = "; ".join(said)
    if wild:
        warnings.warn(
            f"{model.name}: eigenvalues are repeated ({note}), so their vectors may be any mixture of each other, and "
            "outputs that depend on them mean little; use what the mixture does not change (eigenvalues, the sum of "
            "squares over the repeated modes), or a model whose symmetry is broken as in the real structure",
            stacklevel=6,
        )
    return {"repeated_eigenvalues": note}


def _no_value(model: Model, theta: Array, row: graph.Row) -> str:
    """Return why the outputs of a row are no finite numbers, with what to try."""
    for matrices in graph.matrices(model, theta, row):
        values, _ = solve_matrices(*matrices)
        if not np.isfinite(values).all():
            return f"wb.math.eigh {why(*matrices)}"
        if values[0] < 0:
            return (
                f"wb.math.eigh finds the eigenvalue {values[0]:.6g} below zero, which has no frequency; expected a K "
                "that is positive definite, such as that of a structure that is held and not buckled"
            )
    return "check observe where it divides, or takes roots and logarithms, and the parameters"
