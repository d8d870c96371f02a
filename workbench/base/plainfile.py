"""YAML and JSON files as plain data: nothing in them is executed."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.base.errors import ParameterError

_NUMBER = re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")
_FLOATS = ("tag:yaml.org,2002:float", _NUMBER, list("-+.0123456789"))


def read_plain(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML or JSON file, numbers such as 1e-3 read as YAML 1.2 has them.

    Raises
    ------
    ParameterError
        If it cannot be read, or holds something else.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        """YAML's safe loader, for which 1e-3 is a number."""

    Loader.add_implicit_resolver(*_FLOATS)
    try:
        given = yaml.load(path.read_text(encoding="utf-8"), Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ParameterError(f"got {str(path)!r}, which cannot be read ({reason}); expected YAML or JSON") from None
    if not isinstance(given, dict | None):
        raise ParameterError(f"got {type(given).__name__} in {str(path)!r}; expected `name: value` lines")
    return given or {}


def plain_text(plain: Mapping[str, Any]) -> str:
    """Return plain data as YAML that people read: long text in lines, what is short on one line."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """YAML's safe dumper, with a style for each shape."""

    def text(dumper: Any, value: str) -> Any:
        lines = value.split("\n")
        strange = not all(line.isprintable() for line in lines)  # PyYAML reads some of these as ends of lines
        block = len(lines) > 1 and all(line == line.rstrip() for line in lines)
        style = '"' if strange else "|" if block else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    def mapping(dumper: Any, value: dict[str, Any]) -> Any:
        flat = not any(isinstance(one, dict | list) and one and not _short(one) for one in value.values())
        return dumper.represent_mapping("tag:yaml.org,2002:map", value.items(), flow_style=flat and _short(value))

    def sequence(dumper: Any, value: list[Any]) -> Any:
        return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=True)

    Dumper.add_implicit_resolver(*_FLOATS)  # so that such a text is quoted
    Dumper.add_representer(str, text)
    Dumper.add_representer(dict, mapping)
    Dumper.add_representer(list, sequence)
    return str(yaml.dump(dict(plain), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=110))


def _short(value: Any) -> bool:
    return len(repr(value)) <= 90 and "\\n" not in repr(value)
