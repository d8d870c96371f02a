"""The kernel of a filter's likelihood: moments solved from reading to reading, and corrected, with their derivatives.

Readings of one time are taken in one after the other, which is exact for errors that are independent, with outputs
linearised about the mean before the first of them (Durbin & Koopman, Time Series Analysis by State Space Methods, 2nd
ed. 2012, section 6.4). A discrepancy is known to the filter, by its coefficients: it moves what is expected.
Derivatives of each correction are those of its formulas, written out.
"""

from collections.abc import Sequence
from typing import Any

from workbench.calibrate.filtered.moments import Element, moments, triangle
from workbench.declare.model import Model
from workbench.declare.trace import Trace, trace
from workbench.simulate.kernels import equations, module
from workbench.simulate.kernels.lines import function
from workbench.simulate.kernels.template import HEADER, SETTLE, STEPS, keep
from workbench.simulate.kernels.vector import WIDTH
from workbench.simulate.methods.tableau import Method

# In W the states are the mean (A of them), then the upper triangle of the covariance, PACK saying where;
# W[S + i * M + c] is the derivative of state i by parameter c. Y, D are outputs with derivatives: see `moments`.
EASED = 300.0  # times the relative tolerance: shares of a covariance, and of the SD of a mean, that may be wrong
CORRECT = '''
@inner
def correct(Y, D, W, place, y, L, DL, V):
    """Take in the readings of one time, NaN for one that is only asked for; return False where one has no density."""
    fresh, shift = np.empty((A, COLUMNS)), np.zeros(A)
    for a in range(A):
        for c in range(COLUMNS):
            fresh[a, c] = W[S + a * M + c]
    g, gain, dg = np.empty(A), np.empty(A), np.empty(A)
    for e in range(ELEMENTS):
        q = place[e]
        if q < 0:
            continue
        o = e * (A + 2) + 1
        f = Y[0, o + A]
        expected = Y[0, o - 1]
        for a in range(A):
            g[a] = 0.0
            for b in range(A):
                g[a] += W[A + PACK[a, b]] * Y[0, o + b]
            f += Y[0, o + a] * g[a]
            expected += Y[0, o + a] * shift[a]
        V[q, 0], V[q, 1], L[q] = expected, math.sqrt(f), 0.0
        if y[q] != y[q]:
            for c in range(COLUMNS):
                DL[q, c] = 0.0
            continue
        v = (math.log(y[q]) if LOG[e] == 1 else y[q]) - expected
        if not (f > 0.0 and f < math.inf and abs(v) < math.inf):
            return False
        L[q] = -0.5 * (LOG_2PI + math.log(f) + v * v / f) - (math.log(y[q]) if LOG[e] == 1 else 0.0)
        for a in range(A):
            gain[a] = g[a] / f
        for c in range(COLUMNS):
            df, dv = D[0, o + A, c], -D[0, o - 1, c]
            for a in range(A):
                dg[a] = 0.0
                for b in range(A):
                    at = A + PACK[a, b]
                    dg[a] += W[S + at * M + c] * Y[0, o + b] + W[at] * D[0, o + b, c]
                df += D[0, o + a, c] * g[a] + Y[0, o + a] * dg[a]
                dv -= D[0, o + a, c] * shift[a] + Y[0, o + a] * (W[S + a * M + c] - fresh[a, c])
            DL[q, c] = -0.5 * (df + 2.0 * v * dv - v * v * df / f) / f
            for a in range(A):
                change = (dg[a] - gain[a] * df) / f
                W[S + a * M + c] += change * v + gain[a] * dv
                for b in range(a, A):
                    W[S + (A + PACK[a, b]) * M + c] -= change * g[b] + gain[a] * dg[b]
        for a in range(A):
            W[a] += gain[a] * v
            shift[a] += gain[a] * v
            for b in range(a, A):
                W[A + PACK[a, b]] -= gain[a] * g[b]
    return True
'''

DISCREPANCY = '''
@inner
def shift(theta, features, Y, D):
    """Add to what is expected the discrepancies, of features times coefficients in theta."""
    for e in range(ELEMENTS):
        if FUNCTIONS[e] == 0:
            continue
        o, first = e * (A + 2) + 1, FIRST[e]
        for j in range(FUNCTIONS[e]):
            Y[0, o - 1] += features[first + j] * theta[COEFFICIENT[e] + j]
            D[0, o - 1, COLUMN[e] + j] += features[first + j]
        if PROPORTIONAL[e] == 1:
            mean, share = Y[0, o - 1], Y[0, o + A]
            Y[0, o + A] = share * mean * mean
            for c in range(COLUMNS):
                D[0, o + A, c] = mean * (mean * D[0, o + A, c] + 2.0 * share * D[0, o - 1, c])
'''

FILTER = '''
@entry(void(f8p, i8, i8p, i8p, f8p, i8, f8p, f8p, f8p, f8p, i8p, f8p, f8p, i8p, f8, f8, i8, f8p, f8p, f8p, f8p))
def run(
    theta_, units, rows_, segment_, begin_, segments, level_, slope_, jump_, times_, place_, y_, features_,
    counts_, rtol, atol, longest_run, L_, DL_, V_, X_,
):
    """Filter every unit: log densities L (R,) of readings y (R,), derivatives DL (R, COLUMNS), what was expected of
    them and its SDs V (R, 2), moments X (U, N) after the last time. A unit that fails has densities of zero.
    """
    theta, rows = carray(theta_, (units, P)), carray(rows_, (units + 1,))
    count = rows[units]
    segment, times, place = carray(segment_, (count + 1,)), carray(times_, (count,)), carray(place_, (count, ELEMENTS))
    begin, counts = carray(begin_, (segments,)), carray(counts_, (units + 1,))
    level, slope, jump = carray(level_, (segments, I)), carray(slope_, (segments, I)), carray(jump_, (segments, N))
    many = counts[units]
    y, L, V, X = carray(y_, (many,)), carray(L_, (many,)), carray(V_, (many, 2)), carray(X_, (units, N))
    DL, features = carray(DL_, (many, COLUMNS)), carray(features_, (count, FEATURES))
    W, log, Y, D = np.zeros(WORK), np.zeros(5), np.empty((1, K)), np.empty((1, K, COLUMNS))
    for k in range(units):
        start(theta[k], W)
        log[4] = 0.0
        good = True
        for r in range(rows[k], rows[k + 1]):
            integrate(
                theta[k], begin, level, slope, jump, segment[r], segment[r + 1], times[r : r + 1], 0, 1,
                rtol, atol, longest_run, W, log, Y, D,
            )
            if project(W):
                record(times[r], theta[k], begin, level, slope, segment[r + 1] - 1, W, 0, S, 0, Y, D)
            shift(theta[k], features[r], Y, D)
            good = log[0] == 0.0 and correct(Y, D, W, place[r], y, L, DL, V)
            project(W)
            if not good:
                break
        for i in range(N):
            X[k, i] = W[i] if good else math.nan
        if not good:
            for q in range(counts[k], counts[k + 1]):
                L[q], V[q, 0], V[q, 1] = -math.inf, math.nan, math.nan
                for c in range(COLUMNS):
                    DL[q, c] = 0.0
'''


def source(model: Model, method: Method | None, elements: Sequence[Element]) -> str:
    """Return the source of a module whose `run` is the likelihood of readings of some elements; kept with the model."""
    kept = vars(model).setdefault("_kernels", {})
    key = ("filtered", method.name if method else "", tuple(elements))
    if key not in kept:
        if "trace" not in kept:
            kept["trace"] = trace(model)
        kept[key] = _emit(model, method, elements)
    return kept[key]


def _emit(model: Model, method: Method | None, elements: Sequence[Element]) -> str:
    traced = moments(vars(model)["_kernels"]["trace"], elements)
    n, columns = model.state_layout.size, equations.estimated(traced)
    row = traced.model.state_layout.size * -(-columns // WIDTH) * WIDTH
    made, entries = equations.differentiated(traced)
    sizes = module.sizes_of(traced, columns, row) | {"J": entries + row, "A": n, "ELEMENTS": len(elements)}
    features = {"sensitivities", "stops"}
    if method is None:
        sizes |= {"G": 2 * sizes["N"], "S": 2 * sizes["N"] + sizes["J"]}
        sizes["WORK"] = sizes["S"] + 2 * row + 1
        parts = [STEPS]
    else:
        parts, room = module.solver(traced, method, sizes, None, sensitivities=True)
        parts[0] = _tolerance(parts[0])
        features |= room
    constants = "".join(f"{name} = {value}\n" for name, value in sizes.items())
    constants += f"LOG_2PI = math.log(2.0 * math.pi)\nPACK = np.array({triangle(n)})\n"
    constants += f"LOG = np.array({[int(e.noise.name == 'LogNormal') for e in elements]})\n"
    constants += _places(traced, elements)
    text = "\n\n".join([*made, SETTLE, *parts, _project(model), CORRECT, DISCREPANCY])
    text = text.replace("scale(i, ", "scale(W, i, ").replace("log, OUT", "log, Y, D").replace("OUT", "Y, D")
    return keep("\n\n".join([HEADER + constants, text, FILTER]), features)


def _places(traced: Trace, elements: Sequence[Element]) -> str:
    """Return the constants that say, of each element, where its discrepancy's coefficients and features are."""
    made: Any = traced.model
    columns = {place: k for k, place in enumerate(made.theta_layout.columns(made.estimated))}
    taken, first, size = dict[str, int](), dict[str, int](), 0
    tables: dict[str, list[int]] = {
        name: [] for name in ("FUNCTIONS", "FIRST", "COEFFICIENT", "COLUMN", "PROPORTIONAL")
    }
    for element in elements:
        name, at = f"{element.output}_discrepancy", 0
        if element.functions:
            if name not in first:
                first[name], size = size, size + element.functions
            at = made.theta_layout.places[name].start + taken.get(name, 0)
            taken[name] = taken.get(name, 0) + element.functions
        row = (element.functions, first.get(name, 0), at, columns.get(at, 0), int(element.noise.name == "Proportional"))
        for table, value in zip(tables.values(), row, strict=True):
            table.append(value)
    return "".join(f"{name} = np.array({table})\n" for name, table in tables.items()) + f"FEATURES = {size}\n"


def _tolerance(text: str) -> str:
    """Return the function of tolerances for moments.

    A covariance has no unit of its own, and only its size counts (the floor keeps entries that are zero from cutting
    steps); the mean need not be known better than to a share of its SD. At a relative tolerance of 1e-6 both shares are
    3e-4, which moves a log density by less than 1e-3, or by 1e-5 of itself.
    """
    head, _, body = text.partition("\n    ")
    given, _, last = body.rpartition("return ")
    size = f"rtol * ({EASED} * math.sqrt(max(W[A + PACK[i, i]], 0.0)))"
    lines = [head, "    if i >= A:", f"        return {EASED} * rtol * (atol + size)", f"    enough = {size}"]
    made = given.replace("return ", "return enough + ")
    return "\n".join([*lines, f"    {made}return enough + {last}"])


def _project(model: Model) -> str:
    """Return the function that moves a mean beyond a bound onto it; it says whether it moved any."""
    lines = ["moved = False"]
    for name, state in model.states.items():
        for bound, sign in zip(state.bounds, "<>", strict=True):
            if bound is None:
                continue
            at = model.state_layout.places[name]
            lines += [f"for i in range({at.start}, {at.stop}):", f"    if W[i] {sign} {float(bound)!r}:"]
            lines += [f"        W[i], moved = {float(bound)!r}, True", "        for c in range(M):"]
            lines += ["            W[S + i * M + c] = 0.0"]
    return function("project", "W", [*lines, "return moved"])
