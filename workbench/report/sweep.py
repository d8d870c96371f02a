"""One notebook over a grid of parameters, each run in a process of its own."""

import itertools
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.base.errors import ParameterError, WorkbenchError
from workbench.base.share import notebook as find
from workbench.report.files import read_json
from workbench.report.parameters import native, validate

if TYPE_CHECKING:
    import pandas as pd

_CHILD = """
import json, sys
from workbench.base.errors import WorkbenchError
from workbench.report.notebook import run_notebook
try:
    run_notebook(**json.load(sys.stdin), progress=False)
except WorkbenchError as error:
    sys.exit(str(error))
"""


def sweep(
    name_or_path: str | Path, grid: Mapping[str, Sequence[Any]], *, output: str | Path, workers: int = 1
) -> "pd.DataFrame":
    """Run a notebook for every combination of parameter values.

    Parameters
    ----------
    name_or_path
        A notebook that comes with the package, by name, or a path.
    grid
        Values to try for each parameter, such as `{"draws": [500, 1000], "seed": [1, 2, 3]}`.
    output
        Folder for the runs (`001`, `002`, ...) and `sweep.csv`.
    workers
        Runs at a time.

    Returns
    -------
    pandas.DataFrame
        A row for each run: `run`, the grid's parameters, `status`, `error`, `elapsed` (s), `doubts` (the names of
        numbers and tables that are not to be trusted), and every number that the notebook recorded. A failed run is a
        row with its error.

    Raises
    ------
    ParameterError
        If any combination is not valid; nothing has run then.
    """
    import pandas as pd

    path = find(name_or_path)
    for name, values in grid.items():
        if isinstance(values, str) or not isinstance(native(values), list):
            raise ParameterError(f"{name}: got {values!r}; expected a list of values to try")
    points = [dict(zip(grid, native(values), strict=True)) for values in itertools.product(*grid.values())]
    if not points or workers < 1:
        raise WorkbenchError(f"got {len(points)} combinations and {workers} workers; expected at least one of each")
    for point in points:
        validate(path, point)
    folder = Path(output).expanduser().absolute()
    digits = max(3, len(str(len(points))))
    jobs = [(f"{number:0{digits}d}", point) for number, point in enumerate(points, start=1)]
    with ThreadPoolExecutor(workers) as pool:
        rows = list(pool.map(lambda job: _one(path, folder / job[0], job[1]), jobs))
    result = pd.DataFrame(rows)
    result.to_csv(folder / "sweep.csv", index=False, encoding="utf-8")
    return result


def _one(path: Path, folder: Path, point: dict[str, Any]) -> dict[str, Any]:
    """Run one combination in a process of its own and return its row."""
    request = {"name_or_path": str(path), "parameters": point, "output": str(folder)}
    command = [sys.executable, "-c", _CHILD]
    done = subprocess.run(command, check=False, input=json.dumps(request), capture_output=True, text=True)
    failed = folder.with_name(f"{folder.name}-failed")
    past = read_json((failed if done.returncode and failed.exists() else folder) / "provenance.json")
    error = past.get("error") or (done.stderr.strip().splitlines() or ["the process stopped"])[-1]
    error = error if done.returncode else ""
    numbers = {} if error else read_json(folder / "numbers.json")
    return {
        "run": folder.name,
        **point,
        "status": "failed" if error else "completed",
        "error": error,
        "elapsed": past.get("elapsed"),
        "doubts": ", ".join(past.get("doubts", {})),
        **{name: entry["value"] for name, entry in numbers.items()},
    }
