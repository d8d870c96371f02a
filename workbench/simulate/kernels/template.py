"""The part of a kernel that is the same for every model and method: step control, segments of inputs, output times.

All numbers live in one work array W: a block of values (current, trial, one slope a stage, interpolated; N each), the
derivatives of the slopes (J a stage, from G on: by states, then a full block by parameters), and a block of
sensitivities laid out as the values are (R each, from S on; row i of state i, padded to M columns).

A step is taken with values alone; sensitivities follow when it is accepted. There is no fast-math: the same source
gives the same numbers, whichever copy of a function the linker picked. A fused multiply-add is written where wanted.

A line that ends in `#: name` stands only in kernels that have this feature, one in `#: not name` only in the others.
"""

from collections.abc import Collection

HEADER = '''"""A kernel written by workbench; do not edit."""

import math

import numpy as np
from numba import carray, cfunc, njit, types

from workbench.simulate.kernels.vector import fma, load, store

inner = njit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
void, i8, f8 = types.void, types.int64, types.float64
i8p, f8p = types.CPointer(i8), types.CPointer(f8)


def entry(signature):
    return cfunc(signature, error_model="numpy", cache=True)

'''

SETTLE = """
@inner
def settle(log, status, t, steps, rejected):
    log[0], log[1], log[2], log[3] = status, t, steps, rejected
"""

FIRST_STEP = """
@inner
def first_step(t, longest, p, begin, level, slope, j, rtol, atol, W):
    # Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, section II.4, algorithm 4.14
    size = 0.0
    speed = 0.0
    for i in range(N):
        bar = scale(i, abs(W[i]), rtol, atol)
        size += (W[i] / bar) ** 2
        speed += (W[SLOPE + i] / bar) ** 2
    size, speed = math.sqrt(size / N), math.sqrt(speed / N)
    h = 1e-6 if size < 1e-5 or speed < 1e-5 else 0.01 * size / speed
    h = min(h, longest)
    for i in range(N):
        W[N + i] = W[i] + h * W[SLOPE + i]
    rhs(t + h, p, begin, level, slope, j, W, N, SPARE, G + J)
    bend = 0.0
    for i in range(N):
        bend += ((W[SPARE + i] - W[SLOPE + i]) / scale(i, abs(W[i]), rtol, atol)) ** 2
    bend = math.sqrt(bend / N) / h
    most = max(speed, bend)
    guess = max(1e-6, h * 1e-3) if most <= 1e-15 else (0.01 / most) ** (1.0 / ORDER)
    return min(100.0 * h, guess, longest) if guess == guess else h
"""

INTEGRATE = """
@inner
def integrate(p, begin, level, slope, jump, lo, hi, times, first, last, rtol, atol, longest_run, W, log, OUT):
    # Solve one unit; log gets the status, the time reached, the steps taken and those rejected.
    t = begin[lo]
    final = times[last - 1]
    h = 0.0  #: not stops
    h = log[4]  #: stops
    r = first
    steps = 0
    rejected = 0
    limited = 0  #: watchful
    happened = 0  #: events
    close = 0  #: events
    for j in range(lo, hi):
        for i in range(N):
            W[i] += jump[j, i]
        if shaken != 0:  #: values
            for i in range(N):  #: values
                W[i] += shock[j, i]  #: values
        end = begin[j + 1] if j + 1 < hi else final
        if j == lo:  #: events
            watch(t, p, begin, level, slope, j, W, 0, EVENT)  #: events
        struck = struck_by_jump(j == lo, t, p, begin, level, slope, j, W)  #: events
        while struck >= 0:  #: events
            happened += 1  #: events
            note(happened, struck, t, happen)  #: events values
            arrive(t, p, begin, level, slope, j, W)  #: events
            strike(struck, 0.0, t, p, begin, level, slope, j, W)  #: events
            arrive(t, p, begin, level, slope, j, W)  #: events
            rearm(struck, h, t, p, begin, level, slope, j, W)  #: events
            if ends(struck) or happened > MOST_EVENTS:  #: events
                settle(log, over(struck, happened), t, steps, rejected)  #: events
                log[4] = happened  #: events
                finish(r, last, OUT)  #: events
                return  #: events
            struck = struck_by_jump(False, t, p, begin, level, slope, j, W)  #: events
        while r < last and times[r] <= t:
            record(t, p, begin, level, slope, j, W, 0, S, r, OUT)
            r += 1
        if r == last:
            break
        arrive(t, p, begin, level, slope, j, W)
        if h == 0.0:
            h = first_step(t, end - t, p, begin, level, slope, j, rtol, atol, W)
        while t < end:
            if steps >= longest_run:
                settle(log, 1.0, t, steps, rejected)
                return
            steps += 1
            reaches = t + 1.01 * h >= end
            trial = end - t if reaches else h
            step(t, trial, p, begin, level, slope, j, W)
            wrong = squared_error(trial, rtol, atol, W)
            if not wrong <= 1.0:
                rejected += 1
                h = trial * (max(0.2, 0.9 * wrong ** (-0.5 / ORDER)) if wrong < 1e300 else 0.1)
                if h <= 1e-14 * abs(t) or h < 1e-250:
                    settle(log, 2.0, t, steps, rejected)
                    return
                continue
            grown = trial * min(10.0, max(0.2, 0.9 * wrong ** (-0.5 / ORDER))) if wrong > 0.0 else 10.0 * trial
            reached = end if reaches else t + trial
            if steps - rejected == 1:  #: stops
                log[4] = grown  #: stops
            if (r < last and times[r] < reached) or EVENTS > 0:  #: doubtful
                doubt = doubtful(t, trial, p, begin, level, slope, j, rtol, atol, W)  #: doubtful
                if not doubt <= 4.0:  #: doubtful
                    rejected += 1  #: doubtful
                    h = 0.2 * trial if doubt > 1e6 else trial * 0.9 * (0.25 * doubt) ** (-0.5 / ORDER)  #: doubtful
                    continue  #: doubtful
            struck, place = crossing(t, trial, p, begin, level, slope, j, W)  #: events
            if struck >= 0:  #: events
                gap, trial = trial, place * trial  #: events
                close = close + 1 if trial <= 1e-12 * abs(t) else 0  #: events
                if close > 20:  #: events
                    settle(log, 4.0, t, steps, rejected)  #: events
                    log[4] = happened  #: events
                    finish(r, last, OUT)  #: events
                    return  #: events
                step(t, trial, p, begin, level, slope, j, W)  #: events
                reached = t + trial  #: events
                grown = max(h, gap)  #: events
            if patience > 0 and stiffness(trial, W) > STIFF:  #: watchful
                limited += 1  #: watchful
                if limited >= patience or (limited >= 40 and final - t > 5 * patience * trial):  #: watchful
                    settle(log, 3.0, t, steps, rejected)  #: watchful
                    return  #: watchful
            follow(t, trial, p, begin, level, slope, j, W)  #: sensitivities
            lazy = True  #: extra
            while r < last and times[r] < reached:
                if lazy:  #: extra
                    prepare(t, trial, p, begin, level, slope, j, W)  #: extra
                    lazy = False  #: extra
                interpolate((times[r] - t) / trial, trial, W)
                record(times[r], p, begin, level, slope, j, W, DENSE, DENSE_S, r, OUT)
                r += 1
            note_step(t, trial, j, W, tape)  #: taped
            advance(reached, p, begin, level, slope, j, W)
            t = reached
            while struck >= 0:  #: events
                happened += 1  #: events
                note(happened, struck, t, happen)  #: events values
                strike(struck, 1.0, t, p, begin, level, slope, j, W)  #: events
                if ends(struck) or happened > MOST_EVENTS:  #: events
                    settle(log, over(struck, happened), t, steps, rejected)  #: events
                    log[4] = happened  #: events
                    finish(r, last, OUT)  #: events
                    return  #: events
                arrive(t, p, begin, level, slope, j, W)  #: events
                rearm(struck, gap, t, p, begin, level, slope, j, W)  #: events
                struck = struck_again(t, p, begin, level, slope, j, W)  #: events
                reaches = t >= end  #: events
            h = max(h, grown) if reaches else grown
        if j + 1 == hi:
            while r < last:
                record(t, p, begin, level, slope, j, W, 0, S, r, OUT)
                r += 1
    settle(log, 0.0, t, steps, rejected)
    log[4] = happened  #: events
"""

STEPS = """
@inner
def integrate(p, begin, level, slope, jump, lo, hi, times, first, last, rtol, atol, longest_run, W, log, OUT):
    # Step a map through the times of one unit; jumps act at the first step not before them.
    r = first
    j = lo
    k = 0
    while r < last:
        t = begin[lo] + k * DT
        while j < hi and (begin[j] <= t + 1e-9 * DT):
            for i in range(N):
                W[i] += jump[j, i]
            if shaken != 0:  #: values
                for i in range(N):  #: values
                    W[i] += shock[j, i]  #: values
            j += 1
        while r < last and times[r] < t + (1.0 - 1e-9) * DT:
            record(times[r], p, begin, level, slope, j - 1, W, 0, S, r, OUT)
            r += 1
        if r == last:  #: stops
            break  #: stops
        rhs(t, p, begin, level, slope, j - 1, W, 0, N, G)
        push(W, S, S + R, G)  #: sensitivities
        for i in range(N):
            W[i] = W[N + i]
        for i in range(R):  #: sensitivities
            W[S + i] = W[S + R + i]  #: sensitivities
        k += 1
    settle(log, 0.0, times[last - 1], k, 0)
"""

VALUES = '''
@entry(void(i8, i8, f8p, f8p, i8, i8p, f8p, i8, f8p, f8p, f8p, i8p, f8p, i8, f8, f8, i8, i8, i8, i8, f8p, i8, f8p, f8p,
            f8p, f8p))
def run(
    lo, hi, theta_, override_, units, offset_, begin_, segments, level_, slope_, jump_, rows_, times_, count,
    rtol, atol, longest_run, members, patience, shaken, shock_, capacity, happen_, X_, Y_, log_,
):
    """Solve places lo to hi of members times units; theta (B, U, P), X (B, R, N), Y (B, R, K), log (B, U, 5)."""
    theta, override = carray(theta_, (members, units, P)), carray(override_, (members, units, N))
    offset, rows = carray(offset_, (units + 1,)), carray(rows_, (units + 1,))
    begin, times = carray(begin_, (segments,)), carray(times_, (count,))
    level, slope, jump = carray(level_, (segments, I)), carray(slope_, (segments, I)), carray(jump_, (segments, N))
    X, Y, log = carray(X_, (members, count, N)), carray(Y_, (members, count, K)), carray(log_, (members, units, 5))
    shock = carray(shock_, (members, segments, N))
    happen = carray(happen_, (members, units, capacity, 2))
    W = np.zeros(WORK)
    for place in range(lo, hi):
        b, k = place // units, place % units
        log[b, k, 4] = 0.0
        start(theta[b, k], W)
        for i in range(N):
            if not math.isnan(override[b, k, i]):
                W[i] = override[b, k, i]
        integrate(
            theta[b, k], begin, level, slope, jump, offset[k], offset[k + 1], times, rows[k], rows[k + 1],
            rtol, atol, longest_run, W, log[b, k], patience, shaken, shock[b], happen[b, k], X[b], Y[b],
        )
        if log[b, k, 0] != 0.0:
            for r in range(rows[k], rows[k + 1]):
                for i in range(N):
                    X[b, r, i] = math.nan
                for i in range(K):
                    Y[b, r, i] = math.nan
'''

SENSITIVITIES = '''
@entry(void(f8p, i8, i8p, f8p, i8, f8p, f8p, f8p, i8p, f8p, i8, f8, f8, i8, f8p, f8p))
def run(
    theta_, units, offset_, begin_, segments, level_, slope_, jump_, rows_, times_, count,
    rtol, atol, longest_run, Y_, D_,
):
    """Solve every unit with sensitivities; theta (U, P), Y (R, K), D (R, K, M); a unit that fails reads infinity."""
    theta = carray(theta_, (units, P))
    offset, rows = carray(offset_, (units + 1,)), carray(rows_, (units + 1,))
    begin, times = carray(begin_, (segments,)), carray(times_, (count,))
    level, slope, jump = carray(level_, (segments, I)), carray(slope_, (segments, I)), carray(jump_, (segments, N))
    Y, D = carray(Y_, (count, K)), carray(D_, (count, K, COLUMNS))
    W = np.zeros(WORK)
    log = np.empty(5)
    for k in range(units):
        start(theta[k], W)
        integrate(
            theta[k], begin, level, slope, jump, offset[k], offset[k + 1], times, rows[k], rows[k + 1],
            rtol, atol, longest_run, W, log, Y, D,
        )
        if log[0] != 0.0:
            for r in range(rows[k], rows[k + 1]):
                for i in range(K):
                    Y[r, i] = math.inf
                    for c in range(COLUMNS):
                        D[r, i, c] = 0.0
'''


def keep(text: str, features: Collection[str]) -> str:
    """Return the lines of a template that belong to a kernel with these features."""
    lines = []
    for line in text.split("\n"):
        code, _, wanted = line.partition("  #: ")
        names = wanted.removeprefix("not ").split()
        if all(name in features for name in names) != wanted.startswith("not "):
            lines.append(code)
    return "\n".join(lines)
