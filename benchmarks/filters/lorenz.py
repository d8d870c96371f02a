"""Ensemble filters on Lorenz's equations beside DAPPER, on its truths and readings.

`python -m benchmarks.filters.lorenz`

`--python` names a Python that has DAPPER (it and other peers ask for different NumPys). Scores are mean errors of the
analysis (RMSE over the state, mean over time after DAPPER's burn-in), over ten seeds.
"""

import argparse
import json
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.dapper_lorenz import SETTINGS
from benchmarks.run import print_machine, print_table, run_python

PUBLISHED = {
    "lorenz63 root": 0.60, "lorenz63 perturbed": 0.56, "lorenz96 root": 0.18, "lorenz96 perturbed": 0.22,
}  # fmt: skip
"""What DAPPER's files say of these settings."""


def ours(setting: str, kept: Any, seeds: int) -> list[dict[str, float]]:
    """Return score and seconds of each seed; the first run, which compiles, is made twice."""
    import xarray as xr

    import workbench as wb
    from benchmarks.filters import problems

    _, update, options = SETTINGS[setting]
    analysis = wb.SquareRoot(rotate=options.get("rot", False)) if update == "Sqrt" else wb.PerturbedObservations()
    chosen = wb.EnKF(options["N"], analysis, inflation=options["infl"], gate=np.inf)
    make = problems.lorenz63 if setting.startswith("lorenz63") else problems.lorenz96
    model = make(kept["start"])()
    every, after, found = int(kept["every"]), int(kept["after"]), []
    for seed in (0, *range(seeds)):
        read, truth = kept[f"read{seed}"], kept[f"truth{seed}"]
        times = np.concatenate([[0.0], model.dt * every * np.arange(1, len(read) + 1)])
        padded = np.vstack([np.full(read.shape[1], np.nan), read])
        if make is problems.lorenz63:
            data = xr.Dataset({f"see_{n}": ("time", padded[:, k]) for k, n in enumerate("xyz")}, {"time": times})
        else:
            data = xr.Dataset({"see": (("time", "place"), padded)}, {"time": times, "place": np.arange(read.shape[1])})
        began = time.perf_counter()
        made = wb.assimilate(model, data, filter=chosen, seed=3000 + seed)
        seconds = time.perf_counter() - began
        if make is problems.lorenz63:
            analysed = np.stack([made[n].values for n in "xyz"], axis=1)
        else:
            analysed = made["x"].values + kept["start"]
        error = np.sqrt(np.mean((analysed[1:] - truth) ** 2, axis=1))
        found.append({"rmse": float(error[after:].mean()), "seconds": seconds})
    return found[1:]


def main() -> None:
    """Run every setting with both, and print scores, milliseconds a cycle and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--cycles", type=int, default=1000)
    parser.add_argument("--python", default=sys.executable, help="a Python that has DAPPER")
    asked = parser.parse_args()
    warnings.filterwarnings("ignore", "the filter does not follow")
    print_machine()
    rows, version = [], ""
    for setting in SETTINGS:
        with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
            path = str(Path(folder) / "made.npz")
            sizes = ("--seeds", str(asked.seeds), "--cycles", str(asked.cycles), "--out", path)
            one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "agg"}
            peer = ("-m", "benchmarks.peers.dapper_lorenz", setting, *sizes)
            ended = run_python(*peer, environment=one, python=asked.python)
            theirs = json.loads(ended.text.splitlines()[-1])
            with np.load(path) as kept:
                mine = ours(setting, dict(kept), asked.seeds)
        version = theirs["version"]
        scores = [np.array([run["rmse"] for run in runs]) for runs in (mine, theirs["runs"])]
        apart = scores[0] - scores[1]
        error = apart.std(ddof=1) / np.sqrt(apart.size)
        ms = [1e3 * np.median([run["seconds"] for run in runs]) / theirs["cycles"] for runs in (mine, theirs["runs"])]
        said = [f"{s.mean():.3f}" for s in scores]
        rows.append([
            setting, f"{PUBLISHED[setting]:.2f}", *said, f"{apart.mean():+.3f} ± {error:.3f}",
            f"{ms[0]:.3f}", f"{ms[1]:.2f}", f"{ms[1] / ms[0]:.0f}",
        ])  # fmt: skip
    head = ("setting", "published", "ours", version, "difference", "ms a cycle, ours", "theirs", "times ours")
    print_table(head, rows)


if __name__ == "__main__":
    main()
