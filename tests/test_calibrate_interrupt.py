"""Stopping a run returns what was drawn, and nobody can mistake it for a whole one."""

import os
import signal

import numpy as np
import pytest
from calibrations import lynx_hare_data
from models import LynxHare

import workbench as wb
from workbench.base.errors import SamplingError
from workbench.calibrate.sampling.progress import Progress
from workbench.calibrate.sampling.sample import FEWEST

LONG = 200_000


@pytest.fixture
def interrupt_at(monkeypatch):
    """Press Ctrl-C as soon as every chain has taken this many steps, tuning included."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # below a shell's `&` it would be ignored

    def arm(steps: int) -> list[int]:
        pressed = []  # how far the fastest chain was

        def chains(self, progress):
            if not pressed and min(chain.finished_draws for chain in progress) >= steps:
                pressed.append(max(chain.finished_draws for chain in progress))
                os.kill(os.getpid(), signal.SIGINT)

        monkeypatch.setattr(Progress, "chains", chains)
        return pressed

    yield arm
    signal.signal(signal.SIGINT, before)


def test_what_was_drawn_comes_back_and_is_marked(interrupt_at):
    pressed = interrupt_at(300)
    calibration = wb.calibrate(LynxHare(), lynx_hare_data(), draws=LONG, tune=200, seed=1, progress=False)
    assert pressed[0] < LONG  # chains run side by side, however few the cores
    sizes = calibration.posterior.sizes
    assert sizes["chain"] == 4
    assert FEWEST <= sizes["draw"] < LONG
    for group in ("posterior", "sample_stats", "posterior_predictive", "log_likelihood"):
        assert calibration.tree[group].sizes["draw"] == sizes["draw"]
        assert all(np.isfinite(v).all() for v in calibration.tree[group].data_vars.values()), group
    assert calibration.posterior.attrs["interrupted"] == 1
    says = f"sampling was interrupted after {sizes['draw']} of {LONG} draws a chain"
    assert not calibration.trust.passed
    assert "sampling complete" in [gate.name for gate in calibration.trust.failures]
    assert says in str(calibration.trust)
    assert says in repr(calibration)
    assert says in calibration._repr_html_()
    assert calibration.summary()["verdict"].str.contains("'sampling complete' failed").all()
    forecast = wb.forecast(calibration, [1921.0], seed=1)
    assert forecast.sizes["draw"] == sizes["draw"]


def test_too_early_there_is_nothing_to_return(interrupt_at):
    interrupt_at(50)
    with pytest.raises(SamplingError, match=rf"got an interruption .*; expected at least {FEWEST} draws|while tuning"):
        wb.calibrate(LynxHare(), lynx_hare_data(), draws=10, tune=LONG, seed=1, progress=False)


def test_the_fewest_draws_in_more_chains(capsys):
    calibration = wb.calibrate(LynxHare(), lynx_hare_data(), draws=FEWEST, tune=30, chains=6, seed=1, progress=False)
    assert calibration.posterior.sizes == {"chain": 6, "draw": FEWEST}
    assert calibration.posterior.attrs["interrupted"] == 0
    assert "'enough draws' failed" in calibration.summary()["verdict"].iloc[0]
    assert capsys.readouterr().out == ""


def test_what_is_said_meanwhile(capsys):
    wb.calibrate(LynxHare(), lynx_hare_data(), draws=20, tune=50, chains=2, seed=1, progress=True)
    said = capsys.readouterr().out
    phases = ["compiling the model", "looking for a start", "sampling 2 chains of 50 + 20 draws", "predicting the data"]
    places = [said.index(f"workbench | {phase}: ") for phase in phases]
    assert places == sorted(places)


class Watched(Progress):
    """Somebody in another thread, who stops the run as soon as there are draws to look at."""

    glance = 0.02

    def __init__(self, enough: int):
        super().__init__(show=False)
        self.enough, self.seen = enough, dict[str, tuple[int, ...]]()

    def look(self, draws):
        self.seen = {name: values.shape for name, values in draws().items()}
        if self.seen and min(shape[1] for shape in self.seen.values()) >= self.enough:
            self.stop()


def test_another_thread_sees_the_draws_and_stops_the_run():
    watched = Watched(enough=50)
    calibration = wb.calibrate(LynxHare(), lynx_hare_data(), draws=LONG, tune=200, seed=1, progress=watched)
    assert calibration.posterior.attrs["interrupted"] == 1
    assert {"alpha", "hare_start", "hare_pelts_sigma"} <= watched.seen.keys()
    assert watched.seen["alpha"][0] == 4
    assert 50 <= watched.seen["alpha"][1] <= calibration.posterior.sizes["draw"] < LONG


def test_watching_changes_no_number():
    alone, watched = (
        wb.calibrate(LynxHare(), lynx_hare_data(), draws=100, tune=200, chains=2, seed=1, progress=progress)
        for progress in (False, Watched(enough=LONG))
    )
    assert alone.posterior.drop_attrs().equals(watched.posterior.drop_attrs())


def test_stopped_before_a_draw_there_is_nothing():
    stopped = Watched(enough=1)
    stopped.stop()
    with pytest.raises(SamplingError, match="stopped before a draw was taken"):
        wb.calibrate(LynxHare(), lynx_hare_data(), seed=1, progress=stopped)
