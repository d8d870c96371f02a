"""`wb.Partial`: how a parameter varies between units (plain data)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.base.errors import DeclarationError
from workbench.declare.prior import Prior, from_dict


@dataclass(frozen=True)
class Partial:
    """A parameter that each unit draws from a population, as a value of `pool`; "partial" is `wb.Partial()`.

    Parameters
    ----------
    centred
        Whether the sampler moves in the units' values (True), or in their distances from the population's median over
        its SD (False). Both are the same posterior. None: whichever suits the design (see
        `workbench.calibrate.fleet.forms`).
    sd
        Prior of the SD between units, of the parameter's unit where it may have either sign, of its logarithm (or
        logit) otherwise. None: `HalfNormal(1)`, or half normal of the prior's own half width.

    Raises
    ------
    DeclarationError
        If an argument cannot be what it says.
    """

    centred: bool | None = None
    sd: Prior | None = None

    def __post_init__(self) -> None:
        if not (self.centred is None or isinstance(self.centred, bool)):
            raise DeclarationError(f"wb.Partial: got centred={self.centred!r}; expected True, False or None")
        if self.sd is not None and not (isinstance(self.sd, Prior) and self.sd.support[0] >= 0.0):
            raise DeclarationError(
                f"wb.Partial: got sd={self.sd!r}; expected a prior above zero, such as wb.prior.HalfNormal(0.5)"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data from which `from_plain` makes the same."""
        return {"centred": self.centred, "sd": None if self.sd is None else self.sd.to_dict()}


def from_plain(data: Mapping[str, Any]) -> Partial:
    """Return what was written by `Partial.to_dict`."""
    return Partial(data["centred"], None if data["sd"] is None else from_dict(data["sd"]))
