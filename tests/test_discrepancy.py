"""Discrepancies: the approximation against exact Gaussian processes, and a published example."""

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import xarray as xr
from arviz_stats.base import array_stats

import workbench as wb
from workbench.base.errors import DataError, DeclarationError, ParameterError
from workbench.calibrate.bayes import build
from workbench.calibrate.discrepancy import confounding, second
from workbench.calibrate.discrepancy.hilbert import Basis
from workbench.calibrate.discrepancy.integrated import drawn_back, log_density
from workbench.calibrate.discrepancy.marginal import marginal, reduced
from workbench.calibrate.problem import pose
from workbench.declare.discrepancy import from_data
from workbench.declare.kernel import Matern52, SquaredExponential

KERNELS = [Matern52(), SquaredExponential()]
TRUTH = 0.65


class Machine(wb.Static):
    """Work of a machine in proportion to effort, when in truth friction takes some (Brynjarsdottir & O'Hagan 2014)."""

    effort = wb.Input("1")
    efficiency = wb.Parameter("1", prior=wb.prior.Normal(mu=0.5, sigma=0.25))
    work = wb.Output("1", noise=wb.noise.Normal(sigma=0.01))

    def observe(self, t, x, u, p):
        return {"work": p.efficiency * u.effort}


def machine(count: int) -> tuple[xr.Dataset, dict]:
    """Return readings of 0.65 x / (1 + x / 20) with errors of SD 0.01, x even from 0.2 to 4, and x as an input."""
    x, cases = np.linspace(0.2, 4, count), np.arange(float(count))
    work = TRUTH * x / (1 + x / 20) + 0.01 * np.random.default_rng(0).normal(size=count)
    return xr.Dataset({"work": ("time", work)}, {"time": cases}), {"effort": xr.DataArray(x, {"time": cases}, "time")}


KNOWN = wb.Discrepancy("work", over="effort", zero_at=0.0, flat_at=0.0, span={"effort": (0, 8)})


@pytest.fixture(scope="module")
def machines() -> wb.Calibration:
    """Return the machine with what is known of friction: none, and no slope, without effort."""
    data, inputs = machine(61)
    return wb.calibrate(Machine(), data, inputs=inputs, seed=1, progress=False, discrepancy=KNOWN)


LENGTH = {"work_discrepancy_length": np.full((1, 1), 1.5)}


def fixed(kernel=None, **more):
    """Return a problem whose discrepancy has a known SD, and a length about 1.5."""
    data, inputs = machine(25)
    length = wb.prior.interval("InverseGamma", 0.3, 4.0, mass=0.98)
    one = wb.Discrepancy("work", over="effort", sigma=0.3, length_scale=length, kernel=kernel or Matern52(), **more)
    return pose(Machine(), data, inputs=inputs, discrepancy=one)


def covariance(kernel, a, b, sigma=0.3, length=1.5):
    """Return the exact covariance (Rasmussen & Williams 2006, equations 4.9 and 4.17)."""
    d = np.abs(a[:, None] - b) / length
    if isinstance(kernel, SquaredExponential):
        return sigma**2 * np.exp(-(d**2) / 2)
    return sigma**2 * (1 + 5**0.5 * d + 5 * d**2 / 3) * np.exp(-(5**0.5) * d)


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_spectral_density_integrates_to_the_variance(kernel, dimensions):
    sphere = {1: 2.0, 2: 2 * np.pi, 3: 4 * np.pi}[dimensions]

    def density(w):
        return sphere * w ** (dimensions - 1) * kernel.amplitude(np.array(w**2), dimensions) ** 2

    total = scipy.integrate.quad(density, 0, np.inf)[0] / (2 * np.pi) ** dimensions
    assert total == pytest.approx(1, rel=1e-7)


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_rules_keep_covariances_within_a_hundredth(kernel):
    low, high = np.array([-1.0]), np.array([3.0])
    basis = Basis.of(kernel, low, high, lengths=[(1.0, 5.0)])
    x = np.linspace(-1, 3, 30)
    for length in (1.0, 2.0, 5.0):
        scaled = basis.functions(x[:, None]) * basis.amplitudes(np.ones(()), [np.asarray(length)])
        error = np.abs(scaled @ scaled.T - covariance(kernel, x, x, 1.0, length)).max()
        assert error == pytest.approx(basis.error([length]), abs=2e-3)
        assert error < 0.01


@pytest.mark.parametrize("shape", [(3, 5), (7, 4)])
def test_marginal_density_and_its_derivatives(shape):
    rng = np.random.default_rng(0)
    r, f = rng.normal(size=shape[0]), rng.normal(size=shape)

    def exact(r, f):
        law = scipy.stats.multivariate_normal(np.zeros(r.size), np.eye(r.size) + f @ f.T)
        return law.logpdf(r) + 0.5 * r.size * np.log(2 * np.pi)

    value, by_r, by_f = marginal(r, f)
    assert value == pytest.approx(exact(r, f), abs=1e-12)
    steps = np.eye(r.size) * 1e-5
    assert by_r == pytest.approx([(exact(r + h, f) - exact(r - h, f)) / 2e-5 for h in steps], abs=1e-7)
    moved = [np.where(np.arange(f.size).reshape(shape) == k, 1e-5, 0) for k in range(f.size)]
    assert by_f.ravel() == pytest.approx([(exact(r, f + h) - exact(r, f - h)) / 2e-5 for h in moved], abs=1e-7)


def test_density_by_the_gram_matrix_is_the_same():
    rng = np.random.default_rng(3)
    features, r, s = rng.normal(size=(30, 6)), rng.normal(size=30), rng.uniform(0.1, 2, 6)
    gram = features.T @ features
    value, by_r, by_f = marginal(r, features * s)
    made, by_b, by_s = reduced(s * (features.T @ r), s, gram)
    assert made - 0.5 * r @ r == pytest.approx(value, abs=1e-11)
    assert (features * s) @ by_b - r == pytest.approx(by_r, abs=1e-11)
    assert by_s + by_b * (features.T @ r) == pytest.approx((features * by_f).sum(axis=0), abs=1e-10)


def test_a_basis_that_is_cut_keeps_the_functions_of_largest_variance():
    lengths = [(0.5, 2.0), (0.2, 0.4), (1.0, 3.0)]
    basis = Basis.of(SquaredExponential(), np.full(3, -1.0), np.ones(3), lengths=lengths, most=50)
    typical = np.sqrt(np.prod(lengths, axis=1))
    every = np.stack(np.meshgrid(*[np.arange(1, 60)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    lowest = np.sort(((every * typical / basis.boundary) ** 2).sum(axis=1))[:50]
    assert np.sort(((basis.numbers * typical / basis.boundary) ** 2).sum(axis=1)) == pytest.approx(lowest)
    points = np.random.default_rng(0).uniform(-1, 1, (7, 3))
    waves = np.sin(basis.frequencies * (points[:, None] + basis.boundary)) / np.sqrt(basis.boundary)
    assert basis.functions(points) == pytest.approx(waves.prod(axis=-1), abs=1e-14)


class Surface(wb.Static):
    """A constant, when in truth a smooth function of two inputs."""

    a = wb.Input("1")
    b = wb.Input("1")
    level = wb.Parameter("1", prior=wb.prior.Normal(mu=0.0, sigma=1.0))
    y = wb.Output("1", noise=wb.noise.Normal(sigma=0.3))

    def observe(self, t, x, u, p):
        return {"y": p.level + 0 * u.a * u.b}


def test_cut_basis_of_two_inputs_against_a_dense_process():
    rng = np.random.default_rng(5)
    x, lengths = rng.uniform(-1, 1, (300, 2)), np.array([0.4, 0.35])

    def dense(one, other):
        return np.exp(-0.5 * (((one[:, None] - other) / lengths) ** 2).sum(axis=-1))

    y = np.linalg.cholesky(dense(x, x) + 1e-9 * np.eye(300)) @ rng.normal(size=300) + 0.3 * rng.normal(size=300)
    time = {"time": np.arange(300.0)}
    inputs = {name: xr.DataArray(x[:, k], time, "time") for k, name in enumerate("ab")}
    one = wb.Discrepancy(
        "y",
        over=("a", "b"),
        functions=200,
        span=dict.fromkeys("ab", (-1.3, 1.3)),  # a cut box is 1.5 half-widths: its edge is felt within a length
        sigma=1.0,
        kernel=SquaredExponential(),
        length_scale=wb.prior.interval("InverseGamma", 0.15, 0.8),
    )
    problem = pose(Surface(), xr.Dataset({"y": ("time", y)}, time), inputs=inputs, discrepancy=one)
    known = {f"y_discrepancy_length_{name}": size for name, size in zip("ab", lengths, strict=True)}
    one_draw = {"level": np.zeros((1, 1)), **{name: np.full((1, 1), size) for name, size in known.items()}}
    made = log_density(problem, "y", one_draw, np.zeros((1, 300)))
    law = scipy.stats.multivariate_normal(np.zeros(300), dense(x, x) + 0.09 * np.eye(300))
    assert problem.terms["y"].basis.size == 200
    assert made[0] == pytest.approx(law.logpdf(y), abs=0.5), "of 300 readings"
    model = build(problem)
    symbolic = model.compile_logp(vars=model.observed_RVs)
    at = {"level": 0.0, **{f"{name}_log__": np.log(size) for name, size in known.items()}}
    assert symbolic(at) == pytest.approx(made[0], abs=1e-7)
    many = {name: np.repeat(value, 2000, axis=1) for name, value in one_draw.items()}
    drawn = drawn_back(problem, many, np.random.default_rng(2))
    new = rng.uniform(-0.9, 0.9, (20, 2))
    delta = problem.terms["y"].coefficients(drawn) @ problem.terms["y"].basis.functions(new).T
    gain = dense(new, x) @ np.linalg.inv(dense(x, x) + 0.09 * np.eye(300))
    sd = np.sqrt(np.diag(dense(new, new) - gain @ dense(x, new)))
    assert np.abs(delta.mean(axis=0) - gain @ y).max() < 0.25 * sd.max()
    assert delta.std(axis=0) == pytest.approx(sd, rel=0.15)


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_density_is_that_of_the_exact_process(kernel):
    problem = fixed(kernel=kernel)
    x, y = problem.terms["work"].points[:, 0], problem.readings("work")
    theta = np.array([0.4, 0.55, 0.7])
    law = scipy.stats.multivariate_normal(np.zeros(x.size), covariance(kernel, x, x) + 1e-4 * np.eye(x.size))
    exact = law.logpdf(y - theta[:, None] * x)
    made = log_density(problem, "work", {"efficiency": theta[None], **LENGTH}, theta[:, None] * x)
    assert made == pytest.approx(exact, abs=0.1), "readings 30 times as precise as the function is large"
    assert made - made[0] == pytest.approx(exact - exact[0], abs=0.02)
    model = build(problem)
    symbolic = model.compile_logp(vars=model.observed_RVs)
    assert [symbolic({"efficiency": v, "work_discrepancy_length_log__": np.log(1.5)}) for v in theta] == pytest.approx(
        list(made), abs=1e-8
    )


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_function_given_the_data_is_that_of_exact_regression(kernel):
    problem = fixed(kernel=kernel)
    term, y = problem.terms["work"], problem.readings("work")
    x, new = term.points[:, 0], np.array([0.5, 2.1, 3.9, 4.5])
    many = {"efficiency": np.full((1, 20000), 0.6), **LENGTH}
    drawn = drawn_back(problem, many, np.random.default_rng(2))
    delta = term.coefficients(drawn) @ term.basis.functions(new[:, None]).T
    gain = covariance(kernel, new, x) @ np.linalg.inv(covariance(kernel, x, x) + 1e-4 * np.eye(x.size))
    mean = gain @ (y - 0.6 * x)
    sd = np.sqrt(np.diag(covariance(kernel, new, new) - gain @ covariance(kernel, x, new)))
    assert np.abs(delta.mean(axis=0) - mean) == pytest.approx(0, abs=0.002 + 0.04 * sd.max())
    assert delta.std(axis=0) == pytest.approx(sd, rel=0.05)


def test_conditions_hold_and_are_those_of_the_conditional_process():
    term = fixed(zero_at=0.0, flat_at=(0.0, 2.0), span={"effort": (0, 4)}).terms["work"]
    scale = term.scale(LENGTH)[0]
    drawn = term.constrained(np.random.default_rng(0).normal(size=(5, scale.size)), scale) * scale
    assert drawn @ term.basis.functions(np.zeros((1, 1))).T == pytest.approx(0, abs=1e-12)
    assert drawn @ term.basis.slopes(np.array([[0.0], [2.0]])).T == pytest.approx(0, abs=1e-12)
    conditions, prior = term.anchors, np.diag(scale**2)
    kept = prior - prior @ conditions.T @ np.linalg.inv(conditions @ prior @ conditions.T) @ conditions @ prior
    features = term.constrained(term.features * scale, scale)
    assert features @ features.T == pytest.approx(term.features @ kept @ term.features.T, abs=1e-10)


def test_published_example(machines):
    naive = machines.without_discrepancy.posterior["efficiency"]
    assert (TRUTH - naive.mean()) / naive.std() > 50, "without a discrepancy: biased, and sure of it"
    low, high = np.quantile(machines.posterior["efficiency"], [0.055, 0.945])
    assert low < TRUTH < high
    assert high - low < 0.1
    failed = {g.name for g in machines.trust.failures}
    assert not failed & {"chains agree", "enough draws", "few divergences"}


def test_summary_names_the_function_but_not_its_coefficients(machines):
    assert list(machines.summary().index) == ["efficiency", "work_discrepancy_sigma", "work_discrepancy_length"]
    assert machines.posterior["work_discrepancy_length"].attrs["long_name"].endswith("length scale over effort")


def test_side_by_side(machines):
    table = machines.discrepancy()
    row = table.loc["efficiency"]
    known = 1 / np.sqrt(1 - row["share"])
    assert row["sd_ratio"] == pytest.approx(known, rel=0.1), "a share of variance is what the SD grows by"
    assert table.loc["elpd(work)", "mean"] > table.loc["elpd(work)", "mean_without"] + 100


def test_gate(machines):
    gate = confounding.gate(machines)
    assert gate.verdict == "passed"
    assert gate.figure > 0.99
    assert "zero_at=0" in gate.says
    assert confounding.gate(machines.without_discrepancy).verdict == "not run"


def test_forecast_holds_the_discrepancy_and_widens(machines):
    _, inputs = machine(61)
    x = np.concatenate([inputs["effort"].values, [4.0, 5.0, 6.0, 7.0]])
    more = {"effort": xr.DataArray(x, {"time": np.arange(x.size) * 1.0}, "time")}
    made = wb.forecast(machines, np.arange(30.0, 65.0), inputs=more, noise=False)
    whole = machines.posterior["efficiency"] * xr.DataArray(x[30:], {"time": made.time}, "time")
    assert (made["work"] - made["work_discrepancy"]).transpose(*whole.dims).values == pytest.approx(whole.values)
    spread = made["work"].std(("chain", "draw")).values
    assert spread[:31].max() < 0.02
    assert (np.diff(spread[31:]) > 0).all()
    truth = TRUTH * x[30:] / (1 + x[30:] / 20)
    assert (np.abs(made["work"].mean(("chain", "draw")).values - truth) < 3 * spread).all()
    far = {"effort": xr.where(more["effort"] > 6.5, 60.0, more["effort"])}
    with pytest.raises(DataError, match=r"got a forecast at effort = 60 1, beyond .* span="):
        wb.forecast(machines, [64.0], inputs=far)


def test_save_and_open(machines, tmp_path):
    machines.save(tmp_path / "machine.nc")
    again = wb.Calibration.open(tmp_path / "machine.nc", Machine())
    assert again.problem.terms["work"].declared == KNOWN
    assert confounding.gate(again) == confounding.gate(machines)


def test_plain_data():
    one = wb.Discrepancy("y", over=("time", "a"), length_scale={"a": wb.prior.InverseGamma(5, 5)}, sigma=2, functions=9)
    assert from_data(one.to_dict()) == one


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"over": ()}, "expected coordinates"),
        ({"kernel": "matern"}, r"expected one of wb.kernel.Matern52\(\)"),
        ({"sigma": -1.0}, "got -1.0 for sigma"),
        ({"sigma": wb.prior.Normal(0, 1)}, "expected a proper prior above zero"),
        ({"length_scale": wb.prior.HalfFlat()}, "expected a proper prior above zero"),
        ({"length_scale": wb.prior.InverseGamma(0.05, 1)}, "near zero"),
        ({"functions": 0}, "got functions=0"),
        ({"span": {"time": (1, 0)}}, r"expected \(low, high\)"),
        ({"span": {"tim": (0, 1)}}, "got 'tim'"),
        ({"over": ("time", "a"), "zero_at": 0.0}, "expected one coordinate"),
    ],
    ids=str,
)
def test_declarations_that_cannot_be(keywords, words):
    with pytest.raises(DeclarationError, match=words):
        wb.Discrepancy("y", **keywords)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ("work", ParameterError, r"expected wb.Discrepancy\(output\)"),
        (wb.Discrepancy("wrok"), DataError, "did you mean 'work'"),
        (wb.Discrepancy("work", over="efort"), DataError, "did you mean 'effort'"),
        ([wb.Discrepancy("work")] * 2, ParameterError, "got two of this output"),
        (wb.Discrepancy("work", length_scale=0.01), ParameterError, "so short against the span"),
        (wb.Discrepancy("work", over="effort", zero_at=-3.0), DataError, "got zero_at=-3, outside"),
    ],
    ids=str,
)
def test_discrepancies_that_do_not_fit(given, error, words):
    data, inputs = machine(5)
    with pytest.raises(error, match=words):
        pose(Machine(), data, inputs=inputs, discrepancy=given)


LATER = {"over": "effort", "joint": False, "sigma": 0.05, "length_scale": 1.5}


@pytest.fixture(scope="module")
def later() -> wb.Calibration:
    """Return the machine with a known discrepancy that is fitted to what is left."""
    data, inputs = machine(13)
    one = wb.Discrepancy("work", **LATER, span={"effort": (0, 6)})
    return wb.calibrate(Machine(), data, inputs=inputs, seed=1, progress=False, discrepancy=one)


def test_a_cut_posterior_is_that_of_the_closed_form(later):
    """Efficiency as without a discrepancy; the function by regression on what is left, efficiency's variance added."""
    data, inputs = machine(13)
    x, y, s = inputs["effort"].values, data["work"].values, 0.01
    variance = 1 / (1 / 0.25**2 + x @ x / s**2)
    mean = variance * (0.5 / 0.25**2 + x @ y / s**2)
    drawn = later.posterior["efficiency"].values.ravel()
    error = np.sqrt(variance / array_stats.ess(drawn.reshape(4, -1)))
    assert drawn.mean() == pytest.approx(mean, abs=4 * error)
    assert drawn.std() == pytest.approx(np.sqrt(variance), rel=0.08)
    term = later.problem.terms["work"]
    scale = term.scale({})[0]
    shared = (term.features * scale**2) @ term.features.T
    gain = shared @ np.linalg.inv(shared + s**2 * np.eye(13))
    centre = gain @ (y - mean * x)
    spread = shared - gain @ shared + variance * np.outer(gain @ x, gain @ x)
    variables = {str(n): v.values for n, v in later.posterior.data_vars.items()}
    delta = term.coefficients(variables) @ term.features.T
    np.testing.assert_allclose(delta.mean(axis=0), centre, atol=0.08 * np.sqrt(np.diag(spread)).max())
    np.testing.assert_allclose(np.cov(delta.T), spread, atol=0.06 * spread.max())


def test_what_is_fitted_to_the_rest_is_drawn_given_each_parameter():
    """The SD of the function, by quadrature over a grid for each of the efficiencies."""
    data, inputs = machine(13)
    prior = wb.prior.HalfNormal(0.3)
    problem = pose(Machine(), data, inputs=inputs, discrepancy=wb.Discrepancy("work", **LATER | {"sigma": prior}))
    given = np.array([0.53, 0.6])
    efficiency = np.repeat(given, 2000).reshape(2, 2000)
    drawn = second.drawn(problem, {"efficiency": efficiency}, np.random.default_rng(0))["work_discrepancy_sigma"]
    grid = np.geomspace(1e-3, 2.0, 400)
    for row, value in enumerate(given):
        centre = np.broadcast_to(value * inputs["effort"].values, (400, 13))
        logs = log_density(problem, "work", {"work_discrepancy_sigma": grid[None]}, centre)
        logs = logs + scipy.stats.halfnorm(scale=0.3).logpdf(grid) + np.log(grid)
        share = np.cumsum(np.exp(logs - logs.max()))
        exact = np.interp([0.1, 0.5, 0.9], share / share[-1], grid)
        found = np.mean(drawn[row][:, None] < exact, axis=0)
        np.testing.assert_allclose(found, [0.1, 0.5, 0.9], atol=4.5 * 0.5 / np.sqrt(2000))


def test_the_card_says_where_parameters_fitted_alone_do_not_hold(later, tmp_path):
    found = confounding.gate(later)
    assert found.verdict == "failed"
    assert "parameters were fitted without the discrepancy (joint=False), and the readings call for it" in found.says
    assert later.without_discrepancy.trust.failures
    later.save(tmp_path / "later.nc")
    again = wb.Calibration.open(tmp_path / "later.nc", Machine())
    assert again.problem.terms["work"].declared.joint is False
    assert confounding.gate(again) == found
    table = later.discrepancy()
    assert table.loc["efficiency", "shift"] == pytest.approx(0.0, abs=0.1)
    assert np.isnan(table.loc["efficiency", "share"])
    assert table.loc["elpd(work)", "mean"] > table.loc["elpd(work)", "mean_without"] + 10
    assert later.identify().table["prior_sensitivity"].isna().all()


def test_what_cannot_be_fitted_to_the_rest_is_refused():
    data, inputs = machine(13)

    class Heavy(Machine):
        work = wb.Output("1", noise=wb.noise.StudentT(nu=4.0, sigma=0.01))

    one = wb.Discrepancy("work", **LATER)
    with pytest.raises(ParameterError, match=r"joint=False for StudentT.*expected Normal or LogNormal"):
        pose(Heavy(), data, inputs=inputs, discrepancy=one)
    with pytest.raises(ParameterError, match="no density that could be written down; expected joint=True"):
        wb.to_pymc(Machine(), data, inputs=inputs, discrepancy=one)
    with pytest.raises(DeclarationError, match="got joint=None; expected True or False"):
        wb.Discrepancy("work", joint=None)


def test_figure(machines):
    from workbench.report.discrepancy import discrepancy

    fig = discrepancy(machines)
    upper, lower = fig.axes
    assert (upper.get_ylabel(), lower.get_xlabel(), lower.get_ylabel()) == ("work", "effort", "discrepancy")
    curve = next(line for line in upper.lines if line.get_label() == "model and discrepancy")
    x = curve.get_xdata()
    assert curve.get_ydata() == pytest.approx(TRUTH * x / (1 + x / 20), abs=0.02)
    with pytest.raises(ParameterError, match="without a discrepancy"):
        discrepancy(machines.without_discrepancy)
