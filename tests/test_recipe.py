"""Recipes: tables with other names and units, and files that open as they were saved."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from models import Line

import workbench as wb
from workbench.base.errors import DataError, ParameterError, UnitError, WorkbenchError
from workbench.base.plainfile import plain_text, read_plain
from workbench.base.share import data_file
from workbench.declare.written.declaration import written
from workbench.declare.written.discrepancy import code_of_discrepancy, discrepancy, plain_discrepancy
from workbench.domains.patients.pharmacokinetics import OneCompartmentOral, OneCompartmentOralByWeight
from workbench.recipe import columns as door

COLUMNS = {"time": "time", "unit": "subject", "conc": "conc"}
DOSE = {"dose": {"column": "dose * weight", "once": True}}


def theophylline(**rest: Any) -> wb.Recipe:
    return wb.Recipe.of(
        OneCompartmentOral, data_file("theophylline.csv"), **({"columns": COLUMNS, "inputs": DOSE} | rest)
    )


def test_columns_have_the_values_that_pandas_reads() -> None:
    table = pd.read_csv(data_file("theophylline.csv"), comment="#")
    got = theophylline().read()
    assert list(got.readings) == ["time [h]", "unit", "conc [mg/L]"]
    assert np.array_equal(got.readings["conc [mg/L]"], table["conc [mg/L]"])
    doses = got.inputs["dose"]
    first = table[table["time [h]"] == 0]
    assert np.array_equal(doses["value"], first["dose [mg/kg]"] * first["weight [kg]"])
    assert doses["unit"].tolist() == list(range(1, 13))


def test_units_are_those_of_headers_unless_they_are_said() -> None:
    got = theophylline(columns={**COLUMNS, "conc": {"column": "conc", "unit": "ug/L"}}).read()
    assert got.readings["conc [mg/L]"].iloc[0] == pytest.approx(0.74e-3)
    with pytest.raises(UnitError, match=r"columns, 'conc': got 'kg'.*convertible to 'mg/L'"):
        theophylline(columns={**COLUMNS, "conc": "weight"}).read()
    with pytest.raises(UnitError, match=r"inputs, 'dose': got '.*'.*convertible to 'mg'"):
        theophylline(inputs={"dose": {"column": "dose / weight", "once": True}}).read()


def test_a_covariate_and_a_series() -> None:
    inputs = {"dose": {"series": [[0, 0.32]], "unit": "g"}, "weight": {"column": "weight", "once": True}}
    got = wb.read(OneCompartmentOralByWeight, data_file("theophylline.csv"), columns=COLUMNS, inputs=inputs)
    assert got.inputs["dose"] == [(0.0, 320.0)]
    assert got.inputs["weight"].loc[1] == 79.6
    made = wb.to_pymc(OneCompartmentOralByWeight, got.readings, inputs=got.inputs)
    assert np.isfinite(list(made.point_logps().values())).all()


def test_rows_of_formulas_are_cases() -> None:
    """A line, against least squares with its priors as readings."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 3, 25)
    table = pd.DataFrame({"x [ms]": 1000 * x, "y [m]": 1 + 0.5 * x + 0.5 * rng.normal(size=25)})
    got = wb.read(Line, table, columns={"y": "y"}, inputs={"x": "x"})
    assert got.readings["time"].tolist() == list(range(25))
    assert got.inputs["x"]["value"].to_numpy() == pytest.approx(x)
    rows = np.concatenate([np.column_stack([np.ones(25), x]) / 0.5, np.eye(2) / 2.0])
    exact, *_ = np.linalg.lstsq(rows, np.concatenate([table["y [m]"] / 0.5, [0, 0]]), rcond=None)
    made = wb.to_pymc(Line, got.readings, inputs=got.inputs)
    slope = made.compile_dlogp()({"a": exact[0], "b": exact[1]})
    assert slope == pytest.approx(0, abs=1e-9)
    with pytest.raises(DataError, match="expected one for 'time'"):
        wb.read(OneCompartmentOral, data_file("theophylline.csv"), columns={"conc": "conc"})


def test_rows_of_doses_and_of_a_series(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"hour": [0.0, 1.0, 2.0, 3.0], "given": [100.0, 0.0, np.nan, 50.0], "seen": [0.0, 2.0, 1.5, np.nan]}
    )
    got = wb.read(OneCompartmentOral, table, columns={"time": "hour", "conc": "seen"}, inputs={"dose": "given"})
    assert got.inputs["dose"].to_dict("list") == {"time": [0.0, 3.0], "value": [100.0, 50.0]}
    xr.Dataset(
        {"seen": ("hour", [0.0, 2.0], {"units": "ug/mL"})}, {"hour": ("hour", [0, 60], {"units": "min"})}
    ).to_netcdf(tmp_path / "one.nc", engine="h5netcdf")
    read = wb.read(OneCompartmentOral, tmp_path / "one.nc", columns={"time": "hour", "conc": "seen"}).readings
    assert list(read) == ["time [min]", "conc [mg/L]"]
    assert read["conc [mg/L]"].tolist() == [0.0, 2.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": "missing.csv"}, r"got 'missing.csv'; expected the path of a file"),
        ({"data": None}, r"got no data"),
        ({"columns": {"unit": "subject", "conc": "conc"}}, r"expected one for 'time'"),
        ({"columns": {**COLUMNS, "cons": "conc"}}, r"unknown quantity 'cons'.*did you mean 'conc'"),
        ({"columns": {**COLUMNS, "conc": "cnc"}}, r"expected a column 'cnc'; did you mean 'cnc' by 'conc'"),
        ({"columns": {**COLUMNS, "conc": "conc.sum()"}}, r"columns, 'conc': got .*expected names, numbers"),
        ({"columns": {**COLUMNS, "conc": "__import__('os')"}}, r"unknown function '__import__'"),
        ({"columns": {**COLUMNS, "conc": "conc + weight"}}, r"which cannot be computed"),
        ({"inputs": {"dos": 1}}, r"unknown input 'dos'.*did you mean 'dose'"),
        ({"inputs": {"dose": 3}}, r"got a constant; expected amounts at times"),
        (
            {"inputs": {"dose": {"column": "conc", "unit": "mg", "once": True}}},
            r"that change; expected one value of each unit",
        ),
    ],
)
def test_what_cannot_be_read_is_said(change: dict[str, Any], message: str) -> None:
    with pytest.raises(WorkbenchError, match=message):
        dataclasses.replace(theophylline(), **change).read()


@pytest.mark.parametrize(
    "given",
    [None, [], True, {"column": "a", "value": 1}, {"colum": "a"}, {"value": "x"}, {"series": [[1]]}, {"series": []}],
)
def test_a_source_that_is_none_is_refused(given: Any) -> None:
    with pytest.raises(DataError, match=r"columns, 'conc': got|columns, 'conc': got unknown key"):
        theophylline(columns={**COLUMNS, "conc": given})


def test_files_that_are_too_large_or_of_text_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "words.csv"
    table.write_text("time,conc\n0,low\n1,high\n")
    with pytest.raises(DataError, match=r"'low' in row 0; expected numbers"):
        wb.to_pymc(OneCompartmentOral, wb.read(OneCompartmentOral, table, columns={"time": "time", "conc": "conc"})[0])
    (tmp_path / "no.nc").write_bytes(b"CDF?")
    with pytest.raises(DataError, match=r"no whole netCDF file"):
        wb.read(OneCompartmentOral, tmp_path / "no.nc", columns={"time": "time"})
    with (tmp_path / "large.csv").open("wb") as file:  # sparse: it takes no room
        file.truncate(door.LARGEST + 1)
    with pytest.raises(DataError, match=r"large.csv of 200 MB; expected at most 200 MB"):
        wb.read(OneCompartmentOral, tmp_path / "large.csv", columns={"time": "time"})


def test_it_opens_as_it_was_saved(tmp_path: Path) -> None:
    recipe = theophylline(pool={"ka": "partial"}, draws=7)
    saved = recipe.save(tmp_path / "twin.yaml")
    assert wb.Recipe.open(tmp_path / "twin.yaml") == saved
    assert saved.model == recipe.model == written(OneCompartmentOral())
    assert Path(saved.data).samefile(data_file("theophylline.csv"))
    names: dict[str, Any] = {}
    code = saved.code()
    exec(code[: code.index("calibration =")], names)  # what the library itself has just printed
    assert names["readings"].equals(saved.read().readings)
    assert names["inputs"]["dose"].equals(saved.read().inputs["dose"])


def test_its_face() -> None:
    recipe = theophylline(pool={"ka": "partial"})
    assert repr(recipe).startswith("Recipe(OneCompartmentOral, ")
    shown = recipe._repr_html_()
    assert "dose * weight" in shown
    assert "class OneCompartmentOral(wb.Ode)" in shown
    assert "<script" not in wb.Recipe({**recipe.model, "words": "<script>"})._repr_html_()


def test_a_table_is_saved_beside_it_and_found_when_both_are_moved(tmp_path: Path) -> None:
    table = pd.DataFrame({"time": [0.0, 1.0], "conc": [1.0, 0.1 + 0.2]})
    recipe = wb.Recipe.of(OneCompartmentOral, table, columns={"time": "time", "conc": "conc"})
    with pytest.raises(ParameterError, match="not in a file"):
        recipe.plain()
    recipe.save(tmp_path / "twin.yaml")
    (tmp_path / "moved").mkdir()
    for name in ("twin.yaml", "twin.data.csv"):
        (tmp_path / name).rename(tmp_path / "moved" / name)
    moved = wb.Recipe.open(tmp_path / "moved" / "twin.yaml")
    assert moved.read().readings.equals(recipe.read().readings)
    (tmp_path / "moved" / "twin.data.csv").write_text("time,conc\n0,1\n1,2\n")
    with pytest.raises(DataError, match=r"with SHA-256 .*the file that the recipe was saved with"):
        moved.read()


def test_what_is_written_beside_it_reads_the_same_and_takes_nothings_place(tmp_path: Path) -> None:
    dates = pd.date_range("2024-01-01", periods=3, freq="h")
    table = pd.DataFrame({"conc [ug/mL]": [1.0, 0.1 + 0.2, 1e-300]}, index=dates)
    (tmp_path / "twin.csv").write_text("mine")
    recipe = wb.Recipe.of(OneCompartmentOral, table, columns={"time": "time", "conc": "conc"})
    saved = recipe.save(tmp_path / "twin.yaml")
    assert (tmp_path / "twin.csv").read_text() == "mine"
    ours, theirs = recipe.read().readings, saved.read().readings
    assert pd.to_datetime(theirs["time"]).tolist() == ours["time"].tolist()
    assert theirs["conc [mg/L]"].equals(ours["conc [mg/L]"])


words = st.text(max_size=40)
plain = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**9), 10**9) | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(words, plain, max_size=5))
def test_plain_data_come_back_from_a_file_as_they_were(tmp_path_factory: Any, data: dict[str, Any]) -> None:
    path = tmp_path_factory.mktemp("plain") / "one.yaml"
    path.write_text(plain_text(data), encoding="utf-8")
    assert read_plain(path) == data


names = st.sampled_from(["conc", "dose", "body weight", "x", "y", "no"])
sources = st.one_of(
    names.map(lambda name: {"column": name}),
    st.floats(-1e9, 1e9).map(lambda value: {"value": value}),
    st.lists(st.tuples(st.floats(0, 99), st.floats(0, 99)).map(list), min_size=1).map(lambda s: {"series": s}),
    names.map(lambda name: {"column": name, "unit": "mg/L", "once": True}),
)


LEFT_OUT: list[dict[str, Any]] = [
    {},
    {"over": ["dose"], "joint": False, "span": {"dose": [0.0, 9.5]}, "zero_at": [0.0], "flat_at": [1.0, 2.0]},
    {
        "over": ["time", "x"],
        "functions": 40,
        "sigma": 0.25,
        "length_scale": {"x": {"prior": "Gamma", "alpha": 9.0, "beta": 1.5}},
    },
    {"kernel": "SquaredExponential", "sigma": {"prior": "HalfNormal", "sigma": 0.5}},
]


@pytest.mark.parametrize("given", LEFT_OUT, ids=str)
def test_a_discrepancy_is_the_same_as_data_and_as_code(given: dict[str, Any]) -> None:
    one = discrepancy("y", given)
    assert plain_discrepancy(one) == given
    assert eval(code_of_discrepancy(one), {"wb": wb}) == one  # code that the test itself has just had printed
    assert theophylline(discrepancy=one) == theophylline(discrepancy={"y": given})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"conc": {"ovr": "time"}}, r"discrepancy, 'conc': got unknown setting 'ovr'.*did you mean 'over'"),
        ({"conc": 3}, r"discrepancy, 'conc': got 3; expected settings"),
        ({"conc": {"kernel": "Matern"}}, r"unknown kernel 'Matern'"),
        ({"conc": {"sigma": -1}}, r"got -1 for sigma"),
        ({"conc": {"span": {"time": 3}}}, r"which cannot be used"),
        ("conc", r"got 'conc'; expected outputs with their settings"),
        ([wb.Discrepancy("conc")] * 2, r"got two of an output"),
    ],
)
def test_a_discrepancy_that_cannot_be_is_refused(given: Any, message: str) -> None:
    with pytest.raises(WorkbenchError, match=message):
        theophylline(discrepancy=given)


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(names, sources),
    st.dictionaries(names, sources),
    st.dictionaries(names, st.sampled_from(["none", "partial", "complete"])),
    st.dictionaries(names, st.sampled_from(LEFT_OUT)),
    st.integers(1, 10**6),
    words,
    st.floats(0.1, 10),
)
def test_every_recipe_opens_equal_field_for_field(
    tmp_path_factory: Any, columns: Any, inputs: Any, pool: Any, left_out: Any, seed: int, said: str, median: float
) -> None:
    model = written(OneCompartmentOral())
    model["quantities"]["ka"]["prior"]["median"] = median
    parts = {"columns": columns, "inputs": inputs, "pool": pool, "discrepancy": left_out}
    recipe = wb.Recipe({**model, "words": said}, **parts, seed=seed)
    path = tmp_path_factory.mktemp("recipe") / "twin.yaml"
    recipe.save(path)
    assert wb.Recipe.open(path) == recipe


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: [1, 2", r"which cannot be read"),
        ("- 1", r"got list in"),
        ("modle: {}", r"unknown key 'modle'.*did you mean 'model'"),
        ("draws: 3", r"without a model"),
        ("model: !!python/object/apply:os.system ['true']", r"which cannot be read"),
        ("model: {}\ncolumns: 3", r"columns: got 3"),
    ],
)
def test_a_file_that_holds_no_recipe_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "twin.yaml"
    path.write_text(text)
    with pytest.raises(ParameterError, match=message):
        wb.Recipe.open(path)


def test_no_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="which cannot be read"):
        wb.Recipe.open(tmp_path / "none.yaml")
