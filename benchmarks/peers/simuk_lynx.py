"""`simuk`: simulation-based calibration of the lynx-hare model on PyMC's own route through differential equations.

A run of the same size as ours would take days, so posteriors are kept short, and what is told is seconds a gradient:
those of all of `simuk`'s run, over the leapfrog steps that its samplers took. A replicate with as many gradients as
ours takes is then extrapolated.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from benchmarks.problem import HARE, LYNX, YEARS


def model() -> Any:
    """Return the PyMC model, its readings as data that `simuk` may change."""
    import numpy as np
    import pymc as pm
    import pytensor.tensor as pt
    from pymc.ode import DifferentialEquation

    def slope(y: Any, t: Any, p: Any) -> list[Any]:
        return [(p[0] - p[1] * y[1]) * y[0], (-p[2] + p[3] * y[0]) * y[1]]

    solve = DifferentialEquation(slope, times=YEARS[1:], n_states=2, n_theta=4, t0=YEARS[0])
    with pm.Model() as made:
        alpha, gamma = (pm.TruncatedNormal(n, mu=1.0, sigma=0.5, lower=0.0) for n in ("alpha", "gamma"))
        beta, delta = (pm.TruncatedNormal(n, mu=0.05, sigma=0.05, lower=0.0) for n in ("beta", "delta"))
        starts = [pm.LogNormal(n, mu=np.log(10.0), sigma=1.0) for n in ("hare0", "lynx0")]
        sigmas = [pm.LogNormal(n, mu=-1.0, sigma=1.0) for n in ("sigma_hare", "sigma_lynx")]
        later = solve(y0=pt.stack(starts), theta=pt.stack([alpha, beta, gamma, delta]))
        states = pt.concatenate([pt.stack(starts)[None], later])
        for k, (name, readings) in enumerate((("hare", HARE), ("lynx", LYNX))):
            data = pm.Data(f"{name}_data", np.array(readings))
            pm.LogNormal(f"{name}_pelts", mu=pt.log(states[:, k]), sigma=sigmas[k], observed=data)
    return made


def main() -> None:
    """Run `simuk` and write seconds and gradients."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=3)
    parser.add_argument("--transitions", type=int, default=20, help="of one chain, half of them tuning")
    parser.add_argument("--json", type=Path, required=True)
    asked = parser.parse_args()
    import pymc as pm
    import simuk

    steps: list[int] = []
    sample = pm.sample

    def counted(*arguments: Any, **keywords: Any) -> Any:
        tree = sample(*arguments, **keywords, discard_tuned_samples=False)
        groups = [name for name in ("sample_stats", "warmup_sample_stats") if name in tree.children]
        steps.append(int(sum(tree[name]["n_steps"].sum() for name in groups)))
        return tree

    pm.sample = counted  # simuk calls it by this name
    half = asked.transitions // 2
    settings = {"chains": 1, "cores": 1, "tune": half, "draws": half, "nuts_sampler": "pymc", "progressbar": False}
    began = time.perf_counter()
    simuk.SBC(
        model(), num_simulations=asked.replicates, sample_kwargs=settings, seed=1, progress_bar=False
    ).run_simulations()
    record = {"seconds": time.perf_counter() - began, "gradients": steps, "version": f"simuk {simuk.__version__}, "
              f"PyMC {pm.__version__}"}  # fmt: skip
    asked.json.write_text(json.dumps(record))


if __name__ == "__main__":
    main()
