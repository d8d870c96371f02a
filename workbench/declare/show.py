"""How a declaration looks: the table in a class's docstring, and the view of a model in a notebook."""

import html
import inspect
from typing import TYPE_CHECKING

from workbench.declare.describe import Row, table

if TYPE_CHECKING:
    from workbench.declare.model import Model, ModelType

_HEADERS = ("name", "kind", "unit", "declared", "bounds", "meaning")
_SECTIONS = {"state": "States", "parameter": "Parameters", "input": "Inputs", "output": "Outputs", "event": "Events"}
# Without this style (a notebook that is not trusted, a mail) the text shows instead, as xarray does it. Colours are
# the page's own, so light and dark need nothing.
_STYLE = """<style>
.wb-model{display:block!important;font-size:var(--jp-ui-font-size1,13px)}
.wb-model-text{display:none}
.wb-model summary{cursor:pointer;padding:.2em 0}
.wb-model table{border-collapse:collapse;margin:0 0 .4em 1.2em;color:inherit;font-size:inherit}
.wb-model tr,.wb-model th,.wb-model td{background:none!important}
.wb-model th,.wb-model td{text-align:left!important;padding:.15em 1.2em .15em 0;border:0}
.wb-model th{font-weight:normal;opacity:.6}
.wb-model tbody tr{border-top:1px solid color-mix(in srgb,currentColor 20%,transparent)}
.wb-model small{opacity:.6}
</style>"""


def docstring(cls: "ModelType", text: str | None) -> str:
    """Return the docstring of a model class: its own words (else its name), then a table of what it declares."""
    words = inspect.cleandoc(text) if text else f"{cls.__name__}."
    return f"{words}\n\n{text_table(table(cls))}\n" if cls.quantities else words


def text_table(rows: list[Row]) -> str:
    """Return rows as a reStructuredText table, columns that would be empty left out."""
    cells = [_HEADERS, *rows]
    kept = [column for column in zip(*cells, strict=True) if any(column[1:])]
    widths = [max(map(len, column)) for column in kept]
    rule = "  ".join("=" * width for width in widths)
    lines = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in zip(*kept, strict=True)]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule])


def html_view(model: "Model") -> str:
    """Return a model as HTML: a section for each kind of quantity, and the table as text where styles are stripped."""
    rows = table(model)
    sections = "".join(_section(title, [row for row in rows if row.kind == kind]) for kind, title in _SECTIONS.items())
    words = (inspect.getdoc(type(model)) or "").partition("\n")[0]
    text = html.escape(f"{model!r}\n{text_table(rows)}")
    return (
        f'{_STYLE}<pre class="wb-model-text">{text}</pre><div class="wb-model" style="display:none">'
        f"<b>{html.escape(repr(model))}</b> <small>time in {html.escape(model.time_unit)}</small>"
        f"<div>{html.escape(words)}</div>{sections}</div>"
    )


def _section(title: str, rows: list[Row]) -> str:
    if not rows:
        return ""
    chosen = [k for k, header in enumerate(_HEADERS) if header != "kind" and any(row[k] for row in rows)]
    head = "".join(f"<th>{_HEADERS[k]}</th>" for k in chosen)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(row[k])}</td>" for k in chosen) + "</tr>" for row in rows)
    return (
        f"<details open><summary>{title} <small>({len(rows)})</small></summary>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></details>"
    )
