"""Covariances of smooth unknown functions, as plain data: `wb.kernel.Matern52()`.

Both are stationary, and meet a function of unit variance through its spectral density (Rasmussen & Williams, Gaussian
Processes for Machine Learning, 2006, section 4.2.1). Lengths are in the unit of the coordinates; a kernel of several
coordinates has a length for each.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from workbench.base.errors import DeclarationError, unknown

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Kernel:
    """What the covariances share.

    Attributes
    ----------
    reach, fineness
        Rules of the Hilbert-space approximation on a span of half-width S: its boundary is at least `reach` lengths
        from the middle (and 1.2 S), and basis functions are at least `fineness` times boundary over length
        (Riutort-Mayol, Buerkner, Andersen, Solin & Vehtari, Statistics and Computing 33 (2023) 17, section 4.2.2).
    """

    reach: ClassVar[float]
    fineness: ClassVar[float]

    def correlation(self, squares: Array) -> Array:
        """Return the correlation at squared distances in lengths."""
        raise NotImplementedError

    def amplitude(self, squares: Any, dimensions: int, exp: Any = np.exp) -> Any:
        """Return the square root of the spectral density at squared frequencies times lengths, lengths left out.

        The spectral density of a function of SD sigma is the square of this, times sigma^2 and the product of the
        lengths. Arrays or PyTensor variables, with `exp` to match.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Matern52(Kernel):
    """Matern covariance of smoothness 5/2: functions that bend, but twice differentiable."""

    reach: ClassVar[float] = 4.1
    fineness: ClassVar[float] = 2.65

    def correlation(self, squares: Array) -> Array:
        """Return (1 + a + a^2 / 3) exp(-a), a the distance times the root of 5 (Rasmussen & Williams, 4.17)."""
        a = np.sqrt(5.0 * squares)
        return (1.0 + a + a**2 / 3.0) * np.exp(-a)

    def amplitude(self, squares: Any, dimensions: int, exp: Any = np.exp) -> Any:
        """Return the root of Rasmussen & Williams, equation 4.15, at smoothness 5/2."""
        half = 0.5 * (5 + dimensions)
        constant = 2.0**dimensions * math.pi ** (0.5 * dimensions) * math.gamma(half) * 5.0**2.5 / math.gamma(2.5)
        return math.sqrt(constant) * (5.0 + squares) ** (-0.5 * half)


@dataclass(frozen=True)
class SquaredExponential(Kernel):
    """Squared exponential covariance: functions without a kink of any order."""

    reach: ClassVar[float] = 3.2
    fineness: ClassVar[float] = 1.75

    def correlation(self, squares: Array) -> Array:
        """Return exp(-d^2 / 2) (Rasmussen & Williams, 4.9)."""
        return np.exp(-0.5 * squares)

    def amplitude(self, squares: Any, dimensions: int, exp: Any = np.exp) -> Any:
        """Return the root of (2 pi)^(D/2) exp(-q / 2) (Rasmussen & Williams, below 4.9)."""
        return (2.0 * math.pi) ** (0.25 * dimensions) * exp(-0.25 * squares)


KERNELS: dict[str, type[Kernel]] = {"Matern52": Matern52, "SquaredExponential": SquaredExponential}


def from_name(name: str) -> Kernel:
    """Return the kernel of a name; DeclarationError for one that is not known."""
    if name not in KERNELS:
        raise DeclarationError(unknown("kernel", name, KERNELS, "wb.kernel"))
    return KERNELS[name]()
