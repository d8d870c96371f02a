"""A research workbench for digital twins: declare a physical model once, and everything else follows from it.

1. declare: a subclass of `wb.Ode` (or `Map`, `Static`, `Simulator`) names states, parameters with priors, inputs and
   outputs with noise, all with units; `wb.compose` joins models.
2. simulate: `wb.simulate(model, times)` solves it, for one set of parameters or for many draws in parallel.
3. calibrate: `wb.calibrate(model, data)` gives a Bayesian posterior; `wb.to_pymc` gives the PyMC model behind it.
4. follow: `wb.screen(data)` marks doubtful readings, `wb.assimilate(model, data)` follows them with a filter, and
   `wb.watch(followed)` raises alarms at a rate of false ones that is set; `wb.explain` tells a faulty sensor from a
   faulty plant.
5. forecast: `wb.forecast(calibration, times)`, or of a filter, says what the sensors will read; `wb.score` how
   good that was, `wb.remaining_life` how long the asset lasts.
6. report: `wb.run_notebook(name, parameters, output=...)` runs a notebook into a report that opens anywhere.

Results are `xarray` datasets that carry units, long names and the model they came from.
"""

import importlib
import importlib.metadata
import sys
from types import ModuleType
from typing import Any

_HOMES = {
    "workbench.base": ("errors", "units"),
    "workbench.declare": ("kernel", "math", "noise", "prior"),
    "workbench.declare.compose": ("compose",),
    "workbench.declare.ode": ("Map", "Ode"),
    "workbench.declare.static": ("Static",),
    "workbench.declare.simulator": ("Simulator",),
    "workbench.declare.discrepancy": ("Discrepancy",),
    "workbench.declare.partial": ("Correlated", "Partial"),
    "workbench.declare.quantity": ("Event", "Input", "Output", "Parameter", "State"),
    "workbench.simulate.run": ("simulate",),
    "workbench.sync.assimilate": ("assimilate",),
    "workbench.sync.live": ("Live",),
    "workbench.sync.smooth": ("smooth",),
    "workbench.sync.filters.analysis": ("Localisation", "PerturbedObservations", "SquareRoot"),
    "workbench.sync.filters.ensemble": ("EnKF",),
    "workbench.sync.filters.extended": ("ExtendedKalman", "Kalman"),
    "workbench.sync.filters.guide": ("Bootstrap", "Guided"),
    "workbench.sync.filters.particle": ("ParticleFilter",),
    "workbench.sync.filters.resampling": ("Multinomial", "Residual", "Stratified", "Systematic"),
    "workbench.sync.filters.unscented": ("UnscentedKalman",),
    "workbench.sync.quality": ("screen", "usable"),
    "workbench.sync.alarms": ("watch",),
    "workbench.sync.explain": ("explain",),
    "workbench.calibrate.posterior": ("calibrate", "to_pymc"),
    "workbench.calibrate.sbc.study": ("sbc",),
    "workbench.calibrate.calibration": ("Calibration",),
    "workbench.calibrate.trust.compare": ("compare",),
    "workbench.calibrate.trust.prior_fit": ("check_prior",),
    "workbench.calibrate.identify.foresight": ("identify",),
    "workbench.forecast.propagate": ("forecast",),
    "workbench.forecast.hindcast": ("hindcast",),
    "workbench.forecast.life": ("prognosis", "remaining_life"),
    "workbench.forecast.score": ("persistence", "score"),
    "workbench.recipe.columns": ("read",),
    "workbench.recipe.recipe": ("Recipe",),
    "workbench.twin": ("Twin",),
    "workbench": ("report",),
    "workbench.report.notebook": ("run_notebook",),
    "workbench.report.sweep": ("sweep",),
    "workbench.report.parameters": ("check_parameters",),
    "workbench.widgets.explore": ("explore",),
    "workbench.widgets.builder.panel": ("build",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
_MODULES = {"errors", "units", "kernel", "math", "noise", "prior", "report"}

__all__ = [*_HOME, "__version__"]  # noqa: PLE0604


class _Front(ModuleType):
    """A module whose verbs keep their names although rooms are named alike: `wb.simulate` is the verb, always."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (isinstance(value, ModuleType) and name in _HOME and name not in _MODULES):  # as imports bind a room
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Front


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.metadata.version("twin-workbench")
    if name not in _HOME:
        from workbench.base.errors import unknown

        raise AttributeError(unknown("name", name, _HOME, "workbench"))
    home = _HOME[name]
    found = (
        importlib.import_module(f"{home}.{name}") if name in _MODULES else getattr(importlib.import_module(home), name)
    )
    globals()[name] = found
    return found


def load_ipython_extension(shell: Any) -> None:
    """Give a notebook the magics of `workbench.widgets.magics`: `%load_ext workbench`."""
    from workbench.widgets.magics import load

    load(shell)


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
