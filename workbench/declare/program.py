"""A straight-line program: what a model's equations come down to, before any language prints it."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Ref = int | float  # an int counts inputs, then operations; a float is a constant


@dataclass(frozen=True)
class Operation:
    """One scalar operation, by name, on earlier values or constants."""

    name: str
    arguments: tuple[Ref, ...]


@dataclass(frozen=True)
class Program:
    """Named scalar inputs, a list of operations in order, and the values that are the outputs."""

    inputs: tuple[str, ...]
    operations: tuple[Operation, ...]
    outputs: tuple[Ref, ...]

    def run(self, values: Mapping[str, float]) -> list[float]:
        """Return the outputs for plain numbers (slow; the kernels are compiled)."""
        known: list[float] = [values[name] for name in self.inputs]

        def look(ref: Ref) -> float:
            return known[ref] if isinstance(ref, int) else ref

        for operation in self.operations:
            known.append(evaluate(operation.name, map(look, operation.arguments)))
        return [look(ref) for ref in self.outputs]


SCALAR: dict[str, Callable[..., Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "pow": np.power, "mod": np.mod,
    "neg": np.negative, "abs": np.abs, "sign": np.sign, "floor": np.floor, "ceil": np.ceil, "exp": np.exp,
    "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "log2": np.log2, "log10": np.log10, "sqrt": np.sqrt,
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "arcsin": np.arcsin, "arccos": np.arccos, "arctan": np.arctan,
    "arctan2": np.arctan2, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "arcsinh": np.arcsinh,
    "arccosh": np.arccosh, "arctanh": np.arctanh, "erf": math.erf, "erfc": math.erfc, "gammaln": math.lgamma,
    "minimum": np.minimum, "maximum": np.maximum, "lt": np.less, "le": np.less_equal, "gt": np.greater,
    "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal, "and": np.logical_and, "or": np.logical_or,
    "not": np.logical_not, "where": np.where,
}  # fmt: skip
"""The operations a program may hold, with their meaning."""


def evaluate(name: str, arguments: Iterable[float]) -> float:
    """Return the value of one operation; NaN or infinity where it has none."""
    with np.errstate(all="ignore"):
        try:
            return float(SCALAR[name](*arguments))
        except (ValueError, OverflowError):  # the poles of gammaln
            return math.inf


@dataclass
class Builder:
    """Collects operations; the same operation on the same values is kept once, and constants are folded."""

    inputs: tuple[str, ...]
    operations: list[Operation] = field(default_factory=list)
    _seen: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, *arguments: Ref) -> Ref:
        """Return the value of an operation, new or already there."""
        if all(isinstance(a, float) for a in arguments):
            return evaluate(name, arguments)
        simple = _simplified(name, arguments)
        if simple is not None:
            return simple
        name, arguments = self._tidied(name, arguments)
        key = f"{name}{arguments!r}"  # text, since the constant 1.0 equals the reference 1
        if key not in self._seen:
            self._seen[key] = len(self.inputs) + len(self.operations)
            self.operations.append(Operation(name, arguments))
        return self._seen[key]

    def _tidied(self, name: str, arguments: tuple[Ref, ...]) -> tuple[str, tuple[Ref, ...]]:
        """Return the same value as the plainest operation, so that equal ones are seen to be equal; exactly."""
        if name == "mul" and -1.0 in [a for a in arguments if isinstance(a, float)]:
            return "neg", tuple(a for a in arguments if isinstance(a, int))
        if name == "add" and len(arguments) == 2:
            for one, other in (arguments, arguments[::-1]):
                inner = self._negated(other)
                if inner is not None:
                    return "sub", (one, inner)
        if name in ("add", "mul"):
            return name, tuple(sorted(arguments, key=lambda a: (isinstance(a, float), a)))
        return name, arguments

    def _negated(self, ref: Ref) -> int | None:
        """Return the value whose negative this is, None where it is none."""
        place = ref - len(self.inputs) if isinstance(ref, int) else -1
        if place < 0 or self.operations[int(place)].name != "neg":
            return None
        inner = self.operations[int(place)].arguments[0]
        return inner if isinstance(inner, int) else None

    def program(self, outputs: list[Ref]) -> Program:
        """Return the program, without the operations that no output needs."""
        first = len(self.inputs)
        needed: set[int] = set()
        stack = [ref for ref in outputs if isinstance(ref, int)]
        while stack:
            ref = stack.pop()
            if ref < first or ref in needed:
                continue
            needed.add(ref)
            stack += [a for a in self.operations[ref - first].arguments if isinstance(a, int)]
        place = {ref: first + k for k, ref in enumerate(sorted(needed))} | {k: k for k in range(first)}

        def moved(ref: Ref) -> Ref:
            return place[ref] if isinstance(ref, int) else ref

        kept = [self.operations[ref - first] for ref in sorted(needed)]
        operations = tuple(Operation(o.name, tuple(map(moved, o.arguments))) for o in kept)
        return Program(self.inputs, operations, tuple(map(moved, outputs)))


def _simplified(name: str, arguments: tuple[Ref, ...]) -> Ref | None:
    """Return what an operation with a neutral constant comes down to: exactly, but for the sign of zeros."""
    zero, one = ([isinstance(a, float) and a == c for a in arguments] for c in (0.0, 1.0))
    if name in ("add", "mul") and len(arguments) == 2:
        neutral = zero if name == "add" else one
        return arguments[1] if neutral[0] else arguments[0] if neutral[1] else None
    if (name == "sub" and zero[1]) or (name == "div" and one[1]):
        return arguments[0]
    return None
