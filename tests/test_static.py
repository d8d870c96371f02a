"""Static models: published steady states, derivatives by finite differences, and a sentence where there is no root."""

import functools

import numpy as np
import pandas as pd
import pytest
import scipy.optimize
import xarray as xr
from calibrations import richardson

import workbench as wb
from workbench.base.clock import Clock
from workbench.base.errors import DeclarationError, SolveError
from workbench.calibrate.bayes import build
from workbench.calibrate.problem import pose
from workbench.calibrate.sampling.density import compile_density
from workbench.simulate.kernel import longest_run, source
from workbench.simulate.op import Solve
from workbench.simulate.scenario import build_schedule

m = wb.math


class Saturation(wb.Static):
    """IAPWS-IF97 (2007 revision), region 4, equation 29: one equation gives pressure or temperature of boiling."""

    p = wb.State("1", start=1.0, bounds=(0, None), long_name="pressure over 1 MPa")
    T = wb.State("1", start=500.0, bounds=(0, 647.096), long_name="temperature over 1 K")
    T_given = wb.Input("1")
    p_given = wb.Input("1")
    p_sat = wb.Output("1")
    T_sat = wb.Output("1")

    def residual(self, t, x, u, p):
        def line(p, T):  # Table 34
            n = [0.11670521452767e4, -0.72421316703206e6, -0.17073846940092e2, 0.12020824702470e5]
            n += [-0.32325550322333e7, 0.14915108613530e2, -0.48232657361591e4, 0.40511340542057e6]
            n += [-0.23855557567849, 0.65017534844798e3]
            b, v = p**0.25, T + n[8] / (T - n[9])
            squares = b**2 * v**2 + n[0] * b**2 * v + n[1] * b**2 + n[2] * b * v**2
            return squares + n[3] * b * v + n[4] * b + n[5] * v**2 + n[6] * v + n[7]

        return {"p": line(x.p, u.T_given), "T": line(u.p_given, x.T)}

    def observe(self, t, x, u, p):
        return {"p_sat": x.p, "T_sat": x.T}


class NineBus(wb.Static):
    """Power flow of the WSCC 9-bus system (Sauer & Pai 1998, Power System Dynamics and Stability, example 7.1).

    Powers are per 100 MVA; bus 1 is the slack, buses 2 and 3 hold their voltage.
    """

    a2, a3, a4, a5 = (wb.State("1", start=0.0) for _ in range(4))
    a6, a7, a8, a9 = (wb.State("1", start=0.0) for _ in range(4))
    v4, v5, v6 = (wb.State("1", start=1.0, bounds=(0, 2)) for _ in range(3))
    v7, v8, v9 = (wb.State("1", start=1.0, bounds=(0, 2)) for _ in range(3))
    load = wb.Input("1", long_name="loads over those of the book")
    x54 = wb.Parameter("1", prior=wb.prior.LogNormal(median=0.085, sigma=0.1), long_name="reactance of line 5-4")
    P2 = wb.Parameter("1", prior=wb.prior.Normal(mu=1.63, sigma=0.1))
    V3 = wb.Parameter("1", prior=wb.prior.Normal(mu=1.025, sigma=0.01))
    angle5 = wb.Output("1")
    volts5 = wb.Output("1")
    P1 = wb.Output("1")
    Q2 = wb.Output("1")

    def flows(self, x, p):
        """Return active and reactive power into the net at each bus."""
        lines = [(1, 4, 0, 0.0576, 0), (2, 7, 0, 0.0625, 0), (3, 9, 0, 0.0586, 0), (4, 5, 0.010, p.x54, 0.088),
                 (4, 6, 0.017, 0.092, 0.079), (5, 7, 0.032, 0.161, 0.153), (6, 9, 0.039, 0.170, 0.179),
                 (7, 8, 0.0085, 0.072, 0.0745), (8, 9, 0.0119, 0.1008, 0.1045)]  # fmt: skip
        V = [1.04, 1.025, p.V3, x.v4, x.v5, x.v6, x.v7, x.v8, x.v9]
        A = [0.0, x.a2, x.a3, x.a4, x.a5, x.a6, x.a7, x.a8, x.a9]
        P, Q = [0.0] * 9, [0.0] * 9
        for one, other, resistance, reactance, shunt in lines:
            size = resistance**2 + reactance**2
            g, b = resistance / size, -reactance / size
            for i, k in ((one - 1, other - 1), (other - 1, one - 1)):
                both, turn = V[i] * V[k], A[i] - A[k]
                P[i] = P[i] + g * V[i] ** 2 - both * (g * m.cos(turn) + b * m.sin(turn))
                Q[i] = Q[i] - (b + shunt) * V[i] ** 2 - both * (g * m.sin(turn) - b * m.cos(turn))
        return P, Q

    def residual(self, t, x, u, p):
        P, Q = self.flows(x, p)
        wanted = {2: p.P2, 3: 0.85, 4: 0.0, 5: -1.25 * u.load, 6: -0.90 * u.load, 7: 0.0, 8: -1.00 * u.load, 9: 0.0}
        reactive = {4: 0.0, 5: -0.50 * u.load, 6: -0.30 * u.load, 7: 0.0, 8: -0.35 * u.load, 9: 0.0}
        active = {f"a{k}": P[k - 1] - w for k, w in wanted.items()}
        return active | {f"v{k}": Q[k - 1] - w for k, w in reactive.items()}

    def observe(self, t, x, u, p):
        P, Q = self.flows(x, p)
        return {"angle5": x.a5, "volts5": x.v5, "P1": P[0], "Q2": Q[1]}


class Wire(wb.Static):
    """A wire warmed by a current, cooled by air and by radiation."""

    T = wb.State("K", start="Ta", bounds=(0, None))
    P = wb.Input("W")
    eps = wb.Parameter("W/K**4", prior=wb.prior.LogNormal(median=1e-9, sigma=0.1))
    h = wb.Parameter("W/K", prior=wb.prior.LogNormal(median=0.1, sigma=0.1))
    Ta = wb.Parameter("K", value=290.0)
    T_meas = wb.Output("K", noise=wb.noise.Normal(sigma=1.0))

    def residual(self, t, x, u, p):
        return {"T": u.P - m.absolute(p.h) * (x.T - p.Ta) - p.eps * (x.T**4 - p.Ta**4)}

    def observe(self, t, x, u, p):
        return {"T_meas": x.T}


class Pair(wb.Static):
    """Two equations, in which parameters make every mistake."""

    a = wb.State("1", start="guess")
    b = wb.State("1", start=1.0)
    guess, square, slope, other, constant, log, back, own = (wb.Parameter("1", value=v) for v in (3.0, *[0.0] * 7))

    def residual(self, t, x, u, p):
        first = p.square * x.a**2 + p.slope * x.a + p.other * x.b + p.constant + p.log * m.log(x.a)
        return {"a": first, "b": p.back * x.a + p.own * x.b}


class Line(wb.Static):
    """A straight line: formulas alone."""

    slope = wb.Parameter("K/W", prior=wb.prior.Normal(mu=0.0, sigma=2.0))
    P = wb.Input("W")
    T = wb.Output("K", noise=wb.noise.Normal(sigma=0.5))

    def observe(self, t, x, u, p):
        return {"T": p.slope * u.P}


WIRE = Wire()


def series(*values, times=None):
    return pd.Series(np.array(values, dtype=float), index=times)


def slopes(model, inputs, values, times):
    """Return outputs (rows, outputs) and their derivatives (rows, outputs, estimated), from the kernel."""
    ends = np.array([times[0]]), np.array([times[-1]])
    schedule = build_schedule(model, inputs, units=None, begin=ends[0], end=ends[1], clock=Clock("1"))
    tolerances, longest = (model.rtol, model.atol), longest_run(schedule)
    columns = model.theta_layout.columns(model.estimated)
    code = source(model, None, sensitivities=True)
    op = Solve(code, estimated=columns, outputs=len(model.outputs), tolerances=tolerances, longest_run=longest)
    s, storage = schedule, [[None], [None]]
    rows = np.array([0, len(times)])
    theta = np.array([[values.get(name, q.nominal()) for name, q in model.theta.items()]])
    op.perform(None, [theta, s.offset, s.begin, s.level, s.slope, s.jump, rows, times], storage)
    return storage[0][0], storage[1][0]


def differences(model, inputs, times, step=1e-3):
    """Return the same derivatives by central differences of simulations, extrapolated (relative steps)."""
    values = {name: model.theta[name].nominal() for name in model.estimated}
    made = []
    for name, value in values.items():
        steps = value * step * np.array([-1.0, -0.5, 0.5, 1.0])
        ds = wb.simulate(model, times, inputs=inputs, parameters={name: value + steps})
        y = np.stack([ds[output].values for output in model.outputs], axis=-1)
        wide, narrow = (y[3] - y[0]) / (steps[3] - steps[0]), (y[2] - y[1]) / (steps[2] - steps[1])
        made.append((4 * narrow - wide) / 3)
    return np.stack(made, axis=-1)


def test_steam_boils_where_the_tables_say():
    inputs = {"T_given": series(300, 500, 600), "p_given": series(0.1, 1, 10)}
    ds = wb.simulate(Saturation, np.arange(3.0), inputs=inputs)
    np.testing.assert_allclose(ds.p_sat, [0.353658941e-2, 0.263889776e1, 0.123443146e2], rtol=2e-9)  # Table 35
    np.testing.assert_allclose(ds.T_sat, [0.372755919e3, 0.453035632e3, 0.584149488e3], rtol=2e-9)  # Table 36
    assert ds.attrs["solver"] == "Newton"


@functools.cache
def power_flow():
    return wb.simulate(NineBus, np.arange(3.0), inputs={"load": series(1.0, 0.8, 1.2)})


def test_power_flows_as_published():
    ds = power_flow().isel(time=0)
    angles = [float(np.degrees(ds[f"a{k}"])) for k in range(2, 10)]
    np.testing.assert_allclose(angles, [9.3, 4.7, -2.2, -4.0, -3.7, 3.7, 0.7, 2.0], atol=0.051)
    volts = [float(ds[f"v{k}"]) for k in range(4, 10)]
    np.testing.assert_allclose(volts, [1.026, 0.996, 1.013, 1.026, 1.016, 1.032], atol=5.1e-4)
    np.testing.assert_allclose([ds.P1, ds.Q2], [0.716, 0.067], atol=5.1e-4)


def test_slopes_of_the_power_flow_by_differences():
    model, inputs, times = NineBus(), {"load": series(1.0, 0.8, 1.2)}, np.arange(3.0)
    y, d = slopes(model, inputs, {}, times)
    same = np.stack([power_flow()[name].values for name in model.outputs], axis=-1)
    np.testing.assert_allclose(y, same, rtol=1e-13)
    found = differences(model, inputs, times)
    assert (np.abs(d).max(axis=(0, 1)) > 1e-3).all()
    np.testing.assert_allclose(d, found, rtol=1e-8, atol=1e-10)


def balance(T, P, eps=1e-9, h=0.1, Ta=290.0):
    return P - h * (T - Ta) - eps * (T**4 - Ta**4)


def test_a_heat_balance_has_the_root_that_brent_finds():
    powers = [0.0, 10.0, 50.0, 200.0, 1e5]
    ds = wb.simulate(WIRE, np.arange(5.0), inputs={"P": series(*powers)})
    roots = [scipy.optimize.brentq(balance, 289.0, 1e4, args=(P,), xtol=1e-12, rtol=1e-15) for P in powers]
    np.testing.assert_allclose(ds.T_meas, roots, rtol=1e-14)
    assert ds.T.attrs["units"] == "K"
    assert ds.time.attrs["units"] == "1"


def test_slopes_of_the_heat_balance_are_those_of_the_implicit_function():
    T, d = slopes(WIRE, {"P": series(10.0, 200.0)}, {}, np.arange(2.0))
    T = T[:, 0]
    by_state = -0.1 - 4e-9 * T**3
    np.testing.assert_allclose(d[:, 0, 0], (T**4 - 290.0**4) / by_state, rtol=1e-12)
    np.testing.assert_allclose(d[:, 0, 1], (T - 290.0) / by_state, rtol=1e-12)


def test_a_row_does_not_depend_on_its_neighbours():
    together = wb.simulate(WIRE, np.arange(3.0), inputs={"P": series(5.0, 1e6, 20.0)})
    for k, power in enumerate([5.0, 1e6, 20.0]):
        assert float(wb.simulate(WIRE, [0.0], inputs={"P": power}).T[0]) == float(together.T[k])


def test_members_and_units_are_solved_each_by_itself():
    h = xr.DataArray([[0.1, 0.2], [0.3, 0.4]], dims=("member", "unit"), coords={"unit": ["a", "b"]})
    ds = wb.simulate(WIRE, [0.0], inputs={"P": 20.0}, parameters={"h": h})
    roots = [[scipy.optimize.brentq(balance, 290, 1e3, args=(20.0, 1e-9, v)) for v in row] for row in h.values]
    np.testing.assert_allclose(ds.T.sel(unit=["a", "b"]).isel(time=0), roots, rtol=1e-12)


def test_the_guess_chooses_among_roots():
    given = {"square": 1.0, "slope": -5.0, "constant": 6.0, "own": 1.0, "back": -1.0}
    low, high = (wb.simulate(Pair, [0.0], parameters=given, start={"a": a}) for a in (1.0, 10.0))
    np.testing.assert_allclose([low.a[0], high.a[0]], [2.0, 3.0], rtol=1e-15)
    np.testing.assert_allclose(high.b, high.a, rtol=1e-15)


def test_badly_scaled_equations_have_their_published_root():
    class Powell(wb.Static):
        """More, Garbow & Hillstrom (1981, ACM TOMS 7:17), problem 3."""

        a = wb.State("1", start=0.0)
        b = wb.State("1", start=1.0)

        def residual(self, t, x, u, p):
            return {"a": 1e4 * x.a * x.b - 1, "b": m.exp(-x.a) + m.exp(-x.b) - 1.0001}

    ds = wb.simulate(Powell, [0.0])
    np.testing.assert_allclose([ds.a[0], ds.b[0]], [1.098159e-5, 9.106146], rtol=1e-6)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"square": 1.0, "constant": 1.0, "own": 1.0}, "no root found in .* the residual of 'a' .* try a start"),
        ({"square": 1.0, "slope": -2.0, "constant": 1.0, "own": 1.0}, "two solutions meet here"),
        ({"slope": -2.0, "other": 1.0, "back": 2.0, "own": -1.0}, "do not determine 'b'.* what is conserved"),
        ({"slope": 1.0}, "no state changes the residual of 'b'"),
        ({"log": 1.0, "guess": -1.0, "own": 1.0}, "'a' or its derivative is no finite number at the start"),
    ],
)
def test_a_sentence_says_why_there_is_no_solution(given, words):
    with pytest.raises(SolveError, match=f"^Pair: t = 2: .*{words}.* \\(guess="):
        wb.simulate(Pair, [2.0, 3.0], parameters=given)


def test_members_without_a_root_are_counted():
    given = {"square": 1.0, "own": 1.0, "constant": [-4.0, 1.0, -9.0]}
    with pytest.warns(UserWarning, match="1 of 3 members failed .* no root found"):
        ds = wb.simulate(Pair, [0.0], parameters=given)
    np.testing.assert_allclose(ds.a[:, 0], [2.0, np.nan, 3.0], rtol=1e-15)
    assert ds.attrs["failed_members"] == 1


def test_bounds_are_never_left():
    with pytest.raises(SolveError, match="Wire: t = 0: no root found"):
        wb.simulate(WIRE, [0.0], inputs={"P": -1e4})  # colder than nothing


def test_cases_need_no_times_and_may_have_datetimes():
    frame = pd.DataFrame({"T": [1.0, 2.2, 2.9]})
    days = pd.date_range("2024-01-01", periods=3).to_numpy()
    P = xr.DataArray([1.0, 2.0, 3.0], dims="time", coords={"time": days})
    numbered = pose(Line, frame, inputs={"P": series(1.0, 2.0, 3.0)})
    np.testing.assert_array_equal(numbered.observations.time, [0.0, 1.0, 2.0])
    dated = pose(Line, xr.Dataset({"T": ("time", frame["T"])}, coords={"time": days}), inputs={"P": P})
    np.testing.assert_array_equal(dated.observations.time, [0.0, 86400.0, 172800.0])
    ds = wb.simulate(Line, days, inputs={"P": P}, parameters={"slope": 2.0})
    np.testing.assert_array_equal(ds["T"], [2.0, 4.0, 6.0])


def test_a_line_is_calibrated_to_its_closed_posterior():
    P, T = np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.2, 2.9])
    found = wb.calibrate(
        Line, pd.DataFrame({"T": T}), inputs={"P": pd.Series(P)}, draws=400, tune=300, chains=2, seed=1, progress=False
    )
    precision = 1 / 2.0**2 + (P**2).sum() / 0.5**2
    mean, sd = (P @ T) / 0.5**2 / precision, precision**-0.5
    draws = found.tree["posterior"]["slope"].values
    assert abs(draws.mean() - mean) < 0.2 * sd
    assert abs(draws.std() / sd - 1) < 0.15
    ahead = wb.forecast(found, [0.0], inputs={"P": 10.0}, noise=False, seed=1)
    np.testing.assert_allclose(ahead["T"].mean(), 10 * mean, atol=2 * sd)


def test_the_density_has_the_gradient_of_differences():
    data = pd.DataFrame({"T_meas": [290.0, 335.0, 440.0, 640.0]})
    density = compile_density(build(pose(WIRE, data, inputs={"P": series(0.0, 10.0, 50.0, 200.0)})))
    nominal = {"eps": 1e-9, "h": 0.1}
    point = density.space.unconstrain(
        {v.name: np.full((1, 1), nominal[v.name]) for v in density.space.variables}
    ).ravel()
    for shift in ([0.0, 0.0], [0.03, -0.05]):
        value, gradient = density.evaluate(point + shift)
        assert np.isfinite(value)
        found = richardson(lambda at: density.evaluate(at)[0], point + shift)
        np.testing.assert_allclose(gradient, found, rtol=1e-7)


def refused(words, **body):
    made = type(wb.Static).__prepare__("Wrong", (wb.Static,))
    for name, value in body.items():
        made[name] = value
    with pytest.raises(DeclarationError, match=words):
        type(wb.Static)("Wrong", (wb.Static,), made)


def test_mistakes_are_refused_at_birth():
    T, y = wb.State("K", start=300.0), wb.Output("K")
    ok = {"T": wb.State("K", start=300.0), "residual": lambda self, t, x, u, p: {"T": x.T - 300.0}}
    observe = {"y": y, "observe": lambda self, t, x, u, p: {"y": 300.0}}
    refused("got no residual; expected def residual", T=T, **observe)
    refused("got neither state nor output", observe=lambda self, t, x, u, p: {})
    refused("got no residual of state 'T'", T=T, residual=lambda self, t, x, u, p: {})
    refused("got unknown state 'U'", T=T, residual=lambda self, t, x, u, p: {"T": x.T - 1.0, "U": 0.0})
    refused("got no start", T=wb.State("K"), residual=ok["residual"])
    refused("expected a number or a parameter's name", T=wb.State("K", start=wb.prior.Normal(mu=0, sigma=1)),
            residual=ok["residual"])  # fmt: skip
    refused("noise: got 1.0; expected none", T=wb.State("K", start=1.0, noise=1.0), residual=ok["residual"])
    refused("got kind='impulse'", u=wb.Input("K", kind="impulse", into="T"), **ok)
    refused("got an event; expected none", e=wb.Event("K"), **ok)
    refused("time_unit: got 'm'", time_unit="m", **ok)
    two = {"T": wb.State("K", start=1.0), "p": wb.Parameter("W", value=1.0)}
    refused("with units K and W", **two, residual=lambda self, t, x, u, p: {"T": x.T - p.p})
    refused("parameter 'p', which no equation uses", **two, residual=lambda self, t, x, u, p: {"T": x.T - 1.0})
