"""Numbers that text quotes, recorded as it does; those of a calibration are quoted through its trust card.

Where the card does not hold, a number is printed struck through with the reason, wherever it stands, and the run ends
with a status that says so.
"""

import html
import json
import math
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.base.errors import WorkbenchError, unknown
from workbench.report.record import record, show, table
from workbench.report.render import DOUBT, Doubt, Grid, number_text, unit_text

if TYPE_CHECKING:
    from workbench.calibrate.calibration import Calibration


@dataclass(frozen=True)
class Number:
    """A recorded number; in text it prints itself with its unit, and struck through where there is a doubt."""

    name: str
    value: float | int | None
    text: str
    unit: str = ""
    doubt: str = ""

    @property
    def plain(self) -> str:
        """The number with its unit."""
        return f"{self.text}{'' if self.unit in ('', '%', '°') else ' '}{self.unit}"

    def __str__(self) -> str:
        return f"~~{self.plain}~~ (not to be trusted: {self.doubt})" if self.doubt else self.plain

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        if not self.doubt:
            return self.plain
        return f"<s>{self.plain}</s> <small>(not to be trusted: {html.escape(self.doubt, quote=False)})</small>"


@dataclass(frozen=True)
class Quotes:
    """Quotes numbers of one calibration; made by `through`."""

    doubt: str

    def number(self, name: str, value: Any, *, unit: str | None = None, fmt: str | None = None) -> Number:
        """Record a number of the calibration, and return it for printing; as `workbench.report.number`."""
        return _recorded(name, value, unit=unit, fmt=fmt, doubt=self.doubt)

    def say(self, text: str, /, **values: Any) -> None:
        """Show text whose numbers are all of the calibration; as `workbench.report.say`.

        Numbers from elsewhere are given as results of `workbench.report.number`.
        """
        _say(text, values, self.doubt)

    def table(
        self, frame: Any, name: str, caption: str, *, digits: int = 3, columns: Sequence[str] | None = None
    ) -> None:
        """Save and show a data frame; as `workbench.report.table`.

        Parameters
        ----------
        columns
            Those that are of the calibration, by default all but the index or first column, which names the rows.
        """
        if self.doubt and hasattr(frame, "columns"):
            for column in columns or ():
                if column not in frame.columns:
                    raise WorkbenchError(unknown("column", column, map(str, frame.columns), f"table {name!r}"))
            every = frame.columns if Grid(frame).has_index else frame.columns[1:]
            chosen = tuple(map(str, every if columns is None else columns))
            frame = frame.copy()
            frame.attrs[DOUBT] = Doubt(self.doubt, chosen)
        table(frame, name, caption, digits=digits)


def through(calibration: "Calibration") -> Quotes:
    """Return what quotes numbers of a calibration through its trust card.

    >>> of = report.through(calibration)
    >>> of.say("Clearance is {cl:.2f} L/h.", cl=calibration.posterior["CL"].median())

    Where a gate of the card failed, or was not run and should have been, each number is printed struck through with
    the reason, and is listed in the run's `provenance.json`; `workbench run` then ends with status 3. The card goes
    into `provenance.json` too.

    Raises
    ------
    WorkbenchError
        If it is no calibration.
    """
    from workbench.calibrate.calibration import Calibration

    if not isinstance(calibration, Calibration):
        raise WorkbenchError(f"got {type(calibration).__name__} {calibration!r:.60}; expected a calibration")
    kept, card = record(), calibration.trust
    kept.entries["trust"][str(calibration.posterior.attrs.get("model", "?"))] = json.loads(card.to_json())
    kept.keep()
    return Quotes(card.reason)


def number(name: str, value: Any, *, unit: str | None = None, fmt: str | None = None) -> Number:
    """Record a number that the text quotes, and return it for printing.

    Parameters
    ----------
    name
        Its key in `numbers.json`.
    value
        A number, or anything of size one (a 0-d array; `attrs["units"]` then gives the unit). A number of a
        calibration is quoted through its card: see `through`.
    unit
        Its unit as pint writes it; None or "1" for a pure number.
    fmt
        A format such as ".2f"; three significant digits unless given.

    Raises
    ------
    WorkbenchError
        If the value is not one number, or, in a run, the name was used for another value.
    """
    return _recorded(name, value, unit=unit, fmt=fmt)


def say(text: str, /, **values: Any) -> None:
    """Show Markdown text whose numbers are recorded: `say("Clearance is {cl:.2f} L/h.", cl=clearance)`.

    Parameters
    ----------
    text
        Markdown with `{name}` or `{name:format}` fields; a brace of a formula is written twice.
    values
        Numbers (recorded under their keyword), results of `number`, or words.

    Raises
    ------
    WorkbenchError
        If the text has a field that is not given, or a value that it does not quote.
    """
    _say(text, values)


def _recorded(name: str, value: Any, *, unit: str | None, fmt: str | None, doubt: str = "") -> Number:
    given = value
    unit = getattr(value, "attrs", {}).get("units") if unit is None else unit
    value = value.item() if hasattr(value, "item") and getattr(value, "size", 1) == 1 else value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WorkbenchError(f"number {name!r}: got {type(given).__name__} {given!r:.60}; expected one number")
    text = re.sub("^-", "−", format(value, fmt)) if fmt and math.isfinite(value) else number_text(value)
    finite = value if math.isfinite(value) else None
    kept = record()
    doubt = doubt or (kept.numbers.get(name, {}).get("doubt", "") if kept.folder else "")  # once doubted, always
    entry = {"value": finite, "unit": unit or "1", "text": text} | ({"doubt": doubt} if doubt else {})
    if kept.folder and kept.numbers.get(name, entry)["value"] != finite:
        raise WorkbenchError(
            f"number {name!r}: got {text}, recorded before as {kept.numbers[name]['text']}; name it anew"
        )
    kept.numbers[name] = entry
    kept.keep()
    return Number(name, finite, text, unit_text(unit), doubt)


def _say(text: str, values: dict[str, Any], doubt: str = "") -> None:
    pieces = [piece[:3] for piece in string.Formatter().parse(text)]
    fields = {name for _, name, _ in pieces if name is not None}
    for name in sorted(fields - values.keys()):
        raise WorkbenchError(unknown("field", name, values, "say"))
    for name in sorted(values.keys() - fields):
        raise WorkbenchError(f"say: got {name!r}, which the text does not quote; expected {{{name}}} in it")
    shown, plain = "", ""
    for words, field, spec in pieces:
        value = "" if field is None else values[field]
        if not isinstance(value, Number | str):
            value = _recorded(str(field), value, unit=None, fmt=spec or None, doubt=doubt)
        shown += words + (value._repr_markdown_() if isinstance(value, Number) else value)
        plain += words + str(value)
    show({"text/markdown": shown, "text/plain": plain})
