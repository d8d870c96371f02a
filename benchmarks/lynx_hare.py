"""Effective samples per second on the lynx-hare posterior, side by side: `python -m benchmarks.lynx_hare`.

Every peer samples the posterior of `problem.py` in processes of its own, one peer after another, in rounds with seeds
1, 2, ... Seconds of sampling hold tuning and draws; compilation is not in them and has columns of its own, cold in the
first round and warm in the later ones.
"""

import argparse
import statistics
from typing import Any

from benchmarks.problem import NAMES, REFERENCE_MEAN, REFERENCE_SD
from benchmarks.run import fresh_caches, interpreters, print_machine, print_table, run_peer

PEERS = ("workbench_lynx", "stan_lynx", "diffrax_lynx", "diffrax_forward_lynx", "diffrax_dense_lynx")
HEAD = ("peer", "min ESS", "start s", "sampling s", "ESS/s", "ours / theirs", "compile cold s", "warm s", "process s",
        "max R-hat", "mean off, SD", "SD off, %", "MB cold", "MB warm")  # fmt: skip


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="rounds; medians are printed")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--tune", type=int, default=1000)
    parser.add_argument("--chains", type=int, default=2)
    parser.add_argument("--start", choices=("reference", "default"), default="reference",
                        help="peers start near the known means, or where they do by themselves")  # fmt: skip
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS)
    parser.add_argument("--python", action="append", default=[], metavar="PEER=PATH", help="a peer's own Python")
    asked = parser.parse_args()
    pythons = interpreters(asked.python, PEERS)
    settings = [f"--{name}={getattr(asked, name)}" for name in ("draws", "tune", "chains", "start")]
    print_machine()
    records: dict[str, list[dict[str, Any]]] = {peer: [] for peer in asked.peers}
    with fresh_caches() as caches:
        for seed in range(1, asked.repeats + 1):
            for peer in asked.peers:
                record = run_peer(peer, f"--seed={seed}", *settings, environment=caches, python=pythons[peer])
                if record is not None:
                    records[peer].append(record)
                    print(f"  seed {seed}: {record['peer']} sampled {record['sampling_seconds']:.2f} s", flush=True)
    # Only now: the memory of a process that starts others counts as theirs until they have begun.
    judged = {peer: judge(runs) for peer, runs in records.items() if runs}
    ours = judged.get("workbench_lynx", {}).get("speed")
    print()
    print_table(HEAD, [row(each, ours) for each in judged.values()])
    for each in judged.values():
        print(f"{each['name']}: {each['version']}")


def judge(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the medians of a peer's runs, and the worst R-hat and distance from the reference."""
    checks = [check(run["draws"]) for run in runs]
    warm = runs[1:] or runs
    return {
        "name": runs[0]["peer"],
        "version": runs[0]["version"],
        "ess": statistics.median(each["ess"] for each in checks),
        "start": statistics.median(run["start_seconds"] for run in warm),
        "speed": statistics.median(c["ess"] / spent(r) for c, r in zip(checks, runs, strict=True)),
        "rhat": max(each["rhat"] for each in checks),
        "mean_off": max(each["mean_off"] for each in checks),
        "sd_off": max(each["sd_off"] for each in checks),
        "cold": runs[0]["compile_seconds"],
        "warm": statistics.median(run["compile_seconds"] for run in warm),
        "sampling": statistics.median(run["sampling_seconds"] for run in runs),
        "process": statistics.median(run["process_seconds"] for run in warm),
        "cold_megabytes": runs[0]["largest_megabytes"],
        "megabytes": statistics.median(run["largest_megabytes"] for run in warm),
    }


def spent(run: dict[str, Any]) -> float:
    """Return the seconds that count: where no peer is given a start, looking for one is a part of sampling."""
    return run["sampling_seconds"] + (run["start_seconds"] if run["start"] == "default" else 0.0)


def check(draws: dict[str, list[list[float]]]) -> dict[str, float]:
    """Return the smallest bulk ESS, the largest R-hat, and the largest distances from the reference posterior."""
    import arviz as az
    import numpy as np

    posterior = {name: np.asarray(draws[name]) for name in NAMES}
    tree = az.from_dict({"posterior": posterior})
    ess, rhat = az.ess(tree, method="bulk"), az.rhat(tree)
    return {
        "ess": min(float(ess[name]) for name in NAMES),
        "rhat": max(float(rhat[name]) for name in NAMES),
        "mean_off": max(abs(posterior[name].mean() - REFERENCE_MEAN[name]) / REFERENCE_SD[name] for name in NAMES),
        "sd_off": max(abs(100 * (posterior[name].std() / REFERENCE_SD[name] - 1)) for name in NAMES),
    }


def row(each: dict[str, Any], ours: float | None) -> list[str]:
    """Return one line of the table."""
    ratio = "" if ours is None else f"{ours / each['speed']:.1f}"
    unmixed = " not mixed" if each["rhat"] > 1.05 else ""
    return [
        each["name"], f"{each['ess']:.0f}", f"{each['start']:.2f}", f"{each['sampling']:.2f}", f"{each['speed']:.1f}",
        ratio, f"{each['cold']:.1f}", f"{each['warm']:.1f}", f"{each['process']:.1f}", f"{each['rhat']:.3f}{unmixed}",
        f"{each['mean_off']:.2f}", f"{each['sd_off']:.0f}", f"{each['cold_megabytes']:.0f}", f"{each['megabytes']:.0f}",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
