"""Air and combustion gas as ideal gases of constant heat capacity, and the water in air: what turbines' models share.

Sources
-------
Heat capacities and the exponent: Saravanamuttoo HIH, Rogers GFC, Cohen H (2001), Gas Turbine Theory, 5th ed., Pearson,
chapter 2. Vapour pressure: Alduchov OA, Eskridge RE (1996), J. Appl. Meteorol. 35, 601, equation 21.
"""

from typing import Any

from workbench.declare import math as m

AIR, STEAM = 287.05, 461.5  # gas constants, J/(kg K)
COLD, HOT = 1005.0, 1148.0  # heat capacities of air and of combustion gas, J/(kg K)
EXPANSION = 0.25  # (gamma - 1) / gamma of combustion gas, gamma = 1.333
GENERATOR = 0.985  # efficiency of a generator


def vapour_pressure(celsius: Any, phi: Any) -> Any:
    """Return the pressure of water (Pa) in air of a temperature (degC) and a relative humidity (0 to 1)."""
    return phi * 610.94 * m.exp(17.625 * celsius / (celsius + 243.04))


def compression_work(T: Any, ratio: Any, efficiency: Any) -> Any:
    """Return the work (J/kg) that air of a temperature (K) takes to a ratio of pressures, of isentropic efficiency."""
    return COLD * T * (ratio ** (AIR / COLD) - 1) / efficiency
