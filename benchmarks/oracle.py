"""The log density once more, by scipy alone: DOP853 at 1e-13, scipy's distributions, fourth-order differences."""

from benchmarks.problem import HARE, LYNX, NAMES, YEARS


def log_density(point: list[float]) -> float:
    """Return the log density, up to nothing, at a point (8,) on the log scale."""
    import numpy as np
    from scipy import stats
    from scipy.integrate import solve_ivp

    alpha, beta, gamma, delta, *start, sigma_hare, sigma_lynx = theta = np.exp(point)
    solution = solve_ivp(
        lambda _, z: [(alpha - beta * z[1]) * z[0], (-gamma + delta * z[0]) * z[1]],
        (YEARS[0], YEARS[-1]), start, method="DOP853", t_eval=YEARS, rtol=1e-13, atol=1e-13,
    )  # fmt: skip
    total = float(np.sum(point))  # the Jacobian of the logarithms
    for value, mean, sd in zip(theta[:4], (1, 0.05, 1, 0.05), (0.5, 0.05, 0.5, 0.05), strict=True):
        total += stats.truncnorm.logpdf(value, -mean / sd, np.inf, loc=mean, scale=sd)
    for value, median in zip(theta[4:], (10, 10, np.exp(-1), np.exp(-1)), strict=True):
        total += stats.lognorm.logpdf(value, 1.0, scale=median)
    for state, pelts, sigma in zip(solution.y, (HARE, LYNX), (sigma_hare, sigma_lynx), strict=True):
        total += np.sum(stats.lognorm.logpdf(pelts, sigma, scale=state))
    return float(total)


def gradient(point: list[float], step: float = 2e-3) -> list[float]:
    """Return the gradient (8,) at a point by central differences of fourth order."""

    def along(i: int, shift: float) -> float:
        return log_density([q + (shift if i == j else 0.0) for j, q in enumerate(point)])

    return [
        (8 * (along(i, step) - along(i, -step)) - along(i, 2 * step) + along(i, -2 * step)) / (12 * step)
        for i in range(len(NAMES))
    ]
