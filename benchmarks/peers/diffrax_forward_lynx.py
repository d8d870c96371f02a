"""numpyro and diffrax again, differentiated forward: fewer than ten parameters, so this is the faster way here."""

from functools import partial

from benchmarks.peers.diffrax_lynx import gradient, sample
from benchmarks.peers.protocol import main

if __name__ == "__main__":
    main("diffrax forward", sample=partial(sample, forward=True), gradient=partial(gradient, forward=True))
