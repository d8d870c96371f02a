"""Readings of every kind become the same rows; what cannot be a reading is refused with its place."""

import pickle
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench.base.errors import DataError, UnitError
from workbench.sync.observations import observe, spans


class Drug(wb.Ode):
    """Two outputs that are measured, one that is not."""

    time_unit = "h"
    m = wb.State("mg", start=1.0)
    k = wb.Parameter("1/h", value=0.1)
    V = wb.Parameter("L", value=30.0)
    E = wb.Parameter("degC", value=37.0)
    conc = wb.Output("mg/L", noise=wb.noise.LogNormal(sigma=0.1), long_name="concentration")
    temp = wb.Output("degC", noise=wb.noise.Normal(sigma=1.0))
    total = wb.Output("mg")

    def rhs(self, t, x, u, p):
        return {"m": -p.k * x.m}

    def observe(self, t, x, u, p):
        return {"conc": x.m / p.V, "temp": p.E, "total": x.m}


class Clicks(wb.Ode):
    """A count."""

    time_unit = "s"
    n = wb.State("1", start=1.0)
    k = wb.Parameter("1/s", value=0.1)
    clicks = wb.Output("1", noise=wb.noise.Poisson())

    def rhs(self, t, x, u, p):
        return {"n": -p.k * x.n}

    def observe(self, t, x, u, p):
        return {"clicks": x.n}


class Blind(wb.Ode):
    """Nothing is measured."""

    time_unit = "s"
    n = wb.State("1", start=1.0)
    k = wb.Parameter("1/s", value=0.1)

    def rhs(self, t, x, u, p):
        return {"n": -p.k * x.n}


DRUG, CLICKS = Drug(), Clicks()
NAN = float("nan")


def same(a, b, rtol=1e-13):
    assert (a.layout, a.units, a.clock, list(a.values)) == (b.layout, b.units, b.clock, list(b.values))
    np.testing.assert_array_equal(a.unit_index, b.unit_index)
    np.testing.assert_allclose(a.time, b.time, rtol=rtol)
    for name in a.values:
        np.testing.assert_allclose(a.values[name], b.values[name], rtol=rtol, err_msg=name)


ROW = st.tuples(
    st.sampled_from(["b", "a", "c"]),
    st.integers(0, 600),
    st.one_of(st.just(NAN), st.floats(1e-3, 1e3)),
    st.one_of(st.just(NAN), st.floats(-20, 40)),
)


@settings(deadline=None)
@given(st.lists(ROW, min_size=1, max_size=20, unique_by=lambda row: row[:2]), st.randoms(use_true_random=False))
def test_a_long_table_against_plain_python(rows, random):
    rows = sorted(rows, key=lambda row: row[1])  # units interleaved, each in the order of time
    rows = [(u, t, c if c == c or random.random() < 0.5 else 1.0, e) for u, t, c, e in rows]
    measured = {u for u, _, c, e in rows if c == c or e == e}
    rows = [row for row in rows if row[0] in measured]
    table = pd.DataFrame(rows, columns=["unit", "time [min]", "conc", "temp"])
    if not rows:
        with pytest.raises(DataError, match="got no samples"):
            observe(DRUG, table)
        return
    made = observe(DRUG, table)
    assert made.layout == "sample"
    assert made.units == tuple(dict.fromkeys(u for u, *_ in rows))
    expected = [row for unit in made.units for row in rows if row[0] == unit]
    assert [made.units[k] for k in made.unit_index] == [u for u, *_ in expected]
    np.testing.assert_array_equal(made.time, [t / 60 for _, t, *_ in expected])
    np.testing.assert_array_equal(made.values["conc"], [c for *_, c, _ in expected])
    np.testing.assert_array_equal(made.values["temp"], [e for *_, e in expected])
    first, last = spans(made)
    times = [[t / 60 for u, t, *_ in rows if u == unit] for unit in made.units]
    assert first.tolist() == [min(t) for t in times]
    assert last.tolist() == [max(t) for t in times]
    assert np.diff(made.offset).tolist() == [len(t) for t in times]
    same(observe(DRUG, made.to_dataset(DRUG)), made, rtol=0)
    other = pd.DataFrame(
        {
            "time [s]": table["time [min]"] * 60,
            "temp [degF]": table.temp * 9 / 5 + 32,
            "unit": table.unit,
            "conc [ng/mL]": table.conc * 1000,
        }
    )
    again = observe(DRUG, other)
    for name, values in again.values.items():
        np.testing.assert_array_equal(np.isnan(values), np.isnan(made.values[name]))
        np.testing.assert_allclose(values, made.values[name], rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(again.time, made.time)


HOURS = [0.0, 1.5, 3.0]
ONE = xr.Dataset({"conc": ("time", [1.0, NAN, 3.0]), "temp": ("time", [NAN, NAN, 37.0])}, {"time": HOURS})
ONE_TABLE = ONE.to_dataframe()
FORMS = {
    "other units": xr.Dataset(
        {
            "conc": ("time", [1000.0, NAN, 3000.0], {"units": "ug/L"}),
            "temp": ("time", [NAN, NAN, 310.15], {"units": "kelvin"}),
        },
        {"time": ("time", [0, 90, 180], {"units": "min"})},
    ),
    "table": ONE_TABLE.reset_index(),
    "table with index": ONE_TABLE,
    "table of missing values": ONE_TABLE.reset_index().convert_dtypes(),
    "table of objects": ONE_TABLE.reset_index().astype(object).replace(NAN, None),
    "table in other units": pd.DataFrame(
        {"time [min]": [0, 90, 180], "temp [kelvin]": [NAN, NAN, 310.15], "conc [g/m**3]": [1.0, NAN, 3.0]}
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_one_unit(form):
    same(observe(DRUG, FORMS[form]), observe(DRUG, ONE))


def test_one_unit():
    made = observe(DRUG, ONE)
    assert (made.layout, made.units, made.dims, made.offset.tolist()) == ("time", None, ("time",), [0, 3])
    assert made.time.tolist() == HOURS
    np.testing.assert_array_equal(made.values["conc"], [1.0, NAN, 3.0])
    assert made.scatter(np.zeros((4, 2, 3))).shape == (4, 2, 3)
    written = made.to_dataset(DRUG)
    assert written.conc.attrs == {"units": "mg/L", "long_name": "concentration"}
    assert written.temp.attrs == {"units": "degC", "long_name": "temp"}
    assert written.time.attrs["units"] == "h"
    xr.testing.assert_equal(written, ONE)


def test_one_output_alone():
    array = xr.DataArray([1e6, NAN], {"time": [0.0, 1.0]}, name="conc", attrs={"units": "ng/L"})
    series = array.to_series()
    series.attrs["units"] = "ng/L"
    for data in (array, series):
        made = observe(DRUG, data)
        np.testing.assert_allclose(made.values["conc"], [1.0, NAN])
        assert list(made.values) == ["conc"]


def test_files(tmp_path):
    path = tmp_path / "drug.csv"
    path.write_text(
        "\ufeff# Somebody (2024), table 1\n"
        'unit, time [min], "conc [ug/L]", temp, note\n'
        "7,0,1000,,fasting\n"
        "# second page\n"
        '8,0,,36,"late, twice"\n'
        "7,90,3000,37,NA\n",
        encoding="utf-8",
    )
    made = observe(DRUG, path)
    same(made, observe(DRUG, str(path)))
    assert made.units == (7, 8)
    assert made.time.tolist() == [0.0, 1.5, 0.0]
    np.testing.assert_allclose(made.values["conc"], [1.0, 3.0, NAN])
    np.testing.assert_allclose(made.values["temp"], [NAN, 37.0, 36.0])


GRID = xr.Dataset(
    {"conc": (("time", "unit"), [[1.0, 2.0], [3.0, NAN], [NAN, NAN]])}, {"time": HOURS, "unit": ["x", "y"]}
)


@pytest.mark.parametrize("data", [GRID, GRID.transpose("unit", "time")], ids=["time first", "unit first"])
def test_a_grid(data):
    made = observe(DRUG, data)
    assert (made.layout, made.units, made.dims) == ("grid", ("x", "y"), ("unit", "time"))
    assert made.unit_index.tolist() == [0, 0, 0, 1, 1, 1]
    assert made.time.tolist() == HOURS * 2
    np.testing.assert_array_equal(made.values["conc"], [1.0, 3.0, NAN, 2.0, NAN, NAN])
    np.testing.assert_array_equal(made.scatter(made.values["conc"]), GRID.conc.transpose("unit", "time"))
    rows = np.arange(24.0).reshape(4, 6)
    np.testing.assert_array_equal(made.scatter(rows)[:, 1, :], rows[:, 3:])
    xr.testing.assert_equal(made.to_dataset(DRUG), GRID.transpose("unit", "time"))
    same(observe(DRUG, made.to_dataset(DRUG)), made, rtol=0)
    assert [s.tolist() for s in spans(made)] == [[0.0, 0.0], [3.0, 3.0]]


def test_a_long_table_keeps_its_labels():
    table = pd.DataFrame({"unit": [2, 1, 2], "time": [0.0, 5.0, 1.0], "conc": [1.0, 2.0, 3.0]})
    written = observe(DRUG, table).to_dataset(DRUG)
    assert written.sizes == {"sample": 3}
    assert not written.indexes
    assert written.unit.values.tolist() == [2, 2, 1]
    assert written.time.values.tolist() == [0.0, 1.0, 5.0]
    assert written.conc.values.tolist() == [1.0, 3.0, 2.0]
    assert observe(DRUG, table.set_index(["unit", "time"])).units == (2, 1)
    assert observe(DRUG, table.replace({"unit": {2: "two"}})).to_dataset(DRUG).unit.values.tolist() == ["two", "two", 1]


def test_datetimes():
    hours = pd.date_range("2024-05-01 10:00", periods=3, freq="90min")
    made = observe(DRUG, ONE.assign_coords(time=hours))
    assert made.time.tolist() == HOURS
    assert made.clock.origin == np.datetime64("2024-05-01T10:00")
    xr.testing.assert_equal(made.to_dataset(DRUG), ONE.assign_coords(time=hours))
    assert "units" not in made.to_dataset(DRUG).time.attrs
    same(observe(DRUG, ONE_TABLE.set_axis(hours)), made)
    same(observe(DRUG, ONE_TABLE.set_axis(hours.tz_localize("UTC").tz_convert("Asia/Tokyo"))), made)
    same(observe(DRUG, ONE_TABLE.assign(time=hours.strftime("%Y-%m-%dT%H:%M:%S"))), made)


def test_names_that_are_no_outputs():
    covariates = {"weight": 70.0, "sex": "F"}
    same(observe(DRUG, ONE.assign(covariates)), observe(DRUG, ONE))  # every output is there
    same(observe(DRUG, ONE_TABLE.assign(**covariates)), observe(DRUG, ONE))
    known = ONE[["temp"]].assign(m=("time", [1.0, 2.0, 3.0]), total=("time", [1.0, 2.0, 3.0]))
    assert list(observe(DRUG, known).values) == ["temp"]  # what the model declares is no misspelt output
    assert list(observe(DRUG, ONE[["temp"]]).values) == ["temp"]


T = {"time": HOURS}


def drug(conc, hours=HOURS, **more):
    return pd.DataFrame({"time": hours, "conc": conc, **more})


ABC = [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (drug([], []), "data: got no samples of 'conc'; expected at least one number"),
        (drug([NAN] * 3), "data: got no samples of 'conc'; expected at least one number"),
        (ONE.isel(time=[]), "data: got no samples of 'conc', 'temp'"),
        (
            drug([1.0, NAN, 3.0], unit=["a", "b", "a"]),
            "data: got no samples of units 'b'; expected at least one number",
        ),
        (drug(ABC, [0.0, 2.0, 1.0]), "data: got time 1 h in row 2, after 2 h; expected times sorted"),
        (drug(ABC, [0.0, 1.0, 1.0]), "data: got time 1 h in rows 1 and 2; expected each time once"),
        (drug(ABC, [0.0, NAN, 1.0]), "data: got time nan in row 1; expected a time in every row"),
        (drug(ABC, [0.0, np.inf, np.inf]), "data: got time inf in row 1"),
        (drug(ABC, [4.0, 2.0, 1.0], unit=["a", "b", "b"]), "data, unit 'b': got time 1 h in row 1, after 2 h"),
        (drug(ABC, [4.0, 1.0, 1.0], unit=["a", "b", "b"]), "data, unit 'b': got time 1 h in rows 0 and 1"),
        (drug(ABC, [4.0, 1.0, NAN], unit=["a", "b", "b"]), "data, unit 'b': got time nan in row 1"),
        (ONE.isel(time=[0, 2, 1]), "data: got time 1.5 h in row 2, after 3 h"),
        (GRID.isel(time=[0, 0, 2]), "data, unit 'x': got time 0 h in rows 0 and 1"),
        (drug(ABC, ["2024-01-01", "2024-01-03", "2024-01-02"]), "data: got time 2024-01-02T00:00:00 in row 2, after"),
        (drug(ABC, ["2024-01-01", None, "2024-01-02"]), "data: got time nan in row 1"),
        (drug(ABC, [0.0, "noon", 1.0]), "data: got times of type float, str; expected"),
        (drug(ABC, ["a", "b", "c"]), "data: got time 'a'; expected numbers, datetimes"),
        (drug(ABC).drop(columns="time"), "data: got columns 'conc'; expected a column 'time', or an index of times"),
        (drug(ABC, unit=["a", None, "a"]), "data: got no unit in row 1; expected a label in every row"),
        (drug(["1", "<0.1", "3"]), "output 'conc': got '<0.1' in row 1; expected numbers, NaN where there is none"),
        (drug([1.0, "<0.1", 3.0]), "output 'conc': got '<0.1' in row 1; expected numbers"),
        (drug(pd.date_range("2024", periods=3)), "output 'conc': got values of type datetime64"),
        (
            drug([1.0, np.inf, 3.0]),
            "output 'conc': got inf mg/L at 1.5 h; expected a number above 0, as its noise is LogNormal",
        ),
        (drug([1.0, 0.0, 3.0]), "output 'conc': got 0 mg/L at 1.5 h; expected a number above 0"),
        (drug([1.0, 1.0, -3.0], unit=["a", "b", "b"]), "output 'conc': got -3 mg/L at 3 h, unit 'b'; expected"),
        (drug(ABC, temp=[0.0, -np.inf, -300.0]), "output 'temp': got -inf degC at 1.5 h; expected a finite number"),
        (drug([0.0, 1.0, 2.0], pd.date_range("2024", periods=3)), "output 'conc': got 0 mg/L at 2024-01-01T00:00:00;"),
        (
            drug(ABC, hours=HOURS).rename(columns={"conc": "Conc"}),
            "data: got 'Conc' and no 'conc', 'temp'; expected the names of outputs with noise; is 'Conc' meant to be "
            "'conc'?",
        ),
        (
            drug(ABC, tenp=1.0),
            "data: got 'tenp' and no 'temp'; expected the names of outputs with noise "
            "(leave out what is no output where an output was not measured); is 'tenp' meant to be 'temp'?",
        ),
        (ONE.rename(conc="con"), "data: got 'con' and no 'conc'; expected"),
        (pd.DataFrame({"time": HOURS}), "data: got nothing and no 'conc', 'temp'"),
        (pd.DataFrame({"time": HOURS, "m": ABC}), "data: got 'm' and no 'conc', 'temp'"),
        (pd.DataFrame([[0, 1, 2]], columns=["time", "conc [mg/L]", "conc"]), "data: got two columns named 'conc'"),
        (xr.Dataset({"conc": ("time", ABC)}), "data: got coordinates none; expected a coordinate 'time'"),
        (xr.Dataset({"conc": 1.0}, T), "output 'conc': got dims none; expected 'time', or 'unit' and 'time'"),
        (
            xr.Dataset({"conc": ("draw", ABC)}, T),
            "output 'conc': got dims 'draw'; expected 'time', or 'unit' and 'time'",
        ),
        (GRID.assign(temp=("time", ABC)), "output 'temp': got dims 'time'; expected those of 'conc', 'time', 'unit'"),
        (GRID.isel(unit=[0, 1, 1]), "data: got unit 'y' twice; expected each unit once"),
        (
            xr.Dataset({"conc": ("sample", ABC)}, {"time": ("sample", HOURS), "unit": "a"}),
            "data: got 'unit' with dims none; expected 'sample'",
        ),
        (ONE.conc.rename(None), "data: got a DataArray without a name; expected the name of an output"),
        ([1.0, 2.0], "data: got list; expected a Dataset or a DataFrame"),
        ("no/such.csv", "data: got 'no/such.csv'; expected the path of a file"),
    ],
)
def test_refused(data, says):
    with pytest.raises(DataError) as error:
        observe(DRUG, data)
    assert str(error.value).startswith(says)


@pytest.mark.parametrize(
    ("count", "says"),
    [
        (-1.0, "output 'clicks': got -1 1 at 1 s; expected a whole number, 0 or more, as its noise is Poisson"),
        (0.5, "output 'clicks': got 0.5 1 at 1 s; expected a whole number"),
        (np.inf, "output 'clicks': got inf 1 at 1 s; expected a whole number"),
    ],
)
def test_counts(count, says):
    table = pd.DataFrame({"time": [0, 1], "clicks": [3, count]})
    with pytest.raises(DataError) as error:
        observe(CLICKS, table)
    assert str(error.value).startswith(says)
    kept = observe(CLICKS, table.replace(count, NAN)).values["clicks"]
    np.testing.assert_array_equal(kept, [3.0, NAN])


def test_a_model_without_sensors():
    with pytest.raises(DataError, match="Blind: got no output with a noise"):
        observe(Blind(), pd.DataFrame({"time": [0.0], "n": [1.0]}))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (ONE.assign(conc=ONE.conc.assign_attrs(units="mg")), r"output 'conc': got 'mg' .*convertible to 'mg/L'"),
        (ONE.assign(conc=ONE.conc.assign_attrs(units="mg/Ll")), r"output 'conc': got unknown unit 'mg/Ll'"),
        (
            ONE.assign(conc=ONE.conc.assign_attrs(units=3)),
            r"output 'conc': got unknown unit '3'",
        ),
        (ONE.assign_coords(time=ONE.time.assign_attrs(units="m")), r"data: got 'm' .*convertible to 'h'"),
        (drug(ABC).rename(columns={"conc": "conc [kg]"}), r"output 'conc': got 'kg' .*convertible to 'mg/L'"),
        (drug(ABC).rename(columns={"time": "time [kg]"}), r"data: got 'kg' .*convertible to 'h'"),
    ],
)
def test_wrong_units_are_refused(data, says):
    with pytest.raises(UnitError, match=says):
        observe(DRUG, data)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "expected a CSV file with a header"),
        (b"time,conc\n0,1,2,3\n", "got rows with more fields than the header"),
        (b"time,conc\n0,1\n1,2,3\n", "expected a CSV file with a header"),
        (b"time,conc\n0,\xff\n", "expected a CSV file with a header in UTF-8"),
        (b"time;conc\n0;1\n", "data: got columns 'time;conc'; expected a column 'time'"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, content, says):
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=says):
        observe(DRUG, path)


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_nothing_is_unpickled(tmp_path):
    sprung, path = tmp_path / "sprung", tmp_path / "data.pkl"
    path.write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(DataError):
        observe(DRUG, path)
    assert not sprung.exists()


def test_a_hundred_thousand_rows_take_well_under_a_second():
    count = 1000
    table = pd.DataFrame({"unit": np.repeat(range(count), 100), "time": np.tile(np.arange(100.0), count), "conc": 1.0})
    observe(DRUG, table[:100])  # loads pint
    clock = time.perf_counter()
    made = observe(DRUG, table)
    assert time.perf_counter() - clock < 0.5
    assert made.time.size == 100_000
