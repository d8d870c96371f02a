"""What a calibration has to show, as pages of a panel: HTML and figures, without pyplot and for any thread."""

import html
from collections.abc import Iterator
from io import StringIO
from typing import Any

from workbench.base.errors import WorkbenchError
from workbench.calibrate.calibration import Calibration
from workbench.report import figures, tables
from workbench.report.discrepancy import discrepancy
from workbench.report.fit import loo_pit
from workbench.report.identifiability import identifiability


def pages(calibration: Calibration) -> Iterator[tuple[str, str]]:
    """Yield the title and the HTML of each page as soon as it is made: the quick ones first."""
    yield (
        "Posterior",
        f"<h4>{_heading(calibration)}</h4>{_summary(calibration)}{_svg(figures.prior_posterior, calibration)}",
    )
    yield "Trust card", calibration.trust._repr_html_()
    outputs = list(calibration.tree["observed_data"].data_vars)
    yield "Fits", "".join(_svg(figures.individual_fits, calibration, str(name)) for name in outputs)
    if calibration.problem is not None and calibration.problem.terms:
        yield "Discrepancy", "".join(_svg(discrepancy, calibration, name) for name in calibration.problem.terms)
    yield "Predictions", _svg(loo_pit, calibration)
    yield "Identifiability", _svg(lambda: identifiability(calibration.identify()))


def _heading(calibration: Calibration) -> str:
    sizes = calibration.posterior.sizes
    stopped = " (stopped early)" if calibration.posterior.attrs["interrupted"] else ""
    return f"{sizes['chain']} chains of {sizes['draw']} draws{stopped}: median and equal-tailed 89 % interval"


def _summary(calibration: Calibration) -> str:
    frame = tables.summary(calibration)
    head = "".join(f"<th>{html.escape(str(name))}</th>" for name in frame.columns)
    rows = "".join(
        f"<tr>{''.join(f'<td>{html.escape(_cell(value))}</td>' for value in row)}</tr>"
        for row in frame.itertuples(index=False)
    )
    return f'<table class="wb-table"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _svg(draw: Any, *given: Any) -> str:
    """Return a figure as SVG; what could not be drawn as a sentence."""
    text = StringIO()
    try:
        draw(*given).savefig(text, format="svg", metadata={"Date": None})
    except WorkbenchError as error:
        return f"<p>{html.escape(str(error))}</p>"
    svg = text.getvalue()
    return f'<div class="wb-figure">{svg[svg.index("<svg") :]}</div>'
