"""Figures over time: readings of each unit, of the prior, of a study done again. Each returns a matplotlib Figure."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullFormatter

from workbench.base.errors import DataError, unknown
from workbench.base.schema import DRAW, DRAW_DIMS, TIME, UNIT
from workbench.calibrate.calibration import Calibration
from workbench.calibrate.problem import Problem
from workbench.forecast.propagate import forecast
from workbench.report.predictive import read
from workbench.report.style import BLUE, COLUMN, GREY, INK, PAGE, PALE_BLUE, label, letter, panels, root_time, styled

MARKS: Mapping[str, Any] = {
    "marker": "o",
    "linestyle": "none",
    "color": INK,
    "fillstyle": "none",
    "markeredgewidth": 0.7,
}
_PANELS = 12  # of elements of a vector
_UNITS = 16  # of units: more are not looked at
_KEPT = 1000  # draws of a band: more cost time and show nothing
_WIDE = 200  # states and outputs of all units, above which fewer draws are kept


def fill(
    ax: Axes, draws: xr.DataArray, *, masses: Sequence[float] = (0.9,), colour: str = BLUE, pale: str = PALE_BLUE
) -> None:
    """Draw bands of draws over time, tails equal and the widest first, and their median.

    Parameters
    ----------
    ax
        Where.
    draws
        Over `time` and dims of draws.
    masses
        Probabilities of the bands; inner ones are drawn darker.
    colour, pale
        Of the median and of the bands.
    """
    over = [d for d in draws.dims if d != TIME]
    for place, mass in enumerate(sorted(masses, reverse=True)):
        low, high = (draws.quantile(q, over) for q in (0.5 - mass / 2, 0.5 + mass / 2))
        shade = pale if place == 0 else colour
        ax.fill_between(draws[TIME].values, low, high, color=shade, linewidth=0, alpha=1 if place == 0 else 0.35)
    ax.plot(draws[TIME].values, draws.quantile(0.5, over), color=colour)


@styled
def measured(observed: xr.DataArray) -> Figure:
    """Draw what was measured, a line for each unit and element: as it is (a), and on a logarithmic scale (b).

    Parameters
    ----------
    observed
        Readings in one of the layouts of data, with a coordinate `time`.
    """
    fig, axes = panels(1, 2, width=PAGE, height=2.3)
    units = observed[UNIT].values if UNIT in observed.coords else np.zeros(1)
    for place, ax in enumerate(axes.flat):
        for unit in dict.fromkeys(units.tolist()):
            one = observed.where(observed[UNIT] == unit, drop=True).squeeze() if UNIT in observed.coords else observed
            values = one.where(one > 0) if place else one
            ax.plot(
                one[TIME].values,
                values.values.reshape(one[TIME].size, -1),
                color=BLUE,
                lw=0.7,
                marker="o",
                markersize=2.2,
                markeredgewidth=0,
            )
        ax.set_yscale("log" if place else "linear")
        ax.set(xlabel=label(observed[TIME]), ylabel=label(observed))
        letter(ax, place)
    low, high = axes[0, 1].get_ylim()
    axes[0, 1].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 50 * low else (1,)))
    axes[0, 1].yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes[0, 1].yaxis.set_minor_formatter(NullFormatter())
    return fig


@styled
def individual_fits(
    calibration: Calibration,
    output: str | None = None,
    *,
    band: float = 0.9,
    columns: int = 4,
    names: Mapping[Any, str] | None = None,
    seed: int = 0,
) -> Figure:
    """Draw each unit's readings over the calibrated model: its median, and the band of readings to expect.

    Parameters
    ----------
    calibration
        A calibration with its model.
    output
        Which output; by default the first that was measured. Of a vector, elements spread over all that were measured
        have a panel each, about a dozen in all; of many units, 16 that are spread over all.
    band
        Probability of the band, tails equal.
    columns
        Panels beside each other, over the width of a page.
    names
        Titles of the panels by unit; by default the unit's label.
    seed
        Seed of the noise in the band.
    """
    problem = problem_of(calibration)
    output = output or next(iter(problem.measured))
    if output not in problem.measured:
        raise DataError(unknown("measured output", output, problem.measured, "individual_fits"))
    seen = problem.observations
    if problem.model.outputs[output].increment:
        raise DataError(
            f"individual_fits: got {output!r}, an increment, which is no curve over time; expected another output "
            "(calibration.tree['posterior_predictive'] has predictions of each reading)"
        )
    times = np.linspace(seen.time.min(), seen.time.max(), 240)
    few = _thinned(calibration)
    curves = forecast(few, seen.clock.labels(times), noise=False)
    fitted = read(problem.model, curves, few.posterior, seed=seed)[output]
    places = list(_panels_of(problem, output, names or {}))
    columns = min(columns, len(places))
    rows = -(-len(places) // columns)
    width = PAGE if columns > 1 else COLUMN
    fig, axes = panels(rows, columns, width=width, height=1.35 * rows + 0.7, sharex=True, sharey=True)
    observed_times = seen.clock.labels(seen.time)
    for ax, (title, place, mine) in zip(axes.flat, places, strict=False):
        fill(ax, fitted.isel(place), masses=(band,))
        ax.plot(observed_times[mine[0]], seen.values[output][mine], **MARKS)
        ax.set_title(title, pad=2)
    for ax in axes.flat[len(places) :]:
        ax.set_axis_off()
    fig.supxlabel(label(fitted[TIME]), fontsize=8)
    fig.supylabel(label(fitted), fontsize=8)
    fig.legend(handles=_keys(band), loc="outside upper left", ncols=3)
    return fig


def _panels_of(
    problem: Problem, output: str, names: Mapping[Any, str]
) -> Iterator[tuple[str, dict[str, int], tuple[Any, ...]]]:
    """Yield for each panel its title, its place among the model's results, and its place among the readings."""
    seen, dims = problem.observations, problem.model.outputs[output].dims
    units = [None] if problem.units is None else list(problem.units)
    read = np.argwhere(~np.isnan(seen.values[output]).all(axis=0)) if dims else np.zeros((1, 0), dtype=int)
    for k in spread(len(units), _UNITS).tolist():
        unit = units[k]
        for element in read[spread(len(read), max(1, _PANELS // len(units)))]:
            place = dict(zip(dims, element.tolist(), strict=True))
            words = [] if unit is None else [names.get(unit, f"{unit}")]
            words += [f"{dim} {problem.model.labels[dim][at]}" for dim, at in place.items()]
            own = {} if unit is None else {UNIT: k}
            yield ", ".join(words), own | place, (np.flatnonzero(seen.unit_index == k), *place.values())


def spread(count: int, most: int) -> Any:
    """Return at most so many places, spread evenly over all."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def _keys(band: float) -> list[Any]:
    return [
        Line2D([], [], label="measured", **MARKS),
        Line2D([], [], color=BLUE, label="median of the model"),
        Patch(facecolor=PALE_BLUE, label=f"{100 * band:.0f}% of readings to expect"),
    ]


@styled
def prior_predictive(
    readings: xr.DataArray, observed: xr.DataArray, *, curves: int = 0, top: float | None = None
) -> Figure:
    """Draw what the declaration alone expects of the sensors, with the measured values over it.

    Parameters
    ----------
    readings
        An output of `workbench.report.predictive.prior_readings`.
    observed
        The data.
    curves
        How many members to draw as thin lines.
    top
        Upper end of the axis; by default twice the largest measured value, so that the tail does not hide the rest.
    """
    fig, axes = panels(1, 1, height=2.4)
    ax = axes[0, 0]
    fill(ax, readings, masses=(0.9, 0.5))
    over = [d for d in readings.dims if d != TIME]
    some = readings.stack(member_=over).transpose("member_", TIME).values[:curves]
    ax.plot(readings[TIME].values, some.T, color=BLUE, lw=0.4)
    times = observed[TIME].broadcast_like(observed).transpose(*observed.dims).values
    ax.plot(times.ravel(), observed.values.ravel(), **{**MARKS, "markersize": 2.2, "markeredgewidth": 0.5})
    low = min(0.0, float(observed.min()))
    ax.set_ylim(low, top or 2 * float(observed.max()))
    ax.set(xlabel=label(readings[TIME]), ylabel=label(readings))
    keys = [
        Line2D([], [], label="measured", **MARKS),
        Line2D([], [], color=BLUE, label="median"),
        Patch(facecolor="#76B1D2", label="50%"),
        Patch(facecolor=PALE_BLUE, label="90% of readings"),
    ]
    fig.legend(handles=keys, loc="outside upper left", ncols=4, columnspacing=1.0, handletextpad=0.5)
    return fig


@styled
def visual_predictive_check(
    check: xr.Dataset, observed: xr.DataArray, *, ticks: Sequence[float] | None = None
) -> Figure:
    """Draw percentiles among units: measured (line), and as new studies of the calibrated model give them (band).

    Parameters
    ----------
    check
        What `workbench.report.predictive.percentiles` returned; each percentile gets a panel.
    observed
        The data, drawn as dots.
    ticks
        Times to mark; where given, early times are spread by a square-root scale.
    """
    shares = check["quantile"].values
    fig, axes = panels(1, shares.size, width=PAGE, height=2.3, sharex=True, sharey=True)
    times = observed[TIME].broadcast_like(observed).transpose(*observed.dims).values
    at = check[TIME].values
    for k, ax in enumerate(axes.flat):
        one = check.isel(quantile=k)
        ax.fill_between(at, one["low"], one["high"], color=PALE_BLUE, linewidth=0)
        ax.plot(at, one["middle"], color=BLUE)
        ax.plot(times.ravel(), observed.values.ravel(), ".", color=GREY, markersize=2.5)
        ax.plot(at, one["observed"], color=INK, ls="--", marker="o", markersize=3, fillstyle="none")
        if ticks is not None:
            root_time(ax, ticks)
        ax.set_title("median" if shares[k] == 0.5 else f"{100 * shares[k]:.0f}th percentile", pad=3)
    fig.supxlabel(label(check[TIME]), fontsize=8)
    axes[0, 0].set_ylabel(label(check["observed"]))
    keys = [
        Line2D([], [], color=INK, ls="--", marker="o", fillstyle="none", label="measured"),
        Line2D([], [], color=BLUE, label="simulated, median"),
        Patch(facecolor=PALE_BLUE, label=f"simulated, {100 * check.attrs['mass']:.0f}%"),
        Line2D([], [], color=GREY, ls="none", marker=".", label="readings"),
    ]
    fig.legend(handles=keys, loc="outside upper left", ncols=4)
    return fig


def problem_of(calibration: Calibration) -> Problem:
    """Return what a calibration was made from; DataError when it was opened without its model."""
    if calibration.problem is None:
        raise DataError("got a calibration opened without its model; expected Calibration.open(path, model)")
    return calibration.problem


def _thinned(calibration: Calibration) -> Calibration:
    """Return a calibration with fewer draws, spread evenly, for what a figure shows."""
    posterior, problem = calibration.posterior, problem_of(calibration)
    total = int(np.prod([posterior.sizes[d] for d in DRAW_DIMS if d in posterior.sizes]))
    width = (problem.model.state_layout.size + problem.model.output_layout.size) * (problem.rows.size - 1)
    step = max(1, total // int(np.clip(_KEPT * _WIDE / width, 100, _KEPT)))
    return dataclasses.replace(
        calibration, tree=xr.DataTree.from_dict({"posterior": posterior.isel({DRAW: slice(None, None, step)})})
    )
