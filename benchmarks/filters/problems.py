"""What is filtered: Lorenz's equations as DAPPER's settings have them, a pendulum, and a chain of ten states."""

from typing import Any

import numpy as np

import workbench as wb

PENDULUM = {"dt": 0.01, "gravity": 9.8, "noise": (0.003, 0.02), "sensor": 0.1, "start": (1.5, 0.0), "spread": 0.1}


def _step(rate: Any, x: Any, dt: float) -> Any:
    """Return one step of the classical Runge-Kutta method, which DAPPER takes."""
    k1 = rate(x)
    k2 = rate(x + 0.5 * dt * k1)
    k3 = rate(x + 0.5 * dt * k2)
    k4 = rate(x + dt * k3)
    return x + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def lorenz63(start: Any) -> type[wb.Map]:
    """Return Lorenz (1963), J. Atmos. Sci. 20, 130, in steps of 0.01, read every 25 with errors of variance 2."""

    class Lorenz63(wb.Map):
        time_unit = "s"
        dt = 0.01
        x = wb.State("1", start=wb.prior.Normal(mu=float(start[0]), sigma=2**0.5))
        y = wb.State("1", start=wb.prior.Normal(mu=float(start[1]), sigma=2**0.5))
        z = wb.State("1", start=wb.prior.Normal(mu=float(start[2]), sigma=2**0.5))
        see_x, see_y, see_z = (wb.Output("1", noise=wb.noise.Normal(sigma=2**0.5)) for _ in range(3))

        def step(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
            at, ks = [x.x, x.y, x.z], []
            for share in (0.0, 0.5, 0.5, 1.0):
                a, b, c = [v + share * 0.01 * k for v, k in zip(at, ks[-1], strict=True)] if ks else at
                ks.append([10.0 * (b - a), a * (28.0 - c) - b, a * b - 8.0 / 3.0 * c])
            ks = [sum(w * k[i] for w, k in zip((1, 2, 2, 1), ks, strict=True)) for i in range(3)]
            return {n: v + 0.01 / 6 * k for n, v, k in zip("xyz", at, ks, strict=True)}

        def observe(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
            return {"see_x": x.x, "see_y": x.y, "see_z": x.z}

    return Lorenz63


def lorenz96(start: Any, *, size: int = 40, sensor: float = 1.0, noise: float | None = None) -> type[wb.Map]:
    """Return Lorenz (1996) with force 8 in steps of 0.05, all of it read every step."""
    sd = wb.prior.Normal(mu=0.0, sigma=0.001**0.5)

    class Lorenz96(wb.Map):
        time_unit = "s"
        dt = 0.05
        x = wb.State("1", start=sd, dims=("place",), noise=noise)
        around = wb.Parameter("1", value=np.asarray(start, dtype=float), dims=("place",))
        see = wb.Output("1", noise=wb.noise.Normal(sigma=sensor), dims=("place",))

        def coords(self) -> dict[str, Any]:
            return {"place": np.arange(size)}

        def step(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
            def rate(v: Any) -> Any:
                return (wb.math.roll(v, -1) - wb.math.roll(v, 2)) * wb.math.roll(v, 1) - v + 8.0

            return {"x": _step(rate, x.x + p.around, 0.05) - p.around}

        def observe(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
            return {"see": x.x + p.around}

    return Lorenz96


class Pendulum(wb.Map):
    """A pendulum pushed at random, by Euler's steps; its sine is read (Sarkka & Svensson 2023, example 3.7)."""

    time_unit = "s"
    dt = 0.01
    a = wb.State("1", start=wb.prior.Normal(mu=1.5, sigma=0.1), noise=0.003)
    w = wb.State("1", start=wb.prior.Normal(mu=0.0, sigma=0.1), noise=0.02)
    y = wb.Output("1", noise=wb.noise.Normal(sigma=0.1))

    def step(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"a": x.a + 0.01 * x.w, "w": x.w - 0.01 * 9.8 * wb.math.sin(x.a)}

    def observe(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        return {"y": wb.math.sin(x.a)}


def pendulum(count: int, seed: int = 0) -> Any:
    """Return readings (count,) of a pendulum."""
    rng, x, read = np.random.default_rng(seed), np.array([1.5, 0.0]), []
    for k in range(count):
        if k:
            x = x + np.array([0.01 * x[1], -0.01 * 9.8 * np.sin(x[0])]) + np.array([0.003, 0.02]) * rng.normal(size=2)
        read.append(np.sin(x[0]) + 0.1 * rng.normal())
    return np.array(read)
