"""The 20 standard splits of the combined cycle: RMSE and log-likelihood, beside gradient boosting if it is installed.

Each split is calibrated anew, or, with --reuse, only the first of those asked for: the others take its posterior of the
plant's parameters, of SDs and lengths (nine numbers), and draw the function's coefficients given their own hours.

Published, on the same splits, by Monte Carlo dropout (Gal & Ghahramani, ICML 2016; result logs of their repository):
RMSE 4.014 +- 0.037 MW, log-likelihood -2.808 +- 0.009 (standard errors). Run `python -m
benchmarks.combined_cycle`, with the files of the registry below WORKBENCH_DATA.
"""

import argparse
import json
import time
from collections.abc import Mapping

import numpy as np
from scipy.special import logsumexp

import workbench as wb
from workbench.base.fetch import fetch
from workbench.calibrate.discrepancy.discrepancy import expected
from workbench.calibrate.discrepancy.integrated import drawn_back
from workbench.calibrate.predict import outputs_of, solve_data
from workbench.calibrate.problem import Problem, pose
from workbench.domains.power_plants import combined_cycle as cc


def splits() -> list[np.ndarray]:
    """Return the rows of the test part of each split."""
    found = json.loads(fetch("combined_cycle_splits").read_text("utf-8"))
    return [np.asarray(found[str(k)]) for k in range(len(found))]


def calibrated(test: np.ndarray, *, functions: int, draws: int, tune: int, seed: int) -> wb.Calibration:
    """Return the calibration on all hours but those of a split, by one chain."""
    data, inputs = cc.hours(fetch("combined_cycle"))
    train = np.setdiff1d(np.arange(data.sizes["time"]), test)
    seen, weather = cc.pick(data, inputs, train)
    return wb.calibrate(
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


def scores_of(calibration: wb.Calibration, test: np.ndarray, functions: int) -> dict[str, float]:
    """Return the scores of a split by a posterior; coefficients are drawn given its other hours."""
    data, inputs = cc.hours(fetch("combined_cycle"))
    train = np.setdiff1d(np.arange(data.sizes["time"]), test)
    seen, kept = (
        pose(cc.CombinedCycle(), some, inputs=weather, discrepancy=cc.left_out(functions))
        for some, weather in (cc.pick(data, inputs, rows) for rows in (train, test))
    )
    term = kept.terms["power"]
    variables = {str(n): v.values for n, v in calibration.posterior.data_vars.items() if n != term.weights}
    variables = drawn_back(seen, variables, np.random.default_rng(0))
    return scored(kept.readings("power"), expected(kept, "power", variables, means(kept, variables)), variables)


def means(problem: Problem, variables: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the power (draws, rows) by the equations alone."""
    return outputs_of(problem, "power", solve_data(problem, variables))


def scored(observed: np.ndarray, made: np.ndarray, variables: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return RMSE (MW) and mean log predictive density of readings (rows,) by power (draws, rows)."""
    sigma = variables["power_sigma"].reshape(-1, 1)
    log = -0.5 * ((made - observed) / sigma) ** 2 - np.log(sigma) - 0.5 * np.log(2 * np.pi)
    density = logsumexp(log, axis=0) - np.log(len(log))
    error = made.mean(axis=0) - observed
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
    parser.add_argument("--reuse", action="store_true", help="one calibration for all splits")
    given = parser.parse_args()
    parts, rows, calibration = splits(), list[list[float]](), None
    for k in given.splits or range(len(parts)):
        begin = time.perf_counter()
        if calibration is None or not given.reuse:
            calibration = calibrated(parts[k], functions=given.functions, draws=given.draws, tune=given.tune, seed=k)
        scores = scores_of(calibration, parts[k], given.functions)
        rows.append([*scores.values(), boosted(parts[k], k)])
        print(k, *(f"{v:.4f}" for v in rows[-1]), f"{time.perf_counter() - begin:.0f} s", flush=True)
    table = np.asarray(rows)
    error = table.std(axis=0, ddof=1) / np.sqrt(len(table)) if len(table) > 1 else np.full(3, np.nan)
    for name, mean, se in zip(("RMSE", "log-likelihood", "RMSE of boosting"), table.mean(axis=0), error, strict=True):
        print(f"{name}: {mean:.4f} +- {se:.4f}")


if __name__ == "__main__":
    main()
