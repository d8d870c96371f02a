"""The compiled log density and its gradient equal PyMC's own, and densities written by hand, differentiated exactly."""

import numpy as np
import pymc as pm
import pytest
import scipy.stats
from calibrations import (
    DOSES,
    PRIORS,
    Level,
    Sensors,
    complex_step,
    density_of,
    lynx_hare_log_density,
    richardson,
    sensors_data,
)
from models import dosing_exact

import workbench as wb
from workbench.base.errors import SamplingError
from workbench.calibrate.bayes import build
from workbench.calibrate.fleet.pooling import distribution
from workbench.calibrate.problem import pose
from workbench.calibrate.sampling.density import compile_density
from workbench.calibrate.sampling.logp import LogpGraph
from workbench.calibrate.sampling.space import space_of
from workbench.calibrate.sampling.start import draw_free
from workbench.declare.families import FAMILIES


def split(model: pm.Model, space, point: np.ndarray) -> dict:
    """Return a flat point as PyMC takes it: values of the free variables on the unconstrained scale."""
    names = [model.rvs_to_values[rv].name for rv in model.free_RVs]
    return {n: point[v.place].reshape(v.shape) for n, v in zip(names, space.variables, strict=True)}


def mapped_by_pymc(model: pm.Model, rv, free: np.ndarray) -> np.ndarray:
    transform = model.rvs_to_transforms[rv]
    return free if transform is None else transform.backward(free, *rv.owner.inputs).eval(mode="FAST_COMPILE")


def same_as_pymc(model: pm.Model, density, points: np.ndarray) -> None:
    logp, slope = model.compile_logp(mode="FAST_COMPILE"), model.compile_dlogp(mode="FAST_COMPILE")
    for point in points:
        value, gradient = density.evaluate(point)
        given = split(model, density.space, point)
        assert np.isfinite(value)
        np.testing.assert_allclose(value, logp(given), rtol=1e-10)
        np.testing.assert_allclose(gradient, slope(given), rtol=1e-8, atol=1e-9 * np.abs(gradient).max())


def near_prior(name: str, count: int, seed: int) -> np.ndarray:
    """Return points with a density, drawn from the prior."""
    problem, _, density = density_of(name)
    points = density.space.unconstrain(draw_free(problem, np.random.default_rng(seed), 50 * count))
    known = [point for point in points if np.isfinite(density.evaluate(point)[0])]
    assert len(known) >= count
    return np.array(known[:count])


@pytest.mark.parametrize("name", ["lynx", "dosing", "sensors", "levels"])
def test_it_is_the_density_of_pymc(name):
    _, model, density = density_of(name)
    same_as_pymc(model, density, near_prior(name, 4, seed=11))


@pytest.mark.parametrize("name", ["lynx", "dosing", "sensors", "levels"])
def test_points_map_back_as_pymc_maps_them(name):
    _, model, density = density_of(name)
    points = np.random.default_rng(1).normal(size=(3, 2, density.space.size))
    own = density.space.constrain(points)
    for rv, variable in zip(model.free_RVs, density.space.variables, strict=True):
        free = points[..., variable.place].reshape(3, 2, *variable.shape)
        np.testing.assert_allclose(own[variable.name], mapped_by_pymc(model, rv, free), rtol=1e-13)
    np.testing.assert_allclose(density.space.unconstrain(own), points, rtol=1e-9, atol=1e-9)


def test_lynx_and_hare_by_scipy_and_complex_steps():
    _, _, density = density_of("lynx")
    names = [v.name for v in density.space.variables]

    def by_hand(point):  # every parameter is positive: its logarithm is free
        return lynx_hare_log_density(dict(zip(names, np.exp(point), strict=True))) + point.sum()

    best = np.log([34.0, 5.9, 0.55, 0.028, 0.80, 0.024, 0.25, 0.25])
    order = "hare_start lynx_start alpha beta gamma delta hare_pelts_sigma lynx_pelts_sigma".split()
    best = np.array([best[order.index(name)] for name in names])
    for shift in 0.05 * np.random.default_rng(2).normal(size=(3, 8)):
        value, gradient = density.evaluate(best + shift)
        exact = complex_step(by_hand, (best + shift).astype(complex))
        np.testing.assert_allclose(value, by_hand((best + shift).astype(complex)).real, rtol=1e-5)
        np.testing.assert_allclose(gradient, exact, rtol=1e-4, atol=1e-4 * np.abs(exact).max())


def test_pooled_doses_and_infusions_by_matrix_exponentials():
    problem, _, density = density_of("dosing")
    log_two_pi = np.log(2 * np.pi)

    def normal(x, mu, sigma):
        return -((x - mu) ** 2) / (2 * sigma**2) - np.log(sigma) - log_two_pi / 2

    def by_hand(point):
        free = {v.name: point[v.place].reshape(v.shape) for v in density.space.variables}  # all are logarithms
        total = normal(free["ka_pop"], np.log(1.2), 0.5) + normal(free["ke"], np.log(0.3), 0.5)
        total += normal(free["ka"], free["ka_pop"], np.exp(free["ka_sd"])).sum()
        total += np.log(2) + normal(np.exp(free["ka_sd"]), 0, 1) + free["ka_sd"]
        total += normal(free["V"], np.log(20.0), 0.5).sum() + normal(free["centre_start"], np.log(10.0), 0.5)
        sigma = np.exp(free["concentration_sigma"])
        total += np.log(2) + normal(sigma, 0, 0.5) + free["concentration_sigma"]
        for k, unit in enumerate(DOSES):
            rows = slice(problem.rows[k], problem.rows[k + 1])
            values = {"ka": np.exp(free["ka"][k]), "ke": np.exp(free["ke"]), "share": 0.5}
            amounts = dosing_exact(
                problem.observations.time[rows],
                values=values,
                start=[0.0, np.exp(free["centre_start"])],
                **DOSES[unit],
            )
            outputs = amounts[:, 1] / np.exp(free["V"][k])
            total += normal(problem.observations.values["concentration"][rows], outputs, sigma).sum()
        return total

    names = {"ka_pop", "ka_sd", "ka", "ke", "V", "centre_start", "concentration_sigma"}
    assert {v.name for v in density.space.variables} == names
    for point in near_prior("dosing", 3, seed=4):
        value, gradient = density.evaluate(point)
        exact = complex_step(by_hand, point.astype(complex))
        np.testing.assert_allclose(value, by_hand(point.astype(complex)).real, rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(gradient, exact, rtol=1e-4, atol=1e-4 * np.abs(exact).max())


def test_every_noise_by_scipy_and_finite_differences():
    _, _, density = density_of("sensors")
    data = sensors_data()

    def by_hand(point):
        free = {v.name: point[v.place].item() for v in density.space.variables}
        own = {n: z if n == "a" else np.exp(z) for n, z in free.items()}
        x = 1 / (1 / own["x_start"] - own["a"] * data.time.values)
        nu, alpha, sigma = own["heavy_nu"], own["clumps_alpha"], own["additive_sigma"]
        laws = {
            "additive": scipy.stats.norm(x, sigma).logpdf,
            "relative": scipy.stats.lognorm(0.2, scale=x).logpdf,
            "heavy": scipy.stats.t(nu, x, 0.2).logpdf,
            "sharp": scipy.stats.laplace(x, 0.2).logpdf,
            "counts": scipy.stats.poisson(10 * x).logpmf,
            "clumps": scipy.stats.nbinom(alpha, alpha / (alpha + 10 * x)).logpmf,
        }
        total = sum(np.nansum(law(data[name].values)) for name, law in laws.items())
        total += scipy.stats.norm(0.3, 0.6).logpdf(own["a"]) + scipy.stats.lognorm(0.5).logpdf(own["x_start"])
        total += scipy.stats.gamma(2, scale=10).logpdf(nu) + scipy.stats.gamma(1, scale=10).logpdf(alpha)
        total += scipy.stats.halfnorm(0, 0.5).logpdf(sigma)
        return total + sum(z for n, z in free.items() if n != "a")

    rng = np.random.default_rng(6)
    centre = {"a": 0.28, "x_start": 0.0, "additive_sigma": -1.5, "heavy_nu": 2.0, "clumps_alpha": 1.5}
    assert {v.name for v in density.space.variables} == set(centre)
    for _ in range(3):
        point = np.array([centre[v.name] for v in density.space.variables]) + 0.05 * rng.normal(size=5)
        value, gradient = density.evaluate(point)
        np.testing.assert_allclose(value, by_hand(point), rtol=1e-4)
        exact = richardson(by_hand, point, 1e-4)
        np.testing.assert_allclose(gradient, exact, rtol=1e-3, atol=1e-4 * np.abs(exact).max())


def test_a_failed_solve_has_no_density_and_is_counted():
    _, model, density = density_of("sensors")
    point = np.zeros(density.space.size)
    (place,) = (v.place for v in density.space.variables if v.name == "a")
    point[place] = 0.28
    assert np.isfinite(density.evaluate(point)[0])
    before = density.failures[0]
    point[place] = 5.0  # x is infinite at t = 0.2
    value, gradient = density.evaluate(point)
    assert value == -np.inf
    np.testing.assert_array_equal(gradient, 0.0)
    assert density.failures[0] == before + 1
    assert model.compile_logp(mode="FAST_COMPILE")(split(model, density.space, point)) == -np.inf


def test_a_count_alone_has_no_density_where_the_solve_fails():
    # a NegativeBinomial with a small alpha allows any mean, so that infinity must be refused by itself
    problem = pose(Sensors(), sensors_data()[["clumps"]])
    model = build(problem)
    logp = model.compile_logp(mode="FAST_COMPILE")
    point = {"a": 0.2, "x_start_log__": 0.0, "clumps_alpha_log__": -7.0}
    assert np.isfinite(logp(point))
    assert logp(point | {"a": 5.0}) == -np.inf


@pytest.mark.slow
def test_every_prior_family_is_the_density_of_pymc():
    assert set(PRIORS) == set(FAMILIES) - {"PolyaGamma"}
    with pm.Model(coords={"unit": ["a", "b"]}) as model:
        for name, arguments in PRIORS.items():
            distribution(f"p_{name}", getattr(wb.prior, name)(**arguments), dims="unit", shape=2)
        pm.Potential("data", -((model["p_Flat"] - 1) ** 2).sum())  # a Flat alone has no gradient
    density = compile_density(model)
    logp, slope = model.compile_logp(), model.compile_dlogp()
    for point in 0.7 * np.random.default_rng(3).normal(size=(20, density.space.size)):
        value, gradient = density.evaluate(point)
        given = split(model, density.space, point)
        np.testing.assert_allclose(value, logp(given), rtol=1e-12)
        if np.isfinite(value):
            np.testing.assert_allclose(gradient, slope(given), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", PRIORS)
def test_priors_map_back_as_pymc_maps_them(name):
    with pm.Model(coords={"unit": range(5)}) as model:
        distribution("p", getattr(wb.prior, name)(**PRIORS[name]), dims="unit", shape=5)
    space = space_of(model)
    points = np.array([-30.0, -2.0, 0.0, 1.0, 9.0])
    own = space.constrain(points)["p"]
    np.testing.assert_allclose(own, mapped_by_pymc(model, model["p"], points), rtol=1e-13)
    low, high = getattr(wb.prior, name)(**PRIORS[name]).support
    assert (own >= low).all()
    assert (own <= high).all()
    np.testing.assert_allclose(space.unconstrain({"p": own})[1:4], points[1:4], rtol=1e-9, atol=1e-12)


def test_other_data_of_the_same_shape_are_not_taken_from_the_cache():
    import pandas as pd

    table = {"time": [0.0, 1.0, 2.0]}
    values = []
    for readings in ([3.0, 4.0, 5.0], [3.0, 4.0, 6.0]):
        density = compile_density(build(pose(Level(), pd.DataFrame(table | {"y": readings}))))
        expected = scipy.stats.norm([3.0, 3.5, 4.0], 2.0).logpdf(readings).sum() + scipy.stats.norm(5, 10).logpdf(3.0)
        values.append(density.evaluate(np.array([3.0]))[0])
        np.testing.assert_allclose(values[-1], expected, rtol=1e-7)
    assert values[0] != values[1]


def test_what_cannot_be_sampled_is_refused():
    with pm.Model() as model:
        distribution("p", wb.prior.PolyaGamma(1.0, 0.0))
    with pytest.raises(SamplingError, match=r"density without a gradient .*PolyaGamma.*expected other priors"):
        compile_density(model)
    with pm.Model() as model:
        pm.Potential("nothing", pm.math.constant(0.0))
    with pytest.raises(SamplingError, match="without free variables; expected at least one quantity with a prior"):
        compile_density(model)


def test_other_readings_of_the_same_pattern_need_no_compiler(monkeypatch):
    problem, _, density = density_of("sensors")
    rng = np.random.default_rng(8)
    other = sensors_data().copy(deep=True)
    for name in ("additive", "heavy"):
        other[name] = other[name] + rng.normal(size=other.time.size)
    other["counts"] = other["counts"] + 3
    again = pose(Sensors(), other)
    model = build(again)
    monkeypatch.setattr(LogpGraph, "compiled", None)  # it would fail if it was called
    by_hook = compile_density(model)
    by_name = density.with_readings({name: again.readings(name) for name in again.measured})
    points = near_prior("sensors", 4, seed=3)
    for made in (by_hook, by_name):
        same_as_pymc(model, made, points)
    same_as_pymc(build(problem), density, points)  # the first one kept its own
    assert by_name.failures[0] == 0
    by_name.evaluate(np.full(density.space.size, 50.0))
    assert (by_name.failures[0], by_hook.failures[0]) == (1, 0)


def test_readings_of_another_pattern_are_refused():
    problem, _, density = density_of("sensors")
    given = {name: problem.readings(name) for name in problem.measured}
    np.testing.assert_array_equal(density.readings["counts"], given["counts"])
    with pytest.raises(SamplingError, match=r"got readings .*'sharp': 4.*expected as many as were compiled"):
        density.with_readings(given | {"sharp": given["sharp"][:-1]})
    with pytest.raises(SamplingError, match="expected as many as were compiled"):
        density.with_readings({"sharp": given["sharp"]})
