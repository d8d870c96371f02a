"""`wb.explain`: a faulty sensor and a faulty plant told apart, by what a filter makes of the readings under each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workbench.base.errors import DataError, ParameterError, unknown
from workbench.declare.model import as_model
from workbench.sync.filters.extended import ExtendedKalman
from workbench.sync.filters.plant import Plant
from workbench.sync.filters.protocol import FilterState, Records
from workbench.sync.filters.scale import moments
from workbench.sync.suspects import Gaussian, Suspects, stuck_density, suspect

Array = NDArray[np.float64]
NOTHING = "nothing"
LAST = 5  # readings that a change must leave after it


@dataclass(frozen=True, eq=False)
class Fault:
    """What may have happened: a label, what it does, and to which place of the state or column of the readings."""

    label: str
    kind: str
    place: int
    unit: str


def explain(
    model: Any, data: Any, *, inputs: Any = None, parameters: Any = None, suspects: Sequence[str] | None = None,
    odds: Mapping[str, float] | None = None, filter: Gaussian | None = None,
) -> xr.Dataset:  # fmt: skip
    """Return how probable it is that nothing happened, or that one sensor or one parameter failed, and since when.

    A filter follows the readings as if nothing had happened; its states at 20 times are where each explanation begins.
    A sensor that is *biased* adds a constant, whose variance is 0 until then and 25 times that of its noise after; one
    that is *stuck* shows a constant near what was forecast, within a tenth of its noise, and says nothing of the plant;
    a parameter that has *changed* is as uncertain from then on as its prior, around its value. The evidence of each is
    that of its readings, averaged over the times of change, which are equally probable (multiple models with a change:
    Willsky & Jones, IEEE Trans. Automatic Control 21 (1976) 108-112, with evidences in the place of likelihood ratios).

    Parameters
    ----------
    model, data, inputs
        As in `wb.assimilate`, of one unit.
    parameters
        Mapping from names to numbers; or a posterior or calibration, whose draws say how uncertain those suspected are
        (of others their median is taken).
    suspects
        Parameters that may have changed, with priors; None: all declared ones with a prior.
    odds
        Mapping from explanations, such as "place biased", to prior odds; those left out have 1.
    filter
        `wb.ExtendedKalman(gate=numpy.inf)` by default, or `wb.UnscentedKalman`: one that refuses no reading.

    Returns
    -------
    xarray.Dataset
        Over `explanation`: `probability`, `log_evidence`, `size` and `size_sd` (of a bias, or the new value of a
        parameter; averaged over times; units in `units`); over `since`, the first readings after the change, `when`:
        the probability of each time. `attrs["verdict"]` names the most probable in words.

    Raises
    ------
    DataError, ParameterError
        If data have several units or too few readings, or a name is unknown.
    """
    chosen = ExtendedKalman(gate=np.inf) if filter is None else filter
    made = suspect(as_model(model), data, inputs=inputs, parameters=parameters, suspects=suspects, filter=chosen)
    plant, cycles = made.plant, len(made.plant.plan.y)
    if cycles < 3 * LAST:
        raise DataError(f"explain: got {cycles} times of readings; expected {3 * LAST} or more")
    changes = np.unique(np.linspace(1, cycles - LAST, 20).astype(int))
    faults = list(_faults(plant, made))
    prior = _prior([NOTHING, *(f.label for f in faults)], odds or {})
    states, tails = _usual(chosen, plant, made.start, changes)
    scores = np.array([[_score(chosen, made, f, k, s, t) for k, s, t in zip(changes, states, tails, strict=True)]
                       for f in faults])  # fmt: skip
    before = np.array([s.log_evidence for s in states])
    evidence = np.concatenate([[tails[0][0] + before[0]], _mean_exp(before + scores[:, :, 0])])
    when = np.exp(before + scores[:, :, 0] - _greatest(before + scores[:, :, 0]))
    return _dataset(made, faults, prior, evidence, when / when.sum(axis=1, keepdims=True), scores[:, :, 1:], changes)


def _greatest(values: Array) -> Array:
    """Return the greatest of each row, as a column."""
    return values.max(axis=1, keepdims=True)


def _mean_exp(values: Array) -> Array:
    most = _greatest(values)
    return most[:, 0] + np.log(np.exp(values - most).mean(axis=1))


def _faults(plant: Plant, made: Suspects) -> Iterator[Fault]:
    """Yield the explanations of a plant: of each reading's element, then of each suspected parameter."""
    names, column = list(plant.names), 0
    for output in plant.measured:
        shape = plant.model.output_layout.shapes[output]
        for place in np.ndindex(*shape):
            of = f"[{', '.join(map(str, place))}]" if place else ""
            if f"{output}_bias{of}" in names:
                where = names.index(f"{output}_bias{of}")
                yield Fault(f"{output}{of} biased", "biased", where, plant.model.outputs[output].unit)
            yield Fault(f"{output}{of} stuck", "stuck", column, "1")
            column += 1
    for name in made.suspects:
        unit = plant.model.theta[name.partition("[")[0]].unit
        yield Fault(f"{name} changed", "changed", names.index(name), unit)


def _prior(labels: Sequence[str], odds: Mapping[str, float]) -> Array:
    for name, value in odds.items():
        if name not in labels:
            raise ParameterError(unknown("explanation", name, labels, "odds"))
        if not value >= 0:
            raise ParameterError(f"odds of {name!r}: got {value!r}; expected a number of 0 or more")
    made = np.array([float(odds.get(label, 1.0)) for label in labels])
    return made / made.sum()


def _usual(
    chosen: Gaussian, plant: Plant, start: FilterState, changes: NDArray[np.int64]
) -> tuple[list[FilterState], list[tuple[float, Records]]]:
    """Return the states before each change as if nothing had happened, and the evidence and records of all after it."""
    states, parts, state, at = [], [], start, 0
    for k in [*changes.tolist(), len(plant.plan.y)]:
        state, record = chosen.between(plant, state, at, k)
        states.append(state)
        parts.append(record)
        at = k
    total = states[-1].log_evidence
    return states[:-1], [(total - s.log_evidence, r) for s, r in zip(states[:-1], parts[1:], strict=True)]


def _score(
    chosen: Gaussian, made: Suspects, fault: Fault, k: int, state: FilterState, tail: tuple[float, Records]
) -> tuple[float, float, float]:
    """Return the log evidence of the readings from cycle k on under an explanation, and mean and SD of its size."""
    plant, last = made.plant, len(made.plant.plan.y)
    if fault.kind == "stuck":
        density = stuck_density(plant, fault.place, k, tail[1])
        y = plant.plan.y.copy()
        y[k:, fault.place] = np.nan
        blind = replace(plant, plan=plant.plan._replace(y=y))
        end, _ = chosen.between(blind, state, k, last)
        return end.log_evidence - state.log_evidence + density, np.nan, np.nan
    P = state.arrays["covariance"].copy()
    P[fault.place, fault.place] += made.variance[fault.place]
    freed = replace(state, arrays={**state.arrays, "covariance": P})
    end, _ = chosen.between(plant, freed, k, last)
    mean, sd = end.arrays["mean"][fault.place], np.sqrt(end.arrays["covariance"][fault.place, fault.place])
    j = fault.place - plant.sigma.size
    low, high = plant.belief.scales.low[j], plant.belief.scales.high[j]
    centre, spread = moments(low, high, np.array(mean), np.array(sd))
    return end.log_evidence - state.log_evidence, float(centre), float(spread)


def _dataset(
    made: Suspects, faults: Sequence[Fault], prior: Array, evidence: Array, when: Array, sizes: Array, changes: Any
) -> xr.Dataset:
    with np.errstate(divide="ignore"):
        weight = np.log(prior) + evidence
    probability = np.exp(weight - weight.max())
    probability /= probability.sum()
    mean = np.concatenate([[np.nan], (when * sizes[:, :, 0]).sum(axis=1)])
    square = np.concatenate([[np.nan], (when * (sizes[:, :, 1] ** 2 + sizes[:, :, 0] ** 2)).sum(axis=1)])
    labels = [NOTHING, *(f.label for f in faults)]
    never = np.full((1, changes.size), np.nan)
    dataset = xr.Dataset(
        {
            "probability": ("explanation", probability, {"units": "1", "long_name": "probability of the explanation"}),
            "log_evidence": ("explanation", evidence, {"units": "1", "long_name": "log evidence of all readings"}),
            "size": ("explanation", mean, {"long_name": "bias, or new value of the parameter, in its unit"}),
            "size_sd": ("explanation", np.sqrt(np.maximum(square - mean**2, 0.0))),
            "when": (("explanation", "since"), np.concatenate([never, when]), {"long_name": "probability of the time"}),
        },
        {
            "explanation": labels,
            "since": ("since", made.clock.labels(made.times[changes]), made.clock.attributes),
            "units": ("explanation", ["1", *(f.unit for f in faults)]),
        },
    )
    best = int(np.argmax(probability))
    words = labels[best]
    if best:
        words += f" since {made.clock.label(made.times[changes][int(np.argmax(when[best - 1]))])}"
        if np.isfinite(mean[best]):
            words += (
                f", {'to' if faults[best - 1].kind == 'changed' else 'by'} {mean[best]:.3g} {faults[best - 1].unit}"
            )
    dataset.attrs = {"model": made.name, "verdict": f"{words} (probability {probability[best]:.2g})"}
    return dataset
