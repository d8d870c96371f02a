"""What a calibration says of each reading given all others, by importance weights of its draws."""

import warnings
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

Array = NDArray[np.float64]
READING = "reading"


@dataclass(frozen=True)
class LeftOut:
    """Expected log predictive densities by PSIS-LOO (Vehtari, Gelman & Gabry, Statistics and Computing 27 (2017) 1413).

    Attributes
    ----------
    each
        (N,) of each reading, given all others.
    pareto_k
        (N,) whether its weights can be trusted: below `good_k`.
    good_k
        The limit (Vehtari et al. 2024, JMLR 25, 72).
    effective
        Effective number of parameters.
    """

    each: Array
    pareto_k: Array
    good_k: float
    effective: float

    @property
    def elpd(self) -> float:
        """Sum over the readings."""
        return float(self.each.sum())

    @property
    def se(self) -> float:
        """Standard error of the sum; NaN for one reading."""
        return float(np.sqrt(self.each.size * self.each.var(ddof=1))) if self.each.size > 1 else float("nan")

    @property
    def unreliable(self) -> int:
        """Number of readings whose weights cannot be trusted."""
        return int((~(self.pareto_k <= self.good_k)).sum())


def leave_one_out(posterior: xr.Dataset, density: Array) -> LeftOut:
    """Return the scores of readings whose log densities (chains, draws, N) are given, at the draws of a posterior.

    A reading whose density is the same at all draws says nothing of the parameters, so it is as well predicted without
    itself.
    """
    from arviz_stats import loo

    each, k = density[0, 0].copy(), np.zeros(density.shape[2])
    told = np.flatnonzero(np.ptp(density, axis=(0, 1)) != 0)  # NaN counts as told, for ArviZ to refuse
    good, effective = 0.7, 0.0
    if told.size:
        lead = {dim: posterior[dim] for dim in ("chain", "draw")}
        groups = {
            "posterior": posterior,
            "log_likelihood": xr.Dataset({READING: (("chain", "draw", READING), density[..., told])}, lead),
        }
        with warnings.catch_warnings():
            # `unreliable` says so
            warnings.filterwarnings("ignore", "Estimated shape parameter of Pareto", UserWarning)
            made = loo(xr.DataTree.from_dict(groups), pointwise=True, var_name=READING)
        each[told], k[told] = made.elpd_i.values, made.pareto_k.values
        good, effective = float(made.good_k), float(made.p)
    return LeftOut(each, k, good, effective)
