"""Log probabilities of readings below and above a value, right to rounding also where they are 1e-300.

`ln P(Y <= y)` of the usual routines is the logarithm of a probability that has underflowed far from the output, where
samplers begin. Here what is small is computed as a logarithm, and what is near 1 from its complement. Functions take
NumPy arrays or PyTensor variables, whose derivatives are finite everywhere.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytensor.tensor as pt
import scipy.special
from pytensor.graph.basic import Variable

_STEP = 0.15
_TAU = np.arange(-3.75, 4.2, _STEP)
_NODE = np.exp(_TAU - np.exp(-_TAU))
_LOG_WEIGHT = np.log(_STEP * (1 + np.exp(-_TAU))) + _TAU - np.exp(-_TAU)
"""The double exponential rule for integrals from zero to infinity of what falls exponentially, x = exp(t - exp(-t)):
Takahasi & Mori, Publ. RIMS Kyoto 9 (1974) 721-741. With these 53 nodes the logarithms below are right to 1e-10."""


@dataclass(frozen=True)
class _Functions:
    """The functions that NumPy and PyTensor both have, under one name."""

    where: Any
    exp: Any
    log: Any
    log1p: Any
    expm1: Any
    sqrt: Any
    maximum: Any
    minimum: Any
    gammaln: Any
    erfc: Any
    erfcx: Any
    array: Any


_PLAIN = _Functions(
    np.where, np.exp, np.log, np.log1p, np.expm1, np.sqrt, np.maximum, np.minimum,
    scipy.special.gammaln, scipy.special.erfc, scipy.special.erfcx, np.asarray,
)  # fmt: skip
_SYMBOLIC = _Functions(
    pt.switch, pt.exp, pt.log, pt.log1p, pt.expm1, pt.sqrt, pt.maximum, pt.minimum,
    pt.gammaln, pt.erfc, pt.erfcx, lambda value: pt.as_tensor(value).astype("float64"),  # a plain 0.5 were float32
)  # fmt: skip


def functions_for(*values: Any) -> _Functions:
    """Return the functions of PyTensor where one of the values is its variable, else those of NumPy."""
    return _SYMBOLIC if any(isinstance(value, Variable) for value in values) else _PLAIN


def normal(z: Any) -> Any:
    """Return ln P(Z <= z) of a standard normal Z."""
    f = functions_for(z)
    far = f.log(0.5 * f.erfcx(f.maximum(-z, 0.0) / np.sqrt(2))) - 0.5 * z**2
    near = f.log1p(-0.5 * f.erfc(f.maximum(z, -1.0) / np.sqrt(2)))
    return f.where(z < -1.0, far, near)


def laplace(z: Any) -> Any:
    """Return ln P(Z <= z) of a standard Laplace Z, of density exp(-|z|) / 2."""
    f = functions_for(z)
    return f.where(z < 0.0, f.minimum(z, 0.0) - np.log(2), f.log1p(-0.5 * f.exp(-f.maximum(z, 0.0))))


def student(z: Any, nu: Any) -> Any:
    """Return ln P(Z <= z) of Student's t with `nu` degrees of freedom: half I_x(nu/2, 1/2), x = nu / (nu + z^2)."""
    f = functions_for(z, nu)
    square = z**2
    # ln x and ln (1 - x) by themselves, as x may round to 1 and 1 - x is zero where z is
    tail = beta(0.5 * nu, 0.5, -f.log1p(square / nu), f.log((square + 1e-300) / (nu + square))) - np.log(2)
    return f.where(z < 0.0, tail, f.log1p(-f.exp(tail)))


def poisson_up_to(k: float, mu: Any) -> Any:
    """Return ln P(N <= k) of a Poisson N with mean `mu`: Q(k + 1, mu)."""
    return _gamma(k + 1.0, mu)[0]


def poisson_from(k: float, mu: Any) -> Any:
    """Return ln P(N >= k) of a Poisson N with mean `mu`, k > 0: P(k, mu)."""
    return _gamma(float(k), mu)[1]


def negative_binomial_up_to(k: float, mu: Any, alpha: Any) -> Any:
    """Return ln P(N <= k) of a negative binomial N with mean `mu`, variance mu + mu^2 / alpha: I_p(alpha, k + 1)."""
    log_p, log_q = _odds(mu, alpha)
    return beta(alpha, k + 1.0, log_p, log_q)


def negative_binomial_from(k: float, mu: Any, alpha: Any) -> Any:
    """Return ln P(N >= k), k > 0: I_q(k, alpha), q = mu / (alpha + mu)."""
    log_p, log_q = _odds(mu, alpha)
    return beta(k, alpha, log_q, log_p)


def _odds(mu: Any, alpha: Any) -> tuple[Any, Any]:
    f = functions_for(mu, alpha)
    return -f.log1p(mu / alpha), -f.log1p(alpha / mu)


def beta(a: Any, b: Any, log_x: Any, log_y: Any) -> Any:
    """Return ln I_x(a, b) of the regularised incomplete beta function, for ln x and ln y = ln (1 - x).

    Below the mean of the law it is x^a / B(a, b) times the integral over q of e^-aq (1 - x e^-q)^(b-1); above it that
    of I_y(b, a), its complement.
    """
    f = functions_for(a, b, log_x, log_y)
    a, b = f.array(a), f.array(b)
    below = f.log(a / (a + b)) > log_x
    front = f.gammaln(a + b) - f.gammaln(a) - f.gammaln(b)
    a, b = f.where(below, a, b), f.where(below, b, a)
    log_x, log_y = f.where(below, log_x, log_y), f.where(below, log_y, log_x)
    odds, above = f.exp(log_x - log_y), f.maximum(b - 1, 0.0)
    bent = f.maximum(a - above * odds, 0.0) + f.sqrt(a + above * odds * (1 + odds))

    def exponent(q: Any, log_x: Any, log_y: Any, a: Any, b: Any) -> Any:
        # 1 - x e^-q = y + x (1 - e^-q), which keeps its digits where x is nearly 1
        return -a * q + (b - 1) * f.log(f.exp(log_y) - f.exp(log_x) * f.expm1(-q))

    tail = front + a * log_x + _integral(exponent, 1 / f.where(a < 1.0, a, bent), log_x, log_y, a, b)
    return f.where(below, tail, _complement(tail))


def _gamma(k: float, mu: Any) -> tuple[Any, Any]:
    """Return ln Q(k, mu) and ln P(k, mu) = ln (1 - Q).

    For mu above k, Q is mu^k e^-mu / Gamma(k) times the integral over q of (1 + q)^(k-1) e^(-mu q); else P is the same
    times that of e^(-kq) e^(mu (1 - e^-q)).
    """
    f = functions_for(mu)
    above = mu > k
    scale = 1 / (f.maximum(f.where(above, mu - k + 1, k - mu), 0.0) + np.sqrt(k))

    def exponent(q: Any, mu: Any, above: Any) -> Any:
        return f.where(above, (k - 1) * f.log1p(q) - mu * q, -k * q - mu * f.expm1(-q))

    tail = k * f.log(mu) - mu - scipy.special.gammaln(k) + _integral(exponent, scale, mu, above)
    rest = _complement(tail)
    return f.where(above, tail, rest), f.where(above, rest, tail)


def _integral(exponent: Any, scale: Any, *arguments: Any) -> Any:
    """Return the logarithm of the integral of exp(exponent(q)) from zero to infinity, which falls over `scale`."""
    f = functions_for(scale, *arguments)
    column = [f.array(value)[..., None] for value in (scale, *arguments)]
    terms = exponent(column[0] * _NODE, *column[1:]) + _LOG_WEIGHT
    top = terms.max(axis=-1)
    return f.log(scale) + top + f.log(f.exp(terms - top[..., None]).sum(axis=-1))


def _complement(log_p: Any) -> Any:
    """Return ln (1 - p) for ln p; something finite where p is 1."""
    f = functions_for(log_p)
    return f.log1p(-f.exp(f.minimum(log_p, -1e-6)))
