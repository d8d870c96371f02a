"""An array program: loops over flat arrays, for equations of states by the hundred, before any language prints them.

While a graph is lowered, a value is not computed but remembered: `read` says how one of its elements comes about, so
that chains of elementwise functions, slices and transpositions end up in the one loop that stores their result.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from workbench.declare.lower import scalar_value
from workbench.declare.program import Builder, Program, Ref

SMALL = 2  # operations up to which a value that is used twice is computed twice rather than stored
_COSTS = {"add": 1, "sub": 1, "mul": 1, "neg": 1, "abs": 1, "where": 1, "minimum": 1, "maximum": 1, "sqrt": 4, "div": 4}
_COSTS |= dict.fromkeys("lt le gt ge eq ne and or not sign floor ceil".split(), 1)


class Index(NamedTuple):
    """A place in a flat array: a number, plus multiples of loop counters i0, i1, ... or of entries of tables."""

    shift: int = 0
    terms: tuple[tuple[str, int], ...] = ()

    def times(self, factor: int) -> "Index":
        """Return the multiple."""
        return Index(self.shift * factor, tuple((name, c * factor) for name, c in self.terms if factor))

    def plus(self, other: "Index | int") -> "Index":
        """Return the sum."""
        other = Index(other) if isinstance(other, int) else other
        total = dict(self.terms)
        for name, c in other.terms:
            total[name] = total.get(name, 0) + c
        return Index(self.shift + other.shift, tuple((name, c) for name, c in total.items() if c))

    def __str__(self) -> str:
        parts = [name if c == 1 else f"{c} * {name}" for name, c in self.terms]
        return " + ".join([*parts, str(self.shift)] if self.shift or not parts else parts)


class Access(NamedTuple):
    """An element of a named array."""

    array: str
    place: Index


@dataclass(frozen=True)
class Loop:
    """Loops i0, i1, ... around one straight-line program whose result is stored, or folded over the last counters.

    Attributes
    ----------
    counts
        How often each counter runs; None for one that runs from entry i0 to entry i0 + 1 of the table `ragged`.
    body
        The program; its inputs are r0, r1, ..., and `total` where it folds.
    reads
        What r0, r1, ... are.
    target
        Where the result goes.
    adds
        Whether it is added to what is there.
    fold, over
        The number from which a total starts, None for a loop that folds nothing; and over how many counters it runs.
    """

    counts: tuple[int | None, ...]
    body: Program
    reads: tuple[Access, ...]
    target: Access
    adds: bool = False
    fold: float | None = None
    over: int = 0
    ragged: str = ""


@dataclass(frozen=True)
class Loops:
    """Loops in order; the constant tables they read; and the sizes of the buffers they keep between them."""

    loops: tuple[Loop, ...]
    tables: Mapping[str, np.ndarray]
    buffers: Mapping[str, int]

    @cached_property
    def places(self) -> tuple[dict[str, int], int]:
        """Where buffers lie in one scratch array, and its size; one takes the place of another that is used up."""
        born, last = dict[str, int](), dict[str, int]()
        for k, loop in enumerate(self.loops):
            for access in (loop.target, *loop.reads):
                if access.array in self.buffers:
                    born.setdefault(access.array, k)
                    last[access.array] = k
        placed, size = dict[str, int](), 0
        for name in born:
            place = 0
            alive = [other for other in placed if last[other] >= born[name]]
            for other in sorted(alive, key=lambda o: placed[o]):
                if place + self.buffers[name] <= placed[other]:
                    break
                place = max(place, placed[other] + self.buffers[other])
            placed[name] = place
            size = max(size, place + self.buffers[name])
        return placed, size


class _Dry:
    """Stands for a builder while the reads of a loop are collected."""

    def add(self, name: str, *arguments: Ref) -> Ref:
        return 0


@dataclass
class Body:
    """The inside of a loop, in the making: first its reads are collected, then its program is built."""

    builder: Any = field(default_factory=_Dry)
    reads: dict[Access, int] = field(default_factory=dict)

    def read(self, access: Access) -> Ref:
        """Return the element read."""
        return self.reads.setdefault(access, len(self.reads))


def build(made: Callable[[Body], Ref], combine: str = "") -> tuple[Program, tuple[Access, ...]]:
    """Return the program of a loop's body and its reads; `combine` is the operation that folds, if any."""
    collected = Body()
    made(collected)
    names = [f"r{k}" for k in range(len(collected.reads))] + (["total"] if combine else [])
    body = Body(Builder(tuple(names)), dict(collected.reads))
    ref = made(body)
    result = body.builder.add(combine, len(names) - 1, ref) if combine else ref
    return body.builder.program([result]), tuple(collected.reads)


class Value:
    """An array value of known shape; `cost` says about how many operations one element takes."""

    shape: tuple[int, ...]
    cost: int = 0

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape))

    def read(self, body: Body, index: Sequence[Index]) -> Ref:
        """Return the element at an index, one entry a dimension."""
        raise NotImplementedError


@dataclass
class Stored(Value):
    """Elements in an array, in C order from `offset` on."""

    array: str
    offset: int
    shape: tuple[int, ...]

    def place(self, index: Sequence[Index]) -> Access:
        """Return where an element lies."""
        return Access(self.array, flat_index(index, self.shape).plus(self.offset))

    def read(self, body: Body, index: Sequence[Index]) -> Ref:
        """Return the element at an index."""
        return body.read(self.place(index))


@dataclass
class Fixed(Value):
    """Constants; `table` names them where they are not all the same."""

    data: np.ndarray
    table: str = ""

    def __post_init__(self) -> None:
        self.shape = self.data.shape

    @property
    def same(self) -> float | None:
        """The number that all elements are, None where they differ."""
        return float(self.data.flat[0]) if self.size and (self.data == self.data.flat[0]).all() else None

    def read(self, body: Body, index: Sequence[Index]) -> Ref:
        """Return the element at an index."""
        return self.same if self.same is not None else body.read(Access(self.table, flat_index(index, self.shape)))


@dataclass
class Mapped(Value):
    """A scalar function of the elements of other values, which are broadcast."""

    scalar: Any
    arguments: list[Value]
    where: str

    def __post_init__(self) -> None:
        self.shape = tuple(np.broadcast_shapes(*(a.shape for a in self.arguments)))
        counted = _Counted()
        scalar_value(counted, self.scalar, [0.5] * len(self.arguments), self.where)
        self.cost = counted.cost + sum(a.cost for a in self.arguments)

    def read(self, body: Body, index: Sequence[Index]) -> Ref:
        """Return the element at an index."""
        inner = [a.read(body, stretched(index, a.shape)) for a in self.arguments]
        return scalar_value(body.builder, self.scalar, inner, self.where)


class _Counted(Builder):
    """Stands for a builder while operations are counted."""

    def __init__(self) -> None:
        super().__init__(())
        self.cost = 0

    def add(self, name: str, *arguments: Ref) -> Ref:
        self.cost += _COSTS.get(name, 20)
        return 0


def flat_index(index: Sequence[Index], shape: Sequence[int]) -> Index:
    """Return the place of an element in C order."""
    total, stride = Index(), 1
    for i, n in zip(reversed(index), reversed(shape), strict=True):
        total, stride = total.plus(i.times(stride)) if n != 1 else total, stride * n
    return total


def stretched(index: Sequence[Index], shape: tuple[int, ...]) -> list[Index]:
    """Return the index into a value of this shape that is broadcast."""
    last = index[len(index) - len(shape) :]
    return [i if n != 1 else Index() for i, n in zip(last, shape, strict=True)]
