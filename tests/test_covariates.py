"""Covariates: constant inputs of units in the equations, against densities and curves written by hand."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats

import workbench as wb
from workbench.base.errors import DataError

WEIGHT = {"a": 50.0, "b": 70.0, "c": 95.0}
DOSE = 100.0
TIMES = np.array([1.0, 4.0, 8.0])


class Bolus(wb.Ode):
    """One compartment; clearance and volume grow with weight (Anderson & Holford, Annu Rev Pharmacol 48 (2008) 303)."""

    time_unit = "h"
    rtol = 1e-10
    body = wb.State("mg", start=DOSE)
    CL = wb.Parameter("L/h", prior=wb.prior.LogNormal(median=3.0, sigma=0.5))
    V = wb.Parameter("L", prior=wb.prior.LogNormal(median=30.0, sigma=0.5))
    exponent = wb.Parameter("1", prior=wb.prior.Normal(mu=0.75, sigma=0.3))
    reference = wb.Parameter("kg", value=70.0)
    weight = wb.Input("kg")
    conc = wb.Output("mg/L", noise=wb.noise.Normal(sigma=wb.prior.HalfNormal(0.5)))

    def rhs(self, t, x, u, p):
        size = u.weight / p.reference
        return {"body": -p.CL * size**p.exponent / (p.V * size) * x.body}

    def observe(self, t, x, u, p):
        return {"conc": x.body / (p.V * u.weight / p.reference)}


def curve(time: np.ndarray, weight: float, CL: float, V: float, exponent: float) -> np.ndarray:
    volume, clearance = V * weight / 70, CL * (weight / 70) ** exponent
    return DOSE / volume * np.exp(-clearance / volume * time)


@pytest.fixture(scope="module")
def samples() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    rows = []
    for unit, weight in WEIGHT.items():
        rows.append({"unit": unit, "time": 0.0, "conc": np.nan, "weight": weight})
        values = curve(TIMES, weight, CL=3.3, V=28.0, exponent=0.9) + 0.05 * rng.normal(size=TIMES.size)
        rows += [{"unit": unit, "time": t, "conc": c, "weight": weight} for t, c in zip(TIMES, values, strict=True)]
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def covariate(samples: pd.DataFrame) -> pd.Series:
    return samples.groupby("unit")["weight"].first()


def test_curves_of_units_are_the_closed_form(covariate: pd.Series) -> None:
    made = wb.simulate(
        Bolus, np.r_[0.0, TIMES], parameters={"CL": 3.0, "V": 30.0, "exponent": 0.75}, inputs={"weight": covariate}
    )
    for unit, weight in WEIGHT.items():
        expected = curve(np.r_[0.0, TIMES], weight, 3.0, 30.0, 0.75)
        np.testing.assert_allclose(made["conc"].sel(unit=unit), expected, rtol=1e-5)


def test_the_density_of_a_population_is_that_written_by_hand(samples: pd.DataFrame, covariate: pd.Series) -> None:
    pool = {"CL": wb.Partial(centred=True)}
    model = wb.to_pymc(Bolus, samples, inputs={"weight": covariate}, pool=pool)
    logp = model.compile_logp(jacobian=False)
    rng = np.random.default_rng(5)
    for _ in range(3):
        sigma, spread = rng.uniform(0.05, 0.4, 2)
        exponent, pop, volume = rng.normal(0.75, 0.3), 3.0 * np.exp(0.3 * rng.normal()), 30 * np.exp(0.3 * rng.normal())
        each = pop * np.exp(spread * rng.normal(size=3))
        expected = (
            scipy.stats.lognorm(0.5, scale=3.0).logpdf(pop)
            + scipy.stats.halfnorm(scale=1.0).logpdf(spread)
            + scipy.stats.lognorm(spread, scale=pop).logpdf(each).sum()
            + scipy.stats.lognorm(0.5, scale=30.0).logpdf(volume)
            + scipy.stats.norm(0.75, 0.3).logpdf(exponent)
            + scipy.stats.halfnorm(scale=0.5).logpdf(sigma)
        )
        for (unit, weight), CL in zip(WEIGHT.items(), each, strict=True):
            read = samples[(samples.unit == unit) & samples.conc.notna()].conc
            expected += scipy.stats.norm(curve(TIMES, weight, CL, volume, exponent), sigma).logpdf(read).sum()
        point = {
            "CL_pop_log__": np.log(pop), "CL_sd_log__": np.log(spread), "CL_log__": np.log(each),
            "V_log__": np.log(volume), "exponent": exponent, "conc_sigma_log__": np.log(sigma),
        }  # fmt: skip
        assert float(logp(point)) == pytest.approx(expected, rel=1e-6)


def test_a_covariate_that_is_missing_for_a_unit_or_is_no_number(samples: pd.DataFrame, covariate: pd.Series) -> None:
    with pytest.raises(DataError, match=r"'weight'.* '?c'?"):
        wb.to_pymc(Bolus, samples, inputs={"weight": covariate.drop("c")})
    with pytest.raises(DataError, match="weight"):
        wb.to_pymc(Bolus, samples, inputs={"weight": covariate.replace(95.0, np.nan)})


@pytest.mark.slow
def test_the_exponent_is_found_and_a_new_patient_is_placed_by_weight() -> None:
    """Sixty patients of 40 to 120 kg; then a heavy one with a single sample."""
    rng = np.random.default_rng(8)
    truth = {"V": 28.0, "exponent": 0.9}
    weight = pd.Series(rng.uniform(40, 120, 60), pd.Index([f"p{k}" for k in range(60)], name="unit"))
    rows = []
    for unit, kg in weight.items():
        values = curve(TIMES, kg, CL=3.3 * np.exp(0.2 * rng.normal()), **truth) + 0.05 * rng.normal(size=3)
        rows += [
            {"unit": unit, "time": t, "conc": c} for t, c in zip(np.r_[0, TIMES], np.r_[np.nan, values], strict=True)
        ]
    made = wb.calibrate(
        Bolus, pd.DataFrame(rows), inputs={"weight": weight}, pool={"CL": "partial"}, seed=1, progress=False
    )
    draws = made.posterior
    for name, value in {**truth, "CL_pop": 3.3, "CL_sd": 0.2}.items():
        assert abs(float(draws[name].mean()) - value) < 3 * float(draws[name].std()), name
    assert float(draws["exponent"].std()) < 0.12
    read = pd.DataFrame({"time": [0.0, 8.0], "conc": [np.nan, curve(np.array([8.0]), 110.0, CL=4.4, **truth)[0]]})
    new = made.new_unit(read, inputs={"weight": 110.0}, seed=1)
    assert abs(float(new["CL"].mean()) - 4.4) < 2 * float(new["CL"].std()) < 1.0


@pytest.mark.slow
def test_covariates_and_correlated_effects_go_together() -> None:
    """Eighty patients whose clearance and volume have a correlation of 0.8 about what weight explains."""
    rng = np.random.default_rng(9)
    weight = pd.Series(rng.uniform(40, 120, 80), pd.Index([f"p{k}" for k in range(80)], name="unit"))
    effects = np.linalg.cholesky([[1, 0.8], [0.8, 1]]) @ rng.normal(size=(2, 80)) * [[0.3], [0.25]]
    times = np.array([0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 12.0])
    rows = []
    for (unit, kg), one, other in zip(weight.items(), *effects, strict=True):
        clean = curve(times, kg, CL=3.3 * np.exp(one), V=28.0 * np.exp(other), exponent=0.9)
        read = np.r_[np.nan, clean[1:] + 0.05 * rng.normal(size=6)]
        rows += [{"unit": unit, "time": t, "conc": c} for t, c in zip(times, read, strict=True)]
    made = wb.calibrate(
        Bolus, pd.DataFrame(rows), inputs={"weight": weight}, pool={("CL", "V"): wb.Correlated()}, seed=1,
        progress=False,
    )  # fmt: skip
    truth = {"CL_pop": 3.3, "V_pop": 28.0, "CL_sd": 0.3, "V_sd": 0.25, "exponent": 0.9, "CL_V_corr": 0.8}
    for name, value in truth.items():
        assert abs(float(made.posterior[name].mean()) - value) < 3 * float(made.posterior[name].std()), name
    assert float(made.posterior["CL_V_corr"].std()) < 0.07
    assert not [gate.says for gate in made.trust.doubts]
