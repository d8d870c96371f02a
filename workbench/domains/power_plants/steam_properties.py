"""Water and steam by IAPWS-IF97: enthalpy, entropy, saturation, and temperature back from them, for steam plants.

With the Gibbs energy g = R T gamma(pi, tau), liquid water (region 1) has pi = p / 16.53 MPa, tau = 1386 K / T and

    gamma = sum n (7.1 - pi)^I (tau - 1.222)^J                                                  equation 7

and steam (region 2) pi = p / 1 MPa, tau = 540 K / T and

    gamma = ln pi + sum n tau^J + sum n pi^I (tau - 0.5)^J                                           equations 15 to 17
    h     = R T tau gamma_tau,  s = R (tau gamma_tau - gamma)                                           tables 3 and 12
    T     = sum n pi^I (h / 2000 kJ/kg - 2.1)^J  up to 4 MPa                                                equation 22
    T     = sum n pi^I (s / 2 kJ/(kg K) - 2)^J   up to 4 MPa                                                equation 25

Saturation is equations 30 and 31. Functions take numbers, arrays and symbols alike; pressures are in MPa, temperatures
in K, enthalpies in kJ/kg, entropies in kJ/(kg K). They are not limited to their regions: who calls them stays inside.

Source: IAPWS R7-97(2012). The backward equations are approximations of their own, within 25 mK of the forward ones.
"""

from typing import Any

import numpy as np

from workbench.declare import math as m
from workbench.domains.power_plants.steam_tables import (
    BACKWARD2A_PH,
    BACKWARD2A_PS,
    IDEAL2,
    REGION1,
    RESIDUAL2,
    SATURATION,
)

GAS = 0.461526  # kJ/(kg K), equation 1


def _columns(terms: Any) -> tuple[Any, ...]:
    """Return the columns of a table as arrays."""
    return tuple(np.array(column, dtype=np.float64) for column in zip(*terms, strict=True))


def _dot(n: Any, *powers: tuple[Any, Any]) -> Any:
    """Return the sum of n times powers of numbers, arrays (then over a last axis) or symbols."""
    total: Any = n
    for base, exponents in powers:
        total = total * (base[..., None] if isinstance(base, np.ndarray) else base) ** exponents
    return total.sum(-1) if isinstance(total, np.ndarray) else m.sum(total)


_I1, _J1, _N1 = _columns(REGION1)
_J0, _N0 = _columns(IDEAL2)
_I2, _J2, _N2 = _columns(RESIDUAL2)
_PH, _PS = _columns(BACKWARD2A_PH), _columns(BACKWARD2A_PS)


def _liquid(p: Any, T: Any) -> tuple[Any, Any]:
    """Return gamma and its derivative by tau, of water (equation 7)."""
    a, b = 7.1 - p / 16.53, 1386.0 / T - 1.222
    return _dot(_N1, (a, _I1), (b, _J1)), _dot(_N1 * _J1, (a, _I1), (b, _J1 - 1))


def _steam(p: Any, T: Any) -> tuple[Any, Any]:
    """Return gamma and its derivative by tau, of steam (equations 15 to 17)."""
    tau = 540.0 / T
    b = tau - 0.5
    gamma = m.log(p) + _dot(_N0, (tau, _J0)) + _dot(_N2, (p, _I2), (b, _J2))
    return gamma, _dot(_N0 * _J0, (tau, _J0 - 1)) + _dot(_N2 * _J2, (p, _I2), (b, _J2 - 1))


def water(p: Any, T: Any) -> tuple[Any, Any]:
    """Return enthalpy and entropy of liquid water at a pressure (MPa) and a temperature (K): region 1."""
    gamma, slope = _liquid(p, T)
    return GAS * 1386.0 * slope, GAS * (1386.0 / T * slope - gamma)


def steam(p: Any, T: Any) -> tuple[Any, Any]:
    """Return enthalpy and entropy of steam at a pressure (MPa) and a temperature (K): region 2."""
    gamma, slope = _steam(p, T)
    return GAS * 540.0 * slope, GAS * (540.0 / T * slope - gamma)


def steam_temperature(p: Any, *, h: Any = None, s: Any = None) -> Any:
    """Return the temperature (K) of steam up to 4 MPa from its enthalpy or its entropy: region 2a."""
    i, j, n = _PS if h is None else _PH
    return _dot(n, (p, i), (s / 2.0 - 2.0 if h is None else h / 2000.0 - 2.1, j))


def saturation_pressure(T: Any) -> Any:
    """Return the pressure (MPa) at which water boils at a temperature (K): equation 30."""
    n = SATURATION
    t = T + n[8] / (T - n[9])
    a, b, c = (t**2 + n[0] * t + n[1], n[2] * t**2 + n[3] * t + n[4], n[5] * t**2 + n[6] * t + n[7])
    return (2 * c / (-b + m.sqrt(b**2 - 4 * a * c))) ** 4


def saturation_temperature(p: Any) -> Any:
    """Return the temperature (K) at which water boils at a pressure (MPa): equation 31."""
    n = SATURATION
    b = p**0.25
    e = b**2 + n[2] * b + n[5]
    f = n[0] * b**2 + n[3] * b + n[6]
    g = n[1] * b**2 + n[4] * b + n[7]
    d = 2 * g / (-f - m.sqrt(f**2 - 4 * e * g))
    return (n[9] + d - m.sqrt((n[9] + d) ** 2 - 4 * (n[8] + n[9] * d))) / 2
