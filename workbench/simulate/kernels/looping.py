"""Prints array programs as functions of a kernel."""

import re
from collections.abc import Mapping

import numpy as np

from workbench.declare.loops import Access, Loop, Loops
from workbench.simulate.kernels.lines import operand, print_lines

_ROW = re.compile(r"(W|p)\[(.*)\]")  # what may be read and written without a look at the index's sign


def table(name: str, data: np.ndarray) -> str:
    """Return a table of constants as a line of a module."""
    kind = "int64" if data.dtype.kind == "i" else "float64"
    numbers = ", ".join(map(repr, data.ravel().tolist())).replace("inf", "np.inf").replace("nan", "np.nan")
    return f"{name} = np.array([{numbers}], dtype=np.{kind})"


def statements(loops: Loops, patterns: Mapping[str, str]) -> list[str]:
    """Return the lines of an array program; a pattern says where an array's element {i} is in the kernel."""
    placed = {name: f"W[SCRATCH + {place} + {{i}}]" for name, place in loops.places[0].items()}
    lines = []
    for k, loop in enumerate(loops.loops):
        lines += _loop(loop, {**patterns, **placed}, f"v{k}_")
    return lines


def _text(access: Access, patterns: Mapping[str, str]) -> str:
    """Return where an element is."""
    if access.array in patterns:
        return patterns[access.array].format(i=f"({access.place})" if access.place.terms else access.place)
    return f"{access.array}[{access.place}]" if access.array.startswith("C_") else access.array


def _read(text: str) -> str:
    found = _ROW.fullmatch(text)
    return f"peek({found[1]}, {found[2]})" if found else text


def _write(text: str, value: str, *, adds: bool) -> str:
    value = f"{_read(text)} + {value}" if adds else value
    found = _ROW.fullmatch(text)
    return f"poke({found[1]}, {found[2]}, {value})" if found else f"{text} = {value}"


def _depth(access: Access) -> int:
    """Return inside how many loops an element must be read."""
    return max((int(k) + 1 for k in re.findall(r"\bi(\d+)\b", str(access.place))), default=0)


def _loop(loop: Loop, patterns: Mapping[str, str], letter: str) -> list[str]:
    """Return the lines of one loop; an element is read as far outside as it can be."""
    reads = [(_depth(access), f"r{k} = {_read(_text(access, patterns))}") for k, access in enumerate(loop.reads)]
    outer, total = len(loop.counts) - loop.over, operand(loop.body.outputs[0], loop.body, letter)
    lines, pad = list[str](), ""
    for depth in range(len(loop.counts) + 1):
        if loop.fold is not None and depth == outer:
            lines.append(f"{pad}total = {_number(loop.fold)}")
        lines += [pad + line for place, line in reads if place == depth]
        if depth < len(loop.counts):
            count = loop.counts[depth]
            span = f"{loop.ragged}[i0], {loop.ragged}[i0 + 1]" if count is None else str(count)
            lines.append(f"{pad}for i{depth} in range({span}):")
            pad += "    "
    lines += [pad + line for line in print_lines(loop.body, letter)]
    target = _text(loop.target, patterns)
    if loop.fold is None:
        return [*lines, pad + _write(target, total, adds=loop.adds)]
    return [*lines, f"{pad}total = {total}", "    " * outer + _write(target, "total", adds=loop.adds)]


def _number(value: float) -> str:
    return {"inf": "math.inf", "-inf": "-math.inf"}.get(repr(value), repr(value))
