"""Priors on the scale on which each is a standard normal: theta = F^-1(Phi(u)), u from Normal(0, 1).

There one unit is one SD of the prior whatever its family, so parameters in different units compare; what the prior adds
to an information matrix is exactly 1; and of a Normal or LogNormal prior it is the unconstrained scale itself, less the
mean, over the SD. (The transform of Nataf and of Liu & Der Kiureghian, Probabilistic Engineering Mechanics 1 (1986)
105-112, of one variable.)
"""

from functools import cached_property
from typing import Any

import numpy as np
import scipy.interpolate
import scipy.special
from numpy.typing import NDArray

from workbench.base.errors import DeclarationError
from workbench.declare.families import FAMILIES
from workbench.declare.prior import Prior

Array = NDArray[np.float64]
END = 8.0  # scores beyond which a prior without a distribution function in SciPy is not followed


class NormalScores:
    """The map between values of a quantity and their scores under its prior."""

    def __init__(self, prior: Prior):
        self.prior = prior

    @property
    def proper(self) -> bool:
        """Whether there are scores: an improper prior, and one without known quantiles, has none."""
        family = FAMILIES[self.prior.name]
        return family.kin is not None or family.quantile is not None

    @cached_property
    def _law(self) -> Any:
        family = FAMILIES[self.prior.name]
        return None if family.kin is None or family.quantile is not None else self.prior.frozen()

    @cached_property
    def _table(self) -> tuple[Array, Array]:
        """Scores and their values, of a prior that SciPy does not know: right to about 1e-5."""
        nodes, scores = np.linspace(-END, END, 161), np.linspace(-END, END, 1601)
        spline = scipy.interpolate.CubicSpline(nodes, self._quantiles(nodes))
        return scores, np.maximum.accumulate(spline(scores))

    def _quantiles(self, scores: Array) -> Array:
        masses = np.clip(scipy.special.ndtr(scores), 1e-300, 1 - 1e-16)
        return np.array([self.prior.quantile(float(mass)) for mass in masses])

    def value(self, scores: Array) -> Array:
        """Return the values at scores, in the unit of the quantity; DeclarationError where the prior is improper."""
        if not self.proper:
            raise DeclarationError(f"got prior {self.prior!r}, which has no quantiles; expected a proper one")
        if self._law is None:
            return np.interp(scores, *self._table)
        below, tail = scores < 0, scipy.special.ndtr(-np.abs(scores))  # the nearer tail keeps its digits
        return np.where(below, self._law.ppf(np.where(below, tail, 0.5)), self._law.isf(np.where(below, 0.5, tail)))

    def scores(self, values: Array) -> Array:
        """Return the scores of values, within 37 (the last that numbers can tell)."""
        if self._law is None:
            scores, table = self._table
            return np.interp(values, table, scores)
        below, above = self._law.cdf(values), self._law.sf(values)
        nearer = scipy.special.ndtri(np.clip(np.minimum(below, above), 1e-300, 0.5))
        return np.where(below < above, nearer, -nearer)

    def slope(self, scores: Array) -> Array:
        """Return the derivatives of values by scores."""
        if self._law is None:
            steps, table = self._table
            return np.interp(scores, steps, np.gradient(table, steps, edge_order=2))
        log_normal = -0.5 * scores**2 - 0.5 * np.log(2 * np.pi)
        return np.exp(log_normal - self._law.logpdf(self.value(scores)))

    def log_density(self, values: Array) -> Array:
        """Return the log density of the prior at values, up to rounding and (without SciPy) to interpolation."""
        if self._law is not None:
            return self._law.logpdf(values)
        scores = self.scores(values)
        return -0.5 * scores**2 - 0.5 * np.log(2 * np.pi) - np.log(self.slope(scores))
