"""What is refused when a model is born: a dry run of its equations."""

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.base import units
from workbench.base.errors import DeclarationError, unknown
from workbench.declare.arrays import stack
from workbench.declare.names import Context, Names
from workbench.declare.probe import Symbol, UsesPyTensor, balance
from workbench.declare.values import check_value

if TYPE_CHECKING:
    from workbench.declare.model import Model


def check(model: "Model") -> None:
    """Run the model's equations on symbols that carry units; DeclarationError for the first mistake found."""
    for method, names in model._methods.items():
        got, arguments = list(inspect.signature(getattr(model, method)).parameters), list(names)
        if len(got) != len(arguments) or (got != arguments and set(got) == set(arguments)):
            wanted = ", ".join(["self", *arguments])
            raise DeclarationError(
                f"{model.name}: got {method}({', '.join(['self', *got])}); expected {method}({wanted})"
            )
    read: set[str] = set()
    traced = False
    for method in model._methods:
        try:
            _CHECKS[method](model, _run(model, method, read), read)
        except (UsesPyTensor, NotImplementedError):  # the latter is what PyTensor says to a symbol
            traced = True
    if traced:
        read |= _check_by_trace(model)
    _check_unused(model, read)


def _check_by_trace(model: "Model") -> set[str]:
    """Check names, shapes and functions of equations that call PyTensor directly, and return the names they use."""
    from pytensor.graph.traversal import ancestors

    from workbench.declare.trace import differentiate, trace

    try:
        made = trace(model)
    except TypeError as error:
        raise DeclarationError(
            f"{model.name}: got what PyTensor's symbols do not allow ({error}); expected wb.math.where instead of "
            "Python's if, and, or, min or max, and functions of wb.math or pytensor.tensor instead of math and numpy"
        ) from error
    for method in made.equations:
        if method not in model._graphs:
            differentiate(made, method)
    every = [equation for equations in made.equations.values() for equation in equations]
    return {str(v.name) for v in ancestors(every) if v in {*made.theta, *made.inputs}}


def _run(model: "Model", method: str, read: set[str]) -> Any:
    context = Context(f"{model.name}.{method}", read)

    def symbols(quantities: Mapping[str, Any], prefix: str) -> dict[str, Symbol]:
        return {n: Symbol(_unit(q.unit), f"{prefix}.{n}", context, model.shape(q)) for n, q in quantities.items()}

    p = Names("parameter", symbols(model.parameters, "p"), context)
    if method == "start":
        return getattr(model, method)(p)
    continuous = {n: q for n, q in model.inputs.items() if q.kind != "impulse"}
    t = Symbol(units.parse(model.time_unit), "t", context)
    x = Names("state", symbols(model.states, "x"), context)
    u = Names("input", symbols(continuous, "u"), context)
    return getattr(model, method)(t, x, u, p)


def _unit(text: str) -> Any:
    return units.parse(text)


def _check_rates(model: "Model", rates: Any, read: set[str]) -> None:
    time = units.parse(model.time_unit)
    _check_result(model, "rhs", rates, model.states, lambda name: units.parse(model.states[name].unit) / time)


def _check_outputs(model: "Model", outputs: Any, read: set[str]) -> None:
    _check_result(model, "observe", outputs, model.outputs, lambda name: units.parse(model.outputs[name].unit))


def _check_steps(model: "Model", states: Any, read: set[str]) -> None:
    _check_result(model, "step", states, model.states, lambda name: units.parse(model.states[name].unit))


def _check_residuals(model: "Model", residuals: Any, read: set[str]) -> None:
    _check_result(model, "residual", residuals, model.states, None)  # compared with zero, in whatever unit


def _check_events(model: "Model", events: Any, read: set[str]) -> None:
    _check_result(model, "events", events, model.thresholds, lambda name: units.parse(model.thresholds[name].unit))


def _check_resets(model: "Model", resets: Any, read: set[str]) -> None:
    where = f"{model.name}.reset"
    if not isinstance(resets, Mapping):
        raise DeclarationError(f"{where}: got {type(resets).__name__}; expected a dict from events to dicts of states")
    for name, states in resets.items():
        if name not in model.thresholds:
            raise DeclarationError(unknown("event", str(name), model.thresholds, where))
        if model.thresholds[name].ends:
            raise DeclarationError(f"{where}: got a reset for {name!r}, which ends the asset's life; expected none")
        unit = lambda state: units.parse(model.states[state].unit)  # noqa: E731
        _check_result(model, "reset", states, model.states, unit, some=True)


def _check_starts(model: "Model", starts: Any, read: set[str]) -> None:
    _check_result(model, "start", starts, model.states, lambda n: units.parse(model.states[n].unit), some=True)
    for name, state in model.states.items():
        if state.start is None and name not in starts:
            raise DeclarationError(
                f"{model.name}.{name}: got no start; expected start= a number, a parameter's name or a prior, "
                "or start(self, p)"
            )
        if state.start is not None and name in starts:
            raise DeclarationError(
                f"{model.name}.{name}: got a start in the state and in start(self, p); expected one of them"
            )
        if isinstance(state.start, str):
            read.add(state.start)
            parameter = model.parameters[state.start]
            symbol = Symbol(_unit(parameter.unit), state.start, Context(f"{model.name}.{name}.start", read))
            _check_dims_of(parameter, state, f"{model.name}.{name}.start")
            balance(symbol, units.parse(state.unit), f"{state.start!r}", f"{state.unit}")
            _check_start_bounds(model, name, parameter)
        if isinstance(state.noise, str):
            read.add(state.noise)
            _check_dims_of(model.parameters[state.noise], state, f"{model.name}.{name}.noise")
            _check_noise(model, name, model.parameters[state.noise])


def _check_dims_of(parameter: Any, state: Any, where: str) -> None:
    """Refuse a parameter as a start or noise unless it is a scalar or has the dims of the state."""
    if parameter.dims not in ((), state.dims):
        wanted = f"a scalar or dims={state.dims!r}" if state.dims else "a scalar"
        raise DeclarationError(f"{where}: got {parameter.name!r} with dims={parameter.dims!r}; expected {wanted}")


def _check_noise(model: "Model", name: str, parameter: Any) -> None:
    """Refuse a parameter as process noise unless its unit is the state's, per root time unit where time flows."""
    unit = units.parse(model.states[name].unit)
    if "rhs" in model._methods:
        unit = unit / units.parse(model.time_unit) ** 0.5
    context = Context(f"{model.name}.{name}.noise", set())
    balance(Symbol(_unit(parameter.unit), parameter.name, context), unit, f"{parameter.name!r}", f"{unit:~P}")


def _check_start_bounds(model: "Model", name: str, parameter: Any) -> None:
    what = f"start {parameter.name!r} with"
    where, bounds = f"{model.name}.{name}", model.states[name].bounds
    check_value(parameter.prior if parameter.prior is not None else parameter.value, bounds, where=where, what=what)


def _check_result(
    model: "Model",
    method: str,
    result: Any,
    wanted: Mapping[str, Any],
    unit: Callable[[str], Any] | None,
    *,
    some: bool = False,
) -> None:
    """Refuse a result that is not a dict with exactly the wanted names, shapes, and units (None: any)."""
    where = f"{model.name}.{method}"
    kind = {"observe": "output", "events": "event"}.get(method, "state")
    if not isinstance(result, Mapping):
        shape = f"{type(result).__name__}" + (f" of {len(result)}" if hasattr(result, "__len__") else "")
        raise DeclarationError(f"{where}: got {shape}; expected a dict with the names {', '.join(map(repr, wanted))}")
    for name, value in result.items():
        if name not in wanted:
            raise DeclarationError(unknown(kind, str(name), wanted, where))
        if isinstance(value, list | tuple) and model.shape(wanted[name]):
            value = stack(value)
        if type(value).__module__.startswith("pytensor"):
            raise UsesPyTensor
        got, expected = _shape_of(value), model.shape(wanted[name])
        if got not in ((), expected):
            what = "an expression" if isinstance(value, Symbol) else type(value).__name__
            raise DeclarationError(
                f"{where}: got {what} of shape {'none' if got is None else got} for {name!r}; expected "
                + (f"shape {expected}, or a scalar" if expected else "a scalar (shape ())")
            )
        if isinstance(value, Symbol) and unit is not None:
            balance(value, unit(name), f"{name!r} = {value.text}", f"{unit(name):~P}")
    missing = [name for name in wanted if name not in result]
    if missing and not some:
        what = {"rhs": "derivative of state", "residual": "residual of state"}.get(method, kind)
        raise DeclarationError(
            f"{where}: got no {what} {missing[0]!r}; expected one for each of {', '.join(map(repr, wanted))}"
        )


def _shape_of(value: Any) -> tuple[int, ...] | None:
    """Return the shape of a symbol, a number or an array of numbers; of what is neither, its length, or None."""
    if isinstance(value, Symbol):
        return value.extent
    if isinstance(value, np.ndarray):
        return value.shape if value.dtype.kind in "biuf" else None
    if isinstance(value, str | list | tuple) or not hasattr(value, "__float__"):
        return (len(value),) if hasattr(value, "__len__") else None
    return np.shape(value)


def _check_unused(model: "Model", read: set[str]) -> None:
    continuous = {n: q for n, q in model.inputs.items() if q.kind != "impulse"}
    for kind, names in (("parameter", model.parameters), ("input", continuous)):
        for name in names:
            if name not in read:
                raise DeclarationError(
                    f"{model.name}: got {kind} {name!r}, which no equation uses; expected it in rhs, observe or a "
                    "start (or not declared)"
                )
    for name, quantity in model.inputs.items():
        if quantity.into is None:
            continue
        state = model.states[quantity.into.partition("[")[0]]
        symbol = Symbol(_unit(quantity.unit), name, Context(f"{model.name}.{name}", read))
        balance(
            symbol,
            units.parse(state.unit),
            f"an impulse into {quantity.into!r}",
            f"{state.unit}, the unit of that state",
        )


_CHECKS = {
    "start": _check_starts,
    "rhs": _check_rates,
    "step": _check_steps,
    "residual": _check_residuals,
    "observe": _check_outputs,
    "events": _check_events,
    "reset": _check_resets,
}
