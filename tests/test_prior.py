"""Priors mean what PyMC means by the same name, have the quantiles of that law, and refuse what PyMC refuses."""

import functools
import inspect
import json
import math

import numpy as np
import pytest

import workbench as wb
from workbench.base.errors import DeclarationError
from workbench.declare.families import FAMILIES
from workbench.declare.prior import Prior, from_dict, interval, make

CASES = [
    ("AsymmetricLaplace", {"kappa": 1.7, "mu": 0.3, "b": 0.8}),
    ("AsymmetricLaplace", {"q": 0.3, "mu": -0.3, "b": 1.2}),
    ("Beta", {"alpha": 2.5, "beta": 1.4}),
    ("Beta", {"mu": 0.3, "sigma": 0.2}),
    ("Beta", {"mu": 0.6, "nu": 7.0}),
    ("Cauchy", {"alpha": -0.4, "beta": 0.6}),
    ("ChiSquared", {"nu": 3.5}),
    ("ExGaussian", {"mu": -0.5, "sigma": 0.7, "nu": 1.3}),
    ("Exponential", {"lam": 1.6}),
    ("Exponential", {"scale": 1.6}),
    ("Flat", {}),
    ("Gamma", {"alpha": 2.2, "beta": 1.5}),
    ("Gamma", {"mu": 1.3, "sigma": 0.6}),
    ("Gumbel", {"mu": 0.4, "beta": 0.7}),
    ("HalfCauchy", {"beta": 0.7}),
    ("HalfFlat", {}),
    ("HalfNormal", {"sigma": 0.8}),
    ("HalfNormal", {"tau": 0.8}),
    ("HalfStudentT", {"nu": 3.0, "sigma": 0.7}),
    ("HalfStudentT", {"nu": 3.0, "lam": 0.7}),
    ("InverseGamma", {"alpha": 3.0, "beta": 2.0}),
    ("InverseGamma", {"mu": 1.5, "sigma": 0.8}),
    ("Kumaraswamy", {"a": 2.3, "b": 1.7}),
    ("Laplace", {"mu": -0.2, "b": 0.9}),
    ("LogNormal", {"mu": 0.3, "sigma": 0.5}),
    ("LogNormal", {"mu": 0.3, "tau": 2.0}),
    ("LogNormal", {"median": 1.4, "sigma": 0.5}),
    ("Logistic", {"mu": 0.5, "s": 0.6}),
    ("LogitNormal", {"mu": 0.4, "sigma": 0.9}),
    ("LogitNormal", {"mu": 0.4, "tau": 0.9}),
    ("Moyal", {"mu": 0.2, "sigma": 0.5}),
    ("Normal", {"mu": 0.2, "sigma": 0.5}),
    ("Normal", {"mu": 0.2, "tau": 0.5}),
    ("Pareto", {"alpha": 2.5, "m": 0.7}),
    ("PolyaGamma", {"h": 1.0, "z": 0.5}),  # PyMC computes it with a package that it does not bring along
    ("Rice", {"nu": 1.3, "sigma": 0.8}),
    ("Rice", {"b": 1.3, "sigma": 0.8}),
    ("SkewNormal", {"alpha": 1.5, "mu": 0.1, "sigma": 0.9}),
    ("SkewNormal", {"alpha": -1.5, "mu": 0.1, "tau": 0.9}),
    ("SkewStudentT", {"a": 2.0, "b": 1.3, "mu": 0.1, "sigma": 0.9}),
    ("SkewStudentT", {"a": 2.0, "b": 1.3, "mu": 0.1, "lam": 0.9}),
    ("StudentT", {"nu": 4.0, "mu": 0.3, "sigma": 0.8}),
    ("StudentT", {"nu": 4.0, "mu": 0.3, "lam": 0.8}),
    ("Triangular", {"lower": -1.0, "upper": 2.0, "c": 0.5}),
    ("TruncatedNormal", {"mu": 1.0, "sigma": 0.5, "lower": 0.2, "upper": 2.3}),
    ("TruncatedNormal", {"mu": 1.0, "tau": 0.5, "lower": 0.0}),
    ("TruncatedNormal", {"mu": 1.0, "sigma": 0.5, "upper": 1.2}),
    ("Uniform", {"lower": -0.5, "upper": 1.5}),
    ("VonMises", {"mu": 2.4, "kappa": 1.5}),
    ("Wald", {"mu": 1.2, "lam": 2.0, "alpha": 0.3}),
    ("Wald", {"mu": 1.2, "phi": 2.0}),
    ("Wald", {"lam": 1.2, "phi": 2.0}),
    ("Wald", {"mu": 1.2}),
    ("Weibull", {"alpha": 1.6, "beta": 1.2}),
]
WITHOUT_QUANTILES = {"Flat", "HalfFlat", "PolyaGamma"}
WITHOUT_KIN = WITHOUT_QUANTILES | {"HalfStudentT", "Kumaraswamy", "LogitNormal"}
every_case = pytest.mark.parametrize(
    ("name", "arguments"), CASES, ids=lambda v: v if isinstance(v, str) else "-".join(v)
)
POINTS = np.linspace(-3.99, 3.99, 134)


@functools.cache
def compiled(name: str, keys: tuple[str, ...]):
    """Return PyMC's log density as a function of points and of the arguments `keys`."""
    import pymc as pm
    import pytensor
    import pytensor.tensor as pt

    x = pt.dvector("x")
    symbols = [pt.dscalar(key) for key in keys]
    law = getattr(pm, name).dist(**dict(zip(keys, symbols, strict=True)))
    return pytensor.function([x, *symbols], pm.logp(law, x), mode="FAST_COMPILE", on_unused_input="ignore")


def logp(prior: Prior, x) -> np.ndarray:
    """Return PyMC's log density of a prior at some points."""
    arguments = prior.pymc_arguments
    return compiled(prior.name, tuple(arguments))(np.atleast_1d(np.asarray(x, dtype=float)), *arguments.values())


def refusal(name: str, arguments: dict[str, float]) -> str:
    """Return the sentence with which a prior is refused, empty if it is not."""
    try:
        make(name, **arguments)
    except DeclarationError as error:
        return str(error)
    return ""


def positional(name: str) -> tuple[list[str], list[str], dict[str, float]]:
    """Return PyMC's positional arguments, its keyword arguments, and their defaults that are numbers."""
    import pymc as pm

    parameters = inspect.signature(getattr(pm, name).dist).parameters.values()
    ordered = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    named = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    return ordered, named, {p.name: p.default for p in parameters if isinstance(p.default, int | float)}


def test_every_continuous_distribution_of_pymc_is_here():
    from pymc.distributions import continuous

    assert set(FAMILIES) == set(continuous.__all__) - {"Interpolated"}
    assert {name for name, _ in CASES} == set(FAMILIES)
    with pytest.raises(DeclarationError, match="got unknown prior 'Interpolated'"):
        _ = wb.prior.Interpolated


def test_every_way_to_give_arguments_has_a_case():
    for name, family in FAMILIES.items():
        given = [set(arguments) for known, arguments in CASES if known == name]
        for choice in family.choices:
            names = set().union(*choice)
            assert {frozenset(g & names) for g in given} == set(choice), name


@pytest.mark.parametrize("name", FAMILIES)
def test_arguments_have_the_names_order_and_defaults_of_pymc(name):
    family = FAMILIES[name]
    ordered, named, defaults = positional(name)
    ours = [key for key in family.arguments if key != "median"]
    assert ours[: len(ordered)] == ordered
    assert set(ours) == {*ordered, *named}
    assert family.defaults == defaults


@every_case
def test_support_is_where_pymc_has_density(name, arguments):
    prior = make(name, **arguments)
    if name == "PolyaGamma":
        assert prior.support == (0, math.inf)
        return
    low, high = prior.support
    density = logp(prior, POINTS)
    inside = (low < POINTS) & (high > POINTS)
    assert inside.any()
    assert np.isfinite(density[inside]).all()
    assert np.isneginf(density[~inside]).all()


@every_case
def test_law_is_that_of_scipy(name, arguments):
    prior = make(name, **arguments)
    if name in WITHOUT_KIN:
        with pytest.raises(DeclarationError, match=f"got prior {name}.*expected one that SciPy knows"):
            prior.frozen()
        return
    inside = POINTS[(prior.support[0] < POINTS) & (prior.support[1] > POINTS)]
    ours, theirs = prior.frozen().logpdf(inside), logp(prior, inside)
    far = theirs < -500  # SciPy's densities underflow there
    assert not far.all()
    np.testing.assert_allclose(ours[~far], theirs[~far], rtol=1e-6, atol=1e-7)  # PyMC rounds constants to float32


@every_case
def test_quantiles_grow_as_the_density_says(name, arguments):
    prior = make(name, **arguments)
    if name in WITHOUT_QUANTILES:
        with pytest.raises(DeclarationError, match=f"got prior {name}.*which has no quantile; expected a proper prior"):
            prior.quantile(0.5)
        return
    masses, step = np.arange(0.025, 1.0, 0.05), 1e-4
    slope = [(prior.quantile(m + step) - prior.quantile(m - step)) / (2 * step) for m in masses]
    density = np.exp(logp(prior, [prior.quantile(m) for m in masses]))
    np.testing.assert_allclose(slope * density, 1.0, rtol=2e-5)
    low, high = prior.support
    assert low <= prior.quantile(1e-12) < prior.quantile(1 - 1e-12) <= high


@pytest.mark.parametrize("name", sorted(set(FAMILIES) - WITHOUT_QUANTILES))
def test_quantiles_agree_with_draws_of_pymc(name):
    import pymc as pm

    arguments = next(given for known, given in reversed(CASES) if known == name)
    prior = make(name, **arguments)
    law = getattr(pm, name).dist(**prior.pymc_arguments, size=20_000)
    draws = pm.draw(law, random_seed=1, mode="FAST_COMPILE")
    for mass in (0.1, 0.5, 0.9):
        assert np.mean(draws < prior.quantile(mass)) == pytest.approx(mass, abs=0.011)


@pytest.mark.parametrize("mass", [0.0, 1.0, -0.1, 1.1, math.nan])
def test_a_quantile_needs_a_mass(mass):
    with pytest.raises(DeclarationError, match=r"got mass .*; expected a number between 0 and 1"):
        make("Normal", mu=0, sigma=1).quantile(mass)


@every_case
def test_what_pymc_refuses_is_refused(name, arguments):
    from pymc.logprob.utils import ParameterValueError

    for key in sorted(set(arguments) - {"median"}) if name != "PolyaGamma" else ():
        for value in (-1.0, 0.0, 3.0):
            changed = {**Prior(name, tuple(arguments.items())).pymc_arguments, key: value}
            try:
                density = compiled(name, tuple(changed))(POINTS, *changed.values())
                refused = bool(np.isneginf(density).all())  # Uniform(0, -1) has no density anywhere
            except ParameterValueError:
                refused = True
            sentence = refusal(name, {**arguments, key: value})
            assert refused == bool(sentence) or (sentence and value == 0.0), f"{name}({changed})"


@every_case
def test_plain_data_there_and_back(name, arguments):
    prior = make(name, **arguments)
    assert from_dict(json.loads(json.dumps(prior.to_dict()))) == prior
    assert getattr(wb.prior, name)(**arguments) == prior
    assert eval(f"wb.prior.{prior!r}", {"wb": wb}) == prior


def test_median_of_a_lognormal():
    prior = wb.prior.LogNormal(median=5.0, sigma=0.3)
    assert prior.quantile(0.5) == 5.0
    assert prior.pymc_arguments == {"mu": math.log(5.0), "sigma": 0.3}
    assert repr(prior) == "LogNormal(median=5, sigma=0.3)"


@pytest.mark.parametrize(("low", "high"), [(2.0, 20.0), (0.1, 0.3), (0.9, 0.95), (1e-3, 1.5), (1e4, 1.2e4)])
@pytest.mark.parametrize("mass", [0.5, 0.9, 0.99])
@pytest.mark.parametrize(
    "name",
    ["LogNormal", "Normal", "Logistic", "Laplace", "Cauchy", "Gumbel", "Beta", "Gamma", "InverseGamma", "Weibull"],
)
def test_interval_holds_its_mass_with_equal_tails(name, low, high, mass):
    if name == "Beta" and high >= 1:
        with pytest.raises(DeclarationError, match=r"Beta: got interval .*; expected it inside 0 to 1"):
            interval(name, low, high, mass=mass)
        return
    law = interval(name, low, high, mass=mass).frozen()
    assert law.cdf(low) == pytest.approx((1 - mass) / 2, abs=1e-6)
    assert law.sf(high) == pytest.approx((1 - mass) / 2, abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("LogNormall", 2, 20), ["got unknown family 'LogNormall'", "did you mean 'LogNormal'?"]),
        (("StudentT", 2, 20), ["got unknown family 'StudentT'", "expected one of 'LogNormal', 'Normal'"]),
        (("Normal", 20, 2), ["got interval 20 to 2", "expected low < high"]),
        (("LogNormal", -2, 20), ["got interval -2 to 20", "expected it inside 0 to inf"]),
        (("Gamma", 0, 20), ["got interval 0 to 20", "expected it inside 0 to inf"]),
        (("Normal", "a", 2), ["got low='a'", "expected a number"]),
        (("Normal", 1, math.inf), ["got high=inf", "expected a finite number"]),
    ],
)
def test_interval_that_cannot_be(arguments, says):
    with pytest.raises(DeclarationError) as error:
        wb.prior.interval(*arguments)
    assert all(words in str(error.value) for words in says), str(error.value)


def test_interval_needs_a_mass():
    with pytest.raises(DeclarationError, match=r"mass 1.5; expected low < high, 0 < mass < 1"):
        interval("Normal", 1, 2, mass=1.5)


@pytest.mark.parametrize(
    ("give", "says"),
    [
        (lambda: wb.prior.lognormal(mu=0, sigma=1), ["got unknown prior 'lognormal'", "did you mean 'LogNormal'?"]),
        (lambda: wb.prior.Gaussian(mu=0, sigma=1), ["wb.prior: got unknown prior 'Gaussian'", "expected one of"]),
        (
            lambda: wb.prior.Normal(mean=0, sigma=1),
            ["got unknown argument 'mean'", "expected one of 'mu', 'sigma', 'tau'"],
        ),
        (lambda: wb.prior.Normal(mu=0), ["Normal: got 'mu'; expected 'sigma' or 'tau'"]),
        (lambda: wb.prior.Normal(0, sigma=1, tau=1), ["got 'mu', 'sigma', 'tau'", "expected 'sigma' or 'tau'"]),
        (lambda: wb.prior.Normal(0, mu=1, sigma=1), ["got 'mu' twice", "expected it once"]),
        (lambda: wb.prior.Normal(0, 1, 2, 3), ["got 4 arguments", "at most 3: 'mu', 'sigma', 'tau'"]),
        (lambda: wb.prior.Normal(mu="0.5 m", sigma=1), ["got mu='0.5 m'", "expected a number"]),
        (lambda: wb.prior.Normal(mu=math.nan, sigma=1), ["got mu=nan", "expected a finite number"]),
        (lambda: wb.prior.HalfNormal(math.inf), ["got sigma=inf", "expected a finite number"]),
        (wb.prior.HalfNormal, ["HalfNormal: got no argument; expected 'sigma' or 'tau'"]),
        (lambda: wb.prior.Gumbel(mu=1), ["Gumbel: got 'mu'; expected 'beta' as well"]),
        (lambda: wb.prior.LogNormal(median=-2, sigma=1), ["got median=-2", "expected a number above 0"]),
        (lambda: wb.prior.LogNormal(mu=1, median=2, sigma=1), ["got both 'mu' and 'median'", "expected one of them"]),
        (lambda: wb.prior.Uniform(3, 2), ["got lower=3, upper=2", "expected lower < upper"]),
        (lambda: wb.prior.Uniform(lower=2), ["got lower=2, upper=1", "expected lower < upper"]),
        (lambda: wb.prior.Uniform(0, math.inf), ["got upper=inf", "expected a finite number"]),
        (
            lambda: wb.prior.Triangular(0, 1, c=2),
            ["got lower=0, upper=1, c=2", "expected lower <= c <= upper, lower < upper"],
        ),
        (lambda: wb.prior.TruncatedNormal(0, 1, lower=2, upper=2), ["lower=2, upper=2; expected lower < upper"]),
        (lambda: wb.prior.Beta(mu=0.5, sigma=0.6), ["got mu=0.5, sigma=0.6", "sigma**2 < mu (1 - mu)"]),
        (lambda: wb.prior.Gamma(alpha=1, sigma=1), ["got 'alpha', 'sigma'", "'alpha', 'beta' or 'mu', 'sigma'"]),
        (lambda: from_dict({"prior": "Nrmal", "mu": 0}), ["got unknown prior 'Nrmal'", "did you mean 'Normal'?"]),
        (lambda: from_dict({"mu": 0}), ["got unknown prior 'None'", "expected one of"]),
    ],
)
def test_bad_arguments(give, says):
    with pytest.raises(DeclarationError) as error:
        give()
    assert all(words in str(error.value) for words in says), str(error.value)


def test_the_module_lists_its_priors():
    assert set(dir(wb.prior)) >= {*FAMILIES, "interval"}
    assert not hasattr(wb.prior, "Nrmal")
