"""`wb.simulate`: draws, units, attributes and times are kept; wrong ones are refused with a sentence."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from models import Dosing, Growth, dosing_exact

import workbench as wb
from workbench.base.errors import DataError, DeclarationError, ParameterError, UnitError
from workbench.simulate import kernel
from workbench.simulate.members import gather

TIMES = np.linspace(0.0, 24.0, 13)
INPUTS = {"dose": {0.0: 100.0, 12.0: 50.0}, "infusion": 2.0, "release": {0.0: 0.0, 24.0: 6.0}}
EXACT = {**INPUTS, "infusion": {0.0: 2.0}}
VALUES = {"ka": 1.1, "ke": 0.25, "V": 18.0, "share": 0.5, "centre_start": 12.0}
RNG = np.random.default_rng(1)


def exact(times=TIMES, **values):
    values = {**VALUES, **values}
    return dosing_exact(times, values=values, start=[0.0, values["centre_start"]], **EXACT)


def draws(shape: dict[str, int], median: float, labels: dict | None = None) -> xr.DataArray:
    values = median * np.exp(0.2 * RNG.normal(size=tuple(shape.values())))
    return xr.DataArray(values, dims=tuple(shape), coords=labels or {})


@pytest.fixture(scope="module")
def posterior() -> xr.Dataset:
    """Return draws as a calibration with partial pooling leaves them, names beside those of the equations included."""
    shape = {"chain": 2, "draw": 3, "unit": 2}
    labels = {"chain": [0, 1], "draw": [10, 20, 30], "unit": ["Ann", "Bob"]}
    population = {d: labels[d] for d in ("chain", "draw")}
    data = {"ka": draws(shape, 1.1, labels), "ke": draws({"chain": 2, "draw": 3}, 0.25, population)}
    extra = ("ka_pop", "ka_sd", "ka_offset", "concentration_sigma")
    return xr.Dataset({**data, **{name: draws({"chain": 2, "draw": 3}, 1.0, population) for name in extra}})


def test_one_run():
    made = wb.simulate(Dosing, TIMES, parameters=VALUES, inputs=INPUTS)
    reference = exact()
    assert list(made.data_vars) == ["depot", "centre", "concentration", "total"]
    assert all(v.dims == ("time",) for v in made.data_vars.values())
    assert np.array_equal(made.time, TIMES)
    np.testing.assert_allclose(made.depot, reference[:, 0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(made.centre, reference[:, 1], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(made.concentration, reference[:, 1] / 18.0, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(made.total, reference.sum(axis=1), rtol=1e-5, atol=1e-5)


def test_attributes_say_what_it_is():
    made = wb.simulate(Dosing, TIMES, parameters=VALUES, inputs=INPUTS)
    assert made.concentration.attrs == {"units": "mg/L", "long_name": "in plasma"}
    assert made.depot.attrs == {"units": "mg", "long_name": "depot"}
    assert made.time.attrs == {"units": "h", "long_name": "time", "axis": "T"}
    assert {k: made.attrs[k] for k in ("model", "Conventions", "solver", "rtol", "atol")} == {
        "model": "Dosing", "Conventions": "CF-1.11", "solver": "Tsit5", "rtol": 1e-6, "atol": 1e-9,
    }  # fmt: skip
    assert json.loads(made.attrs["parameters"]) == VALUES
    many = wb.simulate(Dosing, TIMES, parameters={**VALUES, "ka": [1.0, 2.0]}, inputs=INPUTS)
    assert json.loads(many.attrs["parameters"]) == {**VALUES, "ka": "varies"}


def test_what_is_left_out_is_nominal():
    made = wb.simulate(Dosing, TIMES, inputs=INPUTS)
    nominal = {name: q.nominal() for name, q in Dosing().theta.items()}
    assert nominal == {"ka": 1.2, "ke": 0.3, "V": 20.0, "share": 0.5, "centre_start": 10.0}
    np.testing.assert_allclose(made.centre, exact(**nominal)[:, 1], rtol=1e-5)
    assert json.loads(made.attrs["parameters"]) == nominal


def test_instance_class_and_seed_are_alike():
    reference = wb.simulate(Dosing, TIMES, inputs=INPUTS)
    xr.testing.assert_identical(wb.simulate(Dosing(), TIMES, inputs=INPUTS), reference)
    xr.testing.assert_identical(wb.simulate(Dosing, TIMES, inputs=INPUTS, seed=3), reference)


def test_draws_over_chain_draw_and_unit(posterior):
    made = wb.simulate(Dosing, TIMES, parameters=posterior, inputs=INPUTS)
    assert made.concentration.dims == ("chain", "draw", "unit", "time")
    assert {d: list(made[d].values) for d in ("chain", "draw", "unit")} == {
        "chain": [0, 1], "draw": [10, 20, 30], "unit": ["Ann", "Bob"],
    }  # fmt: skip
    for index in ({"chain": 0, "draw": 20, "unit": "Ann"}, {"chain": 1, "draw": 10, "unit": "Bob"}):
        ke = float(posterior.ke.sel({k: v for k, v in index.items() if k != "unit"}))
        reference = exact(ka=float(posterior.ka.sel(index)), ke=ke, centre_start=10.0)
        np.testing.assert_allclose(made.centre.sel(index), reference[:, 1], rtol=1e-5)


def test_a_posterior_may_be_a_tree(posterior):
    tree = xr.DataTree.from_dict({"posterior": posterior, "prior": posterior * 2})
    found = wb.simulate(Dosing, TIMES, parameters=tree["posterior"], inputs=INPUTS)
    xr.testing.assert_identical(found, wb.simulate(Dosing, TIMES, parameters=posterior, inputs=INPUTS))


def test_members_and_their_order():
    ka = np.array([0.5, 1.0, 2.0])
    made = wb.simulate(Dosing, TIMES, parameters={**VALUES, "ka": ka}, inputs=INPUTS)
    assert made.centre.dims == ("member", "time")
    for k, value in enumerate(ka):
        np.testing.assert_allclose(made.centre[k], exact(ka=value)[:, 1], rtol=1e-5)
    turned = draws({"unit": 2, "member": 3}, 0.3, {"unit": ["b", "a"]})
    found = wb.simulate(Dosing, TIMES, parameters={**VALUES, "ke": turned, "ka": ka}, inputs=INPUTS)
    assert found.centre.dims == ("member", "unit", "time")
    for k, unit in ((0, "a"), (2, "b")):
        expected = exact(ka=ka[k], ke=float(turned.sel(unit=unit)[k]))
        np.testing.assert_allclose(found.centre.sel(unit=unit)[k], expected[:, 1], rtol=1e-5)


def test_any_split_of_threads_gives_the_same(monkeypatch):
    parameters = {**VALUES, "ka": draws({"member": 57}, 1.1), "ke": draws({"member": 57}, 0.25)}
    found = []
    for workers in (1, 2, 7):
        monkeypatch.setattr(kernel.os, "sched_getaffinity", lambda _, n=workers: range(n), raising=False)
        found.append(wb.simulate(Dosing, TIMES, parameters=parameters, inputs=INPUTS))
    xr.testing.assert_identical(found[0], found[1])
    xr.testing.assert_identical(found[0], found[2])
    for k in (0, 31, 56):
        one = {name: float(parameters[name][k]) for name in ("ka", "ke")}
        alone = wb.simulate(Dosing, TIMES, parameters={**VALUES, **one}, inputs=INPUTS)
        assert np.array_equal(found[0].centre[k], alone.centre)


def test_units_from_the_inputs():
    inputs = {**INPUTS, "dose": {"Ann": {0.0: 100.0}, "Bob": {2.0: 10.0}}}
    made = wb.simulate(Dosing, TIMES, parameters=VALUES, inputs=inputs)
    assert made.centre.dims == ("unit", "time")
    assert list(made.unit.values) == ["Ann", "Bob"]
    for name, doses in inputs["dose"].items():
        reference = dosing_exact(TIMES, values=VALUES, start=[0.0, 12.0], **{**EXACT, "dose": doses})
        np.testing.assert_allclose(made.centre.sel(unit=name), reference[:, 1], rtol=1e-5)
    weights = xr.DataArray([30.0, 10.0], dims="unit", coords={"unit": ["Bob", "Ann"]})
    scaled = wb.simulate(Dosing, TIMES, parameters={**VALUES, "V": weights}, inputs=inputs)
    np.testing.assert_allclose(scaled.concentration.sel(unit="Bob"), made.centre.sel(unit="Bob") / 30.0, rtol=1e-12)


def test_parameters_come_in_other_units():
    minutes = xr.DataArray(1.1 / 60, attrs={"units": "1/min"})
    millilitres = xr.DataArray(18000.0, attrs={"units": "mL"})
    found = wb.simulate(Dosing, TIMES, parameters={**VALUES, "ka": minutes, "V": millilitres}, inputs=INPUTS)
    reference = wb.simulate(Dosing, TIMES, parameters=VALUES, inputs=INPUTS)
    np.testing.assert_allclose(found.concentration, reference.concentration, rtol=1e-10)
    with pytest.raises(UnitError, match=r"got 'kg'.*expected a unit convertible to 'L'"):
        wb.simulate(Dosing, TIMES, parameters={"V": xr.DataArray(1.0, attrs={"units": "kg"})}, inputs=INPUTS)


def test_starts_replace_the_declared_ones():
    made = wb.simulate(Dosing, TIMES, parameters=VALUES, inputs=INPUTS, start={"depot": 40.0})
    reference = dosing_exact(TIMES, values=VALUES, start=[40.0, 12.0], **EXACT)
    np.testing.assert_allclose(made.centre, reference[:, 1], rtol=1e-5)
    many = wb.simulate(Dosing, TIMES, parameters=VALUES, inputs=INPUTS, start={"depot": [40.0, 0.0], "centre": 3.0})
    assert many.centre.dims == ("member", "time")
    assert np.array_equal(many.depot[:, 0], [140.0, 100.0])
    assert np.array_equal(many.centre[:, 0], [3.0, 3.0])


def test_starts_come_in_other_units():
    grams = xr.DataArray(0.04, attrs={"units": "g"})
    made = wb.simulate(Dosing, TIMES, parameters=VALUES, inputs=INPUTS, start={"depot": grams})
    assert float(made.depot[0]) == pytest.approx(140.0)


def test_datetimes():
    hours = pd.date_range("2024-05-01 06:00", periods=13, freq="2h")
    inputs = {
        "dose": {hours[0]: 100.0, hours[6]: 50.0},
        "infusion": 2.0,
        "release": {hours[0]: 0.0, hours[-1]: 6.0},
    }
    made = wb.simulate(Dosing, hours, parameters=VALUES, inputs=inputs)
    assert np.issubdtype(made.time.dtype, np.datetime64)
    assert np.array_equal(made.time, hours)
    assert "units" not in made.time.attrs
    np.testing.assert_allclose(made.centre, wb.simulate(Dosing, TIMES, parameters=VALUES, inputs=INPUTS).centre)


def test_attributes_are_plain_text_and_numbers():
    made = wb.simulate(Dosing, TIMES, parameters={**VALUES, "ka": [1.0, 2.0]}, inputs=INPUTS)
    everything = [made.attrs, *(v.attrs for v in made.variables.values())]
    assert {type(value) for attrs in everything for value in attrs.values()} <= {str, int, float}


FOR_ANN = xr.DataArray([1.0], dims="unit", coords={"unit": ["Ann"]})


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        (
            {"parameters": {"kA2": 1.0}},
            ParameterError,
            "Dosing: got unknown parameter 'kA2'; expected one of 'ka', 'ke', 'V'",
        ),
        ({"parameters": {"Ka": 1.0}}, ParameterError, "'concentration_sigma'; did you mean 'ka'?"),
        ({"parameters": xr.Dataset({"kel": 1.0})}, ParameterError, "got unknown parameter 'kel'"),
        ({"parameters": {"V": -1.0}}, ParameterError, "V: got -1 L; expected a number within its bounds 0 to inf"),
        ({"parameters": {"V": [1.0, np.nan]}}, ParameterError, "V: got nan L; expected a number within its bounds"),
        ({"parameters": {"ka": "fast"}}, ParameterError, "ka: got value 'fast'; expected a number or a DataArray"),
        (
            {"parameters": {"ka": np.ones((2, 2))}},
            ParameterError,
            "ka: got an array of shape (2, 2); expected a DataArray",
        ),
        (
            {"parameters": {"ka": xr.DataArray([1.0], dims="darw")}},
            ParameterError,
            "ka: got unknown dim 'darw'; expected one of 'chain', 'draw', 'member', 'unit'; did",
        ),
        (
            {"parameters": {"ka": [1.0, 2.0], "ke": [1.0, 2.0, 3.0]}},
            ParameterError,
            "got parameters whose draws or units differ",
        ),
        ({"parameters": 3.0}, ParameterError, "got parameters of type float; expected a mapping"),
        (
            {"start": {"depo": 1.0}},
            ParameterError,
            "Dosing start: got unknown state 'depo'; expected one of 'depot', 'centre'; did you mean",
        ),
        ({"start": {"depot": np.nan}}, ParameterError, "depot: got nan mg; expected a number"),
        (
            {"inputs": {**INPUTS, "doze": {0.0: 1.0}}},
            DataError,
            "Dosing: got unknown input 'doze'; expected one of 'dose', 'infusion', 'release'; did",
        ),
        ({"inputs": {}}, DataError, "Dosing: got no input 'infusion', 'release'"),
        (
            {"inputs": {**INPUTS, "release": {0.0: 1.0, 20.0: 1.0}}},
            DataError,
            "input 'release': got values from 0 h to 20 h; expected them to cover",
        ),
        ({"times": []}, DataError, "times: got none; expected at least one"),
        ({"times": [0.0, 2.0, 1.0]}, DataError, "times: got time 1 in row 2, after 2; expected times sorted"),
        ({"times": [0.0, 1.0, 1.0]}, DataError, "times: got time 1 in rows 1 and 2; expected each time once"),
        ({"times": [0.0, np.nan]}, DataError, "times: got time nan in row 1; expected a time in every row"),
        ({"times": ["soon"]}, DataError, "'soon'"),
        ({"model": 3.0}, DeclarationError, "got 3.0; expected a model, such as an instance of a subclass of wb.Ode"),
        (
            {"parameters": {"ka": FOR_ANN}, "inputs": {**INPUTS, "dose": {"Bob": {0.0: 1.0}}}},
            ParameterError,
            "got unknown unit 'Bob'; expected one of 'Ann'",
        ),
    ],
)
def test_what_is_refused(given, error, says):
    call = {"model": Dosing, "times": TIMES, "inputs": INPUTS, **given}
    with pytest.raises(error) as raised:
        wb.simulate(call.pop("model"), call.pop("times"), **call)
    assert says in str(raised.value)


def test_a_parameter_may_be_named_as_a_population_would_be():
    class Spread(wb.Ode):
        time_unit = "s"
        x = wb.State("1", start="k_sd")
        k = wb.Parameter("1/s", value=1.0)
        k_sd = wb.Parameter("1", value=1.0)

        def rhs(self, t, x, u, p):
            return {"x": -p.k * x.x}

    theta, _ = gather(Spread(), xr.Dataset({"k": 1.0, "k_sd": 5.0}))
    assert theta.values.ravel().tolist() == [1.0, 5.0]


def test_simulate_is_the_verb_however_its_room_was_loaded():
    code = "import workbench.simulate, workbench as wb; print('simulate' in vars(wb), 'simulate' in wb.__all__)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False True\n"  # the room does not stand before the verb, which is looked up when asked for
    assert callable(wb.simulate)


def test_scalars_of_growth_are_right():
    made = wb.simulate(Growth, [0.0, 1.0, 2.0], parameters={"x0": 0.5, "r": -2.0})
    np.testing.assert_allclose(made.x, 0.5 * np.exp([0.0, -2.0, -4.0]), rtol=1e-5)
    assert list(made.data_vars) == ["x"]
