"""Stan through pystan: its own Runge-Kutta 4(5) pair with coupled sensitivities, NUTS with a diagonal metric."""

import time

from benchmarks.peers.protocol import Gradients, Sampled, Settings, main
from benchmarks.peers.stan_density import gradients, versions
from benchmarks.problem import HARE, LYNX, MAX_STEPS, TOLERANCE, YEARS, posterior_points, reference_start

PROGRAM = f"""
functions {{
  vector slope(real t, vector z, vector theta) {{
    return [(theta[1] - theta[2] * z[2]) * z[1], (-theta[3] + theta[4] * z[1]) * z[2]]';
  }}
}}
data {{
  int<lower=1> n;
  array[n] real years;
  array[2] real<lower=0> first;
  array[n, 2] real<lower=0> pelts;
}}
parameters {{
  vector<lower=0>[4] theta;
  vector<lower=0>[2] start;
  vector<lower=0>[2] sigma;
}}
model {{
  array[n] vector[2] z
    = ode_rk45_tol(slope, start, 0.0, years, {TOLERANCE}, {TOLERANCE}, {MAX_STEPS}, theta);
  theta[{{1, 3}}] ~ normal(1, 0.5);
  theta[{{2, 4}}] ~ normal(0.05, 0.05);
  sigma ~ lognormal(-1, 1);
  start ~ lognormal(log(10), 1);
  for (k in 1:2) {{
    first[k] ~ lognormal(log(start[k]), sigma[k]);
    pelts[ : , k] ~ lognormal(log(z[ : , k]), sigma[k]);
  }}
}}
"""
DATA = {
    "n": len(YEARS) - 1,
    "years": list(YEARS[1:]),
    "first": [HARE[0], LYNX[0]],
    "pelts": [list(pair) for pair in zip(HARE[1:], LYNX[1:], strict=True)],
}


def sample(settings: Settings) -> Sampled:
    """Sample; the seconds are Stan's own "Elapsed Time" (warm-up and draws) of the slowest chain, all run at once."""
    import stan

    began = time.perf_counter()
    model = stan.build(PROGRAM, data=DATA, random_seed=settings.seed)
    compiled = time.perf_counter() - began
    starts = [reference_start(chain, settings.seed) for chain in range(settings.chains)]
    init = [
        {
            "theta": [start[name] for name in ("alpha", "beta", "gamma", "delta")],
            "start": [start["hare0"], start["lynx0"]],
            "sigma": [start["sigma_hare"], start["sigma_lynx"]],
        }
        for start in starts
    ]
    given = {"init": init} if settings.start == "reference" else {}
    fit = model.sample(num_chains=settings.chains, num_samples=settings.draws, num_warmup=settings.tune, **given)
    names = {"theta": ("alpha", "beta", "gamma", "delta"), "start": ("hare0", "lynx0"),
             "sigma": ("sigma_hare", "sigma_lynx")}  # fmt: skip
    draws = {
        name: fit[block][i].reshape(settings.draws, settings.chains).T.tolist()
        for block, members in names.items()
        for i, name in enumerate(members)
    }
    return Sampled(draws, max(_elapsed(output) for output in fit.stan_outputs), compiled, 0.0, versions())


def gradient() -> Gradients:
    """Time the density of the calibration."""
    return gradients(PROGRAM, DATA, posterior_points())


def _elapsed(output: bytes) -> float:
    """Return the seconds of warm-up and of draws that Stan logged for one chain.

    The log reads "Elapsed Time: 7.1 seconds (Warm-up)", then "8.2 seconds (Sampling)", once in each of its streams.
    """
    import re

    seconds = re.findall(rb"([0-9.e+-]+) seconds \((?:Warm-up|Sampling)\)", output)
    if len(seconds) < 2:
        raise RuntimeError(f"got {len(seconds)} elapsed times in Stan's log; expected warm-up and sampling")
    return float(seconds[0]) + float(seconds[1])


if __name__ == "__main__":
    main("stan", sample=sample, gradient=gradient)
