"""Support forces: equation 7 against a finite-element beam, modes against a simulated frame, records that are wrong."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.signal

import workbench as wb
from workbench.base.errors import DataError, UnitError
from workbench.domains.bridges import settlement as st
from workbench.domains.bridges.settlement import GRAVITY, Bearings, places, record, settlement_stiffness, table


def beam(elements: int, span: float, stiffness: float, mass: float) -> tuple[np.ndarray, np.ndarray]:
    """Return K and M of a beam of two spans, cubic elements, deflection and slope of each node."""
    size = span / elements
    k = stiffness / size**3 * np.array(
        [[12, 6 * size, -12, 6 * size], [6 * size, 4 * size**2, -6 * size, 2 * size**2],
         [-12, -6 * size, 12, -6 * size], [6 * size, 2 * size**2, -6 * size, 4 * size**2]]
    )  # fmt: skip
    m = mass * size / 420 * np.array(
        [[156, 22 * size, 54, -13 * size], [22 * size, 4 * size**2, 13 * size, -3 * size**2],
         [54, 13 * size, 156, -22 * size], [-13 * size, -3 * size**2, -22 * size, 4 * size**2]]
    )  # fmt: skip
    count = 2 * (2 * elements + 1)
    stiff, heavy = np.zeros((count, count)), np.zeros((count, count))
    for e in range(2 * elements):
        at = slice(2 * e, 2 * e + 4)
        stiff[at, at] += k
        heavy[at, at] += m
    return stiff, heavy


@pytest.mark.parametrize(("span", "stiffness", "mass"), [(15.0, 2.5e9, 1800.0), (40.0, 9e10, 12_000.0)])
def test_forces_and_a_frequency_give_millimetres(span: float, stiffness: float, mass: float) -> None:
    n = 20
    K, M = beam(n, span, stiffness, mass)
    held = [0, 2 * n, 4 * n]  # deflections of the three axes
    free = np.setdiff1d(np.arange(len(K)), held)
    load = -M @ np.tile([1.0, 0.0], 2 * n + 1) * GRAVITY
    at_rest = np.zeros(len(K))
    at_rest[free] = np.linalg.solve(K[np.ix_(free, free)], load[free])
    reaction = (K @ at_rest - load)[2 * n]
    lowered = np.zeros(len(K))
    lowered[2 * n] = -1e-3
    lowered[free] = np.linalg.solve(K[np.ix_(free, free)], -K[np.ix_(free, [2 * n])] @ [-1e-3])
    lost = -(K @ lowered)[2 * n]
    squares = scipy.linalg.eigh(K[np.ix_(free, free)], M[np.ix_(free, free)], eigvals_only=True, subset_by_index=[0, 1])
    first, second = np.sqrt(squares) / (2 * np.pi)
    assert settlement_stiffness(reaction / 1000, first) == pytest.approx(lost / 1000, rel=1e-4)
    assert second / first == pytest.approx(1.562, rel=1e-3)
    assert reaction == pytest.approx(1.25 * mass * GRAVITY * span, rel=1e-3)


def test_one_channel_of_a_simulated_frame_gives_its_modes() -> None:
    """The frame of pyOMA2's documentation: its exact frequencies by the call that the notebook makes."""
    from pyoma2.algorithms import SSI
    from pyoma2.setup import SingleSetup

    count, rate = 5, 25.0
    K = 1e4 * (2 * np.eye(count) - np.eye(count, k=1) - np.eye(count, k=-1))
    K[-1, -1] = 1e4
    M = 25.91 * np.eye(count)
    squares, shapes = scipy.linalg.eigh(K, M)
    damping = M @ shapes @ np.diag(2 * 0.02 * np.sqrt(squares)) @ shapes.T @ M
    state = np.block([[np.zeros((count, count)), np.eye(count)], [-K / 25.91, -damping / 25.91]])
    forces = np.vstack([np.zeros((count, count)), np.eye(count) / 25.91])
    rows = np.hstack([-K / 25.91, -damping / 25.91])
    system = scipy.signal.StateSpace(state, forces, rows, np.eye(count) / 25.91).to_discrete(1 / rate)
    rng = np.random.default_rng(1)
    x, made = np.zeros(2 * count), np.empty(20_000)
    for k, force in enumerate(rng.normal(size=(20_000, count))):
        made[k] = (system.C @ x + system.D @ force)[-1]
        x = system.A @ x + system.B @ force
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kept = {"xi_max": 0.1, "mpc_lim": None, "mpd_lim": None, "CoV_max": 0.05}
        found = SSI(name="ssi", method="cov", br=60, ordmax=40, calc_unc=True, nb=30, hc=kept)
        setup = SingleSetup(made[:, None], fs=rate)
        setup.add_algorithms(found)
        setup.run_all()
    poles, spreads = found.result.Fn_poles[:, 20], found.result.Fn_poles_std[:, 20]
    exact = np.sqrt(1e4 / 25.91) / np.pi * np.sin((2 * np.arange(1, 6) - 1) * np.pi / 22)
    assert exact == pytest.approx([0.88995, 2.59776, 4.09511, 5.26070, 6.00010], abs=1e-5)
    for frequency in exact:
        nearest = int(np.nanargmin(np.abs(poles - frequency)))
        assert abs(poles[nearest] - frequency) < max(4 * spreads[nearest], 0.005 * frequency)


def test_vehicles_are_told_by_where_they_stand() -> None:
    seen = record()
    assert seen.time.size == 576
    assert seen.phase[-1] == 3
    place = places(seen)
    for phase in range(4):
        order = place[(seen.phase == phase) & (place >= 0)]
        changes = order[np.r_[True, np.diff(order) != 0]]
        assert changes.tolist() == [0, 1, 2, 3, 0], "as the load test went, and crossings are moving vehicles"
    means = [seen.force[(seen.phase == k) & (place == 0)].mean(axis=0) for k in range(4)]
    assert np.diff(means, axis=0) == pytest.approx(np.array([[-23.4, -42.6], [-20.7, -35.1], [-17.2, -42.1]]), abs=2.5)
    assert np.isnan(table(seen)["frc1"][place < 0]).all()
    assert np.isnan(table(seen, empty=True)["frc1"][place != 0]).all()


def test_a_planted_settlement_is_found_and_drift_is_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    time = np.arange(0.0, 3000.0, 5.0)
    walk = np.cumsum(rng.normal(size=(2, time.size)) * 0.006 * np.sqrt(5), axis=1)
    force = 234.0 + walk + 0.02 * rng.normal(size=walk.shape)
    truth = {"walk1": 0.006, "walk2": 0.006, "base1": 234.0, "base2": 234.0, "frc1_sigma": 0.02, "frc2_sigma": 0.02}
    truth |= dict.fromkeys(["first1", "first2", "middle1", "middle2", "second1", "second2", "warm1", "warm2"], 0.0)
    raised = []
    for drop in (0.0, 1.0):
        shifted = force - drop * (time > 1500)
        seen = st.Record(time, shifted.T, np.full(time.size, 10.0), np.zeros(time.size, dtype=np.int64))
        followed = wb.assimilate(Bearings(), table(seen), inputs=st.acting(seen), filter=wb.Kalman(), parameters=truth)
        alarms = wb.watch(followed, a_year=1.0)["alarm"].any(["output", "detector"]).values
        raised.append(time[alarms])
    assert raised[0].size == 0
    assert raised[1].size > 0
    assert raised[1][0] == 1515.0, "ten seconds after it, as so quick a change is taken for a vehicle at first"


HEADER = "time [s],FRC-01 [kN],FRC-02 [kN],air [degC]\n"
ROWS = [f"{5 * k},{234 + 0.01 * (k % 7):.2f},{233 + 0.01 * (k % 5):.2f},2.0" for k in range(30)]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (HEADER.replace("FRC-02", "FRC2") + "\n".join(ROWS), DataError, r"expected a column 'FRC-02'; did you mean"),
        (HEADER.replace("kN", "mm", 1) + "\n".join(ROWS), UnitError, r"'mm'.*convertible to 'kN'"),
        (HEADER + "\n".join(ROWS[:5]), DataError, r"got 5 times; expected at least 20 that increase"),
        (HEADER + "\n".join(reversed(ROWS)), DataError, r"expected at least 20 that increase"),
        (HEADER + "\n".join(f"{5 * k},234,{k},2" for k in range(30)), DataError, r"in 'FRC-01'.*load cell stuck"),
        (HEADER + "\n".join(f"{5 * k},{k},{k},{'' if k == 3 else 2}" for k in range(30)), DataError, r"gaps in 'air'"),
        (HEADER + "\n".join(["0,high,1,2", *ROWS[1:]]), DataError, r"got 'high' in row 0; expected numbers"),
    ],
)  # fmt: skip
def test_records_that_cannot_be_used(tmp_path: Path, text: str, error: Any, message: str) -> None:
    path = tmp_path / "own.csv"
    path.write_text(text + "\n")
    with pytest.raises(error, match=message):
        record(path)


def test_dates_are_times_too(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    dated = [
        row.replace(row.split(",")[0], f"2024-05-01 10:{k // 12:02d}:{5 * (k % 12):02d}", 1)
        for k, row in enumerate(ROWS)
    ]
    path.write_text(HEADER.replace("time [s]", "time") + "\n".join(dated) + "\n")
    assert record(path).time.tolist() == [5.0 * k for k in range(30)]
    path.write_text("time [s],acceleration [m/s**2]\n" + "\n".join(f"{k / 50},0.1" for k in range(100)))
    with pytest.raises(DataError, match="more than 1000, equally spaced"):
        st.acceleration(path)
