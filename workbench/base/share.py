"""Notebooks and data that come with the package: beside it in a checkout, inside it in a wheel."""

import json
from pathlib import Path

from workbench.base.errors import DataError, WorkbenchError, unknown

_PACKAGE = Path(__file__).resolve().parents[1]


def checkout() -> Path | None:
    """Return the folder of the source checkout the package runs from, or None when it was installed from a wheel."""
    folder = _PACKAGE.parent
    return folder if (folder / "pyproject.toml").is_file() and not (_PACKAGE / "_share").is_dir() else None


def share(folder: str) -> Path:
    """Return the path of `folder` ("data" or "notebooks")."""
    inside = _PACKAGE / "_share" / folder
    return inside if inside.is_dir() else _PACKAGE.parent / folder


def notebooks() -> dict[str, Path]:
    """Return the notebooks that come with the package, by name (the file's name without `.ipynb`)."""
    return {path.stem: path for path in sorted(share("notebooks").glob("*.ipynb"))}


def notebook(name_or_path: str | Path) -> Path:
    """Return the path of a notebook, given its name or the path of any `.ipynb` file.

    Raises
    ------
    WorkbenchError
        If there is no such notebook; the message says which names exist.
    """
    known = notebooks()
    if str(name_or_path) in known:
        return known[str(name_or_path)]
    path = Path(name_or_path).expanduser()
    if path.suffix == ".ipynb" or len(path.parts) > 1:
        if path.is_file():
            return path.resolve()
        raise WorkbenchError(f"got notebook {str(name_or_path)!r}, which is no file; expected a path or a known name")
    raise WorkbenchError(unknown("notebook", str(name_or_path), known) + " (or the path of an .ipynb file)")


def title(path: Path) -> str:
    """Return the first heading of a notebook, "" where it has none."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        for line in "".join(cell["source"]).splitlines():
            if cell["cell_type"] == "markdown" and line.startswith("# "):
                return line[2:].strip()
    return ""


def data_files() -> dict[str, Path]:
    """Return the data files that come with the package, by their path below `data/`."""
    root = share("data")
    return {path.relative_to(root).as_posix(): path for path in sorted(root.rglob("*")) if path.is_file()}


def data_file(name: str) -> Path:
    """Return the path of a data file that comes with the package, such as "theophylline.csv".

    Raises
    ------
    DataError
        If there is no such file; the message names the nearest one.
    """
    known = data_files()
    if name not in known:
        raise DataError(unknown("data file", name, known))
    return known[name]
