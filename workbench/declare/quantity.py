"""The nouns of a declaration: states, parameters, inputs and outputs, each with its unit."""

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from workbench.base import units
from workbench.base.errors import DeclarationError, UnitError, unknown
from workbench.declare.noise import Noise
from workbench.declare.prior import Prior
from workbench.declare.sensor import check_sensor
from workbench.declare.values import Bounds, check_dims, check_value, kept

InputKind = Literal["linear", "previous", "impulse"]
KINDS = ("linear", "previous", "impulse")
Direction = Literal["rising", "falling", "both"]
DIRECTIONS = ("rising", "falling", "both")


@dataclass(frozen=True)
class Quantity:
    """Anything declared: a unit as pint writes it ("1" for a pure number), and a name taken from the class body.

    States, parameters and outputs may be vectors: `dims` names their axes, such as ("cell",). The size of a dim comes
    from the labels that the model's `coords()` gives, from a setting named as the dim or its plural (`cells: int = 20`,
    also `n_cells`), or from an array given as start or value.
    """

    unit: str
    name: str = field(default="", init=False, compare=False)
    dims: tuple[str, ...] = field(default=(), kw_only=True)
    _array: ClassVar[str] = ""  # the argument that may be an array

    def __post_init__(self) -> None:
        if isinstance(self.unit, Prior):
            raise DeclarationError(f"got {self.unit!r} as a unit; expected the unit first, then prior=...")
        dims = (self.dims,) if isinstance(self.dims, str) else self.dims
        object.__setattr__(self, "dims", tuple(dims) if isinstance(dims, list) else dims)
        if self._array:
            object.__setattr__(self, self._array, kept(self.array))

    @property
    def array(self) -> Any:
        """The start of a state, the value of a parameter; None for others."""
        return getattr(self, self._array) if self._array else None

    def __set_name__(self, owner: type, name: str) -> None:
        if self.name not in ("", name):
            raise DeclarationError(
                f"{owner.__name__}: got one quantity for both {self.name!r} and {name!r}; declare two"
            )
        object.__setattr__(self, "name", name)
        try:
            units.parse(self.unit)
        except UnitError as error:
            raise DeclarationError(f"{owner.__name__}.{name}: {error}") from None
        check_dims(self.array, self.dims, where=f"{owner.__name__}.{name}", what=self._array)
        self.check(f"{owner.__name__}.{name}")

    def check(self, where: str) -> None:
        """Refuse what cannot be right about this quantity by itself; `where` names it in the error."""


@dataclass(frozen=True)
class State(Quantity):
    """What the model integrates.

    Parameters
    ----------
    unit
        Unit of the state; its derivative is in this unit per the model's time unit.
    start
        Value when the clock starts: a number, an array over the dims, a parameter's name, or a prior (its posterior is
        named `<state>_start`; elements of a vector are independent). A model's `start(self, p)` overrides it for the
        states it returns.
    bounds
        Lower and upper end of values that make sense (None: no end); starts are checked against them.
    long_name
        Words for tables and axes.
    noise
        Process noise: the state's random walk, in its unit per root time unit (of a `Map`: in its unit, a step). A
        number, a parameter's name, or a prior (its posterior is named `<state>_noise`).
    rtol, atol
        Tolerances of the solver for this state, in place of the model's.
    dims
        Names of the axes of a vector.
    """

    _array: ClassVar[str] = "start"

    start: Any = None
    bounds: Bounds = (None, None)
    long_name: str = ""
    noise: float | str | Prior | None = None
    rtol: float | None = None
    atol: float | None = None

    def check(self, where: str) -> None:
        """Refuse a start outside the bounds, a noise below zero, and tolerances that are none."""
        check_value(None if isinstance(self.start, str) else self.start, self.bounds, where=where, what="start")
        check_value(None if isinstance(self.noise, str) else self.noise, (0, None), where=where, what="noise")
        for what, value in (("rtol", self.rtol), ("atol", self.atol)):
            if value is not None and not (isinstance(value, int | float) and 0 < value < math.inf):
                raise DeclarationError(f"{where}: got {what}={value!r}; expected a positive number")


@dataclass(frozen=True)
class Parameter(Quantity):
    """A property of the asset: estimated when it has a prior, a known constant when it has a value alone.

    Parameters
    ----------
    unit
        Unit of the parameter, of its prior and of its value.
    prior
        What is believed before the data; of each element of a vector, independently.
    value
        The constant, a number or an array over the dims; beside a prior, what `simulate` takes when nothing is given
        (else the prior's median).
    bounds
        Lower and upper end of values that make sense (None: no end); prior and value are checked against them.
    long_name
        Words for tables and axes.
    dims
        Names of the axes of a vector.
    """

    _array: ClassVar[str] = "value"

    prior: Prior | None = None
    value: Any = None
    bounds: Bounds = (None, None)
    long_name: str = ""

    def check(self, where: str) -> None:
        """Refuse a parameter with neither prior nor value, or with one outside the bounds."""
        if self.prior is None and self.value is None:
            raise DeclarationError(f"{where}: got neither prior nor value; expected prior=wb.prior... or value=number")
        if self.prior is not None and not isinstance(self.prior, Prior):
            raise DeclarationError(
                f"{where}: got prior={self.prior!r}; expected one such as wb.prior.Normal(mu=0, sigma=1)"
            )
        check_value(self.prior, self.bounds, where=where, what="prior")
        check_value(self.value, self.bounds, where=where, what="value")
        if self.prior is not None and self.value is not None:
            low, high = self.prior.support
            for value in np.ravel(self.value):
                if not low <= value <= high:
                    raise DeclarationError(f"{where}: got value {value:g}; expected one that {self.prior!r} allows")

    def nominal(self) -> Any:
        """Return the declared value, a number or an array, or the prior's median."""
        if self.value is not None:
            return np.asarray(self.value, dtype=np.float64) if isinstance(self.value, tuple) else float(self.value)
        assert self.prior is not None
        return self.prior.quantile(0.5)


@dataclass(frozen=True)
class Input(Quantity):
    """What acts on the asset from outside, as a series over its own time.

    Parameters
    ----------
    unit
        Unit of the values; for an impulse the unit of the amounts, which is that of the state it goes into.
    kind
        "linear": straight between samples; "previous": each value holds until the next; "impulse": amounts added to a
        state at their times.
    into
        Name of the state to which an impulse adds, or of an element of a vector, such as "depot[0]".
    long_name
        Words for tables and axes.
    """

    kind: InputKind = "linear"
    into: str | None = None
    long_name: str = ""

    def check(self, where: str) -> None:
        """Refuse an unknown kind, what goes into a state without being an impulse, and a vector."""
        _refuse_vector(self, where)
        if self.kind not in KINDS:
            raise DeclarationError(unknown("kind", str(self.kind), KINDS, where))
        if self.into is not None and self.kind != "impulse":
            raise DeclarationError(
                f"{where}: got kind={self.kind!r} and into={self.into!r}; expected into= naming a state for an "
                "impulse, and for an impulse only"
            )


@dataclass(frozen=True)
class Output(Quantity):
    """What a sensor reads: a function of states, inputs and parameters, returned by `observe`.

    Parameters
    ----------
    unit
        Unit of the readings.
    noise
        How the sensor errs; None for an output that is computed but never measured. Elements of a vector share it.
    limits
        Lower and upper limit of quantification (None: no limit). A reading at or beyond a limit says only that: its
        density is the probability of being there (method M3 of Beal S L, J. Pharmacokinet. Pharmacodyn. 28 (2001)
        481-504). Predicted readings are reported at the limit likewise.
    increment
        True: a reading is the increase of what `observe` returns since the reading before it of its unit (cases a week,
        energy an hour). Times at which this output is NaN are passed over, so weekly counts may stand in a table of
        daily values; but where nothing else is measured, a row of NaN is where counting begins anew (a count that was
        lost). Counting begins with the first row of a unit, which must hold NaN. Simulations count from each of their
        times to the next; the first is zero. Forecasts go on counting from the last reading before their first time.
    bias, drift
        What the sensor adds to what `observe` returns: a constant in the output's unit, and a slope per time unit that
        is zero at time 0 of the clock; each a number, or a prior (its posterior is named `<output>_bias`,
        `<output>_drift`; elements of a vector have their own). Every output of a simulation or a forecast has them in
        it, as it is what the sensor reads.
    long_name
        Words for tables and axes.
    dims
        Names of the axes of a vector.
    """

    noise: Noise | None = None
    long_name: str = ""
    limits: Bounds = field(default=(None, None), kw_only=True)
    increment: bool = field(default=False, kw_only=True)
    bias: float | Prior = field(default=0.0, kw_only=True)
    drift: float | Prior = field(default=0.0, kw_only=True)

    def check(self, where: str) -> None:
        """Refuse a noise that is not one of `wb.noise`, and limits, bias or drift that cannot be."""
        check_sensor(self, where)


@dataclass(frozen=True)
class Event(Quantity):
    """Something that happens when an expression, returned by `events`, crosses zero.

    What it changes, `reset` says; without a reset it is only noted. The times at which it happened come with the
    solution.

    Parameters
    ----------
    unit
        Unit of the expression.
    direction
        Which crossings count: "rising" (from below zero to above), "falling", or "both".
    ends
        True: the asset's life ends with it; there are no values after it.
    long_name
        Words for tables and axes.
    """

    direction: Direction = "both"
    ends: bool = False
    long_name: str = ""

    def check(self, where: str) -> None:
        """Refuse an unknown direction, and a vector."""
        _refuse_vector(self, where)
        if self.direction not in DIRECTIONS:
            raise DeclarationError(unknown("direction", str(self.direction), DIRECTIONS, where))
        if not isinstance(self.ends, bool):
            raise DeclarationError(f"{where}: got ends={self.ends!r}; expected True or False")


def _refuse_vector(quantity: Quantity, where: str) -> None:
    if quantity.dims:
        kind = type(quantity).__name__
        raise DeclarationError(f"{where}: got dims={quantity.dims!r} of a wb.{kind}; expected none: it is a scalar")
