"""`wb.Discrepancy`: what a model gets wrong, as an unknown smooth function added to an output (plain data)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from workbench.base.errors import DeclarationError
from workbench.base.schema import TIME
from workbench.declare.kernel import KERNELS, Kernel, Matern52, from_name
from workbench.declare.prior import Prior, from_dict

Given = float | Prior | None


@dataclass(frozen=True)
class Discrepancy:
    """An unknown function between an output and reality (Kennedy & O'Hagan, J. R. Statist. Soc. B 63 (2001) 425-464).

    Reality is output + delta(coordinates), delta a Gaussian process of mean zero, the same function for all units.
    Where readings are positive by their noise (`LogNormal`, counts) it is output * exp(delta). Elements of a vector
    have functions of their own, independent given the SD and the length scales that they share. Of an output that is an
    increment delta is a rate, in the output's unit per time unit: a reading has delta at its own time (or inputs)
    times the time that it counts in it; where delta multiplies, it multiplies the increase.

    Parameters
    ----------
    output
        Name of an output that was measured.
    over
        Coordinates of the function: "time" (in the model's unit), the name of an input, or several of these.
    length_scale
        Length over which the function changes, in the coordinate's unit: a prior, a number, or a mapping from
        coordinates to these. None: inverse gamma, with 98 % between a fifth of the data's span and twice the span.
    sigma
        SD of the function: a prior or a number, in the function's unit (a pure number where it multiplies). None: half
        normal, of half the SD of the readings of an element (of their logarithms where it multiplies, of what is
        read in a time unit where it is a rate).
    kernel
        `wb.kernel.Matern52()` or `wb.kernel.SquaredExponential()`.
    span
        Mapping from coordinates to the (low, high) over which the function will be wanted, such as the end of a
        forecast. Where left out: that of the data.
    functions
        Most sines that the function is a sum of. None: as many as its shortest likely length wants, up to 400. Of
        several coordinates that wants thousands: a number keeps those of largest prior variance (Solin & Sarkka,
        Statistics and Computing 30 (2020) 419-446, section 3), and what is rougher counts as noise of the readings.
    zero_at, flat_at
        Values of the coordinate (there must be one only) at which the function is known to be zero, and at which its
        slope is. Such knowledge is what tells a discrepancy from a parameter (Brynjarsdottir & O'Hagan, Inverse
        Problems 30 (2014) 114007).
    joint
        Whether parameters and function are fitted together. Otherwise parameters are fitted as if there were none, and
        the function, with the noise of its output, to what each draw of them leaves (modularisation: Liu, Bayarri &
        Berger, Bayesian Analysis 4 (2009) 119-150): it cannot change what the parameters are. Of a model with process
        noise all noise stays as it was fitted, and what is left are the innovations of its filter, linearised in the
        function; only one discrepancy can then be fitted so.

    Raises
    ------
    DeclarationError
        If an argument cannot be what it says.
    """

    output: str
    over: str | tuple[str, ...] = TIME
    length_scale: Given | Mapping[str, Any] = None
    sigma: Given = None
    kernel: Kernel = field(default_factory=Matern52)
    span: Mapping[str, tuple[float, float]] | None = None
    functions: int | None = None
    zero_at: tuple[float, ...] = ()
    flat_at: tuple[float, ...] = ()
    joint: bool = True

    def __post_init__(self) -> None:
        over = (self.over,) if isinstance(self.over, str) else tuple(self.over)
        if not over or len(set(over)) < len(over):
            raise DeclarationError(f"{self.where}: got over={self.over!r}; expected coordinates that are named once")
        object.__setattr__(self, "over", over)
        if not isinstance(self.kernel, Kernel):
            known = ", ".join(f"wb.kernel.{name}()" for name in KERNELS)
            raise DeclarationError(f"{self.where}: got kernel={self.kernel!r}; expected one of {known}")
        if not isinstance(self.joint, bool):
            raise DeclarationError(f"{self.where}: got joint={self.joint!r}; expected True or False")
        for key in ("zero_at", "flat_at"):
            object.__setattr__(self, key, tuple(float(v) for v in np.ravel(getattr(self, key))))
        if len(over) > 1 and (self.zero_at or self.flat_at):
            raise DeclarationError(
                f"{self.where}: got zero_at or flat_at over {over}; expected one coordinate for them"
            )
        most = self.functions
        if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
            raise DeclarationError(f"{self.where}: got functions={most!r}; expected a whole number above 0")
        given = self.length_scale if isinstance(self.length_scale, Mapping) else dict.fromkeys(over, self.length_scale)
        for name in {*given, *(self.span or {})} - set(over):
            raise DeclarationError(f"{self.where}: got {name!r}; expected coordinates among {list(over)}")
        lengths = {name: self._above_zero(f"length_scale of {name!r}", given.get(name)) for name in over}
        object.__setattr__(self, "length_scale", lengths)
        object.__setattr__(self, "sigma", self._above_zero("sigma", self.sigma))
        for name, ends in (self.span or {}).items():
            if len(ends) != 2 or not float(ends[0]) < float(ends[1]):
                raise DeclarationError(f"{self.where}: got span {ends!r} of {name!r}; expected (low, high)")

    @property
    def where(self) -> str:
        """What errors call it."""
        return f"wb.Discrepancy({self.output!r})"

    def _above_zero(self, what: str, value: Any) -> Given:
        if value is None:
            return None
        if isinstance(value, Prior):
            if value.support[0] < 0 or value.name == "HalfFlat":
                raise DeclarationError(f"{self.where}: got {value!r} for {what}; expected a proper prior above zero")
            if what != "sigma" and not value.quantile(0.01) > 1e-3 * value.quantile(0.5):
                raise DeclarationError(
                    f"{self.where}: got {value!r} for {what}, which allows lengths near zero, where the function is "
                    "noise; expected a prior away from zero, such as wb.prior.interval('InverseGamma', low, high)"
                )
            return value
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise DeclarationError(f"{self.where}: got {value!r} for {what}; expected a number above 0 or a prior")
        return float(value)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data from which `from_data` makes the same discrepancy."""
        assert isinstance(self.length_scale, Mapping)
        return {
            "output": self.output,
            "over": list(self.over),
            "length_scale": {name: _plain(value) for name, value in self.length_scale.items()},
            "sigma": _plain(self.sigma),
            "kernel": type(self.kernel).__name__,
            "span": {name: list(ends) for name, ends in (self.span or {}).items()} or None,
            "functions": self.functions,
            "zero_at": list(self.zero_at),
            "flat_at": list(self.flat_at),
            "joint": self.joint,
        }


def _plain(value: Given) -> Any:
    return value.to_dict() if isinstance(value, Prior) else value


def _read(value: Any) -> Given:
    return from_dict(value) if isinstance(value, Mapping) else value


def from_data(data: Mapping[str, Any]) -> Discrepancy:
    """Return the discrepancy written by `Discrepancy.to_dict`; DeclarationError when it is none."""
    given = dict(data)
    given["length_scale"] = {name: _read(value) for name, value in given["length_scale"].items()}
    given["sigma"], given["kernel"] = _read(given["sigma"]), from_name(given["kernel"])
    given["span"] = {name: tuple(ends) for name, ends in given["span"].items()} if given["span"] else None
    return Discrepancy(**given)
