"""What a sensor may be declared to do beside scattering: limits, increments, bias and drift, checked and in words."""

import math
from typing import TYPE_CHECKING, Any

from workbench.base.errors import DeclarationError
from workbench.declare.math import maximum, where
from workbench.declare.noise import Noise
from workbench.declare.prior import Prior

if TYPE_CHECKING:
    from workbench.declare.quantity import Output

_SLACK = 10.0  # tolerances of the solver within which an increment below zero is none


def check_sensor(output: "Output", where: str) -> None:
    """Refuse a sensor that cannot be: DeclarationError for the first mistake."""
    if output.noise is not None and not isinstance(output.noise, Noise):
        raise DeclarationError(f"{where}: got noise={output.noise!r}; expected one such as wb.noise.Normal(sigma=0.5)")
    if not isinstance(output.increment, bool):
        raise DeclarationError(f"{where}: got increment={output.increment!r}; expected True or False")
    for what in ("bias", "drift"):
        _check_error(output, what, getattr(output, what), where)
    if output.increment and output.bias != 0:
        raise DeclarationError(
            f"{where}: got bias={output.bias!r} of an increment, in which a constant cancels; expected drift= for what "
            "the sensor adds in a time unit"
        )
    _check_limits(output, where)


def _check_error(output: "Output", what: str, value: Any, where: str) -> None:
    floor = value.support[0] if isinstance(value, Prior) else value
    if isinstance(floor, bool) or not isinstance(floor, int | float) or math.isnan(floor):
        raise DeclarationError(f"{where}: got {what}={value!r}; expected a number or a prior")
    if not isinstance(value, Prior) and math.isinf(floor):
        raise DeclarationError(f"{where}: got {what}={value!r}; expected a finite number or a prior")
    if isinstance(value, Prior) and output.noise is None:
        raise DeclarationError(f"{where}: got {what}={value!r} and no noise; expected noise=, as only readings tell it")
    kind = "real" if output.noise is None else output.noise.family.readings
    if floor < 0 and kind != "real":
        assert output.noise is not None
        allows = ", which allows negative values," if isinstance(value, Prior) else ""
        raise DeclarationError(
            f"{where}: got {what}={value!r}{allows} under {output.noise.name} noise; expected {what} of 0 or more, as "
            f"{'counts have' if kind == 'count' else 'its median has'} to stay above zero"
        )


def _check_limits(output: "Output", where: str) -> None:
    given, noise = output.limits, output.noise
    try:
        low, high = (None if end is None else float(end) for end in given)
    except (TypeError, ValueError):
        raise DeclarationError(f"{where}: got limits={given!r}; expected a pair such as (0.1, None)") from None
    ends = [end for end in (low, high) if end is not None]
    if not ends:
        return
    if not all(map(math.isfinite, ends)):
        raise DeclarationError(f"{where}: got limits={given!r}; expected finite numbers, None where there is no limit")
    if low is not None and high is not None and not low < high:
        raise DeclarationError(f"{where}: got limits {low:g} to {high:g}; expected the lower below the upper")
    if noise is None:
        raise DeclarationError(
            f"{where}: got limits={given!r} and no noise; expected noise=, as limits are of readings"
        )
    if noise.family.joint:
        raise DeclarationError(
            f"{where}: got limits={given!r} under {noise.name} noise; expected none, or a noise of independent errors: "
            "the density of readings that hang together beyond a limit is not known in closed form"
        )
    if noise.family.readings == "positive" and min(ends) <= 0:
        raise DeclarationError(f"{where}: got a limit {min(ends):g} under {noise.name} noise; expected one above 0")
    if noise.family.readings == "count" and any(end < 0 or end != round(end) for end in ends):
        raise DeclarationError(f"{where}: got limits={given!r} of counts; expected whole numbers, 0 or more")


def in_words(output: "Output") -> str:
    """Return what a sensor does in a few words: "Normal(sigma=0.5) noise, quantified from 0.1"."""
    words = [f"{output.noise!r} noise" if output.noise else "not measured"]
    if output.increment:
        words.append("increase since the reading before")
    low, high = output.limits
    words += [f"quantified from {low:g}"] if low is not None else []
    words += [f"quantified up to {high:g}"] if high is not None else []
    for what in ("bias", "drift"):
        if (value := getattr(output, what)) != 0:
            words.append(f"{what} {value!r}" if isinstance(value, Prior) else f"{what} {value:g}")
    return ", ".join(words)


def of_time(output: "Output", scale: float, where: str) -> dict[str, Any]:
    """Return the arguments of an output that change where the time unit becomes `scale` times as long."""
    changes: dict[str, Any] = {}
    if isinstance(output.drift, Prior) or any(
        isinstance(value, Prior) for key, value in _time_arguments(output.noise).items()
    ):
        raise DeclarationError(
            f"{where}: got a prior that hangs on the time unit (of a drift or a time constant) in a model of another "
            "time unit; expected a number, or parts of one time unit"
        )
    if output.drift:
        changes["drift"] = output.drift * scale
    if output.noise is not None and (found := _time_arguments(output.noise)):
        arguments = {**dict(output.noise.arguments), **{key: value / scale for key, value in found.items()}}
        changes["noise"] = Noise(output.noise.name, tuple(arguments.items()))
    return changes


def _time_arguments(noise: Noise | None) -> dict[str, Any]:
    return {} if noise is None else {k: v for k, v in noise.arguments if k in noise.family.in_time}


def increments(output: "Output", now: Any, before: Any, tolerances: tuple[float, float]) -> Any:
    """Return the increase from `before` to `now`, arrays or PyTensor variables.

    Of counts and what must be positive, what is zero or below within the solver's (relative, absolute) tolerances is as
    good as none.
    """
    made = now - before
    if output.noise is None or output.noise.family.readings == "real":
        return made
    relative, absolute = tolerances
    least = _SLACK * (relative * abs(now) + absolute)
    return where((made < least) & (made > -least), maximum(made, 1e-3 * absolute), made)
