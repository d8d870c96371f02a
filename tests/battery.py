"""How lithium-ion cells lose capacity, and the four cells of NASA that were aged until they had.

Prior and noises of a cell are learnt from the other three (leave one out). The guess they are learnt around was made
knowing the orders of magnitude of all four.
"""

import csv
from pathlib import Path

import numpy as np
import scipy.optimize
import xarray as xr

import workbench as wb
from workbench.base.errors import SolveError

LEARNED = {  # by `learn` from the three other cells
    "B0005": [-5.9787, -1.4534, 2.7072, -0.7661, 1.0785, -3.9139, -5.6307],
    "B0006": [-6.2078, -1.2823, 2.6067, -0.5494, 0.8777, -4.117, -5.767],
    "B0007": [-5.9455, -1.2672, 2.7229, -0.7278, 1.0912, -3.8985, -5.6722],
    "B0018": [-6.0466, -1.4031, 2.7923, -0.7872, 1.079, -4.0705, -5.725],
}
END = {"B0005": 125, "B0006": 109, "B0007": np.inf, "B0018": 97}  # first discharge below 1.4 A h


class Fading(wb.Ode):
    """Capacity fades at a rate in proportion to itself; the rate wanders, and rests restore some of it for a while.

    The exponential is the lasting one of the two of He, Williard, Osterman & Pecht, J. Power Sources 196 (2011)
    10314-10321, eq. 3; capacity regained at rest is lost again within some discharges (Saha & Goebel, Modeling Li-ion
    battery capacity depletion in a particle filtering framework, Annual Conference of the PHM Society 2009). Time is
    counted in discharges, called days.
    """

    time_unit = "d"
    noise_step = 1.0
    rtol = 1e-6
    fade = wb.State("A h", start=wb.prior.Normal(mu=1.9, sigma=0.1))
    log_rate = wb.State("1", start="level", noise="sigma_rate")
    rest = wb.State("A h", start=0.0, noise="sigma_rest")
    level = wb.Parameter("1", prior=wb.prior.Normal(mu=-6.0, sigma=0.5))
    slow = wb.Parameter("d", value=20.0)
    sigma_rate = wb.Parameter("d**-0.5", value=0.05)
    sigma_rest = wb.Parameter("A h * d**-0.5", value=0.01)
    relax = wb.Parameter("d", value=10.0)
    day = wb.Parameter("d", value=1.0)
    capacity = wb.Output("A h", noise=wb.noise.Normal(sigma=wb.prior.HalfNormal(0.01)))

    def rhs(self, t, x, u, p):
        return {
            "fade": -wb.math.exp(x.log_rate) * x.fade / p.day,
            "log_rate": (p.level - x.log_rate) / p.slow,
            "rest": -x.rest / p.relax,
        }

    def observe(self, t, x, u, p):
        return {"capacity": x.fade + x.rest}


class Cell(Fading):
    """The same, whose life ends below 1.4 A h."""

    worn = wb.Event("A h", ends=True)

    def events(self, t, x, u, p):
        return {"worn": x.fade + x.rest - 1.4}


def cells(folder: Path) -> dict[str, xr.Dataset]:
    """Return the capacity of each discharge of each cell."""
    found = dict[str, list[float]]()
    with (folder / "power_plants/nasa_battery/capacity_fade.csv").open() as file:
        for row in csv.DictReader(file):
            found.setdefault(row["cell"], []).append(float(row["capacity_Ah"]))
    return {
        cell: xr.Dataset({"capacity": ("time", np.array(v))}, {"time": np.arange(1.0, len(v) + 1)})
        for cell, v in found.items()
    }


def told(x) -> dict:
    """Return the parameters of a filter from its hyperparameters: a mean, then logarithms.

    SD of the level between cells; time and SD of the rate's wandering; time and noise of rests; noise of readings.
    """
    mu, *logs = map(float, x)
    s, slow, rate, relax, rest, sigma = np.exp(logs).tolist()
    return {
        "level": wb.prior.Normal(mu=mu, sigma=s), "slow": slow, "sigma_rate": rate * np.sqrt(2 / slow),
        "relax": relax, "sigma_rest": rest, "capacity_sigma": sigma,
    }  # fmt: skip


GUESS = np.array([-6.0, *np.log([0.3, 20.0, 0.5, 5.0, 0.018, 0.004])])


def learn(others: dict[str, xr.Dataset]) -> np.ndarray:
    """Return the most probable hyperparameters given some cells, by the filter's evidence.

    Each is log-normal around a guess a priori, with an SD of 0.5 of its logarithm.
    """
    model = Fading()

    def cost(x):
        given = {"filter": wb.ExtendedKalman(), "parameters": told(x)}
        try:
            evidence = sum(float(wb.assimilate(model, d, **given).log_evidence_total) for d in others.values())
        except SolveError:
            return np.inf
        return 2.0 * float((x - GUESS) @ (x - GUESS)) - evidence

    options = {"xatol": 0.05, "fatol": 0.05, "maxfev": 500}
    return scipy.optimize.minimize(cost, GUESS, method="Nelder-Mead", options=options).x
