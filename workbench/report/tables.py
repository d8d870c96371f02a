"""Tables of calibrations, for any model: each estimate with its interval, named."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from workbench.base.errors import DataError, unknown
from workbench.base.schema import DRAW_DIMS, UNIT
from workbench.calibrate.calibration import MASS, Calibration
from workbench.calibrate.fleet.correlation import groups_of
from workbench.calibrate.fleet.pooling import attributes_of, spread_prior
from workbench.calibrate.trust.convergence import convergence
from workbench.declare.model import as_model
from workbench.declare.partial import Partial, by_parameter
from workbench.report.render import DOUBT, Doubt, number_text, unit_text

if TYPE_CHECKING:
    import pandas as pd

INTERVAL = f"{100 * MASS:.0f}% ETI"


@dataclass(frozen=True)
class Reference:
    """A published value to compare with.

    Attributes
    ----------
    value
        The estimate; where `log` holds, of the logarithm.
    se
        Its standard error on the same scale, None where none was published.
    log
        Whether value and standard error are those of the natural logarithm.
    """

    value: float
    se: float | None = None
    log: bool = False


@dataclass(frozen=True)
class Compared:
    """Draws beside a published value.

    Attributes
    ----------
    ours, published
        Median, or estimate, with the same equal-tailed interval, as text.
    difference
        Ours less the published, in `scale` units, on the scale of the publication.
    scale
        "SE" (of the publication) or, where it gives none, "SD" (of our posterior).
    """

    ours: str
    published: str
    difference: float
    scale: str


def estimate(draws: xr.DataArray) -> str:
    """Return the median and the equal-tailed 89% interval of draws as text: "2.76 (2.35–3.26)"."""
    low, middle, high = _quantiles(draws)
    return _between(middle, low, high)


def _quantiles(draws: xr.DataArray) -> tuple[float, ...]:
    return tuple(map(float, np.quantile(draws.values, [0.5 - MASS / 2, 0.5, 0.5 + MASS / 2])))


def _between(middle: float, low: float, high: float) -> str:
    return f"{number_text(middle)} ({_span(low, high)})"


def _span(low: float, high: float, digits: int = 3) -> str:
    ends = number_text(low, digits), number_text(high, digits)
    return (" to " if low < 0 else "–").join(ends)


def compare(draws: xr.DataArray, reference: Reference) -> Compared:
    """Return draws of a quantity beside its published value.

    Parameters
    ----------
    draws
        Of the quantity itself, also where the publication has its logarithm.
    reference
        The published value.
    """
    import scipy.stats

    scaled = np.log(draws.values) if reference.log else draws.values
    back = np.exp if reference.log else np.asarray
    yardstick = float(scaled.std(ddof=1)) if reference.se is None else reference.se
    published = number_text(float(back(reference.value)))
    if reference.se is not None:
        reach = reference.se * scipy.stats.norm.ppf(0.5 + MASS / 2)
        low, middle, high = (float(back(reference.value + step)) for step in (-reach, 0.0, reach))
        published = _between(middle, low, high)
    difference = (float(scaled.mean()) - reference.value) / yardstick
    return Compared(estimate(draws), published, difference, "SD" if reference.se is None else "SE")


def comparison(draws: Mapping[str, xr.DataArray], references: Mapping[str, Reference]) -> "pd.DataFrame":
    """Return a table of our estimates beside published ones.

    Parameters
    ----------
    draws
        By the words that name the quantity; its unit is in attrs.
    references
        Published values by the same words; a quantity without one has an empty field.

    Returns
    -------
    pandas.DataFrame
        Columns parameter, unit, ours, published (each with its equal-tailed 89% interval), difference (a number)
        and "in" (SE of the publication, or SD of our posterior where it gives none).
    """
    import pandas as pd

    for name in references:
        if name not in draws:
            raise DataError(unknown("quantity", name, draws, "comparison"))
    rows = []
    for name, values in draws.items():
        found = compare(values, references[name]) if name in references else None
        row: dict[str, Any] = {
            "parameter": name,
            "unit": unit_text(values.attrs.get("units")),
            "ours": estimate(values),
        }
        if references:
            row |= {
                "published": found.published if found else "",
                "difference": found.difference if found else np.nan,
                "in": found.scale if found else "",
            }
        rows.append(row)
    return pd.DataFrame(rows)


def priors(model: Any, pool: Mapping[str, Any] | None = None) -> "pd.DataFrame":
    """Return a table of what is believed before the data.

    Parameters
    ----------
    model
        The declaration.
    pool
        As in `wb.calibrate`: a partially pooled parameter has a row for its median and one for its SD between units.

    Returns
    -------
    pandas.DataFrame
        Columns parameter (words), symbol, unit, prior, and the equal-tailed interval that holds 90% of it.
    """
    import pandas as pd

    model = as_model(model)
    rows, (ways, groups) = [], by_parameter(pool)
    for name, quantity in {**model.theta, **model.noise_parameters}.items():
        if quantity.prior is None:
            continue
        found = {name: quantity.prior}
        way = ways.get(name)
        if way == "partial" or isinstance(way, Partial):
            law = spread_prior(quantity.prior, way if isinstance(way, Partial) else None)
            found = {f"{name}_pop": quantity.prior, f"{name}_sd": law}
        words = attributes_of(quantity)
        for symbol, law in found.items():
            rows.append(
                {
                    "parameter": words[symbol]["long_name"],
                    "symbol": symbol,
                    "unit": unit_text(words[symbol]["units"]),
                    "prior": repr(law),
                    "90% interval": _span(law.quantile(0.05), law.quantile(0.95), 2),
                }
            )
    for group in groups_of(model, groups):
        end = 2 * group.marginal.quantile(0.95) - 1
        for symbol in [f"{pair}_corr" for pair in group.pairs]:
            rows.append(
                {
                    "parameter": group.attributes()[symbol]["long_name"],
                    "symbol": symbol,
                    "unit": unit_text("1"),
                    "prior": f"LKJ(eta={group.eta:g})",
                    "90% interval": _span(-end, end, 2),
                }
            )
    return pd.DataFrame(rows)


def summary(calibration: Calibration, names: Sequence[str] | None = None) -> "pd.DataFrame":
    """Return a table of a posterior for print: a row for each variable without a `unit` dim, or element of a vector.

    Parameters
    ----------
    calibration
        Any calibration; one that failed its trust card says so in the table's last column.
    names
        Which variables, by default all without a `unit` dim.

    Returns
    -------
    pandas.DataFrame
        Columns parameter (its symbol, as in `priors`), unit, median, 89% ETI, R-hat, ESS (smaller of bulk and tail),
        and a verdict where the calibration is not to be trusted: `workbench.report.table` then strikes its figures
        through.
    """
    import pandas as pd

    posterior = calibration.posterior
    chosen = [str(n) for n, v in posterior.data_vars.items() if UNIT not in v.dims and not _is_basis(v)]
    for name in names or ():
        if name not in chosen:
            raise DataError(unknown("variable", name, chosen, "summary"))
    measures = convergence(posterior[list(names or chosen)])
    rows = []
    for name in names or chosen:
        for element, place in elements(posterior[name]):
            draws = posterior[name].isel(place)
            low, middle, high = _quantiles(draws)
            measured = measures[name].isel(place)
            r_hat, bulk, tail = (float(measured.sel(statistic=s)) for s in ("r_hat", "ess_bulk", "ess_tail"))
            row = {
                "parameter": element,
                "unit": unit_text(draws.attrs.get("units")),
                "median": number_text(middle),
                INTERVAL: _span(low, high),
                "R-hat": f"{r_hat:.3f}",
                "ESS": int(min(bulk, tail)) if np.isfinite(bulk + tail) else np.nan,
            }
            rows.append(row | ({} if calibration.trust.passed else {"verdict": "not to be trusted yet"}))
    frame = pd.DataFrame(rows)
    if not calibration.trust.passed:
        frame.attrs[DOUBT] = Doubt(calibration.trust.reason, ("median", INTERVAL))
    return frame


def _is_basis(draws: xr.DataArray) -> bool:
    """Whether a variable says nothing by itself: others are made of it."""
    return bool(draws.attrs.get("role") == "basis")


def elements(draws: xr.DataArray) -> Iterator[tuple[str, dict[str, int]]]:
    """Yield the name and the place of each element of a variable: ("k", {}), or ("k[3]", {"cell": 3}) of a vector."""
    own = [str(d) for d in draws.dims if d not in DRAW_DIMS]
    for place in np.ndindex(*(draws.sizes[d] for d in own)):
        labels = [str(draws.get_index(d)[k]) for d, k in zip(own, place, strict=True)]
        yield f"{draws.name}[{', '.join(labels)}]" if own else str(draws.name), dict(zip(own, place, strict=True))
