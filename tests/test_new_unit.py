"""A unit that joins the fleet by a few readings: the closed form, and the fleet calibrated again with it."""

import numpy as np
import pandas as pd
import pytest
from calibrations import DRIFT, Level, levels

import workbench as wb
from workbench.base.errors import DataError, ParameterError, SamplingError
from workbench.domains.patients.drug_studies import theophylline
from workbench.domains.patients.pharmacokinetics import OneCompartmentOral


def readings(*values: float) -> pd.DataFrame:
    """Readings of a level at the hours 0, 1, ..."""
    return pd.DataFrame({"time": np.arange(len(values), dtype=float), "y": values})


def exact(values: np.ndarray) -> tuple[float, float, float]:
    """Mean and SD of a new level's start, and how many draws of the fleet its readings (SD 2) leave.

    Given the population a start is normal, and so are its readings: draws are weighted by their marginal density.
    """
    posterior = levels().posterior
    centre, spread = (posterior[f"x_start_{part}"].values.ravel() for part in ("pop", "sd"))
    y, n = (values - DRIFT * np.arange(values.size)).mean(), values.size
    log = -0.5 * np.log(spread**2 + 4 / n) - 0.5 * (y - centre) ** 2 / (spread**2 + 4 / n)
    weights = np.exp(log - log.max()) / np.exp(log - log.max()).sum()
    precision = 1 / spread**2 + n / 4
    means = (centre / spread**2 + y * n / 4) / precision
    mean = float(weights @ means)
    return mean, float(np.sqrt(weights @ (1 / precision + means**2) - mean**2)), float(1 / np.sum(weights**2))


@pytest.mark.parametrize("values", [[9.0], [9.0, 10.5], [12.0] * 12, [30.0, 31.0]])
def test_the_posterior_of_a_level_is_the_closed_form(values: list[float]) -> None:
    mean, sd, count = exact(np.array(values))
    made = [levels().new_unit(readings(*values), seed=k)["x_start"].values for k in range(4)]
    error = sd / np.sqrt(len(made) * min(count, made[0].size))
    assert np.mean(made) == pytest.approx(mean, abs=4 * error)
    assert np.std(made) == pytest.approx(sd, rel=0.05)


def test_draws_are_those_of_the_seed_and_serve_a_simulation() -> None:
    first, again, other = (levels().new_unit(readings(9.0, 10.0), seed=seed) for seed in (1, 1, 2))
    assert first.identical(again)
    assert not first.equals(other)
    assert first["x_start"].dims == ("chain", "draw")
    assert first["x_start"].attrs["units"] == "mg"
    curves = wb.simulate(Level(), [0.0, 2.0], parameters=first)
    np.testing.assert_allclose(curves["y"].sel(time=2.0), first["x_start"] + 2 * DRIFT, rtol=1e-6)


def test_the_forecast_of_a_unit_is_that_of_its_draws_and_of_the_noise() -> None:
    """A reading three hours on is normal given a draw (the noise has SD 2); so is one of the readings' own time."""
    unit = levels().new_unit(readings(9.0, 10.0), seed=1)
    bare = wb.forecast(unit, [0.0, 4.0], noise=False)
    np.testing.assert_allclose(bare["y"].sel(time=4.0), unit["x_start"] + 4 * DRIFT, rtol=1e-6)
    read = wb.forecast(unit, [0.0, 4.0], seed=3)
    assert float((read["y"] - bare["y"]).std()) == pytest.approx(2.0, rel=0.05)
    assert read.sizes == {"chain": unit.sizes["chain"], "draw": unit.sizes["draw"], "time": 2}


def test_forecasts_of_units_that_cannot_be_recalled_are_refused() -> None:
    unit = levels().new_unit(readings(9.0, 10.0), seed=1)
    with pytest.raises(DataError, match=r"another session.*expected those of calibration.new_unit"):
        wb.forecast(unit.assign_attrs(joined="0" * 64), [1.0])
    with pytest.raises(DataError, match="draws of a new unit with readings"):
        wb.forecast(levels().new_unit(seed=1), [1.0])


@pytest.mark.parametrize("value", [9.0, 30.0])
def test_effective_draws_are_those_that_the_readings_leave(value: float) -> None:
    """Draws of the fleet can be copied, not made."""
    _, _, count = exact(np.full(3, value))
    made = levels().new_unit(readings(*[value] * 3), seed=1).attrs["effective_draws"]
    assert 0.3 * count < made < 1.05 * count  # copies that are made in steps lose some
    assert (count < 4000) == (value == 30.0)


def test_a_unit_unlike_all_others_is_warned_of() -> None:
    with pytest.warns(UserWarning, match=r"effective draws of the new unit; expected 100 or more"):
        levels().new_unit(readings(*[100.0] * 3), seed=1)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (readings(np.nan), "no samples"),
        (pd.concat([readings(9.0).assign(unit=u) for u in "ab"]), "2 units; expected one"),
        (readings(9.0).rename(columns={"y": "z"}), "'z'"),
    ],
)
def test_readings_that_cannot_be_used(data: pd.DataFrame, words: str) -> None:
    with pytest.raises(DataError, match=words):
        levels().new_unit(data)


def test_inputs_alone_say_nothing() -> None:
    with pytest.raises(ParameterError, match="inputs without data"):
        levels().new_unit(inputs={})


def test_readings_that_nothing_explains() -> None:
    with pytest.raises((SamplingError, DataError), match=r"no draw of the fleet|got"):
        levels().new_unit(readings(np.inf))


@pytest.mark.slow
def test_a_patient_from_two_samples_is_as_in_the_fleet_calibrated_again() -> None:
    samples, inputs = theophylline()
    late = samples[(samples["unit"] == 9) & samples["time"].between(1.0, 10.0)].iloc[[0, -1]]
    others = samples[samples["unit"] != 9]
    pool = dict.fromkeys(["ka", "CL", "V"], "partial")
    keep = {"draws": 2000, "seed": 3, "progress": False, "pool": pool}
    again = wb.calibrate(OneCompartmentOral, pd.concat([others, late]), inputs=inputs, **keep)
    doses = {unit: dose for unit, dose in inputs["dose"].items() if unit != 9}
    fleet = wb.calibrate(OneCompartmentOral, others, inputs={"dose": doses}, **keep)
    new = fleet.new_unit(late, inputs={"dose": {9: inputs["dose"][9]}}, seed=1)
    assert new.attrs["effective_draws"] > 1000
    for name in pool:
        ours, theirs = np.log(new[name]), np.log(again.posterior[name].sel(unit=9))
        shift = float(abs(ours.mean() - theirs.mean()) / theirs.std())
        assert shift < 0.1, f"{name}: the means are {shift:.2f} SD apart"
        assert float(ours.std() / theirs.std()) == pytest.approx(1.0, abs=0.08)
