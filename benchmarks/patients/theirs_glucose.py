"""The glucose of `workbench/domains/patients/glucose.py` in diffrax and numpyro, through the same Kalman filter.

Mean and covariance between two readings are one solve of diffrax (dP/dt = J P + P J' + Q, J P by derivatives in the
direction of the columns of P), readings are taken in by a scan over them.
"""

from collections.abc import Callable
from typing import Any

MEDIANS = {
    "effect": (0.25, 0.4), "production": (1.81, 0.2), "rise": (7.1, 0.4), "t_meal": (40.0, 0.3),
    "t_insulin": (55.0, 0.2), "t_flux": (60.0, 0.6), "agitation": (0.15, 0.6), "cgm_sigma": (3.0, 0.5),
}  # fmt: skip
T_ACTION, T_SENSOR, USUAL, UPTAKE, HALF, THRESHOLD, CLEARANCE = 60.0, 8.0, 0.02, 1.09, 18.0, 162.0, 0.003
LEAST = (-float("inf"),) * 5 + (10.0, 10.0, -float("inf"))  # of the states
MOST_STEPS = 256  # between two readings


def rates(m: Any, p: Any, basal: Any) -> Any:
    """Return the rates of the eight states."""
    import jax.numpy as jnp

    S1, S2, x, D1, D2, G, C, d = m
    F, R = UPTAKE * G / (0.85 * (G + HALF)), CLEARANCE * jnp.maximum(G - THRESHOLD, 0.0)
    return jnp.stack([
        basal - S1 / p["t_insulin"],
        (S1 - S2) / p["t_insulin"],
        (p["effect"] * S2 / p["t_insulin"] - x) / T_ACTION,
        -D1 / p["t_meal"],
        (D1 - D2) / p["t_meal"],
        p["production"] - F - R - x * G + p["rise"] * D2 / p["t_meal"] + d,
        (G - C) / T_SENSOR,
        -d / p["t_flux"],
    ])  # fmt: skip


def moved(t: Any, state: Any, given: Any) -> Any:
    """Return the rates of mean (8,) and covariance (8, 8)."""
    import jax

    (m, P), (p, basal) = state, given

    def along(direction: Any) -> Any:
        return jax.jvp(lambda at: rates(at, p, basal), (m,), (direction,))[1]

    JP = jax.vmap(along, in_axes=1, out_axes=1)(P)
    return rates(m, p, basal), (JP + JP.T).at[7, 7].add(p["agitation"] ** 2)


def corrected(m: Any, P: Any, reading: Any, sigma: Any) -> tuple[Any, Any, Any]:
    """Return mean and covariance after a reading of the sensor, and the reading's log density."""
    import jax.numpy as jnp
    import numpyro.distributions as dist

    g, off = P[:, 6], reading - m[6]
    f = g[6] + sigma**2
    density = dist.Normal(0.0, jnp.sqrt(f)).log_prob(off)
    return jnp.maximum(m + g / f * off, jnp.array(LEAST)), P - jnp.outer(g, g) / f, density


def prior() -> dict[str, Any]:
    """Draw the parameters from their priors, inside a model."""
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist

    made = {n: numpyro.sample(n, dist.LogNormal(jnp.log(m), s)) for n, (m, s) in MEDIANS.items()}
    return made | {"first": numpyro.sample("first", dist.Normal(150.0, 60.0))}


def model(told: dict[str, Any], rtol: float, atol: float, *, forward: bool) -> Callable[[], None]:
    """Return the model as numpyro takes it."""
    import diffrax
    import jax
    import jax.numpy as jnp
    import numpyro

    times, cgm, basal, bolus, meal = (jnp.array(told[n]) for n in ("times", "cgm", "basal", "bolus", "meal"))
    adjoint = diffrax.ForwardMode() if forward else diffrax.RecursiveCheckpointAdjoint()
    steps = diffrax.PIDController(rtol=rtol, atol=atol)

    def posterior() -> None:
        p = prior()

        def cycle(state: Any, now: Any) -> tuple[Any, Any]:
            m, P = state
            begin, end, basal, bolus, meal, reading = now
            m = m.at[0].add(bolus).at[3].add(meal)
            solution = diffrax.diffeqsolve(
                diffrax.ODETerm(moved), diffrax.Tsit5(), begin, end, end - begin, (m, P), args=(p, basal),
                stepsize_controller=steps, adjoint=adjoint, max_steps=MOST_STEPS, throw=False,
            )  # fmt: skip
            m, P = jnp.maximum(solution.ys[0][-1], jnp.array(LEAST)), solution.ys[1][-1]
            m, P, density = corrected(m, P, reading, p["cgm_sigma"])
            return (m, P), density

        rest, first = USUAL * p["t_insulin"], p["first"]
        m = jnp.stack([rest, rest, p["effect"] * USUAL, 0.0, 0.0, first, first, 0.0])
        m, P, density = corrected(m, jnp.zeros((8, 8)), cgm[0], p["cgm_sigma"])
        legs = (times[:-1], times[1:], basal[:-1], bolus[:-1], meal[:-1], cgm[1:])
        total = density + jax.lax.scan(cycle, (m, P), legs)[1].sum()
        numpyro.factor("cgm", jnp.where(jnp.isfinite(total), total, -jnp.inf))

    return posterior
