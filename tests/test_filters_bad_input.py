"""What filters are given that they should not be, and what goes wrong on the way: each is said, none ends in NaN."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from filter_models import NILE, Nile, Spring

import workbench as wb
from workbench.base.errors import DataError, SolveError
from workbench.sync.assimilate import bound, final_state
from workbench.sync.filters.plant import Plant
from workbench.sync.filters.protocol import Filter, FilterState
from workbench.sync.observations import observe

GAUSSIAN = [wb.Kalman(), wb.ExtendedKalman(), wb.UnscentedKalman()]
RANDOM = [
    wb.EnKF(members=60),
    wb.EnKF(members=60, analysis=wb.PerturbedObservations()),
    wb.ParticleFilter(500),
    wb.ParticleFilter(500, proposal=wb.Guided()),
]
FILTERS = [*GAUSSIAN, *RANDOM]
GATED = FILTERS[1:]  # Kalman's filter, exact as it is, takes all readings


def name(filter: Filter) -> str:
    return f"{type(filter).__name__}-{type(getattr(filter, 'proposal', getattr(filter, 'analysis', None))).__name__}"


every = pytest.mark.parametrize("filter", FILTERS, ids=name)


def springs(count: int = 8) -> xr.Dataset:
    time = np.arange(count) * 0.4
    rng = np.random.default_rng(1)
    truth = wb.simulate(Spring, time, inputs={"force": 0.0}, seed=1)
    return xr.Dataset(
        {
            "place": truth["place"] + 0.1 * rng.standard_normal(count),
            "speed": truth["speed"] + 0.3 * rng.standard_normal(count),
        }
    )


def spring(filter: Filter, data: xr.Dataset | None = None) -> tuple[Plant, FilterState]:
    model = Spring()
    readings = observe(model, springs() if data is None else data)
    (plant,) = bound(model, readings, inputs={"force": 0.0}, filter=filter, parameters=None)
    return plant, filter.init(plant, 1)


def follow(filter: Filter, data: xr.Dataset) -> xr.Dataset:
    return wb.assimilate(Spring, data, inputs={"force": 0.0}, filter=filter, seed=1)


@every
def test_readings_older_than_the_state(filter) -> None:
    plant, first = spring(filter)
    state = filter.update(plant, filter.predict(plant, first, 0), 0)
    later = replace(state, time=2.0)
    with pytest.raises(
        DataError, match=r"got a state at t = 2 s; expected the one at 0 s .* 0\.4 s; these readings are"
    ):
        filter.predict(plant, later, 1)
    with pytest.raises(
        DataError, match=r"t = 0 s; expected the one at 0\.4 s that was carried to the readings at 0\.4 s"
    ):
        filter.update(plant, state, 1)
    with pytest.raises(DataError, match=r"expected the one at 0 s"):
        filter.run(plant, later)
    with pytest.raises(DataError, match="got cycle 8; expected one of 0 to 7"):
        filter.predict(plant, later, 8)


@every
def test_times_that_repeat_and_data_without_readings(filter) -> None:
    data = springs()
    with pytest.raises(DataError, match=r"0\.4"):
        follow(filter, data.isel(time=[0, 1, 1, 2]))
    with pytest.raises(DataError, match="got no samples"):
        follow(filter, data * np.nan)


@every
def test_a_sensor_that_never_reads_and_times_without_readings(filter) -> None:
    data = springs()
    data["speed"][:] = np.nan
    data["place"][2:5] = np.nan
    made = follow(filter, data)
    assert (made["speed_flag"] == 1).all()
    assert np.isfinite(made["x"]).all()
    assert np.isfinite(made["v_sd"]).all()
    np.testing.assert_array_equal(made["log_evidence"].values[2:5], made["log_evidence"].values[1])
    alone = follow(filter, data[["place"]])
    np.testing.assert_allclose(made["x"], alone["x"], rtol=1e-12)


@pytest.mark.parametrize("filter", GATED, ids=name)
def test_a_reading_far_out_of_range_is_refused(filter) -> None:
    data = springs()
    data["place"][3] = 1e9
    made = follow(filter, data)
    assert made["place_flag"].values.tolist() == [0, 0, 0, 2, 0, 0, 0, 0]
    assert float(made["place_innovation"][3]) == pytest.approx(1e9)
    data["place"][3] = np.nan
    other = follow(filter, data)
    np.testing.assert_array_equal(made["x"], other["x"])
    assert float(made["log_evidence_total"]) == float(other["log_evidence_total"])


def test_kalman_takes_all_readings_and_stays_finite() -> None:
    data = springs()
    data["place"][3] = 1e9
    made = follow(wb.Kalman(), data)
    assert (made["place_flag"] == 0).all()
    assert np.isfinite(made["x"]).all()
    assert float(made["log_evidence_total"]) < -1e15


@every
def test_a_filter_that_lost_its_asset_says_so_with_the_evidence(filter) -> None:
    data = xr.Dataset({"place": ("time", np.full(40, 50.0))}, {"time": np.arange(40) * 0.1})
    words = "does not follow 'place': of its last 20 readings" if name(filter) != "ParticleFilter" else "lost"
    with pytest.warns(UserWarning, match=words):
        made = follow(filter, data)
    assert made.attrs["diverged"].startswith("the filter does not follow")
    assert np.isfinite(made["x"]).all()
    assert follow(filter, springs()).attrs["diverged"] == ""


@pytest.mark.parametrize("filter", GAUSSIAN, ids=name)
@pytest.mark.parametrize(
    ("covariance", "words"),
    [
        ([[1.0, 2.0], [2.0, 1.0]], r"not positive definite: .* eigenvalue is -1, mostly along \['.', '.'\]"),
        ([[1.0, 0.5], [0.1, 1.0]], "not symmetric"),
        ([[1.0, np.nan], [np.nan, 1.0]], "covariance holds NaN"),
        ([[1.0]], r"covariance has shape \(1, 1\); expected \(2, 2\)"),
    ],
)
def test_a_covariance_that_is_none(filter, covariance, words) -> None:
    plant, state = spring(filter)
    bad = replace(state, arrays={**state.arrays, "covariance": np.array(covariance)})
    with pytest.raises(DataError, match=words):
        filter.predict(plant, bad, 0)
    with pytest.raises(DataError, match=words):
        filter.run(plant, bad)


@pytest.mark.parametrize("filter", GAUSSIAN, ids=name)
def test_a_covariance_may_be_singular(filter) -> None:
    plant, state = spring(filter)
    known = replace(state, arrays={**state.arrays, "covariance": np.array([[1.0, 1.0], [1.0, 1.0]])})
    last, written = filter.run(plant, known)
    assert np.isfinite(last.log_evidence)
    assert (np.linalg.eigvalsh(last.arrays["covariance"]) > 0).all()
    assert np.isfinite(written.analysis).all()


@pytest.mark.parametrize("filter", RANDOM, ids=name)
def test_members_that_are_none(filter) -> None:
    plant, state = spring(filter)
    broken = state.arrays["members"].copy()
    broken[3, 0] = np.nan
    for members, words in [(broken, "members holds NaN"), (broken[:, :1], "expected .*, 2")]:
        with pytest.raises(DataError, match=words):
            filter.run(plant, replace(state, arrays={**state.arrays, "members": members}))


@every
def test_the_state_of_another_filter_or_model(filter) -> None:
    plant, _ = spring(filter)
    other = wb.EnKF(members=20) if filter in GAUSSIAN else wb.ExtendedKalman()
    with pytest.raises(DataError, match=r"expected one with .* of this filter"):
        filter.run(plant, spring(other)[1])
    nile = xr.Dataset({"flow": ("time", np.array(NILE, dtype=float))}, {"time": np.arange(1871.0, 1971.0)})
    foreign = final_state(wb.assimilate(Nile, nile, filter=wb.Kalman()))
    with pytest.raises(DataError, match=r"got a state of \['level'\]; expected one of \['x', 'v'\]"):
        filter.run(plant, foreign)


class Vague(wb.Map):
    """Something hardly known, then read very sharply: 24 orders of magnitude between the variances."""

    time_unit = "h"
    a = wb.State("1", start=wb.prior.Normal(mu=0.0, sigma=1e8))
    b = wb.State("1", start=wb.prior.Normal(mu=0.0, sigma=1e8))
    y = wb.Output("1", noise=wb.noise.Normal(sigma=1e-4))
    z = wb.Output("1", noise=wb.noise.Normal(sigma=1e-4))

    def step(self, t, x, u, p):
        return {"a": x.a, "b": x.b}

    def observe(self, t, x, u, p):
        return {"y": x.a + x.b, "z": x.a - x.b}


class Apart(Vague):
    def observe(self, t, x, u, p):
        return {"y": x.a, "z": x.b}


class Unknown(Vague):
    a, b = wb.State("1", start=wb.prior.Flat()), wb.State("1", start=wb.prior.Flat())


SHARP = xr.Dataset({"y": ("time", [3.0, 3.0]), "z": ("time", [1.0, 1.0])}, {"time": [0.0, 1.0]})


@pytest.mark.parametrize("filter", [wb.Kalman(), wb.ExtendedKalman()], ids=name)
def test_a_sharp_reading_of_what_was_hardly_known(filter) -> None:
    """Its variance is the sensor's, where simpler updates say 0; a sum's is lost to rounding, and that is said."""
    made = wb.assimilate(Apart, SHARP, filter=filter)
    np.testing.assert_allclose(made["a"], 3.0, atol=1e-8)
    np.testing.assert_allclose(made["a_sd"], 1e-4 / np.sqrt([1.0, 2.0]), rtol=1e-8)
    with pytest.raises(SolveError, match=r"no longer positive definite at t = 0 h, to rounding.*prior.Flat\(\)"):
        wb.assimilate(Vague, SHARP, filter=filter)


def test_what_is_not_known_at_all_can_be_read_sharply() -> None:
    """Two readings each: a and b are half their sums, to 1e-4 / 2."""
    made = wb.assimilate(Unknown, SHARP, filter=wb.Kalman())
    assert float(made["a"][-1]) == pytest.approx(2.0, abs=1e-9)
    assert float(made["a_sd"][-1]) == pytest.approx(0.5e-4, rel=1e-6)
    assert float(made["b_sd"][0]) == pytest.approx(0.5e-4 * np.sqrt(2), rel=1e-6)


class Explosive(wb.Ode):
    """x' = a x^2: from 1 there is no solution after 1 / a."""

    time_unit = "h"
    x = wb.State("1", start=wb.prior.LogNormal(median=1.0, sigma=0.6), bounds=(0.0, None))
    a = wb.Parameter("1/h", value=3.0)
    y = wb.Output("1", noise=wb.noise.Normal(sigma=0.3))

    def rhs(self, t, x, u, p):
        return {"x": p.a * x.x**2}

    def observe(self, t, x, u, p):
        return {"y": x.x}


@pytest.mark.parametrize("filter", GATED, ids=name)
def test_equations_without_a_solution_are_said_with_the_time(filter) -> None:
    data = xr.Dataset({"y": ("time", [1.0, 2.0])}, {"time": [0.0, 50.0]})
    with pytest.raises(SolveError, match=r"could (not )?be carried to t = 50 h"):
        wb.assimilate(Explosive, data, filter=filter, seed=1)


def test_particles_that_collapse_are_said() -> None:
    time = np.arange(40) * 0.1
    truth = wb.simulate(Spring, time, inputs={"force": 0.0}, parameters={"stiffness": 5.0}, seed=2)
    data = truth[["place"]] + 0.1 * np.random.default_rng(1).standard_normal(40)
    given = {"inputs": {"force": 0.0}, "parameters": {"stiffness": wb.prior.LogNormal(median=4.0, sigma=0.3)}}
    with pytest.warns(UserWarning, match="values of 'stiffness' are left among 40 particles"):
        wb.assimilate(Spring, data, filter=wb.ParticleFilter(40), seed=1, **given)

    class Sharp(Spring):
        place = wb.Output("m", noise=wb.noise.Normal(sigma=1e-4))

    with pytest.warns(UserWarning, match="effective number of 100 particles was"):
        wb.assimilate(Sharp, truth[["place"]], filter=wb.ParticleFilter(100), seed=1, inputs={"force": 0.0})
