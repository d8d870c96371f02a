"""The PyMC model of a declaration can be read, edited and sampled by PyMC itself."""

import numpy as np
import pandas as pd
import pymc as pm
import pytest
import scipy.stats
import xarray as xr
from calibrations import Level, Sensors, density_of, level_data, sensors_data
from models import LynxHare

import workbench as wb

PYTHON = {"mode": "FAST_COMPILE"}


def by_hand(start: float, data: pd.DataFrame) -> float:
    mean = start + 0.5 * data.time
    return scipy.stats.norm(5, 10).logpdf(start) + scipy.stats.norm(mean, 2).logpdf(data.y).sum()


def test_names_dims_and_coords_of_one_unit_read_whole():
    model = density_of("lynx")[1]
    free = "alpha beta gamma delta hare_start lynx_start hare_pelts_sigma lynx_pelts_sigma".split()
    assert sorted(rv.name for rv in model.free_RVs) == sorted(free)
    assert [rv.name for rv in model.observed_RVs] == ["hare_pelts", "lynx_pelts"]
    assert model.named_vars_to_dims == {"hare_pelts": ("time",), "lynx_pelts": ("time",)}
    assert model.coords == {"time": tuple(range(1900, 1921))}
    assert model.potentials == model.deterministics == []


def test_names_dims_and_coords_of_a_grid():
    table = level_data()[level_data().unit.isin(["u0", "u1"]) & (level_data().time < 2)]
    grid = table.set_index(["unit", "time"]).to_xarray()
    model = wb.to_pymc(Level(), grid, pool={"x_start": "none"})
    assert model.named_vars_to_dims == {"x_start": ("unit",), "y": ("unit", "time")}
    assert model.coords == {"unit": ("u0", "u1"), "time": (0.0, 1.0)}
    np.testing.assert_array_equal(model.rvs_to_values[model["y"]].data, grid["y"].transpose("unit", "time"))


def test_names_dims_and_coords_of_a_long_table_and_of_gaps():
    model = density_of("levels")[1]
    assert model.named_vars_to_dims == {"x_start": ("unit",), "y": ("y_sample",)}
    assert len(model.coords["y_sample"]) == len(level_data())
    gaps = density_of("sensors")[1]
    assert gaps.named_vars_to_dims["clumps"] == gaps.named_vars_to_dims["relative"] == ("time",)
    assert gaps.named_vars_to_dims["counts"] == ("counts_sample",)
    assert gaps.coords["counts_sample"] == (1, 3, 5, 7, 9)
    assert gaps.coords["additive_sample"] == (0, 2, 3, 5, 6, 7, 8, 9)


def test_a_graph_and_a_text_of_the_model_can_be_made():
    model = density_of("dosing")[1]
    text = model.str_repr()
    for name in ("ka_pop", "ka_sd", "ka", "V", "ke", "concentration_sigma", "concentration"):
        assert f"{name} ~" in text
    graph = pm.model_graph.ModelGraph(model)
    inputs = graph.make_compute_graph()["concentration"]
    assert {"ka", "V", "ke", "centre_start", "concentration_sigma"} <= set(inputs)


def test_the_prior_predictive_by_pymc():
    table = level_data()[level_data().unit == "u7"].drop(columns="unit")
    model = wb.to_pymc(Level(), table)
    tree = pm.sample_prior_predictive(400, model=model, random_seed=1, compile_kwargs=PYTHON)
    draws = tree["prior_predictive"]["y"]
    assert draws.dims == ("chain", "draw", "time")
    deviation = (draws - tree["prior"]["x_start"]) - 0.5 * draws["time"]
    assert float(deviation.std()) == pytest.approx(2.0, rel=0.06)
    assert abs(float(deviation.mean())) < 4.5 * 2.0 / np.sqrt(deviation.size)
    assert float(tree["prior"]["x_start"].std()) == pytest.approx(10.0, rel=0.15)


def test_sampling_by_metropolis():
    table = level_data()[level_data().unit == "u7"].drop(columns="unit")
    model = wb.to_pymc(Level(), table)
    with model:
        step = pm.Metropolis(compile_kwargs=PYTHON)
        tree = pm.sample(
            500,
            tune=500,
            chains=1,
            step=step,
            random_seed=1,
            progressbar=False,
            compute_convergence_checks=False,
            compile_kwargs=PYTHON,
        )
    precision = 1 / 100 + len(table) / 4
    mean = (5 / 100 + (table.y - 0.5 * table.time).sum() / 4) / precision
    assert float(tree["posterior"]["x_start"].mean()) == pytest.approx(mean, abs=0.25)


def test_a_user_may_edit_it():
    table = level_data()[level_data().unit == "u1"].drop(columns="unit")
    model = wb.to_pymc(Level(), table)
    before = model.compile_logp(mode="FAST_COMPILE")({"x_start": 3.0})
    np.testing.assert_allclose(before, by_hand(3.0, table), rtol=1e-7)
    with model:
        pm.Potential("known", -((model["x_start"] - 1.0) ** 2))
    after = model.compile_logp(mode="FAST_COMPILE")({"x_start": 3.0})
    np.testing.assert_allclose(after - before, -4.0, rtol=1e-9)


def test_a_failed_solve_is_minus_infinity_for_pymc_too():
    model = density_of("sensors")[1]
    logp = model.compile_logp(mode="FAST_COMPILE")
    point = model.initial_point() | {"a": np.array(0.28)}
    assert np.isfinite(logp(point))
    assert logp(point | {"a": np.array(5.0)}) == -np.inf
    only_real = wb.to_pymc(Sensors(), sensors_data()[["relative"]])
    assert only_real.potentials == []
    assert [p.name for p in model.potentials] == ["failed_solve"]


def test_only_what_was_measured_is_there():
    model = wb.to_pymc(Sensors(), sensors_data()[["heavy"]])
    assert {rv.name for rv in model.basic_RVs} == {"a", "x_start", "heavy", "heavy_nu"}


def test_a_class_will_do_for_a_model():
    data = xr.Dataset({"hare_pelts": ("time", [30.0, 47.2]), "lynx_pelts": ("time", [4.0, 6.1])}, {"time": [0.0, 1.0]})
    a, b = wb.to_pymc(LynxHare, data), wb.to_pymc(LynxHare(), data)
    assert a.str_repr() == b.str_repr()


def test_readings_of_several_outputs_at_times_of_their_own():
    """Rows of one output where the other has none: both are solved once, at all times."""
    data = xr.Dataset(
        {"hare_pelts": ("time", [30.0, np.nan, 70.0]), "lynx_pelts": ("time", [np.nan, 6.1, np.nan])},
        {"time": [0.0, 1.5, 2.0]},
    )
    model = wb.to_pymc(LynxHare(), data)
    assert model.coords["hare_pelts_sample"] == (0, 2)
    assert model.coords["lynx_pelts_sample"] == (1,)
    values = {"alpha": 0.55, "beta": 0.028, "gamma": 0.80, "delta": 0.024, "hare_start": 34.0, "lynx_start": 5.9}
    curves = wb.simulate(LynxHare(), [0.0, 1.5, 2.0], parameters=values)
    sigma = {"hare_pelts_sigma": 0.3, "lynx_pelts_sigma": 0.2}
    point = {model.rvs_to_values[model[n]].name: np.log(v) for n, v in (values | sigma).items()}
    found = model.compile_logp(vars=model.observed_RVs, sum=False, mode="FAST_COMPILE")(point)
    for name, rows, logp in zip(("hare", "lynx"), ([0, 2], [1]), found, strict=True):
        law = scipy.stats.lognorm(sigma[f"{name}_pelts_sigma"], scale=curves[f"{name}_pelts"].values[rows])
        np.testing.assert_allclose(logp, law.logpdf(data[f"{name}_pelts"].values[rows]), rtol=1e-6)
