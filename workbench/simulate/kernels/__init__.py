"""Kernels: a traced model printed as a Numba module around a method, compiled once, kept on disk."""
