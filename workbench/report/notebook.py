"""Notebooks as functions: parameters in, a run folder out."""

import os
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.base.errors import WorkbenchError
from workbench.base.share import notebook as find
from workbench.report.files import read_json, write_json
from workbench.report.html import check, to_html
from workbench.report.parameters import validate
from workbench.report.progress import Progress
from workbench.report.provenance import doubts, now, provenance, recorded
from workbench.report.record import RUN

START_TIMEOUT = 180  # s; a loaded machine starts a kernel slowly


class RunError(WorkbenchError):
    """A cell of the notebook failed."""


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, the files in it, and the seconds it took.

    Figures are in `figures/` (PDF, SVG) and tables in `tables/` (CSV, LaTeX). `doubts` holds, by the name of each
    number and table that the report strikes through, the gates of its trust card that do not hold.
    """

    folder: Path
    notebook: Path
    report: Path
    numbers: Path
    provenance: Path
    elapsed: float
    doubts: Mapping[str, str]


def run_notebook(
    name_or_path: str | Path,
    parameters: Mapping[str, Any] | None = None,
    *,
    output: str | Path,
    code: bool = False,
    progress: bool = True,
) -> Run:
    """Run a notebook with parameters in a fresh kernel of this Python, and write its run folder.

    Parameters
    ----------
    name_or_path
        A notebook that comes with the package, by name, or the path of an `.ipynb` file.
    parameters
        Values for its parameters; the others keep their defaults. Validated before anything runs. Relative paths are
        relative to the working folder of the caller, where the notebook runs too.
    output
        The run folder. It may be missing, empty, or an earlier run of the same notebook, which is then replaced.
        It appears when the run ends, whole. A failed run never replaces a finished one: it goes to `<output>-failed`.
    code
        Whether the report has the code, folded.
    progress
        Whether to print a line for each cell, and what the notebook prints.

    Returns
    -------
    Run
        Paths of the executed notebook, report, numbers and provenance; seconds it took; numbers not to be trusted.

    Raises
    ------
    ParameterError
        If a parameter's name is unknown, its type wrong or its value out of range.
    WorkbenchError
        If there is no such notebook, or `output` holds something else.
    ReportError
        If the notebook's text cannot be made into a report (checked first).
    RunError
        If a cell fails; it names the cell and says where the notebook so far is.
    """
    path = find(name_or_path)
    values = validate(path, parameters or {})
    check(path)
    folder = Path(output).expanduser().absolute()
    _refuse_strangers(folder, path.stem)
    part = folder.with_name(f".{folder.name}-{uuid.uuid4().hex[:8]}")
    part.mkdir(parents=True)
    try:
        past = _produce(path, values, given=list(parameters or {}), part=part, code=code, progress=progress)
    except BaseException as error:
        _settle(part, folder, error)
        raise
    _settle(part, folder, None)
    return _made(folder, past)


def _made(folder: Path, past: Mapping[str, Any]) -> Run:
    """Return the run that a folder holds, by its provenance."""
    return Run(
        folder=folder,
        notebook=folder / "notebook.ipynb",
        report=folder / "report.html",
        numbers=folder / "numbers.json",
        provenance=folder / "provenance.json",
        elapsed=past["elapsed"],
        doubts=past["doubts"],
    )


def _produce(
    path: Path, values: dict[str, Any], *, given: list[str], part: Path, code: bool, progress: bool
) -> dict[str, Any]:
    """Run the notebook, write all files into the folder `part`, and return its provenance."""
    past = provenance(path, values)
    begun = time.monotonic()

    def close(error: BaseException | None) -> None:
        status = {"status": "completed"} if error is None else {"status": "failed", "error": str(error)}
        if error is not None and not isinstance(error, Exception):
            status["status"] = "interrupted"
        times = {"end": now(), "elapsed": round(time.monotonic() - begun, 2)}
        past.update({**times, **status, **recorded(part, past)})
        past["doubts"] = doubts(part, past)
        write_json(part / "provenance.json", past)

    try:
        _execute(path, {name: values[name] for name in given}, part, progress)
        close(None)
        to_html(part / "notebook.ipynb", part / "report.html", code=code)
    except BaseException as error:
        close(error)
        raise
    return past


def _refuse_strangers(folder: Path, name: str) -> None:
    if folder.exists() and not folder.is_dir():
        raise WorkbenchError(f"got output {str(folder)!r}, which is a file; expected a folder")
    if not folder.exists() or not any(folder.iterdir()):
        return
    earlier = None
    with suppress(ValueError, AttributeError):
        earlier = read_json(folder / "provenance.json").get("notebook", {}).get("name")
    if earlier != name:
        holds = f"a run of {earlier!r}" if earlier else "other files"
        raise WorkbenchError(f"got output {str(folder)!r}, which holds {holds}; expected a new folder")


def _settle(part: Path, folder: Path, error: BaseException | None) -> None:
    """Put the run where it belongs, in one rename; tell a failure where that is."""
    if error is not None and read_json(folder / "provenance.json").get("status") == "completed":
        folder = folder.with_name(f"{folder.name}-failed")
    old = part.with_name(f"{part.name}-old")
    if folder.exists():
        folder.rename(old)
    part.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    if isinstance(error, WorkbenchError):
        error.args = (f"{error}; the notebook so far is in {os.path.relpath(folder)}/notebook.ipynb",)


def _execute(path: Path, given: dict[str, Any], folder: Path, progress: bool) -> None:
    """Run the notebook by papermill; RunError names the cell that failed."""
    from papermill import execute_notebook
    from papermill.exceptions import PapermillExecutionError
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook
    from traitlets.config import Config

    book = load_notebook_node(str(path))
    if given:
        book = parameterize_notebook(book, given, kernel_name="python3", language="python")
    story = Progress(path.stem, book.cells, progress)
    target = str(folder / "notebook.ipynb").replace("{", "{{").replace("}", "}}")  # papermill fills in braces
    with tempfile.TemporaryDirectory(prefix="wb") as sockets:
        # Sockets of the file system: parallel runs cannot take each other's ports.
        connection = {"connection_file": f"{sockets}/k.json"} | (
            {} if sys.platform == "win32" else {"transport": "ipc"}
        )
        try:
            execute_notebook(
                book,
                target,
                kernel_name="python3",
                language="python",
                progress_bar=False,
                start_timeout=START_TIMEOUT,
                stdout_file=story,
                kernel_manager_class=_manager(folder),
                on_cell_start=story.start,
                iopub_timeout=60,
                config=Config(KernelManager=connection),
            )
        except PapermillExecutionError as error:
            said = f"{error.ename}: {error.evalue}".strip().rstrip(".")
            raise RunError(f"{path.stem}: {story.place} failed: {said}") from None
        except Exception as error:
            raise RunError(
                f"{path.stem}: {story.place}: the kernel stopped: {error or type(error).__name__}"
            ) from error


def _manager(folder: Path) -> type:
    """Return a kernel manager for this very Python, whatever kernels are installed."""
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager

    launch = ["-Xfrozen_modules=off", "-m", "ipykernel_launcher"]
    launch += ["--log-level=CRITICAL"]  # shutting down logs an error
    launch += ["--InlineBackend.figure_formats={'svg', 'png'}"]  # figures shown by pyplot alone are vectors too
    spec = KernelSpec(
        argv=[sys.executable, *launch, "-f", "{connection_file}"],
        display_name="Python 3",
        language="python",
        env={RUN: str(folder), "MPLBACKEND": "module://matplotlib_inline.backend_inline"},
    )

    class Manager(AsyncKernelManager):
        @property
        def kernel_spec(self) -> KernelSpec:
            return spec

    return Manager
