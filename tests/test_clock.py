"""Times become numbers of the model's unit and come back; bad times are refused with their place."""

import datetime
import zoneinfo

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.base.clock import Clock, check_times
from workbench.base.errors import DataError, UnitError

SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "day": 86400.0}
NOON = datetime.datetime(2024, 5, 1, 12)


@settings(deadline=None)  # the first example loads pint
@given(
    st.datetimes(datetime.datetime(1950, 1, 1), datetime.datetime(2150, 1, 1)),
    st.lists(st.integers(0, 35 * 365 * 86400 * 10**6), min_size=1, max_size=5),
    st.sampled_from([*SECONDS]),
)
def test_datetimes_count_as_python_counts_and_come_back(first, later, unit):
    times = [*(first + datetime.timedelta(microseconds=m) for m in later), first]
    clock = Clock.of(times, unit)
    numbers = clock.numbers(times)
    expected = [(t - min(times)) / datetime.timedelta(seconds=SECONDS[unit]) for t in times]
    np.testing.assert_allclose(numbers, expected, rtol=1e-15)
    assert clock.labels(numbers).astype("datetime64[us]").tolist() == times


@settings(deadline=None)  # the first example loads pint
@given(st.integers(-(2**50) + 1, 2**50 - 1), st.sampled_from([*SECONDS, "ms", "us", "year"]))
def test_nanoseconds_come_back_within_the_first_days(span, unit):
    clock = Clock(unit, np.datetime64("2024-01-01", "ns"))
    instant = clock.origin + np.timedelta64(span, "ns")
    assert clock.labels(clock.numbers([instant]))[0] == instant


@pytest.mark.parametrize("unit", SECONDS)
def test_what_comes_back_after_decades(unit):
    clock = Clock(unit, np.datetime64("2000-01-01", "ns"))
    random = np.random.default_rng(1)
    for years, resolution in ((0.03, "ns"), (35, "us"), (200, "ms")):
        most = int(years * 365 * 86400 * 10**9) // np.timedelta64(1, resolution).astype("timedelta64[ns]").astype(int)
        instants = clock.origin + random.integers(-most // 5, most, 10_000).astype(f"timedelta64[{resolution}]")
        np.testing.assert_array_equal(clock.labels(clock.numbers(instants)), instants)


@settings(deadline=None)  # the first example loads pint
@given(st.integers(0, 10**5 // 2), st.sampled_from([*SECONDS]), st.sampled_from([*SECONDS]))
def test_equal_instants_are_equal_numbers_whatever_their_unit(count, source, target):
    start = np.datetime64("2024-01-01", "ns")
    written = Clock(target).numbers(xr.DataArray([float(count)], attrs={"units": source}))
    named = Clock(target).numbers([count], unit=source)
    dated = Clock(target, start).numbers([start + np.timedelta64(int(count * SECONDS[source]), "s")])
    assert written[0] == named[0] == dated[0] == count * SECONDS[source] / SECONDS[target]


@pytest.mark.parametrize(
    "times",
    [
        [NOON, NOON + datetime.timedelta(hours=1)],
        ["2024-05-01T12:00", "2024-05-01 13:00:00"],
        ["2024-05-01T12:00Z", "2024-05-01T15:00+02:00"],
        pd.date_range("2024-05-01 12:00", periods=2, freq="h"),
        pd.Series(pd.date_range("2024-05-01 12:00", periods=2, freq="h")),
        pd.date_range("2024-05-01 14:00", periods=2, freq="h", tz="Europe/Rome"),
        [
            NOON.replace(tzinfo=datetime.UTC),
            (NOON + datetime.timedelta(hours=3)).astimezone(zoneinfo.ZoneInfo("Asia/Tokyo")),
        ],
        xr.DataArray(np.array(["2024-05-01T12", "2024-05-01T13"], "datetime64[h]"), dims="time"),
    ],
    ids=lambda times: type(times).__name__,
)
def test_every_kind_of_datetime(times):
    clock = Clock.of(times, "min")
    assert clock.origin == np.datetime64("2024-05-01T12:00")
    assert clock.labels([0.0])[0] == clock.origin
    numbers = clock.numbers(times)
    assert numbers[0] == 0.0
    assert numbers[1] in (60.0, 180.0)


def test_zones_are_converted_to_utc():
    winter = pd.DatetimeIndex(["2024-01-01 00:00"]).tz_localize("Europe/Rome")
    assert Clock.of(winter, "h").origin == np.datetime64("2023-12-31T23:00")


def test_numbers_stay_numbers():
    clock = Clock.of([3, 1], "h")
    assert clock.origin is None
    assert clock.labels(clock.numbers([1, None, 2.5])) == pytest.approx([1.0, np.nan, 2.5], nan_ok=True)
    assert clock.numbers(5).shape == ()
    assert clock.numbers([]).shape == (0,)


def test_durations_are_numbers():
    day = np.array([1, 36], "timedelta64[h]")
    assert Clock("day").numbers(day) == pytest.approx([1 / 24, 1.5])
    assert Clock("h").numbers([datetime.timedelta(days=1), None]) == pytest.approx([24.0, np.nan], nan_ok=True)


def test_unknown_datetimes_stay_unknown():
    clock = Clock.of([pd.NaT, NOON], "h")
    numbers = clock.numbers(["NaT", None, NOON])
    assert numbers == pytest.approx([np.nan, np.nan, 0.0], nan_ok=True)
    assert np.isnat(clock.labels(numbers)).tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("times", "says"),
    [
        (["2024-05-01", "soon"], "'soon'"),
        (["01/02/2024"], "'01/02/2024'; expected numbers, datetimes, or texts such as"),
        ([True, False], "type bool"),
        ([1 + 2j], "type complex128"),
        ([NOON, 3.0], "type datetime, float"),
        ([{}], "type dict"),
        ([[1.0], [1.0, 2.0]], "unequal length"),
        (np.array(["1500-01-01"], "datetime64[s]"), "from 1500-01-01T00:00:00; expected the years 1678 to 2261"),
    ],
)
def test_what_is_no_time(times, says):
    with pytest.raises(DataError, match=r"^sensor: got") as error:
        Clock("h").numbers(times, "sensor")
    assert says in str(error.value)


def test_mixed_clocks():
    with pytest.raises(DataError, match=r"dose: got datetimes such as 2024-05-01T12.*; expected numbers in h"):
        Clock("h").numbers([NOON], "dose")
    dated = Clock.of([NOON], "h")
    with pytest.raises(DataError, match=r"dose: got times such as 2.5; expected datetimes, as those since 2024-05-01"):
        dated.numbers([2.5], "dose")
    with pytest.raises(DataError, match=r"dose: got times such as 1 nanoseconds?; expected datetimes"):
        dated.numbers([np.timedelta64(1, "ns")], "dose")
    with pytest.raises(DataError, match="got 1 datetimes, none of them known"):
        Clock.of(np.array(["NaT"], "datetime64[ns]"), "h")


def test_unit_that_is_not_of_time():
    with pytest.raises(UnitError, match=r"dose: got 'mg' .*convertible to 'h'"):
        Clock("h").numbers(xr.DataArray([1.0], attrs={"units": "mg"}), "dose")
    with pytest.raises(UnitError, match="dose: got unknown unit 'hoour'"):
        Clock("h").numbers([1.0], "dose", unit="hoour")


@pytest.mark.parametrize(
    ("times", "says"),
    [
        ([0.0, np.nan, 1.0], "x: got time nan in row 1; expected a time in every row"),
        ([np.nan], "x: got time nan in row 0; expected a time in every row"),
        ([0.0, np.inf], "x: got time inf in row 1; expected a time in every row"),
        ([0.0, 2.0, 2.0], "x: got time 2 in rows 1 and 2; expected each time once"),
        ([0.0, 2.0, 1.5, 1.0], "x: got time 1.5 in row 2, after 2; expected times sorted from early to late"),
        ([[0.0, 1.0]], "x: got times of shape (1, 2); expected one row of times"),
    ],
)
def test_times_out_of_order(times, says):
    with pytest.raises(DataError) as error:
        check_times(np.array(times), "x")
    assert str(error.value) == says


def test_times_in_order():
    check_times(np.array([-1.0, 0.0, 1e-300]), "x")
    check_times(np.array([]), "x")


def test_datetimes_out_of_order_are_shown_as_datetimes():
    clock = Clock("h", np.datetime64("2024-05-01", "ns"))
    with pytest.raises(DataError, match=r"got time 2024-05-01T01:00:00 in row 1, after 2024-05-01T02"):
        check_times(np.array([2.0, 1.0]), "x", clock)
    with pytest.raises(DataError, match=r"got time 2 h in rows 0 and 1"):
        check_times(np.array([2.0, 2.0]), "x", Clock("h"))
