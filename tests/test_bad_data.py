"""What cannot be used is refused at the verbs, at once, in a sentence: what was got, and what was expected."""

import importlib

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from calibrations import Level, Sensors, level_data, lynx_hare_data
from models import Dosing, LynxHare, Room

import workbench as wb
from workbench.base.errors import DataError, ParameterError, UnitError, WorkbenchError

NAN = float("nan")


def line(times=(0.0, 1.0, 2.0), values=(1.0, 2.0, 3.0), unit="mg", time_unit="h") -> xr.Dataset:
    made = xr.Dataset({"y": ("time", list(values), {"units": unit})}, {"time": list(times)})
    made["time"].attrs["units"] = time_unit
    return made


def table(**columns) -> pd.DataFrame:
    return pd.DataFrame({"time": [0.0, 1.0, 2.0], "y": [1.0, 2.0, 3.0]} | columns)


def pelts(**columns) -> xr.Dataset:
    return lynx_hare_data().assign({name: ("time", values) for name, values in columns.items()})


PELTS = lynx_hare_data()["hare_pelts"].values
DATA = {
    "shuffled times": (
        Level,
        line((0.0, 2.0, 1.0)),
        DataError,
        r"data: got time 1 h in row 2, after 2 h; expected times",
    ),
    "a time twice": (Level, line((0.0, 1.0, 1.0)), DataError, r"got time 1 h in rows 1 and 2; expected each time once"),
    "a time that is missing": (
        Level,
        line((0.0, NAN, 2.0)),
        DataError,
        r"got time nan in row 1; expected a time in every",
    ),
    "an infinite time": (Level, line((0.0, 1.0, np.inf)), DataError, r"got time inf in row 2; expected a time"),
    "a time twice in a unit": (
        Level,
        table(unit=["a", "b", "b"], time=[0.0, 3.0, 3.0]),
        DataError,
        r"data, unit 'b': got time 3 h in rows 0 and 1; expected each time once",
    ),
    "shuffled datetimes": (
        Level,
        line(pd.to_datetime(["2024-05-01", "2024-05-03", "2024-05-02"]), time_unit=None),
        DataError,
        r"got time 2024-05-02.* in row 2, after 2024-05-03",
    ),
    "wrong units": (
        Level,
        line(unit="mg/L"),
        UnitError,
        r"output 'y': got 'mg/L' .*expected a unit convertible to 'mg'",
    ),
    "an unknown unit": (Level, line(unit="mgg"), UnitError, r"output 'y': .*'mgg'"),
    "a time in metres": (Level, line(time_unit="m"), UnitError, r"data: got 'm' .*expected a unit convertible to 'h'"),
    "a missing column": (
        Level,
        table().drop(columns="y"),
        DataError,
        r"data: got nothing and no 'y'; expected the names",
    ),
    "a misspelt column": (
        Level,
        table().rename(columns={"y": "Y"}),
        DataError,
        r"got 'Y' and no 'y'.*is 'Y' meant to be",
    ),
    "one output of two misspelt": (
        LynxHare,
        lynx_hare_data().rename(lynx_pelts="linx_pelts"),
        DataError,
        r"got 'linx_pelts' and no 'lynx_pelts'; .*is 'linx_pelts' meant to be 'lynx_pelts'\?",
    ),
    "no times": (Level, table().drop(columns="time"), DataError, r"data: got columns 'y'; expected a column 'time'"),
    "no coordinate": (
        Level,
        line().drop_vars("time"),
        DataError,
        r"got coordinates none; expected a coordinate 'time'",
    ),
    "another dim": (Level, line().rename(time="t"), DataError, r"output 'y': got dims 't'; expected 'time', or 'unit'"),
    "an empty table": (
        Level,
        table().iloc[:0],
        DataError,
        r"data: got no samples of 'y'; expected at least one number",
    ),
    "an empty dataset": (
        Level,
        xr.Dataset(),
        DataError,
        r"data: got nothing and no 'y'; expected the names of outputs",
    ),
    "nothing but NaN": (
        Level,
        line(values=[NAN] * 3),
        DataError,
        r"got no samples of 'y'; expected at least one number",
    ),
    "a unit without samples": (
        Level,
        table(unit=["a", "a", "b"], y=[1.0, 2.0, NAN]),
        DataError,
        r"got no samples of units 'b'; expected at least one number of each, or no such unit",
    ),
    "a row without its unit": (
        Level,
        table(unit=["a", None, "b"]),
        DataError,
        r"got no unit in row 1; expected a label",
    ),
    "a text": (Level, table(y=[1.0, "low", 3.0]), DataError, r"output 'y': got 'low' in row 1; expected numbers, NaN"),
    "an infinite value": (
        Level,
        line(values=[1.0, np.inf, 2.0]),
        DataError,
        r"'y': got inf mg at 1 h; expected a finite",
    ),
    "a negative value": (
        LynxHare,
        pelts(hare_pelts=np.where(PELTS > 76, -3.0, PELTS)),
        DataError,
        r"output 'hare_pelts': got -3 1 at 1903 year; expected a number above 0, as its noise is LogNormal, and NaN",
    ),
    "nought": (LynxHare, pelts(hare_pelts=0 * PELTS), DataError, r"got 0 1 at 1900 year; expected a number above 0"),
    "half a count": (
        Sensors,
        xr.Dataset({"counts": ("time", [3.0, 2.5])}, {"time": [0.0, 0.5]}),
        DataError,
        r"output 'counts': got 2.5 1 at 0.5 h; expected a whole number, 0 or more, as its noise is Poisson",
    ),
    "a count below nought": (
        Sensors,
        xr.Dataset({"clumps": ("time", [-1.0, 2.0])}, {"time": [0.0, 0.5]}),
        DataError,
        r"output 'clumps': got -1 1 at 0 h; expected a whole number, 0 or more, as its noise is NegativeBinomial",
    ),
    "a list": (
        Level,
        [1.0, 2.0],
        DataError,
        r"data: got list; expected a Dataset or a DataFrame with a time, or the path",
    ),
    "no such file": (Level, "nowhere.csv", DataError, r"'nowhere.csv'"),
    "nothing": (Level, None, DataError, r"data: got NoneType; expected"),
    "an output without noise alone": (
        Dosing,
        xr.Dataset({"total": ("time", [1.0])}, {"time": [0.0]}),
        DataError,
        r"got 'total' and no 'concentration'; expected the names of outputs with noise",
    ),
}


@pytest.fixture(autouse=True)
def nothing_is_compiled(monkeypatch):
    """A mistake is found before a person waits for a compiler."""

    def refuse(*_):
        raise AssertionError("compiled what cannot be used")

    for module, name in (("calibrate.posterior", "compile_density"), ("simulate.kernels.cache", "load")):
        monkeypatch.setattr(importlib.import_module(f"workbench.{module}"), name, refuse)


def sentence(error: WorkbenchError) -> None:
    assert "got" in str(error)
    assert "expected" in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize("mistake", DATA)
@pytest.mark.parametrize("verb", [wb.calibrate, wb.to_pymc], ids=["calibrate", "to_pymc"])
def test_data(verb, mistake):
    model, data, kind, words = DATA[mistake]
    with pytest.raises(kind, match=words) as caught:
        verb(model(), data, **({"progress": False} if verb is wb.calibrate else {}))
    sentence(caught.value)


ROOM = xr.Dataset({"T_meas": ("time", [20.0, 21.0])}, {"time": [0.0, 2.0]})
WEATHER = {"To": {0.0: 5.0, 2.0: 6.0}, "Q": {0.0: 1.0}}
INPUTS = {
    "unknown": (WEATHER | {"Qh": 1.0}, DataError, r"Room: got unknown input 'Qh'; expected one of 'To', 'Q'; did you"),
    "missing": ({"Q": 1.0}, DataError, r"Room: got no input 'To'; expected inputs=\{'To'"),
    "none at all": (None, DataError, r"Room: got no input 'To', 'Q'; expected inputs="),
    "too short": (
        WEATHER | {"To": {0.0: 5.0, 1.0: 6.0}},
        DataError,
        r"input 'To': got values from 0 h to 1 h; expected them to cover 0 h to 2 h, as nothing is extrapolated",
    ),
    "wrong unit": (
        WEATHER | {"Q": xr.DataArray([1.0], {"time": [0.0]}, "time", attrs={"units": "kg"})},
        UnitError,
        r"input 'Q': got 'kg' .*expected a unit convertible to 'kW'",
    ),
    "a gap": (
        WEATHER | {"To": {0.0: 5.0, 1.0: NAN, 2.0: 6.0}},
        DataError,
        r"input 'To': got nan at 1 h; expected a finite",
    ),
    "of units where there are none": (
        WEATHER | {"Q": {"a": {0.0: 1.0}}},
        DataError,
        r"input 'Q': got units 'a'; expected none, as the data are of one nameless unit",
    ),
    "no mapping": ([1.0], DataError, r"inputs: got list; expected a mapping from an input's name to its series"),
}


@pytest.mark.parametrize("mistake", INPUTS)
def test_inputs(mistake):
    inputs, kind, words = INPUTS[mistake]
    with pytest.raises(kind, match=words) as caught:
        wb.calibrate(Room(), ROOM, inputs=inputs, progress=False)
    sentence(caught.value)


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"draws": 0}, r"got draws=0; expected a whole number of at least 4"),
        ({"draws": 3}, r"got draws=3; expected a whole number of at least 4"),
        ({"draws": 100.0}, r"got draws=100.0; expected a whole number"),
        ({"draws": "many"}, r"got draws='many'; expected a whole number"),
        ({"tune": -1}, r"got tune=-1; expected a whole number of at least 0"),
        ({"chains": 0}, r"got chains=0; expected a whole number of at least 1"),
        ({"chains": True}, r"got chains=True; expected a whole number of at least 1"),
        ({"seed": -1}, r"got seed=-1; expected a whole number of at least 0"),
        ({"seed": 1.5}, r"got seed=1.5; expected a whole number"),
        ({"discrepancy": True}, r"got discrepancy=True; expected wb.Discrepancy\(output\)"),
        (
            {"pool": {"x_start": "none"}},
            r"pool\['x_start'\]: got 'none' for data of one unit; expected data with a `unit`",
        ),
        ({"pool": {"start": "none"}}, r"unknown parameter 'start'; expected one of 'x_start'; did you mean 'x_start'"),
        ({"pool": "partial"}, r"got pool='partial'; expected a mapping"),
    ],
    ids=str,
)
def test_settings(keywords, words):
    with pytest.raises(ParameterError, match=words) as caught:
        wb.calibrate(Level(), line(), progress=False, **keywords)
    sentence(caught.value)


def test_discrepancy_is_refused_by_to_pymc_too():
    with pytest.raises(ParameterError, match=r"got discrepancy='gp'; expected wb.Discrepancy"):
        wb.to_pymc(Level(), level_data(), discrepancy="gp")


PARAMETERS = {
    "out of bounds": ({"V": -1.0}, r"V: got -1 L; expected a number within its bounds 0 to inf"),
    "unknown": ({"kA": 1.0}, r"Dosing: got unknown parameter 'kA'; expected one of .*; did you mean 'ka'\?"),
    "not a number": ({"ka": "fast"}, r"ka: got value 'fast'; expected a number or a DataArray"),
    "NaN": ({"ka": NAN}, r"ka: got nan 1/h; expected"),
    "dims that are none of draws": (
        {"ka": xr.DataArray([1.0, 2.0], dims="patient")},
        r"ka: got unknown dim 'patient'; expected one of 'chain', 'draw', 'member', 'unit'",
    ),
}


@pytest.mark.parametrize("mistake", PARAMETERS)
def test_parameters_of_a_simulation(mistake):
    parameters, words = PARAMETERS[mistake]
    with pytest.raises(ParameterError, match=words) as caught:
        wb.simulate(Dosing(), [0.0, 1.0], parameters=parameters, inputs={"infusion": 0.0, "release": 0.0})
    sentence(caught.value)


def test_a_model_that_is_none():
    for thing in (None, "Level", level_data()):
        with pytest.raises(WorkbenchError, match=r"expected a model, such as an instance of a subclass of wb.Ode"):
            wb.calibrate(thing, line(), progress=False)


def test_a_model_that_sensors_do_not_read():
    class Blind(wb.Ode):
        time_unit = "h"
        x = wb.State("mg", start=1.0)
        k = wb.Parameter("mg/h", prior=wb.prior.Normal(0.0, 1.0))
        y = wb.Output("mg")

        def rhs(self, t, x, u, p):
            return {"x": p.k}

        def observe(self, t, x, u, p):
            return {"y": x.x}

    with pytest.raises(DataError, match=r"Blind: got no output with noise; expected noise=wb.noise"):
        wb.calibrate(Blind(), line(), progress=False)
