"""Kernels for filters: a model's states and outputs one leg further, with derivatives by its states and parameters."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from workbench.declare.layout import Layout
from workbench.declare.model import Model
from workbench.declare.quantity import Parameter
from workbench.declare.trace import Trace, differentiate, trace
from workbench.simulate.kernel import _LOCK, method_of
from workbench.simulate.kernels import cache
from workbench.simulate.kernels.equations import advances
from workbench.simulate.kernels.module import emit
from workbench.simulate.methods.tableau import Method


class _Leading:
    """A model whose starts are parameters, whose states are outputs, and whose derivatives are by some parameters."""

    def __init__(self, model: Model, names: Sequence[str]):
        self._model = model
        begins = {f"{name} begins": Parameter(s.unit, value=0.0, dims=()) for name, s in model.states.items()}
        shapes = {f"{name} begins": shape for name, shape in model.state_layout.shapes.items()}
        self.theta = {**begins, **model.theta}
        self.theta_layout = Layout({**shapes, **model.theta_layout.shapes})
        self.output_layout = Layout(
            {f"state {name}": s for name, s in model.state_layout.shapes.items()} | dict(model.output_layout.shapes)
        )
        self.estimated = (*begins, *(name for name in model.theta if name in names))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


def leading(model: Model, names: Sequence[str] = ()) -> Trace:
    """Return the trace of a model that starts anywhere: theta begins with the starts; outputs are states, then outputs.

    Its derivatives are by the starts, then by the parameters `names` (in the order in which theta holds them).
    """
    traced = _traced(model)
    begins = [state.type(f"{state.name}_begins") for state in traced.states]
    equations = {**traced.equations, "start": begins, "observe": [*traced.states, *traced.equations["observe"]]}
    return replace(
        traced,
        model=_Leading(model, names),  # type: ignore[arg-type]
        theta=[*begins, *traced.theta],
        equations=equations,
        _programs={},
    )


def _traced(model: Model) -> Trace:
    kept = vars(model).setdefault("_kernels", {})
    with _LOCK:
        if "trace" not in kept:
            kept["trace"] = trace(model)
    return kept["trace"]


def slope_kernel(model: Model, names: Sequence[str] = (), method: Method | None = None) -> int:
    """Return the address of the kernel of `leading`; its `run` is that of sensitivities."""
    kept = vars(model).setdefault("_kernels", {})
    chosen = method or method_of(model)
    kind = ("leading", tuple(names), chosen.name if chosen else "")
    if kind not in kept:
        kept[kind] = emit(leading(model, names), chosen, sensitivities=True)
    return int(cache.load(kept[kind]).run.address)


def linearity(model: Model) -> tuple[bool, bool]:
    """Return whether derivatives by states do not depend on states, and whether on nothing but parameters.

    Of the equations and of the outputs together: of a linear model, and of one that also stays the same in time.
    """
    traced, free, steady = leading(model), True, True
    for method in (advances(traced), "observe"):
        d = differentiate(traced, method)
        states = model.state_layout.size
        columns = {name: k for k, name in enumerate(d.program.inputs)}
        by_state = {columns[f"x{k}"] for k in range(states)}
        moving = by_state | {k for name, k in columns.items() if name[0] in "tu"}
        for (_, column), ref in zip(d.entries, d.program.outputs[d.rows :], strict=True):
            if column >= states:
                continue
            used = _inputs_of(d.program, ref)
            free, steady = free and not used & by_state, steady and not used & moving
    return free and not model.thresholds, steady and not model.thresholds


def _inputs_of(program: Any, ref: Any) -> set[int]:
    """Return the inputs that a value of a program depends on."""
    found, seen, stack = set[int](), set[int](), [ref] if isinstance(ref, int) else []
    first = len(program.inputs)
    while stack:
        at = stack.pop()
        if at < first:
            found.add(at)
        elif at not in seen:
            seen.add(at)
            stack += [a for a in program.operations[at - first].arguments if isinstance(a, int)]
    return found
