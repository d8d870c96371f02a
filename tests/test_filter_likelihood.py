"""The likelihood of models with process noise and its gradient, against exact Gaussians and finite differences."""

import copy
import itertools

import numpy as np
import pandas as pd
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
import scipy.integrate
import scipy.linalg
import scipy.stats
import xarray as xr
from filter_models import NILE, Nile, Spring
from noisy_models import FED, Ornstein, Tanks, ornstein, tanks

import workbench as wb
from workbench.base.errors import DataError
from workbench.calibrate.bayes import build
from workbench.calibrate.filtered.plan import filtered
from workbench.calibrate.problem import pose
from workbench.calibrate.sampling.density import compile_density


def run(problem, theta, rtol=1e-11):
    """Log densities, their derivatives, what was expected, and moments at the end."""
    made = filtered(problem)
    op = copy.copy(made.op)
    op.tolerances = (rtol, 1e-13)
    return op.run(np.atleast_2d(np.array(theta, dtype=float)), made.readings, made.plan)


def by_differences(problem, theta, column, step=1e-5):
    theta = np.atleast_2d(np.array(theta, dtype=float))
    lines = []
    for k in (-2, -1, 1, 2):
        moved = theta.copy()
        moved[:, column] += k * step * max(1.0, abs(theta[0, column]))
        lines.append(run(problem, moved)[0].sum())
    return (lines[0] - 8 * lines[1] + 8 * lines[2] - lines[3]) / (12 * step * max(1.0, abs(theta[0, column])))


def dense_ornstein(times, y, *, rate, target, sigma, noise):
    """Log density of readings by the covariance of the process that starts at 0 at time 0."""
    s, t = np.minimum.outer(times, times), np.maximum.outer(times, times)
    covariance = sigma**2 / (2 * rate) * (np.exp(-rate * (t - s)) - np.exp(-rate * (t + s)))
    covariance += noise**2 * np.eye(times.size)
    return scipy.stats.multivariate_normal(target * (1 - np.exp(-rate * times)), covariance).logpdf(y)


def test_the_nile_with_its_start_integrated_out():
    """The log density is quadratic in the start, so that its integral is known: -632.5456 (Durbin & Koopman 2012)."""
    problem = pose(Nile(), xr.Dataset({"flow": ("time", np.array(NILE, dtype=float))}, {"time": np.arange(100.0)}))
    at_zero, at_one = run(problem, [0.0])[1].sum(), run(problem, [1.0])[1].sum()
    best = -at_zero / (at_one - at_zero)
    whole = run(problem, [best])[0].sum() + 0.5 * np.log(2 * np.pi / (at_zero - at_one))
    assert whole == pytest.approx(-632.5456, abs=5e-5)


@pytest.mark.parametrize("values", [(0.5, 1.5, 0.6, 0.2), (2.0, -1.0, 0.1, 0.5), (0.05, 0.3, 1.5, 0.02)])
def test_ornstein_uhlenbeck_as_a_gaussian_process(values):
    rate, target, sigma, noise = values
    data = ornstein(1)
    problem = pose(Ornstein(), data)
    theta = dict(zip(["rate", "target", "x_noise"], [rate, target, sigma], strict=True))
    density, slopes, _, _ = run(problem, [*(theta[n] for n in problem.model.theta), noise])
    times, y = data.time.values[1:], data.y.values[1:]
    assert density.sum() == pytest.approx(
        dense_ornstein(times, y, rate=rate, target=target, sigma=sigma, noise=noise), rel=1e-8
    )
    eased = run(problem, [*(theta[n] for n in problem.model.theta), noise], rtol=problem.model.rtol)[0]
    assert eased.sum() == pytest.approx(density.sum(), rel=1e-5, abs=1e-3)
    given = {"rate": rate, "target": target, "sigma": sigma, "noise": noise}
    columns = [*(("sigma" if n == "x_noise" else n) for n in problem.model.theta), "noise"]
    for column, name in enumerate(columns):
        lines = [dense_ornstein(times, y, **{**given, name: given[name] * (1 + k * 1e-3)}) for k in (-2, -1, 1, 2)]
        slope = (lines[0] - 8 * lines[1] + 8 * lines[2] - lines[3]) / (12e-3 * given[name])
        assert slopes[:, column].sum() == pytest.approx(slope, rel=1e-6, abs=1e-6)


def test_units_are_filtered_by_themselves_and_share_parameters():
    parts = [ornstein(seed, n) for seed, n in ((3, 12), (4, 20))]
    table = [d.to_dataframe().reset_index().assign(unit=name) for d, name in zip(parts, "ab", strict=True)]
    problem = pose(Ornstein(), pd.concat(table), pool={"target": "none", "y_sigma": "none"})
    values = {"rate": [0.5, 0.5], "target": [1.0, 2.0], "x_noise": [0.6, 0.6]}
    theta = np.array([*(values[n] for n in problem.model.theta), [0.2, 0.4]]).T
    density, slopes, _, _ = run(problem, theta)
    counts = filtered(problem).plan.counts
    for k, part in enumerate(parts):
        alone = run(pose(Ornstein(), part), theta[k])
        assert density[counts[k] : counts[k + 1]] == pytest.approx(alone[0], rel=1e-12)
        assert slopes[counts[k] : counts[k + 1]] == pytest.approx(alone[1], rel=1e-12)


def test_a_pushed_spring_as_a_gaussian_process():
    """Two states, two outputs with gaps, an input along lines and blows: the joint law of all readings."""
    times = np.array([0.0, 0.3, 0.5, 1.3, 1.4, 2.0, 2.9])
    force, blow = {0.0: 0.0, 1.0: 2.0, 3.0: -1.0}, {0.5: 0.7, 1.7: -0.4}
    rng = np.random.default_rng(1)
    place, speed = rng.standard_normal((2, times.size))
    place[2], speed[[0, 4]] = np.nan, np.nan
    data = xr.Dataset({"place": ("time", place), "speed": ("time", speed)}, {"time": times})

    problem = pose(Spring(), data, inputs={"force": force, "blow": blow})
    values = {"stiffness": 3.0, "damping": 0.5, "x_start": 1.2, "v_start": -0.1}
    density = run(problem, [values[n] for n in problem.model.theta])[0]

    F, start, means = np.array([[0.0, 1.0], [-3.0, -0.5]]), np.array([1.2, -0.1]), [np.array([1.2, -0.1])]

    def pushed(t, x):
        return F @ x + np.array([0.0, np.interp(t, list(force), list(force.values()))])

    for before, after in itertools.pairwise(times):
        edges = np.unique([before, after, *(e for e in (*blow, 1.0) if before < e <= after)])
        for lo, hi in itertools.pairwise(edges):
            start = scipy.integrate.solve_ivp(pushed, (lo, hi), start, rtol=1e-11, atol=1e-13).y[:, -1]
            start = start + np.array([0.0, blow.get(float(hi), 0.0)])
        means.append(start)
    stationary = scipy.linalg.solve_continuous_lyapunov(F, -np.diag([0.0, 0.16]))

    def covariance(s, t):
        lo, E = min(s, t), scipy.linalg.expm(F * min(s, t))
        V = stationary - E @ stationary @ E.T
        later = scipy.linalg.expm(F * (max(s, t) - lo)) @ V
        return later if t <= s else later.T

    joint = np.block([[covariance(s, t) for t in times] for s in times]) + np.kron(np.eye(7), np.diag([0.01, 0.09]))
    read = np.stack([place, speed], axis=1).ravel()
    known = np.flatnonzero(~np.isnan(read))
    law = scipy.stats.multivariate_normal(np.concatenate(means)[known], joint[np.ix_(known, known)])
    assert density.sum() == pytest.approx(law.logpdf(read[known]), rel=1e-9)


def test_gradient_of_a_nonlinear_model_is_that_of_differences():
    """Lognormal, proportional and normal noise, missing channels, impulses, a shared and a fixed process noise."""
    problem = pose(Tanks(), tanks(), inputs=FED)
    values = {"k1": 0.25, "k2": 0.5, "k3": 0.4, "shared": 0.15, "a_start": 4.4, "a_noise": 0.3}
    theta = [*(values[n] for n in problem.model.theta), 0.12, 0.15]
    slopes = run(problem, theta)[1].sum(axis=0)
    columns = filtered(problem).op.estimated
    assert len(columns) == 8
    for k, column in enumerate(columns):
        assert slopes[k] == pytest.approx(by_differences(problem, theta, column), rel=1e-6)


def test_a_map_and_its_gradient():
    class Ricker(wb.Map):
        """Numbers of a population, on the scale of logarithms (Ricker 1954)."""

        time_unit = "year"
        x = wb.State("1", start=wb.prior.Normal(mu=1.0, sigma=0.5), noise=wb.prior.HalfNormal(0.3))
        r = wb.Parameter("1", prior=wb.prior.Normal(mu=1.0, sigma=0.5))
        seen = wb.Output("1", noise=wb.noise.Normal(sigma=wb.prior.HalfNormal(0.3)))

        def step(self, t, x, u, p):
            return {"x": x.x + p.r - wb.math.exp(x.x)}

        def observe(self, t, x, u, p):
            return {"seen": x.x}

    y = np.array([0.9, 0.1, np.nan, 0.7, -0.2, 0.6, 0.1])
    problem = pose(Ricker(), xr.Dataset({"seen": ("time", y)}, {"time": np.arange(7.0)}))
    given = {"x_start": 0.8, "r": 1.1, "x_noise": 0.2}
    theta = [*(given[n] for n in problem.model.theta), 0.25]
    density, slopes, _, _ = run(problem, theta)
    m, P, total = 0.8, 0.0, 0.0  # the textbook's recursion
    for k, reading in enumerate(y):
        if k:
            m, P = m + 1.1 - np.exp(m), (1 - np.exp(m)) ** 2 * P + 0.04
        if not np.isnan(reading):
            S = P + 0.0625
            total += scipy.stats.norm(m, np.sqrt(S)).logpdf(reading)
            m, P = m + P / S * (reading - m), P - P**2 / S
    assert density.sum() == pytest.approx(total, rel=1e-12)
    for column in range(4):
        assert slopes[:, column].sum() == pytest.approx(by_differences(problem, theta, column, 1e-3), rel=1e-8)


def test_a_stiff_model_has_the_same_likelihood():
    """Rodas5P differentiates the moments' equations once more."""

    class Fast(Ornstein):
        rate = wb.Parameter("1/h", prior=wb.prior.LogNormal(median=3e4, sigma=0.1))
        x = wb.State("1", start=0.0, noise=wb.prior.LogNormal(median=300.0, sigma=0.1))

    data = ornstein(1, 20)
    problem = pose(Fast(), data)
    assert problem.method.name == "Rodas5P"
    theta = {"rate": 3e4, "target": 1.5, "x_noise": 250.0}
    density, slopes, _, _ = run(problem, [*(theta[n] for n in problem.model.theta), 0.2])
    exact = scipy.stats.norm(1.5, np.sqrt(250.0**2 / 6e4 + 0.04)).logpdf(data.y.values[1:]).sum()
    assert density.sum() == pytest.approx(exact, rel=1e-6)
    assert np.isfinite(slopes).all()


def test_density_that_is_sampled_is_that_of_a_dense_gaussian_process():
    """Log density and gradient of the PyMC models, at points of the prior: their posteriors are the same."""
    data = ornstein(5, 30)
    ours = compile_density(build(pose(Ornstein(), data)))
    times, y = data.time.values[1:], data.y.values[1:]
    with pm.Model() as dense:
        rate = pm.LogNormal("rate", mu=np.log(0.7), sigma=0.5)
        target = pm.Normal("target", mu=1.0, sigma=1.0)
        sigma, noise = pm.HalfNormal("x_noise", 1.0), pm.HalfNormal("y_sigma", 0.5)
        s, t = np.minimum.outer(times, times), np.maximum.outer(times, times)
        K = sigma**2 / (2 * rate) * (pt.exp(-rate * (t - s)) - pt.exp(-rate * (t + s)))
        pm.MvNormal("y", target * (1 - pt.exp(-rate * times)), K + noise**2 * pt.eye(times.size), observed=y)
    free = list(dense.value_vars)
    theirs = pytensor.function(free, [dense.logp(), *pt.grad(dense.logp(), free)], mode="FAST_COMPILE")
    rng = np.random.default_rng(1)
    assert [v.name.removesuffix("_log__") for v in free] == [v.name for v in ours.space.variables]
    for _ in range(5):
        point = rng.normal(0.0, 0.4, len(free))
        value, *slopes = theirs(*point)
        total, slope = ours.evaluate(point)
        assert total == pytest.approx(float(value), abs=1e-3)
        assert slope == pytest.approx(np.array(slopes, dtype=float), rel=1e-3, abs=1e-2)


def test_other_readings_need_no_compiler():
    one, other = (build(pose(Ornstein(), ornstein(6, 12))), build(pose(Ornstein(), ornstein(6, 12) * 1.1)))
    first, second = compile_density(one), compile_density(other)
    assert second.shares_code(first)
    point = np.zeros(4)
    assert second.evaluate(point)[0] != first.evaluate(point)[0]


def test_a_unit_that_cannot_be_filtered_has_no_density():
    class Bursts(Ornstein):
        def rhs(self, t, x, u, p):
            return {"x": p.rate * x.x**2 + p.target * p.rate}

    problem = pose(Bursts(), ornstein(1, 20))
    values = {"rate": 1.0, "target": 3.0, "x_noise": 0.5}
    density, slopes, _, _ = run(problem, [*(values[n] for n in problem.model.theta), 0.2])
    assert np.isneginf(density).all()
    assert not slopes.any()


@pytest.mark.parametrize(
    ("body", "got"),
    [
        ({"y": wb.Output("1", noise=wb.noise.StudentT(sigma=0.2))}, r"output 'y': got noise StudentT.*expected one of"),
        ({"y": wb.Output("1", noise=wb.noise.Normal(sigma=0.2), limits=(0.1, None))}, r"output 'y': got limits"),
        ({"y": wb.Output("1", noise=wb.noise.AR1(sigma=0.2, time_constant=1.0))}, r"output 'y': got noise AR1"),
        ({"y": wb.Output("1", noise=wb.noise.Normal(sigma=0.2), increment=True)}, r"output 'y': got an increment"),
        ({"hit": wb.Event("1"), "events": lambda self, t, x, u, p: {"hit": x.x - 1.0}}, r"got events; expected none"),
    ],
)
def test_what_filters_cannot_take_is_refused(body, got):
    refused = type("Refused", (Ornstein,), {**body, "__module__": __name__})
    with pytest.raises(DataError, match=got):
        pose(refused(), ornstein(1, 10))


class Cells(wb.Ode):
    """Processes of Ornstein and Uhlenbeck side by side, about zero."""

    time_unit = "h"
    cells: int = 2
    x = wb.State("1", dims=("cell",), start=0.0, noise=wb.prior.HalfNormal(1.0))
    rate = wb.Parameter("1/h", dims=("cell",), prior=wb.prior.LogNormal(median=0.7, sigma=0.5))
    y = wb.Output("1", dims=("cell",), noise=wb.noise.Normal(sigma=wb.prior.HalfNormal(0.5)))

    def rhs(self, t, x, u, p):
        return {"x": -p.rate * x.x}

    def observe(self, t, x, u, p):
        return {"y": x.x}


def test_elements_of_a_vector_are_processes_of_their_own():
    times, rng = np.array([0.5, 1.0, 2.5, 3.0]), np.random.default_rng(1)
    y = rng.standard_normal((4, 2))
    y[1, 0] = np.nan
    problem = pose(Cells(), xr.Dataset({"y": (("time", "cell"), y)}, {"time": times}))
    values = {"rate": [0.5, 2.0], "x_noise": [0.6]}
    density = run(problem, [*(v for n in problem.model.theta for v in values[n]), 0.2])[0]
    total = 0.0
    for k, rate in enumerate([0.5, 2.0]):
        known = ~np.isnan(y[:, k])
        given = {"rate": rate, "target": 0.0, "sigma": 0.6, "noise": 0.2}
        total += dense_ornstein(times[known] - 0.5, y[known, k], **given)
    assert density.sum() == pytest.approx(total, rel=1e-8)


def test_too_many_states_are_refused():
    data = xr.Dataset({"y": (("time", "cell"), np.ones((3, 11)))}, {"time": [0.0, 1.0, 2.0]})
    with pytest.raises(DataError, match=r"got 11 states; expected at most 10"):
        pose(Cells(cells=11), data)
