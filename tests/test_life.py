"""Remaining life from forecasts with events, against closed forms; the metrics of Saxena et al. by hand."""

import numpy as np
import pytest
import scipy.stats
import xarray as xr

import workbench as wb
from workbench.base.errors import DataError
from workbench.forecast.life import prognosis, remaining_life


class Wear(wb.Ode):
    """A crack that grows at a constant rate until it is too long."""

    time_unit = "h"
    crack = wb.State("mm", start=1.0)
    rate = wb.Parameter("mm/h", prior=wb.prior.LogNormal(median=0.1, sigma=0.3))
    limit = wb.Parameter("mm", value=3.0)
    broken = wb.Event("mm", ends=True)
    length = wb.Output("mm", noise=wb.noise.Normal(sigma=0.1))

    def rhs(self, t, x, u, p):
        return {"crack": p.rate}

    def events(self, t, x, u, p):
        return {"broken": x.crack - p.limit}

    def observe(self, t, x, u, p):
        return {"length": x.crack}


RATES = 0.1 * np.exp(0.3 * scipy.stats.norm.ppf((np.arange(400) + 0.5) / 400))


@pytest.fixture(scope="module")
def worn():
    times = np.linspace(5.0, 25.0, 21)
    return wb.simulate(Wear(), np.concatenate([[0.0], times]), parameters={"rate": xr.DataArray(RATES, dims="member")})


def test_life_is_that_of_the_closed_form(worn):
    made = remaining_life(worn, "broken", now=5.0)
    exact = 2.0 / RATES - 5.0
    held = exact <= 20.0
    np.testing.assert_allclose(made["life"].values[held], exact[held], rtol=1e-6)
    assert np.isinf(made["life"].values[~held]).all()
    assert 0 < (~held).sum() < 200
    share = scipy.stats.norm.cdf(np.log(2.0 / (0.1 * worn["time"].values[1:])) / 0.3)  # P(rate < 2 / t)
    np.testing.assert_allclose(made["happened"].values[1:], 1 - share, atol=2 / 400)
    assert made["quantiles"].sel(quantile=0.5).item() == pytest.approx(15.0, rel=0.01)
    assert np.isinf(made["quantiles"].sel(quantile=0.95).item())  # 22 % outlast the forecast
    assert made["life"].attrs["units"] == "h"


def test_dates_count_in_days():
    times = np.array(["2026-01-01", "2026-02-01"], dtype="datetime64[ns]")
    ends = np.array([["2026-01-11"], ["NaT"]], dtype="datetime64[ns]")
    made = xr.Dataset({"broken_time": (("draw", "broken"), ends)}, {"time": times})
    found = remaining_life(made, "broken")
    assert found["life"].values.tolist() == [10.0, np.inf]
    assert found["happened"].values.tolist() == [0.0, 0.5]
    assert found["life"].attrs["units"] == "d"


def test_an_event_that_never_happens_and_one_that_is_not_known(worn):
    short = wb.simulate(Wear(), [0.0, 1.0], parameters={"rate": xr.DataArray(RATES[:3], dims="member")})
    assert np.isinf(remaining_life(short, "broken")["life"]).all()
    with pytest.raises(DataError, match="got unknown event 'brokn'; expected one of 'broken'; did you mean 'broken'"):
        remaining_life(worn, "brokn")


def test_metrics_by_hand():
    # life ends at 100; forecasts at 20, 60, 90 by four draws each, and one that comes too late
    lives = [[40, 60, 70, 120], [30, 36, 44, 50], [9, 10, 11, np.inf], [1, 1, 1, 1]]
    made = xr.DataArray(lives, {"time": [20.0, 60.0, 90.0, 110.0]}, ["time", "draw"], attrs={"units": "h"})
    found = prognosis(made, 100.0, alpha=0.2, beta=0.5)
    assert found["true"].values.tolist() == [80.0, 40.0, 10.0]
    assert found["within"].values.tolist() == [0.25, 0.5, 0.75]  # 64-96, 32-48, 8-12
    assert found["accurate"].values.tolist() == [False, True, True]
    np.testing.assert_allclose(found["relative_accuracy"], [1 - 15 / 80, 1.0, 1 - 0.5 / 10])
    # within 20 h of the truth: 60, 70 of four at 20
    assert found["prognostic_horizon"].item() == 80.0
    assert np.isnan(prognosis(made, 100.0, alpha=0.001, beta=0.9)["prognostic_horizon"])
    with pytest.raises(DataError, match="no forecast before the end"):
        prognosis(made, 5.0)
