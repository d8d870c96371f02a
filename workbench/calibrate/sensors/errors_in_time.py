"""Errors that last: the Ornstein-Uhlenbeck process at any times, which is AR(1) where they are even.

Errors e of one unit have SD sigma and correlate by rho = exp(-dt / time_constant). Being a Markov process, an error
given those before it hangs on the last of them alone: it is normal with mean rho e' and SD sigma sqrt(1 - rho^2), so
the joint density is a product over readings (Jones & Boadi-Boateng, Biometrics 47 (1991) 161-175, section 2).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray

from workbench.calibrate.sensors.tails import functions_for

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Chains:
    """Which of n values follow each other in time.

    Attributes
    ----------
    previous
        (n,) place of the value before; its own where there is none.
    gap
        (n,) time since then, zero where there is none.
    rank
        (n,) how many values of its chain are before it.
    """

    previous: Index
    gap: Array
    rank: Index

    @classmethod
    def of(cls, keys: Index, time: Array) -> "Chains":
        """Return the chains of values with the same key (a unit, or a unit's element of a vector), in order of time."""
        order = np.lexsort((time, keys))
        linked = np.concatenate([[False], keys[order[1:]] == keys[order[:-1]]])[: time.size]
        place = np.arange(time.size)
        previous, rank = place.copy(), np.empty_like(place)
        previous[order[linked]] = order[place[linked] - 1]
        rank[order] = place - np.maximum.accumulate(np.where(linked, 0, place))
        return cls(previous, time - time[previous], rank)

    @property
    def ends(self) -> Index:
        """(chains,) the last value of each chain."""
        return np.setdiff1d(np.arange(self.rank.size), self.previous[self.rank > 0])


def variable(
    name: str, centre: Any, arguments: Mapping[str, Any], chains: Chains, *, shape: tuple[int, ...], **keywords: Any
) -> Any:
    """Return the PyMC variable of readings whose errors last; its density is pointwise, given the readings before.

    `shape` is that of the n readings, one chain's values in order of time among the others; `keywords` hold `observed`
    and dims.
    """

    def logp(value: Any, centre: Any, sigma: Any, time_constant: Any) -> Any:
        given = {"sigma": _flat(sigma), "time_constant": _flat(time_constant)}
        mean, spread = conditional(value.ravel(), centre.ravel(), given, chains)
        return pm.logp(pm.Normal.dist(mean, **spread), value.ravel()).reshape(value.shape)

    def random(centre: Any, sigma: Any, time_constant: Any, rng: Any = None, size: Any = None) -> Any:
        centre, *values = (
            np.broadcast_to(part, size).reshape(-1, chains.rank.size) for part in (centre, sigma, time_constant)
        )
        given, unknown = dict(zip(("sigma", "time_constant"), values, strict=True)), np.full(centre.shape, np.nan)
        return (centre + draw_errors(given, chains, rng, known=unknown)).reshape(size)

    values = (pt.as_tensor(arguments[key]).astype("float64") for key in ("sigma", "time_constant"))
    return pm.CustomDist(name, centre, *values, logp=logp, random=random, shape=shape, **keywords)


def _flat(argument: Any) -> Any:
    return argument.ravel() if argument.ndim else argument


def conditional(readings: Any, centre: Any, arguments: Mapping[str, Any], chains: Chains) -> tuple[Any, dict[str, Any]]:
    """Return the mean and the SD (as `sigma`) of each reading (..., n) given those before it.

    Parameters
    ----------
    readings
        (n,) in the output's unit, an array or a PyTensor variable.
    centre
        (..., n) the outputs, an array or a PyTensor variable.
    arguments
        `sigma` and `time_constant`, numbers or over (..., n).
    chains
        Of the n readings.
    """
    decay, sigma = _steps(arguments, chains)
    error = readings - centre
    return centre + decay * error[..., chains.previous], {"sigma": sigma}


def _steps(arguments: Mapping[str, Any], chains: Chains) -> tuple[Any, Any]:
    """Return rho and the conditional SD of each value."""
    tau, sigma = arguments["time_constant"], arguments["sigma"]
    f, linked = functions_for(tau, sigma), chains.rank > 0
    decay = linked * f.exp(-chains.gap / tau)
    return decay, sigma * f.sqrt(f.where(linked, -f.expm1(-2 * np.where(linked, chains.gap, 1.0) / tau), 1.0))


def draw_errors(arguments: Mapping[str, Array], chains: Chains, rng: np.random.Generator, *, known: Array) -> Array:
    """Return errors (members, n) that go on from those that are `known` (members, n), NaN where none is."""
    decay, sigma = (np.broadcast_to(part, known.shape) for part in _steps(arguments, chains))
    made = np.where(np.isfinite(known), known, sigma * rng.normal(size=known.shape))
    for rank in range(1, int(chains.rank.max(initial=0)) + 1):
        at = np.flatnonzero(chains.rank == rank)
        follow = made[:, at] + decay[:, at] * made[:, chains.previous[at]]
        made[:, at] = np.where(np.isfinite(known[:, at]), made[:, at], follow)
    return made
