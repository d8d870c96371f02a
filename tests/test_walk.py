"""Process noise has the law it must have; the same seed gives the same walk, whatever else is solved beside it."""

import numpy as np
import pytest
import scipy.stats

import workbench as wb
from workbench.base.errors import DeclarationError


class Drift(wb.Ode):
    """An Ornstein-Uhlenbeck process, driven."""

    time_unit = "h"
    x = wb.State("degC", start=4.0, noise="sigma")
    k = wb.Parameter("1/h", value=0.8)
    sigma = wb.Parameter("K/h**0.5", value=0.5)
    goal = wb.Input("degC", kind="previous")
    seen = wb.Output("degC")

    def rhs(self, t, x, u, p):
        return {"x": p.k * (u.goal - x.x)}

    def observe(self, t, x, u, p):
        return {"seen": x.x}


TIMES = np.array([0.0, 0.3, 1.0, 1.1, 5.0])
GOAL = {"goal": {0.0: 1.0, 0.7: 2.0}}
MEMBERS = 4000


@pytest.fixture(scope="module")
def many():
    return wb.simulate(Drift, TIMES, parameters={"k": np.full(MEMBERS, 0.8)}, inputs=GOAL, seed=3)


def test_means_and_variances_are_those_of_the_process(many):
    mean = wb.simulate(Drift, TIMES, parameters={"sigma": 0.0}, inputs=GOAL).x.values
    variance = 0.25 * (1 - np.exp(-1.6 * TIMES)) / 1.6
    assert (many.x[:, 0] == 4.0).all()
    z = (many.x.mean("member").values - mean)[1:] / np.sqrt(variance[1:] / MEMBERS)
    assert np.abs(z).max() < 4
    ratio = many.x.var("member").values[1:] / variance[1:]
    low, high = scipy.stats.chi2(MEMBERS - 1).interval(1 - 1e-4)
    assert ((low / MEMBERS < ratio) & (ratio < high / MEMBERS)).all()
    lag = np.corrcoef(many.x[:, 2], many.x[:, 3])[0, 1]
    exact = np.exp(-0.08) * np.sqrt(variance[2] / variance[3])
    assert abs(np.arctanh(lag) - np.arctanh(exact)) < 4 / np.sqrt(MEMBERS)
    assert scipy.stats.kstest((many.x[:, 4] - mean[4]) / np.sqrt(variance[4]), "norm").pvalue > 1e-4


def test_a_seed_gives_the_same_walk(many):
    again = wb.simulate(Drift, TIMES, parameters={"k": np.full(3, 0.8)}, inputs=GOAL, seed=3)
    np.testing.assert_array_equal(again.x, many.x[:3])
    other = wb.simulate(Drift, TIMES, inputs=GOAL, seed=4)
    assert not np.isclose(other.x[-1], many.x[0, -1])
    free = [float(wb.simulate(Drift, TIMES, inputs=GOAL).x[-1]) for _ in range(2)]
    assert free[0] != free[1]


def test_a_stiff_model_walks_too():
    class Stiff(Drift):
        k = wb.Parameter("1/h", value=1e7)
        noise_step = 0.01

    made = wb.simulate(Stiff, np.linspace(0, 20, 5), parameters={"sigma": np.array([0.5, 0.0])}, inputs=GOAL, seed=1)
    np.testing.assert_allclose(made.x[1, 1:], 2.0, rtol=1e-6)
    assert np.isfinite(made.x[0]).all()


class Walk(wb.Map):
    """A random walk with a memory, in steps of half an hour."""

    time_unit = "h"
    dt = 0.5
    x = wb.State("1", start=1.0, noise=0.3)
    y = wb.State("1", start=0.0)
    a = wb.Parameter("1", prior=wb.prior.Uniform(0, 1), value=0.9)
    push = wb.Input("1", kind="impulse", into="y")
    seen = wb.Output("1", noise=wb.noise.Normal(sigma=0.1))

    def step(self, t, x, u, p):
        return {"x": p.a * x.x, "y": x.y + x.x}

    def observe(self, t, x, u, p):
        return {"seen": x.y}


def test_a_map_steps_and_walks():
    class Still(Walk):
        x = wb.State("1", start=1.0)

    times = np.arange(0, 5.1, 0.5)
    made = wb.simulate(Still, times, inputs={"push": {2.0: 10.0}})
    k = np.arange(11)
    np.testing.assert_allclose(made.x, 0.9**k, rtol=1e-12)
    np.testing.assert_allclose(made.y, (1 - 0.9**k) / 0.1 + 10.0 * (times >= 2), rtol=1e-12)
    between = wb.simulate(Still, [0.0, 0.4, 0.5, 0.99])
    np.testing.assert_allclose(between.x, [1.0, 1.0, 0.9, 0.9])
    many = wb.simulate(Walk, times, parameters={"a": np.full(3000, 0.9)}, seed=5)
    variance = 0.09 * (1 - 0.81**k) / 0.19
    ratio = many.x.var("member").values[1:] / variance[1:]
    assert np.abs(ratio - 1).max() < 5 * np.sqrt(2 / 3000)
    assert made.attrs["solver"] == "steps"


def test_sensitivities_of_a_map_are_exact():
    from test_sensitivities import problem

    class Still(Walk):
        x = wb.State("1", start=1.0)

    times = np.arange(0, 5.1, 0.5)
    y, d = problem(Still, {"a": 0.9}, times=times, inputs={"push": {2.0: 10.0}}, tolerance=1e-6).perform()
    k = np.arange(11)
    exact = (-k * 0.9 ** (k - 1) * 0.1 + (1 - 0.9**k)) / 0.01
    np.testing.assert_allclose(d[:, 0, 0], exact, rtol=1e-12, atol=1e-12)
    assert y[0, 0] == 0.0


def test_mistakes_are_refused():
    with pytest.raises(DeclarationError, match=r"Bad.x: got noise -1; expected it within the bounds 0 to inf"):

        class Bad(Drift):
            x = wb.State("degC", start=4.0, noise=-1.0)

    with pytest.raises(DeclarationError, match=r"unknown parameter 'sigm'.*did you mean 'sigma'"):

        class Bad2(Drift):
            x = wb.State("degC", start=4.0, noise="sigm")

    with pytest.raises(DeclarationError, match=r"Bad3.x.noise: got 'k' with units 1/h and"):

        class Bad3(Drift):
            x = wb.State("degC", start=4.0, noise="k")
            sigma = wb.Parameter("1/h", value=0.5)

    with pytest.raises(DeclarationError, match=r"noise_step: got 0; expected a positive number of h"):

        class Bad4(Drift):
            noise_step = 0

    with pytest.raises(DeclarationError, match=r"dt: got -1; expected a positive number of h"):

        class Bad5(Walk):
            dt = -1
