"""Numbers are quoted through the card of their calibration: struck through, with the reason, and in the exit status."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner

from workbench import cli, report
from workbench.base.errors import WorkbenchError
from workbench.calibrate.calibration import Calibration
from workbench.calibrate.trust.card import Gate, TrustCard
from workbench.report import quote, record
from workbench.report.render import DOUBT, Doubt, Grid

BOOKS = Path(__file__).parent / "notebooks"
FRAME = pd.DataFrame({"what": ["k & m", "V"], "ours": ["1.5", ""], "published": [1.4, 2.0]})


def calibrated(verdict: str) -> Calibration:
    """Return a calibration of a few draws with a card of one gate."""
    lead = {"chain": [0, 1], "draw": np.arange(5)}
    posterior = xr.Dataset({"k": (("chain", "draw"), np.ones((2, 5)))}, lead, {"model": "Room"})
    made = Calibration(xr.DataTree.from_dict({"posterior": posterior}))
    card = TrustCard((Gate("chains <agree>", verdict, 2.0, float("inf"), "R-hat is 2"),))  # type: ignore[arg-type]
    made.__dict__["trust"] = card  # where a cached property keeps it
    return made


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The folder of a run, without a kernel."""
    monkeypatch.setenv(record.RUN, str(tmp_path))
    record.record.cache_clear()
    yield tmp_path
    record.record.cache_clear()


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("verdict", ["failed", "not run"])
def test_what_the_card_does_not_hold_is_struck_through(verdict: str, folder: Path, capsys: Any) -> None:
    of = report.through(calibrated(verdict))
    reason = f"'chains <agree>' {verdict}"
    number = of.number("k", 1.2345, unit="1/h")
    assert str(number) == f"~~1.23 1/h~~ (not to be trusted: {reason})"
    markdown = number._repr_markdown_()
    assert markdown.startswith("<s>1.23 1/h</s> ")
    assert "&lt;agree&gt;" in markdown
    of.say("Of {n} people {v:.1f} litres.", n=report.number("n", 12), v=3.14)
    assert f"Of 12 people ~~3.1~~ (not to be trusted: {reason}) litres." in capsys.readouterr().out
    numbers = load(folder / "numbers.json")
    assert {name for name, entry in numbers.items() if "doubt" in entry} == {"k", "v"}
    assert report.number("n", 12).doubt == ""
    assert report.number("k", 1.2345, unit="1/h").doubt == reason, "a doubt is not lifted by quoting again"
    card = load(folder / "record.json")["trust"]["Room"]
    assert not card["passed"]
    assert card["gates"][0]["threshold"] is None


def test_what_the_card_holds_is_printed_as_ever(folder: Path, capsys: Any) -> None:
    of = report.through(calibrated("passed"))
    assert str(of.number("k", 1.2345, unit="1/h")) == "1.23 1/h"
    of.say("It is {v:.1f}.", v=3.14)
    of.table(FRAME, "rows", "Rows.")
    assert load(folder / "numbers.json")["v"] == {"value": 3.14, "unit": "1", "text": "3.1"}
    said = capsys.readouterr().out
    assert "It is 3.1." in said
    assert "~~" not in said
    assert load(folder / "record.json")["trust"]["Room"]["passed"]


def test_tables_strike_the_columns_that_are_of_the_calibration(folder: Path, capsys: Any) -> None:
    of = report.through(calibrated("failed"))
    of.table(FRAME, "rows", "Rows.", columns=["ours"])
    said = capsys.readouterr().out
    assert "k & m  ~~1.5~~       1.40" in said
    assert "Struck through: not to be trusted ('chains <agree>' failed)." in said
    assert "not to be trusted" in (folder / "tables/rows.csv").read_text(encoding="utf-8").splitlines()[1]
    latex = (folder / "tables/rows.tex").read_text(encoding="utf-8")
    assert r"k \& m & \sout{1.5} & 1.40 \\" in latex
    assert latex.startswith("%")
    assert load(folder / "record.json")["tables"]["rows"]["doubt"] == "'chains <agree>' failed"
    of.table(FRAME, "all", "All.")
    assert "~~1.40~~" in capsys.readouterr().out, "by default all but the first"
    assert DOUBT not in FRAME.attrs
    with pytest.raises(WorkbenchError, match=r"unknown column 'our'.*did you mean 'ours'"):
        of.table(FRAME, "wrong", "Rows.", columns=["our"])
    with pytest.raises(WorkbenchError, match="expected a calibration"):
        report.through(3.0)  # type: ignore[arg-type]


def test_cells_are_escaped_within_their_marks() -> None:
    frame = FRAME.copy()
    frame.attrs[DOUBT] = Doubt("why", ("what",))
    html = Grid(frame).html()
    assert "<td><s>k &amp; m</s></td>" in html
    assert "<th>what</th>" in html
    assert html.count("<s>") == 2


def test_a_report_strikes_through_and_the_command_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli.main, ["run", str(BOOKS / "doubted.ipynb")])
    assert done.exit_code == cli.DOUBTED == 3, done.output
    folder = tmp_path / "runs/doubted"
    assert done.stdout.splitlines()[-1] == str(folder / "report.html"), "the report is written all the same"
    assert done.stderr.startswith("workbench: 2 of its numbers and tables are not to be trusted: 'enough draws' failed")
    past = load(folder / "provenance.json")
    assert past["status"] == "completed"
    assert set(past["doubts"]) == {"cl", "posterior"}
    assert not past["trust"]["Patient"]["passed"]
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert re.search(
        r"In 12 people clearance is <s>2\.\d L/h</s> <small>\(not to be trusted: 'enough draws' failed", text
    )
    assert re.search(r"<td class=num><s>|<td><s>2\.", text)
    assert "Not all of this is to be trusted." in text
    assert load(folder / "numbers.json")["people"] == {"value": 12, "unit": "1", "text": "12"}


def test_the_status_is_in_the_help() -> None:
    said = CliRunner().invoke(cli.main, ["run", "--help"]).output
    assert "3 when it is" in said
    assert quote.through.__doc__
    assert "status 3" in quote.through.__doc__
