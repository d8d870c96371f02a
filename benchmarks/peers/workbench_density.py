"""The log density of a calibration by the workbench, timed as nutpie calls it."""

import time
from collections.abc import Mapping
from typing import Any

import workbench as wb
from benchmarks.peers.c_lynx import compile_library, doubles
from benchmarks.peers.protocol import CALL, LOOP, Gradients, time_sweeps


def gradients(model: Any, data: Any, posterior: Mapping[str, str], points: list[list[float]]) -> Gradients:
    """Time the function that nutpie is given, swept over the points by a C loop as nutpie's own compiled loop does.

    `posterior` maps the names of a point's numbers, in order, to ours.
    """
    import numpy as np

    from workbench.calibrate.sampling.density import compile_density

    began = time.perf_counter()
    density = compile_density(wb.to_pymc(model, data))
    compiled = time.perf_counter() - began
    order = [variable.name for variable in density.space.variables]
    theirs = [list(posterior.values()).index(name) for name in order]
    columns = [order.index(name) for name in posterior.values()]
    own = [[point[i] for i in theirs] for point in points]
    size = len(posterior)
    given = density.for_nutpie(lambda seed: np.zeros(size))
    address, counters = given.compiled_logp_func.address, given.user_data.ctypes.data
    library = compile_library()
    flat, values, slopes = doubles(own), doubles([0.0] * len(own)), doubles([0.0] * len(own) * size)

    def sweep() -> int:
        return library.density_sweep(address, counters, size, flat, len(own), values, slopes)

    if sweep():
        raise RuntimeError("the density has no finite value at a point")
    arrays = [np.array(point) for point in own]
    microseconds = {
        LOOP: time_sweeps(sweep, len(own)),
        CALL: time_sweeps(lambda: [density.evaluate(point) for point in arrays], len(own)),
    }
    found = [[slopes[i + column] for column in columns] for i in range(0, len(slopes), size)]
    return Gradients(list(values), found, microseconds, compiled, versions())


def versions() -> str:
    """Return the versions that the numbers depend on."""
    from importlib.metadata import version

    return f"workbench {wb.__version__}, nutpie {version('nutpie')}, pymc {version('pymc')}, numba {version('numba')}"
