"""Directions among parameters that data see or do not see: spectrum, who takes part, and what that means in words.

A posterior covariance in units of the prior's SDs has eigenvalues from 0 (a combination that the data settle) to 1 (one
about which they say nothing): the likelihood-informed directions of Spantini et al., SIAM Journal on Scientific
Computing 37 (2015) A2451-A2487; one less an eigenvalue is the contraction along it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from workbench.calibrate.identify.coordinates import Coordinate

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
UNSEEN = 0.1
"""Contraction below which data do not see: the SD would shrink by 5 % at most, and of 400 draws the contraction of what
is not seen at all scatters by about 0.07."""
WEAK = 0.5  # contraction below which they see weakly: the SD shrinks by less than 30 %
ALONE = 0.9  # share of a parameter's prior variance in unseen directions from which on it is unseen by itself
SHARED = 0.3  # share from which on it is seen in combination only
PART = 0.3  # of the largest weight in a direction, from which on a parameter takes part
MOST = 3000  # subsets of which a collinearity index is made


@dataclass(frozen=True)
class Spectrum:
    """Directions of a covariance in prior SDs, the least seen first.

    Attributes
    ----------
    contraction
        (n,) one less the variance along each.
    vectors
        (n, n) unit vectors as columns.
    """

    contraction: Array
    vectors: Array

    @staticmethod
    def of(covariance: Array) -> "Spectrum":
        """Return the directions of a covariance (n, n); those that are not seen are told apart by who takes part."""
        values, vectors = np.linalg.eigh(covariance) if covariance.size else (np.empty(0), np.empty((0, 0)))
        hidden = values > 1 - UNSEEN
        vectors[:, hidden] = _untangled(vectors[:, hidden])
        contraction = np.where(hidden, 1 - np.einsum("ik,ij,jk->k", vectors, covariance, vectors), 1 - values)
        order = np.argsort(contraction, kind="stable")
        signs = [-1.0 if v[np.abs(v).argmax()] < 0 else 1.0 for v in vectors.T]
        return Spectrum(contraction[order], (vectors * signs)[:, order])

    @property
    def unseen(self) -> Array:
        """(n, n) projector on the directions that data do not see; its diagonal is each parameter's unseen share."""
        chosen = self.vectors[:, self.contraction < UNSEEN]
        return chosen @ chosen.T


def _untangled(vectors: Array) -> Array:
    """Return a basis of the same space of directions, each among parameters that hang together.

    Directions that are equally unseen may be any mixture of each other: one parameter that is not seen would be mixed
    with a pair of which only the product is.
    """
    projector = vectors @ vectors.T
    left, basis = [int(k) for k in np.flatnonzero(np.diag(projector) >= UNSEEN)], list[Array]()
    while left:
        group = [left[0]]
        for k in group:  # it grows while it is gone through
            group += [j for j in left if j not in group and abs(projector[k, j]) >= UNSEEN]
        left = [k for k in left if k not in group]
        shares, within = np.linalg.eigh(projector[np.ix_(group, group)])
        for vector in within[:, shares > 0.5].T:
            basis.append(np.zeros(len(projector)))
            basis[-1][group] = vector
    return np.stack(basis, axis=1) if len(basis) == vectors.shape[1] and basis else vectors


def taking_part(vector: Array) -> list[int]:
    """Return who takes part in a direction, the weightiest first."""
    order = np.argsort(-np.abs(vector), kind="stable")
    return [int(k) for k in order if np.abs(vector[k]) >= PART * np.abs(vector).max()]


def formula(coordinates: Sequence[Coordinate], vector: Array) -> str:
    """Return a direction as weights of parameters, each in SDs of its prior: "0.71 a - 0.71 b"."""
    part = taking_part(vector)
    text = " ".join(f"{'-' if vector[k] < 0 else '+'} {abs(vector[k]):.2f} {coordinates[k].label}" for k in part[:5])
    return text.removeprefix("+ ") + (f" and {len(part) - 5} more" if len(part) > 5 else "")


def in_words(coordinates: Sequence[Coordinate], vector: Array) -> str:
    """Say what data see of the parameters in a direction that they do not see."""
    part = taking_part(vector)
    names = [repr(coordinates[k].label) for k in part]
    if len(part) == 1:
        return f"{names[0]} by itself is not seen"
    if len(part) == 2:
        return f"of {names[0]} and {names[1]} only {_seen_pair([coordinates[k] for k in part], vector[part])} is seen"
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return f"of {', '.join(names[:4])}{more} only combinations are seen"


def _seen_pair(pair: Sequence[Coordinate], weights: Array) -> str:
    """Name the combination that stays as it is along a direction of two parameters."""
    a, b = (c.label for c in pair)
    scale = pair[0].scale if pair[0].scale == pair[1].scale else "mixed"
    if scale in ("log", "identity") and (scale == "log" or pair[0].units == pair[1].units):
        centre = [float(c.scores.value(np.zeros(1))[0]) for c in pair]
        moves = [float(c.scores.slope(np.zeros(1))[0]) * w for c, w in zip(pair, weights, strict=True)]
        if scale == "log":
            moves = [m / x for m, x in zip(moves, centre, strict=True)]
        if 0.8 < abs(moves[0] / moves[1]) < 1.25:
            opposite = moves[0] * moves[1] < 0
            if scale == "log":
                return f"the {'product' if opposite else 'ratio'} {a} {'*' if opposite else '/'} {b}"
            return f"the {'sum' if opposite else 'difference'} {a} {'+' if opposite else '-'} {b}"
    return "one combination"


def described(coordinates: Sequence[Coordinate], spectrum: Spectrum) -> "pd.DataFrame":
    """Return a table of directions, the least seen first, with words for those that are not seen."""
    import pandas as pd

    pairs = list(zip(spectrum.contraction, spectrum.vectors.T, strict=True))
    return pd.DataFrame(
        {
            "contraction": spectrum.contraction,
            "direction": [formula(coordinates, v) for _, v in pairs],
            "says": [in_words(coordinates, v) if c < UNSEEN else "" for c, v in pairs],
        }
    )


def verdicts(coordinates: Sequence[Coordinate], contraction: Array, unseen: Array) -> list[str]:
    """Return a verdict on each parameter, of its contraction (n,) and the projector (n, n) on unseen directions.

    "seen", "weakly seen", "not seen", "only in combination with ...", or "not worked out" where contraction is NaN.
    """
    found = []
    share = np.diag(unseen)
    for k in range(len(coordinates)):
        partners = [j for j in np.argsort(-np.abs(unseen[k])) if j != k and np.abs(unseen[k, j]) >= UNSEEN]
        if np.isnan(contraction[k]):
            found.append("not worked out")
        elif contraction[k] < UNSEEN or share[k] >= ALONE:
            found.append("not seen")
        elif share[k] >= SHARED and partners:
            names = [repr(coordinates[j].label) for j in partners]
            found.append(f"only in combination with {', '.join(names[:3])}{' and more' if len(names) > 3 else ''}")
        else:
            found.append("weakly seen" if contraction[k] < WEAK else "seen")
    return found


def collinearity(information: Array, *, largest: int = 4) -> dict[tuple[int, ...], float]:
    """Return the collinearity index of pairs and larger subsets of parameters.

    gamma = 1 / sqrt(smallest eigenvalue of the information of sensitivities scaled to unit norm): what one does to the
    outputs is made good by the others but for 1 / gamma (Brun, Reichert & Kunsch, Water Resources Research 37 (2001)
    1015-1030; from 10 to 15 on they call a subset poorly identifiable). Infinite where they make it good
    exactly, and not defined for a parameter without any effect, which is left out.
    """
    norms = np.sqrt(np.diag(information))
    able = np.flatnonzero(norms > 1e-8 * norms.max(initial=0.0))
    found = {}
    scaled = information[np.ix_(able, able)] / np.outer(norms[able], norms[able])
    for size in range(2, min(largest, able.size) + 1):
        if size > 2 and comb(able.size, size) > MOST:
            break
        for subset in combinations(range(able.size), size):
            least = np.linalg.eigvalsh(scaled[np.ix_(subset, subset)])[0]
            found[tuple(int(able[k]) for k in subset)] = float(1 / np.sqrt(least)) if least > 1e-14 else float("inf")
    return found
