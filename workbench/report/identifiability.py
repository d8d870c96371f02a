"""Figures of identifiability: which parameters data will see, or have seen, and which they cannot."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.interpolate
import scipy.special
import scipy.stats
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from workbench.calibrate.calibration import MASS
from workbench.calibrate.identify.foresight import DesignIdentifiability
from workbench.calibrate.identify.identify import Identifiability
from workbench.calibrate.identify.profile import Profile
from workbench.report.render import unit_text
from workbench.report.style import BLUE, COLUMN, GREY, INK, ORANGE, PAGE, PALE_BLUE, RED, letter, panels, styled

MOST = 30  # parameters in a figure, the least seen first where there are more
LOOKS = {"seen": (BLUE, "o"), "weakly seen": (ORANGE, "s"), "not seen": (RED, "X"), "not worked out": (GREY, ".")}
TOGETHER = (RED, "D")  # of what is seen in combination only
WIDE = 3.2  # SDs of the prior to each side
SIGNS = [
    Line2D([], [], marker="o", ls="none", markersize=5, color=BLUE, markeredgewidth=0.8, label="correlation +1"),
    Line2D([], [], marker="o", ls="none", markersize=5, markerfacecolor="none", color=RED, label="correlation –1"),
]


@styled
def identifiability(found: DesignIdentifiability | Identifiability) -> Figure:
    """Draw what data of a design would tell (of `wb.identify`), or what data have told (of `Calibration.identify`).

    Before data: the expected posterior SD as a share of that of the prior. After data: the posterior beside the prior
    in SDs of the prior (a), correlations of the posterior (b), and profile likelihoods that were asked for.

    Parameters
    ----------
    found
        What `wb.identify` or `Calibration.identify` returned.
    """
    table = found.table
    if len(table) > MOST:
        kept = table["contraction"].sort_values().index[:MOST]
        table = table.loc[[label for label in table.index if label in set(kept)]]
    labels = list(table.index)
    height = 0.19 * len(labels) + 0.75
    if isinstance(found, DesignIdentifiability):
        fig, axes = panels(1, 1, width=COLUMN + 0.6, height=height)
        _expected(axes[0, 0], table)
        return fig
    profiles = [found.profiles[label] for label in labels if label in found.profiles]
    rows = -(-len(profiles) // 4)
    fig = Figure(figsize=(PAGE, height + 0.1 + 1.3 * rows), layout="constrained")
    upper: Any = fig
    if rows:
        parts: Any = fig.subfigures(2, 1, height_ratios=[height + 0.1, 1.3 * rows])
        upper, lower = parts
        _profiles(lower.subplots(rows, 4, squeeze=False, sharey=True), profiles)
        letter(lower.axes[0], 2)
    left, right = upper.subplots(1, 2, width_ratios=[1.7, 1])
    _before_after(left, found, labels)
    _correlations(right, found.correlation.loc[labels, labels].to_numpy(), labels)
    letter(left, 0)
    letter(right, 1)
    prior = Patch(color=PALE_BLUE, alpha=0.45, linewidth=0, label=f"prior, {100 * MASS:.0f}%")
    keys = [prior, *_keys(table["verdict"]), *SIGNS]
    upper.legend(handles=keys, loc="outside upper left", ncols=len(keys), columnspacing=1.2, handletextpad=0.5)
    return fig


def _ticks(ax: Axes) -> None:
    ax.tick_params(which="both", labelsize=7, width=0.6, length=2.5)


def _names(ax: Axes, labels: Sequence[str]) -> None:
    """Write the parameters down the left side."""
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


def _expected(ax: Axes, table: Any) -> None:
    """Draw expected SDs as shares of the prior's."""
    for row, (_, each) in enumerate(table.iterrows()):
        colour, marker = LOOKS.get(each["verdict"], TOGETHER)
        ax.plot([each["sd_ratio_low"], each["sd_ratio_high"]], [row, row], color=colour, lw=1.1, solid_capstyle="butt")
        ax.plot(each["sd_ratio"], row, marker, color=colour, markersize=4.5, markeredgewidth=0)
        ax.plot(each["sd_ratio_alone"], row, "|", color=INK, markersize=6)
    ax.axvline(1, color=GREY, lw=0.7)
    ax.set_xlim(0, 1.06)
    ax.set_xlabel("expected posterior SD / prior SD")
    _names(ax, list(table.index))
    others = Line2D([], [], color=INK, marker="|", ls="none", markersize=6, label="if all others were known")
    ax.figure.legend(handles=[*_keys(table["verdict"]), others], loc="outside upper left", ncols=3)


def _keys(verdicts: Any) -> list[Line2D]:
    """Return the keys of the verdicts that occur."""
    kinds = dict.fromkeys(v if v in LOOKS else "only in combination" for v in verdicts)
    order = [k for k in (*LOOKS, "only in combination") if k in kinds]
    looks = {**LOOKS, "only in combination": TOGETHER}
    return [
        Line2D([], [], color=looks[k][0], marker=looks[k][1], ls="-", markersize=4, markeredgewidth=0, label=k)
        for k in order
    ]


def _before_after(ax: Axes, found: Identifiability, labels: Sequence[str]) -> None:
    """Draw posterior intervals in SDs of the prior, and how far each contracted."""
    half = float(scipy.special.ndtri(0.5 + MASS / 2))
    ax.axvspan(-half, half, color=PALE_BLUE, linewidth=0, alpha=0.45)
    ax.axvline(0, color=GREY, lw=0.6)
    verdicts, shares = found.table["verdict"].to_dict(), found.table["contraction"].to_dict()
    for row, label in enumerate(labels):
        colour, marker = LOOKS.get(verdicts[label], TOGETHER)
        low, middle, high = np.clip(found.intervals.loc[label], -WIDE, WIDE)
        ax.plot([low, high], [row, row], color=colour, lw=2, solid_capstyle="butt")
        ax.plot(middle, row, marker, color=colour, markersize=4.5, markeredgewidth=0)
        share = float(shares[label])
        text = f"{100 * max(share, 0.0):.0f}%" if np.isfinite(share) else "–"
        ax.text(WIDE + 0.15, row, text, va="center", fontsize=7, color=INK if colour == BLUE else colour)
    ax.text(WIDE + 0.15, -0.75, "contraction", va="bottom", ha="left", fontsize=7)
    ax.set_xlim(-WIDE, WIDE)
    ax.set_xlabel("score under the prior (prior SDs from its median)")
    _ticks(ax)
    _names(ax, labels)


def _correlations(ax: Axes, correlation: Any, labels: Sequence[str]) -> None:
    """Draw correlations as discs, filled above zero and open below, as large as they are strong."""
    size = len(labels)
    points = 40 * min(1.0, 8 / size) ** 2
    for i, label in enumerate(labels):
        ax.text(i - 0.35, i, label, va="center", fontsize=7)
        for j in range(i):
            rho = correlation[i, j]
            if np.isfinite(rho):
                face, edge = (BLUE, BLUE) if rho > 0 else ("none", RED)
                ax.scatter(j, i, s=points * abs(rho), facecolor=face, edgecolor=edge, linewidth=0.8)
    ax.set_ylim(size - 0.4, -0.6)
    ax.set_xlim(-0.6, size + 1.5)
    ax.set_axis_off()


def _profiles(axes: Any, profiles: Sequence[Profile]) -> None:
    """Draw profile likelihoods, with the line below which a value is refused."""
    for ax, profile in zip(axes.flat, profiles, strict=False):
        fall = float(0.5 * scipy.stats.chi2.ppf(profile.mass, 1))
        ax.axhline(-fall, color=GREY, lw=0.7, ls="--")
        colour = BLUE if all(profile.closed) else RED
        places, first = np.unique(profile.values, return_index=True)
        fine = np.linspace(places[0], places[-1], 200)
        ax.plot(fine, scipy.interpolate.PchipInterpolator(places, profile.drop[first])(fine), color=colour)
        ax.plot(profile.values, profile.drop, "o", color=colour, markersize=2, markeredgewidth=0)
        ax.set_ylim(-1.6 * fall, 0.12 * fall)
        unit = unit_text(profile.units)
        ax.set_xlabel(f"{profile.label} ({unit})" if unit else profile.label, fontsize=7)
        _ticks(ax)
    for ax in axes.flat[len(profiles) :]:
        ax.set_axis_off()
    for ax in axes[:, 0]:
        ax.set_ylabel("profile log\nlikelihood", fontsize=7)
