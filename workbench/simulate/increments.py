"""Outputs that are increments, from what `observe` returns at the times of a run."""

import numpy as np

from workbench.declare.model import Model
from workbench.declare.sensor import increments
from workbench.simulate.kernel import Solutions


def count(model: Model, made: Solutions, times: int) -> None:
    """Replace outputs that are increments by the increase since the time before, zero at the first of a unit's times.

    All units share their number of times.
    """
    for name, output in model.outputs.items():
        if output.increment:
            place = model.output_layout.places[name]
            values = made.outputs[:, :, place].reshape(made.outputs.shape[0], -1, times, place.stop - place.start)
            before = np.concatenate([values[:, :, :1], values[:, :, :-1]], axis=2)
            counted = increments(output, values, before, (model.rtol, model.atol))
            made.outputs[:, :, place] = counted.reshape(made.outputs[:, :, place].shape)
