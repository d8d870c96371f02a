"""A stiff calibration: the three rates of Robertson's reaction from noisy concentrations over six decades of time.

    y1' = -k1 y1 + k3 y2 y3          log k1, k2, k3 ~ Normal(log of Robertson's value, 0.5)
    y2' =  k1 y1 - k3 y2 y3 - k2 y2^2
    y3' =  k2 y2^2                   (y1, 1e5 y2, y3) measured ~ Normal(state, sigma), sigmas ~ LogNormal(log 0.02, 0.5)

Equations and values: H. H. Robertson (1966), The solution of a set of reaction rate equations. The measurements were
drawn once from the solution with noise of 0.02. Points and gradients are on the log scale, in the order of `NAMES`.
"""

import math
import random

NAMES = ("k1", "k2", "k3", "sigma1", "sigma2", "sigma3")
RATES = (0.04, 3e7, 1e4)
SPREAD, NOISE, NOISE_SPREAD = 0.5, 0.02, 0.5
SCALE = 1e5  # of y2, which is never above 4e-5
RTOL, ATOL = 1e-6, 1e-10
MAX_STEPS = 100_000
TIMES = (0.1, 0.215, 0.464, 1.0, 2.15, 4.64, 10.0, 21.5, 46.4, 100.0, 215.0, 464.0, 1e3, 2150.0, 4640.0, 1e4, 2.15e4,
         4.64e4, 1e5)  # fmt: skip
MEASURED = (
    (1.037, 0.941, 0.991, 0.955, 0.929, 0.892, 0.801, 0.771, 0.683, 0.684, 0.532, 0.425, 0.331, 0.234, 0.148, 0.099,
     0.073, 0.03, 0.037),
    (3.576, 3.503, 3.38, 3.086, 2.647, 2.134, 1.634, 1.232, 0.856, 0.61, 0.454, 0.282, 0.196, 0.149, 0.093, 0.05, 0.04,
     -0.042, 0.028),
    (-0.015, -0.025, 0.023, 0.048, 0.053, 0.082, 0.159, 0.223, 0.327, 0.398, 0.477, 0.59, 0.659, 0.734, 0.842, 0.904,
     0.933, 0.95, 0.987),
)  # fmt: skip


def points() -> list[list[float]]:
    """Return the points, shape (16, 6), at which gradients are timed: about as far from the truth as a posterior is."""
    scatter = random.Random(1)
    centre = [math.log(value) for value in (*RATES, NOISE, NOISE, NOISE)]
    return [[q + (0.02 if k < 3 else 0.1) * scatter.gauss(0.0, 1.0) for k, q in enumerate(centre)] for _ in range(16)]


def log_density(point: list[float]) -> float:
    """Return the log density at a point, up to a constant, by SciPy's Radau at tight tolerances."""
    import numpy as np
    from scipy.integrate import solve_ivp

    k1, k2, k3 = np.exp(point[:3])
    made = solve_ivp(
        lambda t, y: [k3 * y[1] * y[2] - k1 * y[0], k1 * y[0] - k3 * y[1] * y[2] - k2 * y[1] ** 2, k2 * y[1] ** 2],
        (0.0, TIMES[-1]), (1.0, 0.0, 0.0), method="Radau", t_eval=TIMES, rtol=1e-11, atol=1e-16,
    )  # fmt: skip
    total = -0.5 * sum(((q - math.log(rate)) / SPREAD) ** 2 for q, rate in zip(point, RATES, strict=False))
    for row, scale, measured, q in zip(made.y, (1.0, SCALE, 1.0), MEASURED, point[3:], strict=True):
        misfit = (np.array(measured) - scale * row) / math.exp(q)
        total += -0.5 * float(np.sum(misfit**2)) - len(TIMES) * q - 0.5 * ((q - math.log(NOISE)) / NOISE_SPREAD) ** 2
    return total


def gradient(point: list[float], step: float = 1e-3) -> list[float]:
    """Return the gradient (6,) at a point by central differences of fourth order."""

    def along(i: int, shift: float) -> float:
        return log_density([q + (shift if i == j else 0.0) for j, q in enumerate(point)])

    return [
        (8 * (along(i, step) - along(i, -step)) - along(i, 2 * step) + along(i, -2 * step)) / (12 * step)
        for i in range(len(NAMES))
    ]
