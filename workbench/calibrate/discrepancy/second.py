"""Discrepancies fitted after the parameters: to what each draw of them leaves of the readings.

Modularisation (Liu, Bayarri & Berger, Bayesian Analysis 4 (2009) 119-150): parameters theta have their posterior
without the discrepancy, p1(theta | y), and the rest phi (SD and lengths of the function, noise of its output) the one
given theta, p(phi | theta, y). Their product is the cut posterior: no feedback from the function to the parameters. It
has no density that a sampler could use, as p(phi | theta, y) hangs on a constant that is a function of theta (Plummer,
Statistics and Computing 25 (2015) 37-43). So each draw of theta has a chain of phi of its own, of which the last is
kept. All chains walk at once, half of them at a time by differences in the other half, which stays (ter Braak,
Statistics and Computing 16 (2006) 239-249): symmetric proposals, so each chain keeps the posterior of its own.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.base.errors import ParameterError, SamplingError
from workbench.calibrate.discrepancy.integrated import integrable
from workbench.calibrate.fleet.pooling import draw_prior
from workbench.declare.prior import Prior

if TYPE_CHECKING:
    from workbench.calibrate.calibration import Calibration
    from workbench.calibrate.discrepancy.discrepancy import Term
    from workbench.calibrate.problem import Problem

Array = NDArray[np.float64]
RECORD = "without_discrepancy"
TRIED = 400  # draws of the prior, among which chains start
SWEEPS = 30  # of each chain; a quarter is accepted
WHOLE = 0.1  # share of the differences that are taken whole, from mode to mode


def check(problem: "Problem", term: "Term") -> None:
    """Refuse a discrepancy that cannot be fitted to what is left; ParameterError."""
    name = term.output.name
    if term.declared.joint:
        return
    if not integrable(problem.sensor(name)):
        limits = " with limits" if term.output.limits != (None, None) else ""
        raise ParameterError(
            f"{term.declared.where}: got joint=False for {problem.sensor(name).noise!r}{limits}; expected Normal or "
            "LogNormal noise without limits, or joint=True"
        )
    for key in problem.sensor(name).noise.priors:
        if (way := problem.pool.get(f"{name}_{key}", "complete")) != "complete":
            raise ParameterError(
                f"{term.declared.where}: got joint=False with pool={{{f'{name}_{key}'!r}: {way!r}}}; expected one "
                "noise for all units, or joint=True"
            )


def drawn(problem: "Problem", variables: Mapping[str, Array], rng: np.random.Generator) -> dict[str, Array]:
    """Return variables (chains, draws, ...) of the first fit with those of the second, given them.

    The noise of an output with such a discrepancy is drawn anew; coefficients are not drawn here. Of a model with
    process noise all noise stays, as the filter hangs on it, and coefficients are drawn.
    """
    from workbench.calibrate.predict import outputs_of, solve_data

    later = {name: term for name, term in problem.terms.items() if not term.declared.joint}
    if not later:
        return dict(variables)
    lead = next(iter(variables.values())).shape[:2]
    if problem.is_noisy:
        ((name, term),) = later.items()
        return {**variables, **_drawn_by_filter(problem, name, variables, rng)}
    solutions, made = solve_data(problem, variables), dict(variables)
    for name, term in later.items():
        priors = {n: p for n, p in term.rulers.items() if isinstance(p, Prior)}
        priors |= {f"{name}_{key}": p for key, p in problem.sensor(name).noise.priors.items()}
        centre = problem.sensor(name).centre(outputs_of(problem, name, solutions))
        if priors:
            found = _walk(_Left(problem, name, priors, centre), rng)
            made |= {n: values.reshape(lead) for n, values in zip(priors, found.T, strict=True)}
    return made


def _drawn_by_filter(
    problem: "Problem", name: str, variables: Mapping[str, Array], rng: np.random.Generator
) -> dict[str, Array]:
    """Return SD, lengths and coefficients of a discrepancy, drawn given what a filter leaves at each draw."""
    from workbench.calibrate.filtered.leftover import quadratic
    from workbench.calibrate.predict import theta_of

    term, lead = problem.terms[name], next(iter(variables.values())).shape[:2]
    left = _LeftByFilter(problem, name, *quadratic(problem, name, theta_of(problem, variables), variables))
    found = _walk(left, rng) if left.priors else np.empty((left.count, 0))
    phi = {n: found[:, k] for k, n in enumerate(left.priors)}
    made = {n: values.reshape(lead) for n, values in phi.items()}
    weights = left.weights(phi, rng).reshape(*lead, *term.shape, term.basis.size)
    return {**made, term.weights: weights}


class _Left:
    """The density of the logarithms of phi given draws of theta, of whose outputs `centre` (members, places) are.

    As in `workbench.calibrate.discrepancy.integrated`, where all that hangs on the readings is summed beforehand.
    """

    def __init__(self, problem: "Problem", name: str, priors: Mapping[str, Prior], centre: Array):
        sensor, self.term, self.priors = problem.sensor(name), problem.terms[name], priors
        given = centre[:, sensor.rows]
        residual = np.log(sensor.readings) - np.log(given) if self.term.relative else sensor.readings - given
        self.squares, blocks = (residual**2).sum(axis=1), self.term.blocks(sensor.rows)
        self.elements = [(features.T @ features, residual[:, mine] @ features) for mine, features in blocks]
        self.sigma, (self.count, self.readings) = f"{name}_sigma", residual.shape
        self.fixed = dict(sensor.noise.arguments)["sigma"]

    def __call__(self, points: Array, members: NDArray[np.int64]) -> Array:
        """Return the log density (n,) at points (n, size), each given a member's theta."""
        values = np.exp(points)
        total = points.sum(axis=1)  # of the change to logarithms
        with np.errstate(all="ignore"):
            for k, prior in enumerate(self.priors.values()):
                total += 0.0 if prior.name == "HalfFlat" else prior.frozen().logpdf(values[:, k])
            inside = np.flatnonzero(np.isfinite(total))
            phi = {n: values[inside, k] for k, n in enumerate(self.priors)}
            total[inside] += self._likelihood(phi, members[inside])
        return np.where(np.isnan(total), -np.inf, total)

    def _likelihood(self, phi: Mapping[str, Array], members: NDArray[np.int64]) -> Array:
        """Return the log density (n,) of the readings, up to a constant."""
        sigma = phi[self.sigma] if self.sigma in phi else np.full(members.size, self.fixed)
        scale = np.broadcast_to(self.term.scale(phi), (members.size, self.term.basis.size)) / sigma[:, None]
        total = -0.5 * self.squares[members] / sigma**2 - self.readings * np.log(sigma)
        for gram, seen in self.elements:
            system = scale[:, :, None] * gram * scale[:, None, :]
            for _ in range(2):  # from the left and, being symmetric, from the right
                system = np.swapaxes(self.term.constrained(system, scale[:, None, :]), 1, 2)
            right = self.term.constrained(scale * seen[members], scale) / sigma[:, None]
            ok = np.isfinite(system).all(axis=(1, 2))
            root = np.linalg.cholesky(np.where(ok[:, None, None], system, 0.0) + np.eye(self.term.basis.size))
            half = np.linalg.solve(root, right[..., None])[..., 0]
            logs = np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1)
            total = np.where(ok, total + 0.5 * (half**2).sum(axis=1) - logs, -np.inf)
        return total

    def begin(self, rng: np.random.Generator) -> Array:
        """Return logarithms (members, size) drawn from the prior, by their weights at theta of members at random."""
        count = self.count
        drawn = [
            np.exp(rng.normal(size=TRIED)) if prior.name == "HalfFlat" else draw_prior(prior, rng, TRIED)
            for prior in self.priors.values()
        ]
        points = np.log(np.maximum(np.stack(drawn, axis=1), 1e-300))
        density = self(points, rng.integers(count, size=TRIED)) - points.sum(axis=1)
        if not np.isfinite(density).any():
            raise SamplingError(
                f"{self.term.name}: got no finite density at any of {TRIED} draws of its prior; expected some"
            )
        weights = np.exp(0.2 * (density - density.max()))  # wide, as starts must not miss where chains belong
        return points[rng.choice(TRIED, size=count, p=weights / weights.sum())] + 1e-3 * rng.normal(
            size=(count, len(self.priors))
        )


class _LeftByFilter(_Left):
    """The same of a model with process noise, at draws that hold all its noise, by what its innovations say.

    Elements of a vector hang together, as the filter's states do: coefficients (elements * functions) are one vector.
    """

    def __init__(self, problem: "Problem", name: str, seen: Array, gram: Array):
        self.term = problem.terms[name]
        self.priors = {n: p for n, p in self.term.rulers.items() if isinstance(p, Prior)}
        self.count, self.seen, self.gram = len(seen), seen, gram

    def _solved(
        self, phi: Mapping[str, Array], members: NDArray[np.int64]
    ) -> tuple[Array, Array, Array, NDArray[np.bool_]]:
        """Return the coefficients' precision as its roots and axes, what is seen along these, and which are finite.

        By eigenvalues, as a walk tries SDs so large that rounding leaves no factor by Cholesky.
        """
        size, many = self.term.basis.size, self.seen.shape[1]
        scale = np.broadcast_to(self.term.scale(phi), (members.size, size))
        wide = np.tile(scale, many // size)
        system = wide[:, :, None] * self.gram[members] * wide[:, None, :]
        for _ in range(2):
            system = np.swapaxes(self._held(system, scale), 1, 2)
        right = self._held((wide * self.seen[members])[:, None, :], scale)[:, 0]
        ok = np.isfinite(system).all(axis=(1, 2)) & np.isfinite(right).all(axis=1)
        values, axes = np.linalg.eigh(np.where(ok[:, None, None], system, 0.0))
        roots = np.sqrt(1.0 + np.maximum(values, 0.0))
        return roots, axes, np.einsum("kcj,kc->kj", axes, np.where(ok[:, None], right, 0.0)) / roots, ok

    def _held(self, values: Array, scale: Array) -> Array:
        """Return values (n, rows, elements * functions) without what would break an element's conditions."""
        blocks = values.reshape(*values.shape[:2], -1, scale.shape[1])
        return np.asarray(self.term.constrained(blocks, scale[:, None, None, :]).reshape(values.shape))

    def _likelihood(self, phi: Mapping[str, Array], members: NDArray[np.int64]) -> Array:
        roots, _, half, ok = self._solved(phi, members)
        return np.where(ok, 0.5 * (half**2).sum(axis=1) - np.log(roots).sum(axis=1), -np.inf)

    def weights(self, phi: Mapping[str, Array], rng: np.random.Generator) -> Array:
        """Return standardised coefficients (members, elements * functions) drawn given all else."""
        roots, axes, half, _ = self._solved(phi, np.arange(self.count))
        return np.einsum("kcj,kj->kc", axes, (half + rng.normal(size=half.shape)) / roots)


def _walk(left: _Left, rng: np.random.Generator) -> Array:
    """Return phi (members, size), a draw for each member."""
    points = left.begin(rng)
    count, size = points.shape
    every = np.arange(count)
    density = left(points, every)
    for _ in range(SWEEPS):
        order = rng.permutation(count)
        for half, other in ((order[: count // 2], order[count // 2 :]), (order[count // 2 :], order[: count // 2])):
            one, two = rng.integers(other.size, size=(2, half.size))
            step = np.where(rng.uniform(size=half.size) < WHOLE, 1.0, 2.38 / np.sqrt(2 * size))
            jump = step[:, None] * (points[other[one]] - points[other[two]])
            tried = points[half] + jump + 1e-6 * rng.normal(size=jump.shape)
            there = left(tried, half)
            better = np.log(rng.uniform(size=half.size)) < there - density[half]
            points[half[better]], density[half[better]] = tried[better], there[better]
    return np.exp(points)


def fit_of_first(calibration: "Calibration") -> dict[str, Any]:
    """Return, for the posterior's attributes, what the readings say of the fit without the discrepancy."""
    from workbench.calibrate.trust.fit import gate

    found = gate(calibration)
    return {RECORD: json.dumps({"verdict": found.verdict, "figure": found.figure, "says": found.says})}
