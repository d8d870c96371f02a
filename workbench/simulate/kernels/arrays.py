"""Prints a model's equations as loops: for states by the hundred, with the functions that `equations` prints.

Jacobians are found column by column: columns that share no row are computed together, as one derivative along a
direction (Curtis, Powell & Reid, IMA Journal of Applied Mathematics 13 (1974) 117-119).
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import pullback, pushforward
from pytensor.graph.basic import Variable
from pytensor.graph.replace import clone_replace

from workbench.declare.loops import Stored
from workbench.declare.lower_loops import lower_loops
from workbench.declare.sparsity import Pattern, pattern
from workbench.declare.trace import Trace
from workbench.simulate.kernels.lines import PLACE, function
from workbench.simulate.kernels.looping import statements, table
from workbench.simulate.kernels.vector import WIDTH

MANY = 64  # states from which on equations are printed as loops
IMPORTS = "from workbench.simulate.kernels.vector import peek, poke"
# Where a kernel finds the arrays of an array program (see `equations`): directions w, v of states and q of parameters.
PATTERNS = {
    "x": "W[a + {i}]", "u": "level[j, {i}] + slope[j, {i}] * (t - begin[j])", "p": "p[{i}]", "r": "slope[j, {i}] * tau",
    "w": "W[w + {i}]", "v": "W[v + {i}]", "q": "W[q + {i}]", "out": "W[b + {i}]",
}  # fmt: skip


def many(traced: Trace) -> bool:
    """Return whether a model has so many states that its equations are printed as loops."""
    return traced.model.state_layout.size > MANY


class Arrays:
    """A model's equations on their way to a kernel's functions; `scratch` numbers are needed between their loops."""

    def __init__(self, traced: Trace):
        self.traced, self.scratch = traced, 0
        self.tables = dict[str, np.ndarray]()
        model = traced.model
        self.n, self.columns = model.state_layout.size, len(model.theta_layout.columns(model.estimated))
        self.theta = [v for name, v in zip(model.theta, traced.theta, strict=True) if name in model.estimated]
        self.w, self.v = self.like(traced.states, "w"), self.like(traced.states, "v")
        self.q = self.like(self.theta, "q")
        self.rates = self.like(traced.inputs, "r")
        self.tau = pt.dscalar("tau")

    @staticmethod
    def like(variables: Sequence[Variable], letter: str) -> dict[Variable, Stored]:
        """Return variables of the same shapes, lying one after the other in an array."""
        made, first = {}, 0
        for variable in variables:
            stored = Stored(letter, first, variable.type.shape)
            made[variable.type(f"{letter}{first}")] = stored
            first += stored.size
        return made

    @cached_property
    def known(self) -> dict[Variable, Stored]:
        """Where the equations' variables lie."""
        traced, model, known = self.traced, self.traced.model, {self.traced.t: Stored("t", 0, ())}
        for letter, variables, places in (
            ("x", traced.states, model.state_layout.places.values()),
            ("p", traced.theta, model.theta_layout.places.values()),
        ):
            known |= {v: Stored(letter, s.start, v.type.shape) for v, s in zip(variables, places, strict=True)}
        known |= dict(zip(traced.inputs, self.like(traced.inputs, "u").values(), strict=True))
        return known | self.w | self.v | self.q | self.rates | {self.tau: Stored("tau", 0, ())}

    def lines(
        self, outputs: Sequence[Variable], *, target: str = "W[b + {i}]", patterns: Mapping[str, str] | None = None
    ) -> list[str]:
        """Return the lines that store outputs one after the other."""
        stored = self.like(outputs, "out").values()
        return self.stored(
            [(o, s, False) for o, s in zip(outputs, stored, strict=True)], {"out": target, **(patterns or {})}
        )

    def stored(
        self, outputs: list[tuple[Variable, Stored, bool]], patterns: Mapping[str, str], extra: Any = None
    ) -> list[str]:
        """Return the lines of an array program, after the tables that it reads; `extra` are further inputs."""
        loops = lower_loops({**self.known, **(extra or {})}, outputs, self.traced.model.name)
        self.scratch = max(self.scratch, loops.places[1])
        self.tables |= loops.tables
        return statements(loops, {**PATTERNS, **patterns})

    def text(self) -> str:
        """Return the module's lines before its functions."""
        return "\n".join([IMPORTS, *(table(name, data) for name, data in self.tables.items())])

    def keep(self, data: Any) -> str:
        """Return the name of a table of places."""
        name = f"C_{len(self.tables)}"
        self.tables[name] = np.asarray(data, dtype=np.int64)
        return name

    def room(self, first: int) -> dict[str, int]:
        """Return the places of what array programs need, from `first` on, and where the work array ends."""
        n, k, row = self.n, self.traced.model.output_layout.size, self.n * padded(self.columns)
        sizes = {
            "SCRATCH": self.scratch,
            "SEED": max(n, self.columns),
            "RESULT": max(n, k),
            "TURN": max(n, row),
            "Q": n,
        }
        places = {}
        for name, size in sizes.items():
            places[name] = first
            first += size
        return places | {"WORK": first + 1}

    def plain(self) -> list[str]:
        """Return the functions start, rhs and record, of values alone."""
        record = self.lines(self.of("observe"), target="Y[r, {i}]")
        return [
            *self.values(),
            function(
                "record", f"{PLACE}, a, s, r, X, Y", [*record, "for i in range(N):", "    X[r, i] = peek(W, a + i)"]
            ),
        ]

    def values(self) -> list[str]:
        """Return the functions start and rhs, of values alone."""
        return [
            function("start", "p, W", self.lines(self.of("start"), target="W[{i}]")),
            function("rhs", f"{PLACE}, a, b, g", self.lines(self.of("rhs"))),
        ]

    def of(self, method: str) -> list[Variable]:
        """Return the results of a method; "rhs" is "step" of a map."""
        equations = self.traced.equations
        return equations["step" if method == "rhs" and "step" in equations else method]

    def bent(self) -> list[Variable]:
        """Return J w + (df/dt) tau, where inputs move with the time."""
        moving = [self.traced.t, *self.traced.inputs, *self.traced.states]
        return tangent(self.of("rhs"), moving, [self.tau, *self.rates, *self.w])

    def pattern(self, method: str, by: Sequence[Variable]) -> Pattern:
        """Return which results of a method depend on which elements of some variables."""
        traced = self.traced
        return pattern(self.of(method), by, [traced.t, *traced.states, *traced.inputs, *traced.theta])


def padded(columns: int) -> int:
    """Return how many columns are kept, so that vectors fill them."""
    return -(-columns // WIDTH) * WIDTH


def tangent(outputs: Sequence[Variable], wrt: Sequence[Variable], parts: Sequence[Variable]) -> list[Variable]:
    """Return the derivatives of outputs along a direction, given by its parts."""
    if not wrt or not outputs:
        return [o.zeros_like() for o in outputs]
    disconnected = {"disconnected_outputs": "ignore", "return_disconnected": "zero"}
    try:
        made = pushforward(list(outputs), list(wrt), list(parts), use_op_pushforward=True, **disconnected)
    except NotImplementedError:
        made = _by_pullbacks(outputs, wrt, parts)
    return [m.astype("float64") for m in made]


def _by_pullbacks(outputs: Sequence[Variable], wrt: Sequence[Variable], parts: Sequence[Variable]) -> list[Variable]:
    """Return the same for functions whose derivatives PyTensor knows only backwards.

    Its own way of doing so loses terms of scalar outputs, whose cotangents, zeros, are one and the same variable.
    Copies keep an output apart that another one is made of: `pullback` leaves off what the other passes on to it.
    """
    disconnected = {"disconnected_inputs": "ignore", "return_disconnected": "zero"}
    cotangents = [o.type() for o in outputs]
    back = pullback([pt.tensor_copy(o) for o in outputs], list(wrt), cotangents, **disconnected)
    along = pullback([pt.tensor_copy(b) for b in back], cotangents, list(parts), **disconnected)
    return clone_replace(along, {c: pt.zeros(c.type.shape) for c in cotangents})
