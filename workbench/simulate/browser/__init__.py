"""The model in a browser: its program printed as JavaScript, and a small integrator beside it."""
