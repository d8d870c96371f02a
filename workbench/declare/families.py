"""The continuous univariate distributions of PyMC as data: names, arguments, support, and their kin in SciPy.

Names, arguments and defaults follow `pymc.distributions.continuous` (PyMC 6), so that a prior declared here means what
it means there; the tests compare the two packages family by family.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Arguments = Mapping[str, Any]
Kin = tuple[str, dict[str, Any]]
INF = math.inf


@dataclass(frozen=True)
class Family:
    """One distribution: its arguments in PyMC's order, which of them must be positive, support and SciPy kin."""

    arguments: tuple[str, ...]
    defaults: Mapping[str, float]
    kin: Callable[[Arguments], Kin] | None = None  # the scipy.stats distribution with the same law
    support: tuple[float | str, float | str] = (-INF, INF)  # a text names the argument that is the bound
    choices: tuple[tuple[frozenset[str], ...], ...] = ()  # for each choice, exactly one of these sets is given


POSITIVE = frozenset("sigma tau lam b s scale kappa q a h m nu phi".split())
SPREAD = (frozenset({"sigma"}), frozenset({"tau"}))
SHARP = (frozenset({"sigma"}), frozenset({"lam"}))


def _sd(a: Arguments) -> float:
    """Standard deviation, given as such or as a precision."""
    if "sigma" in a:
        return a["sigma"]
    return (a["tau"] if "tau" in a else a["lam"]) ** -0.5


def _beta(a: Arguments) -> Kin:
    if "alpha" in a:
        return "beta", {"a": a["alpha"], "b": a["beta"]}
    size = a["nu"] if "nu" in a else a["mu"] * (1 - a["mu"]) / a["sigma"] ** 2 - 1
    return "beta", {"a": a["mu"] * size, "b": (1 - a["mu"]) * size}


def _gamma(a: Arguments) -> Kin:
    if "alpha" in a:
        return "gamma", {"a": a["alpha"], "scale": 1 / a["beta"]}
    return "gamma", {"a": (a["mu"] / a["sigma"]) ** 2, "scale": a["sigma"] ** 2 / a["mu"]}


def _inverse_gamma(a: Arguments) -> Kin:
    if "alpha" in a:
        return "invgamma", {"a": a["alpha"], "scale": a["beta"]}
    shape = 2 + (a["mu"] / a["sigma"]) ** 2
    return "invgamma", {"a": shape, "scale": a["mu"] * (shape - 1)}


def _truncated_normal(a: Arguments) -> Kin:
    sd = _sd(a)
    ends = (a.get("lower", -INF) - a["mu"]) / sd, (a.get("upper", INF) - a["mu"]) / sd
    return "truncnorm", {"a": ends[0], "b": ends[1], "loc": a["mu"], "scale": sd}


def _triangular(a: Arguments) -> Kin:
    width = a["upper"] - a["lower"]
    return "triang", {"c": (a["c"] - a["lower"]) / width, "loc": a["lower"], "scale": width}


def _asymmetric_laplace(a: Arguments) -> Kin:
    kappa = a["kappa"] if "kappa" in a else (a["q"] / (1 - a["q"])) ** 0.5
    return "laplace_asymmetric", {"kappa": kappa, "loc": a["mu"], "scale": 1 / a["b"]}


def _rice(a: Arguments) -> Kin:
    ratio = a["b"] if "b" in a else a["nu"] / a["sigma"]
    return "rice", {"b": ratio, "scale": a["sigma"]}


def _scipy(name: str, **arguments: str) -> Callable[[Arguments], Kin]:
    """Return a map to a SciPy law whose arguments are ours under other names ("sd" stands for any form of spread)."""

    def kin(a: Arguments) -> Kin:
        return name, {theirs: _sd(a) if ours == "sd" else a[ours] for theirs, ours in arguments.items()}

    return kin


FAMILIES: dict[str, Family] = {
    "AsymmetricLaplace": Family(
        ("kappa", "mu", "b", "q"), {}, _asymmetric_laplace, choices=((frozenset({"kappa"}), frozenset({"q"})),)
    ),
    "Beta": Family(
        ("alpha", "beta", "mu", "sigma", "nu"),
        {},
        _beta,
        (0.0, 1.0),
        ((frozenset({"alpha", "beta"}), frozenset({"mu", "sigma"}), frozenset({"mu", "nu"})),),
    ),
    "Cauchy": Family(("alpha", "beta"), {}, _scipy("cauchy", loc="alpha", scale="beta")),
    "ChiSquared": Family(("nu",), {}, _scipy("chi2", df="nu"), (0.0, INF)),
    "ExGaussian": Family(
        ("mu", "sigma", "nu"),
        {"mu": 0.0, "sigma": 1.0},
        lambda a: ("exponnorm", {"K": a["nu"] / a["sigma"], "loc": a["mu"], "scale": a["sigma"]}),
    ),
    "Exponential": Family(
        ("lam", "scale"),
        {},
        lambda a: ("expon", {"scale": a["scale"] if "scale" in a else 1 / a["lam"]}),
        (0.0, INF),
        ((frozenset({"lam"}), frozenset({"scale"})),),
    ),
    "Flat": Family((), {}),
    "Gamma": Family(
        ("alpha", "beta", "mu", "sigma"),
        {},
        _gamma,
        (0.0, INF),
        ((frozenset({"alpha", "beta"}), frozenset({"mu", "sigma"})),),
    ),
    "Gumbel": Family(("mu", "beta"), {}, _scipy("gumbel_r", loc="mu", scale="beta")),
    "HalfCauchy": Family(("beta",), {}, _scipy("halfcauchy", scale="beta"), (0.0, INF)),
    "HalfFlat": Family((), {}, support=(0.0, INF)),
    "HalfNormal": Family(("sigma", "tau"), {}, _scipy("halfnorm", scale="sd"), (0.0, INF), (SPREAD,)),
    "HalfStudentT": Family(
        ("nu", "sigma", "lam"),
        {},
        lambda a: ("foldt", {"df": a["nu"], "scale": _sd(a)}),
        (0.0, INF),
        (SHARP,),
    ),
    "InverseGamma": Family(
        ("alpha", "beta", "mu", "sigma"),
        {},
        _inverse_gamma,
        (0.0, INF),
        ((frozenset({"alpha", "beta"}), frozenset({"mu", "sigma"})),),
    ),
    "Kumaraswamy": Family(("a", "b"), {}, None, (0.0, 1.0)),
    "Laplace": Family(("mu", "b"), {}, _scipy("laplace", loc="mu", scale="b")),
    "LogNormal": Family(
        ("mu", "sigma", "tau", "median"),
        {"mu": 0.0},
        lambda a: ("lognorm", {"s": _sd(a), "scale": math.exp(a["mu"])}),
        (0.0, INF),
        (SPREAD,),
    ),
    "Logistic": Family(("mu", "s"), {"mu": 0.0, "s": 1.0}, _scipy("logistic", loc="mu", scale="s")),
    "LogitNormal": Family(("mu", "sigma", "tau"), {"mu": 0.0}, None, (0.0, 1.0), (SPREAD,)),
    "Moyal": Family(("mu", "sigma"), {"mu": 0.0, "sigma": 1.0}, _scipy("moyal", loc="mu", scale="sigma")),
    "Normal": Family(("mu", "sigma", "tau"), {"mu": 0.0}, _scipy("norm", loc="mu", scale="sd"), choices=(SPREAD,)),
    "Pareto": Family(("alpha", "m"), {}, _scipy("pareto", b="alpha", scale="m"), ("m", INF)),
    "PolyaGamma": Family(("h", "z"), {"h": 1.0, "z": 0.0}, None, (0.0, INF)),
    "Rice": Family(
        ("nu", "sigma", "b"), {}, _rice, (0.0, INF), ((frozenset({"nu", "sigma"}), frozenset({"b", "sigma"})),)
    ),
    "SkewNormal": Family(
        ("alpha", "mu", "sigma", "tau"),
        {"alpha": 1.0, "mu": 0.0},
        _scipy("skewnorm", a="alpha", loc="mu", scale="sd"),
        choices=(SPREAD,),
    ),
    "SkewStudentT": Family(
        ("a", "b", "mu", "sigma", "lam"),
        {"mu": 0.0},
        _scipy("jf_skew_t", a="a", b="b", loc="mu", scale="sd"),
        choices=(SHARP,),
    ),
    "StudentT": Family(
        ("nu", "mu", "sigma", "lam"), {"mu": 0.0}, _scipy("t", df="nu", loc="mu", scale="sd"), choices=(SHARP,)
    ),
    "Triangular": Family(
        ("lower", "upper", "c"), {"lower": 0.0, "upper": 1.0, "c": 0.5}, _triangular, ("lower", "upper")
    ),
    "TruncatedNormal": Family(
        ("mu", "sigma", "tau", "lower", "upper"), {"mu": 0.0}, _truncated_normal, ("lower", "upper"), (SPREAD,)
    ),
    "Uniform": Family(
        ("lower", "upper"),
        {"lower": 0.0, "upper": 1.0},
        lambda a: ("uniform", {"loc": a["lower"], "scale": a["upper"] - a["lower"]}),
        ("lower", "upper"),
    ),
    "VonMises": Family(
        ("mu", "kappa"), {"mu": 0.0, "kappa": 1.0}, _scipy("vonmises", loc="mu", kappa="kappa"), (-math.pi, math.pi)
    ),
    "Wald": Family(
        ("mu", "lam", "phi", "alpha"),
        {"alpha": 0.0},
        None,
        ("alpha", INF),
        ((frozenset({"mu", "lam"}), frozenset({"mu", "phi"}), frozenset({"lam", "phi"}), frozenset({"mu"})),),
    ),
    "Weibull": Family(("alpha", "beta"), {}, _scipy("weibull_min", c="alpha", scale="beta"), (0.0, INF)),
}
