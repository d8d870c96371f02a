"""From a quantity of a model to the slider that moves it: the one table of the kind."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.base import units
from workbench.declare.model import Model
from workbench.declare.quantity import Input, Parameter
from workbench.simulate.scenario import Schedule

Array = NDArray[np.float64]
FACTOR = 4.0  # up to which, and down to whose inverse, a parameter is multiplied
MOST = 3.0  # times an input


@dataclass(frozen=True)
class Control:
    """A slider, as plain data for the browser.

    Attributes
    ----------
    name, label, unit
        The quantity, what readers call it, and the unit of what the slider adds ("1" where it multiplies).
    acts
        "times": every draw of the quantity is multiplied; "plus": a number is added to it.
    low, high, start
        Ends of the slider, and where it changes nothing.
    logarithmic
        Whether equal steps of the slider are equal factors.
    floor, ceiling
        What a parameter cannot be beyond, None for nothing: it stops there.
    theta, level, jump
        Which columns it moves: of the parameters, of the continuous inputs, of the jumps of the states.
    """

    name: str
    label: str
    unit: str
    acts: str
    low: float
    high: float
    start: float
    logarithmic: bool = False
    floor: float | None = None
    ceiling: float | None = None
    theta: tuple[int, ...] = ()
    level: tuple[int, ...] = ()
    jump: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def controls(model: Model, schedule: Schedule, end: float) -> tuple[Control, ...]:
    """Return the sliders of a model under a schedule of inputs up to a time: inputs first, then what is estimated."""
    made = [*_inputs(model, schedule, end), *(_parameter(model, model.theta[name]) for name in model.estimated)]
    return tuple(made)


def _has_offset(unit: str) -> bool:
    return units.parse(unit) in (units.parse("degC"), units.parse("degF"))


def _label(quantity: Parameter | Input) -> str:
    return quantity.long_name or quantity.name


def _parameter(model: Model, quantity: Parameter) -> Control:
    at = model.theta_layout.places[quantity.name]
    prior = quantity.prior
    assert prior is not None  # it is estimated
    floor, ceiling = (end if np.isfinite(end) else None for end in prior.support)
    reach = max(1e-12, 0.5 * (prior.quantile(0.95) - prior.quantile(0.05)))
    adding = Control(
        quantity.name, _label(quantity), quantity.unit, "plus", -reach, reach, 0.0,
        floor=floor, ceiling=ceiling, theta=tuple(range(at.start, at.stop)),
    )  # fmt: skip
    if prior.support[0] < 0 or _has_offset(quantity.unit):
        return adding
    return replace(adding, unit="1", acts="times", low=1 / FACTOR, high=FACTOR, start=1.0, logarithmic=True)


def _inputs(model: Model, schedule: Schedule, end: float) -> list[Control]:
    made, column = list[Control](), 0
    lasting = np.append(schedule.begin[1:], end) - schedule.begin
    shared = _shared(model)
    for name, quantity in model.inputs.items():
        if quantity.kind == "impulse":
            place = _target(model, name, quantity)
            if place not in shared:  # two inputs into one state cannot be told apart once they have acted
                made.append(Control(name, _label(quantity), "1", "times", 0.0, MOST, 1.0, jump=(place,)))
            continue
        first = schedule.level[:, column]
        values = np.concatenate([first, first + schedule.slope[:, column] * lasting])
        span = float(np.ptp(values)) or 0.5 * float(np.abs(values).max()) or 1.0
        if values.min() >= 0 < values.max() and not _has_offset(quantity.unit):
            made.append(Control(name, _label(quantity), "1", "times", 0.0, MOST, 1.0, level=(column,)))
        else:
            made.append(Control(name, _label(quantity), quantity.unit, "plus", -span, span, 0.0, level=(column,)))
        column += 1
    return made


def _target(model: Model, name: str, quantity: Input) -> int:
    into = quantity.into
    return model.state_layout.places[name].start if into is None else int(model.impulse_places[into])


def _shared(model: Model) -> set[int]:
    targets = [_target(model, n, q) for n, q in model.inputs.items() if q.kind == "impulse"]
    return {place for place in targets if targets.count(place) > 1}


def moved(
    controls: tuple[Control, ...], settings: Mapping[str, float], theta: Array, schedule: Schedule
) -> tuple[Array, Schedule]:
    """Return parameters (members, units, P) and schedule with sliders set; what the browser does, for the kernels.

    Parameters
    ----------
    settings
        Where the sliders are, by name; others change nothing.
    """
    theta, level, slope, jump = (a.copy() for a in (theta, schedule.level, schedule.slope, schedule.jump))
    for control in controls:
        value = settings.get(control.name, control.start)
        if control.acts == "times":
            theta[..., list(control.theta)] *= value
            for array, columns in ((level, control.level), (slope, control.level), (jump, control.jump)):
                array[:, list(columns)] *= value
        else:
            theta[..., list(control.theta)] += value
            level[:, list(control.level)] += value
        if control.theta:
            own = list(control.theta)
            theta[..., own] = np.clip(theta[..., own], control.floor, control.ceiling)
    return theta, Schedule(schedule.offset, schedule.begin, level, slope, jump)
