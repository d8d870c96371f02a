"""Ranks of truths are uniform where a posterior is right, leave their band where it is not, and survive a kill."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import xarray as xr
from calibrations import DRIFT, Level, density_of
from models import LynxHare

import workbench as wb
from workbench.base.errors import ParameterError, SamplingError, StoreError
from workbench.calibrate.problem import pose
from workbench.calibrate.sampling.start import draw_free
from workbench.calibrate.sbc import crew
from workbench.calibrate.sbc import replicate as replicating
from workbench.calibrate.sbc.fingerprint import fingerprint
from workbench.calibrate.sbc.ranks import Uniform, share_interval
from workbench.calibrate.sbc.replicate import Study, draw_truth, read_again, replicate
from workbench.calibrate.sbc.sbc import KEPT, SBC, gate, gathered

DESIGN = pd.DataFrame({"time": np.arange(6.0), "y": [1.0, 1.0, 1.0, 1.0, 1.0, np.nan]})
DRAWS = 250


class Line(wb.Ode):
    """A line, all of which is unknown."""

    time_unit = "h"
    x = wb.State("mg", start=wb.prior.Normal(mu=5.0, sigma=3.0))
    drift = wb.Parameter("mg/h", prior=wb.prior.Normal(mu=0.5, sigma=1.0))
    y = wb.Output("mg", noise=wb.noise.Normal(sigma=wb.prior.LogNormal(median=1.0, sigma=0.5)))

    def rhs(self, t, x, u, p):
        return {"x": p.drift}

    def observe(self, t, x, u, p):
        return {"y": x.x}


class WrongSign(Line):
    """Its density is of another equation than its readings."""

    def rhs(self, t, x, u, p):
        return {"x": -p.drift}


class WrongNoise(Line):
    """Its density is of another noise than its readings."""

    y = wb.Output("mg", noise=wb.noise.StudentT(nu=1.0, sigma=wb.prior.LogNormal(median=1.0, sigma=0.5)))


class HalfPrior(Line):
    """Its density leaves out half of the prior."""

    drift = wb.Parameter("mg/h", prior=wb.prior.TruncatedNormal(mu=0.5, sigma=1.0, lower=0.5))


def study(model, design=DESIGN, *, seed=1, draws=DRAWS) -> Study:
    return Study(pose(model, design), draws=draws, seed=seed)


def made(of: Study, numbers) -> SBC:
    numbers = list(numbers)
    about = {"seed": of.seed, "draws": of.draws, "n": len(numbers), "fingerprint": fingerprint(of.problem)}
    return SBC(gathered(of.problem, [replicate(of, number) for number in numbers], about))


@pytest.fixture(scope="module")
def right() -> SBC:
    """A study of the line, in this process."""
    return made(study(Line()), range(110))


# -- bands ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "highest"), [(3, 2), (4, 3), (2, 6)])
def test_probabilities_of_bands_are_those_of_all_possible_ranks(count, highest):
    law = Uniform(count, highest)
    every = [law.counts(np.array(ranks)) for ranks in itertools.product(range(highest + 1), repeat=count)]
    farthest = np.array([law.tails[np.arange(highest), counts].min() for counts in every])
    for tail in np.unique(farthest):
        np.testing.assert_allclose(law.inside(tail), np.mean(farthest > tail), atol=1e-12)
    for ranks in ([0] * count, [highest] * count, list(range(count))[:count]):
        ranks = np.minimum(ranks, highest)
        here = law.tails[np.arange(highest), law.counts(ranks)].min()
        np.testing.assert_allclose(law.p_value(ranks), np.mean(farthest <= here), atol=1e-12)


@pytest.mark.parametrize(("count", "highest"), [(50, 99), (300, 99), (150, 24)])
def test_uniform_ranks_leave_the_band_once_in_a_hundred(count, highest):
    law, rng = Uniform(count, highest), np.random.default_rng(count)
    low, high = law.band(0.99)
    ranks = rng.integers(0, highest + 1, (20_000, count))
    inside = np.array([((low <= c) & (c <= high)).all() for c in map(law.counts, ranks)])
    left = int((~inside).sum())
    # at most 1 %, hardly less, as there are many ways to leave
    assert scipy.stats.binomtest(left, inside.size, 0.01, alternative="greater").pvalue > 1e-3
    assert left / inside.size > 0.007
    for k in (*np.flatnonzero(~inside)[:5], *np.flatnonzero(inside)[:20]):
        assert (law.p_value(ranks[k]) > 0.01) == inside[k]


def test_p_values_of_uniform_ranks_are_spread_evenly():
    law, rng = Uniform(100, 99), np.random.default_rng(3)
    values = np.array([law.p_value(rng.integers(0, 100, 100)) for _ in range(400)])
    for share in (0.05, 0.2, 0.5, 0.8):
        assert scipy.stats.binomtest(int((values <= share).sum()), values.size, share).pvalue > 1e-3
    np.testing.assert_allclose(Uniform(100, 99).inside(0.0), 1.0, atol=1e-12)
    assert Uniform(100, 99).inside(0.5) < 1e-12


def test_shares_have_exact_intervals():
    for successes, trials in ((0, 20), (3, 20), (268, 300), (300, 300)):
        exact = scipy.stats.binomtest(successes, trials).proportion_ci(0.95, method="exact")
        np.testing.assert_allclose(share_interval(successes, trials), (exact.low, exact.high), atol=1e-12)


# -- replicates ----------------------------------------------------------------------------------------------------


def test_truths_stand_where_the_known_posterior_has_them():
    of = study(Level(), draws=2000)
    times = DESIGN["time"].values[:5]
    for number in range(4):
        record = replicate(of, number)
        stream = np.random.SeedSequence(of.seed, spawn_key=(number,)).spawn(1)[0]
        truth = draw_truth(of.problem, np.random.default_rng(stream))
        readings = truth.readings["y"]
        precision = 1 / 10.0**2 + 5 / 2.0**2
        mean = (5.0 / 10.0**2 + (readings[:5] - DRIFT * times).sum() / 2.0**2) / precision
        start, to_come = truth.variables["x_start"].item(), readings[5]
        exact = scipy.stats.norm(mean, precision**-0.5).cdf(start)
        ahead = scipy.stats.norm(mean + DRIFT * 5, (1 / precision + 4.0) ** 0.5).cdf(to_come)
        for count, share in ((record["below"]["x_start"], exact), (record["predicted"]["y 5"], ahead)):
            assert abs(count - KEPT * share) <= 4 * np.sqrt(KEPT * share * (1 - share)) + 1
        assert abs(record["ranks"]["x_start"] - record["below"]["x_start"] / 4) < 15


def test_readings_come_from_the_design_and_nothing_else():
    of = study(Line())
    truth = draw_truth(of.problem, np.random.default_rng(1))
    assert truth.readings["y"].shape == (6,)
    again = read_again(of.problem, truth.readings)
    np.testing.assert_array_equal(again.measured["y"], np.arange(5))
    np.testing.assert_array_equal(again.readings("y"), truth.readings["y"][:5])
    other = study(Line(), DESIGN.assign(y=7 * DESIGN["y"]))
    np.testing.assert_array_equal(replicate(of, 3)["ranks"]["drift"], replicate(other, 3)["ranks"]["drift"])


def test_populations_are_drawn_with_their_whole_spread():
    problem, _, _ = density_of("levels")
    drawn = draw_free(problem, np.random.default_rng(5), 2000, narrow=False)
    half = 0.5 * (scipy.stats.norm.ppf(0.84) - scipy.stats.norm.ppf(0.16)) * 10.0
    assert scipy.stats.kstest(drawn["x_start_sd"], scipy.stats.halfnorm(scale=half).cdf).pvalue > 1e-3
    offsets = (drawn["x_start"] - drawn["x_start_pop"][:, None]) / drawn["x_start_sd"][:, None]
    assert scipy.stats.kstest(offsets.ravel(), "norm").pvalue > 1e-3


def test_truths_without_possible_readings_are_drawn_anew_and_counted():
    class Sometimes(Line):
        y = wb.Output("mg", noise=wb.noise.LogNormal(sigma=0.2))
        x = wb.State("mg", start=wb.prior.Normal(mu=0.0, sigma=1.0))
        drift = wb.Parameter("mg/h", value=0.0)

    of = study(Sometimes())
    tries = [draw_truth(of.problem, np.random.default_rng(seed)) for seed in range(40)]
    assert all(truth.variables["x_start"].item() > 0 for truth in tries)
    assert 60 <= sum(truth.tries for truth in tries) <= 110  # half of all draws are below zero

    class Never(Sometimes):
        x = wb.State("mg", start=wb.prior.Normal(mu=-10.0, sigma=1.0))

    record = replicate(study(Never()), 0)
    assert record["status"].startswith("not sampled: Never: got no possible readings from 200 draws of the prior")


# -- what a study says ---------------------------------------------------------------------------------------------


def test_a_right_posterior_passes(right):
    assert right.replicates == 110
    assert list(right.p_values) == ["drift", "x_start", "y_sigma", "log likelihood"]
    assert min(right.p_values.values()) > 0.01
    assert (right.gate.verdict, right.gate.threshold) == ("passed", pytest.approx(0.01))
    assert "90 % intervals cover the truth in" in right.gate.says
    covered = right.coverage()
    for (name, mass), row in covered.iterrows():
        if name != "parameters" and not name.startswith("predictions"):
            below = right.data["below"].sel(quantity=name).values
            inside = (below >= 200 - 2 * mass) & (below <= 199 + 2 * mass)
            assert row["share"] == pytest.approx(inside.mean())
        assert row["low"] <= row["share"] <= row["high"]
    assert abs(covered.loc[("parameters", 90), "share"] - 0.9) < 0.06
    assert abs(covered.loc[("predictions of y", 90), "share"] - 0.9) < 0.09
    assert "110 of 110 replicates" in repr(right)
    assert "<table" in right._repr_html_()


@pytest.mark.parametrize(
    ("fault", "strays", "count"),
    [
        (WrongSign, "drift", 40),
        pytest.param(WrongNoise, "y_sigma", 110, marks=pytest.mark.slow),  # five readings say little of their tails
        pytest.param(HalfPrior, "drift", 40, marks=pytest.mark.slow),
    ],
    ids=["sign", "noise", "prior"],
)
def test_a_planted_error_leaves_the_band(monkeypatch, fault, strays, count):
    build = replicating.build
    monkeypatch.setattr(replicating, "build", lambda problem: build(replace(problem, model=fault())))
    wrong = made(study(Line()), range(count))
    assert wrong.p_values[strays] < 1e-4
    assert wrong.p_value < 1e-3
    assert not wrong.table().loc[strays, "within"]


def test_a_posterior_that_is_the_prior_is_seen_by_its_log_likelihood_alone(monkeypatch, right):
    ranks = right.data["rank"].copy()
    ranks.loc[{"quantity": "log likelihood"}] = 99  # as when draws never look at the data
    blind = SBC(right.data.assign(rank=ranks))
    assert blind.gate.verdict == "failed"
    assert "log likelihood" in blind.gate.says
    assert "drift" not in blind.gate.says
    assert "are not uniform over 110 simulated data sets" in blind.gate.says


def test_replicates_without_ranks_are_counted_and_fail_the_gate(right):
    status = right.data["status"].values.astype(object)
    status[:6] = "not sampled: no finite density"
    lossy = SBC(right.data.assign(status=("replicate", status.astype(str))))
    assert lossy.replicates == 104
    assert lossy.failures == {"not sampled: no finite density": 6}
    assert "6 without ranks (not sampled: no finite density)" in repr(lossy)
    assert lossy.gate.verdict == "failed"
    assert "6 of 110 replicates have no ranks" in lossy.gate.says
    apart = right.data["r_hat"].copy()
    apart[:20] = 1.5
    assert SBC(right.data.assign(r_hat=apart)).gate.verdict == "failed"
    few = SBC(right.data.isel(replicate=slice(0, 40)))
    assert (few.gate.verdict, "40 replicates say little" in few.gate.says) == ("not run", True)


def test_the_card_takes_a_study_of_the_same_design_only(right, tmp_path):
    data = DESIGN.assign(y=[4.0, 6.0, 6.5, 7.0, 9.0, np.nan])
    calibration = wb.calibrate(Line(), data, draws=200, tune=200, chains=2, seed=1, progress=False)
    assert gate(calibration).verdict == "not run"
    known = calibration.with_sbc(right)
    assert gate(known) == right.gate
    assert right.gate.says in [one.says for one in known.trust.gates]
    known.save(tmp_path / "line.nc")
    assert gate(wb.Calibration.open(tmp_path / "line.nc")) == right.gate
    with pytest.raises(ParameterError, match="another model, design, inputs or pooling"):
        wb.calibrate(Level(), data, draws=200, tune=200, chains=2, seed=1, progress=False).with_sbc(right)


def test_fingerprints_tell_designs_apart():
    one = fingerprint(pose(Line(), DESIGN))
    assert fingerprint(pose(Line(), DESIGN.assign(y=5 * DESIGN["y"]))) == one
    assert fingerprint(pose(Line(), DESIGN.iloc[:5])) == one  # what is not measured says nothing
    assert fingerprint(pose(Line(), DESIGN.iloc[:4])) != one
    assert fingerprint(pose(Line(), DESIGN.assign(time=DESIGN["time"] * 2))) != one
    assert fingerprint(pose(Level(), DESIGN)) != one
    fleet = pd.concat([DESIGN.assign(unit="a"), DESIGN.assign(unit="b")])
    pooled = {way: fingerprint(pose(Line(), fleet, pool={"drift": way})) for way in ("complete", "none", "partial")}
    assert len({one, *pooled.values()}) == 4


# -- processes and stores ------------------------------------------------------------------------------------------


def test_a_study_is_the_same_in_processes_and_goes_on_from_its_store(tmp_path, monkeypatch):
    store = tmp_path / "line.jsonl"
    first = wb.sbc(Line(), DESIGN, n=4, draws=DRAWS, seed=1, store=store, progress=False)
    lines = store.read_text().splitlines()
    assert len(lines) == 5
    store.write_text("\n".join(lines[:4]) + "\n" + lines[4][:40])  # as a kill leaves it
    monkeypatch.setattr(crew, "cores", lambda: 1)
    second = wb.sbc(Line(), DESIGN, n=5, draws=DRAWS, store=store, progress=False)
    assert second.data.attrs["seed"] == 1
    kept = [json.loads(line) for line in store.read_text().splitlines()[1:]]
    assert sorted(record["replicate"] for record in kept) == list(range(5))
    assert kept[:3] == [json.loads(line) for line in lines[1:4]]
    here = made(study(Line()), range(5))
    for name in ("rank", "below", "predicted_below"):
        np.testing.assert_array_equal(second.data[name], here.data[name])
        np.testing.assert_array_equal(first.data[name], here.data[name][:4])
    for other, match in (
        ({"seed": 2}, "with seed 1"),
        ({"draws": 500}, "with draws 250"),
        ({"model": Level()}, "with model 'Line'|another model"),
        ({"design": DESIGN.iloc[:3]}, "another model, design"),
    ):
        given = {"model": Line(), "design": DESIGN, "n": 5, "draws": DRAWS} | other
        with pytest.raises(StoreError, match=match):
            wb.sbc(given.pop("model"), given.pop("design"), store=store, progress=False, **given)
    store.write_text("time,y\n1,2\n")
    with pytest.raises(StoreError, match=r"expected a store of wb\.sbc"):
        wb.sbc(Line(), DESIGN, n=5, store=store, progress=False)


def test_a_process_that_dies_is_counted_and_one_that_cannot_begin_said(monkeypatch):
    monkeypatch.setattr(crew, "cores", lambda: 1)
    dies = (
        "import sys; sys.path[:] = {path!r}; from workbench.calibrate.sbc import crew; import os\n"
        "crew.replicate = lambda study, number: os._exit(7) if number == 1 else dict(replicate=number, status='ok')\n"
        "crew.serve()"
    )
    monkeypatch.setattr(crew, "_CODE", dies)
    records = {record["replicate"]: record for record in crew.work_off(study(Line()), DESIGN, range(4))}
    assert records.pop(1)["status"] == "its process died (exit code 7)"
    assert {record["status"] for record in records.values()} == {"ok"}
    monkeypatch.setattr(crew, "_CODE", "import sys; sys.exit(3)")
    with pytest.raises(SamplingError, match=r"a process that cannot begin \(exit code 3\)"):
        list(crew.work_off(study(Line()), DESIGN, range(4)))


def test_bad_input():
    class Improper(Line):
        drift = wb.Parameter("mg/h", prior=wb.prior.Flat())

    with pytest.raises(
        ParameterError, match=r"Improper: got the improper prior Flat\(\) of 'drift'; expected a proper"
    ):
        wb.sbc(Improper(), DESIGN)
    for wrong in ({"n": 0}, {"n": 2.5}, {"draws": 100}, {"seed": -1}):
        with pytest.raises(ParameterError, match="expected a whole number of at least"):
            wb.sbc(Line(), DESIGN, **wrong)
    problem = pose(Line(), DESIGN)
    with pytest.raises(SamplingError, match=r"got no replicate with a posterior \(not sampled: why\)"):
        gathered(problem, [{"replicate": 0, "status": "not sampled: why"}], {})


def test_the_picture_shows_what_strays(right):
    from workbench.report.sbc import rank_differences
    from workbench.report.style import BLUE, RED

    ranks = right.data["rank"].copy()
    ranks.loc[{"quantity": "drift"}] = ranks.sel(quantity="drift") // 2
    fig = rank_differences(SBC(right.data.assign(rank=ranks)))
    titles = {ax.get_title().split(" ")[0]: ax for ax in fig.axes if ax.get_visible()}
    assert list(titles) == ["drift", "x_start", "y_sigma", "log"]
    assert [ax.lines[-1].get_color() for ax in titles.values()] == [RED, BLUE, BLUE, BLUE]
    x, y = titles["x_start"].lines[-1].get_data()
    k = 30
    share = (right.ranks["x_start"] < k).mean() - k / 100
    assert (x[k], y[k]) == (pytest.approx(k / 100), pytest.approx(share))


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on(tmp_path):
    store, script = tmp_path / "killed.jsonl", tmp_path / "run.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import workbench as wb\nfrom test_sbc import DESIGN, DRAWS, Line\n"
        f"wb.sbc(Line(), DESIGN, n=300, draws=DRAWS, seed=1, store={str(store)!r}, progress=False)\n"
    )
    process = subprocess.Popen(
        [sys.executable, str(script)], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    )
    deadline = time.monotonic() + 120
    while not store.exists() or store.read_text().count("\n") < 6:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = store.read_text().count("\n") - 1
    assert 5 <= done < 300
    after = wb.sbc(Line(), DESIGN, n=done + 2, draws=DRAWS, store=store, progress=False)
    assert after.replicates == done + 2
    np.testing.assert_array_equal(after.data["rank"][:3], made(study(Line()), range(3)).data["rank"])


@pytest.mark.slow
def test_lynx_and_hare_are_calibrated():
    years = np.arange(1900.0, 1926.0)
    readings = np.where(years <= 1920, 10.0, np.nan)
    design = xr.Dataset({f"{name}_pelts": ("time", readings) for name in ("hare", "lynx")}, {"time": years})
    found = wb.sbc(LynxHare(), design, n=50, seed=3, progress=False)
    assert found.replicates >= 49
    assert found.p_value > 0.01
    covered = found.coverage()
    for what in ("parameters", "predictions of hare_pelts", "predictions of lynx_pelts"):
        row = covered.loc[(what, 90)]
        assert row["low"] - 0.01 <= 0.9 <= row["high"] + 0.01, what
