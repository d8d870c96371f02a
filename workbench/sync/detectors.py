"""Detectors of what innovations should not do: one far off, a shift or drift of their mean, a spread too wide."""

from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Detector(Protocol):
    """What turns standardised innovations into alarms."""

    @property
    def name(self) -> str:
        """A word for tables."""

    def __hash__(self) -> int:
        """Equal detectors share their thresholds."""

    def threshold(self, run_length: float) -> float:
        """Return the threshold for a mean number of readings between false alarms."""

    def statistic(self, z: Array) -> Array:
        """Return the signed statistic after each of (n,) standardised innovations, begun at zero."""


@dataclass(frozen=True)
class Outlier:
    """One reading far off: |z| beyond a quantile of the normal distribution (z squared is chi-square of one degree)."""

    name: str = "outlier"

    def threshold(self, run_length: float) -> float:
        """Return the |z| that a right model exceeds once in so many readings."""
        from scipy.special import ndtri

        return float(-ndtri(0.5 / run_length))

    def statistic(self, z: Array) -> Array:
        """Return z itself."""
        return z


@dataclass(frozen=True)
class Shift:
    """A lasting shift of the mean: two-sided CUSUM (Page, Biometrika 41 (1954) 100-115).

    Parameters
    ----------
    size
        The shift, in SDs of an innovation, that is to be found fastest (the reference value is half of it).
    """

    size: float = 1.0
    name: str = "shift"

    def threshold(self, run_length: float) -> float:
        """Return the decision interval h."""
        from workbench.sync.runlength import cusum_threshold

        return cusum_threshold(run_length, 0.5 * self.size)

    def statistic(self, z: Array) -> Array:
        """Return the upper sum, or minus the lower one where that is larger."""
        upper, lower = _cusum(z - 0.5 * self.size), _cusum(-z - 0.5 * self.size)
        return np.where(upper >= lower, upper, -lower)


@dataclass(frozen=True)
class Spread:
    """Innovations that scatter more than they should: CUSUM of their squares, each chi-square of one degree.

    S = max(0, S + z^2 - k), k = 2 log(ratio) / (1 - 1 / ratio^2), Page's test by likelihood ratios for a normal SD
    (Hawkins & Olwell, Cumulative Sum Charts and Charting for Quality Improvement, 1998, section 6.3).

    Parameters
    ----------
    ratio
        The SD, in that of a right model, that is to be found fastest.
    """

    ratio: float = 1.5
    name: str = "spread"

    @property
    def reference(self) -> float:
        """What the mean square must exceed for the sum to grow."""
        return float(2 * np.log(self.ratio) / (1 - self.ratio**-2))

    def threshold(self, run_length: float) -> float:
        """Return the decision interval h."""
        from workbench.sync.runlength import spread_threshold

        return spread_threshold(run_length, self.reference)

    def statistic(self, z: Array) -> Array:
        """Return the sum."""
        return _cusum(z * z - self.reference)


@dataclass(frozen=True)
class Drift:
    """A slow drift: exponentially weighted moving average (Roberts, Technometrics 1 (1959) 239-250).

    Parameters
    ----------
    half_life
        Readings after which a reading's weight has halved.
    """

    half_life: float = 30.0
    name: str = "drift"

    @property
    def weight(self) -> float:
        """The weight of the newest reading."""
        return float(1 - 0.5 ** (1 / self.half_life))

    def threshold(self, run_length: float) -> float:
        """Return the limits in SDs of the average."""
        from workbench.sync.runlength import ewma_threshold

        return ewma_threshold(run_length, self.weight)

    def statistic(self, z: Array) -> Array:
        """Return the average in units of its stationary SD."""
        from scipy.signal import lfilter

        w = self.weight
        return lfilter([w], [1, w - 1], z) / np.sqrt(w / (2 - w))


DETECTORS: tuple[Detector, ...] = (Outlier(), Shift(), Spread(), Drift())


def detect(z: Array, detector: Detector, threshold: float) -> tuple[Array, NDArray[np.bool_]]:
    """Return a detector's statistic after each of (n,) innovations, and where it alarms; it begins anew after each."""
    statistic, raised = np.empty_like(z), np.zeros(z.size, dtype=bool)
    begin, piece = 0, 1024
    while begin < z.size:
        end = min(begin + piece, z.size)
        part = detector.statistic(z[begin:end])
        over = np.flatnonzero(np.abs(part) > threshold)
        if over.size:
            end = begin + int(over[0]) + 1
            raised[end - 1] = True
        elif end < z.size:  # no alarm so far: look further from the same begin, as the statistic has a memory
            piece *= 4
            continue
        statistic[begin:end] = part[: end - begin]
        begin, piece = end, 1024
    return statistic, raised


@cache
def threshold(detector: Detector, run_length: float) -> float:
    """Return a detector's threshold, kept for the next time, as it takes some milliseconds to find."""
    return detector.threshold(run_length)


def _cusum(steps: Array) -> Array:
    """Return S = max(0, S + step), begun at zero: the sum less its lowest value so far."""
    total = np.cumsum(steps)
    return total - np.minimum(np.minimum.accumulate(total), 0.0)
