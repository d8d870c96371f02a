"""Prints the kernel of a static model: each row's equations solved by damped Newton, its derivatives by the same LU.

At the solution x of F(x, p) = 0 the implicit-function theorem gives dx/dp = -(dF/dx)^-1 dF/dp.
"""

from workbench.declare.derive import jacobian
from workbench.declare.trace import Trace, columns_of, program
from workbench.simulate.kernels import equations
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
)  # N places each, after the states


def emit(traced: Trace, *, sensitivities: bool) -> str:
    """Return the source of a module whose `run` solves the model at every row, for many members or units.

    With `sensitivities`, `run` also returns the derivatives of the outputs by the estimated parameters.
    """
    n, columns = traced.model.state_layout.size, equations.estimated(traced) if sensitivities else 0
    wide = -(-columns // WIDTH) * WIDTH
    features = {"sensitivities"} if sensitivities else {"values"}
    made = equations.plain(traced)
    if sensitivities:
        made[-1] = equations.differentiated(traced)[0][-1]
    sizes = {"N": n, "M": wide, "P": traced.model.theta_layout.size, "K": len(program(traced, "observe").outputs)}
    sizes |= {"I": len(traced.inputs), "R": n * wide, "COLUMNS": columns, "MOST": 100, "MOVES": int(_moves(traced))}
    sizes |= {name: (1 + k) * n for k, name in enumerate(_BLOCKS)} | {"COUNT": 10 * n, "CULPRIT": 10 * n + 1}
    place = 10 * n + 2
    if n:
        features.add("implicit")
        functions, room = _implicit(traced, place, sensitivities=sensitivities)
        sizes |= room
        made += functions
        place = room["LU"] + room["LU"] - room["MATRIX"]
    sizes |= {"S": place, "WORK": place + n * wide + 1}
    drivers = (
        (SENSITIVITIES, "Y, D", "Y, D") if sensitivities else (VALUES, "patience, shaken, shock, happen, X, Y", "X, Y")
    )
    text = "\n\n".join([*made, SETTLE, ROWS if n else ROWS[ROWS.index("\n\n\n@inner") :]])
    text = text.replace("PLACE", PLACE).replace("log, OUT", f"log, {drivers[1]}").replace("OUT", drivers[2])
    constants = "".join(f"{name} = {value}\n" for name, value in sizes.items())
    return keep("\n\n".join([HEADER + constants, text, drivers[0]]), features)


def _moves(traced: Trace) -> bool:
    """Whether solutions change from row to row: equations that read neither time nor inputs are solved once."""
    made = program(traced, "residual")
    read = {
        made.inputs[ref]
        for o in made.operations
        for ref in o.arguments
        if isinstance(ref, int) and ref < len(made.inputs)
    }
    return any(name[0] in "tu" for name in read)


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
