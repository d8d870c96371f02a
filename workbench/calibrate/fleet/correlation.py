"""Effects of units that go together: the law LKJ of their correlations, by independent partial correlations.

With d effects in some order, let p_ij be the correlation of effect i with effect j < i, given the effects before j. If
the (1 + p_ij) / 2 are independent Beta(b, b) with b = eta + (d - 2 - j) / 2, j = 0 the first, the density of the
matrix R of correlations is proportional to det(R)^(eta - 1) (Lewandowski, Kurowicka & Joe, Journal of Multivariate
Analysis 100 (2009) 1989-2001, section 2), whatever the order. Its Cholesky factor is
L_ij = p_ij sqrt(prod_{m < j} (1 - p_im^2)), and L_ii likewise with 1 for p_ij.

Standardised effects e = L z are normal one after the other: given those before it, e_i has the mean
sum_{j < i} L_ij z_j and the SD L_ii. So each of them may be sampled centred or not, by itself.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workbench.base.errors import ParameterError, unknown
from workbench.calibrate.fleet.pooling import draw_prior, scale_of
from workbench.declare.prior import Prior, make

if TYPE_CHECKING:
    from workbench.calibrate.problem import Problem

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Group:
    """Parameters whose effects are correlated, in the order of the model's parameters, and the shape of the prior."""

    names: tuple[str, ...]
    eta: float

    @cached_property
    def priors(self) -> dict[str, Prior]:
        """The prior of each free variable `<first>_<second>_share`, (1 + p) / 2 of a partial correlation p."""
        shapes = [self.eta + 0.5 * (len(self.names) - 2 - j) for j in range(len(self.names))]
        return {f"{pair}_share": make("Beta", shapes[j], shapes[j]) for pair, (_, j) in self.pairs.items()}

    @cached_property
    def pairs(self) -> dict[str, tuple[int, int]]:
        """Of each pair, by its name, the places (i, j) of its parameters, i > j."""
        names = self.names
        return {f"{names[j]}_{names[i]}": (i, j) for i in range(len(names)) for j in range(i)}

    @property
    def marginal(self) -> Prior:
        """The prior of (1 + r) / 2 for each correlation r."""
        shape = self.eta - 1 + 0.5 * len(self.names)
        return make("Beta", shape, shape)

    def factor(self, shares: Mapping[str, Any], sqrt: Any = np.sqrt) -> list[list[Any]]:
        """Return the rows of the Cholesky factor, up to its diagonal, of the free variables."""
        rows = []
        for i, name in enumerate(self.names):
            row, rest = [], 1.0
            for j in range(i):
                share = shares[f"{self.names[j]}_{name}_share"]
                row.append((2.0 * share - 1.0) * rest)
                rest = rest * (2.0 * sqrt(share * (1.0 - share)))  # sqrt(1 - p^2), exact near its ends
            rows.append([*row, rest])
        return rows

    def root(self, shares: Mapping[str, Any] | xr.Dataset) -> Array:
        """Return the Cholesky factor (..., d, d) of arrays (...) of the free variables."""
        given = {name: np.asarray(shares[name]) for name in self.priors}
        kind = np.result_type(float, *given.values())  # complex ones give derivatives
        made = np.zeros((*next(iter(given.values())).shape, len(self.names), len(self.names)), dtype=kind)
        for i, row in enumerate(self.factor(given)):
            for j, entry in enumerate(row):
                made[..., i, j] = entry
        return made

    def correlations(self, shares: Mapping[str, Any]) -> dict[str, Array]:
        """Return `<first>_<second>_corr` (...) of each pair, of arrays (...) of the free variables."""
        root = self.root(shares)
        return {f"{pair}_corr": (root[..., i, :] * root[..., j, :]).sum(axis=-1) for pair, (i, j) in self.pairs.items()}

    def draw(self, rng: np.random.Generator, size: Any) -> dict[str, Array]:
        """Return draws of the free variables from their priors."""
        return {name: draw_prior(prior, rng, size) for name, prior in self.priors.items()}

    def attributes(self) -> dict[str, dict[str, str]]:
        """Return the attributes of the variables of the posterior."""
        made = {}
        for pair, (i, j) in self.pairs.items():
            words = f"effects of units on {self.names[j]} and {self.names[i]}"
            made[f"{pair}_corr"] = {"units": "1", "long_name": f"correlation of {words}"}
            said = {"units": "1", "long_name": f"(1 + partial correlation) / 2 of {words}", "role": "basis"}
            made[f"{pair}_share"] = said
        return made


@dataclass
class Chain:
    """Standardised effects as they are made one after the other; `known` are the independent z of those before."""

    rows: list[list[Any]]
    known: list[Any] = field(default_factory=list)

    @property
    def told(self) -> tuple[Any, Any]:
        """Mean and SD of the next effect."""
        *row, rest = self.rows[len(self.known)]
        return sum((entry * z for entry, z in zip(row, self.known, strict=True)), 0.0), rest


def chains_of(groups: tuple[Group, ...], shares: Mapping[str, Any], sqrt: Any = np.sqrt) -> dict[str, Chain]:
    """Return the chain that each correlated parameter belongs to."""
    made = [(group, Chain(group.factor(shares, sqrt))) for group in groups]
    return {name: chain for group, chain in made for name in group.names}


def derived_of(problem: "Problem", group: Group, free: Mapping[str, Any]) -> dict[str, Array]:
    """Return what follows from draws (...) of the free variables: values (..., units) of parameters, correlations."""
    chain = Chain(group.factor({name: np.asarray(free[name])[..., None] for name in group.priors}))
    made: dict[str, Array] = {}
    for name in group.names:
        prior = problem.quantity(name).prior
        assert prior is not None
        scale, (mean, sd) = scale_of(prior), chain.told
        centre, spread = (np.asarray(free[f"{name}_{part}"])[..., None] for part in ("pop", "sd"))
        centre = scale.link(centre)
        if name in free:
            latent = scale.link(np.asarray(free[name]))
        else:
            latent = np.asarray(free[f"{name}_offset"])
            latent = latent if problem.centred[name] else centre + spread * (mean + sd * latent)
            made[name] = scale.unlink(latent)
        chain.known.append(((latent - centre) / spread - mean) / sd)
    return made | group.correlations(free)


def groups_of(model: Any, groups: Mapping[tuple[str, ...], Any]) -> tuple[Group, ...]:
    """Return the groups that a pool names, in the order of the model; ParameterError where one cannot be."""
    made = []
    for names, way in groups.items():
        for name in names:
            if name not in (*model.estimated, *model.noise_parameters):
                raise ParameterError(unknown("parameter", str(name), model.estimated, f"{model.name} pool"))
            if name in model.noise_parameters or model.theta[name].dims:
                kind = "an argument of noise" if name in model.noise_parameters else "a vector"
                raise ParameterError(
                    f"pool[{names!r}]: got {name!r}, {kind}; expected parameters of the equations that are numbers"
                )
        group = Group(tuple(name for name in model.estimated if name in names), float(way.eta))
        known = {*model.theta, *model.noise_parameters}
        taken = sorted(known & {f"{pair}_{part}" for pair in group.pairs for part in ("corr", "share")})
        if taken:
            raise ParameterError(
                f"pool[{names!r}]: got correlated effects where {taken[0]!r} is declared; expected that name to be free"
            )
        made.append(group)
    return tuple(sorted(made, key=lambda group: model.estimated.index(group.names[0])))


def encoded(groups: tuple[Group, ...]) -> str:
    """Return groups as JSON."""
    return json.dumps([[list(group.names), group.eta] for group in groups])


def decoded(text: str | None) -> tuple[Group, ...]:
    """Return groups from what `encoded` wrote."""
    return tuple(Group(tuple(names), float(eta)) for names, eta in json.loads(text or "[]"))


def matrix(posterior: xr.Dataset) -> xr.DataArray:
    """Return the correlation matrix of all correlated effects (see `Calibration.correlation`)."""
    groups = decoded(posterior.attrs.get("correlated"))
    if not groups:
        raise ParameterError(
            "got a calibration without correlated effects; expected one with pool={('a', 'b'): wb.Correlated()}"
        )
    names = [name for group in groups for name in group.names]
    lead = ("chain", "draw")
    made = np.zeros((posterior.sizes["chain"], posterior.sizes["draw"], len(names), len(names)))
    made[..., range(len(names)), range(len(names))] = 1.0
    for group in groups:
        for pair, (i, j) in group.pairs.items():
            a, b = names.index(group.names[i]), names.index(group.names[j])
            made[..., a, b] = made[..., b, a] = posterior[f"{pair}_corr"].transpose(*lead).values
    coords = {**{dim: posterior[dim] for dim in lead}, "effect": names, "other_effect": names}
    return xr.DataArray(made, coords, (*lead, "effect", "other_effect"), "correlation", {"units": "1"})
