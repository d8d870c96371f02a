"""How a sensor errs, as plain data: `wb.noise.Normal(sigma=wb.prior.HalfNormal(0.5))`.

The output of the model is the centre of the noise: its mean for the Gaussian ones, Laplace and the counts, its median
for LogNormal. An argument is a number, or a prior when it is to be estimated; its posterior is named
`<output>_<argument>`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.base.errors import DeclarationError, unknown
from workbench.declare.prior import Prior
from workbench.declare.prior import from_dict as prior_from_dict


@dataclass(frozen=True)
class NoiseFamily:
    """One kind of error: its arguments, which of them carry a unit, and what a reading may be."""

    arguments: tuple[str, ...]
    defaults: Mapping[str, float]
    in_unit: frozenset[str]  # the arguments in the unit of the output; the others are pure numbers
    readings: str  # "real", "positive" or "count"
    says: str
    in_time: frozenset[str] = frozenset()  # the arguments in the model's time unit
    joint: bool = False  # whether readings of a unit hang together


_SIGMA, _NONE = frozenset({"sigma"}), frozenset[str]()
FAMILIES: dict[str, NoiseFamily] = {
    "Normal": NoiseFamily(("sigma",), {}, _SIGMA, "real", "additive Gaussian error"),
    "LogNormal": NoiseFamily(("sigma",), {}, _NONE, "positive", "multiplicative error; the output is the median"),
    "StudentT": NoiseFamily(("nu", "sigma"), {"nu": 4.0}, _SIGMA, "real", "additive error, heavy tails"),
    "Laplace": NoiseFamily(("b",), {}, frozenset({"b"}), "real", "additive double-exponential error"),
    "Proportional": NoiseFamily(
        ("sigma",), {}, _NONE, "real", "Gaussian error whose SD is sigma * |output|; the output is never zero"
    ),
    "Combined": NoiseFamily(
        ("additive", "proportional"),
        {},
        frozenset({"additive"}),
        "real",
        "Gaussian error whose SD is sqrt(additive**2 + (proportional * output)**2): method VAR of Proost, Eur. J. "
        "Pharm. Sci. 109S (2017) S78-S82; combined2 of nlmixr2",
    ),
    "AR1": NoiseFamily(
        ("sigma", "time_constant"),
        {},
        _SIGMA,
        "real",
        "Gaussian error of SD sigma that lasts: errors of a unit dt apart correlate by exp(-dt / time_constant), at "
        "any times (Jones & Boadi-Boateng, Biometrics 47 (1991) 161-175); each unit begins afresh",
        frozenset({"time_constant"}),
        joint=True,
    ),
    "Poisson": NoiseFamily((), {}, _NONE, "count", "counts whose mean is the output"),
    "NegativeBinomial": NoiseFamily(("alpha",), {}, _NONE, "count", "overdispersed counts, mean the output"),
}


class UnknownNoise(DeclarationError, AttributeError):
    """A noise model's name is not known."""


@dataclass(frozen=True)
class Noise:
    """A noise model by its name and arguments (numbers or priors)."""

    name: str
    arguments: tuple[tuple[str, float | Prior], ...]

    def __repr__(self) -> str:
        inside = ", ".join(f"{key}={value!r}" for key, value in self.arguments)
        return f"{self.name}({inside})"

    @property
    def family(self) -> NoiseFamily:
        """What holds for every noise model of this name."""
        return FAMILIES[self.name]

    @property
    def priors(self) -> dict[str, Prior]:
        """The arguments that are estimated."""
        return {key: value for key, value in self.arguments if isinstance(value, Prior)}

    def to_dict(self) -> dict[str, Any]:
        """Return plain data from which `from_dict` makes the same noise model."""
        plain = {key: value.to_dict() if isinstance(value, Prior) else value for key, value in self.arguments}
        return {"noise": self.name, **plain}


def from_dict(data: Mapping[str, Any]) -> Noise:
    """Return the noise model written by `Noise.to_dict`; DeclarationError when name or arguments are wrong."""
    rest = {key: prior_from_dict(value) if isinstance(value, Mapping) else value for key, value in data.items()}
    return make(str(rest.pop("noise", None)), **rest)


def make(name: str, *positional: float | Prior, **keywords: float | Prior) -> Noise:
    """Return the noise model `name`; DeclarationError when the name or its arguments are wrong."""
    if name not in FAMILIES:
        raise UnknownNoise(unknown("noise", name, FAMILIES, "wb.noise"))
    family = FAMILIES[name]
    where = f"wb.noise.{name}"
    if len(positional) > len(family.arguments):
        raise DeclarationError(f"{where}: got {len(positional)} arguments; expected {list(family.arguments)}")
    given: dict[str, Any] = dict(zip(family.arguments, positional, strict=False))
    for key, value in keywords.items():
        if key not in family.arguments:
            raise DeclarationError(unknown("argument", key, family.arguments, where))
        if key in given:
            raise DeclarationError(f"{where}: got {key!r} twice; expected it once")
        given[key] = value
    missing = [key for key in family.arguments if key not in given and key not in family.defaults]
    if missing:
        raise DeclarationError(f"{where}: got no {missing[0]!r}; expected a number above 0 or a prior for it")
    full = {key: given.get(key, family.defaults.get(key)) for key in family.arguments}
    return Noise(name, tuple((key, _argument(where, key, value)) for key, value in full.items()))


def _argument(where: str, key: str, value: Any) -> float | Prior:
    if isinstance(value, Prior):
        if value.support[0] < 0:
            raise DeclarationError(
                f"{where}: got {key}={value!r}, which allows negative values; "
                "expected a positive prior such as HalfNormal"
            )
        return value
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise DeclarationError(f"{where}: got {key}={value!r}; expected a number above 0 or a prior") from None
    if not number > 0 or math.isinf(number):
        raise DeclarationError(f"{where}: got {key}={number:g}; expected a finite number above 0")
    return number


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    if name not in FAMILIES:
        raise UnknownNoise(unknown("noise", name, FAMILIES, "wb.noise"))

    def constructor(*positional: float | Prior, **keywords: float | Prior) -> Noise:
        return make(name, *positional, **keywords)

    constructor.__name__ = constructor.__qualname__ = name
    constructor.__doc__ = FAMILIES[name].says
    return constructor


def __dir__() -> list[str]:
    return [*FAMILIES, "Noise", "from_dict", "make"]
