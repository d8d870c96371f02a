"""A posterior that failed a gate is never shown as if it had not: in words, in HTML, in the summary."""

import json

import numpy as np
import pytest
import xarray as xr
from calibrations import lynx_hare

from workbench.calibrate.calibration import Calibration
from workbench.calibrate.trust.card import Gate, TrustCard
from workbench.calibrate.trust.convergence import ESS, RHAT, convergence, gates

GATES = ["chains agree", "enough draws", "few divergences", "solves", "sampling complete"]
OTHERS = ["mode agreement", "data quality", "enough readings", "predictive fit", "prior agreement", "identifiability"]
STUDIES = ["discrepancy", "simulation-based calibration"]


def made(draws: np.ndarray, *, divergences: int = 0, **attrs) -> Calibration:
    """Return a calibration with given draws (chains, draws) of one parameter beside a well mixed one."""
    rng = np.random.default_rng(0)
    lead = {"chain": np.arange(draws.shape[0]), "draw": np.arange(draws.shape[1])}
    dims = ("chain", "draw")
    data = {"k": (dims, draws, {"units": "1/h"}), "good": (dims, rng.normal(size=draws.shape))}
    posterior = xr.Dataset(data, lead, {"model": "Room", "draws_asked": draws.shape[1]} | attrs)
    diverging = np.zeros(draws.size, dtype=bool)
    diverging[:divergences] = True
    statistics = xr.Dataset({"diverging": (dims, diverging.reshape(draws.shape))}, lead)
    return Calibration(xr.DataTree.from_dict({"posterior": posterior, "sample_stats": statistics}))


def mixed(chains: int = 4, draws: int = 1000) -> np.ndarray:
    return np.random.default_rng(1).normal(3.0, 2.0, size=(chains, draws))


def sticky() -> np.ndarray:
    """Return chains that agree and move so slowly that they hold few independent draws."""
    rng = np.random.default_rng(2)
    steps, path = rng.normal(size=(4, 4000)), np.zeros((4, 4000))
    for k in range(1, 4000):
        path[:, k] = 0.97 * path[:, k - 1] + steps[:, k]
    return path


FAULTS = {
    "apart": (made(mixed() + 5 * np.arange(4)[:, None]), {"chains agree", "enough draws"}),
    "one chain apart": (made(mixed() + np.array([[0], [0], [0], [1.2]])), {"chains agree"}),
    "few draws": (made(mixed(draws=60)), {"enough draws"}),
    "sticky": (made(sticky()), {"enough draws"}),
    "stuck": (made(np.full((4, 1000), 2.0)), {"chains agree"}),
    "not a number": (made(np.where(mixed() > 9, np.nan, mixed())), {"chains agree", "enough draws"}),
    "divergences": (made(mixed(), divergences=5), {"few divergences"}),
    "interrupted": (made(mixed(), interrupted=1, draws_asked=5000), {"sampling complete"}),
    "one chain": (made(mixed(chains=1, draws=4000)), {"chains agree"}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_shows_wherever_the_result_does(fault):
    calibration, names = FAULTS[fault]
    card = calibration.trust
    assert [gate.name for gate in card.gates] == GATES + OTHERS + STUDIES
    doubted = {gate.name for gate in card.gates[:5] if gate.verdict != "passed"}
    assert names <= doubted
    if fault not in ("apart", "sticky", "stuck", "one chain apart"):
        assert doubted == names
    assert not card.passed
    verdicts = calibration.summary()["verdict"]
    assert (verdicts != "ok").all()
    for name in doubted:
        assert verdicts.str.contains(name).all()
    shown = [repr(calibration), calibration._repr_html_()]
    assert all("NOT TO BE TRUSTED" in text for text in shown)
    for gate in card.gates[:5]:
        if gate.verdict != "passed":
            assert gate.says in repr(calibration)
            assert f"{gate.verdict:8s} {gate.name}: {gate.says}" in str(card)
    assert "&#10007;" in card._repr_html_()
    assert json.loads(json.dumps(card.to_dict()))["passed"] is False


def test_a_good_posterior_passes():
    calibration = lynx_hare()
    card = calibration.trust
    assert card.passed, card
    assert set(calibration.summary()["verdict"]) == {"ok"}
    assert "TRUSTED" not in repr(calibration) + calibration._repr_html_()
    assert "&#10007;" not in card._repr_html_()
    assert card.failures == ()
    assert {gate.name for gate in card.gates if gate.verdict == "not run"} == set(STUDIES)
    assert json.loads(card.to_json())["passed"] is True


def test_no_gate_passes_by_not_being_run():
    bare = made(mixed())
    assert all(gate.verdict == "passed" for gate in bare.trust.gates[:5])
    assert {gate.verdict for gate in bare.trust.gates[5:]} == {"not run"}
    assert not bare.trust.passed
    assert [gate.name for gate in bare.trust.doubts] == OTHERS
    assert "'predictive fit' not run" in bare.summary()["verdict"].iloc[0]


def test_a_card_goes_through_json_and_is_escaped():
    nan = float("nan")
    card = TrustCard(
        (Gate("a", "failed", 2.0, 1.0, "x < y & z"), Gate("b", "not run", nan, nan, "run it", wanted=False))
    )
    back = TrustCard.from_json(card.to_json())
    assert back.gates[0] == card.gates[0]
    assert (back.gates[1].verdict, back.gates[1].wanted, back.passed) == ("not run", False, False)
    assert np.isnan(back.gates[1].figure)
    assert "x &lt; y &amp; z" in card._repr_html_()
    assert card.reason == "'a' failed"


def test_figures_stand_beside_their_thresholds():
    apart = {gate.name: gate for gate in FAULTS["apart"][0].trust.gates}
    assert apart["chains agree"].figure > 2 > apart["chains agree"].threshold == RHAT
    few = {gate.name: gate for gate in FAULTS["few draws"][0].trust.gates}["enough draws"]
    assert few.figure < few.threshold == ESS
    assert f"{few.figure:.0f}, below {ESS}" in few.says
    assert "of 5000 draws" in str(FAULTS["interrupted"][0].trust)
    assert "5 of 4000 transitions diverged, more than 4" in str(FAULTS["divergences"][0].trust)
    rare = made(mixed(), divergences=4)
    assert rare.trust.gates[2].verdict == "passed"
    assert "4 of 4000 transitions diverged, at most 4" in str(rare.trust)
    assert "7 proposals" in str(made(mixed(), failed_evaluations=7).trust)


@pytest.mark.parametrize(
    "wrong", [mixed() + 5 * np.arange(4)[:, None], np.full((4, 1000), 2.0)], ids=["apart", "stuck"]
)
def test_the_worst_of_a_vector_counts(wrong):
    posterior = xr.Dataset({"k": (("chain", "draw", "unit"), np.stack([mixed(), wrong, mixed()], axis=-1))})
    statistics = xr.Dataset({"diverging": (("chain", "draw"), np.zeros((4, 1000), dtype=bool))})
    assert gates(posterior, statistics)[0].verdict == "failed"
    assert all(gate.verdict == "passed" for gate in gates(posterior.isel(unit=[0, 2]), statistics))
    assert not convergence(posterior)["k"].sel(statistic="r_hat").isel(unit=1) <= 1.5


def test_r_hat_by_its_definition():
    # Gelman-Rubin on split, rank-normalised chains and on their folds: the larger of the two (Vehtari et al. 2021)
    from scipy.stats import norm, rankdata

    def rhat(z):
        halves = np.concatenate([z[:, :500], z[:, 500:]])
        n = halves.shape[1]
        scores = norm.ppf((rankdata(halves).reshape(halves.shape) - 3 / 8) / (halves.size + 1 / 4))
        within, between = scores.var(axis=1, ddof=1).mean(), n * scores.mean(axis=1).var(ddof=1)
        return np.sqrt(((n - 1) / n * within + between / n) / within)

    draws = mixed() + np.array([[0], [0], [0], [0.6]])
    expected = max(rhat(draws), rhat(np.abs(draws - np.median(draws))))
    found = float(made(draws).trust.gates[0].figure)
    assert found == pytest.approx(expected, abs=2e-4)


def test_a_summary_by_numpy():
    draws = mixed()
    row = made(draws).summary().loc["k"]
    np.testing.assert_allclose(row[["mean", "sd"]].astype(float), [draws.mean(), draws.std(ddof=1)], rtol=1e-12)
    ends = row[["eti89_lb", "eti89_ub"]].astype(float)
    np.testing.assert_allclose(ends, np.quantile(draws, [0.055, 0.945]), rtol=1e-12)
    assert row["units"] == "1/h"
    assert made(draws).summary().loc["good", "units"] == "1"
