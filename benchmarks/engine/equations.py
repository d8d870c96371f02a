"""A model's equations for its peers: the same straight-line program, printed for Numba and for JAX.

Parameters are put in as constants, which favours the peers a little: the workbench reads them anew in every call.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import workbench as wb
from workbench.declare.program import Program
from workbench.declare.trace import differentiate, program, trace
from workbench.simulate.kernels.lines import compute

TEMPLATE = """
def rhs_into(t, y, out):
{rhs}

def rhs(t, y):
    out = empty({n})
    rhs_into(t, y, out)
    return out

def jacobian_into(t, y, yp, out):
{jacobian}

def jacobian(t, y):
    out = zeros(({n}, {n}))
    jacobian_into(t, y, y, out)
    return out
"""
JAX_TEMPLATE = """
def rhs(t, y, args):
{rhs}
    return stack([{outputs}])
"""


@dataclass(frozen=True)
class Equations:
    """What SciPy and CVODE take: f(t, y) and its Jacobian, returned or written into the last argument."""

    start: Any
    rhs: Callable[..., Any]
    rhs_into: Callable[..., Any]
    jacobian: Callable[..., Any]
    jacobian_into: Callable[..., Any]


def start(model: wb.Ode) -> Any:
    """Return the states (n,) at time 0; all starts are numbers here."""
    return np.array([state.start for state in model.states.values()], dtype=float)


def for_numba(model: wb.Ode) -> Equations:
    """Return the equations compiled by Numba, with the symbolic Jacobian."""
    from numba import njit

    n, d = len(model.states), differentiate(trace(model), "rhs")
    slopes = ["_"] * n + [f"out[{row}, {column}]" for row, column in d.entries]
    names: dict[str, Any] = {"math": math, "empty": np.empty, "zeros": np.zeros}
    values = _lines(model, program(trace(model), "rhs"), [f"out[{i}]" for i in range(n)])
    exec(TEMPLATE.format(n=n, rhs=values, jacobian=_lines(model, d.program, slopes)), names)
    made = ("rhs_into", "rhs", "jacobian_into", "jacobian")
    names |= {name: njit(names[name], error_model="numpy") for name in made}
    for name in made:  # they call one another by name
        names[name].py_func.__globals__.update(names)
    return Equations(start(model), **{name: names[name] for name in made})


def for_jax(model: wb.Ode) -> Callable[..., Any]:
    """Return f(t, y, args) of JAX arrays."""
    import jax.numpy as jnp

    outputs = [f"o{i}" for i in range(len(model.states))]
    names: dict[str, Any] = {"math": jnp, "stack": jnp.stack}
    body = _lines(model, program(trace(model), "rhs"), outputs)
    exec(JAX_TEMPLATE.format(rhs=body, outputs=", ".join(outputs)), names)
    return names["rhs"]


def _lines(model: wb.Ode, made: Program, targets: list[str]) -> str:
    """Return the indented lines of a program, its inputs read from y and its parameters written out."""
    values = [repr(float(q.nominal())) for q in model.theta.values()]
    lines = "\n".join(f"    {line}" for line in compute(made, targets))
    return re.sub(r"\bp\[(\d+)\]", lambda found: values[int(found[1])], re.sub(r"W\[a \+ (\d+)\]", r"y[\1]", lines))
