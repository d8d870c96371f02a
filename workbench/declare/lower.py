"""From a PyTensor graph of fixed small shape to a straight-line program: arrays become arrays of scalar values."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytensor.scalar as ps
import pytensor.tensor as pt
from pytensor.graph.basic import Apply, Constant, Variable
from pytensor.graph.fg import FunctionGraph
from pytensor.graph.rewriting.utils import rewrite_graph
from pytensor.tensor.basic import Alloc, ExtractDiag, Join, MakeVector, ScalarFromTensor, Split, TensorFromScalar
from pytensor.tensor.elemwise import CAReduce, DimShuffle, Elemwise
from pytensor.tensor.math import Dot
from pytensor.tensor.reshape import JoinDims, SplitDims
from pytensor.tensor.shape import Reshape, Shape, Shape_i, SpecifyShape
from pytensor.tensor.subtensor import (
    AdvancedIncSubtensor,
    AdvancedSubtensor,
    IncSubtensor,
    Subtensor,
    indices_from_subtensor,
)

from workbench.base.errors import DeclarationError
from workbench.declare.program import Builder, Program, Ref

# PyTensor's scalar operations by class name -> ours; those with their own rule are in _RULES.
_SAME = {
    "Abs": "abs", "Sign": "sign", "Floor": "floor", "Ceil": "ceil", "Exp": "exp", "Expm1": "expm1", "Log": "log",
    "Log1p": "log1p", "Log2": "log2", "Log10": "log10", "Sqrt": "sqrt", "Sin": "sin", "Cos": "cos", "Tan": "tan",
    "ArcSin": "arcsin", "ArcCos": "arccos", "ArcTan": "arctan", "ArcTan2": "arctan2", "Sinh": "sinh", "Cosh": "cosh",
    "Tanh": "tanh", "ArcSinh": "arcsinh", "ArcCosh": "arccosh", "ArcTanh": "arctanh", "Erf": "erf", "Erfc": "erfc",
    "GammaLn": "gammaln", "Sub": "sub", "TrueDiv": "div", "Pow": "pow", "Mod": "mod", "Neg": "neg", "LT": "lt",
    "LE": "le", "GT": "gt", "GE": "ge", "EQ": "eq", "NEQ": "ne", "Switch": "where", "Invert": "not",
}  # fmt: skip
_CHAINS = {"Add": "add", "Mul": "mul", "Minimum": "minimum", "Maximum": "maximum", "AND": "and", "OR": "or"}
_RULES: dict[str, Callable[..., Ref]] = {
    "Sqr": lambda b, a: b.add("mul", a, a),
    "Reciprocal": lambda b, a: b.add("div", 1.0, a),
    "Identity": lambda b, a: a,
    "Cast": lambda b, a: a,
    "Second": lambda b, _, a: a,
    "Sigmoid": lambda b, a: b.add("div", 1.0, b.add("add", 1.0, b.add("exp", b.add("neg", a)))),
    "Softplus": lambda b, a: b.add(
        "add", b.add("maximum", a, 0.0), b.add("log1p", b.add("exp", b.add("neg", b.add("abs", a))))
    ),
    "Clip": lambda b, a, low, high: b.add("minimum", b.add("maximum", a, low), high),
    "Exp2": lambda b, a: b.add("pow", 2.0, a),
    "IntDiv": lambda b, a, c: b.add("floor", b.add("div", a, c)),
    "Log1mexp": lambda b, a: b.add(  # Maechler (2012), Accurately computing log(1 - exp(-|a|))
        "where", b.add("lt", a, -0.6931471805599453), b.add("log1p", b.add("neg", b.add("exp", a))),
        b.add("log", b.add("neg", b.add("expm1", a))),
    ),
}  # fmt: skip
REWRITES = ("canonicalize", "stabilize", "specialize")
# scalars need no BLAS, and looking for one takes a second and warns; exp(x) / sum(exp(x)) is to stay elementwise
NEEDLESS = ("BlasOpt", "cxx_only", "symbolic_op_recognition")


def lower(inputs: Sequence[Variable], outputs: Sequence[Variable], names: Sequence[str], where: str) -> Program:
    """Return the program of a graph whose inputs are float64 scalars or arrays of known shape.

    Inputs and outputs that are arrays come flattened in C order. DeclarationError (naming `where`) when the
    graph holds an operation that has no scalar form.
    """
    graph = FunctionGraph(list(inputs), list(outputs), clone=True)
    rewrite_graph(graph, include=REWRITES, exclude=NEEDLESS)
    builder = Builder(tuple(names))
    known, first = dict[Variable, np.ndarray](), 0
    for variable in graph.inputs:
        shape = variable.type.shape
        known[variable] = _places(first, shape)
        first += known[variable].size

    def value(variable: Variable) -> np.ndarray:
        if isinstance(variable, Constant):
            data = np.asarray(variable.data)
            return np.array([float(v) for v in data.ravel()] + [None], dtype=object)[:-1].reshape(data.shape)
        return known[variable]

    for node in graph.toposort():
        made = apply_node(builder, node, [_constant_or(value, i) for i in node.inputs], where)
        known.update(zip(node.outputs, made if isinstance(made, list) else [made], strict=True))
    flat = [ref for out in graph.outputs for ref in value(out).ravel()]
    return builder.program(flat)


def _places(first: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return an array of references, from `first` on."""
    made = np.empty(int(np.prod(shape)), dtype=object)
    made[:] = range(first, first + made.size)
    return made.reshape(shape)


def _array(ref: Ref) -> np.ndarray:
    made = np.empty((), dtype=object)
    made[()] = ref
    return made


def _constant_or(value: Callable[[Variable], np.ndarray], variable: Variable) -> Any:
    """Values of an input; the raw constant for what is no number (slices, axes)."""
    if isinstance(variable, Constant) and not isinstance(variable.type, pt.TensorType | ps.ScalarType):
        return variable.data
    return value(variable)


def apply_node(builder: Builder, node: Apply, inputs: list[Any], where: str) -> np.ndarray | list[np.ndarray]:
    """Return the results of a node as arrays of references and constants, its operations added to a builder."""
    match node.op:
        case Elemwise(scalar_op=ps.Cast()) if "float" in node.inputs[0].dtype and "float" not in node.outputs[0].dtype:
            raise DeclarationError(
                f"{where}: got a cast to {node.outputs[0].dtype}; expected wb.math.floor or a comparison"
            )
        case Elemwise(scalar_op=scalar):
            return _elementwise(builder, scalar, inputs, where)
        case ps.ScalarOp() as scalar:
            return _elementwise(builder, scalar, inputs, where)
        case DimShuffle(new_order=order):
            kept = [axis for axis in order if axis != "x"]
            rest = np.squeeze(inputs[0], axis=tuple(a for a in range(inputs[0].ndim) if a not in kept))
            moved = np.transpose(rest, [sorted(kept).index(axis) for axis in kept])
            return np.expand_dims(moved, tuple(k for k, axis in enumerate(order) if axis == "x"))
        case CAReduce(scalar_op=scalar, axis=axis):
            return _reduce(builder, scalar, inputs[0], axis, where)
        case TensorFromScalar() | ScalarFromTensor():
            return inputs[0]
        case SpecifyShape():
            if inputs[0].shape != (wanted := node.outputs[0].type.shape):
                raise DeclarationError(f"{where}: got an array of shape {inputs[0].shape}; expected shape {wanted}")
            return inputs[0]
        case Shape():
            return np.array([float(n) for n in inputs[0].shape], dtype=object)
        case Shape_i(i=axis):
            return _array(float(inputs[0].shape[axis]))
        case MakeVector():
            return np.array([i[()] for i in inputs], dtype=object)
        case Join(axis=axis):
            return np.concatenate(inputs, axis=axis)
        case Split(axis=axis):
            return np.split(inputs[0], np.cumsum([int(n) for n in inputs[1]])[:-1], axis=axis)
        case Reshape():
            return inputs[0].reshape([int(n) for n in inputs[1]])
        case JoinDims() | SplitDims() | ExtractDiag():
            storage = [[None]]
            node.op.perform(node, [inputs[0], *(np.asarray(i).astype(np.int64) for i in inputs[1:])], storage)  # type: ignore[arg-type]
            return np.asarray(storage[0][0], dtype=object)
        case Alloc():
            return np.broadcast_to(inputs[0], [int(n[()]) for n in inputs[1:]])
        case Subtensor(idx_list=pattern) | AdvancedSubtensor(idx_list=pattern):
            return np.asarray(inputs[0][_chosen(inputs[1:], pattern, where)], dtype=object)
        case (
            IncSubtensor(idx_list=pattern, set_instead_of_inc=replaces)
            | AdvancedIncSubtensor(idx_list=pattern, set_instead_of_inc=replaces)
        ):
            made, chosen = inputs[0].copy(), _chosen(inputs[2:], pattern, where)
            here = np.asarray(made[chosen], dtype=object)
            made[chosen] = _elementwise(builder, ps.second if replaces else ps.add, [here, inputs[1]], where)[()]
            return made
        case Dot():
            return _dot(builder, inputs[0], inputs[1])
    raise DeclarationError(
        f"{where}: got PyTensor's {type(node.op).__name__}, which has no scalar form; expected elementwise functions, "
        "sums, dot products and indexing with fixed indices"
    )


def _chosen(indices: list[np.ndarray], pattern: Any, where: str) -> Any:
    """Return the constant index of a subtensor."""
    if any(isinstance(ref, int) for index in indices for ref in index.ravel()):
        raise DeclarationError(f"{where}: got an index that is computed; expected fixed indices")
    return indices_from_subtensor([int(i[()]) if i.ndim == 0 else i.astype(np.int64) for i in indices], pattern)


def scalar_value(builder: Builder, scalar: Any, arguments: Sequence[Ref], where: str) -> Ref:
    """Return the value of one of PyTensor's scalar functions, its operations added to a builder."""
    if isinstance(scalar, ps.Composite):
        known: dict[Variable, Ref] = dict(zip(scalar.fgraph.inputs, arguments, strict=True))
        for node in scalar.fgraph.toposort():
            inner = [float(i.data) if isinstance(i, Constant) else known[i] for i in node.inputs]
            known[node.outputs[0]] = scalar_value(builder, node.op, inner, where)
        return known[scalar.fgraph.outputs[0]]
    name = type(scalar).__name__
    if name in _SAME:
        return builder.add(_SAME[name], *arguments)
    if name in _CHAINS:
        total = arguments[0]
        for argument in arguments[1:]:
            total = builder.add(_CHAINS[name], total, argument)
        return total
    if name in _RULES:
        return _RULES[name](builder, *arguments)
    raise DeclarationError(f"{where}: got PyTensor's {name}, which kernels do not know; expected a function of wb.math")


def _elementwise(builder: Builder, scalar: Any, inputs: list[np.ndarray], where: str) -> np.ndarray:
    shape = np.broadcast_shapes(*(i.shape for i in inputs))
    columns = [np.broadcast_to(i, shape).ravel() for i in inputs]
    made = np.empty(int(np.prod(shape)), dtype=object)
    for k in range(made.size):
        made[k] = scalar_value(builder, scalar, [c[k] for c in columns], where)
    return made.reshape(shape)


def _reduce(builder: Builder, scalar: Any, array: np.ndarray, axis: Any, where: str) -> np.ndarray:
    axes = tuple(range(array.ndim)) if axis is None else tuple(axis)
    moved = np.moveaxis(array, axes, range(len(axes)))
    rest = moved.shape[len(axes) :]
    rows = moved.reshape(-1, int(np.prod(rest)))
    made = np.empty(rows.shape[1], dtype=object)
    for k in range(made.size):
        made[k] = scalar_value(builder, scalar, list(rows[:, k]), where)
    return made.reshape(rest)


def _dot(builder: Builder, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    rows = np.atleast_2d(a)
    columns = b.reshape(b.shape[0], -1)
    made = np.empty((rows.shape[0], columns.shape[1]), dtype=object)
    for i in range(rows.shape[0]):
        for j in range(columns.shape[1]):
            total: Ref = 0.0
            for k in range(rows.shape[1]):
                total = builder.add("add", total, builder.add("mul", rows[i, k], columns[k, j]))
            made[i, j] = total
    return made.reshape(a.shape[:-1] + b.shape[1:])
