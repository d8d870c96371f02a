"""Work and precision: seconds of one solve against its error, and the ratios of seconds at the same error."""

import math
import statistics
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.engine.solvers import PEERS
from tests.stiff_models import Problem

OURS = "workbench"
ALSO_OURS = ("workbench, told", "wb.simulate")  # told that the problem is stiff; with the Dataset
LEAST = 0.01  # seconds that one measurement lasts at least


@dataclass(frozen=True)
class Point:
    """One tolerance of one solver: the error at the end, and the processor seconds of one solve."""

    rtol: float
    error: float
    seconds: float


Curves = Mapping[str, Sequence[Point]]


def measure(problem: Problem, names: Iterable[str], tolerances: Sequence[float], *, rounds: int) -> Curves:
    """Time every solver at every tolerance; the solvers take turns in each round, and medians are kept.

    Seconds are of this process alone, so what else the machine does disturbs them little. A solver that fails at a
    tolerance, or whose error is no number, is left out there.
    """
    ready: dict[tuple[str, float], Any] = {}
    for name in names:
        for rtol in tolerances:
            made = _prepare(problem, name, rtol)
            if made is not None:
                ready[name, rtol] = made
    seconds: dict[tuple[str, float], list[float]] = {place: [] for place in ready}
    for _ in range(rounds):
        for place, (run, count, _) in ready.items():
            began = time.process_time()
            for _ in range(count):
                run()
            seconds[place].append((time.process_time() - began) / count)
    curves: dict[str, list[Point]] = {}
    for (name, rtol), taken in seconds.items():
        curves.setdefault(name, []).append(Point(rtol, ready[name, rtol][2], statistics.median(taken)))
    return curves


def _prepare(problem: Problem, name: str, rtol: float) -> tuple[Any, int, float] | None:
    """Return a solve, how often to repeat it, and its error; None where it fails."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            run, read = PEERS[name](problem, rtol)
            error = problem.error(read(run()))
        except Exception as failure:
            print(f"  {name} at {rtol:.0e}: {type(failure).__name__}: {str(failure)[:100]}", flush=True)
            return None
        if not error < 1:
            print(f"  {name} at {rtol:.0e}: no solution", flush=True)
            return None
        began = time.process_time()
        run()
        return run, max(1, math.ceil(LEAST / max(time.process_time() - began, 1e-6))), max(error, 1e-16)


def seconds_at(points: Sequence[Point], error: float) -> float:
    """Return the least seconds in which a solver stays below an error; NaN where none of its runs does.

    Between two runs of which each is the fastest for its error, logarithms of seconds and error lie on a line.
    """
    front = list[Point]()
    for point in sorted(points, key=lambda p: (p.seconds, p.error)):
        if not front or point.error < front[-1].error:
            front.append(point)
    if not front or front[-1].error > error:
        return math.nan
    errors = [math.log(p.error) for p in reversed(front)]
    return math.exp(np.interp(math.log(error), errors, [math.log(p.seconds) for p in reversed(front)]))


def ratios(curves: Curves, errors: Sequence[float]) -> dict[str, list[float]]:
    """Return, by peer, its seconds at each error as multiples of ours."""
    ours = [seconds_at(curves[OURS], error) for error in errors]
    others = {name: points for name, points in curves.items() if name not in (OURS, *ALSO_OURS)}
    return {name: [seconds_at(p, e) / our for e, our in zip(errors, ours, strict=True)] for name, p in others.items()}


def fastest(made: Mapping[str, Sequence[float]], k: int) -> tuple[str, float]:
    """Return the fastest peer at the k-th error, and its ratio."""
    reached = {name: row[k] for name, row in made.items() if not math.isnan(row[k])}
    name = min(reached, key=lambda each: reached[each], default="")
    return name, reached.get(name, math.nan)


STYLES = {
    OURS: ("-", "o", "black"), "LSODA": ("--", "s", "0.35"), "Radau": (":", "^", "0.35"), "CVODE": ("-.", "D", "0.35"),
    "DOP853": (":", "^", "0.35"), "Kvaerno5": ("--", "v", "0.65"), "Tsit5": ("--", "v", "0.65"),
    "Dopri8": ("-.", "D", "0.65"),
}  # fmt: skip


def plot(found: Mapping[str, Curves], path: Path) -> None:
    """Draw seconds against error for each problem, one above the other, in one column of a page."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    plt.rcParams |= {"font.size": 7, "axes.linewidth": 0.5, "lines.linewidth": 0.9, "lines.markersize": 2.5}
    figure, axes = plt.subplots(
        len(found), 1, figsize=(3.4, 1.35 * len(found) + 0.5), sharex=True, layout="constrained"
    )
    for axis, (title, curves) in zip(np.atleast_1d(axes), found.items(), strict=True):
        for name, points in curves.items():
            if name in STYLES:
                line, marker, colour = STYLES[name]
                axis.loglog(
                    [p.error for p in points], [p.seconds for p in points], ls=line, marker=marker, color=colour,
                    label=name,
                )  # fmt: skip
        axis.set_title(title, loc="left", fontsize=7)
        axis.set_ylabel("s per solve")
    axis.set_xlabel("error at the end")
    axis.invert_xaxis()
    handles = {label: h for a in figure.axes for h, label in zip(*a.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=3, frameon=False)
    figure.savefig(path, dpi=200)
