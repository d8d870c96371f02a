"""From a slider to painted pixels in JupyterLab, side by side: `python -m benchmarks.sliders`.

The model of `benchmarks.explorer` (eight states, 200 draws, 161 times) in one real JupyterLab with Debian's Chromium:

- label: a bare ipywidgets slider that writes its value into a label, the floor of what goes through the kernel;
- kernel: `wb.explore` answered by the kernel; browser: `wb.explore` as it is;
- interact: `ipywidgets.interact` with matplotlib's inline figures; ipympl: one figure that stays, redrawn.

All but the label solve the same 200 draws and show their 90 % band. A time counts from the event until the frame that
shows its answer has been handed over for painting. Then a slider is dragged for half a minute, and `wb.build()` is run
anew again and again: until its fields can be typed in. Needs ipympl beside the development environment.
"""

import argparse
import importlib.util
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from lab import chromium, notebook, opened, run, server

SETUP = """\
import ipywidgets, numpy as np
import workbench as wb
from benchmarks.explorer import Chain
inputs = {"feed": {0.0: 1.0, 24.0: 0.0}}
made = wb.explore(Chain(), times=(0.0, 24.0), inputs=inputs, draws=200)
times = made._of.times
bands = lambda k: made._of.quantiles({"k": 4 ** (k / 500 - 1)})[:, :, 0]
def slider(): return ipywidgets.IntSlider(min=0, max=1000, step=10, value=500)"""
CELLS = {
    "label": """\
one, label = slider(), ipywidgets.Label("500")
one.observe(lambda change: setattr(label, "value", str(change["new"])), "value")
ipywidgets.VBox([one, label])""",
    "browser": "made",
    "kernel": """\
asked = wb.explore(Chain(), times=(0.0, 24.0), inputs=inputs, draws=200)
asked.code = "null"
asked""",
    "interact": """\
%matplotlib inline
import matplotlib.pyplot as plt
def draw(k):
    low, middle, high = bands(k)
    plt.figure(figsize=(5, 3)); plt.fill_between(times, low, high, alpha=0.3); plt.plot(times, middle); plt.show()
_ = ipywidgets.interact(draw, k=slider())""",
    "ipympl": """\
%matplotlib widget
import matplotlib.pyplot as plt
figure, axes = plt.subplots(figsize=(5, 3))
low, middle, high = bands(500)
band, line = axes.fill_between(times, low, high, alpha=0.3), axes.plot(times, middle)[0]
def redraw(change):
    low, middle, high = bands(change["new"])
    band.set_data(times, low, high); line.set_ydata(middle); figure.canvas.draw_idle()
other = slider(); other.observe(redraw, "value")
display(other)""",
}  # fmt: skip
BUILD = """\
from workbench.domains.patients.pharmacokinetics import OneCompartmentOral
from workbench.base.share import data_file
wb.build(OneCompartmentOral, data_file("theophylline.csv"))"""
HOOKS = """() => {
  const raf = window.requestAnimationFrame.bind(window), proto = CanvasRenderingContext2D.prototype;
  let framing = false;
  Object.assign(window, {shown: 0, framed: false});
  window.requestAnimationFrame = (call) => raf((time) => {
    framing = true;
    try { call(time); } finally { framing = false; }
  });
  const mark = () => { window.shown++; window.framed = framing; };
  for (const name of ["fill", "drawImage"]) {
    const was = proto[name];
    proto[name] = function (...given) { mark(); return was.apply(this, given); };
  }
  new MutationObserver((changes) => {
    for (const {target, addedNodes} of changes) {
      if ((target.closest ? target : target.parentElement)?.closest(".widget-label")) mark();
      for (const node of addedNodes) {
        const image = node.tagName === "IMG" ? node : node.querySelector?.("img");
        if (image) image.decode().then(mark, mark);
      }
    }
  }).observe(document.body, {subtree: true, childList: true, characterData: true});
  window.message = () => new Promise((done) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = done;
    channel.port2.postMessage(0);
  });
  window.cell = (place) => document.querySelectorAll(".jp-Notebook .jp-Cell")[place];
}"""
MOVES = """async ([place, moves]) => {
  const range = cell(place).querySelector(".wb-explorer input[data-name=k]");
  const handle = cell(place).querySelector(".noUi-handle"), times = [];
  const move = (k) => {
    if (!range) {
      const key = k % 2 ? "ArrowRight" : "ArrowLeft";
      return handle.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
    }
    range.value = 500 + 10 * (k % 2 ? 1 : -1) * (1 + k % 7);
    range.dispatchEvent(new Event("input"));
  };
  let lost = 0;
  for (let k = 0; k < moves; k++) {
    await new Promise((done) => setTimeout(done, 350));  // what came after the last one is over by then
    await new Promise(requestAnimationFrame);
    const before = window.shown, began = performance.now();
    move(k);
    while (window.shown === before && performance.now() - began < 3000) await message();
    if (window.shown === before) { lost++; continue; }
    if (!window.framed) await new Promise(requestAnimationFrame);  // what was drawn outside a frame waits for one
    await message();
    times.push(performance.now() - began);
  }
  return {times, lost};
}"""
DRAG = """async ([place, seconds]) => {
  const range = cell(place).querySelector(".wb-explorer input[data-name=k]"), began = performance.now();
  let sent = 0;
  while (performance.now() - began < 1000 * seconds) {
    range.value = 500 + 300 * Math.sin(sent++ / 40);
    range.dispatchEvent(new Event("input"));
    await new Promise((done) => setTimeout(done, 4));
  }
  const stopped = performance.now();
  let last = stopped, seen = window.shown;
  while (performance.now() - last < 700) {
    await new Promise((done) => setTimeout(done, 5));
    if (window.shown !== seen) { seen = window.shown; last = performance.now(); }
  }
  return {sent, behind: last - stopped};
}"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moves", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--builds", type=int, default=7)
    asked = parser.parse_args()
    cells = {name: text for name, text in CELLS.items() if name != "ipympl" or importlib.util.find_spec("ipympl")}
    with TemporaryDirectory() as root, chromium() as browser:
        notebook(Path(root) / "sliders.ipynb", SETUP, *cells.values(), BUILD)
        with server(Path(root)) as address:
            page = opened(browser, address, "sliders.ipynb")
            run(page, 0)
            page.evaluate(HOOKS)
            found = {}
            for place, name in enumerate(cells, start=1):
                run(page, place).locator(".wb-explorer canvas, .noUi-handle").first.wait_for()
                page.wait_for_timeout(2000)
                page.evaluate(MOVES, [place, 5])
                found[name] = page.evaluate(MOVES, [place, asked.moves])
            first, *built = [_built(page, 1 + len(cells)) for _ in range(asked.builds + 1)]
            dragged = {n: page.evaluate(DRAG, [1 + list(cells).index(n), asked.seconds]) for n in ("browser", "kernel")}
            page.close()
    _tell(found, dragged)
    print(f"wb.build() to its fields: {first:.2f} s the first time, then {np.median(built):.2f} s in the median")


def _built(page: Any, place: int) -> float:
    """Return the seconds from running the cell to a panel with its fields and its preview's canvas."""
    page.evaluate("(place) => cell(place).querySelector('.jp-OutputArea-output')?.remove()", place)
    shown = page.locator(".jp-Notebook .jp-Cell").nth(place)
    shown.locator(".cm-content").first.click()
    began = time.perf_counter()
    page.keyboard.press("Control+Enter")
    shown.locator("[data-id='model/name']").wait_for()
    shown.locator("canvas").first.wait_for()
    return time.perf_counter() - began


def _tell(found: dict[str, Any], dragged: dict[str, Any]) -> None:
    floor = float(np.median(found["label"]["times"]))
    for name, one in found.items():
        times = np.array(one["times"])
        median, late = np.median(times), np.quantile(times, 0.95)
        above = f"{median - floor:+6.1f} ms on the label, {one['lost']} lost"
        print(f"{name:9} median {median:6.1f} ms, 95 % {late:6.1f} ms, {above}")
    for name, one in dragged.items():
        print(f"{name:9} dragged: {one['sent']} events, last painted {one['behind']:.0f} ms after the last of them")


if __name__ == "__main__":
    main()
