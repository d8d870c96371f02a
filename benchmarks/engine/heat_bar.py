"""The gradient of 200 conductivities of a heat bar, in forward solves: `python -m benchmarks.engine.heat_bar`.

A bar of 200 cells, each with its own conductivity, is heated at one end and read at every tenth cell at 20 times. One
evaluation of the log density with its gradient (the discrete adjoint) is compared with one solve of the values alone
by the same method at the same tolerances; `--forward` takes forward sensitivities instead.
"""

import argparse
import json
import time
from typing import Any

import numpy as np

import workbench as wb
from benchmarks.run import print_machine, print_table, run_python

READ_EVERY = 10


class HeatBar(wb.Ode):
    """Heat conduction along a bar of length 1 m, one end at 1 K, the other insulated; finite volumes."""

    time_unit = "h"
    rtol = 1e-6
    atol = 1e-8
    cells: int = 200
    T = wb.State("K", start=0.0, dims=("cell",))
    k = wb.Parameter("1/h", prior=wb.prior.LogNormal(median=1.0, sigma=0.3), dims=("cell",))
    hot = wb.Parameter("K", value=1.0)
    T_read = wb.Output("K", noise=wb.noise.Normal(sigma=0.01), dims=("sensor",))

    def coords(self):
        return {"cell": np.arange(self.cells), "sensor": np.arange(0, self.cells, READ_EVERY)}

    def rhs(self, t, x, u, p):
        face = 2 * self.cells**2 * p.k[1:] * p.k[:-1] / (p.k[1:] + p.k[:-1])
        inner = face * (x.T[:-1] - x.T[1:])
        entering = 2 * self.cells**2 * p.k[:1] * (p.hot - x.T[:1])
        flow = wb.math.concatenate([entering, inner])
        return {"T": flow - wb.math.concatenate([inner, 0 * inner[:1]])}

    def observe(self, t, x, u, p):
        return {"T_read": x.T[::READ_EVERY]}


def run(repeats: int, *, forward: bool) -> None:
    """Time solves and gradients in this process, and print the record as the last line."""
    from workbench.calibrate.density import compile_density
    from workbench.calibrate.problem import pose
    from workbench.simulate.kernel import solve

    model = type(HeatBar)("HeatBar", (HeatBar,), {"adjoint": not forward})()
    times = np.linspace(0.0, 1.0, 21)
    data = wb.simulate(model, times, parameters={})[["T_read"]]
    noise = np.random.default_rng(1).normal(0.0, 0.01, data["T_read"].shape)
    data["T_read"] = data["T_read"].copy(data=data["T_read"].values + noise)
    problem = pose(model, data)
    theta = np.concatenate([np.ravel(np.broadcast_to(q.nominal(), model.shape(q))) for q in model.theta.values()])
    given: Any = {"rows": problem.rows, "times": problem.observations.time, "method": problem.method}
    began = time.perf_counter()
    density = compile_density(wb.to_pymc(model, data))
    compiled, point = time.perf_counter() - began, np.zeros(model.cells)
    seconds = {
        "solve": _least(lambda: solve(model, theta[None, None, :], problem.schedule, **given), repeats),
        "gradient": _least(lambda: density.evaluate(point), repeats),
    }
    print(json.dumps(seconds | {"compiled": compiled, "method": getattr(problem.method, "name", "")}))


def _least(call: Any, repeats: int) -> float:
    """Return the least processor seconds of some calls."""
    call()
    taken = []
    for _ in range(repeats):
        began = time.process_time()
        call()
        taken.append(time.process_time() - began)
    return min(taken)


def main() -> None:
    """Run in a process of its own, and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="the least of so many is printed")
    parser.add_argument("--forward", action="store_true", help="forward sensitivities instead of the adjoint")
    parser.add_argument("--run", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.run:
        run(asked.repeats, forward=asked.forward)
        return
    print_machine()
    chosen = ["--forward"] if asked.forward else []
    ended = run_python("-m", "benchmarks.engine.heat_bar", "--run", "--repeats", str(asked.repeats), *chosen)
    made = json.loads(ended.text.splitlines()[-1])
    solve, gradient = made["solve"], made["gradient"]
    row = [
        made["method"], f"{1e3 * solve:.2f}", f"{1e3 * gradient:.2f}", f"{gradient / solve:.1f}",
        f"{made['compiled']:.1f}", f"{ended.megabytes:.0f}",
    ]  # fmt: skip
    print_table(("method", "solve, ms", "gradient, ms", "solves a gradient", "compile s", "peak MB"), [row])


if __name__ == "__main__":
    main()
