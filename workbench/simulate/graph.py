"""Outputs without a scalar form, such as eigenvalues, as PyTensor graphs over units and rows.

What depends on parameters alone is evaluated once for each unit, and the rest at each row.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytensor
import pytensor.tensor as pt
from numpy.typing import NDArray
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.replace import vectorize_graph
from pytensor.graph.traversal import io_toposort

from workbench.base.errors import DeclarationError
from workbench.declare.derive import jacobian
from workbench.declare.model import Model
from workbench.declare.static import Static
from workbench.declare.trace import Trace, trace
from workbench.simulate import eigen  # noqa: F401 - teaches Numba what eigenproblems are
from workbench.simulate.kernels.modes import eigen_nodes, lowered
from workbench.simulate.kernels.newton import emit
from workbench.simulate.scenario import Schedule

Array = NDArray[np.float64]


class Row(NamedTuple):
    """Where outputs are evaluated: the time, states (states,) and continuous inputs (inputs,)."""

    time: float
    states: Array
    inputs: Array


def traced_of(model: Model) -> Trace:
    """Return the model's equations as PyTensor variables, run once for each instance."""
    kept = vars(model).setdefault("_kernels", {})
    if "trace" not in kept:
        kept["trace"] = trace(model)
    return kept["trace"]


def needs_graph(model: Model) -> bool:
    """Return whether a static model's outputs have no scalar form (or no derivative that kernels know)."""
    if not isinstance(model, Static):
        return False
    kept = vars(model).setdefault("_kernels", {})
    if "graph" not in kept:
        try:
            made = lowered(traced_of(model))
            for program in (*(stage.program for stage in made.stages), made.observe):
                jacobian(program, made.columns, model.name)
            kept["graph"] = False
        except DeclarationError:
            kept["graph"] = True
    return kept["graph"]


def source(model: Model, *, sensitivities: bool) -> str:
    """Return the source of a static model's kernel; where outputs are a graph, of one that solves for states alone.

    With sensitivities, the states are the latter's outputs.
    """
    traced = traced_of(model)
    if needs_graph(model):
        equations = {**traced.equations, "observe": traced.states if sensitivities else []}
        traced = replace(traced, equations=equations, _programs={})
    return emit(traced, sensitivities=sensitivities)


def reads_vectors(traced: Trace, eigenproblem: Apply) -> bool:
    """Return whether outputs depend on the vectors of an eigenproblem."""
    vectors, wanted = eigenproblem.outputs[1], traced.equations["observe"]
    return vectors in wanted or any(vectors in node.inputs for node in io_toposort(_symbols(traced), wanted))


def matrices(model: Model, theta: Array, row: Row) -> list[tuple[Array, Array]]:
    """Return K and M of each eigenproblem, for parameters (parameters,) at one row."""
    traced = traced_of(model)
    given, wanted = _symbols(traced), [matrix for node in eigen_nodes(traced) for matrix in node.inputs]
    at = at_rows(traced, np.array([row.time]), row.states[None], row.inputs[None])
    values = [at[v][0] for v in given if v in at] + [theta[s].reshape(shape) for s, shape in _places(traced)]
    found = pytensor.function(given, wanted, mode="FAST_COMPILE", on_unused_input="ignore")(*values)
    return list(zip(found[::2], found[1::2], strict=True))


def _places(traced: Trace) -> list[tuple[slice, tuple[int, ...]]]:
    """Return where each parameter lies in theta, and its shape."""
    layout = traced.model.theta_layout
    return [(layout.places[name], shape) for name, shape in layout.shapes.items()]


def _symbols(traced: Trace) -> list[Variable]:
    return [traced.t, *traced.states, *traced.inputs, *traced.theta]


def over_rows(traced: Trace, theta: Any, index: Any, *, at: Mapping[Variable, Any]) -> tuple[Any, list[Any]]:
    """Return outputs (rows, outputs), and the eigenvalues (units or rows, n) of each eigenproblem.

    Parameters
    ----------
    theta
        (units, parameters).
    index
        (rows,) the unit of each row.
    at
        The time, states and inputs of each row, by their symbol.
    """
    wanted = traced.equations["observe"]
    fixed = {
        symbol: theta[:, place].reshape((theta.shape[0], *shape))
        for symbol, (place, shape) in zip(traced.theta, _places(traced), strict=True)
    }
    own, moving, frontier = set(fixed), set(at), dict[Variable, None]()
    for node in io_toposort(_symbols(traced), wanted):
        if not moving.isdisjoint(node.inputs):
            moving |= set(node.outputs)
            frontier |= dict.fromkeys(i for i in node.inputs if i in own)
        elif not own.isdisjoint(node.inputs):
            own |= set(node.outputs)
    values = [node.outputs[0] for node in eigen_nodes(traced)]
    frontier |= dict.fromkeys(v for v in [*wanted, *values] if v in own)
    once = dict(zip(frontier, _vectorized(list(frontier), fixed), strict=True))
    later = [v for v in dict.fromkeys([*wanted, *values]) if v in moving]
    rows = dict(zip(later, _vectorized(later, {**at, **{v: made[index] for v, made in once.items()}}), strict=True))
    count = index.shape[0]
    columns = []
    for v in wanted:
        made = rows[v] if v in rows else once[v][index] if v in once else pt.broadcast_to(v, (count, *v.shape))
        columns.append(made.reshape((count, -1)))
    return pt.concatenate(columns, axis=1), [rows.get(v, once.get(v, v)) for v in values]


def _vectorized(variables: list[Variable], replace: Mapping[Variable, Any]) -> list[Variable]:
    return list(vectorize_graph(variables, replace=dict(replace))) if variables else []


def inputs_at(schedule: Schedule, rows: NDArray[np.int64], times: Array) -> Array:
    """Return (rows, inputs) the continuous inputs at each row."""
    made = np.empty((times.size, schedule.level.shape[1]))
    for unit in range(rows.size - 1):
        mine, lo, hi = slice(rows[unit], rows[unit + 1]), schedule.offset[unit], schedule.offset[unit + 1]
        j = lo + np.maximum(np.searchsorted(schedule.begin[lo:hi], times[mine], "right") - 1, 0)
        made[mine] = schedule.level[j] + schedule.slope[j] * (times[mine] - schedule.begin[j])[:, None]
    return made


def at_rows(traced: Trace, times: Any, states: Any, inputs: Any) -> dict[Variable, Any]:
    """Return the rows of `over_rows`: times (rows,), states (rows, states), inputs (rows, inputs)."""
    layout, at = traced.model.state_layout, {traced.t: times}
    for symbol, (name, shape) in zip(traced.states, layout.shapes.items(), strict=True):
        at[symbol] = states[:, layout.places[name]].reshape((states.shape[0], *shape))
    return at | {symbol: inputs[:, k] for k, symbol in enumerate(traced.inputs)}


def compiled(model: Model) -> Any:
    """Return the function from theta, index, times, states and inputs to outputs and eigenvalues, compiled once."""
    kept = vars(model).setdefault("_kernels", {})
    if "function" not in kept:
        traced = traced_of(model)
        theta, index, times, states, inputs = pt.dmatrix(), pt.lvector(), pt.dvector(), pt.dmatrix(), pt.dmatrix()
        made, values = over_rows(traced, theta, index, at=at_rows(traced, times, states, inputs))
        given = [theta, index, times, states, inputs]
        kept["function"] = pytensor.function(given, [made, *values], mode="FAST_COMPILE", on_unused_input="ignore")
    return kept["function"]
