"""`wb.compose`: models joined through named ports, an output feeding an input, into a model like any other."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

from workbench.base import units
from workbench.base.errors import DeclarationError
from workbench.declare.model import ModelType
from workbench.declare.ode import Ode
from workbench.declare.ports import read_feeds, read_names, read_pairs, read_parts
from workbench.declare.quantity import Output, Quantity, State
from workbench.declare.sensor import of_time
from workbench.declare.wiring import At, Port, Wiring, moved

_REFERENCES = ("start", "noise", "into")  # arguments of quantities that may be names of other quantities


def compose(
    name: str,
    parts: Mapping[str, Any],
    connect: Mapping[str, Any] | Iterable[tuple[str, Any]] = (),
    *,
    share: Mapping[str, Iterable[str]] | None = None,
    time_unit: str | None = None,
) -> Ode:
    """Join models through named ports, an output feeding an input, into one model.

    The composed model has the states, parameters, outputs, events and remaining inputs of its parts, each named
    `<part>_<name>`, as are the dims of vectors; settings of the parts keep their values. It is simulated, calibrated
    and composed again like any other model, and equals the system joined by hand. An event that ends the life of a part
    ends the model's.

    The model's class is made here and has no home in a module: it is pickled as its parts and what joins them, and
    composed again where it is read. It can be saved unless a part's equations call PyTensor themselves.

    Parameters
    ----------
    name
        Name of the model.
    parts
        Models (classes or instances) by the names of the parts, which are identifiers.
    connect
        Mapping (or pairs, as `dict` takes them) from an input, "<part>.<input>", to the output that feeds it,
        "<part>.<output>", or to a list of outputs that add up. An output may feed many inputs; it is converted from its
        unit to that of the input, offsets of temperature respected. Impulses cannot be fed.
    share
        Mapping from a name to ports ("<part>.<name>") of parameters, or of inputs, that are one and the same:
        {"T_env": ["boiler.T_env", "wall.T_env"]}. They must be declared alike.
    time_unit
        Time unit of the composed model, by default that of the first part. Rates of parts in other time units are
        converted.

    Returns
    -------
    Ode
        An instance of a new class.

    Raises
    ------
    DeclarationError
        If a part is no `wb.Ode`, a port is not known, an input is fed twice, names clash, shared quantities differ, or
        outputs depend on each other at the same instant (an algebraic loop, whose ports are listed).
    UnitError
        If an output cannot be converted to the unit of its input.

    Examples
    --------
    >>> wb.compose("House", {"room": Room, "heater": Heater}, {"room.Q": "heater.Q", "heater.T": "room.T_meas"})
    """
    models, pairs = read_parts(name, parts), read_pairs(name, connect)
    unit = next(iter(models.values())).time_unit if time_unit is None else time_unit
    feeds = read_feeds(name, models, pairs)
    wiring = Wiring(name, unit, models, read_names(name, models, feeds, share or {}), feeds)
    return _class(wiring, (name, models, pairs, dict(share or {}), unit))()  # type: ignore[no-any-return]


def _class(wiring: Wiring, recipe: tuple[Any, ...]) -> ModelType:
    """Return the class of a composed model; `recipe` is what `compose` was given."""
    first = {name: port for port, name in reversed(list(wiring.names.items()))}  # which declares what is shared
    body: dict[str, Any] = {
        **{name: _carried(wiring, first[name]) for name in wiring.names.values()},
        "__doc__": _words(wiring),
        "__module__": __name__,
        "time_unit": wiring.time_unit,
        "rtol": min(model.rtol for model in wiring.parts.values()),
        "atol": min(model.atol for model in wiring.parts.values()),
        "_recipe": recipe,
        "_wiring": wiring,
    }
    return ModelType(wiring.name, (_Joined, Ode), body)


class _Joined:
    """The equations of a composed model: those of its parts, each on its own quantities."""

    _wiring: ClassVar[Wiring]
    _recipe: ClassVar[tuple[Any, ...]]

    def rhs(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return the derivatives of all parts, per time unit of the composed model."""
        wiring, time = self._wiring, units.parse(self._wiring.time_unit)
        made = {}
        for part, model, rates in self._run("rhs", (t, x, u, p)):
            scale = units.factor(wiring.time_unit, model.time_unit)
            for state, rate in rates.items():
                unit = units.parse(model.states[state].unit) / time
                made[wiring.names[part, state]] = moved(rate, scale, unit)
        return made

    def coords(self) -> dict[str, Any]:
        """Return the labels of the dims of all parts, each named as its part and the dim."""
        used = {dim for quantity in type(self).quantities.values() for dim in quantity.dims}  # type: ignore[attr-defined]
        parts = self._wiring.parts.items()
        named = {f"{part}_{dim}": labels for part, model in parts for dim, labels in model.labels.items()}
        return {dim: labels for dim, labels in named.items() if dim in used}

    def observe(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return the outputs of all parts."""
        return self._renamed("observe", (t, x, u, p))

    def start(self, p: Any) -> dict[str, Any]:
        """Return the starts of all parts that are expressions of parameters."""
        wiring = self._wiring
        starts = {part: model.start(wiring.parameters(part, "start", p)) for part, model in wiring.parts.items()}
        return {wiring.names[part, state]: value for part, made in starts.items() for state, value in made.items()}

    def events(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return the events of all parts."""
        return self._renamed("events", (t, x, u, p))

    def reset(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, dict[str, Any]]:
        """Return what the events of each part change in it."""
        names = self._wiring.names
        return {
            names[part, event]: {names[part, state]: value for state, value in states.items()}
            for part, _, resets in self._run("reset", (t, x, u, p))
            for event, states in resets.items()
        }

    def _renamed(self, method: str, at: At) -> dict[str, Any]:
        names = self._wiring.names
        return {names[part, k]: value for part, _, made in self._run(method, at) for k, value in made.items()}

    def _run(self, method: str, at: At) -> Iterator[tuple[str, Ode, Mapping[str, Any]]]:
        """Yield each part's name, its model, and what its method gives."""
        wiring = self._wiring
        known = wiring.signals(at)
        for part, model in wiring.parts.items():
            yield part, model, getattr(model, method)(*wiring.arguments(part, method, at, known))

    def __repr__(self) -> str:
        inside = ", ".join(f"{part}={model!r}" for part, model in self._wiring.parts.items())
        return f"{self._wiring.name}({inside})"

    def __reduce__(self) -> Any:
        name, parts, connect, share, time_unit = self._recipe
        return partial(compose, share=share, time_unit=time_unit), (name, parts, connect)


for _method in Ode._methods:  # these have no text of their own that would say what a composed model means
    getattr(_Joined, _method).__module__ = Ode.__module__


def _carried(wiring: Wiring, port: Port) -> Quantity:
    """Return a quantity of a part as the composed model declares it."""
    part, local = port
    model = wiring.parts[part]
    quantity = type(model).quantities[local]
    references = {k: v for k in _REFERENCES if isinstance(v := getattr(quantity, k, None), str)}
    changes: dict[str, Any] = {}
    for k, v in references.items():
        state, bracket, element = v.partition("[")  # an impulse may go into an element of a vector
        changes[k] = wiring.names[part, state] + bracket + element
    if quantity.dims:
        changes["dims"] = tuple(f"{part}_{dim}" for dim in quantity.dims)
    if isinstance(quantity, State):
        tolerances = {k: getattr(quantity, k) or getattr(model, k) for k in ("rtol", "atol")}
        least = {k: min(getattr(one, k) for one in wiring.parts.values()) for k in tolerances}
        changes |= {k: v for k, v in tolerances.items() if v != least[k]}
        scale = units.factor(wiring.time_unit, model.time_unit)
        if quantity.noise is not None and scale != 1.0:
            if not isinstance(quantity.noise, int | float):
                raise DeclarationError(
                    f"{wiring.name}: got process noise {quantity.noise!r} of {part}.{local} per root "
                    f"{model.time_unit!r} in a model of time unit {wiring.time_unit!r}; expected a number, or parts of "
                    "one time unit"
                )
            changes["noise"] = quantity.noise * scale**0.5
    if isinstance(quantity, Output):
        scale = units.factor(wiring.time_unit, model.time_unit)
        changes |= of_time(quantity, scale, f"{wiring.name}: {part}.{local}") if scale != 1.0 else {}
    return replace(quantity, **changes)


def _words(wiring: Wiring) -> str:
    joined = ", ".join(f"{part} ({model.name})" for part, model in wiring.parts.items())
    lines = [
        f"- {'.'.join(inlet)} is {' + '.join('.'.join(feed.port) for feed in outlets)}"
        for inlet, outlets in wiring.feeds.items()
    ]
    return "\n".join([f"{wiring.name}, composed of {joined}.", *([""] if lines else []), *lines])
