"""Prints a traced model as a Numba module: straight-line equations inside the loop of an explicit method."""

from workbench.declare.program import Program, Ref
from workbench.declare.trace import Differentiated, Trace, differentiate, values
from workbench.simulate.tableaus import Tableau
from workbench.simulate.template import HEADER, SENSITIVITIES, STEPPING, VALUES

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
    """Return the lines that run the program and store its first outputs in `targets`."""
    outputs = [f"{target} = {_operand(ref, program)}" for target, ref in zip(targets, program.outputs, strict=False)]
    return _reads(program) + print_lines(program) + outputs


def _push(d: Differentiated, states: int, target: str) -> list[str]:
    """Return the lines that push sensitivities S through the derivatives, J_x S + J_p, into `target` (row, c)."""
    slopes = {entry: _operand(d.program.outputs[d.rows + k], d.program) for k, entry in enumerate(d.entries)}
    lines = ["for c in range(M):"]
    lines += [f"    s{i} = W[a + {states} + {i} * M + c]" for i in sorted({c for _, c in slopes if c < states})]
    for row in range(d.rows):
        terms = [f"{slope} * s{column}" for (r, column), slope in slopes.items() if r == row and column < states]
        lines.append(f"    {target.format(row=row, c='c')} = {' + '.join(terms) or '0.0'}")
    return lines + _add_direct(slopes, states, target)


def _add_direct(slopes: dict[tuple[int, int], str], states: int, target: str) -> list[str]:
    """Return the lines that add the derivatives by parameters."""
    return [
        f"{target.format(row=row, c=column - states)} += {slope}"
        for (row, column), slope in slopes.items()
        if column >= states
    ]


def _function(name: str, arguments: str, lines: list[str]) -> str:
    body = "\n".join(f"    {line}" for line in lines or ["pass"])
    return f"@inner\ndef {name}({arguments}):\n{body}\n"


_RHS = "t, p, begin, level, slope, j, W, a, b"
_RECORD = "t, p, begin, level, slope, j, W, a, r"


def _plain_equations(traced: Trace) -> list[str]:
    """Return the functions start, rhs and record, of values alone."""
    n, k = len(traced.states), len(traced.observe)
    start = _compute(values(traced, traced.start, "start"), [f"W[{i}]" for i in range(n)])
    rhs = _compute(values(traced, traced.rhs, "rhs"), [f"W[b + {i}]" for i in range(n)])
    record = _compute(values(traced, traced.observe, "observe"), [f"Y[r, {i}]" for i in range(k)])
    record += [f"X[r, {i}] = W[a + {i}]" for i in range(n)]
    return [
        _function("start", "p, W", start),
        _function("rhs", _RHS, rhs),
        _function("record", f"{_RECORD}, X, Y", record),
    ]


def _differentiated_equations(traced: Trace) -> list[str]:
    """Return the functions start, rhs and record, of values and sensitivities."""
    n = len(traced.states)
    d = differentiate(traced, traced.start, "start")
    slopes = {entry: _operand(d.program.outputs[d.rows + k], d.program) for k, entry in enumerate(d.entries)}
    start = [f"for c in range({n}, L):", "    W[c] = 0.0", *_compute(d.program, [f"W[{i}]" for i in range(n)])]
    start += _add_direct(slopes, n, f"W[{n} + {{row}} * M + {{c}}]")
    d = differentiate(traced, traced.rhs, "rhs")
    rhs = _compute(d.program, [f"W[b + {i}]" for i in range(n)]) + _push(d, n, f"W[b + {n} + {{row}} * M + {{c}}]")
    d = differentiate(traced, traced.observe, "observe")
    record = _compute(d.program, [f"Y[r, {i}]" for i in range(d.rows)]) + _push(d, n, "D[r, {row}, {c}]")
    return [
        _function("start", "p, W", start),
        _function("rhs", _RHS, rhs),
        _function("record", f"{_RECORD}, Y, D", record),
    ]


def _sum(weights: tuple[float, ...], stage: str) -> str:
    return " + ".join(f"{w!r} * {stage.format(k=k)}" for k, w in enumerate(weights) if w != 0.0)


def _method(tableau: Tableau) -> str:
    """Return the functions that take one step, estimate its error and interpolate inside it."""
    stage = "W[(2 + {k}) * L + i]"
    step = []
    for k, weights in enumerate(tableau.a, start=1):
        step += ["for i in range(L):", f"    W[L + i] = W[i] + h * ({_sum(weights, stage)})"]
        step.append(f"rhs(t + {tableau.c[k]!r} * h, p, begin, level, slope, j, W, L, (2 + {k}) * L)")
    error = [f"return {_sum(tableau.error, stage)}"]
    shares = []
    for k, coefficients in enumerate(tableau.dense):
        polynomial = "0.0"
        for coefficient in reversed(coefficients):
            polynomial = f"({polynomial}) * z + {coefficient!r}" if polynomial != "0.0" else repr(coefficient)
        shares.append(f"w{k} = h * z * ({polynomial})")
    total = " + ".join(f"w{k} * {stage.format(k=k)}" for k in range(tableau.stages))
    dense = [*shares, "for i in range(L):", f"    W[Q + i] = W[i] + {total}"]
    return "\n\n".join(
        [
            _function("step", "t, h, p, begin, level, slope, j, W", step),
            _function("error", "W, i", error),
            _function("interpolate", "z, h, W", dense),
        ]
    )


def emit(traced: Trace, tableau: Tableau, *, sensitivities: bool) -> str:
    """Return the source of a module whose `run` solves the model for many members or units.

    With `sensitivities`, `run` also returns the derivatives of the outputs by the estimated parameters: the exact
    derivatives of the discrete solution at fixed step sizes.
    """
    n, k, m = len(traced.states), len(traced.observe), len(traced.model.estimated) if sensitivities else 0
    length = n * (1 + m)
    continuous = len(traced.inputs)
    blocks = {"L": length, "Q": (2 + tableau.stages) * length, "WORK": (3 + tableau.stages) * length}
    sizes = {"N": n, "K": k, "M": m, "P": len(traced.theta), "I": continuous, **blocks, "ORDER": tableau.order}
    header = HEADER + "".join(f"{name} = {value}\n" for name, value in sizes.items())
    equations = _differentiated_equations(traced) if sensitivities else _plain_equations(traced)
    kind = SENSITIVITIES if sensitivities else VALUES
    stepping = STEPPING.replace("OUT", "Y, D" if sensitivities else "X, Y")
    return "\n\n".join([header, *equations, _method(tableau), stepping, kind])
