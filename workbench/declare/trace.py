"""Runs a model's equations once on PyTensor symbols, and turns them into straight-line programs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.graph.basic import Variable

from workbench.base.errors import DeclarationError, unknown
from workbench.declare.derive import Differentiated, along, jacobian
from workbench.declare.formula import flat
from workbench.declare.lower import lower
from workbench.declare.model import Model
from workbench.declare.names import Context, Names
from workbench.declare.prior import Prior
from workbench.declare.program import Program


@dataclass(frozen=True)
class Trace:
    """A model's equations as PyTensor variables, in the order of the model's names.

    Attributes
    ----------
    equations
        For each method ("start", "rhs", ...) its results; a vector quantity is one vector.
    resets
        Which event and which state each result of "reset" belongs to.
    """

    model: Model
    t: Variable
    states: list[Variable]
    inputs: list[Variable]
    theta: list[Variable]
    equations: dict[str, list[Variable]]
    resets: tuple[tuple[str, str], ...]
    _programs: dict[str, Program] = field(default_factory=dict)


def trace(model: Model) -> Trace:
    """Return the model's equations as PyTensor variables; DeclarationError where they cannot be run."""
    continuous = {n: q for n, q in model.inputs.items() if q.kind != "impulse"}
    t = pt.dscalar("t")
    x, u, p = ({n: _symbol(model, n, q) for n, q in kind.items()} for kind in (model.states, continuous, model.theta))
    declared = {n: p[n] for n in model.parameters}

    def run(method: str) -> Mapping[str, Any]:
        context = Context(f"{model.name}.{method}", set())
        kinds = (("state", x), ("input", u), ("parameter", declared))
        names = [Names(kind, values, context) for kind, values in kinds]
        return getattr(model, method)(names[2]) if method == "start" else getattr(model, method)(t, *names)

    equations, resets = dict[str, list[Variable]](), tuple[tuple[str, str], ...]()
    for method in model._methods:
        made = run(method)
        if method == "start":
            made = {n: made[n] if n in made else _start(model, n, p) for n in model.states}
        if method == "observe":
            made = {name: _sensed(model, name, value, t, p) for name, value in made.items()}
        wanted: Mapping[str, Any] = model.states
        if method in ("observe", "events"):
            wanted = model.outputs if method == "observe" else model.thresholds
        if method == "reset":
            resets = tuple((event, state) for event, states in made.items() for state in states)
            made, wanted = flat(made), {f"{event}.{state}": model.states[state] for event, state in resets}
        equations[method] = _results(model, made, wanted, f"{model.name}.{method}")
    return Trace(model, t, list(x.values()), list(u.values()), list(p.values()), equations, resets)


def _symbol(model: Model, name: str, quantity: Any) -> Variable:
    return pt.TensorType("float64", shape=model.shape(quantity))(name)


def _start(model: Model, name: str, p: Mapping[str, Variable]) -> Any:
    start = model.states[name].start
    if isinstance(start, Prior):
        return p[f"{name}_start"]
    return p[start] if isinstance(start, str) else np.asarray(start, dtype=np.float64)


def _sensed(model: Model, name: str, value: Any, t: Variable, p: Mapping[str, Variable]) -> Any:
    """Return what the sensor of an output makes of its value: bias and drift added."""
    output = model.outputs.get(name)
    for what, times in (("bias", 1.0), ("drift", t)):
        error = getattr(output, what, 0.0)
        if isinstance(error, Prior):
            value = pt.as_tensor_variable(value) + p[f"{name}_{what}"] * times
        elif error:
            value = pt.as_tensor_variable(value) + error * times
    return value


def _results(model: Model, result: Mapping[str, Any], wanted: Mapping[str, Any], where: str) -> list[Variable]:
    for name in result:
        if name not in wanted:
            raise DeclarationError(unknown("name", name, wanted, where))
    made = []
    for name, quantity in wanted.items():
        if name not in result:
            raise DeclarationError(f"{where}: got nothing for {name!r}; expected one value for each of {list(wanted)}")
        variable = pt.as_tensor_variable(result[name]).astype("float64")
        shape = model.shape(quantity)
        known = zip(variable.type.shape, shape, strict=False)  # None is a size that PyTensor does not know
        if variable.ndim not in (0, len(shape)) or any(n not in (None, m) for n, m in known):
            got = f"shape {variable.type.shape}" if shape else f"{variable.ndim} dimensions"
            expected = f"shape {shape}, or a scalar" if shape else "a scalar (shape ())"
            raise DeclarationError(f"{where}: got {got} for {name!r}; expected {expected}")
        if variable.ndim < len(shape):
            variable = pt.broadcast_to(variable, shape)
        made.append(variable if variable.type.shape == shape else pt.specify_shape(variable, shape))
    return made


def input_names(model: Model) -> list[str]:
    """Return the names of a program's inputs: t, then states x0.., continuous inputs u0.., parameters p0..."""
    continuous = sum(q.kind != "impulse" for q in model.inputs.values())
    counted = (("x", model.state_layout.size), ("u", continuous), ("p", model.theta_layout.size))
    return ["t", *(f"{letter}{k}" for letter, count in counted for k in range(count))]


def program(traced: Trace, method: str) -> Program:
    """Return the program that computes the results of a method."""
    if method not in traced._programs:
        symbols = [traced.t, *traced.states, *traced.inputs, *traced.theta]
        where = f"{traced.model.name}.{method}"
        traced._programs[method] = lower(symbols, traced.equations[method], input_names(traced.model), where)
    return traced._programs[method]


def columns_of(model: Model) -> list[int]:
    """Return the inputs of a program that derivatives are by: the states, then the estimated parameters."""
    names = input_names(model)
    states = [names.index(f"x{k}") for k in range(model.state_layout.size)]
    return states + [names.index(f"p{k}") for k in model.theta_layout.columns(model.estimated)]


def differentiate(traced: Trace, method: str) -> Differentiated:
    """Return the program of a method's results and of their derivatives by states and estimated parameters."""
    made = program(traced, method)
    return jacobian(made, columns_of(traced.model), f"{traced.model.name}.{method}")


def time_slope(traced: Trace, method: str) -> Program:
    """Return the program of the results' rate of change with time alone: inputs move by their slopes r0, r1, ..."""
    made, names = program(traced, method), input_names(traced.model)
    count = sum(name[0] == "u" for name in names)
    moving = {names.index(f"u{k}"): f"r{k}" for k in range(count)}
    return along(made, {0: 1.0, **moving}, f"{traced.model.name}.{method}")


def flow_slope(traced: Trace, method: str) -> Program:
    """Return the slopes of the results along a direction: w0, w1, ... for the states, `tau` for the time.

    They are J w + (df/dt) tau, where inputs move with the time by their slopes r0, r1, ... times tau.
    """
    made, names, where = program(traced, method), input_names(traced.model), f"{traced.model.name}.{method}"
    directions: dict[int, str | float] = {0: "tau"}
    for k, name in enumerate(names):
        if name[0] in "xu" and name != "tau":
            directions[k] = ("w" if name[0] == "x" else "r") + name[1:]
    return along(made, directions, where)


def bending(traced: Trace, method: str) -> Differentiated:
    """Return the results' slopes along a direction (see `flow_slope`) with their derivatives."""
    where = f"{traced.model.name}.{method}"
    return jacobian(flow_slope(traced, method), columns_of(traced.model), where)
