"""Prints a model's equations as functions of a kernel: start, rhs, record, and for sensitivities push."""

from workbench.declare.derive import Differentiated
from workbench.declare.trace import Trace, differentiate, program
from workbench.simulate.kernels.lines import PLACE, compute, function
from workbench.simulate.kernels.vector import WIDTH


def tolerance(traced: Trace) -> str:
    """Return the function that says by how much state i may err."""
    lines, layout = [], traced.model.state_layout
    for name, state in traced.model.states.items():
        if state.rtol is None and state.atol is None:
            continue
        place, words = layout.places[name], [state.atol or "atol", state.rtol or "rtol"]
        lines += [f"if {place.start} <= i < {place.stop}:", f"    return {words[0]} + {words[1]} * size"]
    return function("scale", "i, size, rtol, atol", [*lines, "return atol + rtol * size"])


def plain(traced: Trace) -> list[str]:
    """Return the functions start, rhs and record, of values alone."""
    n, k = traced.model.state_layout.size, traced.model.output_layout.size
    record = compute(program(traced, "observe"), [f"Y[r, {i}]" for i in range(k)])
    record += [f"X[r, {i}] = W[a + {i}]" for i in range(n)]
    return [
        function("start", "p, W", compute(program(traced, "start"), [f"W[{i}]" for i in range(n)])),
        function("rhs", f"{PLACE}, a, b, g", compute(program(traced, advances(traced)), _values(n))),
        function("record", f"{PLACE}, a, s, r, X, Y", record),
    ]


def advances(traced: Trace) -> str:
    """Return the method that moves the states: "rhs", "step" of a map, or "residual" of a static model."""
    return next(method for method in ("rhs", "step", "residual") if method in traced.equations)


def _values(n: int) -> list[str]:
    return [f"W[b + {i}]" for i in range(n)]


def differentiated(traced: Trace) -> tuple[list[str], int]:
    """Return the functions start, rhs, push and record, of values and sensitivities; and the entries of rhs's Jacobian.

    `rhs` keeps its derivatives at g, so that `push` runs only when a step is accepted, and computes nothing twice.
    """
    model = traced.model
    n, m = model.state_layout.size, estimated(traced)
    d = differentiate(traced, "start")
    kept = [f"d{k}" for k in range(len(d.entries))]
    start = [f"for c in range({n} * M):", "    W[S + c] = 0.0"]
    start += compute(d.program, [f"W[{i}]" for i in range(n)] + kept)
    start += add_direct(d, n, "d{k}", "W[S + {row} * M + {c}]")
    rhs = differentiate(traced, advances(traced))
    by_state = state_entries(rhs, n)
    observe = differentiate(traced, "observe")
    record = compute(
        observe.program, [f"Y[r, {i}]" for i in range(observe.rows)] + [f"d{k}" for k in range(len(observe.entries))]
    )
    record += _push_outputs(observe, n, m)
    functions = [
        function("start", "p, W", start),
        function("rhs", f"{PLACE}, a, b, g", compute(rhs.program, _values(n) + places(rhs, n))),
        function("push", "W, a, b, g", push_stage(rhs, n, adds=False)),
        function("record", f"{PLACE}, a, s, r, Y, D", record),
    ]
    return functions, by_state


def estimated(traced: Trace) -> int:
    """Return the number of columns of sensitivities."""
    return len(traced.model.theta_layout.columns(traced.model.estimated))


def state_entries(d: Differentiated, states: int) -> int:
    """Return how many entries are derivatives by states."""
    return sum(column < states for _, column in d.entries)


def places(d: Differentiated, states: int) -> list[str]:
    """Return where derivatives are kept: those by states from g on, then a full block of those by parameters."""
    by_state, numbers = state_entries(d, states), iter(range(len(d.entries)))
    return [
        f"W[g + {by_state} + {r} * M + {c - states}]" if c >= states else f"W[g + {next(numbers)}]"
        for r, c in d.entries
    ]


def _product(d: Differentiated, states: int, row: int, base: str) -> str:
    """Return `base` plus the sum over the row's derivatives by states (d0, d1, ...) times the states' sensitivities."""
    for k, (r, column) in enumerate(d.entries):
        if r == row and column < states:
            base = f"d{k} * s{column}" if base == "0.0" else f"fma(d{k}, s{column}, {base})"
    return base


def _columns(d: Differentiated, states: int, read: str) -> list[str]:
    """Return the lines that read the sensitivities of the states on which something depends."""
    needed = sorted({column for _, column in d.entries if column < states})
    return [f"    s{i} = {read.format(place=f'a + {i} * M + c')}" for i in needed]


def push_stage(d: Differentiated, states: int, *, adds: bool) -> list[str]:
    """Return the lines of J_x S + J_p at a stage: J_x as numbers from g on, J_p after them as a full block.

    The block spares single additions into vectors just stored, on whose reload a processor waits. With `adds`, the
    result is added to what is there.
    """
    by_state = state_entries(d, states)
    entries = [k for k, (_, column) in enumerate(d.entries) if column < states]
    lines = [f"d{k} = W[g + {place}]" for place, k in enumerate(entries)]
    lines += [f"for c in range(0, M, {WIDTH}):", *_columns(d, states, "load(W, {place})")]
    for row in sorted({r for r, _ in d.entries}) if adds else range(d.rows):
        total = _product(d, states, row, f"load(W, g + {by_state} + {row} * M + c)")
        if adds:
            total = f"fma(1.0, {total}, load(W, b + {row} * M + c))"
        lines.append(f"    store(W, b + {row} * M + c, {total})")
    return lines if d.entries or not adds else []


def _push_outputs(d: Differentiated, states: int, columns: int) -> list[str]:
    """Return the lines of the outputs' sensitivities D, from derivatives d0, d1, ... and those of the states at s."""
    lines = ["a = s", f"for c in range({columns}):", *_columns(d, states, "W[{place}]")]
    lines += [f"    D[r, {row}, c] = {_product(d, states, row, '0.0')}" for row in range(d.rows)]
    return lines + add_direct(d, states, "d{k}", "D[r, {row}, {c}]")


def add_direct(d: Differentiated, states: int, source: str, target: str) -> list[str]:
    """Return the lines that add the derivatives by parameters."""
    return [
        f"{target.format(row=row, c=column - states)} += {source.format(k=k)}"
        for k, (row, column) in enumerate(d.entries)
        if column >= states
    ]
