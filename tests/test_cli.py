"""The command line: what it prints, what it refuses in one sentence, and that it starts light."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from workbench import cli
from workbench.base.plainfile import read_plain

BOOKS = Path(__file__).parent / "notebooks"
TINY = str(BOOKS / "tiny.ipynb")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, list(arguments))


def test_list_shows_types_ranges_defaults_and_meanings() -> None:
    done = call("list", str(BOOKS / "decay.ipynb"), TINY)
    assert done.exit_code == 0
    lines = [line.split("  ") for line in done.stdout.splitlines()]
    table = {cells[1]: [cell.strip() for cell in cells[2:] if cell.strip()] for cells in lines if len(cells) > 2}
    assert table["points"] == ["a whole number from 2 to 200", "20", "number of samples"]
    assert table["shape"] == ["one of 'line', 'steps'", '"line"']
    assert table["data"] == ["text or none", "null", "path of a CSV with columns t and y"]
    assert table["x"] == ["a number above 0", "1.0", "what is doubled"]
    assert "decay.ipynb: Decay of a substance" in done.stdout
    assert call("list").exit_code == 0


def test_listing_and_helping_load_nothing_heavy() -> None:
    heavy = "pymc pytensor numba matplotlib papermill nbconvert pandas scipy IPython".split()
    source = (
        "import sys\nfrom workbench.cli import main\n"
        f"main(['list', {TINY!r}], standalone_mode=False)\n"
        f"print('loaded:', [name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", source], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded: []"


def test_version_is_one_line() -> None:
    done = call("--version")
    assert (done.exit_code, len(done.stdout.splitlines())) == (0, 1)
    assert done.stdout.startswith("workbench ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "tinny"], "workbench: got unknown notebook 'tinny'; expected one of"),
        (["run", TINY, "-p", "xx=1"], "workbench: tiny: got unknown parameter 'xx'; expected one of 'x', 'fail'; did"),
        (["run", TINY, "-p", "x=-1e-3"], "workbench: tiny: x: got -0.001; expected a number above 0"),
        (["run", TINY, "-p", "x"], "workbench: got the parameter 'x'; expected key=value"),
        (["run", TINY, "-f", "absent.yaml"], "workbench: got 'absent.yaml', which cannot be read"),
        (["list", "tinny"], "workbench: got unknown notebook 'tinny'"),
    ],
)  # fmt: skip
def test_mistakes_are_one_sentence_and_status_two(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = call(*arguments)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.startswith(said)
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("x: 1e-3\nfail: true", {"x": 0.001, "fail": True}), ('{"x": 2}', {"x": 2}),
        ("x: .5E+1\ny: [1e2, '1e2']", {"x": 5.0, "y": [100.0, "1e2"]}),
        ("", {}), ("a: 2020-01-01x\nb: 0x10\nc: 12", {"a": "2020-01-01x", "b": 16, "c": 12}),
    ],
)  # fmt: skip
def test_parameter_files_read_numbers_as_people_write_them(
    tmp_path: Path, text: str, values: dict[str, object]
) -> None:
    (tmp_path / "values.yaml").write_text(text)
    assert read_plain(tmp_path / "values.yaml") == values


def test_files_that_hold_no_parameters_are_refused(tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text("- 1")
    (tmp_path / "code.yaml").write_text("x: !!python/object/apply:os.getcwd []")
    for name, said in {"list.yaml": "got list in", "code.yaml": "which cannot be read"}.items():
        done = call("run", TINY, "-f", str(tmp_path / name), "-o", str(tmp_path / "out"))
        assert done.exit_code == 2
        assert said in done.stderr
    assert not (tmp_path / "out").exists()


def test_run_prints_progress_and_ends_with_the_report(tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text("x: 1e-3\nfail: true\n")
    command = [
        sys.executable,
        "-m",
        "workbench.cli",
        "run",
        TINY,
        "-f",
        "values.yaml",
        "-p",
        "x=2.5",
        "-p",
        "fail=no",
        "--code",
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "tiny: cell 1 of 5 (A tiny notebook)"
    assert Path(lines[-1]) == tmp_path / "runs/tiny/report.html"
    assert json.loads((tmp_path / "runs/tiny/numbers.json").read_text())["double"]["value"] == 5.0
    assert '<details class="code">' in Path(lines[-1]).read_text(encoding="utf-8")


def test_demo_compares_with_the_published_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "DEMO", TINY)
    done = call("demo")
    assert done.exit_code == 0, done.output
    assert done.stdout.split("\n\n")[1].splitlines() == [
        "  parameter  ours  published",
        "  ---------  ----  ---------",
        "  CL (L/h)   2.0   2.77",
        "  V (L)      31.5  31.5",
    ]
    assert done.stdout.splitlines()[-1] == str(tmp_path / "runs/demo/report.html")
