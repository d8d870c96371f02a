"""Schedules against numpy's interpolation, steps and sums; every form of an input; every mistake in one."""

import time

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import workbench as wb
from workbench.base.clock import Clock
from workbench.base.errors import DataError, UnitError
from workbench.simulate.scenario import build_schedule, unit_labels


class Tank(wb.Ode):
    """Two impulses, one linear and one previous input."""

    time_unit = "h"
    m = wb.State("mg", start=0.0)
    T = wb.State("degC", start=20.0)
    k = wb.Parameter("1/h", value=0.1)
    To = wb.Input("degC")
    dose = wb.Input("mg", kind="impulse", into="m")
    flow = wb.Input("mg/h", kind="previous")
    extra = wb.Input("mg", kind="impulse", into="m")

    def rhs(self, t, x, u, p):
        return {"m": u.flow - p.k * x.m, "T": p.k * (u.To - x.T)}


class Pill(wb.Ode):
    """A dose alone."""

    time_unit = "h"
    m = wb.State("mg", start=0.0)
    k = wb.Parameter("1/h", value=0.1)
    dose = wb.Input("mg", kind="impulse", into="m")

    def rhs(self, t, x, u, p):
        return {"m": -p.k * x.m}


TANK, PILL = Tank(), Pill()
STILL = {"To": 20.0, "flow": 0.0}


def build(model, inputs, *, units=None, begin=0.0, end=10.0, clock=None):
    count = 1 if units is None else len(units)
    begin, end = (np.broadcast_to(np.asarray(x, float), (count,)) for x in (begin, end))
    return build_schedule(model, inputs, units=units, begin=begin, end=end, clock=clock or Clock("h"))


def at(schedule, unit, times):
    """Evaluate a unit's inputs, and the sums of what was added to its states, at times."""
    part = slice(*schedule.offset[unit : unit + 2])
    begin = schedule.begin[part]
    segment = np.searchsorted(begin, times, "right") - 1
    values = schedule.level[part][segment] + schedule.slope[part][segment] * (times - begin[segment])[:, None]
    return values, np.cumsum(schedule.jump[part], axis=0)[segment]


def same(a, b):
    for name in ("offset", "begin", "level", "slope", "jump"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-13, atol=1e-13, err_msg=name)


QUARTERS = st.integers(-40, 80).map(lambda n: n / 4)  # coarse, so that times of different inputs meet
AMOUNTS = st.integers(-3, 5).map(float)
UNITS = st.lists(
    st.tuples(
        st.dictionaries(QUARTERS, AMOUNTS, max_size=6),
        st.dictionaries(QUARTERS, AMOUNTS, max_size=6),
        st.lists(st.tuples(QUARTERS, AMOUNTS), max_size=6),
        st.floats(0, 5),
        st.floats(0, 10),
    ),
    min_size=1,
    max_size=4,
)


@settings(deadline=None, max_examples=150)
@given(UNITS, st.randoms(use_true_random=False))
def test_against_interpolation_steps_and_sums(people, random):
    low, high = -20.0, 30.0  # so that the linear and previous inputs cover every clock
    lines = [{low: 1.0, **d, high: 2.0} for d, *_ in people]
    steps = [{low: 3.0, **d} for _, d, *_ in people]
    doses = [d for _, _, d, *_ in people]
    begin = np.array([b for *_, b, _ in people])
    end = begin + [length for *_, length in people]
    names = list("abcd")[: len(people)]
    rows = [(n, t, v) for n, d in zip(names, doses, strict=True) for t, v in d]
    rows += [(n, t, np.nan) for n in names for t in (-11.0, 50.0)]  # NaN is no dose; it does not start the clock either
    random.shuffle(rows)  # impulses may come in any order
    inputs = {
        "To": {n: dict(sorted(d.items())) for n, d in zip(names, lines, strict=True)},
        "flow": {n: dict(sorted(d.items())) for n, d in zip(names, steps, strict=True)},
        "dose": pd.DataFrame(rows, columns=["unit", "time", "value"]),
        "extra": {5.0: 7.0, 1000.0: 1e9},
    }
    made = build(TANK, inputs, units=names, begin=begin, end=end)
    assert made.offset[0] == 0
    assert made.offset[-1] == made.begin.size
    assert made.level.shape == made.slope.shape == made.jump.shape == (made.begin.size, 2)
    for k in range(len(names)):
        segments = made.begin[made.offset[k] : made.offset[k + 1]]
        start = min([begin[k], 5.0, *(t for t, _ in doses[k])])
        assert segments[0] == start
        assert (np.diff(segments) > 0).all()
        times = np.unique(
            [start, end[k], *segments[segments <= end[k]], *(random.uniform(start, end[k]) for _ in range(20))]
        )
        values, added = at(made, k, times)
        line, step = (sorted(d[k].items()) for d in (lines, steps))
        np.testing.assert_allclose(values[:, 0], np.interp(times, *zip(*line, strict=True)), atol=1e-12)
        held = [max((t, v) for t, v in step if t <= now)[1] for now in times]
        np.testing.assert_array_equal(values[:, 1], held)
        jumps = [*doses[k], (5.0, 7.0)]
        expected = [sum(v for t, v in jumps if t <= min(now, end[k])) for now in times]
        np.testing.assert_allclose(added[:, 0], expected, atol=1e-12)
        assert (added[:, 1] == 0).all()


def test_the_clock_starts_at_the_first_impulse_of_each_unit():
    made = build(PILL, {"dose": {"a": {-2.0: 1.0, 3.0: 5.0}, "b": {4.0: 2.0}}}, units=["a", "b"], begin=[0.0, 1.0])
    assert made.offset.tolist() == [0, 2, 4]
    assert made.begin.tolist() == [-2.0, 3.0, 1.0, 4.0]
    assert made.jump[:, 0].tolist() == [1.0, 5.0, 0.0, 2.0]


def test_simultaneous_impulses_add_up_and_late_ones_are_left_out():
    made = build(
        TANK, {**STILL, "dose": [(1.0, 2.0), (10.0, 4.0), (1.0, 3.0), (10.5, 9.0)], "extra": {1.0: 5.0, 2.0: 0.0}}
    )
    assert made.begin.tolist() == [0.0, 1.0, 10.0]
    assert made.jump[:, 0].tolist() == [0.0, 10.0, 4.0]


def test_a_new_value_at_a_reading_counts_for_it():
    made = build(TANK, {"To": 20.0, "flow": {0.0: 1.0, 10.0: 2.0}})
    assert made.begin.tolist() == [0.0, 10.0]
    assert made.level[:, 1].tolist() == [1.0, 2.0]


def test_rows_on_one_line_need_no_segment():
    hours = np.arange(0.0, 11.0)
    made = build(TANK, {"To": dict(zip(hours, 2 * hours, strict=True)), "flow": dict.fromkeys(hours, 3.0)})
    assert made.begin.tolist() == [0.0]
    assert made.level.tolist() == [[0.0, 3.0]]
    assert made.slope.tolist() == [[2.0, 0.0]]


def test_no_inputs_and_no_length():
    made = build(PILL, None, end=0.0)
    assert made.offset.tolist() == [0, 1]
    assert made.begin.tolist() == [0.0]
    assert made.level.shape == (1, 0)
    assert made.jump.tolist() == [[0.0]]
    same(made, build(PILL, {"dose": {}}, end=0.0))
    same(made, build(PILL, {"dose": None}, end=0.0))


T, V = [0.0, 4.0, 10.0], [18.0, 26.0, 20.0]
REFERENCE = build(TANK, {"To": dict(zip(T, V, strict=True)), "flow": 0.0})
FAHRENHEIT = [v * 9 / 5 + 32 for v in V]
FORMS = {
    "pairs": list(zip(T, V, strict=True)),
    "array of pairs": np.array([T, V]).T,
    "array": xr.DataArray(V, {"time": T}, "time"),
    "array in other units": xr.DataArray(
        FAHRENHEIT, {"time": ("time", [60 * t for t in T], {"units": "min"})}, "time", attrs={"units": "degF"}
    ),
    "series": pd.Series(V, index=T),
    "series of integers": pd.Series([18, 26, 20], index=[0, 4, 10]),
    "table": pd.DataFrame({"time": T, "value": V}),
    "table with index": pd.DataFrame({"To": V}, index=pd.Index(T, name="time")),
    "table in other units": pd.DataFrame({"time [min]": [60 * t for t in T], "To [degF]": FAHRENHEIT, "value": 0.0}),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_a_continuous_input(form):
    same(build(TANK, {"To": FORMS[form], "flow": 0.0}), REFERENCE)


def test_a_file(tmp_path):
    path = tmp_path / "weather.csv"
    path.write_text("# measured on the roof\ntime [min],To [degC],rain\n0,18,0\n240,26,1\n600,20,0\n")
    same(build(TANK, {"To": path, "flow": 0.0}), REFERENCE)
    same(build(TANK, {"To": str(path), "flow": 0.0}), REFERENCE)


@pytest.mark.parametrize(
    "number", [3, 3.0, np.float32(3), np.array(3.0), xr.DataArray(3.0), xr.DataArray(3000.0, attrs={"units": "ug/h"})]
)
def test_constants(number):
    made = build(TANK, {"To": 20.0, "flow": number})
    np.testing.assert_allclose(made.level, [[20.0, 3.0]], rtol=1e-15)
    assert made.slope.tolist() == [[0.0, 0.0]]


DOSES = {1: {0.0: 320.0, 6.0: 100.0}, 2: {0.0: 250.0}}
LONG = pd.DataFrame(
    {"unit": [2, 1, 1], "time": [0.0, 0.0, 6.0], "dose": [250.0, 320.0, 100.0], "weight": [70.0, 80.0, 80.0]}
)
DOSE_FORMS = {
    "table": LONG,
    "table in other units": LONG.assign(**{"dose [g]": LONG.dose / 1000, "time [s]": LONG.time * 3600}).drop(
        columns=["dose", "time"]
    ),
    "series": LONG.set_index(["unit", "time"])["dose"],
    "array": xr.DataArray([[320.0, 100.0], [250.0, np.nan]], {"unit": [1, 2], "time": [0.0, 6.0]}, ("unit", "time")),
    "array the other way round": xr.DataArray(
        [[0.25, 0.32], [np.nan, 0.1]], {"unit": [2, 1], "time": [0.0, 6.0]}, ("time", "unit"), attrs={"units": "g"}
    ),
}


@pytest.mark.parametrize("form", DOSE_FORMS)
def test_forms_of_impulses_of_units(form):
    same(build(PILL, {"dose": DOSE_FORMS[form]}, units=[1, 2]), build(PILL, {"dose": DOSES}, units=[1, 2]))


def test_constants_of_units_and_what_all_units_share():
    flow = xr.DataArray([5.0, 7.0], {"unit": ["b", "a"]}, "unit")
    made = build(TANK, {"To": {0.0: 0.0, 5.0: 10.0, 20.0: 10.0}, "flow": flow, "dose": {1.0: 4.0}}, units=["a", "b"])
    assert made.begin.tolist() == [0.0, 1.0, 5.0] * 2
    assert made.level[:, 1].tolist() == [7.0] * 3 + [5.0] * 3
    assert made.level[:, 0].tolist() == [0.0, 2.0, 10.0] * 2
    assert made.jump[:, 0].tolist() == [0.0, 4.0, 0.0] * 2


def test_datetimes():
    clock = Clock("h", np.datetime64("2024-05-01"))
    series = pd.Series([1.0, 2.0], index=pd.date_range("2024-05-01", periods=2, freq="2h"))
    made = build(TANK, {"To": 20.0, "flow": series, "dose": {"2024-05-01T03:00": 9.0}}, clock=clock)
    assert made.begin.tolist() == [0.0, 2.0, 3.0]
    assert made.jump[:, 0].tolist() == [0.0, 0.0, 9.0]


def test_a_boundary_that_was_rounded_in_another_unit_is_no_gap():
    hair = 0.1 + 0.2  # more than 0.3 by one bit
    made = build(TANK, {"To": {0.0: 1.0, 0.3: 2.0}, "flow": 0.0}, end=hair)
    assert made.begin.tolist() == [0.0]
    made = build(TANK, {"To": {hair: 1.0, 1.3: 2.0}, "flow": {hair: 5.0}}, begin=0.3, end=1.0)
    assert made.begin.tolist() == [0.3]
    np.testing.assert_allclose(made.level, [[1.0, 5.0]], rtol=1e-12)


def test_unit_labels():
    assert unit_labels(PILL, None) is None
    assert unit_labels(PILL, {"dose": {0.0: 1.0}}) is None
    assert unit_labels(PILL, {"dose": LONG}) == (2, 1)
    assert unit_labels(TANK, {**STILL, "dose": DOSES}) == (1, 2)


GRID = xr.DataArray([[1.0, 2.0]], {"unit": ["a"], "time": [0.0, 10.0]}, ("unit", "time"))


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        (
            {"dosse": {0.0: 1.0}, **STILL},
            "Tank: got unknown input 'dosse'; expected one of 'To', 'dose', 'flow', 'extra'; did you mean 'dose'?",
        ),
        ({"To": 1.0}, "Tank: got no input 'flow'; expected inputs={'flow': ...}"),
        ({"dose": {0.0: 1.0}}, "Tank: got no input 'To', 'flow'"),
        ([1.0], "inputs: got list; expected a mapping"),
        ({**STILL, "dose": 5.0}, "input 'dose': got amounts without times; expected amounts at times"),
        ({**STILL, "dose": {0.0: np.inf}}, "input 'dose': got an infinite amount"),
        ({**STILL, "dose": {np.nan: 1.0}}, "input 'dose': got an amount without a time"),
        ({**STILL, "dose": {0.0: "much"}}, "input 'dose': got 'much' in row 0; expected numbers"),
        ({**STILL, "dose": [(0.0, 1.0), 5.0]}, "input 'dose': got 5.0 in a list; expected pairs of time and value"),
        ({**STILL, "dose": ["01", "23"]}, "input 'dose': got '01' in a list; expected pairs"),
        (
            {**STILL, "dose": {"2024-05-01": 1.0}},
            "input 'dose': got datetimes such as 2024-05-01T00:00:00; expected numbers in h",
        ),
        ({**STILL, "dose": {"soon": 1.0}}, "input 'dose': got time 'soon'"),
        ({**STILL, "dose": print}, "input 'dose': got builtin_function_or_method; expected a number, a DataArray"),
        (
            {**STILL, "dose": {"a": {0.0: 1.0}}},
            "input 'dose': got units 'a'; expected none, as the data are of one nameless unit",
        ),
        (
            {**STILL, "dose": pd.DataFrame({"when": [0.0], "dose": [1.0]})},
            "input 'dose': got a table with columns 'when', 'dose'; expected a column 'time'",
        ),
        (
            {**STILL, "dose": pd.DataFrame({"time": [0.0], "mg": [1.0]})},
            "input 'dose': got a table with columns 'time', 'mg'; expected 'dose' or 'value'",
        ),
        ({**STILL, "dose": "no/such.csv"}, "input 'dose': got 'no/such.csv'; expected the path of a file"),
        (
            {**STILL, "flow": {-1.0: 1.0, 2.0: np.nan}},
            "input 'flow': got nan at 2 h; expected a finite number at every time",
        ),
        ({**STILL, "flow": np.inf}, "input 'flow': got inf; expected a finite number"),
        ({**STILL, "flow": {}}, "input 'flow': got no values; expected at least one"),
        (
            {**STILL, "flow": [(0.0, 1.0), (1.0, 1.0), (1.0, 2.0)]},
            "input 'flow': got time 1 h in rows 1 and 2; expected each time once",
        ),
        (
            {**STILL, "flow": [(0.0, 1.0), (2.0, 1.0), (1.0, 2.0)]},
            "input 'flow': got time 1 h in row 2, after 2 h; expected times sorted",
        ),
        ({**STILL, "flow": [(0.0, 1.0), (np.nan, 1.0)]}, "input 'flow': got time nan in row 1"),
        (
            {**STILL, "flow": {0.5: 1.0}},
            "input 'flow': got values from 0.5 h to 0.5 h; expected them to cover 0 h to 10 h",
        ),
        (
            {**STILL, "To": {0.0: 1.0, 9.0: 1.0}},
            "input 'To': got values from 0 h to 9 h; expected them to cover 0 h to 10 h",
        ),
        (
            {**STILL, "To": {0.0: 1.0, 20.0: 1.0}, "dose": {-3.0: 1.0}},
            "input 'To': got values from 0 h to 20 h; expected them to cover -3 h to 10 h",
        ),
        (
            {**STILL, "To": xr.DataArray([1.0], dims="time")},
            "input 'To': got a dim 'time' without times; expected a coordinate 'time'",
        ),
        (
            {**STILL, "To": xr.DataArray([1.0, 2.0], dims="draw")},
            "input 'To': got dim 'draw'; expected no dims but 'time' and 'unit'",
        ),
    ],
)
def test_refused(inputs, says):
    with pytest.raises(DataError) as error:
        build(TANK, inputs)
    assert str(error.value).startswith(says)


@pytest.mark.parametrize(
    ("dose", "says"),
    [
        ({"a": {0.0: 1.0}}, "input 'dose': got nothing for units 'b', only for 'a'; expected all"),
        ({"a": {0.0: 1.0}, "b": {0.0: 1.0}, "B": {0.0: 2.0}}, "input 'dose': got unknown units 'B'; expected 'a', 'b'"),
        ({1: {0.0: 1.0}}, "input 'dose': got unknown units 1; expected 'a', 'b'"),
        (GRID, "input 'dose': got nothing for units 'b'"),
        (GRID.isel(unit=[0, 0]), "input 'dose': got unit 'a' twice; expected each unit once"),
        (
            pd.DataFrame({"unit": ["a", None], "time": 0.0, "value": 1.0}),
            "input 'dose': got no unit in row 1; expected a label",
        ),
        (
            pd.Series([1.0], index=pd.MultiIndex.from_tuples([("a", 0.0)])),
            "input 'dose': got a Series with index [None, None]",
        ),
    ],
)
def test_units_refused(dose, says):
    with pytest.raises(DataError) as error:
        build(PILL, {"dose": dose}, units=["a", "b"])
    assert str(error.value).startswith(says)


def test_the_unit_at_fault_is_named():
    flow = {"a": {0.0: 1.0}, "b": {0.0: 1.0, 1.0: np.nan}}
    with pytest.raises(DataError, match=r"^input 'flow': got nan at 1 h, unit 'b'; expected"):
        build(TANK, {"To": 1.0, "flow": flow}, units=["a", "b"])
    with pytest.raises(DataError, match=r"^input 'flow', unit 'b': got values from 2 h"):
        build(TANK, {"To": 1.0, "flow": {"a": {0.0: 1.0}, "b": {2.0: 1.0}}}, units=["a", "b"])
    with pytest.raises(DataError, match=r"^input 'flow', unit 'b': got time 1 h in row 1, after 2 h"):
        build(TANK, {"To": 1.0, "flow": {"a": {0.0: 1.0}, "b": {2.0: 1.0, 1.0: 1.0}}}, units=["a", "b"])


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (xr.DataArray(1.0, attrs={"units": "mg/h"}), r"input 'To': got 'mg/h' .*convertible to 'degC'"),
        (
            xr.DataArray(1.0, attrs={"units": "kelvinn"}),
            r"input 'To': got unknown unit 'kelvinn'.*did you mean 'kelvin'",
        ),
        (pd.DataFrame({"time [m]": [0.0], "To": [1.0]}), r"input 'To': got 'm' .*convertible to 'h'"),
    ],
)
def test_wrong_units_are_refused(value, says):
    with pytest.raises(UnitError, match=says):
        build(TANK, {"To": value, "flow": 0.0})


def test_a_thousand_units_take_well_under_a_second():
    random = np.random.default_rng(1)
    units, hours = range(1000), np.linspace(0.0, 24.0, 100)
    line = xr.DataArray(random.normal(size=(1000, 100)), {"unit": units, "time": hours}, ("unit", "time"))
    step = pd.DataFrame(
        {"unit": np.repeat(units, 100), "time": np.tile(hours, 1000), "flow": random.normal(size=100_000)}
    )
    clock = time.perf_counter()
    made = build(TANK, {"To": line, "flow": step, "dose": {0.0: 1.0, 3.1: 1.0}}, units=units, end=24.0)
    assert time.perf_counter() - clock < 1.0
    assert made.begin.size == 1000 * 101
