"""From what a run wrote down to a labelled dataset, and whether the filter still follows its asset."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workbench.base.errors import DataError
from workbench.declare.model import Model
from workbench.sync.filters.plant import Plant
from workbench.sync.filters.protocol import AT_LIMIT, MISSING, REFUSED, USED, FilterState, Records
from workbench.sync.filters.scale import moments
from workbench.sync.observations import Observations

Array = NDArray[np.float64]
Run = tuple[Plant, FilterState, Records]
_KNOWING = {"_forecast": "before the reading", "": "after the reading", "_smoothed": "given all readings"}
_FLAGS = {"used": USED, "missing": MISSING, "refused": REFUSED, "at_limit": AT_LIMIT}


def as_dataset(model: Model, observations: Observations, runs: Sequence[Run]) -> xr.Dataset:
    """Return what runs of all units wrote down, over the layout of their readings."""
    made = _Maker(model, observations)
    plant = runs[0][0]
    outputs = np.concatenate([r.outputs for _, _, r in runs])
    made.all(runs, "_forecast", [r.forecast for *_, r in runs], outputs[:, :2])
    made.all(runs, "", [r.analysis for *_, r in runs], outputs[:, 2:])
    innovation, flags = (
        np.concatenate([part for *_, r in runs for part in [getattr(r, f)]]) for f in ("innovation", "flag")
    )
    first = 0
    for name in plant.measured:
        count = int(np.prod(model.output_layout.shapes[name], dtype=int))
        made.reading(name, innovation[:, :, first : first + count], flags[:, first : first + count])
        first += count
    made.whole("log_evidence", np.concatenate([_summed(p, r) for p, _, r in runs]), "cumulative log evidence")
    made.whole("replaced", np.concatenate([r.replaced for *_, r in runs]), "members that failed and were replaced")
    made.whole("effective_members", np.concatenate([r.size for *_, r in runs]), "effective number of members")
    dataset = xr.Dataset(made.data, made.coords)
    dataset.attrs = {"Conventions": "CF-1.11", "model": model.name, "followed": _followed(observations, runs)}
    dataset["time"].attrs = observations.clock.attributes
    totals = np.array([s.log_evidence for _, s, _ in runs])
    labels = None if observations.units is None else list(observations.units)
    dataset["log_evidence_total"] = (
        xr.DataArray(totals[0])
        if labels is None
        else ((("asset",) if observations.layout == "sample" else ("unit",)), totals)
    )
    return _with_states(dataset, [s for _, s, _ in runs], labels)


def _summed(plant: Plant, record: Records) -> Array:
    """Return the log evidence up to each time."""
    before = 0.0 if plant.after is None else plant.after.log_evidence
    return np.cumsum(np.concatenate([[before], record.evidence]))[1:]


def smoothed_variables(
    model: Model, observations: Observations, runs: Sequence[Run], smoothed: Sequence[tuple[Array, Array]]
) -> dict[str, Any]:
    """Return what all readings say of states, parameters and outputs: variables with mean and SD, from `Smoothed`."""
    made = _Maker(model, observations)
    made.all(runs, "_smoothed", [s for s, _ in smoothed], np.concatenate([o for _, o in smoothed]))
    return made.data


def _followed(observations: Observations, runs: Sequence[Run]) -> str:
    """Return, as JSON, what forecasts from the last states need beside these: the clock, and each unit's parameters."""
    origin, plants = observations.clock.origin, []
    for plant, *_ in runs:
        belief, scales = plant.belief, plant.belief.scales
        ends = [[float(e) if np.isfinite(e) else None for e in pair] for pair in zip(*scales[1:], strict=True)]
        plants.append(
            {
                "begin": plant.origin,
                "parameters": dict(zip(plant.model.theta_layout.labels(), belief.theta.tolist(), strict=True)),
                "supports": dict(zip(belief.joint, ends, strict=True)),
                "noise": belief.noise,
            }
        )
    return json.dumps({"origin": None if origin is None else str(origin), "plants": plants})


def _natural(plant: Plant, state: FilterState, values: Array) -> Array:
    """Return (C, 2, Z) means and SDs with estimated parameters on their own scale; ensembles give them so."""
    if "mean" not in state.arrays or not plant.belief.joint:
        return values
    made, n, scales = values.copy(), plant.sigma.size, plant.belief.scales
    for j in range(scales.place.size):
        column = values[:, :, n + j]
        made[:, 0, n + j], made[:, 1, n + j] = moments(scales.low[j], scales.high[j], column[:, 0], column[:, 1])
    return made


def _parameter(model: Model, name: str) -> Any:
    return model.theta[name.partition("[")[0]]


class _Maker:
    """Variables of a dataset, in the layout of the readings."""

    def __init__(self, model: Model, observations: Observations):
        self.model, self.observations = model, observations
        self.data = dict[str, Any]()
        self.coords = dict(observations.coords)

    def all(self, runs: Sequence[Run], ends: str, states: Sequence[Array], outputs: Array) -> None:
        """Add mean and SD of states, estimated parameters (of each unit (C, 2, Z)) and outputs (C, 2, K)."""
        values = np.concatenate([_natural(p, s, part) for (p, s, _), part in zip(runs, states, strict=True)])
        model = self.model
        for name, place in model.state_layout.places.items():
            self.pair(name, model.states[name], ends, values[:, :, place])
        for k, name in enumerate(runs[0][0].belief.joint, start=model.state_layout.size):
            self.pair(name, _parameter(model, name), ends, values[:, :, k : k + 1])
        for name, place in model.output_layout.places.items():
            self.pair(name, model.outputs[name], ends, outputs[:, :, place])

    def pair(self, name: str, quantity: Any, ends: str, values: Array) -> None:
        """Add mean and SD, (C, 2, elements)."""
        words = quantity.long_name or quantity.name
        dims = quantity.dims if values.shape[2] != 1 or "[" not in name else ()
        for k, what in enumerate(("", "_sd")):
            said = f"{words}, {'SD' if k else 'mean'} {_KNOWING[ends]}"
            self._add(f"{name}{ends}{what}", dims, values[:, k], {"units": quantity.unit, "long_name": said})

    def reading(self, name: str, innovation: Array, flags: Any) -> None:
        """Add innovations (C, 2, elements) and flags (C, elements)."""
        output = self.model.outputs[name]
        logs = output.noise is not None and output.noise.name == "LogNormal"
        unit, words = "1" if logs else output.unit, output.long_name or name
        of = "log reading minus log forecast" if logs else "reading minus forecast"
        normal = innovation[:, 0] / innovation[:, 1]
        for what, values, units, said in (
            ("innovation", innovation[:, 0], unit, of),
            ("innovation_sd", innovation[:, 1], unit, f"SD of {of}"),
            ("innovation_normalised", normal, "1", f"{of}, in its SDs"),
        ):
            self._add(f"{name}_{what}", output.dims, values, {"units": units, "long_name": f"{words}: {said}"})
        attrs = {
            "long_name": f"{words}: what became of the reading",
            "flag_values": np.array(list(_FLAGS.values()), dtype=np.int8),
            "flag_meanings": " ".join(_FLAGS),
        }
        self._add(f"{name}_flag", output.dims, flags, attrs)

    def whole(self, name: str, values: Array, words: str) -> None:
        """Add what is one number for each time."""
        self._add(name, (), values[:, None], {"units": "1", "long_name": words})

    def _add(self, name: str, dims: tuple[str, ...], values: Array, attrs: dict[str, Any]) -> None:
        shape = tuple(self.model.labels[d].size for d in dims)
        self.coords |= {d: self.model.labels[d] for d in dims}
        spread = self.observations.scatter(values.ravel(), shape)
        self.data[name] = ((*self.observations.dims, *dims), spread, attrs)


def divergence(runs: Sequence[Run], units: Any) -> str:
    """Return why a filter is thought to have lost its asset, empty where it is not.

    It has where one of the last 20 readings in two was refused, or where the mean square of the last normalised
    innovations (20 of them, or a tenth of all) is above 9: of a filter that knows its errors it is 1, with an SD of
    0.3 at 20 readings. Particles have where, at most of the last 20 readings, fewer than 10 of them count, or where
    fewer than 10 values of an estimated parameter are left.
    """
    for unit, (plant, state, record) in enumerate(runs):
        of = "" if units is None else f", unit {units[unit]!r}"
        if "log_weights" in state.arrays and (said := _collapse(plant, state, record)):
            return f"the particles have collapsed{of}: {said}"
        read = (record.flag == USED) | (record.flag == REFUSED)
        column = 0
        for name in plant.measured:
            count = int(np.prod(plant.model.output_layout.shapes[name], dtype=int))
            mine = slice(column, column + count)
            column += count
            rows = read[:, mine]
            flags = record.flag[:, mine][rows]
            normal = (record.innovation[:, 0, mine] / record.innovation[:, 1, mine])[rows]
            last = max(20, normal.size // 10)
            if normal.size < 10:
                continue
            refused, used = int((flags[-last:] == REFUSED).sum()), normal[-last:][flags[-last:] == USED]
            square = float(np.mean(used**2)) if used.size else np.inf
            if 2 * refused < min(last, normal.size) and square <= 9.0:
                continue
            return (
                f"the filter does not follow {name!r}{of}: of its last {min(last, normal.size)} readings {refused} "
                f"were refused, and the mean square of the normalised innovations of the others is {square:.3g} "
                "(expected about 1): check process noise, sensor noise and starts, or calibrate anew"
            )
    return ""


def _collapse(plant: Plant, state: FilterState, record: Records) -> str:
    """Return why particles no longer stand for a distribution, empty where they do."""
    count, read = len(state.arrays["members"]), (record.flag != MISSING).any(axis=1)
    last = record.size[read][-20:]
    if count > 20 and last.size and np.median(last) < 10:
        return (
            f"after its last {last.size} readings the effective number of {count} particles was {np.median(last):.3g} "
            "(median; expected 10 or more): take more particles, or wb.Guided()"
        )
    for k, name in enumerate(plant.belief.joint, start=plant.sigma.size):
        left = np.unique(state.arrays["members"][:, k]).size
        if count > 20 and left < 10:
            return (
                f"{left} values of {name!r} are left among {count} particles (expected 10 or more): take more "
                "particles, another filter, or calibrate"
            )
    return ""


def _with_states(dataset: xr.Dataset, states: Sequence[FilterState], labels: Any) -> xr.Dataset:
    """Return the dataset with the last state of each unit beside it, as `final_...`."""
    parts = [s.to_dataset().rename({"name": "final_name"}) for s in states]
    renamed = []
    for part in parts:
        part = part.rename({d: f"final_{d}" for d in part.dims if d != "final_name"})
        part = part.rename({v: f"final_{v}" for v in part.data_vars})
        part["final_time"], part["final_log_evidence"] = part.attrs["time"], part.attrs["log_evidence"]
        renamed.append(part.drop_attrs(deep=False))
    joined = renamed[0] if labels is None else xr.concat(renamed, dim="asset").assign_coords(asset=labels)
    return dataset.merge(joined)


def stored_state(dataset: xr.Dataset, unit: Any) -> FilterState:
    """Return the state in a dataset (see `assimilate.final_state`)."""
    if "final_random" not in dataset:
        raise DataError("got a dataset without a filter's state; expected what wb.assimilate returned")
    if "asset" in dataset.dims:
        labels = dataset["asset"].values.tolist()
        if unit not in labels:
            raise DataError(f"got unit {unit!r}; expected one of {labels}, whose state is asked for")
        dataset = dataset.sel(asset=unit)
    names = [str(n) for n in dataset.data_vars if str(n).startswith("final_")]
    kept = dataset[names]
    attrs = {"time": float(kept["final_time"]), "log_evidence": float(kept["final_log_evidence"])}
    kept = kept.drop_vars(["final_time", "final_log_evidence"])
    back = {str(v): str(v).removeprefix("final_") for v in (*kept.data_vars, "final_name")}
    kept = kept.rename(back)
    kept.attrs = attrs
    return FilterState.from_dataset(kept)
