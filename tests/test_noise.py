"""Noise models are plain data with PyMC's names and arguments; their priors become parameters with the right unit."""

import inspect
import json
import math

import pytest
from models import Dosing, LynxHare, Room

import workbench as wb
from workbench.base.errors import DeclarationError
from workbench.declare.noise import FAMILIES, from_dict, make

WIDE = wb.prior.HalfNormal(0.5)
CASES = [
    wb.noise.Normal(0.5),
    wb.noise.Normal(sigma=WIDE),
    wb.noise.LogNormal(sigma=wb.prior.LogNormal(mu=-1, sigma=1)),
    wb.noise.StudentT(sigma=WIDE),
    wb.noise.StudentT(nu=wb.prior.Gamma(2, 0.1), sigma=0.3),
    wb.noise.Laplace(b=WIDE),
    wb.noise.Poisson(),
    wb.noise.NegativeBinomial(alpha=wb.prior.Exponential(1.0)),
    wb.noise.Proportional(sigma=WIDE),
    wb.noise.Combined(additive=0.1, proportional=WIDE),
    wb.noise.AR1(sigma=WIDE, time_constant=wb.prior.LogNormal(median=2.0, sigma=0.5)),
]
OURS = {"Proportional", "Combined", "AR1"}  # of which PyMC has no distribution by that name


@pytest.mark.parametrize("noise", CASES, ids=repr)
def test_plain_data_there_and_back(noise):
    assert from_dict(json.loads(json.dumps(noise.to_dict()))) == noise
    names = {
        "wb": wb,
        **{name: getattr(wb.prior, name) for name in ("HalfNormal", "LogNormal", "Gamma", "Exponential")},
    }
    assert eval(f"wb.noise.{noise!r}", names) == noise
    assert make(noise.name, **dict(noise.arguments)) == noise


def test_every_noise_has_a_case_and_most_are_distributions_of_pymc():
    import pymc as pm

    assert {noise.name for noise in CASES} == set(FAMILIES)
    for name, family in FAMILIES.items():
        if name not in OURS:
            assert set(family.arguments) <= set(inspect.signature(getattr(pm, name).dist).parameters)
        assert family.in_unit | family.in_time | set(family.defaults) <= set(family.arguments)
        assert getattr(wb.noise, name).__doc__ == family.says
    assert set(dir(wb.noise)) >= set(FAMILIES)


def test_arguments_that_are_estimated():
    assert wb.noise.StudentT(sigma=WIDE).arguments == (("nu", 4.0), ("sigma", WIDE))
    assert wb.noise.StudentT(sigma=WIDE).priors == {"sigma": WIDE}
    assert wb.noise.Normal(0.5).priors == {}


@pytest.mark.parametrize(
    ("noise", "unit", "expected"),
    [
        (wb.noise.Normal(sigma=WIDE), "degC", {"y_sigma": "degC"}),
        (wb.noise.LogNormal(sigma=WIDE), "mg/L", {"y_sigma": "1"}),
        (wb.noise.StudentT(nu=wb.prior.Gamma(2, 0.1), sigma=WIDE), "m", {"y_nu": "1", "y_sigma": "m"}),
        (wb.noise.NegativeBinomial(alpha=WIDE), "1", {"y_alpha": "1"}),
        (wb.noise.Combined(additive=WIDE, proportional=WIDE), "mg/L", {"y_additive": "mg/L", "y_proportional": "1"}),
        (wb.noise.Proportional(sigma=WIDE), "mg/L", {"y_sigma": "1"}),
        (wb.noise.AR1(sigma=WIDE, time_constant=WIDE), "m", {"y_sigma": "m", "y_time_constant": "s"}),
        (wb.noise.Poisson(), "1", {}),
        (wb.noise.Normal(0.5), "m", {}),
        (None, "m", {}),
    ],
    ids=repr,
)
def test_posterior_names_and_units(noise, unit, expected):
    class Still(wb.Ode):
        time_unit = "s"
        x = wb.State(unit, start=1.0)
        y = wb.Output(unit, noise=noise)

        def rhs(self, t, x, u, p):
            return {"x": 0.0}

        def observe(self, t, x, u, p):
            return {"y": x.x}

    made = Still().noise_parameters
    assert {name: q.unit for name, q in made.items()} == expected
    assert [q.name for q in made.values()] == list(expected)
    assert all(q.prior in noise.priors.values() for q in made.values())


def test_names_of_the_shared_models():
    assert list(LynxHare().noise_parameters) == ["hare_pelts_sigma", "lynx_pelts_sigma"]
    assert list(LynxHare().theta) == ["alpha", "beta", "gamma", "delta", "hare_start", "lynx_start"]
    assert LynxHare().estimated == tuple(LynxHare().theta)
    assert Dosing().estimated == ("ka", "ke", "V", "centre_start")
    assert Room().noise_parameters["T_meas_sigma"].long_name == "sigma of the noise of T_meas"


@pytest.mark.parametrize(
    ("give", "says"),
    [
        (lambda: wb.noise.Gaussian(1.0), "wb.noise: got unknown noise 'Gaussian'; expected one of 'Normal', "),
        (lambda: wb.noise.lognormal(1.0), "got unknown noise 'lognormal'; expected one of 'Normal', 'LogNormal', "),
        (lambda: wb.noise.Normal(sigma=0.0), "wb.noise.Normal: got sigma=0; expected a finite number above 0"),
        (lambda: wb.noise.Normal(sigma=math.inf), "wb.noise.Normal: got sigma=inf; expected a finite number above 0"),
        (lambda: wb.noise.Normal(sigma=math.nan), "wb.noise.Normal: got sigma=nan; expected a finite number above 0"),
        (lambda: wb.noise.Normal(sigma=None), "wb.noise.Normal: got sigma=None; expected a number above 0 or a prior"),
        (lambda: wb.noise.Laplace(sigma=1.0), "wb.noise.Laplace: got unknown argument 'sigma'; expected one of 'b'"),
        (wb.noise.Laplace, "wb.noise.Laplace: got no 'b'; expected a number above 0 or a prior for it"),
        (lambda: wb.noise.Poisson(3.0), "wb.noise.Poisson: got 1 arguments; expected []"),
        (lambda: wb.noise.StudentT(sigma=wb.prior.Flat()), "wb.noise.StudentT: got sigma=Flat(), which allows neg"),
        (lambda: from_dict({"sigma": 1.0}), "wb.noise: got unknown noise 'None'; expected one of 'Normal'"),
        (lambda: from_dict({"noise": "Normal", "sigma": {"prior": "HalfNorml"}}), "did you mean 'HalfNormal'?"),
    ],
)  # fmt: skip
def test_bad_arguments(give, says):
    with pytest.raises(DeclarationError) as error:
        give()
    assert says in str(error.value)
