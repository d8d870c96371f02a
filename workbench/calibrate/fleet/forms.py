"""Centred or non-centred: in which coordinates a population is sampled.

Where readings say more of a unit than its population does, the units' own values (centred) are nearly independent of
the population's SD; where they say less, the distances over that SD (non-centred) are. With b the share of a unit's
information that its readings give, the two converge at the rates 1 - b and b, and are equal at a half
(Papaspiliopoulos, Roberts & Skold, Statistical Science 22 (2007) 59-73). A centred form where b is small is a funnel
(Betancourt & Girolami, in Current Trends in Bayesian Methodology with Applications, 2015, chapter 4).

The choice hangs on model, priors and design, not on the numbers read: so all data sets of one design are one machine
code, and simulation-based calibration studies the form that the calibration has.
"""

import contextlib

import numpy as np
from numpy.typing import NDArray

from workbench.base.errors import DeclarationError
from workbench.calibrate.identify.information import Frame, Point, effect_information
from workbench.calibrate.identify.sensitivity import sensitivities
from workbench.calibrate.problem import Problem
from workbench.declare.simulator import Simulator

Array = NDArray[np.float64]


def choose_forms(problem: Problem) -> dict[str, bool]:
    """Return for each partially pooled parameter whether it is sampled centred.

    It is where its readings' share of information, the mean over units, is at least a half. Arguments of noises are
    centred, as is a parameter of a `wb.Simulator`, whose walkers do not care, and one whose information is not known.
    """
    forms = {name: partial.centred for name, partial in problem.partials.items()}
    open_ = [name for name, form in forms.items() if form is None and name in problem.model.theta]
    shares = dict[str, float]()
    if open_ and not isinstance(problem.model, Simulator):
        with contextlib.suppress(DeclarationError):  # an improper prior, or a noise of unknown information
            shares = shares_of_readings(problem)
    return {name: form if form is not None else bool(shares.get(name, 1.0) >= 0.5) for name, form in forms.items()}


def shares_of_readings(problem: Problem) -> dict[str, float]:
    """Return the share (0 to 1) of what is known of a unit's effect that its readings tell, for each population.

    In units of the population's SD the prior of an effect has the information 1 and the readings F; the share is 1 - v
    with v the diagonal of inv(F + 1), as other effects of the unit are unknown too. It is taken where everything,
    between-unit SDs as well, is at its prior's median: far out in the priors readings say nothing of anything, and
    the shares there are of no use. Empty where the equations cannot be solved at the medians.
    """
    frame = Frame(problem)
    shape = (1, frame.units, len(frame.columns))
    (point,) = frame.points(np.zeros((1, len(frame.coordinates))), np.zeros(shape))
    with np.errstate(all="ignore"):
        ((outputs, slopes),) = sensitivities(problem, point.theta[None], frame.steps(point)[None])
        found = _shares(frame, point, outputs, slopes)
    names = [frame.coordinates[sd].variable.removesuffix("_sd") for _, sd in frame.effects]
    if not np.isfinite(found).all():
        return {}
    return {name: float(np.mean([f for n, f in zip(names, found, strict=True) if n == name])) for name in names}


def _shares(frame: Frame, point: Point, outputs: Array, slopes: Array) -> Array:
    """Return the shares (effects,), the mean over units; NaN where the equations cannot be solved."""
    columns = [column for column, _ in frame.effects]
    own = effect_information(frame, point, outputs, slopes)[:, columns][:, :, columns]
    if not np.isfinite(own).all():
        return np.full(len(columns), np.nan)
    rest = np.linalg.inv(own + np.eye(len(columns)))
    return np.mean(1.0 - np.diagonal(rest, axis1=1, axis2=2), axis=0)
