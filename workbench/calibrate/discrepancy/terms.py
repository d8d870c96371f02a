"""From declared discrepancies and a problem to functions with a basis, priors and coordinates."""

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.base.errors import DataError, DeclarationError, ParameterError, unknown
from workbench.base.schema import TIME
from workbench.calibrate.discrepancy import second
from workbench.calibrate.discrepancy.discrepancy import ENDS, Term, coordinates_at, multiplies
from workbench.calibrate.discrepancy.hilbert import Basis
from workbench.declare.discrepancy import Discrepancy, from_data
from workbench.declare.prior import Prior, interval, make
from workbench.declare.quantity import Output

if TYPE_CHECKING:
    from workbench.calibrate.problem import Problem

MOST = 400
"""Functions of a basis, beyond which another length scale is asked for."""


def terms_of(problem: "Problem", given: Any) -> dict[str, Term]:
    """Return the discrepancies of a problem by output.

    Parameters
    ----------
    problem
        The problem without them.
    given
        A `Discrepancy`, a list of them, a mapping from outputs to them, or None.

    Raises
    ------
    ParameterError
        If it is none of these; if a length scale is too short for the approximation.
    DataError
        If an output or a coordinate is unknown, not measured, or does not vary.
    """
    if given is None:
        return {}
    listed = given.values() if isinstance(given, Mapping) else given if isinstance(given, list | tuple) else [given]
    made: dict[str, Term] = {}
    for one in listed:
        if not isinstance(one, Discrepancy):
            raise ParameterError(f"got discrepancy={given!r}; expected wb.Discrepancy(output), or several of them")
        if one.output in made:
            raise ParameterError(f"{one.where}: got two of this output; expected one")
        made[one.output] = _bound(problem, one)
        second.check(problem, made[one.output])
    if isinstance(given, Mapping) and list(given) != list(made):
        raise ParameterError(f"got discrepancy of {list(made)} under the names {list(given)}; expected the same names")
    return made


def _bound(problem: "Problem", one: Discrepancy) -> Term:
    model, where = problem.model, one.where
    if one.output not in problem.measured:
        raise DataError(unknown("output", one.output, problem.measured, where))
    output, shape = model.outputs[one.output], model.output_layout.shapes[one.output]
    taken = [n for n in (*type(model).quantities, *model.theta) if n.startswith(f"{one.output}_discrepancy")]
    if taken:
        raise DeclarationError(f"{where}: got a model that declares {taken[0]!r}; expected that name to be free")
    points = coordinates_at(problem, one, problem.schedule, problem.rows, problem.observations.time)
    seen = points[np.unique(problem.measured[one.output] // math.prod(shape))]
    low, high = seen.min(axis=0), seen.max(axis=0)
    for k, name in enumerate(one.over):
        if not high[k] > low[k]:
            raise DataError(f"{where}: got {name!r} that is {low[k]:g} at every reading; expected one that varies")
    assert isinstance(one.length_scale, Mapping)
    lengths = tuple(
        one.length_scale[name] or interval("InverseGamma", (b - a) / 5, 2 * (b - a), mass=0.98)
        for name, a, b in zip(one.over, low, high, strict=True)
    )
    for k, name in enumerate(one.over):
        ends = (one.span or {}).get(name, (low[k], high[k]))
        low[k], high[k] = min(low[k], ends[0]), max(high[k], ends[1])
    basis = Basis.of(one.kernel, low, high, lengths=[_ends(length) for length in lengths], most=one.functions)
    if one.functions is None and basis.size > MOST:
        raise ParameterError(
            f"{where}: got length scales {', '.join(map(repr, lengths))}, so short against the span that "
            f"{basis.size} functions were needed; expected at most {MOST}: give longer length_scale, "
            f"a shorter span, or functions={MOST}"
        )
    _check_anchors(one, low, high)
    units = tuple(model.time_unit if name == TIME else model.inputs[name].unit for name in one.over)
    wait = None if multiplies(output) else problem.sensor(one.output).wait
    unit = "1" if multiplies(output) else output.unit if wait is None else f"({output.unit})/{model.time_unit}"
    sigma = one.sigma or _default_sigma(problem, output, wait)
    return Term(one, output, points, sigma, lengths, basis, units, unit, shape, wait)


def _check_anchors(one: Discrepancy, low: Any, high: Any) -> None:
    for key in ("zero_at", "flat_at"):
        for value in getattr(one, key):
            if not low[0] <= value <= high[0]:
                raise DataError(
                    f"{one.where}: got {key}={value:g}, outside {low[0]:g} to {high[0]:g}; expected a value inside: "
                    f"give span={{{one.over[0]!r}: (low, high)}} that holds it"
                )


def _ends(length: float | Prior) -> tuple[float, float]:
    if isinstance(length, Prior):
        return length.quantile(ENDS[0]), length.quantile(ENDS[1])
    return length, length


def _default_sigma(problem: "Problem", output: Output, wait: Any) -> Prior:
    """Return a half normal of half the SD of an element's readings, on the scale on which the function is added."""
    readings, places = problem.readings(output.name), problem.measured[output.name]
    assert output.noise is not None
    if multiplies(output):
        readings = np.log(np.maximum(readings, 0.5 if output.noise.family.readings == "count" else 0.0))
    elif wait is not None:
        readings = readings / wait[places]
    element = places % math.prod(problem.model.output_layout.shapes[output.name])
    means = np.bincount(element, readings) / np.maximum(np.bincount(element), 1)
    spread = float(np.std(readings - means[element]))
    return make("HalfNormal", 0.5 * spread if spread > 0 else 1.0)


def encoded(problem: "Problem") -> str:
    """Return the declared discrepancies as JSON, for the posterior's attributes."""
    return json.dumps([term.declared.to_dict() for term in problem.terms.values()])


def decoded(text: str | None) -> list[Discrepancy] | None:
    """Return what `encoded` wrote."""
    return [from_data(one) for one in json.loads(text)] if text else None
