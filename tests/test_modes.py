"""Modes are found, weighed and named: by mixtures of known weights, by models with symmetries, and by bad data."""

import json
from functools import cache

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
import scipy.stats
import xarray as xr
from calibrations import density_of, levels, lynx_hare

import workbench as wb
from workbench.base.errors import SamplingError
from workbench.calibrate.sampling import naming
from workbench.calibrate.sampling.density import compile_density
from workbench.calibrate.sampling.progress import Progress
from workbench.calibrate.sampling.sample import Draws, sample
from workbench.calibrate.sampling.start import Start, find_start
from workbench.calibrate.sampling.terrain import NEGLIGIBLE, Mode, Terrain, valleys, weighty
from workbench.calibrate.trust import modes
from workbench.calibrate.trust.modes import Named, gate

prior = wb.prior
LEVELS = np.linspace(0.5, 3.0, 12)
NOISE = 0.1 * np.random.default_rng(0).normal(size=12)


class Square(wb.Static):
    """y = a^2 s: the data do not see the sign of a, and the prior leans to the positive one."""

    a = wb.Parameter("1", prior=prior.Normal(mu=0.3, sigma=1.0))
    s = wb.Input("1")
    y = wb.Output("1", noise=wb.noise.Normal(sigma=prior.HalfNormal(1.0)))

    def observe(self, t, x, u, p):
        return {"y": p.a**2 * u.s}


class Spill(wb.Static):
    """y = a s, and a parameter that nothing holds."""

    a = wb.Parameter("1", prior=prior.Normal(mu=0, sigma=2))
    idle = wb.Parameter("1", prior=prior.Flat())
    s = wb.Input("1")
    y = wb.Output("1", noise=wb.noise.Normal(sigma=prior.HalfNormal(1.0)))

    def observe(self, t, x, u, p):
        return {"y": p.a * u.s + 0 * p.idle}


class Sum(wb.Static):
    """y = (a + b) s with priors without end: only the sum is known."""

    a = wb.Parameter("1", prior=prior.Flat())
    b = wb.Parameter("1", prior=prior.Flat())
    s = wb.Input("1")
    y = wb.Output("1", noise=wb.noise.Normal(sigma=prior.HalfNormal(1.0)))

    def observe(self, t, x, u, p):
        return {"y": (p.a + p.b) * u.s}


class Slope(wb.Static):
    """y = a s, with a below 1."""

    a = wb.Parameter("1", prior=prior.Uniform(lower=0, upper=1))
    s = wb.Input("1")
    y = wb.Output("1", noise=wb.noise.Normal(sigma=prior.HalfNormal(1.0)))

    def observe(self, t, x, u, p):
        return {"y": p.a * u.s}


class SquareBox(wb.Simulator):
    """The same as `Square`, as a black box in this process."""

    time_unit = "s"
    processes = 1
    a = Square.quantities["a"]
    y = Square.quantities["y"]

    def run(self, times, u, p):
        return {"y": p.a**2 * LEVELS}


def read(model, y, *, draws=300, chains=4, seed=1):
    cases = {"time": np.arange(12.0)}
    inputs = None if isinstance(model, wb.Simulator) else {"s": xr.DataArray(LEVELS, cases, "time")}
    sizes = {"draws": draws, "tune": 300, "chains": chains}
    return wb.calibrate(model, xr.Dataset({"y": ("time", y)}, cases), inputs=inputs, **sizes, seed=seed, progress=False)


@cache
def square():
    return read(Square(), LEVELS + NOISE)


# -- weights, of a mixture of normals whose weights are known --------------------------------------------------------
MIXTURE = [  # weight, mean, covariance
    (0.3, [-6.0, 2.0], [[0.5, 0.2], [0.2, 0.3]]),
    (0.6, [5.0, 0.0], [[2.0, -1.0], [-1.0, 1.0]]),
    (0.1, [0.0, -7.0], [[0.1, 0.0], [0.0, 0.4]]),
    (2e-4, [8.0, 9.0], [[0.2, 0.0], [0.0, 0.2]]),
]
TOTAL = sum(weight for weight, _, _ in MIXTURE)


@cache
def mixture():
    """Return the density of the mixture, and its modes as the climbs from near each mean find them."""
    with pm.Model() as made:
        z = pm.Flat("z", shape=2)
        weights, means, covariances = (np.array(part) for part in zip(*MIXTURE, strict=True))
        scales = np.log(weights / TOTAL) - 0.5 * np.linalg.slogdet(2 * np.pi * covariances)[1]
        precisions, away = np.linalg.inv(covariances), z - means
        squares = precisions[:, 0, 0] * away[:, 0] ** 2 + precisions[:, 1, 1] * away[:, 1] ** 2
        squares += 2 * precisions[:, 0, 1] * away[:, 0] * away[:, 1]
        pm.Potential("density", pt.logsumexp(scales - 0.5 * squares))
    density = compile_density(made)
    terrain = Terrain(density, np.array([5.0, 4.0]), np.zeros(2, dtype=bool), np.zeros(2))
    return density, terrain, [terrain.mode(terrain.climb(np.array(mu) + 0.3)) for _, mu, _ in MIXTURE]


def test_weights_of_a_mixture():
    _, _, found = mixture()
    for mode, (weight, mean, covariance) in zip(found, MIXTURE, strict=True):
        np.testing.assert_allclose(mode.top, mean, atol=1e-4)
        np.testing.assert_allclose(mode.spread, covariance, rtol=1e-2, atol=1e-3)
        assert mode.log_weight == pytest.approx(np.log(weight / TOTAL), abs=0.02)
        height = np.log(weight / TOTAL) + scipy.stats.multivariate_normal(mean, covariance).logpdf(mean)
        assert mode.log_density == pytest.approx(height, abs=1e-4)
        assert mode.settled
    kept = weighty(found)
    assert [round(float(np.exp(mode.log_weight)), 2) for mode in kept] == [0.6, 0.3, 0.1]  # the fourth is negligible
    assert MIXTURE[3][0] < NEGLIGIBLE


def test_chains_of_a_mixture():
    density, terrain, found = mixture()
    start = Start(weighty(found), np.array([mode.log_density for mode in found]), terrain)
    assert [start.shares(n) for n in (1, 2, 3, 4, 8)] == [[1], [1, 1], [1, 1, 1], [2, 1, 1], [6, 1, 1]]
    drawn = sample(density, start, chains=6, draws=200, tune=200, seed=3, progress=Progress(False))
    assert drawn.points.shape == (6, 200, 2)
    assert all(v.shape == (6, 200) for v in drawn.statistics.values())
    rows = [Named(**row) for row in json.loads(naming.of_climbs(drawn, start, lambda p: {"z": p}))]
    assert [(row.name, row.chains) for row in rows] == [("A", [0, 1, 2, 3]), ("B", [4]), ("C", [5])]
    np.testing.assert_allclose([row.weight for row in rows], [0.6, 0.3, 0.1], atol=0.01)
    for row, k in zip(rows, (1, 0, 2), strict=True):
        np.testing.assert_allclose(row.centre["z"], MIXTURE[k][1], atol=0.6)
    blind = [Named(**row) for row in json.loads(naming.of_draws(drawn, terrain.values, lambda p: {"z": p}))]
    assert [(row.name, row.chains) for row in blind] == [("A", [0, 1, 2, 3]), ("B", [4]), ("C", [5])]
    np.testing.assert_allclose([row.weight for row in blind], [0.6, 0.3, 0.1], atol=0.1)


def exact(sizes, seed=0, *, chains=4):
    """Return independent draws of the mixture: of each component as many in every chain as `sizes` says."""
    rng = np.random.default_rng(seed)
    density, _, _ = mixture()
    points = np.stack(
        [
            np.concatenate([rng.multivariate_normal(MIXTURE[k][1], MIXTURE[k][2], size=n) for k, n in sizes[c].items()])
            for c in range(chains)
        ]
    )
    heights = np.array([[density.evaluate(point)[0] for point in chain] for chain in points])
    return Draws(points, {"lp": heights}, interrupted=False)


def rows_of(drawn, found):
    _, terrain, _ = mixture()
    start = Start(tuple(found), np.array([mode.log_density for mode in found]), terrain)
    return [Named(**row) for row in json.loads(naming.of_climbs(drawn, start, lambda p: {"z": p}))]


def test_chains_that_go_between_modes_are_in_both():
    _, _, found = mixture()
    rows = rows_of(exact({0: {0: 60, 1: 140}, 1: {1: 200}, 2: {1: 200}, 3: {1: 199, 0: 1}}), weighty(found)[:2])
    assert [(row.name, row.chains) for row in rows] == [("A", [0, 1, 2, 3]), ("B", [0])]


def test_a_mode_that_only_the_search_found_is_kept_in_the_record():
    _, _, found = mixture()
    rows = rows_of(exact({c: {1: 200} for c in range(4)}), weighty(found)[:2])
    assert [(row.name, row.chains) for row in rows] == [("A", [0, 1, 2, 3]), ("B", [])]
    assert rows[1].weight == pytest.approx(1 / 3, abs=0.01)
    np.testing.assert_allclose(rows[1].centre["z"], MIXTURE[0][1], atol=1e-3)
    rows = rows_of(exact({c: {1: 198, 0: 2} for c in range(4)}), weighty(found)[:2])
    assert [row.name for row in rows] == ["A"]  # chains passed by: it is no mode that was left aside


@pytest.mark.parametrize(("size", "seed"), [(2, 0), (2, 1), (20, 2), (200, 3)])
def test_one_mode_is_one(size, seed):
    """Draws of a normal law, of a bent one and of one with heavy tails, in small spaces and in large ones."""
    rng = np.random.default_rng(seed)
    plain = rng.normal(size=(4, 250, size))
    bent = plain.copy()
    bent[..., 1] += bent[..., 0] ** 2
    heavy = plain * np.sqrt(5 / rng.chisquare(5, size=(4, 250, 1)))
    laws = {
        "plain": (plain, lambda z: -0.5 * (z**2).sum(axis=1)),
        "bent": (bent, lambda z: -0.5 * (z**2).sum(axis=1) - 0.5 * (z[:, 0] ** 4 - 2 * z[:, 1] * z[:, 0] ** 2)),
        "heavy": (heavy, lambda z: -0.5 * (5 + size) * np.log1p((z**2).sum(axis=1) / 5)),
    }
    for points, values in laws.values():
        drawn = Draws(points, {"lp": values(points.reshape(-1, size)).reshape(4, 250)}, interrupted=False)
        rows = json.loads(naming.of_draws(drawn, values, lambda p: {"z": p}))
        assert [(row["name"], row["chains"]) for row in rows] == [("A", [0, 1, 2, 3])]


def test_valleys_by_arithmetic():
    a, b = np.array([[-1.0], [1.0], [0.5]]), np.array([[1.0], [2.0], [1.0]])
    depth = valleys(lambda z: -((z[:, 0] ** 2 - 1) ** 2), a, b)
    assert depth[0] == pytest.approx(1.0)  # from one top to the other over 0, where it is -1
    assert (depth[1:] < 0).all()  # downhill all the way: no valley
    assert valleys(lambda z: np.where(z[:, 0] > 0.5, -np.inf, 0.0), np.zeros((1, 1)), np.ones((1, 1)))[0] == np.inf


# -- calibrations ----------------------------------------------------------------------------------------------------
def test_both_signs_are_named_weighed_and_kept_apart():
    calibration = square()
    posterior = calibration.posterior
    assert posterior.coords["mode"].dims == ("chain",)
    assert posterior.coords["mode"].values.tolist() == ["A", "A", "A", "B"]
    assert (posterior["a"].isel(chain=[0, 1, 2]) > 0).all()
    assert (posterior["a"].isel(chain=3) < 0).all()
    table = calibration.modes
    assert table.index.tolist() == ["A", "B"]
    assert table["chains"].tolist() == [[0, 1, 2], [3]]
    assert table["a [1]"].tolist() == pytest.approx([1.0, -1.0], abs=0.02)
    odds = np.exp(-0.5 * ((1 - 0.3) ** 2 - (-1 - 0.3) ** 2))  # the likelihood is the same, the prior is not
    assert table["weight"].tolist() == pytest.approx([odds / (1 + odds), 1 / (1 + odds)], abs=0.01)
    summary = calibration.summary()
    assert summary.index.tolist() == ["a (mode A)", "y_sigma (mode A)", "a (mode B)", "y_sigma (mode B)"]
    assert summary.loc["a (mode A)", "mean"] == pytest.approx(1.0, abs=0.02)
    assert summary.loc["a (mode A)", "r_hat"] < 1.05
    assert (summary["verdict"] != "ok").all()
    found = gate(calibration)
    assert (found.name, found.verdict, found.figure, found.threshold) == ("mode agreement", "failed", 2.0, 1.0)
    assert "2 modes: A (chains 0, 1, 2; log density" in found.says
    assert "65 % of the weight" in found.says
    assert "exclude a mode by priors or bounds" in found.says


def test_names_outlive_a_file_and_follow_into_a_forecast(tmp_path):
    calibration = square()
    calibration.save(tmp_path / "square.nc")
    opened = wb.Calibration.open(tmp_path / "square.nc", Square())
    assert gate(opened) == gate(calibration)
    assert opened.modes.equals(calibration.modes)
    inputs = {"s": xr.DataArray([1.0, 1.0], {"time": [0.0, 20.0]}, "time")}
    ahead = wb.forecast(opened, [12.0, 13.0], inputs=inputs, seed=1)
    assert ahead.coords["mode"].values.tolist() == ["A", "A", "A", "B"]


def test_populations_of_walkers_get_the_same_names():
    calibration = read(SquareBox(), LEVELS + NOISE, draws=400)
    assert calibration.posterior.coords["mode"].values.tolist() == ["A+B"] * 4  # each holds walkers in both
    assert calibration.modes["a [1]"].tolist() == pytest.approx([1.0, -1.0], abs=0.03)
    assert calibration.modes["weight"].tolist() == pytest.approx(square().modes["weight"].tolist(), abs=0.1)
    assert calibration.summary().index.tolist() == ["a (mode A+B)", "y_sigma (mode A+B)"]
    assert gate(calibration).verdict == "failed"
    assert "2 modes: A (chains 0, 1, 2, 3;" in gate(calibration).says


def test_one_mode_passes_and_its_summary_is_as_it_was():
    for calibration in (lynx_hare(), levels()):
        found = gate(calibration)
        assert (found.verdict, found.figure) == ("passed", 1.0)
        assert set(calibration.posterior.coords["mode"].values) == {"A"}
        assert not any("mode" in row for row in calibration.summary().index)
        assert calibration.modes["weight"].tolist() == [1.0]
    assert lynx_hare().modes.loc["A", "alpha [1/year]"] == pytest.approx(float(lynx_hare().posterior["alpha"].mean()))


def test_what_cannot_be_compared_is_not_run():
    one = read(Slope(), 0.5 * LEVELS + NOISE, chains=1)
    assert gate(one).verdict == "not run"
    assert "run at least 2" in gate(one).says
    posterior = square().posterior.drop_vars("mode")
    del posterior.attrs[modes.RECORD]
    elsewhere = wb.Calibration(xr.DataTree.from_dict({"posterior": posterior}))
    assert gate(elsewhere).verdict == "not run"
    assert modes.named(posterior) is posterior


def test_a_better_mode_that_no_chain_sampled_fails():
    posterior = lynx_hare().posterior
    rows = json.loads(posterior.attrs[modes.RECORD])
    for weight, verdict in ((0.9, "failed"), (0.01, "failed"), (NEGLIGIBLE / 2, "passed")):
        other = {**rows[0], "name": "B", "chains": [], "weight": weight}
        posterior.attrs[modes.RECORD] = json.dumps([{**rows[0], "weight": 1 - weight}, other])
        found = gate(wb.Calibration(xr.DataTree.from_dict({"posterior": posterior})))
        assert found.verdict == verdict
        assert verdict == "passed" or "no chain drew from it" in found.says


# -- bad input -------------------------------------------------------------------------------------------------------
def test_a_parameter_that_nothing_holds_is_refused():
    with pytest.raises(SamplingError, match="Spill: got a density that does not depend on 'idle'; expected it to have"):
        read(Spill(), 2 * LEVELS + NOISE)


def test_data_without_noise_are_refused_where_the_density_has_no_bound():
    with pytest.raises(SamplingError, match="Slope: got a density that rises without bound as 'y_sigma' leaves"):
        read(Slope(), 0.5 * LEVELS)


def test_a_flat_ridge_does_not_pass():
    card = read(Sum(), 2 * LEVELS + NOISE).trust
    assert "chains agree" in {found.name for found in card.failures}


@pytest.mark.parametrize("y", [5 * LEVELS + NOISE, np.r_[0.5 * LEVELS[:11] + NOISE[:11], 10.0]])
def test_excluded_data_and_outliers_do_not_break_start_or_naming(y):
    """Other gates judge these: the fit is bad, though the posterior is what was declared."""
    calibration = read(Slope(), y)
    assert gate(calibration).verdict == "passed"
    assert np.isfinite(calibration.posterior["a"]).all()


def test_one_tuning_draw_is_the_least():
    problem, _, density = density_of("lynx")
    start = find_start(problem, density, np.random.default_rng(1))
    drawn = sample(density, start, chains=2, draws=10, tune=0, seed=1, progress=Progress(False))
    assert np.isfinite(drawn.points).all()


def test_a_sampler_that_gives_up_says_why():
    density, _, _ = mixture()
    nowhere = Terrain(density, np.ones(2), np.zeros(2, dtype=bool), np.zeros(2))
    lost = Mode(np.array([np.nan, np.nan]), 0.0, np.eye(2), 0.0, 0.0)
    with pytest.raises(SamplingError, match="the sampler gave up: All initialization points failed"):
        sample(
            density, Start((lost,), np.zeros(1), nowhere), chains=2, draws=10, tune=10, seed=1, progress=Progress(False)
        )
