"""Models of vector states shared by the tests, with references."""

import numpy as np
import scipy.linalg

import workbench as wb


class HeatBar(wb.Ode):
    """A bar in cells, held at a temperature at its left end, insulated at its right one."""

    time_unit = "s"
    cells: int = 12
    T = wb.State("K", dims=("cell",), start=0.0)
    k = wb.Parameter("1/s", dims=("cell",), prior=wb.prior.LogNormal(median=0.01, sigma=0.3))
    left = wb.Input("K", kind="previous")
    heat = wb.Input("K/s")
    flash = wb.Input("K", kind="impulse", into="T[0]")
    near = wb.Output("K", noise=wb.noise.Normal(sigma=0.1))
    far = wb.Output("K", noise=wb.noise.Normal(sigma=0.1))

    def rhs(self, t, x, u, p):
        between = 0.5 * (p.k[1:] + p.k[:-1]) * (x.T[:-1] - x.T[1:])
        flux = wb.math.concatenate([[2 * p.k[0] * (u.left - x.T[0])], between, [0.0 * between[-1]]])
        return {"T": (flux[:-1] - flux[1:]) * self.cells**2 + u.heat}

    def observe(self, t, x, u, p):
        return {"near": x.T[self.cells // 3], "far": x.T[-1]}


def bar_matrix(k):
    """Return the matrix and the factor of the left temperature in T' = A T + b left + heat."""
    n = len(k)
    links = 0.5 * (k[1:] + k[:-1]) * n**2
    matrix = np.diag(links, 1) + np.diag(links, -1)
    matrix -= np.diag(matrix.sum(axis=1))
    matrix[0, 0] -= 2 * k[0] * n**2
    return matrix, np.eye(n)[0] * 2 * k[0] * n**2


def bar_exact(times, k, left, heat):
    """Return (times, cells) temperatures from 0 on, for a constant left end, and for heat = heat[0] + heat[1] t."""
    n = len(k)
    matrix, factor = bar_matrix(k)
    system = np.zeros((n + 2, n + 2), dtype=np.result_type(k, float))  # the cells, then 1 and t
    system[:n, :n], system[:n, n], system[:n, n + 1] = matrix, factor * left + heat[0], heat[1]
    system[n + 1, n] = 1.0
    start = np.eye(n + 2)[n]
    return np.array([(scipy.linalg.expm(system * t) @ start)[:n] for t in times])


class Brusselator(wb.Ode):
    """Diffusion and reaction on a grid with closed edges (Hairer & Wanner II, section IV.10), scaled."""

    time_unit = "s"
    rtol, atol = 1e-8, 1e-8
    rows: int = 8
    columns: int = 8
    u = wb.State("1", dims=("row", "column"), start=1.0)
    v = wb.State("1", dims=("row", "column"), start=3.0)
    A = wb.Parameter("1", value=3.4)
    D = wb.Parameter("1", value=0.02)
    rate = wb.Parameter("1/s", value=1.0)
    mean = wb.Output("1")

    def spread(self, c):
        """Return the Laplacian of a field with closed edges."""
        up, down = wb.math.concatenate([c[1:], c[-1:]]), wb.math.concatenate([c[:1], c[:-1]])
        left = wb.math.concatenate([c[:, 1:], c[:, -1:]], axis=1)
        right = wb.math.concatenate([c[:, :1], c[:, :-1]], axis=1)
        return (up + down + left + right - 4 * c) * self.rows**2

    def rhs(self, t, x, u, p):
        reaction = x.u**2 * x.v
        return {
            "u": p.rate * (1.0 + reaction - (p.A + 1) * x.u + p.D * self.spread(x.u)),
            "v": p.rate * (p.A * x.u - reaction + p.D * self.spread(x.v)),
        }

    def observe(self, t, x, u, p):
        return {"mean": wb.math.mean(x.u)}


def brusselator(t, y, n):
    """Return the same equations on plain numbers."""
    u, v = y.reshape(2, n, n)

    def spread(c):
        wide = np.pad(c, 1, mode="edge")
        return (wide[2:, 1:-1] + wide[:-2, 1:-1] + wide[1:-1, 2:] + wide[1:-1, :-2] - 4 * c) * n * n

    reaction = u * u * v
    return np.concatenate(
        [(1 + reaction - 4.4 * u + 0.02 * spread(u)).ravel(), (3.4 * u - reaction + 0.02 * spread(v)).ravel()]
    )
