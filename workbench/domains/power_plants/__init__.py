"""Power plants: what comes out of them, by thermodynamics and by measurement."""
