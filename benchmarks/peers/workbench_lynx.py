"""The workbench itself: declared once, calibrated, and its log density timed as nutpie calls it."""

import math

import workbench as wb
from benchmarks.peers.protocol import Gradients, Sampled, Settings, main
from benchmarks.peers.workbench_density import gradients, versions
from benchmarks.problem import HARE, LYNX, NAMES, TOLERANCE, YEARS, posterior_points

POSTERIOR = dict(zip(NAMES, ("alpha", "beta", "gamma", "delta", "hare_start", "lynx_start", "hare_pelts_sigma",
                             "lynx_pelts_sigma"), strict=True))  # fmt: skip


class LynxHare(wb.Ode):
    """Pelts of snowshoe hare and Canada lynx, in thousands: predators and prey of Lotka (1925) and Volterra (1926)."""

    time_unit = "year"
    rtol = TOLERANCE
    atol = TOLERANCE

    hare = wb.State("1", start=wb.prior.LogNormal(mu=math.log(10), sigma=1))
    lynx = wb.State("1", start=wb.prior.LogNormal(mu=math.log(10), sigma=1))
    alpha = wb.Parameter("1/year", prior=wb.prior.TruncatedNormal(mu=1, sigma=0.5, lower=0))
    beta = wb.Parameter("1/year", prior=wb.prior.TruncatedNormal(mu=0.05, sigma=0.05, lower=0))
    gamma = wb.Parameter("1/year", prior=wb.prior.TruncatedNormal(mu=1, sigma=0.5, lower=0))
    delta = wb.Parameter("1/year", prior=wb.prior.TruncatedNormal(mu=0.05, sigma=0.05, lower=0))
    hare_pelts = wb.Output("1", noise=wb.noise.LogNormal(sigma=wb.prior.LogNormal(mu=-1, sigma=1)))
    lynx_pelts = wb.Output("1", noise=wb.noise.LogNormal(sigma=wb.prior.LogNormal(mu=-1, sigma=1)))

    def rhs(self, t, x, u, p):
        return {"hare": (p.alpha - p.beta * x.lynx) * x.hare, "lynx": (-p.gamma + p.delta * x.hare) * x.lynx}

    def observe(self, t, x, u, p):
        return {"hare_pelts": x.hare, "lynx_pelts": x.lynx}


def pelts():
    """Return the measurements as the workbench takes them."""
    import xarray as xr

    return xr.Dataset(
        {"hare_pelts": ("time", list(HARE), {"units": "1"}), "lynx_pelts": ("time", list(LYNX), {"units": "1"})},
        coords={"time": list(YEARS)},
    )


def sample(settings: Settings) -> Sampled:
    """Calibrate; the start is the workbench's own, and the seconds of finding it are told apart."""
    calibration = wb.calibrate(
        LynxHare(), pelts(), draws=settings.draws, tune=settings.tune, chains=settings.chains, seed=settings.seed,
        progress=False,
    )  # fmt: skip
    posterior = calibration.tree["posterior"]
    draws = {name: posterior[ours].transpose("chain", "draw").values.tolist() for name, ours in POSTERIOR.items()}
    sampling, compiled, start = (posterior.attrs[name] for name in ("sampling_time", "compile_time", "start_time"))
    return Sampled(draws, sampling, compiled, start, versions())


def gradient() -> Gradients:
    """Time the density of the calibration."""
    return gradients(LynxHare(), pelts(), POSTERIOR, posterior_points())


if __name__ == "__main__":
    main("workbench", sample=sample, gradient=gradient)
