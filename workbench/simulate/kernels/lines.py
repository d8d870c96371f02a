"""Prints a straight-line program as Python that Numba compiles."""

from collections.abc import Sequence

from workbench.declare.program import Program, Ref

_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "**", "mod": "%", "lt": "<", "le": "<=", "gt": ">",
          "ge": ">=", "eq": "==", "ne": "!=", "and": "and", "or": "or"}  # fmt: skip
_CALLS = {"abs": "abs", "minimum": "min", "maximum": "max", "arcsin": "math.asin", "arccos": "math.acos",
          "arctan": "math.atan", "arctan2": "math.atan2", "arcsinh": "math.asinh", "arccosh": "math.acosh",
          "arctanh": "math.atanh", "gammaln": "math.lgamma"}  # fmt: skip
# Where a kernel finds the inputs of a program: states x, continuous inputs u, parameters p; of programs that are
# derivatives along a direction, the states' part w and the inputs' part r.
_SOURCES = {
    "x": "W[a + {i}]",
    "u": "level[j, {i}] + slope[j, {i}] * (t - begin[j])",
    "p": "p[{i}]",
    "w": "W[v + {i}]",
    "r": "slope[j, {i}] * tau",
}
PLACE = "t, p, begin, level, slope, j, W"  # what every function of a model's equations takes first


def operand(ref: Ref, program: Program, letter: str = "v") -> str:
    """Return a value of a program as the text of an expression."""
    if isinstance(ref, int):
        first = len(program.inputs)
        return program.inputs[ref] if ref < first else f"{letter}{ref - first}"
    return {"inf": "math.inf", "-inf": "-math.inf", "nan": "math.nan"}.get(repr(ref), repr(ref))


def _line(name: str, arguments: list[str]) -> str:
    if name in _INFIX:
        return f"{arguments[0]} {_INFIX[name]} {arguments[1]}"
    if name == "neg":
        return f"-{arguments[0]}" if not arguments[0].startswith("-") else f"-({arguments[0]})"
    if name == "not":
        return f"not {arguments[0]}"
    if name == "where":
        return f"{arguments[1]} if {arguments[0]} else {arguments[2]}"
    if name == "sign":
        return f"(1.0 if {arguments[0]} > 0.0 else 0.0) - (1.0 if {arguments[0]} < 0.0 else 0.0)"
    return f"{_CALLS.get(name, f'math.{name}')}({', '.join(arguments)})"


def print_lines(program: Program, letter: str = "v") -> list[str]:
    """Return the program's operations as Python assignments to v0, v1, ..."""
    return [
        f"{letter}{k} = {_line(o.name, [operand(a, program, letter) for a in o.arguments])}"
        for k, o in enumerate(program.operations)
    ]


def _reads(program: Program) -> list[str]:
    """Return assignments of the inputs that the program uses, from the arrays of the kernel."""
    used = {ref for o in program.operations for ref in o.arguments if isinstance(ref, int)}
    used |= {ref for ref in program.outputs if isinstance(ref, int)}
    names = [name for k, name in enumerate(program.inputs) if k in used and name not in ("t", "tau")]
    return [f"{name} = {_SOURCES[name[0]].format(i=name[1:])}" for name in names]


def compute(program: Program, targets: Sequence[str]) -> list[str]:
    """Return the lines that run the program and store its outputs in `targets`."""
    outputs = [f"{target} = {operand(ref, program)}" for target, ref in zip(targets, program.outputs, strict=True)]
    return _reads(program) + print_lines(program) + outputs


def function(name: str, arguments: str, lines: Sequence[str]) -> str:
    """Return a function of a kernel."""
    body = "\n".join(f"    {line}" for line in lines or ["pass"])
    return f"@inner\ndef {name}({arguments}):\n{body}\n"
