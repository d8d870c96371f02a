"""Glucose of people with type 1 diabetes, by insulin under the skin, meals, and what neither explains.

A reduction of the model of Hovorka et al. (2004).

    S1' = u - S1 / t_I,  S2' = (S1 - S2) / t_I         insulin under the skin, U, bolus into S1                  (1)
    x'  = (s S2 / t_I - x) / t_x                       action of insulin, 1/min                                  (2)
    D1' = -D1 / t_G,  D2' = (D1 - D2) / t_G            carbohydrate in the gut, g, meal into D1                  (3)
    F   = F_01 G / (0.85 (G + 18))                     uptake without insulin                                    (4)
    R   = 0.003 max(G - 162, 0)                        loss through the kidney                                   (5)
    G'  = E - F - R - x G + c D2 / t_G + d             glucose in plasma, mg/dL                                  (6)
    C'  = (G - C) / t_C                                glucose under the skin, which the sensor reads            (7)
    d'  = -d / t_d + w                                 what is not explained, mg/(dL min); w white noise         (8)

What is reduced:

- Plasma insulin I is at its steady state U_I / (V_I k_e) (k_e = 0.138/min: 7 minutes), and V_I k_e is in s.
- Of the actions on transport, disposal and production one is left, as in the minimal model: it carries x G, and what
  the paper takes off production is in it.
- Of accessible and other glucose the sum is left, so the exchange between them is in t_action.
- Volume, weight, bioavailability and the share of a meal that is carbohydrate are in c.
- Added are the sensor's lag (7) and the flux d (8): activity, stress, meals that nobody wrote down, wrong amounts.

Sources
-------
Hovorka R et al. (2004), Nonlinear model predictive control of glucose concentration in subjects with type 1 diabetes,
Physiol. Meas. 25, 905-920: insulin and gut (1), (3), renal loss (5), and values,
from its tables of constants and parameters. Equation 4: Wilinska
ME et al. (2010), J. Diabetes Sci. Technol. 4, 132-144, which smooths the paper's corner at 4.5 mmol/L. Equation 2 and
x G: Bergman RN et al. (1979), Am. J. Physiol. 236, E667-E677. Equation 7: Rebrin K et al. (1999), Am. J. Physiol. 277,
E561-E571. Equation 8: Uhlenbeck GE, Ornstein LS (1930), Phys. Rev. 36, 823-841.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.declare import math as m
from workbench.declare import noise, prior
from workbench.declare.ode import Ode
from workbench.declare.quantity import Input, Output, Parameter, State

if TYPE_CHECKING:
    import xarray as xr


class Glucose(Ode):
    """A person with type 1 diabetes; the priors are of adults.

    - effect: a unit lowers glucose by 13 to 50 % of itself over its whole action; 1800 / daily dose, 20 to 90 mg/dL.
    - production: EGP_0, 0.0161 mmol/(kg min) in 0.16 L/kg, is 1.81 mg/(dL min); varies by a fifth.
    - rise: 0.8 of a gram in 0.16 L/kg of 70 kg is 7.1 mg/dL; weights, and shares of carbohydrate, differ.
    - t_meal, t_insulin: 40 and 55 min (t_max,G, t_max,I). t_action: between 1/0.03 (k_a3) and 1/0.006 min (k_a1).
    - t_sensor: 8 min, of 5 to 15 min for sensors under the skin.
    - usual: basal insulin before the first time, U/min; a setting.
    - d: half an hour to some hours, and an SD at rest of about 1 mg/(dL min), of which glucose is seen to move.
    """

    time_unit = "min"
    S1 = State("U", long_name="insulin at the site")
    S2 = State("U", long_name="insulin on its way")
    x = State("1/min", long_name="action of insulin")
    D1 = State("g", start=0.0, long_name="carbohydrate in the stomach")
    D2 = State("g", start=0.0, long_name="carbohydrate in the gut")
    G = State("mg/dL", bounds=(10, None), long_name="glucose in plasma")
    C = State("mg/dL", bounds=(10, None), long_name="glucose under the skin")
    d = State("mg/dL/min", start=0.0, noise="agitation", long_name="flux that is not explained")
    effect = Parameter("1/U", prior=prior.LogNormal(median=0.25, sigma=0.4), long_name="relative effect of a unit")
    production = Parameter("mg/dL/min", prior=prior.LogNormal(median=1.81, sigma=0.2), long_name="production")
    rise = Parameter("mg/dL/g", prior=prior.LogNormal(median=7.1, sigma=0.4), long_name="rise by a gram")
    t_meal = Parameter("min", prior=prior.LogNormal(median=40.0, sigma=0.3), long_name="time of absorption, meals")
    t_insulin = Parameter("min", prior=prior.LogNormal(median=55.0, sigma=0.2), long_name="time of absorption, insulin")
    t_action = Parameter("min", value=60.0, long_name="time of insulin action")
    t_flux = Parameter("min", prior=prior.LogNormal(median=60.0, sigma=0.6), long_name="memory of the flux")
    agitation = Parameter(
        "mg/dL/min**1.5", prior=prior.LogNormal(median=0.15, sigma=0.6), long_name="agitation of the flux"
    )
    t_sensor = Parameter("min", value=8.0, long_name="lag of the sensor")
    usual: float = 0.02
    first = Parameter("mg/dL", prior=prior.Normal(mu=150.0, sigma=60.0), long_name="glucose at first")
    unit_rate = Parameter("U/min", value=1.0, long_name="one unit a minute")
    uptake = Parameter("mg/dL/min", value=1.09, long_name="uptake without insulin")  # F_01 = 0.0097 mmol/(kg min)
    half = Parameter("mg/dL", value=18.0, long_name="glucose of half uptake")  # 1 mmol/L
    threshold = Parameter("mg/dL", value=162.0, long_name="threshold of the kidney")  # 9 mmol/L
    clearance = Parameter("1/min", value=0.003, long_name="clearance of the kidney")
    basal = Input("U/min", kind="previous", long_name="basal insulin")
    bolus = Input("U", kind="impulse", into="S1", long_name="bolus")
    meal = Input("g", kind="impulse", into="D1", long_name="carbohydrate eaten")
    kick = Input("mg/dL/min", kind="impulse", into="d", long_name="change of the flux, where a day is replayed")
    cgm = Output(
        "mg/dL", noise=noise.Normal(sigma=prior.LogNormal(median=3.0, sigma=0.5)), long_name="glucose by the sensor"
    )

    def start(self, p: Any) -> dict[str, Any]:
        """Return the states when the clock starts: usual insulin for long, nothing in the gut."""
        rate = self.usual * p.unit_rate
        return {"S1": rate * p.t_insulin, "S2": rate * p.t_insulin, "x": p.effect * rate, "G": p.first, "C": p.first}

    def rhs(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return the rates (1) to (8)."""
        F = p.uptake * x.G / (0.85 * (x.G + p.half))  # (4)
        R = p.clearance * m.maximum(x.G - p.threshold, 0.0 * x.G)  # (5)
        return {
            "S1": u.basal - x.S1 / p.t_insulin,  # (1)
            "S2": (x.S1 - x.S2) / p.t_insulin,
            "x": (p.effect * x.S2 / p.t_insulin - x.x) / p.t_action,  # (2)
            "D1": -x.D1 / p.t_meal,  # (3)
            "D2": (x.D1 - x.D2) / p.t_meal,
            "G": p.production - F - R - x.x * x.G + p.rise * x.D2 / p.t_meal + x.d,  # (6)
            "C": (x.G - x.C) / p.t_sensor,  # (7)
            "d": -x.d / p.t_flux,  # (8)
        }

    def observe(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return what the sensor reads."""
        return {"cgm": x.C}


def unexplained(times: Any, flux: Any, memory: float) -> "xr.DataArray":
    """Return kicks (T,) after which the flux d of (8) passes through given values, for a replay.

    Parameters
    ----------
    times, flux
        (T,) minutes, and d in mg/(dL min); the first is 0 where it begins at rest.
    memory
        t_flux in minutes.
    """
    import xarray as xr

    times, flux = np.asarray(times, dtype=float), np.asarray(flux, dtype=float)
    kicks = flux - np.concatenate([[0.0], flux[:-1] * np.exp(-np.diff(times) / memory)])
    return xr.DataArray(kicks, {"time": times}, "time", attrs={"units": "mg/dL/min"})
