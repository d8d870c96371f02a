"""Files of a run: written whole, named without the machine, known by their checksum."""

import hashlib
import json
from pathlib import Path
from typing import Any

from workbench.base.share import data_files


def write_json(path: Path, value: Any) -> None:
    """Write JSON (UTF-8, no NaN), whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    part.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """Return the mapping in a JSON file, or an empty one when there is no such file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def checksum(path: Path) -> dict[str, Any]:
    """Return the SHA-256 and size (bytes) of a file."""
    with path.open("rb") as file:
        return {"sha256": hashlib.file_digest(file, "sha256").hexdigest(), "bytes": path.stat().st_size}


def data_name(path: Path) -> str:
    """Return how provenance names a data file: below `data/` of the package, below the working folder, or by name."""
    resolved = path.resolve()
    for name, known in data_files().items():
        if known.resolve() == resolved:
            return f"data/{name}"
    here = Path.cwd().resolve()
    return resolved.relative_to(here).as_posix() if resolved.is_relative_to(here) else path.name
