"""What every peer speaks: the same command line in, one JSON record out.

`python -m benchmarks.peers.stan_lynx --task sample --seed 1 --json out.json` writes the draws and the seconds;
`--task gradient` writes the density and its gradient at the posterior points and the microseconds of one evaluation.
A peer hands `main` one function for each task it knows; the runner takes the time and memory of the process.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

LOOP, CALL = "in a compiled loop", "called from Python"  # the two ways in which one evaluation is timed


@dataclass(frozen=True)
class Settings:
    """What a peer is asked to sample. `start` is "reference" (near the known means) or "default" (the peer's own)."""

    seed: int
    draws: int
    tune: int
    chains: int
    start: str


@dataclass(frozen=True)
class Sampled:
    """Draws by name (`problem.NAMES`), each (chain, draw); seconds of sampling hold the tuning, not the compilation.

    Seconds of looking for a start stand apart: a peer that is given one has none.
    """

    draws: dict[str, list[list[float]]]
    sampling_seconds: float
    compile_seconds: float
    start_seconds: float
    version: str


@dataclass(frozen=True)
class Gradients:
    """Values (up to a constant) and gradients at the points; by way of calling, the microseconds of one."""

    values: list[float]
    gradients: list[list[float]]
    microseconds: dict[str, list[float]]
    compile_seconds: float
    version: str
    notes: str = ""


def time_sweeps(sweep: Callable[[], object], evaluations: int, *, repeats: int = 50) -> list[float]:
    """Return microseconds of one evaluation for each repeat; a repeat lasts about 20 ms, or one sweep.

    Many short repeats, so that some of them are disturbed by nothing else on the machine.
    """
    began = time.perf_counter()
    sweep()
    count = max(1, int(0.02 / max(time.perf_counter() - began, 1e-7)))
    measured = []
    for _ in range(repeats):
        began = time.perf_counter()
        for _ in range(count):
            sweep()
        measured.append(1e6 * (time.perf_counter() - began) / (count * evaluations))
    return measured


def main(
    peer: str,
    *,
    sample: Callable[[Settings], Sampled] | None = None,
    gradient: Callable[[], Gradients] | None = None,
) -> None:
    """Read the command line, run the task, write the record.

    Raises
    ------
    SystemExit
        The peer does not know the task.
    """
    parser = argparse.ArgumentParser(prog=peer)
    parser.add_argument("--task", choices=("sample", "gradient"), default="sample")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--tune", type=int, default=1000)
    parser.add_argument("--chains", type=int, default=2)
    parser.add_argument("--start", choices=("reference", "default"), default="reference")
    parser.add_argument("--json", type=Path, required=True, help="where the record is written")
    asked = parser.parse_args()
    began = time.perf_counter()
    result: Sampled | Gradients
    if asked.task == "sample" and sample is not None:
        result = sample(Settings(asked.seed, asked.draws, asked.tune, asked.chains, asked.start))
    elif asked.task == "gradient" and gradient is not None:
        result = gradient()
    else:
        raise SystemExit(f"{peer} does not know the task {asked.task!r}")
    seconds = time.perf_counter() - began
    record = {"peer": peer, "task": asked.task, "seed": asked.seed, "start": asked.start, "call_seconds": seconds}
    asked.json.write_text(json.dumps(record | asdict(result)))
