"""Prints the kernel of a static model: each row's equations solved by damped Newton, its derivatives by the same LU.

At the solution x of F(x, p) = 0 the implicit-function theorem gives dx/dp = -(dF/dx)^-1 dF/dp.
"""

from workbench.declare.derive import jacobian
from workbench.declare.program import Program
from workbench.declare.trace import Trace, columns_of, program
from workbench.simulate.kernels import equations, modes
from workbench.simulate.kernels.linear import factorisation
from workbench.simulate.kernels.lines import PLACE, compute, function
from workbench.simulate.kernels.search import FOLLOW, LINEARISE, ROWS, SEARCH
from workbench.simulate.kernels.template import HEADER, SENSITIVITIES, SETTLE, VALUES, keep
from workbench.simulate.kernels.vector import WIDTH

NO_ROOT, UNDETERMINED, UNCHANGED, DOUBLE, NO_NUMBER = 5, 6, 7, 8, 9
WHY = {
    NO_ROOT: "no root found in {steps} iterations: the residual of {name!r} stays the largest; try a start nearer to "
    "the solution, bounds that keep states where the equations make sense, or parameters for which there is a solution",
    UNDETERMINED: "singular Jacobian: the residuals do not determine {name!r}; where two of them say the same (as in a "
    "closed system), put what is conserved in place of one, else try another start",
    UNCHANGED: "singular Jacobian: no state changes the residual of {name!r}; check it, or try another start",
    DOUBLE: "singular Jacobian: two solutions meet here, so that the solution has no derivative; try other parameters, "
    "or a residual that crosses zero rather than touches it",
    NO_NUMBER: "the residual of {name!r} or its derivative is no finite number at the start; try another start, or "
    "bounds that keep states where the equations make sense",
}  # by status, after where and when
_BLOCKS = (
    "GUESS",
    "LAST",
    "TRIAL",
    "FORCE",
    "STEP",
    "SIMPLE",
    "SIZE",
    "ROW",
    "PIVOT",
)  # N places each, behind what eigenproblems give


def emit(traced: Trace, *, sensitivities: bool) -> str:
    """Return the source of a module whose `run` solves the model at every row, for many members or units.

    With `sensitivities`, `run` also returns the derivatives of the outputs by the estimated parameters.
    """
    n, columns = traced.model.state_layout.size, equations.estimated(traced) if sensitivities else 0
    wide, made = -(-columns // WIDTH) * WIDTH, modes.lowered(traced)
    features = {"sensitivities" if sensitivities else "values", *(["modes"] if made.stages else [])}
    text = [*_plain(traced, made, sensitivities=sensitivities), SETTLE]
    sizes = {"N": n, "M": wide, "P": traced.model.theta_layout.size, "K": len(made.observe.outputs)}
    sizes |= {"I": len(traced.inputs), "R": n * wide, "COLUMNS": columns, "MOST": 100, "PAIRS": made.pairs}
    moves = _moves(program(traced, "residual"))
    sizes |= {"MOVES": int(moves), "MODES": int(moves or any(_moves(stage.program) for stage in made.stages))}
    place = n + made.extra
    for name, length in (*((name, n) for name in _BLOCKS), ("COUNT", 1), ("CULPRIT", 1), ("CLOSE", made.pairs)):
        sizes[name], place = place, place + length
    most = max([len(stage.program.outputs) for stage in made.stages], default=0)
    sizes |= {"MATRICES": place, "PUSHED": place + most, "S": place + most * (1 + wide)}
    place = sizes["S"] + (n + made.extra) * wide
    if n:
        features.add("implicit")
        functions, room = _implicit(traced, place, sensitivities=sensitivities)
        sizes |= room
        text += functions
        place = 2 * room["LU"] - room["MATRIX"]
    text += modes.functions(made, n, f"{traced.model.name}.observe", sensitivities=sensitivities)
    text.append(ROWS if n else ROWS[ROWS.index("\n\n\n@inner") :])
    sizes["WORK"] = place + 1
    drivers = (
        (SENSITIVITIES, "Y, D", "Y, D") if sensitivities else (VALUES, "patience, shaken, shock, happen, X, Y", "X, Y")
    )
    printed = "\n\n".join(text).replace("PLACE", PLACE)
    printed = printed.replace("log, OUT", f"log, {drivers[1]}").replace("OUT", drivers[2])
    constants = "".join(f"{name} = {value}\n" for name, value in sizes.items())
    return keep("\n\n".join([HEADER + constants, printed, drivers[0]]), features)


def _plain(traced: Trace, made: modes.Lowered, *, sensitivities: bool) -> list[str]:
    """Return the functions start, rhs (the residuals) and record."""
    n, targets = traced.model.state_layout.size, [f"Y[r, {i}]" for i in range(len(made.observe.outputs))]
    if sensitivities:
        d = jacobian(made.observe, made.columns, f"{traced.model.name}.observe")
        record = compute(d.program, targets + [f"d{k}" for k in range(len(d.entries))])
        record += [f"for i in range({len(targets)}):", "    for c in range(COLUMNS):", "        D[r, i, c] = 0.0"]
        record += modes.chained(d, n + made.extra, "D[r, {row}, {c}]")
    else:
        record = compute(made.observe, targets) + [f"X[r, {i}] = W[a + {i}]" for i in range(n)]
    residual = compute(program(traced, "residual"), [f"W[b + {i}]" for i in range(n)])
    return [
        function("start", "p, W", compute(program(traced, "start"), [f"W[{i}]" for i in range(n)])),
        function("rhs", f"{PLACE}, a, b, g", residual),
        function("record", f"{PLACE}, a, s, r, OUT", record),
    ]


def _moves(made: Program) -> bool:
    """Whether results change from row to row: what reads neither time nor inputs is computed once for a unit."""
    first = len(made.inputs)
    read = {ref for o in made.operations for ref in o.arguments if isinstance(ref, int) and ref < first}
    return any(
        made.inputs[ref][0] in "tu" for ref in {*read, *(r for r in made.outputs if isinstance(r, int) and r < first)}
    )


def _implicit(traced: Trace, place: int, *, sensitivities: bool) -> tuple[list[str], dict[str, int]]:
    """Return the functions that solve the equations, and the places in W of the Jacobian and its factors."""
    n, residual, where = traced.model.state_layout.size, program(traced, "residual"), f"{traced.model.name}.residual"
    columns = columns_of(traced.model)
    by_state = jacobian(residual, columns[:n], where)
    lower = max([r - c for r, c in by_state.entries] + [0])
    upper = max([c - r for r, c in by_state.entries] + [0])
    full = lower + upper >= 0.5 * n
    width = n if full else 2 * lower + upper + 1
    room = {"MATRIX": place, "LU": place + n * width, "LOWER": lower, "UPPER": upper, "WIDE": width}

    def entry(row: str, column: str) -> str:
        return f"{row} * N + {column}" if full else f"{row} * WIDE + {column} - {row} + LOWER"

    targets = [f"W[FORCE + {r}]" for r in range(n)]
    targets += [f"W[MATRIX + {entry(str(r), str(c))}]" for r, c in by_state.entries]
    text = "\n\n".join([LINEARISE, SEARCH])
    for old, new in (
        ("ENTRY", f"MATRIX + {entry('i', 'k')}"), ("PIVOTED", f"LU + {entry('i', 'i')}"),
        ("LEFT", "0" if full else "max(0, i - LOWER)"), ("RIGHT", "N" if full else "min(N, i + UPPER + 1)"),
    ):  # fmt: skip
        text = text.replace(old, new)
    made = [
        equations.tolerance(traced),
        function("matrix", PLACE, ["a = 0", *compute(by_state.program, targets)]),
        function("within", "i, x, wanted", _within(traced)),
        *factorisation(None if full else (lower, upper), sensitivities=sensitivities),
    ]
    if sensitivities:
        slopes = jacobian(residual, columns[n:], where)
        kept = ["_"] * n + [f"W[S + {r} * M + {c}]" for r, c in slopes.entries]
        made.append(function("slopes", PLACE, ["a = 0", *compute(slopes.program, kept)]))
        made.append(function("follow", PLACE, FOLLOW.strip("\n").split("\n")))
    return [*made, text], room


def _within(traced: Trace) -> list[str]:
    """Return the lines that keep a state within its bounds: of a step beyond, nine tenths of the way there."""
    lines, places = list[str](), traced.model.state_layout.places
    for name, state in traced.model.states.items():
        for bound, beyond in zip(state.bounds, ("<", ">"), strict=True):
            if bound is not None:
                lines.append(
                    f"if {places[name].start} <= i < {places[name].stop} and wanted {beyond} {float(bound)!r}:"
                )
                lines.append(f"    return x + 0.9 * ({float(bound)!r} - x)")
    return [*lines, "return wanted"]
