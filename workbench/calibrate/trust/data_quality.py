"""Whether readings are fit to calibrate with: constant series, outliers, units without any, limits never left."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from workbench.base.schema import UNIT
from workbench.base.tables import listed
from workbench.calibrate.sensors import censoring
from workbench.calibrate.trust.card import Gate

if TYPE_CHECKING:
    from workbench.calibrate.calibration import Calibration

GATE = "data quality"
OUTLIER = 20.0
"""Distance of a reading from its prediction, in robust SDs of all such distances of the output, that no noise of its
family gives: beyond 20 once in 10^88 readings of a normal one."""
FEWEST = 5  # readings of an output, below which none stands out


def gate(calibration: "Calibration") -> Gate:
    """Return the gate "data quality"; its figure is the number of faults."""
    tree = calibration.tree
    if "observed_data" not in tree.children:
        return Gate(GATE, "not run", float("nan"), 0.0, "the calibration came without its data")
    observed = tree["observed_data"].to_dataset()
    faults = [words for name in map(str, observed.data_vars) for words in _faults(calibration, observed[name])]
    silent = _silent(observed)
    if calibration.problem is not None:
        faults += censoring.notes(calibration.problem)
        if "none" in calibration.problem.pool.values():
            faults += silent
    if faults:
        return Gate(GATE, "failed", float(len(faults)), 0.0, "; ".join(faults))
    count = sum(int(np.isfinite(v.values).sum()) for v in observed.data_vars.values())
    return Gate(GATE, "passed", 0.0, 0.0, "; ".join([f"{count} readings: none far off, no constant series", *silent]))


def _faults(calibration: "Calibration", observed: xr.DataArray) -> list[str]:
    """Return what is wrong with the readings of one output."""
    values = observed.values[np.isfinite(observed.values)]
    name = str(observed.name)
    if values.size >= 3 and np.ptp(values) == 0 and not _at_limit(calibration, name, values[0]):
        return [f"every reading of {name} is {values[0]:g}: is the sensor stuck, or the column another?"]
    if values.size < FEWEST or "posterior_predictive" not in calibration.tree.children:
        return []
    off = _distances(calibration, observed)
    spread = 1.4826 * np.nanmedian(np.abs(off - np.nanmedian(off)))
    if not spread > 0 or _heavy(calibration, name):
        return []
    far = np.abs(off - np.nanmedian(off)) / spread
    if not np.nanmax(far) > OUTLIER:
        return []
    place = np.unravel_index(int(np.nanargmax(far)), far.shape)
    here = observed[tuple(place)]
    where = ", ".join(f"{c} {here.coords[c].values}" for c in here.coords if here.coords[c].size == 1)
    return [
        f"the reading {float(here.values):g} of {name} at {where} lies {float(np.nanmax(far)):.0f} robust SDs from its "
        "prediction: mend or remove it with a reason, or expect such readings (wb.noise.StudentT)"
    ]


def _distances(calibration: "Calibration", observed: xr.DataArray) -> np.ndarray:
    """Return readings less the medians of their predictions; of what is above zero, their logarithms."""
    predicted = calibration.tree["posterior_predictive"].to_dataset()[observed.name]
    middle = predicted.median(("chain", "draw")).transpose(*observed.dims).values
    problem = calibration.problem
    noise = None if problem is None else problem.model.outputs[str(observed.name)].noise
    if noise is not None and noise.family.readings == "positive":
        return np.log(observed.values) - np.log(middle)
    return observed.values - middle


def _heavy(calibration: "Calibration", name: str) -> bool:
    """Whether the noise expects readings far off."""
    noise = None if calibration.problem is None else calibration.problem.model.outputs[name].noise
    return noise is not None and noise.name in ("StudentT", "NegativeBinomial")


def _at_limit(calibration: "Calibration", name: str, value: float) -> bool:
    """Whether a value is a limit of quantification, of which `censoring.notes` speaks."""
    limits = () if calibration.problem is None else calibration.problem.model.outputs[name].limits
    return value in limits


def _silent(observed: xr.Dataset) -> list[str]:
    """Return units of which nothing was read."""
    if UNIT not in observed.coords:
        return []
    own = observed[UNIT].dims  # units, or samples
    read = sum(v.notnull().any([d for d in v.dims if d not in own]) for v in observed.data_vars.values()) > 0
    labels = observed[UNIT].values.tolist()
    heard = {label for label, one in zip(labels, np.asarray(read), strict=True) if one}
    silent = [label for label in dict.fromkeys(labels) if label not in heard]
    if not silent:
        return []
    return [f"nothing was read of unit {listed(silent)}: all that is said there comes from priors and other units"]
