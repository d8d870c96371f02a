"""A steam cycle with one extraction: what fifteen sensors should read, given flows, states and two efficiencies.

Live steam (1) expands in a high-pressure turbine to the extraction (2); a part heats the feedwater in a deaerator, the
rest expands in a low-pressure turbine into a condenser (3), which cooling water cools. With enthalpies h and
entropies s of IAPWS-IF97,

    h_2 = h_1 - eta_H (h_1 - h(p_2, s_1)),  h_3 = h_2 - eta_L (h_2 - h(p_3, s_2))                          (1)
    m_e = m_1 (h_d - h_c) / (h_2 - h_c)                                        heat balance of the deaerator    (2)
    m_c = m_1 - m_e                                                                                         (3)
    P   = eta_g (m_1 (h_1 - h_2) + m_c (h_2 - h_3))                                                         (4)
    T_o = T_i + m_c (h_3 - h_c) / (m_w c_w)                                    heat balance of the condenser    (5)

where h_d is saturated water at p_2 and h_c at p_3; h(p_3, s_2) is of wet steam, by the rule of the lever. Work of pumps
on the condensate (0.1 MW of some 100) and losses of pressure and heat are neglected.

Sources
-------
Equations 1 to 5: first law and isentropic efficiencies, as in Moran MJ, Shapiro HN (2006), Fundamentals of Engineering
Thermodynamics, 5th ed., Wiley, chapter 8. Reconciliation: VDI 2048 part 1 (2000); Tamhane AC, Mah RSH (1985),
Technometrics 27, 409-422. Classes of sensors are usual ones of power plants, given here, not taken from a plant.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.base.errors import DataError
from workbench.base.share import data_file
from workbench.base.tables import numbers_of, read_table
from workbench.declare import noise, prior
from workbench.declare.noise import Noise
from workbench.declare.quantity import Output, Parameter
from workbench.declare.static import Static
from workbench.domains.power_plants import steam_properties as if97
from workbench.domains.power_plants.gases import GENERATOR

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
COOLING = 4.19  # heat capacity of cooling water, kJ/(kg K)
ZERO = 273.15
STATES = ("m1", "p1", "T1", "p2", "p3", "mw", "Ti", "eta_hp", "eta_lp")
"""What the model is given, in this order: kg/s, bar, degC, bar, bar, kg/s, degC, and two pure numbers."""


class Sensor(NamedTuple):
    """A sensor: its unit, and its SD, of the reading (relative) or in its unit."""

    unit: str
    sd: float
    relative: bool
    words: str

    def noise(self) -> Noise:
        """Return its error as a declaration has it."""
        return noise.Proportional(sigma=self.sd) if self.relative else noise.Normal(sigma=self.sd)


SENSORS: dict[str, Sensor] = {
    "F_steam": Sensor("kg/s", 0.01, True, "flow of live steam"),
    "F_feed": Sensor("kg/s", 0.01, True, "flow of feedwater"),
    "F_extraction": Sensor("kg/s", 0.02, True, "flow of the extraction"),
    "F_condensate": Sensor("kg/s", 0.01, True, "flow of condensate"),
    "p_steam": Sensor("bar", 0.003, True, "pressure of live steam"),
    "T_steam": Sensor("degC", 1.0, False, "temperature of live steam"),
    "p_extraction": Sensor("bar", 0.005, True, "pressure of the extraction"),
    "T_extraction": Sensor("degC", 1.0, False, "temperature of the extraction"),
    "T_feed": Sensor("degC", 0.5, False, "temperature of the deaerator"),
    "p_condenser": Sensor("bar", 0.01, True, "pressure of the condenser"),
    "T_condensate": Sensor("degC", 0.3, False, "temperature of the condensate"),
    "F_cooling": Sensor("kg/s", 0.015, True, "flow of cooling water"),
    "T_inlet": Sensor("degC", 0.1, False, "cooling water in"),
    "T_outlet": Sensor("degC", 0.1, False, "cooling water out"),
    "P": Sensor("MW", 0.003, True, "power of the generator"),
}


def cycle(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return what each sensor should read, and `heat` (kW) to the boiler; numbers, arrays or symbols that are pure.

    Parameters
    ----------
    state
        The quantities of `STATES`.
    """
    m1, p1, p2, p3 = state["m1"], state["p1"] / 10.0, state["p2"] / 10.0, state["p3"] / 10.0
    h1, s1 = if97.steam(p1, state["T1"] + ZERO)
    ideal, _ = if97.steam(p2, if97.steam_temperature(p2, s=s1))
    h2 = h1 - state["eta_hp"] * (h1 - ideal)  # (1)
    T2 = if97.steam_temperature(p2, h=h2)
    _, s2 = if97.steam(p2, T2)
    cold, warm = if97.saturation_temperature(p3), if97.saturation_temperature(p2)
    (hc, sc), (hv, sv), (hd, _) = if97.water(p3, cold), if97.steam(p3, cold), if97.water(p2, warm)
    h3 = h2 - state["eta_lp"] * (h2 - hc - (s2 - sc) / (sv - sc) * (hv - hc))  # (1)
    extraction = m1 * (hd - hc) / (h2 - hc)  # (2)
    rest = m1 - extraction  # (3)
    return {
        "F_steam": m1, "F_feed": m1, "F_extraction": extraction, "F_condensate": rest,
        "p_steam": state["p1"], "T_steam": state["T1"], "p_extraction": state["p2"], "T_extraction": T2 - ZERO,
        "T_feed": warm - ZERO, "p_condenser": state["p3"], "T_condensate": cold - ZERO,
        "F_cooling": state["mw"], "T_inlet": state["Ti"],
        "T_outlet": state["Ti"] + rest * (h3 - hc) / (state["mw"] * COOLING),  # (5)
        "P": GENERATOR * (m1 * (h1 - h2) + rest * (h2 - h3)) / 1000.0,  # (4)
        "heat": m1 * (h1 - hd),
    }  # fmt: skip


def _output(name: str) -> Output:
    sensor = SENSORS[name]
    return Output(sensor.unit, noise=sensor.noise(), long_name=sensor.words)


class SteamCycle(Static):
    """The cycle at one load: flows, states and efficiencies behind what sensors read.

    Priors of states are wide beside the sensors, half to twice of the plant's rating; efficiencies lie between 0.7 and
    0.95, as those of steam turbines do.
    """

    m1 = Parameter("kg/s", prior=prior.LogNormal(median=90.0, sigma=0.4), long_name="flow of live steam")
    p1 = Parameter("bar", prior=prior.LogNormal(median=90.0, sigma=0.4), long_name="pressure of live steam")
    T1 = Parameter("degC", prior=prior.Normal(mu=530.0, sigma=20.0), long_name="temperature of live steam")
    p2 = Parameter("bar", prior=prior.LogNormal(median=9.0, sigma=0.4), long_name="pressure of the extraction")
    p3 = Parameter("bar", prior=prior.LogNormal(median=0.05, sigma=0.5), long_name="pressure of the condenser")
    mw = Parameter("kg/s", prior=prior.LogNormal(median=5000.0, sigma=0.3), long_name="flow of cooling water")
    Ti = Parameter("degC", prior=prior.Normal(mu=15.0, sigma=6.0), long_name="cooling water in")
    eta_hp = Parameter("1", prior=prior.Normal(mu=0.85, sigma=0.05), long_name="efficiency, high pressure")
    eta_lp = Parameter("1", prior=prior.Normal(mu=0.85, sigma=0.05), long_name="efficiency, low pressure")
    flow = Parameter("kg/s", value=1.0, long_name="unit of flow")
    bar = Parameter("bar", value=1.0, long_name="unit of pressure")
    kelvin = Parameter("K", value=1.0, long_name="unit of temperature")
    megawatt = Parameter("MW", value=1.0, long_name="unit of power")
    F_steam, F_feed = _output("F_steam"), _output("F_feed")
    F_extraction, F_condensate = _output("F_extraction"), _output("F_condensate")
    p_steam, T_steam = _output("p_steam"), _output("T_steam")
    p_extraction, T_extraction = _output("p_extraction"), _output("T_extraction")
    T_feed, p_condenser, T_condensate = _output("T_feed"), _output("p_condenser"), _output("T_condensate")
    F_cooling, T_inlet, T_outlet = _output("F_cooling"), _output("T_inlet"), _output("T_outlet")
    P = _output("P")

    def observe(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return what each sensor should read."""
        one = {"kg/s": p.flow, "bar": p.bar, "degC": p.kelvin, "MW": p.megawatt}
        state = {
            "m1": p.m1 / p.flow, "p1": p.p1 / p.bar, "T1": p.T1 / p.kelvin, "p2": p.p2 / p.bar, "p3": p.p3 / p.bar,
            "mw": p.mw / p.flow, "Ti": p.Ti / p.kelvin, "eta_hp": p.eta_hp, "eta_lp": p.eta_lp,
        }  # fmt: skip
        made = cycle(state)
        return {name: made[name] * one[sensor.unit] for name, sensor in SENSORS.items()}


class Hours(NamedTuple):
    """Readings (n, 15), the hour of each row (n,), and what is known of it otherwise: columns by name."""

    hour: Array
    readings: Array
    known: dict[str, Array]


def hours(path: str | Path | None = None) -> Hours:
    """Return readings from a CSV with an hour and a column for each sensor; empty where one was not read.

    By default hours of a plant that TESPy simulated. Columns `true_eta_hp`, `true_eta_lp` and `fault` are optional.

    Raises
    ------
    DataError, UnitError
        If a column is missing, a flow, pressure or power is not positive, or a sensor reads one value throughout.
    """
    where = "steam_plant.csv" if path is None else str(path)
    columns = read_table(data_file("steam_plant.csv") if path is None else path, where)
    readings = np.column_stack([numbers_of(columns, name, one.unit, where) for name, one in SENSORS.items()])
    for k, (name, sensor) in enumerate(SENSORS.items()):
        seen = readings[np.isfinite(readings[:, k]), k]
        if sensor.unit != "degC" and (seen <= 0).any():
            raise DataError(f"{where}, {name!r}: got {seen.min():g} {sensor.unit}; expected readings above 0")
        if seen.size > 2 and np.ptp(seen) == 0:
            raise DataError(f"{where}, {name!r}: got {seen[0]:g} throughout; expected readings: is the sensor stuck?")
    names = ("true_eta_hp", "true_eta_lp", "fault")
    known = {name: numbers_of(columns, name, "1", where) for name in names if name in columns}
    return Hours(numbers_of(columns, "hour", "h", where), readings, known)


def table(seen: Hours, rows: NDArray[np.int64]) -> "pd.DataFrame":
    """Return some hours as `wb.calibrate` takes them, each hour a unit."""
    import pandas as pd

    made = pd.DataFrame(seen.readings[rows], columns=list(SENSORS))
    return made.assign(unit=seen.hour[rows].astype(int), time=0.0)
