"""Explorers: what their sliders do, in the kernel and in a real browser, against simulations with other values."""

import json
import re
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import traitlets
from conftest import need
from models import Ball, LynxHare, Room

import workbench as wb
from workbench.base.errors import DataError
from workbench.domains.patients.pharmacokinetics import OneCompartmentOral, bateman
from workbench.report import interactive, record
from workbench.report.explorer.page import page
from workbench.report.explorer.scene import MASSES, Scene, scene
from workbench.report.html import outside
from workbench.widgets.latest import Latest

PATIENT = OneCompartmentOral()
DOSES = {"dose": {0.0: 320.0, 12.0: 100.0}}


@pytest.fixture(scope="module")
def calibration() -> wb.Calibration:
    times = np.array([0.5, 1.0, 2.0, 4.0, 8.0, 12.0, 24.0])
    rows = []
    for unit, CL in (("a", 2.5), ("b", 3.5)):
        conc = bateman(times, 320.0, ka=1.5, CL=CL, V=32.0) * np.exp(0.05 * np.sin(7 * times))
        rows.append(pd.DataFrame({"unit": unit, "time": times, "conc": conc}))
    given = {"pool": {"CL": "none"}, "draws": 60, "tune": 200, "chains": 2, "seed": 1, "progress": False}
    return wb.calibrate(PATIENT, pd.concat(rows), inputs={"dose": {0.0: 320.0}}, **given)


def quantiles(values: Any) -> Any:
    return np.quantile(values, MASSES, axis=0)


def test_sliders_of_a_calibration_are_simulations_of_its_draws(calibration: wb.Calibration) -> None:
    made = scene(calibration, unit="b", times=(0.0, 36.0), inputs=DOSES)
    assert [(c.name, c.acts) for c in made.controls] == [(n, "times") for n in ("dose", "ka", "CL", "V")]
    assert made.source == "120 draws of the posterior of b"
    assert made.curves[0].label == "concentration in serum (mg/L)"
    assert made.curves[0].observed[:, 0].tolist() == [0.5, 1.0, 2.0, 4.0, 8.0, 12.0, 24.0]
    posterior = calibration.posterior.sel(unit="b").stack(member=("chain", "draw"))
    values = {name: posterior[name].values for name in ("ka", "CL", "V")}
    for settings, changes in [({}, (1, 1)), ({"CL": 0.5, "dose": 2.0}, (0.5, 2.0))]:
        drawn = {n: v * (changes[0] if n == "CL" else 1) for n, v in values.items()}
        since = made.times[:, None]
        first = bateman(since, 320.0 * changes[1], **drawn)
        second = np.where(since >= 12, bateman(np.maximum(since - 12, 0), 100.0 * changes[1], **drawn), 0.0)
        expected = quantiles((first + second).T)
        np.testing.assert_allclose(made.quantiles(settings)[:, :, 0], expected, rtol=2e-5, atol=1e-6)


def test_what_is_not_positive_is_moved_by_adding() -> None:
    inputs = {"To": {0.0: 5.0, 48.0: -3.0}, "Q": {0.0: 0.0, 7.5: 2.0}}
    made = scene(Room(), times=(0.0, 48.0), inputs=inputs, draws=20)
    by_name = {c.name: c for c in made.controls}
    assert (by_name["To"].acts, by_name["To"].unit, by_name["To"].high) == ("plus", "degC", 8.0)
    assert (by_name["Q"].acts, by_name["Q"].high) == ("times", 3.0)
    warm = scene(Room(), times=(0.0, 48.0), inputs={"To": {0.0: 7.0, 48.0: -1.0}, "Q": {0.0: 0.0, 7.5: 3.0}}, draws=20)
    np.testing.assert_allclose(made.quantiles({"To": 2.0, "Q": 1.5}), warm.quantiles(), rtol=1e-6)


def test_what_cannot_be_explored_is_said(calibration: wb.Calibration) -> None:
    with pytest.raises(DataError, match=r"LynxHare: got no times .* expected times=\(first, last\)"):
        scene(LynxHare())
    with pytest.raises(DataError, match=r"'c'.*'a'"):
        scene(calibration, unit="c")
    with pytest.raises(DataError, match="expected a first and a later last time"):
        scene(LynxHare(), times=(5.0, 5.0))
    with pytest.raises(DataError, match="got unit='a' for a model"):
        scene(LynxHare(), times=(1900.0, 1920.0), unit="a")


def in_browser(folder: Path, made: Scene, code: str) -> Any:
    """Return what JavaScript says of the explorer of a scene, opened from disk without a network."""
    path = shutil.which("chromium") or "/usr/bin/chromium"
    need(Path(path).exists(), "Debian's chromium")
    file = folder / "explorer.html"
    ask = f'const root = document.getElementById("explorer"); document.title = JSON.stringify((() => {{{code}}})());'
    file.write_text(page(made).replace("</body>", f"<script>{ask}</script></body>"), encoding="utf-8")
    command = [path, "--headless", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND",
               f"--user-data-dir={folder / 'profile'}", "--dump-dom", f"file://{file}"]  # fmt: skip
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    title = re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)
    assert title, done.stderr[-500:]
    return json.loads(title[1].replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">"))


def test_the_browser_shows_what_the_kernel_computes(calibration: wb.Calibration, tmp_path: Path) -> None:
    made = scene(calibration, unit="a", times=(0.0, 36.0), inputs=DOSES)
    found = in_browser(
        tmp_path,
        made,
        """const before = root.explorer.compute(1e9);
        const slider = root.querySelector('input[data-name="CL"]');
        slider.value = 750;
        slider.dispatchEvent(new Event("input"));
        const CL = root.explorer.settings.CL, after = root.explorer.set("dose", 0.5);
        return {before, after, CL, words: root.querySelector(".wb-words").textContent,
          names: [...root.querySelectorAll("input")].map((s) => s.getAttribute("aria-labelledby")).map(
            (id) => document.getElementById(id).textContent),
          said: slider.getAttribute("aria-valuetext"), drawn: root.querySelector("canvas").width > 100};""",
    )
    np.testing.assert_allclose(found["before"], made.quantiles(), rtol=1e-4, atol=1e-5)
    assert found["CL"] == pytest.approx(2.0)
    np.testing.assert_allclose(found["after"], made.quantiles({"CL": 2.0, "dose": 0.5}), rtol=1e-4, atol=1e-5)
    assert found["names"] == [
        "dose",
        "absorption rate constant",
        "apparent clearance",
        "apparent volume of distribution",
    ]
    assert found["said"] == "× 2"
    assert found["drawn"]
    peak = made.quantiles({"CL": 2.0, "dose": 0.5})[1, :, 0].max()
    assert f"highest median {peak:.3g} " in found["words"]
    assert "before " in found["words"]


class Decay(wb.Ode):
    """What is left, of which a share can be seen."""

    time_unit = "h"
    x = wb.State("mg", start=10.0)
    k = wb.Parameter("1/h", prior=wb.prior.LogNormal(median=0.5, sigma=0.3))
    share = wb.Parameter("1", prior=wb.prior.Beta(8, 2))
    seen = wb.Output("mg")

    def rhs(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Decay."""
        return {"x": -p.k * x.x}

    def observe(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """See a share."""
        return {"seen": p.share * x.x}


def test_a_slider_stops_where_the_prior_ends(tmp_path: Path) -> None:
    made = scene(Decay(), times=(0.0, 4.0), draws=30)
    all_seen = made.quantiles({"share": 4.0})
    assert all_seen[:, 0, 0].tolist() == [10.0, 10.0, 10.0], "no share is above one"
    assert (made.base[:, 0, 0] < 10).all()
    found = in_browser(tmp_path, made, 'return root.explorer.set("share", 4.0);')
    np.testing.assert_allclose(found, all_seen, rtol=1e-4)


def test_a_page_needs_nothing_from_outside_and_is_small(calibration: wb.Calibration) -> None:
    text = page(scene(calibration))
    assert outside(text) == []
    assert len(text.encode()) < 1_000_000
    assert re.search(r"<noscript><svg.*</svg></noscript>", text, re.DOTALL), "a figure where no script runs"
    assert "</script" not in text.split('id="scene">')[1].split("</script>")[0]


def test_a_page_of_a_model_that_no_browser_can_run_has_frames(tmp_path: Path) -> None:
    made = scene(Ball(), times=(0.0, 1.0), draws=20)
    found = in_browser(tmp_path, made, 'return root.explorer.set("e", 0.5);')
    np.testing.assert_allclose(found, made.quantiles({"e": 0.5}), atol=1e-4)  # e from 1/4 to 4: 1/2 is a position
    between = in_browser(tmp_path, made, 'return root.explorer.set("e", 0.9);')
    np.testing.assert_allclose(between, made.quantiles({"e": 0.9}), atol=0.02)
    np.testing.assert_allclose(in_browser(tmp_path, made, 'return root.explorer.set("e", 1);'), made.base, atol=1e-9)
    words = in_browser(tmp_path, made, 'return root.querySelector(".wb-words").textContent')
    assert "Worked out beforehand, one slider at a time: Ball has events, which a browser cannot run" in words
    assert len(page(made).encode()) < 1_000_000


class Balls(Ball):
    """The same with gravity, which is a second slider."""

    gravity = wb.Parameter("m/s**2", prior=wb.prior.Normal(9.81, 0.5))

    def rhs(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Fall."""
        return {"height": x.speed, "speed": -p.gravity}


def test_frames_move_one_slider_at_a_time(tmp_path: Path) -> None:
    made = scene(Balls(), times=(0.0, 1.0), draws=20)
    code = """
        const [first, second] = root.querySelectorAll("input[type=range]"), move = (slider, to) => {
          slider.value = to;
          slider.dispatchEvent(new Event("input"));
        };
        move(first, 200);
        move(second, 800);
        return {...root.explorer.settings, first: Number(first.value)};"""
    found = in_browser(tmp_path, made, code)
    starts = {control.name: control.start for control in made.controls}
    assert found[made.controls[0].name] == starts[made.controls[0].name], "the other one went back"
    assert found[made.controls[1].name] != starts[made.controls[1].name]
    assert found["first"] == 500


def test_the_kernel_answers_where_the_browser_cannot() -> None:
    explorer = wb.explore(Ball(), times=(0.0, 1.0), draws=20)
    assert explorer.code == "null"
    explorer.asked = {"e": 0.5}
    assert explorer._worker.wait(60)
    assert explorer.problem == ""
    assert explorer.settings == {"e": 0.5}
    expected = scene(Ball(), times=(0.0, 1.0), draws=20).quantiles({"e": 0.5})
    np.testing.assert_array_equal(np.frombuffer(explorer.answer).reshape(expected.shape), expected)
    np.testing.assert_array_equal(explorer.quantiles(), expected)
    bundle = explorer._repr_mimebundle_()
    assert "<svg" in (bundle[0] if isinstance(bundle, tuple) else bundle)["image/svg+xml"]
    explorer.asked = {"e": "x"}
    assert explorer._worker.wait(60)
    assert explorer.problem


def test_settings_come_from_the_browser(calibration: wb.Calibration) -> None:
    explorer = wb.explore(calibration, unit="a")
    explorer.settings = {"CL": 2.0}
    np.testing.assert_array_equal(explorer.quantiles(), scene(calibration, unit="a").quantiles({"CL": 2.0}))
    assert "function mount" in explorer.page()
    with pytest.raises(traitlets.TraitError):
        explorer.settings = 3


def test_only_the_newest_wish_is_done() -> None:
    done, begun, go = [], threading.Event(), threading.Event()

    def work(value: int) -> None:
        begun.set()
        go.wait(20)
        done.append(value)

    worker = Latest(work, lambda error: None)
    worker.ask(0)
    assert begun.wait(20)
    for value in range(1, 50):
        worker.ask(value)
    go.set()
    assert worker.wait(20)
    assert done == [0, 49]


def test_what_fails_is_told_and_the_next_is_done() -> None:
    told: list[str] = []
    done: list[float] = []
    worker = Latest(lambda value: done.append(1 / value), lambda error: told.append(str(error)))
    for value in (0, 2):
        worker.ask(value)
        assert worker.wait(20)
    assert (told, done) == (["division by zero"], [0.5])


def test_a_report_has_it_in_a_frame_with_its_figure_beside(
    calibration: wb.Calibration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, shown = record.Record(tmp_path), []
    monkeypatch.setattr(record, "record", lambda: kept)
    monkeypatch.setattr(record, "show", lambda bundle, about=None: shown.append((bundle, about)))
    interactive(calibration, "what_if", "Move it.", unit="a")
    bundle, about = shown[0]
    assert about["number"] == 1
    assert bundle["text/html"].startswith('<iframe srcdoc="&lt;!doctype html&gt;')
    assert 'sandbox="allow-scripts"' in bundle["text/html"]
    assert outside(bundle["text/html"]) == []
    assert bundle["image/svg+xml"]
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {"what_if.svg", "what_if.pdf", "what_if.html"}
