"""Whether the data look like readings of the calibrated model: each reading among those predicted without it.

The leave-one-out probability integral transform (LOO-PIT) of reading i is the probability that the posterior of all
other readings predicts less than it: uniform where the model and its noise are right (Gelfand, Dey & Chang 1992;
Vehtari, Gelman & Gabry 2017, Statistics and Computing 27, 1413-1432, for the Pareto-smoothed weights).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from arviz_stats.base import array_stats
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import rankdata

from workbench.base.schema import TIME, UNIT
from workbench.calibrate.sbc.ranks import Uniform
from workbench.calibrate.trust.card import Gate

if TYPE_CHECKING:
    import pandas as pd

    from workbench.calibrate.calibration import Calibration

Array = NDArray[np.float64]
GATE = "predictive fit"
ALARM = 0.005
"""Chance that a right model fails the gate, all its tests together."""
HIGHEST, MOST, DRAWS = 99, 2000, 1000  # ranks of PITs are 0 to 99; readings and draws beyond these are passed over
FEW = 8  # readings below which no shape can be told


@dataclass(frozen=True)
class Fitted:
    """The readings of one output beside what was predicted of them.

    Attributes
    ----------
    name
        The output.
    observed
        (N,) readings.
    drawn, log_density
        (S, N) predicted readings and log densities of the measured ones, at draws of the posterior.
    series
        (N,) number of the series (unit, element of a vector) that each reading belongs to; within one they follow in
        time.
    """

    name: str
    observed: Array
    drawn: Array
    log_density: Array
    series: NDArray[np.int64]

    @cached_property
    def weights(self) -> tuple[Array, Array]:
        """(N, S) log weights of the posterior without each reading, and (N,) their Pareto k."""
        return _smoothed(-self.log_density.T)

    @cached_property
    def pit(self) -> Array:
        """(N,) LOO-PITs; a reading that equals predicted ones lies among them at random."""
        weights = np.exp(self.weights[0] - self.weights[0].max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        below = (weights * (self.drawn < self.observed).T).sum(axis=1)
        equal = (weights * (self.drawn == self.observed).T).sum(axis=1)
        return np.clip(below + np.random.default_rng(0).uniform(size=below.size) * equal, 1e-6, 1 - 1e-6)

    def coverage(self, mass: float) -> float:
        """Return the share of readings within the central interval of the LOO predictions."""
        return float(np.mean(np.abs(self.pit - 0.5) <= 0.5 * mass))

    @cached_property
    def shape(self) -> float:
        """p-value of the uniformity of PITs; 1 where there are too few."""
        if self.pit.size < FEW:
            return 1.0
        ranks = np.minimum((self.pit * (HIGHEST + 1)).astype(np.int64), HIGHEST)
        return float(Uniform(ranks.size, HIGHEST).p_value(ranks))

    @cached_property
    def persistence(self) -> tuple[float, float]:
        """Correlation of the normal scores of neighbours in time, and its p-value against none or a negative one."""
        scores = ndtri(self.pit)
        scores = scores - scores.mean()
        pairs = np.flatnonzero(self.series[1:] == self.series[:-1])
        if pairs.size < FEW:
            return 0.0, 1.0
        rho = float((scores[pairs] * scores[pairs + 1]).mean() / (scores**2).mean())
        return rho, float(ndtr(-rho * np.sqrt(pairs.size)))

    @cached_property
    def spread(self) -> tuple[float, float]:
        """Rank correlation of how far readings lie out with what is predicted, and its p-value against none."""
        if self.pit.size < FEW:
            return 0.0, 1.0
        sizes, levels = rankdata(np.abs(self.pit - 0.5)), rankdata(np.median(self.drawn, axis=0))
        if np.ptp(levels) == 0 or np.ptp(sizes) == 0:
            return 0.0, 1.0
        rho = float(np.corrcoef(sizes, levels)[0, 1])
        return rho, float(2 * ndtr(-abs(rho) * np.sqrt(self.pit.size - 1)))


def _smoothed(log_ratios: Array) -> tuple[Array, Array]:
    """Return Pareto-smoothed log weights (N, S) and k (N,); as they are, with k = 0, where a tail does not vary."""
    try:
        weights, k = array_stats.psislw(log_ratios)
    except ValueError:  # ArviZ fits no tail of equal values, and then none at all
        if len(log_ratios) == 1:
            return log_ratios, np.zeros(1)
        each = [_smoothed(one[None]) for one in log_ratios]
        return np.concatenate([w for w, _ in each]), np.concatenate([k for _, k in each])
    return np.asarray(weights), np.asarray(k)


def fitted(calibration: "Calibration") -> list[Fitted]:
    """Return the outputs whose readings are independent given the parameters, with what was predicted of them."""
    tree = calibration.tree
    if not {"posterior_predictive", "log_likelihood", "observed_data"} <= set(tree.children):
        return []
    predicted, density = (tree[g].to_dataset() for g in ("posterior_predictive", "log_likelihood"))
    observed, made = tree["observed_data"].to_dataset(), list[Fitted]()
    for name in map(str, density.data_vars):
        if "comment" in density[name].attrs:  # errors that last: each density is of a reading given those before it
            continue
        flat = observed[name].values.ravel()
        read = np.flatnonzero(np.isfinite(flat))
        series = _series(observed[name])[read]
        order = np.argsort(series, kind="stable")
        if read.size > MOST:
            order = order[np.linspace(0, read.size - 1, MOST).astype(int)]
        every = predicted[name].sizes["chain"] * predicted[name].sizes["draw"]
        draws = np.linspace(0, every - 1, min(every, DRAWS)).astype(int)
        drawn = predicted[name].values.reshape(every, -1)[np.ix_(draws, read[order])]
        logs = density[name].values.reshape(every, -1)
        logs = logs[np.ix_(draws, (read if logs.shape[1] == flat.size else np.arange(read.size))[order])]
        made.append(Fitted(name, flat[read][order], drawn, logs, series[order]))
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


def check(calibration: "Calibration") -> "pd.DataFrame":
    """Return a row an output: readings, coverage, shape, persistence and growth of LOO-PITs, Pareto k."""
    import pandas as pd

    rows: dict[str, dict[str, Any]] = {}
    for one in fitted(calibration):
        rho, p_rho = one.persistence
        rows[one.name] = {
            "readings": one.observed.size,
            "coverage_50": one.coverage(0.5),
            "coverage_90": one.coverage(0.9),
            "p_shape": one.shape,
            "autocorrelation": rho,
            "p_autocorrelation": p_rho,
            "growth": one.spread[0],
            "p_growth": one.spread[1],
            "largest_pareto_k": float(one.weights[1].max()),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def gate(calibration: "Calibration") -> Gate:
    """Return the gate "predictive fit"; its figure is the smallest p-value times the number of tests."""
    each = [one for one in fitted(calibration) if one.observed.size >= FEW]
    if not each:
        says = f"no output has {FEW} readings that are independent given the parameters: nothing can be told"
        return Gate(GATE, "not run", float("nan"), ALARM, says, wanted=not _measured(calibration))
    tests = [
        (p, one, kind)
        for one in each
        for p, kind in ((one.shape, "shape"), (one.persistence[1], "time"), (one.spread[1], "spread"))
    ]
    p, worst, kind = min(tests, key=lambda test: test[0])
    figure = min(1.0, p * len(tests))
    if figure >= ALARM:
        says = "; ".join(
            f"{one.name}: {100 * one.coverage(0.9):.0f} % of {one.observed.size} readings within 90 % intervals"
            for one in each
        )
        return Gate(GATE, "passed", figure, ALARM, says)
    if kind == "time":
        says = (
            f"errors of {worst.name} last from one reading to the next (correlation {worst.persistence[0]:.2f}): the "
            "equations leave something out; mend them, or add a discrepancy (wb.Discrepancy) or errors that last "
            "(wb.noise.AR1)"
        )
    elif kind == "spread":
        way, cure = ("grow", "wb.noise.Proportional, Combined or LogNormal") if worst.spread[0] > 0 else ("shrink", "")
        says = (
            f"errors of {worst.name} {way} with the value, beyond what its noise says (rank correlation "
            f"{worst.spread[0]:.2f}): look at the noise's family{f' ({cure})' if cure else ''}, then at the equations"
        )
    else:
        says = (
            f"readings of {worst.name} are not scattered as predicted ({100 * worst.coverage(0.5):.0f} % within 50 % "
            f"intervals, {100 * worst.coverage(0.9):.0f} % within 90 %): look at the noise's family (outliers want "
            "StudentT, errors that grow with the value LogNormal or Combined), at units, and at the equations"
        )
    return Gate(GATE, "failed", figure, ALARM, f"{says} (p = {figure:.2g})")


def _measured(calibration: "Calibration") -> bool:
    """Whether there are readings at all, if too few or of the wrong kind for the gate."""
    return "observed_data" in calibration.tree.children
