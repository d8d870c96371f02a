"""What `x`, `u` and `p` are while a model's equations run: attributes, with errors that name the nearest one."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NoReturn

from workbench.base.errors import DeclarationError, unknown


@dataclass(frozen=True)
class Context:
    """Which equations run ("Room.rhs"), for the errors, and which names they have read."""

    where: str
    read: set[str]

    def refuse(self, got: str, expected: str) -> NoReturn:
        """Raise the error for this place."""
        raise DeclarationError(f"{self.where}: got {got}; expected {expected}")


class Names:
    """The states, inputs or parameters that equations may read, as attributes."""

    def __init__(self, kind: str, values: dict[str, Any], context: Context):
        object.__setattr__(self, "_parts", (kind, values, context))

    def __getattr__(self, name: str) -> Any:
        kind, values, context = object.__getattribute__(self, "_parts")
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in values:
            raise DeclarationError(unknown(kind, name, values, context.where))
        context.read.add(name)
        return values[name]

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        kind, _, context = object.__getattribute__(self, "_parts")
        context.refuse(f"an assignment to {kind} {name!r}", "a value returned in the dict")

    def __dir__(self) -> Iterable[str]:
        return object.__getattribute__(self, "_parts")[1]
