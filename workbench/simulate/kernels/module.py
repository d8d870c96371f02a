"""Puts a kernel together: a model's equations, a method, and the loops around them, as the source of one module."""

from workbench.declare.trace import Trace
from workbench.simulate.kernels import equations, events, explicit, jacobians, newton, rosenbrock
from workbench.simulate.kernels.arrays import Arrays, many
from workbench.simulate.kernels.template import (
    FIRST_STEP,
    HEADER,
    INTEGRATE,
    SENSITIVITIES,
    SETTLE,
    STEPS,
    VALUES,
    keep,
)
from workbench.simulate.kernels.vector import WIDTH
from workbench.simulate.methods.tableau import Explicit, Method

MOST_EVENTS = 100_000


def emit(traced: Trace, method: Method | None, *, sensitivities: bool) -> str:
    """Return the source of a module whose `run` solves the model for many members or units.

    With `sensitivities`, `run` also returns the derivatives of the outputs by the estimated parameters: the exact
    derivatives of the discrete solution at fixed step sizes. A map has no method.
    """
    if "residual" in traced.equations:
        return newton.emit(traced, sensitivities=sensitivities)
    columns = equations.estimated(traced) if sensitivities else 0
    row = traced.model.state_layout.size * -(-columns // WIDTH) * WIDTH
    arrays = Arrays(traced) if many(traced) else None
    made, entries = _equations(traced, arrays, sensitivities=sensitivities)
    features = {"sensitivities"} if sensitivities else {"values"}
    sizes = sizes_of(traced, columns, row) | {"J": entries + row}
    if method is None:
        sizes |= {"G": 2 * sizes["N"], "S": 2 * sizes["N"] + sizes["J"]}
        sizes["WORK"] = sizes["S"] + 2 * row + 1
        parts = [STEPS]
    else:
        parts, room = solver(traced, method, sizes, arrays, sensitivities=sensitivities)
        features |= room
    if arrays:
        sizes |= arrays.room(int(sizes["WORK"]))
        made.insert(0, arrays.text())
    drivers = (
        (SENSITIVITIES, "Y, D", "Y, D") if sensitivities else (VALUES, "patience, shaken, shock, happen, X, Y", "X, Y")
    )
    text = "\n\n".join([*made, SETTLE, *parts]).replace("log, OUT", f"log, {drivers[1]}").replace("OUT", drivers[2])
    constants = "".join(f"{name} = {value}\n" for name, value in sizes.items())
    return keep("\n\n".join([HEADER + constants, text, drivers[0]]), features)


def sizes_of(traced: Trace, columns: int, row: int) -> dict[str, int | float]:
    """Return the sizes that a kernel knows."""
    model = traced.model
    n = model.state_layout.size
    sizes: dict[str, int | float] = {"N": n, "K": model.output_layout.size, "M": row // n, "P": model.theta_layout.size}
    sizes |= {"I": len(traced.inputs), "R": row, "COLUMNS": columns}
    return sizes | ({"DT": float(model.dt)} if hasattr(model, "dt") else {})


def _equations(traced: Trace, arrays: Arrays | None, *, sensitivities: bool) -> tuple[list[str], int]:
    """Return the functions of the equations, and the entries of the Jacobian that sensitivities need."""
    if arrays is None:
        return equations.differentiated(traced) if sensitivities else (equations.plain(traced), 0)
    return jacobians.differentiated(arrays) if sensitivities else (arrays.plain(), 0)


def solver(
    traced: Trace, method: Method, sizes: dict, arrays: Arrays | None, *, sensitivities: bool
) -> tuple[list[str], set[str]]:
    """Return the functions of a method and of events, adding the places in W to `sizes`; and the features they need."""
    n, row, features = sizes["N"], sizes["R"], set[str]()
    parts = [equations.tolerance(traced)]
    stages = method.stages + (len(method.extra_c) if isinstance(method, Explicit) else 0)
    place = (3 + stages) * n
    sizes |= {"ORDER": method.order, "DENSE": (2 + stages) * n}
    if isinstance(method, Explicit):
        sizes |= {"SLOPE": 2 * n, "SPARE": 3 * n, "STIFF": (0.9 * method.boundary) ** 2}
        parts += explicit.functions(method, sensitivities=sensitivities)
        features |= ({"extra"} if method.extra_c else set()) | (set() if sensitivities else {"watchful"})
    else:
        if arrays is None:
            made, bends, band = rosenbrock.equations(traced, sensitivities=sensitivities)
        else:
            made, bends, band = jacobians.stiff(arrays, sensitivities=sensitivities)
        full = band == (n - 1, n - 1)
        wide = 2 * band[0] + band[1] + 1
        matrix = n * n if full else n * wide
        sizes |= {"SLOPE": place, "DRIFT": place + n, "SPARE": 2 * n, "PIVOT": place + 2 * n, "DOUBT": place + 3 * n}
        place += 4 * n
        sizes |= {"MATRIX": place, "LU": place + matrix, "BEND": place + 2 * matrix}
        sizes |= {"LOWER": band[0], "UPPER": band[1], "WIDE": wide}
        sizes["ASIDE"] = sizes["BEND"] + (bends + row if sensitivities else 0)
        place = sizes["ASIDE"] + sizes["J"]
        features.add("doubtful")
        moves = rosenbrock.functions(method, band=None if full else band, sensitivities=sensitivities)
        parts += made + jacobians.reordered(moves, made)
    sizes |= {"EVENTS": len(traced.model.thresholds)}
    if traced.model.thresholds:
        made, room = events.functions(traced, sensitivities=sensitivities)
        sizes |= {"EVENT": place, "MOST_EVENTS": MOST_EVENTS, "FAINT": 1e-300}
        place += room
        parts += [*made, events.SEARCH]
        features.add("events")
    sizes |= {"G": place, "S": place + stages * sizes["J"]}
    sizes |= {"DENSE_S": sizes["S"] + (2 + stages) * row, "WORK": sizes["S"] + (3 + stages) * row + 1}
    return [*parts, FIRST_STEP, INTEGRATE], features
