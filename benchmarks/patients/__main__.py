"""Effective samples per second of two patients' calibrations, side by side: `python -m benchmarks.patients`.

    python -m benchmarks.patients --python PYTHON_WITH_DIFFRAX_AND_NUMPYRO --folder FOLDER

Ours is the notebook's default calibration; its seconds hold tuning and draws. The peer is sampled at the tolerance,
and by the mode of differentiation, whose gradient is the fastest of those that err no more than ours, or that are at
our model's own tolerance. It is sampled twice, always from draws of our posterior: with numpyro's own settings, where
seconds hold tuning and draws; and with the covariance of our posterior as its metric, where only the draws count.

`--folder` keeps the records of each step, and a later run goes on from there.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.run import print_machine, print_table, run_python

LADDER = (1e-4, 1e-5, 1e-6)  # relative tolerances of the peer; our models' own is the last
DEFAULTS = {
    "circulation": (1000, 1000),
    "glucose": (400, 400),
}  # draws and tuning of each of 4 chains, as the notebooks
PEER = {  # the same of each of 2 chains of the peer, by its metric
    "circulation": {"given": (300, 50), "own": (200, 200)},
    "glucose": {"given": (200, 50), "own": (150, 150)},
}
CHAINS = {"ours": 4, "theirs": 2}


def main() -> None:
    """Measure both sides of both studies, and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="*", help=f"of {', '.join(DEFAULTS)}; both without one")
    parser.add_argument("--python", default=sys.executable, help="a Python that has jax, diffrax and numpyro")
    parser.add_argument("--folder", type=Path, help="where records are kept")
    asked = parser.parse_args()
    unknown = set(asked.studies) - set(DEFAULTS)
    if unknown:
        parser.error(f"got study {unknown.pop()!r}; expected some of {', '.join(DEFAULTS)}")
    print_machine()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        for name in asked.studies or DEFAULTS:
            study(name, asked.python, (asked.folder or Path(scratch)).resolve())


def study(name: str, python: str, folder: Path) -> None:
    """Run what is not in the folder yet, and print the study."""
    folder.mkdir(parents=True, exist_ok=True)
    draws, tune = DEFAULTS[name]
    path = folder / f"{name}.json"
    sizes = (f"--draws={draws}", f"--tune={tune}", f"--chains={CHAINS['ours']}")
    ours = kept(path, "benchmarks.patients.ours", name, *sizes)
    task = ("benchmarks.patients.theirs", name, f"--record={path}", "--task")
    found = kept(folder / f"{name}_gradient.json", *task, "gradient", "--rtol", *map(str, LADDER), python=python)
    print(f"\n## {name}\n")
    fastest = gradients(ours, found)
    mode = ("--forward",) if fastest["forward"] else ()
    runs = [("workbench", ours, ours["sampling_seconds"])]
    for metric, (draws, tune) in PEER[name].items():
        sizes = (f"--draws={draws}", f"--tune={tune}", f"--chains={CHAINS['theirs']}", f"--metric={metric}")
        more = ("sample", "--rtol", str(fastest["rtol"]), *mode, *sizes)
        theirs = kept(folder / f"{name}_{metric}.json", *task, *more, python=python)
        spent = theirs["sampling_seconds"] + (theirs["tuning_seconds"] if metric == "own" else 0.0)
        runs.append((f"numpyro, {metric} metric", theirs, spent))
    sampled(ours, runs)
    print(f"{ours['version']}\n{found['version']}")


def kept(path: Path, module: str, *arguments: str, python: str = sys.executable) -> dict[str, Any]:
    """Return the record at a path, made first where it is not there."""
    if not path.exists():
        run_python("-m", module, *arguments, "--json", str(path), python=python)
    return json.loads(path.read_text())


def gradients(ours: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """Print whether it is the same model, and what a gradient takes; return the peer's fastest that errs no more."""
    gap = np.subtract(ours["exact"], found["exact"])
    slopes = np.subtract(ours["exact_gradients"], found["exact_gradients"])
    size = np.abs(ours["exact_gradients"]).max()
    print(f"Both at a fine tolerance, {gap.size} points of our posterior: log densities {np.mean(ours['exact']):.4f} "
          f"in the mean, theirs off by {gap.mean():.2g}, which varies by {np.ptp(gap):.2g}; gradients off by "
          f"{np.abs(slopes).max():.2g} of {size:.3g}\n")  # fmt: skip
    mine, error = statistics.median(ours["microseconds"]), off(ours["values"], ours["exact"])
    rows = [["workbench", "1e-06", f"{error:.1e}", f"{mine:.0f}", "1", f"{ours['compile_seconds']:.1f}"]]
    for row in found["rows"]:
        took = statistics.median(row["microseconds"])
        rows.append([f"diffrax, {'forward' if row['forward'] else 'reverse'}", f"{row['rtol']:.0e}",
                     f"{off(row['values'], found['exact']):.1e}", f"{took:.0f}", f"{took / mine:.1f}",
                     f"{row['compile_seconds']:.1f}"])  # fmt: skip
    head = ["log density with its gradient", "rtol", "largest error", "microseconds", "theirs / ours", "compile s"]
    print_table(head, rows)
    fair = [r for r in found["rows"] if r["rtol"] == LADDER[-1] or off(r["values"], found["exact"]) <= error]
    return min(fair, key=lambda r: statistics.median(r["microseconds"]))


def off(values: list[float], exact: list[float]) -> float:
    """Return the largest distance of log densities from the exact ones."""
    return float(np.abs(np.subtract(values, exact)).max())


def sampled(ours: dict[str, Any], runs: list[tuple[str, dict[str, Any], float]]) -> None:
    """Print effective samples a second of each run: its name, record, and the seconds that count."""
    rows, speeds = list[list[str]](), list[float]()
    mean, spread = (f(np.array(ours["draws"]), axis=(1, 2)) for f in (np.mean, np.std))
    for name, record, seconds in runs:
        draws = np.array(record["draws"])
        ess, rhat, worst = judged(draws, ours["names"])
        count = draws.shape[1] * draws.shape[2]
        speeds.append(ess / seconds)
        apart = (np.abs(draws.mean(axis=(1, 2)) - mean) / spread).max()
        ratio = f"{speeds[0] / speeds[-1]:.1f}" if rhat <= 1.05 else ""  # a speed without mixing means nothing
        rows.append([
            name, str(count), f"{ess:.0f}", worst, f"{rhat:.3f}{' not mixed' if rhat > 1.05 else ''}",
            f"{record['leapfrogs']:.1f}", f"{1e3 * ess / (count * record['leapfrogs']):.1f}", f"{seconds:.1f}",
            f"{speeds[-1]:.3g}", ratio, f"{apart:.2f}",
        ])  # fmt: skip
    head = ["sampler", "draws", "min ESS", "of", "max R-hat", "leapfrogs a draw", "ESS / 1000 leapfrogs", "seconds",
            "ESS/s", "ours / theirs", "means off ours, SD"]  # fmt: skip
    print_table(head, rows)


def judged(draws: Any, names: list[str]) -> tuple[float, float, str]:
    """Return the smallest bulk ESS, the largest R-hat, and which parameter has the least ESS."""
    from arviz_stats.base import array_stats

    ess = [float(array_stats.ess(d, chain_axis=0, draw_axis=1, method="bulk")) for d in draws]
    rhat = [float(array_stats.rhat(d, chain_axis=0, draw_axis=1)) for d in draws]
    return min(ess), max(rhat), names[int(np.argmin(ess))]


if __name__ == "__main__":
    main()
