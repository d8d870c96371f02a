"""Prints a model's events as functions of a kernel: where a step crosses one, and what it changes.

A crossing is looked for in quarters of a step, on the interpolant, and the step is then taken again up to it. With the
event at t*(theta), values x- before and x+ = R(x-) after it, sensitivities jump by the saltation

    dt*/dtheta = -(g_x S- + g_theta) / (g_x f- + g_t)
    S+ = R_x (S- + f- dt*/dtheta) + R_theta + R_t dt*/dtheta - f+ dt*/dtheta

(Rozenvasser 1967; Galan, Feehery & Barton, Applied Numerical Mathematics 31 (1999) 17-47).
"""

from workbench.declare.derive import Differentiated
from workbench.declare.trace import Trace, differentiate, flow_slope, program, time_slope
from workbench.simulate.kernels.equations import estimated
from workbench.simulate.kernels.lines import PLACE, compute, function

_CODES = {"falling": -1, "both": 0, "rising": 1}
SEARCH = """
@inner
def crosses(q, before, after):
    way = direction(q)
    return (way >= 0 and before < 0.0 <= after) or (way <= 0 and before > 0.0 >= after)


@inner
def located(q, left, right, t, h, p, begin, level, slope, j, W):
    # the Illinois variant of the false position, on the interpolant
    a, b = W[EVENT + q], W[EVENT + EVENTS + q]
    for _ in range(100):
        if right - left <= 1e-15 or b == 0.0:
            break
        middle = right - b * (right - left) / (b - a)
        if not left < middle < right:
            middle = 0.5 * (left + right)
        interpolate(middle, h, W)
        watch(t + middle * h, p, begin, level, slope, j, W, DENSE, EVENT + 2 * EVENTS)
        found = W[EVENT + 2 * EVENTS + q]
        if (found < 0.0) == (b < 0.0) and found != 0.0:
            right, b, a = middle, found, 0.5 * a
        elif found == 0.0:
            return middle
        else:
            left, a, b = middle, found, 0.5 * b
    return right


@inner
def crossing(t, h, p, begin, level, slope, j, W):
    # the first event inside a step, and at which fraction of it; -1 for none
    ready = False  #: extra
    for quarter in range(1, 5):
        if quarter == 4:
            watch(t + h, p, begin, level, slope, j, W, N, EVENT + EVENTS)
        else:
            if not ready:  #: extra
                prepare(t, h, p, begin, level, slope, j, W)  #: extra
                ready = True  #: extra
            interpolate(0.25 * quarter, h, W)
            watch(t + 0.25 * quarter * h, p, begin, level, slope, j, W, DENSE, EVENT + EVENTS)
        struck, place = -1, 2.0
        for q in range(EVENTS):
            if crosses(q, W[EVENT + q], W[EVENT + EVENTS + q]):
                if not ready:  #: extra
                    prepare(t, h, p, begin, level, slope, j, W)  #: extra
                    ready = True  #: extra
                found = located(q, 0.25 * (quarter - 1), 0.25 * quarter, t, h, p, begin, level, slope, j, W)
                if found < place:
                    struck, place = q, found
        if struck >= 0:
            W[EVENT + struck] = 0.0
            return struck, max(place, 1e-12)
        for q in range(EVENTS):
            W[EVENT + q] = W[EVENT + EVENTS + q]
    return -1, 1.0


@inner
def struck_again(t, p, begin, level, slope, j, W):
    # another event that the present values crossed at the same time; -1 for none
    watch(t, p, begin, level, slope, j, W, 0, EVENT + EVENTS)
    for q in range(EVENTS):
        if abs(W[EVENT + q]) > FAINT and crosses(q, W[EVENT + q], W[EVENT + EVENTS + q]):
            W[EVENT + q] = 0.0
            return q
    for q in range(EVENTS):
        if abs(W[EVENT + q]) > FAINT:
            W[EVENT + q] = W[EVENT + EVENTS + q]
    return -1


@inner
def rearm(q, h, t, p, begin, level, slope, j, W):
    # after an event its expression is zero but for rounding: where it moves says on which side it is
    watch(t, p, begin, level, slope, j, W, 0, EVENT + EVENTS)
    moves(t, p, begin, level, slope, j, W, EVENT + 2 * EVENTS)
    here, speed = W[EVENT + EVENTS + q], W[EVENT + 2 * EVENTS + q]
    W[EVENT + q] = math.copysign(FAINT, speed) if speed != 0.0 and abs(here) <= 1e-4 * abs(speed) * h else here


@inner
def struck_by_jump(first, t, p, begin, level, slope, j, W):
    return -1 if first else struck_again(t, p, begin, level, slope, j, W)


@inner
def over(q, happened):
    return 4.0 if happened > MOST_EVENTS else 0.0


@inner
def note(happened, q, t, happen):
    if happened <= happen.shape[0]:
        happen[happened - 1, 0] = t
        happen[happened - 1, 1] = q

"""
_FINISH = {
    False: "for i in range(r, last):\n    for k in range(N):\n        X[i, k] = math.nan\n    for k in range(K):\n"
    "        Y[i, k] = math.nan",
    True: "for i in range(r, last):\n    for k in range(K):\n        Y[i, k] = math.inf\n"
    "        for c in range(COLUMNS):\n            D[i, k, c] = 0.0",
}


def functions(traced: Trace, *, sensitivities: bool) -> tuple[list[str], int]:
    """Return the functions of the equations of events, and the room that events take in W."""
    model = traced.model
    count, names = len(model.thresholds), list(model.thresholds)
    ways = [
        line
        for k, event in enumerate(model.thresholds.values())
        for line in (f"if q == {k}:", f"    return {_CODES[event.direction]}")
    ]
    rates = flow_slope(traced, "events")
    last = [str(k) for k, event in enumerate(model.thresholds.values()) if event.ends]
    made = [
        function("watch", f"{PLACE}, a, e", compute(program(traced, "events"), _at("e", count))),
        function("moves", f"{PLACE}, e", ["a = 0", "v = SLOPE", "tau = 1.0", *compute(rates, _at("e", count))]),
        function("direction", "q", [*ways, "return 0"]),
        function("ends", "q", [f"return {' or '.join(f'q == {k}' for k in last) or 'False'}"]),
        function("finish", f"r, last, {'Y, D' if sensitivities else 'X, Y'}", _FINISH[sensitivities].split("\n")),
    ]
    resets = [(names.index(event), state) for event, state in traced.resets]
    n = model.state_layout.size
    cells = [(q, k) for q, state in resets for k in range(*model.state_layout.places[state].indices(n))]
    strike, room = _strike(traced, cells, sensitivities=sensitivities)
    made.append(function("strike", f"q, moving, {PLACE}", strike))
    return made, 3 * count + room


def _at(place: str, count: int) -> list[str]:
    return [f"W[{place} + {k}]" for k in range(count)]


def _strike(traced: Trace, cells: list[tuple[int, int]], *, sensitivities: bool) -> tuple[list[str], int]:
    """Return the lines that apply the reset of event q, and the room they need after the events' values."""
    if not cells:
        return [], 0
    count, n, m = len(traced.model.thresholds), traced.model.state_layout.size, estimated(traced)
    first = f"EVENT + {3 * count}"
    if not sensitivities:
        lines = ["a = 0", *compute(program(traced, "reset"), [f"W[{first} + {k}]" for k in range(len(cells))])]
        for k, (event, cell) in enumerate(cells):
            lines += [f"if q == {event}:", f"    W[{cell}] = W[{first} + {k}]"]
        return lines, len(cells)
    g, r = differentiate(traced, "events"), differentiate(traced, "reset")
    lines = ["a = 0", "tau = 1.0"]
    lines += compute(g.program, ["_"] * count + [f"g{k}" for k in range(len(g.entries))])
    lines += compute(time_slope(traced, "events"), [f"gt{k}" for k in range(count)])
    lines += compute(r.program, [f"new{k}" for k in range(len(cells))] + [f"r{k}_" for k in range(len(r.entries))])
    lines += compute(time_slope(traced, "reset"), [f"rt{k}" for k in range(len(cells))])
    moment, rows = f"{first}", f"{first} + M"
    for event in sorted({event for event, _ in cells}):
        lines += [f"if q == {event}:"]
        lines += [f"    {line}" for line in _saltation(event, cells, g, r, (n, m, moment, rows))]
    return lines, -(-m // 4) * 4 * (1 + len(cells))


def _saltation(
    event: int, cells: list[tuple[int, int]], g: Differentiated, r: Differentiated, place: tuple[int, int, str, str]
) -> list[str]:
    """Return the lines of one event: dt*/dtheta at `moment`, the states moved to it, reset, and moved back."""
    n, m, moment, rows = place
    speed, lines = f"gt{event}", list[str]()
    for k, (row, column) in enumerate(g.entries):
        if row == event and column < n:
            speed = f"fma(g{k}, W[SLOPE + {column}], {speed})"
    lines += [f"speed = {speed}", f"for c in range({m}):", "    total = 0.0"]
    for k, (row, column) in enumerate(g.entries):
        if row == event and column < n:
            lines.append(f"    total = fma(g{k}, W[S + {column} * M + c], total)")
    lines.append(f"    W[{moment} + c] = total")
    for k, (row, column) in enumerate(g.entries):
        if row == event and column >= n:
            lines.append(f"W[{moment} + {column - n}] += g{k}")
    lines += [f"for c in range({m}):", f"    W[{moment} + c] = -W[{moment} + c] / speed if moving != 0.0 else 0.0"]
    lines += [f"    moved = W[{moment} + c]", "    for i in range(N):"]
    lines.append("        W[S + i * M + c] = fma(W[SLOPE + i], moved, W[S + i * M + c])")
    mine = [(k, cell) for k, (q, cell) in enumerate(cells) if q == event]
    for k, _ in mine:
        total = f"rt{k} * moved"
        for e, (row, column) in enumerate(r.entries):
            if row == k and column < n:
                total = f"fma(r{e}_, W[S + {column} * M + c], {total})"
        lines.append(f"    W[{rows} + {k} * M + c] = {total}")
    for k, _ in mine:
        for e, (row, column) in enumerate(r.entries):
            if row == k and column >= n:
                lines.append(f"W[{rows} + {k} * M + {column - n}] += r{e}_")
    lines += [f"W[{cell}] = new{k}" for k, cell in mine]
    lines += [f"for c in range({m}):"]
    lines += [f"    W[S + {cell} * M + c] = W[{rows} + {k} * M + c]" for k, cell in mine]
    lines.append(f"rhs({PLACE}, 0, SPARE, G + J)")
    lines += [f"for c in range({m}):", "    for i in range(N):"]
    lines.append(f"        W[S + i * M + c] = fma(-W[SPARE + i], W[{moment} + c], W[S + i * M + c])")
    return lines
