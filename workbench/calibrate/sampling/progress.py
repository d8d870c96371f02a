"""Words about what is going on while a person waits: compiling apart from sampling."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_EVERY = 2.0  # seconds between two lines about sampling


class Progress:
    """Prints the phases of a calibration, each with the seconds it took, and how sampling goes on."""

    def __init__(self, show: bool):
        self.show = show
        self.seconds: dict[str, float] = {}
        self._said = 0.0

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
        self.now_and_then(lambda: _words(chains))

    def now_and_then(self, words: Callable[[], str]) -> None:
        """Say how it goes on, unless that was said a moment ago."""
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
