"""`wb.to_pymc` and `wb.calibrate`: from a declaration and data to a PyMC model, and to its posterior."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workbench.base.errors import ParameterError
from workbench.base.schema import UNIT
from workbench.base.threads import one_blas_thread
from workbench.calibrate.bayes import build
from workbench.calibrate.calibration import Calibration
from workbench.calibrate.discrepancy import second
from workbench.calibrate.discrepancy.integrated import drawn_back
from workbench.calibrate.discrepancy.terms import encoded
from workbench.calibrate.fleet import correlation
from workbench.calibrate.fleet.pooling import attributes_of
from workbench.calibrate.predict import derived, labelled, of_readings, predictive
from workbench.calibrate.problem import Problem, pose
from workbench.calibrate.sampling import naming
from workbench.calibrate.sampling.density import Density, compile_density
from workbench.calibrate.sampling.progress import Progress
from workbench.calibrate.sampling.sample import FEWEST, Draws, sample
from workbench.calibrate.sampling.space import Space, space_of
from workbench.calibrate.sampling.start import Start, find_start
from workbench.calibrate.sensors import censoring
from workbench.calibrate.trust import modes
from workbench.declare.simulator import Simulator

if TYPE_CHECKING:
    import pymc as pm

Array = NDArray[np.float64]


def to_pymc(model: Any, data: Any, *, inputs: Any = None, pool: Any = None, discrepancy: Any = None) -> "pm.Model":
    """Return the PyMC model of a declaration and data, to read, edit and sample.

    Parameters
    ----------
    model
        The declaration.
    data
        Measured outputs: a Dataset, a DataFrame or the path of a CSV (see `workbench.sync.observations.observe`).
    inputs
        Mapping from an input's name to its series (see `workbench.simulate.scenario`).
    pool
        Mapping from parameters, or arguments of noise such as `<output>_sigma`, to "complete" (one value for all
        units, the default), "none" (one for each) or "partial" (one for each, from a population: `<name>_pop` is its
        median, `<name>_sd` the SD between units). A `wb.Partial` says more of a population; under a tuple of
        parameters, a `wb.Correlated` says that their effects go together.
    discrepancy
        What the model gets wrong, as unknown functions: a `wb.Discrepancy`, or several, each of another output.

    Raises
    ------
    DataError, UnitError, ParameterError
        If data, inputs or pooling cannot be used as they are.
    """
    return build(_pose(model, data, inputs, pool, discrepancy))


def calibrate(
    model: Any,
    data: Any,
    *,
    inputs: Any = None,
    pool: Any = None,
    discrepancy: Any = None,
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 4,
    seed: int | None = None,
    progress: bool | Progress = True,
) -> Calibration:
    """Return the posterior of a model's parameters given data, with the evidence for it.

    Chains begin around the modes found, and are sampled by NUTS. Those of a `wb.Simulator`, which has no gradient, are
    populations of walkers (see `workbench.calibrate.sampling.populations`), whose evaluations run in parallel.
    Interrupting returns what was drawn, and marks it.

    Parameters
    ----------
    model, data, inputs, pool, discrepancy
        As in `to_pymc`.
    draws, tune
        Draws kept and tuning draws, of each chain.
    chains
        Number of chains.
    seed
        The same seed gives the same draws; None takes a fresh one, and records it.
    progress
        Whether to print what is going on; or a `Progress`, which another thread may read and stop.

    Returns
    -------
    Calibration
        `.tree` (posterior, sample_stats, posterior_predictive, log_likelihood, pit, observed_data), `.model`,
        `.summary()`, `.trust`.

    Raises
    ------
    DataError, UnitError, ParameterError, SamplingError
        If what is given cannot be used as it is; if no draw of the prior has a density, or none was taken.
    """
    check_counts(draws=(draws, FEWEST), chains=(chains, 1), tune=(tune, 0), seed=(0 if seed is None else seed, 0))
    seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
    problem = _pose(model, data, inputs, pool, discrepancy)
    steps = progress if isinstance(progress, Progress) else Progress(bool(progress))
    return sample_problem(problem, {"chains": chains, "draws": draws, "tune": tune}, seed=seed, steps=steps)


def sample_problem(problem: Problem, sizes: dict[str, int], *, seed: int, steps: Progress) -> Calibration:
    """Return the posterior of a problem; `sizes` holds chains, draws and tune."""
    by_way = _by_gradient
    if isinstance(problem.model, Simulator):
        from workbench.calibrate.sampling.populations import by_walkers as by_way
    streams = np.random.SeedSequence(seed).spawn(3)
    made, drawn, about = by_way(problem.first, steps, sizes, streams)
    rng = np.random.default_rng(streams[2])
    with steps.phase("predicting_time", "predicting the data"):
        tree = _tree(problem.first, space_of(made), drawn, rng=rng)
    if problem.first is not problem:
        with steps.phase("second_time", "fitting the discrepancy to what is left"):
            about |= second.fit_of_first(Calibration(tree, made, problem.first))
            tree = _tree(problem, space_of(made), drawn, rng=rng)
    tree["posterior"].attrs |= {
        "seed": seed,
        "draws_asked": sizes["draws"],
        "tune": sizes["tune"],
        **about,
        **steps.seconds,
    }
    tree["posterior"] = xr.DataTree(modes.named(tree["posterior"].to_dataset()))
    return Calibration(tree, made, problem)


def _by_gradient(
    problem: Problem, steps: Progress, sizes: dict[str, int], streams: Any
) -> tuple["pm.Model", Draws, dict[str, Any]]:
    """Return the PyMC model, draws by NUTS, and what is to be said of them."""
    steps.go_on()
    with steps.phase("compile_time", "compiling the model"):
        made = build(problem)
        density = compile_density(made)
    return made, *draw_posterior(problem, density, steps=steps, sizes=sizes, streams=streams)


@one_blas_thread()
def draw_posterior(
    problem: Problem, density: Density, *, steps: Progress, sizes: dict[str, int], streams: Any
) -> tuple[Draws, dict[str, Any]]:
    """Return draws by NUTS of a problem's compiled density, from around its modes, and what is to be said of them."""
    steps.go_on()
    with steps.phase("start_time", "looking for a start"):
        start = find_start(problem, density, np.random.default_rng(streams[0]))
    density.failures[0] = 0
    steps.go_on()
    with steps.phase("sampling_time", "sampling {chains} chains of {tune} + {draws} draws".format(**sizes)):
        drawn = sample(density, start, **sizes, seed=int(streams[1].generate_state(1)[0]), progress=steps)
    about = {"inference_library": "nutpie", "failed_evaluations": int(density.failures[0])}
    with steps.phase("mode_time", "telling modes apart"):
        about |= {modes.RECORD: naming.of_climbs(drawn, start, lambda p: derived(problem, density.space.constrain(p)))}
    return drawn, about | _about_start(start)


def _pose(model: Any, data: Any, inputs: Any, pool: Any, discrepancy: Any) -> Problem:
    return pose(model, data, inputs=inputs, pool=pool, discrepancy=discrepancy)


def check_counts(**counts: tuple[Any, int]) -> None:
    """Refuse what is no whole number of at least the second of each pair; ParameterError."""
    for name, (value, least) in counts.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise ParameterError(f"got {name}={value!r}; expected a whole number of at least {least}")


def _about_start(start: Start) -> dict[str, Any]:
    return {"start_log_density": start.best, "climbed_to": [float(t) for t in start.tops]}


def _tree(problem: Problem, space: Space, drawn: Draws, *, rng: np.random.Generator) -> xr.DataTree:
    """Return the groups that ArviZ knows, with units."""
    first = derived(problem, space.constrain(drawn.points))
    variables = drawn_back(problem, second.drawn(problem, first, rng), rng)
    predicted = predictive(problem, variables, rng)
    posterior = _posterior(problem, variables)
    posterior.attrs["interrupted"] = int(drawn.interrupted)
    lead = {d: posterior[d] for d in ("chain", "draw")}
    statistics = xr.Dataset({n: (("chain", "draw"), v) for n, v in drawn.statistics.items()}, lead)
    groups = {
        "posterior": posterior,
        "sample_stats": statistics,
        "posterior_predictive": labelled(problem, predicted.readings),
        "log_likelihood": of_readings(problem, predicted.log_density, "log density"),
        "pit": of_readings(problem, predicted.pit, "probability of less"),
        "observed_data": problem.observations.to_dataset(problem.model),
    }
    return xr.DataTree.from_dict(groups)


def _posterior(problem: Problem, variables: Mapping[str, Array]) -> xr.Dataset:
    model = problem.model
    named = {**{name: model.theta[name] for name in model.estimated}, **model.noise_parameters}
    attributes = {k: v for quantity in named.values() for k, v in attributes_of(quantity).items()}
    labels = {UNIT: list(problem.units or ()), **model.labels}
    for group in problem.correlated:
        attributes |= group.attributes()
    for term in problem.terms.values():
        attributes, labels = attributes | term.attributes, labels | term.dim
    shape = next(iter(variables.values())).shape[:2]
    coords: dict[str, Any] = {"chain": np.arange(shape[0]), "draw": np.arange(shape[1])}
    data = {n: (("chain", "draw", *problem.dims_of(n)), v, attributes.get(n, {})) for n, v in variables.items()}
    coords |= {dim: labels[dim] for dims, _, _ in data.values() for dim in dims[2:]}
    attrs = {"model": model.name, "time_unit": model.time_unit, "pool": json.dumps(dict(problem.pool))}
    if problem.partials:
        attrs["populations"] = json.dumps({name: one.to_dict() for name, one in problem.resolved.items()})
    if problem.correlated:
        attrs["correlated"] = correlation.encoded(problem.correlated)
    if problem.terms:
        attrs["discrepancy"] = encoded(problem)
    if said := censoring.notes(problem):
        attrs["warnings"] = json.dumps(said)
    return xr.Dataset(data, coords, attrs)
