"""What a calibration returns: the posterior as a tree of datasets, and the evidence for it."""

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from workbench.calibrate.trust.card import TrustCard, trust
from workbench.calibrate.trust.convergence import convergence
from workbench.calibrate.trust.modes import apart, table

if TYPE_CHECKING:
    import pandas as pd
    import pymc as pm

    from workbench.calibrate.identify.identify import Identifiability
    from workbench.calibrate.problem import Problem
    from workbench.calibrate.sbc.sbc import SBC

MASS = 0.89  # of the intervals in a summary, ArviZ's default


@dataclass(frozen=True)
class Calibration:
    """A posterior, where it came from, and whether it may be trusted.

    Attributes
    ----------
    tree
        Groups posterior, sample_stats, posterior_predictive, log_likelihood, pit (probabilities of less than what was
        read) and observed_data, with units in attrs.
    problem
        The declaration, data and inputs (None in a calibration opened from a file without its declaration).
    written
        The trust card that was written with the file, where it was opened from one.
    """

    tree: xr.DataTree
    _model: "pm.Model | None" = field(default=None, repr=False)
    problem: "Problem | None" = field(default=None, repr=False)
    written: TrustCard | None = field(default=None, repr=False)

    @cached_property
    def model(self) -> "pm.Model | None":
        """The `pm.Model` that was sampled, built anew where a file was opened; None without a declaration."""
        if self._model is None and self.problem is not None:
            from workbench.calibrate.bayes import build

            return build(self.problem.first)
        return self._model

    @property
    def posterior(self) -> xr.Dataset:
        """Draws of every parameter over chain and draw (and unit)."""
        return self.tree["posterior"].to_dataset()

    @cached_property
    def trust(self) -> TrustCard:
        """The gates that this posterior had to pass."""
        return trust(self)

    @cached_property
    def without_discrepancy(self) -> "Calibration":
        """The same calibration without its discrepancies, run when first asked for; ParameterError without any."""
        from workbench.calibrate.discrepancy.confounding import without

        return without(self)

    def discrepancy(self) -> "pd.DataFrame":
        """Return parameters and predictive scores with and without the discrepancy, side by side."""
        from workbench.calibrate.discrepancy.confounding import side_by_side

        return side_by_side(self)

    @property
    def modes(self) -> "pd.DataFrame":
        """A row a mode, the weightiest first: chains, log density, weight, and means with their units."""
        return table(self.posterior)

    def summary(self) -> "pd.DataFrame":
        """Return a row a parameter: mean, SD, equal-tailed 89 % interval, effective sizes, R-hat, unit, and a verdict.

        The verdict is "ok" only where the whole trust card holds; otherwise it says why not. Where chains are in
        different modes, each mode has rows of its own ("k (mode B)").
        """
        import pandas as pd

        rows: dict[str, list[Any]] = {}
        for mode, posterior in apart(self.posterior):
            rows |= {f"{row} (mode {mode})" if mode else row: v for row, v in _rows(posterior).items()}
        low, high = f"eti{100 * MASS:.0f}_lb", f"eti{100 * MASS:.0f}_ub"
        columns = ["mean", "sd", low, high, "r_hat", "ess_bulk", "ess_tail", "units"]
        table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
        table["verdict"] = f"not to be trusted: {self.trust.reason}" if self.trust.doubts else "ok"
        return table

    def identify(self, *, profiles: Sequence[str] | bool = False) -> "Identifiability":
        """Return which parameters the data have seen: one table, with the directions that they have not.

        For each parameter the contraction from prior to posterior, sensitivities to prior and likelihood, the
        partner with which it correlates most, and a verdict (see `workbench.calibrate.identify.identify`).

        Parameters
        ----------
        profiles
            Names of parameters whose profile likelihoods are wanted as well, or True for all: some dozens of
            evaluations of the density for each end of an interval. ParameterError for a `wb.Simulator`.
        """
        from workbench.calibrate.identify.identify import identify_posterior

        return identify_posterior(self, profiles)

    def check(self) -> "pd.DataFrame":
        """Return how the readings lie among their predictions: a row an output (see `workbench.calibrate.trust.fit`).

        Number of readings, coverage of central 50 % and 90 % intervals predicted by draws of the posterior, p-values of
        the shape, the persistence and the growth of the readings' probabilities, the largest Pareto k of
        leave-one-out predictions and the number of readings for which these are `unreliable`.
        """
        from workbench.calibrate.trust.fit import check

        return check(self)

    def correlation(self) -> xr.DataArray:
        """Return the correlation matrix of units' effects, over chain, draw, `effect` and `other_effect`.

        Of the parameters that a `wb.Correlated` names, on the scales on which they vary; those of different groups are
        independent. ParameterError without any. The posterior holds each pair once, as `<first>_<second>_corr`.
        """
        from workbench.calibrate.fleet.correlation import matrix

        return matrix(self.posterior)

    def new_unit(self, data: Any = None, *, inputs: Any = None, seed: int | None = None) -> xr.Dataset:
        """Return draws of the parameters of a unit not yet seen, over chain and draw.

        Partially pooled parameters are drawn from the population; the others are as estimated. With readings of the
        unit the draws are those of a calibration of the fleet and this unit together, found in about a second without
        sampling the fleet again (see `workbench.calibrate.fleet.newcomer`); `wb.forecast` carries them on.

        Parameters
        ----------
        data, inputs
            Readings of the one unit, a few or many, and what acted on it, as `wb.calibrate` takes them.
        seed
            The same seed gives the same draws.

        Raises
        ------
        ParameterError
            If a parameter was estimated for each unit on its own, which says nothing about another; with data, if the
            calibration has a discrepancy.
        DataError, SamplingError
            If the readings cannot be used as they are, or no draw of the fleet can explain them. Where few can, a
            warning says so; `effective_draws` in the attributes says how many draws the result is worth.
        """
        from workbench.calibrate.fleet.population import new_unit

        return new_unit(self, seed, data, inputs)

    def new_units(
        self, data: Any, *, inputs: Any = None, draws: int | None = None, seed: int | None = None
    ) -> xr.Dataset:
        """Return draws of the parameters of many units not yet seen: what each has of its own over `unit`, too.

        Each draw is of one network: what units share is as estimated, and each unit's own values are drawn given that
        and its readings; a unit without any is drawn from the population. Thousands of units take some seconds, as
        what they say about the fleet is left out (see `workbench.calibrate.fleet.newcomers`).

        Parameters
        ----------
        data, inputs
            Readings of the units, and what acted on them, as `wb.calibrate` takes them.
        draws
            How many of each chain, spread over all; None: all of them.
        seed
            The same seed gives the same draws.

        Raises
        ------
        ParameterError
            If a parameter was estimated for each unit on its own; if there are not as many draws; if the calibration
            has a discrepancy or process noise.
        DataError
            If the readings cannot be used as they are, or no draw of the fleet can explain them.
        """
        from workbench.calibrate.fleet.population import new_units

        return new_units(self, seed, data, inputs, draws=draws)

    def with_sbc(self, result: "SBC") -> "Calibration":
        """Return this calibration with what `wb.sbc` found of the same model and design, for its trust card.

        ParameterError where it is of another model, design, inputs or pooling.
        """
        from workbench.calibrate.sbc.sbc import with_sbc

        return with_sbc(self, result)

    def save(self, path: Any) -> None:
        """Write everything to one netCDF (`.nc`) or zarr (`.zarr`) store, with versions, declaration and hash."""
        from workbench.calibrate.store import save

        save(self, path)

    @staticmethod
    def open(path: Any, model: Any = None) -> "Calibration":
        """Read a calibration back; nothing in the file is executed.

        Parameters
        ----------
        path
            A store written by `save`.
        model
            The declaration, to go on from (forecasts); it must be the one that the file describes.
        """
        from workbench.calibrate.store import open_calibration

        return open_calibration(path, model)

    def _headline(self) -> str:
        sizes = self.posterior.sizes
        attrs = self.posterior.attrs
        words = f"Calibration of {attrs.get('model', '?')}: {sizes['chain']} chains of {sizes['draw']} draws"
        if self.trust.passed:
            return words
        return f"{words}. NOT TO BE TRUSTED YET: " + "; ".join(g.says for g in self.trust.doubts)

    def __repr__(self) -> str:
        return f"{self._headline()}\n{self.summary().drop(columns='verdict').to_string(float_format='%.4g')}"

    def _repr_html_(self) -> str:
        style = "" if self.trust.passed else ' style="border-left:0.3em solid #b00;padding-left:0.6em"'
        table = self.summary().drop(columns="verdict").to_html(float_format=lambda v: f"{v:.4g}", border=0)
        return (
            f"<div{style}><p><b>{html.escape(self._headline())}</b></p>{table}"
            f"<details><summary>Trust card</summary>{self.trust._repr_html_()}</details>"
            f"<details><summary>Data tree</summary>{self.tree._repr_html_()}</details></div>"
        )


def _rows(posterior: xr.Dataset) -> dict[str, list[Any]]:
    """Return the figures of every parameter, and its unit."""
    measures = convergence(posterior)
    rows = {}
    for name, draws in posterior.data_vars.items():
        if draws.attrs.get("role") == "basis":  # standardised coefficients of a discrepancy, which say nothing alone
            continue
        stacked = draws.stack(sample=("chain", "draw")).transpose(..., "sample")
        for place in np.ndindex(stacked.shape[:-1]):
            labels = [str(stacked.coords[d].values[i]) for d, i in zip(stacked.dims[:-1], place, strict=True)]
            row = f"{name}[{', '.join(labels)}]" if labels else str(name)
            figures = [float(measures[name].values[k][place]) for k in range(3)]
            rows[row] = [*_describe(stacked.values[place]), *figures, draws.attrs.get("units", "1")]
    return rows


def _describe(draws: np.ndarray) -> list[float]:
    low, high = np.quantile(draws, [0.5 - MASS / 2, 0.5 + MASS / 2])
    return [float(draws.mean()), float(draws.std(ddof=1)), float(low), float(high)]
