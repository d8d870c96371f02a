"""`wb.hindcast`: what a filter would have forecast from each reading on, for many horizons at once."""

from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workbench.base.errors import DataError
from workbench.declare.model import Model, as_model
from workbench.sync.assimilate import Followed, follow
from workbench.sync.filters.extended import ExtendedKalman
from workbench.sync.filters.plant import Plant
from workbench.sync.filters.protocol import Filter
from workbench.sync.observations import Observations, observe

Array = NDArray[np.float64]
DRAWS = 10  # of a posterior, spread over all
MEMBERS = 200  # in all
LOGARITHM = 1  # kind of sensor whose readings are Gaussian on this scale


def hindcast(
    model: Any,
    data: Any,
    horizons: Any,
    *,
    inputs: Any = None,
    filter: Filter | None = None,
    parameters: Any = None,
    seed: int | None = None,
) -> xr.Dataset:
    """Return what would have been forecast of each reading, some time before it.

    A forecast is issued from the filter's state after the last reading that is a horizon older, or more. Impulses
    since then have not been announced, and are left out; other inputs are known ahead.

    Parameters
    ----------
    model
        A `wb.Ode` or `wb.Map`.
    data
        Readings of one unit, as `wb.assimilate` takes them.
    horizons
        (H,) how long before each reading, above 0, in the model's time unit.
    inputs
        As in `wb.simulate`, over the whole time.
    filter
        `wb.ExtendedKalman()` by default; `wb.Kalman()`; `wb.UnscentedKalman()`.
    parameters
        Known numbers by name; or a posterior or a calibration, of which 10 draws, spread over all, are followed.
    seed
        Seed of the readings drawn.

    Returns
    -------
    xarray.Dataset
        The outputs measured, over member, time (of what is forecast) and horizon; NaN where no reading is old enough.
        `wb.score` compares it with the readings.

    Raises
    ------
    DataError
        If a horizon is not above 0, there are several units, or the filter is not Gaussian.
    DataError, ParameterError, UnitError, SolveError
        As `wb.assimilate`.
    """
    model, chosen = as_model(model), ExtendedKalman() if filter is None else filter
    ahead, seen = _horizons(model, horizons), observe(model, data)
    _refuse(chosen, seen)
    rng, drawn, sets = np.random.default_rng(seed), [], _sets(parameters)
    for values in sets:
        run = follow(model, seen, inputs=inputs, filter=chosen, parameters=values, seed=seed, keep=True)[0]
        centre, spread = _ahead(chosen, run, seen.time, ahead)
        drawn.append(centre + spread * _scores(MEMBERS // len(sets), centre.shape, rng))
    return _dataset(model, seen, run.plant, np.concatenate(drawn), ahead)


def _horizons(model: Model, horizons: Any) -> Array:
    """Return horizons as numbers above 0."""
    ahead = np.atleast_1d(np.asarray(horizons, dtype=float))
    if ahead.ndim != 1 or not ahead.size or not (ahead > 0).all():
        raise DataError(f"horizons: got {horizons}; expected times above 0, in {model.time_unit}")
    return ahead


def _refuse(filter: Any, seen: Observations) -> None:
    """Refuse several units, and filters without mean and covariance."""
    if seen.units is not None:
        raise DataError(f"got units {list(seen.units)}; expected data of one: follow them one by one")
    if "covariance" not in getattr(filter, "holds", ()):
        raise DataError(f"got filter={filter!r}; expected one with mean and covariance, such as wb.ExtendedKalman()")


def _sets(parameters: Any) -> list[Any]:
    """Return mappings of known numbers: one, or of some draws of a posterior."""
    posterior = getattr(parameters, "posterior", parameters)
    if not isinstance(posterior, xr.Dataset):
        return [parameters]
    flat = posterior.stack(sample=("chain", "draw"))
    rows = np.linspace(0, flat.sizes["sample"] - 1, min(DRAWS, flat.sizes["sample"])).astype(int)
    return [flat.isel({"sample": [row]}).drop_vars(["sample", "chain", "draw"]).rename(sample="draw") for row in rows]


def _scores(count: int, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Return normal scores (count, ...), one of each stratum, so that few members have the right quantiles."""
    from scipy.special import ndtri

    strata = np.arange(count).reshape(-1, *[1] * len(shape))
    return np.asarray(ndtri((strata + rng.random((count, *shape))) / count))


def _ahead(filter: Any, run: Followed, times: Array, horizons: Array) -> tuple[Array, Array]:
    """Return mean and SD of readings (C, H, M), on the scale of their noise, from states that are old enough."""
    plant, state, records = run
    plan = plant.plan
    blind = replace(
        plant, plan=plan._replace(y=np.full_like(plan.y, np.nan), jump=np.zeros_like(plan.jump)), after=None
    )
    count, slack = times.size, 1e-9 * max(abs(times[-1]), 1.0)
    origin = np.searchsorted(times, times[:, None] - horizons + slack, "right") - 1  # (C, H), -1: none
    made = np.full((2, count, horizons.size, plan.y.shape[1]), np.nan)
    for k in np.unique(origin[origin >= 0]).tolist():
        targets = np.argwhere(origin == k)
        if len(records.history) > 3 and np.abs(records.history[3][k]).max(initial=0.0) > 1e-9:
            continue  # nothing has told a diffuse start yet
        arrays = {"mean": records.analysis[k, 0].copy(), "covariance": records.history[1][k].copy()}
        issued = replace(state, time=float(times[k]), arrays=arrays)
        _, ran = filter.between(blind, issued, k + 1, int(targets[:, 0].max()) + 1)
        for j, h in targets.tolist():
            outputs, spread = ran.outputs[j - k - 1, 0, plan.column], ran.innovation[j - k - 1, 1]
            logs = plan.kind == LOGARITHM
            made[0, j, h] = np.where(logs, np.log(np.where(logs, outputs, 1.0)), outputs)
            made[1, j, h] = spread
    return made[0], made[1]


def _dataset(model: Model, seen: Observations, plant: Plant, drawn: Array, horizons: Array) -> xr.Dataset:
    """Return draws (members, C, H, M) of readings as they are named."""
    logs = plant.plan.kind == LOGARITHM
    drawn = np.where(logs, np.exp(np.where(logs, drawn, 0.0)), drawn)
    data, first = {}, 0
    for name in plant.measured:
        output, shape = model.outputs[name], model.output_layout.shapes[name]
        size = int(np.prod(shape, dtype=int))
        low, high = (np.inf * side if end is None else end for side, end in zip((-1, 1), output.limits, strict=True))
        values = np.clip(drawn[..., first : first + size], low, high).reshape(*drawn.shape[:3], *shape)
        attrs = {"units": output.unit, "long_name": output.long_name or name}
        data[name] = (("member", "time", "horizon", *output.dims), values, attrs)
        first += size
    coords = {n: v for n, v in seen.coords.items() if n != "sample"}
    made = xr.Dataset(data, {**coords, "horizon": horizons, "member": np.arange(drawn.shape[0])})
    made["time"].attrs = seen.clock.attributes
    made["horizon"].attrs = {"units": model.time_unit, "long_name": "horizon"}
    return made
