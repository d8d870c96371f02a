"""Words about what is going on while a person waits: compiling apart from sampling."""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.base.errors import SamplingError

Look = Callable[[], Mapping[str, NDArray[np.float64]]]
_EVERY = 2.0  # seconds between two lines about sampling


class Progress:
    """Prints the phases of a calibration, each with the seconds it took, and how sampling goes on.

    Attributes
    ----------
    seconds
        What each phase took.
    glance
        Seconds between two looks at the draws and at whether to stop, of a calibration that runs in a thread of its
        own; None where Ctrl-C stops it.
    """

    glance: float | None = None

    def __init__(self, show: bool):
        self.show = show
        self.seconds: dict[str, float] = {}
        self._said = 0.0
        self._stop = threading.Event()

    def stop(self) -> None:
        """Ask the calibration to end, from any thread: it returns what was drawn, as after Ctrl-C."""
        self._stop.set()

    def go_on(self) -> None:
        """Raise SamplingError where it was stopped before a draw was taken."""
        if self._stop.is_set():
            raise SamplingError("the calibration was stopped before a draw was taken")

    def wait(self, run: Any, look: Look) -> Any:
        """Return what the sampler's run gives when it is over; KeyboardInterrupt where it was stopped."""
        while True:
            try:
                return run.wait(timeout=self.glance)
            except TimeoutError:
                if self._stop.is_set():
                    raise KeyboardInterrupt from None
                self.look(look)

    def look(self, draws: Look) -> None:
        """Do what is to be done now and then with the draws so far, (chains, draws, ...) by name."""

    @contextmanager
    def phase(self, name: str, words: str) -> Iterator[None]:
        """Time a phase under `name`, and say it in words."""
        began = time.perf_counter()
        self._say(f"{words} ...")
        yield
        self.seconds[name] = time.perf_counter() - began
        self._say(f"{words}: {self.seconds[name]:.1f} s")

    def chains(self, chains: list[Any]) -> None:
        """Say how far the chains are (called by the sampler from a thread of its own)."""
        self._sometimes(lambda: _words(chains))

    def now_and_then(self, words: Callable[[], str]) -> None:
        """Say how it goes on, unless that was said a moment ago; KeyboardInterrupt where it was stopped."""
        if self._stop.is_set():
            raise KeyboardInterrupt
        self._sometimes(words)

    def _sometimes(self, words: Callable[[], str]) -> None:
        now = time.perf_counter()
        if now - self._said >= _EVERY:
            self._said = now
            self._say(words())

    def _say(self, words: str) -> None:
        if self.show:
            print(f"workbench | {words}", file=sys.stdout, flush=True)


def _words(chains: list[Any]) -> str:
    done, total = sum(c.finished_draws for c in chains), sum(c.total_draws for c in chains)
    divergences = sum(c.divergences for c in chains)
    tuning = " (tuning)" if any(c.tuning for c in chains) else ""
    return f"sampling: {100 * done / max(total, 1):.0f} % of {total} draws{tuning}, {divergences} divergences"
