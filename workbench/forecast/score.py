"""How good a forecast was: proper scores of draws against what was read later, and skill over a simpler forecast."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workbench.base import units as units_of_measure
from workbench.base.errors import DataError, unknown
from workbench.base.schema import DRAW_DIMS, TIME

Array = NDArray[np.float64]
MASSES = (0.5, 0.8, 0.9, 0.95)


def crps(draws: Array, observed: Array) -> Array:
    """Return the continuous ranked probability score, in the unit of the readings; 0 is perfect, lower is better.

    E|X - y| - E|X - X'| / 2 (Gneiting & Raftery, J. Am. Stat. Assoc. 102 (2007) 359-378, eq. 21), the second mean over
    pairs of different draws, so that few members are not punished for being few (Ferro, Q. J. R. Meteorol. Soc. 140
    (2014) 1917-1923, eq. 4). Of one draw it is the absolute error.

    Parameters
    ----------
    draws
        (D, ...) a sample of each forecast; NaN draws are left out.
    observed
        (...) what was read; NaN gives NaN.
    """
    ordered = np.sort(draws, axis=0)  # NaN last
    count = np.isfinite(ordered).sum(axis=0)
    known = np.where(np.isfinite(ordered), ordered, 0.0)
    rank = np.arange(1, ordered.shape[0] + 1).reshape(-1, *[1] * (ordered.ndim - 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        away = np.nansum(np.abs(ordered - observed), axis=0) / count
        pairs = (known * (2 * rank - count - 1)).sum(axis=0)  # the sum of differences over pairs, each once
        apart = np.where(count > 1, pairs / (count * (count - 1)), 0.0)
    return np.where((count > 0) & np.isfinite(observed), away - apart, np.nan)


def pit(draws: Array, observed: Array, seed: int = 0) -> Array:
    """Return the probability integral transform: where each reading lies among its draws, uniform if these are right.

    A reading that equals draws (counts) is placed among them at random (Czado, Gneiting & Held, Biometrics 65 (2009)
    1254-1261).

    Parameters
    ----------
    draws
        (D, ...) a sample of each forecast.
    observed
        (...) what was read; NaN gives NaN.
    seed
        Of the random places.
    """
    below, equal = (draws < observed).sum(axis=0), (draws == observed).sum(axis=0)
    share = np.random.default_rng(seed).uniform(size=np.shape(observed))
    placed = (below + share * (equal + 1)) / (np.isfinite(draws).sum(axis=0) + 1)
    return np.where(np.isfinite(observed), placed, np.nan)


def score(
    forecast: xr.Dataset,
    observed: xr.Dataset,
    *,
    reference: xr.Dataset | None = None,
    over: Sequence[str] | None = None,
) -> xr.Dataset:
    """Return scores of a forecast for each output, over the readings that both have.

    Parameters
    ----------
    forecast
        Readings as forecast, over dims of draws (chain, draw, member) and those of the readings; without a dim of
        draws it is a single value, whose intervals have no width.
    observed
        What was read; times that the forecast does not have are left out, and so is what is NaN.
    reference
        Another forecast (see `persistence`): adds the skill, 1 - CRPS / CRPS of the reference, over the same readings.
    over
        Dims over which scores are means; None: all but `horizon`.

    Returns
    -------
    xarray.Dataset
        Over `output` (and dims that are kept): `count`, `bias` (forecast mean - reading), `mae` (of the median),
        `rmse` (of the mean), `crps`, `coverage` and `width` over `mass` (central intervals), `skill`; units of the
        outputs in the coordinate `units`.

    Raises
    ------
    DataError
        If nothing that was forecast was read.
    UnitError
        If units cannot be converted.
    """
    names = [str(n) for n in observed.data_vars if n in forecast.data_vars]
    if not names:
        raise DataError(
            unknown("output", str(next(iter(observed.data_vars), "")), map(str, forecast.data_vars), "score")
        )
    made = []
    for name in names:
        pair = _paired(forecast[name], observed[name])
        others = None if reference is None else _paired(reference[name], observed[name])
        made.append(_scores(*pair, reference=others, over=over))
    table = xr.concat(made, xr.IndexVariable("output", names), join="outer")
    table = table.assign_coords(units=("output", [forecast[n].attrs.get("units", "1") for n in names]))
    for label, words in _WORDS.items():
        if label in table:
            table[label].attrs = {"long_name": words}
    return table


_WORDS = {
    "count": "readings scored",
    "bias": "mean of forecast mean - reading",
    "mae": "mean absolute error of the forecast's median",
    "rmse": "root mean square error of the forecast's mean",
    "crps": "continuous ranked probability score",
    "coverage": "share of readings within the central interval",
    "width": "mean width of the central interval",
    "skill": "1 - CRPS / CRPS of the reference",
}


def persistence(observed: xr.Dataset, times: Any) -> xr.Dataset:
    """Return the forecast that nothing changes: the last reading of each output before each time of issue, held on.

    Parameters
    ----------
    observed
        Readings over time.
    times
        (time,) increasing; the value at each is the last reading strictly before the first of them: one issue, held.

    Raises
    ------
    DataError
        If nothing was read before the first time.
    """
    times = np.asarray(times)
    before = observed.where(observed[TIME] < times[0], drop=True)
    if not before.sizes.get(TIME):
        raise DataError(f"persistence: got no reading before {times[0]}; expected one to hold on to")
    found = {}
    for name, readings in before.data_vars.items():
        behind = readings.notnull().isel({TIME: slice(None, None, -1)}).argmax(TIME)  # all NaN: the last, which is NaN
        last = readings.isel({TIME: readings.sizes[TIME] - 1 - behind})
        found[name] = last.drop_vars(TIME).expand_dims({TIME: times}).assign_attrs(observed[name].attrs)
    return xr.Dataset(found)


def _paired(forecast: xr.DataArray, observed: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Return draws over `sample` first, and readings in the forecast's unit, over the labels that both have."""
    unit = forecast.attrs.get("units", "1")
    given = observed.attrs.get("units", unit)
    if given != unit:
        observed = observed.copy(data=units_of_measure.convert(observed.values, given, unit))
    lead = [d for d in DRAW_DIMS if d in forecast.dims]
    draws = forecast.stack(sample=lead) if lead else forecast.expand_dims("sample")
    draws = draws.drop_vars([c for c in draws.coords if c not in draws.dims or c == "sample"])
    draws, observed = xr.align(draws, observed, join="inner", exclude=["sample"])
    if not observed.size:
        raise DataError(f"score: got no reading of {forecast.name} at a time that was forecast; expected at least one")
    draws = draws.transpose("sample", ...)
    return draws, observed.broadcast_like(draws.isel(sample=0)).transpose(*draws.dims[1:])


def _scores(draws: xr.DataArray, observed: xr.DataArray, *, reference: Any, over: Sequence[str] | None) -> xr.Dataset:
    x, y = draws.values, observed.values
    known = np.isfinite(y) & np.isfinite(x).any(axis=0)
    y = np.where(known, y, np.nan)
    tails = np.array([[0.5 - m / 2, 0.5 + m / 2] for m in MASSES])
    with np.errstate(all="ignore"):
        ends = np.nanquantile(np.where(known, x, 0.0), tails.ravel(), axis=0).reshape(len(MASSES), 2, *y.shape)
        error = np.nanmean(np.where(known, x, 0.0), axis=0) - y
        middle = np.nanmedian(np.where(known, x, 0.0), axis=0) - y
    inside = (ends[:, 0] <= y) & (y <= ends[:, 1])
    own = crps(x, y)
    dims = observed.dims
    kept = [d for d in dims if d == "horizon"] if over is None else [d for d in dims if d not in over]
    axes = tuple(k for k, d in enumerate(dims) if d not in kept)
    place: dict[str, Any] = {str(d): observed.coords[d] for d in kept if d in observed.coords}

    def mean(values: Array) -> Array:
        shift = values.ndim - y.ndim
        total = np.where(known, values, 0.0).sum(axis=tuple(a + shift for a in axes))
        with np.errstate(all="ignore"):
            return total / known.sum(axis=axes)

    table = {
        "count": (kept, known.sum(axis=axes)),
        "bias": (kept, mean(error)),
        "mae": (kept, mean(np.abs(middle))),
        "rmse": (kept, np.sqrt(mean(error**2))),
        "crps": (kept, mean(own)),
        "coverage": (["mass", *kept], mean(inside.astype(float))),
        "width": (["mass", *kept], mean(ends[:, 1] - ends[:, 0])),
    }
    if reference is not None:
        table["skill"] = (kept, _skill(own, observed, reference, axes))
    return xr.Dataset(table, {"mass": list(MASSES), **place})


def _skill(own: Array, observed: xr.DataArray, reference: tuple[xr.DataArray, xr.DataArray], axes: Any) -> Array:
    """Return the skill over the readings that both forecasts have."""
    others = xr.DataArray(crps(reference[0].values, reference[1].values), reference[1].coords, reference[1].dims)
    theirs = others.reindex_like(observed).transpose(*observed.dims).values
    both = np.isfinite(own) & np.isfinite(theirs)
    with np.errstate(all="ignore"):
        return 1 - np.where(both, own, 0.0).sum(axis=axes) / np.where(both, theirs, 0.0).sum(axis=axes)
