"""Trees of datasets as files can keep them, and back; and the hash of what they hold.

An attribute that netCDF cannot hold (a list, a mapping, a truth value) becomes JSON text after `json:`, and labels of
mixed types become JSON texts. Everything else stays what it is, so any tool reads it.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr

from workbench.base.errors import StoreError

_JSON = "json:"
_TICKS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}


def layout(tree: xr.DataTree) -> dict[str, dict[str, str]]:
    """Return for each group its variables in order, coordinates last, with their dtypes."""
    found = {}
    for node in tree.subtree:
        dataset = node.to_dataset(inherit=False)
        names = (*dataset.data_vars, *dataset.coords)
        found[node.path] = {str(name): dataset[name].dtype.str for name in names}
    return found


def encode(dataset: xr.Dataset) -> xr.Dataset:
    """Return a dataset of plain arrays and attributes; StoreError for what is neither number, text nor datetime."""

    def variable(name: Any) -> tuple[Any, ...]:
        given = dataset[name].variable
        values, attrs = np.asarray(given.values), _attributes(given.attrs)
        if values.dtype.kind == "O":
            values = np.array([_label(name, item) for item in values.flat], dtype=str).reshape(values.shape)
        elif values.dtype.kind == "M" and not attrs.keys() & _time(values.dtype).keys():
            values, attrs = values.astype(np.int64), attrs | _time(values.dtype)
        elif values.dtype.kind not in "biufU":
            raise StoreError(f"got {name!r} of type {values.dtype}; expected numbers, text or datetimes without units")
        return given.dims, values, attrs

    data = {name: variable(name) for name in dataset.data_vars}
    return xr.Dataset(data, {name: variable(name) for name in dataset.coords}, _attributes(dataset.attrs))


def decode(dataset: xr.Dataset, names: Mapping[str, str]) -> xr.Dataset:
    """Return a dataset as it was before `encode`, given its names and dtypes; other names stay, and come last."""

    def variable(name: str) -> tuple[Any, ...]:
        given = dataset[name].variable
        values, attrs = np.asarray(given.values), {key: _original(value) for key, value in given.attrs.items()}
        dtype = np.dtype(names.get(name, values.dtype))
        if dtype.kind == "O":
            flat = [json.loads(item) for item in values.flat]
            values = np.fromiter(flat, dtype=object, count=len(flat)).reshape(values.shape)
        elif dtype.kind == "M" and attrs.items() >= _time(dtype).items():
            attrs = {key: value for key, value in attrs.items() if key not in _time(dtype)}
        return given.dims, values.astype(dtype), attrs

    order = [*names, *(str(name) for name in dataset.variables if name not in names)]
    data = {name: variable(name) for name in order if name in dataset.data_vars}
    coords = {name: variable(name) for name in order if name in dataset.coords}
    return xr.Dataset(data, coords, {key: _original(value) for key, value in dataset.attrs.items()})


def native(value: Any) -> Any:
    """Return NumPy's numbers and arrays as Python's."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def content(tree: xr.DataTree) -> str:
    """Return the SHA-256 of names, dims, dtypes, values and attributes, in an order that no file format decides."""
    digest = hashlib.sha256()
    for part in _parts(tree):
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


def _parts(tree: xr.DataTree) -> Iterator[bytes]:
    for node in sorted(tree.subtree, key=lambda node: node.path):
        dataset = node.to_dataset(inherit=False)
        yield json.dumps([node.path, _sorted(dataset.attrs)]).encode()
        for name in sorted(map(str, dataset.variables)):
            variable = dataset[name].variable
            values = np.asarray(variable.values)
            about = [name, name in dataset.coords, variable.dims, values.shape, values.dtype.str]
            yield json.dumps([*about, _sorted(variable.attrs)]).encode()
            yield json.dumps(native(values)).encode() if values.dtype.kind in "UO" else values.tobytes()


def _sorted(attrs: Mapping[Any, Any]) -> str:
    return json.dumps({str(key): native(value) for key, value in attrs.items()}, sort_keys=True)


def _time(dtype: Any) -> dict[str, str]:
    """Return the attributes by which CF marks whole numbers as datetimes."""
    tick, count = np.datetime_data(dtype)
    return {"units": f"{_TICKS[tick]} since 1970-01-01", "calendar": "proleptic_gregorian"} if count == 1 else {}


def _label(name: Any, item: Any) -> str:
    item = native(item)
    if not isinstance(item, str | int | float | None):
        raise StoreError(f"got {item!r} in {name!r}; expected numbers or text")
    return json.dumps(item)


def _attributes(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(key): _attribute(native(value)) for key, value in attrs.items()}


def _attribute(value: Any) -> Any:
    """Return text, a whole number of 64 bits or a finite number as it is, and anything else as JSON."""
    if isinstance(value, str) and not value.startswith(_JSON):
        return value
    whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    if whole or (isinstance(value, float) and np.isfinite(value)):
        return value
    return _JSON + json.dumps(value)


def _original(value: Any) -> Any:
    value = native(value)
    return json.loads(value.removeprefix(_JSON)) if isinstance(value, str) and value.startswith(_JSON) else value
