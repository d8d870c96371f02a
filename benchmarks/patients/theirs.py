"""diffrax and numpyro in double precision, in a process of their own; they need only this folder and our record.

`python -m benchmarks.patients.theirs STUDY --record PATH --task gradient --json PATH` compares the log density with
ours at points of our posterior and times it, by forward and reverse mode; `--task sample` runs NUTS, one process a
chain. What favours it: chains begin at draws of our posterior; and with `--metric given` the metric is dense and is the
covariance of our posterior, so that only the step size is tuned. Seconds of tuning are told apart.
"""

import argparse
import json
import os
import time
from functools import partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.peers.diffrax_lynx import compile_clock
from benchmarks.peers.protocol import time_sweeps

FINE = 1e-10
ATOL = {"circulation": 1.0, "glucose": 1e-3}  # absolute tolerance / relative


def load() -> None:
    """Ask for one thread of the CPU and double precision, which must be said before JAX starts."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    import jax

    jax.config.update("jax_enable_x64", True)


def stated(study: str, record: dict[str, Any], rtol: float, *, forward: bool) -> Any:
    """Return the study's numpyro model, solved to a relative tolerance."""
    module = import_module(f"benchmarks.patients.theirs_{study}")
    return module.model(record["told"], rtol, ATOL[study] * rtol, forward=forward)


def evaluation(study: str, record: dict[str, Any], rtol: float, *, forward: bool) -> Any:
    """Return the function from a point on the unconstrained scale to the log density and its gradient."""
    import jax
    from numpyro.infer.util import initialize_model

    setup = initialize_model(
        jax.random.PRNGKey(0), stated(study, record, rtol, forward=forward), validate_grad=False,
        forward_mode_differentiation=forward,
    )  # fmt: skip

    def density(q: Any) -> Any:
        return -setup.potential_fn(dict(zip(record["names"], q, strict=True)))

    def forwards(q: Any) -> Any:
        slope, value = jax.jacfwd(lambda at: (density(at),) * 2, has_aux=True)(q)  # one solve for both
        return value, slope

    return forwards if forward else jax.value_and_grad(density)


def gradient(study: str, record: dict[str, Any], tolerances: list[float]) -> dict[str, Any]:
    """Return values at all tolerances, and the microseconds of a gradient at each by both modes."""
    import jax

    points = jax.numpy.array(record["points"])
    rows = []
    exact = _swept(evaluation(study, record, FINE, forward=True), points)(points)
    for rtol in tolerances:
        for forward in (True, False):
            began = time.perf_counter()
            sweep = _swept(evaluation(study, record, rtol, forward=forward), points)
            compiled = time.perf_counter() - began
            values, slopes = sweep(points)
            took = time_sweeps(partial(_waited, sweep, points), len(points), repeats=10)
            rows.append({"rtol": rtol, "forward": forward, "values": values.tolist(), "gradients": slopes.tolist(),
                         "microseconds": took, "compile_seconds": compiled})  # fmt: skip
            print(rtol, forward, sorted(took)[len(took) // 2], abs(values - exact[0]).max(), flush=True)
    return {"exact": exact[0].tolist(), "exact_gradients": exact[1].tolist(), "rows": rows}


def _swept(evaluate: Any, points: Any) -> Any:
    import jax

    return jax.jit(lambda many: jax.lax.map(evaluate, many)).lower(points).compile()


def _waited(sweep: Any, points: Any) -> Any:
    import jax

    return jax.block_until_ready(sweep(points))


def sample(study: str, record: dict[str, Any], asked: argparse.Namespace) -> dict[str, Any]:
    """Sample with one process a chain, all at once; the slowest chain counts."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(asked.chains, mp_context=get_context("spawn")) as pool:
        chains = list(pool.map(partial(_chain, study, record, asked), range(asked.chains)))
    slowest = {k: max(each[k] for each in chains) for k in ("tuning_seconds", "sampling_seconds", "compile_seconds")}
    leapfrogs = [sum(each["leapfrogs"]) / len(each["leapfrogs"]) for each in chains]
    draws = [[each["draws"][name] for each in chains] for name in record["names"]]
    return slowest | {"draws": draws, "leapfrogs": sum(leapfrogs) / len(leapfrogs)}


def _chain(study: str, record: dict[str, Any], asked: argparse.Namespace, chain: int) -> dict[str, Any]:
    """Return one chain's draws, leapfrog steps a draw, and seconds of tuning and of draws without compilation."""
    load()
    import jax
    from numpyro.infer import MCMC, NUTS

    compiling, names = compile_clock(jax), tuple(record["names"])
    given = {
        "dense_mass": [names], "inverse_mass_matrix": {names: jax.numpy.array(record["covariance"])},
        "adapt_mass_matrix": False,
    }  # fmt: skip
    kernel = NUTS(
        stated(study, record, asked.rtol[0], forward=asked.forward), forward_mode_differentiation=asked.forward,
        **(given if asked.metric == "given" else {}),
    )  # fmt: skip
    mcmc = MCMC(kernel, num_warmup=asked.tune, num_samples=asked.draws, progress_bar=False)
    start = record["points"][(1 + 3 * chain) % len(record["points"])]
    key = jax.random.split(jax.random.PRNGKey(asked.seed), asked.chains)[chain]
    spent = []
    for step, seeded in ((mcmc.warmup, key), (mcmc.run, key)):
        began, before = time.perf_counter(), sum(compiling)
        more = {"init_params": dict(zip(names, map(jax.numpy.array, start), strict=True))} if not spent else {}
        step(mcmc.post_warmup_state.rng_key if spent else seeded, extra_fields=("num_steps",), **more)
        jax.block_until_ready(mcmc.get_samples())
        spent.append(time.perf_counter() - began - (sum(compiling) - before))
    return {
        "draws": {name: values.tolist() for name, values in mcmc.get_samples().items()},
        "leapfrogs": mcmc.get_extra_fields()["num_steps"].tolist(),
        "tuning_seconds": spent[0], "sampling_seconds": spent[1], "compile_seconds": sum(compiling),
    }  # fmt: skip


def main() -> None:
    """Read our record, do the task, write theirs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=ATOL)
    parser.add_argument("--record", type=Path, required=True, help="what `ours` wrote")
    parser.add_argument("--task", choices=("gradient", "sample"), required=True)
    parser.add_argument("--rtol", type=float, nargs="+", required=True, help="relative tolerances; one to sample")
    parser.add_argument("--forward", action="store_true", help="sample by forward mode")
    parser.add_argument("--metric", choices=("own", "given"), default="own", help="numpyro's, or our covariance")
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--tune", type=int, default=100)
    parser.add_argument("--chains", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, required=True)
    asked = parser.parse_args()
    load()
    ours = json.loads(asked.record.read_text())
    made = gradient(asked.study, ours, asked.rtol) if asked.task == "gradient" else sample(asked.study, ours, asked)
    names = ("numpyro", "diffrax", "jax")
    asked.json.write_text(json.dumps(made | {"version": ", ".join(f"{n} {version(n)}" for n in names)}))


if __name__ == "__main__":
    main()
