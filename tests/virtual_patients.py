"""The virtual patients of simglucose, an independent simulator of type 1 diabetes."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


def patient(name: str) -> Any:
    """Return a patient of simglucose, such as "adult#001".

    Its package asks for `gym` and `pkg_resources`, of which no release works on this Python; a patient needs the one
    for its registration only, and the other to find its parameters.
    """
    stubs = {module: ModuleType(module) for module in ("gym", "gym.envs", "gym.envs.registration", "pkg_resources")}
    stubs["gym.envs.registration"].register = lambda **_: None  # type: ignore[attr-defined]
    stubs["pkg_resources"].resource_filename = _file  # type: ignore[attr-defined]
    missing = {module: stub for module, stub in stubs.items() if module not in sys.modules}
    sys.modules.update(missing)
    try:
        from simglucose.patient.t1dpatient import T1DPatient
    finally:
        for module in missing:
            del sys.modules[module]
    return T1DPatient.withName(name)


def _file(package: str, path: str) -> str:
    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.origin is not None
    return str(Path(found.origin).parent / path)
