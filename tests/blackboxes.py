"""Simulators shared by the tests, in a module so that other processes can import them, and their declared twins."""

import math
import os
import time

import numpy as np
from scipy.integrate import solve_ivp

import workbench as wb


class Tank(wb.Simulator):
    """A drug that is eliminated, y' = -k y, with doses and an infusion, by its closed form between changes."""

    time_unit = "h"
    k = wb.Parameter("1/h", prior=wb.prior.LogNormal(median=0.5, sigma=0.5))
    first = wb.Parameter("mg", prior=wb.prior.LogNormal(median=10, sigma=0.5))
    dose = wb.Input("mg", kind="impulse")
    infusion = wb.Input("mg/h", kind="previous")
    y = wb.Output("mg", noise=wb.noise.Normal(sigma=wb.prior.HalfNormal(1.0)))

    def run(self, times, u, p):
        doses = dict(u.dose)
        changes = np.unique([*times, *doses, *(t for t in u.infusion.times if t > times[0])])
        amounts, at = {}, p.first
        for here, there in zip(changes, [*changes[1:], changes[-1]], strict=True):
            amounts[here] = at = at + doses.get(here, 0.0)
            steady = u.infusion(here) / p.k
            at = steady + (at - steady) * np.exp(-p.k * (there - here))
        return {"y": [amounts[t] for t in times]}


class DeclaredTank(wb.Ode):
    """The same, declared."""

    time_unit = "h"
    amount = wb.State("mg", start="first")
    k = Tank.quantities["k"]
    first = Tank.quantities["first"]
    dose = wb.Input("mg", kind="impulse", into="amount")
    infusion = Tank.quantities["infusion"]
    y = Tank.quantities["y"]

    def rhs(self, t, x, u, p):
        return {"amount": u.infusion - p.k * x.amount}

    def observe(self, t, x, u, p):
        return {"y": x.amount}


class Growth(wb.Simulator):
    """Logistic growth in closed form: three correlated parameters, and a noise in proportion."""

    time_unit = "h"
    r = wb.Parameter("1/h", prior=wb.prior.LogNormal(median=0.5, sigma=0.7))
    capacity = wb.Parameter("1", prior=wb.prior.LogNormal(median=100, sigma=1.0))
    seed = wb.Parameter("1", prior=wb.prior.LogNormal(median=5, sigma=1.0))
    count = wb.Output("1", noise=wb.noise.LogNormal(sigma=wb.prior.HalfNormal(0.5)))

    def run(self, times, u, p):
        age = times - times[0]
        return {"count": p.capacity / (1 + (p.capacity / p.seed - 1) * np.exp(-p.r * age))}


class DeclaredGrowth(wb.Ode):
    """The same, declared."""

    time_unit = "h"
    n = wb.State("1", start="seed")
    r = Growth.quantities["r"]
    capacity = Growth.quantities["capacity"]
    seed = Growth.quantities["seed"]
    count = Growth.quantities["count"]

    def rhs(self, t, x, u, p):
        return {"n": p.r * x.n * (1 - x.n / p.capacity)}

    def observe(self, t, x, u, p):
        return {"count": x.n}


class Fragile(wb.Simulator):
    """y = a, but for some values of a, at which it fails in every way a program may fail."""

    time_unit = "s"
    timeout = 1.0
    processes = 2
    a = wb.Parameter("1", prior=wb.prior.Uniform(lower=0, upper=10))
    y = wb.Output("1", noise=wb.noise.Normal(sigma=1.0))

    def run(self, times, u, p):
        match int(p.a):
            case 1:
                raise RuntimeError("no licence")
            case 2:
                return {"y": np.where(times > 0, np.nan, 1.0)}
            case 3:
                os._exit(7)
            case 4:
                time.sleep(60)
            case 5:
                raise SystemExit(3)
            case 6:
                return {"y": times[:-1]}
        return {"y": p.a}


class Pelts(wb.Simulator):
    """Lynx and hare, by SciPy on the logarithms."""

    time_unit = "year"
    hare_start = wb.Parameter("1", prior=wb.prior.LogNormal(mu=np.log(10), sigma=1))
    lynx_start = wb.Parameter("1", prior=wb.prior.LogNormal(mu=np.log(10), sigma=1))
    alpha = wb.Parameter("1/year", prior=wb.prior.TruncatedNormal(mu=1, sigma=0.5, lower=0))
    beta = wb.Parameter("1/year", prior=wb.prior.TruncatedNormal(mu=0.05, sigma=0.05, lower=0))
    gamma = wb.Parameter("1/year", prior=wb.prior.TruncatedNormal(mu=1, sigma=0.5, lower=0))
    delta = wb.Parameter("1/year", prior=wb.prior.TruncatedNormal(mu=0.05, sigma=0.05, lower=0))
    hare_pelts = wb.Output("1", noise=wb.noise.LogNormal(sigma=wb.prior.LogNormal(mu=-1, sigma=1)))
    lynx_pelts = wb.Output("1", noise=wb.noise.LogNormal(sigma=wb.prior.LogNormal(mu=-1, sigma=1)))

    def run(self, times, u, p):
        def rhs(_, z):
            return [p.alpha - p.beta * math.exp(z[1]), -p.gamma + p.delta * math.exp(z[0])]

        start = np.log([p.hare_start, p.lynx_start])
        made = solve_ivp(rhs, (times[0], times[-1]), start, method="LSODA", t_eval=times, rtol=1e-6, atol=1e-8)
        return {"hare_pelts": np.exp(made.y[0]), "lynx_pelts": np.exp(made.y[1])}
