"""Start a peer in a process of its own, wait for it, and read its record; print tables of what came back."""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[1]


@contextmanager
def fresh_caches() -> Iterator[dict[str, str]]:
    """Yield environment variables that point every peer's compile cache to an empty folder, gone afterwards.

    The first repeat of a benchmark then compiles cold and the later ones warm, and Stan cannot answer with the draws
    of an earlier day.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        yield {
            "XDG_CACHE_HOME": f"{folder}/xdg",
            "PYTENSOR_FLAGS": f"base_compiledir={folder}/pytensor",
            "NUMBA_CACHE_DIR": f"{folder}/numba",
            "WORKBENCH_CACHE": f"{folder}/workbench",
        }


@dataclass(frozen=True)
class Ended:
    """A process that ended well: wall and processor seconds, the peak memory of the largest of its processes, its text.

    Compilers and workers that it started count too.
    """

    seconds: float
    processor_seconds: float
    megabytes: float
    text: str


def run_python(*arguments: str, environment: Mapping[str, str] | None = None, python: str = sys.executable) -> Ended:
    """Run Python with the arguments in a fresh process, from the top of the checkout.

    Raises
    ------
    RuntimeError
        The process failed; the message ends with the last lines that it printed.
    """
    with tempfile.TemporaryFile("w+") as printed:
        began = time.perf_counter()
        process = subprocess.Popen(
            [python, *arguments], cwd=CHECKOUT, env=os.environ | dict(environment or {}),
            stdin=subprocess.DEVNULL, stdout=printed, stderr=subprocess.STDOUT,
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        printed.seek(0)
        text = printed.read()
    if process.returncode:
        last = "\n".join(text.splitlines()[-5:])
        raise RuntimeError(f"{' '.join(arguments[:2])} ended with code {process.returncode}:\n{last}")
    megabytes = usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    return Ended(seconds, usage.ru_utime + usage.ru_stime, megabytes, text)


def run_peer(module: str, *arguments: str, environment: Mapping[str, str], python: str) -> dict[str, Any] | None:
    """Run a peer and return its record with `process_seconds` and `largest_megabytes`, or None with a word why."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        path = Path(folder) / "record.json"
        try:
            command = ("-m", f"benchmarks.peers.{module}", *arguments, "--json", str(path))
            ended = run_python(*command, environment=environment, python=python)
        except RuntimeError as error:
            print(f"  {module} left out: {error}", flush=True)
            return None
        return json.loads(path.read_text()) | {"process_seconds": ended.seconds, "largest_megabytes": ended.megabytes}


def interpreters(given: Sequence[str], modules: Sequence[str]) -> dict[str, str]:
    """Return each peer's Python: this one, unless `PEER=PATH` says another.

    Raises
    ------
    SystemExit
        An entry names no known peer.
    """
    chosen = dict.fromkeys(modules, sys.executable)
    for entry in given:
        peer, _, path = entry.partition("=")
        if peer not in chosen or not path:
            raise SystemExit(f"got --python {entry!r}; expected PEER=PATH with a peer of {', '.join(modules)}")
        chosen[peer] = path
    return chosen


def print_machine() -> None:
    """Say where the numbers come from; a busy machine spoils them."""
    load = os.getloadavg()[0]
    busy = " (busy: the numbers below are not to be trusted)" if load > 0.5 else ""
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
          f"load before {load:.2f}{busy}\n", flush=True)  # fmt: skip


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table, so that it can be pasted into the record."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, ["-" * width for width in widths], *rows]:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        print(f"| {' | '.join(cells)} |")
    print(flush=True)
