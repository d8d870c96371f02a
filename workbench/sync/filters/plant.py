"""A model bound to one unit's readings, inputs and what is believed of it: all that a filter works on."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.base.errors import DataError
from workbench.declare.model import Model
from workbench.declare.ode import Dynamic
from workbench.declare.prior import Prior
from workbench.simulate.kernel import count_stiff, method_of, source
from workbench.simulate.kernels import cache
from workbench.simulate.lead import slope_kernel
from workbench.simulate.methods.rodas5p import RODAS5P
from workbench.simulate.methods.tableau import Method
from workbench.simulate.scenario import Schedule
from workbench.sync.filters.belief import Belief
from workbench.sync.filters.plan import Plan, make_plan
from workbench.sync.filters.protocol import Filter, FilterState
from workbench.sync.filters.sensors import sensors
from workbench.sync.observations import Observations

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Plant:
    """One unit of a model, ready for a filter.

    Attributes
    ----------
    names
        (Z,) of states, then of the parameters that are estimated.
    sigma
        (N,) process noise of the states, per root time unit, or per step of a `Map`.
    low, high
        (N,) bounds of the states, infinite where there are none: what is beyond one is moved onto it after every
        prediction and every correction (projection).
    measured
        Names of the outputs in the readings.
    origin
        When the clock starts; steps of a `Map` are counted from it.
    after
        The state of a filter that this goes on from; None at the start.
    """

    model: Model
    schedule: Schedule
    belief: Belief
    plan: Plan
    names: tuple[str, ...]
    sigma: Array
    low: Array
    high: Array
    measured: tuple[str, ...]
    method: Method | None
    origin: float
    after: FilterState | None = None

    @property
    def begin(self) -> float:
        """Time from which the first cycle goes: that of the state it goes on from, or the start of the clock."""
        return self.origin if self.after is None else self.after.time

    @property
    def run(self) -> int:
        """Address of the kernel of values."""
        return int(cache.load(source(self.model, self.method, sensitivities=False)).run.address)

    @property
    def slopes(self) -> int:
        """Address of the kernel with derivatives by states and estimated parameters."""
        layout = self.model.theta_layout
        names = [
            n
            for n, at in layout.places.items()
            if np.isin(np.arange(at.start, at.stop), self.belief.scales.place).any()
        ]
        return slope_kernel(self.model, names, self.method)


def bind(
    model: Model, observations: Observations, unit: int, *, schedule: Schedule, belief: Belief, filter: Filter,
    past: tuple[float, FilterState] | None = None,
) -> Plant:  # fmt: skip
    """Return the plant of one unit; DataError where filters cannot take the model or its readings.

    `past` is when the clock started and the state to go on from, where the readings are not the first.
    """
    if not isinstance(model, Dynamic):
        raise DataError(f"got {model.name}, a {type(model).__mro__[1].__name__}; expected a wb.Ode or wb.Map to filter")
    rows = slice(observations.offset[unit], observations.offset[unit + 1])
    times = observations.time[rows]
    seen = sensors(model, observations.values, belief.noise)
    y = np.concatenate([v[rows].reshape(times.size, -1) for v in observations.values.values()], axis=1)
    at_limit = np.concatenate(
        [_at_limit(model, name, v[rows]).reshape(times.size, -1) for name, v in observations.values.items()], axis=1
    )
    sigma = process_noise(model, belief.theta)
    noisy = bool(sigma.any())
    plan = make_plan(model, schedule, (times, np.ascontiguousarray(y), at_limit), seen,
                     pieces=filter.pieces(model) if noisy else None, tight=filter.tight, past=past)  # fmt: skip
    low, high = bounds(model)
    method = method_of(model)
    if method is not None and count_stiff(
        model, belief.theta[None, None], schedule, rows=np.array([0, 1]), times=times[-1:].copy()
    ):
        method = RODAS5P
    names = (*model.state_layout.labels(), *belief.joint)
    return Plant(model, schedule, belief, plan, names, sigma, low, high, tuple(observations.values), method,
                 *(past or (float(schedule.begin[0]),)))  # fmt: skip


def process_noise(model: Model, theta: Array) -> Array:
    """Return the process noise of each state at (P,) parameters."""
    sigma = np.zeros(model.state_layout.size)
    for name, state in model.states.items():
        if state.noise is not None:
            source = f"{name}_noise" if isinstance(state.noise, Prior) else state.noise
            value: Any = theta[model.theta_layout.places[source]] if isinstance(source, str) else float(source)
            sigma[model.state_layout.places[name]] = value
    return sigma


def bounds(model: Model) -> tuple[Array, Array]:
    """Return the bounds of each state."""
    low, high = np.full(model.state_layout.size, -np.inf), np.full(model.state_layout.size, np.inf)
    for name, state in model.states.items():
        place = model.state_layout.places[name]
        low[place] = -np.inf if state.bounds[0] is None else state.bounds[0]
        high[place] = np.inf if state.bounds[1] is None else state.bounds[1]
    return low, high


def _at_limit(model: Model, name: str, values: Array) -> NDArray[np.bool_]:
    low, high = model.outputs[name].limits
    return (values <= (-np.inf if low is None else low)) | (values >= (np.inf if high is None else high))
