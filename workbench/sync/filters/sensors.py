"""How readings err, for compiled loops: on which scale they are Gaussian, with which variance, and their density."""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from workbench.base.errors import DataError
from workbench.declare.model import Model
from workbench.declare.noise import FAMILIES
from workbench.declare.prior import Prior

KINDS = ("Normal", "LogNormal", "Proportional", "Combined", "StudentT", "Laplace", "Poisson", "NegativeBinomial")
_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


class Sensors(NamedTuple):
    """The M elements of outputs that were measured: place among the outputs, kind of noise, and its arguments."""

    column: NDArray[np.int64]
    kind: NDArray[np.int64]
    first: NDArray[np.float64]
    second: NDArray[np.float64]


def sensors(model: Model, names: Any, values: Any) -> Sensors:
    """Return the sensors of some outputs; `values` are noise arguments by name, for those that have priors.

    Raises
    ------
    DataError
        If an output's noise hangs together in time, or the output is an increment: filters take neither.
    """
    rows = []
    for name in names:
        output = model.outputs[name]
        assert output.noise is not None
        if output.noise.name not in KINDS or FAMILIES[output.noise.name].joint:
            raise DataError(
                f"output {name!r}: got noise {output.noise!r}; expected one without memory, as filters take readings "
                "one by one (declare a state that remembers the error instead)"
            )
        if output.increment:
            raise DataError(
                f"output {name!r}: got an increment; expected the state itself, as filters take no increments"
            )
        numbers = [
            float(values.get(f"{name}_{key}", value.quantile(0.5))) if isinstance(value, Prior) else float(value)
            for key, value in output.noise.arguments
        ]
        place = model.output_layout.places[name]
        rows += [(k, KINDS.index(output.noise.name), *[*numbers, 0.0, 0.0][:2]) for k in range(place.start, place.stop)]
    column, kind, first, second = zip(*rows, strict=True)
    return Sensors(np.array(column), np.array(kind), np.array(first, dtype=float), np.array(second, dtype=float))


@njit(cache=True, error_model="numpy")
def shown(kind: int, value: float) -> float:
    """Return a value on the scale on which the noise is additive: the logarithm for LogNormal."""
    return math.log(max(value, 1e-300)) if kind == 1 else value


@njit(cache=True, error_model="numpy")
def shown_slope(kind: int, value: float) -> float:
    """Return the derivative of `shown`."""
    return 1.0 / max(value, 1e-300) if kind == 1 else 1.0


@njit(cache=True, error_model="numpy")
def variance(kind: int, first: float, second: float, value: float) -> float:
    """Return the variance of a reading of an output, on the scale of `shown`.

    Of StudentT sigma^2 nu / (nu - 2), for nu below 2.5 as at 2.5; of Laplace 2 b^2; of Poisson the output itself, of
    NegativeBinomial mu + mu^2 / alpha, not below 1.
    """
    if kind == 2:
        return (first * value) ** 2
    if kind == 3:
        return first * first + (second * value) ** 2
    if kind == 4:
        nu = max(first, 2.5)
        return second * second * nu / (nu - 2.0)
    if kind == 5:
        return 2.0 * first * first
    if kind == 6:
        return max(value, 1.0)
    if kind == 7:
        return max(value + value * value / first, 1.0)
    return first * first


@njit(cache=True, error_model="numpy")
def log_density(kind: int, first: float, second: float, y: float, value: float) -> float:
    """Return the log density (of counts: log probability) of a reading given the output."""
    if kind == 4:
        z = (y - value) / second
        return (
            math.lgamma(0.5 * (first + 1)) - math.lgamma(0.5 * first) - 0.5 * math.log(first * math.pi)
            - math.log(second) - 0.5 * (first + 1) * math.log1p(z * z / first)
        )  # fmt: skip
    if kind == 5:
        return -abs(y - value) / first - math.log(2 * first)
    if kind == 6:
        if value <= 0.0:
            return 0.0 if y == 0.0 else -math.inf
        return y * math.log(value) - value - math.lgamma(y + 1.0)
    if kind == 7:
        if value <= 0.0:
            return 0.0 if y == 0.0 else -math.inf
        chance = first / (first + value)
        many = math.lgamma(y + first) - math.lgamma(first) - math.lgamma(y + 1.0)
        return many + first * math.log(chance) + y * math.log1p(-chance)
    if kind == 1 and value <= 0.0:
        return -math.inf
    r = variance(kind, first, second, value)
    gap = shown(kind, y) - shown(kind, value)
    return -0.5 * gap * gap / r - 0.5 * math.log(r) - _HALF_LOG_2PI - (math.log(y) if kind == 1 else 0.0)
