"""Runs a model's equations once on PyTensor symbols, and differentiates them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytensor.tensor as pt
from pytensor.gradient import grad
from pytensor.graph.basic import Variable
from pytensor.graph.traversal import ancestors

from workbench.base.errors import DeclarationError, unknown
from workbench.declare.lower import lower
from workbench.declare.model import Ode
from workbench.declare.names import Context, Names
from workbench.declare.prior import Prior
from workbench.declare.program import Program


@dataclass(frozen=True)
class Trace:
    """A model's equations as PyTensor scalars, in the order of the model's names."""

    model: Ode
    t: Variable
    states: list[Variable]
    inputs: list[Variable]
    theta: list[Variable]
    start: list[Variable]
    rhs: list[Variable]
    observe: list[Variable]


@dataclass(frozen=True)
class Differentiated:
    """Values of some equations as a program, followed by the derivatives that are not zero everywhere.

    `entries` says for each further output which derivative it is: (row, column), where columns count the states first
    and then the estimated parameters.
    """

    program: Program
    rows: int
    entries: tuple[tuple[int, int], ...]


def trace(model: Ode) -> Trace:
    """Return the model's equations as PyTensor scalars; DeclarationError where they cannot be run."""
    continuous = [n for n, q in model.inputs.items() if q.kind != "impulse"]
    t = pt.dscalar("t")
    x, u, p = ({n: pt.dscalar(n) for n in names} for names in (model.states, continuous, model.theta))
    declared = {n: p[n] for n in model.parameters}

    def names(method: str) -> tuple[Names, Names, Names]:
        context = Context(f"{model.name}.{method}", set())
        kinds = (("state", x), ("input", u), ("parameter", declared))
        return tuple(Names(kind, values, context) for kind, values in kinds)  # type: ignore[return-value]

    rhs = _scalars(model.rhs(t, *names("rhs")), model.states, f"{model.name}.rhs")
    observe = _scalars(model.observe(t, *names("observe")), model.outputs, f"{model.name}.observe")
    starts = model.start(names("start")[2])
    given = {n: starts[n] if n in starts else _start(model, n, p) for n in model.states}
    start = _scalars(given, model.states, f"{model.name}.start")
    return Trace(model, t, list(x.values()), list(u.values()), list(p.values()), start, rhs, observe)


def _start(model: Ode, name: str, p: Mapping[str, Variable]) -> Any:
    start = model.states[name].start
    if isinstance(start, Prior):
        return p[f"{name}_start"]
    return p[start] if isinstance(start, str) else float(start)  # type: ignore[arg-type]


def _scalars(result: Mapping[str, Any], wanted: Mapping[str, Any], where: str) -> list[Variable]:
    for name in result:
        if name not in wanted:
            raise DeclarationError(unknown("name", name, wanted, where))
    made = []
    for name in wanted:
        if name not in result:
            raise DeclarationError(f"{where}: got nothing for {name!r}; expected one value for each of {list(wanted)}")
        variable = pt.as_tensor_variable(result[name])
        if variable.ndim != 0:
            raise DeclarationError(
                f"{where}: got {variable.ndim} dimensions for {name!r}; expected a scalar (shape ())"
            )
        made.append(variable.astype("float64"))
    return made


def input_names(model: Ode) -> list[str]:
    """Return the names of a program's inputs: t, then states x0.., continuous inputs u0.., parameters p0..."""
    continuous = sum(q.kind != "impulse" for q in model.inputs.values())
    counted = (("x", len(model.states)), ("u", continuous), ("p", len(model.theta)))
    return ["t", *(f"{letter}{k}" for letter, count in counted for k in range(count))]


def values(traced: Trace, equations: Sequence[Variable], what: str) -> Program:
    """Return the program that computes `equations`."""
    symbols = [traced.t, *traced.states, *traced.inputs, *traced.theta]
    return lower(symbols, equations, input_names(traced.model), f"{traced.model.name}.{what}")


def differentiate(traced: Trace, equations: Sequence[Variable], what: str) -> Differentiated:
    """Return the program of `equations` and of their derivatives by states and estimated parameters."""
    theta = dict(zip(traced.model.theta, traced.theta, strict=True))
    by = [*traced.states, *(theta[name] for name in traced.model.estimated)]
    outputs, entries = list(equations), []
    for row, equation in enumerate(equations):
        above = set(ancestors([equation]))
        columns = [column for column, symbol in enumerate(by) if symbol in above]
        if not columns:
            continue
        slopes = grad(equation, [by[c] for c in columns], disconnected_inputs="ignore")
        outputs += slopes
        entries += [(row, column) for column in columns]
    program = values(traced, outputs, what)
    kept = [k for k, ref in enumerate(program.outputs[len(equations) :]) if ref != 0.0 or isinstance(ref, int)]
    refs = program.outputs[: len(equations)] + tuple(program.outputs[len(equations) + k] for k in kept)
    slim = Program(program.inputs, program.operations, refs)
    return Differentiated(slim, len(equations), tuple(entries[k] for k in kept))
