"""Prints the eigenproblems of a static model as functions of a kernel: their results lie behind the states.

So what follows (further eigenproblems, outputs) reads eigenvalues and vectors, and their sensitivities, as it reads
states. The matrices are scalar programs; K v = lambda M v is solved by LAPACK, and its derivative is the exact one.
"""

import inspect
from dataclasses import dataclass

import pytensor.tensor as pt
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.replace import clone_replace
from pytensor.graph.traversal import io_toposort
from pytensor.tensor.blockwise import Blockwise

from workbench.base.errors import DeclarationError
from workbench.declare.derive import Differentiated, jacobian
from workbench.declare.eigen import EQUAL, ROUNDING, SKEW, Eigen
from workbench.declare.lower import lower
from workbench.declare.program import Program
from workbench.declare.trace import Trace, input_names
from workbench.simulate import eigen
from workbench.simulate.kernels.equations import add_direct
from workbench.simulate.kernels.lines import PLACE, compute, function

NEAR = 1e-6  # relative distance up to which eigenvalues are reported as repeated
MOST = 20_000  # entries of K and M above which a graph serves better than a kernel
DIFFERENT = 500  # the same of entries that differ
PAIRS = 52  # neighbouring eigenvalues that are looked at: what the log holds, a binary digit each
_PRELUDE = f"""
from typing import Any

SKEW, EQUAL, ROUNDING, NEAR = {SKEW!r}, {EQUAL!r}, {ROUNDING!r}, {NEAR!r}
"""


@dataclass(frozen=True)
class Stage:
    """An eigenproblem: its n rows, the program of what differs among the entries of K and M, and which each entry is.

    Entries are often alike, as those of elements are; a program of each would take minutes to compile.
    """

    n: int
    program: Program
    which: tuple[int, ...]


@dataclass(frozen=True)
class Lowered:
    """A static model's outputs as programs, whose states are those of the model and what eigenproblems give.

    Attributes
    ----------
    observe
        The program of the outputs.
    stages
        The eigenproblems.
    columns
        Inputs that derivatives are by: states, eigenvalues and vectors, estimated parameters.
    """

    observe: Program
    stages: tuple[Stage, ...]
    columns: tuple[int, ...]

    @property
    def extra(self) -> int:
        """How many numbers lie behind the states."""
        return sum(stage.n + stage.n**2 for stage in self.stages)

    @property
    def pairs(self) -> int:
        """How many neighbouring eigenvalues are looked at."""
        return min(PAIRS, sum(stage.n - 1 for stage in self.stages))


def eigen_nodes(traced: Trace) -> list[Apply]:
    """Return the eigenproblems among the outputs' equations."""
    symbols = [traced.t, *traced.states, *traced.inputs, *traced.theta]
    nodes = io_toposort(symbols, traced.equations["observe"])
    return [node for node in nodes if isinstance(node.op, Blockwise) and isinstance(node.op.core_op, Eigen)]


def lowered(traced: Trace) -> Lowered:
    """Return the outputs as programs; DeclarationError where they have no scalar form, or one that is too long."""
    nodes, where = eigen_nodes(traced), f"{traced.model.name}.observe"
    sizes = [node.outputs[0].type.shape[0] for node in nodes]
    if None in sizes or any(node.outputs[0].ndim > 1 for node in nodes) or sum(2 * n * n for n in sizes) > MOST:
        raise DeclarationError(f"{where}: got eigenproblems of sizes {sizes}; expected small ones of known size")
    fresh: dict[Variable, Variable] = {
        out: pt.TensorType("float64", shape=out.type.shape)() for node in nodes for out in node.outputs
    }
    symbols = [traced.t, *traced.states, *fresh.values(), *traced.inputs, *traced.theta]
    n, names = traced.model.state_layout.size, input_names(traced.model)
    extra = sum(n + n * n for n in sizes)
    names[1 + n : 1 + n] = [f"x{n + k}" for k in range(extra)]

    def program(outputs: list[Variable]) -> Program:
        return lower(symbols, clone_replace(outputs, fresh), names, where)

    columns = [*range(1, 1 + n + extra)]
    columns += [names.index(f"p{k}") for k in traced.model.theta_layout.columns(traced.model.estimated)]
    stages = tuple(_stage(n, program(list(node.inputs))) for n, node in zip(sizes, nodes, strict=True))
    if any(len(stage.program.outputs) > DIFFERENT for stage in stages):
        raise DeclarationError(f"{where}: got matrices of many different entries; expected at most {DIFFERENT}")
    return Lowered(program(traced.equations["observe"]), stages, tuple(columns))


def _stage(n: int, made: Program) -> Stage:
    keys = [(isinstance(ref, int), ref) for ref in made.outputs]  # the constant 1.0 equals the reference 1
    numbers = {key: k for k, key in enumerate(dict.fromkeys(keys))}
    program = Program(made.inputs, made.operations, tuple(ref for _, ref in numbers))
    return Stage(n, program, tuple(numbers[key] for key in keys))


def chained(d: Differentiated, states: int, target: str) -> list[str]:
    """Return the lines of total derivatives, from d0, d1, ... and states' sensitivities at s; other rows are left."""
    by_row: dict[int, list[tuple[int, int]]] = {}
    for k, (row, column) in enumerate(d.entries):
        if column < states:
            by_row.setdefault(row, []).append((k, column))
    needed = sorted({column for _, column in d.entries if column < states})
    lines = [f"    s{i} = W[s + {i} * M + c]" for i in needed]
    for row, terms in by_row.items():
        total = " + ".join(f"d{k} * s{column}" for k, column in terms)
        lines.append(f"    {target.format(row=row, c='c')} = {total}")
    return [*(["for c in range(COLUMNS):", *lines] if lines else []), *add_direct(d, states, "d{k}", target)]


def functions(made: Lowered, states: int, where: str, *, sensitivities: bool) -> list[str]:
    """Return the functions that solve the eigenproblems one after the other."""
    if not made.stages:
        return []
    text = [_PRELUDE, "@inner\n" + inspect.getsource(eigen.solve).replace("def solve(", "def eigen(")]
    if sensitivities:
        text.append("@inner\n" + inspect.getsource(eigen.push))
    place, pair, lines = states, 0, list[str]()
    for number, stage in enumerate(made.stages):
        count = len(stage.program.outputs)
        text.append(f"WHICH{number} = np.array({list(stage.which)})\n")
        body = compute(stage.program, [f"W[MATRICES + {i}]" for i in range(count)])
        if sensitivities:
            d = jacobian(stage.program, made.columns, where)
            kept = [f"d{k}" for k in range(len(d.entries))]
            body = compute(d.program, [f"W[MATRICES + {i}]" for i in range(count)] + kept)
            body += [f"for i in range({count} * M):", "    W[PUSHED + i] = 0.0", "s = S"]
            body += chained(d, states + made.extra, "W[PUSHED + {row} * M + {c}]")
        text.append(function(f"matrices{number}", PLACE, ["a = 0", *body]))
        lines += [f"matrices{number}({PLACE})", *_solve(number, stage, place, pair, sensitivities=sensitivities)]
        place, pair = place + stage.n + stage.n**2, pair + stage.n - 1
    return [*text, function("modes", PLACE, lines)]


def _solve(number: int, stage: Stage, place: int, pair: int, *, sensitivities: bool) -> list[str]:
    """Return the lines that solve one eigenproblem, and write its results from a place in W on."""
    n = stage.n
    lines = [
        f"k, m = np.empty(({n}, {n})), np.empty(({n}, {n}))",
        f"for i in range({n}):",
        f"    for j in range({n}):",
        f"        k[i, j] = W[MATRICES + WHICH{number}[i * {n} + j]]",
        f"        m[i, j] = W[MATRICES + WHICH{number}[{n * n} + i * {n} + j]]",
        "values, vectors = eigen(k, m)",
        f"for i in range({n}):",
        f"    W[{place} + i] = values[i]",
        f"    if i < {min(n - 1, PAIRS - pair)}:",
        "        if values[i + 1] - values[i] <= NEAR * max(abs(values[i + 1]), abs(values[i])):",
        f"            W[CLOSE + {pair} + i] = 1.0",
        f"    for j in range({n}):",
        f"        W[{place + n} + i * {n} + j] = vectors[i, j]",
    ]
    if sensitivities:
        lines += [
            "for c in range(COLUMNS):",
            f"    for i in range({n}):",
            f"        for j in range({n}):",
            f"            k[i, j] = W[PUSHED + WHICH{number}[i * {n} + j] * M + c]",
            f"            m[i, j] = W[PUSHED + WHICH{number}[{n * n} + i * {n} + j] * M + c]",
            "    value_slopes, vector_slopes = push(values, vectors, k, m)",
            f"    for i in range({n}):",
            f"        W[S + ({place} + i) * M + c] = value_slopes[i]",
            f"        for j in range({n}):",
            f"            W[S + ({place + n} + i * {n} + j) * M + c] = vector_slopes[i, j]",
        ]
    return lines
