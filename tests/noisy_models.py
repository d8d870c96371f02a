"""Models with process noise for the tests of calibration through a filter, and readings of them."""

import numpy as np
import xarray as xr

import workbench as wb


class Ornstein(wb.Ode):
    """The process of Ornstein and Uhlenbeck about a target, which is a Gaussian process with a known covariance."""

    time_unit = "h"
    x = wb.State("1", start=0.0, noise=wb.prior.HalfNormal(1.0))
    rate = wb.Parameter("1/h", prior=wb.prior.LogNormal(median=0.7, sigma=0.5))
    target = wb.Parameter("1", prior=wb.prior.Normal(mu=1.0, sigma=1.0))
    y = wb.Output("1", noise=wb.noise.Normal(sigma=wb.prior.HalfNormal(0.5)))

    def rhs(self, t, x, u, p):
        return {"x": -p.rate * (x.x - p.target)}

    def observe(self, t, x, u, p):
        return {"y": x.x}


class Tanks(wb.Ode):
    """Three tanks in a row, which empty as the square of what they hold; fed, and disturbed at random."""

    time_unit = "h"
    a = wb.State("L", start=wb.prior.LogNormal(median=4.0, sigma=0.2), noise=wb.prior.HalfNormal(0.5), bounds=(0, None))
    b = wb.State("L", start=2.0, noise="shared", bounds=(0, None))
    c = wb.State("L", start=1.0, noise=0.05, bounds=(0, None))
    k1 = wb.Parameter("1/(L*h)", prior=wb.prior.LogNormal(median=0.3, sigma=0.3))
    k2 = wb.Parameter("1/(L*h)", prior=wb.prior.LogNormal(median=0.4, sigma=0.3))
    k3 = wb.Parameter("1/h", prior=wb.prior.LogNormal(median=0.5, sigma=0.3))
    shared = wb.Parameter("L/h**0.5", prior=wb.prior.HalfNormal(0.2))
    feed = wb.Input("L/h")
    dose = wb.Input("L", kind="impulse", into="a")
    first = wb.Output("L", noise=wb.noise.LogNormal(sigma=wb.prior.HalfNormal(0.2)))
    flow = wb.Output("L/h", noise=wb.noise.Proportional(sigma=wb.prior.HalfNormal(0.2)))
    last = wb.Output("L", noise=wb.noise.Normal(sigma=0.1))

    def rhs(self, t, x, u, p):
        ab, bc = p.k1 * x.a**2, p.k2 * x.b**2
        return {"a": u.feed - ab, "b": ab - bc, "c": bc - p.k3 * x.c}

    def observe(self, t, x, u, p):
        return {"first": x.a, "flow": p.k2 * x.b**2, "last": x.c}


FED = {"feed": {0.0: 1.0, 2.0: 3.0, 9.0: 0.5}, "dose": {0.0: 1.0, 3.0: 2.0}}


def ornstein(seed: int, n: int = 60, *, rate: float = 0.5, sigma: float = 0.6) -> xr.Dataset:
    """Readings at irregular times, drawn from the exact law of the process."""
    rng = np.random.default_rng(seed)
    times, x, readings = np.sort(rng.uniform(0, 40, n)), 0.0, np.empty(n)
    for k, gap in enumerate(np.diff(times, prepend=0.0)):
        keep = np.exp(-rate * gap)
        x = 1.5 + (x - 1.5) * keep + sigma * np.sqrt((1 - keep**2) / (2 * rate)) * rng.standard_normal()
        readings[k] = x + 0.2 * rng.standard_normal()
    return xr.Dataset({"y": ("time", [np.nan, *readings])}, {"time": [0.0, *times]})


def tanks(seed: int = 2) -> xr.Dataset:
    """Readings of all outputs at irregular times, some of them missing."""
    times = np.array([0.0, 0.4, 1.0, 1.1, 2.0, 3.0, 4.5, 4.6, 6.0, 8.0])
    true = {"a_start": 4.0, "k1": 0.3, "k2": 0.4, "k3": 0.5, "shared": 0.1, "a_noise": 0.2}
    path, rng = wb.simulate(Tanks, times, parameters=true, inputs=FED, seed=seed), np.random.default_rng(seed)
    first = path.first.values * np.exp(0.1 * rng.standard_normal(times.size))
    flow = path.flow.values * (1 + 0.1 * rng.standard_normal(times.size))
    last = path.last.values + 0.1 * rng.standard_normal(times.size)
    first[2], flow[[2, 5]], last[[0, 2, 7]] = np.nan, np.nan, np.nan
    return xr.Dataset({n: ("time", v) for n, v in (("first", first), ("flow", flow), ("last", last))}, {"time": times})
