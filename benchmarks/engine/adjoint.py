"""A gradient by many parameters beside forward solves: `python -m benchmarks.engine.adjoint`.

A heat bar of 200 cells with a conductivity each, read at two places 21 times: one log density with its gradient by the
200 conductivities, by the discrete adjoint, in units of one solve without a gradient. `--forward` adds forward
sensitivities. Every kind of gradient runs in a process of its own, whose peak memory is printed beside that of one that
only solves. Numbers are the least of many calls, as other work on the machine only ever adds.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.run import print_machine, print_table
from tests.vector_models import HeatBar

TIMES = np.linspace(0.0, 20.0, 21)
INPUTS = {"left": 1.0, "heat": {0.0: 0.0, 20.0: 0.1}, "flash": {}}
METHODS = ("Rodas5P", "Tsit5", "DOP853")


class Back(HeatBar):
    """Gradients go back over the steps."""

    adjoint = True


class Forth(HeatBar):
    """Gradients go forward with the steps."""

    adjoint = False


def least(call: Callable[[], Any], *, seconds: float = 3.0) -> float:
    """Return the least milliseconds of calls repeated for some seconds."""
    found, end = list[float](), time.perf_counter() + seconds
    while len(found) < 5 or time.perf_counter() < end:
        begin = time.perf_counter()
        call()
        found.append(1e3 * (time.perf_counter() - begin))
    return min(found)


def measure(kind: str, name: str, cells: int) -> dict[str, float]:
    """Return milliseconds of a solve and of a gradient, seconds to compile, and the peak memory in MB."""
    import pytensor
    import pytensor.tensor as pt

    from workbench.base.clock import Clock
    from workbench.simulate.adjoint import operation
    from workbench.simulate.kernel import DOP853, RODAS5P, TSIT5, solve
    from workbench.simulate.scenario import build_schedule

    method = {m.name: m for m in (DOP853, RODAS5P, TSIT5)}[name]
    model = (Forth if kind == "forward" else Back)(cells=cells)
    ends = TIMES[:1], TIMES[-1:]
    schedule = build_schedule(model, INPUTS, units=None, begin=ends[0], end=ends[1], clock=Clock.of(TIMES, "s"))
    rows = np.array([0, TIMES.size])
    point = np.log((1.0 if name == "Rodas5P" else 1e-3) * (1 + 0.1 * np.sin(np.arange(cells))))
    made = solve(model, np.exp(point)[None, None], schedule, rows=rows, times=TIMES, method=method)
    found = {
        "solve": least(lambda: solve(model, np.exp(point)[None, None], schedule, rows=rows, times=TIMES, method=method))
    }
    found |= {"steps": float(made.log[0, 0, 2]), "gradient": np.nan, "compile": np.nan}
    if kind != "solve":
        begin = time.perf_counter()
        x = pt.dvector("x")
        arrays = (schedule.offset, schedule.begin, schedule.level, schedule.slope, schedule.jump, rows, TIMES)
        outputs = operation(model, method, schedule)(pt.exp(x)[None, :], *arrays)[0]
        away = (outputs - (made.outputs[0] + 0.01)) / 0.1
        logp = -0.5 * (away**2).sum() - 0.5 * (((x - np.log(0.5)) / 0.3) ** 2).sum()
        density = pytensor.function([x], [logp, pt.grad(logp, x)], mode="NUMBA", trust_input=True)
        density(point)
        found["compile"] = time.perf_counter() - begin
        found["gradient"] = least(lambda: density(point))
    return found | {"memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def main() -> None:
    """Measure each kind in its own process, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS[:2])
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--forward", action="store_true", help="forward sensitivities too; they compile for a minute")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(*asked.one, asked.cells)))
        return
    print_machine()
    rows = []
    for method in asked.methods:
        for kind in ("solve", "adjoint", *(["forward"] if asked.forward else [])):
            command = [
                sys.executable,
                "-m",
                "benchmarks.engine.adjoint",
                "--one",
                kind,
                method,
                "--cells",
                str(asked.cells),
            ]
            made = json.loads(
                subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1]
            )
            ratio = made["gradient"] / made["solve"]
            numbers = (f"{made['steps']:.0f}", f"{made['solve']:.2f}", f"{made['gradient']:.2f}", f"{ratio:.1f}")
            rows.append([method, kind, *numbers, f"{made['compile']:.1f}", f"{made['memory']:.0f}"])
    print_table(["method", "kind", "steps", "solve ms", "gradient ms", "solves", "compile s", "peak MB"], rows)


if __name__ == "__main__":
    main()
