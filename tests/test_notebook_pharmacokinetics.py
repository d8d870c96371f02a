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
from workbench.report.notebook import Run, RunError
from workbench.report.parameters import validate

NAME = "patient_pharmacokinetics"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"drawz": 500}, ["'drawz'", "did you mean 'draws'"]),
        ({"draws": 10}, ["draws", "10", "from 50"]),
        ({"pooling": "partly"}, ["'partly'", "did you mean 'partial'"]),
        ({"every": "8"}, ["every", "'8'", "a number"]),
        ({"drug": "theophyline"}, ["'theophyline'", "did you mean 'theophylline'"]),
        ({"sampled_at": [1.0, "x"]}, ["sampled_at", "'x'", "a number"]),
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
    assert (values["drug"], values["sampled"]) == ("theophylline", [])


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
    assert html.count('<figure class="figure"') == 8
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
    assert value["tested"] == 3
    assert value["rmse_two"] < value["rmse_none"]


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


def numbers_of(run: Run) -> dict[str, Any]:
    return {name: entry["value"] for name, entry in json.loads(run.numbers.read_text("utf-8")).items()}


@pytest.mark.slow
def test_newborns(tmp_path: Path) -> None:
    value = numbers_of(wb.run_notebook(NAME, {"drug": "phenobarbital", "fast": True}, output=tmp_path, progress=False))
    assert (value["people"], value["samples"], value["doses"]) == (59, 155, 589)
    assert value["beyond"] < 2, "posterior SDs from Grasela & Donn (1985)"
    assert 110 < value["half_life"] < 190, "141 h, from the same"
    assert 15 <= value["load_kg"] <= 30, "mg/kg: 20 is customary"
    assert value["rmse_one"] < value["rmse_none"]


@pytest.mark.slow
def test_injections_and_a_patient_of_ones_own(tmp_path: Path) -> None:
    given = {"drug": "indomethacin", "fast": True, "dosed_at": [0.0], "dosed": [25.0]}
    given |= {"sampled_at": [6.0, 1.0], "sampled": [0.1, 0.6]}
    value = numbers_of(wb.run_notebook(NAME, given, output=tmp_path, progress=False))
    assert (value["people"], value["samples"], value["doses"], value["count"]) == (6, 66, 6, 2)
    assert 1.0 < value["per_kg_min"] < 2.5, "mL/min/kg: Helleberg (1981)"
    assert value["own_success"] > value["stranger_success"] - 0.01


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"trough_low": 16.0}, "trough_low=16, trough_high=15; expected low below high"),
        ({"drug": "indomethacin", "covariate": "weight"}, "printed no weights"),
        ({"sampled_at": [1.0], "sampled": [2.0]}, "0 dosed_at, 0 dosed, 1 sampled_at, 1 sampled"),
    ],
)
def test_parameters_that_do_not_go_together(given: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=words):
        wb.run_notebook(NAME, given, output=tmp_path / "run", progress=False)
