"""Calibrations shared by the tests, each made once, and what their posteriors are by other ways."""

import csv
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.stats
import xarray as xr
from models import Dosing, LynxHare
from scipy.integrate import solve_ivp

import workbench as wb
from workbench.calibrate.bayes import build
from workbench.calibrate.problem import pose
from workbench.calibrate.sampling.density import compile_density

REFERENCE = {  # posteriordb, hudson_lynx_hare-lotka_volterra: mean and SD
    "alpha": (0.54686, 0.0631),
    "beta": (0.027747, 0.00416),
    "gamma": (0.80010, 0.0894),
    "delta": (0.024086, 0.00353),
    "hare_start": (34.035, 2.92),
    "lynx_start": (5.936, 0.531),
    "hare_pelts_sigma": (0.2481, 0.0433),
    "lynx_pelts_sigma": (0.2510, 0.0436),
}
DRIFT = 0.5
PRIORS = {  # one of each family that has a gradient
    "AsymmetricLaplace": {"kappa": 2, "mu": 1, "b": 0.5},
    "Beta": {"alpha": 2, "beta": 3},
    "Cauchy": {"alpha": 0, "beta": 1},
    "ChiSquared": {"nu": 3},
    "ExGaussian": {"mu": 0, "sigma": 1, "nu": 0.5},
    "Exponential": {"lam": 2},
    "Flat": {},
    "Gamma": {"alpha": 2, "beta": 3},
    "Gumbel": {"mu": 0, "beta": 1},
    "HalfCauchy": {"beta": 1},
    "HalfFlat": {},
    "HalfNormal": {"sigma": 1},
    "HalfStudentT": {"nu": 4, "sigma": 1},
    "InverseGamma": {"alpha": 3, "beta": 2},
    "Kumaraswamy": {"a": 2, "b": 3},
    "Laplace": {"mu": 0, "b": 1},
    "LogNormal": {"median": 2, "sigma": 0.5},
    "Logistic": {"mu": 0, "s": 1},
    "LogitNormal": {"mu": 0, "sigma": 1},
    "Moyal": {"mu": 0, "sigma": 1},
    "Normal": {"mu": 0, "sigma": 1},
    "Pareto": {"alpha": 3, "m": 1.5},
    "Rice": {"nu": 1, "sigma": 1},
    "SkewNormal": {"mu": 0, "sigma": 1, "alpha": 2},
    "SkewStudentT": {"a": 2, "b": 3, "mu": 0, "sigma": 1},
    "StudentT": {"nu": 4, "mu": 0, "sigma": 1},
    "Triangular": {"lower": -1, "upper": 2, "c": 0.5},
    "TruncatedNormal": {"mu": 0, "sigma": 1, "upper": 2},
    "Uniform": {"lower": -1, "upper": 3},
    "VonMises": {"mu": 0.5, "kappa": 2},
    "Wald": {"mu": 1, "lam": 2},
    "Weibull": {"alpha": 2, "beta": 1},
}


class Level(wb.Ode):
    """A line that units share but for where it starts: its posterior is known."""

    time_unit = "h"
    x = wb.State("mg", start=wb.prior.Normal(mu=5.0, sigma=10.0))
    drift = wb.Parameter("mg/h", value=DRIFT)
    y = wb.Output("mg", noise=wb.noise.Normal(sigma=2.0), long_name="level")

    def rhs(self, t, x, u, p):
        return {"x": p.drift}

    def observe(self, t, x, u, p):
        return {"y": x.x}


class Sensors(wb.Ode):
    """x' = a x^2, so x = 1 / (1 / x0 - a t) until it blows up, read under every noise."""

    time_unit = "h"
    x = wb.State("1", start=wb.prior.LogNormal(median=1.0, sigma=0.5))
    a = wb.Parameter("1/h", prior=wb.prior.Normal(mu=0.3, sigma=0.6))
    additive = wb.Output("1", noise=wb.noise.Normal(sigma=wb.prior.HalfNormal(0.5)))
    relative = wb.Output("1", noise=wb.noise.LogNormal(sigma=0.2))
    heavy = wb.Output("1", noise=wb.noise.StudentT(nu=wb.prior.Gamma(2, 0.1), sigma=0.2))
    sharp = wb.Output("1", noise=wb.noise.Laplace(b=0.2))
    counts = wb.Output("1", noise=wb.noise.Poisson())
    clumps = wb.Output("1", noise=wb.noise.NegativeBinomial(alpha=wb.prior.Gamma(1, 0.1)))

    def rhs(self, t, x, u, p):
        return {"x": p.a * x.x**2}

    def observe(self, t, x, u, p):
        names = "additive", "relative", "heavy", "sharp"
        return dict.fromkeys(names, x.x) | {"counts": 10 * x.x, "clumps": 10 * x.x}


@cache
def lynx_hare_data() -> xr.Dataset:
    """Return the pelts of 1900 to 1920."""
    path = Path(__file__).parents[1] / "data" / "lynx_hare.csv"
    rows = list(csv.DictReader(line for line in path.read_text(encoding="utf-8").splitlines() if line[0] != "#"))
    return xr.Dataset(
        {f"{name}_pelts": ("time", [float(row[name]) for row in rows]) for name in ("hare", "lynx")},
        {"time": [float(row["year"]) for row in rows]},
    )


@cache
def lynx_hare() -> wb.Calibration:
    """Return the calibration that has a published reference."""
    return wb.calibrate(LynxHare(), lynx_hare_data(), draws=2000, seed=1, progress=False)


@cache
def level_data() -> pd.DataFrame:
    """Return readings of eight units, each as often as it happened, in a long table."""
    rng = np.random.default_rng(3)
    table = [
        (f"u{unit}", float(k), start + DRIFT * k + 2 * rng.normal())
        for unit, (start, count) in enumerate(zip(rng.normal(8, 4, 8), [2, 3, 5, 8, 3, 4, 6, 10], strict=True))
        for k in range(count)
    ]
    return pd.DataFrame(table, columns=["unit", "time", "y"])


@cache
def levels() -> wb.Calibration:
    """Return eight units whose starts come from a population."""
    return wb.calibrate(Level(), level_data(), pool={"x_start": "partial"}, draws=2000, seed=2, progress=False)


@cache
def sensors_data() -> xr.Dataset:
    """Return readings of every kind, three of the series with gaps."""
    rng = np.random.default_rng(0)
    time = np.arange(0, 2.5, 0.25)
    x = 1 / (1 - 0.3 * time)
    data = {
        "additive": x + 0.2 * rng.normal(size=x.size),
        "relative": x * np.exp(0.2 * rng.normal(size=x.size)),
        "heavy": x + 0.2 * rng.standard_t(4, x.size),
        "sharp": x + rng.laplace(0, 0.2, x.size),
        "counts": rng.poisson(10 * x).astype(float),
        "clumps": rng.negative_binomial(5, 5 / (5 + 10 * x)).astype(float),
    }
    data["additive"][[1, 4]] = data["counts"][::2] = data["sharp"][5:] = np.nan
    return xr.Dataset({name: ("time", values) for name, values in data.items()}, {"time": time})


@cache
def sensors() -> wb.Calibration:
    """Return a calibration with every noise, two chains of few draws."""
    return wb.calibrate(Sensors(), sensors_data(), draws=300, tune=300, chains=2, seed=5, progress=False)


DOSES = {  # of each unit: what acts on it, with times of its own
    "a": {
        "dose": {0.0: 100.0, 5.0: 50.0},
        "infusion": {0.0: 4.0, 3.5: 0.0},
        "release": {0.0: 0.0, 4.0: 6.0, 12.0: 2.0},
    },
    "b": {"dose": {1.0: 80.0}, "infusion": {0.0: 0.0, 2.0: 5.0}, "release": {0.0: 3.0, 12.0: 3.0}},
}
DOSING_POOL = {"ka": "partial", "V": "none"}


@cache
def dosing_problem():
    """Return two patients with doses and infusions of their own, one parameter for each way of pooling."""
    times = {"a": [0.0, 0.5, 2.0, 5.0, 7.0, 11.0], "b": [0.0, 1.0, 3.0, 12.0]}
    table = [(unit, t, 2.0 + np.sin(3 * t + len(times[unit]))) for unit in times for t in times[unit]]
    data = pd.DataFrame(table, columns=["unit", "time", "concentration"])
    inputs = {name: {unit: DOSES[unit][name] for unit in DOSES} for name in DOSES["a"]}
    return pose(Dosing(), data, inputs=inputs, pool=DOSING_POOL)


@cache
def density_of(name: str):
    """Return the PyMC model of a shared problem and its compiled density."""
    problems = {
        "lynx": lambda: pose(LynxHare(), lynx_hare_data()),
        "dosing": dosing_problem,
        "sensors": lambda: pose(Sensors(), sensors_data()),
        "levels": lambda: pose(Level(), level_data(), pool={"x_start": "partial"}),
    }
    problem = problems[name]()
    model = build(problem)
    return problem, model, compile_density(model)


def lynx_hare_log_density(values: dict) -> complex:
    """Return the log density of the pelts on the parameters' own scales, by SciPy; complex values are taken too."""

    def normal(x, mu, sigma):
        return -((x - mu) ** 2) / (2 * sigma**2) - np.log(sigma * np.sqrt(2 * np.pi))

    def lognormal(x, mu, sigma):
        return normal(np.log(x), mu, sigma) - np.log(x)

    v = values
    total = sum(lognormal(v[f"{name}_start"], np.log(10), 1) for name in ("hare", "lynx"))
    total += sum(lognormal(v[f"{name}_pelts_sigma"], -1, 1) for name in ("hare", "lynx"))
    for name, centre, spread in zip("alpha beta gamma delta".split(), [1, 0.05] * 2, [0.5, 0.05] * 2, strict=True):
        total += normal(v[name], centre, spread) - scipy.stats.norm.logcdf(centre / spread)
    data = lynx_hare_data()

    def rhs(_, z):
        return [(v["alpha"] - v["beta"] * z[1]) * z[0], (-v["gamma"] + v["delta"] * z[0]) * z[1]]

    start = np.array([v["hare_start"], v["lynx_start"]], dtype=complex)
    years = data.time.values - 1900
    made = solve_ivp(rhs, (0, 20), start, method="DOP853", rtol=1e-11, atol=1e-11, t_eval=years)
    for name, curve in zip(("hare", "lynx"), made.y, strict=True):
        readings = data[f"{name}_pelts"].values
        total += np.sum(normal(np.log(readings), np.log(curve), v[f"{name}_pelts_sigma"]) - np.log(readings))
    return total


def complex_step(function, point: np.ndarray) -> np.ndarray:
    """Return the gradient of an analytic function, exact to rounding."""
    return np.array([function(point + 1e-30j * e).imag / 1e-30 for e in np.eye(point.size)])


def richardson(function, point: np.ndarray, step: float = 1e-3) -> np.ndarray:
    """Return the gradient by central differences at two steps, extrapolated to the fourth order."""

    def central(h):
        return np.array([(function(point + h * e) - function(point - h * e)) / (2 * h) for e in np.eye(point.size)])

    return (4 * central(step / 2) - central(step)) / 3
