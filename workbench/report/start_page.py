"""`workbench lab`: a folder of notebooks with a start page, and JupyterLab on it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from workbench.base.errors import WorkbenchError
from workbench.base.share import data_files, notebooks, title

PAGE = "start.ipynb"
_HEAD = """\
# Workbench

Declare a physical model once; simulate it, calibrate it, follow its sensors, forecast, and print the report.

**Run the cell below** (Shift+Enter) for a panel in which a twin is put together without typing code. Or open one of the
notebooks; each is run with other parameters by `workbench run NAME -p key=value`.
"""


def furnish(folder: Path) -> Path:
    """Return the folder with a start page, the notebooks and their data in it; what is there is left as it is.

    Raises
    ------
    WorkbenchError
        If there is something in its place that is no folder.
    """
    folder = folder.expanduser().absolute()
    if folder.exists() and not folder.is_dir():
        raise WorkbenchError(f"got {str(folder)!r}, which is no folder; expected one for the notebooks")
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for path in notebooks().values():
        _copy(path, folder / path.name)
    for name, path in data_files().items():
        _copy(path, folder / "data" / name)
    if not (folder / PAGE).exists():
        (folder / PAGE).write_text(json.dumps(_page(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return folder


def _copy(source: Path, target: Path) -> None:
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def _page() -> dict[str, object]:
    """Return the start page as a notebook."""
    listed = "\n".join(f"- [{title(path) or name}]({path.name})" for name, path in notebooks().items())
    cells = [
        {"cell_type": "markdown", "id": "about", "metadata": {}, "source": f"{_HEAD}\n{listed}\n"},
        {
            "cell_type": "code", "id": "build", "metadata": {}, "execution_count": None, "outputs": [],
            "source": "import workbench as wb\n\nwb.build()",
        },
    ]  # fmt: skip
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def start(folder: Path, *, browser: bool = True) -> int:
    """Run JupyterLab on a furnished folder, at its start page, until it ends; return its exit status."""
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--ServerApp.root_dir={folder}",
        f"--LabApp.default_url=/lab/tree/{PAGE}",
    ]
    return subprocess.call([*command, *([] if browser else ["--no-browser"])])
