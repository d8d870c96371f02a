"""Compiled kernels on disk are found again, never stale, and a damaged or unwritable folder is survived."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import workbench as wb
from workbench.simulate import kernel
from workbench.simulate.kernels import cache

TINY = """
from numba import cfunc, types


@cfunc(types.int64(types.int64), cache=True)
def run(x):
    return x + {amount}
"""
LOAD = """
import sys
from workbench.simulate.kernels import cache
module = cache.load(sys.stdin.read())
print(module.run.ctypes(40), module.run.cache_hits, module.__file__)
"""
DECAY = """
import sys
import workbench as wb
from workbench.simulate import kernel
from workbench.simulate.kernels import cache

def decay(factor):
    class Decay(wb.Ode):
        time_unit = "s"
        x = wb.State("1", start=1.0)
        k = wb.Parameter("1/s", value=0.5)

        def rhs(self, t, x, u, p):
            return {"x": -p.k * x.x * factor}

    return Decay()

for factor in map(float, sys.stdin.read().split()):
    model = decay(factor)
    end = float(wb.simulate(model, [0.0, 2.0]).x[1])
    print(end, cache.load(kernel.source(model, kernel.method_of(model), sensitivities=False)).run.cache_hits)
"""


def python(code: str, folder: Path, given: str = "") -> list[str]:
    """Run Python code in a fresh process with its own cache of kernels, and return the words it prints."""
    environment = {**os.environ, "WORKBENCH_CACHE": str(folder), "NUMBA_CACHE_DIR": ""}
    command = [sys.executable, "-W", "error", "-c", code]
    run = subprocess.run(command, env=environment, input=given, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.split()


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(cache.tempfile, "gettempdir", lambda: str(tmp_path / "passing"))
    return tmp_path


def load(amount: int):
    """Load a tiny kernel as a fresh process would."""
    return cache.load.__wrapped__(TINY.format(amount=amount))


@pytest.mark.slow
def test_changed_equations_never_run_a_stale_kernel(tmp_path):
    once, hits = map(float, python(DECAY, tmp_path, "1.0"))
    assert once == pytest.approx(0.36788, rel=1e-4)
    assert hits == 0
    slower, hits, again, more_hits = map(float, python(DECAY, tmp_path, "0.5 1.0"))
    assert slower == pytest.approx(0.60653, rel=1e-4)
    assert hits == 0
    assert again == once
    assert more_hits == 1  # found on disk: nothing was compiled


def test_second_process_compiles_nothing(tmp_path):
    value, hits, path = python(LOAD, tmp_path, TINY.format(amount=2))
    assert (value, hits) == ("42", "0")
    assert Path(path).is_relative_to(tmp_path)
    assert python(LOAD, tmp_path, TINY.format(amount=2)) == ["42", "1", path]
    assert python(LOAD, tmp_path, TINY.format(amount=3))[:2] == ["43", "0"]


def test_processes_at_once_do_not_disturb_each_other(tmp_path):
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: python(LOAD, tmp_path, TINY.format(amount=5))[0], range(2)))
    assert found == ["45"] * 2


def test_changed_equations_have_another_key():
    def decay(rate=lambda x, p: -p.k * x.x, seen=lambda x, p: x.x, start=1.0, prior=None):
        class Decay(wb.Ode):
            time_unit = "s"
            x = wb.State("1", start=start)
            k = wb.Parameter("1/s", value=0.5, prior=prior)
            y = wb.Output("1")

            def rhs(self, t, x, u, p):
                return {"x": rate(x, p)}

            def observe(self, t, x, u, p):
                return {"y": seen(x, p)}

        model = Decay()
        values, both = (kernel.source(model, kernel.method_of(model), sensitivities=s) for s in (False, True))
        return cache.key(values), both

    changed = [
        decay(rate=lambda x, p: -p.k * x.x * 2),
        decay(seen=lambda x, p: x.x * 2),
        decay(seen=lambda x, p: x.x + 1e-300),
        decay(start=2.0),
        decay(),
    ]
    assert len({plain for plain, _ in changed}) == 5
    assert decay() == decay()
    assert decay()[1] != decay(prior=wb.prior.Uniform(0, 1))[1]


def test_key_holds_source_and_versions(monkeypatch):
    keys = [cache.key("a"), cache.key("b")]
    assert cache.key("a") == keys[0]
    monkeypatch.setattr(cache, "_helpers", lambda: "changed")
    keys.append(cache.key("a"))
    monkeypatch.setattr(cache.numba, "__version__", "0.1")
    keys.append(cache.key("a"))
    monkeypatch.setattr(cache.sys, "version_info", (3, 99, 0))
    keys.append(cache.key("a"))
    assert len(set(keys)) == 5


def test_folder_is_the_one_named(folder, monkeypatch):
    assert cache.folder() == folder / "kernels"
    monkeypatch.delenv("WORKBENCH_CACHE")
    assert cache.folder().name == "kernels"
    assert "workbench" in str(cache.folder())


def test_address_is_that_of_the_loaded_kernel(folder):
    source = TINY.format(amount=7)
    module = cache.load(source)
    assert cache.address(cache.key(source)) == module.run.address
    assert cache.load(source) is module


def test_changed_source_file_is_written_anew(folder):
    module = load(1)
    path = Path(module.__file__)
    path.write_text(TINY.format(amount=1000), encoding="utf-8")
    assert load(1).run.ctypes(1) == 2
    assert path.read_text(encoding="utf-8") == TINY.format(amount=1)


@pytest.mark.parametrize("damage", ["empty", "noise", "half"])
@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_damaged_machine_code_is_compiled_anew(folder, damage, suffix):
    home = Path(load(1).__file__).parent / "__pycache__"
    (path,) = home.glob(f"*{suffix}")
    content = path.read_bytes()
    path.write_bytes({"empty": b"", "noise": os.urandom(200), "half": content[: len(content) // 2]}[damage])
    assert load(1).run.ctypes(1) == 2
    assert load(1).run.cache_hits == 1


def test_folder_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(cache.tempfile, "gettempdir", lambda: str(tmp_path / "passing"))
    module = load(1)
    assert module.run.ctypes(1) == 2
    assert Path(module.__file__).is_relative_to(tmp_path / "passing")
    (tmp_path / "passing").rename(tmp_path / "gone")
    (tmp_path / "passing").write_text("not a folder either")
    monkeypatch.setattr(cache.tempfile, "mkdtemp", lambda prefix: str(tmp_path / "gone"))
    assert load(2).run.ctypes(1) == 3


def test_machine_code_that_cannot_be_written(folder):
    home = folder / "kernels" / f"workbench_kernel_{cache.key(TINY.format(amount=1))}"
    home.mkdir(parents=True)
    (home / "__pycache__").write_text("not a folder")
    assert load(1).run.ctypes(1) == 2
