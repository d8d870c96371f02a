"""How readings scatter around the model's outputs: as PyMC variables, and as plain NumPy for many draws."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import scipy.stats
from numpy.typing import NDArray

from workbench.declare.noise import Noise

Array = NDArray[np.float64]
MOST = 1e18  # a count's mean is held below this, as PyMC gives no density and no draw of a count at infinity


def likelihood(name: str, noise: Noise, output: Any, arguments: Mapping[str, Any], **keywords: Any) -> Any:
    """Return the PyMC variable of an output's readings; `keywords` hold `observed` and dims."""
    arguments = {key: pt.as_tensor(value, dtype="float64") for key, value in arguments.items()}
    match noise.name:
        case "LogNormal":
            return pm.LogNormal(name, mu=pt.log(output), **arguments, **keywords)
        case "Poisson":
            return pm.Poisson(name, mu=pt.minimum(output, MOST), **keywords)
        case "NegativeBinomial":
            return pm.NegativeBinomial(name, mu=pt.minimum(output, MOST), **arguments, **keywords)
    return getattr(pm, noise.name)(name, mu=output, **arguments, **keywords)


def law(noise: Noise, output: Array, arguments: Mapping[str, Array]) -> Any:
    """Return the frozen SciPy distribution of readings around `output`; arguments broadcast against it."""
    match noise.name:
        case "Normal":
            return scipy.stats.norm(output, arguments["sigma"])
        case "LogNormal":
            return scipy.stats.lognorm(arguments["sigma"], scale=output)
        case "StudentT":
            return scipy.stats.t(arguments["nu"], output, arguments["sigma"])
        case "Laplace":
            return scipy.stats.laplace(output, arguments["b"])
        case "Poisson":
            return scipy.stats.poisson(output)
    alpha = arguments["alpha"]
    return scipy.stats.nbinom(alpha, alpha / (alpha + output))


def log_density(noise: Noise, readings: Array, output: Array, arguments: Mapping[str, Array]) -> Array:
    """Return the log density of each reading."""
    distribution = law(noise, output, arguments)
    return distribution.logpmf(readings) if noise.family.readings == "count" else distribution.logpdf(readings)


def draw_readings(noise: Noise, output: Array, arguments: Mapping[str, Array], rng: np.random.Generator) -> Array:
    """Return one reading for each value of `output`; NaN where none is possible."""
    known = np.isfinite(output) & ((output >= 0) | (noise.family.readings == "real"))
    safe = np.where(known, output, 1.0)
    drawn = law(noise, safe, arguments).rvs(size=output.shape, random_state=rng)
    return np.where(known, drawn, np.nan)
