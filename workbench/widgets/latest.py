"""Work for a widget: done one at a time beside the kernel's own thread, and only for the newest wish."""

import threading
from collections.abc import Callable
from typing import Any


class Latest:
    """Calls a function with the newest of the values asked for; older ones that still wait are dropped.

    A slider sends more events than can be answered: they are never queued. The function runs in a thread of its own,
    so the kernel stays free; `failed` is called there with what it raises.
    """

    def __init__(self, function: Callable[[Any], None], failed: Callable[[Exception], None]) -> None:
        self._function, self._failed = function, failed
        self._changed = threading.Condition()
        self._waiting: list[Any] = []
        self._busy = False

    def ask(self, value: Any) -> None:
        """Have the function called with this value, soon; return at once."""
        with self._changed:
            self._waiting = [value]
            if not self._busy:
                self._busy = True
                threading.Thread(target=self._work, daemon=True).start()

    def wait(self, timeout: float) -> bool:
        """Wait until nothing is left to do, and return whether that came to pass within the timeout (s)."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._busy, timeout)

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._busy = False
                    self._changed.notify_all()
                    return
                value = self._waiting.pop()
            try:
                self._function(value)
            except Exception as error:
                self._failed(error)
