"""How values of array programs are stored: loops, the buffers that they fill, and the tables that they read."""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np

from workbench.declare.loops import Body, Fixed, Index, Loop, Stored, Value, build
from workbench.declare.places import Piecewise, counters
from workbench.declare.program import Ref


class Storing:
    """Loops in the making."""

    def __init__(self) -> None:
        self.loops: list[Loop] = []
        self.tables: dict[str, np.ndarray] = {}
        self.buffers: dict[str, int] = {}
        self.scalars = 0

    def fixed(self, data: Any) -> Fixed:
        """Return constants, with a table where they differ."""
        made = Fixed(np.asarray(data, dtype=np.float64))
        if made.same is None and made.size:
            made.table = self.table(made.data)
        return made

    def table(self, data: np.ndarray) -> str:
        """Return the name of a table of numbers, the same for the same numbers."""
        name = f"C_{hashlib.sha256(data.dtype.char.encode() + np.ascontiguousarray(data).tobytes()).hexdigest()[:12]}"
        self.tables[name] = data.ravel()
        return name

    def room(self, shape: tuple[int, ...], *, single: bool = False) -> Stored:
        """Return a place for a value that is about to be stored: a local variable for a single number, or a buffer."""
        if single:
            self.scalars += 1
            return Stored(f"s{self.scalars - 1}", 0, shape)
        made = Stored(f"b{len(self.buffers)}", 0, shape)
        self.buffers[made.array] = made.size
        return made

    def folds(
        self, counts: tuple[int | None, ...], kept: int, read: Callable[[Body], Ref], target: Stored, fold: Any,
        ragged: str = "",
    ) -> None:  # fmt: skip
        """Add a loop that folds over its last counters."""
        body, reads = build(read, combine=fold[0])
        place = target.place(counters(kept))
        self.loops.append(Loop(counts, body, reads, place, False, fold[1], len(counts) - kept, ragged))

    def store(self, value: Value, target: Any, *, adds: bool = False) -> None:
        """Add the loops that store a value, or add it to what is there."""
        if isinstance(value, Piecewise):
            if adds and value.overwrites:
                kept = self.room(value.shape)
                self.store(value, kept)
                value = kept
            else:
                for region, piece, more in value.pieces:
                    self.store(piece, region(target) if region else target, adds=adds or more)
                return
        if value.size == 0 or (adds and isinstance(value, Fixed) and value.same == 0.0):
            return
        every = [c if n != 1 else Index() for c, n in zip(counters(len(value.shape)), value.shape, strict=True)]
        body, reads = build(lambda body: value.read(body, every))
        self.loops.append(Loop(value.shape, body, reads, target.place(every), adds))
