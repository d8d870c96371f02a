"""Centred and non-centred populations: which is chosen, that both are one posterior, and two of the literature."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
import scipy.integrate
import scipy.stats
from calibrations import Level, level_data

import workbench as wb
from workbench.base.errors import DeclarationError
from workbench.calibrate.bayes import build
from workbench.calibrate.fleet.forms import shares_of_readings
from workbench.calibrate.problem import pose

EFFECTS = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERRORS = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
"""Rubin, Journal of Educational Statistics 6 (1981) 377-401, table 1, rounded as in Gelman et al., Bayesian Data
Analysis, table 5.2: effects of coaching in eight schools, and their standard errors."""
SCHOOLS = [6.150502, 4.939581, 3.905906, 4.796017, 3.614436, 4.051148, 6.317170, 4.883997]
MU, TAU, MONTE_CARLO = 4.410518, 3.602060, 0.055
"""Means of posteriordb's reference draws, eight_schools-eight_schools_noncentered (Magnusson et al. 2024), and the
largest of their Monte Carlo standard errors."""


class School(wb.Static):
    """The effect of coaching in each school, read in units of its standard error."""

    effect = wb.Parameter("1", prior=wb.prior.Normal(0.0, 5.0))
    error = wb.Input("1", kind="previous")
    over_error = wb.Output("1", noise=wb.noise.Normal(sigma=1.0))

    def observe(self, t, x, u, p):
        return {"over_error": p.effect / u.error}


def schools(partial):
    """Return arguments of a calibration of the eight schools."""
    data = pd.DataFrame({"unit": list("ABCDEFGH"), "time": 0.0, "over_error": EFFECTS / ERRORS})
    errors = {unit: {0.0: float(error)} for unit, error in zip("ABCDEFGH", ERRORS, strict=True)}
    return School(), data, {"inputs": {"error": errors}, "pool": {"effect": partial}}


CAUCHY = wb.Partial(sd=wb.prior.HalfCauchy(5.0))


@cache
def eight_schools() -> wb.Calibration:
    """Return the calibration with the reference's priors."""
    model, data, more = schools(CAUCHY)
    return wb.calibrate(model, data, **more, draws=2500, tune=1500, seed=1, progress=False)


def test_eight_schools_are_as_published():
    calibration = eight_schools()
    posterior = calibration.posterior
    assert float(calibration.tree["sample_stats"]["diverging"].mean()) < 1e-3
    verdicts = {gate.name: gate.verdict for gate in calibration.trust.gates}
    assert {verdicts[n] for n in ("chains agree", "enough draws", "few divergences")} == {"passed"}
    table = calibration.summary()
    rows = ["effect_pop", "effect_sd", *(f"effect[{unit}]" for unit in "ABCDEFGH")]
    for row, mean in zip(rows, [MU, TAU, *SCHOOLS], strict=True):
        error = np.hypot(table["sd"][row] / np.sqrt(table["ess_bulk"][row]), MONTE_CARLO)
        assert abs(table["mean"][row] - mean) < 4 * error, row
    assert "effect_offset[A]" not in table.index
    offset = (posterior["effect"] - posterior["effect_pop"]) / posterior["effect_sd"]
    np.testing.assert_allclose(posterior["effect_offset"], offset.transpose(*posterior["effect"].dims), atol=1e-6)


def test_eight_schools_by_quadrature():
    """Effects are integrated in closed form given both of the population's numbers; these on a grid."""
    mu, tau = np.linspace(-25, 30, 551), np.linspace(1e-6, 1.0, 1001) ** 3 * 400  # denser towards zero
    m, t = np.meshgrid(mu, tau, indexing="ij")
    log = scipy.stats.norm(0, 5).logpdf(m) + scipy.stats.halfcauchy(0, 5).logpdf(t)
    for y, s in zip(EFFECTS, ERRORS, strict=True):
        log = log + scipy.stats.norm(m, np.hypot(t, s)).logpdf(y)
    weight = np.exp(log - log.max())

    def expect(f):
        area = scipy.integrate.simpson(scipy.integrate.simpson(weight * f, x=tau, axis=1), x=mu)
        return area / scipy.integrate.simpson(scipy.integrate.simpson(weight, x=tau, axis=1), x=mu)

    assert expect(m) == pytest.approx(MU, abs=3 * MONTE_CARLO)
    assert expect(t) == pytest.approx(TAU, abs=3 * MONTE_CARLO)
    posterior, table = eight_schools().posterior, eight_schools().summary()
    for name, grid in (("effect_pop", m), ("effect_sd", t)):
        mean, sd = expect(grid), np.sqrt(expect(grid**2) - expect(grid) ** 2)
        assert abs(float(posterior[name].mean()) - mean) < 4 * sd / np.sqrt(table["ess_bulk"][name])
        assert float(posterior[name].std()) == pytest.approx(sd, rel=0.1)


def test_a_form_that_was_left_open_stays_open_in_a_study():
    """It is sampled in other coordinates than one that was asked for."""
    problem = pose(Level(), level_data(), pool={"x_start": "partial"})
    again = pose(Level(), level_data(), pool=problem.pooling)
    assert again.partials == problem.partials == {"x_start": wb.Partial()}
    assert again.centred == problem.centred


def test_the_share_of_readings_by_hand():
    """Of a mean with n readings of SD s, under a population of SD t, it is n t^2 / (n t^2 + s^2)."""
    problem = pose(Level(), level_data(), pool={"x_start": "partial"})
    counts = level_data().groupby("unit").size().to_numpy()
    half = 10 * scipy.stats.norm.ppf(0.84)
    spread = scipy.stats.halfnorm(0, half).median()
    expected = np.mean(counts * spread**2 / (counts * spread**2 + 4.0))
    assert shares_of_readings(problem)["x_start"] == pytest.approx(expected, rel=1e-5)
    assert problem.centred == {"x_start": True}


@pytest.mark.parametrize(("sd", "centred"), [(0.1, False), (30.0, True)])
def test_the_form_hangs_on_what_units_differ_by(sd, centred):
    model, data, more = schools(wb.Partial(sd=wb.prior.HalfNormal(sd)))
    assert pose(model, data, **more).centred == {"effect": centred}
    assert pose(model, data, inputs=more["inputs"], pool={"effect": wb.Partial(centred=not centred)}).centred == {
        "effect": not centred
    }


class Ends(wb.Static):
    """Parameters with ends of every kind, each seen as it is."""

    free = wb.Parameter("1", prior=wb.prior.Normal(1.0, 2.0))
    above = wb.Parameter("1", prior=wb.prior.LogNormal(median=2.0, sigma=0.5))
    between = wb.Parameter("1", prior=wb.prior.Uniform(-1.0, 3.0))
    y = wb.Output("1", noise=wb.noise.Normal(sigma=1.0))

    def observe(self, t, x, u, p):
        return {"y": p.free + p.above * t + p.between * t**2}


def test_both_forms_are_one_density():
    """A change of variables by hand: they differ by the Jacobian of units' values by their offsets."""
    data = pd.DataFrame({"unit": list("aabb"), "time": [0.0, 1.0, 0.5, 2.0], "y": [1.0, 2.0, 0.0, 5.0]})
    values = {"free": (0.7, 1.3, [-0.5, 2.0]), "above": (1.5, 0.4, [1.0, 3.0]), "between": (0.5, 0.8, [-0.3, 2.0])}
    links = {"free": np.positive, "above": np.log, "between": lambda v: np.log((v + 1) / (3 - v))}
    total = {}
    for centred in (True, False):
        pool = {name: wb.Partial(centred=centred) for name in values}
        problem = pose(Ends(), data, pool=pool)
        model = build(problem)
        free, jacobian = {}, 0.0
        for name, (pop, sd, units) in values.items():
            latent = links[name](np.array(units))
            distance = (latent - links[name](pop)) / sd
            free |= {f"{name}_pop": pop, f"{name}_sd": sd, name: units}
            free[f"{name}_offset"] = latent if centred else distance
            jacobian += 0.0 if centred else 2 * np.log(sd)
        point = {}
        for rv in model.free_RVs:
            value, transform = np.asarray(free[rv.name], dtype=float), model.rvs_to_transforms[rv]
            if transform is not None:
                value = transform.forward(value, *rv.owner.inputs).eval(mode="FAST_COMPILE")
            point[model.rvs_to_values[rv].name] = value
        total[centred] = float(model.compile_logp(mode="FAST_COMPILE")(point)) - jacobian
    assert total[True] == pytest.approx(total[False], rel=1e-9)


def test_the_form_is_kept_in_a_file(tmp_path):
    path = tmp_path / "schools.nc"
    calibration = eight_schools()
    calibration.save(path)
    again = wb.Calibration.open(path, School())
    assert again.problem.resolved == {"effect": wb.Partial(centred=False, sd=wb.prior.HalfCauchy(5.0))}
    assert again.problem.resolved == calibration.problem.resolved
    new = again.new_unit(seed=1)["effect"]
    assert float(new.mean()) == pytest.approx(MU, abs=0.5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"centred": "yes"}, "got centred='yes'; expected True, False or None"),
        ({"sd": 1.0}, r"got sd=1\.0; expected a prior above zero"),
        ({"sd": wb.prior.Normal(0.0, 1.0)}, "expected a prior above zero"),
    ],
)
def test_wrong_partials(arguments, words):
    with pytest.raises(DeclarationError, match=words):
        wb.Partial(**arguments)


RATS = np.array(
    """151 199 246 283 320 145 199 249 293 354 147 214 263 312 328 155 200 237 272 297 135 188 230 280 323
    159 210 252 298 331 141 189 231 275 305 159 201 248 297 338 177 236 285 350 376 134 182 220 260 296
    160 208 261 313 352 143 188 220 273 314 154 200 244 289 325 171 221 270 326 358 163 216 242 281 312
    160 207 248 288 324 142 187 234 280 316 156 203 243 283 317 157 212 259 307 336 152 203 246 286 321
    154 205 253 298 334 139 190 225 267 302 146 191 229 272 302 157 211 250 285 323 132 185 237 286 331
    160 207 257 303 345 169 216 261 295 333 157 205 248 289 316 137 180 219 258 291 153 200 244 286 324""".split(),
    dtype=float,
).reshape(30, 5)
"""Weights (g) of 30 rats at 8, 15, 22, 29 and 36 days: Gelfand, Hills, Racine-Poon & Smith, JASA 85 (1990) 972-985."""
DAYS = np.array([8.0, 15.0, 22.0, 29.0, 36.0])
STAN = [239.90, 247.89, 252.53, 232.53, 231.60, 249.58, 228.63, 248.40, 283.27, 219.32, 258.18, 228.06]
"""Mean weights at 22 days of the first twelve in a run of rats.stan, the example of BUGS in stan-dev/example-models;
SDs are 2.6 to 2.8, and the largest of the Monte Carlo standard errors is 0.07."""


class Rat(wb.Static):
    """A rat grows along a line."""

    time_unit = "day"
    alpha = wb.Parameter("g", prior=wb.prior.Normal(0.0, 1000.0), long_name="weight at 22 days")
    beta = wb.Parameter("g/day", prior=wb.prior.Normal(0.0, 1000.0))
    weight = wb.Output("g", noise=wb.noise.Normal(sigma=wb.prior.HalfNormal(100.0)))

    def observe(self, t, x, u, p):
        return {"weight": p.alpha + p.beta * (t - 22.0)}


def gibbs(iterations, rng):
    """Return draws of alpha0, beta and sigma by the Gibbs sampler of the paper, under the priors of BUGS."""
    x = DAYS - 22.0
    centre, precision = np.array([250.0, 6.0]), np.array([1e-2, 4.0])
    tau, found = 1 / 36, np.empty((iterations, 3))
    square, sums = np.array([x.size, x @ x]), np.stack([RATS.sum(axis=1), RATS @ x], axis=1)
    for k in range(iterations):
        total = tau * square + precision  # intercepts and slopes do not mix, as days are centred
        lines = (tau * sums + precision * centre) / total + rng.normal(size=(30, 2)) / np.sqrt(total)
        weight = 30 * precision + 1e-6
        centre = precision * lines.sum(axis=0) / weight + rng.normal(size=2) / np.sqrt(weight)
        precision = rng.gamma(0.001 + 15, size=2) / (0.001 + ((lines - centre) ** 2).sum(axis=0) / 2)
        rest = RATS - lines[:, :1] - lines[:, 1:] * x
        tau = rng.gamma(0.001 + 75) / (0.001 + (rest**2).sum() / 2)
        found[k] = centre[0] - 22.0 * centre[1], centre[1], tau**-0.5
    return found[iterations // 20 :]


def test_rats_by_the_gibbs_sampler_and_by_stan():
    """The priors of BUGS, Gamma(0.001, 0.001) on precisions, come in by weights, as ours are others."""
    table = pd.DataFrame({"unit": np.repeat(np.arange(30), 5), "time": np.tile(DAYS, 30), "weight": RATS.ravel()})
    wide = wb.prior.HalfNormal(100.0)
    pool = dict.fromkeys(["alpha", "beta"], wb.Partial(sd=wide))
    calibration = wb.calibrate(Rat(), table, pool=pool, draws=2000, seed=1, progress=False)
    posterior = calibration.posterior
    assert calibration.problem.centred == {"alpha": True, "beta": True}
    assert float(calibration.tree["sample_stats"]["diverging"].mean()) < 1e-3
    assert calibration.summary()["r_hat"].max() < 1.01
    log = sum(
        -1.002 * np.log(posterior[name]) - 0.001 / posterior[name] ** 2 + posterior[name] ** 2 / 2e4
        for name in ("alpha_sd", "beta_sd", "weight_sigma")
    )
    weight = np.exp(log - log.max())
    drawn = {
        "alpha0": posterior["alpha_pop"] - 22.0 * posterior["beta_pop"],
        "beta": posterior["beta_pop"],
        "sigma": posterior["weight_sigma"],
    }
    exact = gibbs(20_000, np.random.default_rng(0))
    for (name, draws), chain in zip(drawn.items(), exact.T, strict=True):
        mean = float(draws.weighted(weight).mean())
        assert abs(mean - chain.mean()) < 0.08 * chain.std(), name
        assert float(draws.weighted(weight).std()) == pytest.approx(chain.std(), rel=0.06), name
    rats = posterior["alpha"].weighted(weight).mean(["chain", "draw"])
    np.testing.assert_allclose(rats[: len(STAN)], STAN, atol=4 * np.hypot(0.07, 0.03))
