"""Figures of a calibration's parameters, and all figures by one name. Each returns a matplotlib Figure."""

import textwrap
from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from workbench.base.errors import DataError, unknown
from workbench.base.schema import CHAIN, DRAW, UNIT
from workbench.calibrate.calibration import MASS, Calibration
from workbench.calibrate.fleet.pooling import scale_of
from workbench.calibrate.problem import Problem
from workbench.declare.prior import Prior
from workbench.report.curves import (
    fill,
    individual_fits,
    measured,
    prior_predictive,
    problem_of,
    spread,
    visual_predictive_check,
)
from workbench.report.fit import loo_pit
from workbench.report.style import BLUE, GREEN, INK, LINES, ORANGE, PAGE, PALE_BLUE, RED, label, panels, styled
from workbench.report.tables import elements

__all__ = [
    "fill",
    "individual_fits",
    "loo_pit",
    "measured",
    "prior_posterior",
    "prior_predictive",
    "priors_of",
    "ranks",
    "visual_predictive_check",
]

Array = NDArray[np.float64]


def priors_of(problem: Problem) -> dict[str, Prior]:
    """Return the prior of each variable that a problem estimates, but of the units of a population."""
    found: dict[str, Prior] = {}
    for name, way in problem.pool.items():
        prior = problem.model.theta[name].prior
        assert prior is not None
        found |= {f"{name}_pop": prior, f"{name}_sd": problem.spread(name)} if way == "partial" else {name: prior}
    noise = {name: q.prior for name, q in problem.model.noise_parameters.items() if q.prior is not None}
    return found | noise


@styled
def prior_posterior(calibration: Calibration, names: Sequence[str] | None = None, *, columns: int = 4) -> Figure:
    """Draw what was believed of each parameter before the data (dashed), and after them (filled).

    Parameters
    ----------
    calibration
        A calibration with its model.
    names
        Variables of the posterior; by default all but the units of a population. One with a `unit` dim gets a line for
        each unit; a vector one for each of a dozen elements, spread over all.
    columns
        Panels beside each other, over the width of a page.
    """
    posterior, priors = calibration.posterior, priors_of(problem_of(calibration))
    chosen = [str(n) for n in posterior.data_vars if n in priors] if names is None else list(names)
    for name in chosen:
        if name not in priors:
            raise DataError(unknown("variable", name, priors, "prior_posterior"))
    rows = -(-len(chosen) // columns)
    fig, axes = panels(rows, columns, width=PAGE, height=1.55 * rows + 0.3)
    for ax, name in zip(axes.flat, chosen, strict=False):
        _before_after(ax, _few(posterior[name], 12), priors[name])
    for ax in axes.flat[len(chosen) :]:
        ax.set_axis_off()
    keys = [
        Line2D([], [], color=ORANGE, ls="--", label="prior"),
        Patch(facecolor=PALE_BLUE, edgecolor=BLUE, label="posterior"),
        Line2D([], [], color=INK, lw=2, marker="|", markersize=7, label=f"median and {100 * MASS:.0f}% interval"),
    ]
    if len(chosen) < axes.size:
        axes.flat[-1].legend(handles=keys, loc="center")
    else:
        fig.legend(handles=keys, loc="outside upper left", ncols=3)
    return fig


def _few(draws: xr.DataArray, most: int) -> xr.DataArray:
    """Return the draws of at most so many elements of a vector's first dim, spread over all; of a scalar all."""
    own = [d for d in draws.dims if d not in (CHAIN, DRAW, UNIT)]
    return draws.isel({d: spread(draws.sizes[d], most if d == own[0] else 1) for d in own})


def _before_after(ax: Axes, array: xr.DataArray, prior: Prior) -> None:
    lines = array.transpose(..., CHAIN, DRAW).values.reshape(-1, array.sizes[CHAIN] * array.sizes[DRAW])
    low, high = np.quantile(lines, 0.001), np.quantile(lines, 0.999)
    floor, ceiling = prior.support
    width = high - low
    grid = np.linspace(max(low - 0.35 * width, floor), min(high + 0.35 * width, ceiling), 302)[1:-1]
    for draws in lines:
        density = _density(draws, grid, prior)
        if len(lines) == 1:
            ax.fill_between(grid, density, color=PALE_BLUE, linewidth=0)
        ax.plot(grid, density, color=BLUE)
    with np.errstate(all="ignore"):
        ax.plot(grid, prior.frozen().pdf(grid), color=ORANGE, ls="--")
    if len(lines) == 1:
        ends = np.quantile(lines[0], [0.5 - MASS / 2, 0.5, 0.5 + MASS / 2])
        ax.plot(ends[[0, 2]], [0, 0], color=INK, lw=2, solid_capstyle="butt", clip_on=False)
        ax.plot(ends[1], 0, "|", color=INK, markersize=7, clip_on=False)
    ax.set_xlim(grid[0], grid[-1])
    ax.set_ylim(bottom=0)
    ax.set_yticks([])
    ax.locator_params(axis="x", nbins=4)  # numbers with many digits would touch
    ax.spines["left"].set_visible(False)
    ax.set_xlabel(textwrap.fill(label(array), 30), fontsize=7)


def _density(draws: Array, grid: Array, prior: Prior) -> Array:
    """Return a kernel density, made on the unbounded scale so that none of it leaks over an end of the support."""
    import scipy.stats

    scale = scale_of(prior)
    kernel = scipy.stats.gaussian_kde(scale.link(draws))
    return kernel(scale.link(grid)) * np.abs(np.gradient(scale.link(grid), grid))


@styled
def ranks(calibration: Calibration, names: Sequence[str] | None = None, *, columns: int = 4, bins: int = 10) -> Figure:
    """Draw, for each chain, how its draws rank among those of all: flat lines are chains that agree.

    Vehtari et al., Bayesian Analysis 16 (2021) 667-718, section 4.4.

    Parameters
    ----------
    calibration
        Any calibration.
    names
        Variables without a `unit` dim; by default all of these. Of a vector, three elements spread over all.
    columns
        Panels beside each other, over the width of a page.
    bins
        Bins of the ranks.
    """
    posterior = calibration.posterior
    variables = names or [str(n) for n, v in posterior.data_vars.items() if UNIT not in v.dims]
    few = [_few(posterior[name], 3) for name in variables]
    chosen = {element: draws.isel(place) for draws in few for element, place in elements(draws)}
    rows = -(-len(chosen) // columns)
    fig, axes = panels(rows, columns, width=PAGE, height=1.3 * rows + 0.2, sharex=True, sharey=True)
    for ax, (name, draws) in zip(axes.flat, chosen.items(), strict=False):
        values = draws.transpose(CHAIN, DRAW).values
        order = values.ravel().argsort().argsort().reshape(values.shape) / values.size
        for chain, places in enumerate(order):
            height, edges = np.histogram(places, bins=bins, range=(0, 1))
            colour = (BLUE, ORANGE, GREEN, RED)[chain % 4]
            ax.stairs(height * bins / places.size, edges, baseline=None, color=colour, ls=LINES[chain % 4], lw=0.9)
        ax.axhline(1, color=INK, lw=0.5)
        ax.set_title(name, pad=2)
        ax.set_ylim(0, 2)
    for ax in axes.flat[len(chosen) :]:
        ax.set_axis_off()
    fig.supxlabel("rank among the draws of all chains (fraction)", fontsize=8)
    fig.supylabel("density of ranks", fontsize=8)
    return fig
