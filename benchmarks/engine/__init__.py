"""Benchmarks of the engine: solvers, ensembles and gradients beside their peers."""
