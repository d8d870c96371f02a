"""Modes that chains drew from, by name: "A" is the weightiest. Chains in different modes are not averaged."""

import json
import string
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workbench.calibrate.sampling.terrain import NEGLIGIBLE
from workbench.calibrate.trust.card import Gate

if TYPE_CHECKING:
    import pandas as pd

    from workbench.calibrate.calibration import Calibration

Array = NDArray[np.float64]
RECORD = "modes"  # the attribute of a posterior that holds what is known of its modes


@dataclass(frozen=True)
class Named:
    """What is known of a mode.

    Attributes
    ----------
    name
        "A" for the weightiest, then "B", ...
    chains
        Those that drew from it; none where only the search for a start found it.
    log_density
        At its top, in the unconstrained space.
    weight
        Its share of the probability of all modes in the record, by Laplace's approximation.
    centre
        Means of the parameters over some of its draws; where there are none, their values at the top.
    """

    name: str
    chains: tuple[int, ...]
    log_density: float
    weight: float
    centre: Mapping[str, Any]


def record(heights: Array, weights: Array, visits: NDArray[np.bool_], centres: Mapping[str, Array]) -> str:
    """Return what is known of modes as JSON, the weightiest first.

    Parameters
    ----------
    heights, weights
        (modes,) log densities at the tops, and logarithms of weights.
    visits
        (sampled modes, chains) whether a chain drew from a mode; modes beyond these were only found by the search.
    centres
        Parameters (modes, ...): means, or those at the top of a mode that was only found.
    """
    weights = weights - weights.max()
    order = np.argsort(-weights.round(1), kind="stable")  # of about the same weight, in the order of their chains
    weights = np.exp(weights) / np.exp(weights).sum()
    rows = list[Named]()
    for k in order:
        chains = tuple(np.flatnonzero(visits[k]).tolist()) if k < len(visits) else ()
        if k < len(visits) and not chains:
            continue  # a few draws on the way through
        values = {name: value[k].tolist() for name, value in centres.items()}
        rows.append(Named(_letter(len(rows)), chains, float(heights[k]), float(weights[k]), values))
    return json.dumps([asdict(row) for row in rows])


def _letter(place: int) -> str:
    turn, letter = divmod(place, 26)
    return string.ascii_uppercase[letter] + (str(turn) if turn else "")


def known(posterior: xr.Dataset) -> list[Named]:
    """Return what is known of the modes of a posterior, nothing where it was sampled by other means."""
    rows = json.loads(posterior.attrs.get(RECORD, "[]"))
    return [Named(**{**row, "chains": tuple(row["chains"])}) for row in rows]


def named(posterior: xr.Dataset) -> xr.Dataset:
    """Return a posterior with a coordinate `mode` over chain: the name of the mode, or "A+B" of several."""
    modes = known(posterior)
    names = ["+".join(m.name for m in modes if c in m.chains) for c in range(posterior.sizes["chain"])]
    return posterior.assign_coords(mode=("chain", names)) if modes else posterior


def apart(posterior: xr.Dataset) -> list[tuple[str, xr.Dataset]]:
    """Return the chains of each mode under its name; the posterior as it is, under no name, where there is one.

    Chains that went between modes, or hold walkers in several, stand under "A+B".
    """
    names = posterior.coords["mode"].values.tolist() if "mode" in posterior.coords else [""]
    if len(set(names)) == 1 and "+" not in names[0]:
        return [("", posterior)]
    parts = {name: [c for c, other in enumerate(names) if other == name] for name in sorted(set(names))}
    return [(name, posterior.isel(chain=chains)) for name, chains in parts.items()]


def table(posterior: xr.Dataset) -> "pd.DataFrame":
    """Return a row a mode: chains, log density at the top, weight, and the mean of each parameter with its unit.

    Where no chain stayed in a mode, the means are of some of its draws, and where none drew from it, its top stands.
    """
    import pandas as pd

    rows = {}
    for mode in known(posterior):
        own = [c for c in mode.chains if posterior.coords["mode"].values[c] == mode.name]
        row: dict[str, Any] = {"chains": list(mode.chains), "log_density": mode.log_density, "weight": mode.weight}
        for name, draws in posterior.data_vars.items():
            means = (
                draws.isel(chain=own).mean(("chain", "draw")) if own else draws[0, 0].copy(data=mode.centre[str(name)])
            )
            unit = draws.attrs.get("units", "1")
            for place in np.ndindex(means.shape):
                labels = [str(means.coords[d].values[i]) for d, i in zip(means.dims, place, strict=True)]
                row[f"{name}[{', '.join(labels)}] [{unit}]" if labels else f"{name} [{unit}]"] = float(means[place])
        rows[mode.name] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("mode")


def gate(calibration: "Calibration") -> Gate:
    """Return whether all chains drew from one mode, and no other that matters was left aside."""
    name, posterior = "mode agreement", calibration.posterior
    modes = known(posterior)
    sampled = [mode for mode in modes if mode.chains]
    missed = [mode for mode in modes if not mode.chains and mode.weight >= NEGLIGIBLE]
    figure = float(len(sampled) + len(missed))
    if not modes:
        return Gate(name, "not run", float("nan"), 1.0, "nothing is known of modes; calibrate again with this version")
    if len(sampled) > 1:
        says = (
            f"the chains drew from {len(sampled)} modes: {'; '.join(map(_words, sampled))}. An average over them "
            "describes none: exclude a mode by priors or bounds if physics does, measure what tells them apart, or "
            "report each (calibration.modes)"
        )
        return Gate(name, "failed", figure, 1.0, says)
    if missed:
        says = (
            f"the search for a start found {'; '.join(map(_words, missed))}, and no chain drew from it: only "
            f"{_words(sampled[0])} was; run more chains, or exclude the other by priors or bounds if physics does"
        )
        return Gate(name, "failed", figure, 1.0, says)
    if posterior.sizes["chain"] < 2:
        return Gate(name, "not run", float("nan"), 1.0, "one chain cannot show other modes; run at least 2, better 4")
    says = "all chains drew from one mode, and no other that matters was found"
    return Gate(name, "passed", figure, 1.0, says)


def _words(mode: Named) -> str:
    chains = f"chains {', '.join(map(str, mode.chains))}; " if mode.chains else ""
    return f"{mode.name} ({chains}log density {mode.log_density:.1f}, about {100 * mode.weight:.2g} % of the weight)"
