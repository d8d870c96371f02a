"""The calibrations of two notebooks by their defaults, and what a peer that has no workbench must know of them.

- circulation: `notebooks/patient_haemodynamics.ipynb`, the first 12 beats of the record that comes with the package,
  both lines, 23 parameters.
- glucose: `notebooks/patient_glucose.ipynb`, two days of the virtual patient that comes with the package, 9 parameters
  by the extended Kalman filter.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

import workbench as wb
from workbench.domains.patients import circulation_records, glucose_records
from workbench.domains.patients.circulation import Circulation
from workbench.domains.patients.glucose import Glucose

BEATS, BELOW, DAYS = 12, 11.5, 2.0  # defaults of the notebooks
FINE = 1e-10  # a relative tolerance that leaves no doubt


@dataclass(frozen=True)
class Study:
    """A calibration: the model, the same to a fine tolerance, readings and inputs; the numbers that a peer needs."""

    model: wb.Ode
    fine: wb.Ode
    data: Any
    inputs: dict[str, Any]
    told: dict[str, Any]


class FineCirculation(Circulation):
    """The same, solved to a tolerance that leaves no doubt."""

    rtol, atol = FINE, FINE


class FineGlucose(Glucose):
    """The same, solved to a tolerance that leaves no doubt."""

    rtol, atol = FINE, 1e-3 * FINE


def circulation() -> Study:
    """Return the first beats of both lines; a peer gets what the inputs are when the lines are read, too."""
    observed, inputs = circulation_records.record(None, ventricle_below=BELOW)
    beats, times = inputs["beat"].values, observed["time"].values
    seen = observed.isel(time=times < beats[BEATS])
    times = seen["time"].values
    knots, chest, tip = inputs["chest"]["time"].values, inputs["chest"].values, inputs["tip"]
    inside = tip.values[np.searchsorted(tip["time"].values, times, "right") - 1]
    told = {
        "times": times, "abp": seen["abp"].values, "pap": seen["pap"].values, "beats": beats[:BEATS],
        "chest": chest[: np.searchsorted(knots, times[-1]) + 1], "knot": circulation_records.KNOT, "tip": inside,
        "rtol": Circulation.rtol, "atol": Circulation.atol,
    }  # fmt: skip
    return Study(Circulation(), FineCirculation(), seen, inputs, told)


def glucose() -> Study:
    """Return the readings of the first days; what acts at a reading's time acts from there on."""
    observed, inputs = glucose_records.days(None)
    times = observed["time"].values
    seen = observed.isel(time=times < times[0] + 1440 * DAYS)
    count = seen.sizes["time"]
    given = {name: values.values[:count] for name, values in inputs.items()}
    told = {
        "times": seen["time"].values, "cgm": seen["cgm"].values, "basal": given["basal"] / 60.0,
        "bolus": given["bolus"], "meal": given["meal"], "rtol": Glucose.rtol, "atol": Glucose.atol,
    }  # fmt: skip
    return Study(Glucose(), FineGlucose(), seen, inputs, told)


STUDIES = {"circulation": circulation, "glucose": glucose}
