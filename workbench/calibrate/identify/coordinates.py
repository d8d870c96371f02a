"""What identifiability is asked of: every scalar that has a declared prior, by name, prior and unit of measure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.base.units import DIMENSIONLESS
from workbench.calibrate.fleet.pooling import attributes_of, scale_of
from workbench.calibrate.identify.normal_scores import NormalScores
from workbench.calibrate.problem import Problem
from workbench.declare.prior import Prior
from workbench.declare.quantity import Parameter


@dataclass(frozen=True)
class Coordinate:
    """A scalar that is estimated and has a declared prior.

    Attributes
    ----------
    label
        "k", "k[3]" of a vector or of a unit, "k_pop" of a population.
    variable, place
        The variable of the posterior, and the place in it (behind chain and draw).
    prior
        What is believed of it before the data.
    units
        Unit of measure.
    nuisance
        Whether it is there to be averaged over: a between-unit SD or correlation, an argument of a noise, a sensor's
        bias or drift. A prior may rule these, as long as what they disturb is seen.
    """

    label: str
    variable: str
    place: tuple[int, ...]
    prior: Prior
    units: str
    nuisance: bool

    @property
    def scores(self) -> NormalScores:
        """The scale on which the prior is a standard normal."""
        return NormalScores(self.prior)

    @property
    def scale(self) -> str:
        """The unbounded scale of the prior: "log" for a quantity above zero, "logit" or "identity"."""
        scale = scale_of(self.prior)
        return "shifted" if scale.name == "log" and scale.low != 0.0 else scale.name


def way_of(problem: Problem, name: str) -> str:
    """Return how units share what is estimated: "complete", "none" or "partial"."""
    way: Any = problem.pool.get(name, "complete")
    return way if isinstance(way, str) else "partial"


def coordinates_of(problem: Problem) -> list[Coordinate]:
    """Return the coordinates of a problem: parameters, populations and their SDs, arguments of noises, correlations.

    Units of a population are none, as it is their prior.
    """
    model = problem.model
    errors = getattr(model, "sensor_parameters", {})
    found = [c for n in model.estimated for c in _of_quantity(problem, model.theta[n], nuisance=n in errors)]
    for output in problem.measured:
        noise = model.outputs[output].noise
        for key in noise.priors if noise else ():
            found += _of_quantity(problem, model.noise_parameters[f"{output}_{key}"], nuisance=True)
    for group in problem.correlated:
        found += [Coordinate(name, name, (), prior, DIMENSIONLESS, True) for name, prior in group.priors.items()]
    return found


def _of_quantity(problem: Problem, quantity: Parameter, *, nuisance: bool) -> Iterator[Coordinate]:
    """Yield the coordinates of what has a declared prior: one, one for each element, for each unit, or a population."""
    name, prior, way = quantity.name, quantity.prior, way_of(problem, quantity.name)
    assert prior is not None
    units = [[str(u) for u in problem.units or ()]]
    own = [[str(label) for label in problem.model.labels[dim]] for dim in quantity.dims]
    if way != "partial":
        for place, label in _elements(name, (units if way == "none" else []) + own):
            yield Coordinate(label, name, place, prior, quantity.unit, nuisance)
        return
    said = attributes_of(quantity)
    for variable, belief in ((f"{name}_pop", prior), (f"{name}_sd", problem.spread(name))):
        for place, label in _elements(variable, own):
            spread = variable.endswith("_sd")
            yield Coordinate(label, variable, place, belief, said[variable]["units"], nuisance or spread)


def _elements(name: str, labels: list[list[str]]) -> Iterator[tuple[tuple[int, ...], str]]:
    """Yield the place and the label of each element of a variable."""
    for place in np.ndindex(*map(len, labels)):
        inside = ", ".join(axis[k] for axis, k in zip(labels, place, strict=True))
        yield place, f"{name}[{inside}]" if labels else name
