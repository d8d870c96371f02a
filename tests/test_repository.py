"""What the repository promises before any physics: one source for each fact, and an environment anyone can make."""

import ast
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from workbench.base import units

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PINS = {name: Version(version) for name, version in re.findall(r"^([a-z0-9-]+)==(\S+)", LOCK, re.MULTILINE)}
FINDER = ROOT / "tools" / "find_python.sh"


def requirements(group: str) -> list[Requirement]:
    """Return the requirements of a dependency group, or of the package and its extras for `package`."""
    if group == "package":
        lines = [*PROJECT["dependencies"], *chain(*PROJECT["optional-dependencies"].values())]
    elif group == "backend":
        lines = PYPROJECT["build-system"]["requires"]
    else:
        lines = [line for line in PYPROJECT["dependency-groups"][group] if isinstance(line, str)]
    return [wanted for wanted in map(Requirement, lines) if wanted.name != PROJECT["name"]]


def test_environment_yml_is_the_generated_one():
    spec = importlib.util.spec_from_file_location("environment", ROOT / "tools" / "environment.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "environment.yml").read_text(encoding="utf-8") == module.environment()


@pytest.mark.parametrize("group", ["package", "backend", "build", "test", "lint"])
def test_lock_pins_what_pyproject_asks_for(group):
    wanted = requirements(group)
    assert wanted
    missing = [str(one) for one in wanted if PINS.get(canonicalize_name(one.name), Version("0")) not in one.specifier]
    assert missing == [], "run `make lock`"


def test_lock_holds_names_versions_and_hashes_only():
    pin = r"[a-z0-9-]+==\S+( ; [^\\]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+\n"
    assert re.sub(pin, "", LOCK) == ""
    assert "://" not in LOCK


def test_every_import_is_declared():
    homes = importlib.metadata.packages_distributions()
    declared = {canonicalize_name(one.name) for one in requirements("package")}
    used = set()
    for path in (ROOT / "workbench").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                used |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                used.add(node.module.partition(".")[0])
    foreign = used - sys.stdlib_module_names - {"workbench"}
    assert "numpy" in foreign
    assert [name for name in sorted(foreign) if declared.isdisjoint(map(canonicalize_name, homes.get(name, [])))] == []


def test_python_version_is_a_minor_that_the_package_allows():
    minor = (ROOT / ".python-version").read_text(encoding="utf-8")
    assert re.fullmatch(r"3\.\d+\n", minor)
    assert minor.strip() in Requirement(f"python{PROJECT['requires-python']}").specifier


def find_python(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the finder of the Makefile where only what is in `folder` can be found."""
    environment = {"PATH": str(folder), "HOME": str(folder), **environment}
    command = ["/bin/sh", str(FINDER)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def script(path: Path, text: str) -> None:
    """Write an executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


def test_no_python_is_said_in_one_sentence(tmp_path):
    run = find_python(tmp_path)
    assert run.returncode == 1
    assert run.stdout == ""
    assert re.fullmatch(r"Install Python 3\.12, 3\.13 or 3\.14 [^\n]*\.\n", run.stderr)
    unusable = find_python(tmp_path, PYTHON="nowhere/python")
    assert unusable.returncode == 1
    assert unusable.stderr.startswith("PYTHON=nowhere/python ")


def test_a_shim_that_fails_is_passed_over(tmp_path):
    for minor in ("3.14", "3.13", "3.12"):
        script(tmp_path / f"python{minor}", "echo 'version not set' >&2; exit 127")
    script(tmp_path / "python3", f'exec "{sys.executable}" "$@"')
    run = find_python(tmp_path)
    assert (run.returncode, run.stdout) == (0, f"{sys.executable}\n")


@pytest.mark.parametrize("place", ["pyenv", "uv"])
def test_python_is_found_off_the_path(tmp_path, place):
    hidden = tmp_path / ".pyenv" / "versions" / "3.12.1" / "bin" / "python3.12"
    if place == "uv":
        hidden = tmp_path / "managed" / "python"
        script(tmp_path / "uv", f'[ "$5" = 3.12 ] && echo "{hidden}"')
    script(hidden, f'exec "{sys.executable}" "$@"')
    run = find_python(tmp_path)
    assert (run.returncode, run.stdout) == (0, f"{sys.executable}\n")


def test_the_preferred_minor_comes_first(tmp_path):
    for minor in ("3.14", "3.13", "3.12"):
        script(tmp_path / f"python{minor}", f"echo {minor}")
    assert find_python(tmp_path).stdout == "3.14\n"
    (tmp_path / ".python-version").write_text("3.13\n", encoding="utf-8")
    assert find_python(tmp_path).stdout == "3.13\n"


def test_make_stops_with_the_sentence(tmp_path):
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed")
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(FINDER.parent, tmp_path / "tools")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sh").symlink_to("/bin/sh")
    environment = {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)}
    run = subprocess.run([make, "test"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode != 0
    assert run.stderr.startswith("Install Python 3.12, 3.13 or 3.14 ")
    assert not (tmp_path / ".venv").exists()


def test_wheel_carries_data_and_notebooks(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for folder in ("data", "notebooks"):
        here = {
            path for path in (ROOT / folder).rglob("*") if path.is_file() and ".ipynb_checkpoints" not in path.parts
        }
        assert here
        assert {f"workbench/_share/{path.relative_to(ROOT)}" for path in here} <= names
    assert "workbench/base/errors.py" in names
    assert not any(name.startswith("tests/") for name in names)


def test_registry_says_where_from_and_on_what_terms():
    registry = tomllib.loads((ROOT / "data" / "registry.toml").read_text(encoding="utf-8"))
    assert registry
    for name, entry in registry.items():
        assert entry["url"].startswith("https://") or (not entry["url"] and entry["file"]), name
        assert re.fullmatch(r"[0-9a-f]{64}", entry["sha256"]), name
        assert entry["licence"], name
        assert entry["source"], name
        for unit in entry["columns"].values():
            units.parse(unit)
