"""Draws from a compiled density, with nutpie; an interruption keeps what was drawn."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import nutpie
import xarray as xr
from numpy.typing import NDArray

from workbench.base.errors import SamplingError
from workbench.calibrate.density import Density
from workbench.calibrate.progress import Progress
from workbench.calibrate.start import Start

Array = NDArray[np.float64]
_STATISTICS = {
    "diverging": "diverging",
    "depth": "tree_depth",
    "n_steps": "n_steps",
    "step_size": "step_size",
    "energy": "energy",
    "logp": "lp",
    "mean_tree_accept": "acceptance_rate",
    "maxdepth_reached": "reached_max_treedepth",
}
ACCEPTANCE = {"plain": 0.8, "population": 0.9}
"""Mean acceptance at which step sizes aim; they are smaller where an SD between units may come near zero and the
posterior narrows: on theophylline 1.7 transitions in 10 000 diverge at 0.8, 0.5 at 0.9, and no fewer at 0.95."""
FEWEST = 4  # draws a chain below which nothing can be said


@dataclass(frozen=True)
class Draws:
    """What the sampler gave.

    Attributes
    ----------
    points
        (chains, draws, size) in the unconstrained space.
    statistics
        Statistics of each draw (chains, draws), named as ArviZ names them.
    interrupted
        Whether sampling was stopped before the draws asked for.
    """

    points: Array
    statistics: dict[str, NDArray[Any]]
    interrupted: bool


def sample(
    density: Density, start: Start, *, chains: int, draws: int, tune: int, seed: int, progress: Progress
) -> Draws:
    """Run chains from around a start; SamplingError when interrupted before anything useful was drawn."""
    # the low-rank metric follows the correlations of mechanistic parameters: on lynx and hare a third of the leapfrog
    # steps of a diagonal one, and five times the effective draws
    running = nutpie.sample(
        density.for_nutpie(lambda chain_seed: start.point(density, chain_seed)),
        draws=draws,
        tune=tune,
        chains=chains,
        cores=chains,  # all side by side: an interruption finds draws of every one
        seed=seed,
        progress_bar=False,
        progress_callback=progress.chains,
        adaptation="low_rank",
        target_accept=ACCEPTANCE["population" if start.population else "plain"],
        save_warmup=False,
        blocking=False,
    )
    interrupted = False
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Found chain dimension to be longer")  # few draws, on purpose
        try:
            tree = running.wait()
        except KeyboardInterrupt:
            interrupted = True
            tree = running.abort()
    return _draws(tree, interrupted)


def _draws(tree: xr.DataTree, interrupted: bool) -> Draws:
    if "posterior" not in tree.children or not tree["posterior"].data_vars:
        raise SamplingError("got an interruption while tuning; expected one after the first draws")
    points: Array = np.asarray(tree["posterior"].to_dataset()["point"])
    kept = int(np.isfinite(points).all(axis=(0, 2)).sum())  # chains stopped early are padded with NaN
    if kept < FEWEST:
        raise SamplingError(f"got an interruption after {kept} draws a chain; expected at least {FEWEST} draws")
    statistics = tree["sample_stats"].to_dataset()
    named = {
        ours: np.asarray(statistics[theirs].values[:, :kept])
        for theirs, ours in _STATISTICS.items()
        if theirs in statistics and statistics[theirs].dims == ("chain", "draw")
    }
    return Draws(points[:, :kept], named, interrupted)
