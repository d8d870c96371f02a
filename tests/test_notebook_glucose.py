"""The notebook of glucose: its parameters, its run into a report, and the numbers that it quotes."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

import workbench as wb
from workbench.base.errors import ParameterError
from workbench.base.share import notebook
from workbench.report.notebook import Run
from workbench.report.parameters import validate

NAME = "patient_glucose"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"subjct": 3}, ["'subjct'", "did you mean 'subject'"]),
        ({"source": "recordd"}, ["'recordd'", "did you mean 'recorded'"]),
        ({"target": 300.0}, ["target", "300", "180"]),
        ({"train_days": "two"}, ["train_days", "'two'", "a number"]),
    ],
)
def test_parameters_are_refused_before_anything_runs(given: dict[str, Any], words: list[str], tmp_path: Path) -> None:
    with pytest.raises(ParameterError) as caught:
        wb.run_notebook(NAME, given, output=tmp_path / "run")
    assert [word for word in words if word not in str(caught.value)] == []
    assert not (tmp_path / "run").exists()


def test_defaults_run_offline() -> None:
    values = validate(notebook(NAME), {})
    assert (values["source"], values["data"], values["fast"]) == ("virtual", None, False)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return wb.run_notebook(NAME, {"fast": True}, output=tmp_path_factory.mktemp("runs") / "fast", progress=False)


@pytest.mark.slow
def test_its_numbers_are_those_of_the_patient(run: Run) -> None:
    value = {name: entry["value"] for name, entry in json.loads(run.numbers.read_text("utf-8")).items()}
    assert (value["readings"], value["meals"]) == (1441, 20)
    assert value["mae30"] < value["held30"]
    assert value["mae60"] < value["held60"]
    assert 0.75 < value["cover30"] < 0.98
    assert value["explained"] > 0.5
    assert 5 <= value["ratio"] <= 30
    html = run.report.read_text("utf-8")
    assert "medical device" in html
    assert html.count('<figure class="figure"') == 8


@pytest.mark.slow
def test_predictions_of_every_reading_30_and_60_minutes_before(run: Run) -> None:
    with (run.folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == (1441 - 6) + (1441 - 12)
    assert {row["horizon (min)"] for row in rows} == {"30", "60"}
    assert all(float(row["5%"]) < float(row["50%"]) < float(row["95%"]) for row in rows)
    late = [row for row in rows if row["kept back"] == "True" and row["horizon (min)"] == "30"]
    inside = [float(row["5%"]) <= float(row["measured (mg/dL)"]) <= float(row["95%"]) for row in late]
    assert 0.75 < sum(inside) / len(inside) < 0.98
