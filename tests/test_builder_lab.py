"""The builder in a real JupyterLab with a real browser: what a new user does, from the CSV to the headless run."""

import csv
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from lab import chromium, notebook, opened, run, server

from workbench.base.share import data_file
from workbench.base.share import notebook as shared
from workbench.cli import main

pytestmark = pytest.mark.slow

TOLD = """\
found = panel.calibration.tree["posterior_predictive"]["conc"].quantile(0.95, ["chain", "draw"])
print(found.values.tolist())"""
OPENED = """\
from pathlib import Path
import workbench as wb
panel = wb.build("twin.yaml")
panel.observe(lambda change: Path("state.txt").write_text(change["new"]["state"]), "run")
panel"""
PICTURES = Path(__file__).resolve().parent.parent / "build" / "screenshots"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("lab")
    shutil.copy(data_file("theophylline.csv"), made)
    first = json.loads(shared("00_quickstart").read_text("utf-8"))
    code = [cell for cell in first["cells"] if cell["cell_type"] == "code"]
    builder = next(cell for cell in code if "".join(cell["source"]) == "wb.build()")
    builder["source"] = ["panel = wb.build()\n", "panel"]  # so that another cell can ask it
    last = {**builder, "id": "told", "source": TOLD.splitlines(keepends=True)}
    (made / "quickstart.ipynb").write_text(json.dumps({**first, "cells": [code[0], builder, last]}), "utf-8")
    notebook(made / "again.ipynb", OPENED)
    notebook(made / "gone.ipynb", "import workbench as wb\npanel = wb.build()\npanel")
    return made


@pytest.fixture(scope="module")
def lab(folder: Path) -> Iterator[tuple[Any, str]]:
    PICTURES.mkdir(parents=True, exist_ok=True)
    with chromium() as browser, server(folder) as address:
        yield browser, address


def words(cell: Any) -> str:
    return str(cell.locator(".wb-words").first.text_content())


def choose(page: Any, cell: Any, id: str, value: str) -> None:
    """Fill a field and wait until the kernel has answered."""
    field = cell.locator(f"[data-id='{id}']")
    if field.evaluate("(node) => node.tagName") == "SELECT":
        field.select_option(value)
    else:
        field.fill(value)
        field.press("Tab")
    page.wait_for_timeout(500)


def test_a_new_user_builds_the_theophylline_twin(lab: tuple[Any, str], folder: Path) -> None:
    page = opened(*lab, "quickstart.ipynb")
    page.set_viewport_size({"width": 1500, "height": 1300})
    said = list[str]()
    page.on("pageerror", lambda error: said.append(str(error)))
    run(page, 0)
    cell = run(page, 1)
    cell.locator(".wb-build").wait_for()
    choose(page, cell, "choose", "patients: OneCompartmentOral")
    choose(page, cell, "data", "theophylline.csv")
    assert cell.locator("[data-id='inputs/dose/column']").input_value() == "dose * weight"
    for name in ("ka", "CL", "V"):
        choose(page, cell, f"pool/{name}", "partial")

    # a prior is dragged, and the band follows it
    before = words(cell)
    handle = cell.get_by_role("slider", name="Prior, 95 % quantile").nth(2)  # of the volume
    handle.scroll_into_view_if_needed()
    box = handle.locator("circle").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(10):
        page.mouse.move(x - 5 * step, y)
    page.mouse.up()
    page.wait_for_function("(before) => document.querySelector('.wb-words').textContent !== before", arg=before)
    assert float(handle.get_attribute("aria-valuenow")) < 150
    page.screenshot(path=PICTURES / "builder_prior.png")

    # one run is stopped, and keeps what was drawn
    choose(page, cell, "sizes/draws", "100000")
    cell.get_by_role("button", name="Calibrate").click()
    page.wait_for_function("document.querySelectorAll('.wb-traces canvas').length > 2")
    page.screenshot(path=PICTURES / "builder_running.png")
    cell.get_by_role("button", name="Stop").click()
    cell.get_by_text("stopped; what was drawn is kept").wait_for()

    # another one ends
    choose(page, cell, "sizes/draws", "300")
    cell.get_by_role("button", name="Calibrate").click()
    cell.get_by_role("tab", name="Explore").wait_for()
    cell.locator("[role=status]", has_text="done").wait_for()
    page.screenshot(path=PICTURES / "builder_posterior.png")
    for title in ("Trust card", "Fits", "Predictions", "Identifiability", "Explore"):
        cell.get_by_role("tab", name=title).click()
        cell.get_by_role("tab", name=title, selected=True).wait_for()
        assert cell.get_by_role("tabpanel").locator("svg, table, canvas").count() > 0, title
        page.screenshot(path=PICTURES / f"builder_{title.split()[0].lower()}.png")

    # it is saved; without a head the numbers are the same to the last digit
    cell.get_by_role("button", name="Save").click()
    cell.get_by_text("workbench run twin -f twin.yaml").wait_for()
    mine = json.loads(str(run(page, 2).locator(".jp-OutputArea-output").first.text_content()))
    output = folder / "headless"
    done = CliRunner().invoke(main, ["run", "twin", "-f", str(folder / "twin.yaml"), "-o", str(output)])
    assert done.exit_code in (0, 3), done.output
    with (output / "predictions.csv").open(encoding="utf-8", newline="") as file:
        assert [float(row["95%"]) for row in csv.DictReader(file)] == mine
    assert said == []
    page.close()


def test_a_closed_tab_loses_no_run_and_an_open_panel_knows_a_silent_kernel(lab: tuple[Any, str], folder: Path) -> None:
    page = opened(*lab, "again.ipynb")
    cell = run(page, 0)
    cell.locator(".wb-build").wait_for()
    assert cell.locator("[data-id='sizes/draws']").input_value() == "300"
    cell.get_by_role("button", name="Calibrate").click()
    cell.get_by_text("compiling").wait_for()
    page.close()
    for _ in range(240):
        if (folder / "state.txt").read_text() == "done":
            break
        time.sleep(0.5)
    assert (folder / "state.txt").read_text() == "done", "the kernel goes on without a tab"

    page = opened(*lab, "gone.ipynb")
    cell = run(page, 0)
    cell.locator(".wb-build").wait_for()
    kernels = page.request.get(f"{lab[1]}/api/sessions?token=workbench").json()
    mine = next(one["kernel"]["id"] for one in kernels if one["path"] == "gone.ipynb")
    cookie = {"X-XSRFToken": next((c["value"] for c in page.context.cookies() if c["name"] == "_xsrf"), "")}
    assert page.request.post(f"{lab[1]}/api/kernels/{mine}/restart?token=workbench", headers=cookie).ok
    page.wait_for_timeout(1000)
    cell.locator("[data-id='model/name']").fill("Lost")
    cell.get_by_text("The kernel does not answer").wait_for(timeout=30_000)
    assert cell.locator("[data-id='model/name']").input_value() == "Lost", "what was typed is there"
    page.screenshot(path=PICTURES / "builder_silent.png")
    page.close()


def test_the_form_is_reached_by_the_keyboard_and_has_names(lab: tuple[Any, str]) -> None:
    page = opened(*lab, "again.ipynb")
    page.set_viewport_size({"width": 760, "height": 1000})  # as at 200 % of a small screen
    cell = run(page, 0)
    panel = cell.locator(".wb-build")
    panel.wait_for()
    nameless = panel.evaluate(
        "(root) => [...root.querySelectorAll('input, select, textarea, button, [role=slider], canvas')]"
        ".filter((one) => !(one.labels?.[0]?.textContent.trim() || one.getAttribute('aria-label') || "
        "one.getAttribute('aria-labelledby') || one.textContent.trim())).map((one) => one.outerHTML.slice(0, 120))"
    )
    assert nameless == []
    wide = panel.evaluate("(root) => root.scrollWidth - root.clientWidth")
    assert wide <= 1, "nothing is cut off in a narrow window"
    slider = cell.get_by_role("slider", name="Prior, 5 % quantile").first
    before = float(slider.get_attribute("aria-valuenow"))
    slider.press("ArrowRight")
    assert float(slider.get_attribute("aria-valuenow")) > before
    first = cell.locator("[data-id='choose']")
    first.focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.id") == "model/name"
    page.keyboard.type("x")
    assert cell.locator("[data-id='model/name']").input_value().endswith("x"), "letters are no shortcuts"
    page.screenshot(path=PICTURES / "builder_narrow.png")
    page.close()
