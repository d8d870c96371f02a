"""`pymc.ode.DifferentialEquation`: scipy's odeint (LSODA) at its own tolerance of 1.5e-8, which cannot be changed."""

import time

from benchmarks.peers.protocol import CALL, Gradients, main, time_sweeps
from benchmarks.problem import HARE, LYNX, NAMES, YEARS, posterior_points


def gradient() -> Gradients:
    """Time PyMC's compiled log density and gradient, called from Python as its samplers call it."""
    import numpy as np
    import pymc as pm
    import pytensor.tensor as pt
    from pymc.ode import DifferentialEquation

    def slope(y, t, p):
        return [(p[0] - p[1] * y[1]) * y[0], (-p[2] + p[3] * y[0]) * y[1]]

    solve = DifferentialEquation(slope, times=YEARS[1:], n_states=2, n_theta=4, t0=YEARS[0])
    with pm.Model() as model:
        theta = [
            pm.TruncatedNormal(name, mean, sd, lower=0)
            for name, mean, sd in zip(NAMES[:4], (1, 0.05, 1, 0.05), (0.5, 0.05, 0.5, 0.05), strict=True)
        ]
        start = [pm.LogNormal(name, np.log(10), 1) for name in NAMES[4:6]]
        sigma = [pm.LogNormal(name, -1, 1) for name in NAMES[6:]]
        states = solve(y0=pt.stack(start), theta=pt.stack(theta))
        states = pt.concatenate([pt.stack(start)[None], states])
        pm.LogNormal("pelts", pt.log(states), pt.stack(sigma), observed=np.array([HARE, LYNX]).T)
    began = time.perf_counter()
    density = model.logp_dlogp_function(ravel_inputs=True)
    density.set_extra_values({})
    points = [np.array(point) for point in posterior_points()]
    found = [density(point) for point in points]
    compiled = time.perf_counter() - began
    microseconds = time_sweeps(lambda: [density(point) for point in points], len(points), repeats=3)
    values, gradients = zip(*found, strict=True)
    return Gradients(
        [float(value) for value in values], [each.tolist() for each in gradients], {CALL: microseconds}, compiled,
        f"pymc {pm.__version__}", "odeint's own tolerance of 1.5e-8",
    )  # fmt: skip


if __name__ == "__main__":
    main("pymc.ode", gradient=gradient)
