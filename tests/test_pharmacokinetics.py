"""Pharmacokinetics: the closed form against others, facts of the data, the population against the published one."""

import csv
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize

import workbench as wb
from workbench.base.errors import DataError, UnitError
from workbench.base.share import data_file
from workbench.domains.patients.drug_studies import (
    PUBLISHED,
    PUBLISHED_SIGMA,
    STUDIES,
    indomethacin,
    phenobarbital,
    theophylline,
)
from workbench.domains.patients.pharmacokinetics import (
    OneCompartmentNewborn,
    OneCompartmentOral,
    OneCompartmentOralByWeight,
    TwoCompartmentIntravenous,
    bateman,
    peak_time,
    two_compartments,
)

PERSON = {"ka": 1.5, "CL": 2.8, "V": 32.0}
POOL = dict.fromkeys(["ka", "CL", "V"], "partial")


@pytest.mark.parametrize("ka", [0.03, 0.0875, 0.0875 * (1 + 3e-7), 0.0876, 1.5, 40.0])
def test_closed_form_is_the_matrix_exponential(ka: float) -> None:
    """Also where both rates are the same (CL / V = 0.0875), and absorption slower than elimination."""
    rates = np.array([[-ka, 0.0], [ka, -2.8 / 32.0]])
    for t in (0.0, 0.4, 3.0, 30.0):
        body = (scipy.linalg.expm(rates * t) @ [320.0, 0.0])[1]
        assert bateman(t, 320.0, ka=ka, CL=2.8, V=32.0) == pytest.approx(body / 32.0, rel=2e-6, abs=1e-12)


def test_the_solver_gives_the_closed_form_after_repeated_doses() -> None:
    times = np.linspace(0, 60, 121)
    doses = {0.0: 320.0, 8.0: 160.0, 16.0: 250.0, 17.3: 80.0}
    made = wb.simulate(OneCompartmentOral, times, parameters=PERSON, inputs={"dose": doses})
    since = times[:, None] - np.array(list(doses))
    each = np.where(since >= 0, bateman(np.maximum(since, 0), np.array(list(doses.values())), **PERSON), 0.0)
    np.testing.assert_allclose(made["conc"], each.sum(axis=1), rtol=1e-5, atol=1e-6)
    assert made["conc"].attrs["units"] == "mg/L"


def test_steady_state_is_where_equal_doses_end() -> None:
    many = {8.0 * k: 250.0 for k in range(40)}
    since = np.array([0.0, 1.0, 2.5, 7.99])
    made = wb.simulate(OneCompartmentOral, 39 * 8.0 + since, parameters=PERSON, inputs={"dose": many})
    np.testing.assert_allclose(made["conc"], bateman(since, 250.0, **PERSON, every=8.0), rtol=1e-5)


@pytest.mark.parametrize("every", [np.inf, 24.0, 6.0])
@pytest.mark.parametrize("ka", [0.05, 0.0875, 1.5])
def test_the_peak_is_the_highest_concentration(ka: float, every: float) -> None:
    person = {**PERSON, "ka": ka}
    end = min(every, 100.0)
    found = scipy.optimize.minimize_scalar(
        lambda t: -float(bateman(t, 1.0, **person, every=every)),
        bounds=(0, end),
        method="bounded",
        options={"xatol": 1e-9},
    )
    assert float(peak_time(**person, every=every)) == pytest.approx(found.x, abs=1e-3)


def test_arguments_broadcast() -> None:
    t, V = np.array([1.0, 2.0])[:, None], np.array([20.0, 30.0, 40.0])
    made = bateman(t, 100.0, ka=1.0, CL=3.0, V=V)
    assert made.shape == (2, 3)
    assert made[1, 2] == bateman(2.0, 100.0, ka=1.0, CL=3.0, V=40.0)


def test_facts_of_the_study() -> None:
    samples, inputs = theophylline()
    assert list(samples.columns) == ["unit", "time", "conc", "weight", "amount"]
    assert len(samples) == 132
    assert samples["unit"].value_counts().to_dict() == dict.fromkeys(range(1, 13), 11)
    assert samples["conc"].max() == 11.4
    assert samples.loc[samples["time"] == 0, "conc"].tolist() == [0.74, 0, 0, 0, 0, 0, 0.15, 0, 0, 0.24, 0, 0]
    doses = inputs["dose"]
    assert list(doses) == list(range(1, 13))
    assert doses[1] == {0.0: pytest.approx(79.6 * 4.02)}
    amounts = [next(iter(dose.values())) for dose in doses.values()]
    assert sum(318 < amount < 321 for amount in amounts) == 11, "all swallowed 320 mg, but one"
    assert amounts[8] == pytest.approx(267.84)


def test_the_typed_data_are_the_shared_ones(shared_data: Path) -> None:
    for name, other in {
        "theophylline.csv": "patients/theoph/theoph.csv",
        "lynx_hare.csv": "ecology/lynx_hare/hudson_lynx_hare.csv",
    }.items():
        ours = [list(map(float, row)) for row in rows_of(data_file(name))]
        assert ours == [list(map(float, row)) for row in rows_of(shared_data / other)]
        assert len(ours) in (132, 21)
    theirs = rows_of(shared_data / "patients/indometh/indometh.csv")
    assert [[row[0], *row[2:]] for row in rows_of(data_file("indomethacin.csv"))] == theirs
    theirs = rows_of(shared_data / "patients/phenobarb/phenobarb.csv")
    assert rows_of(data_file("phenobarbital.csv")) == [row[:3] + row[4:] for row in theirs], (
        "all but the column of Apgar < 5"
    )


def rows_of(path: Path) -> list[list[str]]:
    lines = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("#")]
    return list(csv.reader(lines))[1:]


def test_facts_of_the_injected() -> None:
    samples, inputs = indomethacin()
    assert samples["unit"].value_counts().to_dict() == dict.fromkeys(range(1, 7), 11)
    assert inputs["dose"] == {subject: {0.0: 25.0} for subject in range(1, 7)}
    # R's help of SSbiexp prints this fit to the first subject.
    one = samples[samples["unit"] == 1]
    fitted, _ = scipy.optimize.curve_fit(
        lambda t, A, a, B, b: A * np.exp(-np.exp(a) * t) + B * np.exp(-np.exp(b) * t),
        one["time"].to_numpy(),
        one["conc"].to_numpy(),
        [3.0, 1.0, 0.6, -1.3],
    )
    np.testing.assert_allclose(fitted, [2.0293, 0.5794, 0.1916, -1.7878], atol=2e-4)


def test_facts_of_the_newborns() -> None:
    samples, inputs = phenobarbital()
    assert len(samples) == 155
    assert list(samples.columns) == ["unit", "time", "conc", "weight", "apgar"]
    doses = inputs["dose"]
    assert len(doses) == len(inputs["weight"]) == 59, "59 infants: Grasela & Donn (1985)"
    assert inputs["weight"].mean() == pytest.approx(1.52, abs=0.01), "mean birth weight 1520 g, from the same"
    assert inputs["weight"].max() == pytest.approx(3.62, abs=0.03), "600 to 3620 g"
    assert sum(map(len, doses.values())) == 589
    assert inputs["asphyxia"].sum() == 10
    # A load of 25 mg in 1.4 kg gives 17.3 mg/L after 2 h: 1 L/kg, as published; 25 mg/kg would be 1.4.
    assert doses[1][0.0] / samples["conc"][0] / inputs["weight"][1] == pytest.approx(1.03, abs=0.01)


def test_two_compartments_are_the_biexponential() -> None:
    times = np.linspace(0, 8, 33)
    person = two_compartments(2.77, 2.41, 0.61, 0.278, dose=25.0)
    made = wb.simulate(TwoCompartmentIntravenous, times, parameters=person, inputs={"dose": {0.0: 25.0}})
    expected = 2.77 * np.exp(-2.41 * times) + 0.61 * np.exp(-0.278 * times)
    np.testing.assert_allclose(made["conc"], expected, rtol=1e-5)
    assert person["CL"] == pytest.approx(25 / (2.77 / 2.41 + 0.61 / 0.278)), "dose over area under the curve"


def test_weight_scales_clearance_and_volume() -> None:
    times = np.linspace(0, 24, 25)
    inputs = {"dose": {0.0: 320.0}, "weight": 105.0}
    made = wb.simulate(OneCompartmentOralByWeight, times, parameters=PERSON, inputs=inputs)
    heavy = PERSON | {"CL": PERSON["CL"] * 1.5**0.75, "V": PERSON["V"] * 1.5}
    np.testing.assert_allclose(made["conc"], bateman(times, 320.0, **heavy), rtol=1e-5, atol=1e-6)


def test_a_newborn_after_asphyxia_has_the_larger_volume() -> None:
    inputs = {"dose": {0.0: 20.0, 12.0: 4.0}, "weight": 2.0, "asphyxia": 1.0}
    infant = {"CL": 0.005, "V": 1.0, "asphyxia_effect": 1.25}
    made = wb.simulate(OneCompartmentNewborn, [0.0, 12.0, 100.0], parameters=infant, inputs=inputs)["conc"]
    rate = 0.005 / 1.25
    expected = [
        20 / 2.5,
        (20 * np.exp(-12 * rate) + 4) / 2.5,
        (20 * np.exp(-100 * rate) + 4 * np.exp(-88 * rate)) / 2.5,
    ]
    np.testing.assert_allclose(made, expected, rtol=1e-6)


INFANT = """subject,weight [g],apgar,time [d],dose [mg],conc [mg/L]
a,1500,4,0,30,
a,1500,4,0.5,5,19
a,1500,4,0.5,2,
a,1500,4,1,,
"""


def test_own_infants(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text(INFANT)
    samples, inputs = phenobarbital(tmp_path / "own.csv")
    assert samples["time"].tolist() == [12.0, 24.0]
    assert samples["conc"][0] == 19.0
    assert np.isnan(samples["conc"][1]), "asked for"
    assert inputs["dose"] == {"a": {0.0: 30.0, 12.0: 7.0}}
    assert inputs["asphyxia"]["a"] == 1.0


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("a,1500,4,0.5,5,19", "b,1500,4,0.5,,19", ["'b'", "no dose"]),
        ("1500,4,0.5,2", "1600,4,0.5,2", ["'a'", "weight 1.5, 1.6 kg"]),
        ("apgar,", "apgars,", ["column 'apgar'", "by 'apgars'"]),
    ],
)
def test_infants_that_cannot_be_used(tmp_path: Path, old: str, new: str, words: list[str]) -> None:
    assert old in INFANT
    (tmp_path / "own.csv").write_text(INFANT.replace(old, new))
    with pytest.raises(DataError) as caught:
        phenobarbital(tmp_path / "own.csv")
    assert [word for word in words if word not in str(caught.value)] == []


def test_every_study_is_of_its_model() -> None:
    for study in STUDIES.values():
        samples, inputs = study.load(None)
        assert set(inputs) == set(study.model().inputs)
        assert set(study.own) <= set(study.model().parameters)
        assert study.low < study.high < study.limit
        assert not samples["conc"].isna().any()


OWN = """subject,weight [g],dose [ug/kg],time [min],conc [ug/L]
a,70000,5000,0,0
a,70000,5000,90,7500
b,50000,6000,30,9000
"""


def test_own_data_in_other_units(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text(OWN)
    samples, inputs = theophylline(tmp_path / "own.csv")
    assert samples["time"].tolist() == [0, 1.5, 0.5]
    assert samples["conc"].tolist() == pytest.approx([0, 7.5, 9.0])
    assert inputs == {"dose": {"a": {0.0: pytest.approx(350.0)}, "b": {0.0: pytest.approx(300.0)}}}


@pytest.mark.parametrize(
    ("old", "new", "error", "words"),
    [
        ("conc [ug/L]", "cons [ug/L]", DataError, ["own.csv", "column 'conc'", "by 'cons'"]),
        ("conc [ug/L]", "conc [ug]", UnitError, ["conc", "ug", "mg/L"]),
        ("a,70000,5000,90", "a,71000,5000,90", DataError, ["'a'", "weight", "70, 71 kg", "one number"]),
        ("b,50000,6000", "b,50000,-6000", DataError, ["'b'", "amount", "-300 mg", "above 0"]),
        ("7500", "high", DataError, ["own.csv", "'conc'", "expected numbers"]),
    ],
)
def test_data_that_cannot_be_used(tmp_path: Path, old: str, new: str, error: type[Exception], words: list[str]) -> None:
    assert old in OWN
    (tmp_path / "own.csv").write_text(OWN.replace(old, new))
    with pytest.raises(error) as caught:
        theophylline(tmp_path / "own.csv")
    assert [word for word in words if word not in str(caught.value)] == []


def test_the_domain_is_a_declaration_and_loads_no_engine() -> None:
    code = "import sys, workbench.domains.patients.drug_studies; print(*{n.partition('.')[0] for n in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert set(loaded) & {"pytensor", "pymc", "numba", "pandas", "matplotlib"} == set()


def test_equations_on_plain_numbers() -> None:
    class Plain:
        def __init__(self, **values: float):
            self.__dict__.update(values)

    model, p = OneCompartmentOral(), Plain(**PERSON)
    rates: dict[str, Any] = model.rhs(0.0, Plain(gut=100.0, body=64.0), Plain(), p)
    assert rates == {"gut": -150.0, "body": pytest.approx(150.0 - 5.6)}
    assert model.observe(0.0, Plain(gut=0.0, body=64.0), Plain(), p) == {"conc": 2.0}


@pytest.mark.slow
def test_population_within_two_standard_errors_of_the_published() -> None:
    samples, inputs = theophylline()
    calibration = wb.calibrate(OneCompartmentOral, samples, inputs=inputs, pool=POOL, seed=1, progress=False)
    assert calibration.trust.passed, str(calibration.trust)
    posterior = calibration.posterior
    for name, published in PUBLISHED.items():
        typical = float(np.log(posterior[f"{name}_pop"]).mean())
        assert abs(typical - published.log) < 0.5 * published.log_se, f"{name}: a quarter of what would raise a doubt"
        low, high = np.sqrt(np.expm1(posterior[f"{name}_sd"].quantile([0.055, 0.945]) ** 2)).values
        assert low < published.cv < high
    low, high = posterior["conc_sigma"].quantile([0.055, 0.945]).values
    assert low < PUBLISHED_SIGMA < high
