"""The notebook of the combined cycle: its parameters, its run into a report, and the numbers that it quotes."""

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

NAME = "plant_combined_cycle"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"splt": 3}, ["'splt'", "did you mean 'split'"]),
        ({"split": 20}, ["split", "20", "to 19"]),
        ({"hours": "publishd"}, ["'publishd'", "did you mean 'published'"]),
        ({"short_price": "40"}, ["short_price", "'40'", "a number"]),
    ],
)
def test_parameters_are_refused_before_anything_runs(given: dict[str, Any], words: list[str], tmp_path: Path) -> None:
    with pytest.raises(ParameterError) as caught:
        wb.run_notebook(NAME, given, output=tmp_path / "run")
    assert [word for word in words if word not in str(caught.value)] == []
    assert not (tmp_path / "run").exists()


def test_defaults_run_offline() -> None:
    values = validate(notebook(NAME), {})
    assert (values["hours"], values["data"], values["fast"]) == ("sample", None, False)


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
    for name in ("rmse", "log_likelihood", "rmse_line", "covered", "level", "twin_cost", "soonest", "latest", "right"):
        assert numbers[name]["text"] in text, name
    assert html.count('<figure class="figure"') == 5


@pytest.mark.slow
def test_its_numbers_are_those_of_the_plant(run: Run) -> None:
    value = {name: entry["value"] for name, entry in json.loads(run.numbers.read_text("utf-8")).items()}
    assert (value["count"], value["train"], value["test"]) == (1000, 650, 350)
    assert value["rmse"] < value["rmse_line"] < 5.0
    assert value["log_likelihood"] > value["log_line"]
    assert 0.84 < value["covered"] < 0.97
    assert value["twin_cost"] < value["median_cost"] < 1.5 * value["twin_cost"]
    assert value["low"] > 15
    assert value["high"] < 45, "°C, where steam condenses"
    assert value["mercury"] > 100


@pytest.mark.slow
def test_predictions_for_every_hour(run: Run) -> None:
    with (run.folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1000
    assert sum(row["kept back"] == "True" for row in rows) == 350
    assert all(float(row["5%"]) < float(row["50%"]) < float(row["95%"]) for row in rows)
    assert float(rows[0]["measured (MW)"]) == 480.48
