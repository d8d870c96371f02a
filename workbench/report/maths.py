"""Formulas as MathML, which browsers draw without a script: latex2mathml, made strict and fit for MathML Core."""

import html
import re
import unicodedata
from functools import lru_cache
from xml.etree.ElementTree import Element, tostring

from workbench.base.errors import WorkbenchError

# Environments as the converter knows them; the starred ones carry no equation numbers, as in a notebook.
_SAME = {"align": "align*", "aligned": "align*", "equation": "", "equation*": "", "split": "split", "align*": "align*"}
_KNOWN = {"array", "cases", "matrix", "pmatrix", "bmatrix", "Bmatrix", "vmatrix", "Vmatrix", "smallmatrix"}
_FUNCTIONS = {"log", "ln", "exp", "sin", "cos", "tan", "sinh", "cosh", "tanh", "max", "min", "sup", "inf", "det", "lim"}
_STYLES = {"bold": "BOLD", "bold-italic": "BOLD ITALIC", "italic": "ITALIC"}
_UNKNOWN = re.compile(r"\\|[&}{]$")


class FormulaError(WorkbenchError):
    """A formula cannot be drawn."""


@lru_cache(maxsize=1024)
def mathml(latex: str, *, display: bool = False) -> str:
    """Return a formula as MathML.

    Parameters
    ----------
    latex
        LaTeX maths without its dollars.
    display
        Whether it stands on lines of its own.

    Raises
    ------
    FormulaError
        If a command or environment is unknown, a brace is missing, or the formula is empty.
    """
    from latex2mathml.converter import convert_to_element

    source = _environments(latex)
    depth = 0
    for brace in re.findall(r"(?<!\\)(?:\\\\)*([{}])", source):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            break
    if depth:
        raise _refused(latex, "its braces do not pair")
    try:
        root = convert_to_element(source, display="block" if display else "inline")
    except Exception as error:  # the converter's errors share no base class
        reason = str(error) or re.sub(r"(?<!^)([A-Z])", r" \1", type(error).__name__.removesuffix("Error")).lower()
        raise _refused(latex, reason) from None
    _mend(root, latex)
    return tostring(root, encoding="unicode")


def _refused(latex: str, reason: str) -> FormulaError:
    return FormulaError(f"got the formula {latex.strip()!r}, which cannot be drawn ({reason}); expected LaTeX maths")


def _environments(latex: str) -> str:
    """Return LaTeX with environments that the converter knows."""
    stack: list[str] = []

    def one(found: re.Match[str]) -> str:
        name = found[2]
        if name not in _SAME and name not in _KNOWN:
            raise _refused(latex, f"unknown environment {name!r}")
        if found[1] == "begin":
            stack.append(name)
        elif not stack or stack.pop() != name:
            raise _refused(latex, f"\\end{{{name}}} without its beginning")
        same = _SAME.get(name, name)
        return f"\\{found[1]}{{{same}}}" if same else ""

    source = re.sub(r"\\(begin|end)\{([^}]*)\}", one, latex)
    if stack:
        raise _refused(latex, f"\\begin{{{stack[-1]}}} without its end")
    return source


def _mend(root: Element, latex: str) -> None:
    """Refuse what the converter let pass, and say in MathML Core's words what browsers would not understand."""
    for element in root.iter():
        raw = element.text or ""
        text = element.text = html.unescape(raw)
        if element.tag in ("mi", "mo", "mn") and _UNKNOWN.match(text) and raw == text and element.get("fence") is None:
            raise _refused(latex, f"unknown or misplaced {text!r}")
        if element.tag in ("mfrac", "msub", "msup", "mover", "munder") and len(element) != 2:
            raise _refused(latex, f"{element.tag.removeprefix('m')} lacks a part")
        style = element.get("mathvariant")
        if style in _STYLES:
            del element.attrib["mathvariant"]
            element.text = "".join(_styled(letter, _STYLES[style]) for letter in text)
        elif element.tag == "mi" and raw != text and text.isascii() and text.isalpha():
            element.set("mathvariant", "normal")  # \mathrm of one letter
        elif element.tag == "mi" and text == "~":
            element.tag, element.text = "mo", "∼"
    for parent in list(root.iter()):
        if parent.tag in ("mrow", "mtd", "math"):
            _space(parent)


def _space(row: Element) -> None:
    """Space a row as print has it: a sign is not a minus between terms, and `y log x` is not `ylogx`."""
    terms = list(row)
    for before, term, after in zip([None, *terms], terms, [*terms[1:], None], strict=False):
        if term.tag == "mo" and term.text in ("−", "+") and before is not None and before.tag == "mo":
            if before.get("form") != "postfix" and before.text not in (")", "]", "}", "|", "!"):
                term.set("form", "prefix")
        elif term.tag == "mi" and term.text in _FUNCTIONS:
            for place, near in ((1, after), (0, before)):
                fence = near is not None and len(near) > 0 and near[0].get("fence") is not None
                if near is not None and near.tag not in ("mo", "mspace") and not fence and (near.text or len(near)):
                    row.insert(list(row).index(term) + place, Element("mspace", width="0.17em"))


def _styled(letter: str, style: str) -> str:
    """Return the mathematical alphabet's letter, or the letter itself where there is none."""
    found = re.fullmatch(r"(LATIN|GREEK) (SMALL|CAPITAL) LETTER (\w+)", unicodedata.name(letter, ""))
    try:
        return unicodedata.lookup(f"MATHEMATICAL {style} {found[2]} {found[3]}") if found else letter
    except KeyError:
        return letter
