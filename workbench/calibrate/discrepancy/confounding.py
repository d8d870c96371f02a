"""What a declared discrepancy does to the parameters: its gate, and the calibration beside the one without it.

A discrepancy that can imitate the effect of a parameter leaves the parameter to the priors of both (Brynjarsdottir &
O'Hagan, Inverse Problems 30 (2014) 114007). How far it does is read off the posterior: the share of a parameter's
variance that goes with the discrepancy, by linear regression on its values at the readings. In a linear Gaussian model
that is 1 - V0 / V, V the parameter's posterior variance and V0 what it would be were the discrepancy known.
"""

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.base.errors import ParameterError
from workbench.calibrate.discrepancy import second
from workbench.calibrate.identify.coordinates import coordinates_of
from workbench.calibrate.identify.identify import scores_of
from workbench.calibrate.trust.card import Gate
from workbench.calibrate.trust.fit import ALARM
from workbench.calibrate.trust.leave_out import leave_one_out

if TYPE_CHECKING:
    import pandas as pd

    from workbench.calibrate.calibration import Calibration

Array = NDArray[np.float64]
GATE = "discrepancy"
SHARE = 0.9
"""Share of a parameter's variance from which on it is confounded: its SD is 3.2 times that of a known discrepancy."""
FEW = 20  # draws for each direction of a discrepancy, of which a share can be told


def shares(calibration: "Calibration") -> dict[str, float]:
    """Return for each parameter the share of its posterior variance that goes with the discrepancies, 0 to 1.

    ParameterError where none was declared, or where the calibration was opened without its model.
    """
    problem = calibration.problem
    if problem is None or not problem.terms:
        raise ParameterError("got a calibration without a discrepancy, or opened without its model; expected one with")
    variables = {str(n): v.values for n, v in calibration.posterior.data_vars.items()}
    moved = [
        term.at_data(variables)[:, problem.measured[name]]
        for name, term in problem.first.terms.items()  # what is fitted to what is left moves no parameter
    ]
    if not moved:
        return {}
    chosen = [c for c in coordinates_of(problem) if not c.nuisance and c.scores.proper]
    scores = scores_of(calibration, chosen).reshape(-1, len(chosen))
    directions = _directions(np.concatenate(moved, axis=1))
    centred = scores - scores.mean(axis=0)
    rest = centred - directions @ (directions.T @ centred)
    count, size = directions.shape
    with np.errstate(invalid="ignore", divide="ignore"):
        left = (rest**2).sum(axis=0) / (centred**2).sum(axis=0) * (count - 1) / (count - size - 1)
    return {c.label: float(np.clip(1 - value, 0.0, 1.0)) for c, value in zip(chosen, left, strict=True)}


def _directions(moved: Array) -> Array:
    """Return orthonormal columns (members, directions) along which the discrepancy's draws vary."""
    left, sizes, _ = np.linalg.svd(moved - moved.mean(axis=0), full_matrices=False)
    seen = sizes**2 > 1e-8 * (sizes**2).sum()
    return left[:, seen][:, : max(1, len(moved) // FEW)]


def gate(calibration: "Calibration") -> Gate:
    """Return the gate "discrepancy": whether it can imitate a parameter; "not run" where none was declared.

    Its figure is the largest share of a parameter's variance that goes with the discrepancy (see `shares`). Above 0.9
    it passes only where it was said at which places the discrepancy is zero or flat: no figure of a posterior can tell
    a right prior of the discrepancy from a wrong one.
    """
    problem = calibration.problem
    if problem is None or not problem.terms:
        text = calibration.posterior.attrs.get(GATE)
        says = "none was declared; discrepancy=wb.Discrepancy(...) shows what it would change"
        if text and json.loads(text):
            says = "got a calibration opened without its model; open it with Calibration.open(path, model)"
        return Gate(GATE, "not run", float("nan"), SHARE, says)
    found = shares(calibration)
    if problem.first is not problem:
        told = _of_second(calibration)
        if told.verdict != "passed" or not found:
            return told
    if not found:
        return Gate(GATE, "not run", float("nan"), SHARE, "no parameter has a proper prior to compare with")
    name, figure = max(found.items(), key=lambda item: item[1])
    grows = f"its SD is {1 / np.sqrt(max(1 - figure, 1e-12)):.3g} times what it would be were the discrepancy known"
    if figure <= SHARE:
        says = f"at most {100 * figure:.0f} % of a parameter's variance goes with the discrepancy ({name}: {grows})"
        return Gate(GATE, "passed", figure, SHARE, says)
    known = [f"{k}={v:g}" for t in problem.terms.values() for k, v in t.conditions]
    confounded = f"{100 * figure:.1f} % of the variance of {name} goes with the discrepancy: {grows}"
    if known:
        says = f"{confounded}; what tells them apart is what was said of the discrepancy: {', '.join(known)}"
        return Gate(GATE, "passed", figure, SHARE, says)
    says = (
        f"{confounded}; the discrepancy can imitate it, so the estimate hangs on the prior of the discrepancy "
        "(predictions do not): say where the discrepancy is zero or flat (zero_at=, flat_at=) if that is known, or "
        f"measure {name} otherwise; do not quote it as a physical value before"
    )
    return Gate(GATE, "failed", figure, SHARE, says)


def _of_second(calibration: "Calibration") -> Gate:
    """Return the gate of parameters that were fitted without the discrepancy: whether the readings ask for it."""
    found = json.loads(calibration.posterior.attrs[second.RECORD])
    fitted = "parameters were fitted without the discrepancy (joint=False)"
    if found["verdict"] == "failed":
        says = (
            f"{fitted}, and the readings call for it: {found['says']}. Parameters are those that fit best, not "
            "physical values, and their intervals are too narrow (predictions hold the discrepancy): fit jointly with "
            "what is known of it (zero_at=, flat_at=), or mend the equations"
        )
    else:
        says = f"{fitted}; without it: {found['says']}"
    return Gate(GATE, found["verdict"], found["figure"], ALARM, says)


def without(calibration: "Calibration") -> "Calibration":
    """Return the same calibration without its discrepancies: same data, sizes and seed."""
    from workbench.calibrate.posterior import sample_problem
    from workbench.calibrate.sampling.progress import Progress

    problem = calibration.problem
    if problem is None or not problem.terms:
        raise ParameterError("got a calibration without a discrepancy, or opened without its model; expected one with")
    attrs = calibration.posterior.attrs
    sizes = {"chains": calibration.posterior.sizes["chain"], "draws": attrs["draws_asked"], "tune": attrs["tune"]}
    return sample_problem(
        replace(problem, terms={}),
        {k: int(v) for k, v in sizes.items()},
        seed=int(attrs["seed"]),
        steps=Progress(False),
    )


def side_by_side(calibration: "Calibration") -> "pd.DataFrame":
    """Return a row a parameter with and without the discrepancy, then a row an output with its predictive score.

    Columns are mean and SD of each, the shift in SDs of the fit without, the ratio of the SDs, and the share of
    variance that goes with the discrepancy. The score is the expected log predictive density by LOO (Vehtari, Gelman
    & Gabry, Statistics and Computing 27 (2017) 1413), of each reading given the others and the discrepancy they tell.
    """
    import pandas as pd

    other, found = calibration.without_discrepancy, shares(calibration)
    rows: dict[str, list[Any]] = {}
    assert calibration.problem is not None
    for coordinate in coordinates_of(calibration.problem):
        ours, theirs = (_draws(c, coordinate) for c in (calibration, other))
        spread = theirs.std(ddof=1)
        shift, share = (ours.mean() - theirs.mean()) / spread, found.get(coordinate.label, np.nan)
        own = [ours.mean(), ours.std(ddof=1), theirs.mean(), spread, shift, ours.std(ddof=1) / spread, share]
        rows[coordinate.label] = [*own, coordinate.units]
    for name in calibration.problem.measured:
        scores = [_score(c, name) for c in (calibration, other)]
        rows[f"elpd({name})"] = [*scores[0], *scores[1], np.nan, np.nan, np.nan, "1"]
    columns = ["mean", "sd", "mean_without", "sd_without", "shift", "sd_ratio", "share", "units"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def _draws(calibration: "Calibration", coordinate: Any) -> Array:
    values = calibration.posterior[coordinate.variable].transpose("chain", "draw", ...).values
    return np.asarray(values[(slice(None), slice(None), *coordinate.place)], dtype=np.float64).ravel()


def _score(calibration: "Calibration", name: str) -> tuple[float, float]:
    """Return the expected log predictive density of an output's readings and its standard error."""
    density = calibration.tree["log_likelihood"].to_dataset()[name].values
    made = leave_one_out(calibration.posterior, density.reshape(*density.shape[:2], -1))
    return made.elpd, made.se
