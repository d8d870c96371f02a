"""The notebook of the gas turbine: its parameters, its run, a user's file, and the numbers that it quotes."""

import csv
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import workbench as wb
from workbench.base.errors import ParameterError, WorkbenchError
from workbench.base.share import data_file, notebook
from workbench.report.html import outside
from workbench.report.notebook import Run
from workbench.report.parameters import validate

NAME = "plant_gas_turbine"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"wash_cots": 3}, ["'wash_cots'", "did you mean 'wash_cost'"]),
        ({"weeks": 0}, ["weeks", "0"]),
        ({"hours": "publishd"}, ["'publishd'", "did you mean 'published'"]),
        ({"train_through": "2013"}, ["train_through", "'2013'"]),
    ],
)
def test_parameters_are_refused_before_anything_runs(given: dict[str, Any], words: list[str], tmp_path: Path) -> None:
    with pytest.raises(ParameterError) as caught:
        wb.run_notebook(NAME, given, output=tmp_path / "run")
    assert [word for word in words if word not in str(caught.value)] == []


def test_defaults_run_offline() -> None:
    values = validate(notebook(NAME), {})
    assert (values["hours"], values["data"], values["fast"], values["train_through"]) == ("sample", None, False, 2013)


@pytest.mark.slow
@pytest.mark.parametrize("through", [2010, 2011])
def test_one_year_is_too_few(through: int, tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match=f"train_through={through}.*expected two years or more"):
        wb.run_notebook(NAME, {"fast": True, "train_through": through}, output=tmp_path / "run", progress=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return wb.run_notebook(NAME, {"fast": True}, output=tmp_path_factory.mktemp("runs") / "fast", progress=False)


@pytest.mark.slow
def test_the_year_kept_back_is_forecast(run: Run) -> None:
    assert outside(run.report.read_text("utf-8")) == []
    value = {name: entry["value"] for name, entry in json.loads(run.numbers.read_text("utf-8")).items()}
    assert (value["count"], value["train"], value["test"]) == (2018, 1359, 650)
    assert value["rmse"] < value["rmse_line"] < 1.0
    assert value["rmse_nox"] < value["nox_line"]
    assert value["rmse_co"] < value["co_line"]
    assert value["wide_first"] < value["wide_last"]
    assert value["changed"] >= 3


@pytest.mark.slow
def test_predictions_for_every_hour(run: Run) -> None:
    with (run.folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 2018
    yields = [row for row in rows if row["quantity"] == "TEY_MWH"]
    assert all(95 < float(row["50%"]) < 185 for row in yields)
    assert {row["learnt from"] for row in yields if row["year"] == "2013"} == {"False"}


@pytest.mark.slow
def test_later_years_of_a_users_file_are_forecast(tmp_path: Path) -> None:
    """The last year's readings are taken out, with two headers exchanged, and must be met by the intervals."""
    frame = pd.read_csv(data_file("gas_turbine.csv"), comment="#").drop(columns="row")
    asked = frame["year"] == 2013
    truth = frame["TEY_MWH"][asked].to_numpy()
    frame.loc[asked, ["TEY_MWH", "NOX_mg_m3", "CO_mg_m3"]] = None
    frame = frame.rename(columns={"TEY_MWH": "CDP_mbar", "CDP_mbar": "TEY_MWH"})
    frame.to_csv(tmp_path / "machine.csv", index=False)
    given = {"fast": True, "data": str(tmp_path / "machine.csv")}
    made = wb.run_notebook(NAME, given, output=tmp_path / "run", progress=False)
    assert "carry each other" in made.report.read_text("utf-8")
    predicted = pd.read_csv(made.folder / "predictions.csv")
    later = predicted[(predicted["quantity"] == "TEY_MWH") & (predicted["year"] == 2013)]
    assert len(later) == asked.sum()
    assert ((truth >= later["5%"]) & (truth <= later["95%"])).mean() > 0.8
    assert (abs(truth - later["50%"])).mean() < 0.8
