"""Prints the kernel of a static model: each row's equations solved by damped Newton, its derivatives by the same LU.

The search is Deuflhard's (2004, Newton Methods for Nonlinear Problems, algorithm NLEQ-ERR): a step is judged by the
simplified correction that follows it, so that neither the units nor the scale of a residual matter. Where it fails,
pseudo-transient continuation (Kelley & Keyes 1998, SIAM J. Numer. Anal. 35:508) first brings the states nearer. At the
solution x of F(x, p) = 0 the implicit-function theorem gives dx/dp = -(dF/dx)^-1 dF/dp.

Rows of the Jacobian are divided by their largest entry and columns multiplied by the states' sizes, so that a pivot
near zero means a singular matrix, in whatever units.
"""

from workbench.declare.derive import jacobian
from workbench.declare.trace import Trace, columns_of, program
from workbench.simulate.kernels import equations
from workbench.simulate.kernels.linear import factorisation
from workbench.simulate.kernels.lines import PLACE, compute, function
from workbench.simulate.kernels.template import HEADER, SENSITIVITIES, SETTLE, VALUES, keep
from workbench.simulate.kernels.vector import WIDTH

NO_ROOT, UNDETERMINED, UNCHANGED, DOUBLE, NO_NUMBER = 5, 6, 7, 8, 9
WHY = {
    NO_ROOT: "found no root in {steps} iterations, the residual of {name!r} staying the largest; try a start nearer to "
    "the solution, bounds that keep states where the equations make sense, or parameters for which there is a solution",
    UNDETERMINED: "met a singular Jacobian: the residuals do not determine {name!r}; where two residuals say the same "
    "(as in a closed system), put what is conserved in place of one of them, else try another start",
    UNCHANGED: "met a singular Jacobian: no state changes the residual of {name!r}; check that residual, or try another "
    "start",
    DOUBLE: "came to where two solutions meet: the Jacobian is singular, and the solution has no derivative; try other "
    "parameters, or a residual that crosses zero rather than touches it",
    NO_NUMBER: "got a residual of {name!r} that is no finite number at the start; try another start, or bounds that "
    "keep states where the equations make sense",
}  # after "the solver stopped at t after it"

LINEARISE = """
@inner
def linearise(diagonal, rtol, atol, PLACE):
    # Factor diagonal - J in its own scale, every row with a negative diagonal; return 0, or why it cannot be done.
    matrix(PLACE)
    for i in range(N):
        W[SIZE + i] = scale(i, abs(W[i]), rtol, atol) / rtol
        if not abs(W[FORCE + i]) < math.inf:
            W[CULPRIT] = i
            return 9.0
    for i in range(N):
        most = 0.0
        for k in range(LEFT, RIGHT):
            W[ENTRY] *= W[SIZE + k]
            most = max(most, abs(W[ENTRY]))
        if not most > 0.0:
            W[CULPRIT] = i
            return 7.0
        k = i
        W[ROW + i] = (-1.0 if W[ENTRY] > 0.0 else 1.0) / most
        for k in range(LEFT, RIGHT):
            W[ENTRY] *= W[ROW + i]
    factor(diagonal, W)
    for i in range(N):
        if not abs(W[PIVOTED]) < 1e13:
            W[CULPRIT] = i
            return 6.0
    return 0.0


@inner
def correction(b, W):
    # Replace a residual by the Newton correction, in units of the states' sizes; return its size.
    total = 0.0
    for i in range(N):
        W[b + i] *= W[ROW + i]
    substitute(W, b)
    for i in range(N):
        total += W[b + i] * W[b + i]
    return math.sqrt(total / N)


@inner
def move(share, b, W):
    # Write the states after a share of the step to b; return whether bounds held one back.
    held = False
    for i in range(N):
        wanted = W[i] + share * W[STEP + i] * W[SIZE + i]
        W[b + i] = within(i, W[i], wanted)
        held = held or W[b + i] != wanted
    return held


@inner
def apart(share, W):
    # Return how far the simplified correction is from a share of the step.
    total = 0.0
    for i in range(N):
        total += (W[SIMPLE + i] - share * W[STEP + i]) ** 2
    return math.sqrt(total / N)
"""

SEARCH = """
@inner
def search(rtol, atol, PLACE):
    # Damped Newton from W[0]..; return 0 with the Jacobian of the solution factored, or why there is none.
    share, before, simple, slow = 1.0, 0.0, 0.0, 0
    for k in range(MOST):
        W[COUNT] += 1.0
        for i in range(N):
            W[SIMPLE + i] *= W[SIZE + i]
        status = linearise(0.0, rtol, atol, PLACE)
        if status != 0.0:
            return status
        for i in range(N):
            W[SIMPLE + i] /= W[SIZE + i]
            W[STEP + i] = W[FORCE + i]
        size = correction(STEP, W)
        if size <= 1e-12:
            move(1.0, 0, W)
            return 0.0
        slow = slow + 1 if share == 1.0 and size < 1e-3 and 0.3 * before < size < 0.9 * before else 0
        if slow >= 8:  # a simple root is approached ever faster, a double one by halves
            return 8.0
        share = min(1.0, share * before * simple / (apart(1.0, W) * size)) if k > 0 else 1.0
        while True:
            held = move(share, TRIAL, W)
            rhs(PLACE, TRIAL, SIMPLE, 0)
            simple = correction(SIMPLE, W)
            if simple <= (size if held else (1.0 - 0.25 * share) * size):
                break
            if size <= rtol and share == 1.0:  # what is left is rounding
                return 0.0
            bent = apart(1.0 - share, W)
            share *= max(0.1, min(0.5, 0.5 * size * share / bent)) if bent < math.inf else 0.1
            if share < 1e-8:
                return failed(W)
        for i in range(N):
            W[i] = W[TRIAL + i]
        before = size
    return failed(W)


@inner
def failed(W):
    most = -1.0
    for i in range(N):
        if abs(W[FORCE + i] * W[ROW + i]) > most:
            most = abs(W[FORCE + i] * W[ROW + i])
            W[CULPRIT] = i
    return 5.0


@inner
def relax(rtol, atol, PLACE):
    # Let the states drift towards balance, each pulled by its own equation, in steps that grow as residuals shrink.
    span, before = 0.1, 0.0
    for _ in range(MOST):
        W[COUNT] += 1.0
        if linearise(1.0 / span, rtol, atol, PLACE) != 0.0:
            return
        force = 0.0
        for i in range(N):
            W[STEP + i] = W[FORCE + i]
            force += (W[FORCE + i] * W[ROW + i]) ** 2
        correction(STEP, W)
        move(1.0, 0, W)
        span *= min(10.0, max(0.1, math.sqrt(before / force))) if before > 0.0 and force > 0.0 else 1.0
        if span > 1e6:
            return
        before = force
"""

ROWS = """
@inner
def solve(warm, rtol, atol, PLACE):
    # Solve one row: from the guess, from the solution of the row before, and from where relaxing the guess leads.
    status, culprit = 0.0, 0.0
    for attempt in range(3):
        if attempt == 1 and not warm:
            continue
        for i in range(N):
            W[i] = W[LAST + i] if attempt == 1 else W[GUESS + i]
        if attempt == 2:
            relax(rtol, atol, PLACE)
        found = search(rtol, atol, PLACE)
        if found == 0.0:
            return 0.0
        if attempt == 0:
            status, culprit = found, W[CULPRIT]
    W[CULPRIT] = culprit
    return status


@inner
def integrate(p, begin, level, slope, jump, lo, hi, times, first, last, rtol, atol, longest_run, W, log, OUT):
    # Solve the rows of one unit; log gets the status, the time, the iterations, and which state or residual is to blame.
    j = lo
    W[COUNT] = 0.0
    for i in range(N):
        W[GUESS + i] = W[i]
    for r in range(first, last):
        t = times[r]
        while j + 1 < hi and begin[j + 1] <= t:
            j += 1
        if MOVES or r == first:  #: implicit
            status = solve(r > first, rtol, atol, PLACE)  #: implicit
            if status != 0.0:  #: implicit
                settle(log, status, t, W[COUNT], W[CULPRIT])  #: implicit
                return  #: implicit
            follow(PLACE)  #: implicit sensitivities
            for i in range(N):  #: implicit
                W[LAST + i] = W[i]  #: implicit
        record(t, p, begin, level, slope, j, W, 0, S, r, OUT)
    settle(log, 0.0, times[last - 1], W[COUNT], 0)
"""

_FOLLOW = """
for i in range(R):
    W[S + i] = 0.0
slopes(PLACE)
for i in range(N):
    for m in range(M):
        W[S + i * M + m] *= W[ROW + i]
substitute_columns(W, S)
for i in range(N):
    for m in range(M):
        W[S + i * M + m] *= W[SIZE + i]
"""
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
    sizes = {"N": n, "M": wide, "P": traced.model.theta_layout.size, "K": traced.model.output_layout.size}
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
        made.append(function("follow", PLACE, _FOLLOW.strip("\n").split("\n")))
    return [*made, text], room


def _within(traced: Trace) -> list[str]:
    """Return the lines that keep a state within its bounds: of a step that leaves them, nine tenths of the way there."""
    lines, places = list[str](), traced.model.state_layout.places
    for name, state in traced.model.states.items():
        for bound, beyond in zip(state.bounds, ("<", ">"), strict=True):
            if bound is not None:
                lines.append(
                    f"if {places[name].start} <= i < {places[name].stop} and wanted {beyond} {float(bound)!r}:"
                )
                lines.append(f"    return x + 0.9 * ({float(bound)!r} - x)")
    return [*lines, "return wanted"]
