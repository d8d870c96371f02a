"""Whether chains have found the posterior: agreement, effective draws, divergences, solves, and a run to its end."""

from typing import Any

import arviz_stats
import numpy as np
import xarray as xr

from workbench.calibrate.trust.card import Gate

RHAT, ESS = 1.01, 400
"""Vehtari, Gelman, Simpson, Carpenter & Buerkner, Bayesian Analysis 16 (2021) 667-718, section 4: thresholds of R-hat
and of the bulk and tail effective sample size for reporting."""

DIVERGING = 1e-3
"""Share of transitions that may diverge: single ones at the edge of a population's narrow end move no estimate."""

ACCEPTED = 0.02
"""Share of proposals without a gradient that must be accepted: below it most walkers never move."""


def convergence(posterior: xr.Dataset) -> xr.Dataset:
    """Return R-hat, bulk and tail effective sample size of every variable, over a dim `statistic`."""
    posterior = posterior[[n for n, v in posterior.data_vars.items() if v.dims[:2] == ("chain", "draw")]]
    with np.errstate(all="ignore"):  # what does not vary, or is no number, gives NaN, and NaN fails
        measures = [
            arviz_stats.rhat(posterior),
            arviz_stats.ess(posterior, method="bulk"),
            arviz_stats.ess(posterior, method="tail"),
        ]
    return xr.concat(measures, xr.IndexVariable("statistic", ["r_hat", "ess_bulk", "ess_tail"]))


def gates(posterior: xr.Dataset, statistics: xr.Dataset) -> tuple[Gate, ...]:
    """Return the gates of a sampler's run."""
    measures = convergence(posterior)
    return (
        _rhat(measures, posterior.sizes["chain"]),
        _ess(measures),
        _divergences(statistics) if "diverging" in statistics else _moves(statistics),
        _failed_solves(posterior),
        _complete(posterior),
    )


def _extreme(measures: xr.Dataset, statistics: list[str], worst: Any) -> tuple[str, float]:
    # of plain arrays, as xarray would pass over a NaN among the units
    found = {str(n): float(worst(v.sel(statistic=statistics).values)) for n, v in measures.data_vars.items()}
    finite = {n: v for n, v in found.items() if np.isfinite(v)}
    if len(finite) < len(found):
        name = next(n for n in found if n not in finite)
        return name, float("nan")
    return max(finite.items(), key=lambda item: item[1] if worst is np.max else -item[1])


def _rhat(measures: xr.Dataset, chains: int) -> Gate:
    name, value = _extreme(measures, ["r_hat"], np.max)
    if chains < 2:
        return Gate(
            "chains agree", "not run", float("nan"), RHAT, "one chain cannot be compared; run at least 2, better 4"
        )
    if value <= RHAT:
        return Gate("chains agree", "passed", value, RHAT, f"largest R-hat {value:.3f} ({name}), at most {RHAT}")
    cure = "run longer (tune and draws), and look for several modes or a parameter that the data cannot see"
    return Gate("chains agree", "failed", value, RHAT, f"R-hat of {name} is {value:.3f}, above {RHAT}: {cure}")


def _ess(measures: xr.Dataset) -> Gate:
    name, value = _extreme(measures, ["ess_bulk", "ess_tail"], np.min)
    if value >= ESS:
        return Gate(
            "enough draws", "passed", value, ESS, f"smallest effective sample size {value:.0f} ({name}), at least {ESS}"
        )
    says = f"effective sample size of {name} is {value:.0f}, below {ESS}: its interval is rough; take more draws"
    return Gate("enough draws", "failed", value, ESS, says)


def _divergences(statistics: xr.Dataset) -> Gate:
    count, size = int(statistics["diverging"].sum()), statistics["diverging"].size
    share = count / size
    if share <= DIVERGING:
        says = f"{count} of {size} transitions diverged, at most {DIVERGING * size:.0f}" if count else "no divergence"
        return Gate("few divergences", "passed", share, DIVERGING, says)
    says = (
        f"{count} of {size} transitions diverged, more than {DIVERGING * size:.0f}: regions of the posterior were not "
        "reached; tighten priors that leave parameters free, or pool less"
    )
    return Gate("few divergences", "failed", share, DIVERGING, says)


def _moves(statistics: xr.Dataset) -> Gate:
    """Of samplers that cannot diverge: whether walkers move at all."""
    rate = float(statistics["acceptance_rate"].mean())
    says = f"{100 * rate:.1f} % of the proposals were accepted"
    if rate >= ACCEPTED:
        return Gate("walkers move", "passed", rate, ACCEPTED, f"{says}, at least {100 * ACCEPTED:.0f} %")
    says += f", less than {100 * ACCEPTED:.0f} %: the posterior is narrow or bent; tune longer, or tighten priors"
    return Gate("walkers move", "failed", rate, ACCEPTED, says)


def _failed_solves(posterior: xr.Dataset) -> Gate:
    failed = int(posterior.attrs.get("failed_evaluations", 0))
    says = f"{failed} proposals had no finite density (the model could not be solved there) and were rejected"
    return Gate("solves", "passed", float(failed), float("inf"), says if failed else "every proposal could be solved")


def _complete(posterior: xr.Dataset) -> Gate:
    if not posterior.attrs.get("interrupted", 0):
        return Gate("sampling complete", "passed", 0.0, 0.0, "all draws asked for were taken")
    drawn, wanted = posterior.sizes["draw"], int(posterior.attrs.get("draws_asked", 0))
    says = f"sampling was interrupted after {drawn} of {wanted} draws a chain; run it to its end before reporting"
    return Gate("sampling complete", "failed", 1.0, 0.0, says)
