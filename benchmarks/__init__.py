"""Benchmarks against peers: every peer in its own process, side by side in one run, ratios printed."""
