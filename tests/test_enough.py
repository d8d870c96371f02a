"""Readings and free parameters, counted by hand."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from calibrations import Level, Sensors, dosing_problem, level_data, lynx_hare_data, sensors_data
from models import LynxHare

import workbench as wb
from workbench.calibrate.problem import Problem, pose
from workbench.calibrate.trust.card import Gate
from workbench.calibrate.trust.enough import gate, parameters, readings_of_units


class Pair(wb.Ode):
    """Two levels that fall at rates of their own, both read."""

    time_unit = "h"
    places: int = 2
    x = wb.State("mg", dims=("place",), start=5.0)
    k = wb.Parameter("1/h", dims=("place",), prior=wb.prior.LogNormal(median=1.0, sigma=0.5))
    y = wb.Output("mg", dims=("place",), noise=wb.noise.Normal(sigma=wb.prior.HalfNormal(1.0)))

    def rhs(self, t, x, u, p):
        return {"x": -p.k * x.x}

    def observe(self, t, x, u, p):
        return {"y": x.x}


def said(problem: Problem | None) -> Gate:
    return gate(SimpleNamespace(problem=problem))  # type: ignore[arg-type]


def fleet(starts: str, counts: list[int]) -> Gate:
    """Return the gate of units read so many times, of which only the start is estimated."""
    rows = [(f"u{k}", float(t), 5.0) for k, count in enumerate(counts) for t in range(count)]
    return said(pose(Level(), pd.DataFrame(rows, columns=["unit", "time", "y"]), pool={"x_start": starts}))


@pytest.mark.parametrize(("count", "verdict"), [(3, "failed"), (4, "passed")])
def test_two_animals_have_eight_parameters(count: int, verdict: str) -> None:
    made = said(pose(LynxHare(), lynx_hare_data().isel(time=slice(count))))
    assert (made.verdict, made.figure) == (verdict, 2 * count / 8)
    assert f"{2 * count} readings of the data for 8 free parameters" in made.says


def test_what_was_not_measured_does_not_count() -> None:
    data = sensors_data()
    problem = pose(Sensors(), data)
    assert readings_of_units(problem).tolist() == [sum(int(v.notnull().sum()) for v in data.data_vars.values())]
    assert parameters(problem) == (5, 0)  # x_start, a, additive_sigma, heavy_nu, clumps_alpha


@pytest.mark.parametrize(
    ("starts", "counts", "figure"),
    [
        ("complete", [1], 1.0),
        ("partial", [1], 0.5),  # one reading says nothing of a spread
        ("partial", [1, 1, 1], 1.5),  # three of a median and an SD
        ("none", [1, 1], 1.0),
        ("none", [4, 2], 2.0),  # of the unit that was read least
    ],
)
def test_units(starts: str, counts: list[int], figure: float) -> None:
    made = fleet(starts, counts)
    assert made.figure == figure
    assert made.verdict == ("passed" if figure >= 1 else "failed")


def test_a_unit_on_its_own_needs_readings_for_all_that_is_its_own() -> None:
    pool = {"hare_start": "none", "lynx_start": "none", "alpha": "none", "beta": "none"}
    short = lynx_hare_data().isel(time=[0]).to_dataframe().reset_index().assign(unit="short")
    long = lynx_hare_data().to_dataframe().reset_index().assign(unit="long")
    made = said(pose(LynxHare(), pd.concat([long, short]), pool=pool))
    assert (made.verdict, made.figure) == ("failed", 2 / 4)
    assert "got 2 readings of unit 'short' for 4 free parameters" in made.says


def test_populations_and_units_on_their_own_are_counted_apart() -> None:
    problem = dosing_problem()
    own = sum(way == "none" for way in problem.pool.values())
    population = sum(way == "partial" for way in problem.pool.values())
    assert (own, population) == (1, 1)
    assert parameters(problem) == (len(problem.estimated) - 2 + 2, 1)
    assert readings_of_units(problem).tolist() == [6, 4]
    assert readings_of_units(pose(Level(), level_data())).tolist() == [2, 3, 5, 8, 3, 4, 6, 10]


def test_elements_of_vectors_count_one_by_one() -> None:
    values = np.array([[4.0, np.nan], [3.0, 2.0]])
    data = pd.DataFrame({"time": [0.0, 1.0], "y[0]": values[:, 0], "y[1]": values[:, 1]})
    problem = pose(Pair(), data)
    assert parameters(problem) == (3, 0)  # two rates and an SD
    assert readings_of_units(problem).tolist() == [3]
    assert said(problem).verdict == "passed"
    fewer = replace(problem.observations, values={"y": np.where(values == 2.0, np.nan, values)})
    assert said(replace(problem, observations=fewer)).verdict == "failed"


def test_a_file_without_its_model_is_not_run() -> None:
    assert said(None).verdict == "not run"
