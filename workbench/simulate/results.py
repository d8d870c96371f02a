"""From solutions to a dataset: failures named, states and outputs over labelled dims, the times of events."""

import json
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from workbench.base.clock import Clock
from workbench.base.errors import SolveError
from workbench.base.schema import TIME, UNIT
from workbench.declare.model import Model
from workbench.simulate.kernel import SOLVED, STORM, TOO_LONG, TOO_SMALL, Solutions
from workbench.simulate.members import Members

_MOST = 12  # values of parameters in a sentence
_WHY = {
    TOO_LONG: "took {steps} steps; try a shorter span, wider tolerances (rtol, atol) or other parameters",
    TOO_SMALL: "needed steps too small to take: a state grows without bound, is no longer a number, or the Jacobian is "
    "singular; check the equations and the parameters, and the tolerances of states much smaller than atol",
    STORM: "met {events} events, the last ones without time between them: the events set each other off, or come ever "
    "closer; give thresholds that reset and release some distance (hysteresis), or an event that ends the asset's life",
}  # after "the solver stopped at t after it"


def refuse_failures(model: Model, made: Solutions, theta: Members) -> int:
    """Return how many members failed; SolveError when all did, with where the first stopped and what to try."""
    bad = made.log[..., 0] != SOLVED
    failed = int(bad.any(axis=1).sum())
    if not failed:
        return 0
    member, unit = np.argwhere(bad)[0]
    status, reached, steps, rejected, events = made.log[member, unit]
    where = f"{model.name}" + (f", unit {theta.units[unit]!r}" if theta.units else "")
    pairs = list(zip(theta.names, theta.values[member, unit], strict=True))
    values = ", ".join(f"{n}={v:.4g}" for n, v in pairs[:_MOST]) + (", ..." if len(pairs) > _MOST else "")
    if (why := made.reasons.get((int(member), int(unit)))) is None:
        why = _WHY[int(status)].format(steps=int(steps), rejected=int(rejected), events=int(events))
        why = f"the solver stopped at t = {reached:.6g} {model.time_unit} after it {why}"
    sentence = f"{where}: {why} ({values})"
    if failed == len(bad):
        raise SolveError(sentence)
    warnings.warn(f"{failed} of {len(bad)} members failed and are NaN; the first: {sentence}", stacklevel=3)
    return failed


def as_dataset(model: Model, made: Solutions, theta: Members, clock: Clock, numbers: Any) -> xr.Dataset:
    """Return states and outputs over the dims of the draws, `unit`, `time` and their own; all units share times."""
    labels = clock.labels(numbers)
    dims = [*theta.index, *([UNIT] if theta.units else []), TIME]
    shape = [*theta.shape, *([len(theta.units)] if theta.units else []), len(labels)]
    data = {}
    for kind, layout, values in (
        (model.states, model.state_layout, made.states),
        (model.outputs, model.output_layout, made.outputs),
    ):
        for name, quantity in kind.items():
            part = values[..., layout.places[name]].reshape(*shape, *layout.shapes[name])
            data[name] = ([*dims, *quantity.dims], part, describe(quantity))
    own = {d: model.labels[d] for q in (*model.states.values(), *model.outputs.values()) for d in q.dims}
    coords: dict[str, Any] = {**theta.index, TIME: (TIME, labels, clock.attributes), **own}
    if theta.units:
        coords[UNIT] = list(theta.units)
    return xr.Dataset(data | _happenings(model, made, theta, clock), coords)


def _happenings(model: Model, made: Solutions, theta: Members, clock: Clock) -> dict[str, Any]:
    """Return for each event its times over the dims of the draws, `unit`, and a dim of its own."""
    data = {}
    dims, shape = [*theta.index, *([UNIT] if theta.units else [])], made.happened.shape[:2]
    lead = (*theta.shape, *([shape[1]] if theta.units else []))
    for number, (name, event) in enumerate(model.thresholds.items()):
        mine = made.happened[..., 1] == number
        most = int(mine.sum(axis=-1).max(initial=0))
        times = np.full((*shape, most), np.nan)
        where = np.nonzero(mine)
        times[where[0], where[1], (np.cumsum(mine, axis=-1) - 1)[where]] = made.happened[..., 0][where]
        words = {"long_name": f"times of {event.long_name or name}"}
        attrs = words | ({"units": clock.time_unit} if clock.origin is None else {})
        data[f"{name}_time"] = ([*dims, name], clock.labels(times.reshape(*lead, most)), attrs)
    return data


def describe(quantity: Any) -> dict[str, str]:
    """Return the attributes of a quantity's results: units and long name."""
    return {"units": quantity.unit, "long_name": quantity.long_name or quantity.name}


def attributes(model: Model, theta: Members, made: Solutions) -> dict[str, Any]:
    """Return the attributes that name the model, its parameters and the method."""
    same = np.all(theta.values == theta.values[:1, :1], axis=(0, 1))
    layout, first = model.theta_layout, theta.values[0, 0]
    values = {
        name: first[place].reshape(layout.shapes[name]).tolist() if same[place].all() else "varies"
        for name, place in layout.places.items()
    }
    return {
        "Conventions": "CF-1.11",
        "model": model.name,
        "parameters": json.dumps(values),
        "solver": _solver(made.methods),
        "rtol": model.rtol,
        "atol": model.atol,
        **made.notes,
    }


def _solver(methods: Mapping[str, int]) -> str:
    """Return the methods' names, with their members where several methods solved some."""
    if len(methods) == 1:
        return next(iter(methods))
    return ", ".join(f"{name} ({count} member{'s' if count > 1 else ''})" for name, count in methods.items())
