"""The part of a static model's kernel that is the same for every model: the search for a root, and the rows around it.

The search is Deuflhard's (2004, Newton Methods for Nonlinear Problems, algorithm NLEQ-ERR): a step is judged by the
simplified correction that follows it, so that neither the units nor the scale of a residual matter. Where it fails,
pseudo-transient continuation (Kelley & Keyes 1998, SIAM J. Numer. Anal. 35:508) first brings the states nearer.

Rows of the Jacobian are divided by their largest entry and columns multiplied by the states' sizes, so that a pivot
near zero means a singular matrix, in whatever units.
"""

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
        if status != 0.0:  # on the way, far from any root, it says that there is none rather than that one is not alone
            return status if k == 0 or before < 1e-3 else failed(W)
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
        if found == 0.0 or found == 8.0:  # a double root found once more, from elsewhere, may pass for a simple one
            return found
        if attempt == 0:
            status, culprit = found, W[CULPRIT]
    W[CULPRIT] = culprit
    return status


@inner
def integrate(p, begin, level, slope, jump, lo, hi, times, first, last, rtol, atol, longest_run, W, log, OUT):
    # Solve the rows of one unit; log gets status, time, iterations, and the state or residual to blame.
    j = lo
    W[COUNT] = 0.0
    for i in range(N):
        W[GUESS + i] = W[i]
    for i in range(PAIRS):  #: modes
        W[CLOSE + i] = 0.0  #: modes
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
        if MODES or r == first:  #: modes
            modes(PLACE)  #: modes
        record(t, p, begin, level, slope, j, W, 0, S, r, OUT)
        for i in range(K):  #: modes
            if not abs(Y[r, i]) < math.inf:  #: modes
                settle(log, 10.0, t, W[COUNT], i)  #: modes
                return  #: modes
    settle(log, 0.0, times[last - 1], W[COUNT], 0)
    log[4] = 0.0
    for i in range(PAIRS):  #: modes
        log[4] += W[CLOSE + i] * 2.0**i  #: modes
"""

FOLLOW = """
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
