"""From PyMC's arguments of a distribution to those of the same law in SciPy, and quantiles of laws that SciPy lacks."""

import math
from collections.abc import Callable, Mapping
from typing import Any

Arguments = Mapping[str, Any]
Kin = tuple[str, dict[str, Any]]
INF = math.inf


def sd(a: Arguments) -> float:
    """Standard deviation, given as such or as a precision."""
    if "sigma" in a:
        return a["sigma"]
    return (a["tau"] if "tau" in a else a["lam"]) ** -0.5


def beta(a: Arguments) -> Kin:
    """Beta, from its shapes, its mean and spread, or its mean and size."""
    if "alpha" in a:
        return "beta", {"a": a["alpha"], "b": a["beta"]}
    size = a["nu"] if "nu" in a else a["mu"] * (1 - a["mu"]) / a["sigma"] ** 2 - 1
    return "beta", {"a": a["mu"] * size, "b": (1 - a["mu"]) * size}


def gamma(a: Arguments) -> Kin:
    """Gamma, from its shapes or its mean and spread."""
    if "alpha" in a:
        return "gamma", {"a": a["alpha"], "scale": 1 / a["beta"]}
    return "gamma", {"a": (a["mu"] / a["sigma"]) ** 2, "scale": a["sigma"] ** 2 / a["mu"]}


def inverse_gamma(a: Arguments) -> Kin:
    """InverseGamma, from its shapes or its mean and spread."""
    if "alpha" in a:
        return "invgamma", {"a": a["alpha"], "scale": a["beta"]}
    shape = 2 + (a["mu"] / a["sigma"]) ** 2
    return "invgamma", {"a": shape, "scale": a["mu"] * (shape - 1)}


def truncated_normal(a: Arguments) -> Kin:
    """TruncatedNormal; SciPy counts the ends in standard deviations from mu."""
    scale = sd(a)
    ends = (a.get("lower", -INF) - a["mu"]) / scale, (a.get("upper", INF) - a["mu"]) / scale
    return "truncnorm", {"a": ends[0], "b": ends[1], "loc": a["mu"], "scale": scale}


def triangular(a: Arguments) -> Kin:
    """Triangular; SciPy places the mode at a fraction of the width."""
    width = a["upper"] - a["lower"]
    return "triang", {"c": (a["c"] - a["lower"]) / width, "loc": a["lower"], "scale": width}


def asymmetric_laplace(a: Arguments) -> Kin:
    """AsymmetricLaplace, from its asymmetry or from the probability below mu."""
    kappa = a["kappa"] if "kappa" in a else (a["q"] / (1 - a["q"])) ** 0.5
    return "laplace_asymmetric", {"kappa": kappa, "loc": a["mu"], "scale": 1 / a["b"]}


def wald(a: Arguments) -> Kin:
    """Wald, from its mean, its shape and their ratio, as far as given."""
    mu = a["mu"] if "mu" in a else a["lam"] / a["phi"]
    lam = a["lam"] if "lam" in a else mu * a["phi"] if "phi" in a else 1.0
    return "invgauss", {"mu": mu / lam, "loc": a["alpha"], "scale": lam}


def rice(a: Arguments) -> Kin:
    """Rice, from its distance or from the ratio of distance and spread."""
    ratio = a["b"] if "b" in a else a["nu"] / a["sigma"]
    return "rice", {"b": ratio, "scale": a["sigma"]}


def renamed(name: str, **arguments: str) -> Callable[[Arguments], Kin]:
    """Return a map to a SciPy law whose arguments are ours under other names ("sd" stands for any form of spread)."""

    def law(a: Arguments) -> Kin:
        return name, {theirs: sd(a) if ours == "sd" else a[ours] for theirs, ours in arguments.items()}

    return law


def half_student_t(a: Arguments, mass: float) -> float:
    """Quantile of the absolute value of a Student t."""
    import scipy.special

    return sd(a) * scipy.special.stdtrit(a["nu"], 0.5 * (1 + mass))


def kumaraswamy(a: Arguments, mass: float) -> float:
    """Quantile in closed form."""
    return (1 - (1 - mass) ** (1 / a["b"])) ** (1 / a["a"])


def logit_normal(a: Arguments, mass: float) -> float:
    """Quantile of the normal law, through the logistic function."""
    import scipy.special

    return scipy.special.expit(a["mu"] + sd(a) * scipy.special.ndtri(mass))


def von_mises(a: Arguments, mass: float) -> float:
    """Return the quantile between -pi and pi; SciPy's law goes on beyond them, turn after turn."""
    import scipy.stats

    law = scipy.stats.vonmises(a["kappa"], loc=a["mu"])
    turns, share = divmod(mass + law.cdf(-math.pi), 1.0)
    return law.ppf(share) + 2 * math.pi * turns
