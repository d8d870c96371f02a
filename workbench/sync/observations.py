"""What sensors read, as a model sees it: plain rows in declared units on one clock, and back to labelled arrays."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.base.clock import Clock, check_times_of_units
from workbench.base.errors import DataError
from workbench.base.schema import SAMPLE, TIME, UNIT
from workbench.base.tables import listed
from workbench.declare.model import Model
from workbench.sync.readings import Readings, read

if TYPE_CHECKING:
    import xarray as xr

_DIMS = {"time": (TIME,), "grid": (UNIT, TIME), "sample": (SAMPLE,)}


@dataclass(frozen=True, eq=False)
class Observations:
    """Readings of one or several units.

    Attributes
    ----------
    layout
        "time": one unit; "grid": units that share their times; "sample": a long table, each unit on its own times.
    units
        Labels of the units, None for one nameless unit.
    unit_index
        (N,) unit of each row, sorted.
    time
        (N,) in the model's time unit, increasing within a unit.
    values
        (N,) of every output with noise that was measured, in its declared unit; NaN where it was not, and the limit
        where a reading lies beyond one. Of a vector (N, ...), its dims last.
    clock
        What time 0 is.
    """

    layout: str
    units: tuple[Any, ...] | None
    unit_index: NDArray[np.int64]
    time: NDArray[np.float64]
    values: dict[str, NDArray[np.float64]]
    clock: Clock

    @property
    def offset(self) -> NDArray[np.int64]:
        """(U + 1,) the rows of unit k are offset[k] to offset[k + 1]."""
        count = 1 if self.units is None else len(self.units)
        return np.searchsorted(self.unit_index, np.arange(count + 1)).astype(np.int64)

    @property
    def dims(self) -> tuple[str, ...]:
        """The dims of the layout: ("time",), ("unit", "time") or ("sample",)."""
        return _DIMS[self.layout]

    @property
    def coords(self) -> dict[str, Any]:
        """Coordinates of the layout as xarray takes them; those of "sample" are no index."""
        labels = self.clock.labels(self.time)
        if self.layout == "time":
            return {TIME: labels}
        assert self.units is not None
        if self.layout == "grid":
            return {UNIT: _exactly(self.units), TIME: labels[: self.offset[1]]}
        return {UNIT: (SAMPLE, _exactly(self.units)[self.unit_index]), TIME: (SAMPLE, labels)}

    def scatter(self, rows: NDArray[Any], shape: tuple[int, ...] = ()) -> NDArray[Any]:
        """Return an array over rows in the layout: (..., time), (..., unit, time) or (..., sample).

        Of a vector of this shape the last axis of `rows` holds the elements of one row after the other.
        """
        rows = np.asarray(rows)
        places: tuple[int, ...] = (self.time.size,)
        if self.layout == "grid":
            assert self.units is not None
            places = (len(self.units), self.time.size // len(self.units))
        return rows.reshape(*rows.shape[:-1], *places, *shape)

    def to_dataset(self, model: Model) -> "xr.Dataset":
        """Return the readings as a Dataset in the layout, with units and long names; `observe` reads it back."""
        import xarray as xr

        dataset = xr.Dataset(
            coords=self.coords | {d: model.labels[d] for n in self.values for d in model.outputs[n].dims}
        )
        for name, values in self.values.items():
            output = model.outputs[name]
            attrs = {"units": output.unit, "long_name": output.long_name or name}
            dataset[name] = ((*self.dims, *output.dims), self.scatter(values.ravel(), values.shape[1:]), attrs)
        dataset[TIME].attrs = self.clock.attributes
        return dataset


def observe(model: Model, data: Any, *, silent: bool = False, clock: Clock | None = None) -> Observations:
    """Return the readings in `data` as a model sees them: checked, in declared units, on one clock.

    Parameters
    ----------
    model
        The model whose outputs were measured.
    data
        One of

        - a Dataset whose variables are named as outputs, over `time`, over `unit` and `time`, or over `sample` with
          coordinates `time` and `unit`, a vector over its dims as well (or over some of their labels, where only those
          were measured); or a DataArray with the name of an output;
        - a DataFrame with a column `time` (or an index of times), one column an output (of a vector one an element that
          was measured, such as `T[3]`), and a column `unit` where there are several units, each with times of its own;
          or a Series with the name of an output;
        - the path of a CSV file with such columns.

        Units of measure stand in `attrs["units"]`, or in a header such as "conc [mg/L]", also for the time; without
        one, values are in the declared unit and times in the model's. NaN means not measured.
    silent
        Whether units may be there of which nothing was measured.
    clock
        By which times are counted, of readings that go on from others; their own by default.

    Returns
    -------
    Observations
        Every output with noise that `data` holds. What else the model declares (states, inputs, outputs without noise)
        is not read. Other names, such as covariates, are passed over where every output with noise is there; where one
        is missing they are refused, as one of them may be its misspelt name.

    Raises
    ------
    DataError
        If there are no samples, at all or in a unit that may not be silent; if times are missing, repeated, out of
        order or of several kinds; if a value is text, infinite, or one that the output's noise cannot give; if names do
        not fit.
    UnitError
        If values or times cannot be converted into the declared unit.
    """
    readings = read(model, data)
    clock = Clock.of(readings.times.values, model.time_unit, "data") if clock is None else clock
    time = clock.numbers(readings.times.values, "data", readings.times.units)
    check_times_of_units(time, readings.index, "data", labels=readings.labels, clock=clock)
    within = {name: np.clip(v, *_limits(model, name)) for name, v in readings.values.items()}
    made = Observations(readings.layout, readings.labels, readings.index, time, within, clock)
    _refuse_empty(readings, silent=silent)
    for name, values in made.values.items():
        _refuse_impossible(model, name, values, made)
    return made


def spans(observations: Observations) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the first and the last time of each unit, both (U,) in the model's time unit."""
    offset = observations.offset
    return observations.time[offset[:-1]], observations.time[offset[1:] - 1]


def _refuse_empty(readings: Readings, *, silent: bool) -> None:
    """Refuse data, and units unless they may be silent, of which nothing was measured."""
    known = np.any([~np.isnan(v).all(axis=tuple(range(1, v.ndim))) for v in readings.values.values()], axis=0)
    if not known.any():
        raise DataError(f"data: got no samples of {listed(readings.values)}; expected at least one number")
    count = 1 if readings.labels is None else len(readings.labels)
    empty = np.flatnonzero(np.bincount(readings.index[known], minlength=count) == 0)
    if empty.size and not silent:
        assert readings.labels is not None
        names = listed([readings.labels[k] for k in empty])
        raise DataError(f"data: got no samples of units {names}; expected at least one number of each, or no such unit")


def _limits(model: Model, name: str) -> tuple[float, float]:
    low, high = model.outputs[name].limits
    return -np.inf if low is None else low, np.inf if high is None else high


def _refuse_impossible(model: Model, name: str, values: NDArray[np.float64], made: Observations) -> None:
    """Refuse values that the noise of an output cannot give."""
    noise = model.outputs[name].noise
    assert noise is not None
    kind = noise.family.readings
    wrong, expected = np.isinf(values), "a finite number"
    if kind == "positive":
        wrong, expected = wrong | (values <= 0), f"a number above 0, as its noise is {noise.name}"
    elif kind == "count":
        finite = np.where(wrong, 0.5, values)
        wrong = (values < 0) | (np.abs(finite - np.rint(finite)) > 1e-9 * np.abs(finite))
        expected = f"a whole number, 0 or more, as its noise is {noise.name}"
    if wrong.any():
        at = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
        row = int(at[0])
        place = made.clock.label(made.time[row]) + (
            f", unit {made.units[made.unit_index[row]]!r}" if made.units else ""
        )
        got = f"{values[at]:g} {model.outputs[name].unit} at {place}"
        raise DataError(f"output {name!r}: got {got}; expected {expected}, and NaN where it was not measured")


def _exactly(units: tuple[Any, ...]) -> NDArray[Any]:
    """Return labels as an array, of objects where they are of several types: no number becomes text."""
    labels = np.array(units)
    return labels if labels.tolist() == list(units) else np.array(units, dtype=object)
