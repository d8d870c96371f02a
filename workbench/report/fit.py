"""The picture of predictive fit: how far readings among their leave-one-out predictions stray from uniform."""

import math

import numpy as np
from matplotlib.figure import Figure

from workbench.base.errors import DataError
from workbench.calibrate.calibration import Calibration
from workbench.calibrate.sbc.ranks import LEVEL, Uniform
from workbench.calibrate.trust.pits import HIGHEST, fitted
from workbench.report.style import BLUE, COLUMN, INK, PAGE, PALE_BLUE, RED, panels, styled


@styled
def loo_pit(calibration: Calibration) -> Figure:
    """Return a panel for each output: the distribution of LOO-PITs less the uniform one, with its 99 % band.

    The LOO-PIT of a reading is the probability of less by the posterior of all other readings. Those of a
    right model stay within the shaded band everywhere in 99 of 100 data sets (Sailynoja, Burkner & Vehtari 2022,
    Statistics and Computing 32, 32). A line that rises above the band on the left and falls below it on the right says
    that predictions are too narrow, one that falls first that they are too wide. A title counts the readings for which
    the importance weights fail (`Calibration.check`): theirs is not to be relied on.

    DataError where no output has readings that are independent given the parameters.
    """
    found = [(one, one.loo_pit) for one in fitted(calibration) if one.loo_pit is not None]
    if not found:
        raise DataError("got no output whose readings are independent given the parameters; expected one or more")
    columns = min(3, len(found))
    rows = math.ceil(len(found) / columns)
    fig, axes = panels(rows, columns, width=COLUMN if columns == 1 else PAGE, height=0.4 + 1.7 * rows, sharex=True)
    for ax in list(axes.flat)[len(found) :]:
        ax.set_visible(False)
    for ax, (one, pit) in zip(axes.flat, found, strict=False):
        law = Uniform(pit.size, HIGHEST)
        place = np.concatenate([[0.0], law.points, [1.0]])
        ranks = np.minimum((pit * (HIGHEST + 1)).astype(np.int64), HIGHEST)
        counts = (*law.band(), law.counts(ranks))
        low, high, line = (np.concatenate([[0.0], c / law.count - law.points, [0.0]]) for c in counts)
        ax.fill_between(place, low, high, color=PALE_BLUE, linewidth=0)
        ax.axhline(0.0, color=INK, linewidth=0.4)
        ax.plot(place, line, color=RED if law.p_value(ranks) <= 1 - LEVEL else BLUE, linewidth=1.0)
        doubt = f", {one.unreliable} unreliable" if one.unreliable else ""
        ax.set_title(f"{one.name}  ({law.count} readings{doubt})", fontsize=7)
        ax.set(xlim=(0, 1), xticks=[0, 0.5, 1], xlabel="LOO-PIT")
    axes[0, 0].set_ylabel("distribution $-$ uniform")
    return fig
