"""What simulation-based calibration found: ranks and their uniformity, coverage of intervals, and its gate."""

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from workbench.base.errors import ParameterError, SamplingError
from workbench.calibrate.sbc.ranks import LEVEL, Uniform, share_interval
from workbench.calibrate.trust.card import Gate
from workbench.calibrate.trust.convergence import DIVERGING

if TYPE_CHECKING:
    import pandas as pd

    from workbench.calibrate.calibration import Calibration
    from workbench.calibrate.problem import Problem

NAME, GROUP = "simulation-based calibration", "simulation_based_calibration"
KEPT, RANKED = 399, 99
"""Draws kept of each posterior for intervals, and every fourth of them for ranks: with 399 (99) nearly independent
draws the central 50, 80, 90 and 95 % (and every whole per cent) are between whole ranks."""
RHAT, ESS = 1.02, 200
"""What draws must reach, or more are taken. `RHAT` is looser than a reported posterior's 1.01: over hundreds of
posteriors and all their parameters, the largest of two chains' R-hat passes 1.01 by chance. With `ESS`, every twentieth
of 2000 draws is all but independent of the one before (a correlation of exp(-2) or so)."""
LOG_LIKELIHOOD = "log likelihood"
FEWEST = 100
"""Replicates below which the gate counts as not run: with 100, an interval of 90 % that covers 80 % is found in nine
runs of ten, with 50 in six."""
LOST = 0.02  # share of replicates that may end without ranks: the others could still be a biased choice
UNSETTLED = 0.1  # share whose draws may be too few, or not agree, even when four times as many were taken
MASSES = (50, 80, 90, 95)
_NUMBERS = ("r_hat", "ess", "diverging", "longer", "steps", "redrawn", "seconds")


@dataclass(frozen=True)
class SBC:
    """Ranks of truths in their posteriors, over simulated data sets.

    Attributes
    ----------
    data
        Over `replicate` and `quantity` (each scalar parameter, and the log likelihood): `rank`, the number of draws
        below the truth among 99 far apart, and `below`, likewise among 399; over `replicate` and `reading`:
        `predicted_below`, of the readings that were predicted, among 399. NaN where there is no posterior. Over
        `replicate`: `status`, `r_hat`, `ess`, `diverging` (share of transitions), `longer` (draws taken, as a multiple
        of those asked for), `steps` (leapfrog steps of the draws), `redrawn` (truths without possible readings that
        were drawn before), `seconds`.
    """

    data: xr.Dataset

    @property
    def replicates(self) -> int:
        """How many replicates have ranks."""
        return int((self.data["status"] == "ok").sum())

    @property
    def failures(self) -> dict[str, int]:
        """Why replicates have no ranks, and how many."""
        reasons, counts = np.unique(self.data["status"].values, return_counts=True)
        return {str(r): int(c) for r, c in zip(reasons, counts, strict=True) if r != "ok"}

    @property
    def unsettled(self) -> int:
        """How many posteriors have chains that disagree, or too few effective draws, after four times as many."""
        poor = (self.data["r_hat"] > RHAT) | (self.data["ess"] < ESS)
        return int((poor & (self.data["status"] == "ok")).sum())

    @property
    def divergent(self) -> int:
        """How many posteriors have more divergent transitions than a trust card allows."""
        return int((self.data["diverging"] > DIVERGING).sum())

    @cached_property
    def ranks(self) -> dict[str, np.ndarray]:
        """Ranks (replicates,) of each quantity, of the replicates that have them."""
        rank = self.data["rank"].values[self.data["status"].values == "ok"].astype(np.int64)
        return {str(name): rank[:, k] for k, name in enumerate(self.data["quantity"].values)}

    @property
    def law(self) -> Uniform:
        """The law of the ranks if posteriors are right."""
        return Uniform(self.replicates, RANKED)

    @cached_property
    def p_values(self) -> dict[str, float]:
        """The probability that uniform ranks stray as far, for each quantity (`Uniform.p_value`)."""
        return {name: self.law.p_value(ranks) for name, ranks in self.ranks.items()}

    @property
    def p_value(self) -> float:
        """The smallest of the p-values, times their number (Bonferroni): small when any quantity's ranks stray."""
        return min(1.0, len(self.p_values) * min(self.p_values.values()))

    def table(self) -> "pd.DataFrame":
        """Return a row a quantity: its p-value, whether its ranks stay in their 99 % band, coverage and mean rank."""
        import pandas as pd

        covered = self.coverage()
        rows = {}
        for name, p in self.p_values.items():
            shares = {f"cover_{mass}": covered.loc[(name, mass), "share"] for mass in MASSES}
            rows[name] = {"p": p, "within": p > 1 - LEVEL, **shares, "mean_rank": self.ranks[name].mean() / RANKED}
        return pd.DataFrame.from_dict(rows, orient="index")

    def coverage(self) -> "pd.DataFrame":
        """Return how often central intervals cover the truth: share, and the ends of its own 95 % interval.

        A row for each quantity and mass in per cent; then "parameters", all of them together, and "predictions of"
        each output. Of one quantity the interval is Clopper and Pearson's; of several together, which hang on each
        other, it is that of the mean over replicates.
        """
        import pandas as pd

        fine = self.data["status"].values == "ok"
        below = self.data["below"].values[fine]
        names = [str(name) for name in self.data["quantity"].values]
        parameters = np.array([name != LOG_LIKELIHOOD for name in names])
        together = {"parameters": below[:, parameters]}
        if "reading" in self.data.dims:
            output = self.data["output"].values
            for name in np.unique(output):
                together[f"predictions of {name}"] = self.data["predicted_below"].values[fine][:, output == name]
        rows = {}
        for mass in MASSES:
            for k, name in enumerate(names):
                hits = int(_covered(below[:, k], mass).sum())
                rows[name, mass] = (hits / fine.sum(), *share_interval(hits, int(fine.sum())))
            for name, counts in together.items():
                each = _covered(counts, mass).mean(axis=1)
                half = 1.96 * each.std(ddof=1) / np.sqrt(each.size) if each.size > 1 else np.nan
                rows[name, mass] = (each.mean(), each.mean() - half, each.mean() + half)
        table = pd.DataFrame.from_dict(rows, orient="index", columns=["share", "low", "high"])
        table.index = pd.MultiIndex.from_tuples(table.index, names=["quantity", "mass"])
        return table.sort_index(level=1, sort_remaining=False)

    @property
    def gate(self) -> Gate:
        """The gate of a trust card."""
        return _judge(self)

    def __repr__(self) -> str:
        return (
            f"{_headline(self)}\n{self.gate.verdict}: {self.gate.says}\n{self.table().to_string(float_format='%.3g')}"
        )

    def _repr_html_(self) -> str:
        words = f"<p><b>{html.escape(_headline(self))}</b></p><p>{self.gate.verdict}: {html.escape(self.gate.says)}</p>"
        return f"<div>{words}{self.table().to_html(float_format=lambda v: f'{v:.3g}', border=0)}</div>"


def gathered(problem: "Problem", records: Iterable[Mapping[str, Any]], about: Mapping[str, Any]) -> xr.Dataset:
    """Return the records of replicates as a Dataset; SamplingError when none has ranks."""
    records = list(records)
    good = [record for record in records if record["status"] == "ok"]
    if not good:
        why = records[0]["status"] if records else "interrupted before the first was made"
        raise SamplingError(f"got no replicate with a posterior ({why}); expected some")
    quantities, readings = list(good[0]["ranks"]), list(good[0]["predicted"])
    made = xr.Dataset(
        {
            "rank": (("replicate", "quantity"), _rows(records, "ranks", quantities)),
            "below": (("replicate", "quantity"), _rows(records, "below", quantities)),
            "status": ("replicate", [record["status"] for record in records]),
            **{n: ("replicate", [float(record.get(n, np.nan)) for record in records]) for n in _NUMBERS},
        },
        {"replicate": [record["replicate"] for record in records], "quantity": quantities},
        {"model": problem.model.name, **about},
    )
    if readings:
        made["predicted_below"] = (("replicate", "reading"), _rows(records, "predicted", readings))
        made.coords["reading"] = readings
        made.coords["output"] = ("reading", [name.rpartition(" ")[0] for name in readings])
    return made


def _rows(records: list[Mapping[str, Any]], what: str, names: list[str]) -> np.ndarray:
    return np.array([[record.get(what, {}).get(name, np.nan) for name in names] for record in records])


def _covered(below: np.ndarray, mass: int) -> np.ndarray:
    """Say whether central intervals of this mass cover: of 400 places among 399 draws, those in the middle."""
    outside = (100 - mass) * (KEPT + 1) // 200
    return (below >= outside) & (below <= KEPT - outside)


def _headline(result: SBC) -> str:
    attrs = result.data.attrs
    words = f"Simulation-based calibration of {attrs['model']}: {result.replicates} of {attrs['n']} replicates"
    redrawn = int(result.data["redrawn"].sum())
    parts = [
        *(f"{count} without ranks ({reason})" for reason, count in result.failures.items()),
        *([f"{result.unsettled} whose chains did not settle"] if result.unsettled else []),
        *([f"{result.divergent} with divergences"] if result.divergent else []),
        *([f"{redrawn} truths drawn anew, as their readings were impossible"] if redrawn else []),
    ]
    return "; ".join([words, *parts])


def _judge(result: SBC) -> Gate:
    attrs, threshold = result.data.attrs, 1 - LEVEL
    made, lost = result.replicates, sum(result.failures.values())
    if made < FEWEST:
        says = f"{made} replicates say little; run wb.sbc(model, design, n=300)"
        return Gate(NAME, "not run", float("nan"), threshold, says)
    p = result.p_value
    stray = [name for name, each in result.p_values.items() if len(result.p_values) * each <= threshold]
    cure = "the posterior is wrong, or what was simulated is: look at equations, noise and priors, then at the sampler"
    if stray:
        says = f"ranks of {', '.join(stray[:4])} are not uniform over {made} simulated data sets: {cure}"
    elif lost > LOST * (made + lost):
        says = f"{lost} of {made + lost} replicates have no ranks ({next(iter(result.failures))}): {cure}"
    elif result.unsettled > UNSETTLED * made:
        says = f"in {result.unsettled} of {made} replicates chains did not settle: take more draws, or tighten priors"
    else:
        share = float(result.coverage()["share"].to_dict()["parameters", 90])
        words = f"ranks of {len(result.p_values)} quantities are uniform over {made} simulated data sets"
        says = f"{words}, 90 % intervals cover the truth in {100 * share:.1f} %"
        return Gate(NAME, "passed", p, threshold, says)
    return Gate(NAME, "failed", p, threshold, f"{says} (model {attrs['model']})")


def gate(calibration: "Calibration") -> Gate:
    """Return the gate of a calibration: of the study that `with_sbc` added to it, or that none was."""
    if GROUP not in calibration.tree.children:
        says = "not run; make sbc = wb.sbc(model, data, n=300), then calibration = calibration.with_sbc(sbc)"
        return Gate(NAME, "not run", float("nan"), 1 - LEVEL, says)
    return SBC(calibration.tree.children[GROUP].to_dataset(inherit=False)).gate


def with_sbc(calibration: "Calibration", result: SBC) -> "Calibration":
    """Return the calibration with a study of the same model and design; ParameterError where it is of another."""
    from workbench.calibrate.sbc.fingerprint import fingerprint

    if calibration.problem is None:
        raise ParameterError("got a calibration opened without its model; expected Calibration.open(path, model)")
    if result.data.attrs["fingerprint"] != fingerprint(calibration.problem):
        raise ParameterError(
            f"got simulation-based calibration of {result.data.attrs['model']} with another model, design, inputs or "
            "pooling; expected wb.sbc with what was calibrated: the same declaration, times, units and inputs"
        )
    groups = {node.path: node.to_dataset(inherit=False) for node in calibration.tree.subtree}
    tree = xr.DataTree.from_dict({**groups, f"/{GROUP}": result.data})
    return replace(calibration, tree=tree)
