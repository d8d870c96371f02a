"""Two patients of the notebooks, a circulation and glucose through a filter, beside diffrax and numpyro."""
