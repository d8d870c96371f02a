"""One value for all units, one for each, or a population: names, dims, scales, and a posterior known in closed form."""

import numpy as np
import pandas as pd
import pymc as pm
import pytest
import scipy.integrate
import scipy.stats
import xarray as xr
from calibrations import DRIFT, Level, density_of, level_data, levels

import workbench as wb
from workbench.base.errors import DataError, DeclarationError, ParameterError
from workbench.calibrate.fleet.pooling import Scale, scale_of, spread_prior, variable

PRIORS = {
    "identity": wb.prior.Normal(mu=2.0, sigma=3.0),
    "log": wb.prior.LogNormal(median=2.0, sigma=0.5),
    "log from 1.5": wb.prior.Pareto(alpha=3.0, m=1.5),
    "log below 4": wb.prior.TruncatedNormal(mu=2.0, sigma=1.0, upper=4.0),
    "logit": wb.prior.Beta(2.0, 3.0),
    "logit from -1 to 3": wb.prior.Uniform(-1.0, 3.0),
}


def parameter(prior):
    class One(wb.Ode):
        time_unit = "h"
        x = wb.State("mg", start=1.0)
        k = wb.Parameter("mg/h", prior=prior, long_name="rate")
        y = wb.Output("mg", noise=wb.noise.Normal(sigma=1.0))

        def rhs(self, t, x, u, p):
            return {"x": p.k}

        def observe(self, t, x, u, p):
            return {"y": x.x}

    return One().theta["k"]


@pytest.mark.parametrize("name", PRIORS)
def test_scales_are_unbounded_and_inverse(name):
    scale = scale_of(PRIORS[name])
    assert scale.name == name.split()[0]
    z = np.linspace(-6, 6, 25)
    own = scale.unlink(z)
    low, high = PRIORS[name].support
    assert (own > low).all()
    assert (own < high).all()
    np.testing.assert_allclose(scale.link(own), z, rtol=1e-9, atol=1e-9)


def test_scales_by_hand():
    assert Scale(0.0, np.inf).link(np.e) == pytest.approx(1.0)
    assert Scale(2.0, np.inf).unlink(0.0) == 3.0
    assert Scale(-np.inf, 4.0).unlink(0.0) == 3.0
    assert Scale(-1.0, 3.0).unlink(0.0) == 1.0
    assert Scale(-np.inf, np.inf).link(7.5) == 7.5


@pytest.mark.parametrize("name", PRIORS)
def test_units_are_normal_about_the_population_on_its_scale(name):
    """A change of variables: the density of each unit's value, times that of the population, by SciPy."""
    prior = PRIORS[name]
    with pm.Model(coords={"unit": ["a", "b"]}) as model:
        variable(parameter(prior), "partial", 2)
    scale, population, spread = scale_of(prior), prior.quantile(0.6), 0.4
    latent = np.array([-0.3, 0.8])
    half = 1.0 if scale.name != "identity" else 3.0 * scipy.stats.norm.ppf(0.84)
    expected = scipy.stats.halfnorm(0, half).logpdf(spread)
    expected += scipy.stats.norm(scale.link(population), spread).logpdf(latent).sum()
    with pm.Model():
        alone = getattr(pm, prior.name).dist(**prior.pymc_arguments)
        expected += pm.logp(alone, population).eval(mode="FAST_COMPILE")
    point, jacobian = {}, 0.0
    free = {"k_pop": population, "k_sd": spread, "k": scale.unlink(latent), "k_offset": latent}
    for rv in model.free_RVs:
        value, transform = np.asarray(free[rv.name]), model.rvs_to_transforms[rv]
        if transform is not None:
            jacobian += transform.log_jac_det(transform.forward(value, *rv.owner.inputs), *rv.owner.inputs).sum()
            value = transform.forward(value, *rv.owner.inputs).eval(mode="FAST_COMPILE")
        point[model.rvs_to_values[rv].name] = value
    if "k_offset" not in [rv.name for rv in model.free_RVs]:  # the density of the value, not of its latent
        slope = (scale.unlink(latent + 1e-6) - scale.unlink(latent - 1e-6)) / 2e-6
        expected -= np.log(slope).sum()
    jacobian = jacobian.eval(mode="FAST_COMPILE") if hasattr(jacobian, "eval") else jacobian
    found = model.compile_logp(mode="FAST_COMPILE")(point)
    np.testing.assert_allclose(found, expected + jacobian, rtol=1e-7)
    assert model.named_vars_to_dims["k"] == ("unit",)
    derived = model.replace_rvs_by_values([model["k"]])[0].eval(
        {model.rvs_to_values[rv]: point[model.rvs_to_values[rv].name] for rv in model.free_RVs},
        mode="FAST_COMPILE",
        on_unused_input="ignore",
    )
    np.testing.assert_allclose(derived, scale.unlink(latent), rtol=1e-12)


def test_a_prior_without_quantiles_cannot_say_how_far_units_differ():
    with pytest.raises(DeclarationError, match=r"Flat\(\), which has no quantile"):
        spread_prior(wb.prior.Flat())
    assert spread_prior(wb.prior.HalfFlat()) == wb.prior.HalfNormal(1.0)


@pytest.mark.parametrize("way", ["complete", "none", "partial"])
def test_names_and_dims(way):
    model = wb.to_pymc(Level(), level_data(), pool={"x_start": way})
    names = {rv.name for rv in model.free_RVs}
    assert names == {"x_start"} | ({"x_start_pop", "x_start_sd"} if way == "partial" else set())
    dims = model.named_vars_to_dims
    assert dims.get("x_start", ()) == (() if way == "complete" else ("unit",))
    assert "x_start_pop" not in dims
    assert model.coords["unit"] == tuple(f"u{k}" for k in range(8))


def test_complete_pooling_is_the_default():
    a, b = (wb.to_pymc(Level(), level_data(), pool=pool) for pool in (None, {"x_start": "complete"}))
    point = {"x_start": np.array(7.0)}
    expected = scipy.stats.norm(5, 10).logpdf(7.0)
    expected += scipy.stats.norm(7.0 + DRIFT * level_data().time, 2).logpdf(level_data().y).sum()
    for model in (a, b):
        np.testing.assert_allclose(model.compile_logp(mode="FAST_COMPILE")(point), expected, rtol=1e-7)


def test_units_alone_do_not_hear_of_each_other():
    model = wb.to_pymc(Level(), level_data(), pool={"x_start": "none"})
    data = level_data()
    start = np.linspace(0.0, 14.0, 8)
    expected = scipy.stats.norm(5, 10).logpdf(start).sum()
    mean = start[data.unit.str[1:].astype(int)] + DRIFT * data.time
    expected += scipy.stats.norm(mean, 2).logpdf(data.y).sum()
    np.testing.assert_allclose(model.compile_logp(mode="FAST_COMPILE")({"x_start": start}), expected, rtol=1e-7)


def population_by_quadrature():
    """Return means and SDs of the population's median and SD, and of each unit's start.

    Given the population, everything is normal, so the starts are integrated in closed form and two numbers on a grid.
    """
    data = level_data()
    groups = (data.y - DRIFT * data.time).groupby(data.unit)
    mean, variance = groups.mean().to_numpy(), 4.0 / groups.size().to_numpy()
    half = 10 * scipy.stats.norm.ppf(0.84)
    mu, tau = np.linspace(-25, 35, 601), np.linspace(1e-3, 45, 900)
    m, t = np.meshgrid(mu, tau, indexing="ij")
    log = scipy.stats.norm(5, 10).logpdf(m) + scipy.stats.halfnorm(0, half).logpdf(t)
    for y, v in zip(mean, variance, strict=True):
        log = log + scipy.stats.norm(m, np.sqrt(t**2 + v)).logpdf(y)
    weight = np.exp(log - log.max())

    def expect(f):
        area = scipy.integrate.simpson(scipy.integrate.simpson(weight * f, x=tau, axis=1), x=mu)
        return area / scipy.integrate.simpson(scipy.integrate.simpson(weight, x=tau, axis=1), x=mu)

    moments = {"x_start_pop": (expect(m), expect(m**2)), "x_start_sd": (expect(t), expect(t**2))}
    for k, (y, v) in enumerate(zip(mean, variance, strict=True)):
        share = t**2 / (t**2 + v)
        centre = share * y + (1 - share) * m
        moments[f"u{k}"] = (expect(centre), expect(centre**2 + share * v))
    return {name: (first, np.sqrt(second - first**2)) for name, (first, second) in moments.items()}


def test_a_population_of_lines_by_quadrature():
    calibration = levels()
    posterior = calibration.posterior
    assert calibration.trust.passed, str(calibration.trust)
    exact = population_by_quadrature()
    assert exact["x_start_sd"][0] > 2 * exact["u7"][1]  # units do differ, so that pooling is put to the test
    for name, (mean, sd) in exact.items():
        draws = posterior["x_start"].sel(unit=name) if name[0] == "u" else posterior[name]
        assert abs(float(draws.mean()) - mean) < 0.1 * sd, name
        assert float(draws.std(ddof=1)) == pytest.approx(sd, rel=0.1), name
    own = level_data().y.to_numpy() - DRIFT * level_data().time.to_numpy()
    few, many = own[level_data().unit == "u0"].mean(), own[level_data().unit == "u7"].mean()
    assert abs(exact["u0"][0] - few) > abs(exact["u7"][0] - many)  # the unit with fewer readings is drawn in further


def with_silent_unit(data: pd.DataFrame) -> pd.DataFrame:
    """Return the readings, and a unit of which nothing was read at two times."""
    return pd.concat([data, pd.DataFrame({"unit": "silent", "time": [0.0, 3.0], "y": np.nan})], ignore_index=True)


def silent_by_quadrature(exact: dict[str, tuple[float, float]]) -> tuple[float, float]:
    """Return mean and SD of a start that is drawn from the population: of both its uncertainty and its spread."""
    (mean, sd), (tau, off) = exact["x_start_pop"], exact["x_start_sd"]
    return mean, np.sqrt(sd**2 + tau**2 + off**2)


@pytest.mark.parametrize("centred", [True, False])
def test_a_unit_without_readings_is_drawn_from_the_population(centred):
    """And what is said of the others is what is said without it."""
    pool = {"x_start": wb.Partial(centred=centred)}
    calibration = wb.calibrate(
        Level(), with_silent_unit(level_data()), pool=pool, draws=1500, tune=1000, chains=4, seed=2, progress=False
    )
    exact = population_by_quadrature()
    exact["silent"] = silent_by_quadrature(exact)
    for name, (mean, sd) in exact.items():
        draws = calibration.posterior["x_start" if name not in calibration.posterior else name]
        draws = draws.sel(unit=name) if "unit" in draws.dims else draws
        assert abs(float(draws.mean()) - mean) < 0.12 * sd, name
        assert float(draws.std(ddof=1)) == pytest.approx(sd, rel=0.12), name
    gate = next(g for g in calibration.trust.gates if g.name == "data quality")
    assert gate.verdict == "passed"
    assert "nothing was read of unit 'silent'" in gate.says
    curve = wb.forecast(calibration, [0.0, 2.0], noise=False)["y"].sel(unit="silent", time=2.0)
    np.testing.assert_allclose(curve, calibration.posterior["x_start"].sel(unit="silent") + 2 * DRIFT, rtol=1e-6)


def test_a_unit_without_readings_is_kept_in_a_grid_and_a_store(tmp_path):
    grid = xr.Dataset(
        {"y": (("unit", "time"), [[1.0, 1.5], [np.nan, np.nan], [3.0, 2.5]])}, {"unit": [1, 2, 3], "time": [0.0, 1.0]}
    )
    options = {"draws": 100, "tune": 200, "chains": 2, "seed": 1, "progress": False}
    calibration = wb.calibrate(Level(), grid, pool={"x_start": "partial"}, **options)
    assert "nothing was read of unit 2" in next(g for g in calibration.trust.gates if g.name == "data quality").says
    calibration.save(tmp_path / "grid.nc")
    again = wb.Calibration.open(tmp_path / "grid.nc", Level())
    assert again.problem.units == (1, 2, 3)


@pytest.mark.parametrize("pool", [None, {"x_start": "none"}, {"x_start": "none", "y_sigma": "partial"}])
def test_a_unit_without_readings_is_refused_where_nothing_tells_of_it(pool):
    class Noisy(Level):
        y = wb.Output("mg", noise=wb.noise.Normal(sigma=wb.prior.HalfNormal(2.0)))

    with pytest.raises(DataError, match=r"got no samples of units 'silent'; .* or no such unit"):
        wb.to_pymc(Noisy(), with_silent_unit(level_data()), pool=pool)


def test_names_units_and_words_of_a_population():
    posterior = levels().posterior
    assert list(posterior.data_vars) == ["x_start_pop", "x_start_sd", "x_start"]
    assert posterior["x_start"].dims == ("chain", "draw", "unit")
    assert list(posterior["unit"].values) == [f"u{k}" for k in range(8)]
    assert {posterior[name].attrs["units"] for name in posterior} == {"mg"}
    assert posterior["x_start_pop"].attrs["long_name"] == "start of x, median of the population"
    assert posterior["x_start_sd"].attrs["long_name"] == "start of x, SD between units"
    model = density_of("dosing")[1]
    assert {"ka", "ka_pop", "ka_sd", "V", "ke"} <= set(model.named_vars)


def test_a_new_unit_is_drawn_from_the_population():
    calibration = levels()
    new = calibration.new_unit(seed=4)
    assert list(new.data_vars) == ["x_start"]
    assert new["x_start"].dims == ("chain", "draw")
    assert new["x_start"].attrs["units"] == "mg"
    posterior = calibration.posterior
    spread = np.sqrt(float(posterior["x_start_pop"].var() + (posterior["x_start_sd"] ** 2).mean()))
    draws = new["x_start"].values
    assert draws.mean() == pytest.approx(float(posterior["x_start_pop"].mean()), abs=5 * spread / np.sqrt(draws.size))
    assert draws.std() == pytest.approx(spread, rel=0.05)
    np.testing.assert_array_equal(calibration.new_unit(seed=4)["x_start"], new["x_start"])
    assert (calibration.new_unit(seed=5)["x_start"] != new["x_start"]).any()
    curves = wb.simulate(Level(), [0.0, 2.0], parameters=new)
    np.testing.assert_allclose(curves["y"].sel(time=2.0), new["x_start"] + 2 * DRIFT, rtol=1e-6)


def test_one_unit_with_a_name_may_be_a_population():
    data = level_data()[level_data().unit == "u7"]
    model = wb.to_pymc(Level(), data, pool={"x_start": "partial"})
    assert model.coords["unit"] == ("u7",)
    assert np.isfinite(model.compile_logp(mode="FAST_COMPILE")(model.initial_point()))


@pytest.mark.parametrize(
    ("pool", "words"),
    [
        ("partial", r"got pool='partial'; expected a mapping such as"),
        (["x_start"], r"got pool=\['x_start'\]; expected a mapping"),
        ({"x_strat": "partial"}, r"unknown parameter 'x_strat'; expected one of 'x_start'; did you mean 'x_start'"),
        ({"drift": "partial"}, r"unknown parameter 'drift'; expected one of 'x_start'"),
        ({"x_start": "partly"}, r"unknown pooling 'partly'; expected one of 'complete', 'none', 'partial'; did you"),
        ({"x_start": None}, r"unknown pooling 'None'; expected one of 'complete', 'none', 'partial'"),
    ],
)
def test_wrong_pools(pool, words):
    with pytest.raises(ParameterError, match=words):
        wb.to_pymc(Level(), level_data(), pool=pool)


@pytest.mark.parametrize("way", ["none", "partial"])
def test_pooling_needs_units(way):
    data = pd.DataFrame({"time": [0.0, 1.0], "y": [1.0, 2.0]})
    with pytest.raises(
        ParameterError, match=rf"pool\['x_start'\]: got '{way}' for data of one unit; expected data with"
    ):
        wb.to_pymc(Level(), data, pool={"x_start": way})


def test_a_name_that_the_population_takes_must_be_free():
    class Taken(Level):
        x_start_sd = wb.Parameter("mg/h", value=0.0)

        def rhs(self, t, x, u, p):
            return {"x": p.drift + p.x_start_sd}

    wb.to_pymc(Taken(), level_data(), pool={"x_start": "none"})
    with pytest.raises(ParameterError, match="got 'partial' where 'x_start_sd' is declared; expected that name"):
        wb.to_pymc(Taken(), level_data(), pool={"x_start": "partial"})


def test_units_estimated_alone_say_nothing_of_another():
    calibration = levels()
    pooled = calibration.tree.copy()
    pooled["posterior"].attrs["pool"] = '{"x_start": "none"}'
    alone = wb.Calibration(pooled, calibration.model, calibration.problem)
    with pytest.raises(ParameterError, match=r"got 'x_start' estimated for each unit alone; expected pool="):
        alone.new_unit()


class Bounded(wb.Ode):
    """Rates between ends of every kind."""

    time_unit = "h"
    x = wb.State("1", start=0.0)
    slope = wb.Parameter("1/h", prior=wb.prior.Uniform(-1.0, 3.0))
    share = wb.Parameter("1", prior=wb.prior.Beta(2.0, 2.0))
    level = wb.Parameter("1", prior=wb.prior.TruncatedNormal(mu=1.0, sigma=1.0, lower=0.0))
    y = wb.Output("1", noise=wb.noise.Normal(sigma=0.3))

    def rhs(self, t, x, u, p):
        return {"x": p.slope * p.share}

    def observe(self, t, x, u, p):
        return {"y": x.x + p.level}


@pytest.mark.slow
def test_bounded_parameters_are_sampled_and_carried_on():
    rng = np.random.default_rng(4)
    rates = np.repeat([0.2, 0.8, 1.2], 6)
    table = pd.DataFrame({"unit": np.repeat(["a", "b", "c"], 6), "time": np.tile(np.arange(6.0), 3)})
    table["y"] = 1.0 + rates * table.time + 0.3 * rng.normal(size=18)
    pool = {"slope": wb.Partial(centred=True), "share": wb.Partial(centred=True), "level": "none"}
    few = {"draws": 200, "tune": 400, "chains": 2, "seed": 1, "progress": False}
    calibration = wb.calibrate(Bounded(), table, pool=pool, **few)
    posterior = calibration.posterior
    for name, (low, high) in {"slope": (-1, 3), "share": (0, 1), "level": (0, np.inf)}.items():
        assert posterior[name].dims == ("chain", "draw", "unit")
        assert ((posterior[name] > low) & (posterior[name] < high)).all()
    assert "share_offset" not in posterior
    np.testing.assert_allclose(posterior["slope"], -1 + 4 / (1 + np.exp(-posterior["slope_offset"])), rtol=1e-12)
    rate = (posterior["slope"] * posterior["share"]).mean(["chain", "draw"])
    np.testing.assert_allclose(rate, [0.2, 0.8, 1.2], atol=0.2)
    made = wb.forecast(calibration, [0.0, 8.0], noise=False)["y"]
    expected = posterior["level"] + posterior["slope"] * posterior["share"] * made["time"]
    np.testing.assert_allclose(made, expected.transpose(*made.dims), rtol=1e-6)
    stranger = wb.Calibration(calibration.tree.copy(), calibration.model, calibration.problem)
    stranger.tree["posterior"].attrs["pool"] = '{"slope": "partial", "share": "partial"}'
    new = stranger.new_unit(seed=1)
    assert ((new["slope"] > -1) & (new["slope"] < 3)).all()
    assert ((new["share"] > 0) & (new["share"] < 1)).all()
