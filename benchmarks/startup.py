"""Seconds a person waits, from the start of a process to its end: `python -m benchmarks.startup`.

`import workbench` beside `import xarray`; and the lynx-hare posterior from the first line to the printed summary beside
a one-parameter PyMC model sampled by nutpie. Cold runs start with empty compile caches, warm ones follow in the same
caches. The two take turns, and medians are printed.
"""

import argparse
import statistics

from benchmarks.run import Ended, fresh_caches, print_machine, print_table, run_python

IMPORTS = {"import xarray": ("-c", "import xarray"), "import workbench": ("-c", "import workbench")}
SUMMARIES = {
    "PyMC, one parameter": ("-m", "benchmarks.peers.pymc_summary"),
    "workbench, lynx-hare": ("-m", "benchmarks.peers.workbench_summary"),
}
HEAD = ("run", "wall s", "least", "most", "processor s", "largest MB")


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="warm rounds")
    parser.add_argument("--cold", type=int, default=2, help="cold rounds")
    asked = parser.parse_args()
    print_machine()
    runs: dict[str, list[Ended]] = {}

    def once(what: str, name: str, command: tuple[str, ...], environment: dict[str, str] | None = None) -> None:
        runs.setdefault(f"{what}: {name}", []).append(run_python(*command, environment=environment))

    for command in IMPORTS.values():
        run_python(*command)  # writes the byte code
    for _ in range(asked.repeats):
        for name, command in IMPORTS.items():
            once("warm", name, command)
    for cold in range(asked.cold):
        with fresh_caches() as caches:
            for name, command in SUMMARIES.items():
                once("cold", name, command, caches)
            for _ in range(asked.repeats if cold == asked.cold - 1 else 0):
                for name, command in SUMMARIES.items():
                    once("warm", name, command, caches)
    medians = {name: statistics.median(run.seconds for run in each) for name, each in runs.items()}
    print_table(HEAD, [row(name, each) for name, each in sorted(runs.items())])
    for what, pair, most in (("warm", IMPORTS, 0.5), ("warm", SUMMARIES, 3.0), ("cold", SUMMARIES, 20.0)):
        theirs, ours = (f"{what}: {name}" for name in pair)
        print(f"{ours}: {medians[ours] - medians[theirs]:+.2f} s against {theirs} (aim: at most {most:+.1f} s)")


def row(name: str, runs: list[Ended]) -> list[str]:
    """Return one line of the table."""
    seconds = [run.seconds for run in runs]
    processor = statistics.median(run.processor_seconds for run in runs)
    columns = (statistics.median(seconds), min(seconds), max(seconds), processor)
    return [name, *(f"{each:.2f}" for each in columns), f"{max(run.megabytes for run in runs):.0f}"]


if __name__ == "__main__":
    main()
