"""The workbench's side, in a process of its own: `python -m benchmarks.patients.ours STUDY --json PATH`.

The record holds what a peer needs as well: readings and inputs, points of the posterior, its covariance.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

import workbench as wb
from benchmarks.patients.problems import STUDIES, Study
from benchmarks.peers.protocol import time_sweeps
from benchmarks.peers.workbench_density import versions
from workbench.calibrate.sampling.density import Density, compile_density

POINTS = 8


def measured(study: Study, draws: int, tune: int, chains: int, seed: int) -> dict[str, Any]:
    """Return the record of a calibration and of its log density."""
    began = time.perf_counter()
    density = compile_density(wb.to_pymc(study.model, study.data, inputs=study.inputs))
    compiled = time.perf_counter() - began
    fine = compile_density(wb.to_pymc(study.fine, study.data, inputs=study.inputs))
    made = wb.calibrate(
        study.model, study.data, inputs=study.inputs, draws=draws, tune=tune, chains=chains, seed=seed, progress=False
    )
    posterior = made.tree["posterior"]
    names = [variable.name for variable in density.space.variables]
    drawn = np.stack([posterior[n].transpose("chain", "draw").values for n in names], axis=-1)
    free = unconstrained(density, drawn.reshape(-1, len(names)))
    points = free[np.linspace(0, len(free) - 1, POINTS).astype(int)]
    found, exact = [density.evaluate(point) for point in points], [fine.evaluate(point) for point in points]
    microseconds = time_sweeps(lambda: [density.evaluate(point) for point in points], POINTS)
    return {
        "names": names, "draws": np.moveaxis(drawn, -1, 0).tolist(), "points": points.tolist(),
        "covariance": np.cov(free.T).tolist(), "values": [v for v, _ in found],
        "gradients": [g.tolist() for _, g in found], "exact": [v for v, _ in exact],
        "exact_gradients": [g.tolist() for _, g in exact],
        "microseconds": microseconds, "compile_seconds": compiled, "start_seconds": posterior.attrs["start_time"],
        "sampling_seconds": posterior.attrs["sampling_time"],
        "leapfrogs": float(made.tree["sample_stats"]["n_steps"].mean()), "version": versions(), "told": study.told,
    }  # fmt: skip


def unconstrained(density: Density, drawn: Any) -> Any:
    """Return draws (n, parameters) as the sampler saw them."""
    return np.stack([v.unconstrain(drawn[:, k]) for k, v in enumerate(density.space.variables)], axis=1)


def main() -> None:
    """Measure, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--draws", type=int, required=True)
    parser.add_argument("--tune", type=int, required=True)
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, required=True)
    asked = parser.parse_args()
    record = measured(STUDIES[asked.study](), asked.draws, asked.tune, asked.chains, asked.seed)
    asked.json.write_text(json.dumps(record, default=lambda array: array.tolist()))


if __name__ == "__main__":
    main()
