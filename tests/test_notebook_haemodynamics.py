"""The notebook of the circulation: its parameters, its run into a report, a reader's own record, and its numbers."""

import csv
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import workbench as wb
from workbench.base.errors import ParameterError
from workbench.base.share import data_file, notebook
from workbench.report.html import outside
from workbench.report.notebook import Run
from workbench.report.parameters import validate

NAME = "patient_haemodynamics"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"train_beat": 3}, ["'train_beat'", "did you mean 'train_beats'"]),
        ({"train_beats": 2}, ["train_beats", "2", "4"]),
        ({"dilation": 1.5}, ["dilation", "1.5", "0.8"]),
        ({"cardiac_output": "five"}, ["cardiac_output", "'five'", "a number"]),
    ],
)
def test_parameters_are_refused_before_anything_runs(given: dict[str, Any], words: list[str], tmp_path: Path) -> None:
    with pytest.raises(ParameterError) as caught:
        wb.run_notebook(NAME, given, output=tmp_path / "run")
    assert [word for word in words if word not in str(caught.value)] == []
    assert not (tmp_path / "run").exists()


def test_defaults_run_offline() -> None:
    values = validate(notebook(NAME), {})
    assert (values["data"], values["cardiac_output"], values["fast"]) == (None, None, False)


def numbers(run: Run) -> dict[str, Any]:
    """Return the numbers that a report quotes."""
    return {name: entry["value"] for name, entry in json.loads(run.numbers.read_text("utf-8")).items()}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return wb.run_notebook(NAME, {"fast": True}, output=tmp_path_factory.mktemp("runs") / "fast", progress=False)


@pytest.mark.slow
def test_its_numbers_are_those_of_the_patient(run: Run) -> None:
    value = numbers(run)
    assert (value["count"], value["ventricle"], value["count_diastoles"]) == (25, 12, 24)
    assert value["wave_abp"] < value["again_abp"]
    assert value["wave_pap"] < value["again_pap"]
    assert value["cover_abp"] > 0.85
    assert value["wide"] > 2 * value["narrow"]
    assert 1.2 < value["rc"] < 2.6
    html = run.report.read_text("utf-8")
    assert "medical device" in html
    assert outside(html) == []
    assert html.count('<figure class="figure"') == 6


@pytest.mark.slow
def test_predictions_of_both_lines(run: Run) -> None:
    with (run.folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 391
    assert {row["line"] for row in rows} == {"arterial", "pulmonary"}
    assert all(float(row["5%"]) < float(row["50%"]) < float(row["95%"]) for row in rows)


@pytest.mark.slow
def test_a_record_of_a_reader_with_a_measured_flow_and_a_gap(tmp_path: Path) -> None:
    table = pd.read_csv(data_file("icu_pressures.csv"), comment="#")
    gone = (table.index > 1500) & (table.index < 1600) | (table.index > 400) & (table.index < 450)
    file = tmp_path / "mine.csv"
    table.assign(**{"abp [mmHg]": table["abp [mmHg]"].where(~gone)}).to_csv(file, index=False)
    given = {"data": str(file), "fast": True, "cardiac_output": 4.0, "ventricle_below": 11.5, "train_beats": 10}
    run = wb.run_notebook(NAME, given, output=tmp_path / "run", progress=False)
    with (run.folder / "predictions.csv").open(encoding="utf-8", newline="") as rows:
        arterial = [row for row in csv.DictReader(rows) if row["line"] == "arterial"]
    assert len(arterial) == 391
    assert sum(row["measured (mmHg)"] == "" for row in arterial) == 30
    assert all(row["50%"] for row in arterial)
    posterior = pd.read_csv(next((run.folder / "tables").glob("*quantities*.csv")))
    flow = posterior.set_index("quantity")["median (89%)"]["cardiac output (L/min)"]
    _, low, high = (float(word.strip("()")) for word in flow.replace("to ", "").split())
    assert 3.2 < low < 4.0 < high < 4.9  # measured within 10 %
