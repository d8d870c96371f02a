"""`wb.Partial` and `wb.Correlated`: how parameters vary between units (plain data)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.base.errors import DeclarationError, ParameterError
from workbench.declare.prior import Prior, from_dict


@dataclass(frozen=True)
class Partial:
    """A parameter that each unit draws from a population, as a value of `pool`; "partial" is `wb.Partial()`.

    Parameters
    ----------
    centred
        Whether the sampler moves in the units' values (True), or in their distances from the population's median over
        its SD (False). Both are the same posterior. None: whichever suits the design (see
        `workbench.calibrate.fleet.forms`).
    sd
        Prior of the SD between units, of the parameter's unit where it may have either sign, of its logarithm (or
        logit) otherwise. None: `HalfNormal(1)`, or half normal of the prior's own half width.

    Raises
    ------
    DeclarationError
        If an argument cannot be what it says.
    """

    centred: bool | None = None
    sd: Prior | None = None

    def __post_init__(self) -> None:
        if not (self.centred is None or isinstance(self.centred, bool)):
            raise DeclarationError(f"wb.Partial: got centred={self.centred!r}; expected True, False or None")
        if self.sd is not None and not (isinstance(self.sd, Prior) and self.sd.support[0] >= 0.0):
            raise DeclarationError(
                f"wb.Partial: got sd={self.sd!r}; expected a prior above zero, such as wb.prior.HalfNormal(0.5)"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data from which `from_plain` makes the same."""
        return {"centred": self.centred, "sd": None if self.sd is None else self.sd.to_dict()}


def from_plain(data: Mapping[str, Any]) -> Partial:
    """Return what was written by `Partial.to_dict`."""
    return Partial(data["centred"], None if data["sd"] is None else from_dict(data["sd"]))


@dataclass(frozen=True)
class Correlated:
    """Parameters whose effects on a unit go together, as a value of `pool` under their names.

    `pool={("CL", "V"): wb.Correlated(), "ka": "partial"}` draws `CL` and `V` of each unit together. They are partially
    pooled; an entry of their own says more of one of them (`"CL": wb.Partial(sd=...)`). The correlation of their
    effects, on the scales on which they vary, is `CL_V_corr` in the posterior.

    Parameters
    ----------
    eta
        Shape of the prior of the correlation matrix R, whose density is proportional to det(R)^(eta - 1) (Lewandowski,
        Kurowicka & Joe, Journal of Multivariate Analysis 100 (2009) 1989-2001): 1 is uniform over all matrices, above
        it small correlations are likelier. Of d effects each correlation is Beta(eta - 1 + d / 2) on (-1, 1).

    Raises
    ------
    DeclarationError
        If `eta` is no number above 0.
    """

    eta: float = 2.0

    def __post_init__(self) -> None:
        number = isinstance(self.eta, int | float | np.number) and not isinstance(self.eta, bool)
        if not (number and np.isfinite(self.eta) and self.eta > 0):
            raise DeclarationError(f"wb.Correlated: got eta={self.eta!r}; expected a number above 0, such as 2")


def by_parameter(pool: Mapping[Any, Any] | None) -> tuple[dict[Any, Any], dict[tuple[str, ...], Correlated]]:
    """Return the way of each parameter that a `pool` names, and the groups whose effects are correlated.

    ParameterError where a group is none, or its parameters are said to be something else as well.
    """
    pool = pool or {}
    groups = {names: way for names, way in pool.items() if isinstance(names, tuple)}
    ways = {name: way for name, way in pool.items() if name not in groups}
    taken = set[str]()
    for name, way in ways.items():
        if isinstance(way, Correlated):
            raise ParameterError(
                f"pool[{name!r}]: got {way!r} for one parameter; expected the names of two or more, such as "
                f"pool={{({name!r}, ...): {way!r}}}"
            )
    for names, way in groups.items():
        if not isinstance(way, Correlated):
            raise ParameterError(f"pool[{names!r}]: got {way!r}; expected wb.Correlated(), or one parameter")
        if len(names) < 2 or len(set(names)) < len(names):
            raise ParameterError(f"pool: got {names!r}; expected the names of two or more different parameters")
        for name in names:
            if name in taken:
                raise ParameterError(f"pool: got {name!r} in two groups of correlated effects; expected it in one")
            if not (ways.get(name, "partial") == "partial" or isinstance(ways[name], Partial)):
                raise ParameterError(
                    f"pool[{name!r}]: got {ways[name]!r} for an effect that is correlated; expected 'partial', "
                    "a wb.Partial, or no entry"
                )
        taken |= set(names)
    return ways | {name: ways.get(name, "partial") for name in taken}, groups
