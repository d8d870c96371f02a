"""Studies of models with a discrepancy: truths hold a function from its prior, whose values are ranked."""

import numpy as np
import pandas as pd
import pytest
from noisy_models import Ornstein
from test_sbc import Line

import workbench as wb
from workbench.base.errors import ParameterError
from workbench.calibrate.problem import pose
from workbench.calibrate.sbc.replicate import draw_truth

DESIGN = pd.DataFrame({"time": np.linspace(0.0, 12.0, 13), "y": [1.0] * 12 + [np.nan]})
BENT = wb.Discrepancy("y", length_scale=4.0, sigma=wb.prior.HalfNormal(2.0), span={"time": (0.0, 12.0)})


class Wandering(Ornstein):
    """With less spread in its priors, for few readings."""

    x = wb.State("1", start=0.0, noise=wb.prior.LogNormal(median=0.5, sigma=0.3))
    rate = wb.Parameter("1/h", prior=wb.prior.LogNormal(median=0.7, sigma=0.3))
    y = wb.Output("1", noise=wb.noise.Normal(sigma=wb.prior.LogNormal(median=0.3, sigma=0.3)))


def test_truths_hold_the_function():
    problem, rng = pose(Line(), DESIGN, discrepancy=BENT), np.random.default_rng(1)
    left = []
    for _ in range(400):
        truth = draw_truth(problem, rng)
        drift, start = (float(truth.variables[n].item()) for n in ("drift", "x_start"))
        left.append(truth.readings["y"] - start - drift * DESIGN.time.values)
    half_normal, noise = 4.0, np.exp(2 * 0.5**2)  # means of squares: of the SD's prior, and of the noise's
    assert np.var(left, axis=0)[6] == pytest.approx(half_normal + noise, rel=0.25)
    assert np.corrcoef(np.array(left)[:, 5:7].T)[0, 1] > 0.5


def test_a_study_needs_a_prior_that_hangs_on_no_reading():
    with pytest.raises(ParameterError, match=r"got no sigma.*expected one, such as sigma=wb\.prior\.HalfNormal"):
        wb.sbc(Line, DESIGN, n=1, discrepancy=wb.Discrepancy("y"), progress=False)
    with pytest.raises(ParameterError, match=r"got joint=False.*expected joint=True"):
        wb.sbc(Line, DESIGN, n=1, discrepancy=wb.Discrepancy("y", sigma=1.0, joint=False), progress=False)


@pytest.mark.slow
@pytest.mark.parametrize("model", [Line, Wandering])
def test_truths_rank_uniformly(model):
    """Where the function is integrated out, and where a filter knows it; with a study's own processes."""
    result = wb.sbc(model, DESIGN, n=120, discrepancy=BENT, draws=300, seed=3, progress=False)
    assert {"y_discrepancy 0", "y_discrepancy 6", "y_discrepancy 11", "y_discrepancy_sigma"} <= set(result.ranks)
    assert not any("basis" in name for name in result.ranks)
    assert result.failures == {}
    assert result.p_value > 0.01, result.table()
