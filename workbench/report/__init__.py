"""Reports: what a notebook says (numbers, figures, tables), and how it is run and printed."""

from workbench.report.interactive import interactive
from workbench.report.quote import number, say, through
from workbench.report.record import figure, predictions, table, used

__all__ = ["figure", "interactive", "number", "predictions", "say", "table", "through", "used"]
