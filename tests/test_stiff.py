"""The stiff method meets published solutions, and its sensitivities are the derivatives of what it computes."""

import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
from stiff_models import PROBLEMS
from test_sensitivities import problem

import workbench as wb
from workbench.simulate.methods.rodas5p import RODAS5P


@pytest.mark.parametrize("name", PROBLEMS)
def test_published_end_values_are_met(name):
    case, found = PROBLEMS[name], []
    for rtol in (1e-4, 1e-6, 1e-8):
        made = wb.simulate(case.at(rtol), [0.0, case.end])
        assert made.attrs["solver"] == "Rodas5P"
        found.append(case.error([float(made[state][-1]) for state in case.at(rtol).states]))
        assert found[-1] < 200 * rtol
    assert found[2] < 0.02 * found[0]


def test_values_inside_long_steps_are_right():
    case = PROBLEMS["Robertson"]
    times = np.concatenate([[0.0], np.logspace(-2, 6, 60)])
    made = wb.simulate(case.at(1e-7), times)

    def rates(t, y):
        return [-0.04 * y[0] + 1e4 * y[1] * y[2], 0.04 * y[0] - 1e4 * y[1] * y[2] - 3e7 * y[1] ** 2, 3e7 * y[1] ** 2]

    exact = scipy.integrate.solve_ivp(rates, (0, 1e6), [1, 0, 0], "Radau", times, rtol=1e-11, atol=1e-15).y
    for state, values in zip(("y1", "y2", "y3"), exact, strict=True):
        np.testing.assert_allclose(made[state], values, rtol=2e-5, atol=1e-12)


class Kinetics(wb.Ode):
    """Robertson's reactions with rates and a start to be estimated, an inflow, doses, and time in an equation."""

    time_unit = "s"
    a = wb.State("1", start=wb.prior.LogNormal(median=1.0, sigma=0.1))
    b = wb.State("1", start=0.0)
    c = wb.State("1", start=0.0)
    k1 = wb.Parameter("1/s", prior=wb.prior.LogNormal(median=0.04, sigma=0.3))
    k2 = wb.Parameter("1/s", prior=wb.prior.LogNormal(median=3e4, sigma=0.3))
    k3 = wb.Parameter("1/s", prior=wb.prior.LogNormal(median=1e2, sigma=0.3))
    beat = wb.Parameter("1/s", value=0.3)
    dose = wb.Input("1", kind="impulse", into="b")
    inflow = wb.Input("1")
    seen = wb.Output("1", noise=wb.noise.Normal(sigma=0.1))
    ratio = wb.Output("1/s")

    def rhs(self, t, x, u, p):
        r1, r2, r3 = p.k1 * x.a * (1 + 0.5 * wb.math.sin(p.beat * t)), p.k2 * x.b**2, p.k3 * x.b * x.c
        return {"a": r3 - r1 + u.inflow * p.k1, "b": r1 - r2 - r3, "c": r2}

    def observe(self, t, x, u, p):
        return {"seen": x.c, "ratio": x.b * p.k2 / (1 + x.a)}


TIMES = np.linspace(0.0, 40.0, 9)
VALUES = {"k1": 0.04, "k2": 3e4, "k3": 1e2, "beat": 0.3, "a_start": 1.0}
INPUTS = {"dose": {7.0: 0.1, 20.0: 0.05}, "inflow": {0.0: 0.0, 12.0: 0.5, 40.0: 0.2}}


def kinetics(values) -> np.ndarray:
    """Return the outputs at TIMES for numbers that may be complex, by SciPy's DOP853."""
    k1, k2, k3, beat = (values[name] for name in ("k1", "k2", "k3", "beat"))

    def rates(t, y):
        inflow = np.interp(t, [0.0, 12.0, 40.0], [0.0, 0.5, 0.2])
        r1, r2, r3 = k1 * y[0] * (1 + 0.5 * np.sin(beat * t)), k2 * y[1] ** 2, k3 * y[1] * y[2]
        return np.array([r3 - r1 + inflow * k1, r1 - r2 - r3, r2])

    state, rows = np.array([values["a_start"], 0.0, 0.0], dtype=complex), []
    stops = np.union1d(TIMES, [7.0, 12.0, 20.0])
    for begin, end in zip(stops, [*stops[1:], None], strict=True):
        state = state + np.array([0.0, INPUTS["dose"].get(begin, 0.0), 0.0])
        if begin in TIMES:
            rows.append([state[2], state[1] * k2 / (1 + state[0])])
        if end is not None:
            state = scipy.integrate.solve_ivp(rates, (begin, end), state, "DOP853", rtol=1e-12, atol=1e-15).y[:, -1]
    return np.array(rows)


def test_values_and_sensitivities_of_the_stiff_method_are_right():
    y, d = problem(Kinetics, VALUES, times=TIMES, inputs=INPUTS, tolerance=1e-9, method=RODAS5P).perform()
    exact = kinetics(VALUES).real
    size = np.abs(exact).max(axis=0)
    np.testing.assert_allclose(y / size, exact / size, atol=2e-6)  # b is near 1e-3, with an absolute tolerance of 1e-9
    for column, name in enumerate(Kinetics().estimated):
        tiny = 1e-25 * VALUES[name]
        slope = kinetics({**VALUES, name: VALUES[name] + 1j * tiny}).imag / tiny
        size = np.abs(slope).max(axis=0)
        np.testing.assert_allclose(d[:, :, column] / size, slope / size, atol=4e-6, err_msg=name)


class Chain(wb.Ode):
    """A chain of 12 leaky compartments with a fast leak at one end: a banded Jacobian."""

    time_unit = "s"
    vars().update({f"x{k}": wb.State("1", start=float(k == 0)) for k in range(12)})
    rate = wb.Parameter("1/s", prior=wb.prior.LogNormal(median=2.0, sigma=0.3))
    leak = wb.Parameter("1/s", prior=wb.prior.LogNormal(median=3e4, sigma=0.3))
    last = wb.Output("1")

    def rhs(self, t, x, u, p):
        inside = [x[f"x{k}"] for k in range(12)]
        made = {}
        for k, here in enumerate(inside):
            left = inside[k - 1] - here if k > 0 else 0.0
            right = inside[k + 1] - here if k < 11 else -(p.leak / p.rate) * here
            made[f"x{k}"] = p.rate * (left + right)
        return made

    def observe(self, t, x, u, p):
        return {"last": x.x10}


def test_a_banded_jacobian_gives_the_matrix_exponential():
    matrix = 2.0 * (np.diag(-2 * np.ones(12)) + np.diag(np.ones(11), 1) + np.diag(np.ones(11), -1))
    matrix[0, 0], matrix[11, 11] = -2.0, -2.0 - 3e4
    times = np.linspace(0.0, 30.0, 7)
    exact = np.array([scipy.linalg.expm(matrix * t)[:, 0] for t in times])
    made = problem(Chain, {"rate": 2.0, "leak": 3e4}, times=times, tolerance=1e-8, method=RODAS5P)
    y, d = made.perform()
    np.testing.assert_allclose(y[:, 0], exact[:, 10], atol=1e-7)
    leak = np.diag(np.eye(12)[11])
    for column, change in enumerate(((matrix + 3e4 * leak) / 2.0, -leak)):  # of the matrix, by rate and by leak
        slopes = np.array([scipy.linalg.expm_frechet(matrix * t, change * t, compute_expm=False)[:, 0] for t in times])
        np.testing.assert_allclose(d[:, 0, column], slopes[:, 10], atol=1e-6 * np.abs(slopes[:, 10]).max())


def test_a_state_may_have_tolerances_of_its_own():
    class Fine(PROBLEMS["Robertson"].model):
        rtol, atol = 1e-3, 1e-6
        y2 = wb.State("1", start=0.0, atol=1e-14)

    case = PROBLEMS["Robertson"]
    one, other = (wb.simulate(model, [0.0, 4e6]) for model in (Fine, type(case.at(1e-3))))
    exact = wb.simulate(case.at(1e-9), [0.0, 4e6])
    assert abs(float(one.y2[-1] / exact.y2[-1]) - 1) < 1e-3
    assert one.attrs["solver"] == other.attrs["solver"] == "Rodas5P"


def test_members_solved_by_different_methods_are_all_solved():
    made = wb.simulate(PROBLEMS["Van der Pol"].at(1e-6), [0.0, 20.0], parameters={"mu": np.array([1.0, 1e3, 5.0])})
    assert np.isfinite(made.y).all()
    assert made.attrs["solver"] == "Tsit5 (2 members), Rodas5P (1 member)"
