"""Parameters of notebooks: read without running, strict, and refused with got / expected / nearest."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ConfigDict, TypeAdapter, ValidationError

from workbench.base.errors import ParameterError
from workbench.report.annotations import describe
from workbench.report.parameters import check_parameters, notebook_parameters, read_texts, validate

CELL = '''"""What the notebook takes."""
from typing import Annotated, Literal, Optional, Union
import typing as tp
from pydantic import Field
draws: Annotated[int, Field(ge=50, le=20_000, description="posterior draws a chain")] = 1000
data: Annotated[str | None, Field(description="path, as in a = b")] = None
pooling: Literal["complete", "partial", "none"] = "partial"
tolerance: Annotated[float, Field(gt=0, lt=1)] = 1e-6
doses: list[Annotated[float, Field(ge=0)]] = [
    1,
    2.5,
]
both: Union[int, str] = 3
maybe: Annotated[Optional[float], Field(gt=0)] = None
weights: dict[str, float] = {"a": 1.0, "b": -2.0}
title: str = "x = 'y' # no comment"
flag: bool = False
quoted: "tp.Literal[1, 2]" = 2
code: Annotated[str, Field(pattern="^[a-z]+$", max_length=5)] = "abc"
'''
VALUES: list[Any] = [
    0, 1, 50, 20_000, 20_001, -3, 2.5, 1000.0, 0.5, 1e-9, True, False, None, "", "abc", "ABC", "partial", "toolong",
    "12", [], [1], [1, 2.5], [-1], ["a"], [True], {}, {"a": 1}, {"a": "b"}, {"a": None},
]  # fmt: skip


def book(folder: Path, *cells: str, tags: tuple[str, ...] = ("parameters",)) -> Path:
    made = [{"cell_type": "code", "metadata": {"tags": list(tags)}, "source": cell} for cell in cells]
    path = folder / "some_book.ipynb"
    path.write_text(json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return book(tmp_path_factory.mktemp("book"), CELL)


@pytest.fixture(scope="module")
def executed() -> dict[str, Any]:
    """The cell as Python itself reads it: the oracle of our reading without running."""
    namespace: dict[str, Any] = {}
    exec(compile(CELL, "cell", "exec", dont_inherit=True), namespace)
    return namespace


def test_defaults_and_order_are_those_of_python(path: Path, executed: dict[str, Any]) -> None:
    fields = notebook_parameters(path).model_fields
    assert list(fields) == list(executed["__annotations__"])
    assert validate(path, {}) == {name: executed[name] for name in fields}


def test_accepts_what_pydantic_accepts_for_the_annotations_python_sees(path: Path, executed: dict[str, Any]) -> None:
    accepted = 0
    for name, annotation in executed["__annotations__"].items():
        kind = eval(annotation, executed) if isinstance(annotation, str) else annotation
        oracle = TypeAdapter(kind, config=ConfigDict(strict=True))
        for value in VALUES:
            try:
                oracle.validate_python(value)
                fits = True
            except ValidationError:
                fits = False
            try:
                validate(path, {name: value})
                ours = True
            except ParameterError:
                ours = False
            assert ours == fits, f"{name} = {value!r}"
            accepted += fits
    assert accepted > len(VALUES)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"drawss": 3}, ["unknown parameter 'drawss'", "'tolerance'", "did you mean 'draws'?"]),
        ({"draws": 10}, ["draws: got 10", "whole number from 50 to 20000"]),
        ({"draws": True}, ["draws: got True", "whole number"]),
        ({"draws": "500"}, ["draws: got '500'", "whole number"]),
        ({"pooling": "parial"}, ["got 'parial'", "'complete', 'partial', 'none'", "did you mean 'partial'?"]),
        ({"tolerance": float("nan")}, ["tolerance: got nan", "above 0"]),
        ({"tolerance": float("inf")}, ["tolerance: got inf", "below 1"]),
        ({"doses": [1, -2]}, ["doses[1]: got -2 in [1, -2]", "each a number at least 0"]),
        ({"weights": {"a": "b"}}, ["weights['a']: got 'b'"]),
        ({"weights": {"a": float("inf")}}, ["weights['a']: got inf"]),
        ({"data": object()}, ["data: got <object", "(object)", "text or none"]),
        ({"title": {1, 2}}, ["title: got {1, 2} (set)", "text"]),
        ({"code": "ABC"}, ["code: got 'ABC'", "matching '^[a-z]+$'"]),
        ({1: 2}, ["unknown parameter '1'"]),
    ],
)
def test_refusals_say_what_was_got_and_expected(path: Path, given: dict[Any, Any], words: list[str]) -> None:
    with pytest.raises(ParameterError) as error:
        validate(path, given)
    for word in ["some_book", *words]:
        assert word in str(error.value)


def test_every_problem_is_listed(path: Path) -> None:
    with pytest.raises(ParameterError) as error:
        validate(path, {"draws": 1, "flag": "x", "colour": "red", "title": "fine"})
    lines = str(error.value).splitlines()
    assert [line[:7] for line in lines] == ["some_bo", "- draws", "- flag:", "- got u"]


def test_values_come_out_as_json_has_them(path: Path, tmp_path: Path) -> None:
    given = {
        "draws": np.int64(60),
        "tolerance": np.float32(0.5),
        "doses": (1, np.float64(2)),
        "data": tmp_path,
        "flag": np.True_,
    }
    values = validate(path, given)
    assert values | {"draws": 60, "tolerance": 0.5, "doses": [1.0, 2.0], "data": str(tmp_path), "flag": True} == values
    assert [type(values[name]) for name in given] == [int, float, list, str, bool]
    assert validate(path, {"doses": np.array([1, 2])})["doses"] == [1.0, 2.0]
    assert json.loads(json.dumps(values)) == values


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("tolerance", "1e-3", 0.001), ("draws", "1e3", 1000), ("draws", " 70 ", 70), ("doses", "1,2.5", [1, 2.5]),
        ("doses", "[1e-3, 2]", [0.001, 2]), ("flag", "yes", True), ("flag", "False", False), ("data", "null", None),
        ("data", "5", "5"), ("title", "1e-3", "1e-3"), ("title", "true", "true"), ("title", "a=b", "a=b"),
        ("both", "7", 7), ("both", "seven", "seven"), ("weights", '{"a": 2}', {"a": 2}), ("maybe", ".5", 0.5),
        ("quoted", "1", 1), ("pooling", "none", "none"), ("draws", "10", 10), ("draws", "many", "many"),
        ("other", "1", 1),
    ],
)  # fmt: skip
def test_texts_are_read_by_the_declared_type(path: Path, name: str, text: str, value: Any) -> None:
    got = read_texts(path, {name: text})[name]
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("draws = 100", ["line 1", "`draws = 100`", "`name: type = value`"]),
        ("a: int = 1\na = b = 3", ["line 2", "`a = b = 3`"]),
        ("draws: int", ["`draws: int`"]),
        ("import os\nprint(1)", ["line 2", "`print(1)`"]),
        ("draws: int = 10 * 3", ["`10 * 3`", "plain value"]),
        ("draws: int = Field(3, ge=1)", ["Field(3, ge=1)", "Annotated"]),
        ("draws: nit = 1", ["unknown type 'nit'", "did you mean 'int'?"]),
        ("pair: tuple[int, int] = (1, 2)", ["unknown type 'tuple'", "write list"]),
        ("x: Annotated[int, Field(greater=1)] = 2", ["unknown argument of Field 'greater'", "'ge'"]),
        ("x: Annotated[int, Field(3, ge=1)] = 2", ["default after `=`"]),
        ("x: __import__('os').getcwd() = 1", ["expected such as int"]),
        ("x: Annotated[int, Field(ge=3)] = 2", ["default values", "x: got 2", "at least 3"]),
        ("x: int = 1\nx: int = 2", ["line 2", "second declaration of 'x'"]),
        ("copy: int = 1", ["'copy'", "reserved"]),
        ("_x: int = 1", ["'_x'", "reserved"]),
        ("%matplotlib inline", ["line 1", "syntax"]),
    ],
)
def test_wrong_declarations_are_refused(tmp_path: Path, source: str, words: list[str]) -> None:
    with pytest.raises(ParameterError) as error:
        notebook_parameters(book(tmp_path, source))
    for word in ["some_book.ipynb", *words]:
        assert word in str(error.value)


def test_one_cell_is_tagged_or_none(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="2 cells tagged 'parameters'"):
        notebook_parameters(book(tmp_path, "a: int = 1", "b: int = 2"))
    assert not notebook_parameters(book(tmp_path, "a: int = 1", tags=())).model_fields
    with pytest.raises(ParameterError, match="unknown parameter 'a'"):
        validate(book(tmp_path, "a: int = 1", tags=()), {"a": 1})
    (tmp_path / "some_book.ipynb").write_text("[]", encoding="utf-8")
    with pytest.raises(ParameterError, match="no notebook"):
        notebook_parameters(tmp_path / "some_book.ipynb")


def test_nothing_is_run(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    with pytest.raises(ParameterError):
        notebook_parameters(book(tmp_path, f"x: open({str(witness)!r}, 'w') = 1"))
    with pytest.raises(ParameterError):
        notebook_parameters(book(tmp_path, f"x: int = open({str(witness)!r}, 'w')"))
    assert not witness.exists()


def test_ranges_are_said_in_words(path: Path) -> None:
    said = {name: describe(field) for name, field in notebook_parameters(path).model_fields.items()}
    assert said["draws"] == "a whole number from 50 to 20000"
    assert said["tolerance"] == "a number above 0 and below 1"
    assert said["maybe"] == "a number above 0 or none"
    assert said["weights"] == "a mapping (each value a number)"


@pytest.mark.parametrize("cells", [True, False], ids=["cells of Jupyter", "annotations"])
def test_a_notebook_checks_what_was_injected(executed: dict[str, Any], cells: bool) -> None:
    # Python 3.14 leaves no annotations in a kernel's namespace: there the sources of the cells must do.
    namespace = {name: value for name, value in executed.items() if name != "__annotations__" or not cells}
    namespace |= {"In": ["", "import os", CELL, "draws = 5", "check_parameters(globals())"]} if cells else {}
    check_parameters(namespace)
    check_parameters(namespace | {"draws": 60, "doses": (1, 2)})
    with pytest.raises(ParameterError, match="draws: got 5; expected a whole number from 50 to 20000"):
        check_parameters(namespace | {"draws": 5})
    with pytest.raises(ParameterError, match="tolerance: got '1e-3'; expected a number above 0"):
        check_parameters(namespace | {"tolerance": "1e-3"})


def test_a_notebook_without_declarations_is_told_so() -> None:
    with pytest.raises(ParameterError, match="expected a cell with `name: type = value`"):
        check_parameters({"In": ["", "draws = 5"]})
