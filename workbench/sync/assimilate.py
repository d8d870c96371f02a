"""`wb.assimilate`: a model follows its sensors, reading by reading."""

import warnings
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from workbench.base.errors import DataError
from workbench.declare.model import Model, as_model
from workbench.simulate.scenario import Schedule, build_schedule, unit_labels
from workbench.sync.filters.belief import believe
from workbench.sync.filters.ensemble import EnKF
from workbench.sync.filters.plant import Plant, bind
from workbench.sync.filters.protocol import Filter, FilterState, Records
from workbench.sync.filters.results import as_dataset, divergence
from workbench.sync.handover import FLAG_ATTRIBUTES, disagreement, first_times
from workbench.sync.observations import Observations, observe, spans
from workbench.sync.past import DIGEST, Past, remembered


class Followed(NamedTuple):
    """One unit's run: the plant, the last state and what was written down."""

    plant: Plant
    state: FilterState
    records: Records


def assimilate(
    model: Any, data: Any, *, inputs: Any = None, filter: Filter | None = None, parameters: Any = None,
    seed: int | None = None, after: xr.Dataset | None = None,
) -> xr.Dataset:  # fmt: skip
    """Return what is known of the states after each reading, and before it.

    Parameters
    ----------
    model
        A `wb.Ode` or `wb.Map`. Process noise is what its states declare (`noise=`); a start with a prior is uncertain,
        one that is a number is known. Bounds of states hold: what is beyond one is moved onto it.
    data
        Readings, as `wb.calibrate` takes them; several units are followed one by one. The clock starts at their first
        time (which may be a row of NaN), or at the first impulse before it.
    inputs
        As in `wb.simulate`.
    filter
        `wb.EnKF(members=100)` by default; `wb.Kalman()`; `wb.ExtendedKalman()`; `wb.UnscentedKalman()`;
        `wb.ParticleFilter(particles=1000)`.
    parameters
        Mapping from names to numbers (known), or to priors or draws, which are estimated jointly with the states on an
        unbounded scale (the logarithm of what is positive); a posterior, or a calibration, whose draws seed the filter
        and are carried, where the data are of later, from where its clock started: inputs must cover that.
        Names left out take their declared value, or the median of their prior.
    seed
        Seed of everything random.
    after
        What an earlier call returned, or a store kept of it: go on from its last states with the same filter, its
        parameters and random stream. In parts or at once all numbers are the same to the last bit, with inputs of the
        whole time (those since are enough); only `diverged` and `recalibration` look at the readings of one call.

    Returns
    -------
    xarray.Dataset
        For every state, estimated parameter and output `<name>_forecast` before and `<name>` after the readings of a
        time, with `_sd`; for every output measured `<name>_innovation` (reading minus forecast; of logarithms, where
        its noise is LogNormal), `_innovation_sd`, `_innovation_normalised` and `_flag` (0 used, 1 missing, 2 refused by
        the filter's gate, 3 at a limit of quantification, which particle filters count as such and others do not use);
        `log_evidence` so far, its total; `replaced` members that failed; `effective_members`; `recalibration` where
        sensors and model have long disagreed (1 shift, 2 spread), said in `attrs`. `final_state(dataset)` is the last.

    Raises
    ------
    DataError, ParameterError, UnitError
        If data, inputs or parameters cannot be used as they are; if the filter cannot take the model.
    SolveError
        If the equations could not be solved from an estimate, or for any member.

    Warns
    -----
    UserWarning
        Where the filter has lost its asset; `attrs["diverged"]` says why (else it is empty).
    """
    chosen, model = chosen_filter(filter), as_model(model)
    if after is not None:
        _refuse_given(parameters, seed)
        return tell(model, *resume(after, model, data, inputs=inputs, filter=chosen), chosen)
    observations = observe(model, data)
    runs = follow(model, observations, inputs=inputs, filter=chosen, parameters=parameters, seed=seed)
    return tell(model, observations, runs, chosen)


def _refuse_given(parameters: Any, seed: int | None) -> None:
    if parameters is not None or seed is not None:
        raise DataError("got after= with parameters= or seed=; expected neither, as the filter goes on with its own")


def tell(model: Model, observations: Observations, runs: list[Followed], filter: Filter) -> xr.Dataset:
    """Return what runs of all units wrote down, and warn where the filter has lost its asset."""
    dataset, said = as_dataset(model, observations, runs), divergence(runs, observations.units)
    flags, due = disagreement(observations, [(r.plant, r.records) for r in runs])
    dataset.attrs |= {"filter": repr(filter), "diverged": said, "recalibration": due, DIGEST: remembered(model)}
    if said:
        warnings.warn(said, stacklevel=3)
    return dataset.assign(recalibration=(observations.dims, observations.scatter(flags), FLAG_ATTRIBUTES))


def chosen_filter(filter: Any) -> Filter:
    """Return the filter, the default for None; DataError for what is none, and for a class in the place of one."""
    if filter is None:
        return EnKF(members=100)
    if isinstance(filter, type) or not (hasattr(filter, "init") and hasattr(filter, "run")):
        raise DataError(f"got filter={filter!r}; expected one such as wb.EnKF(members=100)")
    return filter  # type: ignore[no-any-return]


def follow(
    model: Any, observations: Observations, *, inputs: Any, filter: Filter, parameters: Any, seed: int | None,
    keep: bool = False,
) -> list[Followed]:  # fmt: skip
    """Return the run of every unit; `keep` keeps what smoothers need."""
    plants = bound(model, observations, inputs=inputs, filter=filter, parameters=parameters)
    seeds = np.random.SeedSequence(seed).spawn(len(plants))
    made = []
    for plant, own in zip(plants, seeds, strict=True):
        state = filter.init(plant, int(own.generate_state(1, np.uint64)[0]))
        made.append(Followed(plant, *filter.run(plant, state, keep=keep)))
    return made


def bound(model: Any, observations: Observations, *, inputs: Any, filter: Filter, parameters: Any) -> list[Plant]:
    """Return the plant of every unit."""
    units = observations.units if observations.units is not None else unit_labels(model, inputs)
    if units is not None and observations.units is None:
        raise DataError(f"inputs: got units {list(units)}; expected none, as the data are of one nameless unit")
    first, (_, last) = first_times(observations, parameters), spans(observations)
    schedule = build_schedule(model, inputs, units=units, begin=first, end=last, clock=observations.clock)
    plants = []
    for unit in range(first.size):
        belief = believe(model, parameters, unit, units)
        mine = _of_unit(schedule, unit)
        plants.append(bind(model, observations, unit, schedule=mine, belief=belief, filter=filter))
    return plants


def resume(
    after: xr.Dataset, model: Model, data: Any, *, inputs: Any, filter: Filter
) -> tuple[Observations, list[Followed]]:
    """Return readings and the run of every unit from where an earlier one ended; see `assimilate`."""
    past = Past.of(after, model)
    if after.attrs.get("filter") != repr(filter):
        raise DataError(f"got filter={filter!r}; expected {after.attrs.get('filter')}, which made the states")
    observations = observe(model, data, clock=past.clock)
    past = past.of_units(observations.units)
    first, last = spans(observations)
    past.refuse_older(first)
    schedule, made = past.schedule(model, inputs, last), []
    for unit, state in enumerate(past.states):
        plant = bind(
            model, observations, unit, schedule=_of_unit(schedule, unit), belief=past.belief(model, unit),
            filter=filter, past=(past.plants[unit]["begin"], state),
        )  # fmt: skip
        made.append(Followed(plant, *filter.run(plant, state)))
    return observations, made


def _of_unit(schedule: Schedule, unit: int) -> Schedule:
    own = slice(schedule.offset[unit], schedule.offset[unit + 1])
    parts = (schedule.begin, schedule.level, schedule.slope, schedule.jump)
    return Schedule(np.array([0, own.stop - own.start]), *(np.ascontiguousarray(part[own]) for part in parts))


def final_state(dataset: xr.Dataset, unit: Any = None) -> FilterState:
    """Return the last state of the filter that made a dataset; of one unit where there are several.

    Raises
    ------
    DataError
        If the dataset is none of `wb.assimilate`, or `unit` is none of its units.
    """
    from workbench.sync.filters.results import stored_state

    return stored_state(dataset, unit)
