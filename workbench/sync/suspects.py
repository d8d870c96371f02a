"""A plant whose sensors may be biased and whose parameters may change: what `wb.explain` lets a filter follow."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workbench.base.clock import Clock
from workbench.base.errors import DataError, ParameterError, unknown
from workbench.declare.model import Model
from workbench.declare.prior import Prior, make
from workbench.simulate.scenario import build_schedule, unit_labels
from workbench.sync.filters.belief import believe
from workbench.sync.filters.extended import ExtendedKalman
from workbench.sync.filters.plant import Plant, bind
from workbench.sync.filters.protocol import FilterState, Records
from workbench.sync.filters.scale import unbounded
from workbench.sync.filters.sensors import KINDS, shown, variance
from workbench.sync.filters.unscented import UnscentedKalman
from workbench.sync.handover import first_times
from workbench.sync.observations import Observations, observe, spans

Array = NDArray[np.float64]
Gaussian = ExtendedKalman | UnscentedKalman
WIDE = 5.0  # SD of a bias, in SDs of the sensor's noise
STILL = 0.1  # SD of a stuck sensor, likewise


@dataclass(frozen=True, eq=False)
class Suspects:
    """The plant, its state as long as nothing has happened, and what each place of it gains when something does."""

    plant: Plant
    start: FilterState
    variance: Array
    suspects: tuple[str, ...]
    name: str
    times: Array
    clock: Clock


def suspect(
    model: Model, data: Any, *, inputs: Any, parameters: Any, suspects: Sequence[str] | None, filter: Gaussian
) -> Suspects:
    """Return the plant of one unit; errors as `wb.explain` says."""
    if not isinstance(filter, Gaussian):
        raise DataError(f"got filter={filter!r}; expected one with a covariance, such as wb.ExtendedKalman(gate=inf)")
    observations = observe(model, data)
    if observations.units is not None or unit_labels(model, inputs) is not None:
        raise DataError("explain: got several units; expected one (explain each by itself)")
    names = _names(model, suspects)
    known, spread = _known(model, parameters, names)
    biased = _with_biases(model, observations, known)
    priors = {n: _prior_of(biased, n) for n in (*names, *(f"{o}_bias" for o in _real(biased, observations)))}
    belief = believe(biased, {**{n: v for n, v in known.items() if n not in priors}, **priors}, 0, None)
    first, (_, last) = first_times(observations, parameters), spans(observations)
    schedule = build_schedule(biased, inputs, units=None, begin=first, end=last, clock=observations.clock)
    plant = bind(biased, observations, 0, schedule=schedule, belief=belief, filter=filter)
    state = filter.init(plant, 0)
    gained = np.diag(state.arrays["covariance"]).copy()
    made = Suspects(plant, state, gained, names, model.name, observations.time, observations.clock)
    return _quiet(made, known, spread)


def _names(model: Model, suspects: Sequence[str] | None) -> tuple[str, ...]:
    able = [n for n, q in model.parameters.items() if q.prior is not None and not q.dims]
    for name in suspects or ():
        if name not in able:
            raise ParameterError(unknown("scalar parameter with a prior", name, able, "suspects"))
    return tuple(able if suspects is None else suspects)


def _known(model: Model, parameters: Any, names: Sequence[str]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return numbers of parameters, and draws of suspected ones."""
    given = {} if parameters is None else getattr(parameters, "posterior", parameters)
    if isinstance(given, xr.DataTree):
        given = given.to_dataset()
    items = given.data_vars if isinstance(given, xr.Dataset) else given
    known, spread = dict[str, Any](), dict[str, Array]()
    for label, value in items.items():
        name = str(label)
        if isinstance(given, xr.Dataset) and name not in {**model.theta, **model.noise_parameters}:
            continue
        if isinstance(value, Prior):
            raise ParameterError(f"{name}: got {value!r}; expected a number, or a posterior's draws")
        if isinstance(value, xr.DataArray):
            draws = [d for d in value.dims if d in ("chain", "draw", "member")]
            known[name] = value.median(draws).values
            if name in names and draws and not model.theta[name].dims:
                spread[name] = value.values.ravel()
        else:
            known[name] = value
    return known, spread


def _real(model: Model, observations: Observations) -> list[str]:
    """Return the outputs whose sensors may be biased either way."""
    found = {n: model.outputs[n].noise for n in observations.values}
    return [n for n, noise in found.items() if noise is not None and noise.family.readings == "real"]


def _with_biases(model: Model, observations: Observations, known: dict[str, Any]) -> Model:
    """Return the model with a prior of the bias of each sensor that has none."""
    changed = dict[str, Any]()
    for name in _real(model, observations):
        output = model.outputs[name]
        if isinstance(output.bias, Prior):
            continue
        assert output.noise is not None
        arguments = [
            float(known.get(f"{name}_{key}", a.quantile(0.5)) if isinstance(a, Prior) else a)
            for key, a in output.noise.arguments
        ]
        scale = float(np.nanmedian(np.abs(observations.values[name])))
        first, second = [*arguments, 0.0, 0.0][:2]
        noise = np.sqrt(variance(_kind(output), first, second, scale))
        changed[name] = replace(output, bias=make("Normal", mu=output.bias, sigma=float(WIDE * noise)))
    if not changed:
        return model
    cls: Any = type(model)
    made = type(cls)(cls.__name__, (cls,), {"__module__": cls.__module__, **changed})
    return made(**{f.name: getattr(model, f.name) for f in fields(model)})  # type: ignore[arg-type]


def _kind(output: Any) -> int:
    """Return the kind of noise; that of what filters refuse does not matter."""
    return KINDS.index(output.noise.name) if output.noise.name in KINDS else 0


def _prior_of(model: Model, name: str) -> Prior:
    prior = model.theta[name].prior
    assert prior is not None
    return prior


def _quiet(made: Suspects, known: dict[str, Any], spread: dict[str, Array]) -> Suspects:
    """Return it with suspected parameters at their values, as certain as their draws, and sensors without a bias."""
    plant, n = made.plant, made.plant.sigma.size
    mean, P = made.start.arrays["mean"].copy(), made.start.arrays["covariance"].copy()
    P[n:, :], P[:, n:] = 0.0, 0.0
    scales, drawn = plant.belief.scales, dict[int, Array]()
    for j, name in enumerate(plant.belief.joint):
        low, high = scales.low[j], scales.high[j]
        if name in spread:
            drawn[n + j] = unbounded(low, high, spread[name])
            mean[n + j] = drawn[n + j].mean()
        elif name in made.suspects:
            value = known.get(name, plant.belief.theta[scales.place[j]])
            mean[n + j] = float(unbounded(low, high, np.array(float(value))))
    if drawn:
        places = list(drawn)
        P[np.ix_(places, places)] = np.atleast_2d(np.cov(np.stack(list(drawn.values()))))
    start = replace(made.start, arrays={**made.start.arrays, "mean": mean, "covariance": P})
    return replace(made, start=start)


def stuck_density(plant: Plant, column: int, k: int, usual: Records) -> float:
    """Return the log density of the readings of a sensor from cycle k on if it is stuck.

    They are a constant, normal around the forecast of the first of them with the SD of its innovation, and errors of a
    tenth of the sensor's SD: a Gaussian whose covariance is a diagonal and one direction.
    """
    plan = plant.plan
    rows = k + np.flatnonzero(np.isfinite(plan.y[k:, column]) & ~plan.at_limit[k:, column])
    if rows.size == 0:
        return 0.0
    kind = int(plan.kind[column])
    y = np.array([shown(kind, v) for v in plan.y[rows, column]])
    near = min(int(rows[0]) - k, len(usual.innovation) - 1)
    sd = float(usual.innovation[near, 1, column])
    centre = y[0] - float(usual.innovation[near, 0, column]) if np.isfinite(usual.innovation[near, 0, column]) else y[0]
    r = STILL**2 * variance(kind, plan.first[column], plan.second[column], float(plan.y[rows[0], column]))
    d, count = y - centre, y.size
    total = sd**2 * count + r
    square = (d @ d - sd**2 * d.sum() ** 2 / total) / r
    log_det = (count - 1) * np.log(r) + np.log(total)
    jacobian = float(y.sum()) if kind == 1 else 0.0
    return -0.5 * (float(square) + log_det + count * np.log(2 * np.pi)) - jacobian
