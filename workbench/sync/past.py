"""What a filter's dataset says of its past: enough to go on from its last states, for filters and for forecasts."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from workbench.base.clock import Clock
from workbench.base.errors import DataError, unknown
from workbench.base.recent import Recent
from workbench.declare.describe import digest
from workbench.declare.model import Model
from workbench.simulate.scenario import Schedule, build_schedule
from workbench.sync.filters.belief import Belief
from workbench.sync.filters.protocol import FilterState
from workbench.sync.filters.results import stored_state
from workbench.sync.filters.scale import Scales

DIGEST = "model_digest"
_FOLLOWED = Recent[Model](16)  # by what they mean


def remembered(model: Model) -> str:
    """Return the digest under which a model can be recalled in this session: a dataset holds no equations."""
    return _FOLLOWED.keep(digest(model), model)


def recalled(dataset: xr.Dataset) -> Model:
    """Return the model that a filter followed; DataError where that was in another session, or long ago."""
    found = _FOLLOWED.get(dataset.attrs.get(DIGEST, ""))
    if found is None:
        raise DataError(
            "got a filter's dataset of another session, which holds no equations, and no model; expected "
            "wb.forecast(followed, times, model=...)"
        )
    return found


@dataclass(frozen=True, eq=False)
class Past:
    """What a filter's dataset says of its units: their last states, and what `wb.assimilate` wrote of each plant."""

    states: list[FilterState]
    plants: list[dict[str, Any]]
    units: tuple[Any, ...] | None
    clock: Clock

    @classmethod
    def of(cls, dataset: xr.Dataset, model: Model) -> "Past":
        """Read it; DataError where the dataset is none of `wb.assimilate`, or of another model."""
        if "followed" not in dataset.attrs or "final_random" not in dataset:
            raise DataError(
                "got a dataset without a filter's state to go on from; expected what wb.assimilate returned"
            )
        if dataset.attrs["model"] != model.name:
            raise DataError(f"got model {model.name}; expected {dataset.attrs['model']}, which the filter followed")
        written = json.loads(dataset.attrs["followed"])
        units = tuple(dataset["asset"].values.tolist()) if "asset" in dataset.dims else None
        origin = None if written["origin"] is None else np.datetime64(written["origin"], "ns")
        states = [stored_state(dataset, unit) for unit in units or (None,)]
        return cls(states, written["plants"], units, Clock(model.time_unit, origin))

    def of_units(self, units: tuple[Any, ...] | None) -> "Past":
        """Return the past of some units, in their order; DataError where one has none."""
        if (units is None) != (self.units is None):
            got, expected = ("none" if u is None else list(u) for u in (units, self.units))
            raise DataError(f"got units {got}; expected {expected}, those that the filter followed")
        if units is None or self.units is None:
            return self
        for unit in units:
            if unit not in self.units:
                raise DataError(unknown("unit", str(unit), map(str, self.units), "the filter's dataset"))
        places = [self.units.index(unit) for unit in units]
        return Past([self.states[k] for k in places], [self.plants[k] for k in places], units, self.clock)

    def refuse_older(self, first: Any) -> None:
        """Refuse readings whose first times (U,) are not after the states: the filters have gone past them."""
        for state, time in zip(self.states, first, strict=True):
            if time <= state.time + 1e-9 * max(abs(state.time), 1.0):
                raise DataError(
                    f"got readings at {self.clock.label(time)}; expected them after {self.clock.label(state.time)}, "
                    "the last ones that the filter took (wb.Live takes late ones)"
                )

    def schedule(self, model: Model, inputs: Any, end: Any) -> Schedule:
        """Return what the inputs do up to `end` (U,): from the start of the clocks, or where they begin later.

        With inputs of the whole time the parts of a run add up to the whole to the last bit; those of the time since
        the states are enough.
        """
        begin = np.array([plant["begin"] for plant in self.plants])
        try:
            return build_schedule(model, inputs, units=self.units, begin=begin, end=end, clock=self.clock)
        except DataError:
            now = np.array([state.time for state in self.states])
            dt = getattr(model, "dt", None)
            if dt is not None:  # the last step before
                now = begin + dt * np.floor((now - begin) / dt + 1e-9)
            return build_schedule(model, inputs, units=self.units, begin=now, end=end, clock=self.clock)

    def belief(self, model: Model, unit: int) -> Belief:
        """Return the parameters of a unit; what is uncertain in them is in its state."""
        plant, labels = self.plants[unit], model.theta_layout.labels()
        theta = np.array([plant["parameters"][label] for label in labels], dtype=float)
        joint = tuple(plant["supports"])
        low, high = (
            np.array(
                [side * np.inf if ends[k] is None else ends[k] for ends in plant["supports"].values()], dtype=float
            )
            for k, side in enumerate((-1, 1))
        )
        scales = Scales(np.array([labels.index(name) for name in joint], dtype=np.int64), low, high)
        return Belief(theta, {}, np.empty((0, theta.size)), scales, joint, plant["noise"])
