"""Compiled kernels on disk: a kernel's address is a hash of its source and of the versions that compiled it."""

import ctypes
import hashlib
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
import platformdirs
from numpy.typing import NDArray

from workbench.simulate.kernels import vector


def folder() -> Path:
    """Return the folder of compiled kernels: `WORKBENCH_CACHE`, or the user's cache folder."""
    return Path(os.environ.get("WORKBENCH_CACHE") or platformdirs.user_cache_path("workbench")) / "kernels"


@cache
def _helpers() -> str:
    """Return the source of what kernels import from here."""
    return Path(vector.__file__).read_text(encoding="utf-8")


def key(source: str) -> str:
    """Return the hash under which a source is kept: of its text, of what it imports, and of versions."""
    versions = f"{sys.version_info[:3]}|{numba.__version__}|{_helpers()}"
    return hashlib.sha256(f"{versions}|{source}".encode()).hexdigest()[:24]


@cache
def load(source: str) -> ModuleType:
    """Return the module made from `source`; its machine code is loaded from the cache, or compiled into it."""
    name = f"workbench_kernel_{key(source)}"
    path = _written(source, name)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # Numba looks functions up by their module
    try:
        spec.loader.exec_module(module)
    except Exception:  # a damaged file of machine code: compile it anew, once
        shutil.rmtree(path.parent / "__pycache__", ignore_errors=True)
        spec.loader.exec_module(module)
    return module


@cache
def entry(source: str, name: str = "run") -> Callable[..., None]:
    """Return a function of a kernel that takes addresses and numbers, without a look at what addresses point to.

    Making typed pointers of arrays takes longer than many a solve.
    """
    function = getattr(load(source), name)
    kinds: dict[str, Any] = {"int64": ctypes.c_int64, "float64": ctypes.c_double}
    return ctypes.CFUNCTYPE(None, *(kinds.get(str(a), ctypes.c_void_p) for a in function._sig.args))(function.address)


def memory(array: NDArray[Any]) -> int:
    """Return the address of a contiguous array's first element."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))  # in a quarter of the time that `array.ctypes` takes
    except (TypeError, ValueError):  # read-only, or empty
        return array.ctypes.data


def address(kept: str, entry: str = "run") -> int:
    """Return the address of the machine code of a kernel that this process has loaded, by its key."""
    return int(getattr(sys.modules[f"workbench_kernel_{kept}"], entry).address)


def _written(source: str, name: str) -> Path:
    """Return the file that holds exactly `source`, in the cache or, where that is read-only, in a passing folder."""
    for root in (
        folder(),
        Path(tempfile.gettempdir()) / f"workbench-{os.getuid() if hasattr(os, 'getuid') else 'user'}",
    ):
        home = root / name
        path = home / f"{name}.py"
        try:
            if path.is_file() and path.read_text(encoding="utf-8") == source:
                return path
            home.mkdir(parents=True, exist_ok=True)
            handle, draft = tempfile.mkstemp(dir=home, suffix=".tmp")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(source)
            os.replace(draft, path)
            return path
        except OSError:
            continue
    home = Path(tempfile.mkdtemp(prefix="workbench-"))
    path = home / f"{name}.py"
    path.write_text(source, encoding="utf-8")
    return path
