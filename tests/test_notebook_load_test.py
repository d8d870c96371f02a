"""The notebook of the load test: its parameters, its run, its error beside the published model's, its predictions."""

import csv
import json
from pathlib import Path

import pytest

import workbench as wb
from workbench.base.errors import ParameterError
from workbench.base.share import data_file
from workbench.report.html import outside
from workbench.report.notebook import Run, RunError

NAME = "bridge_load_test"


@pytest.mark.parametrize(
    ("given", "words"),
    [({"limit": -1.0}, "limit"), ({"size": 1000}, "size"), ({"sizes": 60}, "did you mean 'size'")],
)
def test_parameters_are_refused_before_anything_runs(tmp_path: Path, given: dict[str, float], words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        wb.run_notebook(NAME, given, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return wb.run_notebook(NAME, {"fast": True}, output=tmp_path_factory.mktemp("runs") / "fast", progress=False)


@pytest.mark.slow
def test_sensors_left_out_are_predicted_better_than_by_the_published_model(run: Run) -> None:
    html = run.report.read_text("utf-8")
    assert outside(html) == []
    assert html.count('<figure class="figure"') == 5
    assert " at 0x" not in html
    value = {name: entry["value"] for name, entry in json.loads(run.numbers.read_text("utf-8")).items()}
    assert value["theirs"] == pytest.approx(0.046, abs=1e-3)
    assert value["ours"] < 0.016
    assert value["r"] > 0.98 > value["r_theirs"]
    assert value["strain"] < value["strain_theirs"]
    assert value["enough"] > 50
    assert value["chance"] <= value["local"] < 0.05


@pytest.mark.slow
def test_predictions_are_of_every_sensor_and_hold_the_readings(run: Run) -> None:
    with (run.folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = {(row["sensorlabel"], float(row["xpostruck"])): row for row in csv.DictReader(file)}
    assert len(rows) == 66 * 13
    lines = data_file("bridge705_readings.csv").read_text("utf-8").splitlines()
    seen = [line.split(",") for line in lines if line[:1] in "ds"][1:]
    inside = [
        float(rows[label.removesuffix("-Tcorr"), float(front)]["5%"])
        <= float(value)
        <= float(rows[label.removesuffix("-Tcorr"), float(front)]["95%"])
        for _, label, front, value in seen
        if value
    ]
    assert len(inside) == 653
    assert 0.85 < sum(inside) / len(inside) < 0.95


@pytest.mark.slow
def test_a_file_of_ones_own_that_is_wrong_is_refused(tmp_path: Path) -> None:
    text = data_file("bridge705_readings.csv").read_text("utf-8")
    (tmp_path / "own.csv").write_text(text.replace("U13", "U313"), "utf-8")
    with pytest.raises(RunError, match="did you mean 'U13'"):
        wb.run_notebook(NAME, {"data": str(tmp_path / "own.csv"), "fast": True}, output=tmp_path / "a", progress=False)
