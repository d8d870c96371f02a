"""Widgets of JupyterLab: they show what pure functions return, and compute nothing themselves."""
