"""Net power of a combined cycle at full load, by the weather and the pressure in its condenser.

A gas turbine draws the same volume of air at any weather, fires it to the same temperature, and is choked; its exhaust
raises steam, whose work is a share of the exergy that the exhaust gives off above the temperature of condensation.

    p_v = phi p_s(T),  p_s = 610.94 exp(17.625 T / (T + 243.04)), T in degC, pressures in Pa                        (1)
    rho = (p - p_v) / (R_a T) + p_v / (R_v T)                                                                       (2)
    m   = m_0 rho / rho_0                                                                                           (3)
    r   = r_0 (m / m_0) / (p / p_0)                                                                                 (4)
    w_c = c_a T (r^(R_a / c_a) - 1) / eta_c                                                                         (5)
    w_t = eta_t c_g T_3 (1 - r^(-(gamma_g - 1) / gamma_g)),  T_4 = T_3 - w_t / c_g                                  (6)
    T_c = T_sat(V)                                                                                                  (7)
    w_s = eta_s c_g (T_4 - T_5 - T_c ln(T_4 / T_5))                                                                 (8)
    P   = m (eta_g (w_t - w_c) + w_s)                                                                               (9)

Temperatures are in K but in (1). Index 0: ISO conditions, 15 degC, 1013.25 hPa, 60 % (ISO 3977-2:1997). m, m_0 are of
all gas turbines together; the mass of fuel and losses of pressure are neglected, as in the sources.

Sources
-------
Equation 1: Alduchov OA, Eskridge RE (1996), J. Appl. Meteorol. 35, 601, equation 21. Equation 2: Dalton's law; gas
constants of air and steam. Equations 3 and 4: Kehlhofer R et al. (2009), Combined-Cycle Gas & Steam Turbine Power
Plants, 3rd ed., PennWell, on operating behaviour (constant volume flow; Stodola's law of the cone for the pressure).
Equations 5 and 6, and the gases' properties: Saravanamuttoo HIH, Rogers GFC, Cohen H (2001), Gas Turbine Theory, 5th
ed., Pearson, chapter 2. Equation 7: IAPWS-IF97 (2007 revision), region 4, equation 31. Equation 8, the exergy of a
stream: Bejan A (2006), Advanced Engineering Thermodynamics, 3rd ed., Wiley, ch. 5. The plant: Tufekci P (2014), Int. J.
Electr. Power Energy Syst. 60, 126: two gas turbines of 160 MW, two-pressure boilers, and a steam turbine of 160 MW.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.base.errors import DataError
from workbench.base.share import data_file
from workbench.base.tables import numbers_of, read_table
from workbench.declare import math as m
from workbench.declare import noise, prior
from workbench.declare.discrepancy import Discrepancy
from workbench.declare.kernel import SquaredExponential
from workbench.declare.prior import Prior
from workbench.declare.quantity import Input, Output, Parameter
from workbench.declare.static import Static
from workbench.domains.power_plants import steam_properties
from workbench.domains.power_plants.gases import (
    AIR,
    EXPANSION,
    GENERATOR,
    HOT,
    STEAM,
    compression_work,
    vapour_pressure,
)

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[np.float64]
COMPRESSOR, TURBINE = 0.86, 0.89  # isentropic efficiencies
RATIO, STACK = 14.0, 373.15  # pressure ratio at ISO conditions of machines of this generation; exhaust to the stack, K
ISO = {"T": 288.15, "p": 101325.0, "phi": 0.6}


def moist_air_density(T: Any, p: Any, phi: Any) -> Any:
    """Return the density of moist air (kg/m^3) by (1) and (2).

    Parameters
    ----------
    T, p, phi
        Temperature (K), pressure (Pa), relative humidity (0 to 1); numbers, arrays or symbols.
    """
    vapour = vapour_pressure(T - 273.15, phi)  # (1)
    return (p - vapour) / (AIR * T) + vapour / (STEAM * T)  # (2)


def saturation_temperature(p: Any) -> Any:
    """Return the temperature (K) at which steam of a pressure (Pa) condenses, by (7); 611 Pa to 22.064 MPa."""
    return steam_properties.saturation_temperature(p / 1e6)


def gas_turbine(T: Any, ratio: Any, firing: Any) -> tuple[Any, Any]:
    """Return the net specific work (J/kg) and the exhaust temperature (K) by (5) and (6); temperatures in K."""
    expansion = TURBINE * HOT * firing * (1 - ratio**-EXPANSION)  # (6)
    return expansion - compression_work(T, ratio, COMPRESSOR), firing - expansion / HOT  # (5)


def steam_work(exhaust: Any, condensing: Any) -> Any:
    """Return the most work (J/kg of gas) that steam can have of gas cooled to the stack, by (8); temperatures in K."""
    return HOT * (exhaust - STACK - condensing * m.log(exhaust / STACK))  # (8)


class CombinedCycle(Static):
    """Combined cycle at full load; the priors are of plants of its kind.

    - flow: two machines of 160 MW with specific work of some 300 kJ/kg draw about 1050 kg/s; 90 % within 17 %.
    - firing: 1100 degC, as in heavy-duty machines of the early 1990s; power alone cannot tell it from the flow.
    - steam_efficiency: second-law efficiency of two-pressure boilers with their steam turbine, 0.6 to 0.8.
    - sigma: errors below 10 MW in 95 %.
    """

    T_ambient = Input("degC", long_name="ambient temperature")
    p_ambient = Input("hPa", long_name="ambient pressure")
    humidity = Input("1", long_name="relative humidity")
    vacuum = Input("hPa", long_name="pressure in the condenser")
    kelvin = Parameter("K", value=1.0, long_name="one kelvin, and one degree")
    hectopascal = Parameter("hPa", value=1.0, long_name="one hectopascal")
    megajoule = Parameter("MJ/kg", value=1.0, long_name="one megajoule per kilogram")
    flow = Parameter("kg/s", prior=prior.LogNormal(median=1050.0, sigma=0.1), long_name="mass flow of air at ISO")
    firing = Parameter("K", value=1373.0, long_name="turbine inlet temperature")
    steam_efficiency = Parameter(
        "1", prior=prior.LogNormal(median=0.7, sigma=0.09), long_name="exergetic efficiency of the steam cycle"
    )
    power = Output("MW", noise=noise.Normal(sigma=prior.HalfNormal(5.0)), long_name="net power")

    def observe(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return the net power in MW."""
        celsius, hectopascals = u.T_ambient / p.kelvin, u.p_ambient / p.hectopascal  # (1) and (7) want pure numbers
        T, pressure = celsius + 273.15, 100.0 * hectopascals
        relative = moist_air_density(T, pressure, u.humidity) / moist_air_density(**ISO)  # (3)
        ratio = RATIO * relative * ISO["p"] / pressure  # (4)
        work, exhaust = gas_turbine(T, ratio, p.firing / p.kelvin)
        condensing = saturation_temperature(100.0 * u.vacuum / p.hectopascal)
        steam = p.steam_efficiency * steam_work(exhaust, condensing)
        return {"power": p.flow * p.megajoule * 1e-6 * relative * (GENERATOR * work + steam)}  # (9)


SPAN = {"T_ambient": (0.0, 40.0), "vacuum": (24.0, 84.0), "p_ambient": (990.0, 1036.0), "humidity": (0.2, 1.05)}
"""What the published hours span; a user's own plant wants its own."""

SHARES = {"T_ambient": (0.1, 0.3), "vacuum": (0.025, 0.13), "p_ambient": (0.17, 0.54), "humidity": (0.23, 0.7)}
"""Lengths of what the model leaves out, as shares of the span, 90 %: guide vanes are moved within some degrees, cooling
changes within some hPa; weather goes through its range of pressure and humidity in two or three lengths."""


def lengths(span: Mapping[str, tuple[float, float]] = SPAN, coarser: float = 1.0) -> dict[str, Prior]:
    """Return the priors of the discrepancy's lengths for a span; few hours tell only a `coarser` function."""
    sizes = {name: coarser * (high - low) for name, (low, high) in span.items()}
    return {n: prior.interval("InverseGamma", s * sizes[n], e * sizes[n]) for n, (s, e) in SHARES.items()}


def left_out(
    functions: int = 400, span: Mapping[str, tuple[float, float]] = SPAN, *, coarser: float = 1.0
) -> Discrepancy:
    """Return the discrepancy of the power: what (1) to (9) leave out, a smooth function of all four inputs.

    Parameters
    ----------
    functions
        How many functions it is a sum of: few where there are few hours.
    span
        Lowest and highest of each input for which power will be wanted.
    coarser
        Factor of its lengths' priors: above 1 where there are few hours.
    """
    return Discrepancy(
        "power",
        over=tuple(span),
        functions=functions,
        span=span,
        length_scale=lengths(span, coarser),
        sigma=prior.HalfNormal(10.0),
        kernel=SquaredExponential(),
    )


COLUMNS = {
    "AT_C": ("T_ambient", "degC", (-50.0, 60.0)),
    "V_cmHg": ("vacuum", "hPa", (6.2, 500.0)),
    "AP_mbar": ("p_ambient", "hPa", (500.0, 1100.0)),
    "RH_pct": ("humidity", "percent", (0.0, 105.0)),
    "PE_MW": ("power", "MW", (0.0, 5000.0)),
}
"""Columns of the published table: quantity of the model, unit, and the range beyond which a value is a fault.

V is named cm Hg by its publisher. Its values, 25 to 82, would then lie above the pressure of the air where it is warm,
and steam of 72 to 102 degC would condense; as mbar they are 21 to 42 degC, what cooling water at that place allows."""


def hours(path: str | Path | None = None) -> "tuple[xr.Dataset, dict[str, xr.DataArray]]":
    """Return the power of each hour as data, and the weather and the condenser's pressure as inputs.

    Rows are cases in no order: `time` counts them.

    Parameters
    ----------
    path
        A CSV file with the columns `AT_C, V_cmHg, AP_mbar, RH_pct, PE_MW` (a unit in brackets after a name is
        converted); None for 1000 hours that come with the package. Power may be left empty: such an hour is asked for.

    Raises
    ------
    DataError
        If the file cannot be read; a column is missing, stuck at one value, or holds a gap or an impossible value.
    UnitError
        If a header's unit cannot be converted.
    """
    import xarray as xr

    file = data_file("combined_cycle.csv") if path is None else Path(path)
    found = read_table(file, file.name)
    made: dict[str, xr.DataArray] = {}
    for column, (name, unit, limits) in COLUMNS.items():
        values = numbers_of(found, column, unit, file.name)
        _check(values, limits, f"{file.name}, {column!r}", unit, gaps=name == "power")
        if name == "humidity":
            values, unit = values / 100, "1"
        made[name] = xr.DataArray(values, {"time": np.arange(float(values.size))}, "time", attrs={"units": unit})
    return xr.Dataset({"power": made.pop("power")}), made


def _check(values: Array, limits: tuple[float, float], where: str, unit: str, *, gaps: bool) -> None:
    """Refuse readings that no plant has, and too few; DataError."""
    known = np.isfinite(values)
    if known.sum() < 20:
        raise DataError(f"{where}: got {known.sum()} values; expected at least 20 hours")
    wrong = np.flatnonzero(~((values >= limits[0]) & (values <= limits[1])) & ~(np.isnan(values) & gaps))
    if wrong.size:
        raise DataError(
            f"{where}: got {values[wrong[0]]:g} {unit} in row {wrong[0]}; expected {limits[0]:g} to {limits[1]:g}: "
            f"take out rows with gaps and codes of dead sensors (there are {wrong.size})"
        )
    if np.ptp(values[known]) == 0:
        raise DataError(
            f"{where}: got {values[known][0]:g} {unit} in all rows; expected one that varies: the sensor is stuck, or "
            "the column is filled"
        )


def pick(
    data: "xr.Dataset", inputs: "Mapping[str, xr.DataArray]", rows: Array
) -> "tuple[xr.Dataset, dict[str, xr.DataArray]]":
    """Return some hours of what `hours` returned, numbered anew; rows (n,) count from 0."""
    time = {"time": np.arange(float(len(rows)))}
    some = {name: values.isel(time=rows).assign_coords(time) for name, values in inputs.items()}
    return data.isel(time=rows).assign_coords(time), some
