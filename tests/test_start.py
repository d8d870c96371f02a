"""Chains start about the mode that matters, wherever the prior reaches, and the same ones for the same seed."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import threadpoolctl
from calibrations import DRIFT, PRIORS, REFERENCE, Level, Sensors, density_of, sensors_data

import workbench as wb
from workbench.base.errors import DeclarationError, SamplingError
from workbench.calibrate.bayes import build
from workbench.calibrate.fleet.pooling import draw_prior
from workbench.calibrate.problem import pose
from workbench.calibrate.sampling.density import compile_density
from workbench.calibrate.sampling.progress import Progress
from workbench.calibrate.sampling.sample import sample
from workbench.calibrate.sampling.start import draw_free, find_start


@pytest.mark.parametrize("name", PRIORS)
def test_draws_of_a_prior_have_its_quantiles(name):
    prior = getattr(wb.prior, name)(**PRIORS[name])
    draws = draw_prior(prior, np.random.default_rng(1), (1000, 4))
    assert draws.shape == (1000, 4)
    low, high = prior.support
    assert ((draws >= low) & (draws <= high)).all()
    if name in ("Flat", "HalfFlat"):
        return
    for mass in (0.1, 0.5, 0.9):
        below = (draws <= prior.quantile(mass)).mean()
        assert abs(below - mass) < 4.5 * np.sqrt(mass * (1 - mass) / draws.size)


def test_a_prior_that_cannot_be_drawn_is_named():
    with pytest.raises(DeclarationError, match="PolyaGamma"):
        draw_prior(wb.prior.PolyaGamma(1.0, 0.0), np.random.default_rng(1), 3)


@pytest.mark.parametrize("name", ["lynx", "dosing", "sensors", "levels"])
def test_every_free_variable_is_drawn_in_its_shape(name):
    problem, _, density = density_of(name)
    drawn = draw_free(problem, np.random.default_rng(2), 7)
    for variable in density.space.variables:
        assert drawn[variable.name].shape == (7, *variable.shape)
    assert density.space.unconstrain(drawn).shape == (7, density.space.size)


@pytest.mark.parametrize("seed", range(4))
def test_the_best_climb_reaches_the_mode_of_lynx_and_hare(seed):
    problem, _, density = density_of("lynx")
    start = find_start(problem, density, np.random.default_rng(seed))
    top = density.space.constrain(start.top)
    for name, (mean, sd) in REFERENCE.items():
        assert abs(float(top[name]) - mean) < 1.0 * sd, name
    _, slope = density.evaluate(start.top)
    assert slope @ start.modes[0].spread @ slope < 1e-3  # the square of the way to the top, in posterior SDs
    assert start.best == density.evaluate(start.top)[0] == start.tops[0]
    assert (np.diff(start.tops) <= 0).all()
    points = np.array([start.point(k) for k in range(40)])
    values = [density.evaluate(point)[0] for point in points]
    assert min(values) > start.best - 5 - 2 * density.space.size
    assert len(np.unique(points, axis=0)) == 40
    sds = np.sqrt(np.diag(start.modes[0].spread))
    assert (np.abs(points - start.top).mean(axis=0) < 3 * sds).all()


def test_a_start_hangs_on_the_seed_alone():
    problem, _, density = density_of("lynx")
    a, b = (find_start(problem, density, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(a.top, b.top)
    np.testing.assert_array_equal(a.modes[0].spread, b.modes[0].spread)
    np.testing.assert_array_equal(a.point(2**63 + 1), b.point(2**63 + 1))
    assert (a.point(1) != a.point(2)).any()


def test_a_start_keeps_where_the_model_can_be_solved():
    problem, _, density = density_of("sensors")
    found = find_start(problem, density, np.random.default_rng(4))
    wide = replace(found, modes=(replace(found.modes[0], spread=100.0 * np.eye(density.space.size)),))
    points = [wide.point(k) for k in range(50)]
    assert all(np.isfinite(density.evaluate(point)[0]) for point in points)


def test_the_spread_of_a_population_stays_put_in_a_climb():
    problem, _, density = density_of("levels")
    start = find_start(problem, density, np.random.default_rng(5))
    spread = float(density.space.constrain(start.top)["x_start_sd"])
    drawn = draw_free(problem, np.random.default_rng(5), 400)["x_start_sd"]
    assert np.isclose(drawn, spread, rtol=1e-12).any()  # the density has no bound as it goes to nought
    assert drawn.max() <= 10 * 0.9945 * 0.6745  # the median of its prior: starts are near each other, not far


def test_where_no_draw_has_a_density():
    class Doomed(Sensors):
        a = wb.Parameter("1/h", prior=wb.prior.Uniform(1.0, 2.0))

    data = sensors_data()[["relative"]].isel(time=[0, 1]).assign_coords(time=[0.0, 1e9])  # x blows up long before
    with pytest.raises(SamplingError, match=r"Doomed: got no finite density at any of 400 draws from the prior; exp"):
        wb.calibrate(Doomed(), data, progress=False)


@pytest.mark.slow
def test_no_chain_ends_in_a_wrong_mode():
    """Fifty seeds: the modes with a flat cycle lie tens of log units below the one that matters."""
    problem, _, density = density_of("lynx")
    for seed in range(50):
        start = find_start(problem, density, np.random.default_rng(seed))
        assert len(start.modes) == 1
        drawn = sample(density, start, chains=4, draws=100, tune=300, seed=seed, progress=Progress(False))
        means = density.space.constrain(drawn.points)
        for name, (mean, sd) in REFERENCE.items():
            assert (abs(means[name].mean(axis=1) - mean) < sd).all(), (seed, name)


def test_most_climbs_reach_the_mode_that_matters():
    """Of 8 climbs from the best draws, as this was done before, fewer than 3 did, and at some seeds none."""
    problem, _, density = density_of("lynx")
    starts = [find_start(problem, density, np.random.default_rng(seed)) for seed in range(20)]
    assert {start.tops.shape for start in starts} == {(8,)}
    reached = np.array([(start.tops > start.best - 0.01).sum() for start in starts])
    assert reached.min() >= 3
    assert reached.mean() > 5
    assert (np.concatenate([start.tops for start in starts]) < -140).any()  # the record keeps the others


def test_a_name_does_not_make_a_population():
    class Wide(wb.Ode):
        time_unit = "s"
        x = wb.State("1", start=1.0)
        width_sd = wb.Parameter("1/s", prior=wb.prior.LogNormal(median=1.0, sigma=1.0))
        y = wb.Output("1", noise=wb.noise.Normal(sigma=0.1))

        def rhs(self, t, x, u, p):
            return {"x": -p.width_sd * x.x}

        def observe(self, t, x, u, p):
            return {"y": x.x}

    problem = pose(Wide(), pd.DataFrame({"time": [0.0, 1.0], "y": [1.0, 0.4]}))
    assert not find_start(problem, compile_density(build(problem)), np.random.default_rng(1)).population
    pooled, _, density = density_of("levels")
    assert find_start(pooled, density, np.random.default_rng(1)).population


def test_a_large_space_is_climbed_without_its_curvature():
    """Three hundred starts of lines, each with a normal posterior of its own: mode and number of evaluations."""
    rng, count = np.random.default_rng(0), 300
    table = [(f"u{k}", float(t), k % 7 + DRIFT * t + 2 * rng.normal()) for k in range(count) for t in range(3)]
    data = pd.DataFrame(table, columns=["unit", "time", "y"])
    problem = pose(Level(), data, pool={"x_start": "none"})
    density, asked = compile_density(build(problem)), []

    class Counted:
        space = density.space

        def evaluate(self, point):
            asked.append(1)
            return density.evaluate(point)

    start = find_start(problem, Counted(), np.random.default_rng(1))
    order = list(problem.units)
    residual = (data["y"] - DRIFT * data["time"]).groupby(data["unit"]).sum()[order].to_numpy()
    np.testing.assert_allclose(start.top, (residual / 4 + 5 / 100) / (3 / 4 + 1 / 100), atol=1e-3)  # prior N(5, 10)
    assert len(start.modes) == 1
    assert len(asked) < 1500


def test_climbs_keep_blas_to_one_thread_and_give_the_others_back():
    problem, _, density = density_of("levels")
    seen = set[int]()

    class Watched:
        space = density.space

        def evaluate(self, point):
            if not seen:
                seen.update(threads())
            return density.evaluate(point)

    def threads() -> list[int]:
        return [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]

    with threadpoolctl.threadpool_limits(limits=2, user_api="blas"):
        find_start(problem, Watched(), np.random.default_rng(0))
        assert set(threads()) == {2}
    assert seen == {1}
