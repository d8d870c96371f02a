"""Drafts: what is typed is kept, what is wrong is said where it is, and a draft without problems is a recipe."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import Line, LynxHare, Room

import workbench as wb
from workbench.base.errors import DeclarationError, ParameterError
from workbench.base.share import data_file
from workbench.declare.prior import make
from workbench.domains.patients.pharmacokinetics import OneCompartmentNewborn, OneCompartmentOral
from workbench.recipe.believed import OFFERED, curve, interval, spanning
from workbench.recipe.catalogue import catalogue, chosen
from workbench.recipe.check import check
from workbench.recipe.columns import open_table
from workbench.recipe.draft import Draft, added, changed, dragged, number, rekinded, removed, reshaped
from workbench.recipe.guess import guess

THEOPHYLLINE = str(data_file("theophylline.csv"))
COLUMNS = {"time": {"column": "time"}, "unit": {"column": "subject"}, "conc": {"column": "conc"}}
DOSE = {"dose": {"column": "dose * weight", "once": True}}
RECIPE = wb.Recipe.of(OneCompartmentOral, THEOPHYLLINE, columns=COLUMNS, inputs=DOSE)


def test_a_draft_without_problems_is_the_recipe_it_came_from() -> None:
    draft = Draft.of(RECIPE)
    found = check(draft)
    assert found.problems == {}
    assert draft.recipe() == RECIPE
    assert found.problem is not None
    assert found.problem.units == tuple(range(1, 13))


@pytest.mark.parametrize(
    ("path", "value", "place", "message"),
    [
        ("model/equations/rhs/gut", "-ka * gt", None, r"unknown name 'gt'.*did you mean 'gut'"),
        ("model/equations/rhs/gut", "-ka *", None, r"which is no formula"),
        ("model/equations/rhs/gut", "__import__('os')", None, r"unknown function '__import__'"),
        ("model/equations/rhs/gut", "", None, r"expected a formula"),
        ("model/equations/rhs/gut", "-CL * gut", None, r"expected mg/h"),
        ("model/quantities/ka/prior/median", "-1", "model/quantities/ka", r"expected a number above 0"),
        ("model/quantities/ka/prior/median", "one", "model/quantities/ka", r"got median='one'; expected a number"),
        ("model/quantities/ka/prior/median", "nan", "model/quantities/ka", r"expected a finite number"),
        ("model/quantities/ka/prior/median", "", "model/quantities/ka", r"got median=''; expected a number"),
        ("model/quantities/ka/unit", "1/hour_", "model/quantities/ka/unit", r"unknown unit '1/hour_'"),
        ("model/quantities/gut/start", "gutt", None, r"unknown parameter 'gutt'"),
        ("model/time_unit", "kg", None, r"kg"),
        ("model/name", "my twin", "model", r"the name 'my twin'"),
        ("sizes/draws", "1.5", None, r"got draws=1.5; expected a whole number"),
        ("sizes/chains", "0", None, r"got chains=0"),
        ("sizes/seed", "x", None, r"got seed='x'"),
        ("data", "nothing.csv", None, r"expected the path of a file"),
        ("columns/conc/column", "weight", "columns/conc", r"convertible to 'mg/L'"),
        ("columns/conc/column", "cnc", "columns/conc", r"did you mean 'cnc' by 'conc'"),
        ("columns/conc/unit", "mg/", "columns/conc", r"mg/"),
        ("inputs/dose/column", "conc", "inputs/dose", r"convertible to 'mg'"),
    ],
)
def test_a_problem_is_said_where_it_is(path: str, value: str, place: str | None, message: str) -> None:
    draft = changed(Draft.of(RECIPE), path.split("/"), value)
    problems = check(draft).problems
    found = problems.get(path if place is None else place, "") or problems.get(path.rpartition("/")[0], "")
    assert re.search(message, found), problems


def test_an_edit_touches_nothing_else_and_keeps_the_draft_before() -> None:
    before = Draft.of(RECIPE)
    after = changed(before, ("model", "quantities", "ka", "prior", "median"), "1.5")
    assert before == Draft.of(RECIPE)
    assert after.recipe().model["quantities"]["ka"]["prior"]["median"] == 1.5
    assert changed(after, ("model", "quantities", "ka", "prior", "median"), "1") == before


def test_quantities_come_and_go() -> None:
    draft = added(added(Draft.of(RECIPE), "Parameter", "k2"), "State", "deep")
    assert "no equation uses" in check(draft).problems["model/quantities/k2"]
    draft = changed(draft, ("model", "equations", "rhs", "deep"), "k2 * body")
    draft = changed(draft, ("model", "quantities", "k2", "unit"), "1/h")
    draft = changed(draft, ("model", "quantities", "deep", "unit"), "mg")
    assert check(draft).problems == {}
    back = removed(removed(draft, "deep"), "k2")
    assert back == Draft.of(RECIPE)
    for kind, name, message in (
        ("State", "gut", "'gut' twice"),
        ("State", "a b", "'a b'"),
        ("Ste", "a", "did you mean 'State'"),
    ):
        with pytest.raises(DeclarationError, match=message):
            added(draft, kind, name)
    assert check(removed(draft, "body")).problems


@pytest.mark.parametrize(
    ("text", "value"), [("1e-3", 0.001), (" 2 ", 2.0), ("−3", -3.0), ("x", "x"), ("inf", "inf"), ("nan", "nan")]
)
def test_texts_become_numbers_where_they_are(text: str, value: Any) -> None:
    assert number(text) == value


@pytest.mark.parametrize("family", OFFERED)
def test_a_prior_of_each_family_has_the_interval(family: str) -> None:
    made = spanning(family, 0.1, 0.8, make("LogNormal", median=1.0, sigma=1.0))
    law = made.frozen()
    assert law.cdf(0.8) == pytest.approx(0.95, abs=1e-6)
    if family not in ("HalfNormal", "Exponential", "HalfCauchy"):
        assert law.cdf(0.1) == pytest.approx(0.05, abs=1e-6)
    shown = curve(made)
    x, y = np.array(shown["x"]), np.array(shown["y"])
    mass = np.trapezoid(y, np.log(x) if shown["logarithmic"] else x)
    assert 0.85 < mass < 1.01  # heavy tails and poles are cut off
    with pytest.raises(DeclarationError, match=r"expected low < high"):
        spanning(family, 1.0, 1.0)


@settings(max_examples=60, deadline=None)
@given(st.floats(1e-3, 10), st.floats(1.05, 50))
def test_dragging_an_interval_gives_it(low: float, ratio: float) -> None:
    path = ("model", "quantities", "ka", "prior")
    draft = dragged(Draft.of(RECIPE), path, low, low * ratio)
    prior = check(draft).model.parameters["ka"].prior
    assert interval(prior) == pytest.approx((low, low * ratio), rel=1e-9)


def test_a_family_is_changed_and_keeps_the_interval() -> None:
    made = reshaped({"prior": "LogNormal", "median": 2.0, "sigma": 0.5}, "Gamma")
    assert made["prior"] == "Gamma"
    assert interval(make(made.pop("prior"), **made)) == pytest.approx(
        interval(make("LogNormal", median=2.0, sigma=0.5))
    )
    assert reshaped({"noise": "Normal", "sigma": 2.0}, "Combined") == {
        "noise": "Combined",
        "additive": 2.0,
        "proportional": 2.0,
    }
    assert (
        reshaped({"prior": "TruncatedNormal", "mu": 1.0, "sigma": 1.0, "lower": 0.0}, "TruncatedNormal")["lower"] == 0.0
    )
    assert reshaped({"prior": "broken"}, "Normal")["prior"] == "Normal"


def test_columns_are_guessed_by_name_and_by_unit() -> None:
    columns, inputs = guess(OneCompartmentOral(), open_table(THEOPHYLLINE))
    assert (columns, inputs) == (COLUMNS, DOSE)
    columns, _ = guess(LynxHare(), open_table(data_file("lynx_hare.csv")))
    assert columns == {"time": {"column": "year"}, "hare_pelts": {"column": "hare"}, "lynx_pelts": {"column": "lynx"}}
    columns, inputs = guess(OneCompartmentNewborn(), open_table(data_file("phenobarbital.csv")))
    assert inputs == {"weight": {"column": "weight", "once": True}, "dose": {"column": "dose"}}
    assert guess(Room(), {}) == ({}, {})


def test_another_kind_keeps_the_equations_of_the_states() -> None:
    draft = Draft.of(RECIPE)
    static = rekinded(draft, "Static")
    assert static.model["equations"]["residual"] == draft.model["equations"]["rhs"]
    assert "impulse" in " ".join(check(static).problems.values())
    assert rekinded(rekinded(static, "Map"), "Ode") == draft
    lines = Draft.of(wb.Recipe.of(Line))
    assert check(rekinded(rekinded(lines, "Ode"), "Static")).problems == {}
    assert added(lines, "State", "root").model["equations"]["residual"] == {"root": "0"}
    with pytest.raises(DeclarationError, match="did you mean 'Static'"):
        rekinded(draft, "Statc")


def test_the_catalogue_holds_models_that_can_be_edited() -> None:
    assert "patients: OneCompartmentOral" in catalogue()
    for name, plain in catalogue().items():
        assert check(Draft().with_(model=plain)).problems == {}, name
    with pytest.raises(DeclarationError, match="did you mean 'patients: OneCompartmentOral'"):
        chosen("patients: OneCompartmentOrl")


def test_an_empty_draft_says_what_it_lacks() -> None:
    found = check(Draft())
    assert "expected at least one wb.State" in found.problems["model"]
    with pytest.raises(ParameterError, match=r"got draws='many'"):
        changed(Draft.of(RECIPE), ("sizes", "draws"), "many").recipe()


def test_a_saved_draft_opens_equal(tmp_path: Path) -> None:
    saved = Draft.of(RECIPE).recipe().save(tmp_path / "twin.yaml")
    assert Draft.of(wb.Recipe.open(tmp_path / "twin.yaml")) == Draft.of(saved)
