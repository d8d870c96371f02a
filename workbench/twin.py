"""`Twin`: a model, what was observed of its asset, and what is believed about it, with the verbs as methods."""

import html
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from workbench.base.errors import DataError, StoreError
from workbench.declare.model import Model, as_model

if TYPE_CHECKING:
    import xarray as xr

    from workbench.calibrate.calibration import Calibration


@dataclass(frozen=True, repr=False, eq=False)
class Twin:
    """One asset: nothing in it changes; a verb that learns something returns a new twin.

    Parameters
    ----------
    model
        The declaration (a class is instantiated); None in a twin opened without it.
    observations
        What was measured, as `wb.calibrate` takes it; kept as a Dataset.
    posterior
        The calibration to these observations.
    state
        Not used yet: None.

    Raises
    ------
    DataError, UnitError
        If the observations cannot be used as they are.
    """

    model: Model | None
    observations: "xr.Dataset | None" = None
    posterior: "Calibration | None" = None
    state: None = None

    def __post_init__(self) -> None:
        if self.model is None:
            return
        object.__setattr__(self, "model", as_model(self.model))
        if self.observations is not None:
            object.__setattr__(self, "observations", _as_dataset(self._declared, self.observations))

    @property
    def _declared(self) -> Model:
        if self.model is None:
            raise StoreError("got a twin opened without its model; expected Twin.open(path, model)")
        return self.model

    def simulate(
        self, times: Any, *, parameters: Any = None, inputs: Any = None, start: Any = None, seed: int | None = None
    ) -> "xr.Dataset":
        """Return `wb.simulate(model, times, ...)`."""
        from workbench.simulate.run import simulate

        return simulate(self._declared, times, parameters=parameters, inputs=inputs, start=start, seed=seed)

    def calibrate(self, **options: Any) -> "Twin":
        """Return a twin with the posterior of `wb.calibrate(model, observations, ...)`, which lists the options."""
        from workbench.calibrate.posterior import calibrate

        if self.observations is None:
            raise DataError("got a twin without observations to calibrate to; expected wb.Twin(model, observations)")
        return replace(self, posterior=calibrate(self._declared, self.observations, **options))

    def forecast(self, times: Any, *, inputs: Any = None, noise: bool = True, seed: int | None = None) -> "xr.Dataset":
        """Return `wb.forecast(posterior, times, ...)`."""
        from workbench.forecast.propagate import forecast

        if self.posterior is None:
            raise DataError("got a twin without a posterior to forecast from; expected one from twin.calibrate(...)")
        return forecast(self.posterior, times, inputs=inputs, noise=noise, seed=seed)

    def save(self, path: Any) -> None:
        """Write the twin to one netCDF (`.nc`) or zarr (`.zarr`) store, which replaces one that is there already."""
        from workbench.calibrate.store import save_parts

        save_parts(path, self._declared, calibration=self.posterior, observations=self.observations)

    @staticmethod
    def open(path: Any, model: Any = None) -> "Twin":
        """Return the twin in a store, or the one that a saved calibration makes; nothing in the store is executed.

        Parameters
        ----------
        path
            A store written by `Twin.save` or `Calibration.save`.
        model
            The declaration, to go on from; it must mean what the stored one does. Without it the twin can only be
            looked at.

        Raises
        ------
        StoreError
            If the store cannot be trusted or read, or the model is not the stored one.
        """
        from workbench.calibrate.store import open_store

        stored = open_store(path, model)
        return Twin(model, stored.observations, stored.calibration)

    def _parts(self) -> dict[str, tuple[str, Any]]:
        """Return for each part a line of words, and what shows it in full."""
        words = "no observations"
        if self.observations is not None:
            counts = [f"{int(v.notnull().sum())} of {n}" for n, v in self.observations.data_vars.items()]
            words = f"{', '.join(counts)} measured"
        posterior = "no posterior" if self.posterior is None else self.posterior._headline()
        model = "no model (opened without it)" if self.model is None else repr(self.model)
        return {
            "model": (model, self.model),
            "observations": (words, self.observations),
            "posterior": (posterior, self.posterior),
        }

    def __repr__(self) -> str:
        lines = (f"  {name:13} {words}" for name, (words, _) in self._parts().items())
        return "\n".join(["Twin", *lines])

    def _repr_html_(self) -> str:
        def section(name: str, words: str, part: Any) -> str:
            line = f"<b>{name}</b> {html.escape(words)}"
            if part is None:
                return f"<div>{line}</div>"
            return f"<details><summary>{line}</summary>{part._repr_html_()}</details>"

        return f"<div><b>Twin</b>{''.join(section(name, *part) for name, part in self._parts().items())}</div>"


def _as_dataset(model: Model, data: Any) -> "xr.Dataset":
    """Return observations as a Dataset that a model accepts; a Dataset stays as it is."""
    import xarray as xr

    from workbench.sync.observations import observe

    seen = observe(model, data, silent=True)  # whether units share what they lack is said when it is calibrated
    return data if isinstance(data, xr.Dataset) else seen.to_dataset(model)
