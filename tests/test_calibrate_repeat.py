"""The same seed gives the same draws: in one process, in a fresh one, with cold and with warm caches, on any cores."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from calibrations import density_of, levels, lynx_hare, lynx_hare_data
from models import LynxHare

import workbench as wb
from workbench.calibrate.sampling.progress import Progress
from workbench.calibrate.sampling.sample import sample
from workbench.calibrate.sampling.start import find_start

HERE = Path(__file__).parent

SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
from test_calibrate_repeat import fingerprint, lynx
print(fingerprint(lynx(seed=7)))
"""


def lynx(seed):
    return wb.calibrate(LynxHare(), lynx_hare_data(), seed=seed, draws=100, tune=200, progress=False)


def fingerprint(calibration) -> str:
    """Return a hash of every number that was drawn."""
    digest = hashlib.sha256()
    for group in ("posterior", "sample_stats", "posterior_predictive", "log_likelihood"):
        for name, values in sorted(calibration.tree[group].data_vars.items()):
            digest.update(str(name).encode())
            digest.update(np.ascontiguousarray(values.values).tobytes())
    return digest.hexdigest()


def elsewhere(**environment) -> str:
    """Return the fingerprint that a fresh process finds."""
    command = [sys.executable, "-W", "error", "-c", SCRIPT, str(HERE)]
    whole = os.environ | environment
    run = subprocess.run(command, check=False, capture_output=True, text=True, env=whole, cwd=HERE.parent)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def draws(seed, chains=4) -> np.ndarray:
    problem, _, density = density_of("lynx")
    start = find_start(problem, density, np.random.default_rng(1))
    return sample(density, start, chains=chains, draws=50, tune=100, seed=seed, progress=Progress(False)).points


def test_chains_that_race_each_other():
    first = draws(seed=7)
    for _ in range(4):
        np.testing.assert_array_equal(draws(seed=7), first)
    assert len(np.unique(first[:, -1, 0])) == 4
    assert (draws(seed=8) != first).any()
    np.testing.assert_array_equal(draws(seed=7, chains=2), first[:2])  # nor do they hang on how many there are


def test_a_seed_that_was_recorded_gives_the_run_again():
    a = lynx(seed=None)
    seed = a.posterior.attrs["seed"]
    assert fingerprint(lynx(seed=np.int64(seed))) == fingerprint(a)
    assert seed != lynx_hare().posterior.attrs["seed"]


@pytest.mark.slow
def test_in_fresh_processes_with_cold_and_warm_caches(tmp_path):
    own = {"WORKBENCH_CACHE": str(tmp_path / "kernels"), "PYTENSOR_FLAGS": f"base_compiledir={tmp_path / 'graphs'}"}
    cold = elsewhere(**own)
    assert any(tmp_path.rglob("*.nbi"))
    assert elsewhere(**own) == cold == fingerprint(lynx(seed=7))


def test_forecasts_and_new_units_too():
    calibration = levels()
    for make in (lambda s: wb.forecast(calibration, [0.0, 30.0], seed=s), lambda s: calibration.new_unit(seed=s)):
        a, b, c = make(1), make(1), make(2)
        assert a.identical(b)
        assert not a.equals(c)
