"""Runs of notebooks: the run folder holds what it should, failures are kept, parallel runs do not collide."""

import csv
import hashlib
import json
import math
import platform
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from workbench.base import share
from workbench.base.errors import DataError, ParameterError, WorkbenchError
from workbench.report import quote, record
from workbench.report.html import ReportError, outside
from workbench.report.notebook import Run, RunError, run_notebook
from workbench.report.sweep import sweep

BOOKS = Path(__file__).parent / "notebooks"
ROWS = "t,y\n0,1.0\n1,0.5\n2,0.25\n3,0.125\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    (folder / "rows.csv").write_text(ROWS)
    return folder


@pytest.fixture(scope="module")
def run(place: Path) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        done = run_notebook(BOOKS / "decay.ipynb", {"k": 1, "data": "rows.csv", "shape": "steps"}, output="out {1}")
        assert Path.cwd() == place
    return done


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_run_folder_has_its_files_and_no_others(run: Run, place: Path) -> None:
    assert run.folder == place / "out {1}"
    files = {path.relative_to(run.folder).as_posix() for path in run.folder.rglob("*") if path.is_file()}
    assert files == {
        "notebook.ipynb", "report.html", "numbers.json", "provenance.json", "tables/samples.csv", "tables/samples.tex",
        "figures/decay.pdf", "figures/decay.svg", "figures/log_decay.pdf", "figures/log_decay.svg",
    }  # fmt: skip
    assert {run.notebook.name, run.report.name, run.numbers.name, run.provenance.name} <= files
    assert [path.name for path in place.iterdir() if path.name.startswith(".")] == []
    assert 0 < run.elapsed < 300


def test_numbers_are_those_the_text_quotes(run: Run) -> None:
    numbers = load(run.numbers)
    assert numbers["half_life"] == {"value": pytest.approx(math.log(2)), "unit": "h", "text": "0.693"}
    assert numbers["count"]["value"] == 4
    assert numbers["last"] == {"value": 0.125, "unit": "1", "text": "0.125"}
    assert "The half-life is 0.693 h; the last of 4 samples is 0.125." in run.report.read_text(encoding="utf-8")


def test_figures_are_vectors_and_tables_keep_all_digits(run: Run) -> None:
    assert (run.folder / "figures/decay.pdf").read_bytes().startswith(b"%PDF")
    svg = ET.parse(run.folder / "figures/decay.svg").getroot()
    assert svg.get("width") == f"{3.4 * 72:g}pt", "a figure keeps its size"
    assert b"CreationDate" not in (run.folder / "figures/decay.pdf").read_bytes()
    with (run.folder / "tables/samples.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["amount (mg)"] for row in rows] == ["1.0", "0.5", "0.25", "0.125"]
    assert rows[1]["sample"] == "10 % & more"
    latex = (run.folder / "tables/samples.tex").read_text(encoding="utf-8")
    assert r"1.00 & 0.500 & 10 \% \& more \\" in latex
    assert latex.count("{") == latex.count("}")
    assert r"\toprule" in latex


def test_provenance_says_where_numbers_come_from(run: Run, place: Path) -> None:
    past = load(run.provenance)
    assert past["status"] == "completed"
    assert past["parameters"] | {"k": 1.0, "shape": "steps", "seed": 1, "points": 20} == past["parameters"]
    assert past["seeds"] == {"seed": 1}
    assert past["data"] == {"rows.csv": {"sha256": hashlib.sha256(ROWS.encode()).hexdigest(), "bytes": len(ROWS)}}
    source = (BOOKS / "decay.ipynb").read_bytes()
    assert past["notebook"]["sha256"] == hashlib.sha256(source).hexdigest()
    assert past["python"] == ".".join(map(str, sys.version_info[:3]))
    assert past["packages"]["papermill"] == metadata.version("papermill")
    assert list(past["figures"]) == ["decay", "log_decay"]
    assert past["figures"]["log_decay"]["number"] == 2
    assert past["start"] <= past["end"]
    head = subprocess.run(["git", "-C", str(BOOKS), "rev-parse", "HEAD"], check=False, capture_output=True, text=True)
    assert (past["notebook"]["git"] or {}).get("commit") == (head.stdout.strip() or None)
    text = run.provenance.read_text(encoding="utf-8")
    assert not re.search(rf"\b{re.escape(platform.node())}\b", text), "no host name"
    assert str(Path.home()) not in text


def test_the_report_opens_without_network_and_tells_its_story(run: Run) -> None:
    text = run.report.read_text(encoding="utf-8")
    assert not outside(text)
    assert text.count("<math") >= 5
    assert text.count("<svg") == 3, "a figure that pyplot shows is a vector too"
    assert "image/png" not in text
    assert (
        text.index("Figure 1.")
        < text.index("Figure 2.")
        < text.index("Table 1.")
        < text.index("Parameters of this run")
    )
    assert "path of a CSV with columns t and y" in text
    assert hashlib.sha256(ROWS.encode()).hexdigest() in text
    assert "UserWarning: the noise is made up" in text
    assert "import numpy" not in text
    assert "drawing samples" not in text
    assert "needs the network is left out" in text


def test_the_executed_notebook_opens_anywhere(run: Run) -> None:
    book = load(run.notebook)
    assert book["metadata"]["kernelspec"]["name"] == "python3"
    injected = [cell for cell in book["cells"] if "injected-parameters" in cell["metadata"]["tags"]]
    assert 'shape = "steps"' in "".join(injected[0]["source"])
    assert "seed" not in "".join(injected[0]["source"]), "only what was given is injected"
    figures = [
        out for cell in book["cells"] for out in cell.get("outputs", []) if "image/svg+xml" in out.get("data", {})
    ]
    assert len(figures) == 3
    assert all("image/png" in out["data"] for out in figures)


def test_a_run_replaces_its_like_and_failure_replaces_nothing_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    first = run_notebook(BOOKS / "tiny.ipynb", output="empty")
    said = capsys.readouterr().out
    assert f"    python: {sys.executable}\n    folder: {tmp_path}\n" in said, "this Python, in the caller's folder"
    assert "tiny: cell 4 of 4 (Population)" in said
    before = first.numbers.read_text()
    with pytest.raises(RunError, match=r"tiny: cell 5 of 5 \(Population\) failed: ValueError: asked to fail") as error:
        run_notebook(BOOKS / "tiny.ipynb", {"fail": True, "x": 5}, output="empty", progress=False)
    assert "empty-failed/notebook.ipynb" in str(error.value)
    assert capsys.readouterr().out == ""
    assert first.numbers.read_text() == before
    past = load(tmp_path / "empty-failed/provenance.json")
    assert (past["status"], past["error"]) == (
        "failed",
        "tiny: cell 5 of 5 (Population) failed: ValueError: asked to fail",
    )
    assert load(tmp_path / "empty-failed/numbers.json")["double"]["value"] == 10
    errors = [out for cell in load(tmp_path / "empty-failed/notebook.ipynb")["cells"] for out in cell.get("outputs", [])
              if out["output_type"] == "error"]  # fmt: skip
    assert errors[0]["ename"] == "ValueError"
    assert not (tmp_path / "empty-failed/report.html").exists(), "no report of a failed run"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "empty-failed"]


def test_a_sweep_runs_in_parallel_and_keeps_failures_as_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = sweep(BOOKS / "tiny.ipynb", {"x": (1.5,), "fail": [False, True]}, output=tmp_path / "sweep", workers=2)
    assert result["run"].tolist() == ["001", "002"]
    assert result["status"].tolist() == ["completed", "failed"]
    assert result["error"].tolist() == ["", "tiny: cell 5 of 5 (Population) failed: ValueError: asked to fail"]
    assert result["double"].tolist()[0] == 3.0
    assert math.isnan(result["double"].tolist()[1])
    assert (
        (tmp_path / "sweep/sweep.csv")
        .read_text(encoding="utf-8")
        .splitlines()[1]
        .startswith("001,1.5,False,completed,")
    )
    assert (tmp_path / "sweep/001/report.html").exists()
    assert capsys.readouterr().out == ""


def test_nothing_runs_when_what_was_asked_is_wrong(tmp_path: Path) -> None:
    book, out = BOOKS / "tiny.ipynb", tmp_path / "out"
    with pytest.raises(ParameterError, match="unknown parameter 'y'"):
        run_notebook(book, {"y": 1}, output=out)
    with pytest.raises(ParameterError, match=r"x: got -1\.0; expected a number above 0"):
        sweep(book, {"x": [1.0, -1.0]}, output=out)
    with pytest.raises(ParameterError, match="expected a list of values"):
        sweep(book, {"x": 1.0}, output=out)  # type: ignore[dict-item]
    with pytest.raises(WorkbenchError, match="0 combinations"):
        sweep(book, {"x": []}, output=out)
    with pytest.raises(WorkbenchError, match="unknown notebook 'tinny'"):
        run_notebook("tinny", output=out)
    with pytest.raises(WorkbenchError, match="is no file"):
        run_notebook(BOOKS / "absent.ipynb", output=out)
    assert not out.exists()
    text = book.read_text(encoding="utf-8").replace("## Population", "## As in $\\\\nosuch$")
    (tmp_path / "formula.ipynb").write_text(text, encoding="utf-8")
    with pytest.raises(ReportError, match="nosuch"):
        run_notebook(tmp_path / "formula.ipynb", output=out)
    assert not out.exists(), "a formula that cannot be drawn is found before anything runs"


def test_other_folders_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.tex").write_text("years of work")
    with pytest.raises(WorkbenchError, match="holds other files"):
        run_notebook(BOOKS / "tiny.ipynb", output=tmp_path / "thesis")
    (tmp_path / "thesis/provenance.json").write_text('{"notebook": {"name": "decay"}}')
    with pytest.raises(WorkbenchError, match="holds a run of 'decay'"):
        run_notebook(BOOKS / "tiny.ipynb", output=tmp_path / "thesis")
    with pytest.raises(WorkbenchError, match="is a file"):
        run_notebook(BOOKS / "tiny.ipynb", output=tmp_path / "thesis/chapter.tex")
    assert (tmp_path / "thesis/chapter.tex").read_text() == "years of work"


def test_an_interrupted_run_is_kept_and_marked(tmp_path: Path) -> None:
    book = load(BOOKS / "tiny.ipynb")
    book["cells"][5]["source"] = ["import time\n", "print('asleep')\n", "time.sleep(600)"]
    (tmp_path / "sleeper.ipynb").write_text(json.dumps(book))
    call = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "  # ignored below a shell's `&`
        "from workbench.report.notebook import run_notebook as run; run(sys.argv[1], output=sys.argv[2])"
    )
    command = [sys.executable, "-c", call, str(tmp_path / "sleeper.ipynb"), str(tmp_path / "out")]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for line in child.stdout:
        if "asleep" in line:
            break
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=60)
    assert child.returncode != 0
    assert "KeyboardInterrupt" in said
    assert load(tmp_path / "out/provenance.json")["status"] == "interrupted"
    assert (tmp_path / "out/notebook.ipynb").exists()


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A record as in a run, without a kernel."""
    monkeypatch.setenv(record.RUN, str(tmp_path))
    record.record.cache_clear()
    yield tmp_path
    record.record.cache_clear()


def test_records_refuse_what_would_make_the_text_wrong(live: Path) -> None:
    import numpy as np
    import xarray as xr

    assert str(quote.number("cl", np.float64(2.789), unit="L/h")) == "2.79 L/h"
    assert str(quote.number("T", xr.DataArray(20.0, attrs={"units": "degC"}), fmt=".1f")) == "20.0 °C"
    assert quote.number("far", math.inf).text == "∞"
    assert load(live / "numbers.json")["far"]["value"] is None
    with pytest.raises(WorkbenchError, match=r"'cl': got 3\.00, recorded before as 2\.79"):
        quote.number("cl", 3.0, unit="L/h")
    for wrong in ("3", None, True, np.zeros(2)):
        with pytest.raises(WorkbenchError, match="expected one number"):
            quote.number("wrong", wrong)
    with pytest.raises(WorkbenchError, match=r"unknown field 'cle'.*did you mean 'cl'"):
        quote.say("It is {cle}.", cl=1)
    with pytest.raises(WorkbenchError, match="'v', which the text does not quote"):
        quote.say("It is {k}.", k=1, v=2)
    with pytest.raises(DataError, match="does not exist"):
        record.used(live / "absent.csv")
    with pytest.raises(WorkbenchError, match="expected a matplotlib figure"):
        record.figure("picture", "name", "caption")
    with pytest.raises(WorkbenchError, match="expected a pandas DataFrame"):
        record.table([1, 2], "name", "caption")


def test_records_work_without_a_run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import pandas as pd

    monkeypatch.delenv(record.RUN, raising=False)
    record.record.cache_clear()
    quote.say("Twice {x} is {y:.1f} in {{braces}}.", x=quote.number("x", 1.5, unit="kg"), y=3)
    record.table(pd.DataFrame({"name": ["a", "bb"], "value": [1.23456, None]}), "rows", "Rows.")
    record.table(pd.DataFrame({"value": [1]}), "rows", "Rows again.")
    said = capsys.readouterr().out
    assert "Twice 1.50 kg is 3.0 in {braces}." in said
    assert re.search(r"Table 1. Rows.\nname  value\n----  -----\na      1.23\nbb\n", said)
    assert "Table 1. Rows again." in said, "a cell that is run again keeps its number"
    with pytest.raises(WorkbenchError, match="a file name"):
        record.table(pd.DataFrame({"value": [1]}), "../rows", "Rows.")
    record.record.cache_clear()


def test_data_and_notebooks_are_found_in_checkout_and_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for root in (tmp_path / "checkout", tmp_path / "wheel/workbench/_share"):
        (root / "data/deep").mkdir(parents=True)
        (root / "notebooks").mkdir()
        (root / "data/theophylline.csv").write_text("a")
        (root / "data/deep/b.csv").write_text("b")
        (root / "notebooks/patient.ipynb").write_text("{}")
    for package, root in (("checkout/workbench", "checkout"), ("wheel/workbench", "wheel/workbench/_share")):
        monkeypatch.setattr(share, "_PACKAGE", tmp_path / package)
        assert share.data_file("theophylline.csv") == tmp_path / root / "data/theophylline.csv"
        assert list(share.data_files()) == ["deep/b.csv", "theophylline.csv"]
        assert share.notebook("patient") == tmp_path / root / "notebooks/patient.ipynb"
        with pytest.raises(DataError, match=r"did you mean 'theophylline\.csv'"):
            share.data_file("teophylline.csv")
        with pytest.raises(WorkbenchError, match="did you mean 'patient'"):
            share.notebook("patiant")


PREDICTED = pd.DataFrame({"sensor": ["a", "b"], "95%": [3.0, 4.0], "5%": [1.0, 2.0 / 3], "2.5%": [0.5, 0.5]})


def test_predictions_are_in_the_run_folder_with_all_digits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    kept = record.Record(tmp_path)
    monkeypatch.setattr(record, "record", lambda: kept)
    record.predictions(PREDICTED)
    assert capsys.readouterr().out == "2 predictions, with the quantiles 2.5%, 5%, 95%, are in `predictions.csv`.\n"
    assert (tmp_path / "predictions.csv").read_text("utf-8").splitlines()[2] == "b,4.0,0.6666666666666666,0.5"
    with pytest.raises(WorkbenchError, match="predictions twice"):
        record.predictions(PREDICTED)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (PREDICTED[["sensor", "5%"]], r"quantiles \['5%'\]"),
        (PREDICTED[:0], "expected a DataFrame with rows"),
        (PREDICTED.assign(**{"5%": [3.5, 0.6]}), "in row 0; expected quantiles that rise"),
        (PREDICTED.assign(**{"95%": [3.5, np.nan]}), r"in row 1; .* no gaps \(1 rows"),
        (3, "got int"),
    ],
)
def test_predictions_that_cannot_be_scored_are_refused(frame: Any, words: str) -> None:
    with pytest.raises(WorkbenchError, match=words):
        record.predictions(frame)
