"""`Model`: what every kind of model shares; declared once, as a class, and checked when it is born."""

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, dataclass_transform

import numpy as np
from numpy.typing import NDArray

from workbench.base import units
from workbench.base.errors import DeclarationError, UnitError, unknown
from workbench.declare import implied
from workbench.declare.dims import RESERVED, elements, labels_of
from workbench.declare.layout import Layout
from workbench.declare.quantity import Event, Input, Output, Parameter, Quantity, State
from workbench.declare.show import docstring, html_view


class _Body(dict[str, Any]):
    """A class body that refuses a quantity's name used twice."""

    def __init__(self, name: str):
        super().__init__()
        self.model_name = name

    def __setitem__(self, key: str, value: Any) -> None:
        if key in self and (isinstance(value, Quantity) or isinstance(self[key], Quantity)):
            raise DeclarationError(f"{self.model_name}: got {key!r} declared twice; expected each name once")
        super().__setitem__(key, value)


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
class ModelType(type):
    """Makes a model class: collects its quantities, freezes its fields, and checks it as soon as it is whole."""

    @classmethod
    def __prepare__(cls, name: str, bases: tuple[type, ...], /, **_: Any) -> _Body:
        return _Body(name)

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any], **_: Any) -> "ModelType":
        """Make the class; DeclarationError for the first mistake in it."""
        made: Any = super().__new__(cls, name, bases, dict(body))
        inherited = {
            k: v for base in reversed(made.__mro__[1:]) for k, v in vars(base).items() if isinstance(v, Quantity)
        }
        own = {k: v for k, v in body.items() if isinstance(v, Quantity)}
        made._quantities = {**inherited, **own}
        if bases:
            made.__doc__ = docstring(made, body.get("__doc__"))
        made = dataclasses.dataclass(frozen=True, repr=False)(made)  # type: ignore[arg-type, assignment]
        required = [f for f in dataclasses.fields(made) if f.default is f.default_factory is dataclasses.MISSING]
        mains = made._main.split()
        whole = any(m in vars(base) for base in made.__mro__ if "_main" not in vars(base) for m in mains)
        if whole and not required:
            made()
        return made

    @property
    def quantities(cls) -> Mapping[str, Quantity]:
        """Everything the class declares, in the order of its body."""
        return cls._quantities  # type: ignore[attr-defined]


class Model(metaclass=ModelType):
    """What every kind of model shares: quantities, settings, a time unit.

    Attributes
    ----------
    time_unit
        Unit of `t`, of every rate and of numeric `time` coordinates.
    rtol, atol
        Relative and absolute tolerance of the solver, the latter in each state's own unit.
    adjoint
        Whether gradients go back over the solver's steps (True) rather than forward with them (False); None leaves the
        choice to the number of estimated parameters.
    """

    time_unit: ClassVar[str]
    rtol: ClassVar[float] = 1e-6
    atol: ClassVar[float] = 1e-9
    adjoint: ClassVar[bool | None] = None
    _quantities: ClassVar[Mapping[str, Quantity]]
    _methods: ClassVar[Mapping[str, tuple[str, ...]]] = {}  # the equations of this kind, with their arguments
    _main: ClassVar[str] = ""  # the methods of which any makes a subclass whole
    _graphs: ClassVar[tuple[str, ...]] = ()  # the equations that need no scalar form
    _timeless: ClassVar[bool] = False  # whether times may be plain numbers of cases

    def coords(self) -> Mapping[str, Any]:
        """Return the labels of dims of vector quantities by name; those not returned are numbered from 0."""
        return {}

    def __post_init__(self) -> None:
        from workbench.declare.check import check

        self._check_names()
        check(self)

    def _check_names(self) -> None:
        cls = type(self)
        for name in cls.quantities:
            if name in RESERVED or name.startswith("_") or hasattr(Model, name) or name in cls._methods:
                raise DeclarationError(
                    f"{cls.__name__}: got a quantity named {name!r}; that name is taken, choose another"
                )
        if not isinstance(getattr(cls, "time_unit", None), str):
            raise DeclarationError(f"{cls.__name__}: got no time_unit; expected one such as time_unit = 'h'")
        try:
            units.factor(cls.time_unit, units.DIMENSIONLESS if cls._timeless and cls.time_unit == "1" else "s")
        except UnitError as error:
            raise DeclarationError(f"{cls.__name__}.time_unit: {error}") from None
        for name in ("rtol", "atol"):
            tolerance = getattr(cls, name)
            if not isinstance(tolerance, int | float) or not 0 < tolerance < 1:
                raise DeclarationError(f"{cls.__name__}.{name}: got {tolerance!r}; expected a number between 0 and 1")
        implied_by = (self.start_parameters, self.process_parameters, self.sensor_parameters, self.noise_parameters)
        results = [name for parameters in implied_by for name in parameters]
        for dim in self.labels:
            if dim in results:
                raise DeclarationError(f"{cls.__name__}: got dim {dim!r}, the name of a result; expected another name")
        results += [f"{event}_time" for event in self.thresholds]
        for name in results:
            if name in cls.quantities:
                raise DeclarationError(
                    f"{cls.__name__}: got a quantity named {name!r}, the name of a result that a start, a noise, a "
                    "sensor or an event implies; expected another name"
                )
        for quantity in self.inputs.values():
            if quantity.kind == "impulse":
                self._check_into(quantity)
        for state in self.states.values():
            for what, value in (("start", state.start), ("noise", state.noise)):
                if isinstance(value, str) and value not in self.parameters:
                    where = f"{cls.__name__}.{state.name}.{what}"
                    raise DeclarationError(unknown("parameter", value, self.parameters, where))

    def _check_into(self, quantity: Input) -> None:
        """Refuse an impulse into what is no state."""
        where = f"{self.name}.{quantity.name}"
        if quantity.into is None:
            raise DeclarationError(
                f"{where}: got kind='impulse' and into=None; expected into= naming a state for an impulse, and for an "
                "impulse only"
            )
        if quantity.into not in self.impulse_places:
            state = quantity.into.partition("[")[0]
            known = [name for name in self.impulse_places if name.startswith(f"{state}[")] or self.impulse_places
            raise DeclarationError(unknown("state", quantity.into, known, where))

    @property
    def name(self) -> str:
        """The class's name."""
        return type(self).__name__

    def _of(self, kind: type) -> dict[str, Any]:
        return {name: q for name, q in type(self).quantities.items() if isinstance(q, kind)}

    @cached_property
    def states(self) -> dict[str, State]:
        """The states by name."""
        return self._of(State)

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """The declared parameters by name."""
        return self._of(Parameter)

    @cached_property
    def inputs(self) -> dict[str, Input]:
        """The inputs by name."""
        return self._of(Input)

    @cached_property
    def outputs(self) -> dict[str, Output]:
        """The outputs by name."""
        return self._of(Output)

    @cached_property
    def thresholds(self) -> dict[str, Event]:
        """The events by name."""
        return self._of(Event)

    @cached_property
    def start_parameters(self) -> dict[str, Parameter]:
        """Starts that have priors of their own, as parameters named `<state>_start`."""
        return implied.starts(self)

    @cached_property
    def process_parameters(self) -> dict[str, Parameter]:
        """Process noises that have priors, as parameters named `<state>_noise`."""
        return implied.process_noises(self)

    @cached_property
    def sensor_parameters(self) -> dict[str, Parameter]:
        """Biases and drifts of outputs that have priors, as parameters named `<output>_bias` and `<output>_drift`."""
        return implied.sensor_errors(self)

    @cached_property
    def noise_parameters(self) -> dict[str, Parameter]:
        """Arguments of noise models that have priors, as parameters named `<output>_<argument>`."""
        return implied.noise_arguments(self)

    @cached_property
    def theta(self) -> dict[str, Parameter]:
        """What solutions depend on: declared parameters, then starts, process noises and biases with priors."""
        return {**self.parameters, **self.start_parameters, **self.process_parameters, **self.sensor_parameters}

    @cached_property
    def labels(self) -> dict[str, NDArray[Any]]:
        """The labels of each dim of vector quantities."""
        return labels_of(self)

    def shape(self, quantity: Quantity) -> tuple[int, ...]:
        """Return the shape of a quantity's values."""
        return tuple(self.labels[dim].size for dim in quantity.dims)

    def _layout(self, quantities: Mapping[str, Quantity]) -> Layout:
        return Layout({name: self.shape(quantity) for name, quantity in quantities.items()})

    @cached_property
    def state_layout(self) -> Layout:
        """Where the states lie in a kernel's vector of states."""
        return self._layout(self.states)

    @cached_property
    def impulse_places(self) -> dict[str, int]:
        """What an impulse may go into, a state or an element of a vector such as "x[0]", and its place."""
        shaped, scalars = elements(self, self.states), {n: (n, ()) for n, s in self.states.items() if not s.dims}
        layout = self.state_layout
        return {
            name: layout.places[state].start + int(np.ravel_multi_index(place, layout.shapes[state]) if place else 0)
            for name, (state, place) in {**scalars, **shaped}.items()
        }

    @cached_property
    def theta_layout(self) -> Layout:
        """Where the parameters lie in a kernel's vector of parameters."""
        return self._layout(self.theta)

    @cached_property
    def output_layout(self) -> Layout:
        """Where the outputs lie in a kernel's vector of outputs."""
        return self._layout(self.outputs)

    @cached_property
    def estimated(self) -> tuple[str, ...]:
        """Names in `theta` that have a prior: the columns of the sensitivities."""
        return tuple(name for name, q in self.theta.items() if q.prior is not None)

    def __repr__(self) -> str:
        settings = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in dataclasses.fields(self))  # type: ignore[arg-type]
        return f"{self.name}({settings})"

    def _repr_html_(self) -> str:
        return html_view(self)


def as_model(model: Any) -> Model:
    """Return `model`, made from its class where a class was given; DeclarationError for anything else."""
    if isinstance(model, type) and issubclass(model, Model):
        return model()
    if isinstance(model, Model):
        return model
    raise DeclarationError(f"got {model!r}; expected a model, such as an instance of a subclass of wb.Ode")
