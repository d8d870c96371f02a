"""Microseconds of a stiff log density with its gradient, beside Stan's: `python -m benchmarks.engine.robertson`.

The calibration is that of `robertson_problem.py`; the rest is as in `benchmarks.gradient`.
"""

import argparse
import statistics

from benchmarks.engine.robertson_problem import gradient, points
from benchmarks.gradient import distance
from benchmarks.peers.protocol import LOOP
from benchmarks.run import fresh_caches, interpreters, print_machine, print_table, run_peer

PEERS = ("workbench_robertson", "stan_robertson")
HEAD = ("peer", "us", "least", "most", "times ours", "gradient off", "compile s", "MB")


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="rounds; medians are printed")
    parser.add_argument("--python", action="append", default=[], metavar="PEER=PATH", help="a peer's own Python")
    asked = parser.parse_args()
    pythons = interpreters(asked.python, PEERS)
    print_machine()
    truth = [gradient(point) for point in points()[:4]]
    rows, ours = [], None
    with fresh_caches() as caches:
        rounds = [
            [run_peer(peer, "--task=gradient", environment=caches, python=pythons[peer]) for peer in PEERS]
            for _ in range(asked.repeats)
        ]
    for runs in zip(*rounds, strict=True):
        known = [run for run in runs if run is not None]
        if not known:
            continue
        best = [min(run["microseconds"][LOOP]) for run in known]
        middle = statistics.median(best)
        ours = ours or middle
        off, megabytes = distance(known[0]["gradients"], truth), max(run["largest_megabytes"] for run in known)
        rows.append([
            known[0]["peer"], f"{middle:.1f}", f"{min(best):.1f}", f"{max(best):.1f}", f"{middle / ours:.1f}",
            f"{off:.0e}", f"{known[0]['compile_seconds']:.1f}", f"{megabytes:.0f}",
        ])  # fmt: skip
        print(f"{known[0]['peer']}: {known[0]['version']}; {known[0]['notes']}")
    print_table(HEAD, rows)


if __name__ == "__main__":
    main()
