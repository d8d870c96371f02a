"""A straight-line program: what a model's equations come down to, before any language prints it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

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
        """Interpret the program on plain numbers (slow; the kernels are compiled)."""
        known: list[float] = [values[name] for name in self.inputs]

        def look(ref: Ref) -> float:
            return known[ref] if isinstance(ref, int) else ref

        for operation in self.operations:
            known.append(float(SCALAR[operation.name](*map(look, operation.arguments))))
        return [look(ref) for ref in self.outputs]


SCALAR: dict[str, Callable[..., float]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
    "mod": lambda a, b: a % b,
    "neg": lambda a: -a,
    "abs": abs,
    "sign": lambda a: (a > 0) - (a < 0),
    "floor": math.floor,
    "ceil": math.ceil,
    "exp": math.exp,
    "expm1": math.expm1,
    "log": math.log,
    "log1p": math.log1p,
    "log2": math.log2,
    "log10": math.log10,
    "sqrt": math.sqrt,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "arcsin": math.asin,
    "arccos": math.acos,
    "arctan": math.atan,
    "arctan2": math.atan2,
    "sinh": math.sinh,
    "cosh": math.cosh,
    "tanh": math.tanh,
    "arcsinh": math.asinh,
    "arccosh": math.acosh,
    "arctanh": math.atanh,
    "erf": math.erf,
    "erfc": math.erfc,
    "gammaln": math.lgamma,
    "minimum": min,
    "maximum": max,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "and": lambda a, b: bool(a) and bool(b),
    "or": lambda a, b: bool(a) or bool(b),
    "not": lambda a: not a,
    "where": lambda c, a, b: a if c else b,
}
"""The operations a program may hold, with their meaning."""


@dataclass
class Builder:
    """Collects operations; the same operation on the same values is kept once, and constants are folded."""

    inputs: tuple[str, ...]
    operations: list[Operation] = field(default_factory=list)
    _seen: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, *arguments: Ref) -> Ref:
        """Return the value of an operation, new or already there."""
        if all(isinstance(a, float) for a in arguments):
            try:
                return float(SCALAR[name](*arguments))
            except (ValueError, ZeroDivisionError, OverflowError):
                pass  # left to the kernel, which gives NaN or infinity
        simple = _simplified(name, arguments)
        if simple is not None:
            return simple
        key = f"{name}{arguments!r}"  # text, since the constant 1.0 equals the reference 1
        if key not in self._seen:
            self._seen[key] = len(self.inputs) + len(self.operations)
            self.operations.append(Operation(name, arguments))
        return self._seen[key]

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
