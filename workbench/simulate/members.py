"""The door of parameters: numbers, draws and posteriors become one matrix of members, units and parameters."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workbench.base import units as units_of_measure
from workbench.base.errors import ParameterError, unknown
from workbench.base.schema import DRAW_DIMS, MEMBER, UNIT
from workbench.base.tables import listed
from workbench.declare.layout import Layout
from workbench.declare.model import Model
from workbench.declare.quantity import Quantity


@dataclass(frozen=True)
class Members:
    """Values of parameters (or starts) over draws and units.

    Attributes
    ----------
    values
        (members, units, names).
    names
        What the last axis holds: "k", or "k[3]" for an element of a vector.
    index
        Coordinates of the members: dims of draws with their labels, in order; empty for a single run.
    units
        Labels of the units, None for one nameless unit.
    """

    values: NDArray[np.float64]
    names: tuple[str, ...]
    index: dict[str, NDArray[Any]]
    units: tuple[Any, ...] | None

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the dims of draws."""
        return tuple(len(labels) for labels in self.index.values())


def gather(model: Model, parameters: Any, start: Any = None, units: Any = None) -> tuple[Members, Members]:
    """Return theta, and starts that override the declared ones (NaN: none), over the same members and units.

    Parameters
    ----------
    model
        The model; what `parameters` does not give takes its nominal value.
    parameters
        Mapping from names to numbers or DataArrays (dims among chain, draw, member, unit and those of a vector), a
        Dataset, or a posterior. A vector may also be an array over its dims.
    start
        The same for states.
    units
        Labels of units known from elsewhere (inputs, data).

    Raises
    ------
    ParameterError
        If a name is unknown, a value is not a number, or lies outside its bounds, or dims are not those of draws.
    """
    given = {name: _value(model, name, value) for name, value in _given(model, parameters).items()}
    starts = {name: _start(model, name, value) for name, value in dict(start or {}).items()}
    index = _index({**given, **starts})
    labels = _units(index, units)
    values = {name: given[name] if name in given else q.nominal() for name, q in model.theta.items()}
    columns = {name: _column(model, q, values[name], index, labels) for name, q in model.theta.items()}
    begins = {name: _column(model, q, starts.get(name, np.nan), index, labels) for name, q in model.states.items()}
    draws = {dim: np.asarray(at) for dim, at in index.items() if dim != UNIT}
    sizes = (*(at.size for at in draws.values()), 1 if labels is None else len(labels))
    return (
        Members(_matrix(model.theta_layout, columns, sizes), tuple(model.theta_layout.labels()), draws, labels),
        Members(_matrix(model.state_layout, begins, sizes), tuple(model.state_layout.labels()), draws, labels),
    )


def _given(model: Model, parameters: Any) -> dict[str, Any]:
    """Names and values, without what a posterior holds beside the parameters of the equations."""
    if parameters is None:
        return {}
    if isinstance(parameters, xr.DataTree):
        parameters = parameters.to_dataset()
    if isinstance(parameters, xr.Dataset):
        population = {f"{name}_{end}" for name in model.theta for end in ("pop", "sd", "offset")}
        population -= set(model.theta)
        parameters = {str(n): v for n, v in parameters.data_vars.items() if n not in population}
    if not isinstance(parameters, Mapping):
        raise ParameterError(f"got parameters of type {type(parameters).__name__}; expected a mapping, or a posterior")
    for name in parameters:
        if name not in model.theta and name not in model.noise_parameters:
            raise ParameterError(unknown("parameter", name, [*model.theta, *model.noise_parameters], model.name))
    return {name: value for name, value in parameters.items() if name in model.theta}


def as_array(model: Model, quantity: Quantity, value: Any, what: str) -> xr.DataArray:
    """Return a value of a quantity over dims of draws, `unit`, and its own.

    Plain arrays are over the quantity's dims, with `member` before them where there is one axis more.
    """
    name, shape = quantity.name, model.shape(quantity)
    if not isinstance(value, xr.DataArray):
        try:
            array = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError):
            raise ParameterError(f"{name}: got {what} {value!r}; expected a number or a DataArray") from None
        if array.ndim > len(shape) + 1 or (array.ndim and array.shape[array.ndim - len(shape) :] != shape):
            wanted = f"shape {shape}, or " if shape else ""
            raise ParameterError(
                f"{name}: got an array of shape {array.shape}; expected {wanted}a DataArray with named dims"
            )
        dims = (MEMBER, *quantity.dims)[len(shape) + 1 - array.ndim :] if array.ndim else ()
        value = xr.DataArray(array, dims=dims)
    known = (*DRAW_DIMS, UNIT, *quantity.dims)
    extra = [str(d) for d in value.dims if d not in known]
    if extra:
        raise ParameterError(unknown("dim", extra[0], known, name))
    if value.dtype != np.float64:
        value = value.astype(np.float64)
    for dim in quantity.dims:
        if dim in value.dims:
            value = _labelled(name, value, dim, model.labels[dim])
    return value


def _labelled(name: str, array: xr.DataArray, dim: str, labels: NDArray[Any]) -> xr.DataArray:
    """Return an array with the labels of a model's dim in order; where it has none, its size must fit."""
    if dim not in array.coords and array.sizes[dim] == labels.size:
        return array.assign_coords({dim: labels})
    if dim not in array.coords or set(array[dim].values.tolist()) != set(labels.tolist()):
        got = array[dim].values.tolist() if dim in array.coords else range(array.sizes[dim])
        raise ParameterError(f"{name}: got {dim} {listed(got)}; expected {listed(labels.tolist())}")
    return array.sel({dim: labels})


def _converted(array: xr.DataArray, unit: str) -> xr.DataArray:
    """Return the values in a declared unit, where they say that they are in another."""
    given = array.attrs.get("units", unit)
    return array if given == unit else array.copy(data=units_of_measure.convert(array.values, given, unit))


def _value(model: Model, name: str, value: Any) -> xr.DataArray:
    quantity = model.theta[name]
    array = _converted(as_array(model, quantity, value, "value"), quantity.unit)
    _refuse_outside(name, array, quantity.bounds, quantity.unit)
    if quantity.prior is not None:
        _refuse_outside(name, array, quantity.prior.support, quantity.unit, "prior's support")
    return array


def _start(model: Model, name: str, value: Any) -> xr.DataArray:
    if name not in model.states:
        raise ParameterError(unknown("state", name, model.states, f"{model.name} start"))
    state = model.states[name]
    array = _converted(as_array(model, state, value, "start"), state.unit)
    _refuse_outside(name, array, state.bounds, state.unit)
    return array


def _refuse_outside(name: str, array: xr.DataArray, bounds: Any, unit: str, ends: str = "bounds") -> None:
    low = -np.inf if bounds[0] is None else bounds[0]
    high = np.inf if bounds[1] is None else bounds[1]
    wrong = ~(np.isfinite(array.values) & (array.values >= low) & (array.values <= high))
    if wrong.any():
        first = float(array.values[wrong].ravel()[0])
        raise ParameterError(f"{name}: got {first:g} {unit}; expected a number within its {ends} {low:g} to {high:g}")


def _index(arrays: Mapping[str, xr.DataArray]) -> dict[str, Any]:
    """Return the labels of draws, in order, and of units; ParameterError where two arrays differ in them."""
    found: dict[str, Any] = {}
    for name, array in arrays.items():
        for dim in (d for d in (*DRAW_DIMS, UNIT) if d in array.dims):
            labels = array.get_index(dim)
            if not found.setdefault(dim, labels).equals(labels):
                raise ParameterError(
                    f"{name}: got parameters whose draws or units differ: {dim} {listed(labels.tolist())} beside "
                    f"{listed(found[dim].tolist())}; expected the same for all"
                )
    return {dim: found[dim] for dim in (*DRAW_DIMS, UNIT) if dim in found}


def _units(index: Mapping[str, Any], units: Any) -> tuple[Any, ...] | None:
    """Return the labels of units: those known from elsewhere, which the arrays must have, or the arrays' own."""
    if UNIT not in index:
        return None if units is None else tuple(units)
    labels = tuple(index[UNIT])
    if units is not None and set(units) - set(labels):
        missing = next(u for u in units if u not in labels)
        raise ParameterError(unknown("unit", str(missing), map(str, labels), "parameters"))
    return labels if units is None else tuple(units)


def _column(
    model: Model, quantity: Quantity, value: Any, index: Mapping[str, Any], units: tuple[Any, ...] | None
) -> NDArray[np.float64]:
    """Return values over all dims of draws, units and the quantity's own, with size 1 where they do not vary."""
    if not isinstance(value, xr.DataArray):  # what is declared
        value = np.asarray(value, dtype=np.float64)
        return value.reshape((1,) * (len(index) + (UNIT not in index)) + (value.shape or (1,) * len(quantity.dims)))
    if UNIT in value.dims:
        value = value.sel({UNIT: list(units or ())})
    dims = (*(d for d in index if d != UNIT), UNIT, *quantity.dims)
    values = value.variable.transpose(*(d for d in dims if d in value.dims)).values
    return values[tuple(slice(None) if d in value.dims else None for d in dims)]


def _matrix(layout: Layout, columns: Mapping[str, NDArray[np.float64]], sizes: tuple[int, ...]) -> NDArray[np.float64]:
    """Return columns as (members, units, places), of sizes of the dims of draws and of units; NaN without a column."""
    made = np.full((*sizes, layout.size), np.nan)
    for name, column in columns.items():
        whole = np.broadcast_to(column, (*sizes, *layout.shapes[name]))
        made[..., layout.places[name]] = whole.reshape(*sizes, -1)
    return made.reshape(math.prod(sizes[:-1]), sizes[-1], layout.size)
