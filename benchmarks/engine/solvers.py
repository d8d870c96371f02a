"""One solve from time 0 to the end by the workbench and by each peer, made ready so that only the solve is timed.

`PEERS[name](problem, rtol)` returns a function without arguments that solves, and one that reads the states at the end
from what it returned. Compiled equations are shared by all tolerances of a problem.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

import workbench as wb
from benchmarks.engine.equations import Equations, for_jax, for_numba, start
from tests.stiff_models import Problem

Ready = tuple[Callable[[], Any], Callable[[Any], Any]]
MAX_STEPS = 100_000


@cache
def _compiled(model: type[wb.Ode]) -> Equations:
    return for_numba(model())


def kernel(problem: Problem, rtol: float, *, told: bool = False) -> Ready:
    """The workbench's kernel as a loop calls it: parameters, inputs and times are prepared once."""
    from workbench.base.clock import Clock
    from workbench.simulate.kernel import solve
    from workbench.simulate.members import gather
    from workbench.simulate.methods.rodas5p import RODAS5P
    from workbench.simulate.scenario import build_schedule

    model, times = problem.at(rtol), np.array([0.0, problem.end])
    theta, _ = gather(model, None)
    clock = Clock.of(times, model.time_unit)
    schedule = build_schedule(model, None, units=None, begin=times[:1], end=times[1:], clock=clock)
    given: Any = {"rows": np.array([0, 1]), "times": times[1:], "method": RODAS5P if told else None}
    return lambda: solve(model, theta.values, schedule, **given), lambda made: made.states[0, 0]


def simulate(problem: Problem, rtol: float) -> Ready:
    """`wb.simulate`, with its Dataset."""
    model = problem.at(rtol)

    def read(dataset: Any) -> Any:
        return [float(dataset[name][-1]) for name in model.states]

    return lambda: wb.simulate(model, [0.0, problem.end]), read


def odeint(problem: Problem, rtol: float) -> Ready:
    """LSODA by `odeint`, whose steps need no Python; `solve_ivp(method="LSODA")` is several times slower."""
    import scipy.integrate

    f, times = _compiled(problem.model), np.array([0.0, problem.end])
    settings: Any = {
        "tfirst": True,
        "rtol": rtol,
        "atol": rtol * problem.scale,
        "mxstep": MAX_STEPS,
        "Dfun": f.jacobian,
    }
    return lambda: scipy.integrate.odeint(f.rhs, f.start, times, **settings), lambda made: made[-1]


def _solve_ivp(problem: Problem, rtol: float, **settings: Any) -> Ready:
    import scipy.integrate

    f = _compiled(problem.model)
    settings |= {"rtol": max(rtol, 3e-14), "atol": rtol * problem.scale}
    span, at = (0.0, problem.end), [problem.end]

    def read(made: Any) -> Any:
        return made.y[:, -1] if made.success else np.full(f.start.size, np.nan)

    return lambda: scipy.integrate.solve_ivp(f.rhs, span, f.start, t_eval=at, **settings), read


def radau(problem: Problem, rtol: float) -> Ready:
    """SciPy's Radau IIA of order 5."""
    return _solve_ivp(problem, rtol, method="Radau", jac=_compiled(problem.model).jacobian)


def dop853(problem: Problem, rtol: float) -> Ready:
    """SciPy's explicit method of order 8."""
    return _solve_ivp(problem, rtol, method="DOP853")


def cvode(problem: Problem, rtol: float) -> Ready:
    """SUNDIALS' CVODE, backward differentiation, dense, through scikit-sundae."""
    from sksundae.cvode import CVODE

    f, times = _compiled(problem.model), np.array([0.0, problem.end])
    solver = CVODE(
        f.rhs_into, jacfn=f.jacobian_into, rtol=rtol, atol=rtol * problem.scale, max_num_steps=MAX_STEPS
    )  # fmt: skip
    return lambda: solver.solve(times, f.start), lambda made: made.y[-1] if made.success else made.y[-1] * np.nan


@cache
def _diffrax(model: type[wb.Ode], method: str, end: float) -> Callable[[float, float], Any]:
    """Return a compiled solve of tolerances."""
    import diffrax
    import jax

    jax.config.update("jax_enable_x64", True)
    term, states = diffrax.ODETerm(for_jax(model())), jax.numpy.array(start(model()))

    @jax.jit
    def solve(rtol: Any, atol: Any) -> Any:
        made = diffrax.diffeqsolve(
            term, getattr(diffrax, method)(), 0.0, end, None, states, max_steps=MAX_STEPS, throw=False,
            saveat=diffrax.SaveAt(t1=True), stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol),
        )  # fmt: skip
        return made.ys[0], made.result == diffrax.RESULTS.successful

    return solve


def _by_diffrax(method: str) -> Callable[[Problem, float], Ready]:
    def prepare(problem: Problem, rtol: float) -> Ready:
        import jax

        solve = _diffrax(problem.model, method, problem.end)
        return (
            lambda: jax.block_until_ready(solve(rtol, rtol * problem.scale)),
            lambda made: np.asarray(made[0]) if bool(made[1]) else np.asarray(made[0]) * np.nan,
        )

    return prepare


PEERS: dict[str, Callable[[Problem, float], Ready]] = {
    "workbench": kernel,
    "workbench, told": partial(kernel, told=True),
    "wb.simulate": simulate,
    "LSODA": odeint,
    "Radau": radau,
    "DOP853": dop853,
    "CVODE": cvode,
    "Kvaerno5": _by_diffrax("Kvaerno5"),
    "Tsit5": _by_diffrax("Tsit5"),
    "Dopri8": _by_diffrax("Dopri8"),
}
VERSIONS = ("numpy", "scipy", "numba", "scikit-sundae", "diffrax", "jax")
