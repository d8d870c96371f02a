"""Prints a Rosenbrock method as functions of a kernel.

One factorisation of 1 / (h gamma) - J serves all stages of a step, and the sensitivities too: differentiated, a stage
has the same matrix, and on the right the derivative of J u_i, which is a program of its own (`bend`).
"""

from workbench.declare.derive import jacobian
from workbench.declare.trace import Trace, bending, program, time_slope
from workbench.simulate.kernels.equations import places, push_stage, state_entries
from workbench.simulate.kernels.explicit import interpolation, weighted
from workbench.simulate.kernels.linear import factorisation
from workbench.simulate.kernels.lines import PLACE, compute, function
from workbench.simulate.kernels.vector import WIDTH
from workbench.simulate.methods.tableau import Rosenbrock

_HERE = PLACE.removeprefix("t, ")


def equations(traced: Trace, *, sensitivities: bool) -> tuple[list[str], int, tuple[int, int]]:
    """Return the functions matrix, drift and bend; the entries of bend by states; the bandwidths of the Jacobian."""
    n = traced.model.state_layout.size
    names = program(traced, "rhs").inputs
    slopes = jacobian(program(traced, "rhs"), [names.index(f"x{k}") for k in range(n)], f"{traced.model.name}.rhs")
    band = (max([r - c for r, c in slopes.entries] + [0]), max([c - r for r, c in slopes.entries] + [0]))
    targets = ["_"] * slopes.rows + [f"W[MATRIX + {r} * WIDE + {c} - {r} + LOWER]" for r, c in slopes.entries]
    if band[0] + band[1] >= 0.5 * n:
        band = (n - 1, n - 1)
        targets = ["_"] * slopes.rows + [f"W[MATRIX + {r} * N + {c}]" for r, c in slopes.entries]
    drift = compute(time_slope(traced, "rhs"), [f"W[DRIFT + {i}]" for i in range(n)])
    made = [
        function("matrix", PLACE, ["a = 0", *compute(slopes.program, targets)]),
        function("drift", PLACE, ["a = 0", "tau = 1.0", *drift]),
    ]
    if not sensitivities:
        return made, 0, band
    bends = bending(traced, "rhs")
    targets = ["_"] * bends.rows + places(bends, n)
    made.append(function("bend", f"tau, v, g, {PLACE}", ["a = 0", *compute(bends.program, targets)]))
    made.append(function("push_bend", "W, a, b, g", push_stage(bends, n, adds=True)))
    return made, state_entries(bends, n), band


def functions(method: Rosenbrock, *, band: tuple[int, int] | None, sensitivities: bool) -> list[str]:
    """Return the functions that take one step, estimate its error, and interpolate inside it."""
    advance = ["for i in range(N):", "    W[i] = W[N + i]"]
    arrive = [f"rhs({PLACE}, 0, SLOPE, G)", f"matrix({PLACE})", f"drift({PLACE})"]
    if sensitivities:
        advance += ["for i in range(R):", "    W[S + i] = W[S + R + i]"]
    made = [
        *factorisation(band, sensitivities=sensitivities),
        function("step", f"t, h, {_HERE}", _step(method)),
        function("squared_error", "h, rtol, atol, W", _error(method)),
        function("interpolate", "z, h, W", interpolation(method.dense, 2, "", sensitivities=sensitivities)),
        function("arrive", PLACE, arrive),
        function("advance", PLACE, [*advance, f"arrive({PLACE})"]),
    ]
    made.append(function("doubtful", "t, h, p, begin, level, slope, j, rtol, atol, W", _doubt(method)))
    if sensitivities:
        made.append(function("follow", f"t, h, {_HERE}", _follow(method)))
    return made


def _step(method: Rosenbrock) -> list[str]:
    lines = [f"factor(1.0 / (h * {method.gamma!r}), W)", "inverse = 1.0 / h"]
    for k in range(method.stages):
        into = f"W[{2 + k} * N + i]"
        if k:
            scaled, total = weighted(method.a[k - 1], "W[{k} * N + i]", "")
            lines += [*scaled, "for i in range(N):", f"    W[N + i] = {total.replace('{base}', 'W[i]')}"]
            lines.append(f"rhs(t + {method.c[k]!r} * h, {_HERE}, N, {2 + k} * N, G + {k} * J)")
            scaled, total = weighted(method.carry[k - 1], "W[{k} * N + i]", "inverse * ")
            lines += [*scaled, "for i in range(N):", f"    {into} = {total.replace('{base}', into)}"]
        else:
            lines += ["for i in range(N):", f"    {into} = W[SLOPE + i]"]
        if method.d[k]:
            lines += [f"drifting = h * {method.d[k]!r}", "for i in range(N):"]
            lines.append(f"    {into} = fma(drifting, W[DRIFT + i], {into})")
        lines.append(f"substitute(W, {2 + k} * N)")
    scaled, total = weighted(method.weights, "W[{k} * N + i]", "")
    return [*lines, *scaled, "for i in range(N):", f"    W[N + i] = {total.replace('{base}', 'W[i]')}"]


def _follow(method: Rosenbrock) -> list[str]:
    """Return the lines of the same step of the sensitivities: the exact derivative of the one of the values."""
    base, lines = "load(W, S + i)", ["inverse = 1.0 / h"]

    def sweep(target: str, total: str) -> list[str]:
        return [f"for i in range(0, R, {WIDTH}):", f"    store(W, {target} + i, {total})"]

    for k in range(method.stages):
        into = f"S + {2 + k} * R"
        at = "S"
        if k:
            at = "S + R"
            scaled, total = weighted(method.a[k - 1], "load(W, S + {k} * R + i)", "")
            lines += [*scaled, *sweep(at, total.replace("{base}", base))]
        lines.append(f"push(W, {at}, {into}, G + {k} * J)")
        lines.append(f"bend(h * {method.d[k]!r}, {2 + k} * N, BEND, {PLACE})")
        lines.append(f"push_bend(W, S, {into}, BEND)")
        if k:
            scaled, total = weighted(method.carry[k - 1], "load(W, S + {k} * R + i)", "inverse * ")
            lines += [*scaled, *sweep(into, total.replace("{base}", f"load(W, {into} + i)"))]
        lines.append(f"substitute_columns(W, {into})")
    scaled, total = weighted(method.weights, "load(W, S + {k} * R + i)", "")
    return [*lines, *scaled, *sweep("S + R", total.replace("{base}", base))]


def _doubt(method: Rosenbrock) -> list[str]:
    """Return the lines that estimate the interpolant's error in the middle of the step, squared and relative.

    In long steps of very stiff equations the interpolant can be far off although the step is right. Its residual there,
    divided by 1 / (h gamma) - J, is close to its error (a residual was first controlled so by Steinebach's Rodas5Pr).
    """
    total = "0.0"
    for k, stage in enumerate(method.dense):
        slope = sum(power * 0.5 ** (power - 1) * c for power, c in enumerate(stage, start=1))
        total = f"fma({slope!r}, W[{2 + k} * N + i], {total})"
    lines = ["interpolate(0.5, h, W)", f"rhs(t + 0.5 * h, {_HERE}, DENSE, DOUBT, ASIDE)", "for i in range(N):"]
    lines += [f"    W[DOUBT + i] -= {total} / h", "substitute(W, DOUBT)", "total = 0.0", "for i in range(N):"]
    lines += ["    ratio = W[DOUBT + i] / scale(i, max(abs(W[i]), abs(W[N + i])), rtol, atol)"]
    return [*lines, "    total += ratio * ratio", "return total / N"]


def _error(method: Rosenbrock) -> list[str]:
    total = "0.0"
    for k, weight in enumerate(method.error):
        total = f"fma({weight!r}, W[{2 + k} * N + i], {total})" if weight else total
    lines = ["total = 0.0", "for i in range(N):", f"    ratio = {total}"]
    lines += ["    ratio /= scale(i, max(abs(W[i]), abs(W[N + i])), rtol, atol)", "    total += ratio * ratio"]
    return [*lines, "return total / N"]
