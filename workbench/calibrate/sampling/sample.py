"""Draws from a compiled density, with nutpie; an interruption keeps what was drawn."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import nutpie
import xarray as xr
from numpy.typing import NDArray

from workbench.base.errors import SamplingError
from workbench.calibrate.fleet.effects import Effects
from workbench.calibrate.sampling.density import Density
from workbench.calibrate.sampling.progress import Progress
from workbench.calibrate.sampling.start import Start
from workbench.calibrate.sampling.straightened import Straightened

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
LOW_RANK = 200
"""Dimensions up to which the metric follows correlations: a third of the leapfrog steps of a diagonal one on lynx and
hare, and five times the effective draws; but with 300 independent parameters its algebra took ten times as long as
sampling with a diagonal one."""
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
    """Run chains from around the modes of a start; SamplingError when interrupted before anything useful was drawn.

    The chains of the weightiest mode come first. At least one tuning draw is taken.
    """
    seen: dict[int, list[Any]] = {}
    straight = density if start.effects is None else Straightened.of(density, start.effects)

    def launch(place: int, share: int) -> Any:
        def report(chains: list[Any]) -> None:
            seen[place] = chains
            progress.chains([chain for some in seen.values() for chain in some])

        return nutpie.sample(
            straight.for_nutpie(lambda chain_seed: start.point(chain_seed, place)),
            draws=draws,
            tune=max(tune, 1),
            chains=share,
            cores=share,  # all side by side: an interruption finds draws of every one
            seed=seed + place,
            progress_bar=False,
            progress_callback=report,
            adaptation="low_rank" if density.space.size <= LOW_RANK else "diag",
            target_accept=ACCEPTANCE["population" if start.population else "plain"],
            save_warmup=False,
            blocking=False,
        )

    runs = [launch(place, share) for place, share in enumerate(start.shares(chains))]
    interrupted, trees = False, list[xr.DataTree]()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Found chain dimension to be longer")  # few draws, on purpose
        for run in runs:
            try:
                ended = run.abort() if interrupted else progress.wait(run, lambda: _so_far(runs, start, density))
                trees.append(ended)
            except KeyboardInterrupt:
                interrupted = True
                trees.append(run.abort())
            except RuntimeError as error:  # its first line says it, a trace of machine code follows
                raise SamplingError(f"the sampler gave up: {str(error).strip().splitlines()[0]}") from error
    drawn = _draws(trees, interrupted)
    return drawn if start.effects is None else _bent(drawn, start.effects)


def _so_far(runs: list[Any], start: Start, density: Density) -> Mapping[str, Array]:
    """Return the draws that every chain has so far, (chains, draws, ...) by name; nothing while there are too few."""
    try:
        drawn = _draws([run.inspect() for run in runs], interrupted=True)
    except SamplingError:
        return {}
    return density.space.constrain((drawn if start.effects is None else _bent(drawn, start.effects)).points)


def _bent(drawn: Draws, effects: Effects) -> Draws:
    """Return draws in the density's own space, with its log density."""
    points = effects.bent(drawn.points)
    lp = drawn.statistics["lp"] - effects.log_volume(points)
    return Draws(points, drawn.statistics | {"lp": lp}, drawn.interrupted)


def _draws(trees: list[xr.DataTree], interrupted: bool) -> Draws:
    if any("posterior" not in tree.children or not tree["posterior"].data_vars for tree in trees):
        raise SamplingError("got an interruption while tuning; expected one after the first draws")
    parts: list[Array] = [np.asarray(tree["posterior"].to_dataset()["point"]) for tree in trees]
    kept = min(int(np.isfinite(part).all(axis=(0, 2)).sum()) for part in parts)  # where stopped early: padded with NaN
    if kept < FEWEST:
        raise SamplingError(f"got an interruption after {kept} draws a chain; expected at least {FEWEST} draws")
    statistics = [tree["sample_stats"].to_dataset() for tree in trees]
    named = {
        ours: np.concatenate([np.asarray(part[theirs].values[:, :kept]) for part in statistics])
        for theirs, ours in _STATISTICS.items()
        if all(theirs in part and part[theirs].dims == ("chain", "draw") for part in statistics)
    }
    return Draws(np.concatenate([part[:, :kept] for part in parts]), named, interrupted)
