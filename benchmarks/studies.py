"""Models and designs of simulation-based calibration: a cycle, one patient, a population, a stiff reaction, a ball.

Priors are proper and say what a person knows who could read the data at all. Rows without readings come last: they are
forecast. Oral doses have two explanations of every curve where absorption may be slower than elimination ("flip-flop":
ka and CL / V change places, and V with them), so that the posterior has two modes that no local sampler weighs; here
absorption is the faster of both, by declaration.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

import workbench as wb
from benchmarks.peers.workbench_lynx import LynxHare as Cycle
from benchmarks.peers.workbench_lynx import pelts
from workbench.domains.patients.drug_studies import PUBLISHED, theophylline
from workbench.domains.patients.pharmacokinetics import OneCompartmentOral


class LynxHare(Cycle):
    """Lotka and Volterra's equations with the tolerances that the workbench takes by itself."""

    rtol = 1e-6
    atol = 1e-9


def _around(name: str, sigma: float) -> wb.prior.Prior:
    return wb.prior.LogNormal(mu=PUBLISHED[name].log, sigma=sigma)


class Patient(OneCompartmentOral):
    """One subject before whom others were seen: priors are the population's published median and spread."""

    ka = wb.Parameter("1/h", prior=_around("ka", 0.64), long_name="absorption rate constant beyond elimination's")
    CL = wb.Parameter("L/h", prior=_around("CL", 0.27), long_name="apparent clearance")
    V = wb.Parameter("L", prior=_around("V", 0.13), long_name="apparent volume of distribution")
    conc = wb.Output("mg/L", noise=wb.noise.Normal(sigma=wb.prior.LogNormal(median=0.7, sigma=0.5)))

    def rhs(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return the rates of both amounts, in mg/h."""
        absorbed = (p.ka + p.CL / p.V) * x.gut
        return {"gut": -absorbed, "body": absorbed - p.CL / p.V * x.body}


class Subject(OneCompartmentOral):
    """One of a population of whom others were seen: medians are known to a factor of e or so, the study's error is."""

    ka = wb.Parameter("1/h", prior=_around("ka", 0.5), long_name="absorption rate constant beyond elimination's")
    CL = wb.Parameter("L/h", prior=_around("CL", 0.5), long_name="apparent clearance")
    V = wb.Parameter("L", prior=_around("V", 0.5), long_name="apparent volume of distribution")
    conc = wb.Output("mg/L", noise=wb.noise.Normal(sigma=wb.prior.LogNormal(median=0.7, sigma=0.5)))
    rhs = Patient.rhs


class Robertson(wb.Ode):
    """Three species of which one lives for 30 microseconds; H. H. Robertson (1966); rates known to a factor of 2.7."""

    time_unit = "s"
    y1 = wb.State("1", start=1.0)
    y2 = wb.State("1", start=0.0)
    y3 = wb.State("1", start=0.0)
    k1 = wb.Parameter("1/s", prior=wb.prior.LogNormal(median=0.04, sigma=0.5))
    k2 = wb.Parameter("1/s", prior=wb.prior.LogNormal(median=3e7, sigma=0.5))
    k3 = wb.Parameter("1/s", prior=wb.prior.LogNormal(median=1e4, sigma=0.5))
    reactant = wb.Output("1", noise=wb.noise.LogNormal(sigma=wb.prior.LogNormal(median=0.05, sigma=0.5)))
    catalyst = wb.Output("1", noise=wb.noise.LogNormal(sigma=wb.prior.LogNormal(median=0.05, sigma=0.5)))

    def rhs(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return the rates, per second."""
        decay, pairing, back = p.k1 * x.y1, p.k2 * x.y2**2, p.k3 * x.y2 * x.y3
        return {"y1": back - decay, "y2": decay - back - pairing, "y3": pairing}

    def observe(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return the two shares that are seen."""
        return {"reactant": x.y1, "catalyst": x.y2}


class Ball(wb.Ode):
    """A ball that bounces, its height seen with noise: at each bounce its speed turns and shrinks."""

    time_unit = "s"
    h = wb.State("m", start="height")
    v = wb.State("m/s", start=0.0)
    height = wb.Parameter("m", prior=wb.prior.LogNormal(median=10.0, sigma=0.1))
    g = wb.Parameter("m/s**2", prior=wb.prior.LogNormal(median=9.81, sigma=0.1))
    e = wb.Parameter("1", prior=wb.prior.Beta(alpha=16, beta=4), long_name="restitution")
    bounce = wb.Event("m", direction="falling", long_name="bounces")
    seen = wb.Output("m", noise=wb.noise.Normal(sigma=wb.prior.LogNormal(median=0.2, sigma=0.5)))

    def rhs(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return speed and acceleration."""
        return {"h": x.v, "v": -p.g}

    def observe(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return the height above the floor."""
        return {"seen": x.h}

    def events(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return the height, which falls through zero at a bounce."""
        return {"bounce": x.h}

    def reset(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return the speed after a bounce."""
        return {"bounce": {"v": -p.e * x.v}}


@dataclass(frozen=True)
class Design:
    """A model, what is measured when, what acts on it, and how units share parameters."""

    model: wb.Ode
    data: Any
    inputs: Mapping[str, Any] = field(default_factory=dict)
    pool: Mapping[str, Any] = field(default_factory=dict)
    draws: int = 1000


def _rows(measured: Any, forecast: Any, outputs: tuple[str, ...]) -> pd.DataFrame:
    """Return a table with a reading of every output at the times measured, and none at those forecast."""
    values = np.repeat([1.0, np.nan], [len(measured), len(forecast)])
    return pd.DataFrame({"time": [*measured, *forecast], **dict.fromkeys(outputs, values)})


def lynx_hare() -> Design:
    """Return the pelts of 1900 to 1920, and a forecast of the five years after."""
    years = pelts().time.values
    return Design(LynxHare(), _rows(years, years[-1] + np.arange(1.0, 6.0), ("hare_pelts", "lynx_pelts")))


def _samples(subjects: int) -> tuple[pd.DataFrame, dict[str, Any]]:
    samples, inputs = theophylline()
    names = list(dict.fromkeys(samples["unit"]))[:subjects]
    tables = []
    for name in names:
        times = samples.loc[samples["unit"] == name, "time"]
        tables.append(_rows(times, [30.0, 36.0], ("conc",)).assign(unit=name))
    return pd.concat(tables, ignore_index=True), {"dose": {name: inputs["dose"][name] for name in names}}


def patient() -> Design:
    """Return the samples of the first subject of the theophylline study, and a forecast of the day after."""
    samples, inputs = _samples(1)
    (dose,) = inputs["dose"].values()
    return Design(Patient(), samples.drop(columns="unit"), {"dose": dose})


def population() -> Design:
    """Return the samples of all twelve subjects, partially pooled."""
    samples, inputs = _samples(12)
    among = wb.Partial(sd=wb.prior.HalfNormal(0.5))  # the published SDs of logarithms are 0.64, 0.27 and 0.13
    return Design(Subject(), samples, inputs, dict.fromkeys(("ka", "CL", "V"), among), draws=400)


def robertson() -> Design:
    """Return 13 times from 10 ms to 3 h, and a forecast to 11 days."""
    measured = np.geomspace(1e-2, 1e4, 13)
    rows = _rows([0.0, *measured], [1e5, 1e6], ("reactant", "catalyst"))
    rows.loc[0, ["reactant", "catalyst"]] = np.nan  # where the clock starts; nothing is read
    return Design(Robertson(), rows)


def ball() -> Design:
    """Return 4 s of heights, two or three bounces, and a forecast of the second after."""
    return Design(Ball(), _rows(np.arange(0.0, 4.01, 0.2), [4.5, 5.0], ("seen",)))


DESIGNS = {made.__name__: functools.cache(made) for made in (lynx_hare, patient, robertson, ball, population)}
WORDS = {
    "lynx_hare": "lynx and hare, 21 years",
    "patient": "theophylline, one subject",
    "population": "theophylline, twelve subjects",
    "robertson": "Robertson's stiff reaction",
    "ball": "a bouncing ball",
}
