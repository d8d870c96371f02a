"""Explorers in a real JupyterLab: moved by the keyboard, run by the browser or by the kernel."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab import chromium, notebook, opened, run, server

pytestmark = pytest.mark.slow

PATIENT = """\
import workbench as wb
from workbench.domains.patients.pharmacokinetics import OneCompartmentOral
explorer = wb.explore(OneCompartmentOral(), times=(0.0, 24.0), inputs={"dose": {0.0: 320.0}}, draws=100)
explorer"""
# Seen before it bounces: curves do not change with what is asked, but words do.
BALL = """\
import workbench as wb


class Ball(wb.Ode):
    "A ball that falls and bounces."
    time_unit = "s"
    height, speed = wb.State("m", start=2.0), wb.State("m/s", start=0.0)
    e = wb.Parameter("1", prior=wb.prior.Beta(8, 2))
    floor = wb.Event("m", direction="falling")
    seen = wb.Output("m")

    def rhs(self, t, x, u, p):
        return {"height": x.speed, "speed": -9.81}

    def events(self, t, x, u, p):
        return {"floor": x.height}

    def reset(self, t, x, u, p):
        return {"floor": {"speed": -p.e * x.speed}}

    def observe(self, t, x, u, p):
        return {"seen": x.height}


ball = wb.explore(Ball(), times=(0.7, 1.2), draws=20)
ball"""


HALF = "import time; time.sleep(1.5); ball.settings = {'e': 0.5}"
FOLLOW = 'explorer.settings = {**explorer.settings, "ka": 2.0}'


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, str]]:
    folder = tmp_path_factory.mktemp("lab")
    notebook(folder / "patient.ipynb", PATIENT, "print(explorer.settings)", "explorer", FOLLOW)
    notebook(folder / "ball.ipynb", BALL, "print(ball.settings, ball.problem)", HALF)
    with chromium() as browser, server(folder) as address:
        yield browser, address


def words(cell: Any) -> str:
    return str(cell.locator(".wb-words").text_content())


def test_the_browser_runs_the_model_and_the_kernel_knows_the_sliders(lab: tuple[Any, str], tmp_path: Path) -> None:
    page = opened(*lab, "patient.ipynb")
    cell = run(page, 0)
    cell.locator(".wb-explorer canvas").wait_for()
    before = words(cell)
    slider = cell.get_by_label("apparent clearance")
    for _ in range(40):
        slider.press("ArrowRight")
    page.wait_for_function("document.querySelector('.wb-words').textContent.includes('before')")
    assert words(cell) != before
    assert slider.get_attribute("aria-valuetext") == "× 1.12", "forty steps of a thousand, 1/4 to 4"
    page.screenshot(path=tmp_path / "patient.png")
    assert "{'dose': 1, 'ka': 1, 'CL': 1.117" in str(run(page, 1).locator(".jp-OutputArea-output").text_content())
    other = run(page, 2)
    other.locator(".wb-explorer canvas").wait_for()
    assert other.get_by_label("apparent clearance").get_attribute("aria-valuetext") == "× 1.12", "another view follows"
    run(page, 3)
    for view in (cell, other):
        view.locator("input[data-name=ka][aria-valuetext='× 2']").wait_for(state="attached")
    assert words(cell) == words(other)
    cell.get_by_role("button", name="As it was").click()
    other.locator("input[data-name=ka][aria-valuetext='× 1']").wait_for(state="attached")
    assert words(cell) == words(other) == before
    page.close()


def test_the_kernel_runs_what_the_browser_cannot(lab: tuple[Any, str]) -> None:
    page = opened(*lab, "ball.ipynb")
    cell = run(page, 0)
    cell.locator(".wb-explorer canvas").wait_for()
    before = words(cell)
    assert "Computed outside the browser: Ball has events" in before
    slider = cell.locator("input[type=range]")
    for _ in range(60):
        slider.press("ArrowLeft")
    page.wait_for_function("document.querySelector('.wb-words').textContent.includes('before')")
    assert words(cell) != before
    set_by_hand = run(page, 2)  # what is set in the kernel moves curves and sliders
    cell.locator("input[aria-valuetext='× 0.5']").wait_for(state="attached")
    assert set_by_hand.locator(".jp-OutputArea-output").count() == 0
    output = str(run(page, 1).locator(".jp-OutputArea-output").text_content())
    assert output.startswith("{'e': 0.5"), output
