"""Calibrations and twins in one netCDF file or zarr folder, with what is needed to go on from them and to trust them.

A store holds the groups of `Calibration.tree`, and below `workbench` the inputs as plain series and a twin's
observations. The root's attributes hold the format, the versions of the packages, the declaration as JSON, the digest
of what it means, and a hash of everything (`workbench.base.treefile` says what the hash is worth). No code is stored:
to go on from a store, the declaration is given again, and compared.
"""

import importlib.metadata
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from workbench.base.clock import Clock, read_times
from workbench.base.errors import StoreError
from workbench.base.schema import SAMPLE, TIME, UNIT
from workbench.base.treefile import PREFIX, read, write
from workbench.calibrate.calibration import Calibration
from workbench.calibrate.discrepancy.terms import decoded
from workbench.calibrate.fleet import correlation
from workbench.calibrate.problem import Problem, pose
from workbench.calibrate.trust.card import TrustCard
from workbench.declare.describe import differences, digest, document
from workbench.declare.model import Model, as_model
from workbench.declare.partial import Correlated, from_plain
from workbench.simulate.series import Series, read_inputs

_DECLARATION, _DIGEST, _VERSIONS = f"{PREFIX}declaration", f"{PREFIX}digest", f"{PREFIX}versions"
_CARD = f"{PREFIX}trust"
_OURS, _VALUE = "workbench", "value"
_GROUPS = ("posterior", "sample_stats", "observed_data")
_PACKAGES = ("twin-workbench", "pymc", "pytensor", "nutpie", "numba", "numpy", "xarray")


@dataclass(frozen=True)
class Stored:
    """What a store holds.

    Attributes
    ----------
    calibration
        The calibration, None in a store of a twin that has none.
    observations
        The observations of a twin; those of the calibration where only that was saved.
    declaration
        What `workbench.declare.describe.document` said of the model.
    versions
        Versions of Python and of the packages that wrote the store.
    """

    calibration: Calibration | None
    observations: xr.Dataset | None
    declaration: dict[str, Any]
    versions: dict[str, str]


def save(calibration: Calibration, path: Any) -> None:
    """Write a calibration to one netCDF (`.nc`) or zarr (`.zarr`) store; one that is there already is replaced.

    Raises
    ------
    StoreError
        If the path cannot be written, the calibration was opened without its model, or inputs that were given as files
        or tables have changed since the calibration.
    """
    if calibration.problem is None:
        raise StoreError(
            "got a calibration opened without its model; expected Calibration.open(path, model), or a copy"
        )
    save_parts(path, calibration.problem.model, calibration=calibration)


def open_calibration(path: Any, model: Any = None) -> Calibration:
    """Return the calibration in a store; nothing in it is executed.

    Parameters
    ----------
    path
        A store written by `save`, or by a twin that has a posterior.
    model
        The declaration, to go on from; it must mean what the stored one does. Without it the tree alone comes back.

    Raises
    ------
    StoreError
        If the store is absent, damaged, changed or newer than this version; or if the model differs from the one that
        was calibrated: the message says in which parts.
    """
    stored = open_store(path, model)
    if stored.calibration is None:
        raise StoreError(f"{path}: got a twin without a posterior; expected Twin.open for it")
    return stored.calibration


def save_parts(
    path: Any, model: Model, *, calibration: Calibration | None = None, observations: xr.Dataset | None = None
) -> None:
    """Write what there is of a twin to one store; errors as in `save`."""
    groups: dict[str, xr.Dataset] = {}
    if calibration is not None:
        problem = calibration.problem
        if problem is None or digest(problem.model) != digest(model):
            raise StoreError(
                "got a calibration of another model, or opened without it; expected one of the twin's model"
            )
        groups |= {node.path: node.to_dataset(inherit=False) for node in calibration.tree.subtree}
        groups |= {f"/{_OURS}/inputs/{name}": one for name, one in _plain_inputs(problem).items()}
        _check_whole(calibration, groups, problem)
    if observations is not None:
        groups[f"/{_OURS}/observations"] = observations
    tree = xr.DataTree.from_dict(groups)
    declaration = document(model)
    if calibration is not None:
        tree.attrs[_CARD] = calibration.trust.to_json()
    tree.attrs |= {
        _DECLARATION: json.dumps(declaration),
        _DIGEST: digest(declaration),
        _VERSIONS: json.dumps({"python": platform.python_version(), **{p: _version(p) for p in _PACKAGES}}),
    }
    write(tree, path)


def open_store(path: Any, model: Any = None) -> Stored:
    """Return what a store holds; errors as in `open_calibration`."""
    tree = read(path)
    card = tree.attrs.pop(_CARD, "")
    declaration, stored_digest, versions = (tree.attrs.pop(key, "") for key in (_DECLARATION, _DIGEST, _VERSIONS))
    declaration = json.loads(declaration or "{}")
    if digest(declaration) != stored_digest:
        raise StoreError(f"{path}: got a declaration that does not match its digest; expected a store as it was saved")
    model = None if model is None else as_model(model)
    if model is not None and digest(model) != stored_digest:
        raise StoreError(
            f"{path}: got a model that is not the stored one: {'; '.join(differences(model, declaration))}"
        )
    groups = {node.path: node.to_dataset(inherit=False) for node in tree.subtree}
    ours = {place: groups.pop(place) for place in list(groups) if f"{place}/".startswith(f"/{_OURS}/")}
    observations = ours.get(f"/{_OURS}/observations", groups.get("/observed_data"))
    calibration = None
    if "/posterior" in groups:
        start = f"/{_OURS}/inputs/"
        inputs = {place.removeprefix(start): _given(one) for place, one in ours.items() if place.startswith(start)}
        problem = None if model is None else _posed(model, groups, inputs)
        written = TrustCard.from_json(card) if card else None
        calibration = Calibration(xr.DataTree.from_dict(groups), problem=problem, written=written)
    return Stored(calibration, observations, declaration, json.loads(versions))


def _check_whole(calibration: Calibration, groups: Mapping[str, xr.Dataset], problem: Problem) -> None:
    """Refuse a tree that lacks a group, and inputs that no longer are what was calibrated to."""
    absent = [group for group in _GROUPS if f"/{group}" not in groups]
    if absent:
        raise StoreError(f"got a calibration without group {absent[0]!r}; expected {', '.join(map(repr, _GROUPS))}")
    start = f"/{_OURS}/inputs/"
    inputs = {place.removeprefix(start): _given(one) for place, one in groups.items() if place.startswith(start)}
    again, schedule = _posed(problem.model, groups, inputs).schedule, problem.schedule
    pairs = [(getattr(again, part), getattr(schedule, part)) for part in ("offset", "begin", "level", "slope", "jump")]
    if not all(a.shape == b.shape and np.allclose(a, b, rtol=1e-9, atol=1e-300) for a, b in pairs):
        raise StoreError("got inputs that have changed since the calibration; expected the same files and tables")


def _posed(model: Model, groups: Mapping[str, xr.Dataset], inputs: Mapping[str, Any]) -> Problem:
    attrs = groups["/posterior"].attrs
    discrepancy = decoded(attrs.get("discrepancy"))
    pool = json.loads(attrs["pool"])
    pool |= {name: from_plain(one) for name, one in json.loads(attrs.get("populations", "{}")).items()}
    pool |= {group.names: Correlated(group.eta) for group in correlation.decoded(attrs.get("correlated"))}
    return pose(model, groups["/observed_data"], inputs=inputs, pool=pool, discrepancy=discrepancy)


def _plain_inputs(problem: Problem) -> dict[str, xr.Dataset]:
    """Return each input as a table: values in the declared unit, with times and units where it has them."""
    given = read_inputs(problem.model, problem.inputs)
    clock = problem.observations.clock
    return {name: _table(series, problem.model.inputs[name].unit, clock) for name, series in given.items()}


def _table(series: Series, unit: str, clock: Clock) -> xr.Dataset:
    made = xr.Dataset({_VALUE: (SAMPLE, series.values, {"units": unit})})
    if series.times is not None:
        times, attrs = read_times(series.times.values, "input"), {"units": series.times.units or clock.time_unit}
        if times.dtype.kind == "m":
            times, attrs = clock.numbers(times), {"units": clock.time_unit}
        made[TIME] = (SAMPLE, times, {} if times.dtype.kind == "M" else attrs)
    if series.labels is not None:
        made[UNIT] = (SAMPLE, _labels(series.labels)[series.index])
    return made


def _labels(labels: tuple[Any, ...]) -> np.ndarray:
    """Return labels as an array, of objects where they are of several types: no number becomes text."""
    array = np.array(labels)
    return array if array.tolist() == list(labels) else np.array(labels, dtype=object)


def _given(table: xr.Dataset) -> Any:
    """Return an input in a form that `workbench.simulate.series` reads, the same numbers in the same order."""
    import pandas as pd

    if TIME not in table:
        if UNIT not in table:
            return float(table[_VALUE].values[0])
        return xr.DataArray(table[_VALUE].values, {UNIT: table[UNIT].values}, UNIT, attrs=table[_VALUE].attrs)
    unit = table[TIME].attrs.get("units")
    columns = {TIME if unit is None else f"{TIME} [{unit}]": table[TIME].values}
    if UNIT in table:
        columns[UNIT] = table[UNIT].values
    return pd.DataFrame({**columns, f"{_VALUE} [{table[_VALUE].attrs['units']}]": table[_VALUE].values})


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
