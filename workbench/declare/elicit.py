"""Priors from an interval: which member of a family puts a given probability between two numbers, tails equal."""

import math

from workbench.base.errors import DeclarationError, unknown
from workbench.declare.families import FAMILIES

_SEARCHED = {name: ("alpha", "beta") for name in ("Beta", "Gamma", "InverseGamma", "Weibull")}
_LOCATED = {"Normal": "sigma", "Logistic": "s", "Laplace": "b", "Cauchy": "beta", "Gumbel": "beta"}


def from_interval(name: str, low: float, high: float, mass: float) -> dict[str, float]:
    """Return the arguments of family `name` whose quantiles (1-mass)/2 and (1+mass)/2 are `low` and `high`."""
    known = ["LogNormal", *_LOCATED, *_SEARCHED]
    if name not in known:
        raise DeclarationError(unknown("family", name, known, "wb.prior.interval"))
    if not low < high or not 0 < mass < 1:
        raise DeclarationError(
            f"got interval {low:g} to {high:g} with mass {mass:g}; expected low < high, 0 < mass < 1"
        )
    floor, ceiling = FAMILIES[name].support
    if (isinstance(floor, float) and low <= floor) or (isinstance(ceiling, float) and high >= ceiling):
        raise DeclarationError(f"{name}: got interval {low:g} to {high:g}; expected it inside {floor:g} to {ceiling:g}")
    tail = (1 - mass) / 2
    if name == "LogNormal":
        inner = from_interval("Normal", math.log(low), math.log(high), mass)
        return {"median": math.exp(inner["mu"]), "sigma": inner["sigma"]}
    if name in _LOCATED:
        return _located(name, low, high, tail)
    return _searched(name, low, high, tail)


def _located(name: str, low: float, high: float, tail: float) -> dict[str, float]:
    """Solve the two linear equations of a location-scale family."""
    from workbench.declare.prior import make

    place = "alpha" if name == "Cauchy" else "mu"
    standard = make(name, **{place: 0.0, _LOCATED[name]: 1.0}).frozen()
    a, b = float(standard.ppf(tail)), float(standard.ppf(1 - tail))
    scale = (high - low) / (b - a)
    return {place: low - scale * a, _LOCATED[name]: scale}


def _searched(name: str, low: float, high: float, tail: float) -> dict[str, float]:
    """Search the two arguments on the log scale by least squares on the two quantiles."""
    import numpy as np
    import scipy.optimize

    from workbench.declare.prior import make

    arguments = _SEARCHED[name]

    def misfit(logs: np.ndarray) -> np.ndarray:
        law = make(name, **dict(zip(arguments, np.exp(logs), strict=True))).frozen()
        return np.array([law.cdf(low) - tail, law.sf(high) - tail])

    middle, width = 0.5 * (low + high), 0.25 * (high - low)
    if name == "Beta":
        size = middle * (1 - middle) / width**2
        guess = [middle * size, (1 - middle) * size]
    elif name == "Weibull":
        guess = [middle / width, middle]
    elif name == "Gamma":
        guess = [(middle / width) ** 2, middle / width**2]
    else:
        guess = [2 + (middle / width) ** 2, middle * (1 + (middle / width) ** 2)]
    found = scipy.optimize.root(misfit, np.log(np.maximum(guess, 1e-3)), tol=1e-12)
    if np.max(np.abs(misfit(found.x))) > 1e-6:
        raise DeclarationError(f"{name}: got interval {low:g} to {high:g}; expected one that a {name} can have")
    return {key: float(value) for key, value in zip(arguments, np.exp(found.x), strict=True)}
