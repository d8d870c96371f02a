"""`wb.build`: a twin put together, calibrated and saved without typing code."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from workbench.base.errors import WorkbenchError
from workbench.calibrate.calibration import Calibration
from workbench.declare.model import as_model
from workbench.recipe.draft import Draft
from workbench.recipe.recipe import Recipe
from workbench.report.explorer.page import javascript
from workbench.report.explorer.scene import Scene
from workbench.report.explorer.scene import scene as scene_of
from workbench.widgets.builder.results import pages
from workbench.widgets.builder.running import IDLE, Running
from workbench.widgets.builder.session import Session, opened
from workbench.widgets.latest import Latest

_HERE = Path(__file__).parent


class Builder(anywidget.AnyWidget):
    """A form over a recipe, its preview, and its calibration in the background.

    Attributes
    ----------
    calibration
        The last calibration that ended, None before.
    """

    _esm = javascript() + (_HERE / "build.js").read_text(encoding="utf-8")
    _css = (_HERE / "build.css").read_text(encoding="utf-8")
    view = traitlets.Dict().tag(sync=True)
    scene = traitlets.Dict().tag(sync=True)
    code = traitlets.Unicode("null").tag(sync=True)
    run = traitlets.Dict(IDLE).tag(sync=True)
    results = traitlets.Dict().tag(sync=True)

    def __init__(self, draft: Draft, frames: Mapping[str, Any]):
        super().__init__()
        self._session = Session(draft, frames)
        self._running: Running | None = None
        self._seen = 0
        self._shown: Scene | None = None
        self._slow = Latest(self._answer, self._failed)
        self.calibration: Calibration | None = None
        self.on_msg(self._hear)
        self._refresh()

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Add words, for where no widget is shown."""
        made = super()._repr_mimebundle_(**kwargs)
        bundle = made[0] if isinstance(made, tuple) else made
        if bundle is not None:
            bundle["text/plain"] = f"A form to build {self._session.draft.model['name']}: it works in JupyterLab."
        return made

    @property
    def recipe(self) -> Recipe:
        """What is on the form; DataError that lists its problems."""
        return self._session.recipe()

    @property
    def model(self) -> Any:
        """The declared model; DataError where the form has problems."""
        return self.recipe.declared

    @property
    def problems(self) -> dict[str, str]:
        """What is wrong on the form, by field."""
        return self._session.problems

    def _hear(self, _: Any, message: Any, __: Any) -> None:
        """Take what the browser sent: plain data, of which only the known verbs do something."""
        if not isinstance(message, Mapping):
            return
        self._seen = int(message.get("count", self._seen))
        match message.get("do"):
            case "ask":
                self._slow.ask(dict(message.get("settings", {})))
                return
            case "calibrate":
                self._calibrate()
            case "stop":
                if self._running is not None:
                    self._running.stop()
                return
            case _:
                self._session.do(message)
        self._refresh()

    def _refresh(self) -> None:
        """Show the form and the preview as they now are."""
        session = self._session
        shown = session.preview()
        refused, wrong = session.refused, len(session.checked.problems)
        self.view = {
            "seen": self._seen,
            "sections": session.sections(),
            "file": refused.get("file", ""),
            "said": session.said,
            "looks": session.looks,
            "ready": not wrong and session.checked.problem is not None,
            "wrong": wrong,
            "preview": refused.get("preview", ""),
            "code": "" if wrong else session.draft.recipe().code(),
        }
        if shown is not None:
            self._shown = shown
            self.code = shown.code()  # before the scene, which the browser waits for
            self.scene = {**shown.plain(base=False), "count": self._seen}
            if shown.refusal:
                self._slow.ask({})

    def _answer(self, settings: Mapping[str, float]) -> None:
        shown = self._shown
        if shown is not None:
            found = shown.quantiles(settings)
            self.send({"answer": "curves", "first": not settings}, buffers=[found.tobytes()])

    def _failed(self, error: Exception) -> None:
        self.send({"answer": "problem", "text": str(error)})

    def _calibrate(self) -> None:
        if self._running is not None and not self._running.ended:
            return
        try:
            recipe = self._session.recipe()
        except WorkbenchError as error:
            self.run = {**IDLE, "state": "failed", "words": str(error)}
            return
        self.results = {}
        self._running = Running(recipe, self._tell, self._done)
        self._running.start()

    def _tell(self, state: dict[str, Any]) -> None:
        self.run = state

    def _done(self, calibration: Calibration) -> None:
        """Keep a calibration and show its pages one by one (in the thread of the calibration)."""
        self.calibration = calibration
        for title, page in pages(calibration):
            self.results = {**self.results, title: page}
        shown = scene_of(calibration)
        if not shown.refusal:
            self.results = {**self.results, "Explore": {"scene": shown.plain(base=False), "code": shown.code()}}


def build(source: Any = None, data: Any = None) -> Builder:
    """Return a panel in which a twin is put together, calibrated, and saved.

    Parameters
    ----------
    source
        A model, a `wb.Recipe`, or the path of a saved one; None: an empty form.
    data
        Path of a CSV or netCDF file, or a DataFrame.

    Raises
    ------
    DeclarationError
        If the model cannot be written as formulas (it has vectors, or is a `wb.Simulator`), or what the file declares
        cannot be.
    ParameterError
        If the file is no saved recipe.
    """
    if isinstance(source, str | Path):
        source = opened(Path(source))
    if source is None:
        draft = Draft()
    else:
        draft = Draft.of(source if isinstance(source, Recipe) else Recipe.of(as_model(source)))
    if isinstance(data, str | Path):
        draft = draft.with_(data=str(data), sha256=None)
    elif data is not None:
        draft = Draft({**draft.parts, "data": "", "sha256": None}, data)
    return Builder(draft, frames_of_kernel())


def frames_of_kernel() -> dict[str, Any]:
    """Return the DataFrames that a person has named in this session of IPython; none outside of one."""
    import sys

    if "IPython" not in sys.modules or "pandas" not in sys.modules:
        return {}
    import pandas as pd
    from IPython import get_ipython  # type: ignore[attr-defined]

    shell = get_ipython()
    named = dict(shell.user_ns) if shell is not None else {}
    return {name: one for name, one in named.items() if isinstance(one, pd.DataFrame) and not name.startswith("_")}
