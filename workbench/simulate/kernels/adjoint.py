"""Prints the discrete adjoint of a solver: the exact transpose of its steps, at the step sizes that it took.

Sums over stages are gone through backwards, with one product with the transposed Jacobian a stage; those of a
Rosenbrock method also with the derivative of J u (Hairer, Norsett & Wanner I, section II.6; Daescu, Sandu &
Carmichael, Computing 70 (2003) 23-52).
"""

from collections.abc import Sequence
from typing import Any

from pytensor.gradient import pullback
from pytensor.graph.basic import Variable
from pytensor.tensor.basic import tensor_copy

from workbench.declare.loops import Stored
from workbench.declare.trace import Trace
from workbench.simulate.kernels import module
from workbench.simulate.kernels.arrays import Arrays
from workbench.simulate.kernels.explicit import horner, weighted
from workbench.simulate.kernels.lines import PLACE, function
from workbench.simulate.kernels.reverse import ADJOINT, TAPE
from workbench.simulate.kernels.template import HEADER, SETTLE, keep
from workbench.simulate.methods.tableau import Explicit, Method, Rosenbrock

_HERE = PLACE.removeprefix("t, ")
_SWEEP = "for i in range(N):"


def emit(traced: Trace, method: Method) -> str:
    """Return the source of a module whose `run` solves and keeps its steps, and whose `pull` goes back over them.

    Models with events, and those that are not integrated, have none.
    """
    arrays = Arrays(traced)
    sizes = module.sizes_of(traced, 0, 0) | {"COLUMNS": arrays.columns, "J": 0}
    record = arrays.lines(arrays.of("observe"), target="Y[r, {i}]")
    made = [*arrays.values(), function("record", f"{PLACE}, a, s, r, Y", record), *_pulls(arrays)]
    parts, features = module.solver(traced, method, sizes, arrays, sensitivities=False)
    stages = len(method.dense)
    if isinstance(method, Explicit):
        made.append(function("back", f"t, h, inside, {_HERE}", _explicit(method)))
        scaled = "h * "
    else:
        made += [*_pull_bend(arrays), *_transposed(int(sizes["LOWER"]) < arrays.n - 1, parts)]
        made.append(function("back", f"t, h, inside, {_HERE}", _rosenbrock(method)))
        scaled = ""
    made.append(function("spread", "z, h, W", _spread(method.dense, scaled)))
    sizes |= arrays.room(int(sizes["WORK"]))
    sizes["STAGES"] = stages
    for name, size in (("LAMBDA", 1), ("XBAR", 1), ("GRADIENT", 1), ("STAGE", 1), ("END", 1), ("KBAR", stages)):
        sizes[name] = sizes["WORK"]
        sizes["WORK"] += size * arrays.n
    sizes["BAR"] = sizes["WORK"]
    sizes["WORK"] += arrays.columns + 1
    text = "\n\n".join([arrays.text(), *made, SETTLE, *parts]).replace("log, OUT", "log, tape, Y").replace("OUT", "Y")
    constants = "".join(f"{name} = {value}\n" for name, value in sizes.items())
    return keep("\n\n".join([HEADER + constants, text, TAPE, ADJOINT]), (features - {"watchful"}) | {"taped"})


def _pull(arrays: Arrays, outputs: Sequence[Variable], weights: str, *, states: bool = True) -> list[str]:
    """Return the lines that set W from b on to the states' cotangents, and add those of the parameters at BAR.

    `weights` is where the outputs' cotangents are.
    """
    cotangents = arrays.like(outputs, "y")
    wrt = [*(arrays.traced.states if states else []), *arrays.theta]
    if not outputs or not wrt:
        return [_SWEEP, "    poke(W, b + i, 0.0)"] if states else []
    apart = [tensor_copy(output) for output in outputs]  # pullback leaves off what one output passes on to another
    made = pullback(apart, wrt, list(cotangents), disconnected_inputs="ignore", return_disconnected="zero")
    places = [(s, False) for s in arrays.like(arrays.traced.states, "out").values()] if states else []
    places += [(s, True) for s in arrays.like(arrays.theta, "bar").values()]
    stored: list[tuple[Any, Stored, bool]] = [(m.astype("float64"), *p) for m, p in zip(made, places, strict=True)]
    return arrays.stored(stored, {"out": "W[b + {i}]", "bar": "W[BAR + {i}]", "y": weights}, cotangents)


def _pulls(arrays: Arrays) -> list[str]:
    """Return the functions that take cotangents back through rhs, observe and start."""
    start = _pull(arrays, arrays.of("start"), "W[LAMBDA + {i}]", states=False)
    return [
        function("pull_rhs", f"{PLACE}, a, y, b", _pull(arrays, arrays.of("rhs"), "W[y + {i}]")),
        function("pull_record", f"{PLACE}, a, r, b, Y", _pull(arrays, arrays.of("observe"), "Y[r, {i}]")),
        function("pull_start", "p, W", start),
    ]


def _pull_bend(arrays: Arrays) -> list[str]:
    """Return the function that takes cotangents back through J w + (df/dt) tau."""
    return [function("pull_bend", f"tau, w, {PLACE}, a, y, b", _pull(arrays, arrays.bent(), "W[y + {i}]"))]


def _spread(dense: tuple[tuple[float, ...], ...], scaled: str) -> list[str]:
    """Return the lines that give the cotangent of an interpolated value, at GRADIENT, to the stages and the state."""
    lines, sweep = list[str](), [_SWEEP, "    bar = W[GRADIENT + i]", "    W[XBAR + i] += bar"]
    for k, coefficients in enumerate(dense):
        if not any(coefficients):
            continue
        lines.append(f"w{k} = {scaled}z * {horner(coefficients)}")
        sweep.append(f"    W[KBAR + {k} * N + i] = fma(w{k}, bar, W[KBAR + {k} * N + i])")
    return lines + sweep


def _shares(weights: tuple[float, ...], source: str, scaled: str) -> list[str]:
    """Return the lines that give the cotangent of a weighted sum of stages to each, and to the state."""
    used = [(k, weight) for k, weight in enumerate(weights) if weight != 0.0]
    lines = [f"h_{k} = {scaled}{weight!r}" for k, weight in used]
    lines += [_SWEEP, f"    bar = W[{source} + i]", "    W[XBAR + i] += bar"]
    return lines + [f"    W[KBAR + {k} * N + i] = fma(h_{k}, bar, W[KBAR + {k} * N + i])" for k, _ in used]


def _value(weights: tuple[float, ...], scaled: str) -> list[str]:
    """Return the lines that find the value again at which a stage was computed."""
    lines, total = weighted(weights, "W[{k} * N + i]", scaled)
    return [*lines, _SWEEP, f"    W[STAGE + i] = {total.replace('{base}', 'W[i]')}"]


def _explicit(method: Explicit) -> list[str]:
    """Return the lines of a step backwards: from the cotangent of its end to that of its beginning, at LAMBDA."""

    def stage(k: int, node: float, row: tuple[float, ...], at: str = "STAGE") -> list[str]:
        pull = f"pull_rhs(t + {node!r} * h, {_HERE}, {at}, KBAR + {k} * N, GRADIENT)"
        return [*(_value(row, "h * ") if at == "STAGE" else []), pull]

    last, inner = method.stages - 1, list[str]()
    extra = list(zip(method.extra_c, method.extra_a, strict=True))
    for k in range(len(extra) - 1, -1, -1):
        inner += stage(method.stages + k, *extra[k]) + _shares(extra[k][1], "GRADIENT", "h * ")
    inner += stage(last, method.c[last], method.a[-1], at="N")
    inner += [_SWEEP, "    W[LAMBDA + i] += W[GRADIENT + i]"]
    lines = ["if inside:", *(f"    {line}" for line in inner), *_shares(method.a[-1], "LAMBDA", "h * ")]
    for k in range(last - 1, 0, -1):
        lines += stage(k, method.c[k], method.a[k - 1]) + _shares(method.a[k - 1], "GRADIENT", "h * ")
    lines += stage(0, 0.0, (), at="0")
    return [*lines, _SWEEP, "    W[LAMBDA + i] = W[XBAR + i] + W[GRADIENT + i]"]


def _rosenbrock(method: Rosenbrock) -> list[str]:
    """Return the lines of a step backwards, with the factors that the step left behind."""
    lines = ["inverse = 1.0 / h", *_shares(method.weights, "LAMBDA", "")]
    for k in range(method.stages - 1, -1, -1):
        mine = f"KBAR + {k} * N"
        lines.append(f"substitute_transposed(W, {mine})")
        if k:
            lines += _value(method.a[k - 1], "")
        lines.append(f"pull_rhs(t + {method.c[k]!r} * h, {_HERE}, {'STAGE' if k else '0'}, {mine}, GRADIENT)")
        lines += _shares(method.a[k - 1] if k else (), "GRADIENT", "")
        for i, carried in enumerate(method.carry[k - 1] if k else ()):
            lines += [f"carried = inverse * {carried!r}", _SWEEP]
            lines.append(f"    W[KBAR + {i} * N + i] = fma(carried, W[{mine} + i], W[KBAR + {i} * N + i])")
        lines.append(f"pull_bend(h * {method.d[k]!r}, {2 + k} * N, {PLACE}, 0, {mine}, GRADIENT)")
        lines += [_SWEEP, "    W[XBAR + i] += W[GRADIENT + i]"]
    return [*lines, _SWEEP, "    W[LAMBDA + i] = W[XBAR + i]"]


_TRANSPOSED = """
for k in range(N):
    W[b + k] *= W[ENTRY(k,k)]
    for c in range(k + 1, RIGHT):
        W[b + c] = fma(-W[ENTRY(k,c)], W[b + k], W[b + c])
for k in range(N - 1, -1, -1):
    for i in range(k + 1, BELOW):
        W[b + k] = fma(-W[ENTRY(i,k)], W[b + i], W[b + k])
    best = int(W[PIVOT + k])
    if best != k:
        W[b + k], W[b + best] = W[b + best], W[b + k]
"""


def _transposed(banded: bool, parts: Sequence[str]) -> list[str]:
    """Return the function that solves with the transposed matrix, in the matrix's order where it has one."""
    text = _TRANSPOSED.replace("BELOW", "min(N, k + LOWER + 1)" if banded else "N")
    text = text.replace("RIGHT", "min(N, k + LOWER + UPPER + 1)" if banded else "N")
    for row, column in (("k", "k"), ("k", "c"), ("i", "k")):
        place = f"{row} * WIDE + {column} - {row} + LOWER" if banded else f"{row} * N + {column}"
        text = text.replace(f"ENTRY({row},{column})", f"LU + {place}")
    plain = function("substitute_transposed", "W, b", text.strip("\n").split("\n"))
    turned = next((p for p in parts if "ordered_substitute(" in p and "def substitute(" in p), None)
    if turned is None:
        return [plain]
    around = turned.replace("substitute(", "substitute_transposed(")
    return [plain.replace("def substitute", "def ordered_substitute"), around]
