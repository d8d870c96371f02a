"""Sampling without a gradient: each chain is a population of walkers, led from the prior to the posterior.

The proposals of all populations are one batch, so many evaluations of a simulator run in parallel; and the draws do not
hang on how many do.
"""

from typing import Any

import numpy as np
import pymc as pm
from numpy.typing import NDArray

from workbench.base.errors import SamplingError
from workbench.calibrate.bayes import build
from workbench.calibrate.predict import derived
from workbench.calibrate.problem import Problem
from workbench.calibrate.sampling import naming
from workbench.calibrate.sampling.blackbox import Blind, box_of
from workbench.calibrate.sampling.progress import Progress
from workbench.calibrate.sampling.sample import FEWEST, Draws
from workbench.calibrate.sampling.walkers import Crowd, Generators, Ways, evaluate, sweep
from workbench.calibrate.trust import modes

Array = NDArray[np.float64]
FEWEST_WALKERS, WALKERS_A_DIMENSION = 40, 10
"""On lynx and hare (8 dimensions) 80 walkers and 4 moves at each temperature reach the reference in 65 000 evaluations;
with 40 walkers, or 2 moves, some populations shrink before they are there."""
CANDIDATES = 5  # draws of the prior for each walker
ROUNDS = 8  # of candidates, until there are as many with a density as walkers
SHARE = 0.5  # of the walkers that the effective number falls to at a step of the temperature
MOVES, MOST = 4.0, 60  # accepted moves of a walker at each temperature on average, and sweeps at most


def by_walkers(
    problem: Problem, steps: Progress, sizes: dict[str, int], streams: Any
) -> tuple[pm.Model, Draws, dict[str, Any]]:
    """Return the PyMC model, draws by walkers, and what is to be said of them."""
    box = box_of(problem, parallel=True)
    with steps.phase("compile_time", "compiling the priors"):
        made = build(problem)
        density = Blind(problem, made, box)
    words = "sampling {chains} populations of walkers, for {draws} draws of each".format(**sizes)
    with box, steps.phase("sampling_time", words):
        drawn, about = sample(density, **sizes, seed=streams[1], progress=steps)
        about[modes.RECORD] = naming.of_draws(
            drawn,
            lambda points: density.prior(points) + density.likelihood(points),
            lambda points: derived(problem, density.space.constrain(points)),
        )
    counts = {"evaluations": box.evaluations, "failed_evaluations": box.failures, "cache_hits": box.hits}
    return made, drawn, {"inference_library": "workbench", **counts, **about}


def sample(
    density: Blind, *, chains: int, draws: int, tune: int, seed: Any, progress: Progress
) -> tuple[Draws, dict[str, Any]]:
    """Return draws of each chain, which is a population of walkers, and what was done for them.

    A population is led from the prior to the posterior by tempering. Then its walkers take `tune` proposals, to learn
    how to move, and go on until there are `draws`, several proposals apart where moves are short. The draws of a walker
    stand one after the other, so effective sizes count what a walker remembers. SamplingError when interrupted before
    anything was drawn; or when hardly a draw of the prior has a density.
    """
    rngs = [np.random.default_rng(s) for s in seed.spawn(chains)]
    walkers = 2 * (max(FEWEST_WALKERS, WALKERS_A_DIMENSION * density.space.size) // 2)
    records: list[tuple[Array, Array, Array]] = []
    interrupted = False
    try:
        crowd, ways = _lead(density, rngs, walkers, progress)
        _tune(density, crowd, ways, rngs, sweeps=-(-tune // walkers))
        apart = max(1, round(0.5 / ways.forgotten.mean()))  # proposals after which about a third is forgotten
        wanted = -(-draws // walkers)
        while len(records) < wanted:
            tallies = [sweep(density, crowd, ways, rngs) for _ in range(apart)]
            accepted = np.mean([tally.accepted for tally in tallies], axis=0)
            records.append((crowd.points.copy(), crowd.density(), accepted))
            progress.now_and_then(lambda: f"sampling: {100 * len(records) / wanted:.0f} % of the draws{_runs(density)}")
    except KeyboardInterrupt:
        if len(records) * walkers < FEWEST:
            raise SamplingError("got an interruption while tuning; expected one after the first draws") from None
        interrupted = True
    points, lp, accepted = (_by_walker(list(parts))[:, :draws] for parts in zip(*records, strict=True))
    about = {"walkers": walkers, "proposals_a_draw": apart}
    return Draws(points, {"lp": lp, "acceptance_rate": accepted}, interrupted), about


def _lead(density: Blind, rngs: Generators, walkers: int, progress: Progress) -> tuple[Crowd, Ways]:
    """Return populations at the posterior, and ways to move there."""
    chains, parts = len(rngs), list[Crowd]()
    while True:
        points = np.stack([density.draw_prior(rng, CANDIDATES * walkers) for rng in rngs])
        parts.append(Crowd(points, *evaluate(density, points), np.zeros(chains)))
        crowd = Crowd(
            np.concatenate([p.points for p in parts], axis=1),
            np.concatenate([p.prior for p in parts], axis=1),
            np.concatenate([p.likelihood for p in parts], axis=1),
            np.zeros(chains),
        )
        found = np.isfinite(crowd.likelihood).sum(axis=1).min()
        if found >= walkers:
            break
        if len(parts) == ROUNDS:
            density.refuse()
    crowd = crowd.temper(rngs, walkers=walkers, share=walkers / found)
    ways = Ways.of(crowd.points)
    while True:
        moved, sweeps = np.zeros(chains), 0
        while moved.min() < MOVES and sweeps < MOST:
            tally = sweep(density, crowd, ways, rngs)
            ways.adapt(tally)
            moved, sweeps = moved + tally.accepted.mean(axis=1), sweeps + 1
            heat = crowd.heat.min()
            progress.now_and_then(lambda: f"tempering: the likelihood counts {heat:.2g} of 1{_runs(density)}")  # noqa: B023
        if crowd.heat.min() == 1.0:
            return crowd, ways
        crowd = crowd.temper(rngs, walkers=walkers, share=SHARE)
        ways.fit(crowd.points)


def _tune(density: Blind, crowd: Crowd, ways: Ways, rngs: Generators, *, sweeps: int) -> None:
    """Let walkers learn how to move."""
    seen = [crowd.points.copy()]
    for k in range(sweeps):
        ways.adapt(sweep(density, crowd, ways, rngs))
        seen.append(crowd.points.copy())
        if k + 1 in (sweeps // 2, sweeps):
            ways.fit(np.concatenate(seen[len(seen) // 2 :], axis=1))


def _runs(density: Blind) -> str:
    return f", {density.box.evaluations} evaluations, {density.box.failures} of them failed"


def _by_walker(records: list[Array]) -> Array:
    """Return (chains, walkers * records, ...) from records (chains, walkers, ...), those of a walker side by side."""
    stacked = np.stack(records, axis=2)
    return stacked.reshape(stacked.shape[0], -1, *stacked.shape[3:])
