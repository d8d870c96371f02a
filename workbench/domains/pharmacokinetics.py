"""Pharmacokinetics: a drug swallowed, absorbed and eliminated, and the theophylline study of Upton.

With amounts in the gut $A_g$ and in the body $A$ (mg), the dose an impulse into the gut, and the concentration $C$,

    dA_g/dt = -ka A_g                                                                      (1)
    dA/dt   =  ka A_g - ke A,  ke = CL / V                                                 (2)
    C       =  A / V                                                                       (3)
    C(t)    =  dose ka / (V (ka - ke)) (exp(-ke t) - exp(-ka t))     after one dose        (4)

Without an intravenous dose the absorbed fraction F cannot be told apart: CL and V stand for CL/F and V/F.

Sources
-------
Equation 4, the Bateman function: Duffus JH, Nordberg M, Templeton DM (2007). Glossary of terms used in toxicology. Pure
Appl. Chem. 79, 1153-1344, p. 1174. Its limit at ka = ke: Garrett ER (1994). J. Pharmacokinet. Biopharm. 22, 103-128.
Equations 1 to 3 and steady states of repeated doses: Gibaldi M, Perrier D (1982). Pharmacokinetics, 2nd ed., Marcel
Dekker, chapters 1 and 3.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.base.errors import DataError, nearest
from workbench.base.share import data_file
from workbench.base.tables import in_unit, listed, read_numbers, read_table
from workbench.declare import noise, prior
from workbench.declare.ode import Ode
from workbench.declare.quantity import Input, Output, Parameter, State

if TYPE_CHECKING:
    import pandas as pd


class OneCompartmentOral(Ode):
    """One compartment with first-order absorption: doses are swallowed, one concentration is measured.

    The priors say what is known of any small drug in an adult before this one is looked at; their 90% intervals span
    a factor of 27.

    - ka: absorption half-lives of 8 min to 3.6 h, as of tablets and solutions that release at once.
    - CL: 1 to 26 L/h, from a hundredth to a third of the blood flow of the liver, 90 L/h.
    - V: 8 to 218 L around the body's water, 42 L: from little more than blood to stores in tissue.
    - sigma: errors below 4 mg/L, where concentrations reach some 10 mg/L.
    """

    time_unit = "h"
    gut = State("mg", start=0.0, bounds=(0, None), long_name="amount in the gut")
    body = State("mg", start=0.0, bounds=(0, None), long_name="amount in the body")
    ka = Parameter("1/h", prior=prior.LogNormal(median=1.0, sigma=1.0), long_name="absorption rate constant")
    CL = Parameter("L/h", prior=prior.LogNormal(median=5.0, sigma=1.0), long_name="apparent clearance")
    V = Parameter("L", prior=prior.LogNormal(median=42.0, sigma=1.0), long_name="apparent volume of distribution")
    dose = Input("mg", kind="impulse", into="gut", long_name="dose")
    conc = Output("mg/L", noise=noise.Normal(sigma=prior.HalfNormal(2.0)), long_name="concentration in serum")

    def rhs(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return the rates of both amounts, in mg/h."""
        absorbed = p.ka * x.gut
        return {
            "gut": -absorbed,  # (1)
            "body": absorbed - p.CL / p.V * x.body,  # (2)
        }

    def observe(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return the concentration, in mg/L."""
        return {"conc": x.body / p.V}  # (3)


def bateman(
    t: ArrayLike, dose: ArrayLike, *, ka: ArrayLike, CL: ArrayLike, V: ArrayLike, every: float = np.inf
) -> NDArray[np.float64]:
    """Return the concentration (mg/L) at times after a dose, in closed form; arguments broadcast.

    Parameters
    ----------
    t
        Time since the last dose (h), at most `every`.
    dose
        Size of each dose (mg).
    ka, CL, V
        Absorption rate constant (1/h), apparent clearance (L/h), apparent volume (L).
    every
        Time between doses (h): the concentration is that of the steady state. Infinite: there was one dose.
    """
    times, ka, V = (np.asarray(a, dtype=np.float64) for a in (t, ka, V))
    slow, fast = _rates(ka, np.asarray(CL) / V)
    sums = _sum(slow, times, every) - _sum(fast, times, every)
    return np.asarray(dose) * ka / (V * (fast - slow)) * sums  # (4), summed over past doses


def peak_time(*, ka: ArrayLike, CL: ArrayLike, V: ArrayLike, every: float = np.inf) -> NDArray[np.float64]:
    """Return when after a dose the concentration is highest (h): where the derivative of `bateman` is zero.

    Parameters are those of `bateman`.
    """
    slow, fast = _rates(np.asarray(ka, dtype=np.float64), np.asarray(CL) / np.asarray(V))
    return np.log(fast * _sum(fast, 0.0, every) / (slow * _sum(slow, 0.0, every))) / (fast - slow)


def _rates(ka: NDArray[np.float64], ke: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both rate constants, kept a relative 1e-6 apart: (4) has a limit there, but no value."""
    return ke, np.where(np.abs(ka - ke) > 1e-6 * ke, ka, ke * (1 + 1e-6))


def _sum(k: NDArray[np.float64], t: Any, every: float) -> NDArray[np.float64]:
    """Return exp(-k t) summed over this dose and all before it, a geometric series."""
    return np.exp(-k * t) / -np.expm1(-k * every)


@dataclass(frozen=True)
class Published:
    """A population estimate: logarithm of the typical value, its standard error, and the CV between subjects."""

    log: float
    log_se: float
    cv: float


PUBLISHED: Mapping[str, Published] = {
    "ka": Published(log=0.454, log_se=0.196, cv=0.715),
    "CL": Published(log=1.02, log_se=0.0853, cv=0.276),
    "V": Published(log=3.45, log_se=0.0454, cv=0.134),
}
"""The theophylline study by nlmixr2 (SAEM, standard errors by linearisation), as its package nlmixr2est documents it.

The same model, lognormal between subjects without correlations; ka in 1/h, CL in L/h, V in L. Its CV is
sqrt(exp(s^2) - 1), where s is the standard deviation of the logarithm between subjects."""

PUBLISHED_SIGMA = 0.693
"""Standard deviation of the additive error (mg/L), from the same fit."""

_COLUMNS = {"subject": None, "weight": "kg", "dose": "mg/kg", "time": "h", "conc": "mg/L"}


def theophylline(path: str | Path | None = None) -> "tuple[pd.DataFrame, dict[str, Any]]":
    """Return the samples of the theophylline study, and the doses as inputs of `OneCompartmentOral`.

    Parameters
    ----------
    path
        A CSV file with the same columns, `subject, weight [kg], dose [mg/kg], time [h], conc [mg/L]` (other units in
        the brackets are converted); None for the study itself, which comes with the package.

    Returns
    -------
    samples : pandas.DataFrame
        (132,) rows with columns `unit` (the subject), `time` (h, since the dose), `conc` (mg/L), `weight` (kg) and
        `amount` (the dose in mg).
    inputs : dict
        `{"dose": {subject: {0.0: amount in mg}}}`.

    Raises
    ------
    DataError
        If the file cannot be read, a column is missing, or a subject has more than one weight or dose.
    UnitError
        If a header's unit cannot be converted.

    Sources
    -------
    Boeckmann AJ, Sheiner LB, Beal SL (1994). NONMEM Users Guide, Part V. University of California, San Francisco. Dose
    and weight are printed rounded, so amounts are good to 0.3%.
    """
    import pandas as pd

    columns = _read(data_file("theophylline.csv") if path is None else Path(path))
    samples = pd.DataFrame({"unit": columns["subject"], **{n: columns[n] for n in ("time", "conc", "weight")}})
    samples["amount"] = columns["dose"] * columns["weight"]
    doses = {}
    for subject, rows in samples.groupby("unit", sort=False):
        for name, unit in {"weight": "kg", "amount": "mg"}.items():
            found = rows[name].unique()
            if len(found) != 1 or not found[0] > 0:
                got = ", ".join(f"{value:g}" for value in found)
                raise DataError(
                    f"subject {subject!r}: got {name} {got} {unit}; expected one number above 0 in all rows"
                )
        doses[subject] = {0.0: float(rows["amount"].iloc[0])}
    return samples, {"dose": doses}


def _read(path: Path) -> dict[str, Any]:
    found = read_table(path, path.name)
    columns: dict[str, Any] = {}
    for name, unit in _COLUMNS.items():
        if name not in found:
            close = nearest(name, found)
            hint = f"; did you mean {name!r} by {close!r}?" if close else ""
            raise DataError(f"{path.name}: got columns {listed(found)}; expected a column {name!r}{hint}")
        column = found[name]
        columns[name] = column.values
        if unit is not None:
            where = f"{path.name}, {name!r}"
            columns[name] = in_unit(read_numbers(column.values, where), column.units, unit, where)
    return columns
