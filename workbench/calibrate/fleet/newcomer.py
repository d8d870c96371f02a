"""A unit that joins the fleet, known by a few readings: the fleet's posterior is its prior, and is not sampled again.

With phi for what units share (medians and SDs of populations, common parameters, noise) and eta for the unit's own
values,

    p(phi, eta | fleet, readings) ~ p(phi | fleet) p(eta | phi) p(readings | phi, eta),

the posterior of a calibration of all of them, for each of whose chains sequential Monte Carlo (Del Moral, Doucet &
Jasra, Journal of the Royal Statistical Society B 68 (2006) 411-436) leads the draws of p(phi | fleet) p(eta | phi) to
the readings: they are resampled while the readings come to count, and move eta by random-walk Metropolis. A draw keeps
its phi, so readings can choose among the fleet's draws but make no new ones: where they contradict the fleet few are
left, and that is said.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workbench.base.errors import DataError, ParameterError, SamplingError
from workbench.calibrate.filtered.likelihood import log_evidence
from workbench.calibrate.fleet.arrivals import JOINED, remembered
from workbench.calibrate.fleet.pooling import Scale, scale_of
from workbench.calibrate.predict import noise_arguments, outputs_of, solve_data, theta_of
from workbench.calibrate.problem import Problem, pose
from workbench.calibrate.trust.convergence import convergence

Array = NDArray[np.float64]
SHARE = 0.5  # to which the effective number of draws may fall before they are resampled
STEPS = 3.0  # accepted moves that a draw makes before it is resampled again, on the average
MOST = 60  # moves tried for that
FEW = 100  # effective draws below which a result is doubtful


@dataclass(frozen=True)
class Fleet:
    """Draws of what the fleet shares.

    Attributes
    ----------
    common
        (chains, draws, ...) of what all units have the same.
    scales, shapes
        Of each parameter that units have of their own, the scale on which it varies, and its own shape.
    centre, spread
        (chains, draws, E) median and SD of the population of each of its elements, on that scale.
    ties
        Places of correlated elements, and the Cholesky factor (chains, draws, d, d) of their correlation.
    """

    common: dict[str, Array]
    scales: dict[str, Scale]
    shapes: dict[str, tuple[int, ...]]
    centre: Array
    spread: Array
    ties: tuple[tuple[list[int], Array], ...]

    @staticmethod
    def of(problem: Problem, posterior: xr.Dataset) -> "Fleet":
        """Return what a posterior says of its fleet."""
        own = [name for name, way in problem.pool.items() if way == "partial"]
        common = {n: posterior[n].values for n in problem.estimated if problem.pool.get(n, "complete") == "complete"}
        scales, shapes = dict[str, Scale](), dict[str, tuple[int, ...]]()
        centre, spread = [], []
        lead = posterior.sizes["chain"], posterior.sizes["draw"]
        for name in own:
            prior = problem.quantity(name).prior
            assert prior is not None
            population = posterior[f"{name}_pop"].values
            scales[name], shapes[name] = scale_of(prior), population.shape[2:]
            centre.append(scales[name].link(population).reshape(*lead, -1))
            spread.append(posterior[f"{name}_sd"].values.reshape(*lead, -1))
        empty = [np.empty((*lead, 0))]
        first = dict(zip(own, np.cumsum([0, *(c.shape[2] for c in centre)]).tolist(), strict=False))
        ties = tuple(([first[name] for name in g.names], g.root(posterior)) for g in problem.correlated)
        centres, spreads = (np.concatenate(parts or empty, 2) for parts in (centre, spread))
        return Fleet(common, scales, shapes, centres, spreads, ties)

    def chosen(self, rows: NDArray[np.int64]) -> "Fleet":
        """Return the draws (chains, draws) of each chain."""
        chain = np.arange(len(rows))[:, None]
        common = {name: values[chain, rows] for name, values in self.common.items()}
        ties = tuple((columns, root[chain, rows]) for columns, root in self.ties)
        return Fleet(common, self.scales, self.shapes, self.centre[chain, rows], self.spread[chain, rows], ties)

    def effects(self, z: Array) -> Array:
        """Return effects of independent standard normal z (chains, draws, E)."""
        z = z.copy()
        for columns, root in self.ties:
            z[:, :, columns] = (root @ z[:, :, columns, None])[..., 0]
        return self.centre + self.spread * z

    def variables(self, effects: Array) -> dict[str, Array]:
        """Return all parameters, of effects (chains, draws, E) on the scales on which units vary."""
        made, first = dict(self.common), 0
        for name, scale in self.scales.items():
            size = int(np.prod(self.shapes[name]))
            values = scale.unlink(effects[:, :, first : first + size])
            made[name] = values.reshape(*effects.shape[:2], *self.shapes[name])
            first += size
        return made

    def density(self, effects: Array) -> Array:
        """Return the log density (chains, draws) of effects, but for a constant of each draw."""
        z = (effects - self.centre) / self.spread
        for columns, root in self.ties:
            z[:, :, columns] = np.linalg.solve(root, z[:, :, columns, None])[..., 0]
        return -0.5 * np.sum(z**2, axis=2)


def joined(fleet: Problem, posterior: xr.Dataset, data: Any, inputs: Any, rng: np.random.Generator) -> xr.Dataset:
    """Return draws of the parameters of a unit with these readings (see `Calibration.new_unit`)."""
    problem = _pose(fleet, data, inputs)
    draws = Fleet.of(fleet, posterior)
    effects = draws.effects(rng.normal(size=draws.centre.shape))
    likelihood = log_likelihood(problem, draws.variables(effects))
    if not np.isfinite(likelihood).any(axis=1).all():
        raise SamplingError(
            f"{fleet.model.name}: got readings that no draw of the fleet can explain; expected a unit like the others: "
            "look at units, doses and times"
        )
    heat, parent = 0.0, np.tile(np.arange(effects.shape[1]), (len(effects), 1))
    while heat < 1.0:
        warmer = _warmer(likelihood, heat)
        rows = np.stack([_resampled(w, rng) for w in _weights(likelihood, warmer - heat)])
        chain = np.arange(len(rows))[:, None]
        draws, effects, likelihood, heat = draws.chosen(rows), effects[chain, rows], likelihood[chain, rows], warmer
        effects, likelihood = _moved(problem, draws, effects, likelihood, heat=heat, rng=rng)
        parent = parent[chain, rows]
    variables = draws.variables(effects)
    coords = {name: c for name, c in posterior.coords.items() if set(c.dims) <= {"chain", "draw"}}
    made = {n: (("chain", "draw", *fleet.quantity(n).dims), v, posterior[n].attrs) for n, v in variables.items()}
    labels = {dim: posterior[dim] for n in variables for dim in fleet.quantity(n).dims}
    result = xr.Dataset(made, {**coords, **labels})
    copies = [np.unique(chain, return_counts=True)[1] for chain in parent]
    left = sum(c.sum() ** 2 / np.sum(c**2) for c in copies)  # of the fleet's draws
    # copies stay side by side, so their likeness counts in this, too
    effective = min(left, *(float(values[1].min()) for values in convergence(result).values()))
    result.attrs = {"model": fleet.model.name, "effective_draws": round(float(effective), 1)}
    result.attrs[JOINED] = remembered(problem)
    if not effective >= FEW:
        warnings.warn(
            f"{fleet.model.name}: got {effective:.0f} effective draws of the new unit; expected {FEW} or more: its "
            "readings are unlike the fleet's, or very many; calibrate again with it in the data",
            stacklevel=4,
        )
    return result


def log_likelihood(problem: Problem, variables: Mapping[str, Array]) -> Array:
    """Return the log density (chains, draws) of the readings; -inf where the equations could not be solved."""
    lead = next(iter(variables.values())).shape[:2]
    if problem.is_noisy:
        return log_evidence(problem, theta_of(problem, variables), variables).reshape(lead)
    solutions = solve_data(problem, variables)
    total = np.zeros(lead[0] * lead[1])
    with np.errstate(all="ignore"):
        for name in problem.measured:
            sensor = problem.sensor(name)
            centre = sensor.centre(outputs_of(problem, name, solutions))
            arguments = noise_arguments(problem.model, name, variables)
            total += sensor.log_density(centre, arguments).sum(axis=1)
    return np.where(np.isnan(total), -np.inf, total).reshape(lead)


def _pose(fleet: Problem, data: Any, inputs: Any) -> Problem:
    """Return the problem of the new unit alone; refuse what the fleet cannot be a prior of."""
    if fleet.terms:
        raise ParameterError(
            f"got a calibration with a discrepancy of {next(iter(fleet.terms))!r}; expected one without, as the "
            "discrepancy of a new unit is not known (data=None gives its parameters from the population)"
        )
    problem = pose(fleet.model, data, inputs=inputs)
    if problem.units is not None and len(problem.units) != 1:
        raise DataError(f"got data of {len(problem.units)} units; expected one: ask for each new unit by itself")
    seen = [name for name in problem.measured if problem.measured[name].size]
    if not seen:
        raise DataError("got no reading of the new unit; expected one or more, or data=None")
    for name in seen:
        if name not in fleet.measured:
            known = ", ".join(map(repr, fleet.measured))
            raise DataError(
                f"got readings of {name!r}, which was not read in the fleet, so its noise is not known; expected "
                f"readings of {known}"
            )
    return problem


def _weights(likelihood: Array, gain: float) -> Array:
    """Return weights (chains, draws) that sum to 1, where the likelihood counts by `gain` more."""
    raised = gain * (likelihood - likelihood.max(axis=1, keepdims=True))
    weights = np.exp(np.where(np.isfinite(likelihood), raised, -np.inf))
    return weights / weights.sum(axis=1, keepdims=True)


def _warmer(likelihood: Array, heat: float) -> float:
    """Return a power of the likelihood at which the effective number falls to a share, in the worst chain."""
    alive = np.isfinite(likelihood).sum(axis=1)

    def enough(gain: float) -> bool:
        return bool((1 / np.sum(_weights(likelihood, gain) ** 2, axis=1) >= SHARE * alive).all())

    low, high = 0.0, 1.0 - heat
    if enough(high):
        return 1.0
    while high - low > 1e-3 * high:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if enough(middle) else (low, middle)
    return heat + high


def _resampled(weights: Array, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return draws by weight; systematic, so copies stay side by side."""
    places = (rng.uniform() + np.arange(weights.size)) / weights.size
    return np.minimum(np.searchsorted(np.cumsum(weights), places), weights.size - 1)


def _moved(
    problem: Problem, draws: Fleet, effects: Array, likelihood: Array, *, heat: float, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Return effects and their likelihoods after random walks whose steps have the draws' covariance."""
    size = effects.shape[2]
    if not size:
        return effects, likelihood
    cloud = [np.atleast_2d(np.cov(chain.T)) for chain in effects]
    root = np.stack([np.linalg.cholesky(c + np.diag(1e-9 * np.diag(c) + 1e-300)) for c in cloud])
    step, accepted = 2.38 / np.sqrt(size), 0.0
    density = draws.density(effects) + heat * likelihood
    for _ in range(MOST):
        tried = effects + step * np.einsum("cij,cdj->cdi", root, rng.normal(size=effects.shape))
        with np.errstate(over="ignore"):
            there = log_likelihood(problem, draws.variables(tried))
        raised = draws.density(tried) + heat * there
        taken = np.log(rng.uniform(size=density.shape)) < raised - density
        effects = np.where(taken[:, :, None], tried, effects)
        likelihood, density = np.where(taken, there, likelihood), np.where(taken, raised, density)
        step *= np.exp(taken.mean() - 0.3)  # towards the acceptance at which a walk in few dimensions is fastest
        accepted += taken.mean()
        if accepted >= STEPS:
            break
    return effects, likelihood
