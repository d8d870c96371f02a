"""From a slider to painted pixels: `python -m benchmarks.explorer`, in Debian's Chromium, driven by Playwright.

An explorer of eight states in a chain with a band of 200 draws, as a page opened from disk. A slider is moved 300
times; each time counts from its event until the frame that shows it has been handed over for painting. Then it is
dragged for thirty seconds, an event every 4 ms, to see whether events queue up, and memory is read before and after.
"""

import argparse
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright

import workbench as wb
from workbench.report.explorer.page import page
from workbench.report.explorer.scene import scene

STATES = 8
ALL = """() => {
  const {explorer} = document.getElementById("explorer");
  explorer.compute(1e9);
  return explorer.last().ms;
}"""
MEASURE = """async (moves) => {
  const slider = document.querySelector("input[data-name=k]"), frame = () => new Promise(requestAnimationFrame);
  const painted = () => new Promise((done) => {
    requestAnimationFrame(() => { const c = new MessageChannel(); c.port1.onmessage = done; c.port2.postMessage(0); });
  });
  const times = [];
  for (let k = 0; k < moves; k++) {
    await frame();
    await new Promise((done) => setTimeout(done, 5));
    const began = performance.now();
    slider.value = 500 + 300 * Math.sin(k / 9);
    slider.dispatchEvent(new Event("input"));
    await painted();
    times.push(performance.now() - began);
  }
  return times;
}"""
DRAG = """async (seconds) => {
  const slider = document.querySelector("input[data-name=k]"), began = performance.now();
  let sent = 0, late = 0;
  await new Promise((done) => {
    const next = () => {
      if (performance.now() - began > 1000 * seconds) return done();
      slider.value = 500 + 300 * Math.sin(sent++ / 40);
      slider.dispatchEvent(new Event("input"));
      setTimeout(next, 4);
    };
    next();
  });
  const stopped = performance.now();
  await new Promise(requestAnimationFrame);
  await new Promise(requestAnimationFrame);
  return {sent, behind: performance.now() - stopped};
}"""


class Chain(wb.Ode):
    """Eight compartments in a row."""

    time_unit = "h"
    x = wb.State("mg", start=np.array([10.0, *[0.0] * (STATES - 1)]), dims=("place",))
    k = wb.Parameter("1/h", prior=wb.prior.LogNormal(median=1.0, sigma=0.2))
    back = wb.Parameter("1/h", prior=wb.prior.LogNormal(median=0.2, sigma=0.2))
    feed = wb.Input("mg/h")
    last = wb.Output("mg", noise=wb.noise.Normal(sigma=0.1))

    def rhs(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Pass on, and a little back."""
        flows = [p.k * x.x[i] - p.back * x.x[i + 1] for i in range(STATES - 1)]
        first, end = u.feed - flows[0], flows[-1] - p.k * x.x[STATES - 1]
        return {"x": [first, *(flows[i] - flows[i + 1] for i in range(STATES - 2)), end]}

    def observe(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Read the last."""
        return {"last": x.x[STATES - 1]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moves", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=30.0)
    asked = parser.parse_args()
    made = scene(Chain(), times=(0.0, 24.0), inputs={"feed": {0.0: 1.0, 24.0: 0.0}}, draws=200)
    with TemporaryDirectory() as folder, sync_playwright() as tool:
        file = Path(folder) / "explorer.html"
        file.write_text(page(made), encoding="utf-8")
        executable = shutil.which("chromium") or "/usr/bin/chromium"
        browser = tool.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--enable-precise-memory-info"]
        )
        view = browser.new_page(viewport={"width": 900, "height": 700})
        view.goto(f"file://{file}")
        costs = [view.evaluate(ALL) for _ in range(20)]
        view.evaluate(MEASURE, 30)
        times = np.array(view.evaluate(MEASURE, asked.moves))
        memory = [view.evaluate("performance.memory.usedJSHeapSize / 2**20")]
        dragged = view.evaluate(DRAG, asked.seconds)
        view.evaluate(MEASURE, 1000)
        memory.append(view.evaluate("performance.memory.usedJSHeapSize / 2**20"))
        browser.close()
    print(f"all 200 draws: {np.median(costs):.1f} ms; page {len(page(made)) / 1024:.0f} kB")
    print(f"slider to painted: median {np.median(times):.1f} ms, 95 % {np.quantile(times, 0.95):.1f} ms")
    print(f"dragged: {dragged['sent']} events, {dragged['behind']:.0f} ms behind at the end")
    print(f"memory: {memory[0]:.1f} MB, {memory[1]:.1f} MB after {dragged['sent'] + 1000} events")


if __name__ == "__main__":
    main()
