"""Many units that join the fleet at once: the closed form given each draw of the fleet, and the verb for one unit."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from calibrations import DRIFT, levels
from scipy.stats import kstest

from workbench.base.errors import DataError, ParameterError

READINGS = {"few": [9.0], "some": [9.0, 10.5], "many": [12.0] * 12, "far": [30.0, 31.0], "silent": [np.nan]}


def table() -> pd.DataFrame:
    """Readings of levels, one every hour."""
    parts = [
        pd.DataFrame({"unit": unit, "time": np.arange(float(len(values))), "y": values})
        for unit, values in READINGS.items()
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("unit", READINGS)
def test_each_level_given_the_fleet_is_the_closed_form(unit: str) -> None:
    """Given a draw of the population a start is normal: its scores are standard normal over draws."""
    posterior = levels().posterior
    made = levels().new_units(table(), seed=1)["x_start"].sel(unit=unit)
    centre, spread = posterior["x_start_pop"], posterior["x_start_sd"]
    values = np.array(READINGS[unit])
    n = int(np.isfinite(values).sum())
    y = np.nansum(values - DRIFT * np.arange(values.size)) / max(n, 1)
    precision = 1 / spread**2 + n / 4  # readings have SD 2
    score = ((made - (centre / spread**2 + y * n / 4) / precision) * np.sqrt(precision)).values.ravel()
    assert score.mean() == pytest.approx(0.0, abs=0.06)
    assert score.std() == pytest.approx(1.0, abs=0.04)
    assert kstest(score, "norm").pvalue > 1e-3


def test_draws_are_those_of_the_seed_and_keep_what_units_share() -> None:
    first, again, other = (levels().new_units(table(), seed=seed) for seed in (1, 1, 2))
    assert first.identical(again)
    assert not first.equals(other)
    assert first["x_start"].dims == ("chain", "draw", "unit")
    assert first["x_start"].attrs["units"] == "mg"
    assert first["unit"].values.tolist() == list(READINGS)


def test_fewer_draws_are_spread_over_all() -> None:
    made = levels().new_units(table(), draws=5, seed=1)
    assert made.sizes["draw"] == 5
    assert made["draw"].values.tolist() == [0, 499, 999, 1499, 1999]


def test_of_one_unit_it_is_what_new_unit_says() -> None:
    """Two readings tell little of the population, so both ways are alike."""
    many = levels().new_units(table(), seed=3)["x_start"].sel(unit="some")
    one = levels().new_unit(table()[table()["unit"] == "some"].drop(columns="unit"), seed=3)["x_start"]
    assert float(many.mean()) == pytest.approx(float(one.mean()), abs=0.1)
    assert float(many.std()) == pytest.approx(float(one.std()), rel=0.1)


def test_what_cannot_be_used_is_refused() -> None:
    with pytest.raises(ParameterError, match="data of one unit"):
        levels().new_units(table().drop(columns="unit").head(1))
    with pytest.raises(DataError, match="'z'"):
        levels().new_units(table().rename(columns={"y": "z"}))
    with pytest.raises(ParameterError, match="1 to 2000"):
        levels().new_units(table(), draws=2001)
    with pytest.raises(ParameterError, match="without its model"):
        replace(levels(), problem=None).new_units(table())
