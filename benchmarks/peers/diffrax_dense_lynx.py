"""numpyro and diffrax at their best here: forward differentiation, and a dense metric for correlated parameters."""

from functools import partial

from benchmarks.peers.diffrax_lynx import sample
from benchmarks.peers.protocol import main

if __name__ == "__main__":
    main("diffrax forward, dense", sample=partial(sample, forward=True, dense=True))
