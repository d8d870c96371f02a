"""The notebook of any recipe: its numbers are those of the recipe, to the last digit."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from models import Line, LynxHare

import workbench as wb
from workbench.base.errors import ParameterError
from workbench.base.share import data_file
from workbench.cli import main
from workbench.report.html import outside

COLUMNS = {"time": "year", "hare_pelts": "hare", "lynx_pelts": "lynx"}


def test_what_is_no_recipe_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"'modle'.*did you mean 'model'"):
        wb.run_notebook("twin", {"modle": {}}, output=tmp_path / "run")


@pytest.mark.slow
def test_a_saved_recipe_gives_the_same_numbers_without_a_head(tmp_path: Path) -> None:
    recipe = wb.Recipe.of(LynxHare, data_file("lynx_hare.csv"), columns=COLUMNS, draws=200, tune=300, chains=2)
    saved = recipe.save(tmp_path / "twin.yaml")
    done = CliRunner().invoke(
        main, ["run", "twin", "-f", str(tmp_path / "twin.yaml"), "-o", str(tmp_path / "run")], catch_exceptions=False
    )
    assert done.exit_code in (0, 3), done.output
    assert outside((tmp_path / "run" / "report.html").read_text("utf-8")) == []
    predicted = saved.calibrate(progress=False).tree["posterior_predictive"]
    with (tmp_path / "run" / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for name in ("hare_pelts", "lynx_pelts"):
        mine = [float(row["95%"]) for row in rows if row["sensor"] == name]
        assert mine == predicted[name].quantile(0.95, ["chain", "draw"]).values.tolist()
        assert np.isfinite(mine).all()


@pytest.mark.slow
def test_its_default_is_the_study_of_theophylline(tmp_path: Path) -> None:
    run = wb.run_notebook("twin", {"fast": True}, output=tmp_path / "run", progress=False)
    with (run.folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 132
    assert all(float(row["5%"]) < float(row["50%"]) < float(row["95%"]) for row in rows)


@pytest.mark.slow
def test_a_recipe_with_a_discrepancy_shows_what_it_changes(tmp_path: Path) -> None:
    table = pd.DataFrame({"x [s]": np.linspace(0, 6, 30)}).assign(y=lambda t: 1 + 0.5 * t["x [s]"] + np.sin(t["x [s]"]))
    recipe = wb.Recipe.of(
        Line, table, columns={"y": "y"}, inputs={"x": "x"}, discrepancy=wb.Discrepancy("y", over="x"), draws=200
    )
    recipe.save(tmp_path / "twin.yaml")
    words = ["run", "twin", "-f", str(tmp_path / "twin.yaml"), "-o", str(tmp_path / "run")]
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    assert done.exit_code in (0, 3), done.output
    text = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "an unknown function was fitted" in text
    assert (tmp_path / "run" / "tables" / "discrepancy.csv").is_file()
