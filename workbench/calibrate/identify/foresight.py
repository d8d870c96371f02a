"""What a design will let one learn: identifiability before data, averaged over what the priors hold possible."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.base.errors import ParameterError, SolveError, unknown
from workbench.calibrate.identify.coordinates import Coordinate
from workbench.calibrate.identify.design import planned
from workbench.calibrate.identify.directions import Spectrum, collinearity, described, verdicts
from workbench.calibrate.identify.information import Frame, fisher
from workbench.calibrate.identify.sensitivity import sensitivities
from workbench.calibrate.problem import pose
from workbench.declare.model import as_model

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
DRAWS = 64  # of the priors, over which is averaged


@dataclass(frozen=True)
class DesignIdentifiability:
    """What data of a design would tell, before any are there.

    Attributes
    ----------
    table
        A row a parameter: what its posterior SD is expected to be as a share of that of the prior (`sd_ratio`, and the
        range that holds nine of ten draws of the prior), the same if all others were known (`sd_ratio_alone`), the
        contraction, the unit, and a verdict.
    directions
        Combinations of parameters, the least seen first: the expected contraction, weights in SDs of the priors, words.
    collinearity
        Index of pairs and larger subsets (see `directions.collinearity`): the median over draws, the worst first.
    information
        (draws, n, n) Fisher information about the parameters of `table`, each in SDs of its prior.
    draws, failed
        Draws of the priors that were taken, and how many could not be solved and are left out.
    """

    table: "pd.DataFrame"
    directions: "pd.DataFrame"
    collinearity: "pd.DataFrame"
    information: Array
    draws: int
    failed: int

    def __repr__(self) -> str:
        return f"{self._headline()}\n{self.table.to_string(float_format='%.3g')}"

    def _repr_html_(self) -> str:
        def show(table: "pd.DataFrame") -> str:
            return table.to_html(float_format=lambda v: f"{v:.3g}", border=0)

        return (
            f"<div><p><b>{html.escape(self._headline())}</b></p>{show(self.table)}"
            f"<details><summary>Directions</summary>{show(self.directions)}</details>"
            f"<details><summary>Collinearity</summary>{show(self.collinearity.head(20))}</details></div>"
        )

    def _headline(self) -> str:
        bad = [
            f"{n}: {v}" for n, v in self.table["verdict"].items() if v not in ("seen", "weakly seen", "not worked out")
        ]
        words = f"Before data, over {self.draws - self.failed} draws of the priors: "
        return words + ("; ".join(bad) if bad else "the design sees every parameter")


def identify(
    model: Any,
    design: Any,
    *,
    inputs: Any = None,
    pool: Any = None,
    parameters: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> DesignIdentifiability:
    """Return which parameters data of a design would identify, before any data are there.

    Fisher information of the readings (see `workbench.calibrate.identify.information`) from the kernel's sensitivities,
    or from central differences of a `wb.Simulator`, and the posterior SD to expect of it and the priors; both averaged
    over 64 draws of the priors, as what a design tells hangs on where the truth lies.

    Parameters
    ----------
    model, inputs, pool
        As in `wb.calibrate`.
    design
        Data as `wb.calibrate` takes them, whose numbers do not count, a table of units and times, or times alone (see
        `workbench.calibrate.identify.design.planned`).
    parameters
        Mapping from variables of the posterior (`k`, `ka_pop`, `y_sigma`) to values at which to ask, in place of draws.
    seed
        Seed of the draws of the priors; None takes the same each time.

    Raises
    ------
    DataError, UnitError, ParameterError
        If the design, inputs, pooling or values cannot be used as they are; if a prior is improper.
    SolveError
        If the equations could be solved for no draw.
    """
    model = as_model(model)
    problem = pose(model, planned(model, design), inputs=inputs, pool=pool)
    if problem.is_noisy:
        raise ParameterError(
            f"{model.name}: got process noise; expected none, as the information of readings that are filtered is not "
            "known before them (wb.calibrate, then .identify(), says what data have told)"
        )
    frame = Frame(problem)
    given = _given(frame, parameters)
    scores, effects = frame.draw(np.random.default_rng(0 if seed is None else seed), DRAWS, given)
    if {c.variable for c in frame.coordinates} <= set(given) and not frame.effects:
        scores, effects = scores[:1], effects[:1]
    return _summarised(frame, _informations(frame, scores, effects), len(scores))


def _given(frame: Frame, parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    for coordinate in frame.coordinates:
        if not coordinate.scores.proper:
            raise ParameterError(
                f"{coordinate.label}: got prior {coordinate.prior!r}, in whose SDs nothing can be measured; expected a "
                "proper one"
            )
    given = dict(parameters or {})
    known = {c.variable: c for c in frame.coordinates}
    for name, value in given.items():
        if name not in known:
            raise ParameterError(unknown("variable", str(name), known, "parameters"))
        shape = tuple(1 + np.max([c.place for c in frame.coordinates if c.variable == name], axis=0, initial=0))
        shape = shape if known[name].place else ()
        if np.shape(value) not in ((), shape) or np.asarray(value).dtype.kind not in "fiu":
            raise ParameterError(
                f"parameters[{name!r}]: got {value!r}; expected a number, or an array of shape {shape}"
            )
        low, high = known[name].prior.support
        if not ((np.asarray(value) > low) & (np.asarray(value) < high)).all():
            raise ParameterError(
                f"parameters[{name!r}]: got {value!r}; expected values that {known[name].prior!r} allows"
            )
    return given


def _informations(frame: Frame, scores: Array, effects: Array) -> list[Array]:
    """Return the information at each draw that could be solved."""
    points = frame.points(scores, effects)
    theta, steps = np.stack([p.theta for p in points]), np.stack([frame.steps(p) for p in points])
    found = []
    for point, (outputs, slopes) in zip(points, sensitivities(frame.problem, theta, steps), strict=True):
        if np.isfinite(outputs).all() and np.isfinite(slopes).all():
            with np.errstate(divide="ignore", invalid="ignore"):
                made = fisher(frame, point, outputs, slopes)
            if np.isfinite(made).all():
                found.append(made)
    if not found:
        raise SolveError(
            f"{frame.problem.model.name}: got no draw of the priors, of {len(points)}, at which outputs and their "
            "derivatives are finite; look at wb.simulate with such draws, and at the priors"
        )
    return found


def _summarised(frame: Frame, informations: list[Array], draws: int) -> DesignIdentifiability:
    """Return the tables of informations (n, n) at several draws."""
    import pandas as pd

    coordinates, size = frame.coordinates, len(frame.coordinates)
    physical = [k for k in range(size) if not coordinates[k].nuisance]
    block, few = np.ix_(physical, physical), [coordinates[k] for k in physical]
    covariances = np.stack([np.linalg.inv(f + np.eye(size)) for f in informations])
    variance = np.diagonal(covariances, axis1=1, axis2=2).copy()
    variance[:, frame.untold] = np.nan
    alone = np.mean([1 / (1 + np.diag(f)) for f in informations], axis=0) + 0 * variance[0]
    unseen = np.zeros((size, size))
    unseen[block] = np.mean([Spectrum.of(c[block]).unseen for c in covariances], axis=0)
    low, high = np.quantile(np.sqrt(variance), [0.05, 0.95], axis=0)
    table = pd.DataFrame(
        {
            "sd_ratio": np.sqrt(variance.mean(axis=0)),
            "sd_ratio_low": low,
            "sd_ratio_high": high,
            "sd_ratio_alone": np.sqrt(alone),
            "contraction": 1 - variance.mean(axis=0),
            "units": [c.units for c in coordinates],
            "verdict": verdicts(coordinates, 1 - variance.mean(axis=0), unseen),
        },
        index=[c.label for c in coordinates],
    )
    directions = described(few, Spectrum.of(covariances.mean(axis=0)[block]))
    pairs = _collinear(few, [f[block] for f in informations])
    return DesignIdentifiability(table, directions, pairs, np.stack(informations), draws, draws - len(informations))


def _collinear(coordinates: Sequence[Coordinate], informations: list[Array]) -> "pd.DataFrame":
    import pandas as pd

    each: dict[tuple[int, ...], list[float]] = {}
    for information in informations:
        for subset, index in collinearity(information).items():
            each.setdefault(subset, []).append(index)
    rows = [(", ".join(coordinates[k].label for k in s), len(s), float(np.median(v))) for s, v in each.items()]
    table = pd.DataFrame(rows, columns=["parameters", "size", "index"])
    return table.sort_values("index", ascending=False, kind="stable", ignore_index=True)
