"""Microseconds of one log density with its gradient, side by side: `python -m benchmarks.gradient`.

Each peer evaluates the density of `problem.py` at sixteen posterior points, in a process of its own, one after another
in rounds; every round gives the best of its sweeps and the table the median of the rounds. Each peer's gradients are
compared with finite differences of a density written with scipy alone (`oracle.py`).
"""

import argparse
import statistics
from typing import Any

from benchmarks.oracle import gradient
from benchmarks.peers.protocol import LOOP
from benchmarks.problem import posterior_points
from benchmarks.run import fresh_caches, interpreters, print_machine, print_table, run_peer

PEERS = ("c_lynx", "workbench_lynx", "stan_lynx", "diffrax_forward_lynx", "diffrax_lynx", "pymc_lynx")
HEAD = ("peer", "us", "least", "most", "times C", "times ours", "gradient off", "compile s", "MB")
Way = tuple[str, str]  # a peer, and how it is called
C: Way = ("C", LOOP)


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="rounds; medians are printed")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS)
    parser.add_argument("--python", action="append", default=[], metavar="PEER=PATH", help="a peer's own Python")
    asked = parser.parse_args()
    pythons = interpreters(asked.python, PEERS)
    print_machine()
    records: dict[Way, list[dict[str, Any]]] = {}
    with fresh_caches() as caches:
        for _ in range(asked.repeats):
            for peer in asked.peers:
                record = run_peer(peer, "--task=gradient", environment=caches, python=pythons[peer])
                if record is None:
                    continue
                for way, microseconds in record["microseconds"].items():
                    records.setdefault((record["peer"], way), []).append(record | {"best": min(microseconds)})
    medians = {name: statistics.median(run["best"] for run in runs) for name, runs in records.items()}
    truth = [gradient(point) for point in posterior_points()[:4]]
    print_table(HEAD, [row(way, runs, medians, truth) for way, runs in records.items()])
    for name, note in {peer: (runs[0]["version"], runs[0]["notes"]) for (peer, _), runs in records.items()}.items():
        print(f"{name}: {'; '.join(filter(None, note))}")


def row(way: Way, runs: list[dict[str, Any]], medians: dict[Way, float], truth: list[list[float]]) -> list[str]:
    """Return one line of the table; ours is compared with each peer as the peer is called."""
    best = [run["best"] for run in runs]
    against = [f"{medians[way] / medians[one]:.2f}" if one in medians else "" for one in (C, ("workbench", way[1]))]
    off = distance(runs[0]["gradients"], truth)
    return [
        ", ".join(way), f"{medians[way]:.2f}", f"{min(best):.2f}", f"{max(best):.2f}", *against, f"{off:.0e}",
        f"{runs[0]['compile_seconds']:.1f}", f"{max(run['largest_megabytes'] for run in runs):.0f}",
    ]  # fmt: skip


def distance(gradients: list[list[float]], truth: list[list[float]]) -> float:
    """Return the largest difference from the first points' true gradients, relative to max(1, |true|)."""
    return max(
        abs(each - true) / max(1.0, abs(true))
        for got, expected in zip(gradients, truth, strict=False)
        for each, true in zip(got, expected, strict=True)
    )


if __name__ == "__main__":
    main()
