"""Priors as plain data: `wb.prior.LogNormal(median=5.0, sigma=0.3)` says what PyMC will be asked for, and no more.

Every continuous univariate distribution of PyMC is here under its own name and arguments (`Interpolated` is not: it is
a table rather than a law), plus `median=` for LogNormal and `interval` for a prior given by what is believed.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.base.errors import DeclarationError, unknown
from workbench.declare.families import FAMILIES, POSITIVE


class UnknownPrior(DeclarationError, AttributeError):
    """A prior's name is not one of PyMC's continuous univariate distributions."""


@dataclass(frozen=True)
class Prior:
    """A distribution by its PyMC name and arguments, in the unit of the quantity that it describes."""

    name: str
    arguments: tuple[tuple[str, float], ...]

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={value:g}' for key, value in self.arguments)})"

    @property
    def pymc_arguments(self) -> dict[str, float]:
        """Arguments as PyMC takes them (a LogNormal's `median` becomes `mu`)."""
        given = dict(self.arguments)
        if "median" in given:
            given["mu"] = math.log(given.pop("median"))
        return {**FAMILIES[self.name].defaults, **given}

    @property
    def support(self) -> tuple[float, float]:
        """Lower and upper end of the values that have density."""
        low, high = FAMILIES[self.name].support
        given = self.pymc_arguments
        return (
            given.get(low, -math.inf) if isinstance(low, str) else low,
            given.get(high, math.inf) if isinstance(high, str) else high,
        )

    def frozen(self) -> Any:
        """Return the `scipy.stats` distribution with the same law; DeclarationError where SciPy has none."""
        import scipy.stats

        kin = FAMILIES[self.name].kin
        if kin is None:
            raise DeclarationError(f"got prior {self!r}; expected one that SciPy knows too")
        name, arguments = kin(self.pymc_arguments)
        return getattr(scipy.stats, name)(**arguments)

    def quantile(self, mass: float) -> float:
        """Return the value below which the prior has probability `mass`, in the quantity's unit.

        Raises
        ------
        DeclarationError
            If `mass` is not between 0 and 1, or if the prior has no quantiles (Flat, HalfFlat) or none that are known
            in closed form (PolyaGamma).
        """
        if not 0 < mass < 1:
            raise DeclarationError(f"got mass {mass:g}; expected a number between 0 and 1")
        family, given = FAMILIES[self.name], self.pymc_arguments
        if self.name in ("Normal", "LogNormal") and mass == 0.5:  # the common medians need no SciPy
            return given["mu"] if self.name == "Normal" else dict(self.arguments).get("median", math.exp(given["mu"]))
        if family.quantile is not None:
            return float(family.quantile(given, mass))
        if family.kin is None:
            raise DeclarationError(
                f"got prior {self!r}, which has no quantile; expected a proper prior, or a value= beside it"
            )
        return float(self.frozen().ppf(mass))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data from which `from_dict` makes the same prior."""
        return {"prior": self.name, **dict(self.arguments)}


def from_dict(data: Mapping[str, Any]) -> Prior:
    """Return the prior written by `Prior.to_dict`; DeclarationError when name or arguments are wrong."""
    rest = dict(data)
    return make(str(rest.pop("prior", None)), **rest)


def make(name: str, *positional: float, **keywords: float) -> Prior:
    """Return the prior with PyMC's `name`; arguments may stand in PyMC's order or be named.

    Raises
    ------
    UnknownPrior
        If PyMC has no such continuous univariate distribution.
    DeclarationError
        If arguments are unknown, missing, given twice, not finite numbers or out of range.
    """
    if name not in FAMILIES:
        raise UnknownPrior(unknown("prior", name, FAMILIES, "wb.prior"))
    family = FAMILIES[name]
    if len(positional) > len(family.arguments):
        raise DeclarationError(
            f"{name}: got {len(positional)} arguments; expected at most {len(family.arguments)}: "
            f"{_list(family.arguments)}"
        )
    given = dict(zip(family.arguments, positional, strict=False))
    for key, value in keywords.items():
        if key not in family.arguments:
            raise DeclarationError(unknown("argument", key, family.arguments, name))
        if key in given:
            raise DeclarationError(f"{name}: got {key!r} twice; expected it once, by position or by name")
        given[key] = value
    return Prior(name, tuple(_checked(name, given).items()))


def _checked(name: str, given: dict[str, Any]) -> dict[str, float]:
    family = FAMILIES[name]
    numbers = {key: _number(name, key, value) for key, value in given.items()}
    if "median" in numbers and "mu" in numbers:
        raise DeclarationError(f"{name}: got both 'mu' and 'median'; expected one of them")
    in_choices = {key for choice in family.choices for names in choice for key in names}
    for choice in family.choices:
        names = {key for names in choice for key in names}
        if frozenset(numbers) & names not in choice:
            wanted = " or ".join(_list(sorted(names)) for names in choice)
            raise DeclarationError(f"{name}: got {_list(sorted(numbers)) or 'no argument'}; expected {wanted}")
    optional = (
        in_choices | set(family.defaults) | {"median"} | ({"lower", "upper"} if name == "TruncatedNormal" else set())
    )
    missing = [key for key in family.arguments if key not in numbers and key not in optional]
    if missing:
        raise DeclarationError(f"{name}: got {_list(numbers) or 'no argument'}; expected {_list(missing)} as well")
    for key, value in numbers.items():
        if key in POSITIVE | family.positive and not value > 0:
            raise DeclarationError(f"{name}: got {key}={value:g}; expected a number above 0")
    full = {**family.defaults, **numbers}
    if family.rule is not None and not family.rule[0](full):
        shown = ", ".join(f"{key}={value:g}" for key, value in full.items())
        raise DeclarationError(f"{name}: got {shown}; expected {family.rule[1]}")
    return numbers


def _number(name: str, key: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise DeclarationError(f"{name}: got {key}={value!r}; expected a number") from None
    endless = name == "TruncatedNormal" and key in ("lower", "upper")
    if math.isnan(number) or (math.isinf(number) and not endless):
        raise DeclarationError(f"{name}: got {key}={number}; expected a finite number")
    return number


def _list(names: Any) -> str:
    return ", ".join(repr(name) for name in names)


def interval(name: str, low: float, high: float, *, mass: float = 0.9) -> Prior:
    """Return the two-argument prior of family `name` with probability `mass` between `low` and `high`, tails equal.

    Raises
    ------
    DeclarationError
        If the family has no such member (bounds outside its support), or is not one of those that an interval fixes.
    """
    from workbench.declare.elicit import from_interval

    return make(name, **from_interval(name, _number(name, "low", low), _number(name, "high", high), mass))


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    if name not in FAMILIES:
        raise UnknownPrior(unknown("prior", name, [*FAMILIES, "interval"], "wb.prior"))

    def constructor(*positional: float, **keywords: float) -> Prior:
        return make(name, *positional, **keywords)

    constructor.__name__ = constructor.__qualname__ = name
    constructor.__doc__ = f"PyMC's {name}({', '.join(FAMILIES[name].arguments)}) as plain data."
    return constructor


def __dir__() -> list[str]:
    return [*FAMILIES, "Prior", "from_dict", "interval", "make"]
