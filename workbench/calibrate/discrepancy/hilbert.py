"""Gaussian processes as sums of sines: the Hilbert-space approximation on a box.

A stationary process on [-L, L] is nearly the sum of the Laplacian's eigenfunctions phi_j, each weighted by a standard
normal and by the root of the spectral density at its frequency (Solin & Sarkka, Statistics and Computing 30 (2020)
419-446, equations 30, 56 and 60). The functions hang on neither SD nor length, so they are computed once.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.declare.kernel import Kernel

Array = NDArray[np.float64]
LEAST = 1.2  # of boundary over half-width (Riutort-Mayol et al. 2023, section 4.2.2)
CUT = 1.5  # of the same, where functions are scarce: those of a wider box would be spent outside
PROBES = 40  # places of the span at which covariances are compared


@dataclass(frozen=True, eq=False)
class Basis:
    """The eigenfunctions of a box.

    Attributes
    ----------
    kernel
        The covariance.
    middle, half, boundary
        (D,) middle and half-width of the span that matters, and half-width of the box, in the coordinates' units.
    numbers
        (size, D) which eigenfunction of each coordinate, counted from 1, a function is the product of.
    """

    kernel: Kernel
    middle: Array
    half: Array
    boundary: Array
    numbers: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        kernel: Kernel,
        low: Array,
        high: Array,
        *,
        lengths: Sequence[tuple[float, float]],
        most: int | None = None,
    ) -> "Basis":
        """Return the basis for a span (D,) and the shortest and longest length of each coordinate, by the rules.

        Of more than `most` products, those of largest prior variance at the geometric mean of both lengths are kept,
        in a box of at most 1.5 half-widths.
        """
        middle, half = 0.5 * (low + high), 0.5 * (high - low)
        ends = np.asarray(lengths, dtype=np.float64)
        boundary = np.maximum(LEAST * half, kernel.reach * ends[:, 1])
        counts = tuple(math.ceil(n) for n in kernel.fineness * boundary / ends[:, 0])
        total = math.prod(counts)
        if most is None or total <= most:
            return cls(kernel, middle, half, boundary, _products(counts, total))
        boundary = np.minimum(boundary, CUT * half)
        counts = tuple(math.ceil(n) for n in kernel.fineness * boundary / ends[:, 0])
        numbers = _products(counts, most)
        typical = np.sqrt(ends.prod(axis=1))
        squares = ((numbers * typical / boundary) ** 2).sum(axis=1)  # both spectral densities fall with it
        return cls(kernel, middle, half, boundary, numbers[np.sort(np.argsort(squares, kind="stable")[:most])])

    @property
    def size(self) -> int:
        """How many functions there are."""
        return len(self.numbers)

    @cached_property
    def frequencies(self) -> Array:
        """(size, D) the frequency of each function along each coordinate."""
        return self.numbers * (0.5 * np.pi / self.boundary)

    def functions(self, points: Array) -> Array:
        """Return the eigenfunctions (n, size) at points (n, D); zero outside the box."""
        away = points - self.middle
        made = np.repeat((np.abs(away) <= self.boundary).all(axis=1)[:, None], self.size, axis=1).astype(np.float64)
        for own, x, edge in zip(self.numbers.T, away.T, self.boundary, strict=True):
            angles = np.outer(x + edge, np.arange(1, own.max() + 1) * (0.5 * np.pi / edge))
            made *= (np.sin(angles) / np.sqrt(edge))[:, own - 1]
        return made

    def slopes(self, points: Array) -> Array:
        """Return the derivatives (n, size) of the eigenfunctions of one coordinate, at points (n, 1)."""
        away = points - self.middle + self.boundary
        return self.frequencies[:, 0] * np.cos(self.frequencies[:, 0] * away) / np.sqrt(self.boundary)

    def amplitudes(self, sigma: Any, lengths: Any, exp: Any = np.exp) -> Any:
        """Return the SD (..., size) of the coefficient of each function.

        Parameters
        ----------
        sigma
            (...) SD of the process.
        lengths
            A list over coordinates of (...); arrays or PyTensor variables, with `exp` to match.
        """
        squares, volume = 0.0, 1.0
        for own, length in zip(self.frequencies.T, lengths, strict=True):
            squares = squares + (length[..., None] * own) ** 2
            volume = volume * length
        root = self.kernel.amplitude(squares, len(self.boundary), exp)
        return (sigma * volume**0.5)[..., None] * root

    def spread(self, points: Array, lengths: Sequence[float]) -> Array:
        """Return the SD (n,) at points of a process whose SD should be 1: less near the boundary and outside."""
        scaled = self.functions(points) * self.amplitudes(np.ones(()), [np.asarray(length) for length in lengths])
        return np.sqrt((scaled**2).sum(axis=1))

    def error(self, lengths: Sequence[float]) -> float:
        """Return the largest error of a covariance on the span, as a share of the variance, along any coordinate."""
        worst = 0.0
        for axis in range(len(self.boundary)):
            points = np.tile(self.middle, (PROBES, 1))
            points[:, axis] += np.linspace(-1.0, 1.0, PROBES) * self.half[axis]
            scaled = self.functions(points) * self.amplitudes(np.ones(()), [np.asarray(length) for length in lengths])
            squares = ((points[:, None, axis] - points[None, :, axis]) / lengths[axis]) ** 2
            worst = max(worst, float(np.abs(scaled @ scaled.T - self.kernel.correlation(squares)).max()))
        return worst


def _products(counts: Sequence[int], most: int) -> NDArray[np.int64]:
    """Return the numbers (n, D), up to `counts`, whose product is at most `most`, the last changing fastest.

    No other is among the `most` of lowest frequency: below it in every coordinate lie as many as its product.
    """
    kept = np.ones((1, 0), dtype=np.int64)
    for count in counts:
        more = np.arange(1, count + 1)
        grid = np.hstack([np.repeat(kept, count, axis=0), np.tile(more, len(kept))[:, None]])
        kept = grid[grid.prod(axis=1) <= most]
    return kept
