"""One replicate of simulation-based calibration: a truth, readings simulated from it, and its place in their posterior.

What is simulated runs through NumPy and SciPy (`workbench.calibrate.predict`), what is inferred through the compiled
density: a mistake in one of them does not hide in the other.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import arviz_stats.base
import numpy as np
from numpy.typing import NDArray

from workbench.base.errors import SamplingError
from workbench.base.schema import UNIT
from workbench.calibrate.bayes import build
from workbench.calibrate.discrepancy.integrated import drawn_back
from workbench.calibrate.filtered.likelihood import observed_readings
from workbench.calibrate.posterior import draw_posterior
from workbench.calibrate.predict import derived, predictive, studies
from workbench.calibrate.problem import Problem
from workbench.calibrate.sampling.density import Density, compile_density
from workbench.calibrate.sampling.progress import Progress
from workbench.calibrate.sampling.sample import Draws
from workbench.calibrate.sampling.space import space_of
from workbench.calibrate.sampling.start import draw_free
from workbench.calibrate.sbc.sbc import ESS, KEPT, LOG_LIKELIHOOD, RHAT
from workbench.declare.simulator import Simulator

Array = NDArray[np.float64]
CHAINS = 2
LONGER = (1, 4)  # how often as many draws are taken, where the first were too few
REDRAWN = 200  # truths that may be drawn anew because none of their readings are possible


@dataclass(frozen=True)
class Study:
    """What is replicated: a problem whose readings count as measured or not, draws a chain, and a seed."""

    problem: Problem
    draws: int
    seed: int
    _known: dict[str, Density] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def is_black_box(self) -> bool:
        """Whether the model has no gradient."""
        return isinstance(self.problem.model, Simulator)

    def density(self, problem: Problem) -> Density:
        """Return the density of a replicate: the same machine code wherever only the readings differ."""
        readings = observed_readings(problem)
        if "code" in self._known:
            return self._known["code"].with_readings(readings)
        reference, made = compile_density(build(self.problem)), compile_density(build(problem))
        if made.shares_code(reference) and made.places.keys() == readings.keys():
            self._known["code"] = made
        return made


@dataclass(frozen=True)
class Truth:
    """Parameters drawn from the prior, each (1, 1, *shape), the readings they gave, and how often both were drawn."""

    variables: dict[str, Array]
    readings: dict[str, Array]
    tries: int


def draw_truth(problem: Problem, rng: np.random.Generator) -> Truth:
    """Return parameters from the prior, and a reading at every row of the design, measured or not.

    Parameters whose equations cannot be solved, or whose noise cannot give a reading, are drawn again: the density has
    no mass there, so the prior that a posterior sees has none either. SamplingError where that never ends.
    """
    for tries in range(1, REDRAWN + 1):
        free = {name: values[None] for name, values in draw_free(problem, rng, 1, narrow=False).items()}
        variables = derived(problem, free)
        with np.errstate(all="ignore"):
            drawn = studies(problem, variables, rng)
        if all(_possible(problem, name, values) for name, values in drawn.items()):
            return Truth(variables, {name: values.ravel() for name, values in drawn.items()}, tries)
    raise SamplingError(
        f"{problem.model.name}: got no possible readings from {REDRAWN} draws of the prior; expected some: the "
        "equations cannot be solved there, or the noise allows no reading; look at wb.simulate with such draws, and at "
        "the priors"
    )


def _possible(problem: Problem, name: str, values: Array) -> bool:
    noise = problem.model.outputs[name].noise
    assert noise is not None
    measured = values.ravel()[problem.measured[name]]
    return bool(np.isfinite(values).all() and (noise.family.readings != "positive" or (measured > 0).all()))


def read_again(problem: Problem, readings: Mapping[str, Array]) -> Problem:
    """Return the problem with other readings (every row, flat) where something was measured."""
    made = {}
    for name, values in problem.observations.values.items():
        made[name] = np.where(np.isnan(values), np.nan, readings[name].reshape(values.shape))
    again = replace(problem, observations=replace(problem.observations, values=made))
    for name in ("method", "centred"):  # which hang on the prior and the design alone
        vars(again)[name] = getattr(problem, name)
    return again


def replicate(study: Study, number: int) -> dict[str, Any]:
    """Return the record of one replicate, plain data: `status` "ok", or why there are no ranks.

    It hangs on the study and the number alone: the same in whichever process, and after whatever else.
    """
    began = time.perf_counter()
    streams = np.random.SeedSequence(study.seed, spawn_key=(number,)).spawn(3 + len(LONGER))
    record: dict[str, Any] = {"replicate": number, "status": "ok"}
    try:
        truth = draw_truth(study.problem, np.random.default_rng(streams[0]))
        record["redrawn"] = truth.tries - 1
        problem = read_again(study.problem, truth.readings)
        variables, about = _posterior(study, problem, streams[3:])
        record |= about | _places(problem, truth, variables, streams[1:3])
    except SamplingError as error:
        record["status"] = f"not sampled: {error}"
    return record | {"seconds": round(time.perf_counter() - began, 3)}


def _posterior(study: Study, problem: Problem, streams: Any) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return draws (chains, draws, *shape) of every variable, and how good they are."""
    progress, about = Progress(False), dict[str, Any]()
    for longer, stream in zip(LONGER, streams, strict=True):
        sizes = {"chains": CHAINS, "draws": longer * study.draws, "tune": longer * max(study.draws // 2, 300)}
        if study.is_black_box:
            from workbench.calibrate.sampling.populations import by_walkers

            made, drawn, _ = by_walkers(problem, progress, sizes, stream.spawn(3))
            space = space_of(made)
        else:
            density = study.density(problem)
            drawn, _ = draw_posterior(problem, density, steps=progress, sizes=sizes, streams=stream.spawn(3))
            space = density.space
        about = {"longer": longer, **_quality(drawn)}
        if about["r_hat"] <= RHAT and about["ess"] >= ESS:
            break
    variables = derived(problem, space.constrain(drawn.points))
    return drawn_back(problem, variables, np.random.default_rng(stream.spawn(1)[0])), about


def _quality(drawn: Draws) -> dict[str, float]:
    """Return the largest R-hat, the smallest effective sample size, the share of divergences, and leapfrog steps."""
    measures = arviz_stats.base.array_stats
    with np.errstate(all="ignore"):
        rhat = measures.rhat(drawn.points, chain_axis=0, draw_axis=1)
        ess = measures.ess(drawn.points, chain_axis=0, draw_axis=1, method="bulk")
    diverging = float(np.mean(drawn.statistics["diverging"])) if "diverging" in drawn.statistics else 0.0
    steps = int(np.sum(drawn.statistics["n_steps"])) if "n_steps" in drawn.statistics else 0
    # what does not vary gives NaN, which is no agreement
    return {
        "r_hat": round(float(np.nan_to_num(rhat, nan=np.inf).max()), 5),
        "ess": round(float(np.nan_to_num(ess, nan=0.0).min()), 1),
        "diverging": diverging,
        "steps": steps,
    }


def _places(problem: Problem, truth: Truth, variables: Mapping[str, Array], streams: Any) -> dict[str, Any]:
    """Return how many of the kept draws lie below the truth: parameters, log likelihood, readings not measured."""
    chains, draws = next(iter(variables.values())).shape[:2]
    kept = np.linspace(0, chains * draws, KEPT, endpoint=False).astype(int)
    some = {n: v.reshape(1, chains * draws, *v.shape[2:])[:, kept] for n, v in variables.items()}
    rng, ties = (np.random.default_rng(stream) for stream in streams)
    counts, ranks, predicted = dict[str, int](), dict[str, int](), dict[str, int]()
    bases = {name for group in problem.correlated for name in group.priors}  # of correlations, which are ranked
    bases |= {term.weights for term in problem.terms.values()}  # of functions, likewise
    for name in some:
        if name in bases or (name.endswith("_offset") and name.removesuffix("_offset") in some):
            continue
        for label, place in elements(problem, name, some[name].shape[2:]):
            column = some[name][0][(slice(None), *place)]
            below = _below(column, float(truth.variables[name][(0, 0, *place)]), ties)
            counts[label], ranks[label] = int(below.sum()), int(below[3::4].sum())
    for label, column, true_value in _functions(problem, truth, some):
        below = _below(column, true_value, ties)
        counts[label], ranks[label] = int(below.sum()), int(below[3::4].sum())
    with np.errstate(all="ignore"):
        readings, densities, _ = predictive(problem, some, rng)
        true_densities = predictive(problem, truth.variables, rng).log_density
    total, true = (
        np.sum([d.sum(axis=-1).ravel() for d in each.values()], axis=0) for each in (densities, true_densities)
    )
    below = _below(total, float(true[0]), ties)
    ranks[LOG_LIKELIHOOD], counts[LOG_LIKELIHOOD] = int(below[3::4].sum()), int(below.sum())
    for name, rows in problem.measured.items():
        noise = problem.model.outputs[name].noise
        # what errors that last, and noise of the process, say of the next is for `wb.forecast`
        if noise is None or noise.family.in_time or problem.is_noisy:
            continue
        for row in np.setdiff1d(np.arange(truth.readings[name].size), rows):
            column = readings[name][0, :, row]
            if np.ptp(column) == 0.0:  # a start that is known, say
                continue
            predicted[f"{name} {row}"] = int(_below(column, float(truth.readings[name][row]), ties).sum())
    return {"ranks": ranks, "below": counts, "predicted": predicted}


def _functions(problem: Problem, truth: Truth, variables: Mapping[str, Array]) -> Iterator[tuple[str, Array, float]]:
    """Yield the discrepancies at their outputs' first, middle and last reading: a label, draws, and the truth."""
    for name, term in problem.terms.items():
        known = problem.measured[name]
        drawn, true = (term.at_data(each) for each in (variables, truth.variables))
        for place in dict.fromkeys(known[[0, known.size // 2, -1]].tolist()):
            yield f"{term.name} {place}", drawn[:, place], float(true[0, place])


def _below(draws: Array, truth: float, ties: np.random.Generator) -> NDArray[np.bool_]:
    """Mark draws below the truth; equal ones by chance, so that ranks of counts are uniform too."""
    return (draws < truth) | ((draws == truth) & (ties.uniform(size=draws.shape) < ties.uniform()))


def elements(problem: Problem, name: str, shape: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the label of each scalar of a variable, as a summary names it, and its place."""
    known = {UNIT: list(problem.units or ()), **problem.model.labels}
    labels: list[Any] = [known[dim] for dim in problem.dims_of(name)]
    for place in np.ndindex(shape):
        words = ", ".join(str(each[i]) for each, i in zip(labels, place, strict=True))
        yield (f"{name}[{words}]" if words else name), place
