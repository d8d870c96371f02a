"""Errors that say what was got, what was expected and which known name is nearest."""

import difflib
from collections.abc import Iterable


class WorkbenchError(ValueError):
    """Base of every error the workbench raises about what a person gave it."""


class DeclarationError(WorkbenchError):
    """A model is declared wrongly."""


class UnitError(WorkbenchError):
    """A unit is unknown, or two units cannot be converted into each other."""


class DataError(WorkbenchError):
    """Measurements, inputs or times cannot be used as they are."""


class ParameterError(WorkbenchError):
    """A parameter's value has an unknown name, a wrong type, or lies out of range."""


class SolveError(WorkbenchError):
    """The equations could not be solved."""


class SamplingError(WorkbenchError):
    """A posterior could not be sampled."""


class StoreError(WorkbenchError):
    """A saved twin or calibration cannot be trusted or read."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most like `name`, or None when none is alike."""
    known = list(known)
    folded = {k.lower(): k for k in known}
    close = difflib.get_close_matches(str(name).lower(), list(folded), n=1, cutoff=0.5)
    return folded[close[0]] if close else None


def unknown(kind: str, name: str, known: Iterable[str], where: str = "") -> str:
    """Compose the sentence for a name that is not known.

    >>> unknown("state", "Tt", ["T", "Q"], "Room.rhs")
    "Room.rhs: got unknown state 'Tt'; expected one of 'T', 'Q'; did you mean 'T'?"
    """
    known = list(known)
    listed = ", ".join(repr(k) for k in known) or "none (there are no such names)"
    close = nearest(name, known)
    hint = f"; did you mean {close!r}?" if close else ""
    place = f"{where}: " if where else ""
    return f"{place}got unknown {kind} {name!r}; expected one of {listed}{hint}"
