"""The first notebook: a table, a twin, a forecast that is checked, a decision, a report."""

import csv
import json
from pathlib import Path

import pytest

import workbench as wb
from workbench.base.errors import ParameterError
from workbench.report.html import outside
from workbench.report.notebook import Run, RunError

NAME = "00_quickstart"


def test_parameters_are_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"'traping'.*did you mean 'trapping'"):
        wb.run_notebook(NAME, {"traping": 0.1}, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return wb.run_notebook(NAME, {"fast": True}, output=tmp_path_factory.mktemp("runs") / "fast", progress=False)


@pytest.mark.slow
def test_the_report_and_its_numbers(run: Run) -> None:
    html = run.report.read_text("utf-8")
    assert outside(html) == []
    assert html.count('<figure class="figure"') == 4
    assert 'sandbox="allow-scripts"' in html
    value = {name: entry["value"] for name, entry in json.loads(run.numbers.read_text("utf-8")).items()}
    assert (value["count"], value["first"], value["last"], value["readings"]) == (21, 1900, 1920, 10)
    assert value["period_low"] < value["period"] < value["period_high"]
    # equilibrium: hares in proportion to gamma + h, lynx unchanged (Volterra's principle), up to the swings
    assert 1.1 < value["hare"] < 1.4
    assert 0.85 < value["lynx"] < 1.05
    assert value["skill"] > 0.3


@pytest.mark.slow
def test_predictions_are_written_for_every_year(run: Run) -> None:
    with (run.folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 42
    assert sum(row["used"] == "False" for row in rows) == 10
    assert all(float(row["5%"]) < float(row["50%"]) < float(row["95%"]) for row in rows)


@pytest.mark.slow
def test_a_table_of_ones_own(tmp_path: Path) -> None:
    own = tmp_path / "own.csv"
    own.write_text("year,hares,lynx\n1900,1,2\n", encoding="utf-8")
    with pytest.raises(RunError, match=r"expected also \['hare'\]"):
        wb.run_notebook(NAME, {"data": str(own), "fast": True}, output=tmp_path / "run", progress=False)
