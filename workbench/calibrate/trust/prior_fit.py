"""Whether data look like readings of the declared model before it has learnt anything: the prior predictive check.

Studies are simulated from the prior on the data's own design (Gabry, Simpson, Vehtari, Betancourt & Gelman 2019,
Visualization in Bayesian workflow, Journal of the Royal Statistical Society A 182, 389-402). If the prior is right, the
data are one more of them, so the rank of any statistic among them all gives an exact p-value (Barnard 1963, Journal of
the Royal Statistical Society B 25, 294).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from workbench.base.errors import SamplingError
from workbench.calibrate.predict import derived, labelled, studies
from workbench.calibrate.problem import Problem, pose
from workbench.calibrate.sampling.start import draw_free
from workbench.calibrate.trust.card import Gate, TrustCard

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
GATE = "prior predictive"
DRAWS = 999
ALARM = 0.005
"""Chance that a right prior fails the gate, over all outputs."""
WIDE = 100.0  # times the range of the readings, above which a prior is called wide


@dataclass(frozen=True, eq=False)
class PriorCheck:
    """What the prior says of data.

    Attributes
    ----------
    table
        A row an output: number of readings, shares of them within the central 50 % and 90 % of what the prior predicts
        of each, how many lie beyond all that it predicts, width of the 90 % bands (their median) over the range of the
        readings, and the p-value that its readings are from the prior.
    gate
        Fails where the data are not what this prior predicts.
    predicted
        Simulated studies in the layout of the data, over chain (one) and draw; `figures.prior_predictive` draws them.
    unsolved
        Share of draws whose equations could not be solved, or that allow no reading.
    """

    table: "pd.DataFrame"
    gate: Gate
    predicted: xr.Dataset
    unsolved: float

    @property
    def passed(self) -> bool:
        """Whether the gate passed."""
        return not self.gate.doubtful

    def __repr__(self) -> str:
        return f"{TrustCard((self.gate,))}\n{self.table.to_string(float_format='%.3g')}"

    def _repr_html_(self) -> str:
        return TrustCard((self.gate,))._repr_html_() + self.table.to_html(float_format=lambda v: f"{v:.3g}", border=0)


def check_prior(
    model: Any, data: Any, *, inputs: Any = None, pool: Any = None, discrepancy: Any = None, seed: int | None = None
) -> PriorCheck:
    """Return how data lie among studies simulated from the prior, before any calibration.

    Parameters
    ----------
    model, data, inputs, pool, discrepancy
        As in `wb.calibrate`.
    seed
        Seed of the 999 draws.

    Raises
    ------
    DataError, ParameterError, UnitError, DeclarationError
        If what is given cannot be used as it is; if a prior is improper, and predicts nothing.
    SamplingError
        If fewer than a tenth of the draws can be solved and read.
    """
    import pandas as pd

    problem = pose(model, data, inputs=inputs, pool=pool, discrepancy=discrepancy)
    refuse_improper(problem)
    rng = np.random.default_rng(seed)
    free = {name: values[None] for name, values in draw_free(problem, rng, DRAWS, narrow=False).items()}
    with np.errstate(all="ignore"):
        drawn = studies(problem, derived(problem, free), rng)
    whole = np.all([np.isfinite(values[0]).all(axis=1) for values in drawn.values()], axis=0)
    if whole.sum() < DRAWS // 10:
        raise SamplingError(
            f"{problem.model.name}: got readings from {whole.sum()} of {DRAWS} draws of the prior; expected most: the "
            "equations cannot be solved there, or the noise allows no reading; look at wb.simulate with such draws"
        )
    rows = {n: _row(problem.readings(n), v[0, whole][:, problem.measured[n]]) for n, v in drawn.items()}
    rows = {name: row for name, row in rows.items() if row["readings"]}
    table = pd.DataFrame.from_dict(rows, orient="index").astype({"readings": int, "beyond_all": int})
    unsolved = float(1 - whole.mean())
    return PriorCheck(table, _gate(rows, unsolved), labelled(problem, drawn), unsolved)


def refuse_improper(problem: Problem) -> None:
    """Raise DeclarationError where a prior is improper."""
    for name in problem.estimated:
        prior = problem.quantity(name).prior
        assert prior is not None
        prior.quantile(0.5)


def _row(readings: Array, studies: Array) -> dict[str, float]:
    """Return a row of the table, for readings (n,) and studies (draws, n)."""
    if not readings.size:
        return {"readings": 0}
    below, equal = (studies < readings).mean(axis=0), (studies == readings).mean(axis=0)
    place = below + 0.5 * equal
    low, high = np.quantile(studies, [0.05, 0.95], axis=0)
    reach = float(np.ptp(readings)) or float(np.abs(readings).max()) or 1.0
    return {
        "readings": readings.size,
        "coverage_50": float(np.mean(np.abs(place - 0.5) <= 0.25)),
        "coverage_90": float(np.mean(np.abs(place - 0.5) <= 0.45)),
        "beyond_all": int(np.sum((place == 0.0) | (place == 1.0))),
        "width": float(np.median(high - low)) / reach,
        "p": _p_value(readings, studies),
    }


def _p_value(readings: Array, studies: Array) -> float:
    """Return the share of studies, the data among them, that lie out as far as the data: mean squared normal scores."""
    every = np.vstack([readings, studies])
    scores = ndtri((rankdata(every, axis=0) - 0.5) / len(every))
    out = np.mean(scores**2, axis=1)
    return float(np.mean(out >= out[0]))


def _gate(rows: Mapping[str, Mapping[str, float]], unsolved: float) -> Gate:
    """Return the gate; its figure is the smallest p-value times the number of outputs."""
    worst = min(rows, key=lambda name: rows[name]["p"])
    figure, row = min(1.0, rows[worst]["p"] * len(rows)), rows[worst]
    lost = f"; {100 * unsolved:.0f} % of the draws could not be solved or read" if unsolved > 0.01 else ""
    if figure < ALARM:
        says = (
            f"readings of {worst} are not what the prior predicts ({row['beyond_all']:.0f} of {row['readings']:.0f} "
            f"beyond all {DRAWS} simulated studies): look at units first, then at priors, inputs and starts "
            f"(p = {figure:.2g})"
        )
        return Gate(GATE, "failed", figure, ALARM, says + lost)
    says = "; ".join(
        f"{name}: {100 * r['coverage_90']:.0f} % of {r['readings']:.0f} readings within the prior's 90 % bands"
        + (f", which are {r['width']:.2g} times as wide as the data: the prior is vague" if r["width"] > WIDE else "")
        for name, r in rows.items()
    )
    return Gate(GATE, "passed", figure, ALARM, says + lost)
