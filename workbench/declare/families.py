"""The continuous univariate distributions of PyMC as data: names, arguments, support, and their kin in SciPy.

Names, arguments and defaults follow `pymc.distributions.continuous` (PyMC 6), so that a prior declared here means what
it means there; the tests compare the two packages family by family.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from workbench.declare import kin
from workbench.declare.kin import INF, Arguments, Kin


@dataclass(frozen=True)
class Family:
    """One distribution: its arguments in PyMC's order, its support, and its kin in SciPy."""

    arguments: tuple[str, ...]
    defaults: Mapping[str, float]
    kin: Callable[[Arguments], Kin] | None = None  # the scipy.stats distribution with the same law
    support: tuple[float | str, float | str] = (-INF, INF)  # a text names the argument that is the bound
    choices: tuple[tuple[frozenset[str], ...], ...] = ()  # for each choice, exactly one of these sets is given
    positive: frozenset[str] = frozenset()  # arguments above 0, beside those of POSITIVE
    rule: tuple[Callable[[Arguments], bool], str] | None = None  # what else must hold, and how to say it
    quantile: Callable[[Arguments, float], float] | None = None  # where it is not that of the kin


POSITIVE = frozenset("sigma tau lam b s scale kappa q a h m nu phi".split())
SHAPES = frozenset({"alpha", "beta"})
SPREAD = (frozenset({"sigma"}), frozenset({"tau"}))
SHARP = (frozenset({"sigma"}), frozenset({"lam"}))


ORDERED = (lambda a: a.get("lower", -INF) < a.get("upper", INF), "lower < upper")

FAMILIES: dict[str, Family] = {
    "AsymmetricLaplace": Family(
        ("kappa", "mu", "b", "q"),
        {},
        kin.asymmetric_laplace,
        choices=((frozenset({"kappa"}), frozenset({"q"})),),
        rule=(lambda a: a.get("q", 0.5) < 1, "q < 1"),
    ),
    "Beta": Family(
        ("alpha", "beta", "mu", "sigma", "nu"),
        {},
        kin.beta,
        (0.0, 1.0),
        ((SHAPES, frozenset({"mu", "sigma"}), frozenset({"mu", "nu"})),),
        SHAPES | {"mu"},
        (
            lambda a: a.get("mu", 0.5) < 1 and a.get("sigma", 0) ** 2 < a.get("mu", 1) * (1 - a.get("mu", 0)),
            "mu < 1 and sigma**2 < mu (1 - mu)",
        ),
    ),
    "Cauchy": Family(
        ("alpha", "beta"), {}, kin.renamed("cauchy", loc="alpha", scale="beta"), positive=frozenset({"beta"})
    ),
    "ChiSquared": Family(("nu",), {}, kin.renamed("chi2", df="nu"), (0.0, INF)),
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
        kin.gamma,
        (0.0, INF),
        ((SHAPES, frozenset({"mu", "sigma"})),),
        SHAPES | {"mu"},
    ),
    "Gumbel": Family(("mu", "beta"), {}, kin.renamed("gumbel_r", loc="mu", scale="beta"), positive=frozenset({"beta"})),
    "HalfCauchy": Family(
        ("beta",), {}, kin.renamed("halfcauchy", scale="beta"), (0.0, INF), positive=frozenset({"beta"})
    ),
    "HalfFlat": Family((), {}, support=(0.0, INF)),
    "HalfNormal": Family(("sigma", "tau"), {}, kin.renamed("halfnorm", scale="sd"), (0.0, INF), (SPREAD,)),
    "HalfStudentT": Family(
        ("nu", "sigma", "lam"), {}, support=(0.0, INF), choices=(SHARP,), quantile=kin.half_student_t
    ),
    "InverseGamma": Family(
        ("alpha", "beta", "mu", "sigma"),
        {},
        kin.inverse_gamma,
        (0.0, INF),
        ((SHAPES, frozenset({"mu", "sigma"})),),
        SHAPES | {"mu"},
    ),
    "Kumaraswamy": Family(("a", "b"), {}, support=(0.0, 1.0), quantile=kin.kumaraswamy),
    "Laplace": Family(("mu", "b"), {}, kin.renamed("laplace", loc="mu", scale="b")),
    "LogNormal": Family(
        ("mu", "sigma", "tau", "median"),
        {"mu": 0.0},
        lambda a: ("lognorm", {"s": kin.sd(a), "scale": math.exp(a["mu"])}),
        (0.0, INF),
        (SPREAD,),
        frozenset({"median"}),
    ),
    "Logistic": Family(("mu", "s"), {"mu": 0.0, "s": 1.0}, kin.renamed("logistic", loc="mu", scale="s")),
    "LogitNormal": Family(
        ("mu", "sigma", "tau"), {"mu": 0.0}, support=(0.0, 1.0), choices=(SPREAD,), quantile=kin.logit_normal
    ),
    "Moyal": Family(("mu", "sigma"), {"mu": 0.0, "sigma": 1.0}, kin.renamed("moyal", loc="mu", scale="sigma")),
    "Normal": Family(("mu", "sigma", "tau"), {"mu": 0.0}, kin.renamed("norm", loc="mu", scale="sd"), choices=(SPREAD,)),
    "Pareto": Family(
        ("alpha", "m"), {}, kin.renamed("pareto", b="alpha", scale="m"), ("m", INF), positive=frozenset({"alpha"})
    ),
    "PolyaGamma": Family(("h", "z"), {"h": 1.0, "z": 0.0}, support=(0.0, INF)),
    "Rice": Family(
        ("nu", "sigma", "b"), {}, kin.rice, (0.0, INF), ((frozenset({"nu", "sigma"}), frozenset({"b", "sigma"})),)
    ),
    "SkewNormal": Family(
        ("alpha", "mu", "sigma", "tau"),
        {"alpha": 1.0, "mu": 0.0},
        kin.renamed("skewnorm", a="alpha", loc="mu", scale="sd"),
        choices=(SPREAD,),
    ),
    "SkewStudentT": Family(
        ("a", "b", "mu", "sigma", "lam"),
        {"mu": 0.0},
        kin.renamed("jf_skew_t", a="a", b="b", loc="mu", scale="sd"),
        choices=(SHARP,),
    ),
    "StudentT": Family(
        ("nu", "mu", "sigma", "lam"), {"mu": 0.0}, kin.renamed("t", df="nu", loc="mu", scale="sd"), choices=(SHARP,)
    ),
    "Triangular": Family(
        ("lower", "upper", "c"),
        {"lower": 0.0, "upper": 1.0, "c": 0.5},
        kin.triangular,
        ("lower", "upper"),
        rule=(
            lambda a: a["lower"] <= a["c"] <= a["upper"] and a["lower"] < a["upper"],
            "lower <= c <= upper, lower < upper",
        ),
    ),
    "TruncatedNormal": Family(
        ("mu", "sigma", "tau", "lower", "upper"),
        {"mu": 0.0},
        kin.truncated_normal,
        ("lower", "upper"),
        (SPREAD,),
        rule=ORDERED,
    ),
    "Uniform": Family(
        ("lower", "upper"),
        {"lower": 0.0, "upper": 1.0},
        lambda a: ("uniform", {"loc": a["lower"], "scale": a["upper"] - a["lower"]}),
        ("lower", "upper"),
        rule=ORDERED,
    ),
    "VonMises": Family(
        ("mu", "kappa"),
        {"mu": 0.0, "kappa": 1.0},
        kin.renamed("vonmises", loc="mu", kappa="kappa"),
        (-math.pi, math.pi),
        quantile=kin.von_mises,
    ),
    "Wald": Family(
        ("mu", "lam", "phi", "alpha"),
        {"alpha": 0.0},
        kin.wald,
        ("alpha", INF),
        ((frozenset({"mu", "lam"}), frozenset({"mu", "phi"}), frozenset({"lam", "phi"}), frozenset({"mu"})),),
        frozenset({"mu"}),
        (lambda a: a["alpha"] >= 0, "alpha >= 0"),
    ),
    "Weibull": Family(
        ("alpha", "beta"), {}, kin.renamed("weibull_min", c="alpha", scale="beta"), (0.0, INF), positive=SHAPES
    ),
}
