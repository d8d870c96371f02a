"""Values of array programs whose elements are those of others in other places, or that are stored piece by piece."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.declare.loops import Access, Body, Fixed, Index, Stored, Value, flat_index, stretched
from workbench.declare.program import Ref


@dataclass
class Moved(Value):
    """Elements of another value, in other places."""

    inner: Any
    shape: tuple[int, ...]
    remap: Callable[[Sequence[Index]], Sequence[Index]]

    def __post_init__(self) -> None:
        self.cost = self.inner.cost

    def place(self, index: Sequence[Index]) -> Access:
        """Return where an element lies."""
        return self.inner.place(self.remap(index))

    def read(self, body: Body, index: Sequence[Index]) -> Ref:
        """Return the element at an index."""
        return self.inner.read(body, self.remap(index))


@dataclass
class Piecewise(Value):
    """A value that is stored piece by piece: pairs of a region (None for the whole) and what goes there."""

    shape: tuple[int, ...]
    pieces: list[tuple[Callable[[Value], Value] | None, Value, bool]]  # whether it is added to what is there
    overwrites: bool = False  # whether a piece replaces what an earlier one stored


def joined(values: Sequence[Any], axis: int) -> Value:
    """Return values one after the other."""
    ends = np.cumsum([v.shape[axis] for v in values]).tolist()
    shape = (*values[0].shape[:axis], ends[-1], *values[0].shape[axis + 1 :])
    chosen = [(*(slice(None),) * axis, slice(a, b)) for a, b in zip([0, *ends], ends, strict=False)]

    def region(where: Any) -> Callable[[Value], Value]:
        return lambda target: sliced(target, where)

    return Piecewise(shape, [(region(c), v, False) for c, v in zip(chosen, values, strict=True)])


def sliced(value: Any, chosen: Any) -> Value:
    """Return value[chosen], for numbers and slices."""
    chosen = (*chosen, *[slice(None)] * (len(value.shape) - len(chosen))) if isinstance(chosen, tuple) else (chosen,)
    chosen = (*chosen, *[slice(None)] * (len(value.shape) - len(chosen)))
    spans = [c.indices(n) if isinstance(c, slice) else (c % n, 0, 0) for c, n in zip(chosen, value.shape, strict=True)]
    free = [k for k, c in enumerate(chosen) if isinstance(c, slice)]
    shape = tuple(len(range(*spans[k])) for k in free)

    def remap(index: Sequence[Index]) -> list[Index]:
        return [
            index[free.index(k)].times(step).plus(start) if k in free else Index(start)
            for k, (start, _, step) in enumerate(spans)
        ]

    return Moved(value, shape, remap)


def broadcast(value: Value, shape: tuple[int, ...]) -> Value:
    """Return a value broadcast to a shape."""
    return Moved(value, tuple(shape), lambda index: stretched(index, value.shape))


def counters(count: int) -> list[Index]:
    """Return the counters of nested loops as an index."""
    return [Index(0, ((f"i{k}", 1),)) for k in range(count)]


def gathered(value: Any, positions: np.ndarray, table: Callable[[np.ndarray], str]) -> Value:
    """Return the elements at places in C order; `table` keeps those that are not evenly spaced, under a name."""
    if isinstance(value, Stored | Fixed) and len(value.shape) != 1:  # in C order already
        value = _flat(value)
    ways = [_way(c, positions.shape, table) for c in np.unravel_index(positions, value.shape)]
    return Moved(value, positions.shape, lambda index: [way(index) for way in ways])


def _flat(value: Value) -> Value:
    return Moved(value, (value.size,), lambda index: _last(index[0], value.shape))


def _way(
    places: np.ndarray, shape: tuple[int, ...], table: Callable[[np.ndarray], str]
) -> Callable[[Sequence[Index]], Index]:
    """Return what leads from an index to a place: a multiple where places are evenly spaced, or a table."""
    steps = np.unique(np.diff(places.ravel()))
    if steps.size <= 1:
        first, step = int(places.flat[0]), int(steps[0]) if steps.size else 0
        return lambda index: flat_index(index, shape).times(step).plus(first)
    name = table(places.astype(np.int64))
    return lambda index: Index(0, ((f"{name}[{flat_index(index, shape)}]", 1),))


def _last(flat: Index, shape: tuple[int, ...]) -> list[Index]:
    """Return the index whose place in C order is `flat`."""
    last = max((k for k, n in enumerate(shape) if n != 1), default=-1)
    return [flat if k == last else Index() for k in range(len(shape))]
