"""A day of 10 000 patients with eight states beside diffrax and SciPy: `python -m benchmarks.engine.ensemble`.

Every run is a process of its own with its own cores. `--plot` draws how the cost grows with members and with time
steps into docs/ensemble.png.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.engine.glucose_peers import PEERS, by_scipy, prepared
from benchmarks.run import CHECKOUT, print_machine, print_table, run_python

CHECKED = 20  # members whose glucose is compared with a solution at tight tolerances
FEW = 100  # members of SciPy's loops; the seconds of all follow from them


def run(peer: str, cores: int, members: int, repeats: int) -> None:
    """Time one peer in this process and print the record as the last line."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    solve = PEERS[peer](members)
    began = time.perf_counter()
    made = solve()
    first = time.perf_counter() - began
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        solve()
        seconds.append(time.perf_counter() - began)
    print(json.dumps({"seconds": min(seconds), "first": first, "checked": made[:CHECKED].tolist()}))


def measured(peer: str, cores: int, members: int, repeats: int = 3) -> dict[str, Any]:
    """Return the record of a peer, run in a fresh process, with its peak memory."""
    ended = run_python(
        "-m", "benchmarks.engine.ensemble", "--run", peer, "--cores", str(cores), "--members", str(members),
        "--repeats", str(repeats), environment={"JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": str(cores)},
    )  # fmt: skip
    return json.loads(ended.text.splitlines()[-1]) | {"megabytes": ended.megabytes, "members": members}


def main() -> None:
    """Run every peer on one core and on two, print seconds and ratios, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3, help="the least of so many is printed")
    parser.add_argument("--plot", action="store_true", help="draw docs/ensemble.png")
    parser.add_argument("--run", choices=PEERS, help=argparse.SUPPRESS)
    parser.add_argument("--cores", type=int, default=1, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.run:
        run(asked.run, asked.cores, asked.members, asked.repeats)
        return
    print_machine()
    truth = by_scipy(CHECKED, "DOP853", 1e-11, 1e-12)()
    rows, found = [], dict[tuple[str, int], float]()
    for peer in PEERS:
        loop = peer.startswith("solve_ivp")
        for cores in (1,) if loop else (1, 2):
            made = measured(peer, cores, FEW if loop else asked.members, 1 if loop else asked.repeats)
            seconds = made["seconds"] * asked.members / made["members"]
            found[peer, cores] = seconds
            off = np.max(np.abs(np.array(made["checked"]) - truth) / (1 + truth))
            ours = [f"{seconds / found['workbench', k]:.1f}" if ("workbench", k) in found else "" for k in (1, 2)]
            rows.append([
                peer, str(cores), str(made["members"]), f"{seconds:.3f}", *ours, f"{off:.0e}",
                f"{made['first'] - made['seconds']:.1f}", f"{made['megabytes']:.0f}",
            ])  # fmt: skip
    head = (
        "peer",
        "cores",
        "members",
        f"s for {asked.members}",
        "/ ours, 1 core",
        "/ ours, 2 cores",
        "off",
        "compile s",
        "MB",
    )
    print_table(head, rows)
    for name in ("workbench", "workbench's kernel"):
        print(f"{name}: from 1 core to 2 {found[name, 1] / found[name, 2]:.2f} times")
    for peer, factor in (("workbench", 8), ("workbench, to zarr", 8), ("workbench, to zarr", 16)):
        made = measured(peer, 2, factor * asked.members, 1)
        print(f"{peer}: at most {made['megabytes']:.0f} MB for {made['members']} members")
    if asked.plot:
        draw()


def draw() -> None:
    """Draw processor seconds of the kernel against members, and against time steps, with lines through the middle."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import NullFormatter

    counts = (100, 300, 1000, 3000, 10_000, 30_000)
    by_members = [(count, _seconds(prepared(count))[0]) for count in counts]
    by_steps = [
        (steps, seconds) for seconds, steps in (_seconds(prepared(100, days)) for days in (2, 4, 8, 16, 32, 64))
    ]
    plt.rcParams |= {"font.size": 7, "axes.linewidth": 0.5, "lines.linewidth": 0.9, "lines.markersize": 3}
    figure, axes = plt.subplots(1, 2, figsize=(3.4, 1.7), layout="constrained")
    for axis, points, words in zip(axes, (by_members, by_steps), ("members", "time steps of a member"), strict=True):
        x, y = np.array(points).T
        slope = np.polyfit(np.log(x), np.log(y), 1)[0]
        print(f"processor seconds grow as {words} to the power {slope:.3f}")
        axis.loglog(x, y, "o", color="black")
        axis.loglog(x, y[len(x) // 2] * x / x[len(x) // 2], "-", color="0.6", zorder=0)
        axis.set_xlabel(words)
        axis.yaxis.set_minor_formatter(NullFormatter())
    axes[0].set_ylabel("s")
    figure.savefig(CHECKOUT / "docs" / "ensemble.png", dpi=200)


def _seconds(solve: Callable[[], Any]) -> tuple[float, float]:
    """Return the least processor seconds of three solves, and the mean steps of a member."""
    made, taken = solve(), []
    for _ in range(3):
        began = time.process_time()
        solve()
        taken.append(time.process_time() - began)
    return min(taken), float(made.log[..., 2].mean())


if __name__ == "__main__":
    main()
