"""Reference solutions of smooth problems in extended precision (80-bit floats), by extrapolation of the midpoint rule.

Gragg, Bulirsch and Stoer; E. Hairer, S. P. Norsett and G. Wanner, Solving Ordinary Differential Equations I, section
II.9. Columns of the extrapolation table are of even order, so ten of them leave little but rounding.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

COLUMNS = 10


def extended(slopes: Callable[[Any, list[Any]], Sequence[Any]], start: Sequence[float], end: float) -> list[float]:
    """Return the states at the end, from step sizes that are chosen so that the last two columns agree to 1e-16."""
    y, t = np.array(start, dtype=np.longdouble), np.longdouble(0.0)
    h = np.longdouble(0.1)
    while t < end:
        h = min(h, end - t)
        made, wrong = _step(slopes, t, y, h)
        if wrong <= 1:
            t, y = t + h, made
        h *= min(1.5, max(0.3, 0.9 * float(wrong + 1e-30) ** (-1 / (2 * COLUMNS - 1))))
    return [float(value) for value in y]


def _step(slopes: Any, t: Any, y: Any, h: Any) -> tuple[Any, Any]:
    """Return the states after a step, and by how much the last two columns differ, relative to what is allowed."""
    table: list[Any] = []
    counts = [2 * (k + 1) for k in range(COLUMNS)]
    first = np.array(slopes(t, list(y)), dtype=np.longdouble)
    for k, count in enumerate(counts):
        step = h / count
        before, here = y, y + step * first
        for i in range(1, count):
            before, here = here, before + 2 * step * np.array(slopes(t + i * step, list(here)), dtype=np.longdouble)
        last = np.array(slopes(t + h, list(here)), dtype=np.longdouble)
        row = [(before + here + step * last) / 2]
        for j in range(1, k + 1):
            row.append(row[-1] + (row[-1] - table[j - 1]) / ((np.longdouble(count) / counts[k - j]) ** 2 - 1))
        table = row
    difference = np.abs(table[-1] - table[-2]) / (1 + np.abs(y))
    return table[-1], np.max(difference) / np.longdouble(1e-16)
