"""Bridges: what their modes, a truck that stands on them, and their inspections tell."""
