"""Stiff problems with published end values beside SciPy, CVODE and diffrax: `python -m benchmarks.engine.stiff`.

Every solver runs at relative tolerances from 1e-2 to 1e-13; seconds are compared at the same error, not at the same
tolerance. The drawing goes to docs/stiff.png with `--plot`.
"""

from benchmarks.engine.report import compare
from tests.stiff_models import PROBLEMS

PEERS = ("workbench", "workbench, told", "wb.simulate", "LSODA", "Radau", "CVODE", "Kvaerno5")


def main() -> None:
    """Measure, print the ratios, draw."""
    compare(
        __doc__, dict.fromkeys(PROBLEMS), PROBLEMS.__getitem__, PEERS, errors=[1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8],
        picture="stiff.png", drawn=tuple(PROBLEMS),
    )  # fmt: skip


if __name__ == "__main__":
    main()
