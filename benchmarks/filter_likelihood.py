"""NUTS through a filter's likelihood, beside PyMC with a scan: `python -m benchmarks.filter_likelihood`.

Three tanks that empty as the square of what they hold, with process noise in each: three rates, three process noises
and two sensor noises to estimate, from 500 readings of two outputs. The peer is written by hand in PyTensor: a scan
over the readings, with classical Runge-Kutta steps of the moments' equations between them (derivatives of the
equations by hand) and the textbook's correction; its gradient is PyTensor's. Both are sampled by nutpie, with the same
priors. Like is compared with like: our tolerance is chosen so that our log density errs as much as the scan's, both
measured against our own at a tolerance of 1e-9, and printed.

Effective draws a second are those of the worst parameter over the time of sampling, tuning among it, compilation apart.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import arviz_stats
import numpy as np
import nutpie
import pymc as pm
import pytensor
import pytensor.tensor as pt
import xarray as xr
from numpy.typing import NDArray

import workbench as wb
from workbench.calibrate.sampling.density import compile_density

Array = NDArray[np.float64]
TRUE = {"k1": 0.3, "k2": 0.4, "k3": 0.5, "a_noise": 0.3, "b_noise": 0.2, "c_noise": 0.1}
SENSORS = {"first_sigma": 0.2, "last_sigma": 0.1}
CHAINS = 2
RATES, NOISES = ("k1", "k2", "k3"), ("a_noise", "b_noise", "c_noise")


class Tanks(wb.Ode):
    """Three tanks in a row with a steady feed."""

    time_unit = "h"
    rtol = 1e-4  # four Runge-Kutta steps between readings err as much: see `errors` of a run
    a = wb.State("L", start=3.0, noise=wb.prior.HalfNormal(0.5))
    b = wb.State("L", start=2.0, noise=wb.prior.HalfNormal(0.5))
    c = wb.State("L", start=2.0, noise=wb.prior.HalfNormal(0.5))
    k1 = wb.Parameter("1/(L*h)", prior=wb.prior.LogNormal(median=0.3, sigma=0.5))
    k2 = wb.Parameter("1/(L*h)", prior=wb.prior.LogNormal(median=0.4, sigma=0.5))
    k3 = wb.Parameter("1/h", prior=wb.prior.LogNormal(median=0.5, sigma=0.5))
    feed = wb.Parameter("L/h", value=3.0)
    first = wb.Output("L", noise=wb.noise.Normal(sigma=wb.prior.HalfNormal(0.5)))
    last = wb.Output("L", noise=wb.noise.Normal(sigma=wb.prior.HalfNormal(0.5)))

    def rhs(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return what flows in less what flows out."""
        ab, bc = p.k1 * x.a**2, p.k2 * x.b**2
        return {"a": p.feed - ab, "b": ab - bc, "c": bc - p.k3 * x.c}

    def observe(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return the contents of the first and the last tank."""
        return {"first": x.a, "last": x.c}


class Fine(Tanks):
    """The same, solved to a tolerance that leaves no doubt."""

    rtol = 1e-9


POINT = np.log([*TRUE.values(), *SENSORS.values()])  # in the order of both models' variables


def readings(count: int) -> xr.Dataset:
    """Return readings at irregular times, about one an hour."""
    rng = np.random.default_rng(1)
    times = np.concatenate([[0.0], np.cumsum(rng.uniform(0.5, 1.5, count - 1))])
    path = wb.simulate(Tanks, times, parameters=TRUE, seed=1)
    noisy = {n: path[n].values + SENSORS[f"{n}_sigma"] * rng.standard_normal(count) for n in ("first", "last")}
    return xr.Dataset({n: ("time", v) for n, v in noisy.items()}, {"time": times})


def by_scan(data: xr.Dataset, steps: int) -> pm.Model:
    """Return the same posterior by a scan; `steps` Runge-Kutta steps between two readings."""
    y, gaps = np.stack([data["first"].values, data["last"].values], axis=1), np.diff(data.time.values, prepend=0.0)
    H = pt.constant(np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
    with pm.Model() as made:
        k1, k2, k3 = (pm.LogNormal(n, mu=np.log(m), sigma=0.5) for n, m in zip(RATES, (0.3, 0.4, 0.5), strict=True))
        Q = pt.diag(pt.stack([pm.HalfNormal(n, 0.5) for n in NOISES]) ** 2)
        R = pt.diag(pt.stack([pm.HalfNormal(n, 0.5) for n in SENSORS]) ** 2)

        def moving(m: Any, P: Any, rates: tuple[Any, Any, Any, Any]) -> tuple[Any, Any]:
            k1, k2, k3, Q = rates
            ab, bc = k1 * m[0] ** 2, k2 * m[1] ** 2
            J = pt.stack([
                pt.stack([-2 * k1 * m[0], 0.0, 0.0]),
                pt.stack([2 * k1 * m[0], -2 * k2 * m[1], 0.0]),
                pt.stack([0.0, 2 * k2 * m[1], -k3]),
            ])  # fmt: skip
            JP = J @ P
            return pt.stack([3.0 - ab, ab - bc, bc - k3 * m[2]]), JP + JP.T + Q

        def cycle(gap: Any, seen: Any, m: Any, P: Any, *given: Any) -> tuple[Any, Any, Any]:
            h, rates, R = gap / steps, given[:4], given[4]
            for _ in range(steps):
                a, A = moving(m, P, rates)
                b, B = moving(m + h / 2 * a, P + h / 2 * A, rates)
                c, C = moving(m + h / 2 * b, P + h / 2 * B, rates)
                d, D = moving(m + h * c, P + h * C, rates)
                m, P = m + h / 6 * (a + 2 * b + 2 * c + d), P + h / 6 * (A + 2 * B + 2 * C + D)
            S = H @ P @ H.T + R
            v, determinant = seen - H @ m, S[0, 0] * S[1, 1] - S[0, 1] ** 2
            inverse = pt.stack([pt.stack([S[1, 1], -S[0, 1]]), pt.stack([-S[0, 1], S[0, 0]])]) / determinant
            K = P @ H.T @ inverse
            density = -0.5 * (2 * np.log(2 * np.pi) + pt.log(determinant) + v @ inverse @ v)
            return m + K @ v, P - K @ S @ K.T, density

        start = [pt.constant(np.array([3.0, 2.0, 2.0])), pt.zeros((3, 3)), None]
        given = {"sequences": [pt.constant(gaps), pt.constant(y)], "non_sequences": [k1, k2, k3, Q, R]}
        _, _, densities = pytensor.scan(cycle, **given, outputs_info=start, strict=True, return_updates=False)
        pm.Potential("readings", densities.sum())
    return made


def seconds(evaluate: Callable[[], Any], least: float = 1.0) -> float:
    """Return the shortest time of an evaluation, of five rounds."""
    evaluate()
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < least:
        evaluate()
        count += 1
    rounds = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(max(1, count // 5)):
            evaluate()
        rounds.append((time.perf_counter() - began) / max(1, count // 5))
    return min(rounds)


def effective(points: Any) -> float:
    """Return the effective draws of the worst parameter, of (chains, draws, parameters) or a dataset."""
    arrays = [points[n].values for n in (*RATES, *NOISES, *SENSORS)]
    return float(min(arviz_stats.base.array_stats.ess(a, chain_axis=0, draw_axis=1, method="bulk") for a in arrays))


def ours(data: xr.Dataset, draws: int) -> dict[str, float]:
    """Return what the calibration took."""
    began = time.perf_counter()
    density = compile_density(wb.to_pymc(Tanks, data))
    compiled = time.perf_counter() - began
    gradient = seconds(lambda: density.evaluate(POINT))
    error = density.evaluate(POINT)[0] - compile_density(wb.to_pymc(Fine, data)).evaluate(POINT)[0]
    made = wb.calibrate(Tanks, data, draws=draws, tune=draws, chains=CHAINS, seed=1, progress=False)
    took = float(made.posterior.attrs["sampling_time"])
    steps = float(made.tree["sample_stats"]["n_steps"].mean())
    return {
        "gradient_ms": 1e3 * gradient, "compile_s": compiled, "sampling_s": took, "ess": effective(made.posterior),
        "leapfrogs": steps, "error": error,
    }  # fmt: skip


def theirs(data: xr.Dataset, draws: int, steps: int) -> dict[str, float]:
    """Return what a scan took."""
    model, began = by_scan(data, steps), time.perf_counter()
    compiled = nutpie.compile_pymc_model(model, backend="numba")
    took_compile = time.perf_counter() - began
    density = model.logp_dlogp_function(ravel_inputs=True, mode="NUMBA")
    density.set_extra_values({})
    error = density(POINT)[0] - compile_density(wb.to_pymc(Fine, data)).evaluate(POINT)[0]
    gradient, began = seconds(lambda: density(POINT)), time.perf_counter()
    made = nutpie.sample(compiled, draws=draws, tune=draws, chains=CHAINS, cores=CHAINS, seed=1, progress_bar=False)
    took = time.perf_counter() - began
    return {
        "gradient_ms": 1e3 * gradient, "compile_s": took_compile, "sampling_s": took,
        "ess": effective(made["posterior"].to_dataset()), "leapfrogs": float(made["sample_stats"]["n_steps"].mean()),
        "error": error,
    }  # fmt: skip


def main() -> None:
    """Run both and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readings", type=int, default=500)
    parser.add_argument("--draws", type=int, default=2000, help="draws and tuning draws of each of our two chains")
    parser.add_argument("--peer-draws", type=int, default=400, help="those of the scan's")
    parser.add_argument("--steps", type=int, default=4, help="Runge-Kutta steps of the scan between two readings")
    asked = parser.parse_args()
    data = readings(asked.readings)
    records = {"workbench": ours(data, asked.draws), "scan": theirs(data, asked.peer_draws, asked.steps)}
    for name, record in records.items():
        rate = record["ess"] / record["sampling_s"]
        print(name, "; ".join(f"{key} {value:.6g}" for key, value in record.items()), f"; ess_per_s {rate:.4g}")
    one, other = records["workbench"], records["scan"]
    draws = [record["ess"] / record["sampling_s"] for record in (one, other)]
    print(f"gradient: {other['gradient_ms'] / one['gradient_ms']:.1f} times")
    print(f"effective draws a second: {draws[0] / draws[1]:.1f} times")


if __name__ == "__main__":
    main()
