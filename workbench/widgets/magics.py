"""`%load_ext workbench`: a few words for what a notebook does most, each a plain call underneath."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workbench.base.errors import ParameterError, unknown
from workbench.base.share import notebook, title
from workbench.base.share import notebooks as shared


def load(shell: Any) -> None:
    """Give an IPython shell the magics `%build`, `%explore`, `%notebooks` and `%run_notebook`."""
    for verb in (build, explore, notebooks, run_notebook):
        shell.register_magic_function(_bound(verb, shell), "line", verb.__name__)


def _bound(verb: Callable[..., Any], shell: Any) -> Callable[[str], Any]:
    def magic(line: str) -> Any:
        return verb(line, shell.user_ns)

    magic.__doc__ = verb.__doc__
    return magic


def build(line: str, names: dict[str, Any]) -> Any:
    """%build [model] [data]: the panel of `wb.build`. A word is a name of the notebook, or else the path of a file."""
    from workbench.widgets.builder.panel import build as panel

    words = shlex.split(line)
    if len(words) > 2:
        raise ParameterError(f"%build: got {line!r}; expected a model or a saved twin, and data")
    return panel(*(names.get(word, word) for word in words))


def explore(line: str, names: dict[str, Any]) -> Any:
    """%explore calibration: the sliders of `wb.explore` over a calibration or a twin of the notebook."""
    from workbench.widgets.explore import explore as sliders

    return sliders(_named(line.strip(), names, "%explore"))


def notebooks(line: str, names: dict[str, Any]) -> None:
    """%notebooks: the notebooks that come with the workbench, with their titles."""
    print("\n".join(f"{name:28} {title(path)}" for name, path in shared().items()))


def run_notebook(line: str, names: dict[str, Any]) -> Any:
    """%run_notebook name key=value ... [-o folder]: `wb.run_notebook`; values are read as `workbench run -p` does."""
    from workbench.report.notebook import run_notebook as run
    from workbench.report.parameters import read_pairs

    words = shlex.split(line)
    output = None
    if "-o" in words[:-1]:
        place = words.index("-o")
        output = words[place + 1]
        words = words[:place] + words[place + 2 :]
    if not words:
        raise ParameterError("%run_notebook: got no notebook; expected a name, as %notebooks lists them")
    path = notebook(words[0])
    return run(path, read_pairs(path, words[1:]), output=output or Path("runs") / path.stem)


def _named(word: str, names: dict[str, Any], magic: str) -> Any:
    known = [name for name in names if not name.startswith("_")]
    if word not in names:
        raise ParameterError(unknown("name", word, known, magic))
    return names[word]
