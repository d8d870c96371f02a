"""`wb.explore`: what would happen if, with sliders over inputs and parameters."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets
from numpy.typing import NDArray

from workbench.report.explorer.page import figure, javascript, page
from workbench.report.explorer.scene import Scene
from workbench.report.explorer.scene import scene as make_scene
from workbench.widgets.latest import Latest


class Explorer(anywidget.AnyWidget):
    """Sliders over a scene. Where the browser cannot run the model, the kernel answers, the newest setting first.

    Attributes
    ----------
    settings
        Where the sliders are, by name; views of it follow, and so they do what is set here.
    problem
        What went wrong with the last setting, in words; "" for nothing.
    """

    _esm = javascript() + (Path(__file__).parent / "explore.js").read_text(encoding="utf-8")
    scene = traitlets.Dict().tag(sync=True)
    code = traitlets.Unicode().tag(sync=True)
    settings = traitlets.Dict().tag(sync=True)
    asked = traitlets.Dict().tag(sync=True)
    answer = traitlets.Bytes().tag(sync=True)
    problem = traitlets.Unicode().tag(sync=True)

    def __init__(self, of: Scene) -> None:
        super().__init__(scene=of.plain(), code=of.code())
        self._of = of
        self._worker = Latest(self._answer, self._failed)
        self._answered: dict[str, float] = {}
        self.observe(lambda change: self._worker.ask(change["new"]), "asked")
        self.observe(self._follow, "settings")

    def quantiles(self) -> NDArray[np.float64]:
        """Return what is shown: the 5, 50 and 95 % quantiles (3, times, curves) over the draws."""
        return self._of.quantiles(self.settings)

    def page(self) -> str:
        """Return the explorer as HTML that opens from disk, with no network and no kernel."""
        return page(self._of)

    def _answer(self, settings: Mapping[str, float]) -> None:
        found = self._of.quantiles(settings)
        self._answered = dict(settings)
        self.problem, self.answer, self.settings = "", found.tobytes(), dict(settings)

    def _follow(self, change: Any) -> None:
        """Answer what was set in the kernel, where the browser cannot."""
        if self.code == "null" and change["new"] != self._answered:
            self._worker.ask(change["new"])

    def _failed(self, error: Exception) -> None:
        self.problem = str(error)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Add a figure, for where no widget is shown."""
        from io import StringIO

        made = super()._repr_mimebundle_(**kwargs)
        text = StringIO()
        figure(self._of).savefig(text, format="svg", metadata={"Date": None})
        bundle = made[0] if isinstance(made, tuple) else made
        if bundle is not None:
            bundle["image/svg+xml"] = text.getvalue()
        return made


def explore(
    source: Any,
    *,
    times: Any = None,
    inputs: Mapping[str, Any] | None = None,
    unit: Any = None,
    draws: int = 200,
    seed: int = 0,
) -> Explorer:
    """Return a widget with sliders over the inputs and parameters of a model, a calibration or a twin.

    A slider multiplies what is positive, in every draw alike, and adds to what is not; the band is that of the draws.
    The model runs in the browser, so it follows the slider without the kernel; one that a browser cannot run (events,
    many states, process noise, other kinds than `wb.Ode`) is computed by the kernel, which the widget says.

    Parameters and errors are those of `workbench.report.explorer.scene.scene`.
    """
    return Explorer(make_scene(source, times=times, inputs=inputs, unit=unit, draws=draws, seed=seed))
