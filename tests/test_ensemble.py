"""Ensembles: over parameters, starts and inputs; written to zarr piece by piece they are what they are in memory."""

import numpy as np
import pytest
import xarray as xr
from models import Growth, Room
from test_events import Ball
from test_walk import GOAL, Drift

import workbench as wb
from workbench.base.errors import DataError
from workbench.simulate import ensemble

TIMES = np.linspace(0.0, 6.0, 7)


def test_inputs_may_differ_from_member_to_member():
    outside = xr.DataArray([[0.0, 10.0], [5.0, 5.0], [9.0, -3.0]], dims=("member", "time"), coords={"time": [0.0, 6.0]})
    made = wb.simulate(
        Room, TIMES, inputs={"To": outside, "Q": 1.0}, parameters={"R": np.array([4.0, 5.0, 6.0])}, start={"T": 18.0}
    )
    assert made.T.dims == ("member", "time")
    for member, resistance in enumerate((4.0, 5.0, 6.0)):
        alone = wb.simulate(
            Room, TIMES, inputs={"To": outside[member], "Q": 1.0}, parameters={"R": resistance}, start={"T": 18.0}
        )
        np.testing.assert_array_equal(made.T[member], alone.T)
    with pytest.raises(
        DataError, match=r"inputs: got dims \['draw', 'member'\]; expected one dim of draws, and no unit"
    ):
        wb.simulate(Room, TIMES, inputs={"To": outside, "Q": 1.0}, parameters={"R": xr.DataArray([4.0], dims="draw")})


def test_streamed_results_are_those_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(ensemble, "PIECE", 5 * 8 * 3 * 37)
    e = np.linspace(0.6, 0.9, 23)
    times = np.linspace(0.0, 3.0, 37)
    whole = wb.simulate(Ball, times, parameters={"e": e})
    streamed = wb.simulate(Ball, times, parameters={"e": e}, store=tmp_path / "ball.zarr")
    xr.testing.assert_equal(streamed.load(), whole)
    assert streamed.attrs["model"] == "Ball"
    assert streamed.h.attrs == whole.h.attrs
    with pytest.raises(DataError, match=r"ball.zarr', which exists; expected the path of a new zarr folder"):
        wb.simulate(Ball, times, parameters={"e": e}, store=tmp_path / "ball.zarr")
    with pytest.raises(DataError, match=r"store: got one member; expected parameters, starts or inputs over chain"):
        wb.simulate(Ball, times, store=tmp_path / "one.zarr")


def test_streams_over_chains_starts_and_inputs_with_failures_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(ensemble, "PIECE", 8 * 2 * 7 * 2)
    values = xr.DataArray(np.linspace(0.3, 2.0, 10).reshape(2, 5), dims=("chain", "draw"))
    given = {"parameters": {"b": 1.0 * (values > 1.9), "r": 0.1 * values, "x0": 1.0}}
    with pytest.warns(UserWarning, match="1 of 10 members failed"):
        whole = wb.simulate(Growth, TIMES, **given)
    streamed = wb.simulate(Growth, TIMES, **given, store=tmp_path / "growth.zarr")
    xr.testing.assert_equal(streamed.load(), whole)
    assert streamed.attrs["failed_members"] == whole.attrs["failed_members"] == 1
    outside = xr.DataArray(np.linspace(0, 9, 9), dims="member")
    given = {"inputs": {"To": outside, "Q": 0.0}, "start": {"T": outside + 10}}
    whole = wb.simulate(Room, TIMES, **given)
    streamed = wb.simulate(Room, TIMES, **given, store=tmp_path / "room.zarr")
    xr.testing.assert_equal(streamed.load(), whole)


def test_process_noise_does_not_depend_on_the_pieces(tmp_path, monkeypatch):
    given = {"parameters": {"k": np.full(7, 0.8)}, "inputs": GOAL, "seed": 2}
    whole = wb.simulate(Drift, TIMES, **given)
    monkeypatch.setattr(ensemble, "PIECE", 2 * 8 * 2 * 7)
    streamed = wb.simulate(Drift, TIMES, **given, store=tmp_path / "drift.zarr")
    np.testing.assert_array_equal(streamed.x, whole.x)
