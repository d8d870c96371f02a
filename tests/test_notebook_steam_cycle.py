"""The steam cycle's notebook: faults are found and blamed rightly, and a plant of one's own is read."""

import csv
import json
from pathlib import Path

import pytest

import workbench as wb
from workbench.base.errors import ParameterError
from workbench.base.share import data_file
from workbench.report.html import outside
from workbench.report.notebook import RunError

NAME = "plant_steam_cycle"


def test_parameters_are_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"'windw'.*did you mean 'window'"):
        wb.run_notebook(NAME, {"windw": 3}, output=tmp_path / "run")


@pytest.mark.slow
def test_the_report_and_its_numbers(tmp_path: Path) -> None:
    run = wb.run_notebook(NAME, {"fast": True}, output=tmp_path / "run", progress=False)
    assert outside(run.report.read_text("utf-8")) == []
    assert run.doubts == {}
    value = {name: entry["value"] for name, entry in json.loads(run.numbers.read_text("utf-8")).items()}
    assert value["false"] < 0.05
    assert 0.82 < value["hp"] < 0.97
    with (run.folder / "tables" / "faults.csv").open(encoding="utf-8", newline="") as file:
        blamed = [float(row["blamed rightly (%)"]) for row in csv.DictReader(file)]
    assert sorted(blamed)[1] > 60, "five of six faults"
    with (run.folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 15 * 240
    assert all(float(row["5%"]) < float(row["50%"]) < float(row["95%"]) for row in rows)


@pytest.mark.slow
def test_a_plant_of_ones_own(tmp_path: Path) -> None:
    lines = [line for line in data_file("steam_plant.csv").read_text("utf-8").splitlines() if not line.startswith("#")]
    kept = [",".join(line.split(",")[:16]) for line in lines[:81]]  # without what is known of a simulated plant
    kept[5] = ",".join([kept[5].split(",")[0], "", *kept[5].split(",")[2:]])
    own = tmp_path / "own.csv"
    own.write_text("\n".join(kept) + "\n", "utf-8")
    run = wb.run_notebook(NAME, {"data": str(own), "fast": True}, output=tmp_path / "run", progress=False)
    with (run.folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["measured"] == ""]
    assert [(row["hour"], row["sensor"]) for row in rows] == [("4.0", "F_steam")]
    own.write_text("\n".join(kept[:20]) + "\n", "utf-8")
    with pytest.raises(RunError, match="expected at least 60 of reference"):
        wb.run_notebook(NAME, {"data": str(own), "fast": True}, output=tmp_path / "run", progress=False)
