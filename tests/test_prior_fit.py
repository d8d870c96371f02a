"""The prior predictive check: exact where the data are from the prior, and failing where they are not."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from calibrations import lynx_hare_data
from models import LynxHare

import workbench as wb
from workbench.base.errors import DeclarationError, SamplingError
from workbench.calibrate.trust.prior_fit import _p_value


class Line(wb.Ode):
    """A level that stays: its readings are normal with mean 5, SD sqrt(10) and correlation 0.9 under the prior."""

    time_unit = "h"
    x = wb.State("mg", start=wb.prior.Normal(mu=5.0, sigma=3.0))
    drift = wb.Parameter("mg/h", value=0.0)
    y = wb.Output("mg", noise=wb.noise.Normal(sigma=1.0))

    def rhs(self, t, x, u, p):
        return {"x": p.drift}

    def observe(self, t, x, u, p):
        return {"y": x.x}


def table(values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"time": np.arange(values.size, dtype=float), "y": values})


def test_p_values_are_uniform_where_data_are_from_the_prior() -> None:
    rng = np.random.default_rng(1)

    def studies(count: int) -> np.ndarray:
        return rng.normal(5, 3, (count, 1)) + rng.normal(size=(count, 6))

    values = [_p_value(studies(1)[0], studies(199)) for _ in range(400)]
    assert scipy.stats.kstest(values, "uniform").pvalue > 0.01


def test_predictions_are_those_of_the_prior() -> None:
    made = wb.check_prior(Line, table(np.full(6, 6.0)), seed=1)
    drawn = made.predicted["y"].values.reshape(999, 6)
    assert drawn.mean() == pytest.approx(5.0, abs=4 * np.sqrt(10 / 999))
    assert np.corrcoef(drawn.T)[0, 1] == pytest.approx(0.9, abs=0.03)
    assert made.predicted["y"].attrs["units"] == "mg"
    row = made.table.loc["y"]
    assert row["readings"] == 6
    assert row["beyond_all"] == 0
    assert row["coverage_90"] == 1.0
    assert row["width"] == pytest.approx(2 * 1.645 * np.sqrt(10) / 6.0, rel=0.1)
    # all six are 1 / sqrt(10) SDs out: most studies lie further
    assert made.passed
    assert made.gate.figure > 0.5
    assert "100 % of 6 readings within the prior's 90 % bands" in repr(made)
    assert "prior predictive" in made._repr_html_()


@pytest.mark.parametrize("values", [np.full(6, 60.0), np.array([5.0, 5.0, 5.0, 5.0, 5.0, 1e6]), np.full(6, -1e9)])
def test_data_that_the_prior_excludes(values: np.ndarray) -> None:
    made = wb.check_prior(Line, table(values), seed=1)
    far = int(np.sum(np.abs(values - 5) > 20))
    assert made.table.loc["y", "beyond_all"] == far
    assert made.passed is (far == 1)  # one reading among six is for the noise's family, and data quality, to say
    if far > 1:
        assert f"{far} of 6 beyond all 999 simulated studies" in made.gate.says
        assert "units" in made.gate.says


def test_a_vague_prior_is_called_so() -> None:
    made = wb.check_prior(Line, table(5.0 + 1e-3 * np.arange(6)), seed=1)
    assert made.passed
    assert "times as wide as the data: the prior is vague" in made.gate.says


@pytest.mark.parametrize(("factor", "passed"), [(1.0, True), (1000.0, False)])
def test_pelts_in_thousands_and_pelts_by_the_piece(factor: float, passed: bool) -> None:
    data = lynx_hare_data()
    made = wb.check_prior(LynxHare, data.assign({n: v * factor for n, v in data.data_vars.items()}), seed=2)
    assert made.passed is passed
    assert list(made.table.index) == ["hare_pelts", "lynx_pelts"]


class Improper(Line):
    """Its start says nothing."""

    x = wb.State("mg", start=wb.prior.Flat())


def test_an_improper_prior_predicts_nothing() -> None:
    with pytest.raises(DeclarationError, match="Flat"):
        wb.check_prior(Improper, table(np.full(6, 6.0)))


class Impossible(Line):
    """Its readings are positive, and its level is not."""

    x = wb.State("mg", start=wb.prior.Normal(mu=-5.0, sigma=0.1))
    y = wb.Output("mg", noise=wb.noise.LogNormal(sigma=0.1))


def test_a_prior_that_allows_no_reading() -> None:
    with pytest.raises(SamplingError, match="0 of 999 draws"):
        wb.check_prior(Impossible, table(np.full(6, 6.0)))
