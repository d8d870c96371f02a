"""An executed notebook as one HTML file that opens with no network: vector figures, MathML, no script of ours."""

import html
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from workbench.base.errors import ParameterError, WorkbenchError
from workbench.report.files import read_json
from workbench.report.maths import FormulaError, mathml
from workbench.report.parameters import TAG, notebook_parameters
from workbench.report.provenance import main_versions

HIDE = "hide"
_WARNING = re.compile(r"^(?:.*?:\d+: )?(\w*Warning): (.+)$", re.MULTILINE)
_LOADS = re.compile(r"@import|url\(\s*['\"]?(?!['\"]?(?:data:|#))", re.IGNORECASE)


class ReportError(WorkbenchError):
    """A notebook cannot be made into a report that opens without a network."""


def to_html(notebook: str | Path, target: str | Path, *, code: bool = False) -> Path:
    """Write the report of an executed notebook and return its path.

    Parameters
    ----------
    notebook
        An executed notebook; `provenance.json` beside it, if any, becomes the report's footer.
    target
        The HTML file to write.
    code
        Whether the code cells are in it, folded.

    Raises
    ------
    ReportError
        If a formula cannot be drawn, or text refers to an image that is not inside the notebook.
    """
    from jinja2 import Environment
    from markupsafe import Markup

    path, target = Path(notebook), Path(target)
    cells = _cells(path)
    story = _Story(code)
    parts = [Markup(part) for cell in cells for part in story.parts(*cell)]
    title = story.title or path.stem
    past = read_json(path.with_name("provenance.json"))
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(Path(__file__).with_name("report.html.jinja").read_text(encoding="utf-8"))
    text = template.render(
        title=title,
        headless=story.title is None,
        parts=parts,
        parameters=_parameter_rows(path, past.get("parameters", {})),
        past=past,
        versions=main_versions(past.get("packages", {})),
        warnings=story.warnings,
        highlight=Markup(_highlight_style() if code else ""),
    )
    part = target.with_name(f".{target.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(target)
    return target


def check(notebook: str | Path) -> None:
    """Refuse, before hours of computing, a notebook whose text would fail the report: see `to_html` for the errors."""
    story = _Story(code=False)
    for number, cell in _cells(Path(notebook)):
        if cell["cell_type"] == "markdown":
            list(story.parts(number, cell))


def _cells(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Return the cells that readers see, numbered from 1; sources as one text each."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    numbered = [(number, {**cell, "source": _joined(cell["source"])}) for number, cell in enumerate(cells, start=1)]
    skipped = {HIDE, "papermill-error-cell-tag"}
    return [(number, cell) for number, cell in numbered if not skipped & set(cell["metadata"].get("tags", ()))]


def _joined(text: Any) -> Any:
    return "".join(text) if isinstance(text, list) else text


class _Story:
    """The report's body, written cell by cell."""

    def __init__(self, code: bool) -> None:
        self.code = code
        self.title: str | None = None
        self.warnings: list[str] = []
        self.pictures = 0

    def parts(self, number: int, cell: dict[str, Any]) -> Iterator[str]:
        """Yield the HTML of a cell."""
        if cell["cell_type"] == "markdown":
            text = markdown(cell["source"], f"cell {number}", cell.get("attachments"))
            if lost := outside(text):
                raise ReportError(
                    f"cell {number}: got a reference to {lost[0]!r}; expected an image attached to the cell"
                )
            heading = re.search(r"<h1[^>]*>(.*?)</h1>", text, re.DOTALL)
            if heading and self.title is None:
                self.title = html.unescape(re.sub(r"<[^>]+>", "", heading[1])).strip()
            yield text
        elif cell["cell_type"] == "code":
            if self.code and cell["source"].strip():
                inside = f"<summary>Code</summary><pre>{_highlighted(cell['source'])}</pre>"
                yield f'<details class="code">{inside}</details>'
            if TAG not in cell["metadata"].get("tags", ()):
                for output in cell["outputs"]:
                    yield self.output(output, f"cell {number}")

    def output(self, output: dict[str, Any], where: str) -> str:
        """Return the HTML of one output; what a cell prints is progress, and left out."""
        if output["output_type"] == "stream":
            if output["name"] == "stderr":
                found = [f"{kind}: {text}" for kind, text in _WARNING.findall(_joined(output["text"]))]
                self.warnings += [line for line in dict.fromkeys(found) if line not in self.warnings]
            return ""
        if output["output_type"] == "error":
            return f'<pre class="error">{html.escape(output["ename"])}: {html.escape(output["evalue"])}</pre>'
        about = output.get("metadata", {}).get("workbench", {})
        text = "" if about.get("kind") == "caption" else self.picture_or_text(output["data"], where, about)
        if lost := outside(text):
            self.warnings.append(f"Left out of {where}: an output that loads {lost[0]} from outside this file.")
            text = '<p class="missing">[An output that needs the network is left out; see the notebook.]</p>'
        if about.get("kind") not in ("figure", "table"):
            return text
        caption = markdown(f"**{about['kind'].title()} {about['number']}.** {about['caption']}", where)
        caption = f"<figcaption>{caption}</figcaption>"
        both = text + caption if about["kind"] == "figure" else caption + text
        return f'<figure class="{about["kind"]}" id="{about["kind"]}-{about["name"]}">{both}</figure>'

    def picture_or_text(self, data: dict[str, Any], where: str, about: dict[str, Any]) -> str:
        """Return the richest form of an output that needs neither script nor network."""
        widget = "application/vnd.jupyter.widget-view+json" in data
        if "text/html" in data and not widget:
            return f'<div class="output">{_joined(data["text/html"])}</div>'
        if "image/svg+xml" in data:
            self.pictures += 1
            return inline_svg(_joined(data["image/svg+xml"]), f"p{self.pictures}-", about.get("caption", ""))
        for kind in ("image/png", "image/jpeg"):
            if kind in data:
                return f'<img src="data:{kind};base64,{_joined(data[kind]).replace(chr(10), "")}" alt="">'
        if widget:
            return '<p class="missing">[An interactive part: open the notebook to use it.]</p>'
        for kind in ("text/markdown", "text/latex"):
            if kind in data:
                return markdown(_joined(data[kind]), where)
        return f"<pre>{html.escape(_joined(data['text/plain']))}</pre>" if "text/plain" in data else ""


def markdown(text: str, where: str, attachments: dict[str, Any] | None = None) -> str:
    """Return Markdown as HTML, its formulas as MathML; `where` names the cell in errors."""
    from nbconvert.filters.markdown_mistune import InvalidNotebook, IPythonRenderer, MarkdownWithMath

    class Renderer(IPythonRenderer):
        def block_math(self, body: str) -> str:
            return f'<div class="formula">{mathml(body, display=True)}</div>'

        def inline_math(self, body: str) -> str:
            return mathml(body)

        def latex_environment(self, name: str, body: str) -> str:
            return self.block_math(f"\\begin{{{name}}}{body}\\end{{{name}}}")

    renderer = Renderer(escape=False, exclude_anchor_links=True, attachments=attachments or {})
    try:
        text = MarkdownWithMath(renderer=renderer).render(text)
    except (FormulaError, InvalidNotebook) as error:
        raise ReportError(f"{where}: {error}") from None
    return re.sub(r'<p>(<div class="formula">.*?</div>)</p>', r"\1", text, flags=re.DOTALL)


def inline_svg(svg: str, prefix: str, label: str = "") -> str:
    """Return an SVG file's text for use inside HTML, every id and style its own by a prefix."""
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r"(\sid=[\"']|href=[\"']#|url\([\"']?#)", rf"\g<1>{prefix}", svg)
    svg = re.sub(r"(<style[^>]*>)\s*\*\s*\{", rf"\g<1>.{prefix}svg *{{", svg)
    return svg.replace("<svg", f'<svg class="{prefix}svg" role="img" aria-label="{html.escape(label)}"', 1)


def outside(text: str) -> list[str]:
    """Return what an HTML text would load from outside itself; plain links are not loaded."""
    finder = _Finder()
    finder.feed(text)
    return finder.found


class _Finder(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.style = tag == "style"
        for name, value in attrs:
            loads = name in ("src", "srcset", "poster", "data", "background", "xlink:href") or (
                name == "href" and tag not in ("a", "area", "base")
            )
            if loads and value and not value.strip().startswith(("data:", "#")):
                self.found.append(value.strip())
            if name == "style" and _LOADS.search(value or ""):
                self.found.append(str(value))

    def handle_endtag(self, tag: str) -> None:
        self.style = False

    def handle_data(self, data: str) -> None:
        if self.style and _LOADS.search(data):
            self.found.append(data.strip()[:80])


def _highlighted(source: str) -> str:
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    return highlight(source, PythonLexer(), HtmlFormatter(nowrap=True))


def _highlight_style() -> str:
    from pygments.formatters import HtmlFormatter

    dark = HtmlFormatter(style="github-dark").get_style_defs(".code pre")
    return (
        f"{HtmlFormatter().get_style_defs('.code pre')}\n@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}"
    )


def _parameter_rows(path: Path, values: dict[str, Any]) -> list[dict[str, str]]:
    """Return name, value and meaning of each parameter of the run."""
    try:
        fields = notebook_parameters(path).model_fields
    except ParameterError:
        fields = {}
    meaning = {name: field.description or "" for name, field in fields.items()}
    return [
        {"name": name, "value": json.dumps(value, ensure_ascii=False).strip('"'), "meaning": meaning.get(name, "")}
        for name, value in values.items()
    ]
