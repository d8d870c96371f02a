"""The virtual patients of simglucose, an independent simulator of type 1 diabetes."""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any


def patient(name: str) -> Any:
    """Return a patient of simglucose, such as "adult#001".

    Its package asks for `gym` and `pkg_resources`, of which no release works on this Python; a patient needs the one
    for its registration only, and the other to find its parameters.
    """
    with _imported():
        from simglucose.patient.t1dpatient import T1DPatient
    return T1DPatient.withName(name)


def parts() -> SimpleNamespace:
    """Return what acts on a patient (`Action`), the settings of pumps (`quest`), and errors of a sensor (`noise`)."""
    import pandas as pd

    with _imported():
        from simglucose.patient.t1dpatient import Action
        from simglucose.sensor.noise_gen import CGMNoise
    sensor = pd.read_csv(_file("simglucose", "params/sensor_params.csv"), index_col="Name").loc["GuardianRT"]
    quest = pd.read_csv(_file("simglucose", "params/Quest.csv"), index_col="Name")
    return SimpleNamespace(Action=Action, quest=quest, noise=lambda seed: CGMNoise(sensor, seed=seed))


@contextmanager
def _imported() -> Iterator[None]:
    """Stand in for what simglucose asks for while it is imported."""
    stubs = {module: ModuleType(module) for module in ("gym", "gym.envs", "gym.envs.registration", "pkg_resources")}
    stubs["gym.envs.registration"].register = lambda **_: None  # type: ignore[attr-defined]
    stubs["pkg_resources"].resource_filename = _file  # type: ignore[attr-defined]
    missing = {module: stub for module, stub in stubs.items() if module not in sys.modules}
    sys.modules.update(missing)
    try:
        yield
    finally:
        for module in missing:
            del sys.modules[module]


def _file(package: str, path: str) -> str:
    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.origin is not None
    return str(Path(found.origin).parent / path)
