"""Derivatives of straight-line programs: forward mode, sparse, with the operations of the program itself shared."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.base.errors import DeclarationError
from workbench.declare.program import Builder, Operation, Program, Ref

Tangents = dict[Any, Ref]  # by direction; a direction that is not there has derivative zero
_FLAT = frozenset("sign floor ceil lt le gt ge eq ne and or not".split())
_ROOT_PI = 2 / math.sqrt(math.pi)
# The derivative of each function of one argument, from a builder, the argument and the function's value.
_SLOPES: dict[str, Callable[[Builder, Ref, Ref], Ref]] = {
    "abs": lambda b, a, v: b.add("sign", a),
    "exp": lambda b, a, v: v,
    "expm1": lambda b, a, v: b.add("add", v, 1.0),
    "log": lambda b, a, v: b.add("div", 1.0, a),
    "log1p": lambda b, a, v: b.add("div", 1.0, b.add("add", 1.0, a)),
    "log2": lambda b, a, v: b.add("div", 1 / math.log(2), a),
    "log10": lambda b, a, v: b.add("div", 1 / math.log(10), a),
    "sqrt": lambda b, a, v: b.add("div", 0.5, v),
    "sin": lambda b, a, v: b.add("cos", a),
    "cos": lambda b, a, v: b.add("neg", b.add("sin", a)),
    "tan": lambda b, a, v: b.add("add", 1.0, b.add("mul", v, v)),
    "arcsin": lambda b, a, v: b.add("div", 1.0, b.add("sqrt", b.add("sub", 1.0, b.add("mul", a, a)))),
    "arccos": lambda b, a, v: b.add("div", -1.0, b.add("sqrt", b.add("sub", 1.0, b.add("mul", a, a)))),
    "arctan": lambda b, a, v: b.add("div", 1.0, b.add("add", 1.0, b.add("mul", a, a))),
    "sinh": lambda b, a, v: b.add("cosh", a),
    "cosh": lambda b, a, v: b.add("sinh", a),
    "tanh": lambda b, a, v: b.add("sub", 1.0, b.add("mul", v, v)),
    "arcsinh": lambda b, a, v: b.add("div", 1.0, b.add("sqrt", b.add("add", 1.0, b.add("mul", a, a)))),
    "arccosh": lambda b, a, v: b.add("div", 1.0, b.add("sqrt", b.add("sub", b.add("mul", a, a), 1.0))),
    "arctanh": lambda b, a, v: b.add("div", 1.0, b.add("sub", 1.0, b.add("mul", a, a))),
    "erf": lambda b, a, v: b.add("mul", _ROOT_PI, b.add("exp", b.add("neg", b.add("mul", a, a)))),
    "erfc": lambda b, a, v: b.add("mul", -_ROOT_PI, b.add("exp", b.add("neg", b.add("mul", a, a)))),
}


@dataclass(frozen=True)
class Differentiated:
    """Values of some equations as a program, followed by the derivatives that are not zero everywhere.

    `entries` says for each further output which derivative it is: (row, column) for column k of those asked for.
    """

    program: Program
    rows: int
    entries: tuple[tuple[int, int], ...]


def jacobian(program: Program, columns: Sequence[int], where: str) -> Differentiated:
    """Return a program's outputs with their derivatives by some of its inputs.

    DeclarationError (naming `where`) for a function without a derivative that kernels know.
    """
    builder, seeds = Builder(program.inputs), {ref: {column: 1.0} for column, ref in enumerate(columns)}
    values, tangents = _run(builder, program, seeds, where)
    entries = [(row, column) for row, t in enumerate(tangents) for column in sorted(t)]
    slopes = [tangents[row][column] for row, column in entries]
    return Differentiated(builder.program(values + slopes), len(values), tuple(entries))


def along(program: Program, directions: Mapping[int, str | float], where: str) -> Program:
    """Return the derivatives of a program's outputs along a direction.

    `directions` gives for an input its component: a number, or the name of a further input, which comes after the
    program's own.
    """
    names = tuple(dict.fromkeys(c for c in directions.values() if isinstance(c, str)))
    first, count = len(program.inputs), len(names)
    builder = Builder(program.inputs + names)
    seeds: dict[int, Tangents] = {
        ref: {0: first + names.index(part) if isinstance(part, str) else part} for ref, part in directions.items()
    }
    _, tangents = _run(builder, _widened(program, first, count), seeds, where)
    return builder.program([t.get(0, 0.0) for t in tangents])


def _widened(program: Program, first: int, count: int) -> Program:
    """Return the program with room for further inputs."""

    def moved(ref: Ref) -> Ref:
        return ref + count if isinstance(ref, int) and ref >= first else ref

    operations = tuple(Operation(o.name, tuple(map(moved, o.arguments))) for o in program.operations)
    return Program(program.inputs + ("",) * count, operations, tuple(map(moved, program.outputs)))


def _run(
    builder: Builder, program: Program, seeds: Mapping[int, Tangents], where: str
) -> tuple[list[Ref], list[Tangents]]:
    """Add a program's operations to a builder; return its outputs and their tangents."""
    values: list[Ref] = list(range(len(program.inputs)))
    tangents: list[Tangents] = [dict(seeds.get(ref, {})) for ref in range(len(program.inputs))]
    for operation in program.operations:
        arguments = [values[a] if isinstance(a, int) else a for a in operation.arguments]
        inner = [tangents[a] if isinstance(a, int) else {} for a in operation.arguments]
        values.append(builder.add(operation.name, *arguments))
        tangents.append(_tangents(builder, operation.name, arguments, values[-1], inner, where))
    outputs = [values[r] if isinstance(r, int) else r for r in program.outputs]
    return outputs, [tangents[r] if isinstance(r, int) else {} for r in program.outputs]


def _tangents(
    builder: Builder, name: str, arguments: list[Ref], value: Ref, inner: list[Tangents], where: str
) -> Tangents:
    directions = dict.fromkeys(d for t in inner for d in t)
    if not directions or name in _FLAT:
        return {}
    if name in ("where", "minimum", "maximum"):
        first = len(arguments) - 2
        order = {"minimum": "le", "maximum": "ge"}
        chosen = arguments[0] if name == "where" else builder.add(order[name], *arguments)
        one, other = inner[first], inner[first + 1]
        made = {d: builder.add("where", chosen, one.get(d, 0.0), other.get(d, 0.0)) for d in directions}
    else:
        slopes = _partials(builder, name, arguments, value, where)
        made = {}
        for d in directions:
            total: Ref = 0.0
            for slope, tangent in zip(slopes, inner, strict=True):
                if d in tangent:
                    total = _plus(builder, total, slope, tangent[d])
            made[d] = total
    return {d: t for d, t in made.items() if isinstance(t, int) or t != 0.0}


def _plus(builder: Builder, total: Ref, slope: Ref, tangent: Ref) -> Ref:
    """Return total + slope * tangent."""
    if isinstance(slope, float) and slope == -1.0:
        zero = isinstance(total, float) and total == 0.0
        return builder.add("neg", tangent) if zero else builder.add("sub", total, tangent)
    return builder.add("add", total, builder.add("mul", slope, tangent))


def _partials(b: Builder, name: str, arguments: list[Ref], value: Ref, where: str) -> list[Ref]:
    """Return the derivative of an operation by each of its arguments."""
    if name in _SLOPES:
        return [_SLOPES[name](b, arguments[0], value)]
    match name, arguments:
        case "neg", _:
            return [-1.0]
        case "add", _:
            return [1.0, 1.0]
        case "sub", _:
            return [1.0, -1.0]
        case "mul", [x, y]:
            return [y, x]
        case "div", [_, y]:
            inverse = b.add("div", 1.0, y)
            return [inverse, b.add("neg", b.add("mul", value, inverse))]
        case "mod", [x, y]:
            return [1.0, b.add("neg", b.add("floor", b.add("div", x, y)))]
        case "pow", [x, y]:
            by_base = b.add("mul", y, x if y == 2.0 and isinstance(y, float) else b.add("pow", x, b.add("sub", y, 1.0)))
            positive = b.add("gt", x, 0.0)  # 0 ** y does not change with y > 0, but log(0) is infinite
            return [by_base, b.add("where", positive, b.add("mul", value, b.add("log", x)), 0.0)]
        case "arctan2", [y, x]:
            square = b.add("add", b.add("mul", x, x), b.add("mul", y, y))
            return [b.add("div", x, square), b.add("neg", b.add("div", y, square))]
    raise DeclarationError(f"{where}: got {name}, whose derivative kernels do not know; expected another function")
