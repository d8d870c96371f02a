"""How many elements vector quantities have: the labels of each dim."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.base.errors import DeclarationError, unknown
from workbench.declare.quantity import Quantity

if TYPE_CHECKING:
    from workbench.declare.model import Model

RESERVED = frozenset("time chain draw member unit sample horizon model name".split())


def labels_of(model: "Model") -> dict[str, NDArray[Any]]:
    """Return the labels of each dim of a model's quantities.

    They are those of `model.coords()`, else 0, 1, ... up to the size that a setting or an array says.

    Raises
    ------
    DeclarationError
        If a dim's name is taken, its size is not known, or two sources differ about it.
    """
    quantities = type(model).quantities
    dims = {dim: name for name, quantity in list(quantities.items())[::-1] for dim in quantity.dims}
    given = dict(model.coords())
    for dim in given:
        if dim not in dims:
            raise DeclarationError(unknown("dim", str(dim), dims, f"{model.name}.coords"))
    made = {}
    for dim, name in dims.items():
        if dim in RESERVED or dim.startswith("_") or dim in quantities:
            taken = "the name of a quantity" if dim in quantities else "a name with a meaning of its own"
            raise DeclarationError(f"{model.name}.{name}: got dim {dim!r}, {taken}; expected another name")
        sizes = {} if dim not in given else {"coords()": _labels(model, dim, given[dim]).size}
        sizes |= dict(_sizes(model, dim))
        if not sizes:
            raise DeclarationError(
                f"{model.name}.{name}: got dim {dim!r} of a size that is not known; expected a setting such as "
                f"`{dim}s: int = 10`, labels from coords(), or an array as start= or value="
            )
        if len(set(sizes.values())) > 1:
            said = ", ".join(f"{size} by {source}" for source, size in sizes.items())
            raise DeclarationError(f"{model.name}: got dim {dim!r} of several sizes, {said}; expected one size")
        made[dim] = _labels(model, dim, given.get(dim, np.arange(next(iter(sizes.values())))))
    return made


def _sizes(model: "Model", dim: str) -> Iterator[tuple[str, int]]:
    """Yield what says how large a dim is, in words, and the size."""
    plurals = {dim, f"{dim}s", f"{dim}es", f"{dim[:-1]}ies"}
    for setting in dataclasses.fields(model):  # type: ignore[arg-type]
        value = getattr(model, setting.name)
        if setting.name.removeprefix("n_") in plurals and isinstance(value, int) and not isinstance(value, bool):
            if value < 1:
                raise DeclarationError(f"{model.name}: got {setting.name}={value}; expected at least 1")
            yield f"setting {setting.name!r}", value
    for name, quantity in type(model).quantities.items():
        if isinstance(quantity.array, tuple) and dim in quantity.dims:
            size = np.shape(quantity.array)[quantity.dims.index(dim)]
            yield f"{quantity._array} of {name!r}", size


def _labels(model: "Model", dim: str, given: Any) -> NDArray[Any]:
    labels = np.asarray(given)
    if labels.ndim != 1 or labels.size == 0:
        raise DeclarationError(f"{model.name}.coords: got {given!r} for dim {dim!r}; expected a list of labels")
    if len(set(labels.tolist())) < labels.size:
        raise DeclarationError(f"{model.name}.coords: got labels of dim {dim!r} more than once; expected each once")
    return labels


def elements(model: "Model", quantities: Mapping[str, Quantity]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return the quantity and the place of each element of vectors, by its name, such as "T[3]" or "T[kitchen]"."""
    found = {}
    for name, quantity in quantities.items():
        for place in np.ndindex(model.shape(quantity)) if quantity.dims else ():
            labels = [str(model.labels[dim][k]) for dim, k in zip(quantity.dims, place, strict=True)]
            found[f"{name}[{', '.join(labels)}]"] = name, place
    return found
