"""Numerical methods as data: coefficients with their source, and nothing else."""
