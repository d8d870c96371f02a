"""An explorer as one HTML text that opens from disk, with no network and no kernel; a figure where no script runs."""

import html
import json
from io import StringIO
from pathlib import Path
from typing import Any

from workbench.report.explorer.frames import frames
from workbench.report.explorer.scene import MASSES, Scene
from workbench.report.style import BLUE, GREY, INK, PAGE, PALE_BLUE, panels, styled


def javascript() -> str:
    """Return the source of `mount(root, scene, ask)`."""
    return (Path(__file__).parent / "explorer.js").read_text(encoding="utf-8")


@styled
def figure(scene: Scene) -> Any:
    """Return the matplotlib figure of a scene as it is before any slider moves."""
    count = len(scene.curves)
    fig, axes = panels(1, count, width=PAGE if count > 1 else 3.5, height=2.4)
    low, middle, high = scene.base
    for ax, curve, k in zip(axes[0], scene.curves, range(count), strict=True):
        ax.fill_between(scene.times, low[:, k], high[:, k], color=PALE_BLUE, linewidth=0)
        ax.plot(scene.times, middle[:, k], color=BLUE)
        ax.plot(*curve.observed.T, "o", color=INK, fillstyle="none", markeredgewidth=0.7)
        ax.set(xlabel=f"time ({scene.model.time_unit})", ylabel=curve.label, xlim=(scene.times[0], scene.times[-1]))
    fig.supxlabel(f"90% band and median of {scene.source}", fontsize=7, color=GREY)
    return fig


def page(scene: Scene) -> str:
    """Return the explorer as a whole HTML document; plain text, well under 1 MB, nothing from outside.

    Where the model cannot run in a browser (see `Scene.refusal`) it says so, and shows what was worked out beforehand.
    """
    plain = {**scene.plain(), **({"frames": frames(scene)} if scene.refusal else {})}
    data = json.dumps(plain, separators=(",", ":")).replace("</", "<\\/")
    title = html.escape(f"{scene.model.name}: {MASSES[2] - MASSES[0]:.0%} of {scene.source}")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark"></head>'
        "<body>"
        f'<noscript>{_svg(scene)}</noscript><main id="explorer"></main>'
        f'<script type="application/json" id="scene">{data}</script><script>{javascript()}\n'
        'mount(document.getElementById("explorer"), JSON.parse(document.getElementById("scene").textContent), {engine: '
        f"{scene.code()}}});"
        "</script></body></html>"
    )


def _svg(scene: Scene) -> str:
    text = StringIO()
    figure(scene).savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :].strip()
