"""Condition of bridges from one inspection to the next: slow decline, surprises, and works that undo it.

The Bridge Condition Index of Ontario is the share of a bridge's value that its elements still have: all excellent is
100, all good 75, all fair 40, all poor 0. With shares E, G, F, P of the value in these states,

    B = 100 E + 75 G + 40 F + 0 P = 75 + 25 E - 35 F - 75 P                                (1)

Elements leave a state at a constant rate, as in Markov chains of bridge management: dE/dt = -decay E, and few leave the
good state a year, so that what is lost below 75 is a rate of its own, larger for old bridges:

    dB/dt = -decay max(B - 75, 0) - loss,  loss = rate exp(ageing (age - 40 yr))           (2)
    B(t)  = 75 + (B0 - 75 + loss / decay) exp(-decay t) - loss / decay   while B > 75      (3)
    B(t)  = 75 - loss (t - t75),  t75 = log(1 + decay (B0 - 75) / loss) / decay  after     (4)

An inspection reads it anew, and finds elements in other states than the last: the next reading is B(t) plus a surprise
that stays, with heavy tails, by what the last reading was:

    B1 = B(t) + e,  e ~ Student t (nu, sigma) by the class of B0               (5)

with classes new (B0 from 76 on), sound (74 to 76), good (70 to 74) and fair (below 70). Works are seen as a rise by
more than 5 points. They are done the more often the worse a bridge is, and give back

    P(works before the next inspection) = o / (1 + o),  o = works exp(urgency (70 - B0))   (6)
    B1 = B0 + 5 + excess,  excess ~ LogNormal(median gain (100 - B0), sigma)               (7)

Sources
-------
Equation 1, and limits of good (70) and fair (60): Ministry of Transportation of Ontario (2009). Bridge Condition Index;
Ontario Structure Inspection Manual (2008). Equation 2: Thompson PD, Johnson MB (2005). Markovian bridge deterioration:
developing models from historical data. Struct. Infrastruct. Eng. 1, 85-91; Frangopol DM, Kallen MJ, van Noortwijk JM
(2004). Probabilistic models for life-cycle performance of deteriorating structures. Prog. Struct. Eng. Mater. 6,
197-212. Works as resets: van Noortwijk JM, Frangopol DM (2004). Probab. Eng. Mech. 19, 345-359.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.declare import math, noise, prior
from workbench.declare.ode import Map
from workbench.declare.quantity import Input, Output, Parameter, State
from workbench.declare.static import Static

if TYPE_CHECKING:
    import xarray as xr

ALL_GOOD = 75.0  # index of a bridge all of whose elements are good (1)
CLASSES = {"new": 76.0, "sound": 74.0, "good": 70.0, "fair": 0.0}  # lower ends; good from 70 on is the ministry's word
EVERY = 2.0  # years between inspections (yr): Ontario Regulation 104/97
RISE = 5.0  # points between inspections, above which there were works


def declined(before: Any, years: Any, age: Any, p: Any) -> Any:
    """Return the index after `years` without surprises (3, 4), of the `rate`, `decay` and `ageing` in p."""
    loss = p.rate * math.exp(p.ageing * (age - p.middle_age))  # (2)
    above = math.maximum(before - p.all_good, 0.0 * p.all_good)
    good_after = math.log1p(p.decay * above / loss) / p.decay  # t75
    excellent = p.all_good + (above + loss / p.decay) * math.exp(-p.decay * years) - loss / p.decay  # (3)
    good = math.minimum(before, p.all_good) - loss * (years - good_after)  # (4)
    return math.where(years < good_after, excellent, good)


def works_chance(before: Any, p: Any) -> Any:
    """Return the probability of works before the next inspection (6), with `works` and `urgency` in p."""
    return 1.0 / (1.0 + math.exp(p.urgency * (before - p.urgent)) / p.works)


class Inspected(Static):
    """What an inspection finds, given what the one before it found; the unit is a bridge, the time that of a reading.

    - rate: 0.1 to 2 points a year: from 75 to 60, where works are due, in some 8 to 150 years.
    - decay: elements are excellent for 3 to 30 years.
    - ageing: losses double, or halve, in 20 years at the least.
    - sigmas: surprises of some points, an element or two of a bridge in another state.
    - works: in 2 to 20 % of the intervals at 70 points; urgency: odds grow by up to 3 with each 10 points.
    """

    time_unit = "yr"
    rate = Parameter("1/yr", prior=prior.LogNormal(median=0.4, sigma=1.0), long_name="points lost a year at 40 years")
    decay = Parameter("1/yr", prior=prior.LogNormal(median=0.1, sigma=0.7), long_name="rate of excellent elements")
    ageing = Parameter("1/yr", prior=prior.Normal(0.0, 0.02), long_name="growth of the loss with age")
    works = Parameter("1", prior=prior.LogNormal(median=0.07, sigma=0.7), long_name="odds of works at 70")
    urgency = Parameter("1", prior=prior.Normal(0.05, 0.05), long_name="growth of the log odds a point below")
    gain = Parameter("1", prior=prior.LogNormal(median=0.2, sigma=0.7), long_name="share of 100 - B that works undo")
    all_good = Parameter("1", value=ALL_GOOD, long_name="index where all elements are good")
    middle_age = Parameter("yr", value=40.0, long_name="age of the rate")
    urgent = Parameter("1", value=CLASSES["good"], long_name="index at which the odds are those")
    before = Input("1", kind="previous", long_name="index at the inspection before")
    years = Input("yr", kind="previous", long_name="years since that inspection")
    age = Input("yr", kind="previous", long_name="age at that inspection")
    new = Output(
        "1",
        noise=noise.StudentT(nu=prior.LogNormal(median=3.0, sigma=0.7), sigma=prior.HalfNormal(4.0)),
        long_name="index of a bridge that was new",
    )
    sound = Output(
        "1",
        noise=noise.StudentT(nu=prior.LogNormal(median=3.0, sigma=0.7), sigma=prior.HalfNormal(2.0)),
        long_name="index of a bridge that was sound",
    )
    good = Output(
        "1",
        noise=noise.StudentT(nu=prior.LogNormal(median=3.0, sigma=0.7), sigma=prior.HalfNormal(2.0)),
        long_name="index of a bridge that was good",
    )
    fair = Output(
        "1",
        noise=noise.StudentT(nu=prior.LogNormal(median=3.0, sigma=0.7), sigma=prior.HalfNormal(4.0)),
        long_name="index of a bridge that was fair or poor",
    )
    worked = Output("1", noise=noise.Poisson(), long_name="works seen between two inspections")
    excess = Output("1", noise=noise.LogNormal(sigma=prior.HalfNormal(1.5)), long_name="rise by works, above 5 points")

    def observe(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return the medians of what is found, and the mean number of works."""
        after = declined(u.before, u.years, u.age, p)
        return {
            **dict.fromkeys(CLASSES, after),  # (5)
            "worked": works_chance(u.before, p),
            "excess": p.gain * math.maximum(100.0 - u.before, RISE),  # (7), where a rise above 5 is possible
        }


class Inspections(Map):
    """A bridge from inspection to inspection, a step each; chance comes in as inputs.

    Steps are of two years, as the law asks for; where inspections come sooner or later, `years` says it. Its parameters
    are those of `Inspected`; `chances` draws what comes by chance.
    """

    time_unit = "yr"
    dt = EVERY
    rate = Inspected.rate
    decay = Inspected.decay
    ageing = Inspected.ageing
    works = Inspected.works
    urgency = Inspected.urgency
    gain = Inspected.gain
    all_good = Inspected.all_good
    middle_age = Inspected.middle_age
    urgent = Inspected.urgent
    bci = State("1", start=ALL_GOOD, bounds=(0, 100), long_name="Bridge Condition Index")
    age = State("yr", start=40.0, bounds=(0, None), long_name="age")
    years = Input("yr", kind="previous", long_name="years to the next inspection")
    new = Input("1", kind="previous", long_name="surprise of a new bridge")
    sound = Input("1", kind="previous", long_name="surprise of a sound bridge")
    good = Input("1", kind="previous", long_name="surprise of a good bridge")
    fair = Input("1", kind="previous", long_name="surprise of a fair or poor bridge")
    luck = Input("1", kind="previous", long_name="works are done where it is below their probability")
    factor = Input("1", kind="previous", long_name="what works undo, as a multiple of its median")
    index = Output("1", long_name="Bridge Condition Index")

    def step(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return index and age at the next inspection."""
        surprise = u.fair
        for name in ("good", "sound", "new"):
            surprise = math.where(x.bci >= CLASSES[name], getattr(u, name), surprise)
        alone = math.minimum(declined(x.bci, u.years, x.age, p) + surprise, x.bci + RISE)  # (5); above are works
        mended = x.bci + RISE + p.gain * math.maximum(100.0 - x.bci, RISE) * u.factor  # (7)
        after = math.where(u.luck < works_chance(x.bci, p), mended, alone)  # (6)
        return {"bci": math.clip(after, 0.0, 100.0), "age": x.age + u.years}

    def observe(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return what the inspection reads."""
        return {"index": x.bci}


def chances(
    parameters: "xr.Dataset", inspections: int, *, works: bool = True, seed: int = 0
) -> "dict[str, xr.DataArray]":
    """Return what comes by chance, as inputs of `Inspections` over `member` and `time`.

    Parameters
    ----------
    parameters
        Draws of the arguments of noise of `Inspected`, such as `good_nu` and `good_sigma`, over `member`.
    inspections
        How many are to come.
    works
        False: nothing is done to any bridge.
    """
    import xarray as xr

    rng = np.random.default_rng(seed)
    shape = parameters.sizes["member"], inspections
    each = {name: parameters[name].values[:, None] for name in parameters.data_vars}
    made = {k: each[f"{k}_sigma"] * rng.standard_t(each[f"{k}_nu"], size=shape) for k in CLASSES}
    made["luck"] = rng.uniform(size=shape) if works else np.full(shape, 2.0)  # no probability is as large
    made["factor"] = np.exp(each["excess_sigma"] * rng.normal(size=shape))
    return {
        name: xr.DataArray(values, {"time": EVERY * np.arange(inspections)}, ("member", "time"))
        for name, values in made.items()
    }
