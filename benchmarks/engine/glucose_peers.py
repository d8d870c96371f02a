"""The day of many patients solved by the workbench and by each peer.

`PEERS[name](members)` returns a function without arguments that solves, and returns the glucose in plasma (members,
times) in mmol.
"""

import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import workbench as wb
from benchmarks.engine import glucose

Glucoses = Any


def _given(members: int) -> dict[str, Any]:
    """Return parameters and inputs as `wb.simulate` takes them."""
    import xarray as xr

    values = glucose.patients(members)
    draws = {name: xr.DataArray(values[:, k], dims="member") for k, name in enumerate(glucose.NAMES)}
    return {"parameters": draws, "inputs": glucose.INPUTS}


def by_workbench(members: int) -> Callable[[], Glucoses]:
    """`wb.simulate`, over members."""
    model, given = glucose.Glucose(), _given(members)
    return lambda: wb.simulate(model, glucose.times(), **given)["Q1"].values


def by_zarr(members: int) -> Callable[[], Glucoses]:
    """The same, streamed into a zarr store that is gone afterwards; only the first hundred members are read."""
    model, given = glucose.Glucose(), _given(members)

    def solve() -> Glucoses:
        with tempfile.TemporaryDirectory() as folder:
            return wb.simulate(model, glucose.times(), store=Path(folder) / "days", **given)["Q1"][:100].values

    return solve


def prepared(members: int, days: int = 1) -> Callable[[], Any]:
    """Return the workbench's kernel over prepared members: a bolus every four hours for some days, or the one day."""
    from workbench.base.clock import Clock
    from workbench.simulate.kernel import solve
    from workbench.simulate.scenario import build_schedule

    model, end = glucose.Glucose(), days * glucose.END
    times = glucose.times() if days == 1 else np.linspace(0.0, end, 25)
    inputs: Any = (
        glucose.INPUTS
        if days == 1
        else {"infusion": glucose.BASAL, "bolus": dict.fromkeys(np.arange(0.0, end, 240.0), 700.0)}
    )
    clock = Clock.of(times, model.time_unit)
    schedule = build_schedule(model, inputs, units=None, begin=times[:1], end=times[-1:], clock=clock)
    theta = glucose.patients(members)[:, None, :]
    return lambda: solve(model, theta, schedule, rows=np.array([0, times.size]), times=times)


def by_kernel(members: int) -> Callable[[], Glucoses]:
    """The same without what goes before and after: reading parameters and inputs, and the Dataset."""
    run = prepared(members)
    return lambda: run().states[..., 0]


def by_diffrax(members: int) -> Callable[[], Glucoses]:
    """Tsit5 in double precision, from bolus to bolus, mapped over the members and compiled as a whole."""
    import diffrax
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    controller = diffrax.PIDController(rtol=glucose.RTOL, atol=glucose.ATOL)

    def rhs(t: Any, x: Any, p: Any) -> Any:
        return jnp.stack(glucose.slopes(t, tuple(x), tuple(p), glucose.BASAL, jnp.where, jnp.exp))

    def one(p: Any) -> Any:
        x, kept = jnp.array(glucose.START), []
        for lo, hi, bolus, at in glucose.segments():
            at = at if hi in at else np.append(at, hi)
            made = diffrax.diffeqsolve(
                diffrax.ODETerm(rhs), diffrax.Tsit5(), lo, hi, None, x.at[2].add(bolus), args=p,
                saveat=diffrax.SaveAt(ts=jnp.array(at)), stepsize_controller=controller, max_steps=4096,
            )  # fmt: skip
            x = made.ys[-1]
            kept.append(made.ys if hi == glucose.END else made.ys[:-1])
        return jnp.concatenate(kept)

    solve, values = jax.jit(jax.vmap(one)), jnp.array(glucose.patients(members))
    return lambda: np.asarray(jax.block_until_ready(solve(values)))[..., 0]


def by_scipy(
    members: int, method: str, rtol: float, atol: float, *, compiled: bool = True
) -> Callable[[], Glucoses]:  # fmt: skip
    """`solve_ivp` in a loop over members and boluses."""
    import scipy.integrate

    values = glucose.patients(members)
    rhs = _compiled() if compiled else None

    def plain(t: float, x: Any, p: Any) -> Any:
        return glucose.slopes(t, x, p, glucose.BASAL, lambda condition, a, b: a if condition else b, math.exp)

    def one(p: Any) -> Any:
        x, kept = np.array(glucose.START), []
        for lo, hi, bolus, at in glucose.segments():
            x[2] += bolus
            at = at if hi in at else np.append(at, hi)
            made = scipy.integrate.solve_ivp(
                rhs or plain, (lo, hi), x, method, t_eval=at, args=(p,), rtol=rtol, atol=atol
            )
            x = made.y[:, -1].copy()
            kept.append(made.y[0] if hi == glucose.END else made.y[0, :-1])
        return np.concatenate(kept)

    return lambda: np.array([one(p) for p in values])


def _exp(value: Any) -> Any:
    return math.exp(value)


def _compiled() -> Any:
    """Return the equations compiled by Numba: f(t, x, p)."""
    from numba import njit

    names: dict[str, Any] = {
        "inner": njit(glucose.slopes),
        "array": np.array,
        "exp": njit(_exp),
    }
    names["where"] = njit(lambda condition, a, b: a if condition else b)
    x, p = (", ".join(f"{letter}[{k}]" for k in range(n)) for letter, n in (("x", 8), ("p", len(glucose.NAMES))))
    exec(f"def rhs(t, x, p): return array(inner(t, ({x}), ({p}), {glucose.BASAL}, where, exp))", names)
    return njit(names["rhs"])


def by_numpy(members: int) -> Callable[[], Glucoses]:
    """`solve_ivp`'s default with equations in plain Python."""
    return by_scipy(members, "RK45", glucose.RTOL, glucose.ATOL, compiled=False)


def by_lsoda(members: int) -> Callable[[], Glucoses]:
    """`solve_ivp`'s LSODA."""
    return by_scipy(members, "LSODA", glucose.RTOL, glucose.ATOL)


def by_rk45(members: int) -> Callable[[], Glucoses]:
    """`solve_ivp`'s default."""
    return by_scipy(members, "RK45", glucose.RTOL, glucose.ATOL)


PEERS = {
    "workbench": by_workbench,
    "workbench's kernel": by_kernel,
    "workbench, to zarr": by_zarr,
    "diffrax": by_diffrax,
    "solve_ivp LSODA": by_lsoda,
    "solve_ivp RK45": by_rk45,
    "solve_ivp RK45, Python": by_numpy,
}
