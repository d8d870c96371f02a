"""Replays of a day with other doses, against what virtual patients of simglucose then do.

    python -m benchmarks.glucose_replay [how many adults]

Each patient is calibrated on the sensor's first four days; the fifth is replayed with boluses 1.4 and 0.6 times as
large, and with a basal rate 1.3 and 0.7 times as high: the change of glucose that the model predicts, with its 90 %
interval, beside the true one. Doses differ only on the fifth day, of which the model has seen the readings with the
doses as they were.
"""

import sys

import numpy as np
import pandas as pd
import xarray as xr

import workbench as wb
from benchmarks.virtual_days import ALTERED, DAY, OTHERS, with_others
from workbench.domains.patients.glucose import Glucose, unexplained

DRAWS = 20


def as_data(table: pd.DataFrame) -> tuple[xr.Dataset, dict[str, xr.DataArray]]:
    """Return readings and inputs of days as `benchmarks.virtual_days` makes them."""
    time = {"time": table["time"].to_numpy(dtype=float)}
    units = {"basal": "U/h", "bolus": "U", "meal": "g"}
    inputs = {n: xr.DataArray(table[n].to_numpy(), time, "time", attrs={"units": u}) for n, u in units.items()}
    return xr.Dataset({"cgm": ("time", table["cgm"].to_numpy())}, time), inputs


def replayed(model, data, inputs, posterior, instead, draws=DRAWS):
    """Return glucose (unit, time) at draws of a posterior, with the flux that the readings tell and other inputs."""
    flat = posterior.stack(sample=("chain", "draw"))
    rows = np.linspace(0, flat.sizes["sample"] - 1, draws).astype(int)
    names = [n for n in flat.data_vars if n != "agitation"]
    kicks = []
    for row in rows:
        known = {n: float(flat[n][row]) for n in (*names, "agitation")}
        flux = wb.smooth(model, data, inputs=inputs, filter=wb.ExtendedKalman(), parameters=known)["d_smoothed"]
        kicks.append(unexplained(data["time"], flux.values, known["t_flux"]))
    units = xr.IndexVariable("unit", np.arange(draws))
    values = {n: xr.DataArray(flat[n].values[rows], {"unit": units}, "unit") for n in names if n != "cgm_sigma"}
    made = {}
    for name, other in instead.items():
        given = inputs | other | {"kick": xr.concat(kicks, units)}
        solved = wb.simulate(model, data["time"].values, inputs=given, parameters=values | {"agitation": 1e-9}, seed=0)
        made[name] = solved["G"].squeeze().transpose("unit", "time")
    return made


def altered(inputs, bolus, basal, since):
    """Return inputs whose boluses and basal rate are multiplied from a time on."""
    late = inputs["bolus"]["time"] >= since
    return {
        n: inputs[n].copy(data=xr.where(late, f * inputs[n], inputs[n]))
        for n, f in (("bolus", bolus), ("basal", basal))
    }


def compare(name: str, seed: int) -> pd.DataFrame:
    """Return predicted and true change of one patient's last day."""
    table = with_others(name, seed)
    data, inputs = as_data(table)
    since = ALTERED * DAY
    model = Glucose(usual=float(table["basal"][0]) / 60)
    first = data.isel(time=data["time"].values < since)
    calibration = wb.calibrate(model, first, inputs=inputs, draws=250, tune=300, chains=2, seed=seed, progress=False)
    instead = {"as it was": {}} | {n: altered(inputs, *f, since) for n, f in OTHERS.items()}
    made = replayed(model, data, inputs, calibration.posterior, instead)
    late = data["time"].values >= since
    rows = []
    for other in OTHERS:
        change = (made[other] - made["as it was"]).values[:, late]
        true = (table[f"glucose_{other}"] - table["glucose"]).to_numpy()[late]
        low, middle, high = np.quantile(change, [0.05, 0.5, 0.95], axis=0)
        inside = ((low - 1 <= true) & (true <= high + 1)).mean()
        held = np.abs(made["as it was"].values[:, late].mean(axis=0) - table["glucose"].to_numpy()[late]).mean()
        rows.append(
            [name, other, true.mean(), middle.mean(), np.abs(middle - true).mean(), np.abs(true).mean(), inside, held]
        )
    columns = ["patient", "doses", "true change", "predicted", "error", "size", "inside 90 %", "error as it was"]
    return pd.DataFrame(rows, columns=columns)


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    found = []
    for k in range(1, count + 1):
        found.append(compare(f"adult#{k:03d}", seed=k))
        print(found[-1].round(2).to_string(index=False, header=k == 1), flush=True)
    every = pd.concat(found)
    print(every.drop(columns="patient").groupby("doses").mean().round(2).to_string())
