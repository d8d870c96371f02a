"""The workbench from start to summary on the lynx-hare posterior."""

import workbench as wb
from benchmarks.peers.workbench_lynx import LynxHare, pelts


def main() -> None:
    """Calibrate and print the summary."""
    calibration = wb.calibrate(LynxHare(), pelts(), draws=1000, tune=1000, chains=2, seed=1, progress=False)
    print(calibration.summary())


if __name__ == "__main__":
    main()
