"""The density of N(0, 1 + F F') with its gradient as one PyTensor operation, by readings or by their Gram matrix."""

import hashlib
import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytensor.tensor as pt
from numpy.typing import NDArray
from pytensor.gradient import DisconnectedType
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_and_cache_key

Array = NDArray[np.float64]


def marginal(r: Array, f: Array) -> tuple[Array, Array, Array]:
    """Return -r' B^-1 r / 2 - log|B| / 2 with B = 1 + f f', and its derivatives by r (n,) and f (n, m).

    These are -a and a (f'a)' - B^-1 f, a = B^-1 r. Where m < n, all comes from C = 1 + f'f: B^-1 f = f C^-1, |B| = |C|.
    """
    n, m = f.shape
    few = n <= m
    size = min(n, m)
    x = f.copy() if few else f.T.copy()  # (size, other): becomes B^-1 f, or the transpose of f C^-1
    low = np.zeros((size, size))
    for i in range(size):
        for j in range(i + 1):
            total = 1.0 if i == j else 0.0
            for k in range(x.shape[1]):
                total += x[i, k] * x[j, k]
            for k in range(j):
                total -= low[i, k] * low[j, k]
            low[i, j] = np.sqrt(total) if i == j else total / low[j, j]
    log = 0.0
    for i in range(size):
        log += np.log(low[i, i])
        for k in range(i):
            for c in range(x.shape[1]):
                x[i, c] -= low[i, k] * x[k, c]
        for c in range(x.shape[1]):
            x[i, c] /= low[i, i]
    for i in range(size - 1, -1, -1):
        for k in range(i + 1, size):
            for c in range(x.shape[1]):
                x[i, c] -= low[k, i] * x[k, c]
        for c in range(x.shape[1]):
            x[i, c] /= low[i, i]
    seen = np.zeros(m)  # f'r
    a = r.copy()
    solved = x if few else x.T.copy()  # B^-1 f
    for i in range(n):
        for c in range(m):
            seen[c] += solved[i, c] * r[i]  # f' B^-1 r, as B is symmetric
    for i in range(n):
        for c in range(m):
            a[i] -= f[i, c] * seen[c]  # B a = r, so a = r - f f' a
    square = 0.0
    slope = np.empty((n, m))
    for i in range(n):
        square += r[i] * a[i]
        for c in range(m):
            slope[i, c] = a[i] * seen[c] - solved[i, c]
    return np.asarray(-0.5 * square - log), -a, slope


def reduced(b: Array, s: Array, gram: Array) -> tuple[Array, Array, Array]:
    """Return b' C^-1 b / 2 - log|C| / 2 with C = 1 + s G s, and its derivatives by b and s (m,), G = gram (m, m).

    With b = F'r that is what `marginal` returns, but for -r'r / 2. The derivatives are a = C^-1 b, and
    -a G s a - diag(G s C^-1); LAPACK's factor and inverse beat loops, as m is large where this is used.
    """
    m = s.size
    system = gram * s
    for i in range(m):
        system[i] *= s[i]
        system[i, i] += 1.0
    log = np.log(np.diag(np.linalg.cholesky(system))).sum()
    inverse = np.linalg.inv(system)
    a = inverse @ b
    by_s = -a * (gram @ (s * a))
    for i in range(m):
        by_s[i] -= (gram[i] * s * inverse[i]).sum()
    return np.asarray(0.5 * (b @ a) - log), a, by_s


class Marginal(Op):
    """Log density and its derivatives by both inputs; the derivatives carry none themselves."""

    __props__ = ()
    loops: Any = staticmethod(marginal)

    def make_node(self, r: Any, f: Any) -> Apply:
        """Return the application to r (n,) and f (n, m)."""
        r, f = (pt.as_tensor_variable(v).astype("float64") for v in (r, f))
        return Apply(self, [r, f], [pt.dscalar(), r.type(), f.type()])

    def perform(self, node: Apply, inputs: Sequence[Any], storage: Any) -> None:
        """Run the loops in Python."""
        for place, value in zip(storage, self.loops(*inputs), strict=True):
            place[0] = value

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[Any]:
        """The inputs say it."""
        return [(), shapes[0], shapes[1]]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Only the density carries derivatives."""
        return [[True, False, False]] * 2

    def pullback(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], cotangents: Sequence[Any]
    ) -> list[Variable]:
        """Return the cotangents of both inputs."""
        if isinstance(cotangents[0].type, DisconnectedType):
            return [DisconnectedType()() for _ in inputs]
        return [cotangents[0] * outputs[1], cotangents[0] * outputs[2]]


class Reduced(Marginal):
    """The same by the Gram matrix, of `b` and `s`: no derivative by the third input, which is data."""

    __props__ = ()
    loops = staticmethod(reduced)

    def make_node(self, b: Any, s: Any, gram: Any) -> Apply:  # type: ignore[override]
        """Return the application to b (m,), s (m,) and gram (m, m)."""
        b, s, gram = (pt.as_tensor_variable(v).astype("float64") for v in (b, s, gram))
        return Apply(self, [b, s, gram], [pt.dscalar(), b.type(), s.type()])

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Only the density carries derivatives."""
        return [[True, False, False]] * 2 + [[False] * 3]

    def pullback(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], cotangents: Sequence[Any]
    ) -> list[Variable]:
        """Return the cotangents of `b` and `s`."""
        return [*super().pullback(inputs[:2], outputs, cotangents), DisconnectedType()()]


def _in_numba(op: Marginal) -> tuple[Any, str]:
    text = f"{__name__}|{inspect.getsource(op.loops)}"  # machine code on disk names the module that it is of
    return numba_njit(op.loops), hashlib.sha256(text.encode()).hexdigest()


@register_funcify_and_cache_key(Marginal)
def _marginal_in_numba(op: Marginal, node: Apply, **_: Any) -> tuple[Any, str]:
    return _in_numba(op)


@register_funcify_and_cache_key(Reduced)
def _reduced_in_numba(op: Reduced, node: Apply, **_: Any) -> tuple[Any, str]:
    return _in_numba(op)
