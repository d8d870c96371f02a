"""Cycles a second: a pendulum beside filterpy and particles, and ten states with 100 members.

`python -m benchmarks.filters.throughput`; `--python` names a Python that has filterpy and particles.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.run import print_machine, print_table, run_python


def seconds_of(model: Any, data: Any, chosen: Any, repeats: int = 3) -> tuple[float, Any]:
    """Return the least seconds of a run of the public verb, machine code being there, and its result."""
    import workbench as wb

    made, least = wb.assimilate(model, data, filter=chosen, seed=1), float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        made = wb.assimilate(model, data, filter=chosen, seed=1)
        least = min(least, time.perf_counter() - began)
    return least, made


def beside(python: str, count: int = 20_000) -> None:
    """Print microseconds a cycle of the pendulum, ours and the peers'; what a run takes once is in them."""
    import xarray as xr

    import workbench as wb
    from benchmarks.filters.problems import Pendulum, pendulum

    readings, rows = pendulum(count), []
    data, model = xr.Dataset({"y": ("time", readings)}, {"time": 0.01 * np.arange(count)}), Pendulum()
    ours = {
        "unscented": wb.UnscentedKalman(alpha=0.5, beta=2.0, kappa=1.0, gate=np.inf),
        "bootstrap": wb.ParticleFilter(1000, gate=np.inf),
    }
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        path = str(Path(folder) / "readings.npy")
        np.save(path, readings)
        for which, chosen in ours.items():
            mine, made = seconds_of(model, data, chosen)
            ended = run_python("-m", "benchmarks.peers.filterpy_particles", which, path, python=python)
            theirs = json.loads(ended.text.splitlines()[-1])
            name = "filterpy" if which == "unscented" else "particles"
            if which == "unscented":
                said = f"last angle {float(made['a'][-1]):.6f} and {theirs['angle']:.6f}"
            else:
                said = f"log evidence {float(made['log_evidence'][-1]):.1f} and {theirs['evidence']:.1f}"
            each = [1e6 * s / count for s in (mine, theirs["seconds"])]
            rows.append([
                f"{which}, {name} {theirs['version']}", f"{each[0]:.2f}", f"{each[1]:.1f}", f"{each[1] / each[0]:.0f}",
                said,
            ])  # fmt: skip
    print_table(("filter", "us a cycle, ours", "theirs", "times ours", "ours and theirs"), rows)


def ensemble(cycles: int) -> None:
    """Print updates a second of ten states, by members, and the memory of a long run that is kept in pieces."""
    import xarray as xr

    import workbench as wb
    from benchmarks.filters.problems import lorenz96

    start = np.full(10, 8.0)
    model, rng, rows = lorenz96(start, size=10, noise=0.1)(), np.random.default_rng(0), []
    times = 0.05 * np.arange(2001)
    truth = wb.simulate(model, times, parameters={"x_start": 0.1 * rng.normal(size=10)}, seed=1)["see"].values
    data = xr.Dataset(
        {"see": (("time", "place"), truth + rng.normal(size=truth.shape))}, {"time": times, "place": np.arange(10)}
    )
    least = None
    for members in (50, 100, 200, 400):
        seconds, _ = seconds_of(model, data, wb.EnKF(members))
        least = seconds / members if least is None else least
        rows.append([str(members), f"{times.size / seconds:.0f}", f"{1e6 * seconds / times.size / members:.2f}"])
    print_table(("members, ten states", "updates a second", "us a member and update"), rows)
    flat(model, data, cycles)


def flat(model: Any, data: Any, cycles: int) -> None:
    """Print the memory of this process as a filter goes on from its state, over and over."""
    import workbench as wb
    from workbench.sync.assimilate import bound
    from workbench.sync.observations import observe

    chosen = wb.EnKF(100)
    (plant,) = bound(model, observe(model, data), inputs=None, filter=chosen, parameters=None)
    begun, rows, done = chosen.init(plant, 1), [], 0
    state = begun
    for share in (0.1, 0.4, 0.7, 1.0):
        while done < share * cycles:
            state, _ = chosen.run(plant, begun)  # the same readings again
            done += data.sizes["time"]
        rows.append([f"{done}", f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}"])
    assert np.isfinite(state.arrays["members"]).all()
    print_table(("updates so far", "MB at most"), rows)


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="a Python that has filterpy and particles")
    parser.add_argument("--cycles", type=int, default=1_000_000, help="updates of the long run")
    asked = parser.parse_args()
    print_machine()
    beside(asked.python)
    ensemble(asked.cycles)


if __name__ == "__main__":
    main()
