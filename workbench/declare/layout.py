"""Where quantities lie in a kernel's vectors: a scalar takes one place, a vector quantity one for each element."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Layout:
    """Shapes of quantities, in the order in which a kernel's vector holds them (elements in C order)."""

    shapes: Mapping[str, tuple[int, ...]]

    @cached_property
    def places(self) -> dict[str, slice]:
        """Where each quantity lies."""
        ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes.values()], dtype=int).tolist()
        return {name: slice(lo, hi) for name, lo, hi in zip(self.shapes, [0, *ends], ends, strict=False)}

    @cached_property
    def size(self) -> int:
        """Length of the vector."""
        return sum(place.stop - place.start for place in self.places.values())

    def columns(self, names: Any) -> list[int]:
        """Return the places of some quantities, one after the other."""
        return [k for name in names for k in range(self.places[name].start, self.places[name].stop)]

    def labels(self) -> list[str]:
        """Return a name for each place: "T", or "T[3]" for an element of a vector."""
        return [
            f"{name}[{', '.join(map(str, index))}]" if shape else name
            for name, shape in self.shapes.items()
            for index in np.ndindex(*shape)
        ]
