"""The report: one file, no network, maths as MathML, figures as vectors; looked at by a real browser."""

import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from conftest import need

from workbench.report.html import ReportError, inline_svg, outside, to_html
from workbench.report.maths import FormulaError, mathml
from workbench.report.render import caption_latex, latex_text, number_text, unit_text

SVG = """<?xml version="1.0"?>
<svg xmlns:xlink="http://www.w3.org/1999/xlink" width="90pt" height="60pt" viewBox="0 0 90 60"
 xmlns="http://www.w3.org/2000/svg">
<metadata><work resource="http://purl.org/x"/></metadata>
<defs><style type="text/css">*{stroke-linejoin: round}</style>
<clipPath id="clip"><rect width="90" height="%d"/></clipPath></defs>
<rect id="box" width="90" height="60" clip-path="url(#clip)"/><use xlink:href="#box"/></svg>"""
FORMULAS = r"""
# Decay of $\hat{y}$ & more

Inline $\frac{a}{b}$, and

$$
\begin{aligned}
\frac{dy}{dt} &= -k\,y \\
y(t) + \log y_0 &= \begin{cases} 1 & t < 0 \\ \exp(-kt) & \text{otherwise} \end{cases}
\end{aligned}
$$

\begin{equation}
\sigma \sim \mathrm{HalfNormal}\left(0.5\right)
\end{equation}

costs `$5` or \$6. [A link](https://example.org) stays.
"""


def page(folder: Path, *cells: dict[str, Any], **options: Any) -> str:
    made = [{"metadata": {}, **cell} for cell in cells]
    (folder / "book.ipynb").write_text(json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return to_html(folder / "book.ipynb", folder / "report.html", **options).read_text(encoding="utf-8")


def words(text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "source": text}


def shows(data: dict[str, Any], about: dict[str, Any] | None = None, source: str = "make()") -> dict[str, Any]:
    output = {"output_type": "display_data", "data": data, "metadata": {"workbench": about} if about else {}}
    return {"cell_type": "code", "source": source, "outputs": [output]}


def prints(name: str, text: str) -> dict[str, Any]:
    return {"cell_type": "code", "source": "", "outputs": [{"output_type": "stream", "name": name, "text": text}]}


def chromium() -> str:
    path = shutil.which("chromium") or "/usr/bin/chromium"
    need(Path(path).exists(), "Debian's chromium")
    return path


def measure(folder: Path, script: str) -> Any:
    """Open report.html in Chromium, with no name resolved, and return what `script` evaluates to."""
    text = (folder / "report.html").read_text(encoding="utf-8")
    probe = f"<script>addEventListener('load', () => {{document.title = JSON.stringify({script})}})</script></body>"
    (folder / "probe.html").write_text(text.replace("</body>", probe), encoding="utf-8")
    command = [chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND",
               f"--user-data-dir={folder / 'profile'}", "--window-size=900,1200", "--dump-dom",
               f"file://{folder / 'probe.html'}"]  # fmt: skip
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    title = re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)
    assert title, done.stderr[-500:]
    return json.loads(title[1].replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">"))


def test_formulas_become_mathml_that_a_browser_lays_out(tmp_path: Path) -> None:
    text = page(tmp_path, words(FORMULAS))
    assert text.count("<math") == 4
    assert "\\frac" not in text
    assert "<code>$5</code>" in text
    assert "<title>Decay of" in text
    assert not outside(text)
    assert '<a href="https://example.org">' in text
    seen = measure(
        tmp_path,
        """{boxes: [...document.querySelectorAll('math')].map(m => m.getBoundingClientRect().height > 8),
        fraction: (f => f.children[1].getBoundingClientRect().top - f.children[0].getBoundingClientRect().bottom)(
            document.querySelector('mfrac')),
        equals: [...document.querySelectorAll('.formula > math > mrow > mtable > mtr > mtd:nth-child(2) > mo')]
            .filter(m => m.textContent == '=').map(m => m.getBoundingClientRect().left),
        ends: [...document.querySelectorAll('.formula > math > mrow > mtable > mtr > mtd:first-child')]
            .map(m => m.lastElementChild.getBoundingClientRect().right),
        loaded: performance.getEntriesByType('resource').length}""",
    )
    assert seen["boxes"] == [True] * 4
    assert seen["fraction"] >= 0, "the denominator stands below the numerator"
    assert len(seen["equals"]) == 2
    assert seen["equals"][0] == pytest.approx(seen["equals"][1], abs=0.5), "the signs stand below each other"
    assert seen["ends"][0] == pytest.approx(seen["ends"][1], abs=1.5), "left sides end at their sign"
    assert seen["loaded"] == 0


@pytest.mark.parametrize(
    ("latex", "reason"),
    [
        (r"\nosuch{a}", r"\\nosuch"), (r"\frac{a", "braces"), ("a}", "braces"), (r"\begin{foo}a\end{foo}", "'foo'"),
        ("a & b", "'&'"), ("x_a_b", "double subscripts"), (r"\left( x", "missing right"), (" ", "no available tokens"),
        (r"\begin{cases} 1", "without its end"), (r"\label{eq} a", r"\\label"), (r"\frac{1}", "frac lacks a part"),
    ],
)  # fmt: skip
def test_formulas_that_cannot_be_drawn_fail_the_report(tmp_path: Path, latex: str, reason: str) -> None:
    with pytest.raises(FormulaError, match=reason):
        mathml(latex)
    if latex.strip():
        with pytest.raises(ReportError, match="cell 2: got the formula"):
            page(tmp_path, words("# Title"), words(f"As in ${latex.strip()}$."))


@pytest.mark.parametrize(
    ("latex", "text"),
    [
        (r"\sum_{i=1}^{n} x_i^2", "∑i=1nxi2"), (r"\boldsymbol{\theta}", "𝜽"), (r"\mathcal{N}(\mu,\sigma)", "𝒩(μ,σ)"),
        (r"\begin{pmatrix} a & b \\ c & d \end{pmatrix}", "(abcd)"), (r"\theta \sim p(\theta \mid y)", "θ∼p(θ∣y)"),
        (r"\hat{x}", "x^"), (r"\sqrt{k/m}", "k/m"), (r"a < b \,\%", "a<b%"), (r"\left\{x\right\}", "{x}"),
    ],
)  # fmt: skip
def test_formulas_say_what_latex_says(latex: str, text: str) -> None:
    root = ET.fromstring(mathml(latex, display=True))
    assert root.tag == "{http://www.w3.org/1998/Math/MathML}math"
    assert "".join(root.itertext()) == text


def test_formulas_are_set_as_latex_sets_them() -> None:
    assert '<mi mathvariant="normal">d</mi><mi>t</mi>' in mathml(r"\mathrm{d}t"), "upright by command only"
    assert '<mo>=</mo><mo form="prefix">−</mo>' in mathml("a = -b"), "a sign, not a difference"
    assert '<mo stretchy="false">)</mo><mo>−</mo>' in mathml("f(a) - b"), "a difference, not a sign"
    assert '<mi>log</mi><mspace width="0.17em" /><mi>x</mi>' in mathml(r"\log x")
    assert '<mi>log</mi><mo stretchy="false">(</mo>' in mathml(r"\log(x)")


def test_figures_are_vectors_that_do_not_share_ids(tmp_path: Path) -> None:
    about = {"kind": "figure", "name": "one", "number": 1, "caption": "Small, of $k$."}
    caption = shows({"text/markdown": "**Figure 1.** Small, of $k$."}, {"kind": "caption"})
    text = page(
        tmp_path,
        shows({"image/svg+xml": SVG % 10, "image/png": "xx"}, about),
        caption,
        shows({"image/svg+xml": SVG % 60}),
    )
    assert text.count("<svg") == 2
    assert text.count("Figure 1.") == 1
    assert "purl.org" not in text
    assert '<figure class="figure" id="figure-one">' in text
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert len(ids) == len(set(ids)) == 5
    seen = measure(
        tmp_path,
        """[...document.querySelectorAll('svg')].map(s => ({clip: document.querySelector(
            s.querySelector('rect[clip-path]').getAttribute('clip-path').slice(4, -1)
            ).firstChild.getAttribute('height'),
            used: s.querySelector('use').getBoundingClientRect().width > 10,
            wide: s.getBoundingClientRect().width}))""",
    )
    assert [one["clip"] for one in seen] == ["10", "60"], "each figure is clipped by its own path"
    assert [one["used"] for one in seen] == [True, True]
    assert [round(one["wide"]) for one in seen] == [120, 120], "90 pt are 120 px"


def test_a_style_in_a_figure_stays_in_it() -> None:
    assert ".p1-svg *{" in inline_svg(SVG % 1, "p1-").replace("* {", "*{")


def test_what_readers_do_not_need_is_left_out(tmp_path: Path) -> None:
    warned = "folder/x.py:3: UserWarning: mind the gap\n  warn('mind')\n 40%|████    | 4/10\n"
    hidden = shows({"text/plain": "hidden thing"}) | {"metadata": {"tags": ["hide"]}}
    cells = [
        prints("stdout", "sampling 10 %"),
        prints("stderr", warned),
        prints("stderr", warned),
        hidden,
        shows({"text/plain": "<3>"}),
    ]
    text = page(tmp_path, words("Words."), *cells)
    assert "sampling" not in text
    assert "40%" not in text
    assert "hidden thing" not in text
    assert "folder" not in text
    assert text.count("UserWarning: mind the gap") == 1
    assert "<pre>&lt;3&gt;</pre>" in text
    assert "make()" not in text
    assert "<h1>book</h1>" in text
    code = page(tmp_path, shows({"text/plain": "3"}, source="make(1 < 2)"), code=True)
    assert '<details class="code"><summary>Code</summary>' in code
    assert "&lt;" in code


def test_raw_html_stays_and_what_loads_from_outside_goes(tmp_path: Path) -> None:
    table = "<style>.x{color:red}</style><table class=x><tr><td>raw</td></tr></table>"
    text = page(tmp_path, shows({"text/html": table}), shows({"text/html": "<img src='https://example.org/a.png'>"}))
    assert table in text
    assert "example.org/a.png'>" not in text
    assert "needs the network is left out" in text
    assert "Left out of cell 2: an output that loads https://example.org/a.png" in text
    with pytest.raises(ReportError, match=r"cell 1: got a reference to 'pics/a\.png'; expected an image attached"):
        page(tmp_path, words("![alt](pics/a.png)"))


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ('<script src="//cdn.example/x.js"></script>', 1), ('<link rel="stylesheet" href="a.css">', 1),
        ("<style>@import 'x.css';</style>", 1), ("<style>a{background:url(http://e.org/x)}</style>", 1),
        ('<p style="background: url(\'a.png\')">x</p>', 1), ('<image xlink:href="https://e.org/i.png"/>', 1),
        ('<a href="https://e.org">x</a>', 0), ('<img src="data:image/png;base64,AA">', 0),
        ('<use xlink:href="#i"/>', 0),
        ("<style>a{background:url(\"data:image/png;base64,AA\")}</style> url(http://in.words)", 0),
    ],
)  # fmt: skip
def test_what_a_page_loads_is_found(text: str, lost: int) -> None:
    assert len(outside(text)) == lost


def test_widgets_fall_back_to_their_picture(tmp_path: Path) -> None:
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "IntSlider(value=1)"}
    text = page(
        tmp_path, shows(widget), shows({**widget, "image/svg+xml": SVG % 5}), shows({"image/png": "iVBO\nRw0="})
    )
    assert "IntSlider" not in text
    assert text.count("An interactive part") == 1
    assert text.count("<svg") == 1
    assert 'src="data:image/png;base64,iVBORw0="' in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.7894, "2.79"), (0.0001234, "0.000123"), (0.00001234, "1.23 × 10⁻⁵"), (1500.0, "1500"), (999.96, "1000"),
        (0.99996, "1.00"),
        (-31.46, "−31.5"), (1234567.0, "1.23 × 10⁶"), (42, "42"), (0.0, "0"),
        (float("inf"), "∞"), (float("nan"), "not a number"),
    ],
)  # fmt: skip
def test_numbers_as_print_has_them(value: float, text: str) -> None:
    assert number_text(value) == text


def test_units_and_latex_as_print_has_them() -> None:
    units = ("m**3/h", "degC", "1", None, "kW * h", "1/h", "s**-1", "kN/s**0.5", "(mg/m**3)**0.5")
    assert [unit_text(unit) for unit in units] == [
        "m³/h", "°C", "", "", "kW h", "1/h", "s⁻¹", "kN/√s", "√(mg/m³)",
    ]  # fmt: skip
    assert latex_text(r"50 % of a_b & c² ± 3 µg, λ_Δ {x} ~^\ ") == (
        r"50 \% of a\_b \& c$^{2}$ $\pm$ 3 $\mu$g, $\lambda$\_$\Delta$ \{x\} "
        r"\textasciitilde{}\textasciicircum{}\textbackslash{} "
    )
    assert caption_latex("10 % of $k_a$") == r"10 \% of $k_a$"
