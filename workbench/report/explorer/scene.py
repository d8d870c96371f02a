"""What an explorer shows: a model with its draws, what acts on it, what was measured, and the sliders over them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.base.clock import Clock
from workbench.base.errors import DataError, unknown
from workbench.calibrate.calibration import Calibration
from workbench.calibrate.problem import Problem
from workbench.declare.model import Model, as_model
from workbench.report.explorer.control import Control, controls, moved
from workbench.report.predictive import prior_units
from workbench.report.render import unit_text
from workbench.simulate.browser.javascript import engine, plan, refusal, script
from workbench.simulate.kernel import solve
from workbench.simulate.members import gather
from workbench.simulate.scenario import Schedule, build_schedule
from workbench.sync.observations import spans

Array = NDArray[np.float64]
GRID = 161  # times of a curve
PANELS = 6  # curves beside each other, at most
MASSES = (0.05, 0.5, 0.95)


@dataclass(frozen=True)
class Curve:
    """One output: its column among a kernel's outputs, its label with its unit, and (n, 2) times and readings."""

    name: str
    label: str
    column: int
    observed: Array


@dataclass(frozen=True, eq=False)
class Scene:
    """All that an explorer needs, and what moves nothing in it: sliders make another picture, never another scene.

    Attributes
    ----------
    model, theta, schedule, times
        The declaration, draws (members, 1, parameters), what acts on it, and times (GRID,) in the model's unit.
    curves
        The outputs shown.
    controls
        The sliders.
    source
        In words, of what the draws are.
    """

    model: Model
    theta: Array
    schedule: Schedule
    times: Array
    curves: tuple[Curve, ...]
    controls: tuple[Control, ...]
    source: str

    @cached_property
    def refusal(self) -> str | None:
        """Why a browser cannot run it, None where it can."""
        if any(state.noise is not None for state in self.model.states.values()):
            return f"{self.model.name} has process noise"
        if any(output.increment for output in self.model.outputs.values()):
            return f"{self.model.name} has increments as outputs"
        return refusal(self.model)

    @cached_property
    def base(self) -> Array:
        """What `quantiles` says before any slider moves."""
        return self.quantiles()

    def quantiles(self, settings: Mapping[str, float] | None = None) -> Array:
        """Return the 5, 50 and 95 % quantiles (3, times, curves) over the draws with sliders set, by the kernels.

        Draws that cannot be solved are left out; NaN where none can.
        """
        theta, schedule = moved(self.controls, dict(settings or {}), self.theta, self.schedule)
        rows = np.array([0, self.times.size])
        made = solve(self.model, theta, schedule, rows=rows, times=self.times)
        values = made.outputs[:, :, [curve.column for curve in self.curves]]
        good = np.isfinite(values).all(axis=(1, 2))
        if not good.any():
            return np.full((len(MASSES), *values.shape[1:]), np.nan)
        return np.quantile(values[good], MASSES, axis=0)

    def code(self) -> str:
        """Return JavaScript of an expression with the model, its method and `solve`; "null" where none can run it."""
        if self.refusal:
            return "null"
        return f"(() => {{\n{engine()}\n{script(self.model)}\nreturn {{model, method, solve}};\n}})()"

    def plain(self, *, base: bool = True) -> dict[str, Any]:
        """Return the scene as plain data for `explorer.js`, which works out the base itself where it is left out."""
        return {
            "masses": list(MASSES),
            "source": self.source,
            "refusal": self.refusal or "",
            "theta": [] if self.refusal else self.theta[:, 0].tolist(),
            "plan": plan(self.schedule),
            "times": self.times.tolist(),
            "time": f"time ({unit_text(self.model.time_unit)})" if unit_text(self.model.time_unit) else "case",
            "unit": unit_text(self.model.time_unit),
            "tolerance": {"rtol": max(self.model.rtol, 1e-6), "atol": max(self.model.atol, 1e-9)},
            "curves": [
                {"name": c.name, "label": c.label, "column": c.column, "observed": c.observed.tolist()}
                for c in self.curves
            ],
            "base": _known(self.base) if base else None,
            "controls": [control.to_dict() for control in self.controls],
        }


def _known(values: Array) -> list[Any]:
    """Return numbers as plain lists, None for NaN."""
    known = values.astype(object)
    known[~np.isfinite(values)] = None
    return known.tolist()


def scene(
    source: Any,
    *,
    times: Any = None,
    inputs: Mapping[str, Any] | None = None,
    unit: Any = None,
    draws: int = 200,
    seed: int = 0,
) -> Scene:
    """Return what an explorer of a model, a calibration or a twin shows.

    Parameters
    ----------
    source
        A calibration (or a twin that holds one), whose draws are shown; or a model, shown with draws of its priors.
    times
        First and last time, or all of them; by default the span of the data. Of a model they must be given.
    inputs
        What acts on it; of a calibration these replace its own.
    unit
        Of a calibration with several units: which one; by default the first.
    draws
        How many draws, spread over all.
    seed
        Of draws of priors.

    Raises
    ------
    DataError
        If there are no times, the unit is unknown, or the calibration was opened without its model.
    """
    calibration = getattr(source, "posterior", None)
    calibration = calibration if isinstance(calibration, Calibration) else source
    if isinstance(calibration, Calibration):
        return _of_calibration(calibration, times, inputs, unit, draws)
    model = as_model(getattr(source, "model", source))
    if times is None:
        raise DataError(f"{model.name}: got no times to explore a model over; expected times=(first, last)")
    if unit is not None:
        raise DataError(f"got unit={unit!r} for a model, which has none; expected a calibration of several units")
    drawn = prior_units(model, draws=draws, seed=seed)
    theta, _ = gather(model, {n: drawn[n] for n in model.estimated})
    clock = Clock.of(np.asarray(times), model.time_unit)
    schedule, grid = _acting(model, inputs or {}, clock, clock.numbers(times), None)
    return _scene(model, theta.values, schedule, grid, {}, "draws of the priors")


def _of_calibration(calibration: Calibration, times: Any, inputs: Any, unit: Any, draws: int) -> Scene:
    problem = calibration.problem
    if problem is None:
        raise DataError("got a calibration opened without its model; expected Calibration.open(path, model)")
    labels = [] if problem.units is None else list(problem.units)
    if unit is not None and unit not in labels:
        raise DataError(unknown("unit", str(unit), map(str, labels), "explore"))
    place = labels.index(unit) if unit is not None else 0
    estimated = {name: calibration.posterior[name] for name in problem.model.estimated}
    theta, _ = gather(problem.model, estimated, None, problem.units)
    every = theta.values[:, min(place, theta.values.shape[1] - 1)][:, None]
    chosen = np.unique(np.linspace(0, len(every) - 1, min(draws, len(every))).round().astype(int))
    words = f"{len(chosen)} draws of the posterior" + (f" of {labels[place]}" if labels else "")
    words += ", without the discrepancy" if problem.terms else ""
    return _of_problem(problem, every[chosen], place, words, times=times, inputs=inputs)


def scene_before(problem: Problem, *, place: int = 0, draws: int = 200, seed: int = 0) -> Scene:
    """Return what a problem's priors say of one of its units, by its place, over what was measured of it."""
    drawn = prior_units(problem.model, pool=problem.pool, draws=draws, seed=seed)
    theta, _ = gather(problem.model, {name: drawn[name] for name in problem.model.estimated})
    words = "draws of the priors" + (f", unit {problem.units[place]}" if problem.units else "")
    return _of_problem(problem, theta.values, place, words)


def _of_problem(
    problem: Problem, theta: Array, place: int, words: str, *, times: Any = None, inputs: Any = None
) -> Scene:
    """Return the scene of one unit of a problem, over the span of its data where no times are given."""
    begin, end = spans(problem.observations)
    clock = problem.observations.clock
    if times is not None:
        span = clock.numbers(times)
    elif problem.model._timeless:  # between two cases there is none
        cases = problem.observations.time[problem.rows[place] : problem.rows[place + 1]]
        span = cases[np.unique(np.linspace(0, cases.size - 1, min(GRID, cases.size)).round().astype(int))]
    else:
        span = np.array([begin[place], end[place]])
    given = {**problem.inputs, **(inputs or {})}
    schedule, grid = _acting(problem.model, given, clock, span, problem.units, place, first=float(begin[place]))
    return _scene(problem.model, theta, schedule, grid, _observed(problem, place), words)


def _acting(
    model: Model, inputs: Any, clock: Clock, span: Array, units: Any, place: int = 0, *, first: float | None = None
) -> tuple[Schedule, Array]:
    """Return what acts on one unit from the start of its clock, and the times of its curves."""
    if span.size < 2 or not span[-1] > span[0]:
        raise DataError(f"times: got {span.tolist()}; expected a first and a later last time")
    count = 1 if units is None else len(units)
    begin = np.full(count, span[0] if first is None else min(first, span[0]))
    every = build_schedule(model, inputs, units=units, begin=begin, end=np.full(count, span[-1]), clock=clock)
    own = slice(every.offset[place], every.offset[place + 1])
    parts = (np.ascontiguousarray(a[own]) for a in (every.begin, every.level, every.slope, every.jump))
    grid = np.linspace(span[0], span[-1], GRID) if span.size == 2 else span
    return Schedule(np.array([0, own.stop - own.start]), *parts), grid


def _observed(problem: Problem, place: int) -> dict[str, Array]:
    """Return times and readings (n, 2) of each scalar output of a unit."""
    seen = problem.observations
    mine = seen.unit_index == place
    made = {}
    for name, values in seen.values.items():
        if values.ndim == 1:
            known = mine & ~np.isnan(values)
            made[name] = np.column_stack([seen.time[known], values[known]])
    return made


def _scene(
    model: Model, theta: Array, schedule: Schedule, grid: Array, observed: Mapping[str, Array], source: str
) -> Scene:
    curves = []
    for name, output in model.outputs.items():
        at = model.output_layout.places[name]
        unit = unit_text(output.unit)
        for k in range(at.start, at.stop):
            words = (output.long_name or name) + (f" {k - at.start + 1}" if at.stop - at.start > 1 else "")
            points = observed.get(name, np.empty((0, 2)))
            curves.append(Curve(name, f"{words} ({unit})" if unit else words, k, points))
    sliders = controls(model, schedule, float(grid[-1]))
    return Scene(model, theta, schedule, grid, tuple(curves[:PANELS]), sliders, source)
