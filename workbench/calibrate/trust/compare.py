"""`wb.compare`: which model predicts readings better that it has not seen, by leave-one-out cross-validation.

The expected log predictive density (elpd) of a reading given all others is estimated from one posterior by
Pareto-smoothed importance sampling (Vehtari, Gelman & Gabry 2017, Statistics and Computing 27, 1413-1432; Vehtari,
Simpson, Gelman, Yao & Gabry 2024, JMLR 25, 72), weights of stacking by Yao, Vehtari, Simpson & Gelman (2018), Bayesian
Analysis 13, 917-1007.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from workbench.base.errors import DataError
from workbench.calibrate.calibration import Calibration
from workbench.calibrate.trust.leave_out import LeftOut, leave_one_out

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
STEPS = 20_000  # of the search for weights, each some microseconds
FEW = 100
"""Readings below which a difference's standard error is rough, and `ALIKE`, the difference (nats) below which it is not
to be relied on: Sivula, Magnusson, Matamoros & Vehtari 2025, arXiv:2008.10296."""
ALIKE = 4.0


def compare(calibrations: Mapping[str, Calibration]) -> "pd.DataFrame":
    """Return how well calibrations to the same data predict each reading from all others, the best first.

    Parameters
    ----------
    calibrations
        By the names that the table shall have.

    Returns
    -------
    pandas.DataFrame
        A row a calibration. `elpd` and `se`: sum over readings of the log predictive density and its standard error
        (nats); `difference` from the best and `difference_se`; `p_worse`, the probability that it is worse, were the
        error of the difference normal; `effective_parameters`; `weight` in the mixture that predicts best (stacking);
        `largest_pareto_k`, and `unreliable`, the number of readings whose k says that the estimate fails: the posterior
        without them is too far from the one with them. `note` says where to be careful, `verdict` what the trust card
        says of the calibration.

    Raises
    ------
    DataError
        If there are fewer than two, they were calibrated to different data or data in different units, readings are not
        independent given the parameters (errors that last), or densities cannot be compared: of counts beside those of
        numbers, or with other limits of quantification.
    """
    import pandas as pd

    if not isinstance(calibrations, Mapping) or len(calibrations) < 2:
        raise DataError(f"got {calibrations!r:.80}; expected a mapping of at least two calibrations by name")
    for name, one in calibrations.items():
        if not isinstance(one, Calibration):
            raise DataError(f"compare: got {type(one).__name__} as {name!r}; expected a calibration")
    first, *others = calibrations
    for name in others:
        _refuse_other_data((first, calibrations[first]), (name, calibrations[name]))
    found = {name: _loo(name, one) for name, one in calibrations.items()}
    order = sorted(found, key=lambda name: -found[name].elpd)
    each = np.stack([found[name].each for name in order])
    weights, rows = stacking(each), dict[str, dict[str, Any]]()
    for place, name in enumerate(order):
        made, less = found[name], each[place] - each[0]
        spread = float(less.std(ddof=1) * np.sqrt(less.size))
        rows[name] = {
            "elpd": made.elpd,
            "se": made.se,
            "difference": float(less.sum()),
            "difference_se": spread,
            "p_worse": float(ndtr(-less.sum() / spread)) if spread > 0 else np.nan,
            "effective_parameters": made.effective,
            "weight": float(weights[place]),
            "largest_pareto_k": float(np.max(made.pareto_k)),
            "unreliable": made.unreliable,
            "note": _note(less.size, float(less.sum()), best=place == 0, unreliable=made.unreliable),
            "verdict": calibrations[name].trust.reason or "ok",
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")


def stacking(densities: Array) -> Array:
    """Return the weights (models,) of the mixture that predicts best, of log densities (models, readings).

    By expectation and maximisation, each step of which raises the mean log density (Dempster, Laird & Rubin 1977,
    J. R. Stat. Soc. B 39, section 4.3).
    """
    shares = np.exp(densities - densities.max(axis=0))
    weights = np.full(len(shares), 1 / len(shares))
    for _ in range(STEPS):
        before, weights = weights, weights * (shares / (weights @ shares)).mean(axis=1)
        if np.abs(weights - before).max() < 1e-9:
            break
    return weights / weights.sum()


def _note(readings: int, difference: float, *, best: bool, unreliable: int) -> str:
    said = [f"{unreliable} readings weigh too much to be left out by reweighting"] if unreliable else []
    if not best and abs(difference) < ALIKE:
        said.append("predicts about as well as the best")
    elif not best and readings < FEW:
        said.append(f"{readings} readings: the standard error is rough")
    return "; ".join(said)


def _loo(name: str, calibration: Calibration) -> LeftOut:
    """Return the scores of every reading of every output together."""
    density = calibration.tree["log_likelihood"].to_dataset()
    flat = []
    for output, values in density.data_vars.items():
        if "comment" in values.attrs:
            raise DataError(
                f"compare: got {name!r}, in which errors of {str(output)!r} last from reading to reading; expected "
                "readings that are independent given the parameters, each of which can be left out by itself"
            )
        flat.append(values.values.reshape(*values.shape[:2], -1))
    return leave_one_out(calibration.posterior, np.concatenate(flat, axis=2))


def _refuse_other_data(one: tuple[str, Calibration], other: tuple[str, Calibration]) -> None:
    """Refuse two calibrations whose log densities are not of the same readings on the same scale."""
    names, pair = f"{one[0]!r} and {other[0]!r}", (one[1], other[1])
    if any("log_likelihood" not in calibration.tree.children for calibration in pair):
        raise DataError(f"compare: got {names}, not both with log densities; expected calibrations of wb.calibrate")
    seen, again = (calibration.tree["observed_data"].to_dataset() for calibration in pair)
    if set(seen.data_vars) != set(again.data_vars):
        got = f"{sorted(map(str, seen.data_vars))} and {sorted(map(str, again.data_vars))}"
        raise DataError(f"compare: got {names}, calibrated to {got}; expected the same outputs")
    for output in seen.data_vars:
        units = [each[output].attrs.get("units", "1") for each in (seen, again)]
        if units[0] != units[1]:
            raise DataError(
                f"compare: got {output!r} in {units[0]} and in {units[1]} in {names}; expected one unit: a density is "
                "per unit"
            )
        if not seen[output].equals(again[output]):
            raise DataError(f"compare: got {names}, calibrated to different readings of {output!r}; expected the same")
        if pair[0].problem is None or pair[1].problem is None:
            continue
        outputs = [calibration.problem.model.outputs[str(output)] for calibration in pair if calibration.problem]
        counted = [out.noise is not None and out.noise.family.readings == "count" for out in outputs]
        if counted[0] != counted[1]:
            raise DataError(
                f"compare: got {output!r} as a count and as a number in {names}; expected one kind: probabilities of "
                "counts and densities of numbers are on different scales"
            )
        if outputs[0].limits != outputs[1].limits:
            raise DataError(f"compare: got other limits of {output!r} in {names}; expected the same limits")
