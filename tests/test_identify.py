"""Identifiability before data: against closed forms, finite differences, and models that hide parameters."""

import itertools
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
import xarray as xr
from blackboxes import DeclaredGrowth, Growth
from calibrations import PRIORS, Level, Sensors, level_data, lynx_hare_data, sensors_data
from models import LynxHare
from vector_models import HeatBar

import workbench as wb
from workbench.base.errors import DataError, DeclarationError, ParameterError, SolveError
from workbench.calibrate.identify.coordinates import coordinates_of
from workbench.calibrate.identify.design import planned
from workbench.calibrate.identify.directions import Spectrum, collinearity, in_words
from workbench.calibrate.identify.information import Frame
from workbench.calibrate.identify.normal_scores import NormalScores
from workbench.calibrate.identify.reading_information import reading_information
from workbench.calibrate.identify.sensitivity import _differences, sensitivities
from workbench.calibrate.problem import pose
from workbench.declare.prior import make
from workbench.report.identifiability import identifiability

TIMES = np.linspace(0.0, 5.0, 11)
SLOPE = {"s": {0.0: 0.0, 5.0: 5.0}}


class Line(wb.Static):
    """A regression line: everything is known in closed form."""

    time_unit = "h"
    a = wb.Parameter("mg", prior=wb.prior.Normal(mu=1.0, sigma=2.0))
    b = wb.Parameter("mg/h", prior=wb.prior.Normal(mu=0.0, sigma=0.5))
    s = wb.Input("h")
    y = wb.Output("mg", noise=wb.noise.Normal(sigma=0.7))

    def observe(self, t, x, u, p):
        return {"y": p.a + p.b * u.s}


class Blind(wb.Static):
    """Only the product of k and area is seen; a third parameter acts below what readings resolve."""

    time_unit = "h"
    k = wb.Parameter("W/m**2", prior=wb.prior.LogNormal(median=2.0, sigma=0.5))
    area = wb.Parameter("m**2", prior=wb.prior.LogNormal(median=3.0, sigma=0.5))
    faint = wb.Parameter("W", prior=wb.prior.Normal(mu=0.0, sigma=1.0))
    s = wb.Input("1")
    y = wb.Output("W", noise=wb.noise.Normal(sigma=wb.prior.HalfNormal(1.0)))

    def observe(self, t, x, u, p):
        return {"y": p.k * p.area * u.s + 1e-4 * p.faint}


def normal():
    return wb.noise.Normal(sigma=0.1)


class Exponentials(wb.Static):
    """Decays of close rates, the standard example of a sloppy model (Waterfall et al., Phys. Rev. Lett. 97 (2006))."""

    time_unit = "h"
    k1 = wb.Parameter("1/h", prior=wb.prior.LogNormal(median=1.0, sigma=0.3))
    k2 = wb.Parameter("1/h", prior=wb.prior.LogNormal(median=1.3, sigma=0.3))
    k3 = wb.Parameter("1/h", prior=wb.prior.LogNormal(median=1.7, sigma=0.3))
    y = wb.Output("1", noise=normal())

    def observe(self, t, x, u, p):
        return {"y": wb.math.exp(-p.k1 * t) + wb.math.exp(-p.k2 * t) + wb.math.exp(-p.k3 * t)}


class Enzyme(wb.Static):
    """Michaelis-Menten rates: far below saturation only Vmax / Km is seen (Holmberg, Math. Biosci. 62 (1982) 23-43)."""

    time_unit = "s"
    Vmax = wb.Parameter("mmol/s", prior=wb.prior.LogNormal(median=1.0, sigma=0.5))
    Km = wb.Parameter("mmol/L", prior=wb.prior.LogNormal(median=10.0, sigma=0.5))
    S = wb.Input("mmol/L")
    rate = wb.Output("mmol/s", noise=wb.noise.LogNormal(sigma=0.05))

    def observe(self, t, x, u, p):
        return {"rate": p.Vmax * u.S / (p.Km + u.S)}


class Stiff(wb.Ode):
    """Robertson's reactions with rates to be found."""

    time_unit = "s"
    y1 = wb.State("1", start=1.0)
    y2 = wb.State("1", start=0.0)
    y3 = wb.State("1", start=0.0)
    k1 = wb.Parameter("1/s", prior=wb.prior.LogNormal(median=0.04, sigma=0.3))
    k2 = wb.Parameter("1/s", prior=wb.prior.LogNormal(median=3e7, sigma=0.3))
    k3 = wb.Parameter("1/s", prior=wb.prior.LogNormal(median=1e4, sigma=0.3))
    left = wb.Output("1", noise=wb.noise.Normal(sigma=0.01))

    def rhs(self, t, x, u, p):
        decay, pairing, back = p.k1 * x.y1, p.k2 * x.y2**2, p.k3 * x.y2 * x.y3
        return {"y1": back - decay, "y2": decay - back - pairing, "y3": pairing}

    def observe(self, t, x, u, p):
        return {"left": x.y1}


class Herd(wb.Map):
    """Growth by the year."""

    time_unit = "year"
    dt = 1.0
    n = wb.State("1", start=10.0)
    r = wb.Parameter("1", prior=wb.prior.Normal(mu=0.2, sigma=0.05))
    top = wb.Parameter("1", prior=wb.prior.LogNormal(median=60.0, sigma=0.2))
    count = wb.Output("1", noise=wb.noise.Poisson())

    def step(self, t, x, u, p):
        return {"n": x.n + p.r * x.n * (1 - x.n / p.top)}

    def observe(self, t, x, u, p):
        return {"count": x.n}


class Tower(wb.Static):
    """Two masses on springs, whose frequencies have no scalar form with derivatives that kernels know."""

    k1 = wb.Parameter("N/m", prior=wb.prior.LogNormal(median=900.0, sigma=0.2))
    k2 = wb.Parameter("N/m", prior=wb.prior.LogNormal(median=400.0, sigma=0.2))
    f1, f2 = (wb.Output("Hz", noise=wb.noise.Normal(sigma=0.01)) for _ in range(2))

    def observe(self, t, x, u, p):
        values, _ = wb.math.eigh([[p.k1 + p.k2, -p.k2], [-p.k2, p.k2]], [[1.0, 0.0], [0.0, 1.0]])
        f = wb.math.sqrt(values) / (2 * wb.math.pi)
        return {"f1": f[0], "f2": f[1]}


@pytest.mark.parametrize("name", [n for n in PRIORS if "Flat" not in n])
def test_scores_of_a_prior_are_standard_normal(name):
    prior = make(name, **PRIORS[name])
    law, scores = NormalScores(prior), np.array([-2.5, -1.0, -0.1, 0.4, 2.0])
    values = law.value(scores)
    masses = [prior.quantile(float(m)) for m in scipy.special.ndtr(scores)]
    np.testing.assert_allclose(values, masses, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(law.scores(values), scores, atol=1e-5)
    slope = (law.value(scores + 1e-4) - law.value(scores - 1e-4)) / 2e-4
    np.testing.assert_allclose(law.slope(scores), slope, rtol=2e-3)


def test_scores_keep_far_tails_apart():
    law = NormalScores(make("HalfNormal", sigma=1.0))
    found = law.scores(np.array([1e-30, 1e-20, 30.0]))
    assert found[0] < found[1] < -8
    assert 8 < found[2] < 37.1
    assert law.value(np.array([-12.0]))[0] == pytest.approx(scipy.special.ndtr(-12.0) * np.sqrt(np.pi / 2), rel=1e-9)


LAWS = {  # of an output and the arguments of its noise
    "Normal": scipy.stats.norm,
    "LogNormal": lambda f, sigma: scipy.stats.lognorm(sigma, scale=f),
    "StudentT": lambda f, nu, sigma: scipy.stats.t(nu, f, sigma),
    "Laplace": scipy.stats.laplace,
    "Proportional": lambda f, sigma: scipy.stats.norm(f, sigma * abs(f)),
    "Combined": lambda f, a, b: scipy.stats.norm(f, np.hypot(a, b * f)),
    "Poisson": scipy.stats.poisson,
    "NegativeBinomial": lambda f, alpha: scipy.stats.nbinom(alpha, alpha / (alpha + f)),
}
NOISES = [
    (wb.noise.Normal(sigma=0.7), 3.0),
    (wb.noise.LogNormal(sigma=0.3), 3.0),
    (wb.noise.StudentT(nu=5.0, sigma=0.7), 3.0),
    (wb.noise.Laplace(b=0.7), 3.0),
    (wb.noise.Proportional(sigma=0.3), -3.0),
    (wb.noise.Combined(additive=0.5, proportional=0.2), 3.0),
    (wb.noise.Poisson(), 7.0),
    (wb.noise.NegativeBinomial(alpha=2.5), 7.0),
]


@pytest.mark.parametrize(("noise", "output"), NOISES, ids=lambda v: getattr(v, "name", ""))
def test_information_of_a_reading_is_the_mean_square_of_its_score(noise, output):
    names, at = [key for key, _ in noise.arguments], np.array([output, *(value for _, value in noise.arguments)])
    nodes, weights = (np.arange(4000) + 0.5) / 2000 - 1, 1 / 2000  # none on the kink of Laplace
    if noise.family.readings == "count":
        readings, weights = np.arange(0.0, 3000.0), 1.0
    elif noise.family.readings == "positive":
        readings = output * np.exp(3 * nodes)
        weights = 3 * weights * readings
    else:  # dense about the output, and far
        readings, weights = output + np.sinh(6 * nodes), 6 * np.cosh(6 * nodes) * weights

    def density(point):
        law = LAWS[noise.name](*point)
        return law.logpmf(readings) if noise.family.readings == "count" else law.logpdf(readings)

    scores = []
    for k in range(at.size):
        step = (1e-6 if noise.name == "Laplace" else 1e-4) * abs(at[k]) * np.eye(at.size)[k]  # small beside its kink
        near, far = density(at + step) - density(at - step), density(at + 2 * step) - density(at - 2 * step)
        scores.append((8 * near - far) / (12 * step[k]))
    weighted = np.array(scores) * np.exp(density(at)) * weights
    found = reading_information(noise, at[:1], dict(zip(names, at[1:], strict=True)))[0]
    expected = weighted @ np.array(scores).T
    np.testing.assert_allclose(found, expected, rtol=1e-3 if noise.name == "Laplace" else 1e-7, atol=1e-7)


class Lasting(wb.Static):
    """A line under errors that last."""

    time_unit = "h"
    a = wb.Parameter("mg", prior=wb.prior.Normal(mu=1.0, sigma=2.0))
    b = wb.Parameter("mg/h", prior=wb.prior.Normal(mu=0.0, sigma=0.5))
    y = wb.Output("mg", noise=wb.noise.AR1(sigma=wb.prior.HalfNormal(1.0), time_constant=wb.prior.LogNormal(0.0, 0.5)))

    def observe(self, t, x, u, p):
        return {"y": p.a + p.b * t}


def test_information_of_errors_that_last_is_that_of_the_joint_normal():
    values = {"a": 1.0, "b": 0.3, "y_sigma": 0.8, "y_time_constant": 1.5}
    times = np.array([0.0, 0.5, 0.8, 2.0, 3.5, 3.6])
    design = pd.DataFrame({"time": [*times, *times[:4]], "unit": ["u"] * 6 + ["v"] * 4})
    found = wb.identify(Lasting(), design, parameters=values).information[0]
    total = np.zeros((4, 4))
    slopes = [law.slope(law.scores(np.array([v])))[0] for law, v in (
        (NormalScores(make("Normal", mu=1.0, sigma=2.0)), 1.0), (NormalScores(make("Normal", mu=0.0, sigma=0.5)), 0.3),
        (NormalScores(make("HalfNormal", 1.0)), 0.8), (NormalScores(make("LogNormal", 0.0, 0.5)), 1.5),
    )]  # fmt: skip
    for t in (times, times[:4]):
        gaps = np.abs(t[:, None] - t)
        covariance = 0.64 * np.exp(-gaps / 1.5)
        inverse = np.linalg.inv(covariance)
        moves = np.stack([np.ones_like(t), t], axis=1)
        bends = [2 * covariance / 0.8, covariance * gaps / 1.5**2]
        total[:2, :2] += moves.T @ inverse @ moves
        for i, j in itertools.product(range(2), repeat=2):
            total[2 + i, 2 + j] += 0.5 * np.trace(inverse @ bends[i] @ inverse @ bends[j])
    np.testing.assert_allclose(found, total * np.outer(slopes, slopes), rtol=1e-9, atol=1e-9)


def test_information_and_posterior_of_a_line_in_closed_form():
    found = wb.identify(Line(), TIMES, inputs=SLOPE)
    design = np.stack([np.ones_like(TIMES), TIMES], axis=1)
    information = design.T @ design / 0.7**2
    scale = np.outer([2.0, 0.5], [2.0, 0.5])
    assert found.information.shape[1:] == (2, 2)
    expected = np.broadcast_to(information * scale, found.information.shape)
    np.testing.assert_allclose(found.information, expected, rtol=1e-9)
    covariance = np.linalg.inv(information + np.diag([2.0**-2, 0.5**-2]))
    np.testing.assert_allclose(found.table["sd_ratio"], np.sqrt(np.diag(covariance)) / [2.0, 0.5], rtol=1e-9)
    np.testing.assert_allclose(found.table["sd_ratio_alone"], 1 / np.sqrt(1 + np.diag(information * scale)), rtol=1e-9)
    assert list(found.table["units"]) == ["mg", "mg/h"]
    assert list(found.table["verdict"]) == ["seen", "seen"]
    index = 1 / np.sqrt(1 - abs(information[0, 1]) / np.sqrt(information[0, 0] * information[1, 1]))
    assert found.collinearity["index"][0] == pytest.approx(index, rel=1e-9)


def test_information_about_a_posterior_in_the_data_is_that_of_scipys_equations():
    values = {"alpha": 0.55, "beta": 0.028, "gamma": 0.8, "delta": 0.024, "hare_start": 33.0, "lynx_start": 6.0}
    noise = {"hare_pelts_sigma": 0.25, "lynx_pelts_sigma": 0.3}
    times = np.linspace(0.0, 20.0, 21)

    def logs(point):
        alpha, beta, gamma, delta, *start = point

        def rhs(_, z):
            return [(alpha - beta * z[1]) * z[0], (-gamma + delta * z[0]) * z[1]]

        made = scipy.integrate.solve_ivp(rhs, (0, 20), start, method="DOP853", rtol=1e-11, atol=1e-11, t_eval=times)
        return np.log(made.y).ravel()

    at = np.array(list(values.values()))
    moves = np.stack([(logs(at + h) - logs(at - h)) / (2 * h.sum()) for h in np.diag(1e-4 * at)], axis=1)
    weights = np.repeat([0.25**-2, 0.3**-2], 21)
    problem = pose(LynxHare(), lynx_hare_data())
    laws = {c.label: c.scores for c in coordinates_of(problem)}
    slopes = np.array([laws[n].slope(laws[n].scores(np.array([v])))[0] for n, v in values.items()])
    found = wb.identify(LynxHare(), times, parameters={**values, **noise}).information[0]
    expected = (moves.T * weights) @ moves * np.outer(slopes, slopes)
    np.testing.assert_allclose(found[:6, :6], expected, rtol=2e-4, atol=1e-4 * np.abs(expected).max())
    slope = laws["hare_pelts_sigma"].slope(laws["hare_pelts_sigma"].scores(np.array([0.25])))[0]
    assert found[6, 6] == pytest.approx(2 * 21 / 0.25**2 * slope**2, rel=1e-9)
    assert np.abs(found[6:, :6]).max() == 0.0


@pytest.mark.parametrize(
    ("model", "design", "inputs"),
    [
        (Stiff(), np.array([0.4, 4.0, 40.0, 400.0, 4000.0]), None),
        (Herd(), np.arange(0.0, 12.0), None),
        (HeatBar(cells=5), np.linspace(0.0, 200.0, 6), {"left": {0.0: 10.0}, "heat": {0.0: 0.1, 200.0: 0.2}}),
        (Tower(), np.zeros(1), None),
        (Level(), level_data()[["unit", "time"]], None),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, wb.Ode | wb.Map | wb.Static) else "",
)
def test_sensitivities_of_every_kind_are_differences_of_solutions(model, design, inputs):
    if isinstance(model, HeatBar):
        inputs = {**inputs, "flash": {0.0: 0.0}}
    problem = pose(model, planned(model, design), inputs=inputs)
    frame = Frame(problem)
    points = frame.points(*frame.draw(np.random.default_rng(3), 2, {}))
    theta, steps = np.stack([p.theta for p in points]), np.stack([frame.steps(p) for p in points])
    near = [d for _, d in _differences(problem, theta, 2e-3 * steps)]
    for (_, slopes), expected, step in zip(sensitivities(problem, theta, steps), near, steps, strict=True):
        scale = step[0]
        assert np.abs(expected * scale).max() > 1e-3
        np.testing.assert_allclose(
            slopes * scale, expected * scale, rtol=2e-3, atol=2e-3 * np.abs(expected * scale).max()
        )


def test_a_simulator_is_differentiated_over_its_processes():
    times = np.linspace(0.0, 24.0, 9)
    values = {"r": 0.4, "capacity": 90.0, "seed": 4.0, "count_sigma": 0.3}
    box = wb.identify(Growth(), times, parameters=values).information[0]
    declared = wb.identify(DeclaredGrowth(), times, parameters=values).information[0]
    np.testing.assert_allclose(box, declared, rtol=2e-3, atol=1e-3 * np.abs(declared).max())


def test_only_the_product_of_a_redundant_pair_is_seen():
    found = wb.identify(Blind(), TIMES, inputs=SLOPE)
    assert found.table["verdict"]["k"] == "only in combination with 'area'"
    assert found.table["verdict"]["area"] == "only in combination with 'k'"
    assert found.table["verdict"]["faint"] == "not seen"
    assert found.table["verdict"]["y_sigma"] == "seen"
    np.testing.assert_allclose(found.table["sd_ratio"]["k"], np.sqrt(0.5), atol=5e-3)  # half of its variance is left
    assert np.linalg.matrix_rank(found.information[0][:2, :2], tol=1e-8 * found.information[0].max()) == 1
    assert "only the product area * k is seen" in found.directions["says"][0]
    assert found.directions["says"][1] == "'faint' by itself is not seen"
    assert found.collinearity["parameters"][0] == "k, area"
    assert found.collinearity["index"][0] > 1e6
    assert "k: only in combination with 'area'" in repr(found)
    assert "<table" in found._repr_html_()


def test_far_below_saturation_only_the_ratio_of_an_enzymes_constants_is_seen():
    concentrations = np.geomspace(0.01, 0.2, 8)
    below = wb.identify(Enzyme(), np.arange(8.0), inputs={"S": dict(enumerate(concentrations))})
    assert below.table["verdict"]["Vmax"] == "only in combination with 'Km'"
    assert "ratio" in below.directions["says"][0]
    around = wb.identify(Enzyme(), np.arange(8.0), inputs={"S": dict(enumerate(300 * concentrations))})
    assert list(around.table["verdict"]) == ["seen", "seen"]


def test_sloppy_exponentials_have_the_spectrum_of_their_jacobian():
    rates = np.array([1.0, 1.3, 1.7])
    found = wb.identify(Exponentials(), TIMES, parameters=dict(zip(["k1", "k2", "k3"], rates, strict=True)))
    jacobian = -TIMES[:, None] * np.exp(-rates * TIMES[:, None]) * 0.3 * rates / 0.1
    singular = np.linalg.svd(jacobian, compute_uv=False)
    np.testing.assert_allclose(np.linalg.eigvalsh(found.information[0])[::-1], singular**2, rtol=1e-7)
    assert singular[0] ** 2 / singular[2] ** 2 > 1e3
    units = jacobian / np.linalg.norm(jacobian, axis=0)
    index = {s: 1 / np.linalg.svd(units[:, s], compute_uv=False)[-1] for s in [(0, 1), (0, 2), (1, 2), (0, 1, 2)]}
    assert collinearity(found.information[0]) == pytest.approx(index, rel=1e-6)
    np.testing.assert_allclose(
        found.directions["contraction"], singular[::-1] ** 2 / (1 + singular[::-1] ** 2), rtol=1e-6
    )


def test_population_in_closed_form():
    values = {"x_start_pop": 6.0, "x_start_sd": 3.0}
    design = level_data()[["unit", "time"]]
    found = wb.identify(Level(), design, pool={"x_start": "partial"}, parameters=values).information[0]
    counts = design.groupby("unit", sort=False).size().to_numpy()
    variance = 9.0 + 4.0 / counts  # between units, and of the mean of a unit's readings
    law = NormalScores(make("HalfNormal", 9.944578832097531))
    slope = law.slope(law.scores(np.array([3.0])))[0]
    assert found[0, 0] == pytest.approx((1 / variance).sum() * 10.0**2, rel=1e-6)
    assert found[1, 1] == pytest.approx((0.5 * (2 * 3.0 / variance) ** 2).sum() * slope**2, rel=1e-3)
    assert found[0, 1] == pytest.approx(0.0, abs=1e-9)


def test_units_that_are_not_pooled_have_verdicts_of_their_own():
    design = pd.DataFrame({"time": [0.0, 1.0, 2.0, 0.0], "unit": ["a", "a", "a", "b"]})
    found = wb.identify(Level(), design, pool={"x_start": "none"})
    expected = 1 / np.sqrt(1 + np.array([3, 1]) * 10.0**2 / 2.0**2)
    np.testing.assert_allclose(found.table["sd_ratio"], expected, rtol=1e-9)
    assert list(found.table.index) == ["x_start[a]", "x_start[b]"]


def test_what_is_not_worked_out_is_said():
    design = pd.DataFrame({"time": [0.0, 1.0, 2.0, 0.0], "unit": ["a", "a", "a", "b"]})
    found = wb.identify(Lasting(), design, pool={"y_sigma": "partial"}).table
    assert found["verdict"]["y_sigma_sd"] == "not worked out"
    assert np.isnan(found["sd_ratio"]["y_sigma_sd"])
    assert found["verdict"]["y_sigma_pop"] in ("seen", "weakly seen")


class Counted(wb.Ode):
    """Cases a week, whose mean is a line: counted since the week before, and read above a limit."""

    time_unit = "week"
    total = wb.State("1", start=0.0)
    rate = wb.Parameter("1/week", prior=wb.prior.LogNormal(median=20.0, sigma=0.5))
    cases = wb.Output("1", noise=wb.noise.Poisson(), increment=True)
    level = wb.Output("1", noise=wb.noise.Normal(sigma=2.0), limits=(30.0, None))

    def rhs(self, t, x, u, p):
        return {"total": p.rate}

    def observe(self, t, x, u, p):
        return {"cases": x.total, "level": x.total}


def test_increments_are_counted_between_readings():
    times, slope = np.array([0.0, 1.0, 2.0, 5.0]), 0.5 * 25.0
    for cases in (np.nan, [np.nan, 3.0, 4.0, 5.0]):
        design = pd.DataFrame({"time": times, "cases": cases})
        found = wb.identify(Counted(), design, parameters={"rate": 25.0}).information[0, 0, 0]
        assert found == pytest.approx(5.0 / 25.0 * slope**2, rel=1e-6)  # five weeks of counts whose mean is 25 each
    both = wb.identify(Counted(), times, parameters={"rate": 25.0}).information[0, 0, 0]
    assert both == pytest.approx((5.0 / 25.0 + (times**2).sum() / 2.0**2) * slope**2, rel=1e-6)


def test_draws_that_give_no_readings_are_counted():
    found = wb.identify(Sensors(), sensors_data())
    assert 0 < found.failed < found.draws == 64  # x' = a x^2 blows up for some
    assert len(found.information) == found.draws - found.failed
    assert f"over {len(found.information)} draws" in repr(found)


def test_gaps_in_a_design_are_no_readings():
    whole = xr.Dataset({"y": ("time", np.arange(11.0))}, {"time": TIMES})
    gaps = whole.where(whole.time < 2)
    expected = wb.identify(Line(), TIMES[TIMES < 2], inputs=SLOPE).table["sd_ratio"]
    pd.testing.assert_series_equal(wb.identify(Line(), gaps, inputs=SLOPE).table["sd_ratio"], expected)
    every = wb.identify(Line(), TIMES, inputs=SLOPE).table["sd_ratio"]
    for design in (whole, whole * np.nan, whole.to_dataframe(), pd.DataFrame({"time": TIMES, "y [g]": np.nan})):
        pd.testing.assert_series_equal(wb.identify(Line(), design, inputs=SLOPE).table["sd_ratio"], every)


class Wide(wb.Static):
    """A prior in whose SDs nothing can be measured, and an output that hardly exists."""

    time_unit = "s"
    a = wb.Parameter("1", prior=wb.prior.Flat(), value=1.0)
    y = wb.Output("1", noise=wb.noise.Normal(sigma=1.0))

    def observe(self, t, x, u, p):
        return {"y": p.a}


class Nowhere(wb.Static):
    """Outputs that are no numbers."""

    time_unit = "s"
    a = wb.Parameter("1", prior=wb.prior.Normal(mu=-5.0, sigma=0.1))
    y = wb.Output("1", noise=wb.noise.Normal(sigma=1.0))

    def observe(self, t, x, u, p):
        return {"y": wb.math.sqrt(p.a)}


@pytest.mark.parametrize(
    ("model", "design", "options", "error", "words"),
    [
        (Wide, TIMES, {}, ParameterError, "a: got prior Flat"),
        (Nowhere, TIMES, {}, SolveError, "no draw of the priors, of 64"),
        (Line, TIMES, {"parameters": {"aa": 1.0}}, ParameterError, "did you mean 'a'"),
        (Line, TIMES, {"parameters": {"a": [1.0, 2.0]}}, ParameterError, "expected a number"),
        (Blind, TIMES, {"parameters": {"k": -1.0}}, ParameterError, "expected values that LogNormal"),
        (Line, np.zeros((2, 2)), {}, DataError, "expected times"),
        (Line, np.array([]), {}, DataError, "expected times"),
        (LynxHare, pd.DataFrame({"tme": [1.0]}), {}, DataError, "'time'"),
    ],
)
def test_what_cannot_be_planned_is_said(model, design, options, error, words):
    inputs = SLOPE if model in (Line, Blind) else None
    with pytest.raises(error, match=words):
        wb.identify(model(), design, inputs=inputs, **options)


def test_information_of_an_unknown_noise_is_refused():
    family = SimpleNamespace(readings="real")
    noise = SimpleNamespace(name="Cauchy", arguments=(("beta", 1.0),), family=family)
    with pytest.raises(DeclarationError, match="Fisher information is known"):
        reading_information(noise, np.ones(2), {"beta": np.ones(1)})


def test_directions_that_are_equally_unseen_are_told_apart():
    coordinates = coordinates_of(pose(Blind(), planned(Blind(), TIMES), inputs=SLOPE))[:3]
    seen = np.array([1.0, 1.0, 0.0]) / np.sqrt(2)
    spectrum = Spectrum.of(np.eye(3) - 0.99 * np.outer(seen, seen))
    words = {in_words(coordinates, v) for v in spectrum.vectors.T[:2]}
    assert words == {"of 'k' and 'area' only the product k * area is seen", "'faint' by itself is not seen"}
    np.testing.assert_allclose(spectrum.contraction, [0.0, 0.0, 0.99], atol=1e-12)


def test_figure_of_a_design():
    found = wb.identify(Blind(), TIMES, inputs=SLOPE)
    (ax,) = identifiability(found).axes
    assert [t.get_text() for t in ax.get_yticklabels()] == ["k", "area", "faint", "y_sigma"]
    assert ax.get_xlabel() == "expected posterior SD / prior SD"
