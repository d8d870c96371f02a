"""From data to a posterior: the PyMC model of a declaration, robust starts, sampling, and checks of what came out."""
