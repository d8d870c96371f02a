"""LU factorisations with partial pivoting, as functions of a kernel: of full matrices and of banded ones.

The matrix is diagonal - J; its factors lie at LU and replace it at every trial step, and the rows that were exchanged
at PIVOT. A full matrix lies row by row; of a banded one (LOWER diagonals below, UPPER above) row r holds the columns
from r - LOWER on, WIDE of them, with room for the LOWER more diagonals that exchanges of rows fill.
"""

from workbench.simulate.kernels.lines import function
from workbench.simulate.kernels.vector import WIDTH

_FULL = """
for i in range(N * N):
    W[LU + i] = -W[MATRIX + i]
for i in range(N):
    W[LU + i * N + i] += diagonal
for k in range(N):
    best = k
    most = abs(W[LU + k * N + k])
    for i in range(k + 1, N):
        if abs(W[LU + i * N + k]) > most:
            best, most = i, abs(W[LU + i * N + k])
    W[PIVOT + k] = best
    if best != k:
        for c in range(k, N):
            W[LU + k * N + c], W[LU + best * N + c] = W[LU + best * N + c], W[LU + k * N + c]
    W[LU + k * N + k] = 1.0 / W[LU + k * N + k]
    for i in range(k + 1, N):
        if W[LU + i * N + k] != 0.0:
            W[LU + i * N + k] *= W[LU + k * N + k]
            share = -W[LU + i * N + k]
            for c in range(k + 1, N):
                W[LU + i * N + c] = fma(share, W[LU + k * N + c], W[LU + i * N + c])
"""

_BANDED = """
for i in range(N * WIDE):
    W[LU + i] = -W[MATRIX + i]
for i in range(N):
    W[LU + i * WIDE + LOWER] += diagonal
for k in range(N):
    below = min(N, k + LOWER + 1)
    best = k
    most = abs(W[LU + k * WIDE + LOWER])
    for i in range(k + 1, below):
        if abs(W[LU + i * WIDE + k - i + LOWER]) > most:
            best, most = i, abs(W[LU + i * WIDE + k - i + LOWER])
    W[PIVOT + k] = best
    right = min(N, k + LOWER + UPPER + 1)
    if best != k:
        for c in range(k, right):
            here, there = LU + k * WIDE + c - k + LOWER, LU + best * WIDE + c - best + LOWER
            W[here], W[there] = W[there], W[here]
    W[LU + k * WIDE + LOWER] = 1.0 / W[LU + k * WIDE + LOWER]
    for i in range(k + 1, below):
        row = LU + i * WIDE - i + LOWER
        if W[row + k] != 0.0:
            W[row + k] *= W[LU + k * WIDE + LOWER]
            share = -W[row + k]
            for c in range(k + 1, right):
                W[row + c] = fma(share, W[LU + k * WIDE + c - k + LOWER], W[row + c])
"""

_SUBSTITUTE = """
for k in range(N):
    best = int(W[PIVOT + k])
    if best != k:
        W[b + k], W[b + best] = W[b + best], W[b + k]
    for i in range(k + 1, BELOW):
        W[b + i] = fma(-W[ENTRY(i,k)], W[b + k], W[b + i])
for k in range(N - 1, -1, -1):
    for c in range(k + 1, RIGHT):
        W[b + k] = fma(-W[ENTRY(k,c)], W[b + c], W[b + k])
    W[b + k] *= W[ENTRY(k,k)]
"""

_COLUMNS = """
for k in range(N):
    best = int(W[PIVOT + k])
    if best != k:
        for m in range(M):
            W[b + k * M + m], W[b + best * M + m] = W[b + best * M + m], W[b + k * M + m]
    for i in range(k + 1, BELOW):
        share = -W[ENTRY(i,k)]
        for m in range(0, M, VECTOR):
            store(W, b + i * M + m, fma(share, load(W, b + k * M + m), load(W, b + i * M + m)))
for k in range(N - 1, -1, -1):
    for c in range(k + 1, RIGHT):
        share = -W[ENTRY(k,c)]
        for m in range(0, M, VECTOR):
            store(W, b + k * M + m, fma(share, load(W, b + c * M + m), load(W, b + k * M + m)))
    share = W[ENTRY(k,k)]
    for m in range(M):
        W[b + k * M + m] *= share
"""


def factorisation(band: tuple[int, int] | None, *, sensitivities: bool) -> list[str]:
    """Return the functions factor, substitute and substitute_columns for a full (None) or banded matrix."""

    def lines(text: str) -> list[str]:
        text = text.replace("BELOW", "N" if band is None else "min(N, k + LOWER + 1)")
        text = text.replace("RIGHT", "N" if band is None else "min(N, k + LOWER + UPPER + 1)")
        for row, column in (("i", "k"), ("k", "c"), ("k", "k")):
            place = f"{row} * N + {column}" if band is None else f"{row} * WIDE + {column} - {row} + LOWER"
            text = text.replace(f"ENTRY({row},{column})", f"LU + {place}")
        return text.replace("VECTOR", str(WIDTH)).strip("\n").split("\n")

    made = [
        function("factor", "diagonal, W", lines(_FULL if band is None else _BANDED)),
        function("substitute", "W, b", lines(_SUBSTITUTE)),
    ]
    return [*made, function("substitute_columns", "W, b", lines(_COLUMNS))] if sensitivities else made
