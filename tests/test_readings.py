"""What becomes of readings beside a density: declarations, simulations, predictions, forecasts, warnings."""

import json
import math
import re
import warnings
from functools import cache

import numpy as np
import pandas as pd
import pymc as pm
import pytest
import scipy.stats
import xarray as xr

import workbench as wb
from workbench.base.errors import DataError, DeclarationError, ParameterError
from workbench.calibrate.bayes import build
from workbench.calibrate.posterior import _posterior
from workbench.calibrate.predict import predictive
from workbench.calibrate.problem import pose
from workbench.calibrate.sensors.censoring import gate
from workbench.calibrate.sensors.errors_in_time import Chains, draw_errors
from workbench.declare.describe import digest, document, table

SIGMA = wb.prior.LogNormal(median=0.3, sigma=0.5)
KINDS = {
    "limits": wb.Output("1", noise=wb.noise.Normal(SIGMA), limits=(0.1, None)),
    "increment": wb.Output("1", noise=wb.noise.Poisson(), increment=True),
    "bias": wb.Output("1", noise=wb.noise.Normal(SIGMA), bias=wb.prior.Normal(0.0, 1.0)),
    "negative bias": wb.Output("1", noise=wb.noise.Normal(SIGMA), bias=-2.0),
    "drift": wb.Output("1", noise=wb.noise.Combined(additive=0.1, proportional=SIGMA), drift=wb.prior.Normal(0, 0.1)),
}


def line(output, **body):
    """Return a model x = 1 + r t with one output."""

    class Line(wb.Ode):
        time_unit = "d"
        x = wb.State("1", start=1.0)
        r = wb.Parameter("1/d", prior=wb.prior.LogNormal(median=2.0, sigma=0.5))
        y = output

        def rhs(self, t, x, u, p):
            return {"x": p.r}

        def observe(self, t, x, u, p):
            return {"y": x.x}

    return Line()


def output(**arguments):
    return wb.Output("1", **({"noise": wb.noise.Normal(0.2)} | arguments))


@pytest.mark.parametrize("kind", KINDS)
def test_a_document_says_what_a_sensor_does(kind):
    plain, made = line(output(noise=KINDS[kind].noise)), line(output(**arguments_of(KINDS[kind])))
    assert digest(made) != digest(plain)
    assert digest(json.loads(json.dumps(document(made)))) == digest(made)
    (name,) = set(document(made)["quantities"]["y"]) - set(document(plain)["quantities"]["y"])
    assert name == kind.split()[-1]
    (row,) = [row for row in table(made) if row.name == "y"]
    words = {"limits": "quantified from 0.1", "increment": "increase since the reading before"}
    assert words.get(name, name) in row.says


def arguments_of(one):
    return {key: getattr(one, key) for key in ("noise", "limits", "increment", "bias", "drift")}


def test_what_is_not_given_is_not_written():
    assert set(document(line(output()))["quantities"]["y"]) == {"quantity", "unit", "noise", "long_name"}


def test_biases_are_parameters_with_units():
    class Tank(wb.Ode):
        time_unit = "h"
        x = wb.State("m", start=1.0)
        y = wb.Output("m", noise=wb.noise.Normal(0.1), bias=wb.prior.Normal(0, 1), drift=wb.prior.Normal(0, 0.1))

        def rhs(self, t, x, u, p):
            return {"x": 0.0}

        def observe(self, t, x, u, p):
            return {"y": x.x}

    found = Tank().sensor_parameters
    assert list(found) == ["y_bias", "y_drift"]
    assert wb.units.parse(found["y_drift"].unit) == wb.units.parse("m/h")
    assert set(Tank().estimated) == {"y_bias", "y_drift"}
    made = wb.simulate(Tank(), [0.0, 1.0, 4.0], parameters={"y_bias": -0.5, "y_drift": 0.25})
    np.testing.assert_allclose(made.y, [0.5, 0.75, 1.5])
    np.testing.assert_allclose(made.x, 1.0)
    with pytest.raises(DeclarationError, match="got a quantity named 'y_bias', the name of a result"):

        class Taken(Tank):
            y_bias = wb.Parameter("m", value=1.0)


def test_a_simulator_has_biased_sensors_too():
    class Box(wb.Simulator):
        time_unit = "h"
        processes = 1
        a = wb.Parameter("1", prior=wb.prior.Normal(1.0, 0.1))
        y = wb.Output("1", noise=wb.noise.Normal(0.1), bias=wb.prior.Normal(0.0, 1.0), drift=0.5)

        def run(self, times, u, p):
            assert "y_bias" not in dir(p)
            return {"y": p.a + 0 * times}

    made = wb.simulate(Box(), [0.0, 1.0, 4.0], parameters={"a": 2.0, "y_bias": 0.25})
    np.testing.assert_allclose(made.y, [2.25, 2.75, 4.25])


def test_a_joined_model_keeps_time_in_its_own_unit():
    lasting = output(noise=wb.noise.AR1(sigma=0.1, time_constant=2.0), drift=0.5)
    joined = wb.compose("Both", {"one": line(lasting), "two": line(output())}, time_unit="h")
    found = joined.outputs["one_y"]
    assert found.drift == pytest.approx(0.5 / 24)
    assert dict(found.noise.arguments) == pytest.approx({"sigma": 0.1, "time_constant": 48.0})
    with pytest.raises(DeclarationError, match="a prior that hangs on the time unit"):
        wb.compose("Both", {"one": line(output(drift=wb.prior.Normal(0, 1)))}, time_unit="h")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"limits": (2.0, 1.0)}, "got limits 2 to 1; expected the lower below the upper"),
        ({"limits": 0.1}, "got limits=0.1; expected a pair such as (0.1, None)"),
        ({"limits": (math.inf, None)}, "got limits=(inf, None); expected finite numbers"),
        ({"limits": (0, None), "noise": None}, "and no noise; expected noise="),
        (
            {"limits": (0.0, None), "noise": wb.noise.LogNormal(0.1)},
            "got a limit 0 under LogNormal noise; expected one",
        ),
        ({"limits": (0.5, None), "noise": wb.noise.Poisson()}, "of counts; expected whole numbers, 0 or more"),
        ({"limits": (0, 1), "noise": wb.noise.AR1(0.1, 2.0)}, "under AR1 noise; expected none, or a noise of indep"),
        ({"increment": "yes"}, "got increment='yes'; expected True or False"),
        (
            {"increment": True, "bias": 0.5},
            "got bias=0.5 of an increment, in which a constant cancels; expected drift=",
        ),
        ({"bias": wb.prior.Normal(0, 1), "noise": wb.noise.LogNormal(0.1)}, "which allows negative values, under LogN"),
        (
            {"drift": wb.prior.Normal(0, 1), "noise": wb.noise.Poisson()},
            "under Poisson noise; expected drift of 0 or m",
        ),
        ({"bias": -1.0, "noise": wb.noise.LogNormal(0.1)}, "got bias=-1.0 under LogNormal noise; expected bias of 0"),
        ({"bias": "b"}, "got bias='b'; expected a number or a prior"),
        ({"drift": math.inf}, "got drift=inf; expected a finite number or a prior"),
        ({"bias": wb.prior.Normal(0, 1), "noise": None}, "and no noise; expected noise=, as only readings tell it"),
    ],
)
def test_sensors_that_cannot_be(arguments, says):
    with pytest.raises(DeclarationError, match=re.escape(says)) as error:
        line(output(**arguments))
    assert "Line.y: got " in str(error.value)


def test_simulations_count_from_time_to_time():
    times = [0.0, 1.0, 1.5, 4.0]
    counts = output(increment=True, noise=wb.noise.Poisson(), drift=1.0)
    made = wb.simulate(line(counts), times, parameters={"r": xr.DataArray([2.0, 5.0], dims="member")})
    np.testing.assert_allclose(made.y, np.outer([3.0, 6.0], np.diff(times, prepend=0.0)), rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(made.x.isel(member=0), 1 + 2 * np.array(times))


def frame(**columns):
    return pd.DataFrame({"time": np.arange(len(next(iter(columns.values()))), dtype=float), **columns})


def test_where_counting_begins():
    nan = np.nan
    alone = pose(line(output(increment=True)), frame(y=[nan, 2.0, nan, 1.5, 2.5]))
    assert alone.sensor("y").before.tolist() == [0, 0, 1, 2, 3]  # the lost one is not counted to the next

    class Two(type(line(output(increment=True)))):
        z = output()

        def observe(self, t, x, u, p):
            return {"y": x.x, "z": x.x}

    mixed = pose(Two(), frame(y=[nan, 2.0, nan, 3.5, nan, 4.5], z=[1.0] * 6))
    assert mixed.sensor("y").before.tolist() == [0, 0, 1, 1, 3, 3]  # the others are other outputs' times
    with pytest.raises(
        DataError, match=r"output 'y': got 2 1 at 0 d, the first time; expected NaN.*add a row with NaN"
    ):
        pose(Two(), frame(y=[2.0, nan, 3.0], z=[1.0] * 3))
    days = np.arange(71)
    weekly = np.where(days % 7 == 0, 14.0, nan)
    weekly[[0, 35]] = nan
    with pytest.warns(UserWarning, match="the reading at 42 d counts since 28 d, 14 d, where most count 7"):
        pose(Two(), frame(y=weekly, z=np.ones(71)))


class Filling(wb.Ode):
    """x = 1 + r t, read by three sensors."""

    time_unit = "d"
    x = wb.State("1", start=1.0)
    r = wb.Parameter("1/d", prior=wb.prior.LogNormal(median=2.0, sigma=0.5))
    lasting = wb.Output("1", noise=wb.noise.AR1(sigma=0.5, time_constant=wb.prior.LogNormal(median=4.0, sigma=0.3)))
    counted = wb.Output("1", noise=wb.noise.Poisson(), increment=True)
    faint = wb.Output("1", noise=wb.noise.Normal(sigma=SIGMA), limits=(8.0, None), bias=wb.prior.Normal(0.0, 1.0))

    def rhs(self, t, x, u, p):
        return {"x": p.r}

    def observe(self, t, x, u, p):
        return dict.fromkeys(("lasting", "faint"), x.x) | {"counted": 10 * x.x}


R, BIAS, SIGMAS, TAU = 1.7, 0.8, (0.2, 1.5), 4.0


@cache
def filling():
    """Return a calibration to readings of two units at 40 times, simulated by hand."""
    rng = np.random.default_rng(12)
    parts = []
    for unit, sigma in zip("ab", SIGMAS, strict=True):
        time = np.sort(rng.uniform(0, 20, 60))
        time[0] = 0.0
        x, error = 1 + R * time, [0.5 * rng.normal()]
        for step in np.diff(time):
            rho = np.exp(-step / TAU)
            error.append(rho * error[-1] + 0.5 * np.sqrt(1 - rho**2) * rng.normal())
        counted = np.concatenate([[np.nan], rng.poisson(10 * R * np.diff(time)).astype(float)])
        faint = x + BIAS + sigma * rng.normal(size=60)
        columns = {"lasting": x + np.array(error), "counted": counted, "faint": np.where(faint < 8.0, 0.0, faint)}
        parts.append(pd.DataFrame({"unit": unit, "time": time, **columns}))
    pool = {"faint_sigma": "none"}
    data = pd.concat(parts, ignore_index=True)
    return wb.calibrate(Filling(), data, pool=pool, draws=500, tune=400, chains=2, seed=4, progress=False)


def test_what_was_simulated_is_found_again():
    posterior = filling().posterior
    assert posterior["faint_sigma"].dims == ("chain", "draw", "unit")
    truth = {"r": R, "faint_bias": BIAS, "lasting_time_constant": TAU, "faint_sigma": np.array(SIGMAS)}
    for name, value in truth.items():
        draws = posterior[name]
        z = (draws.mean(("chain", "draw")) - value) / draws.std(("chain", "draw"))
        assert (abs(z) < 3.5).all(), name
    assert (posterior["faint_sigma"].std(("chain", "draw")) < 0.3 * np.array(SIGMAS)).all()
    assert posterior["lasting_time_constant"].attrs["units"] == "d"


def test_predictions_are_at_the_limit_where_readings_are():
    tree = filling().tree
    seen, made = tree["observed_data"]["faint"], tree["posterior_predictive"]["faint"]
    assert (seen.min(), made.min()) == (8.0, 8.0)
    assert abs(float((made == 8.0).mean()) - float((seen == 8.0).mean())) < 0.05


def test_densities_say_that_readings_hang_together():
    tree = filling().tree
    assert "given those before it" in tree["log_likelihood"]["lasting"].attrs["comment"]
    assert "comment" not in tree["log_likelihood"]["faint"].attrs
    counted = tree["log_likelihood"]["counted"]
    assert counted.sizes["counted_sample"] == 118
    assert np.isfinite(counted).all()


def test_chances_of_lasting_errors_are_given_the_readings_before():
    """Of conditional normal laws, whose SDs are the diagonal of the joint covariance's Cholesky factor."""
    tree = filling().tree
    chance, density = (tree[group]["lasting"].isel(chain=0, draw=7) for group in ("pit", "log_likelihood"))
    given = tree["posterior"].isel(chain=0, draw=7)
    units, times = (tree["observed_data"][name].values for name in ("unit", "time"))
    apart = np.abs(times[:, None] - times) / float(given["lasting_time_constant"])
    covariance = np.where(units[:, None] == units, 0.5**2 * np.exp(-apart), 0.0)
    sd = np.diagonal(np.linalg.cholesky(covariance))
    z = scipy.stats.norm.ppf(chance.values)
    np.testing.assert_allclose(density.values, scipy.stats.norm.logpdf(z) - np.log(sd), atol=1e-6)
    assert np.abs(np.corrcoef(z[:-1], z[1:])[0, 1]) < 0.3


def test_predicted_errors_last():
    made = filling().tree["posterior_predictive"]["lasting"].stack(member=("chain", "draw")).transpose(..., "member")
    time = filling().tree["posterior_predictive"]["time"].values[:60]
    error = made.values[:60] - (1 + filling().posterior["r"].values.ravel() * time[:, None])
    found, apart = np.corrcoef(error), np.abs(np.subtract.outer(time, time))
    tau = filling().posterior["lasting_time_constant"].values.ravel()
    expected = np.exp(-apart[..., None] / tau).mean(axis=-1)
    assert abs(found - expected).max() < 0.2
    assert abs(found - expected).mean() < 0.05


def test_a_forecast_goes_on_from_the_last_reading():
    calibration = filling()
    both = [float(calibration.tree["observed_data"]["time"].values[k : k + 60].max()) for k in (0, 60)]
    times = max(both) + np.array([0.001, 2.0, 60.0])
    bare = wb.forecast(calibration, times, noise=False)
    read = wb.forecast(calibration, times, seed=1)
    error = (read["lasting"] - bare["lasting"]).isel(unit=int(np.argmax(both)))
    spread = error.std(("chain", "draw")).values
    assert spread[0] < 0.1  # all but known
    assert 0.25 < spread[1] < 0.5
    assert spread[2] == pytest.approx(0.5, rel=0.1)
    x = 1 + calibration.posterior["r"] * max(both)
    latest = float(calibration.tree["observed_data"]["lasting"].values[60 * int(np.argmax(both)) + 59])
    assert float(abs(read["lasting"].isel(unit=int(np.argmax(both)), time=0) - latest).mean()) < 0.05
    assert float(abs(bare["lasting"].isel(unit=0, time=0) - x).max()) < 0.1
    for unit, end in enumerate(both):
        expected = 10 * calibration.posterior["r"] * (times[0] - end)
        found = bare["counted"].isel(unit=unit)
        np.testing.assert_allclose(found.isel(time=0), expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found.isel(time=2), 10 * 58.0 * calibration.posterior["r"], rtol=1e-5)
    assert float((read["counted"] % 1).max()) == 0.0
    early = wb.forecast(calibration, [0.0, 1.0], seed=2)
    assert float(early["faint"].min()) == 8.0
    assert float(early["counted"].isel(time=0).max()) <= 1.0


def test_noise_of_each_unit_reaches_its_forecast():
    error = wb.forecast(filling(), [18.0], seed=5)["faint"] - wb.forecast(filling(), [18.0], noise=False)["faint"]
    np.testing.assert_allclose(
        error.std(("chain", "draw")).values[:, 0], filling().posterior["faint_sigma"].mean(("chain", "draw")), rtol=0.15
    )


def test_an_increment_is_no_curve():
    from workbench.report.curves import individual_fits

    with pytest.raises(DataError, match="got 'counted', an increment, which is no curve over time"):
        individual_fits(filling(), "counted")


def test_a_store_keeps_it_all(tmp_path):
    filling().save(tmp_path / "filling.nc")
    again = wb.Calibration.open(tmp_path / "filling.nc", Filling())
    assert again.problem.pool == filling().problem.pool
    assert gate(again).verdict == "passed"
    xr.testing.assert_identical(
        wb.forecast(again, [21.0, 22.0], seed=3).drop_attrs(), wb.forecast(filling(), [21.0, 22.0], seed=3).drop_attrs()
    )


def test_a_posterior_of_nothing_but_limits_says_so():
    model = line(output(limits=(50.0, None)))
    data = frame(y=[0.0, 1.0, 2.0])
    with pytest.warns(UserWarning, match="every reading of 'y' lies at or beyond a limit of quantification"):
        problem = pose(model, data)
    posterior = _posterior(problem, {"r": np.full((1, 3), 2.0)})
    assert "every reading of 'y'" in json.loads(posterior.attrs["warnings"])[0]
    verdict = gate(wb.Calibration(xr.DataTree.from_dict({"posterior": posterior}), problem=problem))
    assert (verdict.verdict, verdict.figure) == ("failed", 0.0)
    assert "quote bounds" in verdict.says
    assert (problem.readings("y") == 50.0).all()


def test_a_drift_far_from_time_zero_is_warned_of():
    model = line(output(drift=wb.prior.Normal(0, 0.1)))
    with pytest.warns(UserWarning, match="a drift, which is zero at time 0, and data from 1900 d to 1902 d"):
        pose(model, frame(y=[0.0, 1.0, 2.0]).assign(time=[1900.0, 1901.0, 1902.0]))


def test_pooling_of_noise_is_checked():
    data = frame(y=[1.0, 2.0])
    with pytest.raises(ParameterError, match=r"got unknown parameter 'y_sigm'.*did you mean 'y_sigma'"):
        pose(line(output(noise=wb.noise.Normal(SIGMA))), data, pool={"y_sigm": "none"})
    with pytest.raises(ParameterError, match=r"pool\['y_sigma'\]: got 'none' for data of one unit"):
        pose(line(output(noise=wb.noise.Normal(SIGMA))), data, pool={"y_sigma": "none"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pose(line(output(noise=wb.noise.Normal(SIGMA))), data).dims_of("y_sigma") == ()


def test_errors_are_drawn_on_from_known_ones():
    keys, time = np.repeat([0, 1], 4), np.tile([0.0, 1.0, 1.5, 4.0], 2)
    chains = Chains.of(keys, time)
    assert chains.previous.tolist() == [0, 0, 1, 2, 4, 4, 5, 6]
    assert chains.ends.tolist() == [3, 7]
    known = np.full((60_000, 8), np.nan)
    known[:, 1] = 2.0
    drawn = draw_errors(
        {"sigma": np.array(0.5), "time_constant": np.array(2.0)}, chains, np.random.default_rng(0), known=known
    )
    rho = np.exp(-0.5 / 2.0)
    assert drawn[:, 2].mean() == pytest.approx(2 * rho, abs=0.01)
    assert drawn[:, 2].std() == pytest.approx(0.5 * np.sqrt(1 - rho**2), rel=0.02)
    other = drawn[:, 4:]
    expected = 0.25 * np.exp(-np.abs(np.subtract.outer(time[:4], time[:4])) / 2.0)
    np.testing.assert_allclose(np.cov(other.T), expected, atol=0.006)
    np.testing.assert_allclose(np.corrcoef(other.T, drawn[:, 2])[-1, :4], 0.0, atol=0.02)


class Rods(wb.Ode):
    """Two rods that cool alike, read by sensors that err for long, each with a bias of its own."""

    time_unit = "h"
    cells: int = 2
    x = wb.State("1", start=4.0)
    k = wb.Parameter("1/h", prior=wb.prior.LogNormal(median=0.3, sigma=0.3))
    T = wb.Output("1", noise=wb.noise.AR1(SIGMA, 1.5), bias=wb.prior.Normal(0, 1), dims=("cell",))

    def rhs(self, t, x, u, p):
        return {"x": -p.k * x.x}

    def observe(self, t, x, u, p):
        return {"T": wb.math.stack([x.x, 2 * x.x])}


def test_elements_of_a_vector_err_by_themselves_and_units_as_widely_as_each_does():
    time = np.array([0.0, 0.5, 2.0])
    values = np.random.default_rng(0).normal(3.0, 1.0, (2, 3, 2))
    data = xr.Dataset({"T": (("unit", "time", "cell"), values)}, {"unit": ["a", "b"], "time": time})
    problem = pose(Rods(), data, pool={"T_sigma": "none"})
    assert problem.model.theta["T_bias"].dims == ("cell",)
    made = build(problem)
    bias, sigma, k = np.array([0.3, -0.6]), np.array([0.4, 0.9]), 0.25
    given = {"k_log__": np.log(k), "T_bias": bias, "T_sigma_log__": np.log(sigma)}
    (found,) = made.compile_logp(vars=[made["T"]], sum=False, mode="FAST_COMPILE")(given)
    assert found.shape == (2, 3, 2)
    correlation = np.exp(-np.abs(np.subtract.outer(time, time)) / 1.5)
    for unit in range(2):
        for cell in range(2):
            mean = 4 * (cell + 1) * np.exp(-k * time) + bias[cell]
            law = scipy.stats.multivariate_normal(mean, sigma[unit] ** 2 * correlation)
            assert found[unit, :, cell].sum() == pytest.approx(law.logpdf(values[unit, :, cell]), rel=1e-6)
    variables = {"k": np.full((1, 1), k), "T_bias": bias[None, None], "T_sigma": sigma[None, None]}
    drawn, density, _ = predictive(problem, variables, np.random.default_rng(1))
    np.testing.assert_allclose(density["T"].ravel(), found.ravel(), rtol=1e-6)
    assert drawn["T"].shape == (1, 1, 12)
    again = pm.draw(
        pm.do(made, {"k": k, "T_bias": bias, "T_sigma": sigma})["T"], 4000, random_seed=2, mode="FAST_COMPILE"
    )
    error = again - 4 * np.exp(-k * time)[:, None] * np.array([1, 2]) - bias
    np.testing.assert_allclose(np.corrcoef(error[:, 1, :, 0].T), correlation, atol=0.06)
    np.testing.assert_allclose(error.std(axis=(0, 2, 3)), sigma, rtol=0.05)
