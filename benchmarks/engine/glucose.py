"""Glucose and insulin of a patient with type 1 diabetes: eight states, a day with three meals and their boluses.

Equations and parameters: R. Hovorka et al. (2004), Nonlinear model predictive control of glucose concentration in
subjects with type 1 diabetes, Physiological Measurement 25, 905-920 (equations 1 to 11, table 1). A meal enters by the
closed form of its two compartments in the gut, a bolus all at once. Spreads between patients are chosen by us.
"""

from typing import Any

import numpy as np

import workbench as wb

RTOL, ATOL = 1e-6, 1e-8
END, EVERY = 1440.0, 15.0  # minutes
MEALS = (420.0, 720.0, 1140.0)  # minutes after midnight
CARBOHYDRATES = (333.0, 444.0, 389.0)  # mmol of glucose: 60, 80 and 70 g
BOLUSES = (1600.0, 2100.0, 1900.0)  # mU
BASAL = 7.0  # mU/min
# Name, unit, value and the spread (SD of the logarithm) between patients.
CONSTANTS = (
    ("k12", "1/min", 0.066, 0.3), ("ka1", "1/min", 0.006, 0.0), ("ka2", "1/min", 0.06, 0.0),
    ("ka3", "1/min", 0.03, 0.0), ("SIT", "L/mU/min", 51.2e-4, 0.3), ("SID", "L/mU/min", 8.2e-4, 0.3),
    ("SIE", "L/mU", 520e-4, 0.3), ("ke", "1/min", 0.138, 0.2), ("VI", "L/kg", 0.12, 0.1), ("VG", "L/kg", 0.16, 0.1),
    ("EGP0", "mmol/kg/min", 0.0161, 0.2), ("F01", "mmol/kg/min", 0.0097, 0.2), ("AG", "1", 0.8, 0.0),
    ("tmaxG", "min", 40.0, 0.3), ("tmaxI", "min", 55.0, 0.2), ("weight", "kg", 75.0, 0.15), ("low", "mmol/L", 4.5, 0.0),
    ("high", "mmol/L", 9.0, 0.0), ("renal", "1/min", 0.003, 0.0),
    *((f"meal{k}", "mmol", carbohydrates, 0.2) for k, carbohydrates in enumerate(CARBOHYDRATES)),
    *((f"at{k}", "min", time, 0.0) for k, time in enumerate(MEALS)),
)  # fmt: skip
NAMES = tuple(name for name, *_ in CONSTANTS)
STATES = {"Q1": ("mmol", 67.0), "Q2": ("mmol", 27.0), "S1": ("mU", 385.0), "S2": ("mU", 385.0), "I": ("mU/L", 5.64),
          "x1": ("1/min", 0.0289), "x2": ("1/min", 0.00462), "x3": ("1", 0.293)}  # fmt: skip
START = tuple(start for _, start in STATES.values())


def slopes(t: Any, x: Any, p: Any, infusion: Any, where: Any, exp: Any) -> Any:
    """Return the derivatives of the eight states, per minute; `where` and `exp` are those of whoever asks."""
    Q1, Q2, S1, S2, I, x1, x2, x3 = x  # noqa: E741
    k12, ka1, ka2, ka3, SIT, SID, SIE, ke, VI, VG, EGP0, F01, AG, tmaxG, tmaxI, weight, low, high, renal = p[:19]
    meal0, meal1, meal2, at0, at1, at2 = p[19:]
    G = Q1 / (VG * weight)
    used = F01 * weight * where(low > G, G / low, 1.0)
    lost = renal * VG * weight * where(high < G, G - high, 0.0 * high)
    gut0 = meal0 * where(t > at0, (t - at0) * exp(-(t - at0) / tmaxG), 0.0 * tmaxG)
    gut1 = meal1 * where(t > at1, (t - at1) * exp(-(t - at1) / tmaxG), 0.0 * tmaxG)
    gut2 = meal2 * where(t > at2, (t - at2) * exp(-(t - at2) / tmaxG), 0.0 * tmaxG)
    absorbed = AG * (gut0 + gut1 + gut2) / (tmaxG * tmaxG)
    return (
        k12 * Q2 - x1 * Q1 - used - lost + absorbed + EGP0 * weight * where(x3 < 1.0, 1.0 - x3, 0.0 * x3),
        x1 * Q1 - (k12 + x2) * Q2,
        infusion - S1 / tmaxI,
        (S1 - S2) / tmaxI,
        S2 / (tmaxI * VI * weight) - ke * I,
        ka1 * (SIT * I - x1),
        ka2 * (SID * I - x2),
        ka3 * (SIE * I - x3),
    )


class Glucose(wb.Ode):
    """Glucose and insulin over a day; Hovorka et al. (2004)."""

    time_unit = "min"
    rtol = RTOL
    atol = ATOL
    vars().update({name: wb.State(unit, start=start) for name, (unit, start) in STATES.items()})
    vars().update({name: wb.Parameter(unit, value=value) for name, unit, value, _ in CONSTANTS})
    infusion = wb.Input("mU/min", kind="previous")
    bolus = wb.Input("mU", kind="impulse", into="S1")

    def rhs(self, t, x, u, p):
        states, constants = [getattr(x, name) for name in STATES], [getattr(p, name) for name in NAMES]
        return dict(zip(STATES, slopes(t, states, constants, u.infusion, wb.math.where, wb.math.exp), strict=True))


INPUTS = {"infusion": BASAL, "bolus": dict(zip(MEALS, BOLUSES, strict=True))}


def patients(members: int) -> Any:
    """Return the parameters (members, names) of patients, the same in every run."""
    rng = np.random.default_rng(1)
    values, spreads = (np.array([row[k] for row in CONSTANTS]) for k in (2, 3))
    return values * np.exp(spreads * rng.standard_normal((members, len(NAMES))))


def times() -> Any:
    """Return the minutes at which results are kept."""
    return np.arange(0.0, END + EVERY / 2, EVERY)


def segments() -> list[tuple[float, float, float, Any]]:
    """Return begin, end, bolus at the begin and times kept for each stretch between boluses."""
    edges = (0.0, *MEALS, END)
    every = times()
    made = []
    for lo, hi, bolus in zip(edges, edges[1:], (0.0, *BOLUSES), strict=False):
        made.append((lo, hi, bolus, every[(every >= lo) & ((every < hi) | (hi == END))]))
    return made
