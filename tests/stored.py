"""Calibrations to save: one that was sampled, and made-up ones for the other layouts of data."""

from functools import cache

import numpy as np
import pandas as pd
import xarray as xr
from calibrations import DOSING_POOL, dosing_problem
from models import Dosing

import workbench as wb
from workbench.calibrate.predict import labelled, of_readings, predictive
from workbench.calibrate.problem import Problem, pose

DAY = pd.Timestamp("2024-03-30 22:00:00.123456789")


@cache
def sampled() -> wb.Calibration:
    """Return two patients with inputs of their own, in a ragged table: text for labels, every way of pooling."""
    problem = dosing_problem()
    data = problem.observations.to_dataset(problem.model)
    options = {"draws": 200, "tune": 200, "chains": 2, "seed": 1, "progress": False}
    return wb.calibrate(Dosing(), data, inputs=problem.inputs, pool=DOSING_POOL, **options)


def made_up(problem: Problem) -> wb.Calibration:
    """Return a calibration whose posterior nobody sampled: a few draws around the prior's medians."""
    rng = np.random.default_rng(4)
    count = problem.rows.size - 1
    noise = {"concentration_sigma": 0.3}
    medians = {name: problem.model.theta[name].nominal() for name in problem.model.estimated} | noise
    shapes = {name: (2, 5) if problem.pool.get(name, "complete") == "complete" else (2, 5, count) for name in medians}
    values = {name: medians[name] * np.exp(0.1 * rng.normal(size=shapes[name])) for name in medians}
    predicted = predictive(problem, values, rng)
    coords = {"chain": [0, 1], "draw": range(5)} | ({} if problem.units is None else {"unit": list(problem.units)})
    posterior = xr.Dataset(
        {n: (("chain", "draw", "unit")[: v.ndim], v, {"units": "1", "long_name": n}) for n, v in values.items()},
        {name: labels for name, labels in coords.items() if name != "unit" or "none" in problem.pool.values()},
        {"model": "Dosing", "pool": str(dict(problem.pool)).replace("'", '"'), "climbed_to": [1.5], "seed": 2},
    )
    statistics = xr.Dataset({"diverging": (("chain", "draw"), rng.random((2, 5)) < 0.3)}, {"chain": [0, 1]})
    groups = {
        "posterior": posterior,
        "sample_stats": statistics,
        "posterior_predictive": labelled(problem, predicted.readings),
        "log_likelihood": of_readings(problem, predicted.log_density, "log density"),
        "pit": of_readings(problem, predicted.pit, "probability of less"),
        "observed_data": problem.observations.to_dataset(problem.model),
    }
    return wb.Calibration(xr.DataTree.from_dict(groups), problem=problem)


def grid_of_numbered_units() -> Problem:
    """Return units that share their times and have numbers for labels; times in minutes, constants by unit."""
    values = 2 + np.random.default_rng(1).random((3, 4))
    values[1, 2] = np.nan
    data = xr.Dataset({"concentration": (("unit", "time"), values, {"units": "ug/mL"})})
    data = data.assign_coords(unit=[30, 10, 20], time=("time", [0.0, 7.0, 100.0, 250.0], {"units": "min"}))
    dose = pd.DataFrame({"time [min]": [0.0, 7.0, 20.0], "unit": [10, 20, 30], "dose [g]": [0.1, 0.2, np.nan]})
    infusion = xr.DataArray([1.0, 2.0, 0.1], {"unit": [10, 20, 30]}, attrs={"units": "g/h"})
    release = pd.Series([0.0, 1.0, 1.0 / 3.0], index=pd.to_timedelta([0, 200, 600], unit="min"))
    inputs = {"dose": dose, "infusion": infusion, "release": release}
    return pose(Dosing(), data, inputs=inputs, pool={"ka": "none"})


def one_unit_of_datetimes() -> Problem:
    """Return one nameless unit with readings over weeks, on datetimes to the nanosecond."""
    times = DAY + pd.to_timedelta([0.0, 1 / 3, 5.0, 700.0], unit="h").round("us")
    data = pd.DataFrame({"concentration [mg/L]": [3.0, 2.0, np.nan, 1.0]}, index=pd.DatetimeIndex(times, name="time"))
    dose = pd.Series([100.0, 50.0], index=pd.DatetimeIndex([DAY - pd.Timedelta("90min"), times[1]]))
    release = xr.DataArray([0.0, 2.0], {"time": [DAY - pd.Timedelta("1D"), DAY + pd.Timedelta("40D")]})
    return pose(Dosing(), data, inputs={"dose": dose, "infusion": 2, "release": release})


def labels_of_several_types() -> Problem:
    """Return a ragged table whose units are called by numbers and by text."""
    data = pd.DataFrame(
        {"unit": np.array([7, "seven", 7, "seven"], dtype=object), "time": [0, 1, 2, 2.5], "concentration": [1.0] * 4}
    )
    inputs = {"dose": {7: {0.0: 10.0}, "seven": {0.5: 20.0}}, "infusion": 0.0, "release": 0.0}
    return pose(Dosing(), data, inputs=inputs, pool={"ka": "complete"})


LAYOUTS = {"grid": grid_of_numbered_units, "time": one_unit_of_datetimes, "labels": labels_of_several_types}


@cache
def in_layout(name: str) -> wb.Calibration:
    """Return a made-up calibration to data in one of the layouts."""
    return made_up(LAYOUTS[name]())
