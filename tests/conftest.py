"""What every test may use: the skip that CI does not allow, and the folder of shared data."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")


def need(condition: object, reason: str) -> None:
    """Skip the test with `reason` unless `condition` holds; under CI=true, where everything is installed, fail it."""
    if condition:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must provide what this test needs: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real data sets named by WORKBENCH_DATA."""
    folder = os.environ.get("WORKBENCH_DATA", "")
    need(folder and Path(folder).is_dir(), f"WORKBENCH_DATA={folder!r} names no folder of shared data")
    return Path(folder)
