"""From a calibration to a filter and back: where the clock starts, and when sensors call for a new calibration."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.base.errors import DataError, unknown
from workbench.sync.detectors import Detector, Shift, Spread, threshold
from workbench.sync.filters.plant import Plant
from workbench.sync.filters.protocol import REFUSED, USED, Records
from workbench.sync.observations import Observations, spans

Array = NDArray[np.float64]
CHANCE = 0.01  # that the readings of a right model call for a calibration
LEAST = 20  # readings
FLAGS = {"shift": 1, "spread": 2}
FLAG_ATTRIBUTES = {
    "long_name": "disagreement of sensors and model that calls for a calibration",
    "flag_masks": np.array(list(FLAGS.values()), dtype=np.int8),
    "flag_meanings": " ".join(FLAGS),
}
_NORMAL = 4  # kinds of noise below are Gaussian on their scale; squares of others are not chi-square


def first_times(observations: Observations, parameters: Any) -> Array:
    """Return when the clock of each unit starts: at its first reading, or where that of a calibration did, if earlier.

    A calibration's draws of starts are of the time at which its data began: members are carried from there.

    Raises
    ------
    DataError
        If the calibration does not know a unit, or counts its times otherwise.
    """
    first, _ = spans(observations)
    problem = getattr(parameters, "problem", None)
    if problem is None:
        return first
    before = problem.observations
    begin = observations.clock.numbers(before.clock.labels(spans(before)[0]), "times of the calibration")
    if before.units is None or observations.units is None:
        return np.minimum(first, begin.min())
    for label in observations.units:
        if label not in before.units:
            raise DataError(unknown("unit", str(label), map(str, before.units), "calibration"))
    return np.minimum(first, begin[[before.units.index(label) for label in observations.units]])


def disagreement(observations: Observations, runs: Sequence[tuple[Plant, Records]]) -> tuple[NDArray[np.int8], str]:
    """Return where readings have long disagreed with the model, as flags of all cycles, and the last of it in words.

    Each output is watched by two CUSUMs, of its normalised innovations (a shift of their mean by one SD) and of their
    squares (a spread of 1.5 SDs). Thresholds are such that all of them together raise a flag in the readings of a right
    model with probability 0.01. A sum that has passed its threshold is flagged until it falls back below it. A change
    began where the sum last was zero (Page, Biometrika 41 (1954) 100-115).
    """
    every = [(unit, *one) for unit, (plant, record) in enumerate(runs) for one in _watched(plant, record)]
    flags = [np.zeros(len(record.flag), dtype=np.int8) for _, record in runs]
    total = sum(rows.size for _, _, rows, _, _ in every)
    said = []
    for unit, name, rows, z, detector in every:
        if rows.size < LEAST:
            continue
        run_length = float(f"{total / CHANCE:.2g}")
        limit, statistic = threshold(detector, run_length), detector.statistic(z)
        over = np.abs(statistic) > limit
        flags[unit][rows[over]] |= FLAGS[detector.name]
        if over[-1]:
            since = _begin(statistic)
            time = observations.time[observations.offset[unit] + rows[since:]]
            of = "" if observations.units is None else f", unit {observations.units[unit]!r}"
            what = _words(detector, z[since:], time, runs[unit][0].model.time_unit)
            said.append(
                f"{name!r}{of} {what} since {observations.clock.label(time[0])} ({time.size} readings; CUSUM "
                f"{abs(statistic[-1]):.3g} beyond {limit:.3g}, which a right model passes once in {run_length:.2g} "
                "readings)"
            )
    text = "a new calibration is due: " + "; ".join(said) if said else ""
    return np.concatenate(flags), text


def _watched(plant: Plant, record: Records) -> Iterator[tuple[str, NDArray[np.int64], Array, Detector]]:
    """Yield for each output and detector the rows that were read and their normalised innovations."""
    column = 0
    for name in plant.measured:
        shape = plant.model.output_layout.shapes[name]
        for place in np.ndindex(*shape):
            label = name + (f"[{', '.join(map(str, place))}]" if place else "")
            flag = record.flag[:, column]
            rows = np.flatnonzero((flag == USED) | (flag == REFUSED))
            z = record.innovation[rows, 0, column] / record.innovation[rows, 1, column]
            rows, z = rows[np.isfinite(z)], z[np.isfinite(z)]
            yield label, rows, z, Shift()
            if plant.plan.kind[column] < _NORMAL:
                yield label, rows, z, Spread()
            column += 1


def _begin(statistic: Array) -> int:
    """Return the first row of the change that the last sum is of: that after it was zero, or of the other sign."""
    out = np.flatnonzero(np.sign(statistic) != np.sign(statistic[-1]))
    return int(out[-1]) + 1 if out.size else 0


def _words(detector: Detector, z: Array, time: Array, unit: str) -> str:
    """Return what readings do since a change: spread, or stand off, and whether by more and more."""
    if detector.name == "spread":
        return f"scatters {np.sqrt(np.mean(z * z)):.2g} times as far from its forecast as it should"
    way = "above" if z.mean() > 0 else "below"
    words = f"reads {abs(z.mean()):.2g} SDs {way} its forecast"
    centred = time - time.mean()
    if z.size >= LEAST and centred @ centred > 0:
        slope = float(centred @ z / (centred @ centred))
        if abs(slope) * np.sqrt(centred @ centred) > 4 and slope * z.mean() > 0:
            words += f", drifting by {abs(slope):.2g} SDs per {unit},"
    return words
