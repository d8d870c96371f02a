"""From a PyTensor graph of fixed shapes to an array program: its cost does not grow with the arrays."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytensor.scalar as ps
from pytensor.graph.basic import Apply, Constant, Variable
from pytensor.graph.fg import FunctionGraph
from pytensor.graph.rewriting.utils import rewrite_graph
from pytensor.tensor.basic import Alloc, ExtractDiag, Join, MakeVector, ScalarFromTensor, Split, TensorFromScalar
from pytensor.tensor.elemwise import CAReduce, DimShuffle, Elemwise
from pytensor.tensor.math import Dot
from pytensor.tensor.reshape import JoinDims, SplitDims
from pytensor.tensor.shape import Reshape, Shape, Shape_i, SpecifyShape
from pytensor.tensor.subtensor import AdvancedIncSubtensor, AdvancedSubtensor, IncSubtensor, Subtensor
from pytensor.tensor.subtensor import indices_from_subtensor as indices

from workbench.base.errors import DeclarationError
from workbench.declare.loops import SMALL, Body, Fixed, Index, Loops, Mapped, Stored, Value
from workbench.declare.lower import NEEDLESS, REWRITES, apply_node
from workbench.declare.places import Moved, Piecewise, broadcast, counters, gathered, joined, sliced
from workbench.declare.program import Builder, Ref
from workbench.declare.storing import Storing

_FOLDS = {"Add": ("add", 0.0), "Mul": ("mul", 1.0), "Minimum": ("minimum", np.inf), "Maximum": ("maximum", -np.inf)}
_SPARSE = 0.3  # share of entries that are not zero, below which a constant matrix is multiplied by those alone


def rewritten(inputs: Sequence[Variable], outputs: Sequence[Variable]) -> FunctionGraph:
    """Return the graph in its simplest form."""
    graph = FunctionGraph(list(inputs), list(outputs), clone=True)
    rewrite_graph(graph, include=REWRITES, exclude=NEEDLESS)
    return graph


def lower_loops(
    inputs: Mapping[Variable, Stored], outputs: Sequence[tuple[Variable, Stored, bool]], where: str
) -> Loops:
    """Return the loops that compute `outputs`: each with where it is stored, and whether it is added to what is there.

    DeclarationError (naming `where`) when the graph holds an operation that kernels do not know.
    """
    graph = rewritten(list(inputs), [variable for variable, _, _ in outputs])
    lowering = _Lowering(graph, where)
    lowering.values = dict(zip(graph.inputs, inputs.values(), strict=True))
    for node in graph.toposort():
        lowering.visit(node)
    for variable, (_, target, adds) in zip(graph.outputs, outputs, strict=True):
        lowering.store(lowering.value(variable), target, adds=adds)
    text = repr([(loop.reads, loop.target, loop.ragged) for loop in lowering.loops])
    tables = {name: data for name, data in lowering.tables.items() if name in text}
    return Loops(tuple(lowering.loops), tables, lowering.buffers)


def _performed(node: Apply, given: list[np.ndarray]) -> np.ndarray:
    """Return the result of a node that PyTensor computes in Python."""
    storage: list[list[Any]] = [[None]]
    data = [given[0], *(g.astype(i.type.dtype) for g, i in zip(given[1:], node.inputs[1:], strict=True))]  # type: ignore[attr-defined]
    node.op.perform(node, data, storage)  # type: ignore[attr-defined]
    return np.asarray(storage[0][0])


class _Lowering(Storing):
    """A graph on its way to loops."""

    def __init__(self, graph: FunctionGraph, where: str):
        super().__init__()
        self.graph, self.where = graph, where
        self.values: dict[Variable, Any] = {}

    def value(self, variable: Variable) -> Any:
        """Return what is known of a variable."""
        if isinstance(variable, Constant):
            return self.fixed(variable.data)
        return self.values[variable]

    def readable(self, variable: Variable) -> Value:
        """Return a value whose elements can be read one by one."""
        value = self.value(variable)
        return self.kept(variable, value) if isinstance(value, Piecewise) else value

    def kept(self, variable: Variable, value: Value) -> Value:
        """Return a value after it was stored: one number in a local variable, others in a buffer."""
        if isinstance(value, Stored | Fixed):
            return value
        made = self.room(value.shape, single=value.size == 1 and not isinstance(value, Piecewise))
        self.store(value, made)
        self.values[variable] = made
        return made

    def visit(self, node: Apply) -> None:
        """Remember the results of a node; store what is used several times and is not computed in no time."""
        made = self.apply(node)
        for variable, value in zip(node.outputs, made if isinstance(made, list) else [made], strict=True):
            self.values[variable] = value
            often = len(self.graph.clients[variable]) > 1
            if isinstance(value, Piecewise):
                if often:
                    self.kept(variable, value)
            elif often and value.cost > SMALL and variable.type.dtype != "bool":
                self.kept(variable, value)

    def apply(self, node: Apply) -> Any:
        """Return the value of a node, or the list of its values."""
        shapes = [() if not hasattr(i.type, "ndim") else self.value(i).shape for i in node.inputs]
        if isinstance(node.op, Shape):
            return self.fixed(shapes[0])
        if isinstance(node.op, Shape_i):
            return self.fixed(shapes[0][node.op.i])
        tensors = [i for i in node.inputs if hasattr(i.type, "ndim")]
        if all(isinstance(self.value(i), Fixed) for i in tensors):
            return self.folded(node)
        match node.op:
            case Elemwise(scalar_op=ps.Cast()) if (
                "float" in node.inputs[0].dtype and "float" not in node.outputs[0].dtype
            ):
                raise DeclarationError(
                    f"{self.where}: got a cast to {node.outputs[0].dtype}; expected wb.math.floor or a comparison"
                )
            case Elemwise(scalar_op=scalar):
                return self.elementwise(node, scalar)
            case ps.ScalarOp() as scalar:
                return Mapped(scalar, [self.readable(i) for i in node.inputs], self.where)
            case CAReduce(scalar_op=scalar, axis=axis) if type(scalar).__name__ in _FOLDS:
                return self.reduced(node, _FOLDS[type(scalar).__name__], axis)
            case Dot():
                return self.dot(node)
            case Join(axis=axis):
                return joined([self.value(i) for i in node.inputs], axis % len(shapes[0]))
            case MakeVector():
                parts = [self.readable(i) for i in node.inputs]
                return joined([Moved(part, (1,), lambda index: ()) for part in parts], 0)
            case IncSubtensor() | AdvancedIncSubtensor():
                return self.increased(node)
        return self.moved(node)

    def folded(self, node: Apply) -> Any:
        """Return the value of a node whose inputs are constants."""
        given = [self.value(i).data if hasattr(i.type, "ndim") else i.data for i in node.inputs]  # type: ignore[attr-defined]
        if isinstance(node.op, AdvancedSubtensor | AdvancedIncSubtensor | ExtractDiag | JoinDims | SplitDims):
            return self.fixed(_performed(node, given))
        made = apply_node(Builder(()), node, given, self.where)
        return [self.fixed(m) for m in made] if isinstance(made, list) else self.fixed(made)

    def elementwise(self, node: Apply, scalar: Any) -> Value:
        """Return an elementwise function; sums of values that are stored piece by piece are themselves so stored."""
        values = [self.value(i) for i in node.inputs]
        shape = np.broadcast_shapes(*(v.shape for v in values))
        piecewise = [v for v in values if isinstance(v, Piecewise)]
        if isinstance(scalar, ps.Add) and piecewise and all(v.shape == shape for v in piecewise):
            plain = [v for v in values if not isinstance(v, Piecewise)]
            first: list[Value] = [Mapped(scalar, plain, self.where)] if len(plain) > 1 else plain
            if first and first[0].shape != shape:
                first = [broadcast(first[0], shape)]
            return Piecewise(shape, [(None, v, k > 0) for k, v in enumerate([*first, *piecewise])])
        arguments = []
        for variable in node.inputs:
            value = self.readable(variable)
            repeated = value.cost > SMALL and value.size < int(np.prod(shape)) and variable.type.dtype != "bool"
            arguments.append(self.kept(variable, value) if repeated else value)
        return Mapped(scalar, arguments, self.where)

    def reduced(self, node: Apply, fold: tuple[str, float], axis: Any) -> Value:
        """Return the result of a sum, product, minimum or maximum over some axes."""
        value = self.readable(node.inputs[0])
        axes = range(len(value.shape)) if axis is None else [a % len(value.shape) for a in axis]
        kept = [a for a in range(len(value.shape)) if a not in axes]
        order = [*kept, *axes]
        made = self.room(tuple(value.shape[a] for a in kept), single=not kept)
        every = counters(len(order))
        index = [every[order.index(a)] for a in range(len(order))]
        counts = tuple(value.shape[a] for a in order)
        self.folds(counts, len(kept), lambda body: value.read(body, index), made, fold)
        return made

    def dot(self, node: Apply) -> Value:
        """Return a product of vectors or matrices; of a constant matrix with few entries only these are multiplied."""
        a, b = (self.readable(i) for i in node.inputs)
        for matrix, other, turned in ((a, b, False), (b, a, True)):
            if isinstance(matrix, Fixed) and len(matrix.shape) == 2 and len(other.shape) == 1:
                data = matrix.data.T if turned else matrix.data
                if np.count_nonzero(data) <= _SPARSE * data.size:
                    return self.sparse_dot(data, other)
        a, b = (self.kept(i, v) if v.cost > SMALL else v for i, v in zip(node.inputs, (a, b), strict=True))
        rows, columns = a.shape[:-1], b.shape[1:]
        made = self.room((*rows, *columns), single=not (*rows, *columns))
        every = counters(len(made.shape) + 1)
        left = [*every[: len(rows)], every[-1]]
        right = [every[-1], *every[len(rows) : len(made.shape)]]

        def product(body: Body) -> Ref:
            return body.builder.add("mul", a.read(body, left), b.read(body, right))

        self.folds((*made.shape, a.shape[-1]), len(made.shape), product, made, _FOLDS["Add"])
        return made

    def sparse_dot(self, data: np.ndarray, vector: Value) -> Value:
        """Return a constant matrix times a vector."""
        row, column = np.nonzero(data)
        first = np.searchsorted(row, np.arange(len(data) + 1))
        ragged, columns = self.table(first.astype(np.int64)), self.table(column.astype(np.int64))
        entries = self.table(data[row, column])
        made = self.room((len(data),))
        at = Stored(entries, 0, (row.size,))
        place = Index(0, ((f"{columns}[i1]", 1),))

        def product(body: Body) -> Ref:
            return body.builder.add("mul", at.read(body, [Index(0, (("i1", 1),))]), vector.read(body, [place]))

        self.folds((len(data), None), 1, product, made, _FOLDS["Add"], ragged)
        return made

    def increased(self, node: Apply) -> Value:
        """Return an array of which a region is replaced or increased."""
        base, value = self.value(node.inputs[0]), self.value(node.inputs[1])
        adds = not node.op.set_instead_of_inc  # type: ignore[attr-defined]
        places = np.arange(base.size).reshape(base.shape)
        if isinstance(node.op, IncSubtensor):
            chosen = self.chosen(node, 2)
            shape = places[chosen].shape

            def region(target: Value) -> Value:
                return sliced(target, chosen)

        else:
            given = [self.value(i).data.astype(np.int64) for i in node.inputs[2:]]
            positions = places[indices(given, node.op.idx_list)]  # type: ignore[attr-defined]
            shape = positions.shape

            def region(target: Value) -> Value:
                return gathered(target, positions, self.table)

        if value.shape != shape:
            value = broadcast(self.readable(node.inputs[1]), shape)
        return Piecewise(base.shape, [(None, base, False), (region, value, adds)], overwrites=not adds)

    def chosen(self, node: Apply, first: int) -> Any:
        """Return the constant index of a subtensor."""
        data = [self.value(i) for i in node.inputs[first:]]
        if not all(isinstance(d, Fixed) for d in data):
            raise DeclarationError(f"{self.where}: got an index that is computed; expected fixed indices")
        return indices([int(d.data) for d in data], node.op.idx_list)  # type: ignore[attr-defined]

    def moved(self, node: Apply) -> Any:
        """Return a value whose elements are those of another in other places."""
        variable, *rest = node.inputs
        value = self.value(variable)
        match node.op:
            case TensorFromScalar() | ScalarFromTensor() | SpecifyShape():
                return value
            case Alloc():
                shape = tuple(int(self.value(i).data) for i in rest)
                fixed = isinstance(value, Fixed) and value.same is not None
                return self.fixed(np.full(shape, value.same)) if fixed else broadcast(self.cheap(variable), shape)
        if not isinstance(node.op, Reshape | JoinDims | SplitDims):
            value = self.readable(variable)
        match node.op:
            case DimShuffle(new_order=order):
                shape = tuple(1 if axis == "x" else value.shape[axis] for axis in order)

                def turned(index: Sequence[Index]) -> list[Index]:
                    return [index[order.index(a)] if a in order else Index() for a in range(len(value.shape))]

                return Moved(value, shape, turned)
            case Subtensor():
                return sliced(value, self.chosen(node, 1))
            case Split(axis=axis):
                ends = np.cumsum(self.value(rest[0]).data).astype(int)
                front = (slice(None),) * (int(axis) % len(value.shape))
                return [sliced(value, (*front, slice(a, b))) for a, b in zip([0, *ends], ends, strict=False)]
            case Reshape() | JoinDims() | SplitDims() | AdvancedSubtensor() | ExtractDiag():
                if not all(isinstance(self.value(i), Fixed) for i in rest):
                    raise DeclarationError(f"{self.where}: got an index that is computed; expected fixed indices")
                given = [np.arange(value.size, dtype=np.float64).reshape(value.shape)]
                places = _performed(node, given + [self.value(i).data for i in rest]).astype(np.int64)
                if isinstance(node.op, AdvancedSubtensor | ExtractDiag) or isinstance(value, Stored | Fixed):
                    return gathered(value, places, self.table)
                whole, inner = np.arange(value.size).reshape(value.shape), self.value(variable)
                return Piecewise(places.shape, [(lambda target: gathered(target, whole, self.table), inner, False)])
        raise DeclarationError(
            f"{self.where}: got PyTensor's {type(node.op).__name__}, which has no form as a loop; expected elementwise "
            "functions, sums, dot products and indexing with fixed indices"
        )

    def cheap(self, variable: Variable) -> Value:
        """Return a value that may be read many times."""
        value = self.readable(variable)
        return self.kept(variable, value) if value.cost > SMALL else value
