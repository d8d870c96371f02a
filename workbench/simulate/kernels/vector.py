"""What kernels need of the processor that Numba does not offer: fused multiply-adds, and vectors of four numbers.

A multiply-add is fused where the processor can, the same way everywhere on one machine. Vectors are asked for by name,
since a compiler unrolls the short loops of a small model into single operations before it looks for vectors.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import PrimitiveModel, register_default
from numba.extending import intrinsic

WIDTH = 4
_DOUBLE = ir.DoubleType()
_VECTOR = ir.VectorType(_DOUBLE, WIDTH)


class Vector(types.Type):
    """Numba's type of four float64."""

    def __init__(self) -> None:
        super().__init__("workbench.Vector")


@register_default(Vector)
class _VectorModel(PrimitiveModel):
    def __init__(self, manager: Any, kind: Any):
        super().__init__(manager, kind, _VECTOR)


vector = Vector()


def _address(context: Any, builder: Any, signature: Any, array: Any, index: Any) -> Any:
    """Return the address of four numbers of a one-dimensional contiguous array."""
    made = context.make_array(signature.args[0])(context, builder, array)
    return builder.bitcast(cgutils.gep_inbounds(builder, made.data, index), _VECTOR.as_pointer())


@intrinsic
def load(typing_context: Any, array: Any, index: Any) -> Any:
    """Return the four numbers of an array from an index on."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        loaded = builder.load(_address(context, builder, signature, *arguments))
        loaded.align = 8
        return loaded

    return vector(array, types.intp), code


@intrinsic
def store(typing_context: Any, array: Any, index: Any, value: Any) -> Any:
    """Write four numbers into an array from an index on."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _address(context, builder, signature, *arguments[:2])).align = 8
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), code


@intrinsic
def peek(typing_context: Any, array: Any, index: Any) -> Any:
    """Return the number at an index that is not negative (in whose place Numba would look from the array's end)."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        made = context.make_array(signature.args[0])(context, builder, arguments[0])
        return builder.load(cgutils.gep_inbounds(builder, made.data, arguments[1]))

    return types.float64(array, types.intp), code


@intrinsic
def poke(typing_context: Any, array: Any, index: Any, value: Any) -> Any:
    """Write a number at an index that is not negative."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        made = context.make_array(signature.args[0])(context, builder, arguments[0])
        builder.store(arguments[2], cgutils.gep_inbounds(builder, made.data, arguments[1]))
        return context.get_dummy_value()

    return types.void(array, types.intp, types.float64), code


def _widened(builder: Any, kind: Any, value: Any) -> Any:
    """Return a number four times over; a vector as it is."""
    if kind is vector:
        return value
    first = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
    return builder.shuffle_vector(first, ir.Constant(_VECTOR, ir.Undefined), zeros)


@intrinsic
def fma(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a * b + c, of numbers or of vectors (a number among vectors counts four times)."""
    wide = vector in (a, b, c)
    kinds = [kind if kind is vector else types.float64 for kind in (a, b, c)]
    plain = _VECTOR if wide else _DOUBLE

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        name = f"llvm.fmuladd.{f'v{WIDTH}' if wide else ''}f64"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(plain, [plain] * 3), name)
        given = zip(signature.args, arguments, strict=True)
        return builder.call(function, [_widened(builder, *pair) if wide else pair[1] for pair in given])

    return (vector if wide else types.float64)(*kinds), code
