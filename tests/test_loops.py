"""Array programs equal PyTensor's own results, in values, in derivatives and in where these are not zero."""

import math

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import Mode
from pytensor.gradient import pullback

from workbench.base.errors import DeclarationError
from workbench.declare.loops import Stored
from workbench.declare.lower_loops import lower_loops
from workbench.declare.sparsity import Pattern, pattern
from workbench.simulate.kernels.arrays import tangent
from workbench.simulate.kernels.looping import statements

N = 6
SPARSE = np.where(np.arange(30).reshape(5, N) % 4 == 0, 1.5, 0.0)
DENSE = np.cos(np.arange(5.0 * N)).reshape(5, N)
FULL = np.sin(np.arange(1.0, 1 + N * N)).reshape(N, N)
PLACES = np.array([3, 0, 3, 5])


def field(x):
    return x.reshape((2, 3))


GRAPHS = {
    "slices": lambda x, y: [x[1:] * x[:-1], x[::2] - y[1::2], pt.exp(x)[::-1] * y],
    "joins": lambda x, y: [pt.concatenate([x[:2] * y[0], [x[0] * y[1]], pt.tanh(y)])],
    "a sum of joins": lambda x, y: [pt.concatenate([[-x[0]], x[1:] * y[0]]) * y + pt.concatenate([x[:-1], [x[-1]]])],
    "replaced": lambda x, y: [pt.set_subtensor(x[1:4], y[:3] ** 2), pt.inc_subtensor(x[::2], pt.sin(y[:3]))],
    "replaced in a sum": lambda x, y: [y * pt.set_subtensor(x[0], 2.0) + pt.inc_subtensor((x * y)[2:], y[0])],
    "gathered": lambda x, y: [x[PLACES] * y[:4], pt.inc_subtensor(y[PLACES], x[:4] ** 2)],
    "sums": lambda x, y: [x.sum() * y, field(x).sum(axis=0), (field(x) * field(y)).sum(axis=1), pt.mean(x)],
    "largest": lambda x, y: [pt.max(x * y) + y, pt.maximum(x, y), pt.minimum(x, 0.5), pt.where(x > y, x**2, y * x)],
    "products": lambda x, y: [pt.dot(SPARSE, x * y), pt.dot(DENSE, x), pt.dot(x, FULL), pt.dot(x, y) + x],
    "matrices": lambda x, y: [pt.dot(field(x), field(y).T).ravel(), (field(x).T @ pt.exp(field(y))).ravel()],
    "turned": lambda x, y: [field(x).T * y.reshape((3, 2)), (field(pt.sin(x)) * field(y)).ravel() * x],
    "broadcast": lambda x, y: [field(x) * pt.exp(y[:3])[None, :] + pt.cos(y[:2])[:, None], pt.outer(x[:2], y[:2])],
    "often used": lambda x, y: [pt.exp(x * y) * x + pt.exp(x * y)[::-1], pt.exp(x * y)[:2]],
    "constants": lambda x, y: [np.arange(6.0) * x + np.linspace(0, 1, 6) * y, pt.zeros(3), pt.ones((2, 2))],
}  # fmt: skip
X, Y = np.linspace(0.3, 1.4, N), np.linspace(1.1, -0.7, N) ** 2 + 0.1


def run(inputs, outputs, numbers):
    """Return what an array program computes, run as plain Python."""
    sizes = [int(np.prod(o.type.shape)) for o in outputs]
    ends = np.cumsum(sizes)
    known = {v: Stored(f"in{k}", 0, v.type.shape) for k, v in enumerate(inputs)}
    stored = [(o, Stored("out", int(e) - s, o.type.shape), False) for o, s, e in zip(outputs, sizes, ends, strict=True)]
    loops = lower_loops(known, stored, "a test")
    names = {"math": math, "W": np.full(loops.places[1], np.nan), "SCRATCH": 0, "out": np.full(ends[-1], np.nan)}
    names |= {"peek": lambda a, i: a[i], "poke": lambda a, i, v: a.__setitem__(i, v), **loops.tables}
    names |= {f"in{k}": np.ravel(number) for k, number in enumerate(numbers)}
    patterns = {name: f"{name}[{{i}}]" for name in names if name.startswith(("in", "out"))}
    exec("\n".join(statements(loops, patterns)), names)
    return np.split(names["out"], ends[:-1])


def reference(inputs, outputs, numbers):
    return [
        np.ravel(r)
        for r in pytensor.function(inputs, outputs, mode=Mode("py", None), on_unused_input="ignore")(*numbers)
    ]


@pytest.fixture(params=GRAPHS)
def graph(request):
    inputs = [pt.TensorType("float64", shape=(N,))(name) for name in "xy"]
    return inputs, GRAPHS[request.param](*inputs)


def compare(inputs, outputs, numbers):
    for found, expected in zip(run(inputs, outputs, numbers), reference(inputs, outputs, numbers), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-14)


def test_values(graph):
    compare(*graph, [X, Y])


def test_derivatives_along_a_direction_and_back(graph):
    inputs, outputs = graph
    parts = [i.type(f"{i.name}_part") for i in inputs]
    weights = [o.type() for o in outputs]
    compare([*inputs, *parts], tangent(outputs, inputs, parts), [X, Y, Y**2, np.cos(X)])
    back = pullback(outputs, inputs, weights, disconnected_inputs="ignore", return_disconnected="zero")
    given = [np.sin(np.arange(np.prod(o.type.shape)) + k).reshape(o.type.shape) for k, o in enumerate(outputs)]
    compare([*inputs, *weights], back, [X, Y, *given])


def test_scalar_outputs_keep_all_terms_along_a_direction():
    x, y, dx, dy = (pt.dscalar(name) for name in ("x", "y", "dx", "dy"))
    outputs = [x * y, x - 3.0 * y, (pt.stack([x, y]) @ pt.stack([y, x])) * x]
    for count in (2, 3):  # the third has no derivative along a direction of its own
        along = tangent(outputs[:count], [x, y], [dx, dy])
        found = np.ravel(run([x, y, dx, dy], along, [2.0, 5.0, 0.5, -1.0]))
        np.testing.assert_allclose(found, [0.5, 3.5, 4 * 2 * 5 * 0.5 - 2 * 4][:count])


def test_where_derivatives_are_not_zero(graph):
    inputs, outputs = graph
    found = pattern(outputs, inputs, inputs)
    claimed = np.zeros(found.shape, dtype=bool)
    claimed[found.rows, found.columns] = True
    flat = pytensor.function(inputs, [o.ravel() for o in outputs], mode=Mode("py", None), on_unused_input="ignore")
    point, slopes = np.concatenate([X, Y]), []
    for step in 1e-6 * np.eye(2 * N):
        ahead, back = (np.concatenate(flat(*np.split(point + sign * step, 2))) for sign in (1, -1))
        slopes.append((ahead - back) / 2e-6)
    true = np.abs(np.array(slopes).T) > 1e-7
    assert true.any()
    assert not (true & ~claimed).any()


def test_a_band_needs_few_colours_and_an_arrow_is_reordered():
    away = np.subtract.outer(np.arange(40), np.arange(40))
    band = Pattern(*np.nonzero((away >= -1) & (away <= 2)), (40, 40))
    assert band.colours().max() == 3
    shuffled = np.random.default_rng(0).permutation(40)
    mixed = Pattern(shuffled[band.rows], shuffled[band.columns], (40, 40))
    order, widths = mixed.order()
    assert sorted(order) == list(range(40))
    assert sum(widths) <= 5
    colours = mixed.colours()
    for row in range(40):
        mine = colours[mixed.columns[mixed.rows == row]]
        assert len(set(mine)) == len(mine)


def test_scratch_is_used_again():
    x = pt.TensorType("float64", shape=(50,))("x")
    y = x
    for _ in range(6):
        y = pt.exp(y) / pt.exp(y).sum()
    loops = lower_loops({x: Stored("in", 0, (50,))}, [(y, Stored("out", 0, (50,)), False)], "a test")
    assert len(loops.buffers) >= 5
    assert loops.places[1] <= 100


def test_what_is_no_loop_is_said():
    x = pt.TensorType("float64", shape=(N,))("x")
    with pytest.raises(DeclarationError, match="a test: got PyTensor's SortOp"):
        lower_loops({x: Stored("in", 0, (N,))}, [(pt.sort(x), Stored("out", 0, (N,)), False)], "a test")
