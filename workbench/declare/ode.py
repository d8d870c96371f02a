"""`Ode` and `Map`: models that move through time, continuously or in steps."""

from typing import Any, ClassVar

from workbench.base.errors import DeclarationError
from workbench.declare.model import Model

EQUATIONS = ("t", "x", "u", "p")


class Dynamic(Model):
    """What models with states and a clock share: starts and outputs."""

    _methods: ClassVar = {"start": ("p",), "observe": EQUATIONS}

    def observe(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return the value of each output; a model without outputs needs none."""
        return {}

    def start(self, p: Any) -> dict[str, Any]:
        """Return starts that are expressions of parameters; by default none."""
        return {}

    def _check_names(self) -> None:
        super()._check_names()
        if not self.states:
            raise DeclarationError(f"{self.name}: got no state; expected at least one wb.State")


class Ode(Dynamic):
    """A system of ordinary differential equations, declared once.

    A subclass names its quantities in its body, and gives

    - `rhs(self, t, x, u, p)`: a dict from each state's name to its derivative, per `time_unit`;
    - `observe(self, t, x, u, p)`: a dict from each output's name to its value;
    - `start(self, p)`, if starts are expressions of parameters: a dict from states' names to their starts;
    - `events(self, t, x, u, p)`, if it has events: a dict from each event's name to the expression that crosses zero;
    - `reset(self, t, x, u, p)`, if events change states: a dict from an event's name to a dict from states' names to
      their values just after it; states that are not named keep their values.

    Annotated fields are structural settings, as in a dataclass. Every mistake that can be seen without solving is
    refused when the class is born, with a `DeclarationError` that says what was got, what was expected and the nearest
    known name.

    Attributes
    ----------
    time_unit
        Unit of `t`, of every rate and of numeric `time` coordinates.
    rtol, atol
        Relative and absolute tolerance of the solver, the latter in each state's own unit; a state may have its own.
    noise_step
        Longest step of process noise in the time unit; by default a 200th of the run, and a quarter of the time between
        two outputs.
    """

    noise_step: ClassVar[float | None] = None

    _methods: ClassVar = {
        "start": ("p",), "rhs": EQUATIONS, "observe": EQUATIONS, "events": EQUATIONS, "reset": EQUATIONS,
    }  # fmt: skip
    _main: ClassVar[str] = "rhs"

    def _check_names(self) -> None:
        super()._check_names()
        if self.noise_step is not None and not 0 < self.noise_step < float("inf"):
            raise DeclarationError(
                f"{self.name}.noise_step: got {self.noise_step!r}; expected a positive number of {self.time_unit}"
            )

    def rhs(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return the derivative of each state, per time unit."""
        raise DeclarationError(f"{self.name}: got no rhs; expected def rhs(self, t, x, u, p) returning derivatives")

    def events(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return for each event the expression whose zero is the event; a model without events needs none."""
        return {}

    def reset(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, dict[str, Any]]:
        """Return for events that change states the new values of those states; by default none."""
        return {}


class Map(Dynamic):
    """A model that moves in steps of equal length: the next state is a function of the present one.

    A subclass names its quantities in its body, and gives `step(self, t, x, u, p)`: a dict from each state's name to
    its value one step later, where `t`, `x` and `u` are those at the beginning of the step. `observe` and `start` are
    those of `Ode`. States hold their values between steps; an impulse acts at the first step not before it.

    Attributes
    ----------
    time_unit
        Unit of `t` and of numeric `time` coordinates.
    dt
        Length of a step in the time unit; the first step begins when the clock starts.
    """

    dt: ClassVar[float] = 1.0
    _methods: ClassVar = {"start": ("p",), "step": EQUATIONS, "observe": EQUATIONS}
    _main: ClassVar[str] = "step"

    def step(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return the value of each state one step later."""
        raise DeclarationError(f"{self.name}: got no step; expected def step(self, t, x, u, p) returning states")

    def _check_names(self) -> None:
        super()._check_names()
        if not isinstance(self.dt, int | float) or not 0 < self.dt < float("inf"):
            raise DeclarationError(f"{self.name}.dt: got {self.dt!r}; expected a positive number of {self.time_unit}")
