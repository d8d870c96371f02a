"""Processes that make replicates side by side, each with one thread, and what they need to know sent to them once.

They are plain Python processes that know nothing of the program that started them: neither its `__main__` module nor
its threads, so this works in a notebook as in a script. A model that was declared in a notebook travels by value.
"""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Generator, Sequence
from typing import Any

import cloudpickle

from workbench.base.errors import SamplingError
from workbench.calibrate.problem import pose
from workbench.calibrate.sbc.replicate import Study, replicate
from workbench.declare.model import Model
from workbench.simulate.workers import cores

_CODE = "import sys; sys.path[:] = {path!r}; from workbench.calibrate.sbc.crew import serve; serve()"
_READY = b"ready\n"
_ONE = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS", "NUMBA_NUM_THREADS")


def work_off(study: Study, design: Any, numbers: Sequence[int]) -> Generator[dict[str, Any]]:
    """Yield the records of replicates, in the order in which they are made.

    A black box has processes of its own for its evaluations, so its replicates are made here, one after the other.
    Closing the iterator ends the processes.
    """
    if study.is_black_box or len(numbers) < 2:
        yield from (replicate(study, number) for number in numbers)
        return
    jobs: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in numbers:
        jobs.put(number)
    made: queue.SimpleQueue[dict[str, Any] | BaseException] = queue.SimpleQueue()
    hands = [_Hand(_told(study, design), jobs, made) for _ in range(min(cores(), len(numbers)))]
    try:
        for hand in hands:
            hand.start()
        for _ in numbers:
            one = made.get()
            if isinstance(one, BaseException):
                raise one
            yield one
    finally:
        for hand in hands:
            hand.close()


def _told(study: Study, design: Any) -> bytes:
    problem = study.problem
    fresh = _fresh(problem.model)
    declared = [term.declared for term in problem.terms.values()]
    return cloudpickle.dumps((fresh, design, problem.inputs, problem.pooling, declared, study.draws, study.seed))


def _fresh(model: Model) -> Model:
    """Return the model without the kernels and graphs that it keeps."""
    made = object.__new__(type(model))
    for name in model.__dataclass_fields__:
        object.__setattr__(made, name, getattr(model, name))
    return made


class _Hand(threading.Thread):
    """One process, fed from a queue; where it dies, its replicate says so and another process goes on."""

    def __init__(self, told: bytes, jobs: "queue.SimpleQueue[int]", made: "queue.SimpleQueue[Any]"):
        super().__init__(daemon=True)
        self._told, self._jobs, self._made = told, jobs, made
        self._closed = False
        self._process: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """Work until there are no jobs."""
        while not self._closed:
            try:
                number = self._jobs.get_nowait()
            except queue.Empty:
                break
            try:
                self._made.put(self._do(number))
            except BaseException as error:  # told to the one who waits, who would wait for ever
                self._made.put(error)
                break
        self.close()

    def close(self) -> None:
        """End the process."""
        self._closed = True
        if self._process is not None:
            _end(self._process)

    def _do(self, number: int) -> dict[str, Any]:
        process = self._process or self._begin()
        line = _exchange(process, b"%d\n" % number)
        if line.endswith(b"\n"):
            return json.loads(line)
        self._process = None
        return {"replicate": number, "status": f"its process died (exit code {_end(process)})"}

    def _begin(self) -> "subprocess.Popen[bytes]":
        process = self._process = subprocess.Popen(
            [sys.executable, "-c", _CODE.format(path=sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | dict.fromkeys(_ONE, "1"),
            start_new_session=True,  # an interruption is handled where the records go
        )
        if _exchange(process, len(self._told).to_bytes(8, "big") + self._told) != _READY:
            code = _end(process)
            raise SamplingError(
                f"got a process that cannot begin (exit code {code}); expected what it printed to say why"
            )
        return process


def _exchange(process: "subprocess.Popen[bytes]", told: bytes) -> bytes:
    """Return the line with which a process answers, not a whole one where it died."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(told)
        process.stdin.flush()
        return process.stdout.readline()
    except (OSError, ValueError):  # a pipe broken, or closed by the one who no longer waits
        return b""


def _end(process: "subprocess.Popen[bytes]") -> int:
    """End a process and return its exit code."""
    process.kill()
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        with contextlib.suppress(OSError):  # what it did not read is of no use
            pipe.close()
    return process.wait()


def serve() -> None:
    """Make replicates by number, from standard input, until it is closed; records are lines of JSON."""
    records = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever else is printed must not stand between records
    read = sys.stdin.buffer
    told = read.read(int.from_bytes(read.read(8), "big"))
    model, design, inputs, pool, declared, draws, seed = cloudpickle.loads(told)
    problem = pose(model, design, inputs=inputs, pool=pool, discrepancy=declared)
    study = Study(problem, draws=draws, seed=seed)
    records.write(_READY)
    for line in read:
        try:
            record = replicate(study, int(line))
        except Exception as error:  # whatever it is, it is counted
            record = {"replicate": int(line), "status": f"{type(error).__name__}: {error}"}
        with contextlib.suppress(BrokenPipeError):  # nobody waits any more
            records.write(json.dumps(record).encode() + b"\n")
