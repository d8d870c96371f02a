"""What sensors do, from end to end: combined errors, errors that last, limits, increments, bias and drift.

One model with closed-form solutions, read in every way, in two units with gaps, against densities by SciPy.
"""

from functools import cache

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from calibrations import richardson

import workbench as wb
from workbench.calibrate.bayes import build
from workbench.calibrate.predict import predictive
from workbench.calibrate.problem import pose
from workbench.calibrate.sampling.density import compile_density
from workbench.calibrate.sampling.start import draw_free

SIGMA = wb.prior.LogNormal(median=0.3, sigma=0.5)
POOL = {"plain_sigma": "none", "warm_bias": "none", "plain_nu": "partial"}


class Decay(wb.Ode):
    """x' = -k x, c' = k x: what has left is counted."""

    time_unit = "d"
    x = wb.State("1", start=10.0)
    gone = wb.State("1", start=0.0)
    k = wb.Parameter("1/d", prior=wb.prior.LogNormal(median=0.3, sigma=0.3))
    plain = wb.Output("1", noise=wb.noise.StudentT(nu=wb.prior.Gamma(4, 0.5), sigma=SIGMA), limits=(2.0, None))
    mixed = wb.Output("1", noise=wb.noise.Combined(additive=SIGMA, proportional=SIGMA))
    share = wb.Output("1", noise=wb.noise.Proportional(sigma=SIGMA))
    slow = wb.Output("1", noise=wb.noise.AR1(sigma=SIGMA, time_constant=wb.prior.LogNormal(median=2.0, sigma=0.5)))
    cases = wb.Output("1", noise=wb.noise.Poisson(), increment=True)
    clumps = wb.Output("1", noise=wb.noise.NegativeBinomial(alpha=5.0), increment=True)
    warm = wb.Output("1", noise=wb.noise.Normal(0.2), bias=wb.prior.Normal(0.0, 1.0), drift=wb.prior.Normal(0.0, 0.1))
    off = wb.Output("1", noise=wb.noise.LogNormal(0.2), bias=0.5, limits=(1.3, 8.0))

    def rhs(self, t, x, u, p):
        return {"x": -p.k * x.x, "gone": p.k * x.x}

    def observe(self, t, x, u, p):
        same = dict.fromkeys(("plain", "mixed", "share", "slow", "warm", "off"), x.x)
        return same | dict.fromkeys(("cases", "clumps"), 10 * x.gone)


TIMES = {
    "a": np.array([0.0, 1.0, 2.4, 3.0, 4.0, 5.0, 6.6, 7.0, 8.0]),
    "b": np.array([0.0, 0.5, 1.5, 2.0, 4.0, 7.0, 11.0]),
}


@cache
def table():
    """Return readings of two units, simulated by hand; counts come every second or third row."""
    rng = np.random.default_rng(8)
    parts = []
    for unit, time in TIMES.items():
        x = 10 * np.exp(-0.25 * time)
        error = np.zeros(time.size)
        for i in range(time.size):
            rho = np.exp(-(time[i] - time[i - 1]) / 2.0) if i else 0.0
            error[i] = rho * error[i - 1] + 0.3 * np.sqrt(1 - rho**2) * rng.normal()
        every = np.arange(time.size) % (2 if unit == "a" else 3) == 0
        counted = np.diff(100 * (1 - np.exp(-0.25 * time[every])), prepend=0.0)
        cases, clumps = np.full(time.size, np.nan), np.full(time.size, np.nan)
        cases[every], clumps[every] = rng.poisson(counted), rng.negative_binomial(5, 5 / (5 + counted))
        cases[0] = clumps[0] = np.nan
        columns = {
            "plain": x + 0.3 * rng.standard_t(6, time.size),
            "mixed": x + np.hypot(0.2, 0.1 * x) * rng.normal(size=time.size),
            "share": x * (1 + 0.2 * rng.normal(size=time.size)),
            "slow": x + error,
            "cases": cases,
            "clumps": clumps,
            "warm": x + 0.7 + 0.05 * time + 0.2 * rng.normal(size=time.size),
            "off": (x + 0.5) * np.exp(0.2 * rng.normal(size=time.size)),
        }
        columns["slow"][3] = np.nan
        parts.append(pd.DataFrame({"unit": unit, "time": time, **columns}))
    return pd.concat(parts, ignore_index=True)


@cache
def compiled():
    problem = pose(Decay(), table(), pool=POOL)
    made = build(problem)
    return problem, made, compile_density(made)


def by_hand(point, density):
    """Return the log density of readings and priors; every free variable but biases and drifts is a logarithm."""
    free = {v.name: point[v.place].reshape(v.shape) for v in density.space.variables}
    own = {n: z if n in ("warm_bias", "warm_drift") else np.exp(z) for n, z in free.items()}
    total = sum(z.sum() for n, z in free.items() if n not in ("warm_bias", "warm_drift"))  # of the logarithms
    total += (
        scipy.stats.lognorm(0.3, scale=0.3).logpdf(own["k"]) + scipy.stats.norm(0, 1).logpdf(own["warm_bias"]).sum()
    )
    total += scipy.stats.norm(0, 0.1).logpdf(own["warm_drift"])
    for name in ("plain_sigma", "mixed_additive", "mixed_proportional", "share_sigma", "slow_sigma"):
        total += scipy.stats.lognorm(0.5, scale=0.3).logpdf(own[name]).sum()
    total += scipy.stats.lognorm(0.5, scale=2.0).logpdf(own["slow_time_constant"])
    total += scipy.stats.gamma(4, scale=2.0).logpdf(own["plain_nu_pop"])
    total += scipy.stats.halfnorm(0, 1).logpdf(own["plain_nu_sd"])
    total += scipy.stats.lognorm(own["plain_nu_sd"], scale=own["plain_nu_pop"]).logpdf(own["plain_nu"]).sum()
    for number, (unit, time) in enumerate(TIMES.items()):
        total += one_unit(table()[lambda t, u=unit: t.unit == u], time, own, number)
    return np.asarray(total).item()


def one_unit(seen, time, own, number):
    x = 10 * np.exp(-own["k"] * time)
    law = scipy.stats.t(own["plain_nu"][number], x, own["plain_sigma"][number])
    y = seen.plain.values
    total = np.where(y <= 2, law.logcdf(2), law.logpdf(y)).sum()
    spread = np.hypot(own["mixed_additive"], own["mixed_proportional"] * x)
    total += scipy.stats.norm(x, spread).logpdf(seen.mixed).sum()
    total += scipy.stats.norm(x, own["share_sigma"] * x).logpdf(seen.share).sum()
    known = ~np.isnan(seen.slow.values)
    apart = np.abs(np.subtract.outer(time[known], time[known]))
    joint = scipy.stats.multivariate_normal(
        x[known], own["slow_sigma"] ** 2 * np.exp(-apart / own["slow_time_constant"])
    )
    total += joint.logpdf(seen.slow.values[known])
    warm = x + own["warm_bias"][number] + own["warm_drift"] * time
    total += scipy.stats.norm(warm, 0.2).logpdf(seen.warm).sum()
    law = scipy.stats.lognorm(0.2, scale=x + 0.5)
    total += np.where(
        seen.off <= 1.3, law.logcdf(1.3), np.where(seen.off >= 8, law.logsf(8), law.logpdf(seen.off))
    ).sum()
    at = np.flatnonzero(~np.isnan(seen.cases.values))
    gone = 100 * (1 - np.exp(-own["k"] * time))
    mean = np.diff(gone[at], prepend=0.0)
    total += scipy.stats.poisson(mean).logpmf(seen.cases.values[at]).sum()
    return total + scipy.stats.nbinom(5, 5 / (5 + mean)).logpmf(seen.clumps.values[at]).sum()


def test_the_table_has_readings_beyond_every_limit():
    assert (table().plain < 2).any()
    assert (table().off < 1.3).any()
    assert (table().off > 8.0).any()


def test_the_density_and_its_slopes_by_scipy_and_finite_differences():
    problem, _, density = compiled()
    names = {"plain_sigma": (2,), "warm_bias": (2,), "plain_nu": (2,), "plain_nu_pop": (), "warm_drift": ()}
    shapes = {v.name: v.shape for v in density.space.variables}
    assert {n: shapes[n] for n in names} == names
    points = density.space.unconstrain(draw_free(problem, np.random.default_rng(1), 4))
    for point in points:
        value, slope = density.evaluate(point)
        assert value == pytest.approx(by_hand(point, density), rel=1e-6)
        exact = richardson(lambda z: by_hand(z, density), point, 1e-3)
        np.testing.assert_allclose(slope, exact, rtol=1e-4, atol=1e-5 * np.abs(exact).max())


def test_slopes_are_finite_where_readings_are_far_from_the_outputs():
    problem, _, density = compiled()
    points = density.space.unconstrain(draw_free(problem, np.random.default_rng(2), 50))
    for v in density.space.variables:
        if v.name == "k":
            points[:, v.place] = np.linspace(-12, 5, 50)[:, None]
        if v.name == "plain_sigma":
            points[:, v.place] = -5.0
    made = [density.evaluate(point) for point in points]
    assert all(np.isfinite(value) for value, _ in made)


def test_pointwise_densities_add_up_to_the_joint_one():
    problem, made, density = compiled()
    point = density.space.unconstrain(draw_free(problem, np.random.default_rng(3), 1))
    from workbench.calibrate.predict import derived

    variables = derived(problem, {n: v[None] for n, v in density.space.constrain(point).items()})
    drawn, pointwise, _ = predictive(problem, variables, np.random.default_rng(0))
    priors = made.compile_logp(vars=made.free_RVs, mode="FAST_COMPILE")
    names = [made.rvs_to_values[rv].name for rv in made.free_RVs]
    given = {n: point[0][v.place].reshape(v.shape) for n, v in zip(names, density.space.variables, strict=True)}
    total = sum(part.sum() for part in pointwise.values()) + priors(given)
    assert density.evaluate(point[0])[0] == pytest.approx(float(total), rel=1e-9)
    assert all(values.shape == (1, 1, 16) for values in drawn.values())
