"""Fisher information of a design at given parameters, in units of the prior's SDs, and what a posterior would be.

Every coordinate is a score under its prior (see `normal_scores`), so the prior adds 1 to the information of each. With
derivatives J of the outputs and information W of the readings, F = J' W J; the posterior's covariance is about
inv(F + 1) (the bound of Van Trees; Gill & Levit, Bernoulli 1 (1995) 59-79), and that of linear Gaussian models exactly.
What varies between units of a population is integrated out, and the information about between-unit SDs is that of the
marginal normal (Mentre, Mallet & Baccar, Biometrika 84 (1997) 429-442; Retout & Mentre, Journal of Biopharmaceutical
Statistics 13 (2003) 209-227), as is that about correlations of effects (`workbench.calibrate.identify.effects`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.calibrate.fleet.pooling import Scale, scale_of
from workbench.calibrate.identify.coordinates import Coordinate, coordinates_of, way_of
from workbench.calibrate.identify.effects import Population, Tie, without_effects
from workbench.calibrate.identify.reading_information import reading_information, whitened
from workbench.calibrate.problem import Problem
from workbench.declare.prior import Prior

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Point:
    """Values at which information is asked for.

    Attributes
    ----------
    theta
        (units, parameters) what the solver takes.
    slopes
        (units, estimated, coordinates) derivatives of the estimated parameters by the scores.
    loads
        (units, estimated) derivatives by the standardised effect of each unit; zero where there is none.
    values, score_slopes
        (coordinates,) values, and their derivatives by the scores.
    """

    theta: Array
    slopes: Array
    loads: Array
    values: Array
    score_slopes: Array


class Frame:
    """The coordinates of a problem, and where each acts.

    Attributes
    ----------
    effects
        Columns of the estimated parameters of which units have effects, and coordinates of their between-unit SDs.
    ties
        Of each group of correlated effects, their places in `effects` and the coordinates of its free variables.
    untold
        Coordinates of which no information is worked out: SDs between units of arguments of a noise.
    """

    def __init__(self, problem: Problem):
        self.problem = problem
        self.coordinates: list[Coordinate] = coordinates_of(problem)
        self.at = {(c.variable, c.place): k for k, c in enumerate(self.coordinates)}
        self.labels = [c.label for c in self.coordinates]
        self.units = problem.rows.size - 1
        layout = problem.model.theta_layout
        self.columns = layout.columns(problem.model.estimated)
        elements = ((n, e) for n in problem.model.estimated for e in np.ndindex(*layout.shapes[n]))
        self.effects = [
            (column, self.at[f"{name}_sd", element])
            for column, (name, element) in enumerate(elements)
            if way_of(problem, name) == "partial"
        ]
        place = {self.coordinates[sd].variable.removesuffix("_sd"): k for k, (_, sd) in enumerate(self.effects)}
        self.ties = [
            Tie(group, [place[name] for name in group.names], {name: self.at[name, ()] for name in group.priors})
            for group in problem.correlated
        ]
        noises = {name for name in problem.model.noise_parameters if way_of(problem, name) == "partial"}
        self.untold = [k for k, c in enumerate(self.coordinates) if c.variable.removesuffix("_sd") in noises]
        self._maps = {c.prior: c.scores for c in self.coordinates}  # one for each prior: laws are slow to make

    def draw(self, rng: np.random.Generator, count: int, given: Mapping[str, Any]) -> tuple[Array, Array]:
        """Return scores (count, coordinates) from the priors, with values where given, and effects of units."""
        scores = rng.normal(size=(count, len(self.coordinates)))
        for k, coordinate in enumerate(self.coordinates):
            if coordinate.variable in given:
                value = np.asarray(given[coordinate.variable], dtype=np.float64)
                element = value[coordinate.place] if value.ndim else value
                scores[:, k] = self._maps[coordinate.prior].scores(np.atleast_1d(element))
        return scores, rng.normal(size=(count, self.units, len(self.columns)))

    def points(self, scores: Array, effects: Array) -> list[Point]:
        """Return the values at scores (members, coordinates) and effects (members, units, estimated)."""
        values, slopes = np.empty_like(scores), np.empty_like(scores)
        for prior, law in self._maps.items():
            mine = [k for k, c in enumerate(self.coordinates) if c.prior == prior]
            values[:, mine], slopes[:, mine] = law.value(scores[:, mine]), law.slope(scores[:, mine])
        return [self._point(*member) for member in zip(values, slopes, effects, strict=True)]

    def _point(self, values: Array, slopes: Array, effects: Array) -> Point:
        problem, model = self.problem, self.problem.model
        theta = np.empty((self.units, model.theta_layout.size))
        for name, place in model.theta_layout.places.items():
            if model.theta[name].prior is None:
                theta[:, place] = np.ravel(model.theta[name].nominal())
        moves = np.zeros((self.units, len(self.columns), values.size))
        loads = np.zeros((self.units, len(self.columns)))
        for tie in self.ties:
            mine = [self.effects[k][0] for k in tie.places]
            effects = effects.copy()
            effects[:, mine] = effects[:, mine] @ tie.root(values).T
        column = 0
        for name in model.estimated:
            quantity, way = model.theta[name], way_of(problem, name)
            assert quantity.prior is not None
            for element in np.ndindex(*model.shape(quantity)):
                target = theta[:, self.columns[column]]
                if way == "partial":
                    centre, spread = self.at[f"{name}_pop", element], self.at[f"{name}_sd", element]
                    made = _of_population(quantity.prior, values[centre], values[spread] * effects[:, column])
                    target[:], by_centre, by_effect = made
                    moves[:, column, centre] = by_centre * slopes[centre]
                    loads[:, column] = by_effect * values[spread]
                else:
                    for unit in range(self.units):
                        k = self.at[name, (unit, *element) if way == "none" else element]
                        target[unit], moves[unit, column, k] = values[k], slopes[k]
                column += 1
        return Point(theta, moves, loads, values, slopes)

    def steps(self, point: Point) -> Array:
        """Return (units, estimated) the change of each estimated parameter by one SD of its prior."""
        return np.sqrt((point.slopes**2).sum(axis=2) + point.loads**2)


def _of_population(prior: Prior, centre: float, effects: Array) -> tuple[Array, Array, Array]:
    """Return parameters of units, and their derivatives by the population's median and by effects on its scale."""
    scale = scale_of(prior)
    made = np.asarray(scale.unlink(scale.link(centre) + effects))
    stretch = _stretch(scale, made)
    return made, stretch / _stretch(scale, np.asarray(centre)), stretch


def _stretch(scale: Scale, value: Array) -> Array:
    """Return the derivative of a value by its place on the unbounded scale."""
    match scale.name:
        case "identity":
            return np.ones_like(value)
        case "logit":
            return (value - scale.low) * (scale.high - value) / (scale.high - scale.low)
    return value - scale.low if np.isfinite(scale.low) else value - scale.high


def fisher(frame: Frame, point: Point, outputs: Array, slopes: Array) -> Array:
    """Return the information (coordinates, coordinates) about scores, in units of that of the prior.

    Parameters
    ----------
    frame
        The coordinates.
    point
        Where.
    outputs, slopes
        (rows, outputs), and their derivatives (rows, outputs, estimated) there.
    """
    size, width = len(frame.coordinates), len(frame.columns)
    total = np.zeros((size, size))
    own, cross = np.zeros((frame.units, width, width)), np.zeros((frame.units, size, width))
    for name in frame.problem.measured:
        unit, weights, by_theta, by_noise = _readings(frame, point, name, outputs, slopes)
        by_score = np.empty((unit.size, size))
        for k in range(frame.units):
            mine = unit == k
            by_score[mine] = by_theta[mine] @ point.slopes[k]
        moves = np.concatenate([by_score[:, None], by_noise], axis=1)  # (readings, 1 + arguments, coordinates)
        weighted = weights @ moves
        total += np.tensordot(moves, weighted, axes=([0, 1], [0, 1]))
        for k in range(frame.units if frame.effects else 0):
            mine = unit == k
            by_effect = by_theta[mine] * point.loads[k]
            own[k] += by_effect.T @ (weights[mine, :1, 0] * by_effect)
            cross[k] += weighted[mine, 0].T @ by_effect
    if not frame.effects:
        return total
    places, sds = (np.array(each) for each in zip(*frame.effects, strict=True))
    population = Population.at(point.values, point.score_slopes, sds=sds, ties=frame.ties)
    return without_effects(population, total, own[:, places[:, None], places], cross[:, :, places])


def effect_information(frame: Frame, point: Point, outputs: Array, slopes: Array) -> Array:
    """Return the information (units, estimated, estimated) of readings about standardised effects of units.

    Arguments as in `fisher`.
    """
    own = np.zeros((frame.units, len(frame.columns), len(frame.columns)))
    for name in frame.problem.measured:
        unit, weights, by_theta, _ = _readings(frame, point, name, outputs, slopes)
        for k in range(frame.units):
            by_effect = by_theta[unit == k] * point.loads[k]
            own[k] += by_effect.T @ (weights[unit == k, :1, 0] * by_effect)
    return own


def _readings(
    frame: Frame, point: Point, name: str, outputs: Array, slopes: Array
) -> tuple[NDArray[np.int64], Array, Array, Array]:
    """Return of each reading of an output the unit, the information, and derivatives by parameters and by scores."""
    problem, model = frame.problem, frame.problem.model
    noise, place, rows = model.outputs[name].noise, model.output_layout.places[name], problem.measured[name]
    assert noise is not None
    wide = place.stop - place.start
    of_row = np.repeat(np.arange(frame.units), np.diff(problem.rows))
    rows = rows[np.lexsort((rows // wide, rows % wide, of_row[rows // wide]))]  # each element's series by itself
    unit, times = of_row[rows // wide], problem.observations.time[rows // wide]
    by_theta, centre = slopes[:, place].reshape(-1, len(frame.columns)), outputs[:, place].ravel()
    if model.outputs[name].increment:
        before = problem.sensor(name).before
        by_theta, centre = by_theta - by_theta[before], centre - centre[before]
    by_theta, centre = by_theta[rows], centre[rows]
    arguments, by_noise = _noise(frame, point, name, unit)
    if noise.name == "AR1":
        afresh = (np.diff(unit, prepend=-1) != 0) | (np.diff(rows % wide, prepend=-1) != 0)
        arguments["gap"] = np.where(afresh, np.inf, np.diff(times, prepend=times[0]))
        by_theta = whitened(by_theta, arguments["gap"], arguments["time_constant"])
    return unit, reading_information(noise, centre, arguments), by_theta, by_noise


def _noise(frame: Frame, point: Point, name: str, unit: NDArray[np.int64]) -> tuple[dict[str, Array], Array]:
    """Return the arguments of a noise at each reading, and their derivatives (readings, arguments, coordinates)."""
    noise = frame.problem.model.outputs[name].noise
    assert noise is not None
    arguments = {}
    slopes = np.zeros((unit.size, len(noise.arguments), len(frame.coordinates)))
    reading = np.arange(unit.size)
    for a, (key, value) in enumerate(noise.arguments):
        if not isinstance(value, Prior):
            arguments[key] = np.full(unit.size, value)
            continue
        variable = f"{name}_{key}"
        if way_of(frame.problem, variable) == "none":
            mine = np.array([frame.at[variable, (k,)] for k in range(frame.units)])[unit]
        else:  # of a population its median
            named = f"{variable}_pop" if way_of(frame.problem, variable) == "partial" else variable
            mine = np.full(unit.size, frame.at[named, ()])
        arguments[key] = point.values[mine]
        slopes[reading, a, mine] = point.score_slopes[mine]
    return arguments, slopes
