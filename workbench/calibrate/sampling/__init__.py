"""From a density to draws: its machine code, where chains begin, NUTS, and walkers without a gradient."""
