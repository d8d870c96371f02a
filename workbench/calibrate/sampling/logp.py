"""The log density of a PyMC model as a graph whose readings are an input, so that other readings need no compiler."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray
from pymc.pytensorf import compile as compile_graph
from pytensor.compile.mode import get_mode
from pytensor.graph.basic import Constant, equal_computations
from pytensor.graph.replace import clone_replace

from workbench.base.errors import SamplingError
from workbench.calibrate.sampling.space import Space

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LogpGraph:
    """A log density as a graph of its free variables and of readings.

    Attributes
    ----------
    logp
        The log density, a scalar.
    free
        The free variables, unconstrained.
    every
        (count,) all readings.
    readings
        What was read of each observed variable.
    """

    logp: Any
    free: tuple[Any, ...]
    every: Any
    readings: dict[str, Array]

    @staticmethod
    def of(model: pm.Model) -> "LogpGraph":
        """Return the graph of a model, with a vector in place of the constants that it observes."""
        known = [(str(rv.name), model.rvs_to_values[rv]) for rv in model.observed_RVs]
        observed = {name: value for name, value in known if isinstance(value, Constant)}
        readings = {name: np.asarray(value.data) for name, value in observed.items()}
        places = places_of(readings)
        every = pt.TensorType("float64", shape=(sum(r.size for r in readings.values()),))("readings")
        parts = {v: every[places[n]].reshape(v.data.shape).astype(v.dtype) for n, v in observed.items()}
        (logp,) = clone_replace([model.logp()], parts)
        return LogpGraph(logp, tuple(model.rvs_to_values[rv] for rv in model.free_RVs), every, readings)

    def same(self, other: "LogpGraph") -> bool:
        """Say whether both are the same computation, whatever the readings."""
        ours, theirs = ([*graph.free, graph.every] for graph in (self, other))
        return len(ours) == len(theirs) and equal_computations([self.logp], [other.logp], ours, theirs)

    def compiled(self, model: pm.Model, space: Space) -> Any:
        """Return the Numba function from a point (size,) and readings to the log density and its gradient."""
        try:
            slopes = pt.grad(self.logp, list(self.free))
        except NotImplementedError as error:
            raise SamplingError(f"got a density without a gradient ({error}); expected other priors") from error
        point = pt.TensorType("float64", shape=(space.size,))("point")
        parts = {v: point[s.place].reshape(s.shape) for v, s in zip(self.free, space.variables, strict=True)}
        outputs = clone_replace([self.logp, pt.concatenate([s.ravel() for s in slopes])], parts)
        mode = get_mode("NUMBA").excluding("local_usmm")  # it looks for a BLAS, which takes a second and may warn
        with model:
            return compile_graph([point, self.every], outputs, mode=mode, on_unused_input="ignore").vm.jit_fn


def places_of(readings: Mapping[str, Array]) -> dict[str, slice]:
    """Return where the readings of each observed variable lie among all of them."""
    ends = np.cumsum([0, *(np.size(values) for values in readings.values())])
    return {name: slice(int(a), int(b)) for name, a, b in zip(readings, ends[:-1], ends[1:], strict=True)}
