"""A calibration in the background: how far it is, what it has drawn, and how to stop it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from workbench.base.errors import WorkbenchError
from workbench.calibrate.calibration import Calibration
from workbench.calibrate.sampling.progress import Look, Progress
from workbench.recipe.recipe import Recipe

_POINTS = 120  # of a trace that is drawn
_TRACES = 6
_OFTEN = 0.1  # seconds between two messages

State = dict[str, Any]
IDLE: State = {"state": "idle", "words": "", "share": 0.0, "left": None, "divergences": 0, "traces": []}


class Running(Progress):
    """One calibration of a recipe in a thread of its own.

    Parameters
    ----------
    recipe
        What is calibrated.
    tell
        Called, from that thread, with the state as plain data: `state` (running, done, stopped, failed), `words`,
        `share` of the draws, `left` (s), `divergences`, and `traces`, a list of a name and chains of draws.
    done
        Called with the calibration.
    """

    glance = 0.5

    def __init__(self, recipe: Recipe, tell: Callable[[State], None], done: Callable[[Calibration], None]):
        super().__init__(show=False)
        self._tell, self._done = tell, done
        self._lock = threading.Lock()
        self._told = self._next_look = 0.0
        self._sampling_since: float | None = None
        self._state: State = {**IDLE, "state": "running", "words": "reading the data"}
        self._thread = threading.Thread(target=self._run, args=(recipe,), daemon=True, name="calibration")

    def start(self) -> None:
        """Begin, and return at once."""
        self._tell(self._state)
        self._thread.start()

    def join(self, timeout: float) -> bool:
        """Wait for the end, and return whether it came within the timeout (s)."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Ask it to end; what was drawn is kept."""
        self._change(words="stopping")
        super().stop()

    @contextmanager
    def phase(self, name: str, words: str) -> Iterator[None]:
        """Time a phase, and tell of it."""
        self._change(words=words)
        began = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - began

    def chains(self, chains: list[Any]) -> None:
        """Tell how far the chains are (called by the sampler from a thread of its own)."""
        finished, total = sum(c.finished_draws for c in chains), max(1, sum(c.total_draws for c in chains))
        share, now = finished / total, time.perf_counter()
        self._sampling_since = self._sampling_since or now
        left = (now - self._sampling_since) * (1 - share) / share if share > 0.02 else None
        tuning = ", tuning" if any(c.tuning for c in chains) else ""
        divergences = sum(c.divergences for c in chains)
        self._change(words=f"sampling{tuning}", share=share, left=left, divergences=divergences, often=True)

    def look(self, draws: Look) -> None:
        """Tell of the draws so far; seldom where there are so many that a look takes long."""
        began = time.perf_counter()
        if began < self._next_look:
            return
        self._change(traces=[_trace(name, values) for name, values in list(_scalars(draws()))[:_TRACES]])
        now = time.perf_counter()
        self._next_look = now + 20 * (now - began)

    def _change(self, *, often: bool = False, **changes: Any) -> None:
        with self._lock:
            kept = {"words": self._state["words"]} if self._stop.is_set() else {}  # it goes on saying that it stops
            self._state = {**self._state, **changes, **kept}
            if often and time.perf_counter() - self._told < _OFTEN:
                return
            self._told = time.perf_counter()
            state = self._state
        self._tell(state)

    def _run(self, recipe: Recipe) -> None:
        try:
            calibration = recipe.calibrate(progress=self)
            stopped = bool(calibration.posterior.attrs["interrupted"])
            self._change(words="drawing the results")
            self._done(calibration)
        except WorkbenchError as error:
            self._end("stopped" if self._stop.is_set() else "failed", str(error))
        except Exception as error:  # nothing may end in silence: the panel is the only place that would say it
            self._end("failed", f"{type(error).__name__}: {error}")
        else:
            self._end("stopped" if stopped else "done", "stopped; what was drawn is kept" if stopped else "done")

    def _end(self, state: str, words: str) -> None:
        with self._lock:
            self._state = {**self._state, "state": state, "words": words, "left": None}
        self._tell(self._state)


def _scalars(draws: Any) -> Iterator[tuple[str, Any]]:
    """Yield the chains of each variable; of a vector of its first element."""
    for name, values in draws.items():
        yield name, values.reshape(*values.shape[:2], -1)[:, :, 0] if values.size else values[:, :, 0]


def _trace(name: str, chains: Any) -> dict[str, Any]:
    count = chains.shape[1]
    chosen = np.unique(np.linspace(0, count - 1, min(_POINTS, count)).round().astype(int))
    return {"name": name, "chains": np.asarray(chains)[:, chosen].tolist(), "draws": int(count)}
