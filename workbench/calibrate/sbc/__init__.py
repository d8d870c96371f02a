"""Simulation-based calibration: whether a posterior is right where the truth is known."""
