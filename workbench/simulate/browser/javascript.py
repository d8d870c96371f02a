"""Prints a model's straight-line programs as JavaScript, with the integrator that runs them in a browser."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.base.errors import DeclarationError
from workbench.declare.model import Model
from workbench.declare.ode import Ode
from workbench.declare.program import Program, Ref
from workbench.declare.static import Static
from workbench.declare.trace import Trace, program, trace
from workbench.simulate.graph import needs_graph
from workbench.simulate.methods.tableau import Explicit
from workbench.simulate.methods.tsit5 import TSIT5
from workbench.simulate.scenario import Schedule

MOST = 64  # states up to which a browser keeps pace with a slider
LONGEST = 4000  # operations of formulas, likewise
_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "===",
          "ne": "!==", "and": "&&", "or": "||"}  # fmt: skip
_RENAMED = {"arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2", "arcsinh": "asinh",
            "arccosh": "acosh", "arctanh": "atanh", "minimum": "min", "maximum": "max"}  # fmt: skip
_OWN = {"mod", "erf", "erfc", "gammaln"}  # what JavaScript lacks; in engine.js


def refusal(model: Model) -> str | None:
    """Return why a browser cannot run a model, None where it can."""
    if isinstance(model, Static):
        return f"{model.name} has implicit equations" if model.states else _too_large(model)
    if not isinstance(model, Ode):
        return f"{model.name} is neither a wb.Ode nor a wb.Static"
    if model.thresholds:
        return f"{model.name} has events"
    if model.state_layout.size > MOST:
        return f"{model.name} has {model.state_layout.size} states, more than {MOST}"
    return None


def _too_large(model: Static) -> str | None:
    """Return why a browser cannot evaluate formulas."""
    if needs_graph(model):
        return f"{model.name} has eigenproblems or calls PyTensor"
    count = len(program(trace(model), "observe").operations)
    return f"{model.name} has {count} operations, more than {LONGEST}" if count > LONGEST else None


def script(model: Model) -> str:
    """Return JavaScript that defines `model` and `method`, for `solve` of `engine`; plain text, nothing from outside.

    Raises
    ------
    DeclarationError
        If a browser cannot run the model (see `refusal`).
    """
    reason = refusal(model)
    if reason:
        raise DeclarationError(f"got {reason}; expected a wb.Ode of at most {MOST} states without events, or formulas")
    traced = trace(model)
    n, k = model.state_layout.size, model.output_layout.size
    parts = [
        *(
            []  # without states there is nothing to start or to integrate
            if isinstance(model, Static)
            else [
                _function("start", "p, x", _body(program(traced, "start"), [f"x[{i}]" for i in range(n)])),
                _function("rhs", "t, p, u, x, f", _body(program(traced, "rhs"), [f"f[{i}]" for i in range(n)])),
            ]
        ),
        _function(
            "observe", "t, p, u, x, y, at", _body(program(traced, "observe"), [f"y[at + {i}]" for i in range(k)])
        ),
    ]
    sizes = f"states: {n}, outputs: {k}, inputs: {_continuous(traced)}"
    return f"const model = {{\n  {sizes},\n{''.join(parts)}}};\n{_method(TSIT5)}"


def engine() -> str:
    """Return the integrator: `solve(model, method, p, plan, times, settings)`."""
    return (Path(__file__).parent / "engine.js").read_text(encoding="utf-8")


def plan(schedule: Schedule, unit: int = 0) -> dict[str, Any]:
    """Return what the inputs do to a unit, as plain data for `solve`."""
    lo, hi = schedule.offset[unit], schedule.offset[unit + 1]
    rows: dict[str, NDArray[np.float64]] = {
        "begin": schedule.begin, "level": schedule.level, "slope": schedule.slope, "jump": schedule.jump
    }  # fmt: skip
    return {name: values[lo:hi].tolist() for name, values in rows.items()}


def _continuous(traced: Trace) -> int:
    return len(traced.inputs)


def _method(made: Explicit) -> str:
    """Return an explicit method with its sums written out: loops over arrays of weights take half as long again."""

    def slopes(count: int) -> str:
        return "const " + ", ".join(f"k{s} = k[{s}]" for s in range(count)) + ";"

    def total(weights: Sequence[Any]) -> str:
        return " + ".join(f"{w} * k{s}[i]" for s, w in enumerate(weights) if w)

    stages = [
        f"(n, h, x, out, k) => {{ {slopes(len(row))} for (let i = 0; i < n; i++) out[i] = x[i] + h * ({total(row)}); }}"
        for row in made.a
    ]
    dense = [" + z * (".join(map(repr, row)) + ")" * (len(row) - 1) for row in made.dense]
    weights = "".join(f"w{s} = h * z * ({row}), " for s, row in enumerate(dense))[:-2]
    error = f"""(n, h, x, next, k, rtol, atol) => {{
    {slopes(made.stages)}
    let sum = 0;
    for (let i = 0; i < n; i++) {{
      const off = h * ({total(made.errors[0])}) / (atol + rtol * Math.max(Math.abs(x[i]), Math.abs(next[i])));
      sum += off * off;
    }}
    return sum / n;
  }}"""
    interpolate = f"""(n, z, h, x, out, k) => {{
    {slopes(len(dense))}
    const {weights};
    for (let i = 0; i < n; i++) out[i] = x[i] + {total([f"w{s}" for s in range(len(dense))])};
  }}"""
    parts = [
        f"order: {made.order}",
        f"c: {json.dumps(made.c)}",
        f"stages: [\n    {',\n    '.join(stages)}]",
        f"error: {error}",
        f"interpolate: {interpolate}",
    ]
    return f"const method = {{\n  {',\n  '.join(parts)},\n}};\n"


def _function(name: str, arguments: str, lines: list[str]) -> str:
    body = "".join(f"    {line}\n" for line in lines)
    return f"  {name}({arguments}) {{\n{body}  }},\n"


def _body(made: Program, targets: list[str]) -> list[str]:
    """Return the statements of a program, whose outputs go to `targets`."""
    first = len(made.inputs)

    def operand(ref: Ref) -> str:
        if isinstance(ref, int):
            name = made.inputs[ref] if ref < first else f"v{ref - first}"
            return f"{name[0]}[{name[1:]}]" if ref < first and name != "t" else name
        return {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}.get(repr(ref), repr(ref))

    lines = [
        f"const v{k} = {_expression(o.name, [operand(a) for a in o.arguments])};" for k, o in enumerate(made.operations)
    ]
    return lines + [f"{target} = {operand(ref)};" for target, ref in zip(targets, made.outputs, strict=True)]


def _expression(name: str, arguments: list[str]) -> str:
    if name in _INFIX:
        made = f"{arguments[0]} {_INFIX[name]} {arguments[1]}"
        return f"+!!({made})" if name in ("and", "or") else f"+({made})"
    if name == "neg":
        return f"-({arguments[0]})"
    if name == "not":
        return f"+!{arguments[0]}"
    if name == "where":
        return f"{arguments[0]} ? {arguments[1]} : {arguments[2]}"
    if name in _OWN:
        return f"bits.{name}({', '.join(arguments)})"
    return f"Math.{_RENAMED.get(name, name)}({', '.join(arguments)})"
