"""How readings scatter around the model's outputs: as PyMC variables, and as plain NumPy for many draws."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import scipy.stats
from numpy.typing import NDArray

from workbench.calibrate.sensors import tails
from workbench.declare.noise import Noise
from workbench.declare.values import Bounds

Array = NDArray[np.float64]
MOST = 1e18  # a count's mean is held below this, as PyMC gives no density and no draw of a count at infinity
LEAST = 1e-300  # of a spread, so that a proportional error around zero is no error, and no division by zero
NO_LIMITS: Bounds = (None, None)


def likelihood(
    name: str, noise: Noise, output: Any, arguments: Mapping[str, Any], *, limits: Bounds = NO_LIMITS, **keywords: Any
) -> Any:
    """Return the PyMC variable of an output's readings; `keywords` hold `observed` and dims.

    With limits it is a `CustomDist` whose density at a limit is the probability of a reading there or beyond.
    """
    given = {key: pt.as_tensor(value, dtype="float64") for key, value in arguments.items()}
    if limits == NO_LIMITS:
        make, values = _of_pymc(noise, output, given)
        return make(name, **values, **keywords)

    def logp(value: Any, centre: Any, *rest: Any) -> Any:
        own = dict(zip(given, rest, strict=True))
        make, values = _of_pymc(noise, centre, own)
        return _limited(noise, value, centre, own, limits=limits, inside=pm.logp(make.dist(**values), value))

    def random(centre: Any, *rest: Any, rng: Any = None, size: Any = None) -> Any:
        drawn = draw_readings(noise, np.broadcast_to(centre, size), dict(zip(given, rest, strict=True)), rng, limits)
        return drawn.astype(np.int64) if noise.family.readings == "count" else drawn

    kind = "int64" if noise.family.readings == "count" else "float64"
    return pm.CustomDist(name, output, *given.values(), logp=logp, random=random, dtype=kind, **keywords)


def _of_pymc(noise: Noise, output: Any, arguments: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return PyMC's distribution of a reading without limits, and its arguments."""
    match noise.name:
        case "LogNormal":
            return pm.LogNormal, {"mu": pt.log(output), **arguments}
        case "Poisson" | "NegativeBinomial":
            return getattr(pm, noise.name), {"mu": pt.minimum(output, MOST), **arguments}
        case "StudentT" | "Laplace":
            return getattr(pm, noise.name), {"mu": output, **arguments}
    return pm.Normal, {"mu": output, "sigma": spread(noise, output, arguments)}


def spread(noise: Noise, output: Any, arguments: Mapping[str, Any]) -> Any:
    """Return the SD of a Gaussian noise around `output`, arrays or PyTensor variables."""
    match noise.name:
        case "Proportional":
            return arguments["sigma"] * abs(output)
        case "Combined":
            f = tails.functions_for(output, *arguments.values())
            return f.sqrt(arguments["additive"] ** 2 + (arguments["proportional"] * output) ** 2)
    return arguments["sigma"]


def law(noise: Noise, output: Array, arguments: Mapping[str, Array]) -> Any:
    """Return the frozen SciPy distribution of a reading around `output`; arguments broadcast against it."""
    match noise.name:
        case "LogNormal":
            return scipy.stats.lognorm(arguments["sigma"], scale=output)
        case "StudentT":
            return scipy.stats.t(arguments["nu"], output, arguments["sigma"])
        case "Laplace":
            return scipy.stats.laplace(output, arguments["b"])
        case "Poisson":
            return scipy.stats.poisson(output)
        case "NegativeBinomial":
            alpha = arguments["alpha"]
            return scipy.stats.nbinom(alpha, alpha / (alpha + output))
    return scipy.stats.norm(output, np.maximum(spread(noise, output, arguments), LEAST))


def log_density(
    noise: Noise, readings: Array, output: Array, arguments: Mapping[str, Array], limits: Bounds = NO_LIMITS
) -> Array:
    """Return the log density of each reading; at a limit the log probability of a reading there or beyond."""
    distribution = law(noise, output, arguments)
    inside = distribution.logpmf(readings) if noise.family.readings == "count" else distribution.logpdf(readings)
    if limits == NO_LIMITS:
        return inside
    return _limited(noise, readings, output, arguments, limits=limits, inside=inside)


def chances(
    noise: Noise, readings: Array, output: Array, arguments: Mapping[str, Array], limits: Bounds = NO_LIMITS
) -> tuple[Array, Array]:
    """Return the probabilities of less than each reading and of no more than it; one number but for counts and limits.

    A reading at a limit stands for all there or beyond.
    """
    distribution, whole = law(noise, output, arguments), noise.family.readings == "count"
    up_to = distribution.cdf(readings)
    less, (low, high) = distribution.cdf(readings - 1) if whole else up_to, limits
    if low is not None:
        less = np.where(readings <= low, 0.0, less)
        up_to = np.where(readings <= low, distribution.cdf(low), up_to)
    if high is not None:
        less = np.where(readings >= high, distribution.cdf(np.ceil(high) - 1 if whole else high), less)
        up_to = np.where(readings >= high, 1.0, up_to)
    return less, up_to


def _limited(
    noise: Noise, readings: Any, output: Any, arguments: Mapping[str, Any], *, limits: Bounds, inside: Any
) -> Any:
    """Return `inside`, and where a reading is at a limit the log probability of one there or beyond (Beal 2001, M3)."""
    f = tails.functions_for(readings, output, *arguments.values())
    low, high = limits
    if low is not None:
        inside = f.where(readings <= low, up_to(noise, low, output, arguments), inside)
    if high is not None:
        inside = f.where(readings >= high, at_least(noise, high, output, arguments), inside)
    return inside


def up_to(noise: Noise, value: float, output: Any, arguments: Mapping[str, Any]) -> Any:
    """Return the log probability of a reading of at most `value`, arrays or PyTensor variables."""
    return _one_side(noise, value, output, arguments, side=1)


def at_least(noise: Noise, value: float, output: Any, arguments: Mapping[str, Any]) -> Any:
    """Return the log probability of a reading of at least `value`, arrays or PyTensor variables."""
    return _one_side(noise, value, output, arguments, side=-1)


def _one_side(noise: Noise, value: float, output: Any, arguments: Mapping[str, Any], *, side: int) -> Any:
    f = tails.functions_for(output, *arguments.values())
    if noise.family.readings == "count":
        if side < 0 and value == 0:
            return f.minimum(output, 0.0)  # any count is 0 or more; with the output, for its shape
        mean = f.minimum(f.maximum(output, LEAST), MOST)
        names = {1: "up_to", -1: "from"}
        if noise.name == "Poisson":
            made = getattr(tails, f"poisson_{names[side]}")(value, mean)
        else:
            made = getattr(tails, f"negative_binomial_{names[side]}")(value, mean, arguments["alpha"])
        return f.where(output < 0.0, -np.inf, made)
    match noise.name:
        case "LogNormal":
            return tails.normal(side * (np.log(value) - f.log(output)) / arguments["sigma"])
        case "StudentT":
            return tails.student(side * (value - output) / arguments["sigma"], arguments["nu"])
        case "Laplace":
            return tails.laplace(side * (value - output) / arguments["b"])
    return tails.normal(side * (value - output) / f.maximum(spread(noise, output, arguments), LEAST))


def draw_readings(
    noise: Noise,
    output: Array,
    arguments: Mapping[str, Array],
    rng: np.random.Generator,
    limits: Bounds = NO_LIMITS,
) -> Array:
    """Return one reading for each value of `output`; at a limit where it were beyond, NaN where none is possible."""
    known = np.isfinite(output) & ((output >= 0) | (noise.family.readings == "real"))
    safe = np.where(known, output, 1.0)
    drawn = law(noise, safe, arguments).rvs(size=output.shape, random_state=rng)
    return clipped(np.where(known, drawn, np.nan), limits)


def clipped(readings: Array, limits: Bounds) -> Array:
    """Return readings as they are reported: at a limit where they are beyond it."""
    return readings if limits == NO_LIMITS else np.clip(readings, *limits)
