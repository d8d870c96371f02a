"""The notebook of theophylline: its parameters, its run into a report, and the numbers that it quotes."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

import workbench as wb
from workbench.base.errors import ParameterError
from workbench.base.share import notebook
from workbench.report.html import outside
from workbench.report.notebook import Run
from workbench.report.parameters import validate

NAME = "patient_pharmacokinetics"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"drawz": 500}, ["'drawz'", "did you mean 'draws'"]),
        ({"draws": 10}, ["draws", "10", "from 50"]),
        ({"pooling": "partly"}, ["'partly'", "did you mean 'partial'"]),
        ({"every": "8"}, ["every", "'8'", "a number"]),
    ],
)
def test_parameters_are_refused_before_anything_runs(given: dict[str, Any], words: list[str], tmp_path: Path) -> None:
    with pytest.raises(ParameterError) as caught:
        wb.run_notebook(NAME, given, output=tmp_path / "run")
    assert [word for word in words if word not in str(caught.value)] == []
    assert not (tmp_path / "run").exists()


def test_defaults_are_a_full_run() -> None:
    values = validate(notebook(NAME), {})
    assert (values["draws"], values["chains"], values["data"], values["fast"]) == (1000, 4, None, False)
    assert values["trough_low"] < values["trough_high"] < values["peak_limit"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return wb.run_notebook(NAME, {"fast": True}, output=tmp_path_factory.mktemp("runs") / "fast", progress=False)


@pytest.mark.slow
def test_the_report_quotes_the_recorded_numbers(run: Run) -> None:
    html = run.report.read_text("utf-8")
    assert outside(html) == []
    assert "Warnings" not in re.findall(r"<h2[^>]*>(.*?)</h2>", html)
    numbers = json.loads(run.numbers.read_text("utf-8"))
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", html))
    for name in ("dose", "daily", "success", "success_low", "rhat", "coverage", "half_life", "odd_amount", "cv_ka"):
        assert numbers[name]["text"] in text, name
    assert f"is {numbers['dose']['text']} mg every 8 h" in text
    assert html.count('<figure class="figure"') == 7
    assert html.count("<math") > 20


@pytest.mark.slow
def test_its_numbers_are_those_of_the_study(run: Run) -> None:
    value = {name: entry["value"] for name, entry in json.loads(run.numbers.read_text("utf-8")).items()}
    assert (value["people"], value["samples"], value["early"], value["odd"]) == (12, 132, 3, 9)
    assert value["far"] < 1, "standard errors from the published typical values"
    assert 0.85 < value["coverage"] < 0.98
    assert 6 < value["half_life"] < 10, "healthy adults: about 8 h"
    assert 175 <= value["dose"] <= 325
    assert value["success_low"] < value["success"] < value["success_high"]
    assert value["success"] + value["too_low"] + value["too_high"] == pytest.approx(1, abs=1e-9)
    assert 0.5 < value["success"] < 0.95


@pytest.mark.slow
def test_tables_for_the_demo_and_for_others(run: Run) -> None:
    with (run.folder / "tables/population.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["parameter"]: row for row in csv.DictReader(file)}
    assert list(rows) == [
        "absorption ka, typical", "clearance CL, typical", "volume V, typical",
        "absorption ka, CV", "clearance CL, CV", "volume V, CV", "error, SD",
    ]  # fmt: skip
    assert rows["clearance CL, typical"]["published"].startswith("2.77 (2.42–3.18")
    assert rows["volume V, typical"]["unit"] == "L"
    assert rows["absorption ka, CV"]["published"] == "71.5"
    assert all(abs(float(row["difference"])) < 2 for row in rows.values())
    with (run.folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        samples = list(csv.DictReader(file))
    assert len(samples) == 132
    assert all(float(row["5%"]) < float(row["50%"]) < float(row["95%"]) for row in samples)
    measured = [float(row["measured (mg/L)"]) for row in samples]
    assert measured[:3] == [0.74, 2.84, 6.57]
