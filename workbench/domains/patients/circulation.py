"""The circulation as six chambers in a loop: what lines in an artery and in the pulmonary artery read, beat by beat.

Two ventricles whose stiffness rises and falls with each beat pump through valves into windkessels; veins fill them.

    s    = t - t_R - delay                                      time since the ventricle began to contract, s       (1)
    a(s) = (1 - cos(pi s / t_1)) / 2                            for 0 < s < t_1,                                    (2)
           (1 + cos(pi (s - t_1) / t_2)) / 2                    for t_1 < s < t_1 + t_2, 0 elsewhere
    P_v  = (E_0 + (E - E_0) a) V + P_th                         pressure in a ventricle, mmHg                       (3)
    Q_in = max(P_vein - P_v, 0) / R_in                          flow through the valve that fills it, mL/s          (4)
    Q    = max(P_v - P_artery, 0) / (Z + R_out)                 flow through the valve that empties it, mL/s        (5)
    V'   = Q_in - Q                                             volume of a ventricle, mL                           (6)
    C_a P_a' = Q - (P_a - P_vein) / R                           artery, behind its characteristic impedance Z       (7)
    C_v P_vein' = (P_a - P_vein) / R - Q_in                     the veins that it drains into                       (8)
    line = P_a + Z Q                                            what is read; with its tip in the right ventricle   (9)
                                                                the pulmonary catheter reads P_v of (3)

P_th is the pressure around heart, lungs and great veins, proportional to the record of respiration. Where pressures are
compared or read it is added to those of vessels, which are kept as what their walls hold; to systemic arteries in the
share of their compliance that lies in the chest. t_R is the last R peak of the
ECG. The delay holds the transit of the pulse and of the line as well: an arterial line lies far from the heart.

**Pressures have no scale of flow.** With R / k, Z / k, C k, E / k and all volumes times k, flows are k times what they
were, and (9) is the same to the last digit. So the parameters are one resistance, which sets the scale, and times and
ratios, which pressures can tell. The mean flow may be measured as well, by thermodilution.

Sources
-------
Equations 1 to 3: Suga H, Sagawa K (1974), Circ. Res. 35, 117-126 (time-varying elastance); the cosines of (2):
Korakianitis T, Shi Y (2006), J. Biomech. 39, 1964-1982. Equations 4, 5 and 8, and the loop of six chambers: Smith BW
et al. (2004), Med. Eng. Phys. 26, 131-139. Equation 7: Westerhof N, Lankhaar JW, Westerhof BE (2009), Med. Biol. Eng.
Comput. 47, 131-141 (three-element windkessel). A review of such models: Shi Y, Lawford P, Hose R (2011), Biomed. Eng.
Online 10, 33. Equations are restated from memory of these papers, numbers are not theirs.
"""

from typing import Any

import numpy as np

from workbench.declare import math as m
from workbench.declare import noise, prior
from workbench.declare.ode import Ode
from workbench.declare.quantity import Input, Output, Parameter, State


def activation(s: Any, rise: Any, fall: Any) -> Any:
    """Return the activation of a ventricle (0 to 1) by (2).

    Parameters
    ----------
    s
        Time since it began to contract, s; 0 before.
    rise, fall
        t_1 and t_2, s.
    """
    up = m.minimum(m.maximum(s / rise, 0.0 * s / rise), 1.0)
    down = m.minimum(m.maximum((s - rise) / fall, 0.0 * s / fall), 1.0)
    return 0.5 * (m.cos(np.pi * down) - m.cos(np.pi * up))  # (2)


def valve(forward: Any, back: Any, resistance: Any) -> Any:
    """Return the flow (mL/s) through a valve between two pressures (mmHg), by (4) and (5)."""
    return m.maximum(forward - back, 0.0 * forward) / resistance


class Circulation(Ode):
    """A closed loop; the priors are of adults in intensive care.

    - resistance: 800 to 1200 dyn s/cm^5 are normal, 0.6 to 0.9 mmHg s/mL of 1333 dyn/cm^2; patients lie far on both
      sides. It alone sets the scale of flow.
    - decay: resistance times compliance, 1 to 2 s in adults. decay_lungs: a fourth of it or so.
    - impedance: 5 to 10 % of the resistance in the aorta; more in a radial artery, whose pulse is amplified.
    - lungs: a tenth of the systemic resistance, several times that in lung disease.
    - strength: E / R; at 1.5 to 2.5 1/s, the ratio of ventricular to arterial elastance, E T / R, is 1 to 1.5.
    - strength_right: a fourth of it.
    - rise, fall: to the peak in 0.3 s and down in 0.15 s at 60 beats a minute; times shorten at higher rates.
    - delays: the ventricles begin some 50 ms after R; the pulse needs 100 ms or so to a wrist.
    """

    time_unit = "s"
    rtol, atol = 1e-6, 1e-6
    P_sa = State("mmHg", long_name="systemic arteries, across their walls")
    P_sv = State("mmHg", long_name="systemic veins, across their walls")
    P_pa = State("mmHg", long_name="pulmonary arteries, across their walls")
    P_pv = State("mmHg", long_name="pulmonary veins, across their walls")
    V_lv = State("mL", long_name="left ventricle")
    V_rv = State("mL", long_name="right ventricle")
    pumped = State("mL", start=0.0, long_name="what has passed the systemic resistance")
    resistance = Parameter(
        "mmHg*s/mL", prior=prior.LogNormal(median=0.9, sigma=0.35), long_name="systemic resistance R"
    )
    decay = Parameter("s", prior=prior.LogNormal(median=1.4, sigma=0.35), long_name="systemic time constant R C")
    impedance = Parameter("1", prior=prior.LogNormal(median=0.1, sigma=0.5), long_name="characteristic impedance Z / R")
    lungs = Parameter("1", prior=prior.LogNormal(median=0.15, sigma=0.5), long_name="pulmonary resistance R_p / R")
    decay_lungs = Parameter("s", prior=prior.LogNormal(median=0.4, sigma=0.4), long_name="pulmonary time constant")
    impedance_lungs = Parameter(
        "1", prior=prior.LogNormal(median=0.2, sigma=0.5), long_name="pulmonary impedance Z_p / R_p"
    )
    strength = Parameter("1/s", prior=prior.LogNormal(median=2.0, sigma=0.5), long_name="left elastance E / R")
    strength_right = Parameter("1/s", prior=prior.LogNormal(median=0.7, sigma=0.5), long_name="right elastance E / R")
    softness = Parameter("1", prior=prior.LogNormal(median=0.12, sigma=0.5), long_name="right elastance at rest")
    rise = Parameter("s", prior=prior.LogNormal(median=0.25, sigma=0.35), long_name="time to the peak of contraction")
    fall = Parameter("s", prior=prior.LogNormal(median=0.2, sigma=0.35), long_name="time of relaxation")
    delay = Parameter("s", prior=prior.LogNormal(median=0.12, sigma=0.35), long_name="delay of the arterial pulse")
    delay_lungs = Parameter("s", prior=prior.LogNormal(median=0.06, sigma=0.35), long_name="delay of the right heart")
    swing = Parameter("mmHg", prior=prior.HalfNormal(5.0), long_name="respiration's pressure in the chest")
    inside = Parameter("1", prior=prior.Beta(alpha=2.0, beta=2.0), long_name="share of the arteries in the chest")
    first = Parameter("mmHg", prior=prior.LogNormal(median=60.0, sigma=0.3), long_name="arterial pressure at first")
    first_lungs = Parameter(
        "mmHg", prior=prior.LogNormal(median=15.0, sigma=0.3), long_name="pulmonary pressure at first"
    )
    filling = Parameter("mmHg", prior=prior.LogNormal(median=10.0, sigma=0.3), long_name="pulmonary venous pressure")
    filling_right = Parameter("mmHg", prior=prior.LogNormal(median=7.0, sigma=0.3), long_name="central venous pressure")
    tone = Parameter("1", value=1.0, long_name="systemic resistance as a multiple of R")
    tone_lungs = Parameter("1", value=1.0, long_name="pulmonary resistance as a multiple of R_p")
    narrowing = Parameter("1", value=0.008, long_name="resistance of the aortic valve / R")
    inflow = Parameter("1", value=0.008, long_name="resistance of the other valves / R")
    softness_left = Parameter("1", value=0.04, long_name="left elastance at rest E_0 / E")
    veins = Parameter("1", value=40.0, long_name="compliance of systemic veins / that of arteries")
    veins_lungs = Parameter("1", value=2.0, long_name="compliance of pulmonary veins / that of arteries")
    beat = Input("s", kind="previous", long_name="time of the last R peak")
    chest = Input("1", long_name="respiration")
    tip = Input("1", kind="previous", long_name="1 where the catheter's tip is in the right ventricle")
    abp = Output(
        "mmHg",
        noise=noise.AR1(sigma=prior.HalfNormal(5.0), time_constant=prior.LogNormal(median=0.05, sigma=0.7)),
        long_name="arterial pressure",
    )
    pap = Output(
        "mmHg",
        noise=noise.AR1(sigma=prior.HalfNormal(5.0), time_constant=prior.LogNormal(median=0.05, sigma=0.7)),
        long_name="pulmonary arterial pressure",
    )
    flow = Output("mL/s", noise=noise.LogNormal(sigma=0.1), long_name="mean flow since the start")
    short = Parameter("s", value=0.1, long_name="the shortest time of a mean flow")

    def start(self, p: Any) -> dict[str, Any]:
        """Return the states at an R peak: ventricles as full as their veins make them."""
        return {
            "P_sa": p.first,
            "P_sv": p.filling_right,
            "P_pa": p.first_lungs,
            "P_pv": p.filling,
            "V_lv": p.filling / (p.softness_left * p.strength * p.resistance),
            "V_rv": p.filling_right / (p.softness * p.strength_right * p.resistance),
        }

    def flows(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return pressures (mmHg) and flows (mL/s) between the chambers, by (1) to (5)."""
        R, outside = p.resistance, p.swing * u.chest
        a = activation(t - u.beat - p.delay, p.rise, p.fall)
        b = activation(t - u.beat - p.delay_lungs, p.rise, p.fall)
        left = p.strength * R * (p.softness_left + (1 - p.softness_left) * a) * x.V_lv + outside  # (3)
        right = p.strength_right * R * (p.softness + (1 - p.softness) * b) * x.V_rv + outside
        artery = x.P_sa + p.inside * outside
        pulmonary = R * (p.lungs * p.impedance_lungs + p.inflow)
        return {
            "right": right,
            "outside": outside,
            "artery": artery,
            "mitral": valve(x.P_pv + outside, left, p.inflow * R),  # (4)
            "tricuspid": valve(x.P_sv + outside, right, p.inflow * R),
            "aortic": valve(left, artery, R * (p.impedance + p.narrowing)),  # (5)
            "pulmonary": valve(right, x.P_pa + outside, pulmonary),
            "body": (artery - x.P_sv - outside) / (p.tone * R),
            "lung": (x.P_pa - x.P_pv) / (p.tone_lungs * p.lungs * R),
        }

    def rhs(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return the rates (6) to (8)."""
        q, C = self.flows(t, x, u, p), p.decay / p.resistance
        C_lungs = p.decay_lungs / (p.lungs * p.resistance)
        return {
            "V_lv": q["mitral"] - q["aortic"],  # (6)
            "V_rv": q["tricuspid"] - q["pulmonary"],
            "P_sa": (q["aortic"] - q["body"]) / C,  # (7)
            "P_pa": (q["pulmonary"] - q["lung"]) / C_lungs,
            "P_sv": (q["body"] - q["tricuspid"]) / (p.veins * C),  # (8)
            "P_pv": (q["lung"] - q["mitral"]) / (p.veins_lungs * C_lungs),
            "pumped": q["body"],
        }

    def observe(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return what the lines read, by (9), and the mean flow."""
        q = self.flows(t, x, u, p)
        lungs = x.P_pa + q["outside"] + p.impedance_lungs * p.lungs * p.resistance * q["pulmonary"]
        return {
            "abp": q["artery"] + p.impedance * p.resistance * q["aortic"],  # (9)
            "pap": (1 - u.tip) * lungs + u.tip * q["right"],
            "flow": x.pumped / m.maximum(t, p.short),
        }
