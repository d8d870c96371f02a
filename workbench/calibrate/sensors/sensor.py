"""One output as its sensor read it: which readings hang together, and what is expected of each."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.base.errors import DataError
from workbench.calibrate.sensors import censoring, errors_in_time
from workbench.calibrate.sensors.likelihood import chances, draw_readings, likelihood, log_density
from workbench.declare.noise import Noise
from workbench.declare.quantity import Output
from workbench.declare.sensor import increments

if TYPE_CHECKING:
    from workbench.calibrate.problem import Problem

Array = NDArray[np.float64]
Index = NDArray[np.int64]
ALIKE, UNEVEN = 0.1, 1.5  # relative to the usual time between readings: what is even, and beyond what one may be lost
EVEN = 0.8  # share of times between readings that are alike where readings are regular


@dataclass(frozen=True, eq=False)
class Sensor:
    """The places (rows, and elements of a vector one after the other) of an output in the data, and its readings there.

    Attributes
    ----------
    output
        The declaration.
    readings
        (n,) what was measured, in the declared unit.
    rows
        (n,) at which of the places.
    unit, time
        (places,) of each place.
    key
        (places,) a number for each unit and element.
    before
        (places,) where counting begins for each, of an output that is an increment; None for others.
    tolerances
        Relative and absolute tolerance of the solver.
    """

    output: Output
    readings: Array
    rows: Index
    unit: Index
    time: Array
    key: Index
    before: Index | None
    tolerances: tuple[float, float]

    @classmethod
    def of(cls, problem: "Problem", name: str) -> "Sensor":
        """Return the sensor of an output that was measured."""
        seen, model = problem.observations, problem.model
        values = seen.values[name].reshape(seen.time.size, -1)
        width = values.shape[1]
        unit, time = np.repeat(seen.unit_index, width), np.repeat(seen.time, width)
        key = unit * width + np.tile(np.arange(width), seen.time.size)
        before = _counted_from(problem, name) if model.outputs[name].increment else None
        rows = problem.measured[name]
        tolerances = (model.rtol, model.atol)
        return cls(model.outputs[name], problem.readings(name), rows, unit, time, key, before, tolerances)

    @property
    def noise(self) -> Noise:
        """How it errs."""
        assert self.output.noise is not None
        return self.output.noise

    def centre(self, values: Any) -> Any:
        """Return what readings scatter around (..., places), for outputs (..., places): the outputs, or increments.

        Arrays or PyTensor variables.
        """
        if self.before is None:
            return values
        return increments(self.output, values, values[..., self.before], self.tolerances)

    @cached_property
    def chains(self) -> errors_in_time.Chains:
        """Which readings follow each other."""
        return errors_in_time.Chains.of(self.key[self.rows], self.time[self.rows])

    @property
    def wait(self) -> Array | None:
        """(places,) the time that each counts, of an output that is an increment; None for others."""
        return None if self.before is None else self.time - self.time[self.before]

    def observe(self, name: str, centre: Any, arguments: Mapping[str, Any], **keywords: Any) -> Any:
        """Return the PyMC variable of readings that scatter around `centre` (places,); `keywords` are dims and shape.

        Arguments of noise are scalars, or over units.
        """
        kind = self.noise.family.readings
        centre = centre if self.rows.size == self.unit.size else centre[self.rows]
        arguments = {k: _by_unit(v, self.unit[self.rows]) for k, v in arguments.items()}
        shape = keywords["shape"]
        readings = self.readings.astype(np.int64) if kind == "count" else self.readings
        if len(shape) > 1:
            centre, readings = centre.reshape(shape), readings.reshape(shape)
            arguments = {k: v.reshape(shape) if getattr(v, "ndim", 0) else v for k, v in arguments.items()}
        keywords["observed"] = readings
        if self.noise.family.joint:
            return errors_in_time.variable(name, centre, arguments, self.chains, **keywords)
        keywords["limits"] = self.output.limits
        return likelihood(name, self.noise, centre, arguments, **keywords)

    def draw(self, centre: Array, arguments: Mapping[str, Array], rng: np.random.Generator) -> Array:
        """Return a reading at every place, for centres (members, places)."""
        if not self.noise.family.joint:
            return draw_readings(self.noise, centre, arguments, rng, self.output.limits)
        chains = errors_in_time.Chains.of(self.key, self.time)
        return centre + errors_in_time.draw_errors(arguments, chains, rng, known=np.full(centre.shape, np.nan))

    def log_density(self, centre: Array, arguments: Mapping[str, Array]) -> Array:
        """Return the log density (members, n) of each reading, given those before it where they hang together.

        Centres (members, places); arguments (members, 1 or places) or numbers.
        """
        return log_density(self.noise, self.readings, *self._around(centre, arguments), self.output.limits)

    def pit(self, centre: Array, arguments: Mapping[str, Array], rng: np.random.Generator) -> Array:
        """Return the probability (members, n) of less than each reading, given those before it where they last.

        Counts, and readings at limits, lie anywhere within their own probability, at one random share of it.
        """
        less, up_to = chances(self.noise, self.readings, *self._around(centre, arguments), self.output.limits)
        return np.asarray(less + rng.uniform(size=self.readings.size) * (up_to - less))

    def _around(self, centre: Array, arguments: Mapping[str, Array]) -> tuple[Array, Mapping[str, Any]]:
        """Return what each reading (members, n) scatters around, and the arguments of the noise there."""
        own: Mapping[str, Any] = {k: v[:, self.rows] if v.ndim and v.shape[1] > 1 else v for k, v in arguments.items()}
        if not self.noise.family.joint:
            return centre[:, self.rows], own
        return errors_in_time.conditional(self.readings, centre[:, self.rows], own, self.chains)


def _by_unit(argument: Any, unit: Index) -> Any:
    return argument[unit] if getattr(argument, "ndim", 0) else argument


def listed(problem: "Problem", name: str) -> NDArray[np.bool_]:
    """Return whether counting of an increment begins anew after each row (rows, elements).

    It does where the output was read, and in a row where nothing was, if nothing else is measured at all.
    """
    seen = problem.observations
    known = ~np.isnan(seen.values[name].reshape(seen.time.size, -1))
    if all(np.isnan(other).all() for key, other in seen.values.items() if key != name):
        known |= ~known.any(axis=1, keepdims=True)
    return known


def _counted_from(problem: "Problem", name: str) -> Index:
    """Return for each place of an increment where its counting begins."""
    seen, known = problem.observations, listed(problem, name)
    first = problem.rows[:-1][seen.unit_index][:, None]
    last = np.maximum.accumulate(np.where(known, np.arange(seen.time.size)[:, None], 0), axis=0)
    before = np.maximum(np.concatenate([last[:1], last[:-1]]), first)  # not in the unit before
    return (before * known.shape[1] + np.arange(known.shape[1])).ravel()


def check_readings(problem: "Problem") -> None:
    """Refuse readings of increments at which nothing was counted yet; warn of what may be wrong."""
    for note in censoring.notes(problem):
        warnings.warn(f"{problem.model.name}: {note}", stacklevel=4)
    for name, rows in problem.measured.items():
        output, seen = problem.model.outputs[name], problem.observations
        if output.drift != 0:
            _warn_of_late_drift(problem, name)
        if not output.increment:
            continue
        sensor = problem.sensor(name)
        early = rows[sensor.time[rows] == seen.time[problem.rows[:-1]][sensor.unit[rows]]]
        if early.size:
            unit = "" if seen.units is None else f" of unit {seen.units[sensor.unit[early[0]]]!r}"
            at = f"{seen.clock.label(sensor.time[early[0]])}, the first time{unit}"
            got = f"{seen.values[name].ravel()[early[0]]:g} {output.unit}"
            raise DataError(
                f"output {name!r}: got {got} at {at}; expected NaN, as a "
                "reading is the increase since the one before (add a row with NaN at the time when counting began)"
            )
        _warn_of_gaps(problem, name, sensor)


def _warn_of_late_drift(problem: "Problem", name: str) -> None:
    time, clock = problem.observations.time, problem.observations.clock
    if abs(time.min()) > np.ptp(time):
        warnings.warn(
            f"output {name!r}: got a drift, which is zero at time 0, and data from {clock.label(time.min())} to "
            f"{clock.label(time.max())}; expected times counted from about the first reading, as the prior of a drift "
            "says little so far from zero",
            stacklevel=4,
        )


def _warn_of_gaps(problem: "Problem", name: str, sensor: Sensor) -> None:
    assert sensor.before is not None
    assert sensor.wait is not None
    wait = sensor.wait[sensor.rows]
    if not wait.size:
        return
    usual = float(np.median(wait))
    regular = np.mean(np.abs(wait - usual) <= ALIKE * usual) >= EVEN
    if len(problem.measured) > 1 and regular and wait.max() > UNEVEN * usual:
        at = sensor.rows[int(np.argmax(wait))]
        clock, unit = problem.observations.clock, problem.model.time_unit
        warnings.warn(
            f"output {name!r}: the reading at {clock.label(sensor.time[at])} counts since "
            f"{clock.label(sensor.time[sensor.before[at]])}, {wait.max():g} {unit}, where most count "
            f"{usual:g}; if a reading between was lost, begin another unit there",
            stacklevel=4,
        )
