"""The 20 standard splits of the combined cycle: RMSE and log-likelihood, beside gradient boosting if it is installed.

Published, on the same splits, by Monte Carlo dropout (Gal & Ghahramani, ICML 2016; result logs of their repository):
RMSE 4.014 +- 0.037 MW, log-likelihood -2.808 +- 0.009 (standard errors). Run `python -m benchmarks.combined_cycle`, with
the files of the registry below WORKBENCH_DATA.
"""

import argparse
import json
import time

import numpy as np
import xarray as xr
from scipy.special import logsumexp

import workbench as wb
from workbench.base.fetch import fetch
from workbench.domains.power_plants import combined_cycle as cc


def splits() -> list[np.ndarray]:
    """Return the rows of the test part of each split."""
    found = json.loads(fetch("combined_cycle_splits").read_text("utf-8"))
    return [np.asarray(found[str(k)]) for k in range(len(found))]


def run(test: np.ndarray, *, functions: int, draws: int, tune: int, seed: int) -> dict[str, float]:
    """Return the scores of one split: the model is calibrated on the rest, by one chain."""
    data, inputs = cc.hours(fetch("combined_cycle"))
    train = np.setdiff1d(np.arange(data.sizes["time"]), test)
    seen, weather = cc.pick(data, inputs, train)
    begin = time.perf_counter()
    calibration = wb.calibrate(
        cc.CombinedCycle(),
        seen,
        inputs=weather,
        discrepancy=cc.left_out(functions),
        draws=draws,
        tune=tune,
        chains=1,
        seed=seed,
        progress=False,
    )
    seconds = time.perf_counter() - begin
    kept, weather = cc.pick(data, inputs, test)
    made = wb.forecast(calibration, kept["time"].values, inputs=weather, noise=False)
    scores = scored(kept["power"], made["power"], calibration.posterior["power_sigma"])
    return {**scores, "seconds": seconds}


def scored(observed: xr.DataArray, means: xr.DataArray, sigma: xr.DataArray) -> dict[str, float]:
    """Return RMSE (MW) and mean log predictive density of readings under a mixture of normals over draws."""
    spread = means - observed
    log = -0.5 * (spread / sigma) ** 2 - np.log(sigma) - 0.5 * np.log(2 * np.pi)
    flat = log.stack(draws=("chain", "draw")).transpose("time", "draws").values
    error = spread.mean(("chain", "draw"))
    density = logsumexp(flat, axis=1) - np.log(flat.shape[1])
    return {"rmse": float(np.sqrt((error**2).mean())), "log_likelihood": float(density.mean())}


def boosted(test: np.ndarray, seed: int) -> float:
    """Return the RMSE (MW) of gradient boosting (scikit-learn, histogram) with 600 trees; NaN where it is missing."""
    try:
        from sklearn.ensemble import HistGradientBoostingRegressor
    except ImportError:
        return float("nan")
    data, inputs = cc.hours(fetch("combined_cycle"))
    table, power = np.column_stack([v.values for v in inputs.values()]), data["power"].values
    train = np.setdiff1d(np.arange(power.size), test)
    trees = HistGradientBoostingRegressor(max_iter=600, learning_rate=0.08, random_state=seed)
    trees.fit(table[train], power[train])
    return float(np.sqrt(((trees.predict(table[test]) - power[test]) ** 2).mean()))


def main() -> None:
    """Print a line for each split, then mean and standard error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, nargs="*", help="which, from 0; none: all")
    parser.add_argument("--functions", type=int, default=400)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--tune", type=int, default=150)
    given = parser.parse_args()
    parts = splits()
    rows = []
    for k in given.splits or range(len(parts)):
        scores = run(parts[k], functions=given.functions, draws=given.draws, tune=given.tune, seed=k)
        rows.append([scores["rmse"], scores["log_likelihood"], boosted(parts[k], k)])
        print(k, *(f"{v:.4f}" for v in rows[-1]), f"{scores['seconds']:.0f} s", flush=True)
    table = np.asarray(rows)
    error = table.std(axis=0, ddof=1) / np.sqrt(len(table)) if len(table) > 1 else np.full(3, np.nan)
    for name, mean, se in zip(("RMSE", "log-likelihood", "RMSE of boosting"), table.mean(axis=0), error, strict=True):
        print(f"{name}: {mean:.4f} +- {se:.4f}")


if __name__ == "__main__":
    main()
