"""Correlated effects: the law LKJ, densities by SciPy and by PyMC's own LKJ, and what hangs on them."""

from functools import cache

import numpy as np
import nutpie
import pandas as pd
import pymc as pm
import pytest
import scipy.stats

import workbench as wb
from workbench.base.errors import DeclarationError, ParameterError
from workbench.calibrate.bayes import build
from workbench.calibrate.fleet.correlation import Group
from workbench.calibrate.identify.information import Frame, fisher
from workbench.calibrate.identify.sensitivity import sensitivities
from workbench.calibrate.predict import derived
from workbench.calibrate.problem import Problem, pose
from workbench.calibrate.sampling.space import space_of
from workbench.calibrate.sampling.start import draw_free
from workbench.calibrate.sbc.fingerprint import fingerprint
from workbench.report import predictive, tables

PAIR = {("a", "b"): wb.Correlated()}
NOISE, CORRELATION = 0.3, 0.8
SDS = {"a": wb.prior.HalfNormal(1.0), "b": wb.prior.HalfNormal(0.5), "c": wb.prior.HalfNormal(0.7)}


class Three(wb.Static):
    """Three numbers of each unit, read one by one: on the line, above zero, and between ends."""

    a = wb.Parameter("1", prior=wb.prior.Normal(mu=0.0, sigma=2.0))
    b = wb.Parameter("1", prior=wb.prior.LogNormal(median=1.0, sigma=0.5))
    c = wb.Parameter("1", prior=wb.prior.Uniform(-1.0, 3.0))
    y = wb.Output("1", noise=wb.noise.Normal(sigma=NOISE))
    z = wb.Output("1", noise=wb.noise.LogNormal(sigma=NOISE))
    w = wb.Output("1", noise=wb.noise.Normal(sigma=wb.prior.HalfNormal(1.0)))

    def observe(self, t, x, u, p):
        return {"y": p.a, "z": p.b, "w": p.c}


class Two(wb.Static):
    """Two numbers of each unit, read with the same relative spread: all is normal on the line and on the log scale."""

    a = wb.Parameter("1", prior=wb.prior.Normal(mu=0.0, sigma=2.0))
    b = wb.Parameter("1", prior=wb.prior.LogNormal(median=1.0, sigma=0.5))
    y = wb.Output("1", noise=wb.noise.Normal(sigma=NOISE))
    z = wb.Output("1", noise=wb.noise.LogNormal(sigma=NOISE))

    def observe(self, t, x, u, p):
        return {"y": p.a, "z": p.b}


@cache
def readings(units: int = 40, count: int = 3) -> pd.DataFrame:
    """Readings of units whose effects have a correlation of 0.8, SDs of 1 and 0.4, and medians of 1 and 2."""
    rng = np.random.default_rng(0)
    root = np.linalg.cholesky([[1, CORRELATION], [CORRELATION, 1]])
    effects = (root @ rng.normal(size=(2, units))).repeat(count, axis=1)
    noise = NOISE * rng.normal(size=effects.shape)
    columns = {"y": 1 + effects[0] + noise[0], "z": 2 * np.exp(0.4 * effects[1] + noise[1]), "w": 1 + noise[0]}
    return pd.DataFrame(
        {"unit": np.repeat(np.arange(units), count), "time": np.tile(np.arange(count), units)} | columns
    )


def two(units: int = 40, count: int = 3) -> pd.DataFrame:
    return readings(units, count).drop(columns="w")


@cache
def pair() -> wb.Calibration:
    return wb.calibrate(Two, two(), pool=PAIR, draws=1000, tune=700, chains=4, seed=1, progress=False)


def three(forms: str = "cnc", units: int = 5) -> Problem:
    """The problem of three effects, each centred ("c") or not ("n")."""
    ways = {n: wb.Partial(centred=f == "c", sd=SDS[n]) for n, f in zip("abc", forms, strict=True)}
    return pose(Three, readings(units), pool={("c", "a", "b"): wb.Correlated(eta=1.7), **ways})


def test_the_law_of_the_matrix_is_lkj() -> None:
    """The density of shares, over the change from shares to correlations, is det(R)^(eta - 1) but for a constant."""
    group, rng = Group(("k", "l", "m", "n"), 1.7), np.random.default_rng(1)
    found = []
    for shares in rng.uniform(0.1, 0.9, (20, 6)):
        named = dict(zip(group.priors, shares, strict=True))
        density = sum(scipy.stats.beta(**_shapes(p)).logpdf(named[n]) for n, p in group.priors.items())
        slopes = np.empty((6, 6))
        for k, name in enumerate(named):
            moved = group.correlations(named | {name: named[name] + 1e-30j})
            slopes[:, k] = [r.imag / 1e-30 for r in moved.values()]
        root = group.root(named)
        np.testing.assert_allclose((root @ root.T).diagonal(), 1.0, rtol=1e-14)
        found.append(density - np.linalg.slogdet(slopes)[1] - 0.7 * np.linalg.slogdet(root @ root.T)[1])
    np.testing.assert_allclose(found, found[0], rtol=1e-10)


def _shapes(prior: wb.prior.Prior) -> dict[str, float]:
    return {"a": prior.pymc_arguments["alpha"], "b": prior.pymc_arguments["beta"]}


@pytest.mark.parametrize(("size", "eta"), [(2, 1.0), (2, 3.0), (3, 2.0), (5, 0.8)])
def test_each_correlation_is_beta(size: int, eta: float) -> None:
    group = Group(tuple("klmno"[:size]), eta)
    made = group.correlations(group.draw(np.random.default_rng(2), 20_000))
    shape = eta - 1 + size / 2
    assert len(made) == size * (size - 1) // 2
    for name, r in made.items():
        assert scipy.stats.kstest(r, scipy.stats.beta(shape, shape, -1, 2).cdf).pvalue > 1e-3, name
    assert _shapes(group.marginal) == {"a": shape, "b": shape}


def by_scipy(values: dict[str, np.ndarray], forms: str, table: pd.DataFrame) -> float:
    """Return the log density of `three` where all is said by `values`: effects `<name>_latent` on their scales."""
    total = scipy.stats.norm(0, 2).logpdf(values["a_pop"]) + scipy.stats.lognorm(0.5).logpdf(values["b_pop"])
    total += np.log(1 / 4) + scipy.stats.halfnorm(scale=1).logpdf(values["w_sigma"])
    sds = np.array([values[f"{n}_sd"] for n in "abc"])
    total += sum(scipy.stats.halfnorm(scale=s).logpdf(v) for s, v in zip((1.0, 0.5, 0.7), sds, strict=True))
    group = Group(("a", "b", "c"), 1.7)
    total += sum(scipy.stats.beta(**_shapes(p)).logpdf(values[n]) for n, p in group.priors.items())
    r = np.eye(3)
    for pair, value in group.correlations(values).items():
        i, j = ("abc".index(n) for n in pair.split("_")[:2])
        r[i, j] = r[j, i] = value
    pop = values["c_pop"]
    centre = np.array([values["a_pop"], np.log(values["b_pop"]), np.log((pop + 1) / (3 - pop))])
    latent = np.stack([values[f"{n}_latent"] for n in "abc"], axis=-1)
    total += scipy.stats.multivariate_normal(centre, np.outer(sds, sds) * r).logpdf(latent).sum()
    rows = latent[table.unit]
    total += scipy.stats.norm(rows[:, 0], NOISE).logpdf(table.y).sum()
    total += scipy.stats.lognorm(NOISE, scale=np.exp(rows[:, 1])).logpdf(table.z).sum()
    c = -1 + 4 / (1 + np.exp(-rows[:, 2]))
    total += scipy.stats.norm(c, values["w_sigma"]).logpdf(table.w).sum()
    root = np.linalg.cholesky(r)
    for k, (name, form) in enumerate(zip("abc", forms, strict=True)):
        if form == "n":  # the density of an offset, in place of that of the effect
            total += values[f"{name}_latent"].size * np.log(sds[k] * root[k, k])
        elif name == "b":  # the density of the value, in place of that of its logarithm
            total -= values["b_latent"].sum()
    return float(total)


@pytest.mark.parametrize("forms", ["ccc", "nnn", "cnc", "ncn"])
def test_densities_of_every_form_are_those_by_scipy(forms: str) -> None:
    problem = three(forms)
    made = build(problem)
    logp, space = made.compile_logp(jacobian=False, mode="FAST_COMPILE"), space_of(made)
    rng = np.random.default_rng(3)
    for point in space.unconstrain(draw_free(problem, rng, 4)):
        free = space.constrain(point)
        known = {n: np.asarray(v)[None, None] for n, v in free.items()}
        every = {n: v[0, 0] for n, v in derived(problem, known).items()}
        c = np.log((every["c"] + 1) / (3 - every["c"]))
        latent = {"a_latent": every["a"], "b_latent": np.log(every["b"]), "c_latent": c}
        values = {str(made.rvs_to_values[rv].name): point[v.place].reshape(v.shape) for rv, v in _pairs(made, space)}
        expected = by_scipy(every | latent, forms, readings(5))
        assert float(logp(values)) == pytest.approx(expected, rel=1e-9)


def _pairs(made: pm.Model, space: object) -> list:
    return list(zip(made.free_RVs, space.variables, strict=True))


@pytest.mark.parametrize("forms", ["nnn", "cnc", "ncn"])
def test_what_is_derived_is_what_pymc_derives(forms: str) -> None:
    problem = three(forms)
    made = build(problem)
    free = draw_free(problem, np.random.default_rng(4), 1)
    space = space_of(made)
    point = space.unconstrain({v.name: free[v.name] for v in space.variables})[0]
    values = {made.rvs_to_values[rv]: point[v.place].reshape(v.shape) for rv, v in _pairs(made, space)}
    found = derived(problem, {v.name: free[v.name][None] for v in space.variables})
    for rv in made.deterministics:
        value = made.replace_rvs_by_values([rv])[0].eval(values, mode="FAST_COMPILE", on_unused_input="ignore")
        np.testing.assert_allclose(found[rv.name][0, 0], value, rtol=1e-11)


def test_prior_draws_have_the_correlations_that_they_say() -> None:
    problem = three("ncn", units=400)
    made = derived(problem, {n: v[None] for n, v in draw_free(problem, np.random.default_rng(5), 30).items()})
    group = problem.correlated[0]
    assert group.names == ("a", "b", "c")
    latent = {"a": made["a"], "b": np.log(made["b"]), "c": np.log((made["c"] + 1) / (3 - made["c"]))}
    for name in group.pairs:
        i, j = name.split("_")
        for k in range(30):
            found, told = np.corrcoef(latent[i][0, k], latent[j][0, k])[0, 1], made[f"{name}_corr"][0, k]
            assert abs(np.arctanh(found) - np.arctanh(told)) * np.sqrt(397) < 4.5, name  # Fisher's z


@pytest.mark.parametrize("eta", [1.0, 2.5])
def test_the_density_is_that_of_pymcs_lkj(eta: float) -> None:
    """A model by hand with pm.LKJCholeskyCov: the same log density, but for the change of variables and a constant."""
    table = two(6)
    ways = {n: wb.Partial(centred=True, sd=wb.prior.HalfNormal(1.0)) for n in "ab"}
    ours = build(pose(Two, table, pool={("a", "b"): wb.Correlated(eta=eta), **ways}))
    with pm.Model() as theirs:
        pop_a, pop_b = pm.Normal("pop_a", 0.0, 2.0), pm.LogNormal("pop_b", 0.0, 0.5)
        sds = pm.HalfNormal.dist(np.ones(2), shape=2)
        chol, _, _ = pm.LKJCholeskyCov("chol", n=2, eta=eta, sd_dist=sds, compute_corr=True)
        centre = pm.math.stack([pop_a, pm.math.log(pop_b)])
        effects = pm.MvNormal("effects", mu=centre, chol=chol, shape=(6, 2))
        pm.Normal("y", effects[table.unit.to_numpy(), 0], NOISE, observed=table.y)
        pm.LogNormal("z", effects[table.unit.to_numpy(), 1], NOISE, observed=table.z)
    one, other = (m.compile_logp(jacobian=False, mode="FAST_COMPILE") for m in (ours, theirs))
    rng, gaps = np.random.default_rng(6), []
    for _ in range(6):
        (r,), (s, t), latent = rng.uniform(-0.9, 0.9, 1), rng.uniform(0.3, 1.5, 2), rng.normal(size=(6, 2))
        a, b = rng.normal(), rng.normal()
        share = 0.5 * (1 + r)
        left = one({
            "a_b_share_logodds__": np.log(share / (1 - share)), "a_pop": a, "a_sd_log__": np.log(s), "a": latent[:, 0],
            "b_pop_log__": b, "b_sd_log__": np.log(t), "b_log__": latent[:, 1],
        })  # fmt: skip
        packed = np.array([np.log(s), t * r, np.log(t * np.sqrt(1 - r**2))])  # logarithms of the diagonal
        names = [v.name for v in theirs.value_vars]
        right = other(dict(zip(names, [a, b, packed, latent], strict=True)))
        change = np.log(
            2 * t / np.sqrt(1 - r**2)
        )  # of (s, t r, t sqrt(1 - r^2)) by (s, t, share): t / sqrt(1 - r^2) * 2
        gaps.append(float(left) + latent[:, 1].sum() - float(right) - change)
    np.testing.assert_allclose(gaps, gaps[0], atol=1e-8)


def test_a_correlation_is_recovered() -> None:
    posterior = pair().posterior
    assert pair().problem.correlated == (Group(("a", "b"), 2.0),)
    r = posterior["a_b_corr"]
    assert abs(float(r.mean()) - CORRELATION) < 2 * float(r.std())
    seen = 1 / np.sqrt((1 + NOISE**2 / 3) * (1 + NOISE**2 / 3 / 0.4**2))  # of a correlation, through the noise
    expected = (1 - (seen * float(r.mean())) ** 2) / (seen * np.sqrt(40))  # the SD of a correlation, for many units
    assert float(r.std()) == pytest.approx(expected, rel=0.2)
    for name, value in {"a_pop": 1.0, "a_sd": 1.0, "b_pop": 2.0, "b_sd": 0.4}.items():
        assert abs(float(posterior[name].mean()) - value) < 3 * float(posterior[name].std()), name
    np.testing.assert_allclose(r, 2 * posterior["a_b_share"] - 1, rtol=1e-12)
    assert r.attrs == {"units": "1", "long_name": "correlation of effects of units on a and b"}
    rows = pair().summary().index
    assert "a_b_corr" in rows
    assert "a_b_share" not in rows
    assert list(tables.summary(pair())["parameter"]) == ["a_pop", "a_sd", "b_pop", "b_sd", "a_b_corr"]


def test_the_matrix_has_named_dims() -> None:
    matrix = pair().correlation()
    assert matrix.dims == ("chain", "draw", "effect", "other_effect")
    np.testing.assert_array_equal(matrix.sel(effect="b", other_effect="a"), pair().posterior["a_b_corr"])
    np.testing.assert_array_equal(matrix, matrix.transpose("chain", "draw", "other_effect", "effect"))
    assert (matrix.sel(effect="a", other_effect="a") == 1).all()
    alone = wb.Calibration(pair().tree.copy())
    del alone.tree["posterior"].attrs["correlated"]
    with pytest.raises(ParameterError, match="without correlated effects"):
        alone.correlation()


def test_a_new_unit_has_correlated_effects() -> None:
    new, r = pair().new_unit(seed=1), pair().posterior["a_b_corr"]
    posterior = pair().posterior
    z = [
        ((scale(new[n]) - scale(posterior[f"{n}_pop"])) / posterior[f"{n}_sd"]).values.ravel()
        for n, scale in {"a": lambda v: v, "b": np.log}.items()
    ]
    for k in range(2):
        assert scipy.stats.kstest(z[k], "norm").pvalue > 1e-3
    assert np.mean(z[0] * z[1]) == pytest.approx(float(r.mean()), abs=4 * np.sqrt(2 / z[0].size))


def test_what_is_read_of_one_parameter_tells_of_the_other() -> None:
    """Only `y` is read, twice: each draw of the fleet gives a normal of the effects, weighed by the readings."""
    data, posterior = pd.DataFrame({"time": [0.0, 1.0], "y": [3.0, 3.2]}), pair().posterior
    m, s, n, t, r = (posterior[v].values.ravel() for v in ("a_pop", "a_sd", "b_pop", "b_sd", "a_b_corr"))
    noise = NOISE / np.sqrt(2)
    weight = scipy.stats.norm(m, np.sqrt(s**2 + noise**2)).pdf(3.1)
    weight /= weight.sum()
    a = m + s**2 / (s**2 + noise**2) * (3.1 - m)
    mean = np.log(n) + t * r * (a - m) / s
    variance = t**2 * (1 - r**2) + (t * r / s) ** 2 / (1 / s**2 + 1 / noise**2)
    expected = float(weight @ mean)
    sd = float(np.sqrt(weight @ (variance + mean**2) - expected**2))
    made = [np.log(pair().new_unit(data, seed=k)["b"].values) for k in range(3)]
    assert np.mean(made) == pytest.approx(expected, abs=4 * sd / np.sqrt(1000))
    assert np.std(made) == pytest.approx(sd, rel=0.06)
    assert expected - float(weight @ np.log(n)) > sd  # without the correlation it would be zero


def test_a_store_keeps_the_group(tmp_path) -> None:
    pair().save(tmp_path / "pair.nc")
    again = wb.Calibration.open(tmp_path / "pair.nc", Two)
    assert again.problem.correlated == pair().problem.correlated
    assert fingerprint(again.problem) == fingerprint(pair().problem)
    np.testing.assert_array_equal(again.correlation(), pair().correlation())
    np.testing.assert_array_equal(again.new_unit(seed=3)["b"], pair().new_unit(seed=3)["b"])
    bare = wb.Calibration.open(tmp_path / "pair.nc")
    np.testing.assert_array_equal(bare.correlation(), pair().correlation())


def test_fingerprints_tell_pools_apart() -> None:
    kinds = [
        {"a": "partial", "b": "partial"}, PAIR, {("a", "b"): wb.Correlated(eta=1.0)}, {("b", "a"): wb.Correlated()}
    ]  # fmt: skip
    prints = [fingerprint(pose(Two, two(), pool=pool)) for pool in kinds]
    assert prints[1] == prints[3]
    assert len(set(prints)) == 3


def test_replicates_of_a_study_have_the_group() -> None:
    """In processes of their own, to which the problem is sent."""
    study = wb.sbc(Two, two(4), pool=PAIR, n=2, draws=300, seed=1, progress=False)
    assert [str(q) for q in study.data["quantity"].values][-2:] == ["a_b_corr", "log likelihood"]
    assert "a_b_share" not in study.data["quantity"]
    again = pose(Three, readings(5), pool=three("ncn").pooling)
    assert fingerprint(again) == fingerprint(three("ncn"))
    assert again.centred == {"a": False, "b": True, "c": False}


def test_prior_tables_and_units_know_the_group() -> None:
    table = tables.priors(Two, PAIR).set_index("symbol")
    assert table.loc["a_b_corr", "prior"] == "LKJ(eta=2)"
    end = scipy.stats.beta(2, 2, -1, 2).ppf(0.95)
    assert table.loc["a_b_corr", "90% interval"] == f"\u2212{end:.2f} to {end:.2f}"
    drawn = predictive.prior_units(Two, pool={("a", "b"): wb.Correlated(eta=1.0)}, draws=4000, seed=1)
    alone = predictive.prior_units(Two, draws=4000, seed=1)
    assert float(drawn["a"].std()) > 1.2 * float(alone["a"].std())


def test_information_is_that_of_the_marginal_normal() -> None:
    """All is normal, so the information about medians, SDs and the correlation is known (slopes by differences)."""
    problem = pose(Two, two(7, 2), pool=PAIR)
    frame = Frame(problem)
    labels = [c.label for c in frame.coordinates]
    assert labels == ["a_pop", "a_sd", "b_pop", "b_sd", "a_b_share"]
    scores = np.array([0.3, -0.4, 0.2, -0.9, 0.8])
    (point,) = frame.points(scores[None], np.random.default_rng(1).normal(size=(1, 7, 2)))
    ((outputs, slopes),) = sensitivities(problem, point.theta[None], frame.steps(point)[None])
    found = fisher(frame, point, outputs, slopes)

    def moments(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        (values,) = (p.values for p in frame.points(at[None], np.zeros((1, 7, 2))))
        a, s, b, t, share = values
        off = s * t * (2 * share - 1)
        return np.array([a, np.log(b)]), np.array([[s**2, off], [off, t**2]]) + NOISE**2 / 2 * np.eye(2)

    shifts = [(moments(scores + d), moments(scores - d)) for d in 1e-5 * np.eye(5)]
    by_mean = np.array([(up[0] - down[0]) / 2e-5 for up, down in shifts])
    by_cov = np.array([(up[1] - down[1]) / 2e-5 for up, down in shifts])
    inverse = np.linalg.inv(moments(scores)[1])
    scatter = 0.5 * np.einsum("ij,ajk,kl,bli->ab", inverse, by_cov, inverse, by_cov)
    np.testing.assert_allclose(found, 7 * (by_mean @ inverse @ by_mean.T + scatter), rtol=1e-6, atol=1e-6)


def test_a_design_tells_whether_it_sees_a_correlation() -> None:
    ratio = {n: wb.identify(Two, two(n), pool=PAIR).table.loc["a_b_share", "sd_ratio"] for n in (4, 40)}
    assert 0.2 < ratio[40] < ratio[4] < 1.0


@pytest.mark.parametrize(
    ("pool", "words"),
    [
        ({("a", "b"): "partial"}, r"got 'partial'; expected wb.Correlated\(\), or one parameter"),
        ({"a": wb.Correlated()}, r"got Correlated\(eta=2.0\) for one parameter; expected the names of two or more"),
        ({("a",): wb.Correlated()}, "expected the names of two or more different parameters"),
        ({("a", "a"): wb.Correlated()}, "expected the names of two or more different parameters"),
        ({("a", "k"): wb.Correlated()}, "unknown parameter 'k'; expected one of 'a', 'b', 'c'"),
        ({("a", "b"): wb.Correlated(), ("b", "c"): wb.Correlated()}, "got 'b' in two groups"),
        ({("a", "b"): wb.Correlated(), "a": "none"}, "got 'none' for an effect that is correlated"),
        ({("a", "w_sigma"): wb.Correlated()}, "got 'w_sigma', an argument of noise; expected parameters of the"),
    ],
)
def test_groups_that_are_none(pool: dict, words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        wb.to_pymc(Three, readings(), pool=pool)


def test_a_name_that_a_correlation_takes_must_be_free() -> None:
    class Taken(Two):
        a_b_corr = wb.Parameter("1", value=0.0)

        def observe(self, t, x, u, p):
            return {"y": p.a + p.a_b_corr, "z": p.b}

    with pytest.raises(ParameterError, match="where 'a_b_corr' is declared; expected that name to be free"):
        wb.to_pymc(Taken, two(), pool=PAIR)


@pytest.mark.parametrize("eta", [0.0, -1.0, np.nan, np.inf, "2", True])
def test_eta_is_a_number_above_zero(eta: object) -> None:
    with pytest.raises(DeclarationError, match="expected a number above 0"):
        wb.Correlated(eta=eta)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS")  # which PyMC's LKJCholeskyCov looks for
def test_the_posterior_is_that_of_a_model_by_hand() -> None:
    """Sampled by PyMC, with pm.LKJCholeskyCov, non-centred."""
    table = two()
    with pm.Model() as by_hand:
        pop = [pm.Normal("a_pop", 0.0, 2.0), pm.LogNormal("b_pop", 0.0, 0.5)]
        half = 2.0 * scipy.stats.norm.ppf(0.84)
        sds = pm.HalfNormal.dist(np.array([half, 1.0]), shape=2)
        chol, corr, sd = pm.LKJCholeskyCov("chol", n=2, eta=2.0, sd_dist=sds, compute_corr=True)
        effects = (pm.Normal("offset", 0.0, 1.0, shape=(40, 1, 2)) * chol).sum(axis=2)
        pm.Normal("y", pop[0] + effects[table.unit.to_numpy(), 0], NOISE, observed=table.y)
        pm.LogNormal("z", pm.math.log(pop[1]) + effects[table.unit.to_numpy(), 1], NOISE, observed=table.z)
        pm.Deterministic("a_b_corr", corr[0, 1])
        pm.Deterministic("a_sd", sd[0])
        pm.Deterministic("b_sd", sd[1])
    compiled = nutpie.compile_pymc_model(by_hand)
    drawn = nutpie.sample(compiled, draws=1500, tune=1500, chains=4, cores=1, seed=1, progress_bar=False)
    for name in ("a_pop", "b_pop", "a_sd", "b_sd", "a_b_corr"):
        ours, theirs = pair().posterior[name], drawn["posterior"][name]
        spread = float(theirs.std())
        assert abs(float(ours.mean()) - float(theirs.mean())) < 0.12 * spread, name
        assert float(ours.std()) == pytest.approx(spread, rel=0.1), name


@pytest.mark.slow
def test_ranks_of_simulated_data_sets_are_uniform() -> None:
    study = wb.sbc(Two, two(8), pool=PAIR, n=100, seed=1, progress=False)
    assert study.gate.verdict == "passed", study.gate.says
    assert study.p_values["a_b_corr"] > 0.01
