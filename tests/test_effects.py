"""Coordinates of units' effects in which populations are sampled: a change of variables, and a good one."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from calibrations import Level, level_data, richardson

import workbench as wb
from workbench.calibrate.bayes import build
from workbench.calibrate.fleet.effects import Effects, effects_of
from workbench.calibrate.problem import pose
from workbench.calibrate.sampling.density import compile_density
from workbench.calibrate.sampling.start import find_start
from workbench.calibrate.sampling.straightened import Straightened

RNG = np.random.default_rng(4)


class Decay(wb.Ode):
    """Decay whose amplitude and rate differ between units."""

    time_unit = "h"
    a = wb.Parameter("1", prior=wb.prior.LogNormal(median=5.0, sigma=0.5))
    k = wb.Parameter("1/h", prior=wb.prior.Beta(2, 3))
    x = wb.State("1", start=1.0)
    y = wb.Output("1", noise=wb.noise.Normal(sigma=wb.prior.HalfNormal(0.5)))

    def rhs(self, t, x, u, p):
        return {"x": -p.k * x.x}

    def observe(self, t, x, u, p):
        return {"y": p.a * x.x}


def decays():
    """Return four units, the last with one reading only."""
    rows = []
    for unit in range(4):
        times = np.arange(0.0, 4.0) if unit < 3 else np.array([1.0])
        values = (4 + unit) * np.exp(-(0.2 + 0.1 * unit) * times) + 0.3 * RNG.normal(size=times.size)
        rows += [{"unit": f"u{unit}", "time": t, "y": v} for t, v in zip(times, values, strict=True)]
    return pd.DataFrame(rows)


POOLS = {
    "one of each": {"a": "partial", "k": wb.Partial(sd=wb.prior.Uniform(0.0, 2.0))},
    "correlated": {("a", "k"): wb.Correlated()},
}


@cache
def straightened(pool):
    problem = pose(Decay(), decays(), pool=POOLS[pool])
    density = compile_density(build(problem))
    start = find_start(problem, density, np.random.default_rng(0))
    assert start.effects is not None
    return density, start


def points_near(start, count):
    return start.top + 0.3 * RNG.normal(size=(count, start.top.size))


@pytest.mark.parametrize("pool", POOLS)
def test_there_and_back_again(pool):
    _, start = straightened(pool)
    points = points_near(start, 20)
    np.testing.assert_allclose(start.effects.bent(start.effects.straight(points)), points, atol=1e-12)
    assert start.effects.unit.size == 8


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("centred", [True, False])
def test_the_volume_is_the_determinant_of_the_jacobian(pool, centred):
    _, start = straightened(pool)
    own = start.effects
    effects = Effects(**{**vars(own), "centred": np.full(own.unit.size, centred)})
    for point in points_near(start, 3):
        y = effects.straight(point)
        slopes = np.stack([richardson(lambda z, k=k: effects.bent(z)[k], y, 1e-3) for k in range(y.size)])
        assert effects.log_volume(point) == pytest.approx(np.linalg.slogdet(slopes)[1], abs=1e-7)


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("centred", [True, False])
def test_the_density_is_that_of_the_other_space_and_its_gradient_that_of_finite_differences(pool, centred):
    density, start = straightened(pool)
    effects = Effects(**{**vars(start.effects), "centred": np.full(start.effects.unit.size, centred)})
    straight = Straightened.of(density, effects)
    for point in points_near(start, 3):
        y = effects.straight(point)
        value, slope = straight.evaluate(y)
        assert value == pytest.approx(density.evaluate(point)[0] + effects.log_volume(point), rel=1e-10)
        exact = richardson(lambda z: straight.evaluate(z)[0], y, 1e-3)
        np.testing.assert_allclose(slope, exact, rtol=1e-5, atol=1e-5 * np.abs(exact).max())


def test_linear_effects_are_standard_normal_whatever_median_and_sd():
    """Of a linear model with Gaussian errors of known SD, at any population median and SD between units."""
    problem = pose(Level(), level_data(), pool={"x_start": "partial"})
    density = compile_density(build(problem))
    start = find_start(problem, density, np.random.default_rng(0))
    effects = effects_of(problem, density, start.top)
    straight = Straightened.of(density, effects)
    places = {v.name: v.place for v in density.space.variables}
    for mu, log_sd in ((3.0, -4.0), (8.0, 0.5), (20.0, 2.5)):
        y = effects.straight(start.top)
        y[places["x_start_pop"]], y[places["x_start_sd"]] = mu, log_sd
        y[effects.unit] = 0.0
        at_middle, slope = straight.evaluate(y)
        np.testing.assert_allclose(slope[effects.unit], 0.0, atol=1e-5)
        y[effects.unit] = shift = RNG.normal(size=effects.unit.size)
        assert straight.evaluate(y)[0] - at_middle == pytest.approx(-0.5 * shift @ shift, rel=1e-5)


def test_a_form_that_was_asked_for_is_kept():
    problem = pose(Decay(), decays(), pool={"a": wb.Partial(centred=True)})
    density = compile_density(build(problem))
    assert (
        effects_of(problem, density, np.zeros(sum(v.place.stop - v.place.start for v in density.space.variables)))
        is None
    )
