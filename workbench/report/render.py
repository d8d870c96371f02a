"""Numbers, units and tables as people read them: in text, HTML and LaTeX. No state, no files."""

import html
import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

DOUBT = "doubt"  # the key of a frame's attrs under which it says what of it is not to be trusted

_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_UNIT_WORDS = {"degC": "°C", "degF": "°F", "delta_degC": "°C", "ohm": "Ω", "percent": "%", "1": "", "dimensionless": ""}
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$", "−": "$-$", "×": r"$\times$",
    "·": r"$\cdot$", "±": r"$\pm$", "≤": r"$\leq$", "≥": r"$\geq$", "≈": r"$\approx$", "∞": r"$\infty$",
    "°": r"\textdegree{}", "µ": r"$\mu$", "Ω": r"$\Omega$", "–": "--", "—": "---", "…": r"\dots{}",
    "\u2009": r"\,", "\u202f": r"\,",
}  # fmt: skip


def number_text(value: float, digits: int = 3) -> str:
    """Return a number with `digits` significant digits, as print has it: no float noise, powers of ten typeset.

    >>> number_text(2.7894), number_text(0.00001234), number_text(1500)
    ('2.79', '1.23 × 10⁻⁵', '1500')
    """
    if isinstance(value, int):
        return str(value).replace("-", "−")
    if not math.isfinite(value) or value == 0:
        return {math.inf: "∞", -math.inf: "−∞", 0.0: "0"}.get(value, "not a number")
    rounded = float(f"{value:.{digits - 1}e}")
    power = math.floor(math.log10(abs(rounded)))
    if -4 <= power < 6:
        text = f"{rounded:.{max(digits - 1 - power, 0)}f}"
    else:
        text = f"{rounded / 10.0**power:.{digits - 1}f} × 10{str(power).translate(_SUPERSCRIPTS)}"
    return text.replace("-", "−")


def unit_text(unit: str | None) -> str:
    """Return a unit as print has it: "m**3/h" becomes "m³/h", "kN/s**0.5" "kN/√s", "degC" "°C", "1" nothing."""
    words = re.sub(r"(\w+|\([^()]*\))\s*\*\*\s*0\.5\b", r"√\1", unit or "")
    words = re.sub(r"\*\*\s*(-?\d+)", lambda power: power[1].translate(_SUPERSCRIPTS), words)
    words = re.sub(r"[A-Za-z_]+|^1$", lambda word: _UNIT_WORDS.get(word[0], word[0]), words.strip())
    return re.sub(r"\s*\*\s*", " ", words)


def latex_text(text: str) -> str:
    """Return plain text escaped for LaTeX, with Greek letters and superscripts as maths."""
    return "".join(_latex_letter(letter) for letter in text)


def _latex_letter(letter: str) -> str:
    if letter in _LATEX:
        return _LATEX[letter]
    name = unicodedata.name(letter, "").replace("LAMDA", "LAMBDA")
    if name.startswith(("SUPERSCRIPT ", "SUBSCRIPT ")) and (plain := unicodedata.normalize("NFKC", letter)) != letter:
        return f"${'^' if name.startswith('SUPER') else '_'}{{{plain.replace('−', '-')}}}$"
    found = re.fullmatch(r"GREEK (SMALL|CAPITAL) LETTER ([A-Z]+)", name)
    if found is None:
        return letter
    return f"$\\{found[2].lower() if found[1] == 'SMALL' else found[2].title()}$"


def cell_text(value: Any, digits: int = 3) -> str:
    """Return a table cell as text; missing values are empty."""
    value = value.item() if hasattr(value, "dtype") and hasattr(value, "item") else value
    if value is None or value != value:
        return ""
    return number_text(value, digits) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class Doubt:
    """Why some columns of a frame are not to be trusted."""

    reason: str
    columns: tuple[str, ...]


class Grid:
    """A data frame as rows of text, its index a column where it says something; doubtful columns are struck through.

    Parameters
    ----------
    frame
        A pandas DataFrame.
    digits
        Significant digits of its numbers (files of values keep them all).
    """

    def __init__(self, frame: Any, digits: int = 3) -> None:
        import pandas as pd

        self.has_index = not (isinstance(frame.index, pd.RangeIndex) and frame.index.name is None)
        flat = frame.reset_index(names=[name or "" for name in frame.index.names]) if self.has_index else frame
        self.head = [
            " ".join(map(str, name)).strip() if isinstance(name, tuple) else str(name) for name in flat.columns
        ]
        columns = [flat.iloc[:, place] for place in range(flat.shape[1])]
        self.numeric = [pd.api.types.is_numeric_dtype(column) for column in columns]
        doubt = frame.attrs.get(DOUBT)
        self.struck = [doubt is not None and str(name) in doubt.columns for name in flat.columns]
        self.rows = list(zip(*([cell_text(value, digits) for value in column] for column in columns), strict=True))

    def html(self) -> str:
        """Return an HTML table, text to the left and numbers to the right."""

        def line(cells: Sequence[str], tag: str) -> str:
            kinds = zip(cells, self.numeric, self.struck, strict=True)
            return "".join(
                f"<{tag}{' class=num' if number else ''}>{_marked(html.escape(cell), tag == 'td' and struck)}</{tag}>"
                for cell, number, struck in kinds
            )

        body = "\n".join(f"<tr>{line(row, 'td')}</tr>" for row in self.rows)
        return f"<table>\n<thead><tr>{line(self.head, 'th')}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"

    def latex(self, name: str, caption: str) -> str:
        """Return a LaTeX table environment in the booktabs style, labelled `tab:<name>`."""

        def line(cells: Sequence[str], write: Callable[[str], str] = latex_text) -> str:
            return " & ".join(map(write, cells)) + r" \\"

        def body(cells: Sequence[str]) -> str:
            kinds = zip(map(latex_text, cells), self.struck, strict=True)
            return line([rf"\sout{{{cell}}}" if struck and cell else cell for cell, struck in kinds], str)

        kinds = "".join("r" if number else "l" for number in self.numeric)
        lines = [
            *([r"% struck through by \usepackage[normalem]{ulem}"] if any(self.struck) else []),
            r"\begin{table}", r"\centering", rf"\caption{{{caption_latex(caption)}}}", rf"\label{{tab:{name}}}",
            rf"\begin{{tabular}}{{{kinds}}}", r"\toprule", line(self.head), r"\midrule", *map(body, self.rows),
            r"\bottomrule", r"\end{tabular}", r"\end{table}",
        ]  # fmt: skip
        return "\n".join(lines) + "\n"

    def plain(self) -> str:
        """Return the table as aligned text."""
        marks = [[f"~~{c}~~" if s and c else c for c, s in zip(row, self.struck, strict=True)] for row in self.rows]
        rows = [self.head, *marks]
        widths = [max(len(row[place]) for row in rows) for place in range(len(self.head))]
        texts = [
            "  ".join(_pad(*cell) for cell in zip(row, widths, self.numeric, strict=True)).rstrip() for row in rows
        ]
        return "\n".join([texts[0], "  ".join("-" * width for width in widths), *texts[1:]])


def _marked(cell: str, struck: bool) -> str:
    return f"<s>{cell}</s>" if struck and cell else cell


def _pad(text: str, width: int, numeric: bool) -> str:
    return text.rjust(width) if numeric else text.ljust(width)


def caption_latex(caption: str) -> str:
    """Return a caption escaped for LaTeX, its `$...$` maths left as they are."""
    parts = re.split(r"(\$[^$]+\$)", caption)
    return "".join(part if part.startswith("$") else latex_text(part) for part in parts)
