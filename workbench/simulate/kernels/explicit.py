"""Prints an explicit Runge-Kutta method as functions of a kernel."""

from workbench.simulate.kernels.lines import PLACE, function
from workbench.simulate.kernels.vector import WIDTH
from workbench.simulate.methods.tableau import Explicit

_HERE = PLACE.removeprefix("t, ")


def functions(method: Explicit, *, sensitivities: bool) -> list[str]:
    """Return the functions that take one step, estimate its error, and interpolate inside it."""
    stages = range(1, method.stages)
    step = [line for k in stages for line in _stage(method.a[k - 1], method.c[k], k)]
    arrive = [f"rhs({PLACE}, 0, SLOPE, G)"]
    last = 1 + method.stages
    advance = ["for i in range(N):", "    W[i] = W[N + i]", f"    W[SLOPE + i] = W[{last} * N + i]"]
    if sensitivities:
        arrive.append("push(W, S, S + 2 * R, G)")
        advance += ["for i in range(R):", "    W[S + i] = W[S + R + i]"]
        advance.append(f"    W[S + 2 * R + i] = W[S + {last} * R + i]")
    made = [
        function("step", f"t, h, {_HERE}", step),
        *_errors(method),
        function("interpolate", "z, h, W", interpolation(method.dense, 2, "h * ", sensitivities=sensitivities)),
        function("arrive", PLACE, arrive),
        function("advance", PLACE, advance),
        function("stiffness", "h, W", _stiffness(method)),
    ]
    if sensitivities:
        follow = [line for k in stages for line in _follow(method.a[k - 1], k)]
        made.append(function("follow", f"t, h, {_HERE}", follow))
    if method.extra_c:
        first, more = method.stages, list[str]()
        for k, (node, row) in enumerate(zip(method.extra_c, method.extra_a, strict=True), start=first):
            more += _stage(row, node, k, into="DENSE")
            more += _follow(row, k, into="DENSE_S - S") if sensitivities else []
        made.append(function("prepare", f"t, h, {_HERE}", more))
    return made


def weighted(weights: tuple[float, ...], stage: str, scaled: str) -> tuple[list[str], str]:
    """Return the lines and the expression of a trial value: the newest slope comes last, so little waits for it."""
    used = [(f"h_{i}", weight, i) for i, weight in enumerate(weights) if weight != 0.0]
    total = "{base}"
    for name, _, i in used:
        total = f"fma({name}, {stage.format(k=2 + i)}, {total})"
    return [f"{name} = {scaled}{weight!r}" for name, weight, _ in used], total


def _stage(weights: tuple[float, ...], node: float, k: int, into: str = "N") -> list[str]:
    """Return the lines of one stage of the values."""
    lines, total = weighted(weights, "W[{k} * N + i]", "h * ")
    lines += ["for i in range(N):", f"    W[{into} + i] = {total.replace('{base}', 'W[i]')}"]
    return [*lines, f"rhs(t + {node!r} * h, {_HERE}, {into}, {2 + k} * N, G + {k} * J)"]


def _follow(weights: tuple[float, ...], k: int, into: str = "R") -> list[str]:
    """Return the lines of the same stage of the sensitivities."""
    lines, total = weighted(weights, "load(W, S + {k} * R + i)", "h * ")
    lines.append(f"for i in range(0, R, {WIDTH}):")
    lines.append(f"    store(W, S + {into} + i, {total.replace('{base}', 'load(W, S + i)')})")
    return [*lines, f"push(W, S + {into}, S + {2 + k} * R, G + {k} * J)"]


def horner(coefficients: tuple[float, ...]) -> str:
    """Return the expression of a polynomial in z, given from the constant up."""
    polynomial = ""
    for coefficient in reversed(coefficients):
        polynomial = f"fma({polynomial}, z, {coefficient!r})" if polynomial else repr(coefficient)
    return polynomial


def interpolation(dense: tuple[tuple[float, ...], ...], first: int, scaled: str, *, sensitivities: bool) -> list[str]:
    """Return the lines that interpolate at the fraction z of the step; the stages' slots begin at `first`."""
    lines, number, wide = list[str](), "W[i]", "load(W, S + i)"
    for k, coefficients in enumerate(dense):
        if not any(coefficients):
            continue
        lines.append(f"w{k} = {scaled}z * {horner(coefficients)}")
        number = f"fma(w{k}, W[{first + k} * N + i], {number})"
        wide = f"fma(w{k}, load(W, S + {first + k} * R + i), {wide})"
    lines += ["for i in range(N):", f"    W[DENSE + i] = {number}"]
    if sensitivities:
        lines += [f"for i in range(0, R, {WIDTH}):", f"    store(W, DENSE_S + i, {wide})"]
    return lines


def _errors(method: Explicit) -> list[str]:
    """Return the functions of the error estimate, squared and relative to the tolerance."""
    made = []
    for number, weights in enumerate(method.errors):
        total = "0.0"
        for k, weight in enumerate(weights):
            total = f"fma({weight!r}, W[{2 + k} * N + i], {total})" if weight != 0.0 else total
        made.append(function(f"error{number}", "W, i", [f"return {total}"]))
    lines = ["total = 0.0", "other = 0.0", "for i in range(N):"]
    lines += ["    bar = scale(i, max(abs(W[i]), abs(W[N + i])), rtol, atol)"]
    lines += ["    ratio = h * error0(W, i) / bar", "    total += ratio * ratio"]
    if len(method.errors) > 1:  # Hairer, Norsett & Wanner I, section II.10: the estimate of order 5, damped by order 3
        lines += ["    ratio = h * error1(W, i) / bar", "    other += ratio * ratio"]
        lines += ["if total == 0.0:", "    return 0.0", "return total * total / ((total + 0.01 * other) * N)"]
    else:
        lines.append("return total / N")
    return [*made, function("squared_error", "h, rtol, atol, W", lines)]


def _stiffness(method: Explicit) -> list[str]:
    """Return the lines of an estimate of (h lambda)^2, from the last two stages, which are at one time.

    Hairer & Wanner, Solving Ordinary Differential Equations II, section IV.2.
    """
    last, before = method.a[-1], (*method.a[-2], 0.0)
    total = "0.0"
    for k, (weight, other) in enumerate(zip(last, before, strict=True)):
        if weight != other:
            total = f"fma({weight - other!r}, W[{2 + k} * N + i], {total})"
    newest = 1 + method.stages
    lines = ["slopes = 0.0", "values = 0.0", "for i in range(N):"]
    lines += [f"    change = W[{newest} * N + i] - W[{newest - 1} * N + i]", "    slopes += change * change"]
    return [*lines, f"    change = {total}", "    values += change * change", "return slopes / max(values, 1e-300)"]
