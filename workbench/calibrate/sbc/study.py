"""`wb.sbc`: is a posterior right on data whose truth is known? Simulation-based calibration of a model and a design.

Truths are drawn from the prior, readings simulated from them, and posteriors sampled as `wb.calibrate` samples them. If
all of this is right, truths are ranked uniformly among draws: parameters (Talts et al. 2018, arXiv:1804.06788) and the
log likelihood too, which sees what parameters one by one do not (Modrak et al. 2023, Bayesian Analysis 20, 461-488).
"""

import json
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from workbench.base.errors import ParameterError, StoreError
from workbench.calibrate.posterior import check_counts
from workbench.calibrate.problem import Problem, pose
from workbench.calibrate.sampling.progress import Progress
from workbench.calibrate.sbc.crew import work_off
from workbench.calibrate.sbc.fingerprint import fingerprint
from workbench.calibrate.sbc.replicate import Study
from workbench.calibrate.sbc.sbc import KEPT, SBC, gathered

FORMAT = "workbench simulation-based calibration 1"
_IMPROPER = ("Flat", "HalfFlat")


def sbc(
    model: Any,
    design: Any,
    *,
    n: int = 300,
    inputs: Any = None,
    pool: Any = None,
    discrepancy: Any = None,
    draws: int = 1000,
    seed: int | None = None,
    store: str | Path | None = None,
    progress: bool = True,
) -> SBC:
    """Return how truths rank in their posteriors, over data sets simulated by a design.

    Replicates run in processes of their own, one thread each, in machine code compiled once.

    Parameters
    ----------
    model, inputs, pool, discrepancy
        As in `wb.calibrate`; a discrepancy says its SD (`sigma=`) and is fitted jointly. Of its function, the values at
        the first, middle and last reading are ranked.
    design
        What would be measured, when and of which unit: data as `wb.calibrate` takes them, whose values do not count
        but for being there. A row at which an output is NaN is not read, and is predicted: rows after the last
        reading show whether forecasts cover what then comes.
    n
        Number of replicates.
    draws
        Draws of each of the two chains of a posterior; where they are too few, four times as many are taken.
    seed
        The same seed gives the same replicates, whichever process makes them; None takes a fresh one, or that of the
        store.
    store
        Path of a file to which each finished replicate is added. Where it is there already, of the same model, design,
        draws and seed, its replicates are taken and the missing ones made: a run that was killed goes on.
    progress
        Whether to print how far it is.

    Raises
    ------
    ParameterError
        If a prior is improper, so that no truth can be drawn; if a discrepancy has an SD that hangs on the readings, or
        is fitted after the parameters; if a number is none that makes sense.
    StoreError
        If the store holds another study.
    DataError, UnitError, SamplingError
        If the design cannot be used; if no replicate was made.
    """
    check_counts(n=(n, 1), draws=(draws, KEPT // 2 + 1), seed=(0 if seed is None else seed, 0))
    problem = pose(model, design, inputs=inputs, pool=pool, discrepancy=discrepancy)
    _refuse_unranked(problem)
    book = _Book(None if store is None else Path(store), problem, draws=draws, seed=seed)
    missing = [number for number in range(n) if number not in book.records]
    steps = Progress(progress)
    with steps.phase("replicate_time", f"{len(missing)} replicates of {problem.model.name}"), book:
        interrupted = _replicate(Study(problem, draws=draws, seed=book.seed), design, missing, book=book, steps=steps)
    records = [book.records[number] for number in range(n) if number in book.records]
    about = {"seed": book.seed, "draws": draws, "n": n, "fingerprint": book.fingerprint}
    return SBC(gathered(problem, records, about | {"interrupted": int(interrupted)}))


def _replicate(study: Study, design: Any, missing: list[int], *, book: "_Book", steps: Progress) -> bool:
    """Write the missing replicates into the book; say whether that was interrupted."""
    try:
        with closing(work_off(study, design, missing)) as made:
            for record in made:
                book.add(record)
                steps.now_and_then(lambda: f"{len(book.records)} replicates are made")
    except KeyboardInterrupt:
        return True
    return False


def _refuse_unranked(problem: Problem) -> None:
    """Refuse what has no prior from which a truth can be drawn; ParameterError."""
    for name in problem.estimated:
        prior = problem.quantity(name).prior
        assert prior is not None
        if prior.name in _IMPROPER:
            raise ParameterError(
                f"{problem.model.name}: got the improper prior {prior!r} of {name!r}; expected a proper one, from "
                "which a truth can be drawn"
            )
    for term in problem.terms.values():
        where = term.declared.where
        if term.declared.sigma is None:
            raise ParameterError(
                f"{where}: got no sigma, so that its prior hangs on the readings; expected one, such as "
                f"sigma=wb.prior.HalfNormal({term.sigma.quantile(0.5):.2g})"  # type: ignore[union-attr]
            )
        if not term.declared.joint:
            raise ParameterError(
                f"{where}: got joint=False, whose draws are of no posterior in which a truth could be ranked; expected "
                "joint=True"
            )


class _Book:
    """The records of replicates, on disk where there is a path: a line each, added whole or not at all."""

    def __init__(self, path: Path | None, problem: Problem, *, draws: int, seed: int | None):
        self.fingerprint = fingerprint(problem)
        self.records: dict[int, dict[str, Any]] = {}
        self._file: Any = None
        self._path = path
        head = {"format": FORMAT, "model": problem.model.name, "fingerprint": self.fingerprint, "draws": draws}
        lines = list(_lines(path)) if path is not None and path.exists() else []
        if lines:
            self._take(lines, head, seed)
        else:
            self.seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else int(seed)
        self._whole = [head | {"seed": self.seed}, *self.records.values()]

    def _take(self, lines: list[Any], head: dict[str, Any], seed: int | None) -> None:
        """Take the records of an earlier run of the same study."""
        there = lines[0] if isinstance(lines[0], dict) else {}
        if there.get("format") != FORMAT:
            raise StoreError(f"{self._path}: got a file that is no store of wb.sbc; expected one, or no such file")
        self.seed = there["seed"] if seed is None else int(seed)
        for what, mine in (head | {"seed": self.seed}).items():
            if there[what] != mine:
                words = {"fingerprint": "a study of another model, design, inputs or pooling"}
                got = words.get(what, f"replicates with {what} {there[what]!r} (this study has {mine!r})")
                raise StoreError(f"{self._path}: got {got}; expected those of this study, or another path")
        self.records = {line["replicate"]: line for line in lines[1:]}

    def __enter__(self) -> "_Book":
        if self._path is not None:
            part = self._path.with_name(f".{self._path.name}.part")
            part.write_text("".join(json.dumps(line) + "\n" for line in self._whole), encoding="utf-8")
            part.replace(self._path)  # without the half line that a kill may have left
            self._file = self._path.open("a", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, record: dict[str, Any]) -> None:
        """Add a finished replicate."""
        self.records[record["replicate"]] = record
        if self._file is not None:
            self._file.write(json.dumps(record) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())


def _lines(path: Path) -> Iterator[Any]:
    """Yield the lines of a store, but for one that was not written to its end."""
    text = path.read_text(encoding="utf-8", errors="replace")
    for line in text.split("\n")[:-1]:  # what stands behind the last end of a line was cut off
        try:
            yield json.loads(line)
        except ValueError:
            raise StoreError(f"{path}: got a line that is no record; expected a store of wb.sbc") from None
