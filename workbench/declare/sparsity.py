"""Which results of a graph depend on which elements of its inputs, and what follows for Jacobians."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytensor
from pytensor.compile.mode import Mode
from pytensor.graph.basic import Apply, Constant, Variable
from pytensor.tensor.basic import Alloc, ExtractDiag, Join, MakeVector, ScalarFromTensor, Split, TensorFromScalar
from pytensor.tensor.elemwise import CAReduce, DimShuffle, Elemwise
from pytensor.tensor.math import Dot
from pytensor.tensor.reshape import JoinDims, SplitDims
from pytensor.tensor.shape import Reshape, SpecifyShape
from pytensor.tensor.subtensor import AdvancedIncSubtensor, AdvancedSubtensor, IncSubtensor, Subtensor
from pytensor.tensor.subtensor import indices_from_subtensor as indices

from workbench.declare.lower_loops import rewritten

_FLAT = frozenset("Sign Floor Ceil LT LE GT GE EQ NEQ AND OR Invert".split())
_MOVES = DimShuffle | Subtensor | Reshape | Alloc | Split | AdvancedSubtensor | ExtractDiag | JoinDims | SplitDims
_SAME = TensorFromScalar | ScalarFromTensor | SpecifyShape


@dataclass(frozen=True)
class Pattern:
    """Places of a Jacobian that are not zero everywhere, row by row.

    Attributes
    ----------
    rows, columns
        (entries,) of each place.
    shape
        Of the Jacobian.
    """

    rows: np.ndarray
    columns: np.ndarray
    shape: tuple[int, int]

    @property
    def full(self) -> bool:
        """Whether looking for structure is not worth it."""
        return self.rows.size > 0.25 * self.shape[0] * self.shape[1]

    def colours(self) -> np.ndarray:
        """Return (columns,) numbers such that columns of the same number share no row (Curtis, Powell & Reid 1974).

        Columns are taken in turn, which needs the fewest numbers where the entries lie in a band.
        """
        count = self.shape[1]
        if self.full:
            return np.arange(count)
        by_row = [list[int]() for _ in range(self.shape[0])]
        by_column = [list[int]() for _ in range(count)]
        for r, c in zip(self.rows.tolist(), self.columns.tolist(), strict=True):
            by_row[r].append(c)
            by_column[c].append(r)
        colours = np.full(count, -1)
        for column in range(count):
            taken = {int(colours[other]) for r in by_column[column] for other in by_row[r]}
            colours[column] = next(k for k in range(count + 1) if k not in taken)
        return colours

    def order(self) -> tuple[np.ndarray, tuple[int, int]]:
        """Return an order of the states, as their old places, and the bandwidths of the matrix in that order.

        Reverse Cuthill-McKee (George & Liu 1981) where that lowers the bandwidth.
        """
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import reverse_cuthill_mckee

        n = self.shape[0]
        natural = np.arange(n)
        matrix = csr_array((np.ones(self.rows.size), (self.rows, self.columns)), shape=self.shape)
        other = np.asarray(reverse_cuthill_mckee((matrix + matrix.T).tocsr(), symmetric_mode=True), dtype=np.int64)
        return min(((o, self._band(o)) for o in (natural, other)), key=lambda pair: sum(pair[1]))

    def _band(self, order: np.ndarray) -> tuple[int, int]:
        place = np.argsort(order)
        away = place[self.rows] - place[self.columns]
        return int(max(away.max(initial=0), 0)), int(max((-away).max(initial=0), 0))


def pattern(outputs: Sequence[Variable], wanted: Sequence[Variable], inputs: Sequence[Variable]) -> Pattern:
    """Return where the outputs, one after the other and in C order, depend on the wanted inputs."""
    from scipy.sparse import csr_array, identity, vstack

    graph = rewritten(inputs, outputs)
    nodes = graph.toposort()
    made = [v for node in nodes for v in node.outputs]
    mode = Mode("py", None)
    numbers = [np.ones(i.type.shape) for i in inputs]
    function = pytensor.function(graph.inputs, made, mode=mode, on_unused_input="ignore")
    values = dict(zip([*graph.inputs, *made], [*numbers, *function(*numbers)], strict=True))
    width = sum(int(np.prod(w.type.shape)) for w in wanted)
    found: dict[Variable, Any] = {}
    first, whole = 0, identity(width, format="csr")
    for variable, own in zip(inputs, graph.inputs, strict=True):
        size = int(np.prod(variable.type.shape))
        found[own] = csr_array((size, width))
    for variable in wanted:
        size = int(np.prod(variable.type.shape))
        found[graph.inputs[list(inputs).index(variable)]] = csr_array(whole[first : first + size])
        first += size

    def depends(variable: Variable) -> Any:
        size = np.size(variable.data if isinstance(variable, Constant) else values[variable])
        return found[variable] if variable in found else csr_array((size, width))

    for node in nodes:
        given = [i.data if isinstance(i, Constant) else values[i] for i in node.inputs]
        results = _dependence(node, given, [values[o] for o in node.outputs], [depends(i) for i in node.inputs])
        found.update(zip(node.outputs, results, strict=True))
    total = vstack([depends(o) for o in graph.outputs]).tocsr()
    total.sum_duplicates()
    total.sort_indices()
    rows = np.repeat(np.arange(total.shape[0]), np.diff(total.indptr))
    return Pattern(rows, total.indices.astype(np.int64), total.shape)


def _chosen(size: int, width: int, rows: np.ndarray, columns: np.ndarray) -> Any:
    """Return a matrix with ones at some places."""
    from scipy.sparse import csr_array

    return csr_array((np.ones(rows.size), (rows.ravel(), columns.ravel())), shape=(size, width))


def _dependence(node: Apply, given: list[Any], results: list[Any], inner: list[Any]) -> list[Any]:
    """Return what each result of a node depends on, element by element; on everything where that is not known."""
    size, shape, op = np.size(results[0]), np.shape(results[0]), node.op

    def spread(k: int, places: np.ndarray) -> Any:
        """Return the dependence of elements on input k, whose element they take."""
        return _chosen(size, np.size(given[k]), np.arange(size), places) @ inner[k]

    def numbered(k: int) -> np.ndarray:
        return np.arange(np.size(given[k])).reshape(np.shape(given[k]))

    match op:
        case Elemwise(scalar_op=scalar):
            if type(scalar).__name__ in _FLAT:
                return [_chosen(size, inner[0].shape[1], np.arange(0), np.arange(0))]
            return [sum(spread(k, np.broadcast_to(numbered(k), shape)) for k in range(len(given)))]
        case _ if isinstance(op, _SAME):
            return [inner[0]]
        case _ if isinstance(op, _MOVES):
            storage = [[None] for _ in results]
            moved = [numbered(0).astype(node.inputs[0].dtype), *given[1:]]
            op.perform(node, moved, storage)
            found = [np.asarray(s[0]).astype(np.int64).ravel() for s in storage]
            return [_chosen(p.size, np.size(given[0]), np.arange(p.size), p) @ inner[0] for p in found]
        case Join() | MakeVector():
            ends = np.cumsum([np.size(g) for g in given])
            parts = [numbered(k) + (ends[k] - np.size(given[k])) for k in range(len(given))]
            places = np.array(parts) if isinstance(op, MakeVector) else np.concatenate(parts, axis=op.axis)
            from scipy.sparse import vstack

            return [_chosen(size, int(ends[-1]), np.arange(size), places) @ vstack(inner).tocsr()]
        case IncSubtensor() | AdvancedIncSubtensor():
            where = [int(g) if isinstance(op, IncSubtensor) else g for g in given[2:]]
            places = numbered(0)[indices(where, op.idx_list)]
            values = np.broadcast_to(numbered(1), places.shape)
            return [inner[0] + _chosen(size, np.size(given[1]), places, values) @ inner[1]]
        case CAReduce(axis=axis):
            kept = np.arange(size).reshape(np.sum(given[0], axis=axis, keepdims=True).shape)
            return [_chosen(size, np.size(given[0]), np.broadcast_to(kept, np.shape(given[0])), numbered(0)) @ inner[0]]
        case Dot():
            return [_product(node, given, inner, size)]
    everything = [_chosen(size, i.shape[0], *np.indices((size, i.shape[0]))) @ i for i in inner]
    return [sum(everything)] * len(results)


def _product(node: Apply, given: list[Any], inner: list[Any], size: int) -> Any:
    """Return what the elements of a product of matrices depend on; a constant matrix counts where it is not zero."""
    from scipy.sparse import csr_array, kron

    a, b = np.atleast_2d(given[0]), np.reshape(given[1], (np.shape(given[1])[0], -1))
    known = [
        csr_array((m != 0) if isinstance(i, Constant) else np.ones(m.shape))
        for m, i in zip((a, b), node.inputs, strict=True)
    ]
    by_a = kron(csr_array(np.eye(a.shape[0])), known[1].T) @ inner[0]
    by_b = kron(known[0], csr_array(np.eye(b.shape[1]))) @ inner[1]
    return csr_array(by_a) + csr_array(by_b)
