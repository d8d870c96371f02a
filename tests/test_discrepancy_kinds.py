"""Discrepancies of vectors, of increments, and of readings under other noise than Gaussian."""

import numpy as np
import pytest
import scipy.stats
import xarray as xr

import workbench as wb
from workbench.base.errors import ParameterError
from workbench.calibrate.bayes import build
from workbench.calibrate.discrepancy import second
from workbench.calibrate.discrepancy.discrepancy import expected
from workbench.calibrate.discrepancy.integrated import drawn_back, log_density
from workbench.calibrate.predict import noise_arguments, outputs_of, solve_data
from workbench.calibrate.problem import pose
from workbench.report.discrepancy import discrepancy

PLACES = ["west", "mid", "east"]
LENGTH = wb.prior.interval("InverseGamma", 1.0, 9.0, mass=0.98)


class Beam(wb.Static):
    """Deflections at three places, each in proportion to a load."""

    load = wb.Input("kN")
    stiffness = wb.Parameter("kN/mm", prior=wb.prior.LogNormal(median=10.0, sigma=0.3))
    share = wb.Parameter("1", value=np.array([0.6, 1.0, 0.7]), dims=("place",))
    deflection = wb.Output("mm", noise=wb.noise.Normal(sigma=0.02), dims=("place",))

    def coords(self):
        return {"place": PLACES}

    def observe(self, t, x, u, p):
        return {"deflection": p.share * u.load / p.stiffness}


class Heavy(Beam):
    """The same with outliers."""

    deflection = wb.Output("mm", noise=wb.noise.StudentT(nu=4.0, sigma=0.02), dims=("place",))


def beam(count: int = 20) -> tuple[xr.Dataset, dict]:
    """Return deflections with gaps, the middle one 0.3 sin(load / 4) beside the model, under loads of 0 to 12 kN."""
    rng, load, cases = np.random.default_rng(4), np.linspace(0.0, 12.0, count), np.arange(float(count))
    true = np.outer(load / 10, [0.6, 1.0, 0.7]) + np.outer(np.sin(load / 4), [0.0, 0.3, 0.1])
    read = true + 0.02 * rng.normal(size=true.shape)
    read[3, 0] = read[[5, 6], 1] = np.nan
    data = xr.Dataset({"deflection": (("time", "place"), read)}, {"time": cases, "place": PLACES})
    return data, {"load": xr.DataArray(load, {"time": cases}, "time")}


def matern(a, b, sigma, length):
    """Return the exact covariance of the Matern 5/2 process (Rasmussen & Williams 2006, equation 4.17)."""
    d = np.abs(a[:, None] - b) / length
    return sigma**2 * (1 + 5**0.5 * d + 5 * d**2 / 3) * np.exp(-(5**0.5) * d)


def test_elements_of_a_vector_have_independent_processes():
    data, inputs = beam()
    one = wb.Discrepancy("deflection", over="load", sigma=0.2, length_scale=LENGTH)
    problem = pose(Beam(), data, inputs=inputs, discrepancy=one)
    stiffness, load = np.array([9.0, 10.0, 11.0]), inputs["load"].values
    length = np.full((1, 3), 3.0)
    exact = np.zeros(3)
    for k, share in enumerate([0.6, 1.0, 0.7]):
        y = data["deflection"].values[:, k]
        seen = np.isfinite(y)
        law = scipy.stats.multivariate_normal(
            np.zeros(seen.sum()), matern(load[seen], load[seen], 0.2, 3.0) + 4e-4 * np.eye(seen.sum())
        )
        exact += law.logpdf(y[seen] - share * load[seen] / stiffness[:, None])
    variables = {"stiffness": stiffness[None], "deflection_discrepancy_length": length}
    made = log_density(
        problem, "deflection", variables, outputs_of(problem, "deflection", solve_data(problem, variables))
    )
    assert made == pytest.approx(exact, abs=0.15), "57 readings; the basis is an approximation of a hundredth"
    model = build(problem)
    symbolic = model.compile_logp(vars=model.observed_RVs)
    at = {"deflection_discrepancy_length_log__": np.log(3.0)}
    assert [symbolic({"stiffness_log__": np.log(v), **at}) for v in stiffness] == pytest.approx(list(made), abs=1e-8)


def test_functions_of_a_vector_given_the_data_are_those_of_exact_regression():
    data, inputs = beam()
    one = wb.Discrepancy("deflection", over="load", sigma=0.2, length_scale=LENGTH)
    problem = pose(Beam(), data, inputs=inputs, discrepancy=one)
    many = {"stiffness": np.full((1, 20000), 10.0), "deflection_discrepancy_length": np.full((1, 20000), 3.0)}
    drawn = drawn_back(problem, many, np.random.default_rng(2))
    assert drawn["deflection_discrepancy_basis"].shape[:3] == (1, 20000, 3)
    term, load, new = problem.terms["deflection"], inputs["load"].values, np.array([0.5, 3.2, 11.0])
    made = term.function(drawn, term.basis.functions(new[:, None])).reshape(-1, 3, 3)
    for k, share in enumerate([0.6, 1.0, 0.7]):
        y = data["deflection"].values[:, k] - share * load / 10.0
        seen = np.isfinite(y)
        cross = matern(new, load[seen], 0.2, 3.0)
        gain = cross @ np.linalg.inv(matern(load[seen], load[seen], 0.2, 3.0) + 4e-4 * np.eye(seen.sum()))
        sd = np.sqrt(np.diag(matern(new, new, 0.2, 3.0) - gain @ cross.T))
        assert made[..., k].mean(axis=0) == pytest.approx(gain @ y[seen], abs=0.002 + 0.04 * sd.max())
        assert made[..., k].std(axis=0) == pytest.approx(sd, rel=0.06)


@pytest.mark.parametrize("model", [Heavy, Beam], ids=str)
def test_readings_under_other_noise_scatter_around_output_and_function(model):
    """The PyMC model's density against the noise's own around output and function; `Beam` with limits likewise."""
    data, inputs = beam()
    if model is Beam:

        class Limited(Beam):
            deflection = wb.Output("mm", noise=wb.noise.Normal(sigma=0.02), dims=("place",), limits=(0.05, None))

        model, data = Limited, data.clip(min=0.05)
    one = wb.Discrepancy("deflection", over="load", sigma=0.2, length_scale=3.0)
    problem = pose(model(), data, inputs=inputs, discrepancy=one)
    weights = np.random.default_rng(1).normal(size=(1, 2, 3, problem.terms["deflection"].basis.size))
    variables = {"stiffness": np.array([[9.0, 10.5]]), "deflection_discrepancy_basis": weights}
    values = outputs_of(problem, "deflection", solve_data(problem, variables))
    centre = expected(problem, "deflection", variables, values)
    assert not np.allclose(centre, values)
    sensor = problem.sensor("deflection")
    made = sensor.log_density(centre, noise_arguments(problem.model, "deflection", variables)).sum(axis=1)
    built = build(problem)
    symbolic = built.compile_logp(vars=built.observed_RVs)
    at = [
        {"stiffness_log__": np.log(s), "deflection_discrepancy_basis": w}
        for s, w in zip([9.0, 10.5], weights[0], strict=True)
    ]
    assert [float(symbolic(one)) for one in at] == pytest.approx(list(made), rel=1e-9)


class Meter(wb.Ode):
    """Energy at a constant power, metered now and then."""

    time_unit = "h"
    energy = wb.State("kWh", start=0.0)
    power = wb.Parameter("kW", prior=wb.prior.Normal(mu=5.0, sigma=1.0))
    metered = wb.Output("kWh", noise=wb.noise.Normal(sigma=0.1), increment=True)

    def rhs(self, t, x, u, p):
        return {"energy": p.power}

    def observe(self, t, x, u, p):
        return {"metered": x.energy}


TIMES = np.array([0.0, 1, 2, 3, 5, 6, 8, 9, 10, 12, 13, 14, 15, 17, 18, 19, 20, 22, 23, 24])
RATE = wb.Discrepancy(
    "metered", sigma=0.8, length_scale=wb.prior.interval("InverseGamma", 2.0, 20.0), span={"time": (0, 30)}
)


def meter() -> xr.Dataset:
    """Return energies read after one or two hours, of a power 5 + sin(t / 4) kW."""
    wait = np.diff(TIMES)
    energy = (5 + np.sin(TIMES[1:] / 4)) * wait + 0.1 * np.random.default_rng(0).normal(size=wait.size)
    return xr.Dataset({"metered": ("time", np.concatenate([[np.nan], energy]))}, {"time": TIMES})


def test_the_discrepancy_of_an_increment_is_a_rate():
    problem = pose(Meter(), meter(), discrepancy=RATE)
    wait, y = np.diff(TIMES), meter()["metered"].values[1:]
    covariance = np.outer(wait, wait) * matern(TIMES[1:], TIMES[1:], 0.8, 6.0) + 0.01 * np.eye(wait.size)
    power = np.array([4.0, 5.0, 6.0])
    exact = scipy.stats.multivariate_normal(np.zeros(wait.size), covariance).logpdf(y - power[:, None] * wait)
    variables = {"power": power[None], "metered_discrepancy_length": np.full((1, 3), 6.0)}
    values = outputs_of(problem, "metered", solve_data(problem, variables))
    made = log_density(problem, "metered", variables, problem.sensor("metered").centre(values))
    assert made == pytest.approx(exact, abs=0.1)
    model = build(problem)
    symbolic = model.compile_logp(vars=model.observed_RVs)
    at = {"metered_discrepancy_length_log__": np.log(6.0)}
    assert [symbolic({"power": v, **at}) for v in power] == pytest.approx(list(made), abs=1e-6)
    assert (
        problem.terms["metered"].attributes["metered_discrepancy_sigma" if False else "metered_discrepancy_length"][
            "units"
        ]
        == "h"
    )


@pytest.fixture(scope="module")
def metered() -> wb.Calibration:
    """Return the calibrated meter."""
    return wb.calibrate(Meter(), meter(), discrepancy=RATE, seed=1, draws=500, progress=False)


def test_forecast_of_an_increment_does_not_hang_on_how_often_is_read(metered):
    """What is read in an hour is twice what is read in half an hour, up to what the function changes in it."""
    coarse = wb.forecast(metered, [24.0, 25.0, 26.0], noise=False)
    fine = wb.forecast(metered, [24.0, 24.5, 25.0, 25.5, 26.0], noise=False)
    assert fine["metered_discrepancy"].attrs["units"] == "kWh"
    twice = 2 * fine["metered_discrepancy"].sel(time=[25.0, 26.0])
    np.testing.assert_allclose(twice, coarse["metered_discrepancy"].sel(time=[25.0, 26.0]), rtol=1e-12)
    alone = coarse["metered"] - coarse["metered_discrepancy"]
    first = alone.isel(time=0) / metered.posterior["power"]
    np.testing.assert_allclose(first, 1.0, rtol=1e-6, err_msg="counts from the reading at 23 h")
    seen = wb.forecast(metered, TIMES[1:], noise=False)["metered"].mean(("chain", "draw")).values / np.diff(TIMES)
    assert np.abs(seen - (5 + np.sin(TIMES[1:] / 4))).max() < 0.25


class Cases(Meter):
    """Counts of a process whose rate is wrong by a factor that changes."""

    metered = wb.Output("1", noise=wb.noise.Poisson(), increment=True)
    energy = wb.State("1", start=0.0)
    power = wb.Parameter("1/h", prior=wb.prior.LogNormal(median=20.0, sigma=0.5))


def test_counts_are_multiplied():
    data = meter().round().rename(metered="metered")
    problem = pose(Cases(), data, discrepancy=wb.Discrepancy("metered", sigma=0.3, length_scale=6.0))
    term = problem.terms["metered"]
    assert (term.unit, term.wait) == ("1", None)
    weights = np.random.default_rng(1).normal(size=(1, 1, term.basis.size))
    variables = {"power": np.array([[6.0]]), "metered_discrepancy_basis": weights}
    centre = expected(problem, "metered", variables, outputs_of(problem, "metered", solve_data(problem, variables)))
    delta = term.function(variables, term.features)[0, 1:]
    np.testing.assert_allclose(centre[0, 1:], 6.0 * np.diff(TIMES) * np.exp(delta), rtol=1e-5)
    built = build(problem)
    made = built.compile_logp(vars=built.observed_RVs)({"power_log__": np.log(6.0), term.weights: weights[0, 0]})
    law = scipy.stats.poisson(centre[0, 1:]).logpmf(data["metered"].values[1:]).sum()
    assert made == pytest.approx(law, rel=1e-9)


def test_a_vector_fitted_to_what_is_left_against_quadrature():
    data, inputs = beam()
    prior = wb.prior.HalfNormal(0.3)
    one = wb.Discrepancy("deflection", over="load", sigma=prior, length_scale=3.0, joint=False)
    problem = pose(Beam(), data, inputs=inputs, discrepancy=one)
    stiffness = np.repeat([9.5, 10.5], 2000).reshape(2, 2000)
    drawn = second.drawn(problem, {"stiffness": stiffness}, np.random.default_rng(0))["deflection_discrepancy_sigma"]
    grid = np.geomspace(1e-3, 3.0, 400)
    for row, value in enumerate([9.5, 10.5]):
        at = {"stiffness": np.full((1, 400), value), "deflection_discrepancy_sigma": grid[None]}
        logs = log_density(problem, "deflection", at, outputs_of(problem, "deflection", solve_data(problem, at)))
        logs = logs + scipy.stats.halfnorm(scale=0.3).logpdf(grid) + np.log(grid)
        share = np.cumsum(np.exp(logs - logs.max()))
        exact = np.interp([0.1, 0.5, 0.9], share / share[-1], grid)
        found = np.mean(drawn[row][:, None] < exact, axis=0)
        np.testing.assert_allclose(found, [0.1, 0.5, 0.9], atol=4.5 * 0.5 / np.sqrt(2000))


@pytest.fixture(scope="module")
def beams() -> wb.Calibration:
    """Return the calibrated beam."""
    data, inputs = beam()
    one = wb.Discrepancy("deflection", over="load", zero_at=0.0, span={"load": (0, 16)})
    return wb.calibrate(Beam(), data, inputs=inputs, discrepancy=one, seed=1, draws=500, progress=False)


def test_a_vector_from_calibration_to_figure(beams, tmp_path):
    basis = beams.posterior["deflection_discrepancy_basis"]
    assert basis.dims == ("chain", "draw", "place", "deflection_discrepancy_basis_function")
    assert not {g.name for g in beams.trust.failures} & {"chains agree", "enough draws", "predictive fit"}
    low, high = np.quantile(beams.posterior["stiffness"], [0.05, 0.95])
    assert low < 10.0 < high
    beams.save(tmp_path / "beam.nc")
    again = wb.Calibration.open(tmp_path / "beam.nc", Beam())
    xr.testing.assert_identical(again.posterior["deflection_discrepancy_basis"], basis)
    _, inputs = beam()
    load = np.concatenate([inputs["load"].values, [12.5, 14.0]])
    more = {"load": xr.DataArray(load, {"time": np.arange(load.size) * 1.0}, "time")}
    made = wb.forecast(beams, np.arange(20.0, 22.0), inputs=more, noise=False)
    assert made["deflection"].dims == made["deflection_discrepancy"].dims
    alone = made["deflection"] - made["deflection_discrepancy"]
    ratio = alone.sel(place="west") / alone.sel(place="mid")
    np.testing.assert_allclose(ratio, 0.6, rtol=1e-6)
    truth = np.outer(load[20:] / 10, [0.6, 1.0, 0.7]) + np.outer(np.sin(load[20:] / 4), [0.0, 0.3, 0.1])
    spread, mean = made["deflection"].std(("chain", "draw")), made["deflection"].mean(("chain", "draw"))
    assert (
        np.abs(mean.transpose("time", "place").values - truth) < 3.5 * spread.transpose("time", "place").values
    ).all()
    table = beams.discrepancy()
    assert table.loc["elpd(deflection)", "mean"] > table.loc["elpd(deflection)", "mean_without"] + 20
    upper, lower = discrepancy(beams).axes
    assert upper.get_ylabel() == "deflection, place mid (mm)", "the largest"
    assert lower.get_ylabel() == "discrepancy (mm)"
    drawn = next(line for line in upper.lines if line.get_label() == "readings")
    assert len(drawn.get_xdata()) == 18
    assert discrepancy(beams, element=0).axes[0].get_ylabel() == "deflection, place west (mm)"
    with pytest.raises(ParameterError, match=r"got element=3 of 'deflection'; expected one of 0 to 2"):
        discrepancy(beams, element=3)
