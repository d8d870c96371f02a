"""numpyro's NUTS over diffrax's Tsit5, in double precision; the two variants have modules of their own."""

import os
import time
from functools import partial

from benchmarks.peers.protocol import CALL, LOOP, Gradients, Sampled, Settings, main, time_sweeps
from benchmarks.problem import HARE, LYNX, MAX_STEPS, NAMES, TOLERANCE, YEARS, posterior_points, reference_start

PRIORS = (("Truncated", 1.0, 0.5), ("Truncated", 0.05, 0.05)) * 2 + (("Log", 2.302585092994046, 1.0),) * 2 + (
    ("Log", -1.0, 1.0),) * 2  # fmt: skip


def sample(settings: Settings, *, forward: bool = False, dense: bool = False) -> Sampled:
    """Sample with one process a chain, all at once; the slowest chain counts, as for Stan.

    Processes, because `chain_method="parallel"` maps over devices, where diffrax's backward pass fails
    (patrick-kidger/diffrax issue 765), and "vectorized" makes every chain wait for the longest trajectory.
    """
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(settings.chains, mp_context=get_context("spawn")) as pool:
        chains = list(pool.map(partial(_chain, settings, forward, dense), range(settings.chains)))
    draws = {name: [values[name] for values, _, _ in chains] for name in NAMES}
    return Sampled(draws, max(seconds for _, seconds, _ in chains), max(each for *_, each in chains), 0.0, _version())


def _chain(settings: Settings, forward: bool, dense: bool, chain: int) -> tuple[dict[str, list[float]], float, float]:
    """Return one chain's draws, its seconds of sampling and its seconds of compilation."""
    _load()
    import jax
    from numpyro.infer import MCMC, NUTS

    compiling = compile_clock(jax)
    kernel = NUTS(_model(forward), forward_mode_differentiation=forward, dense_mass=dense)
    mcmc = MCMC(kernel, num_warmup=settings.tune, num_samples=settings.draws, progress_bar=False)
    start = reference_start(chain, settings.seed)
    init = {name: jax.numpy.log(start[name]) for name in NAMES} if settings.start == "reference" else None
    key = jax.random.split(jax.random.PRNGKey(settings.seed), settings.chains)[chain]
    began = time.perf_counter()
    mcmc.run(key, init_params=init)
    draws = {name: values.tolist() for name, values in mcmc.get_samples().items()}
    seconds = time.perf_counter() - began
    return draws, seconds - sum(compiling), sum(compiling)


def gradient(*, forward: bool = False) -> Gradients:
    """Time one evaluation in a compiled loop over the points, as a sampler runs it, and called from Python."""
    _load()
    import jax
    from numpyro.infer.util import initialize_model

    setup = initialize_model(jax.random.PRNGKey(0), _model(forward), forward_mode_differentiation=forward)
    potential = setup.potential_fn

    def density(q):
        return -potential(dict(zip(NAMES, q, strict=True)))

    def value_and_gradient(q):
        if not forward:
            return jax.value_and_grad(density)(q)
        slope, value = jax.jacfwd(lambda at: (density(at),) * 2, has_aux=True)(q)  # one solve for both
        return value, slope

    points = jax.numpy.array(posterior_points())
    began = time.perf_counter()
    single = jax.jit(value_and_gradient).lower(points[0]).compile()
    compiled = time.perf_counter() - began
    sweep = jax.jit(lambda many: jax.lax.map(value_and_gradient, many)).lower(points).compile()
    values, gradients = sweep(points)
    each = list(points)
    microseconds = {
        LOOP: time_sweeps(lambda: jax.block_until_ready(sweep(points)), len(points)),
        CALL: time_sweeps(lambda: [jax.block_until_ready(single(one)) for one in each], len(points)),
    }
    return Gradients(values.tolist(), gradients.tolist(), microseconds, compiled, _version())


def _load() -> None:
    """Ask for the CPU and double precision, which must be said before JAX starts."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax

    jax.config.update("jax_enable_x64", True)


def _model(forward: bool):
    import diffrax
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist

    years, pelts = jnp.array(YEARS), jnp.array([HARE, LYNX]).T
    adjoint = diffrax.ForwardMode() if forward else diffrax.RecursiveCheckpointAdjoint()
    controller = diffrax.PIDController(rtol=TOLERANCE, atol=TOLERANCE)

    def slope(t, z, rate):
        return jnp.stack([(rate[0] - rate[1] * z[1]) * z[0], (-rate[2] + rate[3] * z[0]) * z[1]])

    def model():
        drawn = [
            numpyro.sample(name, dist.TruncatedNormal(a, b, low=0.0) if kind == "Truncated" else dist.LogNormal(a, b))
            for name, (kind, a, b) in zip(NAMES, PRIORS, strict=True)
        ]
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(slope), diffrax.Tsit5(), YEARS[0], YEARS[-1], None, jnp.stack(drawn[4:6]),
            args=jnp.stack(drawn[:4]), saveat=diffrax.SaveAt(ts=years), stepsize_controller=controller,
            adjoint=adjoint, max_steps=MAX_STEPS, throw=False,
        )  # fmt: skip
        # A failed solve leaves inf at the years it did not reach: the density is then -inf and the proposal rejected.
        solved = jnp.all((solution.ys > 0.0) & jnp.isfinite(solution.ys))
        numpyro.factor("solved", jnp.where(solved, 0.0, -jnp.inf))
        states = jnp.where(solved, solution.ys, 1.0)
        numpyro.sample("pelts", dist.LogNormal(jnp.log(states), jnp.stack(drawn[6:])), obs=pelts)

    return model


def compile_clock(jax) -> list[float]:
    """Return a list that JAX fills with the seconds of tracing, lowering and compilation."""
    seconds: list[float] = []

    def listen(event: str, duration: float, **_: object) -> None:
        if event.startswith("/jax/core/compile/"):
            seconds.append(duration)

    jax.monitoring.register_event_duration_secs_listener(listen)
    return seconds


def _version() -> str:
    from importlib.metadata import version

    return ", ".join(f"{name} {version(name)}" for name in ("numpyro", "diffrax", "jax"))


if __name__ == "__main__":
    main("diffrax", sample=sample, gradient=gradient)
