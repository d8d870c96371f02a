"""The posterior of a simulator: its PyMC model, which has no gradient, and its density at many points at a time."""

from collections.abc import Sequence
from typing import Any, NoReturn

import numba
import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray
from pymc.pytensorf import compile as compile_graph
from pytensor.compile.mode import Mode
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.graph.replace import vectorize_graph
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_and_cache_key

from workbench.base.errors import SamplingError
from workbench.calibrate.discrepancy.discrepancy import expected
from workbench.calibrate.discrepancy.integrated import integrable
from workbench.calibrate.discrepancy.integrated import log_density as integrated_density
from workbench.calibrate.predict import derived, noise_arguments, theta_of
from workbench.calibrate.problem import Problem
from workbench.calibrate.sampling.space import Space, space_of
from workbench.calibrate.sampling.start import draw_free
from workbench.declare.simulator import Simulator
from workbench.simulate.blackbox import Box

Array = NDArray[np.float64]


def box_of(problem: Problem, *, parallel: bool) -> Box:
    """Return the simulator of a problem, before its data."""
    assert isinstance(problem.model, Simulator)
    arguments = (problem.model, problem.schedule)
    return Box(*arguments, rows=problem.rows, times=problem.observations.time, parallel=parallel)


class Evaluate(Op):
    """Outputs (rows, outputs) of a simulator at the rows of the data, for theta (units, parameters); no gradient.

    A unit that fails reads infinity, so its density is zero. Units run one by one, as chains may run in parallel.
    """

    def __init__(self, problem: Problem):
        self.box = box_of(problem, parallel=False)

    def __str__(self) -> str:
        return f"Evaluate{{{self.box.model.name}}}"

    def make_node(self, theta: Any) -> Apply:
        """Return the application to theta."""
        given = pt.as_tensor_variable(theta).astype("float64")
        return Apply(self, [given], [pt.TensorType("float64", shape=(self.box.size, self.box.width))()])

    def perform(self, node: Apply, inputs: Sequence[Any], storage: Any) -> None:
        """Run the simulator, unless it was run for the same parameters before."""
        storage[0][0] = self.values(inputs[0])

    def values(self, theta: Array) -> Array:
        """Return the outputs for one theta."""
        outputs, _ = self.box.outputs(np.ascontiguousarray(theta)[None])
        return np.where(np.isnan(outputs[0]), np.inf, outputs[0])

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[int, int]]:
        """The data and the model say it."""
        return [(self.box.size, self.box.width)]


@register_funcify_and_cache_key(Evaluate)
def _evaluate_in_numba(op: Evaluate, node: Apply, **_: Any) -> tuple[Any, None]:
    """Go back to Python for each evaluation; nothing of that is kept on disk."""
    call = op.values

    @numba_njit
    def evaluate(theta):  # type: ignore[no-untyped-def]
        with numba.objmode(y="float64[:,::1]"):
            y = call(theta)
        return y

    return evaluate, None


class Blind:
    """The log density of a simulator's posterior over the unconstrained space, without a gradient.

    Attributes
    ----------
    space
        The free variables and their places in a point.
    box
        Runs the simulator, in parallel, and counts what it does.
    """

    def __init__(self, problem: Problem, made: pm.Model, box: Box):
        self.problem, self.space, self.box = problem, space_of(made), box
        if self.space.size == 0:
            raise SamplingError("got a model without free variables; expected at least one quantity with a prior")
        self._prior = _log_prior(made, self.space)

    def prior(self, points: Array) -> Array:
        """Return the log density (n,) of the priors at points (n, size)."""
        with np.errstate(all="ignore"):
            density = self._prior(points)
        return np.where(np.isnan(density), -np.inf, density)

    def likelihood(self, points: Array) -> Array:
        """Return the log density (n,) of the data at points (n, size); -inf where the simulator failed."""
        problem = self.problem
        variables = derived(problem, self.space.constrain(points[None]))
        outputs, failed = self.box.outputs(theta_of(problem, variables))
        layout, total = problem.model.output_layout, np.zeros(len(points))
        with np.errstate(all="ignore"):
            for name in problem.measured:
                sensor = problem.sensor(name)
                arguments = noise_arguments(problem.model, name, variables, sensor.unit)
                values = outputs[:, :, layout.places[name]].reshape(len(points), -1)
                if name in problem.terms and integrable(sensor):
                    total += integrated_density(problem, name, variables, sensor.centre(values))
                    continue
                centre = expected(problem, name, variables, values)
                total += sensor.log_density(centre, arguments).sum(axis=1)
        total[[member for member, _ in failed]] = -np.inf
        return np.where(np.isnan(total), -np.inf, total)

    def draw_prior(self, rng: np.random.Generator, n: int) -> Array:
        """Return draws (n, size) of the prior; those that round to the end of a support are replaced by others."""
        with np.errstate(all="ignore"):
            points = self.space.unconstrain(draw_free(self.problem, rng, 2 * n + 10))
        inside = points[np.isfinite(points).all(axis=1)]
        return inside[np.arange(n) % len(inside)]

    def refuse(self) -> NoReturn:
        """Say that too few draws of the prior have a density, and why the simulator failed where it did."""
        box = self.box
        why = "the outputs are impossible under their noise (not positive under LogNormal noise, say)"
        if box.failures:
            runs = f"{box.failures} of {box.evaluations} evaluations of the simulator failed"
            why = f"{runs}; the first: {box.first_failure}"
        raise SamplingError(
            f"{self.problem.model.name}: got hardly a draw from the prior with a density; expected more, but {why}; "
            "look at wb.simulate with such draws, and at the priors"
        )


def _log_prior(made: pm.Model, space: Space) -> Any:
    """Return a function from points (n, size) to the log densities (n,) of all priors, with PyMC's own transforms."""
    points = pt.dmatrix("points")
    parts = {
        made.rvs_to_values[rv]: points[:, v.place].reshape((points.shape[0], *v.shape))
        for rv, v in zip(made.free_RVs, space.variables, strict=True)
    }
    density = vectorize_graph(made.logp(vars=made.free_RVs), parts)
    return compile_graph([points], density, mode=Mode("py", "fast_compile"))  # compiled code would not pay off
