"""Power, NOx and CO of a gas turbine from its own sensors, and how their level drifts.

Compressor with guide vanes, choked turbine nozzles and turbine:

    r   = p_3 / p_1                                                     pressure ratio of the compressor          (1)
    w_c = c_a T_1 (r^(R_a / c_a) - 1) / eta_c                           its work, J/kg                            (2)
    x   = eta_t (1 - (p_3 / p_1)^(-(gamma_g - 1) / gamma_g))            share of its heat that gas gives up       (3)
    T_3 = T_4 / (1 - x),  w_t = c_g (T_3 - T_4)                         from the temperature behind the turbine   (4)
    m   = k p_3 / sqrt(T_3)                                             choked nozzles of the turbine             (5)
    eta_c = eta_0 + a (T_1 - 290) / 100 + b (m / 500 sqrt(T_1 / 288.15) 101325 / p_1 - 1)   guide vanes           (6)
    P   = eta_g m (w_t - w_c)                                           power                                     (7)

NOx as measured, by the correction of 40 CFR 60.335(b)(1) to air of 288 K and 0.00633 kg of water per kg of dry air,
read backwards, and CO, which burns out the faster the hotter:

    h   = 0.622 p_v / (p_1 - p_v),  p_v = phi p_s(T_1)                  humidity, kg/kg                           (8)
    NOx = N_0 (p_3 / p_0)^0.5 exp(-19 (h - 0.00633)) (T_1 / 288)^1.53                                             (9)
    CO  = C_0 exp(-(T_f - 1358) / theta)                                T_f: firing temperature as reported, K   (10)

Drift of a level (fouling, maintenance, sensors) about what (1) to (10) say, by days of running:

    a' = w_a                                                            wanders without return                   (11)
    b' = -b / tau + w_b                                                 forgets: weather, load, tuning           (12)

w_a, w_b are white noises. Temperatures are in K; the mass of fuel and losses of pressure are neglected.

Sources
-------
(1) to (5), (7) and the properties of gases: Saravanamuttoo HIH, Rogers GFC, Cohen H (2001), Gas Turbine Theory, 5th
ed., Pearson, chapters 2 and 9; (6) is a straight line through a map that nobody published. (9): US Code of Federal
Regulations, title 40, 60.335(b)(1), from memory; p_0 is the pressure at full load. (10) is no law of the field but a
first term, for the discrepancy to mend. (12): Uhlenbeck GE, Ornstein LS (1930), Phys. Rev. 36, 823-841. The plant: Kaya
H, Tufekci P, Uzun E (2019), Turk. J. Electr. Eng. Comput. Sci. 27, 4783-4796.
"""

from typing import Any

from workbench.declare import math as m
from workbench.declare import noise, prior
from workbench.declare.discrepancy import Discrepancy
from workbench.declare.kernel import SquaredExponential
from workbench.declare.ode import Ode
from workbench.declare.quantity import Input, Output, Parameter, State
from workbench.declare.static import Static
from workbench.domains.power_plants.gases import EXPANSION, GENERATOR, HOT, compression_work, vapour_pressure


def firing_temperature(exhaust: Any, ratio: Any, efficiency: Any) -> Any:
    """Return the temperature (K) before a turbine by that behind it (K), its ratio and efficiency, by (3) and (4)."""
    return exhaust / (1 - efficiency * (1 - ratio**-EXPANSION))


def net_power(T: Any, inlet: Any, discharge: Any, exhaust: Any, characteristic: tuple[Any, ...], capacity: Any) -> Any:
    """Return the power (W) by (1) to (6).

    Parameters
    ----------
    T, exhaust
        Temperatures (K) of the air, and of the gas behind the turbine.
    inlet, discharge
        Pressures (Pa), absolute, before and behind the compressor.
    characteristic
        Isentropic efficiencies of compressor and turbine, and the slopes a (per 100 K) and b of the first, by (6).
    capacity
        k of (5), kg K^0.5 / (s Pa).
    """
    ratio = discharge / inlet  # (1)
    compressor, turbine, by_temperature, by_flow = characteristic
    firing = firing_temperature(exhaust, ratio, turbine)
    flow = capacity * discharge / m.sqrt(firing)  # (5)
    corrected = flow / 500.0 * m.sqrt(T / 288.15) * 101325.0 / inlet
    efficiency = compressor + by_temperature * (T - 290.0) / 100.0 + by_flow * (corrected - 1.0)  # (6)
    return GENERATOR * flow * (HOT * (firing - exhaust) - compression_work(T, ratio, efficiency))  # (2), (7)


def inlet_loss(ratio: Any, firing: Any, work: Any, efficiency: Any) -> Any:
    """Return the relative loss of power by a relative loss of pressure before the compressor, both small.

    At one speed the compressor keeps its corrected flow and pressure ratio, so flow falls with the pressure before it,
    and gas expands from a pressure that has fallen as much: by (3), (5) and (7).

    Parameters
    ----------
    ratio, firing
        Pressure ratio, and temperature before the turbine (K).
    work
        Net specific work (J/kg).
    efficiency
        Isentropic efficiency of the turbine.
    """
    return 1 + HOT * efficiency * firing * EXPANSION * ratio**-EXPANSION / work


def humidity_ratio(celsius: Any, pressure: Any, phi: Any) -> Any:
    """Return the water in dry air (kg/kg) by (8): temperature in degC, pressure in Pa, relative humidity 0 to 1."""
    vapour = vapour_pressure(celsius, phi)
    return 0.622 * vapour / (pressure - vapour)


def nox_factor(T: Any, discharge: Any, humidity: Any) -> Any:
    """Return measured NOx over that at the reference, by (9): K, Pa (reference 13.5 bar), kg/kg."""
    return m.sqrt(discharge / 13.5e5) * m.exp(-19.0 * (humidity - 0.00633)) * (T / 288.0) ** 1.53


class GasTurbine(Static):
    """One machine of 160 MW by its sensors; the priors are of machines of its kind.

    - compressor, turbine: isentropic efficiencies of the class, which power cannot tell from the capacity.
    - capacity: 500 kg/s at 13 bar and 1370 K are 0.0142 kg K^0.5 / (s Pa); 90 % within 17 %.
    - nox, co: at full load; within a factor of 2 and of 5. burnout: CO falls to 1/e in 10 to 40 K.
    - errors: some MWh, some 10 %, and a quarter of the root of CO.

    CO is declared by its square root, as errors then hardly depend on its size.
    """

    T_ambient = Input("degC", long_name="ambient temperature")
    p_ambient = Input("hPa", long_name="ambient pressure")
    humidity = Input("1", long_name="relative humidity")
    discharge = Input("bar", long_name="discharge pressure of the compressor")
    exhaust = Input("degC", long_name="temperature behind the turbine")
    schedule = Input("K", long_name="place on the schedule of control")
    kelvin = Parameter("K", value=1.0, long_name="one kelvin, and one degree")
    hectopascal = Parameter("hPa", value=1.0, long_name="one hectopascal")
    bar = Parameter("bar", value=1.0, long_name="one bar")
    compressor = Parameter("1", value=0.86, long_name="efficiency of the compressor")
    turbine = Parameter("1", value=0.89, long_name="efficiency of the turbine")
    by_temperature = Parameter("1", prior=prior.Normal(mu=0.0, sigma=0.1), long_name="slope of efficiency, by 100 K")
    by_flow = Parameter("1", prior=prior.Normal(mu=0.0, sigma=0.1), long_name="slope of efficiency, by corrected flow")
    number = Parameter("kg*K**0.5/(s*Pa)", value=1.0, long_name="one unit of capacity")
    watt = Parameter("MW", value=1e-6, long_name="one watt")
    capacity = Parameter(
        "kg*K**0.5/(s*Pa)", prior=prior.LogNormal(median=0.0142, sigma=0.1), long_name="flow capacity of the turbine"
    )
    nox = Parameter("mg/m**3", prior=prior.LogNormal(median=65.0, sigma=0.4), long_name="NOx at the reference")
    co = Parameter("(mg/m**3)**0.5", prior=prior.LogNormal(median=1.2, sigma=0.5), long_name="root of CO at full load")
    burnout = Parameter("K", prior=prior.LogNormal(median=20.0, sigma=0.4), long_name="burn-out of CO")
    power = Output("MW", noise=noise.Normal(sigma=prior.HalfNormal(2.0)), long_name="energy yield of an hour")
    NOx = Output("mg/m**3", noise=noise.LogNormal(sigma=prior.HalfNormal(0.2)), long_name="nitrogen oxides")
    CO_root = Output(
        "(mg/m**3)**0.5", noise=noise.Normal(sigma=prior.HalfNormal(0.5)), long_name="square root of carbon monoxide"
    )

    def observe(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return power (MW, that is MWh in an hour), NOx, and the root of CO."""
        celsius, pressure = u.T_ambient / p.kelvin, 100.0 * u.p_ambient / p.hectopascal
        T, discharge = celsius + 273.15, 1e5 * u.discharge / p.bar
        exhaust = u.exhaust / p.kelvin + 273.15
        firing = exhaust + u.schedule / p.kelvin + 550.0  # what `schedule` says
        characteristic = p.compressor, p.turbine, p.by_temperature, p.by_flow
        power = p.watt * net_power(T, pressure, discharge, exhaust, characteristic, p.capacity / p.number)
        nox = nox_factor(T, discharge, humidity_ratio(celsius, pressure, u.humidity))
        co = p.co * m.exp(-(firing - 1358.0) / (2.0 * p.burnout / p.kelvin))  # (10)
        return {"power": power, "NOx": p.nox * nox, "CO_root": co}


def schedule(firing: Any, exhaust: Any) -> Any:
    """Return the place on the schedule of control (K), of temperatures before and behind the turbine (degC).

    Guide vanes hold 550 degC behind the turbine while load rises (below 0: kelvins of firing that are left), and at
    1100 degC before it open on, so that the exhaust cools (above 0: kelvins below 550).
    """
    return (firing - 1100.0) + (550.0 - exhaust)


class Drift(Ode):
    """How far a level has drifted, in SDs of what single hours leave; time counts days of running.

    - wander: 0.01 to 0.2 an hour's SD in a day's root, that is 0.2 to 4 in a year.
    - tau: days to months. swing: SD of what forgets, 0.2 to 1.3.
    - first: where the level stood on the first day. sigma: of a day's mean.
    """

    time_unit = "d"
    slow = State("1", noise="wander", long_name="level that wanders")
    fast = State("1", start=0.0, noise="push", long_name="level that forgets")
    first = Parameter("1", prior=prior.Normal(mu=0.0, sigma=1.0), long_name="level on the first day")
    wander = Parameter("1/d**0.5", prior=prior.LogNormal(median=0.04, sigma=0.8), long_name="wandering of the level")
    tau = Parameter("d", prior=prior.LogNormal(median=15.0, sigma=0.8), long_name="memory of what forgets")
    push = Parameter("1/d**0.5", prior=prior.LogNormal(median=0.2, sigma=0.8), long_name="noise of what forgets")
    residual = Output("1", noise=noise.Normal(sigma=prior.HalfNormal(1.0)), long_name="mean residual of a day")

    def start(self, p: Any) -> dict[str, Any]:
        """Return the level on the first day."""
        return {"slow": p.first}

    def rhs(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return the rates (11) and (12)."""
        return {"slow": 0.0 * x.slow / p.tau, "fast": -x.fast / p.tau}

    def observe(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return the mean residual of a day."""
        return {"residual": x.slow + x.fast}


SPAN = {
    "T_ambient": (-6.3, 37.2),
    "p_ambient": (985.0, 1037.0),
    "humidity": (0.24, 1.003),
    "discharge": (9.8, 15.2),
    "schedule": (-75.0, 40.0),
}
"""Lowest and highest for which predictions are wanted; those of the weather and the discharge are the publisher's."""

OVER = {
    "power": ("T_ambient", "discharge", "schedule"),
    "NOx": tuple(SPAN),
    "CO_root": ("T_ambient", "discharge", "schedule"),
}
"""What each discrepancy depends on: of power and CO the weather's pressure and humidity go by the equations alone."""

SIZES = {"power": 3.0, "NOx": 0.3, "CO_root": 0.5}
"""SDs of the half-normal priors of the discrepancies' SDs: MW, logarithm, root of mg/m^3."""


def left_out(functions: int = 150) -> tuple[Discrepancy, ...]:
    """Return the discrepancies: what (1) to (10) leave out, smooth functions fitted to what the equations leave.

    Lengths are between an eighth and half of the span: guide vanes, burners and pilot flames are switched within that.

    Parameters
    ----------
    functions
        How many functions each is a sum of.
    """
    size = {name: high - low for name, (low, high) in SPAN.items()}
    return tuple(
        Discrepancy(
            output,
            over=over,
            functions=functions,
            span={name: SPAN[name] for name in over},
            length_scale={n: prior.interval("InverseGamma", 0.12 * size[n], 0.5 * size[n]) for n in over},
            sigma=prior.HalfNormal(SIZES[output]),
            kernel=SquaredExponential(),
            joint=False,
        )
        for output, over in OVER.items()
    )
