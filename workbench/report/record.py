"""What a notebook leaves beside its text: numbers it quotes, figures, tables, and the data files it read.

In a run by `wb.run_notebook` they go into the run folder; in a live notebook they are only shown.
"""

import base64
import math
import os
import re
import string
import sys
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from workbench.base.errors import DataError, WorkbenchError, unknown
from workbench.report.files import checksum, data_name, write_json
from workbench.report.render import Grid, number_text, unit_text

RUN = "WORKBENCH_RUN"
RECORD = "record.json"
NUMBERS = "numbers.json"


class Record:
    """Entries of one kernel, kept in the run folder when there is one."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.numbers: dict[str, dict[str, Any]] = {}
        self.entries: dict[str, dict[str, Any]] = {"figures": {}, "tables": {}, "data": {}}

    def number_of(self, kind: str, name: str, caption: str) -> int:
        """Return the running number of a figure or table, the same one when its cell is run again."""
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
            raise WorkbenchError(
                f"got {name!r} as a name of {kind}; expected letters, digits, '_' and '-' (a file name)"
            )
        known = self.entries[kind]
        if name in known and self.folder:
            raise WorkbenchError(f"got {name!r} twice among the {kind}; expected another name for each")
        known.setdefault(name, {"number": len(known) + 1})["caption"] = caption
        self.keep()
        return known[name]["number"]

    def keep(self) -> None:
        """Write the entries into the run folder."""
        if self.folder:
            write_json(self.folder / RECORD, self.entries)
            write_json(self.folder / NUMBERS, self.numbers)

    def file(self, kind: str, name: str) -> Path | None:
        """Return the path of a file to write, or None outside a run."""
        if not self.folder:
            return None
        (self.folder / kind).mkdir(exist_ok=True)
        return self.folder / kind / name


@cache
def record() -> Record:
    """Return the record of this process, in the run folder that the runner named."""
    folder = os.environ.get(RUN)
    return Record(Path(folder) if folder else None)


@dataclass(frozen=True)
class Number:
    """A recorded number; in text it prints itself with its unit."""

    name: str
    value: float | int | None
    text: str
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.text}{'' if self.unit in ('', '%', '°') else ' '}{self.unit}"

    __repr__ = _repr_markdown_ = __str__


def number(name: str, value: Any, *, unit: str | None = None, fmt: str | None = None) -> Number:
    """Record a number that the text quotes, and return it for printing.

    Parameters
    ----------
    name
        Its key in `numbers.json`.
    value
        A number, or anything of size one (a 0-d array; `attrs["units"]` then gives the unit).
    unit
        Its unit as pint writes it; None or "1" for a pure number.
    fmt
        A format such as ".2f"; three significant digits unless given.

    Raises
    ------
    WorkbenchError
        If the value is not one number, or, in a run, the name was used for another value.
    """
    given = value
    unit = getattr(value, "attrs", {}).get("units") if unit is None else unit
    value = value.item() if hasattr(value, "item") and getattr(value, "size", 1) == 1 else value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WorkbenchError(f"number {name!r}: got {type(given).__name__} {given!r:.60}; expected one number")
    text = re.sub("^-", "−", format(value, fmt)) if fmt and math.isfinite(value) else number_text(value)
    finite = value if math.isfinite(value) else None
    entry = {"value": finite, "unit": unit or "1", "text": text}
    kept = record()
    if kept.folder and kept.numbers.get(name, entry)["value"] != finite:
        raise WorkbenchError(
            f"number {name!r}: got {text}, recorded before as {kept.numbers[name]['text']}; name it anew"
        )
    kept.numbers[name] = entry
    kept.keep()
    return Number(name, finite, text, unit_text(unit))


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
    pieces = [piece[:3] for piece in string.Formatter().parse(text)]
    fields = {name for _, name, _ in pieces if name is not None}
    for name in sorted(fields - values.keys()):
        raise WorkbenchError(unknown("field", name, values, "say"))
    for name in sorted(values.keys() - fields):
        raise WorkbenchError(f"say: got {name!r}, which the text does not quote; expected {{{name}}} in it")
    shown = ""
    for words, field, spec in pieces:
        value = "" if field is None else values[field]
        plain = isinstance(value, Number | str)
        shown += words + str(value if plain else number(str(field), value, fmt=spec or None))
    _show({"text/markdown": shown, "text/plain": shown})


def figure(fig: Any, name: str, caption: str) -> None:
    """Save a figure as PDF and SVG (in a run) and show it with its numbered caption.

    Parameters
    ----------
    fig
        A matplotlib figure or axes, or anything with `savefig`. Size it at column width: the files keep its size.
    name
        File name without ending.
    caption
        Markdown; `$...$` is maths.
    """
    import matplotlib as mpl

    fig = fig if hasattr(fig, "savefig") else getattr(fig, "figure", None)
    if not hasattr(fig, "savefig"):
        raise WorkbenchError(f"figure {name!r}: got {type(fig).__name__}; expected a matplotlib figure")
    kept = record()
    place = kept.number_of("figures", name, caption)
    bytes_of: dict[str, bytes] = {}
    # Text as outlines in SVG (looks the same everywhere) and as fonts in PDF (journals ask for it); no date inside.
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "path", "pdf.fonttype": 42}):
        for kind, extra in {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}.items():
            buffer = BytesIO()
            fig.savefig(buffer, format=kind, metadata=extra, dpi=150)
            bytes_of[kind] = buffer.getvalue()
            path = kept.file("figures", f"{name}.{kind}") if kind != "png" else None
            if path:
                path.write_bytes(bytes_of[kind])
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close(fig if isinstance(fig, pyplot.Figure) else "all")  # else the notebook shows it once more
    # The PNG is what readers of an untrusted notebook see; the report takes the SVG.
    images = {"image/svg+xml": bytes_of["svg"].decode(), "image/png": base64.b64encode(bytes_of["png"]).decode()}
    _show(
        {**images, "text/plain": f"[figure {place}]"},
        {"kind": "figure", "name": name, "number": place, "caption": caption},
    )
    _show(_caption(f"Figure {place}", caption), {"kind": "caption"})


def table(frame: Any, name: str, caption: str, *, digits: int = 3) -> None:
    """Save a data frame as CSV (all digits) and LaTeX (booktabs) in a run, and show it with its numbered caption.

    Parameters
    ----------
    frame
        A pandas DataFrame; put units into the column names.
    name
        File name without ending.
    caption
        Plain text; `$...$` is maths.
    digits
        Significant digits shown.
    """
    if not hasattr(frame, "to_csv") or not hasattr(frame, "columns"):
        raise WorkbenchError(f"table {name!r}: got {type(frame).__name__}; expected a pandas DataFrame")
    kept = record()
    place = kept.number_of("tables", name, caption)
    grid = Grid(frame, digits)
    if path := kept.file("tables", f"{name}.csv"):
        frame.to_csv(path, index=grid.has_index, encoding="utf-8")
        path.with_suffix(".tex").write_text(grid.latex(name, caption), encoding="utf-8")
    _show(_caption(f"Table {place}", caption), {"kind": "caption"})
    bundle = {"text/html": grid.html(), "text/plain": grid.plain()}
    _show(bundle, {"kind": "table", "name": name, "number": place, "caption": caption})


def used(path: str | Path) -> Path:
    """Record the checksum of a data file the notebook reads, and return its path.

    Raises
    ------
    DataError
        If there is no such file.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise DataError(f"got data file {str(path)!r}, which does not exist; expected the path of a file")
    kept = record()
    kept.entries["data"][data_name(path)] = checksum(path)
    kept.keep()
    return path


def _caption(label: str, caption: str) -> dict[str, Any]:
    return {"text/markdown": f"**{label}.** {caption}", "text/plain": f"{label}. {caption}"}


def _show(bundle: dict[str, Any], about: dict[str, Any] | None = None) -> None:
    """Display in a notebook; print the plain text elsewhere."""
    import IPython
    from IPython.display import display

    if IPython.get_ipython() is None:  # type: ignore[attr-defined]
        print(bundle["text/plain"])
    else:
        display(bundle, raw=True, metadata={"workbench": about} if about else {})
