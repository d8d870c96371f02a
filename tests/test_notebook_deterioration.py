"""The notebook of Ontario's bridges: its parameters, its run, and the numbers that it quotes."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

import workbench as wb
from workbench.base.errors import ParameterError
from workbench.report.html import outside
from workbench.report.notebook import Run

NAME = "bridge_deterioration"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"bugdet": 0.1}, ["'bugdet'", "did you mean 'budget'"]),
        ({"budget": 1.5}, ["budget", "1.5"]),
        ({"bridges": "publishd"}, ["'publishd'", "did you mean 'published'"]),
    ],
)
def test_parameters_are_refused_before_anything_runs(given: dict[str, Any], words: list[str], tmp_path: Path) -> None:
    with pytest.raises(ParameterError) as caught:
        wb.run_notebook(NAME, given, output=tmp_path / "run")
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return wb.run_notebook(NAME, {"fast": True}, output=tmp_path_factory.mktemp("runs") / "fast", progress=False)


@pytest.mark.slow
def test_inspections_kept_back_are_forecast_better_than_by_the_last(run: Run) -> None:
    assert outside(run.report.read_text("utf-8")) == []
    value = {name: entry["value"] for name, entry in json.loads(run.numbers.read_text("utf-8")).items()}
    assert value["kept"] > 500
    assert value["crps"] < value["crps_still"] < value["crps_line"]
    assert 0.85 < value["cov90"] < 0.99
    assert value["counts_low"] < value["happened"] < value["counts_high"]
    assert value["gain"] > value["worst_gain"], "more than mending the worst first"


@pytest.mark.slow
def test_predictions_for_every_bridge(run: Run) -> None:
    with (run.folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["bridge"] for row in rows}) > 450
    assert any(row["measured"] == "" for row in rows), "asked for, and not measured"
