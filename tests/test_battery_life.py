"""Remaining life of NASA's battery cells from their first 50, 70 and 90 discharges: intervals that hold, and scores."""

import numpy as np
import pytest
import xarray as xr
from battery import END, LEARNED, Cell, cells, learn, told

import workbench as wb
from workbench.forecast.score import crps

SEEN = (50, 70, 90)
TABLE = (
    """remaining life (discharges) of the median, its 90 % interval, truth, probability of less, relative accuracy"""
)


def lives(data, x, seen):
    """Return draws of the remaining life after some of a cell's discharges."""
    made = wb.assimilate(Cell, data.isel(time=slice(0, seen)), filter=wb.ExtendedKalman(), parameters=told(x))
    ahead = wb.forecast(made, np.arange(float(seen), 601.0), model=Cell, members=2000, noise=False, seed=1)
    return wb.remaining_life(ahead, "worn", now=float(seen))


@pytest.fixture(scope="module")
def forecasts(shared_data):
    data = cells(shared_data)
    return {cell: {n: lives(data[cell], LEARNED[cell], n) for n in SEEN} for cell in END}


def test_the_cells_end_where_the_literature_says(shared_data):
    for cell, data in cells(shared_data).items():
        below = np.flatnonzero(data["capacity"].values < 1.4)
        assert (below[0] + 1 if below.size else np.inf) == END[cell]


def test_intervals_hold(forecasts):
    """Of 12 intervals of 90 % at least 9 hold (fewer have a chance of 0.03 if they were independent)."""
    held, shares = [], []
    for cell, found in forecasts.items():
        for n, made in found.items():
            low, high = made["quantiles"].sel(quantile=[0.05, 0.95]).values
            life = END[cell] - n
            if np.isfinite(life):
                held.append(low <= life <= high)
                shares.append(float((made["life"] < life).mean()))
            else:
                held.append(high >= 168 - n)  # it was last discharged the 168th time
    assert sum(held) >= 9
    assert 0.02 < min(shares) < 0.3  # neither all far too early nor all far too late
    assert 0.7 < max(shares) < 0.98


def test_intervals_narrow_and_medians_near(forecasts):
    rng = np.random.default_rng(1)
    for cell, found in forecasts.items():
        widths = [float(np.diff(made["quantiles"].sel(quantile=[0.05, 0.95])).item()) for made in found.values()]
        assert widths[0] > widths[2]
        if not np.isfinite(END[cell]):
            continue
        life = xr.concat([m["life"] for m in found.values()], xr.IndexVariable("time", np.array(SEEN, dtype=float)))
        made = wb.prognosis(life.assign_attrs(units="d"), float(END[cell]), alpha=0.3, beta=0.5)
        assert made["prognostic_horizon"] >= END[cell] - 70  # from the 70th discharge on at the latest
        assert made["relative_accuracy"].sel(time=50.0) > 0.55
        # better than a draw from the lives of the two other cells that failed
        others = np.array([e for c, e in END.items() if c != cell and np.isfinite(e)])
        picked = rng.choice(others, 2000)[:, None] + 0.0
        late = found[90]["life"].values[:, None] + 90

        assert crps(late, np.array([float(END[cell])])) < crps(picked, np.array([float(END[cell])]))


def table(data, hyper):
    """Return a line for each forecast, for reading."""
    rows = [TABLE]
    for cell in END:
        for n in SEEN:
            made = lives(data[cell], hyper[cell], n)
            low, median, high = made["quantiles"].sel(quantile=[0.05, 0.5, 0.95]).values
            life = END[cell] - n
            less = float((made["life"] < life).mean())
            accuracy = 1 - abs(median - life) / life if np.isfinite(life) else np.nan
            rows.append(f"{cell} {n:3d} {median:6.1f} {low:6.1f} {high:6.1f} {life:6.0f} {less:5.2f} {accuracy:6.2f}")
    return "\n".join(rows)


@pytest.mark.slow
def test_what_was_learnt_is_learnt_again(shared_data):
    data = cells(shared_data)
    hyper = {cell: learn({c: d for c, d in data.items() if c != cell}) for cell in END}
    for cell, x in hyper.items():
        np.testing.assert_allclose(x, LEARNED[cell], atol=0.1)
    print(table(data, hyper))


@pytest.mark.slow
def test_intervals_hold_at_every_age(shared_data):
    """Every 5 discharges from the 30th on; forecasts of a cell hang together, so the bounds are wide."""
    data, inside = cells(shared_data), []
    for cell in ("B0005", "B0006", "B0018"):
        for seen in range(30, END[cell], 5):
            q = lives(data[cell], LEARNED[cell], seen)["quantiles"].values
            life = END[cell] - seen
            inside.append((q[0] <= life <= q[4], q[1] <= life <= q[3]))
    wide, narrow = np.mean(inside, axis=0)
    print(f"\n{len(inside)} forecasts: {wide:.2f} within 90 %, {narrow:.2f} within 50 %")
    assert wide >= 0.85
    assert 0.3 <= narrow <= 0.75
