"""Reports: what a notebook says (numbers, figures, tables), and how it is run and printed."""

from workbench.report.record import figure, number, say, table, used

__all__ = ["figure", "number", "say", "table", "used"]
