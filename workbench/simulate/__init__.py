"""Solving what was declared: kernels compiled from the trace, schedules of inputs, and runs over many draws."""
