"""The command line and the tables of the benchmarks of solvers."""

import argparse
import json
import os
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import workbench as wb
from benchmarks.engine.precision import ALSO_OURS, OURS, Curves, fastest, measure, plot, ratios
from benchmarks.engine.solvers import VERSIONS
from benchmarks.run import CHECKOUT, print_machine, print_table
from tests.stiff_models import Problem

TOLERANCES = [10.0**-k for k in range(2, 14)]


def compare(
    words: str | None, names: Iterable[str], problem: Callable[[str], Problem], peers: Sequence[str], *,
    errors: Sequence[float], picture: str, drawn: Sequence[str],
) -> None:  # fmt: skip
    """Read the command line, measure every problem on one core, print ratios at the same error, and draw some."""
    parser = argparse.ArgumentParser(description=words, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", nargs="+", choices=list(names), default=list(names))
    parser.add_argument("--peers", nargs="+", choices=peers[1:], default=peers[1:])
    parser.add_argument("--repeats", type=int, default=5, help="rounds; medians are printed")
    parser.add_argument("--plot", action="store_true", help=f"draw docs/{picture}")
    parser.add_argument("--json", type=Path, help="where all points are written")
    asked = parser.parse_args()
    os.environ["JAX_PLATFORMS"] = "cpu"
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # seconds of the processor mean one core, for all
    print_machine()
    found: dict[str, Curves] = {}
    for name in asked.problems:
        found[name] = measure(problem(name), [OURS, *asked.peers], TOLERANCES, rounds=asked.repeats)
        print_problem(name, found[name], errors)
    print_summary(found, errors)
    print(f"workbench {wb.__version__}, {', '.join(f'{name} {version(name)}' for name in VERSIONS)}")
    if asked.json:
        rows = {n: {peer: [asdict(p) for p in points] for peer, points in c.items()} for n, c in found.items()}
        asked.json.write_text(json.dumps(rows))
    if asked.plot:
        plot({name: found[name] for name in drawn if name in found}, CHECKOUT / "docs" / picture)


def print_problem(name: str, curves: Curves, errors: Sequence[float]) -> None:
    """Print our microseconds at each tolerance, and the peers' ratios at each error."""
    made = ratios(curves, errors)
    for each in (OURS, *ALSO_OURS):
        points = curves.get(each, [])
        print(f"{name}, {each}: " + ", ".join(f"{p.rtol:.0e} {1e6 * p.seconds:.0f} us ({p.error:.0e})" for p in points))
    rows = [[peer, *(f"{value:.2f}" for value in row)] for peer, row in made.items()]
    print_table([f"{name}: theirs / ours at", *(f"{error:.0e}" for error in errors)], rows)


def print_summary(found: dict[str, Curves], errors: Sequence[float]) -> None:
    """Print the fastest peer of each problem at each error, and the median and least of each peer over the problems."""
    made = {name: ratios(curves, errors) for name, curves in found.items()}
    rows = []
    for name, one in made.items():
        best = [fastest(one, k) for k in range(len(errors))]
        rows.append([name, *(f"{ratio:.2f} {peer}" for peer, ratio in best)])
    print_table(["fastest peer / ours at", *(f"{error:.0e}" for error in errors)], rows)
    peers = dict.fromkeys(peer for one in made.values() for peer in one)
    rows = []
    for peer in peers:
        columns = [[one[peer][k] for one in made.values() if peer in one] for k in range(len(errors))]
        columns = [[v for v in column if v == v] for column in columns]
        rows.append([peer, *(f"{statistics.median(c):.2f} ({min(c):.2f})" if c else "" for c in columns)])
    print_table(["median (least) over problems", *(f"{error:.0e}" for error in errors)], rows)
