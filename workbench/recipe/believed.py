"""Priors as people set them: a family, and the interval that holds 90 % of what is believed."""

import math
from typing import Any

import numpy as np

from workbench.base.errors import DeclarationError
from workbench.declare.elicit import from_interval
from workbench.declare.prior import Prior, make

MASS = 0.9
OFFERED = (
    "LogNormal", "Normal", "TruncatedNormal", "HalfNormal", "Exponential", "Uniform", "Gamma", "InverseGamma", "Beta",
    "StudentT", "Laplace", "Logistic", "Cauchy", "HalfCauchy", "Weibull", "Gumbel",
)  # fmt: skip
_POINTS = 96


def interval(prior: Prior) -> tuple[float, float]:
    """Return the interval with 90 % of the prior, tails equal; DeclarationError where it has no quantiles."""
    return prior.quantile(0.5 - MASS / 2), prior.quantile(0.5 + MASS / 2)


def spanning(family: str, low: float, high: float, like: Prior | None = None) -> Prior:
    """Return a prior of a family with 90 % between two numbers; of a family on one side, the upper of them.

    Parameters
    ----------
    family
        A name of `OFFERED`.
    low, high
        In the unit of the quantity.
    like
        The prior before, whose limits and tails are kept where the family has them too.

    Raises
    ------
    DeclarationError
        If the family has no such member.
    """
    if not math.isfinite(low) or not math.isfinite(high) or not low < high:
        raise DeclarationError(f"{family}: got interval {low:g} to {high:g}; expected low < high")
    kept = dict(like.arguments) if like is not None and like.name == family else {}
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    match family:
        case "HalfNormal" | "Exponential" | "HalfCauchy":
            one = make(family, **{_SCALE[family]: 1.0})
            scale = high / one.quantile(0.5 + MASS / 2)
            if not scale > 0:
                raise DeclarationError(f"{family}: got interval {low:g} to {high:g}; expected one above 0")
            return make(family, **{_SCALE[family]: 1 / scale if family == "Exponential" else scale})
        case "Uniform":
            return make(family, lower=middle - half / MASS, upper=middle + half / MASS)
        case "StudentT":
            nu = kept.get("nu", 4.0)
            return make(family, nu=nu, mu=middle, sigma=half / make(family, nu=nu, mu=0.0, sigma=1.0).quantile(0.95))
        case "TruncatedNormal":
            ends: dict[str, float] = {key: kept[key] for key in ("lower", "upper") if key in kept}
            if not ends and like is not None:
                ends |= {k: v for k, v in zip(("lower", "upper"), like.support, strict=True) if math.isfinite(v)}
            return _truncated(low, high, ends)
    return make(family, **from_interval(family, low, high, MASS))


_SCALE = {"HalfNormal": "sigma", "Exponential": "lam", "HalfCauchy": "beta"}


def _truncated(low: float, high: float, ends: dict[str, float]) -> Prior:
    """Search mean and log SD of the normal law whose truncation has the interval."""
    import scipy.optimize

    start = np.array([0.5 * (low + high), math.log(0.304 * (high - low))])

    def misfit(at: Any) -> Any:
        mean, spread = float(at[0]), float(np.exp(np.clip(at[1], -30, 30)))
        try:
            made = interval(make("TruncatedNormal", mu=mean, sigma=spread, **ends))
        except DeclarationError:
            return np.full(2, 1e3)
        return (np.array(made) - [low, high]) / (high - low)

    found = scipy.optimize.least_squares(misfit, start, x_scale=[high - low, 1.0])
    if np.abs(found.fun).max() > 1e-3:
        raise DeclarationError(f"TruncatedNormal: got interval {low:g} to {high:g}; expected one that it can have")
    return make("TruncatedNormal", mu=float(found.x[0]), sigma=float(np.exp(found.x[1])), **ends)


def curve(prior: Prior) -> dict[str, Any]:
    """Return a prior as a small picture: places, densities, its interval, and whether the axis is logarithmic."""
    low, high = interval(prior)
    first, last = prior.quantile(0.002), prior.quantile(0.998)
    floor, ceiling = prior.support
    logarithmic = floor >= 0 and first > 0 and last / first > 20
    reach = 0.6 * (high - low)
    if not logarithmic:  # heavy tails would leave nothing to see
        first, last = max(first, floor, low - reach), min(last, ceiling, high + reach)
    grid = np.geomspace(first, last, _POINTS) if logarithmic else np.linspace(first, last, _POINTS)
    density = prior.frozen().pdf(grid) * (grid if logarithmic else 1.0)
    return {
        "x": grid.tolist(),
        "y": np.nan_to_num(density, posinf=0.0).tolist(),
        "low": low,
        "high": high,
        "logarithmic": bool(logarithmic),
    }
