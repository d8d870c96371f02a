"""A design as data without values: which outputs are to be read, of which units, and when."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.base.errors import DataError
from workbench.base.schema import SAMPLE, TIME, UNIT
from workbench.base.tables import split_header
from workbench.declare.dims import elements
from workbench.declare.model import Model
from workbench.declare.quantity import Output


def planned(model: Model, design: Any) -> Any:
    """Return a design as data that a problem can be posed of, all of whose values are 1.

    Parameters
    ----------
    model
        The model whose outputs are to be read.
    design
        One of

        - what `wb.calibrate` takes as data. Its numbers do not count: a number, whatever it is, is a reading to come,
          NaN none; an output of which all is NaN is to be read at every row;
        - the same without any output, such as a table of units and times: every output with noise is read at every row;
        - times, for one unit: every output with noise is read at each.

    Raises
    ------
    DataError
        If the design has no rows, or is of another kind.
    """
    import pandas as pd
    import xarray as xr

    if isinstance(design, str | Path):
        design = pd.read_csv(design, comment="#")
    if isinstance(design, xr.DataArray | pd.Series):
        design = design.to_dataset() if isinstance(design, xr.DataArray) else design.to_frame()
    if isinstance(design, xr.Dataset):
        return _filled_dataset(model, design)
    if isinstance(design, pd.DataFrame):
        return _filled_table(model, design)
    times = np.asarray(design)
    if times.ndim != 1 or times.size == 0 or times.dtype.kind not in "fiuM":
        raise DataError(f"design: got {type(design).__name__}; expected times, or a Dataset or a DataFrame as of data")
    return _filled_dataset(model, xr.Dataset(coords={TIME: times}))


def _noisy(model: Model) -> dict[str, Output]:
    return {name: output for name, output in model.outputs.items() if output.noise is not None}


def _possible(output: Output) -> float:
    """Return a reading that an output's noise may give, and that its limits let through."""
    low, high = output.limits
    if high is None:
        return 1.0 if low is None else low + max(1.0, abs(low))
    if low is None:
        low = 0.0 if output.noise is not None and output.noise.family.readings != "real" else high - 2.0
    middle = 0.5 * (low + high)
    return float(np.ceil(middle)) if output.noise is not None and output.noise.family.readings == "count" else middle


def _filled_dataset(model: Model, design: Any) -> Any:
    """Return a Dataset of readings to come."""
    import xarray as xr

    made, noisy = design.copy(), _noisy(model)
    given = [name for name in noisy if name in design]
    lead = [d for d in (UNIT, SAMPLE, TIME) if d in design.dims]
    sizes = {**design.sizes, **{d: labels.size for d, labels in model.labels.items()}}
    for name in given or noisy:
        output = noisy[name]
        if name in design and bool(design[name].notnull().any()):
            made[name] = xr.where(design[name].notnull(), _possible(output), np.nan)
            continue
        dims = (*lead, *output.dims) if name not in design else design[name].dims
        made[name] = xr.DataArray(np.full([sizes[d] for d in dims], _possible(output)), dims=dims)
        if output.increment:  # which counts from the first row on
            rows = made[name][SAMPLE if SAMPLE in lead else TIME]
            first = _first(
                np.asarray(made[TIME].values), made[UNIT].values if SAMPLE in lead and UNIT in made else None
            )
            made[name] = made[name].where(xr.DataArray(~first, dims=rows.dims))
    return made


def _filled_table(model: Model, design: Any) -> Any:
    """Return a table of readings to come."""
    noisy, vectors = _noisy(model), elements(model, model.outputs)
    known = {name: name for name, output in noisy.items() if not output.dims}
    known |= {element: name for element, (name, _) in vectors.items() if name in noisy}
    named = {h: h if h in known else split_header(str(h))[0] for h in design.columns}
    made = design.rename(columns={h: name for h, name in named.items() if name in known})
    for name in [n for n in made.columns if n in known] or known:
        output = noisy[known[name]]
        wanted = made[name].notna().to_numpy() if name in made else np.zeros(len(made), dtype=bool)
        if not wanted.any():
            wanted = np.ones(len(made), dtype=bool)
            if output.increment:
                times = made[TIME].to_numpy() if TIME in made else made.index.to_numpy()
                wanted = ~_first(times, made[UNIT].to_numpy() if UNIT in made else None)
        made[name] = np.where(wanted, _possible(output), np.nan)
    return made


def _first(times: Any, units: Any) -> NDArray[np.bool_]:
    """Mark the first row in time of each unit."""
    units = np.zeros(times.size) if units is None else units
    found = np.zeros(times.size, dtype=bool)
    for unit in dict.fromkeys(units.tolist()):
        mine = np.flatnonzero(units == unit)
        found[mine[np.argmin(times[mine])]] = True
    return found
