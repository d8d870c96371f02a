"""Hindcasts against the filter itself, run up to each origin and left blind from there; and what is refused."""

import numpy as np
import pytest
import xarray as xr
from filter_models import Spring
from noisy_models import FED, Tanks, tanks

import workbench as wb
from workbench.base.errors import DataError

TIMES = np.arange(0.0, 3.0, 0.1)
INPUTS = {"force": 0.3, "blow": {0.5: 0.7, 1.55: -2.0}}
KNOWN = {"stiffness": 4.0}


def springs() -> xr.Dataset:
    rng = np.random.default_rng(1)
    place = np.cos(2 * TIMES) + 0.1 * rng.standard_normal(TIMES.size)
    place[12:15] = np.nan
    return xr.Dataset({"place": ("time", place)}, {"time": TIMES})


def issued(model, data, k, inputs, filter, parameters) -> xr.Dataset:
    """Follow the data up to row k, with impulses up to there."""
    blind = data.copy(deep=True)
    for name in blind.data_vars:
        blind[name][k + 1 :] = np.nan
    now = float(data.time[k])
    known = {n: {t: a for t, a in v.items() if t <= now} if n in ("blow", "dose") else v for n, v in inputs.items()}
    return wb.assimilate(model, blind, inputs=known, filter=filter, parameters=parameters)


@pytest.mark.parametrize("filter", [wb.Kalman(), wb.ExtendedKalman(), wb.UnscentedKalman()])
def test_forecasts_are_those_of_a_filter_that_saw_no_more(filter) -> None:
    data = springs()
    made = wb.hindcast(Spring, data, [0.1, 0.5], inputs=INPUTS, filter=filter, parameters=KNOWN, seed=1)
    assert made["place"].dims == ("member", "time", "horizon")
    again = wb.hindcast(Spring, data, [0.1, 0.5], inputs=INPUTS, filter=filter, parameters=KNOWN, seed=2)
    drawn = xr.concat([made, again], "member")["place"]
    for k, horizon in ((4, 0.1), (4, 0.5), (14, 0.5), (15, 0.1), (20, 0.5)):
        target = k + round(horizon / 0.1)
        right = issued(Spring, data, k, INPUTS, filter, KNOWN)
        centre, sd = (right[f"place_{n}"].values[target] for n in ("forecast", "innovation_sd"))
        score = (drawn.sel(horizon=horizon).values[:, target] - centre) / sd
        assert abs(score.mean()) < 4.5 / np.sqrt(score.size)
        assert abs(score.std() - 1) < 4.5 / np.sqrt(2 * score.size)
    assert np.isnan(made["place"].sel(horizon=0.5).values[:, :5]).all()
    assert np.isfinite(made["place"].sel(horizon=0.5).values[:, 5:]).all()


def test_readings_with_logarithmic_errors_and_gaps() -> None:
    data, true = tanks(), {"k1": 0.3, "k2": 0.4, "k3": 0.5, "shared": 0.1, "a_noise": 0.2, "a_start": 4.0}
    true |= {"first_sigma": 0.1, "flow_sigma": 0.1}
    made = wb.hindcast(Tanks, data, [1.0], inputs=FED, parameters=true, seed=3)
    drawn = np.log(made["first"].values[:, 5, 0])
    origin = issued(Tanks, data, 4, FED, wb.ExtendedKalman(), true)  # 2 h is the last that is 1 h old
    centre, sd = np.log(origin["first_forecast"].values[5]), origin["first_innovation_sd"].values[5]
    assert abs(drawn.mean() - centre) < 4.5 * sd / np.sqrt(drawn.size)
    assert drawn.std() == pytest.approx(sd, rel=4.5 / np.sqrt(2 * drawn.size))


def test_scores_of_a_right_model() -> None:
    """At the truth nine of ten readings lie within 90 %, at each horizon."""
    rng, times = np.random.default_rng(4), np.arange(0.0, 60.0, 0.1)
    known = KNOWN | {"x_start": 1.0, "v_start": 0.0}
    path = wb.simulate(Spring, times, parameters=known, inputs={"force": 0.3}, seed=5)["place"].values.ravel()
    data = xr.Dataset({"place": ("time", path + 0.1 * rng.standard_normal(times.size))}, {"time": times})
    made = wb.hindcast(Spring, data, [0.1, 1.0], inputs={"force": 0.3}, parameters=KNOWN, seed=6)
    scores = wb.score(made, data)
    assert list(scores["count"].values[0]) == [599, 590]
    inside = scores["coverage"].sel(mass=0.9).values[0]
    assert inside == pytest.approx([0.9, 0.9], abs=0.06)
    assert scores["rmse"].values[0, 0] < scores["rmse"].values[0, 1]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"horizons": [0.0, 1.0]}, r"horizons: got \[0.0, 1.0\]; expected times above 0, in s"),
        ({"horizons": []}, "expected times above 0"),
        ({"filter": wb.EnKF(members=20)}, "expected one with mean and covariance, such as wb.ExtendedKalman"),
    ],
)
def test_what_is_refused(given, words) -> None:
    horizons = given.pop("horizons", [1.0])
    with pytest.raises(DataError, match=words):
        wb.hindcast(Spring, springs(), horizons, inputs=INPUTS, **given)


def test_units_are_followed_one_by_one() -> None:
    two = xr.concat([springs(), springs()], xr.IndexVariable("unit", ["a", "b"]))
    with pytest.raises(DataError, match=r"got units \['a', 'b'\]; expected data of one"):
        wb.hindcast(Spring, two, [1.0], inputs=INPUTS)
