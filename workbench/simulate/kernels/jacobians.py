"""Prints derivatives of equations that are loops: sparse Jacobians, column by column, and what is done with them.

Columns that share no row are computed together, as one derivative along a direction (Curtis, Powell & Reid, IMA Journal
of Applied Mathematics 13 (1974) 117-119).
"""

from collections.abc import Sequence

import numpy as np

from workbench.declare.sparsity import Pattern
from workbench.simulate.kernels.arrays import Arrays, padded, tangent
from workbench.simulate.kernels.lines import PLACE, function
from workbench.simulate.kernels.vector import WIDTH


def differentiated(arrays: Arrays) -> tuple[list[str], int]:
    """Return the functions start, rhs, push and record, of values and sensitivities; and the entries of rhs's Jacobian.

    `rhs` keeps its derivatives at g: those by states that are not zero, then a full block of those by parameters.
    """
    traced, wide = arrays.traced, padded(arrays.columns)
    by_state = arrays.pattern("rhs", traced.states)
    count = entries(by_state)
    start = arrays.lines(arrays.of("start"), target="W[{i}]")
    start += [f"for c in range({arrays.n * wide}):", "    poke(W, S + c, 0.0)"]
    along = arrays.lines(tangent(arrays.of("start"), arrays.theta, list(arrays.q)))
    start += compressed(arrays, arrays.pattern("start", arrays.theta), "start_along(p, W, SEED, RESULT)", "S", wide)
    by_theta = tangent(arrays.of("rhs"), arrays.theta, list(arrays.q))
    rhs = [*arrays.lines(arrays.of("rhs")), *_jacobians(arrays, "rhs", "a, SEED, RESULT", count)]
    observe = tangent(arrays.of("observe"), [*traced.states, *arrays.theta], [*arrays.v, *arrays.q])
    record = [*arrays.lines(arrays.of("observe"), target="Y[r, {i}]"), *_RECORD]
    return [
        function("start_along", "p, W, q, b", along),
        function("start", "p, W", start),
        function(
            "rhs_by_state", f"{PLACE}, a, v, b", arrays.lines(tangent(arrays.of("rhs"), traced.states, list(arrays.v)))
        ),
        function("rhs_by_theta", f"{PLACE}, a, q, b", arrays.lines(by_theta)),
        function("rhs", f"{PLACE}, a, b, g", rhs),
        function("push", "W, a, b, g", push(arrays, by_state, adds=False)),
        function("observe_along", f"{PLACE}, a, v, q, b", arrays.lines(observe)),
        function("record", f"{PLACE}, a, s, r, Y, D", record),
    ], count


_RECORD = [
    "for c in range(COLUMNS):",
    "    for i in range(N):",
    "        poke(W, SEED + i, peek(W, s + i * M + c))",
    "    for i in range(COLUMNS):",
    "        poke(W, Q + i, 1.0 if i == c else 0.0)",
    f"    observe_along({PLACE}, a, SEED, Q, RESULT)",
    "    for i in range(K):",
    "        D[r, i, c] = peek(W, RESULT + i)",
]


def stiff(arrays: Arrays, *, sensitivities: bool) -> tuple[list[str], int, tuple[int, int]]:
    """Return the functions matrix, drift, bend and those around the solver; bend's entries; the bandwidths."""
    traced, n = arrays.traced, arrays.n
    by_state = arrays.pattern("rhs", traced.states)
    order, band = by_state.order()
    drift = tangent(arrays.of("rhs"), [traced.t, *traced.inputs], [arrays.tau, *arrays.rates])
    made = [function("drift", PLACE, ["a = 0", "tau = 1.0", *arrays.lines(drift, target="W[DRIFT + {i}]")])]
    if band[0] + band[1] >= 0.5 * n:
        band, order = (n - 1, n - 1), np.arange(n)
        places = None
    else:
        at = np.argsort(order)
        row, column = at[by_state.rows], at[by_state.columns]
        places = row * (2 * band[0] + band[1] + 1) + column - row + band[0]
    call = f"rhs_by_state({PLACE}, 0, SEED, RESULT)"
    made.append(function("matrix", PLACE, compressed(arrays, by_state, call, "MATRIX", n, places)))
    if not sensitivities:
        along = tangent(arrays.of("rhs"), traced.states, list(arrays.v))
        made.insert(0, function("rhs_by_state", f"{PLACE}, a, v, b", arrays.lines(along)))
    made += _ordered(arrays, order, sensitivities=sensitivities)
    if not sensitivities:
        return made, 0, band
    bent = arrays.bent()
    made += [
        function(
            "bend_by_state", f"tau, w, {PLACE}, a, v, b", arrays.lines(tangent(bent, traced.states, list(arrays.v)))
        ),
        function(
            "bend_by_theta", f"tau, w, {PLACE}, a, q, b", arrays.lines(tangent(bent, arrays.theta, list(arrays.q)))
        ),
        function(
            "bend", f"tau, v, g, {PLACE}", _jacobians(arrays, "bend", "0, SEED, RESULT", entries(by_state), "tau, v, ")
        ),
        function("push_bend", "W, a, b, g", push(arrays, by_state, adds=True)),
    ]
    return made, entries(by_state), band


def entries(found: Pattern) -> int:
    """Return how many entries of a Jacobian are kept."""
    return found.shape[0] * found.shape[1] if found.full else found.rows.size


def _jacobians(arrays: Arrays, name: str, at: str, count: int, before: str = "") -> list[str]:
    """Return the lines that keep derivatives by states at g, and those by parameters after them."""
    by_state, by_theta = (arrays.pattern("rhs", v) for v in (arrays.traced.states, arrays.theta))
    call = f"{name}_by_{{}}({before}{PLACE}, {at})"
    places = None if by_state.full else np.arange(by_state.rows.size)
    lines = compressed(arrays, by_state, call.format("state"), "g", arrays.n, places)
    return lines + compressed(arrays, by_theta, call.format("theta"), f"g + {count}", padded(arrays.columns))


def compressed(
    arrays: Arrays, found: Pattern, call: str, target: str, stride: int, places: np.ndarray | None = None
) -> list[str]:
    """Return the lines that compute a Jacobian by a call, which sets RESULT to its product with SEED.

    Entries go to `places` from `target` on; without these to row * stride + column.
    """
    rows, columns = found.shape
    if not found.rows.size:
        return []
    if found.full and places is None:
        return [
            f"for i in range({columns}):", "    poke(W, SEED + i, 0.0)", f"for c in range({columns}):",
            "    poke(W, SEED + c, 1.0)", f"    {call}", "    poke(W, SEED + c, 0.0)", f"    for i in range({rows}):",
            f"        poke(W, {target} + i * {stride} + c, peek(W, RESULT + i))",
        ]  # fmt: skip
    places = found.rows * stride + found.columns if places is None else places
    colours = found.colours()
    order = np.argsort(colours[found.columns], kind="stable")
    first = np.searchsorted(colours[found.columns][order], np.arange(colours.max() + 2))
    of, ends, row, place = (arrays.keep(k) for k in (colours, first, found.rows[order], places[order]))
    return [
        f"for c in range({colours.max() + 1}):", f"    for i in range({columns}):",
        f"        poke(W, SEED + i, 1.0 if {of}[i] == c else 0.0)", f"    {call}",
        f"    for e in range({ends}[c], {ends}[c + 1]):",
        f"        poke(W, {target} + {place}[e], peek(W, RESULT + {row}[e]))",
    ]  # fmt: skip


def push(arrays: Arrays, found: Pattern, *, adds: bool) -> list[str]:
    """Return the lines of J_x S + J_p: J_x as numbers from g on, J_p after them as a full block."""
    total = f"load(W, g + {entries(found)} + i * M + c)"
    total = f"fma(1.0, {total}, load(W, b + i * M + c))" if adds else total
    if found.full:
        span, column = f"range({arrays.n})", "e"
        entry = f"W[g + i * {arrays.n} + e]"
    else:
        first = arrays.keep(np.searchsorted(found.rows, np.arange(arrays.n + 1)))
        span, column = f"range({first}[i], {first}[i + 1])", f"{arrays.keep(found.columns)}[e]"
        entry = "W[g + e]"
    return [
        "for i in range(N):", f"    for c in range(0, M, {WIDTH}):", f"        total = {total}",
        f"        for e in {span}:", f"            total = fma({entry}, load(W, a + {column} * M + c), total)",
        "        store(W, b + i * M + c, total)",
    ]  # fmt: skip


def _ordered(arrays: Arrays, order: np.ndarray, *, sensitivities: bool) -> list[str]:
    """Return the functions that put states into the order of the matrix and back, around those that solve in it."""
    if (order == np.arange(arrays.n)).all():
        return []
    of = arrays.keep(order)
    return [_turned("substitute", of, "1"), *([_turned("substitute_columns", of, "M")] if sensitivities else [])]


def _turned(name: str, of: str, width: str) -> str:
    """Return a function that solves in the matrix's order, for so many right-hand sides."""
    loops, here = ["for i in range(N):", f"    for c in range({width}):"], f"TURN + i * {width} + c"
    there = f"b + {of}[i] * {width} + c"
    lines = [*loops, f"        poke(W, {here}, peek(W, {there}))", f"ordered_{name}(W, TURN)"]
    return function(name, "W, b", [*lines, *loops, f"        poke(W, {there}, peek(W, {here}))"])


def reordered(parts: Sequence[str], made: Sequence[str]) -> list[str]:
    """Return a solver's functions, under other names where functions of these names were made around them."""
    if not any(part.startswith("@inner\ndef substitute(") for part in made):
        return list(parts)
    return [part.replace("def substitute", "def ordered_substitute") for part in parts]
