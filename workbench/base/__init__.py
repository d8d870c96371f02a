"""What every room stands on: errors, units and the names of dimensions. No physics, no heavy imports."""
