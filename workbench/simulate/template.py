"""The part of a kernel that is the same for every model: step control, segments of inputs, output times, drivers.

All numbers live in one work array W: a block of values (current, trial, one slope a stage, interpolated; N each), the
derivatives of the slopes (J a stage, from G on: by states, then a full block by parameters), and a block of
sensitivities laid out as the values are (R each, from S on; row i of state i, padded to M columns).

A step is taken with values alone; sensitivities follow when it is accepted. There is no fast-math: the same source
gives the same numbers, whichever copy of a function the linker picked. A fused multiply-add is written where wanted.
"""

HEADER = '''"""A kernel written by workbench; do not edit."""

import math

import numpy as np
from numba import carray, cfunc, njit, types

from workbench.simulate.vector import fma, load, store

inner = njit(error_model="numpy")
void, i8, f8 = types.void, types.int64, types.float64
i8p, f8p = types.CPointer(i8), types.CPointer(f8)


def entry(signature):
    return cfunc(signature, error_model="numpy", cache=True)

'''

STEPPING = """
@inner
def squared_error(h, rtol, atol, W):
    total = 0.0
    for i in range(N):
        scale = atol + rtol * max(abs(W[i]), abs(W[N + i]))
        ratio = h * error(W, i) / scale
        total += ratio * ratio
    return total / N


@inner
def first_step(t, longest, p, begin, level, slope, j, rtol, atol, W):
    # Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, section II.4, algorithm 4.14
    size = 0.0
    speed = 0.0
    for i in range(N):
        scale = atol + rtol * abs(W[i])
        size += (W[i] / scale) ** 2
        speed += (W[2 * N + i] / scale) ** 2
    size, speed = math.sqrt(size / N), math.sqrt(speed / N)
    h = 1e-6 if size < 1e-5 or speed < 1e-5 else 0.01 * size / speed
    h = min(h, longest)
    for i in range(N):
        W[N + i] = W[i] + h * W[2 * N + i]
    rhs(t + h, p, begin, level, slope, j, W, N, 3 * N, G + J)
    bend = 0.0
    for i in range(N):
        scale = atol + rtol * abs(W[i])
        bend += ((W[3 * N + i] - W[2 * N + i]) / scale) ** 2
    bend = math.sqrt(bend / N) / h
    most = max(speed, bend)
    guess = max(1e-6, h * 1e-3) if most <= 1e-15 else (0.01 / most) ** (1.0 / ORDER)
    return min(100.0 * h, guess, longest) if guess == guess else h


@inner
def integrate(p, begin, level, slope, jump, lo, hi, times, first, last, rtol, atol, longest_run, W, log, OUT):
    # Solve one unit; log gets the status, the time reached, the steps taken and those rejected.
    t = begin[lo]
    final = times[last - 1]
    h = 0.0
    r = first
    steps = 0
    rejected = 0
    for j in range(lo, hi):
        for i in range(N):
            W[i] += jump[j, i]
        end = begin[j + 1] if j + 1 < hi else final
        while r < last and times[r] <= t:
            record(t, p, begin, level, slope, j, W, 0, S, r, OUT)
            r += 1
        if r == last:
            break
        rhs(t, p, begin, level, slope, j, W, 0, 2 * N, G)
        push(W, S, S + 2 * R, G)
        if h == 0.0:
            h = first_step(t, end - t, p, begin, level, slope, j, rtol, atol, W)
        while t < end:
            if steps >= longest_run:
                log[0], log[1], log[2], log[3] = 1.0, t, steps, rejected
                return
            steps += 1
            reaches = t + 1.01 * h >= end
            trial = end - t if reaches else h
            step(t, trial, p, begin, level, slope, j, W)
            wrong = squared_error(trial, rtol, atol, W)
            if not wrong <= 1.0:
                rejected += 1
                h = trial * (max(0.2, 0.9 * wrong ** (-0.5 / ORDER)) if wrong < 1e300 else 0.1)
                if h <= 1e-14 * max(abs(t), abs(end - begin[lo])):
                    log[0], log[1], log[2], log[3] = 2.0, t, steps, rejected
                    return
                continue
            follow(trial, W)
            reached = end if reaches else t + trial
            while r < last and times[r] < reached:
                interpolate((times[r] - t) / trial, trial, W)
                record(times[r], p, begin, level, slope, j, W, (2 + STAGES) * N, S + (2 + STAGES) * R, r, OUT)
                r += 1
            for i in range(N):
                W[i] = W[N + i]
                W[2 * N + i] = W[(1 + STAGES) * N + i]
            for i in range(R):
                W[S + i] = W[S + R + i]
                W[S + 2 * R + i] = W[S + (1 + STAGES) * R + i]
            t = reached
            grown = trial * min(10.0, max(0.2, 0.9 * wrong ** (-0.5 / ORDER))) if wrong > 0.0 else 10.0 * trial
            h = max(h, grown) if reaches else grown
        if j + 1 == hi:
            while r < last:
                record(t, p, begin, level, slope, j, W, 0, S, r, OUT)
                r += 1
    log[0], log[1], log[2], log[3] = 0.0, t, steps, rejected
"""

VALUES = '''
@entry(void(i8, i8, f8p, f8p, i8, i8p, f8p, i8, f8p, f8p, f8p, i8p, f8p, i8, f8, f8, i8, i8, f8p, f8p, f8p))
def run(
    lo, hi, theta_, override_, units, offset_, begin_, segments, level_, slope_, jump_, rows_, times_, count,
    rtol, atol, longest_run, members, X_, Y_, log_,
):
    """Solve members lo to hi for every unit; theta (B, U, P), X (B, R, N), Y (B, R, K), log (B, U, 4)."""
    theta, override = carray(theta_, (members, units, P)), carray(override_, (members, units, N))
    offset, rows = carray(offset_, (units + 1,)), carray(rows_, (units + 1,))
    begin, times = carray(begin_, (segments,)), carray(times_, (count,))
    level, slope, jump = carray(level_, (segments, I)), carray(slope_, (segments, I)), carray(jump_, (segments, N))
    X, Y, log = carray(X_, (members, count, N)), carray(Y_, (members, count, K)), carray(log_, (members, units, 4))
    W = np.zeros(WORK)
    for b in range(lo, hi):
        for k in range(units):
            start(theta[b, k], W)
            for i in range(N):
                if not math.isnan(override[b, k, i]):
                    W[i] = override[b, k, i]
            integrate(
                theta[b, k], begin, level, slope, jump, offset[k], offset[k + 1], times, rows[k], rows[k + 1],
                rtol, atol, longest_run, W, log[b, k], X[b], Y[b],
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
    log = np.empty(4)
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
