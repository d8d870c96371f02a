"""Processes that work off a list of jobs and may die: each is known by its own pipe, so the job that it had is known.

A pool of the standard library does not say which job killed a process, and cannot end one that hangs.
"""

import multiprocessing
import os
import pickle
import signal
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

LARGEST = 64  # jobs that a process takes at a time
FORK = sys.platform == "linux"  # elsewhere system libraries do not survive a fork


@dataclass(frozen=True)
class Lost:
    """In place of the result of a job whose process died or took too long."""

    why: str


@dataclass(eq=False)
class _Hand:
    """One process: its end of the pipe, the jobs it has, and when they must be done."""

    process: Any
    pipe: Connection
    jobs: list[int]
    deadline: float = float("inf")


def cores() -> int:
    """Return how many processes can run at a time."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def can_work(work: Any, owner: type) -> bool:
    """Return whether other processes can do `work`: always when forked, else when its classes can be imported there."""
    if FORK:
        return True
    try:
        return owner.__module__ != "__main__" and bool(pickle.dumps(work))
    except (pickle.PicklingError, AttributeError, TypeError):
        return False


class Workers:
    """Some processes, begun when they are first needed, that do `work(job)`.

    Parameters
    ----------
    work
        What is done with a job; it must catch what it raises.
    count
        Number of processes.
    timeout
        Seconds of wall time for one job; None waits for ever.
    """

    def __init__(self, work: Callable[[Any], Any], *, count: int, timeout: float | None = None):
        self._work, self._count, self._timeout = work, count, timeout
        self._hands: list[_Hand] = []

    def map(self, jobs: Sequence[Any]) -> list[Any]:
        """Return `work(job)` for each job, or `Lost` for one whose process died or took too long."""
        results: list[Any] = [None] * len(jobs)
        size = 1 if self._timeout else max(1, min(LARGEST, len(jobs) // (4 * self._count)))
        waiting = deque(list(range(k, min(k + size, len(jobs)))) for k in range(0, len(jobs), size))
        try:
            while waiting or any(hand.jobs for hand in self._hands):
                self._hand_out(waiting, jobs)
                busy = {hand.pipe: hand for hand in self._hands if hand.jobs}
                until = min(hand.deadline for hand in busy.values()) - time.monotonic()
                ready = wait(list(busy), None if until == float("inf") else max(until, 0.0))
                for pipe in ready:
                    self._take(busy[pipe], waiting, results)  # type: ignore[index]
                for hand in busy.values():
                    if hand.jobs and hand.deadline < time.monotonic():
                        self._lose(hand, f"it took longer than {self._timeout:g} s", waiting, results)
        except BaseException:  # an interruption: what is half done is of no use
            self.close()
            raise
        return results

    def close(self) -> None:
        """End the processes."""
        for hand in self._hands:
            hand.pipe.close()
            hand.process.kill()
            hand.process.join()
        self._hands.clear()

    def _hand_out(self, waiting: deque[list[int]], jobs: Sequence[Any]) -> None:
        while waiting:
            idle = next((hand for hand in self._hands if not hand.jobs), None)
            if idle is None and len(self._hands) == self._count:
                return
            hand = idle or self._begin()
            try:
                hand.pipe.send([jobs[k] for k in waiting[0]])
            except OSError:  # it died with nothing to do
                self._end(hand)
                continue
            hand.jobs = waiting.popleft()
            hand.deadline = time.monotonic() + self._timeout if self._timeout else float("inf")

    def _take(self, hand: _Hand, waiting: deque[list[int]], results: list[Any]) -> None:
        try:
            made = hand.pipe.recv()
        except (EOFError, OSError):
            hand.process.join()
            self._lose(hand, f"the process that ran it died (exit code {hand.process.exitcode})", waiting, results)
            return
        for job, result in zip(hand.jobs, made, strict=True):
            results[job] = result
        hand.jobs = []

    def _lose(self, hand: _Hand, why: str, waiting: deque[list[int]], results: list[Any]) -> None:
        """Give up the job of a process; of several, let each be tried by itself to find which it was."""
        if len(hand.jobs) == 1:
            results[hand.jobs[0]] = Lost(why)
        else:
            waiting.extendleft([job] for job in reversed(hand.jobs))
        self._end(hand)

    def _begin(self) -> _Hand:
        context: Any = multiprocessing.get_context("fork" if FORK else "spawn")
        ours, theirs = context.Pipe()
        inherited = [ours, *(hand.pipe for hand in self._hands)] if FORK else []
        process = context.Process(target=_serve, args=(self._work, theirs, inherited), daemon=True)
        with warnings.catch_warnings():  # that other threads run: see the docstring of wb.Simulator
            warnings.filterwarnings("ignore", category=DeprecationWarning, message=".*fork.*")
            process.start()
        theirs.close()
        self._hands.append(_Hand(process, ours, []))
        return self._hands[-1]

    def _end(self, hand: _Hand) -> None:
        hand.pipe.close()
        hand.process.kill()
        hand.process.join()
        hand.jobs = []
        self._hands.remove(hand)


def _serve(work: Callable[[Any], Any], pipe: Connection, inherited: list[Connection]) -> None:
    """Do lists of jobs until the other end of the pipe is closed."""
    for other in inherited:  # else they would not close with the process that made them
        other.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interruption is handled where the results go
    while True:
        try:
            jobs = pipe.recv()
        except (EOFError, OSError):
            return
        pipe.send([work(job) for job in jobs])
