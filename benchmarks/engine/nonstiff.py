"""The DETEST problems beside SciPy and diffrax: `python -m benchmarks.engine.nonstiff`.

Every solver runs at relative tolerances from 1e-2 to 1e-13; seconds are compared at the same error, not at the same
tolerance. The drawing of some goes to docs/nonstiff.png with `--plot`.
"""

from benchmarks.engine.nonstiff_problems import DETEST, problem
from benchmarks.engine.report import compare

PEERS = ("workbench", "wb.simulate", "LSODA", "DOP853", "Tsit5", "Dopri8")


def main() -> None:
    """Measure, print the ratios, draw."""
    compare(
        __doc__, dict.fromkeys(DETEST), problem, PEERS, errors=[10.0**-k for k in range(3, 11)],
        picture="nonstiff.png", drawn=("A3", "B1", "C4", "D5", "E2"),
    )  # fmt: skip


if __name__ == "__main__":
    main()
