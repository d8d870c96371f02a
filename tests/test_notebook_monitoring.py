"""The bridge whose support settles: alarms, millimetres, and records of one's own."""

import csv
import json
from pathlib import Path

import pytest

import workbench as wb
from workbench.base.errors import ParameterError
from workbench.base.share import data_file
from workbench.report.html import outside
from workbench.report.notebook import RunError

NAME = "bridge_monitoring"


def test_parameters_are_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"'limits'.*did you mean 'limit'"):
        wb.run_notebook(NAME, {"limits": 3}, output=tmp_path / "run")


@pytest.mark.slow
def test_the_report_and_its_numbers(tmp_path: Path) -> None:
    run = wb.run_notebook(NAME, {"fast": True}, output=tmp_path / "run", progress=False)
    html = run.report.read_text("utf-8")
    assert outside(html) == []
    assert html.count('<figure class="figure"') == 5
    value = {name: entry["value"] for name, entry in json.loads(run.numbers.read_text("utf-8")).items()}
    assert value["f"] == pytest.approx(10.80, abs=0.05)
    assert value["delay"] == 0
    assert 10 < value["mm_low"] < value["mm"] < value["mm_high"] < 30
    assert run.doubts == {}
    with (run.folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 576
    assert all(float(row["5%"]) < float(row["50%"]) < float(row["95%"]) for row in rows)


@pytest.mark.slow
def test_a_record_of_ones_own(tmp_path: Path) -> None:
    lines = data_file("munich_bridge.csv").read_text("utf-8").splitlines()
    own = tmp_path / "own.csv"
    head = next(k for k, line in enumerate(lines) if not line.startswith("#"))
    kept = lines[head : head + 1 + 2 * 144]  # before and after one step, with a reading that is asked for
    kept[20] = ",".join([kept[20].split(",")[0], "", "", kept[20].split(",")[3]])
    own.write_text("\n".join(kept) + "\n", "utf-8")
    run = wb.run_notebook(NAME, {"data": str(own), "fast": True}, output=tmp_path / "run", progress=False)
    with (run.folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 288
    assert rows[19]["measured"] == ""
    own.write_text("time,FRC-01\n0,1\n", "utf-8")
    with pytest.raises(RunError, match="expected a column"):
        wb.run_notebook(NAME, {"data": str(own), "fast": True}, output=tmp_path / "run", progress=False)
