"""The picture of simulation-based calibration: how far ranks stray from uniform, and how far they may."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workbench.calibrate.sbc.ranks import LEVEL
from workbench.calibrate.sbc.sbc import SBC
from workbench.report.style import BLUE, GREY, INK, PAGE, PALE_BLUE, RED, panels, styled

COLUMNS = (5, 4, 3)


@styled
def rank_differences(result: SBC, *, width: float = PAGE) -> Figure:
    """Return a panel for each quantity: how far the distribution of its ranks is from uniform, and the 99 % band.

    Ranks of a right posterior stay within the shaded band everywhere in 99 of 100 studies; those of all quantities
    together stay within the dashed lines in at least as many. A line above zero on the left says that truths lie below
    their posteriors too often; an S that falls from there, that posteriors are too narrow.

    Parameters
    ----------
    result
        What `wb.sbc` returned.
    width
        Width of the figure (inches).
    """
    names = list(result.ranks)
    columns = min(min(COLUMNS, key=lambda c: -len(names) % c), len(names))  # the fewest empty places
    rows = math.ceil(len(names) / columns)
    fig, axes = panels(rows, columns, width=width, height=0.35 + 1.1 * rows, sharex=True, sharey=True)
    for ax, name in zip(axes.flat, names, strict=False):
        _panel(ax, result, name)
    for ax in list(axes.flat)[len(names) :]:
        ax.set_visible(False)
    for column in range(columns):
        last = max(row for row in range(rows) if row * columns + column < len(names))
        axes[last, column].xaxis.set_tick_params(labelbottom=True)
    fig.supxlabel(f"rank of the truth / {result.law.highest}, {result.law.count} simulated data sets", fontsize=8)
    fig.supylabel("distribution of ranks $-$ uniform", fontsize=8)
    return fig


def _panel(ax: Axes, result: SBC, name: str) -> None:
    law, expected = result.law, result.law.points
    place = np.concatenate([[0.0], expected, [1.0]])
    bands = {level: law.band(level) for level in (LEVEL, 1 - (1 - LEVEL) / len(result.ranks))}
    (low, high), (lowest, highest) = bands.values()

    def difference(counts: np.ndarray) -> np.ndarray:
        return np.concatenate([[0.0], counts / law.count - expected, [0.0]])

    ax.fill_between(place, difference(low), difference(high), color=PALE_BLUE, linewidth=0)
    for edge in (lowest, highest):
        ax.plot(place, difference(edge), color=GREY, linewidth=0.6, linestyle="--")
    ax.axhline(0.0, color=INK, linewidth=0.4)
    strays = result.p_values[name] <= 1 - LEVEL
    ax.plot(place, difference(law.counts(result.ranks[name])), color=RED if strays else BLUE, linewidth=1.0)
    ax.set_title(f"{name}  (p = {result.p_values[name]:.2g})", fontsize=7)
    ax.set_xlim(0, 1)
    ax.set_xticks([0, 0.5, 1])
