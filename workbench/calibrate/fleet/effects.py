"""Coordinates in which the effects of units hang neither on their population's median nor on its SD.

Where the SD between units may be large or near zero by what was read, neither form of a population will do: the centred
one is a funnel at small SDs, the other a ridge at large ones, and one posterior may hold both. But readings that tell
of a unit's effect x about N(e, 1 / F) give, with the population N(mu, s^2), an effect of mean m = mu + b (e - mu) and
variance s^2 (1 - b), b = s^2 F / (1 + s^2 F). So y = (x - m) / (s sqrt(1 - b)) is about standard normal whatever mu and
s are: exactly so for linear models with Gaussian errors. For other models it is a change of coordinates like any other,
and what is sampled is the same posterior (Christensen, Roberts & Skold, J. Comput. Graph. Statist. 15 (2006) 1-17).

e and F are read off slope and curvature of the density at the top from which chains start.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from workbench.calibrate.problem import Problem
    from workbench.calibrate.sampling.density import Density
    from workbench.calibrate.sampling.space import Space

Array = NDArray[np.float64]
Places = NDArray[np.int64]
STEP = 0.05  # of the differences of gradients, in SDs of an effect given the rest
ROUNDS = 4  # in which steps are fitted to those SDs


@dataclass(frozen=True)
class Effects:
    """The effects of units in the unconstrained space, and what the readings tell of each.

    Attributes
    ----------
    unit, population, spread
        (n,) places of an effect, of its population's median, and of its SD between units.
    centred
        (n,) whether the effect's own coordinate is x on its unbounded scale, or (x - mu) / s.
    low, high
        (n,) ends of the SD's support.
    information, pull
        (n,) F and F e.
    """

    unit: Places
    population: Places
    spread: Places
    centred: NDArray[np.bool_]
    low: Array
    high: Array
    information: Array
    pull: Array

    def sds(self, points: Array) -> Array:
        """Return s (..., n) at points (..., size)."""
        u = points[..., self.spread]
        with np.errstate(all="ignore"):  # of the way not taken
            return self.low + np.where(np.isfinite(self.high), (self.high - self.low) / (1.0 + np.exp(-u)), np.exp(u))

    def _middle(self, points: Array) -> tuple[Array, Array, Array, Array]:
        """Return mu, s, the mean of (x - mu) / s that is expected, and 1 + s^2 F."""
        mu, s = points[..., self.population], self.sds(points)
        total = 1.0 + s * s * self.information
        return mu, s, s * (self.pull - self.information * mu) / total, total

    def straight(self, points: Array) -> Array:
        """Return points (..., size) of the density's own space in the coordinates y."""
        mu, s, mean, total = self._middle(points)
        own = points[..., self.unit]
        distance = np.where(self.centred, (own - mu) / s, own)
        made = points.copy()
        made[..., self.unit] = (distance - mean) * np.sqrt(total)
        return made

    def bent(self, points: Array) -> Array:
        """Return points (..., size) in the coordinates y in the density's own space."""
        mu, s, mean, total = self._middle(points)
        distance = mean + points[..., self.unit] / np.sqrt(total)
        made = points.copy()
        made[..., self.unit] = np.where(self.centred, mu + s * distance, distance)
        return made

    def log_volume(self, points: Array) -> Array:
        """Return by how much (...) the log density in y is above that at points (..., size) of either space."""
        _, s, _, total = self._middle(points)
        return np.sum(np.where(self.centred, np.log(s), 0.0) - 0.5 * np.log(total), axis=-1)


def effects_of(problem: "Problem", density: "Density", top: Array) -> Effects | None:
    """Return the effects whose form was left open, None where there are none; `top` (size,) is the top of a mode."""
    chosen = [name for name, partial in problem.partials.items() if partial.centred is None]
    parts = [_places(problem, density.space, name) for name in chosen]
    columns = [column for part in parts for column in part]
    if not columns:
        return None
    unit, population, spread, centred, low, high = (np.stack(each, axis=1) for each in zip(*columns, strict=True))
    places = {"unit": unit, "population": population, "spread": spread, "centred": centred, "low": low, "high": high}
    none = np.zeros(unit.size)
    flat = Effects(**{key: values.ravel() for key, values in places.items()}, information=none, pull=none)
    known = _curvature(density, flat, top, shape=unit.shape)
    s, distance = flat.sds(top).reshape(unit.shape), flat.straight(top)[flat.unit].reshape(unit.shape)
    share = np.clip(1.0 - np.diagonal(np.linalg.inv(known), axis1=1, axis2=2), 0.0, 1.0 - 1e-12)
    information = share / (1.0 - share) / s**2
    # at the top the mean that is expected is what was found there
    pull = information * top[population] + distance * (1.0 + s * s * information) / s
    return replace(flat, information=information.ravel(), pull=pull.ravel())


def _places(problem: "Problem", space: "Space", name: str) -> list[tuple[Any, ...]]:
    """Return for each element of a parameter the arrays (units,) of `Effects`, without what readings tell."""
    variables = {v.name: v for v in space.variables}
    population, spread = variables[f"{name}_pop"], variables[f"{name}_sd"]
    unit = variables.get(f"{name}_offset") or variables[name]
    centred, (low, high) = problem.centred[name], problem.spread(name).support
    count = problem.rows.size - 1
    own = np.arange(unit.place.start, unit.place.stop).reshape(count, -1)
    shared = [(population.place.start + k, spread.place.start + k, centred, low, high) for k in range(own.shape[1])]
    return [(own[:, k], *(np.full(count, value) for value in each)) for k, each in enumerate(shared)]


def _curvature(density: "Density", effects: Effects, top: Array, *, shape: tuple[int, int]) -> Array:
    """Return the negative second derivatives (units, own, own) by (x - mu) / s of each unit's effects.

    Units are independent given the rest, so the same effect of all of them is shifted at once: two gradients an effect
    for any number of units (Curtis, Powell & Reid, IMA J. Appl. Math. 13 (1974) 117-119).
    """
    places, by_unit = effects.unit.reshape(shape), np.where(effects.centred, effects.sds(top), 1.0).reshape(shape)
    steps, made = np.full(shape, STEP), np.zeros((*shape, shape[1]))
    for _ in range(ROUNDS):
        for k in range(shape[1]):
            shift = np.zeros(top.size)
            shift[places[:, k]] = steps[:, k] * by_unit[:, k]
            (up, above), (down, below) = density.evaluate(top + shift), density.evaluate(top - shift)
            if not (np.isfinite(up) and np.isfinite(down)):
                return np.broadcast_to(np.eye(shape[1]), made.shape)
            made[:, :, k] = (below - above)[places] * by_unit / (2 * steps[:, k, None])
        wanted = STEP / np.sqrt(np.maximum(np.diagonal(made, axis1=1, axis2=2), 1.0))
        if (np.abs(np.log(steps / wanted)) < np.log(4)).all():
            break
        steps = wanted
    # readings tell nothing at least
    values, vectors = np.linalg.eigh(0.5 * (made + np.swapaxes(made, 1, 2)))
    return (vectors * np.maximum(values, 1.0)[:, None, :]) @ np.swapaxes(vectors, 1, 2)
