"""Parameters that a declaration implies: starts, process noises, errors of sensors and arguments of noise models."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from workbench.base import units
from workbench.declare.prior import Prior
from workbench.declare.quantity import Parameter

if TYPE_CHECKING:
    from workbench.declare.model import Model


def starts(model: "Model") -> dict[str, Parameter]:
    """Return starts that have priors of their own, as parameters named `<state>_start`."""
    return _by_name(
        _named(f"{s.name}_start", Parameter(s.unit, prior=s.start, long_name=f"start of {s.name}", dims=s.dims))
        for s in model.states.values()
        if isinstance(s.start, Prior)
    )


def process_noises(model: "Model") -> dict[str, Parameter]:
    """Return process noises that have priors, as parameters named `<state>_noise`."""
    found = []
    for state in model.states.values():
        if isinstance(state.noise, Prior):
            unit, words = f"({state.unit}) * ({model.time_unit})**-0.5", f"process noise of {state.name}"
            made = Parameter(unit, prior=state.noise, bounds=(0, None), long_name=words)
            found.append(_named(f"{state.name}_noise", made))
    return _by_name(found)


def sensor_errors(model: "Model") -> dict[str, Parameter]:
    """Return biases and drifts of outputs that have priors, as parameters named `<output>_bias`, `<output>_drift`.

    A drift is in the output's unit per the model's time unit. Elements of a vector have their own.
    """
    found = []
    for output in model.outputs.values():
        for what, unit in (("bias", output.unit), ("drift", f"({output.unit}) / ({model.time_unit})")):
            prior = getattr(output, what)
            if isinstance(prior, Prior):
                words = f"{what} of the sensor of {output.name}"
                made = Parameter(unit, prior=prior, long_name=words, dims=output.dims)
                found.append(_named(f"{output.name}_{what}", made))
    return _by_name(found)


def noise_arguments(model: "Model") -> dict[str, Parameter]:
    """Return arguments of noise models that have priors, as parameters named `<output>_<argument>`."""
    found = []
    for output in model.outputs.values():
        for key, prior in (output.noise.priors if output.noise else {}).items():
            assert output.noise is not None
            family = output.noise.family
            unit = output.unit if key in family.in_unit else units.DIMENSIONLESS
            unit = model.time_unit if key in family.in_time else unit
            made = Parameter(unit, prior=prior, long_name=f"{key} of the noise of {output.name}")
            found.append(_named(f"{output.name}_{key}", made))
    return _by_name(found)


def _named(name: str, parameter: Parameter) -> Parameter:
    object.__setattr__(parameter, "name", name)
    return parameter


def _by_name(parameters: Iterable[Parameter]) -> dict[str, Parameter]:
    return {parameter.name: parameter for parameter in parameters}
