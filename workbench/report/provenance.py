"""Where a run's numbers come from: parameters, seeds, versions, code, data, machine and times."""

import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from os import cpu_count
from pathlib import Path
from typing import Any

from workbench.base.share import checkout
from workbench.report.files import checksum, data_name, read_json, write_json
from workbench.report.record import NUMBERS, RECORD

DISTRIBUTION = "twin-workbench"


def provenance(notebook: Path, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known before a run starts: all but times, status and what the notebook records.

    Parameters
    ----------
    notebook
        The notebook to run.
    parameters
        All its parameters, defaults filled in. Those named `seed` or `..._seed` are listed as seeds; those that are
        paths of files are listed as data, with checksums.
    """
    root = checkout()
    lock = root / "requirements.lock" if root else None
    files = [Path(value) for value in parameters.values() if isinstance(value, str) and _is_file(value)]
    return {
        "status": "running",
        "notebook": {"name": notebook.stem, "sha256": checksum(notebook)["sha256"], "git": git_state(notebook.parent)},
        "parameters": dict(parameters),
        "seeds": {name: value for name, value in parameters.items() if name == "seed" or name.endswith("_seed")},
        "workbench": {
            "version": version(),
            "git": git_state(root) if root else None,
            "lock_sha256": checksum(lock)["sha256"] if lock and lock.is_file() else None,
        },
        "python": platform.python_version(),
        "packages": packages(),
        "machine": {
            "system": platform.system(),
            "release": platform.release(),
            "architecture": platform.machine(),
            "implementation": platform.python_implementation(),
            "processors": cpu_count(),
        },
        "data": {data_name(path): checksum(path) for path in files},
        "start": now(),
    }


def recorded(folder: Path, past: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a notebook recorded in its run folder (figures, tables, data), added to what is known of the run."""
    entries = read_json(folder / RECORD)
    (folder / RECORD).unlink(missing_ok=True)
    if not (folder / NUMBERS).exists():
        write_json(folder / NUMBERS, {})
    return {kind: {**past.get(kind, {}), **entries.get(kind, {})} for kind in ("figures", "tables", "data", "trust")}


def doubts(folder: Path, past: Mapping[str, Any]) -> dict[str, str]:
    """Return why numbers and tables of a run are not to be trusted, by name; nothing where all are."""
    entries = {**past.get("tables", {}), **read_json(folder / NUMBERS)}
    return {name: entry["doubt"] for name, entry in entries.items() if "doubt" in entry}


def now() -> str:
    """Return the time in UTC, to the second, as ISO 8601 has it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def version() -> str:
    """Return the version of the workbench, or "not installed" when it runs from a bare folder."""
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "not installed"


def packages() -> dict[str, str]:
    """Return name and version of every package of this environment, so that it can be built again."""
    found = {item.metadata["Name"]: item.version for item in metadata.distributions() if item.metadata["Name"]}
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def git_state(folder: Path) -> dict[str, Any] | None:
    """Return commit and whether files differ from it, or None outside a git checkout (or where git ignores)."""
    if _git(folder, "check-ignore", "-q", ".") is not None:
        return None
    commit, status = _git(folder, "rev-parse", "HEAD"), _git(folder, "status", "--porcelain")
    return None if commit is None or status is None else {"commit": commit.strip(), "dirty": bool(status.strip())}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        command = ["git", "-C", str(folder), *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):
        return False


def main_versions(packages: Mapping[str, str]) -> dict[str, str]:
    """Return the versions a reader looks for first."""
    first = ("pymc", "pytensor", "nutpie", "numba", "numpy", "scipy", "xarray", "arviz")
    return {name: packages[name] for name in first if name in packages}
