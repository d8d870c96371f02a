"""`Simulator`: a model whose inside is not known, any Python callable; it has no gradient."""

import inspect
from functools import cached_property
from typing import Any, ClassVar

from workbench.base.errors import DeclarationError
from workbench.declare.layout import Layout
from workbench.declare.model import Model
from workbench.declare.quantity import Event, Input, State


class Simulator(Model):
    """A black box: a program, a legacy code, a lookup, a solver of another package, called as a Python function.

    A subclass names parameters, inputs and outputs in its body (it has no states), and gives
    `run(self, times, u, p)`, which is called once for each unit and each set of parameters:

    - `times` (n,) are increasing, in `time_unit`, and begin when the clock starts (at the first sample, or at the first
      impulse where that is earlier);
    - `u.<input>` is a function of time, of a number or an array, and `u.<input>.times` are those at which some input
      changes its course; of an impulse it is a list of pairs (time, amount);
    - `p.<parameter>` is a number;
    - it returns a dict from each output's name to its values (n,), or to a number that holds at all times.

    A function `f(times, u, p)` that exists already is wrapped by `run = staticmethod(f)`.

    It is taken for a function: the same arguments give the same values, so each evaluation is kept with the model's
    instance and not made twice. Where it cannot give values it raises any exception, or returns some that are not
    finite: that evaluation counts as failed, reads NaN in simulations, and has no density in calibrations.

    Many evaluations run in parallel processes, and one that dies costs one evaluation. On Linux processes are forked
    when they are first needed, so a class made in a notebook will do, and what it holds is shared, not copied. A fork
    copies no threads: a simulator that needs a pool of threads which was used before (OpenMP, a database's client), or
    makes processes by `multiprocessing` itself, sets `processes = 1`. On other systems the class must stand in a module
    that can be imported; if not, evaluations run one by one.

    Attributes
    ----------
    time_unit
        Unit of `times` and of numeric `time` coordinates.
    timeout
        Seconds of wall time after which the process of an evaluation is killed, and the evaluation counts as failed;
        None waits for ever. What that process started itself goes on: give such programs a limit of their own.
    processes
        How many run at a time; None: one for each core. With 1, evaluations run in this process, and `timeout` and
        death of the process are not guarded.
    """

    timeout: ClassVar[float | None] = None
    processes: ClassVar[int | None] = None
    _methods: ClassVar = {"run": ("times", "u", "p")}
    _main: ClassVar[str] = "run"

    def run(self, times: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return the values of each output at the times."""
        raise DeclarationError(f"{self.name}: got no run; expected def run(self, times, u, p) returning outputs")

    def __post_init__(self) -> None:
        self._check_names()
        self._check_run()

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}  # the settings, no evaluations

    @cached_property
    def state_layout(self) -> Layout:
        """The places of impulses: what takes them up in a model with states."""
        return Layout({name: () for name, quantity in self.inputs.items() if quantity.kind == "impulse"})

    def _check_into(self, quantity: Input) -> None:
        if quantity.into is not None:
            raise DeclarationError(
                f"{self.name}.{quantity.name}: got into={quantity.into!r}; expected none, as a simulator has no states "
                f"(run finds the amounts in u.{quantity.name})"
            )

    def _check_names(self) -> None:
        for kind in (State, Event):
            for name in self._of(kind):
                raise DeclarationError(
                    f"{self.name}.{name}: got a wb.{kind.__name__}; expected none in a simulator, whose inside is not "
                    "known: declare what it computes as wb.Output"
                )
        super()._check_names()
        if not self.outputs:
            raise DeclarationError(f"{self.name}: got no output; expected at least one wb.Output")
        for name, types, words in (("timeout", int | float, "seconds"), ("processes", int, "a whole number")):
            value = getattr(self, name)
            known = isinstance(value, types) and not isinstance(value, bool) and value > 0
            if value is not None and not known:
                raise DeclarationError(f"{self.name}.{name}: got {value!r}; expected {words} above 0, or None")

    def _check_run(self) -> None:
        if not callable(self.run):
            raise DeclarationError(f"{self.name}.run: got {self.run!r}; expected a function of times, u and p")
        try:
            signature = inspect.signature(self.run)
        except ValueError:  # of a function written in C: it shows when it is called
            return
        try:
            signature.bind("times", "u", "p")
        except TypeError:
            raise DeclarationError(
                f"{self.name}: got run{signature} to be called with times, u and p; expected "
                "def run(self, times, u, p), or run = staticmethod(f) for a function f(times, u, p)"
            ) from None
