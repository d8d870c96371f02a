"""The notebook of modal updating: its parameters, its run on the frame, and the numbers that it quotes."""

import csv
import json
import os
from pathlib import Path

import pytest

import workbench as wb
from workbench.base.errors import ParameterError
from workbench.base.share import data_file
from workbench.report.html import outside
from workbench.report.notebook import Run, RunError

NAME = "bridge_modal_updating"
HERE = Path(os.environ.get("WORKBENCH_DATA", ""), "bridges/smu_pedestrian_bridge/SteelPedestrianBridgeExp.mat")


def test_parameters_are_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"'footbrigde'.*did you mean 'footbridge'"):
        wb.run_notebook(NAME, {"structure": "footbrigde"}, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def numbers(run: Run) -> dict[str, float]:
    return {name: entry["value"] for name, entry in json.loads(run.numbers.read_text("utf-8")).items()}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return wb.run_notebook(NAME, {"fast": True}, output=tmp_path_factory.mktemp("runs") / "fast", progress=False)


@pytest.mark.slow
def test_the_report_of_the_frame(run: Run) -> None:
    html = run.report.read_text("utf-8")
    assert outside(html) == []
    assert html.count('<figure class="figure"') == 3
    assert " at 0x" not in html
    value = numbers(run)
    assert value["held"] == value["kept"] == 2
    assert value["left"] < 1
    assert value["far"] < 3
    assert "<strong>Inspect factor[1], factor[2].</strong>" in html


@pytest.mark.slow
def test_predictions_are_written(run: Run) -> None:
    with (run.folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["sensor"] for row in rows] == ["f1", "f2", "f3", "f4"]
    assert all(float(row["5%"]) < float(row["measured (Hz)"]) < float(row["95%"]) for row in rows)
    assert all(float(row["kept back 5%"]) < float(row["kept back 95%"]) for row in rows[2:])


@pytest.mark.slow
def test_a_frame_of_ones_own_and_what_cannot_be(tmp_path: Path) -> None:
    text = data_file("four_storey_frame.csv").read_text("utf-8")
    (tmp_path / "own.csv").write_text(text.replace("[Hz]", "[kg]"), "utf-8")
    with pytest.raises(RunError, match="UnitError"):
        wb.run_notebook(NAME, {"data": str(tmp_path / "own.csv"), "fast": True}, output=tmp_path / "a", progress=False)
    with pytest.raises(RunError, match="for the footbridge; expected it for structure='frame'"):
        wb.run_notebook(NAME, {"data": "x.csv", "structure": "footbridge"}, output=tmp_path / "b", progress=False)
