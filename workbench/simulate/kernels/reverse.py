"""The part of an adjoint kernel that is the same for every model and method: steps kept on a tape, and gone back over.

The tape of a unit holds HEAD numbers (accepted steps, stride, states kept, room for states, room for steps), then
(t, h, j) of each step, then the states from which every stride-th step began, then as many states again, for the steps
between two of these. When there is no room for a state, every other one is dropped and the stride doubles; the states
between are found again by the same steps. A unit that failed has -1 steps.
"""

TAPE = """
HEAD = 5


@inner
def note_step(t, h, j, W, tape):
    steps, stride, kept = int(tape[0]), int(tape[1]), int(tape[2])
    place = HEAD + 3 * steps
    tape[place], tape[place + 1], tape[place + 2] = t, h, j
    tape[0] = steps + 1
    if steps % stride != 0:
        return
    room, states = int(tape[3]), HEAD + 3 * int(tape[4])
    if kept == room:
        kept = (kept + 1) // 2
        for k in range(1, kept):
            for i in range(N):
                poke(tape, states + k * N + i, peek(tape, states + 2 * k * N + i))
        stride *= 2
        tape[1] = stride
        tape[2] = kept
        if steps % stride != 0:
            return
    for i in range(N):
        poke(tape, states + kept * N + i, W[i])
    tape[2] = kept + 1


@inner
def restore(s, filled, p, begin, level, slope, jump, W, tape):
    # put the state from which step s began into W; return the first step of those in the second half of the tape
    stride, states = int(tape[1]), HEAD + 3 * int(tape[4])
    base = s - s % stride
    here = states + base // stride * N
    if stride == 1:
        for i in range(N):
            W[i] = peek(tape, here + i)
        return -1
    between = states + int(tape[3]) * N
    if base != filled:
        for i in range(N):
            W[i] = peek(tape, here + i)
        for m in range(base, min(base + stride, int(tape[0]))):
            for i in range(N):
                poke(tape, between + (m - base) * N + i, W[i])
            t, h, j = tape[HEAD + 3 * m], tape[HEAD + 3 * m + 1], int(tape[HEAD + 3 * m + 2])
            arrive(t, p, begin, level, slope, j, W)
            step(t, h, p, begin, level, slope, j, W)
            for i in range(N):
                W[i] = W[N + i]
            if m + 1 < int(tape[0]) and int(tape[HEAD + 3 * m + 5]) != j:
                for i in range(N):
                    W[i] += jump[j + 1, i]
    for i in range(N):
        W[i] = peek(tape, between + (s - base) * N + i)
    return base


@inner
def add_record(t, p, begin, level, slope, j, W, a, r, Y):
    # add what the reading at row r says of the state at a
    pull_record(t, p, begin, level, slope, j, W, a, r, GRADIENT, Y)
    for i in range(N):
        W[LAMBDA + i] += W[GRADIENT + i]


@inner
def reverse(p, begin, level, slope, jump, lo, hi, times, first, last, W, tape, Y):
    # go back over the steps of one unit, from Y's cotangents to those of the parameters, at BAR
    for i in range(COLUMNS):
        W[BAR + i] = 0.0
    for i in range(N):
        W[LAMBDA + i] = 0.0
    steps = int(tape[0])
    r = last
    filled = -1
    if steps == 0:
        start(p, W)
        for i in range(N):
            W[i] += jump[lo, i]
    for s in range(steps - 1, -1, -1):
        t, h, j = tape[HEAD + 3 * s], tape[HEAD + 3 * s + 1], int(tape[HEAD + 3 * s + 2])
        filled = restore(s, filled, p, begin, level, slope, jump, W, tape)
        arrive(t, p, begin, level, slope, j, W)
        step(t, h, p, begin, level, slope, j, W)
        if s == steps - 1:
            final = times[last - 1]
            reached = j + 1 if j + 1 < hi and begin[j + 1] <= final else j
            for i in range(N):
                W[END + i] = W[N + i]
                if reached != j:
                    W[END + i] += jump[reached, i]
            while r > first and times[r - 1] >= final:
                r -= 1
                add_record(final, p, begin, level, slope, reached, W, END, r, Y)
        entered = s == 0 or int(tape[HEAD + 3 * s - 1]) != j
        for i in range(STAGES * N):
            W[KBAR + i] = 0.0
        for i in range(N):
            W[XBAR + i] = 0.0
        inside = False
        while r > first and (times[r - 1] > t or (times[r - 1] == t and not entered)):
            r -= 1
            if not inside:  #: extra
                prepare(t, h, p, begin, level, slope, j, W)  #: extra
            inside = True
            interpolate((times[r] - t) / h, h, W)
            pull_record(times[r], p, begin, level, slope, j, W, DENSE, r, GRADIENT, Y)
            spread((times[r] - t) / h, h, W)
        back(t, h, inside, p, begin, level, slope, j, W)
        while entered and r > first and times[r - 1] >= t:
            r -= 1
            add_record(t, p, begin, level, slope, j, W, 0, r, Y)
    while r > first:
        r -= 1
        add_record(times[r], p, begin, level, slope, lo, W, 0, r, Y)
    pull_start(p, W)
"""

ADJOINT = '''
@entry(void(f8p, i8, i8p, f8p, i8, f8p, f8p, f8p, i8p, f8p, i8, f8, f8, i8, i8, f8p, f8p))
def run(
    theta_, units, offset_, begin_, segments, level_, slope_, jump_, rows_, times_, count,
    rtol, atol, longest_run, room, Y_, tape_,
):
    """Solve every unit; theta (U, P), Y (R, K), tape (U, HEAD + 3 longest_run + 2 room N)."""
    theta = carray(theta_, (units, P))
    offset, rows = carray(offset_, (units + 1,)), carray(rows_, (units + 1,))
    begin, times = carray(begin_, (segments,)), carray(times_, (count,))
    level, slope, jump = carray(level_, (segments, I)), carray(slope_, (segments, I)), carray(jump_, (segments, N))
    Y, tape = carray(Y_, (count, K)), carray(tape_, (units, HEAD + 3 * longest_run + 2 * room * N))
    W = np.zeros(WORK)
    log = np.empty(5)
    for k in range(units):
        tape[k, 0], tape[k, 1], tape[k, 2], tape[k, 3], tape[k, 4] = 0.0, 1.0, 0.0, room, longest_run
        start(theta[k], W)
        integrate(
            theta[k], begin, level, slope, jump, offset[k], offset[k + 1], times, rows[k], rows[k + 1],
            rtol, atol, longest_run, W, log, tape[k], Y,
        )
        if log[0] != 0.0:
            tape[k, 0] = -1.0
            for r in range(rows[k], rows[k + 1]):
                for i in range(K):
                    Y[r, i] = math.inf


@entry(void(f8p, i8, i8p, f8p, i8, f8p, f8p, f8p, i8p, f8p, i8, i8, i8, f8p, f8p, f8p))
def pull(
    theta_, units, offset_, begin_, segments, level_, slope_, jump_, rows_, times_, count,
    longest_run, room, Y_, tape_, bar_,
):
    """Take cotangents Y (R, K) of the outputs back to those of the estimated parameters, bar (U, COLUMNS)."""
    theta = carray(theta_, (units, P))
    offset, rows = carray(offset_, (units + 1,)), carray(rows_, (units + 1,))
    begin, times = carray(begin_, (segments,)), carray(times_, (count,))
    level, slope, jump = carray(level_, (segments, I)), carray(slope_, (segments, I)), carray(jump_, (segments, N))
    Y, tape = carray(Y_, (count, K)), carray(tape_, (units, HEAD + 3 * longest_run + 2 * room * N))
    bar = carray(bar_, (units, COLUMNS))
    W = np.zeros(WORK)
    for k in range(units):
        for c in range(COLUMNS):
            bar[k, c] = 0.0
        if tape[k, 0] >= 0.0 and rows[k + 1] > rows[k]:
            reverse(
                theta[k], begin, level, slope, jump, offset[k], offset[k + 1], times, rows[k], rows[k + 1],
                W, tape[k], Y,
            )
            for c in range(COLUMNS):
                bar[k, c] = W[BAR + c]
'''
