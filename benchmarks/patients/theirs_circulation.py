"""The circulation of `workbench/domains/patients/circulation.py` in diffrax and numpyro, equation by equation.

The activation starts anew with each R peak, where the solver is told that the equations jump. What has passed the
systemic resistance is left out, as nothing here reads it.
"""

from collections.abc import Callable
from typing import Any

MEDIANS = {
    "resistance": (0.9, 0.35), "decay": (1.4, 0.35), "impedance": (0.1, 0.5), "lungs": (0.15, 0.5),
    "decay_lungs": (0.4, 0.4), "impedance_lungs": (0.2, 0.5), "strength": (2.0, 0.5), "strength_right": (0.7, 0.5),
    "softness": (0.12, 0.5), "rise": (0.25, 0.35), "fall": (0.2, 0.35), "delay": (0.12, 0.35),
    "delay_lungs": (0.06, 0.35), "first": (60.0, 0.3), "first_lungs": (15.0, 0.3), "filling": (10.0, 0.3),
    "filling_right": (7.0, 0.3), "abp_time_constant": (0.05, 0.7), "pap_time_constant": (0.05, 0.7),
}  # fmt: skip
NARROWING = INFLOW = 0.008
SOFTNESS_LEFT, VEINS, VEINS_LUNGS = 0.04, 40.0, 2.0
MOST_STEPS, FINEST = 4096, 2**20  # of a solve; of one to a tolerance under 1e-7


def flows(s: Any, chest: Any, z: Any, p: Any) -> dict[str, Any]:
    """Return pressures and flows at a time `s` after the last R peak, with states z along the first axis."""
    import jax.numpy as jnp

    def activation(s: Any) -> Any:
        up, down = jnp.clip(s / p["rise"], 0.0, 1.0), jnp.clip((s - p["rise"]) / p["fall"], 0.0, 1.0)
        return 0.5 * (jnp.cos(jnp.pi * down) - jnp.cos(jnp.pi * up))

    arteries, veins, pulmonary, veins_lungs, left_volume, right_volume = z
    R, outside = p["resistance"], p["swing"] * chest
    a, b = activation(s - p["delay"]), activation(s - p["delay_lungs"])
    left = p["strength"] * R * (SOFTNESS_LEFT + (1 - SOFTNESS_LEFT) * a) * left_volume + outside
    right = p["strength_right"] * R * (p["softness"] + (1 - p["softness"]) * b) * right_volume + outside
    artery, zero = arteries + p["inside"] * outside, 0.0
    through = R * (p["lungs"] * p["impedance_lungs"] + INFLOW)
    return {
        "right": right,
        "outside": outside,
        "artery": artery,
        "mitral": jnp.maximum(veins_lungs + outside - left, zero) / (INFLOW * R),
        "tricuspid": jnp.maximum(veins + outside - right, zero) / (INFLOW * R),
        "aortic": jnp.maximum(left - artery, zero) / (R * (p["impedance"] + NARROWING)),
        "pulmonary": jnp.maximum(right - pulmonary - outside, zero) / through,
        "body": (artery - veins - outside) / R,
        "lung": (pulmonary - veins_lungs) / (p["lungs"] * R),
    }


def rates(q: dict[str, Any], p: Any) -> Any:
    """Return the rates of the six states."""
    import jax.numpy as jnp

    C, C_lungs = p["decay"] / p["resistance"], p["decay_lungs"] / (p["lungs"] * p["resistance"])
    return jnp.stack([
        (q["aortic"] - q["body"]) / C,
        (q["body"] - q["tricuspid"]) / (VEINS * C),
        (q["pulmonary"] - q["lung"]) / C_lungs,
        (q["lung"] - q["mitral"]) / (VEINS_LUNGS * C_lungs),
        q["mitral"] - q["aortic"],
        q["tricuspid"] - q["pulmonary"],
    ])  # fmt: skip


def lasting(error: Any, gaps: Any, sigma: Any, memory: Any) -> Any:
    """Return the log density of Gaussian errors (n,) that last; gaps (n - 1,) between them."""
    import jax.numpy as jnp
    import numpyro.distributions as dist

    share = jnp.exp(-gaps / memory)
    sd = sigma * jnp.sqrt(-jnp.expm1(-2 * gaps / memory))
    later = dist.Normal(share * error[:-1], sd).log_prob(error[1:])
    return dist.Normal(0.0, sigma).log_prob(error[0]) + later.sum()


def prior() -> dict[str, Any]:
    """Draw the parameters from their priors, inside a model."""
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist

    made = {n: numpyro.sample(n, dist.LogNormal(jnp.log(m), s)) for n, (m, s) in MEDIANS.items()}
    halves = ("swing", "abp_sigma", "pap_sigma")
    made |= {n: numpyro.sample(n, dist.HalfNormal(5.0)) for n in halves}
    return made | {"inside": numpyro.sample("inside", dist.Beta(2.0, 2.0))}


def model(told: dict[str, Any], rtol: float, atol: float, *, forward: bool) -> Callable[[], None]:
    """Return the model as numpyro takes it."""
    import diffrax
    import jax
    import jax.numpy as jnp
    import numpyro

    times, beats, chest, tip = (jnp.array(told[n]) for n in ("times", "beats", "chest", "tip"))
    abp, pap, knot = jnp.array(told["abp"]), jnp.array(told["pap"]), told["knot"]
    adjoint = diffrax.ForwardMode() if forward else diffrax.RecursiveCheckpointAdjoint()
    most = FINEST if rtol < 1e-7 else MOST_STEPS
    steps = diffrax.ClipStepSizeController(diffrax.PIDController(rtol=rtol, atol=atol), jump_ts=beats[1:])

    def inputs(t: Any) -> tuple[Any, Any]:
        t = jax.lax.stop_gradient(t)
        k = jnp.clip(jnp.floor(t / knot).astype(int), 0, chest.size - 2)
        return t - beats[jnp.searchsorted(beats, t, side="right") - 1], chest[k] + (t / knot - k) * (
            chest[k + 1] - chest[k]
        )

    def slope(t: Any, z: Any, p: Any) -> Any:
        return rates(flows(*inputs(t), z, p), p)

    def posterior() -> None:
        p = prior()
        left = p["filling"] / (SOFTNESS_LEFT * p["strength"] * p["resistance"])
        right = p["filling_right"] / (p["softness"] * p["strength_right"] * p["resistance"])
        start = jnp.stack([p["first"], p["filling_right"], p["first_lungs"], p["filling"], left, right])
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(slope), diffrax.Tsit5(), times[0], times[-1], None, start, args=p, max_steps=most,
            saveat=diffrax.SaveAt(ts=times), stepsize_controller=steps, adjoint=adjoint, throw=False,
        )  # fmt: skip
        solved = jnp.all(jnp.isfinite(solution.ys))
        numpyro.factor("solved", jnp.where(solved, 0.0, -jnp.inf))
        z = jnp.where(solved, solution.ys, 1.0)
        q = flows(*inputs(times), z.T, p)
        lungs = z[:, 2] + q["outside"] + p["impedance_lungs"] * p["lungs"] * p["resistance"] * q["pulmonary"]
        off = abp - q["artery"] - p["impedance"] * p["resistance"] * q["aortic"]
        numpyro.factor("abp", lasting(off, jnp.diff(times), p["abp_sigma"], p["abp_time_constant"]))
        off = pap - (1 - tip) * lungs - tip * q["right"]
        numpyro.factor("pap", lasting(off, jnp.diff(times), p["pap_sigma"], p["pap_time_constant"]))

    return posterior
