"""Particle filters against the Kalman filter, an exact filter on a grid, and SciPy's distributions."""

import functools
import math

import numpy as np
import pytest
import xarray as xr
from filter_models import NILE, Nile, Spring

import workbench as wb
from workbench.base.errors import DataError, SolveError
from workbench.calibrate.sensors.likelihood import law
from workbench.sync.assimilate import bound, final_state
from workbench.sync.filters.limits import log_beyond
from workbench.sync.filters.resampling import resample
from workbench.sync.filters.sensors import sensors
from workbench.sync.observations import observe

RESAMPLERS = [wb.Systematic(), wb.Stratified(), wb.Residual(), wb.Multinomial()]
PROPOSALS = [wb.Bootstrap(), wb.Guided()]


class Known(Nile):
    """The Nile with a start of known spread, from which particles can be drawn."""

    level = wb.State("1", start=wb.prior.Normal(mu=1100.0, sigma=100.0), noise=np.sqrt(1469.178))


def nile(years: int = 100) -> xr.Dataset:
    flow = np.array(NILE[:years], dtype=float)
    flow[5:8] = np.nan
    return xr.Dataset({"flow": ("time", flow)}, {"time": np.arange(1871.0, 1871.0 + years)})


INPUTS = {"force": {0.0: 0.0, 1.0: 2.0, 3.0: -1.0}, "blow": {0.5: 0.7, 1.7: -0.4}}


@functools.cache
def springs() -> xr.Dataset:
    """Readings of the spring as its inputs push it; none at the start, which particles cannot steer."""
    rng, time = np.random.default_rng(1), np.array([0.0, 0.3, 0.5, 1.3, 1.4, 2.0, 2.9])
    truth = wb.simulate(Spring, time, inputs=INPUTS, seed=1)
    place, speed = truth["place"] + 0.1 * rng.standard_normal(7), truth["speed"] + 0.3 * rng.standard_normal(7)
    place[[0, 2]], speed[[0, 4]] = np.nan, np.nan
    return xr.Dataset({"place": place, "speed": speed})


@pytest.mark.parametrize("resampler", RESAMPLERS)
def test_resampling_is_unbiased(resampler) -> None:
    rng, many = np.random.default_rng(1), 4000
    weights = np.random.default_rng(2).gamma(0.3, size=25)
    weights[[0, 7, 24]] = 0.0
    weights /= weights.sum()
    picked, counts = np.empty(25, np.int64), np.empty((many, 25))
    for k in range(many):
        resample(resampler.code, weights, rng, picked)
        counts[k] = np.bincount(picked, minlength=25)
    assert (counts.sum(axis=1) == 25).all()
    assert not counts[:, weights == 0.0].any()
    error = counts.std(axis=0) / math.sqrt(many)
    assert (np.abs(counts.mean(axis=0) - 25 * weights) < 5 * error + 1e-12).all()
    if resampler == wb.Systematic():
        assert (np.abs(counts - 25 * weights) < 1.0).all()
    if resampler == wb.Residual():
        assert (counts >= np.floor(25 * weights)).all()
    if resampler == wb.Multinomial():
        np.testing.assert_allclose(counts.var(axis=0), 25 * weights * (1 - weights), rtol=0.15, atol=1e-3)
    else:
        assert counts.var(axis=0).sum() < 0.8 * (25 * weights * (1 - weights)).sum()


NOISES = [
    wb.noise.Normal(sigma=0.7),
    wb.noise.StudentT(nu=3.0, sigma=0.7),
    wb.noise.StudentT(nu=40.0, sigma=0.7),
    wb.noise.Laplace(b=0.6),
    wb.noise.LogNormal(sigma=0.4),
    wb.noise.Proportional(sigma=0.2),
    wb.noise.Combined(additive=0.3, proportional=0.2),
    wb.noise.Poisson(),
    wb.noise.NegativeBinomial(alpha=2.5),
]


@pytest.mark.parametrize("noise", NOISES, ids=repr)
def test_chances_at_a_limit_are_those_of_scipy(noise) -> None:
    class Read(Nile):
        flow = wb.Output("1", noise=noise)

    found = sensors(Read(), ["flow"], {})
    kind, own = int(found.kind[0]), (float(found.first[0]), float(found.second[0]))
    arguments = {key: np.float64(value) for key, value in noise.arguments}
    counts = noise.family.readings == "count"
    for value in (0.5, 3.0, 40.0):
        exact = law(noise, np.array(value), arguments)
        for limit in (1.0, 3.0, 12.0, 90.0):
            below, above = exact.logcdf(limit), exact.logsf(limit - 1 if counts else limit)
            assert log_beyond(kind, own, limit, value, False) == pytest.approx(float(below), rel=1e-9, abs=1e-12)
            if above > -600:  # SciPy's own tails end there
                assert log_beyond(kind, own, limit, value, True) == pytest.approx(float(above), rel=1e-7, abs=1e-12)


def runs(model, data, filter, seeds, inputs=None):
    """Return the log evidence of many seeds."""
    (plant,) = bound(model, observe(model, data), inputs=inputs, filter=filter, parameters=None)
    return np.array([filter.run(plant, filter.init(plant, s))[0].log_evidence for s in range(seeds)])


def refuse_bias(logs: np.ndarray, exact: float) -> None:
    ratio = np.exp(logs - exact)
    error = ratio.std() / math.sqrt(ratio.size)
    assert abs(ratio.mean() - 1.0) < 4 * error
    assert error < 0.1, "a test that sees nothing"


@pytest.mark.parametrize("proposal", PROPOSALS)
@pytest.mark.parametrize("resampler", RESAMPLERS)
def test_the_evidence_is_unbiased(resampler, proposal) -> None:
    data = nile(20)
    exact = float(wb.assimilate(Known, data, filter=wb.Kalman()).log_evidence_total)
    refuse_bias(runs(Known(), data, wb.ParticleFilter(200, resampler, proposal, gate=math.inf), 300), exact)


@pytest.mark.parametrize("proposal", PROPOSALS)
def test_the_evidence_of_equations_is_unbiased(proposal) -> None:
    """The extended filter is exact for these linear equations with noise at the same places."""
    exact = float(wb.assimilate(Spring, springs(), inputs=INPUTS, filter=wb.ExtendedKalman()).log_evidence_total)
    filter = wb.ParticleFilter(400, proposal=proposal, gate=math.inf)
    refuse_bias(runs(Spring(), springs(), filter, 300, INPUTS), exact)


@pytest.mark.parametrize("proposal", PROPOSALS)
def test_many_particles_are_the_kalman_filter(proposal) -> None:
    exact = wb.assimilate(Known, nile(), filter=wb.Kalman())
    made = wb.assimilate(Known, nile(), filter=wb.ParticleFilter(8000, proposal=proposal), seed=1)
    for ends in ("", "_forecast"):
        gap = (made[f"level{ends}"] - exact[f"level{ends}"]) / exact[f"level{ends}_sd"]
        assert float(np.sqrt((gap**2).mean())) < 0.06
        np.testing.assert_allclose(made[f"level{ends}_sd"], exact[f"level{ends}_sd"], rtol=0.08)
    assert (made["effective_members"] > 400).all()


class Sharp(Spring):
    """A sensor that says much more than the forecast."""

    x = wb.State("m", start=1.0)
    v = wb.State("m/s", start=0.0, noise=0.4)
    place = wb.Output("m", noise=wb.noise.Normal(sigma=0.002))


def test_guided_particles_find_what_a_sharp_sensor_says() -> None:
    data = wb.simulate(Spring, springs()["time"].values, inputs=INPUTS, seed=2)[["place"]]
    exact = wb.assimilate(Sharp, data, inputs=INPUTS, filter=wb.ExtendedKalman(gate=math.inf))
    spread = {}
    for proposal in PROPOSALS:
        filter = wb.ParticleFilter(500, proposal=proposal, gate=math.inf)
        spread[proposal] = runs(Sharp(), data, filter, 20, INPUTS)
    blind, guided = (spread[p] for p in PROPOSALS)
    assert abs(guided.mean() - float(exact.log_evidence_total)) < 1.0
    assert guided.std() < 0.2 * blind.std()


class Drift(wb.Map):
    """A random walk whose exponential is read."""

    time_unit = "h"
    x = wb.State("1", start=wb.prior.Normal(mu=1.0, sigma=0.5), noise=0.3)
    y = wb.Output("1", noise=wb.noise.Poisson())

    def step(self, t, x, u, p):
        return {"x": 0.9 * x.x + 0.1}

    def observe(self, t, x, u, p):
        return {"y": wb.math.exp(x.x)}


@functools.cache
def drift(noise, low, high):
    class Read(Drift):
        y = wb.Output("1", noise=noise, limits=tuple(end if math.isfinite(end) else None for end in (low, high)))

    rng = np.random.default_rng(3)
    x, made = 1.5, []
    for _ in range(25):
        x = 0.9 * x + 0.1 + 0.3 * rng.standard_normal()
        made.append(law(noise, np.exp(x), {k: np.float64(v) for k, v in noise.arguments}).rvs(random_state=rng))
    y = np.clip(np.array(made, dtype=float), low, high)
    y[7] = np.nan
    return Read(), xr.Dataset({"y": ("time", y)}, {"time": np.arange(25.0)})


def on_a_grid(noise, low, high, data):
    """Return means after each reading and the log evidence, by the recursion of Bayes on 1201 points."""
    grid = np.linspace(-3.0, 5.0, 1201)
    step = grid[1] - grid[0]
    moves = np.exp(-0.5 * ((grid[:, None] - 0.9 * grid - 0.1) / 0.3) ** 2) / (0.3 * math.sqrt(2 * math.pi)) * step
    exact = law(noise, np.exp(grid), {k: np.float64(v) for k, v in noise.arguments})
    counts = noise.family.readings == "count"
    weight, total, means = np.exp(-0.5 * ((grid - 1.0) / 0.5) ** 2), 0.0, []
    weight /= weight.sum()
    for k, y in enumerate(data["y"].values):
        weight = moves @ weight if k else weight
        if not np.isnan(y):
            if y <= low:
                weight = weight * exact.cdf(low)
            elif y >= high:
                weight = weight * exact.sf(high - 1 if counts else high)
            else:
                weight = weight * (exact.pmf(y) if counts else exact.pdf(y))
            total += math.log(weight.sum())
            weight /= weight.sum()
        means.append(weight @ grid)
    return np.array(means), total


@pytest.mark.parametrize("proposal", PROPOSALS)
@pytest.mark.parametrize(
    ("noise", "low", "high"),
    [
        (wb.noise.Poisson(), -math.inf, math.inf),
        (wb.noise.NegativeBinomial(alpha=3.0), -math.inf, 5.0),
        (wb.noise.StudentT(nu=3.0, sigma=0.4), 2.0, math.inf),
        (wb.noise.LogNormal(sigma=0.3), 2.0, 6.0),
        (wb.noise.Proportional(sigma=0.3), -math.inf, 4.0),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_any_noise_is_followed_as_on_a_grid(noise, low, high, proposal) -> None:
    model, data = drift(noise, low, high)
    means, total = on_a_grid(noise, low, high, data)
    limited = ((data["y"] <= low) | (data["y"] >= high)).values
    assert limited.any() == (math.isfinite(low) or math.isfinite(high))
    filter = wb.ParticleFilter(500, proposal=proposal, gate=math.inf)
    refuse_bias(runs(model, data, filter, 200), total)
    made = wb.assimilate(model, data, filter=wb.ParticleFilter(8000, proposal=proposal), seed=1)
    assert (np.abs(made["x"] - means) < 0.08 * made["x_sd"]).mean() > 0.95
    np.testing.assert_array_equal(made["y_flag"].values, np.where(limited, 3, np.where(np.isnan(data["y"]), 1, 0)))


@pytest.mark.parametrize("proposal", PROPOSALS)
def test_steps_give_what_one_loop_gives(proposal) -> None:
    filter, model = wb.ParticleFilter(50, proposal=proposal), Spring()
    (plant,) = bound(model, observe(model, springs()), inputs=INPUTS, filter=filter, parameters=None)
    state = filter.init(plant, 5)
    whole, _ = filter.run(plant, state)
    for k in range(7):
        for act in (filter.predict, filter.update):
            state = act(plant, state, k)
            state = type(state).from_dataset(state.to_dataset())
    assert state.arrays.keys() == whole.arrays.keys()
    for name, values in whole.arrays.items():
        np.testing.assert_array_equal(state.arrays[name], values)
    assert state.log_evidence == pytest.approx(whole.log_evidence, rel=1e-12)


class Explosive(wb.Ode):
    """x' = a x^2: particles above 1 / (a t) blow up."""

    time_unit = "h"
    x = wb.State("1", start=wb.prior.LogNormal(median=1.0, sigma=0.6), bounds=(0.0, None))
    a = wb.Parameter("1/h", value=0.3)
    y = wb.Output("1", noise=wb.noise.Normal(sigma=0.3))

    def rhs(self, t, x, u, p):
        return {"x": p.a * x.x**2}

    def observe(self, t, x, u, p):
        return {"y": x.x}


def test_particles_that_blow_up_lose_their_weight_and_are_counted() -> None:
    import scipy.stats

    data = xr.Dataset({"y": ("time", [np.nan, np.nan, 2.0])}, {"time": [0.0, 1.0, 2.0]})
    made = wb.assimilate(Explosive, data, filter=wb.ParticleFilter(3000), seed=1)
    share = scipy.stats.lognorm(0.6).sf(1 / (0.3 * 2.0))
    assert int(made["replaced"].sum()) == pytest.approx(3000 * share, abs=4 * math.sqrt(3000 * share))
    assert np.isfinite(made["x"]).all()
    start = np.linspace(0.01, 1 / 0.6 - 1e-4, 20001)  # those that last until the reading
    prior = scipy.stats.lognorm(0.6).pdf(start)
    density = scipy.stats.norm(1 / (1 / start - 0.6), 0.3).pdf(2.0)
    exact = math.log(np.trapezoid(prior * density, start))
    assert float(made["log_evidence_total"]) == pytest.approx(exact, abs=0.15)
    with pytest.raises(SolveError, match="no member could be carried"):
        wb.assimilate(Explosive, data, filter=wb.ParticleFilter(20), parameters={"a": 50.0}, seed=1)


def test_readings_that_nothing_explains() -> None:
    """Refused where a gate is set; else said by an evidence of 0, and the filter goes on."""
    data = xr.Dataset({"y": ("time", [2.0, 1e9, 3.0])}, {"time": [0.0, 1.0, 2.0]})
    model, _ = drift(wb.noise.LogNormal(sigma=0.3), 2.0, 6.0)
    free = xr.Dataset({"y": ("time", [3.0, 5.0, 3.0])}, {"time": [0.0, 1.0, 2.0]})
    assert np.isfinite(wb.assimilate(model, free, filter=wb.ParticleFilter(50), seed=1)["x"]).all()
    for proposal in PROPOSALS:
        made = wb.assimilate(Drift, data, filter=wb.ParticleFilter(50, proposal=proposal), seed=1)
        assert made["y_flag"].values.tolist() == [0, 2, 0]
        other = data.copy(deep=True)
        other["y"][1] = np.nan
        np.testing.assert_array_equal(
            made["x"], wb.assimilate(Drift, other, filter=wb.ParticleFilter(50, proposal=proposal), seed=1)["x"]
        )

    class Falls(Drift):
        def observe(self, t, x, u, p):
            return {"y": wb.math.minimum(x.x, 0.0)}  # no rate above 0

    for gate, evidence in ((20.0, 0.0), (math.inf, -math.inf)):
        made = wb.assimilate(Falls, data.isel(time=[0]), filter=wb.ParticleFilter(50, gate=gate), seed=1)
        assert made["y_flag"].values.tolist() == [2]
        assert float(made["log_evidence_total"]) == evidence
        assert np.isfinite(made["x"]).all()


def test_the_last_state_goes_on() -> None:
    made = wb.assimilate(Known, nile(10), filter=wb.ParticleFilter(100), seed=4)
    state = final_state(made)
    assert state.arrays["members"].shape == (100, 1)
    assert np.exp(state.arrays["log_weights"]).sum() == pytest.approx(1.0)
    assert state.time == 1880.0


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"particles": 1}, "particles=1"),
        ({"resampler": "systematic"}, r"resampler='systematic'; expected one such as wb\.Systematic"),
        ({"proposal": "guided"}, r"proposal='guided'; expected wb\.Bootstrap\(\) or wb\.Guided"),
        ({"threshold": 2.0}, "threshold=2.0"),
    ],
)
def test_settings_that_cannot_be(wrong, words) -> None:
    with pytest.raises(DataError, match=words):
        wb.ParticleFilter(**wrong)
