"""The hand-written C program of `benchmarks/c/`: what the same method costs when written for this problem alone."""

import ctypes
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.peers.protocol import LOOP, Gradients, main, time_sweeps
from benchmarks.problem import HARE, LYNX, NAMES, TOLERANCE, posterior_points

SOURCE = Path(__file__).parents[1] / "c" / "lynx_hare.c"
FLAGS = ("-O3", "-march=native", "-shared", "-fPIC")
DOUBLES = ctypes.POINTER(ctypes.c_double)


def compile_library(compiler: str = "gcc") -> ctypes.CDLL:
    """Compile the C program and load it."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        path = Path(folder) / "lynx_hare.so"
        subprocess.run([compiler, *FLAGS, "-o", str(path), str(SOURCE), "-lm"], check=True)
        library = ctypes.CDLL(str(path))
    word, count, out = ctypes.c_void_p, ctypes.c_int64, (DOUBLES, DOUBLES)
    library.lynx_hare_sweep.restype = library.density_sweep.restype = ctypes.c_int64
    library.lynx_hare_sweep.argtypes = [DOUBLES, DOUBLES, count, ctypes.c_double, *out]
    library.density_sweep.argtypes = [word, word, count, DOUBLES, count, *out]
    return library


def doubles(values: Any) -> Any:
    """Return the values, of any nesting, as a C array."""
    flat = [float(each) for row in values for each in (row if isinstance(row, list | tuple) else [row])]
    return (ctypes.c_double * len(flat))(*flat)


def gradient() -> Gradients:
    """Time a sweep over the points inside C."""
    import math

    began = time.perf_counter()
    library = compile_library()
    compiled = time.perf_counter() - began
    points = posterior_points()
    data = doubles([[math.log(hare), math.log(lynx)] for hare, lynx in zip(HARE, LYNX, strict=True)])
    flat, values, slopes = doubles(points), doubles([0.0] * len(points)), doubles([0.0] * len(points) * len(NAMES))

    def sweep() -> int:
        return library.lynx_hare_sweep(data, flat, len(points), TOLERANCE, values, slopes)

    microseconds = time_sweeps(sweep, len(points))
    gradients = [slopes[i : i + len(NAMES)] for i in range(0, len(slopes), len(NAMES))]
    version = subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, text=True, check=True).stdout.strip()
    return Gradients(
        list(values), gradients, {LOOP: microseconds}, compiled, f"gcc {version} {' '.join(FLAGS[:2])}",
        f"{sweep() / len(points):.1f} steps tried a solve",
    )  # fmt: skip


if __name__ == "__main__":
    main("C", gradient=gradient)
