"""Calls of a kernel from compiled loops, by the address of its machine code: one loop serves every model."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic


@intrinsic
def call(typing_context: Any, address: Any, arguments: Any) -> Any:
    """Call the C function at an address with a tuple of integers (addresses among them) and floats."""
    kinds = [types.float64 if isinstance(kind, types.Float) else types.int64 for kind in arguments]

    def code(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        tuple_type, values = signature.args[1], []
        for place, (kind, wanted) in enumerate(zip(tuple_type, kinds, strict=True)):
            value = builder.extract_value(given[1], place)
            values.append(context.cast(builder, value, kind, wanted))
        plain = [context.get_value_type(kind) for kind in kinds]
        pointer = builder.inttoptr(given[0], ir.FunctionType(ir.VoidType(), plain).as_pointer())
        builder.call(pointer, values)
        return context.get_dummy_value()

    return types.void(types.int64, arguments), code


@njit(cache=True, error_model="numpy")
def carry(address: int, plan: Any, leg: int, theta: Any, starts: Any, made: Any) -> int:
    """Carry members (B, N) over one leg of a plan to its end; return how many could not be (their states are NaN).

    `plan` holds the legs: `segment` (L + 1,) offsets into `begin`, `level`, `slope`, `jump`, and `until` (L,) their
    ends. `made` is a tuple of states (B, N), outputs (B, K), log (B, 5), `rows` and `span`, room for two integers each.
    """
    states, outputs, log, rows, span = made
    first, segments = plan.segment[leg], plan.segment[leg + 1] - plan.segment[leg]
    span[0], span[1], rows[0], rows[1] = 0, segments, 0, 1
    members = starts.shape[0]
    call(  # type: ignore[call-arg]
        address,
        (
            0, members, theta.ctypes.data, starts.ctypes.data, 1, span.ctypes.data, plan.begin[first:].ctypes.data,
            segments, plan.level[first:].ctypes.data, plan.slope[first:].ctypes.data, plan.jump[first:].ctypes.data,
            rows.ctypes.data, plan.until[leg:].ctypes.data, 1, plan.rtol, plan.atol, plan.longest_run, members, 0,
            0, log.ctypes.data, 0, log.ctypes.data, states.ctypes.data, outputs.ctypes.data,
            log.ctypes.data,
        ),
    )  # fmt: skip
    failed = 0
    for b in range(members):
        bad = log[b, 0] != 0.0
        for i in range(states.shape[1]):
            bad = bad or not np.isfinite(states[b, i])
        if bad:
            states[b, 0] = np.nan
            failed += 1
    return failed


@njit(cache=True, error_model="numpy")
def slopes(address: int, plan: Any, leg: int, theta: Any, made: Any) -> None:
    """Carry members with derivatives over one leg: the kernel of `lead`, whose theta (B, P) begins with the starts.

    `made` is a tuple of values (B, K), derivatives (B, K, columns), `rows` and `span`; a member that fails reads
    infinity.
    """
    values, derivatives, rows, span = made
    members = theta.shape[0]
    first, segments = plan.segment[leg], plan.segment[leg + 1] - plan.segment[leg]
    span[0], span[1], rows[0], rows[1] = 0, segments, 0, 1
    for b in range(members):
        call(  # type: ignore[call-arg]
            address,
            (
                theta[b:].ctypes.data, 1, span.ctypes.data, plan.begin[first:].ctypes.data, segments,
                plan.level[first:].ctypes.data, plan.slope[first:].ctypes.data, plan.jump[first:].ctypes.data,
                rows.ctypes.data, plan.until[leg:].ctypes.data, 1, plan.rtol, plan.atol, plan.longest_run,
                values[b:].ctypes.data, derivatives[b:].ctypes.data,
            ),
        )  # fmt: skip
