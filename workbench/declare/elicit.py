"""Priors from an interval: which member of a family puts a given probability between two numbers, tails equal."""

import math

from workbench.base.errors import DeclarationError, unknown
from workbench.declare.families import FAMILIES

_LOCATED = {"Normal": "sigma", "Logistic": "s", "Laplace": "b", "Cauchy": "beta", "Gumbel": "beta"}
_KNOWN = ("LogNormal", *_LOCATED, "Beta", "Gamma", "InverseGamma", "Weibull")


def from_interval(name: str, low: float, high: float, mass: float) -> dict[str, float]:
    """Return the arguments of family `name` whose quantiles (1-mass)/2 and (1+mass)/2 are `low` and `high`."""
    if name not in _KNOWN:
        raise DeclarationError(unknown("family", name, _KNOWN, "wb.prior.interval"))
    if not low < high or not 0 < mass < 1:
        raise DeclarationError(
            f"{name}: got interval {low:g} to {high:g} with mass {mass:g}; expected low < high, 0 < mass < 1"
        )
    floor, ceiling = FAMILIES[name].support
    if (isinstance(floor, float) and low <= floor) or (isinstance(ceiling, float) and high >= ceiling):
        raise DeclarationError(f"{name}: got interval {low:g} to {high:g}; expected it inside {floor:g} to {ceiling:g}")
    tail = (1 - mass) / 2
    match name:
        case "LogNormal":
            inner = _located("Normal", math.log(low), math.log(high), tail)
            return {"median": math.exp(inner["mu"]), "sigma": inner["sigma"]}
        case "Weibull":  # log X is a line in log(-log(1 - mass))
            ends = math.log(-math.log1p(-tail)), math.log(-math.log(tail))
            alpha = (ends[1] - ends[0]) / math.log(high / low)
            return {"alpha": alpha, "beta": low * math.exp(-ends[0] / alpha)}
        case "Gamma":
            return _gamma(low, high, tail)
        case "InverseGamma":  # the inverse of a Gamma of the same arguments
            return _gamma(1 / high, 1 / low, tail)
        case "Beta":
            return _beta(low, high, tail)
    return _located(name, low, high, tail)


def _located(name: str, low: float, high: float, tail: float) -> dict[str, float]:
    """Solve the two linear equations of a location-scale family."""
    from workbench.declare.prior import make

    place = "alpha" if name == "Cauchy" else "mu"
    standard = make(name, **{place: 0.0, _LOCATED[name]: 1.0})
    a, b = standard.quantile(tail), standard.quantile(1 - tail)
    scale = (high - low) / (b - a)
    return {place: low - scale * a, _LOCATED[name]: scale}


def _gamma(low: float, high: float, tail: float) -> dict[str, float]:
    """Find the shape, on which alone the ratio of the quantiles depends; then the rate."""
    import scipy.optimize
    import scipy.special

    def excess(log_shape: float) -> float:
        ends = scipy.special.gammaincinv(math.exp(log_shape), [tail, 1 - tail])
        return math.log(ends[1]) - math.log(max(ends[0], 1e-300)) - math.log(high / low)

    bracket = math.log(1e-2), math.log(1e10)
    if not excess(bracket[0]) > 0 > excess(bracket[1]):
        raise DeclarationError(f"got interval {low:g} to {high:g}; expected one that a Gamma can have")
    shape = math.exp(scipy.optimize.brentq(excess, *bracket, xtol=1e-12))
    return {"alpha": shape, "beta": float(scipy.special.gammaincinv(shape, tail)) / low}


def _beta(low: float, high: float, tail: float) -> dict[str, float]:
    """Search both shapes on the log scale, from those of the normal law with this interval."""
    import numpy as np
    import scipy.optimize
    import scipy.special

    middle, spread = 0.5 * (low + high), 0.5 * (high - low) / -float(scipy.special.ndtri(tail))
    size = max(middle * (1 - middle) / spread**2 - 1, 0.1)

    def misfit(logs: np.ndarray) -> np.ndarray:
        a, b = np.exp(logs)
        return np.array([scipy.special.betainc(a, b, low) - tail, scipy.special.betaincc(a, b, high) - tail])

    found = scipy.optimize.root(misfit, np.log([middle * size, (1 - middle) * size]), tol=1e-12)
    if np.max(np.abs(misfit(found.x))) > 1e-6:
        raise DeclarationError(f"Beta: got interval {low:g} to {high:g}; expected one that a Beta can have")
    return {key: float(value) for key, value in zip(("alpha", "beta"), np.exp(found.x), strict=True)}
