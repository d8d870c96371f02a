"""Figure of a discrepancy: what was read, what the model says alone and with it, and the function itself."""

import math
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from workbench.base.errors import ParameterError, unknown
from workbench.calibrate.calibration import MASS, Calibration
from workbench.calibrate.discrepancy.discrepancy import Term
from workbench.calibrate.predict import outputs_of, solve_data
from workbench.report.style import BLUE, GREY, INK, ORANGE, PALE_BLUE, label, letter, panels, styled

Array = NDArray[np.float64]


@styled
def discrepancy(calibration: Calibration, output: str | None = None, element: int | None = None) -> Figure:
    """Draw readings with the model alone and with its discrepancy (a), and the discrepancy (b), over its coordinate.

    Lines are medians at the rows of the data, areas intervals of 89 %: of the model alone (grey, dashed), and of model
    and discrepancy together, without the noise of the sensor.

    Parameters
    ----------
    calibration
        With a discrepancy over one coordinate, and its model.
    output
        Which output, where several have one.
    element
        Which element of a vector, counted from 0. None: the one whose function is largest.

    Raises
    ------
    ParameterError
        If there is no such discrepancy or element, or if it has several coordinates.
    """
    problem = calibration.problem
    if problem is None or not problem.terms:
        raise ParameterError("got a calibration without a discrepancy, or opened without its model; expected one with")
    output = output or next(iter(problem.terms))
    if output not in problem.terms:
        raise ParameterError(unknown("output", output, problem.terms, "discrepancy"))
    term = problem.terms[output]
    if len(term.units) > 1:
        raise ParameterError(f"got a discrepancy over {term.declared.over}; expected one coordinate, to draw it over")
    variables = {str(n): v.values for n, v in calibration.posterior.data_vars.items()}
    alone = problem.sensor(output).centre(outputs_of(problem, output, solve_data(problem, variables)))
    both, delta = term.added(alone, term.at_data(variables)), term.function(variables, term.features)
    element, words = _chosen(calibration, term, delta, element)
    width = math.prod(term.shape)
    alone, both, delta = (v[:, element::width] for v in (alone, both, delta))
    x, mine = term.points[:, 0], problem.measured[output] % width == element
    rows = problem.measured[output][mine] // width
    fig, axes = panels(2, 1, height=3.3, sharex=True, height_ratios=[2, 1])
    upper, lower = axes[:, 0]
    _band(upper, x, alone, colour=GREY, style="--", words="model alone")
    _band(upper, x, both, colour=BLUE, style="-", words="model and discrepancy")
    upper.plot(x[rows], problem.readings(output)[mine], ".", color=INK, markersize=3, label="readings", zorder=3)
    upper.set_ylabel(label(calibration.tree["observed_data"][output], words))
    upper.legend()
    lower.axhline(0.0, color=INK, linewidth=0.6)
    _band(lower, x, delta, colour=ORANGE, style="-", words="")
    over = term.declared.over[0]
    quantity = problem.model.inputs.get(over)
    words = (quantity.long_name if quantity else "") or over
    lower.set_xlabel(label(xr.DataArray(0.0, attrs={"units": term.units[0]}), words))
    lower.set_ylabel(label(xr.DataArray(0.0, attrs={"units": term.unit}), "discrepancy"))
    for place, ax in enumerate((upper, lower)):
        letter(ax, place)
    return fig


def _chosen(calibration: Calibration, term: Term, delta: Array, element: int | None) -> tuple[int, str]:
    """Return an element of an output, with words for its axis: a vector's are named by their labels."""
    width = math.prod(term.shape)
    if element is not None and not 0 <= element < width:
        raise ParameterError(f"got element={element!r} of {term.output.name!r}; expected one of 0 to {width - 1}")
    chosen = int(np.argmax(np.abs(delta.mean(axis=0)).reshape(-1, width).max(axis=0))) if element is None else element
    assert calibration.problem is not None
    labels, places = calibration.problem.model.labels, np.unravel_index(chosen, term.shape) if term.shape else ()
    at = ", ".join(f"{dim} {labels[dim][k]}" for dim, k in zip(term.output.dims, places, strict=True))
    return chosen, f"{term.output.long_name or term.output.name}{f', {at}' if at else ''}"


def _band(ax: Axes, x: Array, draws: Array, *, colour: str, style: Any, words: str) -> None:
    """Draw the median and the interval of draws (members, rows) over x; of rows at one place, the first."""
    _, order = np.unique(x, return_index=True)
    low, middle, high = np.quantile(draws[:, order], [0.5 - MASS / 2, 0.5, 0.5 + MASS / 2], axis=0)
    fill = PALE_BLUE if colour == BLUE else colour
    ax.fill_between(x[order], low, high, color=fill, alpha=1.0 if colour == BLUE else 0.35, linewidth=0)
    ax.plot(x[order], middle, style, color=colour, label=words)
