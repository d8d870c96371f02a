"""Pharmacokinetics: a drug swallowed or given into a vein, spread over the body, and eliminated.

Swallowed, with amounts in the gut $A_g$ and in the body $A$ (mg), the dose an impulse into the gut, concentration $C$:

    dA_g/dt = -ka A_g                                                                      (1)
    dA/dt   =  ka A_g - ke A,  ke = CL / V                                                 (2)
    C       =  A / V                                                                       (3)
    C(t)    =  dose ka / (V (ka - ke)) (exp(-ke t) - exp(-ka t))     after one dose        (4)

Without an intravenous dose the absorbed fraction F cannot be told apart: CL and V stand for CL/F and V/F. Into a vein,
spread over tissue with an amount $A_2$:

    dA_1/dt = -(CL + Q) A_1 / V1 + Q A_2 / V2                                              (5)
    dA_2/dt =  Q A_1 / V1 - Q A_2 / V2                                                     (6)
    C(t)    =  A exp(-alpha t) + B exp(-beta t),  A + B = dose / V1,  after one dose        (7)

With the weight w, of adults beside 70 kg, of newborns by itself:

    CL = CL_70 (w / 70)^0.75,  V = V_70 (w / 70)                                           (8)
    CL = CL_kg w,              V = V_kg w f^asphyxia                                       (9)

Sources
-------
Equation 4, the Bateman function: Duffus JH, Nordberg M, Templeton DM (2007). Glossary of terms used in toxicology. Pure
Appl. Chem. 79, 1153-1344, p. 1174. Its limit at ka = ke: Garrett ER (1994). J. Pharmacokinet. Biopharm. 22, 103-128.
Equations 1 to 3, 5 to 7, and steady states of repeated doses: Gibaldi M, Perrier D (1982). Pharmacokinetics, 2nd ed.,
Marcel Dekker, chapters 1 to 3. Equation 8: Anderson BJ, Holford NHG (2008). Annu. Rev. Pharmacol. Toxicol. 48, 303-332.
Equation 9: Grasela TH, Donn SM (1985). Dev. Pharmacol. Ther. 8, 374-383.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.declare import noise, prior
from workbench.declare.ode import Ode
from workbench.declare.quantity import Input, Output, Parameter, State


class OneCompartmentOral(Ode):
    """One compartment with first-order absorption: doses are swallowed, one concentration is measured.

    The priors say what is known of any small drug in an adult before this one is looked at; their 90% intervals span
    a factor of 27.

    - ka: absorption half-lives of 8 min to 3.6 h, as of tablets and solutions that release at once.
    - CL: 1 to 26 L/h, from a hundredth to a third of the blood flow of the liver, 90 L/h.
    - V: 8 to 218 L around the body's water, 42 L: from little more than blood to stores in tissue.
    - sigma: errors below 4 mg/L, where concentrations reach some 10 mg/L.
    """

    time_unit = "h"
    gut = State("mg", start=0.0, bounds=(0, None), long_name="amount in the gut")
    body = State("mg", start=0.0, bounds=(0, None), long_name="amount in the body")
    ka = Parameter("1/h", prior=prior.LogNormal(median=1.0, sigma=1.0), long_name="absorption rate constant")
    CL = Parameter("L/h", prior=prior.LogNormal(median=5.0, sigma=1.0), long_name="apparent clearance")
    V = Parameter("L", prior=prior.LogNormal(median=42.0, sigma=1.0), long_name="apparent volume of distribution")
    dose = Input("mg", kind="impulse", into="gut", long_name="dose")
    conc = Output("mg/L", noise=noise.Normal(sigma=prior.HalfNormal(2.0)), long_name="concentration in serum")

    def rhs(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return the rates of both amounts, in mg/h."""
        absorbed = p.ka * x.gut
        return {
            "gut": -absorbed,  # (1)
            "body": absorbed - p.CL / p.V * x.body,  # (2)
        }

    def observe(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return the concentration, in mg/L."""
        return {"conc": x.body / p.V}  # (3)


class OneCompartmentOralByWeight(OneCompartmentOral):
    """The same, with what weight explains: clearance and volume are those of a person of 70 kg."""

    reference = Parameter("kg", value=70.0, long_name="weight of a standard person")
    weight = Input("kg", long_name="weight")

    def rhs(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return the rates of both amounts, in mg/h."""
        size = u.weight / p.reference
        absorbed = p.ka * x.gut
        return {"gut": -absorbed, "body": absorbed - p.CL * size**0.75 / (p.V * size) * x.body}  # (8)

    def observe(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return the concentration, in mg/L."""
        return {"conc": x.body / (p.V * u.weight / p.reference)}


class TwoCompartmentIntravenous(Ode):
    """Two compartments: doses go into a vein, the concentration in plasma is measured.

    The priors say what is known of any small drug in an adult before this one is looked at.

    - CL: 1 to 26 L/h, as of `OneCompartmentOral`; Q: as wide, since tissue gets as much blood.
    - V1: 2 to 52 L around 10 L, plasma and what mixes with it at once; V2: 4 to 104 L around 20 L.
    - errors: additive ones below 0.1 mg/L; proportional ones below 0.6, assays and timing together.
    """

    time_unit = "h"
    body = State("mg", start=0.0, bounds=(0, None), long_name="amount in plasma")
    tissue = State("mg", start=0.0, bounds=(0, None), long_name="amount in tissue")
    CL = Parameter("L/h", prior=prior.LogNormal(median=5.0, sigma=1.0), long_name="clearance")
    V1 = Parameter("L", prior=prior.LogNormal(median=10.0, sigma=1.0), long_name="central volume")
    Q = Parameter("L/h", prior=prior.LogNormal(median=5.0, sigma=1.0), long_name="clearance between compartments")
    V2 = Parameter("L", prior=prior.LogNormal(median=20.0, sigma=1.0), long_name="volume of tissue")
    dose = Input("mg", kind="impulse", into="body", long_name="dose")
    conc = Output(
        "mg/L",
        noise=noise.Combined(additive=prior.HalfNormal(0.05), proportional=prior.HalfNormal(0.3)),
        long_name="concentration in plasma",
    )

    def rhs(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return the rates of both amounts, in mg/h."""
        spread = p.Q / p.V1 * x.body - p.Q / p.V2 * x.tissue
        return {"body": -p.CL / p.V1 * x.body - spread, "tissue": spread}  # (5), (6)

    def observe(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return the concentration, in mg/L."""
        return {"conc": x.body / p.V1}


class OneCompartmentNewborn(Ode):
    """One compartment of a newborn, whose clearance and volume go with weight: doses go into a vein.

    - CL: 0.0004 to 0.026 L/h/kg, half-lives of some hours to some weeks: what is cleared by an unripe liver.
    - V: 0.25 to 2.5 L/kg around the water of a newborn's body, 0.8 L/kg (Friis-Hansen B (1961), Pediatrics 28, 169).
    - asphyxia_effect: volume after asphyxia at birth over volume without: within 40 % of one.
    - sigma: errors below 10 mg/L, where concentrations reach 20 to 40 mg/L.
    """

    time_unit = "h"
    body = State("mg", start=0.0, bounds=(0, None), long_name="amount in the body")
    CL = Parameter("L/h/kg", prior=prior.LogNormal(median=0.005, sigma=1.0), long_name="clearance for each kg")
    V = Parameter("L/kg", prior=prior.LogNormal(median=0.8, sigma=0.7), long_name="volume for each kg")
    asphyxia_effect = Parameter(
        "1", prior=prior.LogNormal(median=1.0, sigma=0.2), long_name="factor of volume after asphyxia"
    )
    weight = Input("kg", long_name="weight at birth")
    asphyxia = Input("1", long_name="asphyxia at birth")
    dose = Input("mg", kind="impulse", into="body", long_name="dose")
    conc = Output("mg/L", noise=noise.Normal(sigma=prior.HalfNormal(5.0)), long_name="concentration in serum")

    def rhs(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return the rate of the amount, in mg/h."""
        return {"body": -p.CL / (p.V * p.asphyxia_effect**u.asphyxia) * x.body}  # (9): weight cancels

    def observe(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return the concentration, in mg/L."""
        return {"conc": x.body / (p.V * p.asphyxia_effect**u.asphyxia * u.weight)}  # (9)


def two_compartments(A: float, alpha: float, B: float, beta: float, *, dose: float) -> dict[str, float]:
    """Return CL, V1, Q and V2 of `TwoCompartmentIntravenous` whose course after a dose (mg) is (7).

    Parameters
    ----------
    A, B
        Coefficients (mg/L).
    alpha, beta
        Rate constants (1/h).

    Sources
    -------
    Gibaldi & Perrier (1982), chapter 2: k21 = (A beta + B alpha) / (A + B), k10 = alpha beta / k21.
    """
    central = dose / (A + B)
    back = (A * beta + B * alpha) / (A + B)
    out = alpha * beta / back
    over = alpha + beta - back - out
    return {"CL": out * central, "V1": central, "Q": over * central, "V2": over * central / back}


def bateman(
    t: ArrayLike, dose: ArrayLike, *, ka: ArrayLike, CL: ArrayLike, V: ArrayLike, every: float = np.inf
) -> NDArray[np.float64]:
    """Return the concentration (mg/L) at times after a dose, in closed form; arguments broadcast.

    Parameters
    ----------
    t
        Time since the last dose (h), at most `every`.
    dose
        Size of each dose (mg).
    ka, CL, V
        Absorption rate constant (1/h), apparent clearance (L/h), apparent volume (L).
    every
        Time between doses (h): the concentration is that of the steady state. Infinite: there was one dose.
    """
    times, ka, V = (np.asarray(a, dtype=np.float64) for a in (t, ka, V))
    slow, fast = _rates(ka, np.asarray(CL) / V)
    sums = _sum(slow, times, every) - _sum(fast, times, every)
    return np.asarray(dose) * ka / (V * (fast - slow)) * sums  # (4), summed over past doses


def peak_time(*, ka: ArrayLike, CL: ArrayLike, V: ArrayLike, every: float = np.inf) -> NDArray[np.float64]:
    """Return when after a dose the concentration is highest (h): where the derivative of `bateman` is zero.

    Parameters are those of `bateman`.
    """
    slow, fast = _rates(np.asarray(ka, dtype=np.float64), np.asarray(CL) / np.asarray(V))
    return np.log(fast * _sum(fast, 0.0, every) / (slow * _sum(slow, 0.0, every))) / (fast - slow)


def _rates(ka: NDArray[np.float64], ke: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both rate constants, kept a relative 1e-6 apart: (4) has a limit there, but no value."""
    return ke, np.where(np.abs(ka - ke) > 1e-6 * ke, ka, ke * (1 + 1e-6))


def _sum(k: NDArray[np.float64], t: Any, every: float) -> NDArray[np.float64]:
    """Return exp(-k t) summed over this dose and all before it, a geometric series."""
    return np.exp(-k * t) / -np.expm1(-k * every)
