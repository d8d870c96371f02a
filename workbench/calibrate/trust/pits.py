"""Where the readings lie among what draws of the posterior say of them, and how that is tested.

**At a draw.** Parameters drawn from the posterior of data, and the data, have the joint law of parameters drawn from
the prior and data simulated from them. So at one draw of the posterior the probabilities P(less than reading i), given
the readings before it where errors last, are independent and uniform just as at the true parameters, however few
readings there are: tests of them are exact where model and prior are right (Johnson 2007, Bayesian Analysis 2, 719-734;
Gosselin 2011, PLoS ONE 6, e14770). Draws do not agree on a p-value; twice their median is one again (Vovk & Wang 2020,
Biometrika 107, 791-808, after Rueger 1978).

**Leave-one-out.** The LOO-PIT of reading i is the probability of less by the posterior of all other readings (Gelfand,
Dey & Chang 1992; Vehtari, Gelman & Gabry 2017, Statistics and Computing 27, 1413-1432, for the weights). It is shown
and not tested: LOO-PITs hang together, and the weights fail where few readings tell of a parameter, as in populations.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from arviz_stats.base import array_stats
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import rankdata

from workbench.base.schema import TIME, UNIT
from workbench.calibrate.sbc.ranks import Uniform

if TYPE_CHECKING:
    from workbench.calibrate.calibration import Calibration

Array = NDArray[np.float64]
HIGHEST, MOST, DRAWS = 99, 2000, 1000  # ranks of PITs are 0 to 99; readings and draws beyond these are passed over
FEW = 8  # readings below which no shape can be told
END = 1e-6  # PITs are held this far from 0 and 1


@dataclass(frozen=True)
class Fitted:
    """The readings of one output beside what draws of the posterior say of them.

    Attributes
    ----------
    name
        The output.
    level
        (N,) medians of what was predicted.
    pits
        (S, N) probabilities of less than each reading, given those before it where errors last.
    log_density
        (S, N) log densities of the readings; None where errors last, as none can then be left out by itself.
    series
        (N,) number of the series (unit, element of a vector) that each reading belongs to; within one they follow in
        time.
    """

    name: str
    level: Array
    pits: Array
    log_density: Array | None
    series: NDArray[np.int64]

    @property
    def size(self) -> int:
        """Number of readings."""
        return self.level.size

    def coverage(self, mass: float) -> float:
        """Return the share of readings within the central interval predicted by each draw, on average."""
        return float(np.mean(np.abs(self.pits - 0.5) <= 0.5 * mass))

    @cached_property
    def shape(self) -> float:
        """p-value of the uniformity of PITs; 1 where there are too few."""
        if self.size < FEW:
            return 1.0
        law, draws = Uniform(self.size, HIGHEST), len(self.pits)
        ranks = np.minimum((self.pits * (HIGHEST + 1)).astype(np.int64), HIGHEST)
        each = np.bincount((np.arange(draws)[:, None] * (HIGHEST + 1) + ranks).ravel(), minlength=draws * (HIGHEST + 1))
        counts = each.reshape(draws, HIGHEST + 1).cumsum(axis=1)[:, :-1]
        farthest = law.tails[np.arange(HIGHEST), counts].min(axis=1)
        return _combined(1.0 - law.inside(float(np.median(farthest))))

    @cached_property
    def persistence(self) -> tuple[float, float]:
        """Correlation of the normal scores of neighbours in time, and its p-value against none or a negative one."""
        pairs = np.flatnonzero(self.series[1:] == self.series[:-1])
        if pairs.size < FEW:
            return 0.0, 1.0
        scores = ndtri(np.clip(self.pits, END, 1 - END))
        scores = scores - scores.mean(axis=1, keepdims=True)
        each = (scores[:, pairs] * scores[:, pairs + 1]).mean(axis=1) / (scores**2).mean(axis=1)
        rho = float(np.median(each))
        return rho, _combined(float(ndtr(-rho * np.sqrt(pairs.size))))

    @cached_property
    def spread(self) -> tuple[float, float]:
        """Rank correlation of how far readings lie out with what is predicted, and its p-value against none."""
        if self.size < FEW:
            return 0.0, 1.0
        sizes, levels = rankdata(np.abs(self.pits - 0.5), axis=1), rankdata(self.level)
        sizes, levels = sizes - sizes.mean(axis=1, keepdims=True), levels - levels.mean()
        scale = np.sqrt((sizes**2).sum(axis=1) * (levels**2).sum())
        if not scale.all():
            return 0.0, 1.0
        rho = float(np.median(sizes @ levels / scale))
        return rho, _combined(float(2 * ndtr(-abs(rho) * np.sqrt(self.size - 1))))

    @cached_property
    def weights(self) -> tuple[Array, Array] | None:
        """(N, S) weights of draws as the posterior without each reading has them, and (N,) their Pareto k."""
        if self.log_density is None:
            return None
        logs, k = _smoothed(self.log_density.T)
        weights = np.exp(logs - logs.max(axis=1, keepdims=True))
        return weights / weights.sum(axis=1, keepdims=True), k

    @cached_property
    def loo_pit(self) -> Array | None:
        """(N,) leave-one-out PITs; None where errors last."""
        return None if self.weights is None else np.clip((self.weights[0] * self.pits.T).sum(axis=1), END, 1 - END)

    @property
    def unreliable(self) -> int:
        """Number of readings whose Pareto k says that the weights fail (Vehtari et al. 2024, JMLR 25, 72)."""
        k = np.zeros(0) if self.weights is None else self.weights[1]
        return int((~(k <= min(1 - 1 / np.log10(len(self.pits)), 0.7))).sum())


def _combined(p: float) -> float:
    """Return a p-value, of the median of p-values that hang together."""
    return min(1.0, 2.0 * p)


def _smoothed(log_density: Array) -> tuple[Array, Array]:
    """Return Pareto-smoothed log weights (N, S) of 1 / density, and k (N,); as they are, k = 0, where none varies."""
    try:
        weights, k = array_stats.psislw(log_density)  # which turns the sign itself
    except ValueError:  # ArviZ fits no tail of equal values, and then none at all
        if len(log_density) == 1:
            return -log_density, np.zeros(1)
        each = [_smoothed(one[None]) for one in log_density]
        return np.concatenate([w for w, _ in each]), np.concatenate([k for _, k in each])
    return np.asarray(weights), np.asarray(k)


def fitted(calibration: "Calibration") -> list[Fitted]:
    """Return the outputs that were read, with what draws of the posterior say of the readings."""
    tree = calibration.tree
    if not {"posterior_predictive", "log_likelihood", "pit", "observed_data"} <= set(tree.children):
        return []
    predicted, density, pit = (tree[g].to_dataset() for g in ("posterior_predictive", "log_likelihood", "pit"))
    observed, made = tree["observed_data"].to_dataset(), list[Fitted]()
    for name in map(str, pit.data_vars):
        flat = observed[name].values.ravel()
        read = np.flatnonzero(np.isfinite(flat))
        series = _series(observed[name])[read]
        order = np.argsort(series, kind="stable")
        if read.size > MOST:
            order = order[np.linspace(0, read.size - 1, MOST).astype(int)]
        every = predicted[name].sizes["chain"] * predicted[name].sizes["draw"]
        draws = np.linspace(0, every - 1, min(every, DRAWS)).astype(int)
        level = np.median(predicted[name].values.reshape(every, -1)[np.ix_(draws, read[order])], axis=0)
        pits, logs = (each[name].values.reshape(every, -1) for each in (pit, density))
        columns = (read if pits.shape[1] == flat.size else np.arange(read.size))[order]
        lasting = "comment" in density[name].attrs  # each density is of a reading given those before it
        some = None if lasting else logs[np.ix_(draws, columns)]
        made.append(Fitted(name, level, pits[np.ix_(draws, columns)], some, series[order]))
    return made


def _series(observed: xr.DataArray) -> NDArray[np.int64]:
    """Return for each reading, in the order of the flat array, the number of the series that it belongs to."""
    if TIME in observed.dims:
        axes = [k for k, d in enumerate(observed.dims) if d != TIME]
        sizes = [observed.shape[k] for k in axes]
        places = [np.indices(observed.shape)[k].ravel() for k in axes]
        return np.ravel_multi_index(tuple(places), sizes) if axes else np.zeros(observed.size, dtype=np.int64)
    units = observed[UNIT].values.tolist() if UNIT in observed.coords else [None] * observed.shape[0]
    number = {unit: k for k, unit in enumerate(dict.fromkeys(units))}
    rows = np.array([number[unit] for unit in units])
    elements = int(np.prod(observed.shape[1:]))
    return np.asarray(rows[:, None] * elements + np.arange(elements), dtype=np.int64).ravel()
