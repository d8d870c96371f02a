"""Write environment.yml (conda-forge) from pyproject.toml: Python, the dependencies and the extras, nothing else."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RENAMED = {"jupyter-client": "jupyter_client"}  # the few names that conda-forge spells otherwise
BY_PIP = ("domains",)  # extras whose packages conda-forge has under no sure name


def environment() -> str:
    """Return the text that environment.yml must have."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {name: lines for name, lines in project["optional-dependencies"].items() if name not in ("all", *BY_PIP)}
    extras = [line for lines in groups.values() for line in lines]
    wanted = [f"python{project['requires-python']}", *sorted(project["dependencies"] + extras), "pip"]
    # Conda knows neither extras nor markers: none may slip in unnoticed.
    for line in wanted:
        if not re.fullmatch(r"[a-z0-9-]+([<>=!~]=?[0-9.]+(,|$))*", line):
            raise SystemExit(f"got {line!r} in pyproject.toml; expected a name and plain version bounds")
    lines = ["# Written by `make environment` from pyproject.toml; do not edit.", f"name: {project['name']}"]
    lines += ["channels:", "  - conda-forge", "  - nodefaults", "dependencies:"]
    lines += [f'  - "{re.sub("^[a-z0-9-]+", lambda name: RENAMED.get(name[0], name[0]), line)}"' for line in wanted]
    return "\n".join([*lines, "  - pip:", f"      - --editable .[{','.join(BY_PIP)}]", ""])


if __name__ == "__main__":
    (ROOT / "environment.yml").write_text(environment(), encoding="utf-8")
