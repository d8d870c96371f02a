"""Parameters over units: one value for all, one for each, or one for each drawn from a population.

A partially pooled parameter is normal among units on the scale that makes its support the whole line: the logarithm
for a positive parameter (so the population is lognormal), the logit for one between two ends, its own scale otherwise.
`<name>_pop` is the population's median and has the declared prior; `<name>_sd` is the SD between units on that
scale.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import scipy.special
from numpy.typing import NDArray

from workbench.base.schema import UNIT
from workbench.base.units import DIMENSIONLESS
from workbench.declare.families import FAMILIES
from workbench.declare.partial import Partial
from workbench.declare.prior import Prior, make
from workbench.declare.quantity import Parameter

if TYPE_CHECKING:
    from workbench.calibrate.fleet.correlation import Chain
    from workbench.calibrate.problem import Problem

SPREAD = make("HalfNormal", 1.0)
"""Prior of the between-unit SD on a log or logit scale: up to a factor of about seven between units at two SD."""


@dataclass(frozen=True)
class Scale:
    """The scale on which units vary normally, by the ends of a parameter's support."""

    low: float
    high: float

    @property
    def name(self) -> str:
        """The scale in a word."""
        if np.isfinite(self.low) and np.isfinite(self.high):
            return "logit"
        return "log" if np.isfinite(self.low) or np.isfinite(self.high) else "identity"

    def link(self, value: Any, log: Any = np.log) -> Any:
        """Return a value on the unbounded scale."""
        if self.name == "logit":
            return log((value - self.low) / (self.high - value))
        if self.name == "log":
            return log(value - self.low) if np.isfinite(self.low) else log(self.high - value)
        return value

    def unlink(self, value: Any, exp: Any = np.exp) -> Any:
        """Return a value of the unbounded scale on the parameter's own."""
        if self.name == "logit":
            return self.low + (self.high - self.low) / (1.0 + exp(-value))
        if self.name == "log":
            return self.low + exp(value) if np.isfinite(self.low) else self.high - exp(value)
        return value


def scale_of(prior: Prior) -> Scale:
    """Return the scale on which units of a parameter with this prior vary."""
    return Scale(*prior.support)


def spread_prior(prior: Prior, partial: Partial | None = None) -> Prior:
    """Return the prior of the SD between units, in the units of the scale on which they vary."""
    if partial is not None and partial.sd is not None:
        return partial.sd
    if scale_of(prior).name != "identity":
        return SPREAD
    half_width = 0.5 * (prior.quantile(0.84) - prior.quantile(0.16))
    return make("HalfNormal", half_width)


def variable(
    parameter: Parameter,
    way: str,
    count: int,
    shape: tuple[int, ...] = (),
    *,
    partial: Partial | None = None,
    chain: "Chain | None" = None,
) -> Any:
    """Return the PyMC variable of an estimated parameter: a scalar, or over `unit` and the dims of a vector.

    Elements of a vector are independent, and so are their populations. Where `partial` says that a population is not
    centred, `<name>_offset` is standard normal. With a chain, effects hang on those that it knows.
    """
    assert parameter.prior is not None
    own: dict[str, Any] = {"dims": parameter.dims, "shape": shape} if shape else {}
    among = {"dims": (UNIT, *parameter.dims), "shape": (count, *shape)}
    if way == "complete":
        return distribution(parameter.name, parameter.prior, **own)
    if way == "none":
        return distribution(parameter.name, parameter.prior, **among)
    population = distribution(f"{parameter.name}_pop", parameter.prior, **own)
    spread = distribution(f"{parameter.name}_sd", spread_prior(parameter.prior, partial), **own)
    scale = scale_of(parameter.prior)
    centre = scale.link(population, pt.log)
    if chain is not None:
        mean, sd = chain.told
        centre, spread = centre + spread * mean, spread * sd
    if partial is not None and partial.centred is False:
        between = pm.Normal(f"{parameter.name}_offset", mu=np.float64(0.0), sigma=np.float64(1.0), **among)
        value = pm.Deterministic(parameter.name, scale.unlink(centre + spread * between, pt.exp), dims=among["dims"])
    else:
        value = _centred(parameter.name, scale, centre, spread, among)
        between = (scale.link(value, pt.log) - centre) / spread
    if chain is not None:
        chain.known.append(between)
    return value


def noise_variable(problem: "Problem", name: str) -> Any:
    """Return the PyMC variable of an estimated argument of noise, `<output>_<argument>`."""
    quantity, way = problem.model.noise_parameters[name], problem.pool.get(name, "complete")
    return variable(quantity, way, problem.rows.size - 1, partial=problem.resolved.get(name))


def _centred(name: str, scale: Scale, centre: Any, spread: Any, among: dict[str, Any]) -> Any:
    """Return the variable of units' own values, normal on their scale."""
    if scale.name == "identity":
        return pm.Normal(name, mu=centre, sigma=spread, **among)
    if scale.name == "log" and scale.low == 0.0:
        return pm.LogNormal(name, mu=centre, sigma=spread, **among)
    if scale.name == "logit" and (scale.low, scale.high) == (0.0, 1.0):
        return _logit_normal(name, mu=centre, sigma=spread, **among)
    latent = pm.Normal(f"{name}_offset", mu=centre, sigma=spread, **among)
    return pm.Deterministic(name, scale.unlink(latent, pt.exp), dims=among["dims"])


def from_offset(prior: Prior, free: Mapping[str, Any], name: str, *, own: int, centred: bool) -> Any:
    """Return values of units from their offsets.

    Parameters
    ----------
    prior
        The declared prior of the parameter.
    free
        Draws of `<name>_offset` (..., units, *shape), and of `<name>_pop` and `<name>_sd` (..., *shape).
    name, own
        The parameter, and the number of its own dims.
    centred
        Whether offsets are values on the unbounded scale, or distances from the median over the SD.
    """
    scale, latent = scale_of(prior), free[f"{name}_offset"]
    if not centred:
        population, spread = (
            np.expand_dims(np.asarray(free[f"{name}_{part}"]), np.ndim(free[f"{name}_{part}"]) - own)
            for part in ("pop", "sd")
        )
        latent = scale.link(population) + spread * latent
    return scale.unlink(latent)


def distribution(name: str, prior: Prior, **keywords: Any) -> Any:
    """Return the PyMC variable with a declared prior."""
    make_variable = _logit_normal if prior.name == "LogitNormal" else getattr(pm, prior.name)
    # a plain 7.0 would be taken for float32, and densities would be right to eight digits only
    return make_variable(name, **{k: np.float64(v) for k, v in prior.pymc_arguments.items()}, **keywords)


def _logit_normal(name: str, **keywords: Any) -> Any:
    """Return PyMC's LogitNormal, sampled on the logit scale; by itself it would meet walls at 0 and 1."""
    return pm.LogitNormal(name, transform=pm.distributions.transforms.logodds, **keywords)


def draw_prior(prior: Prior, rng: np.random.Generator, size: Any) -> NDArray[np.float64]:
    """Return draws of a prior, without PyMC; improper priors give draws of a wide proper one (they serve as starts)."""
    if prior.name == "Flat":
        return rng.normal(0.0, 10.0, size)
    if prior.name == "TruncatedNormal":  # scipy.stats takes seconds here where JAX is installed, which it then loads
        given, (low, high) = prior.pymc_arguments, prior.support
        centre, spread = given["mu"], given.get("sigma") or given["tau"] ** -0.5
        below, above = (scipy.special.ndtr((end - centre) / spread) for end in (low, high))
        return np.clip(centre + spread * scipy.special.ndtri(rng.uniform(below, above, size)), low, high)
    if prior.name == "HalfFlat":
        return np.abs(rng.normal(0.0, 10.0, size))
    if FAMILIES[prior.name].kin is None:  # SciPy does not know it; its quantiles are known
        return np.vectorize(prior.quantile, otypes=[float])(rng.uniform(size=size))
    return np.asarray(prior.frozen().rvs(size=size, random_state=rng), dtype=np.float64)


def attributes_of(parameter: Parameter) -> dict[str, dict[str, str]]:
    """Return attributes of the variables that a pooled parameter brings: the parameter, `_pop` and `_sd`."""
    assert parameter.prior is not None
    words = parameter.long_name or parameter.name
    scale = scale_of(parameter.prior).name
    own = scale == "identity"
    return {
        parameter.name: {"units": parameter.unit, "long_name": words},
        f"{parameter.name}_pop": {"units": parameter.unit, "long_name": f"{words}, median of the population"},
        f"{parameter.name}_sd": {
            "units": parameter.unit if own else DIMENSIONLESS,
            "long_name": f"{words}, SD between units" + ("" if own else f" on the {scale} scale"),
        },
        f"{parameter.name}_offset": {"units": DIMENSIONLESS, "long_name": f"{words}, offset of units", "role": "basis"},
    }
