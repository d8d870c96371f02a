"""The builder without a browser: what a person does arrives as messages, what is shown is plain data."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from models import Ball, LynxHare, Room

import workbench as wb
from workbench.base.errors import DataError, DeclarationError, ParameterError
from workbench.base.share import data_file
from workbench.domains.patients.pharmacokinetics import OneCompartmentOral
from workbench.widgets.builder.panel import Builder
from workbench.widgets.builder.running import Running
from workbench.widgets.builder.session import Session

ORAL = "patients: OneCompartmentOral"


class Person:
    """Somebody at a panel: sends what the browser would send."""

    def __init__(self, panel: Builder):
        self.panel, self.count = panel, 0
        self.sent: list[Any] = []
        panel.send = lambda content, buffers=None: self.sent.append((content, buffers))  # type: ignore[method-assign]

    def does(self, **message: Any) -> "Person":
        self.count += 1
        self.panel._hear(None, {**message, "count": self.count}, [])
        assert self.panel.view["seen"] >= self.count or message["do"] in ("ask", "stop")
        return self

    def sets(self, id: str, value: Any) -> "Person":
        return self.does(do="set", id=id, value=value)

    def items(self) -> dict[str, Any]:
        """Every item of the form by its id."""
        found: dict[str, Any] = {}

        def walk(items: list[Any]) -> None:
            for item in items:
                found[item["id"]] = item
                walk(item.get("items", []))

        for section in self.panel.view["sections"]:
            walk(section["items"])
        return found


def waited(condition: Any, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing came of it"
        time.sleep(0.05)


def theophylline() -> Person:
    return Person(wb.build()).sets("choose", ORAL).sets("data", str(data_file("theophylline.csv")))


def test_a_twin_is_put_together_from_an_empty_form() -> None:
    person = theophylline()
    panel = person.panel
    assert panel.problems == {}
    assert panel.view["ready"]
    assert panel.view["looks"]["units"] == [str(k) for k in range(1, 13)]
    assert panel.recipe.inputs == {"dose": {"column": "dose * weight", "once": True}}
    assert json.loads(json.dumps(panel.view)) == panel.view
    items = person.items()
    assert items["columns/conc/column"]["value"] == "conc"
    assert "<math" in items["model/equations/rhs/gut/shown"]["html"]
    assert items["head"]["head"] == ["subject", "weight [kg]", "dose [mg/kg]", "time [h]", "conc [mg/L]"]
    assert len(panel.scene["theta"]) == 200
    assert len(panel.scene["curves"][0]["observed"]) == 11
    person.sets("preview/unit", 3)
    assert panel.scene["source"] == "draws of the priors, unit 4"


def test_dragging_a_prior_moves_the_band() -> None:
    person = theophylline()
    before = np.array(person.panel.scene["theta"])
    person.does(do="drag", id="model/quantities/CL/prior", low=2.0, high=4.0)
    after = np.array(person.panel.scene["theta"])
    names = list(person.panel.model.theta)
    column = names.index("CL")
    assert np.quantile(after[:, column], [0.05, 0.95]) == pytest.approx([2, 4], rel=0.15)
    assert np.array_equal(np.delete(before, column, 1), np.delete(after, column, 1))
    assert person.items()["model/quantities/CL/prior"]["low"] == pytest.approx(2.0)
    person.does(do="undo")
    assert np.array_equal(before, person.panel.scene["theta"])
    person.does(do="drag", id="model/quantities/CL/prior", low=-2.0, high=4.0)
    assert "expected it inside" in person.panel.problems["model/quantities/CL/prior"]


def test_the_band_is_that_of_the_kernels() -> None:
    person = theophylline()
    shown = person.panel._shown
    assert shown is not None
    assert "base" in person.panel.scene
    assert person.panel.scene["base"] is None, "the browser works it out"
    assert np.isfinite(shown.base).all()


def test_problems_stand_beside_their_fields_and_nothing_is_lost() -> None:
    person = theophylline()
    panel = person.panel
    scene = dict(panel.scene)
    person.sets("model/equations/rhs/body", "ka * gut - CL / V * bdy")
    assert "did you mean 'body'" in person.items()["model/equations/rhs/body"]["problem"]
    assert person.items()["model/equations/rhs/body"]["value"] == "ka * gut - CL / V * bdy"
    assert not panel.view["ready"]
    assert panel.view["sections"][0]["wrong"] == 1
    assert {**panel.scene, "count": 0} == {**scene, "count": 0}, "the last good preview stays"
    with pytest.raises(DataError, match=r"the form has problems: .*'bdy'"):
        _ = panel.recipe
    person.sets("model/equations/rhs/body", "ka * gut - CL / V * body")
    assert panel.problems == {}
    recipe = panel.recipe
    for message in (
        {"do": "drag", "id": "nothing/there", "low": 1, "high": 2},
        {"do": "set", "id": "choose", "value": "no"},
        {"do": "add", "kind": "State", "name": "__import__('os')"},
        {"do": "what"},
        {"do": "drag"},
    ):
        person.does(**message)
        assert panel.recipe == recipe
    assert panel.problems.keys() == {""}, "it says so"
    person.sets("sizes/seed", "1")
    assert panel.problems == {}


def test_a_model_is_typed_from_nothing() -> None:
    person = Person(wb.build())
    person.does(do="add", kind="State", name="T").does(do="add", kind="Parameter", name="k").does(
        do="add", kind="Input", name="To"
    )
    person.does(do="add", kind="Output", name="read")
    for id, value in (
        ("model/quantities/T/unit", "degC"), ("model/quantities/T/start", "20"), ("model/quantities/k/unit", "1/h"),
        ("model/quantities/To/unit", "degC"), ("model/equations/rhs/T", "k * (To - T)"),
        ("model/quantities/read/unit", "degC"), ("model/equations/observe/read", "T"), ("how/To", "value"),
        ("inputs/To/value", "5"),
    ):  # fmt: skip
        person.sets(id, value)
    assert person.panel.problems == {}
    assert person.panel.scene["curves"][0]["label"].startswith("read")
    person.sets("preview/span", "48")
    assert person.panel.scene["times"][-1] == 48
    person.sets("known/model/quantities/k", "known")
    assert person.panel.model.parameters["k"].prior is None
    person.sets("known/model/quantities/k", "estimated").sets("shape/model/quantities/k/prior", "Gamma")
    assert person.panel.model.parameters["k"].prior.name == "Gamma"
    person.does(do="press", id="estimate/model/quantities/T/start")
    assert "T_start" in person.panel.model.theta
    person.sets("shape/model/quantities/read/noise", "StudentT").sets("how/To", "series").sets(
        "series/To", "0: 5, 24: 8"
    )
    assert person.panel.model.outputs["read"].noise.name == "StudentT"
    names: dict[str, Any] = {}
    exec(person.panel.view["code"], names)  # what the library itself has just printed
    made = wb.simulate(names["Twin"], [0.0, 10.0], inputs={"To": [(0.0, 5.0), (24.0, 8.0)]}, seed=1)
    again = wb.simulate(person.panel.model, [0.0, 10.0], inputs={"To": [(0.0, 5.0), (24.0, 8.0)]}, seed=1)
    assert made["read"].equals(again["read"])
    person.does(do="press", id="remove/k")
    assert "unknown name 'k'" in person.panel.problems["model/equations/rhs/T"]


def test_an_event_a_bound_and_a_limit_are_typed() -> None:
    person = Person(wb.build())
    for kind, name in (("State", "h"), ("State", "v"), ("Event", "floor"), ("Output", "seen")):
        person.does(do="add", kind=kind, name=name)
    for id, value in (
        ("model/time_unit", "s"), ("model/quantities/h/unit", "m"), ("model/quantities/v/unit", "m/s"),
        ("model/quantities/h/start", "2"), ("model/equations/rhs/h", "v"), ("model/equations/rhs/v", "-9.81"),
        ("model/quantities/floor/unit", "m"), ("model/equations/events/floor", "h"),
        ("model/quantities/floor/direction", "falling"), ("model/equations/reset/floor.v", "-0.8 * v"),
        ("model/quantities/seen/unit", "m"), ("model/equations/observe/seen", "h"),
        ("model/quantities/h/bounds/0", "0"), ("model/quantities/seen/limits/0", "0.1"),
    ):  # fmt: skip
        person.sets(id, value)
    assert person.panel.problems == {}
    model = person.panel.model
    assert (model.states["h"].bounds, model.outputs["seen"].limits) == ((0.0, None), (0.1, None))
    run = wb.simulate(model, [0.0, 0.8], seed=1)
    impact = np.sqrt(2 * 2 / 9.81)  # then it flies upwards at 0.8 of its speed
    high = 0.8 * 9.81 * impact * (0.8 - impact) - 9.81 / 2 * (0.8 - impact) ** 2
    assert float(run["h"].sel(time=0.8)) == pytest.approx(high, rel=1e-5)
    person.sets("model/equations/reset/floor.v", "")
    assert person.panel.problems == {}
    assert person.panel.recipe.model["equations"]["reset"] == {}


def test_a_discrepancy_is_asked_for_beside_the_data() -> None:
    person = theophylline()
    assert person.items()["leaves/conc"]["value"] == ""
    person.sets("leaves/conc", "tme")
    assert "did you mean 'time'" in person.panel.problems["discrepancy/conc"]
    person.sets("leaves/conc", "time")
    assert person.panel.problems == {}
    assert person.panel.recipe.discrepancies == [wb.Discrepancy("conc")]
    person.sets("discrepancy/conc/joint", False)
    assert person.items()["discrepancy/conc/joint"]["value"] is False
    assert person.panel.recipe.discrepancies == [wb.Discrepancy("conc", joint=False)]
    assert 'discrepancy=[wb.Discrepancy("conc", joint=False)]' in person.panel.view["code"]
    person.sets("leaves/conc", "")
    assert person.panel.recipe.discrepancies is None


def test_formulas_over_cases_are_built_shown_and_calibrated() -> None:
    """A line typed from nothing over a table without times; its band is drawn at the cases."""
    x = np.linspace(0.0, 3.0, 12)
    table = pd.DataFrame({"load [kN]": x, "sag [mm]": 1 + 0.5 * x})
    person = Person(wb.build(None, table))
    person.sets("rekind", "Static").sets("model/time_unit", "1")
    person.does(do="add", kind="Input", name="load").does(do="add", kind="Parameter", name="softness")
    person.does(do="add", kind="Output", name="sag")
    for id, value in (
        ("model/quantities/load/unit", "kN"), ("model/quantities/softness/unit", "mm/kN"),
        ("model/quantities/sag/unit", "mm"), ("model/equations/observe/sag", "softness * load"),
        ("columns/sag/column", "sag"), ("inputs/load/column", "load"),
    ):  # fmt: skip
        person.sets(id, value)
    assert person.panel.problems == {}
    scene = person.panel.scene
    assert (scene["time"], scene["times"], scene["refusal"]) == ("case", list(range(12)), "")
    shown = person.panel._shown
    assert shown is not None
    assert shown.base[:, :, 0] == pytest.approx(shown.base[:, 6:7, 0] / x[6] * x), "in proportion to the load"
    assert person.panel.recipe.read().inputs["load"]["value"].tolist() == x.tolist()


def test_what_was_done_is_a_file_and_opens_equal(tmp_path: Path) -> None:
    person = theophylline().sets("pool/ka", "partial").sets("sizes/draws", "50")
    panel, path = person.panel, tmp_path / "twin.yaml"
    person.does(do="save", path=str(path))
    assert "workbench run twin -f" in panel.view["said"]
    opened = wb.build(path)
    assert opened.recipe == wb.Recipe.open(path)
    assert opened.recipe.pool == {"ka": "partial"}
    shown = {**panel.view, "code": opened.view["code"]}  # in which the file has its whole path
    assert {**opened.view, "seen": 0, "said": ""} == {**shown, "seen": 0, "said": ""}
    other = Person(wb.build()).sets("choose", ORAL)
    other.does(do="save", path=str(path))
    assert "is there already" in other.panel.view["file"], "two panels on one file do not overwrite each other"
    assert wb.Recipe.open(path) == opened.recipe
    other.does(do="save", path=str(path))
    assert wb.Recipe.open(path).data is None
    person.does(do="save", path=str(path))
    assert "is there already" in panel.view["file"]
    person.does(do="open", path=str(path))
    assert panel.recipe.data is None
    person.does(do="open", path=str(tmp_path / "none.yaml"))
    assert "cannot be read" in panel.view["file"]
    person.does(do="save", path="twin.txt")
    assert "ends in .yaml" in panel.view["file"]


def test_a_file_that_declares_what_cannot_be_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "twin.yaml"
    for text, message in (
        ("model: {name: A, kind: Ode, time_unit: h, quantities: {x: 3}, equations: {}}", "x: got 3"),
        ("model: {name: A, kind: Ode, time_unit: h, quantities: {}, equations: {}}", "got no state"),
        ("model: 3", "model: got 3"),
    ):
        path.write_text(text)
        person = theophylline()
        before = person.panel.recipe
        person.does(do="open", path=str(path))
        assert message in person.panel.view["file"]
        assert person.panel.recipe == before
        with pytest.raises(DeclarationError, match=message):
            wb.build(path)


def test_pairs_of_time_and_value_keep_their_digits_and_slips_of_the_pen() -> None:
    person = theophylline().sets("how/dose", "series").sets("series/dose", "0: 320.123456789, 12: 1e-7")
    assert person.panel.recipe.inputs["dose"] == {"series": [[0.0, 320.123456789], [12.0, 1e-7]]}
    assert person.items()["series/dose"]["value"] == "0: 320.123456789, 12: 1e-07"
    for slip in ("a: 5", "0: 320, 12", "0: 320, 12: x", ","):
        person.sets("series/dose", slip)
        assert person.items()["series/dose"]["value"] == slip
        assert "expected pairs of a time and a value" in person.panel.problems["inputs/dose"]


def test_a_table_of_the_kernel() -> None:
    table = pd.read_csv(data_file("lynx_hare.csv"), comment="#")
    panel = wb.build(LynxHare, table)
    assert panel.problems == {}
    assert panel.view["ready"]
    session = Session(wb.build(LynxHare)._session.draft, {"pelts": table})
    session.do({"do": "set", "id": "frame", "value": "pelts"})
    assert session.checked.problem is not None
    session.do({"do": "set", "id": "frame", "value": "pelt"})
    assert "did you mean 'pelts'" in session.refused["frame"]


@pytest.mark.slow
def test_what_a_browser_cannot_run_is_computed_by_the_kernel() -> None:
    person = Person(wb.build(Ball))
    assert person.panel.code == "null"
    assert "events" in person.panel.scene["refusal"]
    person.sets("preview/span", "1.2")
    person.does(do="ask", settings={"e": 0.5})
    assert person.panel._slow.wait(60)
    content, buffers = person.sent[-1]
    assert content == {"answer": "curves", "first": False}
    assert np.frombuffer(buffers[0]).size == 3 * 161


def test_a_run_in_the_background_is_told_of_and_shown() -> None:
    person = Person(wb.build(wb.Recipe.of(LynxHare, data_file("lynx_hare.csv"), draws=300, tune=300, chains=2)))
    panel, states = person.panel, list[dict[str, Any]]()
    panel.observe(lambda change: states.append(change["new"]), "run")
    person.does(do="calibrate")
    began = threading.active_count()
    assert panel.run["state"] == "running"
    person.sets("sizes/seed", "2")  # the panel goes on answering
    waited(lambda: panel.run["state"] != "running")
    assert panel.run["state"] == "done", panel.run
    assert began > 1
    words = [state["words"] for state in states]
    assert "compiling the model" in words
    assert any(word.startswith("sampling") for word in words)
    assert list(panel.results) == ["Posterior", "Trust card", "Fits", "Predictions", "Identifiability", "Explore"]
    assert "chains agree" in panel.results["Trust card"]
    alone = wb.Recipe.of(
        LynxHare, data_file("lynx_hare.csv"), columns=panel.recipe.columns, draws=300, tune=300, chains=2
    )
    calibration = panel.calibration
    assert calibration is not None
    mine = alone.calibrate(progress=False)
    assert calibration.posterior.drop_attrs().equals(mine.posterior.drop_attrs())
    assert calibration.posterior.attrs.keys() == mine.posterior.attrs.keys(), "a panel leaves nothing behind in it"


def test_a_run_is_stopped_and_keeps_what_was_drawn() -> None:
    person = Person(wb.build(wb.Recipe.of(LynxHare, data_file("lynx_hare.csv"), draws=100_000, tune=200, chains=2)))
    panel = person.panel
    person.does(do="calibrate")
    waited(lambda: panel.run["traces"] and panel.run["traces"][0]["draws"] > 50)
    assert {"name", "chains", "draws"} == set(panel.run["traces"][0])
    person.does(do="calibrate")  # a second click begins nothing
    person.does(do="stop")
    waited(lambda: panel.run["state"] != "running")
    assert panel.run["state"] == "stopped", panel.run
    assert panel.calibration is not None
    assert 4 <= panel.calibration.posterior.sizes["draw"] < 100_000
    assert "stopped early" in panel.results["Posterior"]


def test_a_run_that_fails_says_why() -> None:
    told = list[dict[str, Any]]()
    recipe = wb.Recipe.of(Room, "nothing.csv", columns={"time": "t"}, draws=10)
    run = Running(recipe, told.append, lambda calibration: None)
    run.start()
    assert run.join(60)
    assert told[-1]["state"] == "failed"
    assert "nothing.csv" in told[-1]["words"]

    def broken(calibration: Any) -> None:
        raise RuntimeError("no room")

    good = wb.Recipe.of(
        LynxHare,
        data_file("lynx_hare.csv"),
        columns={"time": "year", "hare_pelts": "hare"},
        draws=50,
        tune=50,
        chains=1,
    )
    run = Running(good, told.append, broken)
    run.start()
    assert run.join(120)
    assert told[-1] == {**told[-1], "state": "failed", "words": "RuntimeError: no room"}


def test_what_cannot_be_built_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="cannot be read"):
        wb.build(tmp_path / "none.yaml")
    with pytest.raises(DeclarationError, match="expected a model"):
        wb.build(3)
    assert "data" in wb.build(OneCompartmentOral, tmp_path / "none.csv").problems
