"""What a notebook leaves beside its text: figures, tables, the data files it read, and the numbers that it quotes.

In a run by `wb.run_notebook` they go into the run folder; in a live notebook they are only shown.
"""

import base64
import html
import os
import re
import sys
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from workbench.base.errors import DataError, WorkbenchError
from workbench.report.files import checksum, data_name, write_json
from workbench.report.render import DOUBT, Grid

RUN = "WORKBENCH_RUN"
RECORD = "record.json"
NUMBERS = "numbers.json"
PREDICTIONS = "predictions.csv"


class Record:
    """Entries of one kernel, kept in the run folder when there is one."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.numbers: dict[str, dict[str, Any]] = {}
        self.entries: dict[str, dict[str, Any]] = {"figures": {}, "tables": {}, "data": {}, "trust": {}}

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
    _show_figure(fig, name, caption, {})


def framed(fig: Any, page: str, name: str, caption: str, *, height: int) -> None:
    """Show a page of HTML in a frame of a height (px) as a numbered figure; `fig` is what is printed in its place.

    The page runs its own scripts, with no access to the notebook, the report or the network's cookies. In a run it is
    saved beside the figure, as `figures/<name>.html`.
    """
    box = f'sandbox="allow-scripts" style="width:100%;height:{height}px;border:0" title="{html.escape(caption)}"'
    _show_figure(fig, name, caption, {"text/html": f'<iframe srcdoc="{html.escape(page)}" {box}></iframe>'})
    if path := record().file("figures", f"{name}.html"):
        path.write_text(page, encoding="utf-8")


def _show_figure(fig: Any, name: str, caption: str, instead: dict[str, str]) -> None:
    """Save a figure and show it; `instead` is what those who can prefer to its image."""
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
    show(
        {**images, **instead, "text/plain": f"[figure {place}]"},
        {"kind": "figure", "name": name, "number": place, "caption": caption},
    )
    show(_caption(f"Figure {place}", caption), {"kind": "caption"})


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

    Where its `attrs` hold a doubt (`workbench.report.through` and `workbench.report.tables.summary` put it there), its
    figures are struck through, and the caption and a column of the CSV say why.
    """
    if not hasattr(frame, "to_csv") or not hasattr(frame, "columns"):
        raise WorkbenchError(f"table {name!r}: got {type(frame).__name__}; expected a pandas DataFrame")
    kept = record()
    place = kept.number_of("tables", name, caption)
    grid, doubt = Grid(frame, digits), frame.attrs.get(DOUBT)
    if doubt:
        caption = f"{caption} Struck through: not to be trusted ({doubt.reason})."
        kept.entries["tables"][name] |= {"caption": caption, "doubt": doubt.reason}
        kept.keep()
    if path := kept.file("tables", f"{name}.csv"):
        values = frame.assign(verdict=f"not to be trusted: {doubt.reason}") if doubt else frame
        values.to_csv(path, index=grid.has_index, encoding="utf-8")
        path.with_suffix(".tex").write_text(grid.latex(name, caption), encoding="utf-8")
    show(_caption(f"Table {place}", caption), {"kind": "caption"})
    bundle = {"text/html": grid.html(), "text/plain": grid.plain()}
    show(bundle, {"kind": "table", "name": name, "number": place, "caption": caption})


def predictions(frame: Any) -> None:
    """Write what the twin predicts into the run folder, as `predictions.csv` with all digits, and say so.

    Parameters
    ----------
    frame
        A pandas DataFrame with a row for each sensor, subject and time asked for, measured or not. Columns named "5%",
        "50%" and alike hold quantiles.

    Raises
    ------
    WorkbenchError
        If it has fewer than two columns of quantiles or no row, a quantile is missing, or quantiles fall along a row.
    """
    names = [name for name in getattr(frame, "columns", ()) if re.fullmatch(r"\d+(\.\d+)?%", str(name))]
    names.sort(key=lambda name: float(name[:-1]))
    if len(names) < 2 or not len(frame):
        raise WorkbenchError(
            f"predictions: got {type(frame).__name__} with quantiles {names}; expected a DataFrame with rows and "
            'columns such as "5%", "50%", "95%"'
        )
    steps = frame[names].diff(axis=1).iloc[:, 1:].to_numpy(float)
    wrong = [row for row in range(len(frame)) if not (steps[row] >= 0).all()]
    if wrong:
        raise WorkbenchError(
            f"predictions: got {frame[names].iloc[wrong[0]].to_dict()} in row {wrong[0]}; expected quantiles that rise "
            f"and no gaps ({len(wrong)} rows are wrong)"
        )
    kept = record()
    if kept.folder:
        if (kept.folder / PREDICTIONS).exists():
            raise WorkbenchError("got predictions twice; expected all of them in one table")
        frame.to_csv(kept.folder / PREDICTIONS, index=False, encoding="utf-8")
    words = f"{len(frame)} predictions, with the quantiles {', '.join(names)}, are in `{PREDICTIONS}`."
    show({"text/markdown": words, "text/plain": words})


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


def show(bundle: dict[str, Any], about: dict[str, Any] | None = None) -> None:
    """Display in a notebook; print the plain text elsewhere."""
    import IPython
    from IPython.display import display

    if IPython.get_ipython() is None:  # type: ignore[attr-defined]
        print(bundle["text/plain"])
    else:
        display(bundle, raw=True, metadata={"workbench": about} if about else {})
