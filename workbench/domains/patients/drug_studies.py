"""Published studies of drugs in people: what was given, what was measured, and what others found in it.

Every loader returns `samples`, a table with columns `unit` (the subject), `time` (h) and `conc` (mg/L), and the inputs
of the study's model.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.base.errors import DataError
from workbench.base.share import data_file
from workbench.base.tables import numbers_of, read_table, require
from workbench.declare.model import Model
from workbench.domains.patients.pharmacokinetics import (
    OneCompartmentNewborn,
    OneCompartmentOral,
    TwoCompartmentIntravenous,
)

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Published:
    """A population estimate: logarithm of the typical value, its standard error if printed, the CV between subjects."""

    log: float
    log_se: float | None
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

GRASELA_DONN: Mapping[str, Published] = {
    "CL": Published(log=float(np.log(0.0047)), log_se=None, cv=0.19),
    "V": Published(log=float(np.log(0.96)), log_se=None, cv=0.16),
}
"""The phenobarbital study by NONMEM, as its abstract prints it: CL in L/h/kg, V in L/kg; no standard errors."""

GRASELA_DONN_ASPHYXIA = 1.13
"""Factor of volume where the Apgar score at 5 min is below 5, from the same abstract."""


@dataclass(frozen=True)
class Study:
    """A study and what its drug is dosed for.

    Attributes
    ----------
    model
        How the drug moves.
    load
        Reads a file of the study's layout; None for the study itself.
    own
        The parameters that people have of their own.
    low, high, limit
        Range in which the lowest concentration between doses should lie, and what none should exceed (mg/L).
    every, step
        Hours between doses, and steps in which a dose can be given (mg).
    weight
        Of a usual patient (kg).
    """

    model: type[Model]
    load: "Callable[[str | Path | None], tuple[pd.DataFrame, dict[str, Any]]]"
    own: tuple[str, ...]
    low: float
    high: float
    limit: float
    every: float
    step: float
    weight: float


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
    units = {"subject": None, "weight": "kg", "dose": "mg/kg", "time": "h", "conc": "mg/L"}
    samples = _read("theophylline.csv", path, units)
    samples["amount"] = samples.pop("dose") * samples["weight"]
    samples = samples[["unit", "time", "conc", "weight", "amount"]]
    _one_each(samples, {"weight": "kg", "amount": "mg"})
    return samples, {"dose": _at_zero(samples)}


def indomethacin(path: str | Path | None = None) -> "tuple[pd.DataFrame, dict[str, Any]]":
    """Return the samples of the indomethacin study, and the doses as inputs of `TwoCompartmentIntravenous`.

    Parameters, results and errors are those of `theophylline`; the columns are `subject, dose [mg], time [h], conc
    [mg/L]`, and samples have no weight.

    Sources
    -------
    Kwan KC et al. (1976). J. Pharmacokinet. Biopharm. 4, 255-280; R's datasets::Indometh.
    """
    samples = _read("indomethacin.csv", path, {"subject": None, "dose": "mg", "time": "h", "conc": "mg/L"})
    samples = samples.rename(columns={"dose": "amount"})[["unit", "time", "conc", "amount"]]
    _one_each(samples, {"amount": "mg"})
    return samples, {"dose": _at_zero(samples)}


def phenobarbital(path: str | Path | None = None) -> "tuple[pd.DataFrame, dict[str, Any]]":
    """Return the samples of the phenobarbital study, and doses, weights and asphyxia of `OneCompartmentNewborn`.

    Parameters
    ----------
    path
        A CSV file with the columns `subject, weight [kg], apgar, time [h], dose [mg], conc [mg/L]`: rows with a dose,
        with a concentration, with both, then measured after it, or with neither: a time that is asked for. None for the
        study itself.

    Returns
    -------
    samples : pandas.DataFrame
        (155,) rows with columns `unit`, `time` (h, since the first dose), `conc` (mg/L; NaN: asked for), `weight` (kg)
        and `apgar`.
    inputs : dict
        `dose`, amounts (mg) at times (h) by subject; `weight` (kg) and `asphyxia` (1 where the Apgar score at 5 min is
        below 5) by subject.

    Raises
    ------
    DataError, UnitError
        As `theophylline`; also if a subject has no dose.

    Sources
    -------
    Grasela TH, Donn SM (1985). Dev. Pharmacol. Ther. 8, 374-383; R's nlme::Phenobarb. Of their dose, printed in ug/kg
    by R's help, only mg agree with the volumes and clearances of the paper.
    """
    units = {"subject": None, "weight": "kg", "apgar": "1", "time": "h", "dose": "mg", "conc": "mg/L"}
    rows = _read("phenobarbital.csv", path, units)
    _one_each(rows, {"weight": "kg", "apgar": "points"})
    doses: dict[Any, dict[float, float]] = {subject: {} for subject in dict.fromkeys(rows["unit"])}
    given = rows[rows["dose"].notna()]
    for subject, time, amount in zip(given["unit"], given["time"].tolist(), given["dose"].tolist(), strict=True):
        doses[subject][time] = doses[subject].get(time, 0.0) + amount
    for subject, amounts in doses.items():
        if not amounts:
            raise DataError(f"subject {subject!r}: got no dose; expected the doses that its concentrations come from")
    first = rows.groupby("unit", sort=False).first()
    asphyxia = (first["apgar"] < 5).astype(float)
    asked = rows["conc"].notna() | rows["dose"].isna()
    samples = rows.loc[asked, ["unit", "time", "conc", "weight", "apgar"]].reset_index(drop=True)
    return samples, {"dose": doses, "weight": first["weight"], "asphyxia": asphyxia}


def _at_zero(samples: "pd.DataFrame") -> dict[Any, dict[float, float]]:
    return {subject: {0.0: float(rows["amount"].iloc[0])} for subject, rows in samples.groupby("unit", sort=False)}


def _one_each(rows: "pd.DataFrame", units: Mapping[str, str]) -> None:
    """Refuse subjects with several values of what they have one of."""
    for subject, of in rows.groupby("unit", sort=False):
        for name, unit in units.items():
            found = of[name].unique()
            if len(found) != 1 or not found[0] > 0:
                got = ", ".join(f"{value:g}" for value in found)
                raise DataError(
                    f"subject {subject!r}: got {name} {got} {unit}; expected one number above 0 in all rows"
                )


def _read(typed: str, given: str | Path | None, units: Mapping[str, str | None]) -> "pd.DataFrame":
    """Return the columns of a file, in these units, `subject` named `unit`."""
    import pandas as pd

    path = data_file(typed) if given is None else Path(given)
    found = read_table(path, path.name)
    columns: dict[str, Any] = {}
    for name, unit in units.items():
        if unit is None:
            columns[name] = require(found, name, path.name).values
        else:
            columns[name] = numbers_of(found, name, unit, path.name)
    return pd.DataFrame(columns).rename(columns={"subject": "unit"})


STUDIES: Mapping[str, Study] = {
    # 5 to 15 mg/L is enough for most, above 20 mg/L adverse effects are common: Holford et al. (1993), Clin.
    # Pharmacokinet. 25, 495.
    "theophylline": Study(OneCompartmentOral, theophylline, ("ka", "CL", "V"), 5.0, 15.0, 20.0, 8.0, 25.0, 70.0),
    # Effective at 0.3 to 3 mg/L, toxic above 5: Goodman & Gilman (2001), 10th ed., table A-II-1.
    "indomethacin": Study(
        TwoCompartmentIntravenous, indomethacin, ("CL", "V1", "Q", "V2"), 0.3, 3.0, 5.0, 6.0, 5.0, 70.0
    ),
    # 15 to 40 mg/L, sedation above 50: Painter MJ et al. (1978), J. Pediatr. 92, 315; Gilman JT et al. (1989),
    # Pediatrics 83, 674.
    "phenobarbital": Study(OneCompartmentNewborn, phenobarbital, ("CL", "V"), 15.0, 40.0, 50.0, 12.0, 0.25, 1.5),
}
