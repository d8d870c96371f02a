"""Stan on Robertson's reaction: backward differentiation with coupled sensitivities (`ode_bdf_tol`)."""

from benchmarks.engine import robertson_problem as given
from benchmarks.peers.protocol import Gradients, main
from benchmarks.peers.stan_density import gradients

PROGRAM = f"""
functions {{
  vector slope(real t, vector y, vector k) {{
    real decay = k[1] * y[1];
    real pairing = k[2] * square(y[2]);
    real back = k[3] * y[2] * y[3];
    return [back - decay, decay - back - pairing, pairing]';
  }}
}}
data {{
  int<lower=1> n;
  array[n] real times;
  array[3, n] real measured;
}}
parameters {{
  vector<lower=0>[3] k;
  vector<lower=0>[3] sigma;
}}
model {{
  array[n] vector[3] y = ode_bdf_tol(slope, [1, 0, 0]', 0.0, times, {given.RTOL}, {given.ATOL}, {given.MAX_STEPS}, k);
  k ~ lognormal(log([{", ".join(map(str, given.RATES))}]'), {given.SPREAD});
  sigma ~ lognormal(log({given.NOISE}), {given.NOISE_SPREAD});
  measured[1] ~ normal(y[ : , 1], sigma[1]);
  for (i in 1:n) {{
    measured[2, i] ~ normal({given.SCALE} * y[i, 2], sigma[2]);
  }}
  measured[3] ~ normal(y[ : , 3], sigma[3]);
}}
"""
DATA = {"n": len(given.TIMES), "times": list(given.TIMES), "measured": [list(row) for row in given.MEASURED]}


def gradient() -> Gradients:
    """Time the density of the calibration."""
    return gradients(PROGRAM, DATA, given.points())


if __name__ == "__main__":
    main("stan", gradient=gradient)
