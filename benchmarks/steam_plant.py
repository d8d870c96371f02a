"""Write `data/steam_plant.csv`: hours of a steam cycle that TESPy simulates, with noise and faults: needs tespy.

TESPy takes water's properties from CoolProp (IAPWS-95), and works out pumps and the condenser's temperature difference;
the twin has neither. Sensors err as `workbench.domains.power_plants.steam_cycle` says; faults are planted in blocks of
20 hours after 120 without any:

1 feedwater flow +4 %, 2 temperature of the extraction +6 K, 3 power -2 %, 4 live steam flow -4 %, 5 low-pressure
efficiency -0.025, which is the plant's and no sensor's, 6 cooling water flow +6 %.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from tespy.components import Condenser, CycleCloser, Merge, Pump, SimpleHeatExchanger, Sink, Source, Splitter, Turbine
from tespy.connections import Connection
from tespy.networks import Network

from workbench.domains.power_plants.steam_cycle import GENERATOR, SENSORS

HOURS, CLEAN, BLOCK = 240, 120, 20
SENSOR_FAULTS = {1: ("F_feed", 1.04, 0.0), 2: ("T_extraction", 1.0, 6.0), 3: ("P", 0.98, 0.0),
                 4: ("F_steam", 0.96, 0.0), 6: ("F_cooling", 1.06, 0.0)}  # fmt: skip
HEAD = """\
# A steam cycle with one extraction, simulated by TESPy (https://github.com/oemof/tespy, MIT licence) with CoolProp's
# IAPWS-95, hour by hour, with errors of sensors and planted faults: benchmarks/steam_plant.py makes this table again.
# fault: 0 none, 1 feedwater flow +4 %, 2 temperature of the extraction +6 K, 3 power -2 %, 4 live steam flow -4 %,
# 5 low-pressure efficiency -0.025, 6 cooling water flow +6 %.
"""


def plant() -> tuple[Network, dict[str, Any]]:
    """Return the network, and its parts by name."""
    network = Network(iterinfo=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.units.set_defaults(temperature="degC", pressure="bar", enthalpy="kJ/kg")
    boiler, closer, high, low = SimpleHeatExchanger("boiler"), CycleCloser("cc"), Turbine("high"), Turbine("low")
    splitter, deaerator, condenser = Splitter("splitter"), Merge("deaerator"), Condenser("condenser")
    pump, feed, inlet, outlet = Pump("pump"), Pump("feed"), Source("inlet"), Sink("outlet")
    parts = {
        "0": Connection(boiler, "out1", closer, "in1"),
        "1": Connection(closer, "out1", high, "in1"),
        "2": Connection(high, "out1", splitter, "in1"),
        "low": Connection(splitter, "out1", low, "in1"),
        "e": Connection(splitter, "out2", deaerator, "in1"),
        "3": Connection(low, "out1", condenser, "in1"),
        "c": Connection(condenser, "out1", pump, "in1"),
        "p": Connection(pump, "out1", deaerator, "in2"),
        "d": Connection(deaerator, "out1", feed, "in1"),
        "f": Connection(feed, "out1", boiler, "in1"),
        "wi": Connection(inlet, "out1", condenser, "in2"),
        "wo": Connection(condenser, "out2", outlet, "in1"),
    }
    network.add_conns(*parts.values())
    pump.set_attr(eta_s=0.8)
    feed.set_attr(eta_s=0.8)
    boiler.set_attr(pr=1)
    condenser.set_attr(pr1=1, pr2=1, ttd_u=5)
    parts["1"].set_attr(fluid={"water": 1})
    parts["d"].set_attr(x=0)
    parts["wi"].set_attr(fluid={"water": 1}, p=2)
    return network, {**parts, "high": high, "low_turbine": low}


def readings(parts: dict[str, Any]) -> dict[str, float]:
    """Return what sensors without errors would read."""
    at = {name: parts[name] for name in ("1", "2", "e", "c", "d", "wi", "wo")}
    power = -(parts["high"].P.val + parts["low_turbine"].P.val) / 1e6 * GENERATOR
    flows = {"F_steam": "1", "F_feed": "1", "F_extraction": "e", "F_condensate": "c", "F_cooling": "wi"}
    pressures = {"p_steam": "1", "p_extraction": "2", "p_condenser": "c"}
    temperatures = {
        "T_steam": "1",
        "T_extraction": "2",
        "T_feed": "d",
        "T_condensate": "c",
        "T_inlet": "wi",
        "T_outlet": "wo",
    }
    made = {name: float(at[place].m.val) for name, place in flows.items()}
    made |= {name: float(at[place].p.val) for name, place in pressures.items()}
    made |= {name: float(at[place].T.val) for name, place in temperatures.items()}
    return {**made, "P": power}


def main() -> None:
    """Simulate and write."""
    rng = np.random.default_rng(2048)
    network, parts = plant()
    lines = []
    for hour in range(HOURS):
        fault = 0 if hour < CLEAN else 1 + (hour - CLEAN) // BLOCK
        load = 0.6 + 0.4 * rng.beta(2, 1)
        low = 0.86 - (0.025 if fault == 5 else 0.0)
        parts["high"].set_attr(eta_s=0.88)
        parts["low_turbine"].set_attr(eta_s=low)
        parts["1"].set_attr(m=100 * load, p=55 + 45 * load, T=535 + rng.normal(0, 3))
        parts["2"].set_attr(p=10 * load)
        parts["wi"].set_attr(m=5000 * rng.normal(1, 0.01), T=15 + 4 * np.sin(hour / 40) + rng.normal(0, 0.3))
        network.solve("design")
        true = readings(parts)
        if fault in SENSOR_FAULTS:
            name, factor, offset = SENSOR_FAULTS[fault]
            true[name] = true[name] * factor + offset
        read = []
        for name, sensor in SENSORS.items():
            sd = sensor.sd * (true[name] if sensor.relative else 1.0)
            read.append(f"{true[name] + sd * rng.normal():.6g}")
        lines.append(",".join([str(hour), *read, "0.88", f"{low:.3f}", str(fault)]))
    head = [
        "hour [h]",
        *(f"{name} [{sensor.unit}]" for name, sensor in SENSORS.items()),
        "true_eta_hp",
        "true_eta_lp",
        "fault",
    ]
    place = Path(__file__).resolve().parent.parent / "data" / "steam_plant.csv"
    place.write_text(HEAD + ",".join(head) + "\n" + "\n".join(lines) + "\n", encoding="utf-8")
    print(place)


if __name__ == "__main__":
    main()
