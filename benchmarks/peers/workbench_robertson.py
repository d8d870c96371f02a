"""The workbench on Robertson's reaction: declared once, and its log density timed as nutpie calls it."""

import math

import workbench as wb
from benchmarks.engine import robertson_problem as given
from benchmarks.peers.protocol import Gradients, main
from benchmarks.peers.workbench_density import gradients

POSTERIOR = dict(zip(given.NAMES, ("k1", "k2", "k3", "first_sigma", "second_sigma", "third_sigma"), strict=True))
RATE = [wb.prior.LogNormal(median=rate, sigma=given.SPREAD) for rate in given.RATES]


def _noise() -> wb.noise.Noise:
    return wb.noise.Normal(sigma=wb.prior.LogNormal(median=given.NOISE, sigma=given.NOISE_SPREAD))


class Robertson(wb.Ode):
    """Three species react; Robertson (1966)."""

    time_unit = "s"
    rtol = given.RTOL
    atol = given.ATOL
    y1 = wb.State("1", start=1.0)
    y2 = wb.State("1", start=0.0)
    y3 = wb.State("1", start=0.0)
    k1 = wb.Parameter("1/s", prior=RATE[0])
    k2 = wb.Parameter("1/s", prior=RATE[1])
    k3 = wb.Parameter("1/s", prior=RATE[2])
    first = wb.Output("1", noise=_noise())
    second = wb.Output("1", noise=_noise())
    third = wb.Output("1", noise=_noise())

    def rhs(self, t, x, u, p):
        decay, pairing, back = p.k1 * x.y1, p.k2 * x.y2**2, p.k3 * x.y2 * x.y3
        return {"y1": back - decay, "y2": decay - back - pairing, "y3": pairing}

    def observe(self, t, x, u, p):
        return {"first": x.y1, "second": given.SCALE * x.y2, "third": x.y3}


def gradient() -> Gradients:
    """Time the density of the calibration; the clock starts at 0, where nothing was measured."""
    import xarray as xr

    columns = {name: ("time", [math.nan, *row]) for name, row in zip(Robertson().outputs, given.MEASURED, strict=True)}
    return gradients(Robertson(), xr.Dataset(columns, coords={"time": [0.0, *given.TIMES]}), POSTERIOR, given.points())


if __name__ == "__main__":
    main("workbench", gradient=gradient)
