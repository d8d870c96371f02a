"""The models that come with the package, found where domains declare them; nothing here names one."""

import importlib
import pkgutil
from functools import cache
from types import ModuleType
from typing import Any

from workbench.base.errors import DeclarationError, unknown
from workbench.declare.model import Model
from workbench.declare.written.declaration import written

DOMAINS = "workbench.domains"


@cache
def catalogue() -> dict[str, dict[str, Any]]:
    """Return every model of a domain that can be written, by a name such as "patients: OneCompartmentOral"."""
    found: dict[str, dict[str, Any]] = {}
    for module in _modules(importlib.import_module(DOMAINS)):
        field = module.__name__.removeprefix(f"{DOMAINS}.").partition(".")[0]
        for name, one in vars(module).items():
            if (
                isinstance(one, type)
                and issubclass(one, Model)
                and one.__module__ == module.__name__
                and name[0] != "_"
            ):
                try:
                    found[f"{field}: {name}"] = written(one())
                except (DeclarationError, TypeError):  # vectors, other kinds, settings without a default
                    continue
    return dict(sorted(found.items()))


def _modules(package: ModuleType) -> list[ModuleType]:
    names = [one.name for one in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    return [importlib.import_module(name) for name in names]


def chosen(name: str) -> dict[str, Any]:
    """Return the model of that name; DeclarationError where there is none."""
    known = catalogue()
    if name not in known:
        raise DeclarationError(unknown("model", name, known))
    return known[name]
