"""How the parts of a composed model feed each other: which output needs which input, in what order, and loops."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any

from numpy.lib.mixins import NDArrayOperatorsMixin

from workbench.base import units
from workbench.base.errors import DeclarationError
from workbench.declare.names import Context, Names
from workbench.declare.ode import Ode
from workbench.declare.probe import Symbol

Port = tuple[str, str]  # a part and the name of one of its quantities
At = tuple[Any, Any, Any, Any]  # t, x, u and p


@dataclass(frozen=True)
class Feed:
    """An output that feeds an input: value * scale + shift is the output in the unit of the input."""

    port: Port
    scale: float
    shift: float


@dataclass(frozen=True)
class Wiring:
    """Parts, and what feeds their inputs.

    Attributes
    ----------
    name, time_unit
        Those of the composed model.
    parts
        The models by the names of the parts.
    names
        The name in the composed model of each quantity that it keeps.
    feeds
        For each input that is fed, the outputs that add up to it.
    """

    name: str
    time_unit: str
    parts: Mapping[str, Ode]
    names: Mapping[Port, str]
    feeds: Mapping[Port, tuple[Feed, ...]]
    through: Mapping[Port, frozenset[str]] = field(init=False)  # for each output the inputs that it depends on directly
    plan: tuple[str, ...] = field(init=False)  # whose `observe` to run, in order, until all feeding outputs are known

    def __post_init__(self) -> None:
        through = {(k, o): reads for k, part in self.parts.items() for o, reads in feedthrough(part).items()}
        object.__setattr__(self, "through", through)
        object.__setattr__(self, "plan", tuple(self._order()))

    def _order(self) -> Iterable[str]:
        feeding = {feed.port: None for feeds in self.feeds.values() for feed in feeds}
        known = set[Port]()
        while unknown := [port for port in feeding if port not in known]:
            for part in self.parts:
                new = set(self.computable(part, known))
                if new.intersection(unknown):
                    known |= new
                    yield part
                    break
            else:
                raise DeclarationError(self._loop(unknown[0], known))

    def computable(self, part: str, known: Iterable[Port]) -> list[Port]:
        """Return the outputs of a part that need no input which is not known yet."""
        outputs = [(part, name) for name in self.parts[part].outputs]
        return [port for port in outputs if all(self._ready((part, name), known) for name in self.through[port])]

    def _ready(self, inlet: Port, known: Iterable[Port]) -> bool:
        return all(feed.port in known for feed in self.feeds.get(inlet, ()))

    def _loop(self, port: Port, known: Iterable[Port]) -> str:
        """Follow outputs that wait for each other back to where they close a circle, and compose the sentence."""
        path: list[Port] = []
        while port not in path:
            inlet = next((port[0], name) for name in self.through[port] if not self._ready((port[0], name), known))
            path += [port, inlet]
            port = next(feed.port for feed in self.feeds[inlet] if feed.port not in known)
        circle = [*path[path.index(port) :], port]
        shown = " -> ".join(".".join(stop) for stop in reversed(circle))
        return (
            f"{self.name}: got an algebraic loop, {shown}: each of these outputs depends on its input at the same "
            "instant; expected a state somewhere in the circle (such as the lag of a sensor or an actuator), or the "
            "parts of the circle joined into one model with their equations solved by hand"
        )

    def signals(self, at: At) -> dict[Port, Any]:
        """Return the values of the outputs that feed inputs, and of others that come with them.

        `at` holds t, x, u and p of the composed model.
        """
        known: dict[Port, Any] = {}
        for part in self.plan:
            ready = self.computable(part, known)
            made = self.parts[part].observe(*self.arguments(part, "observe", at, known))
            known |= {port: made[port[1]] for port in ready if port not in known}
        return known

    def arguments(self, part: str, method: str, at: At, known: Mapping[Port, Any]) -> tuple[Any, Names, Names, Names]:
        """Return t, x, u and p as a part's own equations see them; inputs that are not known yet are no numbers."""
        model, (t, x, u, p) = self.parts[part], at

        def value(name: str, unit: str) -> Any:
            inlet = part, name
            if inlet not in self.feeds:
                return getattr(u, self.names[inlet])
            if self._ready(inlet, known):
                return reduce(add, (moved(known[f.port], f.scale, unit, f.shift) for f in self.feeds[inlet]))
            return Symbol(units.parse(unit), ".".join(inlet), t.context) if isinstance(t, Symbol) else math.nan

        inputs = {name: value(name, q.unit) for name, q in model.inputs.items() if q.kind != "impulse"}
        clock = moved(t, units.factor(self.time_unit, model.time_unit), model.time_unit)
        states = self._own(part, method, "state", x)
        return clock, states, self._names(part, method, "input", inputs), self.parameters(part, method, p)

    def parameters(self, part: str, method: str, p: Any) -> Names:
        """Return the parameters as a part's own equations see them."""
        return self._own(part, method, "parameter", p)

    def _own(self, part: str, method: str, kind: str, values: Any) -> Names:
        declared = self.parts[part].states if kind == "state" else self.parts[part].parameters
        return self._names(part, method, kind, {name: getattr(values, self.names[part, name]) for name in declared})

    def _names(self, part: str, method: str, kind: str, values: dict[str, Any]) -> Names:
        return Names(kind, values, Context(f"{self.name}.{method}, part {part!r}", set()))


def moved(value: Any, scale: float, unit: Any, shift: float = 0.0) -> Any:
    """Return `value * scale + shift`; a symbol of the dry run takes the unit (text or pint's) that this leads to."""
    if (scale, shift) == (1.0, 0.0):
        return value
    if isinstance(value, Symbol):
        return Symbol(units.parse(unit) if isinstance(unit, str) else unit, value.text, value.context, value.extent)
    return value * scale + shift if shift else value * scale


class _Trail(NDArrayOperatorsMixin):
    """A symbol that remembers which inputs it came from."""

    def __init__(self, inputs: frozenset[str] = frozenset()):
        self.inputs = inputs

    def __array_ufunc__(self, function: Any, method: str, *arguments: Any, **_: Any) -> "_Trail":
        return _Trail(frozenset().union(*map(_inputs, arguments)))

    def __array_function__(self, function: Any, _: Any, arguments: Any, __: Any) -> "_Trail":
        return _Trail(_inputs(arguments))

    def __getitem__(self, index: Any) -> "_Trail":
        return self

    __iter__ = None  # its length is not known

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("a trail is no array")


def _inputs(value: Any) -> frozenset[str]:
    if isinstance(value, list | tuple):
        return frozenset[str]().union(*map(_inputs, value))
    return value.inputs if isinstance(value, _Trail) else frozenset()


def feedthrough(part: Ode) -> dict[str, frozenset[str]]:
    """Return for each output of a model the continuous inputs that it depends on at the same instant."""
    continuous = [name for name, quantity in part.inputs.items() if quantity.kind != "impulse"]
    if not continuous:
        return dict.fromkeys(part.outputs, frozenset())
    context = Context(f"{part.name}.observe", set())
    x = Names("state", {name: _Trail() for name in part.states}, context)
    u = Names("input", {name: _Trail(frozenset({name})) for name in continuous}, context)
    p = Names("parameter", {name: _Trail() for name in part.parameters}, context)
    try:
        return {name: _inputs(value) for name, value in part.observe(_Trail(), x, u, p).items()}
    except (TypeError, AttributeError, NotImplementedError):  # equations that call PyTensor, or index vectors
        from pytensor.graph.traversal import ancestors

        from workbench.declare.trace import trace

        made = trace(part)
        symbols = dict(zip(made.inputs, continuous, strict=True))
        above = {o: ancestors([e]) for o, e in zip(part.outputs, made.equations["observe"], strict=True)}
        return {o: frozenset(symbols[v] for v in variables if v in symbols) for o, variables in above.items()}
