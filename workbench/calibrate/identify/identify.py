"""What data have told: identifiability after data, in one table, and the gate of the trust card.

Contraction is 1 less the ratio of posterior to prior variance, on the scale on which the prior is a standard normal
(`normal_scores`): the unconstrained scale for Normal and LogNormal priors, and one that a posterior at the end of a
support does not deceive for the others. Prior sensitivity is that of power scaling (Kallioinen, Paananen, Buerkner &
Vehtari, Statistics and Computing 34 (2024) 57), by ArviZ.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workbench.base.errors import ParameterError, unknown
from workbench.base.schema import CHAIN, DRAW
from workbench.calibrate.calibration import MASS
from workbench.calibrate.identify.coordinates import Coordinate, coordinates_of
from workbench.calibrate.identify.directions import (
    UNSEEN,
    Spectrum,
    described,
    formula,
    in_words,
    taking_part,
    verdicts,
)
from workbench.calibrate.trust.card import Gate

if TYPE_CHECKING:
    import pandas as pd

    from workbench.calibrate.calibration import Calibration

Array = NDArray[np.float64]
SENSITIVE = 0.05  # of Kallioinen et al.: power-scaling sensitivity from which on a posterior moves
GATE = "identifiability"


@dataclass(frozen=True)
class Identifiability:
    """What data have told of each parameter.

    Attributes
    ----------
    table
        A row a parameter: contraction, sensitivity to the prior and to the likelihood, the partner with which it
        correlates most (on the scale of scores) and how much, ends of the profile likelihood's interval where it was
        asked for, the unit, and a verdict.
    directions
        Combinations of parameters, the least seen first: the contraction, weights in SDs of the priors, words.
    correlation
        (n, n) posterior correlations of the scores.
    intervals
        A row a parameter: ends of the 89 % interval and median of its posterior, as scores under its prior.
    profiles
        Profile likelihoods that were asked for (see `workbench.calibrate.identify.profile`), by parameter.
    """

    table: "pd.DataFrame"
    directions: "pd.DataFrame"
    correlation: "pd.DataFrame"
    intervals: "pd.DataFrame"
    profiles: dict[str, Any]

    def __repr__(self) -> str:
        return f"{self._headline()}\n{self.table.to_string(float_format='%.3g')}"

    def _repr_html_(self) -> str:
        parts = {"Directions": self.directions, "Correlations": self.correlation}
        more = "".join(f"<details><summary>{name}</summary>{_shown(t)}</details>" for name, t in parts.items())
        return f"<div><p><b>{html.escape(self._headline())}</b></p>{_shown(self.table)}{more}</div>"

    def _headline(self) -> str:
        bad = [f"{n}: {v}" for n, v in self.table["verdict"].items() if v not in ("seen", "weakly seen")]
        return "; ".join(bad) if bad else "The data see every parameter"


def _shown(table: "pd.DataFrame") -> str:
    return table.to_html(float_format=lambda v: f"{v:.3g}", border=0)


def identify_posterior(calibration: "Calibration", profiles: Sequence[str] | bool = False) -> Identifiability:
    """Return what the data of a calibration have told (see `Calibration.identify`)."""
    import pandas as pd

    coordinates = _coordinates(calibration)
    scores = scores_of(calibration, coordinates)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.atleast_2d(np.corrcoef(scores.reshape(-1, len(coordinates)).T))
    covariance = np.atleast_2d(np.cov(scores.reshape(-1, len(coordinates)).T))
    few = [k for k, c in enumerate(coordinates) if c.scores.proper and not c.nuisance]
    spectrum, unseen = Spectrum.of(covariance[np.ix_(few, few)]), np.zeros_like(covariance)
    unseen[np.ix_(few, few)] = spectrum.unseen
    contraction = 1 - np.diag(covariance)
    prior, likelihood = _power_scaling(calibration, coordinates)
    partners = [_partner(correlation, k) for k in range(len(coordinates))]
    labels = [c.label for c in coordinates]
    table = pd.DataFrame(
        {
            "contraction": contraction,
            "prior_sensitivity": prior,
            "likelihood_sensitivity": likelihood,
            "partner": [labels[k] if k is not None else "" for k in partners],
            "correlation": [np.nan if p is None else correlation[k, p] for k, p in enumerate(partners)],
            "units": [c.units for c in coordinates],
            "verdict": verdicts(coordinates, contraction, unseen),
        },
        index=labels,
    )
    for k, coordinate in enumerate(coordinates):
        if not coordinate.scores.proper:
            table.loc[coordinate.label, "verdict"] = "not seen" if likelihood[k] < SENSITIVE else "seen"
    made = _profiles(calibration, coordinates, profiles)
    for label, profile in made.items():
        for end, column in zip(profile.interval, profile.columns, strict=True):
            table.loc[label, column] = end
    table = table[[c for c in table if c not in ("units", "verdict")] + ["units", "verdict"]]
    directions = described([coordinates[k] for k in few], spectrum)
    ends = np.quantile(scores, [0.5 - MASS / 2, 0.5, 0.5 + MASS / 2], axis=(0, 1)).T
    intervals = pd.DataFrame(ends, labels, ["low", "median", "high"])
    return Identifiability(table, directions, pd.DataFrame(correlation, labels, labels), intervals, made)


def gate(calibration: "Calibration") -> Gate:
    """Return the gate "identifiability": whether data tell something along every direction of the parameters.

    Its figure is the smallest contraction along any combination of parameters, found in one half of the draws and
    measured in the other. So it fails where one parameter is not seen, and where only a combination of several is. It
    covers parameters, starts with priors and medians of populations, those of each unit where units are not pooled. It
    does not cover what is there to be averaged over: between-unit SDs, units of a population (whose prior is the
    population), arguments of noises, biases and drifts of sensors; but a parameter that these hide is not seen itself.
    """
    if calibration.problem is None:
        says = "got a calibration opened without its model; open it with Calibration.open(path, model)"
        return Gate(GATE, "not run", float("nan"), UNSEEN, says)
    chosen = [c for c in coordinates_of(calibration.problem) if not c.nuisance and c.scores.proper]
    if not chosen:
        return Gate(GATE, "not run", float("nan"), UNSEEN, "no parameter has a proper prior to compare with")
    scores = scores_of(calibration, chosen)
    spectrum = Spectrum.of(np.atleast_2d(np.cov(scores.reshape(-1, len(chosen)).T)))
    figure = _held_out(scores)
    if figure >= UNSEEN:
        words = f"the least seen is {formula(chosen, spectrum.vectors[:, 0])}"
        says = f"along every combination of parameters the variance shrank by at least {100 * figure:.0f} %; {words}"
        return Gate(GATE, "passed", figure, UNSEEN, says)
    bad = [v for c, v in zip(spectrum.contraction, spectrum.vectors.T, strict=True) if c < UNSEEN] or [
        spectrum.vectors[:, 0]
    ]
    each = list(dict.fromkeys(in_words(chosen, v) for v in bad))
    words = "; ".join(each[:3]) + (f"; and {len(each) - 3} more" if len(each) > 3 else "")
    pairs = {tuple(sorted(taking_part(v))) for v in bad if len(taking_part(v)) == 2}
    flat = scores.reshape(-1, len(chosen))
    rho = [f"{np.corrcoef(flat[:, i], flat[:, j])[0, 1]:.2f}" for i, j in sorted(pairs)[:3]]
    correlation = f" (posterior correlation {', '.join(rho)})" if rho else ""
    says = (
        f"{words}{correlation}: there the variance shrank by {100 * max(figure, 0.0):.0f} %, less than "
        f"{100 * UNSEEN:.0f} %, and the estimate repeats its prior; {_cure(bad)}"
    )
    return Gate(GATE, "failed", figure, UNSEEN, says)


def _cure(bad: Sequence[Array]) -> str:
    """Say what to do about directions that are not seen."""
    alone = {len(taking_part(v)) == 1 for v in bad}
    fix = "fix it by value=" if alone == {True} else "put the combination in place of its parts, fix one part by value="
    return f"{fix}, measure another output that tells them, or give a prior with a reason and quote it as such"


def _coordinates(calibration: "Calibration") -> list[Coordinate]:
    if calibration.problem is None:
        raise ParameterError("got a calibration opened without its model; expected Calibration.open(path, model)")
    return coordinates_of(calibration.problem)


def values_of(calibration: "Calibration", coordinate: Coordinate) -> Array:
    """Return the draws (chains, draws) of a coordinate."""
    array = calibration.posterior[coordinate.variable].transpose(CHAIN, DRAW, ...)
    place = dict(zip(array.dims[2:], coordinate.place, strict=True))
    return np.asarray(array.isel(place).values, dtype=np.float64)


def scores_of(calibration: "Calibration", coordinates: Sequence[Coordinate]) -> Array:
    """Return the draws (chains, draws, coordinates) as scores under their priors, NaN where a prior is improper."""
    laws = {c.prior: c.scores for c in coordinates}
    columns = []
    for coordinate in coordinates:
        values, law = values_of(calibration, coordinate), laws[coordinate.prior]
        columns.append(law.scores(values) if law.proper else np.full(values.shape, np.nan))
    return np.stack(columns, axis=-1)


def _held_out(scores: Array) -> float:
    """Return the smallest contraction along any direction, found in one half of each chain and measured in the other.

    The widest direction of many, found and measured in the same draws, would look wider than it is.
    """
    halves = [half.reshape(-1, scores.shape[-1]) for half in np.array_split(scores, 2, axis=1)]
    if min(len(half) for half in halves) < 2:
        return float("nan")
    covariances = [np.atleast_2d(np.cov(half.T)) for half in halves]
    worst = [Spectrum.of(c).vectors[:, 0] for c in covariances]
    return 1 - float(np.mean([v @ c @ v for v, c in zip(worst, covariances[::-1], strict=True)]))


def _partner(correlation: Array, k: int) -> int | None:
    """Return with which other coordinate one correlates most."""
    size = np.abs(correlation[k])
    size[~np.isfinite(size)], size[k] = -1.0, -1.0
    return int(size.argmax()) if size.max() >= 0 else None


def _power_scaling(calibration: "Calibration", coordinates: Sequence[Coordinate]) -> tuple[Array, Array]:
    """Return how much each coordinate's posterior moves with the power of all priors, and of the likelihood.

    NaN where a discrepancy was fitted to what is left: parameters do not have the density of the readings then.
    """
    import arviz_stats

    assert calibration.problem is not None
    if calibration.problem.first is not calibration.problem:
        unknown = np.full(len(coordinates), np.nan)
        return unknown, unknown
    values, prior = dict[str, Any](), np.zeros(1)
    for k, coordinate in enumerate(coordinates):
        draws, law = values_of(calibration, coordinate), coordinate.scores
        values[f"x_{k}"] = (CHAIN, DRAW), draws
        prior = prior + (law.log_density(draws) if law.proper else 0.0)
    densities = calibration.tree["log_likelihood"].to_dataset().data_vars.values()
    each = [d.sum([dim for dim in d.dims if dim not in (CHAIN, DRAW)]).transpose(CHAIN, DRAW).values for d in densities]
    lead, likelihood = (CHAIN, DRAW), np.sum(each, axis=0)
    coords = {d: calibration.posterior[d] for d in (CHAIN, DRAW)}
    tree = xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset(values, coords),
            "log_prior": xr.Dataset({"total": (lead, np.broadcast_to(prior, likelihood.shape))}, coords),
            "log_likelihood": xr.Dataset({"total": (lead, likelihood)}, coords),
        }
    )
    with np.errstate(all="ignore"):
        by_prior, by_likelihood = (
            arviz_stats.psense(tree, group=group)[list(values)].to_array().values
            if np.ptp(total) > 0
            else np.zeros(len(values))  # a power of what is the same everywhere moves nothing
            for group, total in (("prior", prior), ("likelihood", likelihood))
        )
    return by_prior, by_likelihood


def _profiles(calibration: "Calibration", coordinates: Sequence[Coordinate], wanted: Any) -> dict[str, Any]:
    if wanted is False:
        return {}
    from workbench.calibrate.identify.profile import profile_likelihoods

    known = [c.label for c in coordinates if not c.nuisance or c.variable in calibration.problem.model.noise_parameters]  # type: ignore[union-attr]
    chosen = known if wanted is True else list(wanted)
    for name in chosen:
        if name not in known:
            raise ParameterError(unknown("parameter", str(name), known, "profiles"))
    return profile_likelihoods(calibration, [c for c in coordinates if c.label in chosen])
