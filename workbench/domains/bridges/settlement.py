"""Forces of the middle supports of a continuous beam of two equal spans, and what they tell of a settlement.

The beam has mass m and bending stiffness EI, the same everywhere; the force of the middle axis is R, shared by bearings
whose readings are, of each bearing i,

    F_i = B_i + d_i + a_i (T - T_0) + s_i v_1 + w_i v_0 + e_i v_2                                          (1)
    dd_i/dt = -d_i / tau + process noise                                                                    (2)

with v_1, v_0, v_2 one while a vehicle stands in the first span, over the middle axis and in the second span. Of dead
load q = m g, of the settlement z of the middle axis, and of free vibration (each span as if it were simply supported):

    R   = 5/4 q L                                                                                           (3)
    dR  = 6 EI z / L^3                                                                                      (4)
    f_1 = pi / (2 L^2) sqrt(EI / m)                                                                         (5)
    f_2 = (3.9266 / pi)^2 f_1 = 1.562 f_1                                                                   (6)

Of (3) to (5) the span and the stiffness fall out: dR / z = 19.2 R f_1^2 / (pi^2 g)                           (7)

Sources
-------
Equations 3 and 4: the force method for the beam that is simply supported over 2 L (Timoshenko SP, Gere JM (1972),
Mechanics of Materials, Van Nostrand, on statically indeterminate beams): 5 q (2L)^4 / (384 EI) and R (2L)^3 / (48 EI)
are its deflections at the middle. Equations 5 and 6: Blevins RD (1979), Formulas for Natural Frequency and Mode Shape,
Van Nostrand Reinhold, table 8-1 (pinned-pinned, and clamped-pinned for the symmetric mode) with the deflected shapes
antisymmetric and symmetric about the middle axis. The bridge: Jaelani Y et al. (2023), Steel Construction 16, 215.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.base.errors import DataError
from workbench.base.share import data_file
from workbench.base.tables import numbers_of, read_numbers, read_table
from workbench.declare import noise, prior
from workbench.declare.ode import Ode
from workbench.declare.quantity import Input, Output, Parameter, State

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
GRAVITY = 9.80665  # m/s2
GAP = 120.0  # s between two readings, from which on a new phase begins
MOVING = 0.08  # kN/s in both bearings at once: a vehicle is on its way
STANDING = 2.0  # kN in both bearings at once above those without a vehicle: one stands on the bridge
NAMES = ("frc1", "frc2")


class Bearings(Ode):
    """Two bearings of the middle axis: their forces, a drift of each, and a vehicle that stands in one of three places.

    - base: forces below 750 kN, as of a bridge for one lane.
    - drift: 0.005 to 0.2 kN after a second, 0.3 to 12 kN after an hour, as of sun on one side and of creeping bearings.
    - effects of a vehicle: within 20 kN a bearing, a tenth of the dead load.
    - effect of the air: within 1 kN/K; a straight beam that is warm throughout has none, one warm on top has.
    - sigma: errors below 0.4 kN of a load cell for 500 kN.
    """

    time_unit = "s"
    d1 = State("kN", start=0.0, noise="walk1", long_name="drift, bearing 1")
    d2 = State("kN", start=0.0, noise="walk2", long_name="drift, bearing 2")
    walk1 = Parameter("kN/s**0.5", prior=prior.LogNormal(median=0.03, sigma=1.0), long_name="drift, bearing 1")
    walk2 = Parameter("kN/s**0.5", prior=prior.LogNormal(median=0.03, sigma=1.0), long_name="drift, bearing 2")
    tau = Parameter("s", value=86400.0, long_name="memory of the drift")
    base1 = Parameter("kN", prior=prior.Normal(mu=250.0, sigma=250.0), long_name="force without a vehicle, bearing 1")
    base2 = Parameter("kN", prior=prior.Normal(mu=250.0, sigma=250.0), long_name="force without a vehicle, bearing 2")
    first1 = Parameter("kN", prior=prior.Normal(mu=0.0, sigma=10.0), long_name="vehicle in span 1, bearing 1")
    first2 = Parameter("kN", prior=prior.Normal(mu=0.0, sigma=10.0), long_name="vehicle in span 1, bearing 2")
    middle1 = Parameter("kN", prior=prior.Normal(mu=0.0, sigma=10.0), long_name="vehicle over the axis, bearing 1")
    middle2 = Parameter("kN", prior=prior.Normal(mu=0.0, sigma=10.0), long_name="vehicle over the axis, bearing 2")
    second1 = Parameter("kN", prior=prior.Normal(mu=0.0, sigma=10.0), long_name="vehicle in span 2, bearing 1")
    second2 = Parameter("kN", prior=prior.Normal(mu=0.0, sigma=10.0), long_name="vehicle in span 2, bearing 2")
    warm1 = Parameter("kN/K", prior=prior.Normal(mu=0.0, sigma=0.5), long_name="effect of the air, bearing 1")
    warm2 = Parameter("kN/K", prior=prior.Normal(mu=0.0, sigma=0.5), long_name="effect of the air, bearing 2")
    air = Input("K", long_name="air above its temperature at first")
    in_first = Input("1", kind="previous", long_name="vehicle in span 1")
    on_axis = Input("1", kind="previous", long_name="vehicle over the axis")
    in_second = Input("1", kind="previous", long_name="vehicle in span 2")
    frc1 = Output("kN", noise=noise.Normal(sigma=prior.HalfNormal(0.2)), long_name="force of bearing 1")
    frc2 = Output("kN", noise=noise.Normal(sigma=prior.HalfNormal(0.2)), long_name="force of bearing 2")

    def rhs(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return the rates of both drifts, in kN/s."""
        return {"d1": -x.d1 / p.tau, "d2": -x.d2 / p.tau}  # (2)

    def observe(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return both forces, in kN."""
        one = p.first1 * u.in_first + p.middle1 * u.on_axis + p.second1 * u.in_second
        two = p.first2 * u.in_first + p.middle2 * u.on_axis + p.second2 * u.in_second
        return {"frc1": p.base1 + x.d1 + p.warm1 * u.air + one, "frc2": p.base2 + x.d2 + p.warm2 * u.air + two}  # (1)


def settlement_stiffness(reaction: ArrayLike, frequency: ArrayLike) -> Array:
    """Return the force that the middle axis loses for each mm that it settles (kN/mm): equation 7.

    Parameters
    ----------
    reaction
        Force of the middle axis under dead load alone (kN).
    frequency
        First natural frequency of bending (Hz).
    """
    reaction, frequency = np.asarray(reaction, dtype=np.float64), np.asarray(frequency, dtype=np.float64)
    return 19.2 * reaction * frequency**2 / (np.pi**2 * GRAVITY) / 1000.0


class Record(NamedTuple):
    """Readings of the bearings: times (n,) in s, forces (n, 2) in kN, air (n,) in degC, and phase (n,) from 0."""

    time: Array
    force: Array
    air: Array
    phase: NDArray[np.int64]


def record(path: str | Path | None = None) -> Record:
    """Return readings from a CSV: time, FRC-01 [kN], FRC-02 [kN], air [degC]; by default those of the Munich bridge.

    A gap of two minutes begins a new phase. Times are numbers (of seconds where the header has no unit) or dates.

    Raises
    ------
    DataError, UnitError
        If columns are missing, times do not increase, a bearing reads one value throughout, or the air has gaps.
    """
    where = "munich_bridge.csv" if path is None else str(path)
    columns = read_table(data_file("munich_bridge.csv") if path is None else path, where)
    force = np.column_stack([numbers_of(columns, name, "kN", where) for name in ("FRC-01", "FRC-02")])
    air, time = numbers_of(columns, "air", "degC", where), _seconds(columns, where)
    if time.size < 20 or not (np.diff(time) > 0).all():
        raise DataError(f"{where}: got {time.size} times; expected at least 20 that increase")
    for k, name in enumerate(("FRC-01", "FRC-02")):
        if np.ptp(force[np.isfinite(force[:, k]), k], axis=0) < 1e-6:
            raise DataError(
                f"{where}: got one value throughout in {name!r}; expected readings: is the load cell stuck?"
            )
    if not np.isfinite(air).all():
        raise DataError(f"{where}: got gaps in 'air'; expected a temperature in each row")
    return Record(time, force, air, np.cumsum(np.r_[False, np.diff(time) > GAP]).astype(np.int64))


def _seconds(columns: Any, where: str) -> Array:
    import pandas as pd

    if "time" not in columns or columns["time"].values.dtype.kind in "iuf":
        return numbers_of(columns, "time", "s", where)
    try:
        dates = pd.to_datetime(pd.Series(columns["time"].values))
    except (ValueError, TypeError):
        return read_numbers(columns["time"].values, f"{where}, 'time'")
    return np.asarray((dates - dates.iloc[0]).dt.total_seconds(), dtype=np.float64)


def places(seen: Record) -> NDArray[np.int64]:
    """Return where a vehicle stands at each reading (n,): 0 nowhere, 1 span 1, 2 over the axis, 3 span 2; -1 moving.

    Each phase begins without a vehicle, and one that stands goes through span 1, the axis and span 2 in this order.
    """
    made = np.zeros(seen.time.size, dtype=np.int64)
    for phase in np.unique(seen.phase):
        rows = np.flatnonzero(seen.phase == phase)
        rate = np.abs(np.diff(seen.force[rows], axis=0)) / np.diff(seen.time[rows])[:, None]
        quick = (np.nan_to_num(rate) > MOVING).all(axis=1)
        moving = np.r_[quick, False] | np.r_[False, quick]
        moving |= np.r_[False, moving[:-1]] | np.r_[moving[1:], False]  # a vehicle that comes to rest swings
        above = np.fmin.reduce(seen.force[rows] - np.nanmedian(seen.force[rows[:3]], axis=0), axis=1)
        high = np.nanmax(above[~moving], initial=0.0)
        over = above > 0.75 * high
        loaded = ~moving & (above > STANDING)
        after = np.cumsum(loaded & over) > 0
        made[rows] = np.where(loaded, np.where(over, 2, np.where(after, 3, 1)), 0)
        made[rows[moving]] = -1
    return made


def table(seen: Record, *, empty: bool = False) -> "pd.DataFrame":
    """Return readings as `wb.calibrate` takes them: NaN while a vehicle moves, which (1) does not describe.

    With `empty`, NaN also while one stands: no two stand on the same spot.
    """
    import pandas as pd

    place = places(seen)
    force = np.where(((place == 0) if empty else (place >= 0))[:, None], seen.force, np.nan)
    return pd.DataFrame({"time": seen.time, "frc1": force[:, 0], "frc2": force[:, 1]})


def acting(seen: Record) -> dict[str, Any]:
    """Return what acts on `Bearings` at the times of a record: the air, and where a vehicle stands."""
    place = places(seen)
    made = {"air": list(zip(seen.time.tolist(), (seen.air - seen.air[0]).tolist(), strict=True))}
    for code, name in ((1, "in_first"), (2, "on_axis"), (3, "in_second")):
        made[name] = list(zip(seen.time.tolist(), (place == code).astype(float).tolist(), strict=True))
    return made


def acceleration(path: str | Path | None = None) -> tuple[Array, float]:
    """Return an acceleration (n,) in m/s2 and its sampling frequency (Hz), of a CSV: time [s], acceleration [m/s**2].

    By default three minutes of the Munich bridge with vehicles, at 50 Hz.

    Raises
    ------
    DataError, UnitError
        If columns are missing or the times are not equally spaced.
    """
    where = "munich_acceleration.csv" if path is None else str(path)
    columns = read_table(data_file("munich_acceleration.csv") if path is None else path, where)
    values = numbers_of(columns, "acceleration", "m/s**2", where)
    time = numbers_of(columns, "time", "s", where)
    steps = np.diff(time)
    if steps.size < 1000 or not np.allclose(steps, steps.mean(), rtol=1e-3) or not np.isfinite(values).all():
        raise DataError(f"{where}: got {values.size} samples; expected more than 1000, equally spaced and without gaps")
    return values, float(1 / steps.mean())
