"""Prints a traced model as a Numba module: straight-line equations inside the loop of an explicit method."""

from workbench.declare.program import Program, Ref
from workbench.declare.trace import Differentiated, Trace, differentiate, values
from workbench.simulate.tableaus import Tableau
from workbench.simulate.template import HEADER, SENSITIVITIES, STEPPING, VALUES
from workbench.simulate.vector import WIDTH

_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "**", "mod": "%", "lt": "<", "le": "<=", "gt": ">",
          "ge": ">=", "eq": "==", "ne": "!=", "and": "and", "or": "or"}  # fmt: skip
_CALLS = {"abs": "abs", "minimum": "min", "maximum": "max", "arcsin": "math.asin", "arccos": "math.acos",
          "arctan": "math.atan", "arctan2": "math.atan2", "arcsinh": "math.asinh", "arccosh": "math.acosh",
          "arctanh": "math.atanh", "gammaln": "math.lgamma"}  # fmt: skip


def _operand(ref: Ref, program: Program) -> str:
    if isinstance(ref, int):
        first = len(program.inputs)
        return program.inputs[ref] if ref < first else f"v{ref - first}"
    return {"inf": "math.inf", "-inf": "-math.inf", "nan": "math.nan"}.get(repr(ref), repr(ref))


def _line(name: str, arguments: list[str]) -> str:
    if name in _INFIX:
        return f"{arguments[0]} {_INFIX[name]} {arguments[1]}"
    if name == "neg":
        return f"-{arguments[0]}" if not arguments[0].startswith("-") else f"-({arguments[0]})"
    if name == "not":
        return f"not {arguments[0]}"
    if name == "where":
        return f"{arguments[1]} if {arguments[0]} else {arguments[2]}"
    if name == "sign":
        return f"float({arguments[0]} > 0.0) - float({arguments[0]} < 0.0)"
    return f"{_CALLS.get(name, f'math.{name}')}({', '.join(arguments)})"


def print_lines(program: Program) -> list[str]:
    """Return the program's operations as Python assignments to v0, v1, ..."""
    return [
        f"v{k} = {_line(o.name, [_operand(a, program) for a in o.arguments])}" for k, o in enumerate(program.operations)
    ]


def _reads(program: Program) -> list[str]:
    """Return assignments of the inputs that the program uses, from the arrays of the kernel."""
    used = {ref for o in program.operations for ref in o.arguments if isinstance(ref, int)}
    used |= {ref for ref in program.outputs if isinstance(ref, int)}
    lines = []
    for k, name in enumerate(program.inputs):
        if k in used and name != "t":
            letter, i = name[0], int(name[1:])
            source = {"x": f"W[a + {i}]", "u": f"level[j, {i}] + slope[j, {i}] * (t - begin[j])", "p": f"p[{i}]"}
            lines.append(f"{name} = {source[letter]}")
    return lines


def _compute(program: Program, targets: list[str]) -> list[str]:
    """Return the lines that run the program and store its outputs in `targets`."""
    outputs = [f"{target} = {_operand(ref, program)}" for target, ref in zip(targets, program.outputs, strict=True)]
    return _reads(program) + print_lines(program) + outputs


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


def _push_stage(d: Differentiated, states: int, by_state: int) -> list[str]:
    """Return the lines of J_x S + J_p at a stage: J_x as numbers from g on, J_p after them as a full block.

    The block spares single additions into vectors just stored, on whose reload a processor waits.
    """
    state_entries = [k for k, (_, column) in enumerate(d.entries) if column < states]
    lines = [f"d{k} = W[g + {place}]" for place, k in enumerate(state_entries)]
    lines += [f"for c in range(0, M, {WIDTH}):", *_columns(d, states, "load(W, {place})")]
    for row in range(d.rows):
        total = _product(d, states, row, f"load(W, g + {by_state} + {row} * M + c)")
        lines.append(f"    store(W, b + {row} * M + c, {total})")
    return lines


def _push_outputs(d: Differentiated, states: int, estimated: int) -> list[str]:
    """Return the lines of the outputs' sensitivities D, from derivatives d0, d1, ... and those of the states at s."""
    lines = ["a = s", f"for c in range({estimated}):", *_columns(d, states, "W[{place}]")]
    lines += [f"    D[r, {row}, c] = {_product(d, states, row, '0.0')}" for row in range(d.rows)]
    return lines + _add_direct(d, states, "d{k}", "D[r, {row}, {c}]")


def _add_direct(d: Differentiated, states: int, source: str, target: str) -> list[str]:
    """Return the lines that add the derivatives by parameters."""
    return [
        f"{target.format(row=row, c=column - states)} += {source.format(k=k)}"
        for k, (row, column) in enumerate(d.entries)
        if column >= states
    ]


def _function(name: str, arguments: str, lines: list[str]) -> str:
    body = "\n".join(f"    {line}" for line in lines or ["pass"])
    return f"@inner\ndef {name}({arguments}):\n{body}\n"


_PLACE = "t, p, begin, level, slope, j, W"


def _plain_equations(traced: Trace) -> list[str]:
    """Return the functions start, rhs and record, of values alone."""
    n, k = len(traced.states), len(traced.observe)
    start = _compute(values(traced, traced.start, "start"), [f"W[{i}]" for i in range(n)])
    rhs = _compute(values(traced, traced.rhs, "rhs"), [f"W[b + {i}]" for i in range(n)])
    record = _compute(values(traced, traced.observe, "observe"), [f"Y[r, {i}]" for i in range(k)])
    record += [f"X[r, {i}] = W[a + {i}]" for i in range(n)]
    return [
        _function("start", "p, W", start),
        _function("rhs", f"{_PLACE}, a, b, g", rhs),
        _function("record", f"{_PLACE}, a, s, r, X, Y", record),
    ]


def _differentiated_equations(traced: Trace) -> tuple[list[str], int]:
    """Return the functions start, rhs, push and record, of values and sensitivities; and the entries of rhs's Jacobian.

    `rhs` keeps its derivatives at g, so that `push` runs only when a step is accepted, and computes nothing twice.
    """
    n, m = len(traced.states), len(traced.model.estimated)
    d = differentiate(traced, traced.start, "start")
    kept = [f"d{k}" for k in range(len(d.entries))]
    start = [f"for c in range({n} * M):", "    W[S + c] = 0.0"]
    start += _compute(d.program, [f"W[{i}]" for i in range(n)] + kept)
    start += _add_direct(d, n, "d{k}", "W[S + {row} * M + {c}]")
    rhs = differentiate(traced, traced.rhs, "rhs")
    by_state = sum(column < n for _, column in rhs.entries)
    places = [f"W[g + {by_state} + {r} * M + {c - n}]" if c >= n else "" for r, c in rhs.entries]
    numbers = iter(range(by_state))
    targets = [f"W[b + {i}]" for i in range(n)] + [place or f"W[g + {next(numbers)}]" for place in places]
    observe = differentiate(traced, traced.observe, "observe")
    kept = [f"d{k}" for k in range(len(observe.entries))]
    record = _compute(observe.program, [f"Y[r, {i}]" for i in range(observe.rows)] + kept)
    record += _push_outputs(observe, n, m)
    functions = [
        _function("start", "p, W", start),
        _function("rhs", f"{_PLACE}, a, b, g", _compute(rhs.program, targets)),
        _function("push", "W, a, b, g", _push_stage(rhs, n, by_state)),
        _function("record", f"{_PLACE}, a, s, r, Y, D", record),
    ]
    return functions, by_state


def _stage(weights: tuple[float, ...], stage: str, k: int) -> tuple[list[str], str]:
    """Return the lines and the expression of a trial value: the newest slope comes last, so little waits for it."""
    used = [(f"h{k}_{i}", weight, i) for i, weight in enumerate(weights) if weight != 0.0]
    total = "{base}"
    for name, _, i in used:
        total = f"fma({name}, {stage.format(k=i)}, {total})"
    return [f"{name} = h * {weight!r}" for name, weight, _ in used], total


def _steps(tableau: Tableau, inner: str) -> list[str]:
    """Return the lines of one step of the values, with a call after each stage."""
    lines = []
    for k, weights in enumerate(tableau.a, start=1):
        scaled, total = _stage(weights, "W[(2 + {k}) * N + i]", k)
        lines += [*scaled, "for i in range(N):", f"    W[N + i] = {total.replace('{base}', 'W[i]')}"]
        lines.append(inner.format(c=tableau.c[k], k=k))
    return lines


def _wide_steps(tableau: Tableau, inner: str) -> list[str]:
    """Return the lines of the same step of the sensitivities."""
    lines = []
    for k, weights in enumerate(tableau.a, start=1):
        scaled, total = _stage(weights, "load(W, S + (2 + {k}) * R + i)", k)
        total = total.replace("{base}", "load(W, S + i)")
        lines += [*scaled, f"for i in range(0, R, {WIDTH}):", f"    store(W, S + R + i, {total})", inner.format(k=k)]
    return lines


def _method(tableau: Tableau, *, sensitivities: bool) -> list[str]:
    """Return the functions that take one step, estimate its error and interpolate inside it."""
    values_inner = f"rhs(t + {{c!r}} * h, {_PLACE[3:]}, N, (2 + {{k}}) * N, G + {{k}} * J)"
    step = _steps(tableau, values_inner)
    used = [(k, weight) for k, weight in enumerate(tableau.error) if weight != 0.0]
    total = "0.0"
    for k, weight in used:
        total = f"fma({weight!r}, W[(2 + {k}) * N + i], {total})"
    shares = []
    for k, coefficients in enumerate(tableau.dense):
        polynomial = ""
        for coefficient in reversed(coefficients):
            polynomial = f"fma({polynomial}, z, {coefficient!r})" if polynomial else repr(coefficient)
        shares.append(f"w{k} = h * z * {polynomial}")
    number, wide = "W[i]", "load(W, S + i)"
    for k in range(tableau.stages):
        number = f"fma(w{k}, W[(2 + {k}) * N + i], {number})"
        wide = f"fma(w{k}, load(W, S + (2 + {k}) * R + i), {wide})"
    shares += ["for i in range(N):", "    W[(2 + STAGES) * N + i] = " + number]
    if sensitivities:
        shares += [f"for i in range(0, R, {WIDTH}):", f"    store(W, S + (2 + STAGES) * R + i, {wide})"]
    functions = [
        _function("step", f"t, h, {_PLACE[3:]}", step),
        _function("error", "W, i", [f"return {total}"]),
        _function("interpolate", "z, h, W", shares),
    ]
    inner = "push(W, S + R, S + (2 + {k}) * R, G + {k} * J)"
    follow = _wide_steps(tableau, inner) if sensitivities else []
    return [*functions, _function("follow", "h, W", follow)]


def emit(traced: Trace, tableau: Tableau, *, sensitivities: bool) -> str:
    """Return the source of a module whose `run` solves the model for many members or units.

    With `sensitivities`, `run` also returns the derivatives of the outputs by the estimated parameters: the exact
    derivatives of the discrete solution at fixed step sizes.
    """
    n, k, m = len(traced.states), len(traced.observe), len(traced.model.estimated)
    if sensitivities:
        equations, entries = _differentiated_equations(traced)
        padded = -(-m // WIDTH) * WIDTH
    else:
        equations, entries, padded = _plain_equations(traced), 0, 0
    stages, row = tableau.stages, n * padded
    blocks = {"R": row, "G": (3 + stages) * n, "S": (3 + stages) * n + stages * (entries + row)}
    sizes = {"N": n, "K": k, "M": padded, "P": len(traced.theta), "I": len(traced.inputs), "J": entries + row, **blocks}
    sizes |= {
        "COLUMNS": m if sensitivities else 0,
        "STAGES": stages,
        "ORDER": tableau.order,
        "WORK": blocks["S"] + (3 + stages) * row + 1,
    }
    header = HEADER + "".join(f"{name} = {value}\n" for name, value in sizes.items())
    kind = SENSITIVITIES if sensitivities else VALUES
    stepping = STEPPING.replace("OUT", "Y, D" if sensitivities else "X, Y")
    if not sensitivities:
        stepping = stepping.replace("            push(W, S, S + 2 * R, G)\n", "").replace(
            "        push(W, S, S + 2 * R, G)\n", ""
        )
    return "\n\n".join([header, *equations, *_method(tableau, sensitivities=sensitivities), stepping, kind])
