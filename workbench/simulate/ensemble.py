"""Many members: inputs that differ from draw to draw, and results that do not fit into memory."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from workbench.base.errors import DataError, WorkbenchError
from workbench.base.schema import DRAW_DIMS, MEMBER, UNIT
from workbench.simulate.members import as_array

PIECE = 100e6  # bytes of results in memory at once


def inputs_over_draws(model: Any, given: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Return what is given with the draws that inputs are over as units, and the name of their dim (None: none are).

    Raises
    ------
    DataError
        If inputs are over several dims of draws, or over one beside units.
    """
    inputs = given["inputs"]
    arrays = [v for v in inputs.values() if isinstance(v, xr.DataArray)] if isinstance(inputs, Mapping) else []
    dims = {str(d) for array in arrays for d in array.dims if d in DRAW_DIMS}
    if not dims:
        return given, None
    made = {kind: _arrays(model, values) for kind, values in given.items()}
    every = {str(d) for values in made.values() for v in values.values() if isinstance(v, xr.DataArray) for d in v.dims}
    if len(dims) > 1 or every & {*DRAW_DIMS, UNIT} != dims:
        raise DataError(
            f"inputs: got dims {sorted(every & {*DRAW_DIMS, UNIT})}; expected one dim of draws, and no unit"
        )
    dim = dims.pop()
    return {
        kind: {
            n: v.rename({dim: UNIT}) if isinstance(v, xr.DataArray) and dim in v.dims else v for n, v in values.items()
        }
        for kind, values in made.items()
    }, dim


def _arrays(model: Any, values: Any) -> dict[str, Any]:
    """Return parameters, starts or inputs by name; plain sequences of numbers are over `member`, or a vector's dims."""
    if isinstance(values, xr.DataTree):
        values = values.to_dataset()
    if isinstance(values, xr.Dataset):
        return {str(name): array for name, array in values.data_vars.items()}
    made, vectors = {}, {n: q for n, q in {**model.theta, **model.states}.items() if q.dims}
    for name, value in dict(values or {}).items():
        if name in vectors:
            made[name] = as_array(model, vectors[name], value, "value")
            continue
        plain = (
            isinstance(value, list | tuple | np.ndarray)
            and np.ndim(value) == 1
            and np.asarray(value).dtype.kind in "fiu"
        )
        made[name] = xr.DataArray(np.asarray(value), dims=MEMBER) if plain else value
    return made


def _numbered(value: Any) -> Any:
    """Return an array with labels of its draws, so that a part of it knows which it is."""
    if not isinstance(value, xr.DataArray):
        return value
    return value.assign_coords({d: value.get_index(d) for d in value.dims if d in DRAW_DIMS})


def stream(
    run: Callable[..., xr.Dataset], model: Any, times: Any, given: dict[str, Any], *, seed: int | None, store: Path
) -> xr.Dataset:
    """Run members piece by piece, write each piece to zarr, and return the whole as it is read from there.

    Raises
    ------
    DataError
        If the folder exists, or there is nothing to split: no draws.
    """
    if store.exists():
        raise DataError(f"store: got {str(store)!r}, which exists; expected the path of a new zarr folder")
    parts = {kind: {n: _numbered(v) for n, v in _arrays(model, values).items()} for kind, values in given.items()}
    sizes = {
        str(d): n
        for part in parts.values()
        for v in part.values()
        if isinstance(v, xr.DataArray)
        for d, n in v.sizes.items()
    }
    dims = [d for d in DRAW_DIMS if d in sizes]
    if not dims:
        raise DataError("store: got one member; expected parameters, starts or inputs over chain, draw or member")
    dim = dims[-1]
    columns = model.state_layout.size + model.output_layout.size
    others = int(np.prod([n for d, n in sizes.items() if d in (*dims[:-1], UNIT)]))
    piece = max(1, int(PIECE / (8 * columns * np.size(times) * others)))
    if seed is None:
        seed = int(np.random.SeedSequence().entropy)  # type: ignore[arg-type]
    events, failed = [], 0
    for lo in range(0, sizes[dim], piece):
        made = _piece(run, model, times, _chosen(parts, dim, slice(lo, lo + piece)), seed=seed, first=lo * others)
        failed += made.attrs.pop("failed_members", 0)
        names = [f"{name}_time" for name in model.thresholds]
        events.append(made[names])
        _write(made.drop_vars(names), store, dim, begins=lo == 0)
    if model.thresholds:
        xr.concat(events, dim, join="outer").to_zarr(store, mode="a", consolidated=False)
    whole = xr.open_zarr(store, chunks=None, consolidated=False)
    return whole.assign_attrs(failed_members=failed) if failed else whole


def _chosen(parts: dict[str, Any], dim: str, chosen: slice) -> dict[str, Any]:
    return {
        kind: {
            n: v.isel({dim: chosen}) if isinstance(v, xr.DataArray) and dim in v.dims else v for n, v in values.items()
        }
        for kind, values in parts.items()
    }


def _piece(run: Any, model: Any, times: Any, given: dict[str, Any], *, seed: int, first: int) -> xr.Dataset:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* members failed and are NaN")  # counted for the whole
        return run(model, times, given, seed=seed, first=first)


def _write(made: xr.Dataset, store: Path, dim: str, *, begins: bool) -> None:
    try:
        import zarr  # noqa: F401
    except ImportError:
        raise WorkbenchError("store: zarr is not installed; expected pip install 'twin-workbench[zarr]'") from None
    if begins:
        made.to_zarr(store, mode="w-", consolidated=False)
    else:
        made.to_zarr(store, append_dim=dim, consolidated=False)
