"""`wb.smooth`: what the states were, given all readings, also the later ones."""

from typing import Any

import xarray as xr

from workbench.declare.model import as_model
from workbench.sync.assimilate import chosen_filter, follow, tell
from workbench.sync.filters.protocol import Filter
from workbench.sync.filters.results import smoothed_variables
from workbench.sync.observations import observe
from workbench.sync.smoothers import backward, refuse_unsmoothed


def smooth(
    model: Any, data: Any, *, inputs: Any = None, filter: Filter | None = None, parameters: Any = None,
    seed: int | None = None,
) -> xr.Dataset:  # fmt: skip
    """Return what is known of the states at each time, given all readings, beside what the filter knew then.

    A filter runs forward and a smoother back: Rauch, Tung & Striebel (1965) for `wb.Kalman()`, which is exact, also of
    diffuse starts, and for `wb.ExtendedKalman()`; the unscented one (Sarkka 2008) for `wb.UnscentedKalman()`; the
    ensemble one (Raanes 2016) for `wb.EnKF()`, which keeps all members of all times in memory.

    Parameters
    ----------
    model, data, inputs, filter, parameters, seed
        As in `wb.assimilate`. Parameters that are estimated with the states are smoothed too; as they are constant,
        all times then say the same of them, up to what a filter approximates.

    Returns
    -------
    xarray.Dataset
        That of `wb.assimilate`, and for every state, estimated parameter and output `<name>_smoothed` and
        `<name>_smoothed_sd`, in the same units. An SD is infinite where no reading tells a diffuse start.

    Raises
    ------
    DataError
        If there is no smoother for the filter: for `wb.ParticleFilter()`, and `wb.EnKF` with localisation.
    DataError, ParameterError, UnitError, SolveError
        As `wb.assimilate`.

    Warns
    -----
    UserWarning
        Where the filter has lost its asset, as `wb.assimilate`.
    """
    chosen, model = chosen_filter(filter), as_model(model)
    refuse_unsmoothed(chosen)
    observations = observe(model, data)
    runs = follow(model, observations, inputs=inputs, filter=chosen, parameters=parameters, seed=seed, keep=True)
    dataset = tell(model, observations, runs, chosen)
    smoothed = [backward(chosen, run.plant, run.records) for run in runs]
    return dataset.assign(smoothed_variables(model, observations, runs, smoothed))
