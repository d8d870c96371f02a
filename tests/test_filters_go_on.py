"""Filters that stop, are saved and go on, and late readings: parts are the whole, to the last bit."""

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from filter_models import NILE, Spring
from test_filters_kalman import INPUTS, TIMES, nile, readings
from test_smoothers import Known

import workbench as wb
from workbench.base.errors import DataError
from workbench.sync.assimilate import final_state
from workbench.sync.filters.protocol import FilterState

LATER = {"diverged", "recalibration"}  # these look at the readings of one call
FILTERS = [
    wb.Kalman(),
    wb.ExtendedKalman(),
    wb.UnscentedKalman(),
    wb.EnKF(members=20),
    wb.EnKF(members=20, analysis=wb.SquareRoot(rotate=True)),
    wb.EnKF(members=20, analysis=wb.PerturbedObservations()),
    wb.ParticleFilter(particles=400),
    wb.ParticleFilter(particles=400, proposal=wb.Guided()),
]
BY_NAME = pytest.mark.parametrize("chosen", FILTERS, ids=repr)
LINEAR = [f for f in FILTERS if not isinstance(f, wb.Kalman)]
STIFFNESS = {"stiffness": wb.prior.LogNormal(median=4.0, sigma=0.3)}


def same(made, whole, rows=slice(None)):
    """Every number of a result is that of the rows of another; its last state, too, where it is the last."""
    last = made.time.values[-1] == whole.time.values[-1]
    assert set(whole.data_vars) == set(made.data_vars)
    for name in whole.data_vars:
        if name in LATER or (not last and name.startswith(("final_", "log_evidence_total"))):
            continue
        expected = whole[name].isel(time=rows) if "time" in whole[name].dims else whole[name]
        np.testing.assert_array_equal(made[name].values, expected.values, err_msg=str(name))


@BY_NAME
def test_two_parts_are_the_whole(chosen) -> None:
    """Forces on straight lines, a blow between the parts, a parameter in the state."""
    given = {"inputs": INPUTS, "filter": chosen}
    joint = {} if isinstance(chosen, wb.Kalman | wb.ParticleFilter) else {"parameters": STIFFNESS}
    whole = wb.assimilate(Spring, readings(), **given, **joint, seed=3)
    first = wb.assimilate(Spring, readings().isel(time=slice(0, 4)), **given, **joint, seed=3)
    second = wb.assimilate(Spring, readings().isel(time=slice(4, None)), **given, after=first)
    same(first, whole, slice(0, 4))
    same(second, whole, slice(4, None))
    assert second.attrs["followed"] == whole.attrs["followed"]
    third = first
    for k in range(4, TIMES.size):
        third = wb.assimilate(Spring, readings().isel(time=[k]), **given, after=third)
    same(third, whole, [-1])


@pytest.mark.parametrize("chosen", [wb.Kalman(), wb.EnKF(members=20), wb.ParticleFilter(particles=400)], ids=repr)
def test_what_a_store_kept_goes_on(chosen, tmp_path) -> None:
    """A result in netCDF; a state in netCDF and in JSON: plain arrays."""
    given = {"inputs": INPUTS, "filter": chosen}
    first = wb.assimilate(Spring, readings().isel(time=slice(0, 4)), **given, seed=3)
    first.to_netcdf(tmp_path / "first.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "first.nc", engine="h5netcdf") as kept:
        second = wb.assimilate(Spring, readings().isel(time=slice(4, None)), **given, after=kept.load())
    same(second, wb.assimilate(Spring, readings(), **given, seed=3), slice(4, None))
    state = final_state(first)
    state.to_dataset().to_netcdf(tmp_path / "state.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "state.nc", engine="h5netcdf") as kept:
        stored = FilterState.from_dataset(kept)
    written = FilterState.from_dataset(xr.Dataset.from_dict(json.loads(json.dumps(state.to_dataset().to_dict()))))
    for back in (stored, written):
        assert (back.time, back.names, back.log_evidence) == (state.time, state.names, state.log_evidence)
        np.testing.assert_array_equal(back.random, state.random)
        assert back.generator().random() == state.generator().random()
        for name, values in state.arrays.items():
            np.testing.assert_array_equal(back.arrays[name], values)


def test_a_diffuse_start_and_a_map_go_on() -> None:
    """The state still diffuse; a Map whose readings lie between its steps."""

    class Diffuse(Spring):
        x = wb.State("m", start=wb.prior.Flat())
        v = wb.State("m/s", start=wb.prior.Flat(), noise=0.4)

    given = {"inputs": INPUTS, "filter": wb.Kalman()}
    first = wb.assimilate(Diffuse, readings().isel(time=[0]), **given, seed=3)
    assert np.isinf(first.v_sd[0])
    second = wb.assimilate(Diffuse, readings().isel(time=slice(1, None)), **given, after=first)
    same(second, wb.assimilate(Diffuse, readings(), **given, seed=3), slice(1, None))

    data = nile().isel(time=slice(0, 12))
    data["time"] = 1871.0 + np.cumsum(np.tile([0.4, 1.7, 2.3], 4))
    for chosen in (wb.Kalman(), wb.EnKF(members=20)):
        whole = wb.assimilate(Known, data, filter=chosen, seed=1)
        first = wb.assimilate(Known, data.isel(time=slice(0, 5)), filter=chosen, seed=1)
        second = wb.assimilate(Known, data.isel(time=slice(5, None)), filter=chosen, after=first)
        same(second, whole, slice(5, None))


def test_inputs_of_the_time_since_are_enough() -> None:
    given = {"inputs": INPUTS, "filter": wb.ExtendedKalman()}
    whole = wb.assimilate(Spring, readings(), **given)
    first = wb.assimilate(Spring, readings().isel(time=slice(0, 4)), **given)
    since = {"force": {1.3: 1.55, 3.0: -1.0}, "blow": {1.7: -0.4}}
    second = wb.assimilate(
        Spring, readings().isel(time=slice(4, None)), inputs=since, filter=wb.ExtendedKalman(), after=first
    )
    np.testing.assert_allclose(second.x, whole.x[4:], rtol=1e-6)
    assert float(second.log_evidence_total) == pytest.approx(float(whole.log_evidence_total), rel=1e-7)


def dated(data):
    return data.assign_coords(time=pd.Timestamp("2024-03-01") + pd.to_timedelta(data.time.values, unit="s"))


def test_datetimes_and_units_go_on_from_their_own_states() -> None:
    frames = [dated(readings().isel(time=s) + a).to_dataframe().reset_index().assign(unit=u)
              for u, s, a in (("a", slice(None), 0.0), ("b", slice(0, 6), 0.1))]  # fmt: skip
    frame = pd.concat(frames)
    late = frame.time >= pd.Timestamp("2024-03-01 00:00:01.3")
    given = {"inputs": {"force": 0.5}, "filter": wb.EnKF(members=20)}
    whole = wb.assimilate(Spring, frame, **given, seed=4)
    first = wb.assimilate(Spring, frame[~late], **given, seed=4)
    second = wb.assimilate(Spring, frame[late], **given, after=first)
    np.testing.assert_array_equal(second.x, whole.x[late.values])
    np.testing.assert_array_equal(second.final_members, whole.final_members)
    only = wb.assimilate(Spring, frame[late & (frame.unit == "b")], **given, after=first)
    np.testing.assert_array_equal(only.x, second.x[second.unit.values == "b"])
    with pytest.raises(DataError, match="unknown unit 'c'"):
        wb.assimilate(Spring, frame[late & (frame.unit == "b")].assign(unit="c"), **given, after=first)


def arrivals():
    """Readings of two channels, one at a time, as a slow network brings them: (time, channel, value)."""
    data = readings()
    rows = [(t, n, float(data[n][k])) for k, t in enumerate(TIMES) for n in ("place", "speed")]
    rows = [r for r in rows if not np.isnan(r[2])]
    return [rows[k] for k in (1, 0, 3, 2, 6, 4, 5, 8, 7, 9, 10)]  # none is more than 0.9 s late


def one(row, dates=False):
    made = xr.Dataset({row[1]: ("time", [row[2]])}, {"time": [row[0]]})
    return dated(made) if dates else made


@pytest.mark.parametrize("chosen", LINEAR, ids=repr)
def test_late_readings_are_taken_in_where_they_belong(chosen) -> None:
    joint = {} if isinstance(chosen, wb.ParticleFilter) else {"parameters": STIFFNESS}
    live = wb.Live(Spring, chosen, window=1.0, inputs=INPUTS, **joint, seed=3)
    taken, rows = [], arrivals()
    for row in rows:
        live = live.take(one(row))
        taken.append(row)
    assert [r[0] for r in taken] != sorted(r[0] for r in taken)
    whole = wb.assimilate(Spring, readings(), inputs=INPUTS, filter=chosen, **joint, seed=3)
    assert live.settled is not None
    assert live.recent.time.values[0] >= TIMES[-1] - 1.0
    same(live.result, whole, slice(TIMES.size - live.recent.time.size, None))


def test_late_readings_by_the_calendar_and_from_a_store(tmp_path) -> None:
    live = wb.Live(Spring, window=1.0, inputs={"force": 0.5}, seed=3)
    for k, row in enumerate(arrivals()):
        if k == 7:  # a new process goes on from what was kept
            live.settled.to_netcdf(tmp_path / "settled.nc", engine="h5netcdf")
            live.recent.to_netcdf(tmp_path / "recent.nc", engine="h5netcdf")
            settled, recent = (xr.load_dataset(tmp_path / f"{n}.nc", engine="h5netcdf") for n in ("settled", "recent"))
            live = wb.Live(Spring, window=1.0, inputs={"force": 0.5}, settled=settled, recent=recent)
        live = live.take(one(row, dates=True))
    whole = wb.assimilate(Spring, dated(readings()), inputs={"force": 0.5}, seed=3)
    same(live.result, whole, slice(TIMES.size - live.recent.time.size, None))


def test_what_comes_too_late_is_refused() -> None:
    live = wb.Live(Spring, wb.Kalman(), window=1.0, inputs=INPUTS)
    live = live.take(readings())
    with pytest.raises(
        DataError,
        match=r"a reading at 1\.2, 1\.7 s before the latest one at 2\.9; expected none older than the window of 1 s",
    ):
        live.take(one((1.2, "place", 0.3)))
    with pytest.raises(DataError, match=r"output 'place': got 9 at 2\.9, where .* was read before"):
        live.take(one((2.9, "place", 9.0)))
    again = live.take(readings().isel(time=[-1]))
    same(again.result, live.result)
    with pytest.raises(DataError, match=r"at 1\.2 s; expected them after 2\.9 s.*wb\.Live takes late ones"):
        wb.assimilate(Spring, one((1.2, "place", 0.3)), inputs=INPUTS, filter=wb.Kalman(), after=live.result)
    with pytest.raises(DataError, match="Live: got units"):
        live.take(readings().isel(time=[-1]).expand_dims(unit=["a"]))
    with pytest.raises(DataError, match="Live: got window=-1"):
        wb.Live(Spring, window=-1)


def test_what_does_not_fit_is_refused() -> None:
    first = wb.assimilate(Spring, readings().isel(time=slice(0, 4)), inputs=INPUTS, filter=wb.Kalman())
    rest = readings().isel(time=slice(4, None))
    with pytest.raises(DataError, match=r"got filter=EnKF\(members=100.*expected Kalman\(.*which made the states"):
        wb.assimilate(Spring, rest, inputs=INPUTS, after=first)
    with pytest.raises(DataError, match="got after= with parameters= or seed="):
        wb.assimilate(Spring, rest, inputs=INPUTS, filter=wb.Kalman(), after=first, seed=2)
    with pytest.raises(DataError, match="got model Known; expected Spring"):
        wb.assimilate(Known, nile(), filter=wb.Kalman(), after=first)
    with pytest.raises(DataError, match=r"expected what wb\.assimilate returned"):
        wb.assimilate(Spring, rest, inputs=INPUTS, filter=wb.Kalman(), after=rest)
    with pytest.raises(DataError, match=r"expected them to cover 1\.3 s to 2\.9 s"):
        wb.assimilate(Spring, rest, inputs={"force": {2.0: 1.0, 3.0: 0.0}}, filter=wb.Kalman(), after=first)


def test_the_nile_in_a_hundred_parts() -> None:
    """Evidence adds up as it does at once; the steps of a map are counted from its own start."""
    data = nile()
    whole = wb.assimilate(Known, data, filter=wb.Kalman(), seed=1)
    live = wb.Live(Known, wb.Kalman(), window=3.0, seed=1)
    order = np.argsort(np.arange(len(NILE)) + np.random.default_rng(1).uniform(0, 3, len(NILE)))
    assert (np.diff(order) < 0).any()
    for k in order:
        live = live.take(data.isel(time=[k]))
    same(live.result, whole, slice(-live.result.time.size, None))
