"""`wb.Live`: readings as they come, the late ones taken in where they belong."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from workbench.base.clock import Clock
from workbench.base.errors import DataError
from workbench.base.schema import TIME
from workbench.declare.model import as_model
from workbench.sync.assimilate import assimilate, chosen_filter
from workbench.sync.filters.protocol import Filter
from workbench.sync.observations import observe
from workbench.sync.past import Past


@dataclass(frozen=True, eq=False)
class Live:
    """A filter that follows one asset, and can go back: `take` returns it with more readings taken in.

    Readings may come late, in any order and channel by channel. Those not older than a window before the latest one are
    kept; a late one is put where it belongs, and the filter replays from the last state before the window, with its
    random stream. The result is that of all readings in order, to the last bit (with inputs of the whole time).

    Parameters
    ----------
    model, filter, inputs, parameters, seed
        As in `wb.assimilate`. A seed is drawn where none is given.
    window
        How late readings may be, in the model's time unit.
    settled
        What `wb.assimilate` says of the times that have left the window last, and the states there; None so far.
    recent
        Readings in the window; None so far. With `settled` all that is needed to go on: any store keeps these datasets.
    result
        What `wb.assimilate` says of the times in the window; its `final_state` is that of now.

    Examples
    --------
    >>> live = wb.Live(Tank, wb.EnKF(members=100), window=2.0)  # doctest: +SKIP
    >>> live = live.take(reading)  # doctest: +SKIP
    >>> wb.forecast(live.result, times, model=Tank)  # doctest: +SKIP
    """

    model: Any
    filter: Filter | None = None
    window: float = 0.0
    inputs: Any = None
    parameters: Any = None
    seed: int | None = None
    settled: xr.Dataset | None = None
    recent: xr.Dataset | None = None
    result: xr.Dataset | None = None

    def __post_init__(self) -> None:
        chosen_filter(self.filter)
        if not self.window >= 0.0:
            raise DataError(f"Live: got window={self.window!r}; expected a number of {as_model(self.model).time_unit}")

    def take(self, data: Any, *, inputs: Any = None) -> "Live":
        """Return the filter with readings taken in; `inputs` replace those so far, where they have gone on.

        Times at which nothing was measured are left out.

        Raises
        ------
        DataError
            If a reading is older than the window, or differs from one of the same time and channel; if there are
            several units (each has a `Live` of its own); and as `wb.assimilate`.
        """
        model = as_model(self.model)
        observations = observe(model, data, clock=None if self.settled is None else Past.of(self.settled, model).clock)
        if observations.units is not None:
            raise DataError(f"Live: got units {list(observations.units)}; expected the readings of one, without a unit")
        new = observations.to_dataset(model).dropna(TIME, how="all")
        self._refuse_older(new)
        recent = new if self.recent is None else _joined(self.recent, new)
        seed = int(np.random.SeedSequence().generate_state(1, np.uint64)[0]) if self.seed is None else self.seed
        live = replace(self, seed=seed, inputs=self.inputs if inputs is None else inputs, recent=recent)
        return live._replayed(model)

    def _replayed(self, model: Any) -> "Live":
        """Settle what has left the window, and follow what is in it."""
        assert self.recent is not None
        old = self._ages(self.recent) > self._reach
        settled = self._followed(model, self.recent.isel({TIME: old}), self.settled) if old.any() else self.settled
        recent = self.recent.isel({TIME: ~old})
        return replace(self, settled=settled, recent=recent, result=self._followed(model, recent, settled))

    def _followed(self, model: Any, data: xr.Dataset, after: xr.Dataset | None) -> xr.Dataset:
        given = {"parameters": self.parameters, "seed": self.seed} if after is None else {"after": after}
        return assimilate(model, data, inputs=self.inputs, filter=self.filter, **given)

    @property
    def _reach(self) -> float:
        return self.window * (1 + 1e-9)  # 2.9 - 1.9 is above 1

    def _ages(self, data: xr.Dataset) -> Any:
        """Return how long before the latest reading those of a dataset are, in the model's time unit."""
        assert self.recent is not None
        latest = self.recent[TIME].values[-1]
        clock = Clock.of(self.recent[TIME].values, as_model(self.model).time_unit)
        return clock.numbers(np.array([latest]))[0] - clock.numbers(data[TIME].values)

    def _refuse_older(self, new: xr.Dataset) -> None:
        if self.recent is None:
            return
        ages = self._ages(new)
        if ages.max() > self._reach:
            unit = as_model(self.model).time_unit
            raise DataError(
                f"got a reading at {new[TIME].values[int(ages.argmax())]}, {ages.max():.6g} {unit} before the latest "
                f"one at {self.recent[TIME].values[-1]}; expected none older than the window of {self.window:g} {unit}"
            )


def _joined(old: xr.Dataset, new: xr.Dataset) -> xr.Dataset:
    """Return readings of both in the order of their times; DataError where two of one time and channel differ."""
    one, other = xr.align(old, new, join="inner")
    for name in set(one.data_vars) & set(other.data_vars):
        a, b = one[name], other[name]
        differ = ((a != b) & a.notnull() & b.notnull()).values
        if differ.any():
            at = tuple(np.argwhere(differ)[0])
            raise DataError(
                f"output {str(name)!r}: got {b.values[at]:g} at {b[TIME].values[at[0]]}, where {a.values[at]:g} was "
                "read before; expected one reading of a time"
            )
    return old.combine_first(new).sortby(TIME)
