"""A calibration problem: a model, what was measured, what acted on it, and which parameters units share."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.base.errors import DataError, DeclarationError, ParameterError, unknown
from workbench.base.schema import UNIT
from workbench.calibrate.discrepancy.discrepancy import Term
from workbench.calibrate.discrepancy.terms import terms_of
from workbench.calibrate.filtered.limits import refuse_unfiltered
from workbench.calibrate.fleet.correlation import Group, groups_of
from workbench.calibrate.fleet.pooling import spread_prior
from workbench.calibrate.sensors.sensor import Sensor, check_readings
from workbench.declare.model import Model, as_model
from workbench.declare.partial import Correlated, Partial, by_parameter
from workbench.declare.prior import Prior
from workbench.declare.quantity import Parameter
from workbench.simulate.kernel import count_stiff, method_of
from workbench.simulate.methods.rodas5p import RODAS5P
from workbench.simulate.methods.tableau import Method
from workbench.simulate.scenario import Schedule, build_schedule
from workbench.sync.observations import Observations, observe, spans
from workbench.sync.zones import refuse_mixed_zones

POOLING = ("complete", "none", "partial")


@dataclass(frozen=True)
class Problem:
    """What is needed to write down a posterior.

    Attributes
    ----------
    model
        The declaration.
    observations
        Measured values, in declared units, sorted by unit and time.
    schedule
        What the inputs do to each unit.
    pool
        For each estimated parameter "complete" (one value for all units), "none" or "partial"; likewise for arguments
        of noise that are not the same for all.
    inputs
        The inputs as they were given, for forecasts that go on from them.
    terms
        Discrepancies by the output they are added to.
    partials
        Of each partially pooled parameter, how it varies between units.
    correlated
        Groups of them whose effects are correlated.
    """

    model: Model
    observations: Observations
    schedule: Schedule
    pool: Mapping[str, str]
    inputs: Mapping[str, Any]
    terms: Mapping[str, Term] = field(default_factory=dict)
    partials: Mapping[str, Partial] = field(default_factory=dict)
    correlated: tuple[Group, ...] = ()

    @property
    def units(self) -> tuple[Any, ...] | None:
        """Labels of the units, None for one nameless unit."""
        return self.observations.units

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """(units + 1,) offsets of each unit's rows."""
        return self.observations.offset

    @cached_property
    def measured(self) -> dict[str, NDArray[np.int64]]:
        """For each output with data, the rows at which it was measured.

        Of a vector, the elements of one row after the other are counted through: row * size + element.
        """
        return {name: np.flatnonzero(~np.isnan(v)) for name, v in self.observations.values.items()}

    def readings(self, name: str) -> NDArray[np.float64]:
        """Return what was measured of an output, at the rows that `measured` says."""
        return self.observations.values[name].ravel()[self.measured[name]]

    def sensor(self, name: str) -> Sensor:
        """Return what read an output: which of its readings hang together, and what is expected of each."""
        kept = vars(self).setdefault("_sensors", {})
        if name not in kept:
            kept[name] = Sensor.of(self, name)
        return kept[name]

    @cached_property
    def estimated(self) -> tuple[str, ...]:
        """Names of all that is estimated: parameters of the equations, then arguments of the noise of what was read."""
        outputs = self.model.outputs
        noises = {name: outputs[name].noise for name in outputs if name in self.measured}
        return (*self.model.estimated, *(f"{n}_{key}" for n, noise in noises.items() if noise for key in noise.priors))

    def quantity(self, name: str) -> Parameter:
        """Return what may be estimated by its name: a parameter of the equations, or an argument of noise."""
        return self.model.theta[name] if name in self.model.theta else self.model.noise_parameters[name]

    @property
    def is_noisy(self) -> bool:
        """Whether a state has process noise, so that the likelihood is that of a filter."""
        return any(state.noise is not None for state in self.model.states.values())

    @cached_property
    def centred(self) -> dict[str, bool]:
        """Of each partially pooled parameter whether it is sampled centred, decided once."""
        from workbench.calibrate.fleet.forms import choose_forms

        return choose_forms(self)

    @property
    def resolved(self) -> dict[str, Partial]:
        """The partials, with the form that is sampled."""
        return {name: replace(partial, centred=self.centred[name]) for name, partial in self.partials.items()}

    @property
    def pooling(self) -> dict[Any, Any]:
        """The `pool` from which `pose` makes the same; a form that was left open stays so."""
        groups = {group.names: Correlated(group.eta) for group in self.correlated}
        return {**self.pool, **self.partials, **groups}

    def spread(self, name: str) -> Prior:
        """Return the prior of the SD between units of a partially pooled parameter."""
        prior = self.quantity(name).prior
        assert prior is not None
        return spread_prior(prior, self.partials.get(name))

    @cached_property
    def first(self) -> "Problem":
        """The problem without the discrepancies that are fitted to what draws of it leave: itself, without any."""
        joint = {name: term for name, term in self.terms.items() if term.declared.joint}
        return self if len(joint) == len(self.terms) else replace(self, terms=joint)

    def is_whole(self, name: str) -> bool:
        """Say whether an output was measured everywhere."""
        return self.measured[name].size == self.observations.values[name].size

    def dims_of(self, name: str) -> tuple[str, ...]:
        """Return the dims of a variable of the posterior: `unit` where each has one, and those of a vector."""
        for parameter, way in self.pool.items():
            own = self.quantity(parameter).dims
            if name == parameter or (way == "partial" and name == f"{parameter}_offset"):
                return own if way == "complete" else (UNIT, *own)
            if way == "partial" and name in (f"{parameter}_pop", f"{parameter}_sd"):
                return own
        return next(((*term.output.dims, *term.dim) for term in self.terms.values() if name == term.weights), ())

    @cached_property
    def typical(self) -> NDArray[np.float64]:
        """(32, units, parameters) draws of the prior, each parameter by itself, without its outermost tails."""
        rng, theta = np.random.default_rng(0), np.empty((32, self.rows.size - 1, self.model.theta_layout.size))
        for name, place in self.model.theta_layout.places.items():
            for member, mass in enumerate(rng.uniform(0.005, 0.995, 32)):
                theta[member, :, place] = _typical(self.model.theta[name], mass)
        return theta

    @cached_property
    def method(self) -> Method | None:
        """What solves the equations: a stiff method where they are stiff for a quarter of 32 draws of the prior.

        The method must not change from one draw to the next, or the density would jump; and any method can solve the
        rest, if slowly.
        """
        times = self.observations.time
        stiff = count_stiff(self.model, self.typical, self.schedule, rows=self.rows, times=times)
        return RODAS5P if stiff >= 8 else method_of(self.model)


def _typical(quantity: Parameter, mass: float) -> Any:
    """Return a quantile of a parameter's prior; what is nominal where there is none, a vector as its elements."""
    if quantity.prior is None:
        return np.ravel(quantity.nominal())
    try:
        return quantity.prior.quantile(mass)
    except DeclarationError:  # an improper prior
        return 1.0 if quantity.value is None else np.ravel(quantity.value)


def pose(model: Any, data: Any, *, inputs: Any = None, pool: Any = None, discrepancy: Any = None) -> Problem:
    """Return the problem of calibrating `model` to `data`.

    Raises
    ------
    DataError, UnitError
        If data or inputs cannot be used as they are.
    ParameterError
        If `pool` names what is not estimated, or says what is no way of pooling; if a discrepancy cannot be made.
    """
    model = as_model(model)
    noisy = {name: output.noise for name, output in model.outputs.items() if output.noise is not None}
    if not noisy:
        raise DataError(f"{model.name}: got no output with noise; expected noise=wb.noise... on each measured output")
    ways, groups = _by_parameter(pool)
    observations = observe(model, data, silent=_fills_in(ways))
    unread = [f"{n}_{key}" for n, noise in noisy.items() if n not in observations.values for key in noise.priors]
    pools = {name: way for name, way in _pools(model, ways, observations.units).items() if name not in unread}
    begin, end = spans(observations)
    refuse_mixed_zones(data, inputs if isinstance(inputs, Mapping) else {})
    schedule = build_schedule(model, inputs, units=observations.units, begin=begin, end=end, clock=observations.clock)
    partials = {n: ways[n] if isinstance(ways[n], Partial) else Partial() for n, w in pools.items() if w == "partial"}
    made = Problem(model, observations, schedule, pools, dict(inputs or {}), partials=partials)
    made = replace(made, correlated=groups_of(model, groups))
    check_readings(made)
    made = replace(made, terms=terms_of(made, discrepancy))
    if made.is_noisy:
        refuse_unfiltered(made)
    return made


def _by_parameter(pool: Any) -> tuple[dict[Any, Any], dict[tuple[str, ...], Correlated]]:
    if not isinstance(pool, Mapping | None):
        raise ParameterError(f"got pool={pool!r}; expected a mapping such as {{'ka': 'partial'}}")
    return by_parameter(pool)


def _fills_in(ways: Mapping[Any, Any]) -> bool:
    """Say whether the others tell of a unit that was not measured: there is a population, and none is by itself."""
    given = ["partial" if isinstance(way, Partial) else way for way in ways.values()]
    return "partial" in given and "none" not in given


def _pools(model: Model, ways: Mapping[Any, Any], units: tuple[Any, ...] | None) -> dict[str, str]:
    given = {n: "partial" if isinstance(way, Partial) else way for n, way in ways.items()}
    names = {*model.theta, *model.noise_parameters}
    for name, way in given.items():
        known = [*model.estimated, *model.noise_parameters]
        if name not in known:
            raise ParameterError(unknown("parameter", str(name), known, f"{model.name} pool"))
        if way not in POOLING:
            raise ParameterError(unknown("pooling", str(way), POOLING, f"{model.name} pool[{name!r}]"))
        if way != "complete" and units is None:
            raise ParameterError(
                f"pool[{name!r}]: got {way!r} for data of one unit; expected data with a `unit` dim or column"
            )
        taken = names & {f"{name}_pop", f"{name}_sd", f"{name}_offset"} if way == "partial" else None
        if taken:
            raise ParameterError(
                f"pool[{name!r}]: got {way!r} where {taken.pop()!r} is declared; expected that name to be free"
            )
    noise = {name: given[name] for name in model.noise_parameters if given.get(name, "complete") != "complete"}
    return {name: given.get(name, "complete") for name in model.estimated} | noise
