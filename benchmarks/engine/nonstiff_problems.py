"""The DETEST problems: T. E. Hull, W. H. Enright, B. M. Fellen and A. E. Sedgwick (1972), Comparing numerical methods
for ordinary differential equations, SIAM J. Numer. Anal. 9, 603-637; t from 0 to 20.

All is dimensionless there; here time is in seconds, and a rate of 1/s turns it into a pure number. Constants of C5
(the outer planets about the sun) are those of the same paper.
"""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import workbench as wb
from benchmarks.engine.reference import extended
from tests.stiff_models import Problem

END = 20.0
Slopes = Callable[[Any, list[Any]], Sequence[Any]]
m = wb.math

PLANETS = (9.54786104043e-4, 2.85583733151e-4, 4.37273164546e-5, 5.17759138449e-5, 2.77777777778e-6)
SUN, GRAVITY = 1.00000597682, 2.95912208286
PLACES = (3.42947415189, 3.35386959711, 1.35494901715, 6.64145542550, 5.97156957878, 2.18231499728, 11.2630437207,
          14.6952576794, 6.27960525067, -30.1552268759, 1.65699966404, 1.43785752721, -21.1238353380, 28.4465098142,
          15.3882659679)  # fmt: skip
SPEEDS = (-0.557160570446, 0.505696783289, 0.230578543901, -0.415570776342, 0.365682722812, 0.169143213293,
          -0.325325669158, 0.189706021964, 0.0877265322780, -0.0240476254170, -0.287659532608, -0.117219543175,
          -0.176860753121, -0.216393453025, -0.0148647893090)  # fmt: skip


def torus(t: Any, y: list[Any]) -> list[Any]:
    """B4."""
    r = m.sqrt(y[0] ** 2 + y[1] ** 2)
    return [-y[1] - y[0] * y[2] / r, y[0] - y[1] * y[2] / r, y[0] / r]


def decay(t: Any, y: list[Any]) -> list[Any]:
    """C1: a chain in which each decays into the next."""
    return [-y[0], *(before - here for before, here in pairwise(y[:-1])), y[-2]]


def faster_decay(t: Any, y: list[Any]) -> list[Any]:
    """C2: the same, each faster than the one before it."""
    flow = [k * value for k, value in enumerate(y[:-1], start=1)]
    return [-flow[0], *(before - here for before, here in pairwise(flow)), flow[-1]]


def diffusion(t: Any, y: list[Any]) -> list[Any]:
    """C3 and C4: the heat equation on a grid."""
    inner = [a - 2 * b + c for a, b, c in zip(y, y[1:], y[2:], strict=False)]
    return [y[1] - 2 * y[0], *inner, y[-2] - 2 * y[-1]]


def planets(t: Any, y: list[Any]) -> list[Any]:
    """C5: five planets; places of all, then speeds of all."""
    place = [y[3 * j : 3 * j + 3] for j in range(5)]
    cubes = [(p[0] ** 2 + p[1] ** 2 + p[2] ** 2) ** 1.5 for p in place]
    pulls = []
    for j, here in enumerate(place):
        for i in range(3):
            total = -(SUN + PLANETS[j]) * here[i] / cubes[j]
            for k, there in enumerate(place):
                if k != j:
                    apart = sum((there[q] - here[q]) ** 2 for q in range(3)) ** 1.5
                    total = total + PLANETS[k] * ((there[i] - here[i]) / apart - there[i] / cubes[k])
            pulls.append(GRAVITY * total)
    return [*y[15:], *pulls]


def orbit(t: Any, y: list[Any]) -> list[Any]:
    """D: two bodies."""
    cube = (y[0] ** 2 + y[1] ** 2) ** 1.5
    return [y[2], y[3], -y[0] / cube, -y[1] / cube]


def _orbit(eccentricity: float) -> tuple[Slopes, tuple[float, ...]]:
    e = eccentricity
    return orbit, (1 - e, 0.0, 0.0, ((1 + e) / (1 - e)) ** 0.5)


DETEST: dict[str, tuple[Slopes, tuple[float, ...]]] = {
    "A1": (lambda t, y: [-y[0]], (1.0,)),
    "A2": (lambda t, y: [-(y[0] ** 3) / 2], (1.0,)),
    "A3": (lambda t, y: [y[0] * m.cos(t)], (1.0,)),
    "A4": (lambda t, y: [y[0] / 4 * (1 - y[0] / 20)], (1.0,)),
    "A5": (lambda t, y: [(y[0] - t) / (y[0] + t)], (4.0,)),
    "B1": (lambda t, y: [2 * (y[0] - y[0] * y[1]), y[0] * y[1] - y[1]], (1.0, 3.0)),
    "B2": (lambda t, y: [y[1] - y[0], y[0] - 2 * y[1] + y[2], y[1] - y[2]], (2.0, 0.0, 1.0)),
    "B3": (lambda t, y: [-y[0], y[0] - y[1] ** 2, y[1] ** 2], (1.0, 0.0, 0.0)),
    "B4": (torus, (3.0, 0.0, 0.0)),
    "B5": (lambda t, y: [y[1] * y[2], -y[0] * y[2], -0.51 * y[0] * y[1]], (0.0, 1.0, 1.0)),
    "C1": (decay, (1.0, *[0.0] * 9)),
    "C2": (faster_decay, (1.0, *[0.0] * 9)),
    "C3": (diffusion, (1.0, *[0.0] * 9)),
    "C4": (diffusion, (1.0, *[0.0] * 50)),
    "C5": (planets, (*PLACES, *SPEEDS)),
    "D1": _orbit(0.1),
    "D2": _orbit(0.3),
    "D3": _orbit(0.5),
    "D4": _orbit(0.7),
    "D5": _orbit(0.9),
    "E1": (
        lambda t, y: [y[1], -(y[1] / (t + 1) + (1 - 0.25 / (t + 1) ** 2) * y[0])],
        (0.6713967071418030, 0.09540051444747446),
    ),
    "E2": (lambda t, y: [y[1], (1 - y[0] ** 2) * y[1] - y[0]], (2.0, 0.0)),
    "E3": (lambda t, y: [y[1], y[0] ** 3 / 6 - y[0] + 2 * m.sin(2.78535 * t)], (0.0, 0.0)),
    "E4": (lambda t, y: [y[1], 0.032 - 0.4 * y[1] ** 2], (30.0, 0.0)),
    "E5": (lambda t, y: [y[1], m.sqrt(1 + y[1] ** 2) / (25 - t)], (0.0, 0.0)),
}


@cache
def problem(name: str) -> Problem:
    """Return a problem, with a reference that is solved in extended precision."""
    slopes, start = DETEST[name]
    names = [f"y{i}" for i in range(1, len(start) + 1)]

    def rhs(self: wb.Ode, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        made = slopes(p.rate * t, [getattr(x, each) for each in names])
        return {each: p.rate * slope for each, slope in zip(names, made, strict=True)}

    states = {each: wb.State("1", start=value) for each, value in zip(names, start, strict=True)}
    body = {"__module__": __name__, "time_unit": "s", **states, "rate": wb.Parameter("1/s", value=1.0), "rhs": rhs}
    model = type(wb.Ode)(name, (wb.Ode,), body)
    return Problem(model, END, tuple(extended(slopes, start, END)), 1.0)
