"""Remaining useful life: the distribution of the time until an event ends it, and how good such forecasts were."""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workbench.base.errors import DataError, unknown
from workbench.base.schema import DRAW_DIMS, TIME

Array = NDArray[np.float64]
DAY = np.timedelta64(1, "D")
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)


def remaining_life(forecast: xr.Dataset, event: str, *, now: Any = None) -> xr.Dataset:
    """Return how long each draw of a forecast lasts until an event happens for the first time.

    Parameters
    ----------
    forecast
        What `wb.forecast` or `wb.simulate` gave for draws of a model with events, far enough into the future.
    event
        Name of the event.
    now
        The time from which life is counted; events before it count too (a life below zero). None: the forecast's first
        time.

    Returns
    -------
    xarray.Dataset
        `life` over the draws (and `unit`), infinite where the event did not happen before the forecast's end;
        `happened` over `time`, the probability that the event has happened by then; `quantiles` of life over
        `quantile`, infinite where draws that outlast the forecast reach into them; in the units of time of the
        forecast, or days for dates.

    Raises
    ------
    DataError
        If the forecast knows no such event.
    """
    names = [str(n).removesuffix("_time") for n in forecast.data_vars if str(n).endswith("_time")]
    if event not in names:
        raise DataError(unknown("event", event, names, "remaining_life"))
    times = forecast[f"{event}_time"]
    now = forecast[TIME].values[0] if now is None else now
    first = times.isel({event: 0}, drop=True) if times.sizes[event] else xr.full_like(times.sum(event), np.nan)
    life, unit = _since(first, now)
    life = life.where(life.notnull(), np.inf)
    draws = [d for d in DRAW_DIMS if d in life.dims]
    span, _ = _since(forecast[TIME], now)
    happened = (life <= span).mean(draws)
    ordered = np.quantile(life, SHARES, axis=[life.get_axis_num(d) for d in draws], method="lower")
    rest = [d for d in life.dims if d not in draws]
    made = xr.Dataset({"life": life, "happened": happened, "quantiles": (["quantile", *rest], ordered)})
    made = made.assign_coords(quantile=list(SHARES))
    made["life"].attrs = {"units": unit, "long_name": f"remaining life until {event}"}
    made["quantiles"].attrs = {"units": unit, "long_name": f"quantiles of the remaining life until {event}"}
    made["happened"].attrs = {"units": "1", "long_name": f"probability that {event} has happened"}
    return made.assign_attrs(now=str(now), event=event)


def prognosis(life: xr.DataArray, end: Any, *, alpha: float = 0.2, beta: float = 0.5) -> xr.Dataset:
    """Return how good forecasts of the remaining life were, now that the end of life is known.

    Metrics of Saxena, Celaya, Saha, Saha & Goebel, Int. J. Prognostics Health Manag. 1 (2010) 4-23, section 4.

    Parameters
    ----------
    life
        Forecast lives over dims of draws and over `time`, the times at which they were forecast; infinite where a draw
        outlasted its forecast.
    end
        When life did end, on the clock of `time`.
    alpha
        Half width of the zone in which a forecast is good: a share of the true remaining life (alpha-lambda accuracy),
        or of the life until the end (prognostic horizon).
    beta
        Probability that must lie in the zone.

    Returns
    -------
    xarray.Dataset
        Over `time`: `true` remaining life, `within` (probability of the alpha-lambda zone), `accurate` (whether it
        reaches beta), `relative_accuracy` of the median (eq. 11); and `prognostic_horizon`: how long before the end
        beta of the forecast first lay within alpha of the whole life around the truth (NaN: never).

    Raises
    ------
    DataError
        If every forecast was made after the end.
    """
    draws = [d for d in DRAW_DIMS if d in life.dims]
    true = -_since(life[TIME], end)[0]
    life, true = life.isel({TIME: true.values > 0}), true.isel({TIME: true.values > 0})
    if not true.size:
        raise DataError(f"prognosis: got no forecast before the end of life at {end}; expected at least one")
    within = (abs(life - true) <= alpha * true).mean(draws)
    whole = float(true.max()) if np.issubdtype(life[TIME].dtype, np.datetime64) else float(end)
    near = (abs(life - true) <= alpha * whole).mean(draws) >= beta
    reached = true.where(near, drop=True)
    median = life.quantile(0.5, draws) if draws else life
    unit = life.attrs.get("units", "1")
    made = xr.Dataset(
        {
            "true": true.assign_attrs(units=unit, long_name="true remaining life"),
            "within": within.assign_attrs(units="1", long_name=f"probability within {alpha:g} of the true life"),
            "accurate": within >= beta,
            "relative_accuracy": (1 - abs(median - true) / true).drop_vars("quantile", errors="ignore"),
            "prognostic_horizon": float(reached.max()) if reached.size else np.nan,
        }
    )
    made["prognostic_horizon"].attrs = {"units": unit, "long_name": "prognostic horizon"}
    return made.assign_attrs(alpha=alpha, beta=beta)


def _since(times: xr.DataArray, origin: Any) -> tuple[xr.DataArray, str]:
    """Return times counted from an origin, in their own unit or in days, NaN where there is none, and that unit."""
    if np.issubdtype(times.dtype, np.datetime64):
        return (times - np.datetime64(origin)) / DAY, "d"
    return times - float(origin), times.attrs.get("units", "1")
