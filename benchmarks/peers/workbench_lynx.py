"""The workbench itself: declared once, calibrated, and its log density timed as nutpie calls it."""

import math
import time

import workbench as wb
from benchmarks.peers.protocol import CALL, LOOP, Gradients, Sampled, Settings, main, time_sweeps
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
    return Sampled(draws, sampling, compiled, start, _version())


def gradient() -> Gradients:
    """Time the function that nutpie is given, swept over the points by a C loop as nutpie's own compiled loop does."""
    import numpy as np

    from benchmarks.peers.c_lynx import compile_library, doubles
    from workbench.calibrate.density import compile_density

    began = time.perf_counter()
    density = compile_density(wb.to_pymc(LynxHare(), pelts()))
    compiled = time.perf_counter() - began
    order = [variable.name for variable in density.space.variables]
    theirs = [list(POSTERIOR.values()).index(name) for name in order]
    columns = [order.index(name) for name in POSTERIOR.values()]
    points = [[point[i] for i in theirs] for point in posterior_points()]
    given = density.for_nutpie(lambda seed: np.zeros(len(NAMES)))
    address, counters = given.compiled_logp_func.address, given.user_data.ctypes.data
    library = compile_library()
    flat, values, slopes = doubles(points), doubles([0.0] * len(points)), doubles([0.0] * len(points) * len(NAMES))

    def sweep() -> int:
        return library.density_sweep(address, counters, len(NAMES), flat, len(points), values, slopes)

    if sweep():
        raise RuntimeError("the density has no finite value at a posterior point")
    arrays = [np.array(point) for point in points]
    microseconds = {
        LOOP: time_sweeps(sweep, len(points)),
        CALL: time_sweeps(lambda: [density.evaluate(point) for point in arrays], len(points)),
    }
    gradients = [[slopes[i + column] for column in columns] for i in range(0, len(slopes), len(NAMES))]
    return Gradients(list(values), gradients, microseconds, compiled, _version())


def _version() -> str:
    from importlib.metadata import version

    return f"workbench {wb.__version__}, nutpie {version('nutpie')}, pymc {version('pymc')}, numba {version('numba')}"


if __name__ == "__main__":
    main("workbench", sample=sample, gradient=gradient)
