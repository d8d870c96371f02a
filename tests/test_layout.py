"""The rules of the house: imports run one way, heavy packages have a home, and rooms stay small."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ["base", "declare", "simulate", "sync", "calibrate", "forecast", "decide", "report", "recipe", "twin"]
RANK = {room: rank for rank, room in enumerate(ROOMS)} | dict.fromkeys(["domains", "widgets", "cli"], len(ROOMS))
HOMES = {
    "pymc": {"calibrate"},
    "nutpie": {"calibrate"},
    "pytensor": {"declare", "simulate", "calibrate"},
    "numba": {"simulate", "sync", "calibrate"},
    "matplotlib": {"report", "widgets"},
    "ipywidgets": {"widgets"},
    "anywidget": {"widgets"},
    "papermill": {"report"},
}
MODULES = sorted((ROOT / "workbench").rglob("*.py"))
SOURCES = [path for folder in ("workbench", "tests", "tools", "benchmarks") for path in (ROOT / folder).rglob("*.py")]


FIXED = {"calibrate", "sbc"}  # verbs whose many parameters are their contract with users


def room_of(path: Path) -> str:
    """Return the room of a module: its folder or, at the top, its own name."""
    return path.relative_to(ROOT / "workbench").parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Yield the full dotted name of all that a module imports, lazily or not."""
    package = path.relative_to(ROOT).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: -node.level], *filter(None, [node.module])] if node.level else [str(node.module)]
            yield from (".".join([*base, alias.name]) for alias in node.names)


def trespasses(path: Path) -> Iterator[str]:
    """Yield the imports that a module of this room may not have."""
    room = room_of(path)
    if room == "__init__":  # the door: it names every room, lazily
        return
    for name in imported(path):
        top, _, rest = name.partition(".")
        if top != "workbench":
            if room not in HOMES.get(top, {room}):
                yield f"{name} lives in {sorted(HOMES[top])}"
            continue
        other = rest.split(".")[0]
        if other not in RANK and RANK[room] < len(ROOMS):
            yield f"{name}: import from the room itself, not through the door"
        elif room == "domains" and other not in {"base", "declare", "domains"}:
            yield f"{name}: a domain is a declaration"
        elif other in RANK and other != room and RANK[other] >= RANK[room]:
            yield f"{name}: {room} stands below or beside {other}"


def test_every_room_is_known():
    rooms = {room_of(path) for path in MODULES} - {"__init__"}
    assert rooms >= {"base", "declare"}
    assert rooms <= set(RANK), "a new room needs its place in the order of imports"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module(path):
    assert list(trespasses(path)) == []
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 300, "a module has at most 300 lines"
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        names = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        few = len([n for n in names if n not in ("self", "cls")]) <= 7 or node.name in FIXED
        assert few, f"{node.name} has more than 7 parameters"
        assert (node.end_lineno or 0) - node.lineno < 60, f"{node.name} has more than 60 lines"


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("declare/a.py", "from workbench.simulate.run import simulate"),
        ("declare/a.py", "from workbench import twin"),
        ("declare/a.py", "import workbench"),
        ("declare/a.py", "def f():\n    from ..calibrate import posterior"),
        ("domains/a.py", "import workbench.simulate"),
        ("domains/a.py", "import workbench as wb"),
        ("simulate/a.py", "import pymc as pm"),
        ("calibrate/a.py", "from matplotlib import pyplot"),
        ("cli.py", "def f():\n    import papermill"),
    ],
)
def test_trespass_is_seen(tmp_path, monkeypatch, room, line):
    path = tmp_path / "workbench" / room
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(line)
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    assert len(list(trespasses(path))) == 1


def test_no_drawer_of_odds_and_ends():
    assert [path for path in SOURCES if path.stem == "utils"] == []
    assert [path for path in SOURCES if any(name.endswith(".*") for name in imported(path))] == []


def test_import_is_light():
    code = "import sys, workbench; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "workbench" in loaded.split()
    assert set(loaded.split()) & {*HOMES, "arviz", "pint", "scipy"} == set()
