"""Eigenproblems of structures: published frequencies, derivatives by differences, repeated eigenvalues reported."""

import importlib

import numpy as np
import pandas as pd
import pytensor
import pytensor.tensor as pt
import pytest
import xarray as xr
from test_static import differences, series, slopes

import workbench as wb
from workbench.base.errors import DeclarationError, SolveError
from workbench.calibrate import graphs
from workbench.calibrate.bayes import build
from workbench.calibrate.problem import pose
from workbench.declare import eigen as declared
from workbench.simulate import graph
from workbench.simulate.kernels import modes

compiled = importlib.import_module("workbench.simulate.eigen")  # wb.simulate is the verb
m = wb.math
TWO_PI = 2 * m.pi


class Frame(wb.Static):
    """Five-storey shear frame (pyOMA2's documentation), with a mass added to its roof."""

    k = wb.Parameter("N/m", prior=wb.prior.LogNormal(median=1e4, sigma=0.2))
    k1 = wb.Parameter("N/m", prior=wb.prior.LogNormal(median=1e4, sigma=0.2), long_name="of the lowest storey")
    mass = wb.Parameter("kg", prior=wb.prior.LogNormal(median=25.91, sigma=0.2))
    added = wb.Input("kg", kind="previous")
    f1, f2, f3, f4, f5 = (wb.Output("Hz", noise=wb.noise.Normal(sigma=0.01)) for _ in range(5))
    ratio = wb.Output("1", noise=wb.noise.Normal(sigma=0.01), long_name="first floor over roof in mode 2")

    def observe(self, t, x, u, p):
        K = [[0.0] * 5 for _ in range(5)]
        for floor in range(5):
            below, above = (p.k1 if floor == 0 else p.k), (p.k if floor < 4 else 0.0)
            K[floor][floor] = below + above
            if floor:
                K[floor][floor - 1] = K[floor - 1][floor] = -p.k
        M = [[p.mass + (u.added if i == 4 else 0.0) if i == j else 0.0 for j in range(5)] for i in range(5)]
        values, vectors = m.eigh(K, M)
        f = m.sqrt(values) / TWO_PI
        return {f"f{i + 1}": f[i] for i in range(5)} | {"ratio": vectors[0, 1] / vectors[4, 1]}


class Beam(wb.Static):
    """Simply supported Euler-Bernoulli beam of cubic elements."""

    elements: int = 10
    EI = wb.Parameter("N*m**2", prior=wb.prior.LogNormal(median=2e6, sigma=0.2))
    mu = wb.Parameter("kg/m", prior=wb.prior.LogNormal(median=80.0, sigma=0.2), long_name="mass per length")
    L = wb.Parameter("m", prior=wb.prior.LogNormal(median=6.0, sigma=0.2))
    f1, f2, f3 = (wb.Output("Hz") for _ in range(3))

    def observe(self, t, x, u, p):
        n = self.elements
        k, mass = (np.zeros((2 * n + 2, 2 * n + 2)) for _ in range(2))
        for e in range(n):  # rotations times the element's length, so that K scales by EI / h^3 and M by mu h
            at = slice(2 * e, 2 * e + 4)
            k[at, at] += [[12, 6, -12, 6], [6, 4, -6, 2], [-12, -6, 12, -6], [6, 2, -6, 4]]
            mass[at, at] += np.array([[156, 22, 54, -13], [22, 4, 13, -3], [54, 13, 156, -22], [-13, -3, -22, 4]]) / 420
        free = [i for i in range(2 * n + 2) if i not in (0, 2 * n)]
        h = p.L / n
        K = pt.as_tensor(k[np.ix_(free, free)]) * (p.EI / h**3)
        f = m.sqrt(m.eigenvalues(K, pt.as_tensor(mass[np.ix_(free, free)]) * (p.mu * h))) / TWO_PI
        return {"f1": f[0], "f2": f[1], "f3": f[2]}


class Tower(wb.Static):
    """A mast that sways alike in both directions, and twists."""

    k = wb.Parameter("N/m", prior=wb.prior.LogNormal(median=1e4, sigma=0.2))
    mass = wb.Parameter("kg", value=4.0)
    load = wb.Parameter("1", value=0.0, long_name="torque over the one that buckles it")
    f1, f3 = (wb.Output("Hz", noise=wb.noise.Normal(sigma=0.1)) for _ in range(2))

    def observe(self, t, x, u, p):
        k = p.k
        values = m.eigenvalues([[k, 0.0, 0.0], [0.0, k, 0.0], [0.0, 0.0, 3.0 * k * (1.0 - p.load)]], p.mass * pt.eye(3))
        return {"f1": m.sqrt(values[0]) / TWO_PI, "f3": m.sqrt(values[2]) / TWO_PI}


class Column(wb.Static):
    """A mast whose sway under its own weight makes it softer: an equilibrium, then its modes."""

    lean = wb.State("1", start=0.1)
    k = wb.Parameter("1", prior=wb.prior.LogNormal(median=3.0, sigma=0.1))
    wind = wb.Input("1")
    low, high = (wb.Output("1", noise=wb.noise.Normal(sigma=0.1)) for _ in range(2))

    def residual(self, t, x, u, p):
        return {"lean": p.k * x.lean - m.sin(x.lean) - u.wind}

    def observe(self, t, x, u, p):
        stiff = p.k - m.cos(x.lean)
        values = m.eigenvalues([[stiff, -1.0], [-1.0, 2.0 + stiff]])
        return {"low": values[0], "high": values[1]}


FRAME, COLUMN, BEAM, TOWER = Frame(), Column(), Beam(), Tower()
PUBLISHED = [0.88995, 2.59776, 4.09511, 5.26070, 6.00010]


def random_pair(n, seed):
    """Return K and M, and directions in which they move."""
    rng = np.random.default_rng(seed)
    a, b, c, d = rng.normal(size=(4, n, n))
    return a @ a.T + np.eye(n), b @ b.T + 2 * np.eye(n), c + c.T, 0.1 * (d + d.T)


def extrapolated(function, step=1e-4):
    """Return the derivative of a function of one number at 0."""
    wide, narrow = (
        [(hi - lo) / (2 * h) for lo, hi in zip(function(-h), function(h), strict=True)] for h in (step, step / 2)
    )
    return [(4 * one - other) / 3 for one, other in zip(narrow, wide, strict=True)]


def test_the_frame_has_its_published_frequencies():
    ds = wb.simulate(FRAME, [0.0], inputs={"added": 0.0})
    np.testing.assert_allclose([ds[f"f{i}"][0] for i in range(1, 6)], PUBLISHED, atol=6e-6)
    exact = np.sqrt(1e4 / 25.91) / np.pi * np.sin((2 * np.arange(1, 6) - 1) * np.pi / 22)
    np.testing.assert_allclose([ds[f"f{i}"][0] for i in range(1, 6)], exact, rtol=1e-13)
    floors = np.sin(3 * np.arange(1, 6) * np.pi / 11)  # mode 2
    np.testing.assert_allclose(ds.ratio[0], floors[0] / floors[4], rtol=1e-12)
    assert "repeated_eigenvalues" not in ds.attrs


def test_a_beam_has_the_frequencies_of_the_textbook():
    parameters = {"EI": [2e6, 3e6], "mu": 80.0, "L": [6.0, 8.0]}
    ds = wb.simulate(BEAM, [0.0], parameters=parameters)
    EI, L = np.array([2e6, 3e6]), np.array([6.0, 8.0])
    for n in (1, 2, 3):
        np.testing.assert_allclose(
            ds[f"f{n}"][:, 0], n**2 * np.pi / 2 * np.sqrt(EI / (80.0 * L**4)), rtol=1.2e-5 * n**4
        )
        assert (ds[f"f{n}"][:, 0] > n**2 * np.pi / 2 * np.sqrt(EI / (80.0 * L**4))).all()  # Ritz: from above


def test_slopes_of_a_beam_follow_from_its_formula():
    y, d = slopes(BEAM, {}, {}, np.array([0.0]))
    f = y[0]
    np.testing.assert_allclose(d[0], np.stack([f / 4e6, -f / 160.0, -2 * f / 6.0], axis=-1), rtol=1e-9)


def test_slopes_of_frequencies_and_shapes_by_differences():
    inputs, times = {"added": series(0.0, 3.0)}, np.arange(2.0)
    y, d = slopes(FRAME, inputs, {}, times)
    assert y.shape == (2, 6)
    assert (np.abs(y[0] - y[1]) > 1e-3).all()
    found = differences(FRAME, inputs, times)
    np.testing.assert_allclose(d / np.abs(found).max(axis=(0, 1)), found / np.abs(found).max(axis=(0, 1)), atol=1e-9)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_numbers_in_numbers_out(n):
    K, M, *_ = random_pair(n, seed=n)
    values, vectors = m.eigh(K, M)
    np.testing.assert_allclose(vectors.T @ M @ vectors, np.eye(n), atol=1e-13)
    np.testing.assert_allclose(K @ vectors, M @ vectors * values, atol=1e-11)
    assert (np.diff(values) > 0).all()
    for v in vectors.T:
        assert v[np.argmax(np.abs(v) >= 0.5 * np.abs(v).max())] > 0
    np.testing.assert_array_equal(m.eigenvalues(K.tolist(), M.tolist()), values)
    mine = compiled.solve(K, M)
    np.testing.assert_allclose(mine[0], values, rtol=1e-12)
    np.testing.assert_allclose(mine[1], vectors, atol=1e-12)


def test_slopes_of_any_eigenproblem_by_differences():
    K, M, dK, dM = random_pair(5, seed=3)
    found = extrapolated(lambda h: declared.solve(K + h * dK, M + h * dM))
    pushed = compiled.push(*declared.solve(K, M), dK, dM)
    for one, other in zip(pushed, found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-9)
    rng = np.random.default_rng(4)
    bars = rng.normal(size=5), rng.normal(size=(5, 5))
    of_k, of_m = declared.pull(*declared.solve(K, M), *bars)
    forward = sum((bar * slope).sum() for bar, slope in zip(bars, pushed, strict=True))
    np.testing.assert_allclose((of_k * dK).sum() + (of_m * dM).sum(), forward, rtol=1e-11)


def test_repeated_eigenvalues_get_the_mean_of_their_slopes():
    K, M, dM = np.diag([2.0, 2.0, 5.0]), np.eye(3), np.zeros((3, 3))
    dK = np.array([[1.0, 0.3, 0.0], [0.3, -0.4, 0.0], [0.0, 0.0, 0.7]])
    slopes_of_values, _ = compiled.push(*declared.solve(K, M), dK, dM)
    np.testing.assert_allclose(slopes_of_values, [0.3, 0.3, 0.7], atol=1e-14)
    up, down = declared.solve(K + 1e-7 * dK, M)[0], declared.solve(K - 1e-7 * dK, M)[0]
    np.testing.assert_allclose((up[:2].sum() - down[:2].sum()) / 2e-7, 0.6, rtol=1e-6)


def test_repeated_eigenvalues_are_reported():
    ds = wb.simulate(TOWER, [0.0], parameters={"k": [1e4, 2e4]})
    assert ds.attrs["repeated_eigenvalues"] == "modes 1 and 2 in 2 of 2 members"
    np.testing.assert_allclose(ds.f1[:, 0], np.sqrt([2500.0, 5000.0]) / (2 * np.pi), rtol=1e-14)
    data = xr.Dataset({"f1": ("time", [7.9]), "f3": ("time", [13.8])}, coords={"time": [0.0]})
    with pytest.warns(UserWarning, match="Tower: eigenvalues are repeated .modes 1 and 2 in 32 of 32 members"):
        wb.to_pymc(TOWER, data)
    _, d = slopes(TOWER, {}, {}, np.array([0.0]))  # they stay equal, so the slope is exact
    np.testing.assert_allclose(d[0, :, 0], np.sqrt([2500.0, 7500.0]) / (2 * np.pi) / 2e4, rtol=1e-12)


def test_shapes_of_repeated_modes_warn():
    class Shapes(Tower):
        """Reads a vector that may be any mixture."""

        def observe(self, t, x, u, p):
            values, vectors = m.eigh(pt.diag(pt.stack([p.k, p.k])), p.mass * pt.eye(2))
            return {"f1": vectors[0, 0] + p.load, "f3": values[1]}

    with pytest.warns(UserWarning, match="Shapes: eigenvalues are repeated .modes 1 and 2., so their vectors may be"):
        wb.simulate(Shapes, [0.0])


def test_graphs_equal_kernels(monkeypatch):
    inputs, times = {"wind": series(0.3, 0.6)}, np.arange(2.0)
    by_kernel = wb.simulate(COLUMN, times, inputs=inputs, parameters={"k": [3.0, 2.5]})
    y, d = slopes(COLUMN, inputs, {}, times)
    monkeypatch.setattr(modes, "MOST", 0)
    model = Column()
    assert graph.needs_graph(model)
    assert not graph.needs_graph(COLUMN)
    by_graph = wb.simulate(model, times, inputs=inputs, parameters={"k": [3.0, 2.5]})
    for name in by_kernel.data_vars:
        np.testing.assert_allclose(by_graph[name], by_kernel[name], rtol=1e-13)
    data = pd.DataFrame({"low": [0.0, 0.0], "high": [0.0, 0.0]})
    theta = pt.dmatrix()
    outputs = graphs.outputs(pose(model, data, inputs=inputs), theta)
    function = pytensor.function([theta], [outputs, *(pt.grad(outputs[r, k], theta) for r, k in np.ndindex(2, 2))],
                                 mode="FAST_COMPILE")  # fmt: skip
    made, *rows = function(np.array([[3.0]]))
    np.testing.assert_allclose(made, y, rtol=1e-13)
    np.testing.assert_allclose(np.ravel(rows), np.ravel(d), rtol=1e-11)
    np.testing.assert_allclose(d, differences(COLUMN, inputs, times), rtol=1e-8)


def test_a_sentence_says_why_there_are_no_modes():
    with pytest.raises(
        SolveError, match=r"Frame: t = 0: 'f1' is no finite .* M that is not positive definite .*-5.* mass"
    ):
        wb.simulate(FRAME, [0.0], inputs={"added": -30.91})
    with pytest.raises(SolveError, match=r"'f1' is no finite .* eigenvalue -.* below zero, .* held and not buckled"):
        wb.simulate(TOWER, [0.0], parameters={"load": 2.0})
    with pytest.raises(
        ValueError, match="K that is not symmetric, with 1 in row 0, column 1 and 2 the other way round"
    ):
        m.eigenvalues([[3.0, 1.0], [2.0, 3.0]])
    with pytest.raises(ValueError, match=r"M that is not positive definite .its smallest eigenvalue is -1"):
        m.eigenvalues(np.eye(2), -np.eye(2))


def wrong(words, K, M):
    with pytest.raises(DeclarationError, match=words):

        class Wrong(wb.Static):
            k = wb.Parameter("N/m", value=1.0)
            y = wb.Output("1")

            def observe(self, t, x, u, p):
                return {"y": m.eigenvalues(K(p.k), M(p.k))[0]}


def test_matrices_that_do_not_fit_are_refused_at_birth():
    wrong(r"K of shape \(1, 2\); expected a square", lambda k: [[k, 0.0]], lambda k: [[1.0]])
    wrong("K of 2 rows and M of 1", lambda k: [[k, 0.0], [0.0, k]], lambda k: [[1.0]])
    wrong("rows of unequal length as M", lambda k: [[k, 0.0], [0.0, k]], lambda k: [[k], [0.0, 1.0]])


def test_the_posterior_of_a_frame_is_a_model_of_pymc():
    data = pd.DataFrame({f"f{i + 1}": [f, np.nan] for i, f in enumerate(PUBLISHED)} | {"ratio": [np.nan, 0.3]})
    made = build(pose(FRAME, data, inputs={"added": series(0.0, 3.0)}))
    assert {rv.name for rv in made.free_RVs} == {"k", "k1", "mass"}


def test_modes_are_an_output_over_a_dim():
    class Modes(wb.Static):
        """The frame by NumPy's matrices."""

        mode: int = 5
        k = wb.Parameter("N/m", value=1e4)
        f = wb.Output("Hz", dims=("mode",))

        def observe(self, t, x, u, p):
            A = np.diag([2.0] * 4 + [1.0]) - np.eye(5, k=1) - np.eye(5, k=-1)
            return {"f": m.sqrt(m.eigenvalues(p.k * A, 25.91 * np.eye(5))) / TWO_PI}

    np.testing.assert_allclose(wb.simulate(Modes, [0.0])["f"].sel(time=0.0), PUBLISHED, atol=6e-6)
