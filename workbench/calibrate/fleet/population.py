"""Units that were not measured: what the population says about them."""

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from workbench.base.errors import ParameterError
from workbench.calibrate.fleet.newcomer import joined
from workbench.calibrate.fleet.newcomers import all_joined
from workbench.calibrate.fleet.pooling import scale_of

if TYPE_CHECKING:
    from workbench.calibrate.calibration import Calibration
    from workbench.calibrate.problem import Problem


def new_unit(calibration: "Calibration", seed: int | None, data: Any = None, inputs: Any = None) -> xr.Dataset:
    """Return draws of the parameters of a new unit (see `Calibration.new_unit`)."""
    problem, pools = _population(calibration)
    posterior = calibration.posterior
    rng = np.random.default_rng(seed)
    drawn = {}
    if data is not None:
        return joined(problem, posterior, data, inputs, rng)
    if inputs is not None:
        raise ParameterError("new_unit: got inputs without data; expected both, as inputs act on what was read")
    z = {name: rng.normal(size=posterior[f"{name}_pop"].shape) for name, way in pools.items() if way == "partial"}
    for group in problem.correlated:
        made = group.root(posterior) @ np.stack([z[name] for name in group.names], axis=-1)[..., None]
        z |= {name: made[..., k, 0] for k, name in enumerate(group.names)}
    for name, way in pools.items():
        if way == "complete":
            drawn[name] = posterior[name]
            continue
        prior = problem.quantity(name).prior
        assert prior is not None
        scale, population, spread = scale_of(prior), posterior[f"{name}_pop"], posterior[f"{name}_sd"]
        latent = scale.link(population.values) + spread.values * z[name]
        drawn[name] = population.copy(data=scale.unlink(latent)).assign_attrs(posterior[name].attrs)
    noise = {n: posterior[n] for n in problem.model.noise_parameters if n in posterior and n not in drawn}
    return xr.Dataset({**drawn, **noise}, attrs={"model": problem.model.name})


def new_units(
    calibration: "Calibration", seed: int | None, data: Any, inputs: Any = None, *, draws: int | None = None
) -> xr.Dataset:
    """Return draws of the parameters of new units (see `Calibration.new_units`)."""
    problem, _ = _population(calibration)
    posterior, rng = calibration.posterior, np.random.default_rng(seed)
    most = posterior.sizes["draw"]
    if draws is not None:
        if not 1 <= draws <= most:
            raise ParameterError(f"new_units: got draws={draws!r}; expected 1 to {most}, the draws of each chain")
        posterior = posterior.isel(draw=np.linspace(0, most - 1, draws).astype(int))
    return all_joined(problem, posterior, data, inputs, rng)


def _population(calibration: "Calibration") -> "tuple[Problem, dict[str, str]]":
    """Return what was calibrated and how it was pooled; ParameterError where it says nothing of other units."""
    if calibration.problem is None:
        raise ParameterError("got a calibration opened without its model; expected Calibration.open(path, model)")
    pools: dict[str, str] = json.loads(calibration.posterior.attrs["pool"])
    for name in [name for name, way in pools.items() if way == "none"]:
        raise ParameterError(
            f"got {name!r} estimated for each unit alone; expected pool={{{name!r}: 'partial'}} or 'complete', "
            "which say something about a new unit"
        )
    return calibration.problem, pools
