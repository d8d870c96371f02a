"""Simulation-based calibration of five models, and what it costs: `python -m benchmarks.sbc`.

    python -m benchmarks.sbc --store FOLDER --figures docs        # 300 replicates of each model; goes on after a kill
    python -m benchmarks.sbc --compare --python PATH              # beside simuk, and beside compiling for each data set

Each study prints the gate, a row a quantity (p-value of its ranks, whether they stay within their 99 % band, coverage
of intervals), coverage of all parameters and of predictions, and draws the bands.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.run import print_machine, print_table, run_python
from benchmarks.studies import DESIGNS, WORDS


def main() -> None:
    """Run the studies, or the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="*", metavar="STUDY", help=f"of {', '.join(DESIGNS)}; all without one")
    parser.add_argument("-n", type=int, default=300, help="replicates of each study")
    parser.add_argument("--store", type=Path, help="folder of finished replicates")
    parser.add_argument("--figures", type=Path, help="folder of the pictures")
    parser.add_argument("--compare", action="store_true", help="what lynx and hare cost, beside other ways")
    parser.add_argument("--python", default=sys.executable, help="a Python that has simuk")
    asked = parser.parse_args()
    unknown = set(asked.studies) - set(DESIGNS)
    if unknown:
        parser.error(f"got study {unknown.pop()!r}; expected some of {', '.join(DESIGNS)}")
    print_machine()
    if asked.compare:
        compare(asked.python)
        return
    for name in asked.studies or DESIGNS:
        study(name, asked.n, store=asked.store, figures=asked.figures)


def study(name: str, n: int, *, store: Path | None, figures: Path | None) -> None:
    """Run one study, or go on with it, and print and draw what it found."""
    import workbench as wb
    from workbench.report.sbc import rank_differences

    made = DESIGNS[name]()
    if store is not None:
        store.mkdir(parents=True, exist_ok=True)
    path = None if store is None else store / f"{name}.jsonl"
    began = time.perf_counter()
    found = wb.sbc(
        made.model, made.data, n=n, inputs=made.inputs, pool=made.pool, draws=made.draws, seed=1, store=path,
        progress=False,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    print(f"\n{WORDS[name]}, {seconds:.0f} s\n{found!r}")
    covered = found.coverage()
    together = [label for label in covered.index.unique(level=0) if label not in found.p_values]
    rows = [[label, *(f"{100 * covered.loc[(label, m), 'share']:.1f}" for m in (50, 80, 90, 95))] for label in together]
    print_table(["coverage, %", "50", "80", "90", "95"], rows)
    if figures is not None:
        rank_differences(found).savefig(figures / f"sbc_{name}.png", dpi=200)


def compare(python: str, replicates: int = 12) -> None:
    """Print seconds of 300 replicates of lynx and hare: ours, compiled for each data set, and simuk's."""
    ours, fresh, steps = [], [], []
    for number, warm, cold in _timed(replicates):
        ours.append(warm[0])
        steps.append(warm[1])
        fresh.append(cold)
        print(f"  replicate {number}: {warm[0]:.2f} s, compiled anew {cold:.2f} s", flush=True)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        path = Path(folder) / "record.json"
        run_python("-m", "benchmarks.peers.simuk_lynx", "--json", str(path), python=python)
        theirs = json.loads(path.read_text())
    gradient = theirs["seconds"] / sum(theirs["gradients"])
    each = {
        "workbench, compiled once": sum(ours) / len(ours),
        "workbench, compiled for each data set": sum(fresh) / len(fresh),
        f"{theirs['version']}, as many gradients": gradient * sum(steps) / len(steps),
    }
    first = next(iter(each.values()))
    rows = [[way, f"{s:.2f}", f"{300 * s:.0f}", f"{s / first:.1f}"] for way, s in each.items()]
    print_table(["way, one process", "s a replicate", "s, 300 replicates", "times ours"], rows)
    print(f"simuk: {1e3 * gradient:.1f} ms a gradient; ours takes {sum(steps) / len(steps):.0f} for its draws")


def _timed(replicates: int) -> Iterator[tuple[int, tuple[float, int], float]]:
    """Yield a number, seconds and steps in machine code that is there already, and seconds with a compilation."""
    from workbench.calibrate.problem import pose
    from workbench.calibrate.sampling import density
    from workbench.calibrate.sbc.replicate import Study, replicate

    made = DESIGNS["lynx_hare"]()
    problem = pose(made.model, made.data)
    study = Study(problem, draws=made.draws, seed=1)
    replicate(study, 0)
    version = density.VERSION
    for number in range(1, replicates + 1):
        record = replicate(study, number)
        density._REMEMBERED.clear()
        density.VERSION = f"{version}, {time.time_ns()}"  # a key under which nothing was compiled
        cold = replicate(Study(problem, draws=made.draws, seed=1), number)
        yield number, (record["seconds"], record["steps"]), cold["seconds"]


if __name__ == "__main__":
    main()
