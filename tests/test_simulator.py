"""Simulators: black boxes run once for each parameter set, survive what programs do, and give the same posterior."""

import os
import pickle
import subprocess
import sys
import textwrap
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pymc as pm
import pytest
import xarray as xr
from blackboxes import DeclaredGrowth, DeclaredTank, Fragile, Growth, Pelts, Tank
from calibrations import REFERENCE, lynx_hare_data

import workbench as wb
from workbench.calibrate.bayes import build
from workbench.calibrate.problem import pose
from workbench.calibrate.sampling.blackbox import Blind, box_of
from workbench.calibrate.sampling.walkers import Crowd, Ways, sweep
from workbench.declare.describe import differences, digest
from workbench.simulate.workers import Lost, Workers

ROOT = Path(__file__).parents[1]
INPUTS = {"dose": {1.5: 3.0, 4.0: 5.0}, "infusion": {0.0: 1.0, 2.5: 0.0}}
TIMES = [0.0, 1.0, 1.5, 3.0, 4.0, 6.5]


class Line(wb.Simulator):
    """y = a + b t, in this process, which counts its runs."""

    time_unit = "h"
    processes = 1
    a = wb.Parameter("m", prior=wb.prior.Normal(mu=0, sigma=5))
    b = wb.Parameter("m/h", prior=wb.prior.LogNormal(median=1, sigma=1))
    y = wb.Output("m", noise=wb.noise.Normal(sigma=0.5))
    runs: ClassVar = []

    def run(self, times, u, p):
        self.runs.append((p.a, p.b))
        return {"y": p.a + p.b * times}


class Level(wb.Simulator):
    """y = a + 0.7 t."""

    time_unit = "h"
    processes = 1
    a = wb.Parameter("m", prior=wb.prior.Normal(mu=0, sigma=5))
    y = wb.Output("m", noise=wb.noise.Normal(sigma=0.5))

    def run(self, times, u, p):
        return {"y": p.a + 0.7 * times}


def line_data(units=None):
    rng, time = np.random.default_rng(0), np.arange(6.0)
    shape = (6,) if units is None else (len(units), 6)
    values = 1 + 0.7 * time + 0.5 * rng.normal(size=shape)
    coords = {"time": time} | ({} if units is None else {"unit": units})
    return xr.Dataset({"y": (("unit", "time")[-len(shape) :], values)}, coords)


def growth_data():
    rng, time = np.random.default_rng(1), np.arange(0.0, 16.0)
    curve = 80 / (1 + 15 * np.exp(-0.6 * time))
    return xr.Dataset({"count": ("time", curve * np.exp(0.15 * rng.normal(size=time.size)))}, {"time": time})


@cache
def growth():
    return wb.calibrate(Growth(), growth_data(), draws=1500, tune=500, seed=1, progress=False)


# -- what may be declared --------------------------------------------------------------------------------------------
def declared(**body):
    whole = {"time_unit": "h", "y": wb.Output("1"), "run": lambda self, times, u, p: {"y": times}} | body
    return type(wb.Simulator)("Box", (wb.Simulator,), whole)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"x": wb.State("1", start=0.0)}, r"Box.x: got a wb.State; expected none in a simulator"),
        ({"e": wb.Event("1")}, r"Box.e: got a wb.Event"),
        ({"y": wb.Parameter("1", value=1.0)}, r"got no output; expected at least one wb.Output"),
        ({"run": lambda self, t: {}}, r"got run\(t\) to be called with times, u and p; expected def run\(self, times"),
        ({"run": 3.0}, r"Box.run: got 3.0; expected a function"),
        ({"timeout": 0}, r"Box.timeout: got 0; expected seconds above 0, or None"),
        ({"processes": 1.5}, r"Box.processes: got 1.5; expected a whole number above 0"),
        ({"d": wb.Input("mg", kind="impulse", into="y")}, r"Box.d: got into='y'; expected none"),
        ({"time_unit": "mg"}, r"Box.time_unit"),
        ({"run": wb.Parameter("1", value=1.0)}, r"Box: got a quantity named 'run'; that name is taken"),
    ],
)
def test_mistakes_of_a_declaration(body, words):
    with pytest.raises(wb.errors.DeclarationError, match=words):
        declared(**body)


def test_a_simulator_without_run():
    class Half(wb.Simulator):  # a base for others, not whole
        time_unit = "h"
        y = wb.Output("1")

    with pytest.raises(wb.errors.DeclarationError, match="got no run; expected def run"):
        wb.simulate(Half, [0.0])


def test_an_impulse_of_other_kinds_still_needs_a_state():
    with pytest.raises(wb.errors.DeclarationError, match="got kind='impulse' and into=None; expected into="):

        class Bad(wb.Ode):
            time_unit = "h"
            x = wb.State("1", start=0.0)
            dose = wb.Input("1", kind="impulse")

            def rhs(self, t, x, u, p):
                return {"x": 0.0 * x.x / 1}


def slope(times, u, p):
    return {"y": p.k * times}


def test_a_plain_function_is_wrapped():
    class Wrapped(wb.Simulator):
        time_unit = "h"
        k = wb.Parameter("1/h", value=2.0)
        y = wb.Output("1")
        run = staticmethod(slope)

    np.testing.assert_array_equal(wb.simulate(Wrapped, [1.0, 3.0]).y, [2.0, 6.0])


def test_the_text_of_run_is_part_of_the_digest():
    def made(body):
        return declared(run=body)()

    first = made(lambda self, times, u, p: {"y": times + 1})
    other = made(lambda self, times, u, p: {"y": times + 2})
    assert digest(first) != digest(other)
    assert differences(first, other)[0].startswith("run: got ")
    assert "impulses" in Tank.__doc__
    assert "into None" not in Tank.__doc__


# -- what run is given ------------------------------------------------------------------------------------------------
def test_equals_the_declared_model_with_doses_and_an_infusion():
    parameters = {"k": xr.DataArray([0.2, 0.9], dims="member"), "first": 7.0}
    black, white = (wb.simulate(m, TIMES, inputs=INPUTS, parameters=parameters) for m in (Tank, DeclaredTank))
    np.testing.assert_allclose(black.y, white.y, rtol=1e-5)
    assert black.y.dims == white.y.dims == ("member", "time")
    assert black.y.attrs == white.y.attrs
    assert black.attrs["solver"] == "black box"
    assert "amount" not in black


def test_the_clock_starts_at_an_earlier_impulse_and_its_time_is_put_in_front():
    seen = []

    class Watch(wb.Simulator):
        time_unit = "h"
        level = wb.Input("m")
        dose = wb.Input("mg", kind="impulse")
        y = wb.Output("m")

        def run(self, times, u, p):
            seen.append((times, u.dose, u.level(2.0), u.level(times)))
            return {"y": times}

    inputs = {"dose": {-1.0: 2.0, 2.0: 4.0, 9.0: 1.0}, "level": {-1.0: 0.0, 4.0: 10.0}}
    made = wb.simulate(Watch, [1.0, 3.0], inputs=inputs)
    np.testing.assert_array_equal(made.y, [1.0, 3.0])
    [(times, doses, here, everywhere)] = seen
    np.testing.assert_array_equal(times, [-1.0, 1.0, 3.0])
    assert doses == [(-1.0, 2.0), (2.0, 4.0)]
    assert here == pytest.approx(6.0)
    np.testing.assert_allclose(everywhere, [0.0, 4.0, 8.0])


def test_run_is_called_once_for_each_unit():
    inputs = {"infusion": {"b": {0.0: 1.0}, "a": {0.0: 2.0}}, "dose": {1.5: 1.0}}
    black, white = (wb.simulate(m, TIMES, inputs=inputs) for m in (Tank, DeclaredTank))
    np.testing.assert_allclose(black.y, white.y.sel(unit=black.unit), rtol=1e-5)
    assert black.sizes["unit"] == 2


def test_a_number_holds_at_all_times():
    model = declared(run=lambda self, times, u, p: {"y": 3})
    np.testing.assert_array_equal(wb.simulate(model, [0.0, 1.0]).y, [3.0, 3.0])


def test_datetimes():
    times = np.array(["2026-01-01T00", "2026-01-01T02"], dtype="datetime64[ns]")
    made = wb.simulate(Line, times, parameters={"a": 0.0, "b": 2.0})
    np.testing.assert_allclose(np.diff(made.y), 4.0)


# -- what run gives back ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("result", "words"),
    [
        (lambda t, p: t, r"Box.run: got ndarray; expected a dict with the names 'y'"),
        (lambda t, p: {"z": t}, r"Box.run: got unknown output 'z'; expected one of 'y'"),
        (lambda t, p: {}, r"Box.run: got no output 'y'"),
        (lambda t, p: {"y": t[:-1]}, r"of shape \(1,\) for 'y'; expected numbers of shape \(2,\), .*let it raise"),
        (lambda t, p: {"y": t[None]}, r"of shape \(1, 2\)"),
        (lambda t, p: {"y": ["a", "b"]}, r"of type <U1 of shape \(2,\) for 'y'"),
        (lambda t, p: {"y": 1j * t}, r"of type complex128"),
        (lambda t, p: {"y": p.kk * t}, r"Box.run: got unknown parameter 'kk'.*did you mean 'k'"),
    ],
)
@pytest.mark.parametrize("members", [1, 3])
def test_wrong_forms_are_refused_at_the_first_call(result, words, members):
    k = wb.Parameter("1", value=1.0)
    model = declared(k=k, run=lambda self, times, u, p: result(times, p))
    with pytest.raises(wb.errors.DeclarationError, match=words):
        wb.simulate(model, [0.0, 1.0], parameters={"k": xr.DataArray(np.arange(1.0, members + 1), dims="member")})


def test_failures_are_nan_counted_and_named():
    a = xr.DataArray([0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5], dims="member")
    with pytest.warns(UserWarning, match=r"6 of 8 members failed.*RuntimeError: no licence \(line \d+ of .*\) \(a=1.5"):
        made = wb.simulate(Fragile(), [0.0, 1.0], parameters={"a": a})
    assert made.attrs["failed_members"] == 6
    np.testing.assert_array_equal(np.isnan(made.y).all("time"), [0, 1, 1, 1, 1, 1, 1, 0])
    np.testing.assert_array_equal(made.y[[0, -1], 0], [0.5, 7.5])


@pytest.mark.parametrize(
    ("a", "words"),
    [
        (1.5, "RuntimeError: no licence"),
        (2.5, r"it returned nan for 'y' at t = 1 s"),
        (3.5, r"the process that ran it died \(exit code 7\)"),
        (4.5, "it took longer than 1 s"),
        (5.5, "SystemExit: 3"),
    ],
)
def test_the_reason_reaches_the_user_where_all_fail(a, words):
    with pytest.raises(wb.errors.SolveError, match=rf"Fragile: .*{words}"):
        wb.simulate(Fragile, [0.0, 1.0], parameters={"a": a})


def test_a_failure_is_tried_again_in_another_simulation():
    class Moody(wb.Simulator):
        time_unit = "h"
        y = wb.Output("1")
        calls: ClassVar = []

        def run(self, times, u, p):
            self.calls.append(1)
            if len(self.calls) == 1:
                raise OSError("file not found")
            return {"y": times}

    model = Moody()
    with pytest.raises(wb.errors.SolveError, match="file not found"):
        wb.simulate(model, [0.0])
    wb.simulate(model, [0.0])
    wb.simulate(model, [0.0])
    assert len(Moody.calls) == 2


# -- processes --------------------------------------------------------------------------------------------------------
def deadly(job):
    if job % 10 == 3:
        os._exit(job)
    return job**2


def test_only_what_killed_its_process_is_lost():
    workers = Workers(deadly, count=2)
    try:
        for _ in range(2):  # processes are begun anew, and stay
            made = workers.map(list(range(95)))
            lost = [job for job, result in enumerate(made) if isinstance(result, Lost)]
            assert lost == list(range(3, 95, 10))
            assert made[33].why == "the process that ran it died (exit code 33)"
            assert [made[job] for job in range(95) if job not in lost] == [j**2 for j in range(95) if j not in lost]
        assert workers.map([]) == []
    finally:
        workers.close()


def test_a_process_that_was_killed_while_idle_is_replaced():
    workers = Workers(deadly, count=2)
    assert workers.map([1, 2, 4]) == [1, 4, 16]
    for hand in workers._hands:
        hand.process.kill()
        hand.process.join()
    assert workers.map([1, 2, 4]) == [1, 4, 16]
    workers.close()


def test_a_class_of_a_script_runs_in_parallel_and_can_be_pickled(tmp_path):
    script = tmp_path / "study.py"
    script.write_text(
        textwrap.dedent("""
            import os, pickle
            import numpy as np
            import workbench as wb

            class Mine(wb.Simulator):
                time_unit = "h"
                processes = 2
                k = wb.Parameter("1/h", value=1.0)
                who = wb.Output("1")
                y = wb.Output("1")
                offset: float = 2.0

                def run(self, times, u, p):
                    return {"y": p.k * times + self.offset, "who": os.getpid()}

            model = Mine(offset=5.0)
            made = wb.simulate(model, [0.0, 1.0], parameters={"k": np.arange(400.0)})
            assert (made.y.values == np.arange(400.0)[:, None] * [0, 1] + 5).all()
            again = pickle.loads(pickle.dumps(model))
            assert again == model and "_evaluations" not in vars(again) and "_evaluations" in vars(model)
            print(os.getpid() in made.who, len(np.unique(made.who)))
        """)
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    run = subprocess.run([sys.executable, script], check=False, capture_output=True, text=True, env=environment)
    assert (run.returncode, run.stderr) == (0, "")
    if sys.platform == "linux":
        assert run.stdout.split() == ["False", "2"]


def test_a_model_can_be_pickled():
    model = Tank()
    wb.simulate(model, TIMES, inputs=INPUTS)
    again = pickle.loads(pickle.dumps(model))
    assert again == model
    assert "_evaluations" in vars(model)
    assert "_evaluations" not in vars(again)


# -- the posterior ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("discrepancy", [None, wb.Discrepancy("y", over="time")], ids=["plain", "discrepancy"])
def test_the_density_is_that_of_the_pymc_model_and_of_the_declared_one(discrepancy):
    units = ["p", "q", "r"]
    times = np.array(TIMES)
    data = xr.Dataset(
        {"y": (("unit", "time"), 5 + np.random.default_rng(0).normal(size=(3, times.size)))},
        {"time": times, "unit": units},
    )
    pool = {"k": "partial", "first": "none"}
    black, white = (pose(m, data, inputs=INPUTS, pool=pool, discrepancy=discrepancy) for m in (Tank, DeclaredTank))
    models = [build(problem) for problem in (black, white)]
    with box_of(black, parallel=False) as box:
        density = Blind(black, models[0], box)
        points = density.draw_prior(np.random.default_rng(2), 6)
        ours = density.prior(points) + density.likelihood(points)
    theirs = [model.compile_logp() for model in models]
    for point, value in zip(points, ours, strict=True):
        names = zip(density.space.variables, models[0].value_vars, strict=True)
        named = {str(v.name): point[s.place].reshape(s.shape) for s, v in names}
        assert theirs[0](named) == pytest.approx(value, rel=1e-10)
        assert theirs[1](named) == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize("joint", [True, False])
def test_a_simulator_with_a_discrepancy(joint):
    """The posterior is that of the closed form: a line, and a process that is integrated out, are one Gaussian."""
    time = np.linspace(0.0, 5.0, 21)
    errors = 0.5 * np.random.default_rng(3).normal(size=21)
    data = xr.Dataset({"y": ("time", 1 + 0.7 * time + np.sin(2 * time) + errors)}, {"time": time})
    one = wb.Discrepancy("y", sigma=1.0, length_scale=0.7, joint=joint)
    made = wb.calibrate(Level(), data, discrepancy=one, draws=500, tune=300, chains=2, seed=1, progress=False)
    apart = np.abs(time[:, None] - time) / 0.7 * np.sqrt(5)
    shared = (1 + apart + apart**2 / 3) * np.exp(-apart)
    gain = np.linalg.inv(shared + 0.25 * np.eye(21))
    precision = gain if joint else 4.0 * np.eye(21)
    variance = 1 / (1 / 25 + precision.sum())
    mean = variance * precision.sum(axis=0) @ (data["y"].values - 0.7 * time)
    drawn = made.posterior["a"]
    assert float(drawn.mean()) == pytest.approx(mean, abs=0.25 * np.sqrt(variance))
    assert float(drawn.std()) == pytest.approx(np.sqrt(variance), rel=0.15)
    predicted = made.tree["posterior_predictive"]["y"].mean(("chain", "draw"))
    line = mean + 0.7 * time
    np.testing.assert_allclose(predicted, line + shared @ gain @ (data["y"].values - line), atol=0.12)


def test_a_failed_evaluation_has_no_density():
    data = xr.Dataset({"y": ("time", [1.0, 1.2])}, {"time": [0.0, 1.0]})
    problem = pose(Fragile, data)
    made = build(problem)
    with box_of(problem, parallel=True) as box:
        density = Blind(problem, made, box)
        points = density.space.unconstrain({"a": np.array([0.5, 1.5, 2.5, 3.5, 7.5])})
        found = density.likelihood(points)
        np.testing.assert_array_equal(np.isfinite(found), [1, 0, 0, 0, 1])
        assert (box.evaluations, box.failures, box.hits) == (5, 3, 0)
        density.likelihood(points)
        assert (box.evaluations, box.failures, box.hits) == (5, 3, 5)  # what failed is not tried again either
    logp = made.compile_logp()
    assert logp({"a_interval__": points[1, 0]}) == -np.inf
    assert np.isfinite(logp({"a_interval__": points[0, 0]}))


def test_units_that_did_not_change_are_not_run_again():
    model = Line()
    Line.runs.clear()
    problem = pose(model, line_data(["p", "q"]), pool={"a": "none"})
    with box_of(problem, parallel=True) as box:
        density = Blind(problem, build(problem), box)
        point = density.draw_prior(np.random.default_rng(0), 1)
        density.likelihood(point)
        place = next(v.place for v in density.space.variables if v.name == "a")
        other = point.copy()
        other[:, place.start] += 1.0
        density.likelihood(other)
    assert (box.evaluations, box.hits) == (3, 1)
    assert len(Line.runs) == 3


class Normal:
    """A correlated normal density in five dimensions, as prior times likelihood."""

    def __init__(self):
        rng = np.random.default_rng(0)
        root = rng.normal(size=(5, 5)) * [1, 10, 0.1, 1, 3]
        self.mean, self.covariance = 10 * rng.normal(size=5), root.T @ root
        self.precision = np.linalg.inv(self.covariance)

    def prior(self, points):
        return np.zeros(len(points))

    def likelihood(self, points):
        far = points - self.mean
        return -0.5 * np.einsum("ni,ij,nj->n", far, self.precision, far)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0], ids=["differences", "both", "draws"])
def test_walkers_keep_a_normal_density(share):
    density = Normal()
    rngs = [np.random.default_rng(s) for s in (1, 2)]
    start = np.stack([rng.multivariate_normal(density.mean, density.covariance, 200) for rng in rngs])
    crowd = Crowd(start, np.zeros((2, 200)), density.likelihood(start.reshape(-1, 5)).reshape(2, 200), np.ones(2))
    ways = Ways.of(start + 0.5 * start.std(axis=1, keepdims=True))  # a law that is off: the odds must mend it
    ways.share[:] = share
    seen = []
    for _ in range(300):
        sweep(density, crowd, ways, rngs)
        seen.append(crowd.points.copy())
    drawn = np.concatenate(seen[50:], axis=1).reshape(-1, 5)
    spread = np.sqrt(np.diag(density.covariance))
    np.testing.assert_allclose((drawn.mean(axis=0) - density.mean) / spread, 0.0, atol=0.06)
    whitened = np.linalg.solve(np.linalg.cholesky(density.covariance), (drawn - density.mean).T)
    np.testing.assert_allclose(np.cov(whitened), np.eye(5), atol=0.08)


def test_the_posterior_is_that_of_the_gradient():
    black = growth()
    white = wb.calibrate(DeclaredGrowth, growth_data(), draws=1500, tune=500, seed=2, progress=False)
    assert black.trust.passed, black.trust
    for name in ("r", "capacity", "seed", "count_sigma"):
        one, other = black.posterior[name].values, white.posterior[name].values
        assert abs(one.mean() - other.mean()) < 0.15 * other.std(), name
        assert one.std() == pytest.approx(other.std(), rel=0.15), name


def test_what_a_calibration_says_of_its_evaluations():
    calibration = growth()
    attrs = calibration.posterior.attrs
    assert attrs["inference_library"] == "workbench"
    assert attrs["evaluations"] > attrs["failed_evaluations"] == 0
    assert {"cache_hits", "walkers", "proposals_a_draw", "sampling_time", "compile_time"} <= set(attrs)
    assert {"lp", "acceptance_rate"} <= set(calibration.tree["sample_stats"].data_vars)
    assert "walkers move" in {gate.name for gate in calibration.trust.gates}
    assert (calibration.summary().verdict == "ok").all()
    assert calibration.posterior.sizes == {"chain": 4, "draw": 1500}


def test_prediction_forecast_and_store(tmp_path):
    calibration = growth()
    seen = calibration.tree["posterior_predictive"]["count"]
    inside = (growth_data()["count"] > seen.quantile(0.02, ("chain", "draw"))) & (
        growth_data()["count"] < seen.quantile(0.98, ("chain", "draw"))
    )
    assert inside.mean() > 0.8
    later = wb.forecast(calibration, [20.0, 30.0], noise=False)
    draw = {str(name): float(value) for name, value in calibration.posterior.isel(chain=0, draw=3).data_vars.items()}
    exact = Growth().run(np.array([0.0, 20.0, 30.0]), None, SimpleNamespace(**draw))
    np.testing.assert_allclose(later["count"].isel(chain=0, draw=3), exact["count"][1:], rtol=1e-10)
    calibration.save(tmp_path / "growth.nc")
    again = wb.Calibration.open(tmp_path / "growth.nc", Growth)
    xr.testing.assert_equal(again.posterior, calibration.posterior)
    with pytest.raises(wb.errors.StoreError, match="got a model that is not the stored one"):
        wb.Calibration.open(tmp_path / "growth.nc", DeclaredGrowth)


def test_the_same_seed_gives_the_same_draws_on_any_number_of_processes():
    class Alone(Growth):
        processes = 1

    class Three(Growth):
        processes = 3

    one, three, other = (
        wb.calibrate(model, growth_data(), draws=40, tune=40, chains=1, seed=seed, progress=False)
        for model, seed in ((Alone, 7), (Three, 7), (Three, 8))
    )
    for name in one.posterior.data_vars:
        np.testing.assert_array_equal(one.posterior[name], three.posterior[name])
    assert not np.array_equal(one.posterior["r"], other.posterior["r"])
    assert one.posterior.attrs["evaluations"] == three.posterior.attrs["evaluations"]


def test_no_parameter_set_is_run_twice_in_a_calibration():
    Line.runs.clear()
    made = wb.calibrate(Line(), line_data(), draws=50, tune=50, chains=2, seed=1, progress=False)
    assert len(Line.runs) == len(set(Line.runs)) == made.posterior.attrs["evaluations"]  # the prediction ran none


def test_a_calibration_survives_failures_and_counts_them():
    data = xr.Dataset({"y": ("time", [6.2, 6.6, 7.1])}, {"time": [0.0, 1.0, 2.0]})

    class Brittle(Fragile):
        def run(self, times, u, p):
            return super().run(times, u, p) if int(p.a) in (1, 2, 3, 5) and p.a % 1 < 0.3 else {"y": p.a}

    made = wb.calibrate(Brittle, data, draws=100, tune=100, chains=2, seed=1, progress=False)
    assert made.posterior.attrs["failed_evaluations"] > 10
    assert f"{made.posterior.attrs['failed_evaluations']} proposals had no finite density" in str(made.trust)
    assert float(made.posterior.a.mean()) == pytest.approx(6.63, abs=0.2)  # and its SD is 1 / sqrt(3)
    assert float(made.posterior.a.std()) == pytest.approx(3**-0.5, rel=0.25)


def test_a_calibration_whose_evaluations_all_fail():
    class Broken(Line):
        def run(self, times, u, p):
            raise FileNotFoundError("no such program: plant.exe")

    with pytest.raises(wb.errors.SamplingError, match=r"(\d+) of \1 evaluations .*FileNotFoundError: no such program"):
        wb.calibrate(Broken, line_data(), draws=10, tune=0, chains=1, seed=1, progress=False)


def test_an_interruption_keeps_what_was_drawn():
    class Stopped(Line):
        limit: ClassVar = [4000]

        def run(self, times, u, p):
            self.limit[0] -= 1
            if self.limit[0] == 0:
                raise KeyboardInterrupt
            return super().run(times, u, p)

    made = wb.calibrate(Stopped, line_data(), draws=5000, tune=0, chains=2, seed=1, progress=False)
    assert made.posterior.attrs["interrupted"] == 1
    assert 4 <= made.posterior.sizes["draw"] < 5000
    assert not made.trust.passed
    Stopped.limit[0] = 300
    with pytest.raises(wb.errors.SamplingError, match="got an interruption while tuning"):
        wb.calibrate(Stopped, line_data(), draws=5000, tune=0, chains=2, seed=1, progress=False)


def test_pymc_samples_the_model_itself():
    model = wb.to_pymc(Line, line_data())
    assert {v.name for v in model.free_RVs} == {"a", "b"}
    with model:
        pm.Potential("opinion", -10.0 * (model["a"] - 1.0) ** 2)
        drawn = pm.sample(
            300, tune=300, chains=1, cores=1, step=pm.DEMetropolisZ(), random_seed=1, progressbar=False,
            compute_convergence_checks=False,
        )  # fmt: skip
    assert float(drawn["posterior"]["a"].mean()) == pytest.approx(1.0, abs=0.3)


def test_few_draws_and_one_dimension():
    class Constant(wb.Simulator):
        time_unit = "h"
        level = wb.Parameter("m", prior=wb.prior.Normal(mu=0, sigma=10))
        y = wb.Output("m", noise=wb.noise.Normal(sigma=1.0))

        def run(self, times, u, p):
            return {"y": p.level}

    data = xr.Dataset({"y": ("time", [2.0, 3.0, 4.0, 3.0])}, {"time": np.arange(4.0)})
    made = wb.calibrate(Constant, data, draws=7, tune=0, chains=3, seed=0, progress=False)
    assert made.posterior.sizes == {"chain": 3, "draw": 7}
    made = wb.calibrate(Constant, data, draws=1000, tune=200, chains=2, seed=0, progress=False)
    exact = 1 / (4 + 0.01)  # precisions add up
    assert float(made.posterior.level.mean()) == pytest.approx(12 * exact, abs=0.1 * exact**0.5)
    assert float(made.posterior.level.std()) == pytest.approx(exact**0.5, rel=0.1)


@pytest.mark.slow
def test_lynx_and_hare_without_a_gradient():
    made = wb.calibrate(Pelts, lynx_hare_data(), draws=1000, seed=1, progress=False)
    assert made.trust.passed, made.trust
    for name, (mean, sd) in REFERENCE.items():
        drawn = made.posterior[name].values
        assert abs(drawn.mean() - mean) < 0.15 * sd, name
        assert drawn.std() == pytest.approx(sd, rel=0.15), name
