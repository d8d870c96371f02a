"""Discrepancies of a problem: bound to its data, as PyMC variables, and as plain NumPy for many draws.

The function is a sum of sines (see `workbench.calibrate.discrepancy.hilbert`). Of output `y` the posterior has
`y_discrepancy_sigma`, `y_discrepancy_length` and the standardised coefficients `y_discrepancy_basis`, which under
Gaussian noise are integrated out while sampling (see `workbench.calibrate.discrepancy.integrated`).

Elements of a vector have functions of their own, independent given the SD and the lengths that they share. Where
readings are increments and the function is added, it is a rate: a reading gets its value at the reading's time (or
inputs) times the time that the reading counts, so that it means the same however often is read.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.base.errors import DataError, unknown
from workbench.base.schema import TIME
from workbench.calibrate.discrepancy.hilbert import Basis
from workbench.calibrate.fleet.pooling import distribution, draw_prior
from workbench.declare.discrepancy import Discrepancy
from workbench.declare.prior import Prior
from workbench.declare.quantity import Output
from workbench.simulate.graph import inputs_at
from workbench.simulate.scenario import Schedule

if TYPE_CHECKING:
    from workbench.calibrate.problem import Problem

Array = NDArray[np.float64]
ENDS = 0.05, 0.95
"""Quantiles of a length's prior between which the rules of the approximation hold; its error there is about 1 %."""
KEPT = 0.95
"""Share of its SD that a function must have where it is forecast: at the boundary of the basis it is forced to zero."""


@dataclass(frozen=True, eq=False)
class Term:
    """A discrepancy with its data.

    Attributes
    ----------
    declared
        What was declared.
    output
        The output it is added to.
    points
        (rows, D) the coordinates at every row of the data.
    sigma, lengths
        The priors or numbers of SD and lengths, defaults filled in.
    basis
        The functions it is a sum of.
    units
        Units of the coordinates.
    unit
        Unit of the function.
    shape
        Of the output: () or that of a vector.
    wait
        (places,) the time that each reading of an increment counts where the function is a rate; None for others.
    """

    declared: Discrepancy
    output: Output
    points: Array
    sigma: float | Prior
    lengths: tuple[float | Prior, ...]
    basis: Basis
    units: tuple[str, ...]
    unit: str
    shape: tuple[int, ...]
    wait: Array | None

    @property
    def name(self) -> str:
        """Name of the function; those of its variables begin with it."""
        return f"{self.output.name}_discrepancy"

    @property
    def relative(self) -> bool:
        """Whether it multiplies the output, by its exponential."""
        return multiplies(self.output)

    @cached_property
    def rulers(self) -> dict[str, float | Prior]:
        """SD, then lengths, by the names of their variables: priors, or numbers that have no variable."""
        over = self.declared.over
        names = [f"{self.name}_length"] if len(over) == 1 else [f"{self.name}_length_{name}" for name in over]
        return {f"{self.name}_sigma": self.sigma, **dict(zip(names, self.lengths, strict=True))}

    @property
    def attributes(self) -> dict[str, dict[str, str]]:
        """Units and long names of the variables of the posterior."""
        words = f"discrepancy of {self.output.long_name or self.output.name}"
        says = [(self.unit, "SD")]
        says += [(u, f"length scale over {over}") for u, over in zip(self.units, self.declared.over, strict=True)]
        made = {n: {"units": u, "long_name": f"{words}, {w}"} for n, (u, w) in zip(self.rulers, says, strict=True)}
        return {**made, self.weights: {"units": "1", "long_name": f"{words}, coefficients", "role": "basis"}}

    @property
    def weights(self) -> str:
        """Name of the standardised coefficients; their dim is this with `_function`."""
        return f"{self.name}_basis"

    @property
    def dim(self) -> dict[str, Any]:
        """The dim of the coefficients, with its labels."""
        return {f"{self.weights}_function": np.arange(1, self.basis.size + 1)}

    @cached_property
    def features(self) -> Array:
        """(rows, functions) the basis at the rows of the data."""
        return np.ascontiguousarray(self.basis.functions(self.points))

    def blocks(self, places: NDArray[np.int64]) -> list[tuple[NDArray[np.int64], Array]]:
        """Return for each element which of some places (n,) are its own, and the features (own, functions) there."""
        width, made = math.prod(self.shape), []
        for element in range(width):
            mine = np.flatnonzero(places % width == element)
            features = self.features[places[mine] // width]
            made.append((mine, features if self.wait is None else features * self.wait[places[mine], None]))
        return made

    def added(self, centre: Any, delta: Any, exp: Any = np.exp) -> Any:
        """Return an output with the function in it; arrays or PyTensor variables, with `exp` to match."""
        return centre * exp(delta) if self.relative else centre + delta

    @property
    def conditions(self) -> list[tuple[str, float]]:
        """Where the function is known to be zero or flat."""
        return [(key, value) for key in ("zero_at", "flat_at") for value in getattr(self.declared, key)]

    @cached_property
    def anchors(self) -> Array:
        """(conditions, functions) what must be zero of the basis: values at `zero_at`, slopes at `flat_at`."""
        zero, flat = (np.reshape(at, (-1, 1)) for at in (self.declared.zero_at, self.declared.flat_at))
        if not zero.size + flat.size:
            return np.empty((0, self.basis.size))
        return np.concatenate([self.basis.functions(zero), self.basis.slopes(flat)])

    def constrained(self, values: Any, scale: Any) -> Any:
        """Return values (..., functions) without what would break the conditions.

        That is the projection of standardised coefficients, or of features times `scale` (..., functions), on what is
        orthogonal to the anchors times scale: the process given the conditions, exactly (coefficients are standard
        normal). Arrays or PyTensor variables.
        """
        found: list[Any] = []
        for anchor in self.anchors:
            row = anchor * scale
            for known in found:
                row = row - (row * known).sum(axis=-1, keepdims=True) * known
            found.append(row / ((row**2).sum(axis=-1, keepdims=True)) ** 0.5)
        for known in found:
            values = values - (values * known).sum(axis=-1, keepdims=True) * known
        return values

    def scale(self, variables: Mapping[str, Any]) -> Array:
        """Return the SD (members, functions) of each coefficient at draws (chains, draws), or (1, functions)."""
        given = [np.ravel(variables[n]) if isinstance(v, Prior) else np.full(1, v) for n, v in self.rulers.items()]
        return self.basis.amplitudes(given[0], given[1:])

    def coefficients(self, variables: Mapping[str, Any]) -> Array:
        """Return the coefficients (members, elements of a vector, functions) of draws (chains, draws, ...)."""
        standard = np.asarray(variables[self.weights]).reshape(-1, *self.shape, self.basis.size)
        scale = self.scale(variables)
        scale = scale.reshape(len(scale), *(1 for _ in self.shape), -1)
        return self.constrained(standard, scale) * scale

    def function(self, variables: Mapping[str, Any], features: Array) -> Array:
        """Return the function (members, n * elements) at draws, for features (n, functions)."""
        made = np.moveaxis(self.coefficients(variables) @ features.T, -1, 1)
        return made.reshape(len(made), -1)

    def at_data(self, variables: Mapping[str, Any]) -> Array:
        """Return what is added to each place (members, places) at draws, or the logarithm of what multiplies it."""
        made = self.function(variables, self.features)
        return made if self.wait is None else made * self.wait

    def draw(self, rng: np.random.Generator, size: int) -> dict[str, Array]:
        """Return draws of the prior of every free variable."""
        drawn = {n: draw_prior(prior, rng, size) for n, prior in self.rulers.items() if isinstance(prior, Prior)}
        return {**drawn, self.weights: rng.normal(size=(size, *self.shape, self.basis.size))}


def multiplies(output: Output) -> bool:
    """Say whether a discrepancy multiplies an output: where readings are positive by their noise."""
    assert output.noise is not None
    return output.noise.family.readings != "real"


def scale_variable(term: Term) -> Any:
    """Return the SD (functions,) of each coefficient, adding SD and lengths to the PyMC model of the context."""
    import pytensor.tensor as pt

    made = [distribution(n, v) if isinstance(v, Prior) else pt.constant(np.float64(v)) for n, v in term.rulers.items()]
    return term.basis.amplitudes(made[0], made[1:], pt.exp)


def coefficients_variable(term: Term, scale: Any) -> Any:
    """Return the coefficients (elements of a vector, functions), adding standardised ones to the PyMC model."""
    import pymc as pm

    shape = (*term.shape, term.basis.size)
    standard = pm.Normal(term.weights, np.float64(0.0), np.float64(1.0), shape=shape).reshape((-1, shape[-1]))
    return term.constrained(standard, scale) * scale


def with_discrepancy(term: Term, values: Any, scale: Any) -> Any:
    """Return what readings scatter around (places,) with a discrepancy, whose coefficients are a PyMC variable."""
    import pytensor.tensor as pt

    made = pt.dot(pt.constant(term.features), coefficients_variable(term, scale).T).ravel()
    return term.added(values, made if term.wait is None else made * term.wait, pt.exp)


def expected(problem: "Problem", name: str, variables: Mapping[str, Any], values: Array) -> Array:
    """Return what readings scatter around (members, places) for outputs of draws: increments, with a discrepancy."""
    centre, term = problem.sensor(name).centre(values), problem.terms.get(name)
    return centre if term is None else term.added(centre, term.at_data(variables))


def elsewhere(problem: "Problem", name: str, variables: Mapping[str, Any], schedule: Schedule, times: Array) -> Array:
    """Return the discrepancy (members, units, times, elements) of an output at times (T,) that all units share.

    Of increments it is a rate. DataError where the basis does not reach that far.
    """
    term, count = problem.terms[name], problem.rows.size - 1
    rows = np.arange(count + 1) * times.size
    points = coordinates_at(problem, term.declared, schedule, rows.astype(np.int64), np.tile(times, count))
    lengths = [
        float(np.quantile(variables[n], ENDS[1])) if isinstance(v, Prior) else v
        for n, v in list(term.rulers.items())[1:]
    ]
    outside = (np.abs(points - term.basis.middle) > (1 + 1e-9) * term.basis.half).any(axis=1)
    short = np.flatnonzero(outside & (term.basis.spread(points, lengths) < KEPT))
    if short.size:
        far = points[short[np.argmax(np.abs((points[short] - term.basis.middle) / term.basis.boundary).max(axis=1))]]
        at = ", ".join(f"{c} = {v:g} {u}" for c, v, u in zip(term.declared.over, far, term.units, strict=True))
        raise DataError(
            f"discrepancy of {name!r}: got a forecast at {at}, beyond what its basis was made for; expected "
            f"coordinates within its span: calibrate with {term.declared.where[:-1]}, span={{...}}) that holds them"
        )
    return term.function(variables, term.basis.functions(points)).reshape(-1, count, times.size, math.prod(term.shape))


def coordinates_at(
    problem: "Problem", one: Discrepancy, schedule: Schedule, rows: NDArray[np.int64], times: Array
) -> Array:
    """Return the coordinates (rows, D) at rows of units."""
    continuous = [name for name, quantity in problem.model.inputs.items() if quantity.kind != "impulse"]
    for name in one.over:
        if name not in (TIME, *continuous):
            raise DataError(unknown("coordinate", name, [TIME, *continuous], one.where))
    inputs = inputs_at(schedule, rows, times) if set(one.over) & set(continuous) else None
    columns = [times if name == TIME else inputs[:, continuous.index(name)] for name in one.over]  # type: ignore[index]
    return np.stack(columns, axis=1)
