"""What is believed before the first reading: starts and parameters from priors, numbers, or a posterior's draws."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workbench.base.errors import DataError, ParameterError, unknown
from workbench.declare.families import FAMILIES
from workbench.declare.model import Model
from workbench.declare.prior import Prior
from workbench.simulate.kernel import solve
from workbench.simulate.members import gather
from workbench.simulate.scenario import Schedule
from workbench.sync.filters.scale import Scales, natural, no_scales, unbounded

Array = NDArray[np.float64]
_QUANTILES = (np.arange(400) + 0.5) / 400
_IMPROPER = ("Flat", "HalfFlat")


@dataclass(frozen=True, eq=False)
class Belief:
    """Values of theta, and what is uncertain in it.

    Attributes
    ----------
    theta
        (P,) in the order of `model.theta_layout`.
    priors
        For uncertain places of theta their prior, in order.
    draws
        (D, P) draws of a posterior; empty for none. Places that vary among them are uncertain.
    scales
        The parameters that are estimated jointly with the states, by their places.
    joint
        Their names ("k", or "k[2]" for an element of a vector).
    noise
        Arguments of noise models by name.
    """

    theta: Array
    priors: dict[int, Prior]
    draws: Array
    scales: Scales
    joint: tuple[str, ...]
    noise: dict[str, float] = field(default_factory=dict)

    @property
    def varying(self) -> NDArray[np.int64]:
        """Places of theta that vary among the draws."""
        if len(self.draws) < 2:
            return np.empty(0, dtype=np.int64)
        return np.flatnonzero((self.draws != self.draws[0]).any(axis=0))

    def sample(self, rng: np.random.Generator, count: int) -> Array:
        """Return (count, P) draws of theta.

        Raises
        ------
        DataError
            If a prior is improper, from which nothing can be drawn.
        """
        made = np.tile(self.theta, (count, 1))
        if self.varying.size:
            rows = rng.choice(len(self.draws), count, replace=count > len(self.draws))
            made[:, self.varying] = self.draws[rows][:, self.varying]
        for place, prior in self.priors.items():
            if prior.name in _IMPROPER:
                raise DataError(f"got prior {prior!r} of a start; expected a proper one, as members are drawn from it")
            made[:, place] = _quantiles(prior, rng.random(count))
        return made

    def moments(self) -> tuple[NDArray[np.int64], Array, Array, NDArray[np.bool_]]:
        """Return uncertain places, their mean and covariance (estimated parameters as phi), and which are diffuse."""
        places = np.array(sorted({*self.varying.tolist(), *self.priors}), dtype=np.int64)
        mean, covariance = np.zeros(places.size), np.zeros((places.size, places.size))
        varying = np.isin(places, self.varying) & ~np.isin(places, list(self.priors))
        if varying.any():
            drawn = np.stack([self._phi(place, self.draws[:, place]) for place in places[varying]], axis=1)
            mean[varying] = drawn.mean(axis=0)
            covariance[np.ix_(varying, varying)] = np.cov(drawn.T)
        diffuse = np.array([p in self.priors and self.priors[int(p)].name == "Flat" for p in places], dtype=bool)
        for k, place in enumerate(places.tolist()):
            if place in self.priors and not diffuse[k]:
                mean[k], covariance[k, k] = self._moments(int(place), self.priors[int(place)])
        return places, mean, covariance, diffuse

    def _moments(self, place: int, prior: Prior) -> tuple[float, float]:
        """Return mean and variance of a prior, of an estimated parameter those of phi.

        Of what has an end these are integrals over a normal score s, phi being smooth in it: Gauss-Hermite quadrature.
        """
        where = np.flatnonzero(self.scales.place == place)
        ends = (
            (float(self.scales.low[where[0]]), float(self.scales.high[where[0]])) if where.size else (-np.inf, np.inf)
        )
        if np.isfinite(ends).any():
            nodes, weights = np.polynomial.hermite_e.hermegauss(16)
            weights = weights / weights.sum()
            score = np.array([0.5 * math.erfc(-s / math.sqrt(2)) for s in nodes])
            phi = self._phi(place, _quantiles(prior, score))
            centre = float(weights @ phi)
            return centre, float(weights @ (phi - centre) ** 2)
        if FAMILIES[prior.name].kin is not None:
            mean, variance = prior.frozen().stats("mv")
            if np.isfinite(variance):
                return float(mean), float(variance)
        values = _quantiles(prior, _QUANTILES)  # without a variance: that of the bulk
        return float(values.mean()), float(values.var())

    def _phi(self, place: int, values: Array) -> Array:
        where = np.flatnonzero(self.scales.place == place)
        return values if where.size == 0 else unbounded(self.scales.low[where[0]], self.scales.high[where[0]], values)

    def theta_of(self, places: NDArray[np.int64], values: Array) -> Array:
        """Return (B, P) theta with (B, U) values at uncertain places (estimated parameters as phi)."""
        made = np.tile(self.theta, (len(values), 1))
        for k, place in enumerate(places.tolist()):
            where = np.flatnonzero(self.scales.place == place)
            made[:, place] = values[:, k]
            for j in where:
                made[:, place] = [natural(self.scales.low[j], self.scales.high[j], v)[0] for v in values[:, k]]
        return made


def starts(model: Model, schedule: Schedule, theta: Array) -> Array:
    """Return (B, N) states when the clock starts, before any impulse, for (B, P) theta."""
    begin = schedule.begin[:1].copy()
    still = replace(schedule, jump=np.zeros_like(schedule.jump))
    made = solve(model, theta[:, None], still, rows=np.array([0, 1]), times=begin)
    return made.states[:, 0]


def believe(model: Model, parameters: Any, unit: int, units: Any) -> Belief:
    """Return what is believed of a unit.

    Parameters
    ----------
    parameters
        Mapping from names to numbers (known), priors (estimated jointly with the states) or DataArrays of draws
        (likewise); a posterior's Dataset, DataTree, or a calibration. What is left out takes its declared value, or
        the median of its prior; a start with a prior is uncertain.
    unit, units
        Number of the unit, and the labels of all.
    """
    given, priors = _given(model, parameters)
    fixed = {n: v for n, v in given.items() if n in model.theta}
    flat = {n: 0.0 for n, q in model.theta.items() if q.prior is not None and q.prior.name in _IMPROPER}
    members, _ = gather(model, {**{n: v for n, v in flat.items() if n not in fixed}, **fixed}, None, units)
    values = members.values[:, unit]
    uncertain, layout = dict[int, Prior](), model.theta_layout
    for name, q in {**model.start_parameters, **{n: model.theta[n] for n in priors}}.items():
        prior = priors.get(name, q.prior)
        if name not in fixed and prior is not None:
            uncertain |= dict.fromkeys(range(layout.places[name].start, layout.places[name].stop), prior)
    theta = np.median(values, axis=0)
    belief = Belief(theta, uncertain, values if len(values) > 1 else values[:0], no_scales(), ())
    quiet = {k for n in model.process_parameters for k in layout.columns([n])}
    begin = {k for n in model.start_parameters for k in layout.columns([n])}
    joint = sorted({*belief.varying.tolist(), *uncertain} - quiet - begin)
    ends = [_support(model, layout, place, uncertain) for place in joint]
    scales = (
        Scales(np.array(joint, dtype=np.int64), *(np.array(e, dtype=float) for e in zip(*ends, strict=True)))
        if joint
        else no_scales()
    )
    labels = layout.labels()
    noise = {n: float(np.median(np.asarray(given[n], dtype=float))) for n in model.noise_parameters if n in given}
    varied = [labels[k] for k in joint]
    return replace(belief, scales=scales, joint=tuple(varied), noise=noise)


def _given(model: Model, parameters: Any) -> tuple[dict[str, Any], dict[str, Prior]]:
    """Return values by name, and priors of parameters to estimate."""
    parameters = getattr(parameters, "posterior", parameters)
    if isinstance(parameters, xr.DataTree):
        parameters = parameters.to_dataset()
    if isinstance(parameters, xr.Dataset):
        known = {**model.theta, **model.noise_parameters}
        return {str(n): v for n, v in parameters.data_vars.items() if n in known}, {}
    if not isinstance(parameters, Mapping | None):
        raise ParameterError(f"got parameters of type {type(parameters).__name__}; expected a mapping, or a posterior")
    given, priors = {}, {}
    for name, value in (parameters or {}).items():
        if name not in model.theta and name not in model.noise_parameters:
            raise ParameterError(unknown("parameter", name, [*model.theta, *model.noise_parameters], model.name))
        if not isinstance(value, Prior):
            given[name] = value
        elif name in model.theta and name not in model.process_parameters:
            priors[name] = value
        else:
            raise ParameterError(
                f"{name}: got {value!r}; expected a number, as filters estimate no noise (wb.calibrate does)"
            )
    return given, priors


def _support(model: Model, layout: Any, place: int, priors: Mapping[int, Prior]) -> tuple[float, float]:
    name = next(n for n, at in layout.places.items() if at.start <= place < at.stop)
    prior = priors.get(place, model.theta[name].prior)
    low, high = prior.support if prior is not None else model.theta[name].bounds
    return -np.inf if low is None else float(low), np.inf if high is None else float(high)


def _quantiles(prior: Prior, share: Array) -> Array:
    if FAMILIES[prior.name].kin is not None and FAMILIES[prior.name].quantile is None:
        return np.asarray(prior.frozen().ppf(share), dtype=float)
    return np.array([prior.quantile(float(q)) for q in share])
