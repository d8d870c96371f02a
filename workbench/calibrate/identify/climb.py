"""The likelihood without the priors, and its largest values with one coordinate held: what profiles are made of."""

from typing import TYPE_CHECKING

import numpy as np
import pytensor.tensor as pt
import scipy.optimize
from numpy.typing import NDArray
from pymc.pytensorf import compile as compile_graph
from pytensor.compile.mode import Mode

from workbench.base.errors import SamplingError
from workbench.calibrate.identify.coordinates import Coordinate, coordinates_of
from workbench.calibrate.sampling.density import Density

if TYPE_CHECKING:
    import pymc as pm

    from workbench.calibrate.calibration import Calibration

Array = NDArray[np.float64]
FAR = 4.0  # SDs of the prior from its median, beyond which no end is looked for
SMALL, LARGE = 0.1, 0.35  # share of the drop to the threshold that a step should make
MOST = 60  # points to a side
PULL = 1e-4  # towards the best draw, per squared SD of the posterior: nothing runs off where all is flat


class Likelihood:
    """The log likelihood over the unconstrained space: the compiled density without the declared priors.

    Attributes
    ----------
    evaluations
        How often it was asked for.
    """

    def __init__(self, made: "pm.Model", density: Density, variables: set[str]):
        self.space, self.evaluations, self._density = density.space, 0, density
        priors = [rv for rv in made.free_RVs if rv.name in variables]
        values = [made.rvs_to_values[rv] for rv in made.free_RVs]
        total = pt.sum([term.sum() for term in made.logp(vars=priors, sum=False)])
        slopes = pt.grad(total, values, disconnected_inputs="ignore", return_disconnected="zero")
        mode = Mode("py", "fast_run")  # machine code would take longer to make than it saves
        with made:
            self._prior = compile_graph(values, [total, *slopes], mode=mode, on_unused_input="ignore")

    def __call__(self, point: Array) -> tuple[float, Array]:
        """Return the log likelihood at a point (size,) and its gradient; -inf and zeros where there is none."""
        self.evaluations += 1
        value, slope = self._density.evaluate(point)
        if not np.isfinite(value):
            return -np.inf, np.zeros(point.size)
        parts = [point[v.place].reshape(v.shape) for v in self.space.variables]
        prior, *slopes = self._prior(*parts)
        return value - float(prior), slope - np.concatenate([np.ravel(s) for s in slopes])


class Climb:
    """Largest likelihoods with one coordinate held, by quasi-Newton steps in the scales of the posterior."""

    def __init__(self, likelihood: Likelihood, top: Array, *, covariance: Array, held: NDArray[np.bool_]):
        self.likelihood, self.covariance, self.held = likelihood, covariance, held
        self._origin, self._precision = top, PULL * np.linalg.inv(covariance)
        self.top, self.best = self.highest(top, None)

    @staticmethod
    def of(calibration: "Calibration", likelihood: Likelihood) -> "Climb":
        """Return a climb from the best draw of a calibration; SDs between units and correlations are held."""
        space, problem = likelihood.space, calibration.problem
        assert problem is not None
        draws = {v.name: calibration.posterior[v.name].transpose("chain", "draw", ...).values for v in space.variables}
        points = space.unconstrain(draws).reshape(-1, space.size)
        lp = calibration.tree["sample_stats"]["lp"].transpose("chain", "draw").values.ravel()
        start, held = points[int(np.argmax(lp))].copy(), np.zeros(space.size, dtype=bool)
        spreads = {c.variable for c in coordinates_of(problem) if c.variable.endswith("_sd")}
        spreads |= {name for group in problem.correlated for name in group.priors}
        for variable in space.variables:
            if variable.name in spreads and variable.name not in problem.model.theta:
                held[variable.place] = True
        start[held] = np.median(points[:, held], axis=0)
        covariance = np.atleast_2d(np.cov(points.T)) + 1e-12 * np.eye(space.size)
        return Climb(likelihood, start, covariance=covariance, held=held)

    def highest(self, start: Array, fixed: int | None) -> tuple[Array, float]:
        """Return where the likelihood is largest from a start on, with one coordinate fixed, and how large."""
        free = ~self.held
        if fixed is not None:
            free[fixed] = False
        if not free.any():
            return start, self.likelihood(start)[0]
        block = self.covariance[np.ix_(free, free)]
        if fixed is not None:
            across = self.covariance[free, fixed]
            block = block - np.outer(across, across) / self.covariance[fixed, fixed]
        root = np.linalg.cholesky(block + 1e-9 * np.diag(np.diag(self.covariance)[free]))

        def descend(step: Array) -> tuple[float, Array]:
            point = start.copy()
            point[free] += root @ step
            value, slope = self.likelihood(point)
            if not np.isfinite(value):
                return 1e25, np.zeros(step.size)
            pull = self._precision @ (point - self._origin)
            return 0.5 * float(pull @ (point - self._origin)) - value, root.T @ (pull - slope)[free]

        options = {"maxiter": 300, "maxcor": 20, "ftol": 1e-11, "gtol": 1e-5}
        made = scipy.optimize.minimize(descend, np.zeros(int(free.sum())), jac=True, method="L-BFGS-B", options=options)
        point = start.copy()
        point[free] += root @ made.x
        return point, self.likelihood(point)[0]

    def profile(self, coordinate: Coordinate, threshold: float) -> tuple[Array, Array]:
        """Return places of a coordinate in the unconstrained space, and the largest log likelihood at each.

        They go on to both sides until it has fallen by more than the threshold.
        """
        k = self._place(coordinate)
        low, high = self._range(coordinate, k)
        for _ in range(5):  # begun anew where a higher top comes to light
            best = self.best
            sides = [self._side(k, end, threshold) for end in (low, high)]
            if self.best <= best + 0.01:
                break
        points = [*sides[0][0][::-1], self.top[k], *sides[1][0]]
        return np.array(points), np.array([*sides[0][1][::-1], self.best, *sides[1][1]])

    def _place(self, coordinate: Coordinate) -> int:
        for variable in self.likelihood.space.variables:
            if variable.name == coordinate.variable:
                offset = int(np.ravel_multi_index(coordinate.place, variable.shape)) if variable.shape else 0
                return variable.place.start + offset
        raise SamplingError(f"got no free variable {coordinate.variable!r}; expected it in the model that was sampled")

    def _range(self, coordinate: Coordinate, k: int) -> tuple[float, float]:
        """Return between what ends of the unconstrained space a profile is followed."""
        sd = np.sqrt(self.covariance[k, k])
        ends = self.top[k] + np.array([-12.0, 12.0]) * sd
        if coordinate.scores.proper:
            at = {v.name: v for v in self.likelihood.space.variables}[coordinate.variable]
            with np.errstate(all="ignore"):
                prior = at.unconstrain(coordinate.scores.value(np.array([-FAR, FAR])))
            if np.isfinite(prior).all():
                ends = np.array([min(*prior, self.top[k] - 4 * sd), max(*prior, self.top[k] + 4 * sd)])
        return float(ends[0]), float(ends[1])

    def _side(self, k: int, end: float, threshold: float) -> tuple[list[float], list[float]]:
        """Follow a profile from the top towards an end, until the threshold is passed."""
        sign = np.sign(end - self.top[k])
        step = 0.3 * float(np.sqrt(self.covariance[k, k]))
        slope = self.covariance[:, k] / self.covariance[k, k]
        at, height = self.top, self.best
        places, heights = list[float](), list[float]()
        while len(places) < MOST and (end - at[k]) * sign > 1e-6 * step:
            move = min(step, abs(end - at[k]))
            guess = np.where(self.held, at, at + sign * move * slope)
            guess[k] = at[k] + sign * move
            if not np.isfinite(self.likelihood(guess)[0]):
                guess = at.copy()
                guess[k] += sign * move
            point, value = self.highest(guess, k)
            if height - value > 1.2 * threshold and move > 1e-3 * step:
                step = move / 3  # too far to be joined by a curve
                continue
            if value > self.best:
                self.top, self.best = point, value
            slope = (point - at) / (point[k] - at[k])
            drop = (height - value) / threshold
            at, height = point, value
            places.append(float(at[k]))
            heights.append(value)
            if self.best - value > 1.3 * threshold:
                break
            step *= 1.6 if drop < SMALL else 0.7 if drop > LARGE else 1.0
        return places, heights
