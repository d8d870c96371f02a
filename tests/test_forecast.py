"""A forecast is the model solved at every draw, read by its sensors; nothing is made up where nothing is known."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from calibrations import DRIFT, Level, Sensors, levels, lynx_hare, sensors, sensors_data
from models import LynxHare

import workbench as wb
from workbench.base.errors import DataError, SolveError
from workbench.calibrate.problem import pose

LATER = [1921.0, 1922.5, 1930.0]


def thin(calibration, step=200):
    """Return the calibration with few of its draws."""
    tree = calibration.tree.isel(draw=slice(None, None, step))
    return wb.Calibration(tree, calibration.model, calibration.problem)


def believed(model, data, draws: dict, **keywords) -> wb.Calibration:
    """Return a calibration with a posterior that is given, for forecasts that hang on nothing else."""
    posterior = xr.Dataset({name: (("chain", "draw", "unit")[: np.ndim(v)], v) for name, v in draws.items()})
    problem = pose(model, data, **keywords)
    if problem.units:
        posterior = posterior.assign_coords(unit=list(problem.units))
    return wb.Calibration(xr.DataTree.from_dict({"posterior": posterior}), None, problem)


class Tank(wb.Ode):
    """A volume filled by a stepwise pump, by rain in a line, and by buckets."""

    time_unit = "h"
    volume = wb.State("L", start="v0")
    v0 = wb.Parameter("L", prior=wb.prior.Normal(mu=10.0, sigma=2.0))
    pump = wb.Input("L/h", kind="previous")
    rain = wb.Input("L/h")
    bucket = wb.Input("L", kind="impulse", into="volume")
    level = wb.Output("L", noise=wb.noise.Normal(sigma=0.5))
    unread = wb.Output("L", noise=wb.noise.Normal(sigma=wb.prior.HalfNormal(1.0)))

    def rhs(self, t, x, u, p):
        return {"volume": u.pump + u.rain}

    def observe(self, t, x, u, p):
        return {"level": x.volume, "unread": 2 * x.volume}


INPUTS = {"pump": {0.0: 1.0}, "rain": {0.0: 0.0, 20.0: 2.0}, "bucket": {2.0: 5.0}}
TANK = pd.DataFrame({"time": [0.0, 1.0, 4.0], "level": [10.0, 11.0, 19.0]})


def tank(**keywords) -> wb.Calibration:
    draws = np.random.default_rng(1).normal(10, 0.3, size=(2, 50))
    return believed(Tank(), TANK, {"v0": draws}, inputs=INPUTS, **keywords)


def tank_exact(start, t, pump=1.0, bucket=5.0):
    return start + pump * t + 0.05 * t**2 + bucket * (t >= 2)


def test_without_noise_it_is_the_simulation():
    calibration = thin(lynx_hare())
    times = [1900.0, 1910.25, *LATER]
    made = wb.forecast(calibration, times, noise=False)
    for chain, draw in [(0, 0), (3, 1800)]:
        one = calibration.posterior.sel(chain=chain, draw=draw)
        values = {name: float(one[name]) for name in LynxHare().estimated}
        alone = wb.simulate(LynxHare(), times, parameters=values)
        for name in ("hare", "lynx", "hare_pelts", "lynx_pelts"):
            np.testing.assert_array_equal(made[name].sel(chain=chain, draw=draw), alone[name])
            assert made[name].attrs == alone[name].attrs
    assert made["hare"].dims == ("chain", "draw", "time")
    np.testing.assert_array_equal(made["draw"], calibration.posterior["draw"])


def test_noise_is_each_draws_own():
    calibration = lynx_hare()
    bare, read = (wb.forecast(calibration, LATER, noise=noise, seed=1) for noise in (False, True))
    for name in ("hare_pelts", "lynx_pelts"):
        scaled = np.log(read[name] / bare[name]) / calibration.posterior[f"{name}_sigma"]
        assert float(scaled.std()) == pytest.approx(1.0, rel=0.02)
        assert abs(float(scaled.mean())) < 4.5 / np.sqrt(scaled.size)
        assert abs(float(xr.corr(scaled.isel(time=0), scaled.isel(time=1)))) < 0.06
        assert read[name].attrs == bare[name].attrs
    xr.testing.assert_identical(read["hare"], bare["hare"])  # a state is not read by a sensor


def test_counts_and_heavy_tails_are_read_as_such():
    calibration = sensors()
    bare, read = (wb.forecast(calibration, [0.5, 1.0], noise=noise, seed=2) for noise in (False, True))
    for name in ("counts", "clumps"):
        assert (read[name] == np.rint(read[name])).all()
        assert float((read[name] - bare[name]).mean()) == pytest.approx(0.0, abs=1.0)
    assert float((read["clumps"] - bare["clumps"]).std()) > float((read["counts"] - bare["counts"]).std())
    assert (read["relative"] > 0).all()


def test_the_forecast_spreads_with_time():
    made = wb.forecast(lynx_hare(), LATER, seed=3)
    spread = np.log(made["hare_pelts"]).std(["chain", "draw"])
    assert float(spread[-1]) > float(spread[0])


def test_units_keep_their_own_starts():
    calibration = thin(levels())
    made = wb.forecast(calibration, [0.0, 10.0, 25.0], noise=False)
    assert made["y"].dims == ("chain", "draw", "unit", "time")
    expected = calibration.posterior["x_start"] + DRIFT * made["time"]
    xr.testing.assert_allclose(made["y"].drop_attrs(), expected.drop_attrs(), rtol=1e-6)
    assert made["y"].attrs["units"] == "mg"
    read = wb.forecast(levels(), [10.0, 25.0], seed=1)["y"] - levels().posterior["x_start"]
    assert float((read - DRIFT * read["time"]).std()) == pytest.approx(2.0, rel=0.02)


def test_inputs_go_on_and_new_ones_replace_them_by_name():
    calibration = tank()
    start, times = calibration.posterior["v0"].values[..., None], np.array([1.0, 3.0, 10.0])
    made = wb.forecast(calibration, times, noise=False)
    np.testing.assert_allclose(made["level"], tank_exact(start, times), rtol=1e-6)
    other = wb.forecast(calibration, times, inputs={"pump": 3.0, "bucket": {}}, noise=False)
    np.testing.assert_allclose(other["level"], tank_exact(start, times, pump=3.0, bucket=0.0), rtol=1e-6)
    np.testing.assert_allclose(wb.forecast(calibration, times, noise=False)["level"], made["level"], rtol=0)


def test_an_output_never_read_is_shown_as_the_model_has_it():
    """The noise of a sensor without data was not estimated, so its readings are not forecast."""
    made = wb.forecast(tank(), [1.0, 3.0], seed=1)
    np.testing.assert_allclose(made["unread"], 2 * made["volume"], rtol=1e-12)
    assert (made["level"] != made["volume"]).all()


@pytest.mark.parametrize(
    ("times", "inputs", "words"),
    [
        ([-1.0, 3.0], None, r"times: got -1 h; expected times from 0 h on"),
        ([3.0, 1.0], None, r"times"),
        ([1.0, 1.0], None, r"times"),
        ([1.0, np.nan], None, r"times: got time nan in row 1"),
        ([], None, r"times: got none; expected at least one"),
        (
            [1.0, 21.0],
            None,
            r"input 'rain': got values from 0 h to 20 h; expected them to cover 0 h to 21 h",
        ),
        (
            [1.0],
            {"rain": {0.5: 1.0, 3.0: 1.0}},
            r"input 'rain': got values from 0.5 h to 3 h; expected them to cover",
        ),
        ([1.0], {"pmp": 1.0}, r"unknown input 'pmp'; expected one of 'pump', 'rain', 'bucket'; did you mean 'pump'"),
        (["2024-05-01"], None, r"times: got datetimes such as 2024-05-01.*; expected numbers in h"),
    ],
)
def test_times_and_inputs_that_do_not_fit(times, inputs, words):
    with pytest.raises(DataError, match=words):
        wb.forecast(tank(), times, inputs=inputs)


def test_a_unit_that_starts_later_is_not_moved():
    table = pd.DataFrame({"unit": ["a", "a", "b", "b"], "time": [0.0, 2.0, 5.0, 6.0], "y": [1.0, 2.0, 3.0, 4.0]})
    draws = np.array([[[1.0, 7.0], [2.0, 8.0]]])
    calibration = believed(Level(), table, {"x_start": draws}, pool={"x_start": "none"})
    made = wb.forecast(calibration, [5.0, 7.0], noise=False)["y"]
    np.testing.assert_allclose(made.sel(unit="a"), draws[..., 0, None] + DRIFT * np.array([5.0, 7.0]), rtol=1e-6)
    np.testing.assert_allclose(made.sel(unit="b"), draws[..., 1, None] + DRIFT * np.array([0.0, 2.0]), rtol=1e-6)
    with pytest.raises(DataError, match=r"got 4 h; expected times from 5 h on, where the clock of unit 'b' starts"):
        wb.forecast(calibration, [4.0, 7.0])


def test_an_impulse_before_the_data_starts_the_clock():
    early = {**INPUTS, "pump": {-3.0: 1.0}, "rain": {-3.0: 0.0, 20.0: 0.0}, "bucket": {-2.0: 5.0}}
    calibration = believed(Tank(), TANK, {"v0": np.full((1, 5), 10.0)}, inputs=early)
    made = wb.forecast(calibration, [-2.0, -1.0, 1.0], noise=False)
    np.testing.assert_allclose(made["level"].isel(chain=0, draw=0), [15.0, 16.0, 18.0], rtol=1e-6)
    with pytest.raises(DataError, match=r"times: got -2.5 h; expected times from -2 h on"):
        wb.forecast(calibration, [-2.5])


def test_datetimes():
    noon = np.datetime64("2024-05-01T12:00", "ns")
    table = TANK.assign(time=noon + TANK["time"].to_numpy().astype("timedelta64[h]"))
    hours = {name: {noon + np.timedelta64(int(t), "h"): v for t, v in rows.items()} for name, rows in INPUTS.items()}
    calibration = believed(Tank(), table, {"v0": np.full((1, 5), 10.0)}, inputs=hours)
    made = wb.forecast(calibration, ["2024-05-01T13:00", "2024-05-01T22:00"], noise=False)
    np.testing.assert_allclose(made["level"].isel(chain=0, draw=0), tank_exact(10.0, np.array([1.0, 10.0])), rtol=1e-6)
    assert made["time"].dtype.kind == "M"
    assert made["time"].values[1] == np.datetime64("2024-05-01T22:00")
    with pytest.raises(DataError, match=r"expected datetimes"):
        wb.forecast(calibration, [1.0])


def test_draws_that_cannot_be_solved():
    def sure(a):
        given = {"a": a, "x_start": np.ones_like(a), "additive_sigma": np.full_like(a, 0.1)}
        return believed(Sensors(), sensors_data()[["additive"]], given)

    with pytest.warns(UserWarning, match="1 of 3 members failed and are NaN; the first: Sensors: the solver stopped"):
        made = wb.forecast(sure(np.array([[0.1, 0.2, 5.0]])), [0.0, 1.0], seed=1)
    np.testing.assert_array_equal(np.isnan(made["additive"]).all("time").isel(chain=0), [False, False, True])
    assert made.attrs["failed_members"] == 1
    with pytest.raises(SolveError, match="Sensors: the solver stopped"):
        wb.forecast(sure(np.array([[5.0, 6.0]])), [0.0, 1.0])


def test_what_can_be_forecast_from():
    calibration = thin(levels())
    with pytest.raises(DataError, match=r"got Dataset to forecast from; expected a calibration"):
        wb.forecast(calibration.posterior, [1.0])
    with pytest.raises(DataError, match=r"opened without its model; expected Calibration.open"):
        wb.forecast(wb.Calibration(calibration.tree), [1.0])

    class Holder:
        posterior = calibration

    xr.testing.assert_identical(wb.forecast(Holder(), [1.0], seed=1), wb.forecast(calibration, [1.0], seed=1))


def test_a_posterior_with_a_pooled_start_can_be_simulated():
    calibration = levels()
    made = wb.simulate(calibration.problem.model, [0.0, 5.0], parameters=calibration.posterior)
    np.testing.assert_allclose(made["x"].isel(time=0), calibration.posterior["x_start"].transpose(*made["x"].dims[:-1]))
