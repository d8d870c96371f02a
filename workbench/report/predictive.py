"""Readings that a declaration, or a posterior, says might have been: of its prior, and of a study done again."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workbench.base.errors import DataError
from workbench.base.schema import CHAIN, DRAW, MEMBER, TIME, UNIT
from workbench.calibrate.calibration import Calibration
from workbench.calibrate.fleet.correlation import Group, groups_of
from workbench.calibrate.fleet.pooling import draw_prior, scale_of, spread_prior
from workbench.calibrate.predict import labelled, noise_arguments, studies
from workbench.calibrate.sensors.likelihood import draw_readings
from workbench.declare.model import Model, as_model
from workbench.declare.partial import Partial, by_parameter
from workbench.simulate.run import simulate

Array = NDArray[np.float64]


def prior_units(
    model: Any, *, pool: Mapping[str, Any] | None = None, draws: int = 500, seed: int | None = None
) -> xr.Dataset:
    """Return parameters of units as the priors alone have them, over `member`, noise included.

    Parameters
    ----------
    model
        The declaration.
    pool
        As in `wb.calibrate`: a partially pooled parameter varies between units, so the prior of the population's median
        is widened by that of the SD between units.
    draws
        Number of units.
    seed
        Seed of the draws.
    """
    model = as_model(model)
    rng = np.random.default_rng(seed)
    drawn: dict[str, Any] = {}
    ways, groups = by_parameter(pool)
    z = _correlated(groups_of(model, groups), rng, draws)
    for name, quantity in {**model.theta, **model.noise_parameters}.items():
        if quantity.prior is None:
            continue
        shape = (draws, *model.shape(quantity))
        values = draw_prior(quantity.prior, rng, shape)
        way = ways.get(name)
        if way == "partial" or isinstance(way, Partial):
            scale = scale_of(quantity.prior)
            law = spread_prior(quantity.prior, way if isinstance(way, Partial) else None)
            spread = draw_prior(law, rng, shape)
            values = scale.unlink(scale.link(values) + spread * z.get(name, rng.normal(size=shape)))
        attrs = {"units": quantity.unit, "long_name": quantity.long_name}
        drawn[name] = ((MEMBER, *quantity.dims), values, attrs)
    labels = {dim: model.labels[dim] for dims, _, _ in drawn.values() for dim in dims[1:]}
    return xr.Dataset(drawn, {MEMBER: np.arange(draws), **labels}, {"model": model.name})


def _correlated(groups: tuple[Group, ...], rng: np.random.Generator, draws: int) -> dict[str, Array]:
    """Return standardised effects (draws,) of one unit for each draw of the correlations."""
    made = dict[str, Array]()
    for group in groups:
        z = group.root(group.draw(rng, draws)) @ rng.normal(size=(draws, len(group.names), 1))
        made |= dict(zip(group.names, z[:, :, 0].T, strict=True))
    return made


def prior_readings(
    model: Any,
    times: Any,
    *,
    inputs: Any = None,
    pool: Mapping[str, Any] | None = None,
    draws: int = 500,
    seed: int | None = None,
) -> xr.Dataset:
    """Return what sensors would read if the priors were all that is known, over `member` (and `unit`) and `time`.

    Parameters
    ----------
    model, inputs
        As in `wb.simulate`.
    times
        (time,) as in `wb.simulate`.
    pool, draws, seed
        As in `prior_units`.
    """
    model = as_model(model)
    units = prior_units(model, pool=pool, draws=draws, seed=seed)
    made = simulate(model, times, parameters=units, inputs=inputs)
    return read(model, made, units, seed=seed)


def read(model: Model, outputs: xr.Dataset, parameters: xr.Dataset, *, seed: int | None = None) -> xr.Dataset:
    """Return simulated outputs as noisy sensors read them, each time with the same random numbers.

    So bands of readings are right at each time, and smooth over time; differences between times are not readings.

    Parameters
    ----------
    model
        The declaration.
    outputs
        What `wb.simulate` or `wb.forecast` (without noise) returned: dims of draws first.
    parameters
        The draws, which hold the arguments of the noise.
    seed
        Seed of the noise.
    """
    word = np.random.SeedSequence(seed).spawn(1)[0]
    values = {str(name): array.values for name, array in parameters.data_vars.items()}
    found = {}
    for name, output in model.outputs.items():
        if output.noise is None or any(f"{name}_{key}" not in values for key in output.noise.priors):
            continue
        sizes = outputs[name].sizes
        units = np.repeat(np.arange(sizes.get(UNIT, 1)), int(np.prod(model.shape(output))))
        arguments = noise_arguments(model, name, values, units)
        lead = max((a.shape[0] for a in arguments.values() if a.ndim), default=1)
        drawn, axis = np.empty(outputs[name].shape), outputs[name].dims.index(TIME)
        for now, there in zip(np.moveaxis(outputs[name].values, axis, 0), np.moveaxis(drawn, axis, 0), strict=True):
            rng = np.random.default_rng(word)
            there[...] = draw_readings(output.noise, now.reshape(lead, -1), arguments, rng, output.limits).reshape(
                now.shape
            )
        found[name] = outputs[name].copy(data=drawn)
    return outputs[list(found)].assign(found)


def study_again(calibration: Calibration, *, seed: int | None = None) -> xr.Dataset:
    """Return the readings of new units in a study of the same design, at every draw of the posterior.

    Each draw has as many units as the data, with their inputs and times, but drawn afresh from the population.

    Parameters
    ----------
    calibration
        A calibration with its model; of several units, none of whose parameters was estimated on its own.
    seed
        Seed of the units and of the noise.

    Returns
    -------
    xarray.Dataset
        Outputs over chain, draw and the layout of the data, with units.

    Raises
    ------
    DataError
        If the calibration was opened without its model.
    ParameterError
        If a parameter was estimated for each unit on its own, which says nothing about new ones.
    """
    problem = calibration.problem
    if problem is None:
        raise DataError("got a calibration opened without its model; expected Calibration.open(path, model)")
    streams = np.random.SeedSequence(seed).spawn(2)
    count = 1 if problem.units is None else len(problem.units)
    fresh = [calibration.new_unit(seed=int(word)) for word in streams[0].generate_state(count)]
    variables = {
        str(name): np.stack([unit[name].values for unit in fresh], axis=2)
        if problem.pool.get(str(name)) == "partial"
        else fresh[0][name].values
        for name in fresh[0].data_vars
    }
    readings = studies(problem, variables, np.random.default_rng(streams[1]))
    return labelled(problem, readings)


def percentiles(
    observed: xr.DataArray,
    simulated: xr.DataArray,
    *,
    quantiles: Sequence[float] = (0.1, 0.5, 0.9),
    mass: float = 0.9,
    bins: int | None = None,
) -> xr.Dataset:
    """Return percentiles of readings among units in bins of time, beside their intervals over simulated studies.

    The visual predictive check of Holford N (2005), PAGE 14, abstract 738, with the intervals of Karlsson M, Holford N
    (2008), PAGE 17, abstract 1434.

    Parameters
    ----------
    observed
        Readings in one of the layouts of data, with a coordinate `time`.
    simulated
        The same over chain and draw: each draw is one study.
    quantiles
        Which percentiles, as fractions.
    mass
        Probability of the intervals, tails equal.
    bins
        Number of bins of about equal counts; by default as many as a unit has readings.

    Returns
    -------
    xarray.Dataset
        `observed`, `low`, `middle` and `high` over `quantile` and `bin`, with the middle time of each bin.
    """
    dims = observed.dims
    times = observed[TIME].broadcast_like(observed).transpose(*dims).values.ravel()
    values = observed.values.ravel()
    studies = simulated.transpose(CHAIN, DRAW, *dims).values.reshape(-1, values.size)
    known = np.flatnonzero(np.isfinite(values))
    units = np.unique(observed[UNIT].values).size if UNIT in observed.coords else 1
    order = known[np.argsort(times[known], kind="stable")]
    groups = np.array_split(order, bins or max(1, round(known.size / max(units, 10))))
    edges = np.unique(times[[group[0] for group in groups if group.size]])
    place = np.searchsorted(edges, times, side="right") - 1  # readings of one time fall into one bin
    tail = (1 - mass) / 2
    found = np.empty((4, len(quantiles), edges.size))
    middle = []
    for k in range(edges.size):
        rows = order[place[order] == k]
        middle.append(times[rows][(rows.size - 1) // 2])
        found[0, :, k] = np.quantile(values[rows], quantiles)
        found[1:, :, k] = np.quantile(np.quantile(studies[:, rows], quantiles, axis=1), [tail, 0.5, 1 - tail], axis=1)
    data = {
        name: (("quantile", "bin"), found[i], observed.attrs)
        for i, name in enumerate(("observed", "low", "middle", "high"))
    }
    coords = {"quantile": list(quantiles), TIME: ("bin", np.array(middle), observed[TIME].attrs)}
    return xr.Dataset(data, coords, {"mass": mass})
