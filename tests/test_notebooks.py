"""What holds for every notebook that comes with the package."""

import json
from pathlib import Path

import pytest

from workbench.base.share import notebooks
from workbench.report.html import check
from workbench.report.parameters import validate


@pytest.mark.parametrize("path", notebooks().values(), ids=lambda path: path.stem)
def test_it_is_kept_without_outputs_and_its_formulas_can_be_drawn(path: Path) -> None:
    cells = [c for c in json.loads(path.read_text("utf-8"))["cells"] if c["cell_type"] == "code"]
    assert cells
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    check(path)


@pytest.mark.parametrize("path", notebooks().values(), ids=lambda path: path.stem)
def test_it_takes_a_file_of_ones_own_and_runs_fast_when_asked(path: Path) -> None:
    values = validate(path, {})
    assert values["data"] is None
    assert values["fast"] is False
