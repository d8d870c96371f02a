"""A model that readers of a report can move: a numbered figure with sliders, where the model itself runs."""

from collections.abc import Mapping
from typing import Any

from workbench.report.record import framed


def interactive(
    source: Any,
    name: str,
    caption: str,
    *,
    times: Any = None,
    inputs: Mapping[str, Any] | None = None,
    unit: Any = None,
) -> None:
    """Show an explorer (see `wb.explore`) in a notebook and in its report, as a numbered figure.

    The report opens from disk with no network and no kernel, and the sliders run the model over the draws. In a run the
    figure is saved as PDF and SVG as others are, and the page as `figures/<name>.html`.

    Parameters
    ----------
    source, times, inputs, unit
        As in `wb.explore`.
    name
        File name without ending.
    caption
        Markdown; `$...$` is maths.
    """
    from workbench.report.explorer.page import figure, page
    from workbench.report.explorer.scene import scene

    made = scene(source, times=times, inputs=inputs, unit=unit)
    rows = -(-len(made.curves) // 2), -(-(len(made.controls) + 1) // 2)  # two columns, at a report's width
    framed(figure(made), page(made), name, caption, height=110 + 250 * rows[0] + 48 * rows[1])
