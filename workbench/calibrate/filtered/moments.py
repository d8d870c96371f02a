"""A model with process noise as one of mean and covariance: equations that the engine solves and differentiates.

Between readings dm/dt = f(m) and dP/dt = J P + P J' + Q, with J the derivatives of f at m and Q the squared process
noise (Särkkä & Solin, Applied Stochastic Differential Equations, 2019, section 9.1: the extended Kalman filter; exact
for linear equations). Of a `Map`, m goes to f(m) and P to J P J' + Q.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from workbench.declare.derive import jacobian
from workbench.declare.layout import Layout
from workbench.declare.model import Model
from workbench.declare.noise import Noise
from workbench.declare.prior import Prior
from workbench.declare.program import Builder, Program, Ref
from workbench.declare.quantity import Parameter
from workbench.declare.trace import Trace, input_names, program
from workbench.simulate.kernels.equations import advances


class Element(NamedTuple):
    """One element of an output that was measured.

    Attributes
    ----------
    place
        Its place among all outputs.
    noise
        How it errs.
    output
        Its output's name.
    functions
        How many functions its discrepancy is a sum of: 0 without one.
    """

    place: int
    noise: Noise
    output: str
    functions: int = 0


class Moments:
    """What a kernel asks of a model, of mean and covariance: more states, and more parameters.

    Parameters are followed by the noise's arguments, then by the coefficients of the discrepancies, an output's
    elements one after the other.

    The covariance follows the states as its upper triangle, row by row. Of each measured element the outputs are: its
    mean h on the scale on which its noise is Gaussian, its derivatives by the states, and the variance of its noise
    (where that goes with a mean to which a discrepancy is yet to be added, the variance over the mean's square).
    """

    def __init__(self, model: Model, elements: Sequence[Element]):
        self._model = model
        n = model.state_layout.size
        arguments = {f"{e.output}_{key}": prior for e in elements for key, prior in e.noise.priors.items()}
        self.theta: Mapping[str, Parameter] = {**model.theta, **{a: model.noise_parameters[a] for a in arguments}}
        coefficients = dict[str, int]()
        for element in elements:
            if element.functions:
                name = f"{element.output}_discrepancy"
                coefficients[name] = coefficients.get(name, 0) + element.functions
        self.arguments, self.coefficients = tuple(arguments), tuple(coefficients)
        shapes = {**dict.fromkeys(arguments, ()), **{name: (size,) for name, size in coefficients.items()}}
        self.theta_layout = Layout({**model.theta_layout.shapes, **shapes})
        self.state_layout = Layout({**model.state_layout.shapes, "its covariance": (n * (n + 1) // 2,)})
        self.output_layout = Layout({"seen": (len(elements) * (n + 2),)})
        self.estimated = (*model.estimated, *arguments, *coefficients)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


def moments(traced: Trace, elements: Sequence[Element]) -> Trace:
    """Return the equations of mean and covariance; derivatives are by estimated parameters and noise arguments."""
    made: Any = Moments(traced.model, elements)
    moves, names = advances(traced), tuple(input_names(made))
    n = traced.model.state_layout.size
    programs = {
        "start": _program(names, lambda b: [*_replayed(b, program(traced, "start")), *[0.0] * (n * (n + 1) // 2)]),
        moves: _program(names, lambda b: _moved(b, traced, moves)),
        "observe": _program(names, lambda b: _seen(b, traced, elements, made)),
    }
    return replace(traced, model=made, _programs=programs)


def _program(names: tuple[str, ...], write: Any) -> Program:
    builder = Builder(names)
    outputs = write(builder)
    return builder.program(outputs)


def _replayed(builder: Builder, given: Program) -> list[Ref]:
    """Add a program's operations to a builder that knows its inputs by name; return its outputs."""
    known: list[Ref] = [builder.inputs.index(name) for name in given.inputs]
    for operation in given.operations:
        arguments = (known[a] if isinstance(a, int) else a for a in operation.arguments)
        known.append(builder.add(operation.name, *arguments))
    return [known[r] if isinstance(r, int) else r for r in given.outputs]


def _by_states(builder: Builder, traced: Trace, method: str) -> tuple[list[Ref], list[dict[int, Ref]]]:
    """Return a method's results, and for each its derivatives by the states that are not zero everywhere."""
    inner = program(traced, method)
    columns = [inner.inputs.index(f"x{k}") for k in range(traced.model.state_layout.size)]
    d = jacobian(inner, columns, f"{traced.model.name}.{method}")
    refs = _replayed(builder, d.program)
    rows: list[dict[int, Ref]] = [{} for _ in range(d.rows)]
    for (row, column), ref in zip(d.entries, refs[d.rows :], strict=True):
        rows[row][column] = ref
    return refs[: d.rows], rows


def _sum(builder: Builder, terms: Sequence[Ref]) -> Ref:
    total: Ref = 0.0
    for term in terms:
        total = builder.add("add", total, term)
    return total


def _moved(builder: Builder, traced: Trace, method: str) -> list[Ref]:
    """Return what moves the mean, then what moves the upper triangle of the covariance."""
    values, J = _by_states(builder, traced, method)
    n = len(values)
    place = triangle(n)
    P = [[builder.inputs.index(f"x{n + place[a][b]}") for b in range(n)] for a in range(n)]
    noise = strengths(traced.model)
    # (J P)[a][b]: once for both halves of J P + P J', and for J P J'
    JP = [
        [_sum(builder, [builder.add("mul", d, P[k][b]) for k, d in J[a].items()]) for b in range(n)] for a in range(n)
    ]
    for a in range(n):
        for b in range(a, n):
            if method == "step":
                total = _sum(builder, [builder.add("mul", JP[a][k], d) for k, d in J[b].items()])
            else:
                total = builder.add("add", JP[a][b], JP[b][a])
            if a == b and noise[a] is not None:
                source = noise[a]
                sigma: Ref = builder.inputs.index(source) if isinstance(source, str) else float(source)  # type: ignore[arg-type]
                total = builder.add("add", total, builder.add("mul", sigma, sigma))
            values.append(total)
    return values


def _seen(builder: Builder, traced: Trace, elements: Sequence[Element], made: Moments) -> list[Ref]:
    """Return for each element its mean, derivatives by the states, and variance of noise."""
    values, H = _by_states(builder, traced, "observe")
    n, outputs = traced.model.state_layout.size, list[Ref]()
    for element in elements:
        value, row = values[element.place], H[element.place]
        given = {key: _argument(builder, element.output, key, v, made) for key, v in element.noise.arguments}
        match element.noise.name:
            case "LogNormal":
                row = {k: builder.add("div", d, value) for k, d in row.items()}
                sd, mean = given["sigma"], builder.add("log", value)
            case "Proportional" if not element.functions:
                sd, mean = builder.add("mul", given["sigma"], value), value
            case _:
                sd, mean = given["sigma"], value
        variance = builder.add("mul", sd, sd)
        outputs += [mean, *(row.get(k, 0.0) for k in range(n)), variance]
    return outputs


def _argument(builder: Builder, output: str, key: str, value: float | Prior, made: Moments) -> Ref:
    if not isinstance(value, Prior):
        return float(value)
    return builder.inputs.index(f"p{made.theta_layout.places[f'{output}_{key}'].start}")


def triangle(n: int) -> list[list[int]]:
    """Return where each entry of a symmetric matrix (n, n) lies in its upper triangle, row by row."""
    return [[min(a, b) * n - min(a, b) * (min(a, b) - 1) // 2 + abs(a - b) for b in range(n)] for a in range(n)]


def strengths(model: Model) -> list[str | float | None]:
    """Return of each state its process noise: a place in theta ("p3"), a number, or None."""
    made: list[str | float | None] = [None] * model.state_layout.size
    for name, state in model.states.items():
        if state.noise is None:
            continue
        at = model.state_layout.places[name]
        source = f"{name}_noise" if isinstance(state.noise, Prior) else state.noise
        for k in range(at.start, at.stop):
            if isinstance(source, str):
                from_ = model.theta_layout.places[source]
                made[k] = f"p{from_.start + min(k - at.start, from_.stop - from_.start - 1)}"
            else:
                made[k] = float(source)
    return made
