"""How figures look: journal sizes, one font, colours that survive grey print, and labels with units from attributes."""

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from workbench.report.render import unit_text

COLUMN, PAGE = 3.5, 7.1  # inches: one column and the full width of a journal's page

# Okabe M, Ito K (2008), Color Universal Design: told apart by all readers. Pale ones are the same hues for areas.
INK, BLUE, ORANGE, GREEN, RED = "#000000", "#0072B2", "#E69F00", "#009E73", "#D55E00"
PALE_BLUE, GREY = "#B3D5E8", "#8C8C8C"
LINES = ("-", "--", ":", "-.")

STYLE: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so figures are the same everywhere
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.2,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "hatch.linewidth": 0.5,
}

styled = mpl.rc_context(STYLE)
"""Decorator of functions that draw."""


def panels(
    rows: int, columns: int, *, width: float = COLUMN, height: float, **share: Any
) -> tuple[Figure, NDArray[Any]]:
    """Return a figure of the given size (inches) and its axes (rows, columns), drawn without pyplot.

    `share` goes to `Figure.subplots` (`sharex`, `sharey`, `width_ratios`).
    """
    with mpl.rc_context(STYLE):
        fig = Figure(figsize=(width, height), layout="constrained")
        axes: NDArray[Any] = fig.subplots(rows, columns, squeeze=False, **share)
    for ax in axes.flat:  # ticks are made when the figure is drawn, outside the style
        ax.tick_params(which="both", labelsize=7, width=0.6, length=2.5)
    return fig, axes


def label(array: Any, name: str = "") -> str:
    """Return the label of an axis: an array's long name (or `name`) and its unit in parentheses."""
    attrs = getattr(array, "attrs", {})
    words = name or attrs.get("long_name") or str(getattr(array, "name", "") or "")
    unit = unit_text(attrs.get("units"))
    return f"{words} ({unit})" if unit else words


def letter(ax: Axes, place: int) -> None:
    """Mark a panel with a bold letter, for captions to name."""
    ax.set_title(
        "abcdefghijklmnopqrstuvwxyz"[place], loc="left", fontsize=8, fontweight="bold", fontfamily="DejaVu Sans"
    )


def root_time(ax: Axes, ticks: Any) -> None:
    """Spread the early times of an axis by a square-root scale, with ticks at the given times."""
    ax.set_xscale("function", functions=(lambda t: np.sqrt(np.clip(t, 0, None)), np.square))
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
