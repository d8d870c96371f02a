"""`Static`: models without a memory, whose outputs follow at each moment from inputs and parameters alone."""

from typing import Any, ClassVar

from workbench.base import units
from workbench.base.errors import DeclarationError
from workbench.declare.model import Model
from workbench.declare.ode import EQUATIONS
from workbench.declare.prior import Prior


class Static(Model):
    """A system of algebraic equations, declared once: formulas, implicit equations, or an eigenproblem.

    A subclass names its quantities in its body, and gives

    - `observe(self, t, x, u, p)`: a dict from each output's name to its value;
    - `residual(self, t, x, u, p)`, if it has states: a dict from each state's name to an expression that is zero at the
      solution. An expression may be in any unit, but must balance in itself;
    - `start(self, p)`, if guesses are expressions of parameters: a dict from states' names to their guesses.

    A state is an unknown; its `start` is the guess from which the search for it begins, and the search never leaves its
    `bounds`. Every row of the data, and every time of a simulation, is solved by itself from the guess, so a result
    does not depend on the rows beside it; only where that fails, the search begins at the solution of the row before.
    Where there are several solutions, the guess chooses.

    Outputs may be what scalar kernels cannot hold, such as `wb.math.eigenvalues(K, M)`: they are then evaluated as
    PyTensor graphs.

    Attributes
    ----------
    time_unit
        Unit of `t` and of numeric `time` coordinates; "1" (the default): times are the numbers of cases, and of
        datetimes the seconds since the first. Data may then leave the times out.
    rtol, atol
        The size from which on a state counts as large is atol / rtol, in its own unit; steps of the search are weighed
        by it. Solutions are found to rounding.
    """

    time_unit: ClassVar[str] = units.DIMENSIONLESS
    _timeless: ClassVar[bool] = True
    _methods: ClassVar = {"start": ("p",), "residual": EQUATIONS, "observe": EQUATIONS}
    _graphs: ClassVar = ("observe",)
    _main: ClassVar[str] = "residual observe"

    def start(self, p: Any) -> dict[str, Any]:
        """Return guesses that are expressions of parameters; by default none."""
        return {}

    def residual(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return for each state an expression that is zero at the solution; a model without states needs none."""
        if not self.states:
            return {}
        raise DeclarationError(
            f"{self.name}: got no residual; expected def residual(self, t, x, u, p) returning one for each state"
        )

    def observe(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return the value of each output; a model without outputs needs none."""
        return {}

    def _check_names(self) -> None:
        super()._check_names()
        if not self.states and not self.outputs:
            raise DeclarationError(f"{self.name}: got neither state nor output; expected at least one of them")
        for state in self.states.values():
            if isinstance(state.start, Prior):
                raise DeclarationError(
                    f"{self.name}.{state.name}.start: got {state.start!r}; expected a number or a parameter's name: "
                    "the start of a wb.Static is where the search begins, and nothing can be learnt about it"
                )
            if state.noise is not None:
                raise DeclarationError(
                    f"{self.name}.{state.name}.noise: got {state.noise!r}; expected none: a wb.Static has no memory "
                    "that process noise could act on (noise of sensors belongs to outputs)"
                )
        for quantity in self.inputs.values():
            if quantity.kind == "impulse":
                raise DeclarationError(
                    f"{self.name}.{quantity.name}: got kind='impulse'; expected 'linear' or 'previous': a wb.Static "
                    "has no memory that an impulse could change"
                )
        for name in self.thresholds:
            raise DeclarationError(
                f"{self.name}.{name}: got an event; expected none: nothing crosses a threshold without time flowing"
            )
