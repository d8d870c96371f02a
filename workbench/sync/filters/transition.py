"""Exact transitions of linear equations that do not change in time, by the matrix exponential."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.declare.trace import differentiate
from workbench.simulate.lead import leading

if TYPE_CHECKING:
    from workbench.sync.filters.plant import Plant

Array = NDArray[np.float64]


class Transitions(NamedTuple):
    """For each leg which of the matrices Phi (D, N, N) and Q (D, N, N) are its; `of` is empty where none are known."""

    of: NDArray[np.int64]
    phi: Array
    q: Array

    @staticmethod
    def none(states: int) -> "Transitions":
        """Return no transitions."""
        return Transitions(np.empty(0, dtype=np.int64), np.empty((0, states, states)), np.empty((0, states, states)))


def transitions(plant: "Plant") -> Transitions:
    """Return the transitions of a plant's legs: one for each length, as regular readings have few.

    With F the derivatives of the equations and S the process noise, exp([[-F, S S'], [0, F']] dt) holds Phi' in its
    lower right corner and Phi^-1 Q above it (Van Loan 1978).
    """
    import scipy.linalg

    plan, n = plant.plan, plant.sigma.size
    legs = plan.leg[-1]
    first = plan.begin[plan.segment[:legs]]
    length = plan.until[:legs] - first
    lengths, of = np.unique(np.round(length, 12), return_inverse=True)
    F = derivatives(plant)
    block = np.zeros((2 * n, 2 * n))
    block[:n, :n], block[:n, n:], block[n:, n:] = -F, np.diag(plant.sigma**2), F.T
    phi, q = np.empty((lengths.size, n, n)), np.empty((lengths.size, n, n))
    for k, dt in enumerate(lengths.tolist()):
        halvings = max(0, int(np.ceil(np.log2(max(np.abs(F).sum(axis=1).max() * dt, 1.0)))))
        made = scipy.linalg.expm(block * (dt / 2**halvings))  # of a short time, as exp(-F dt) overflows
        phi[k] = made[n:, n:].T
        q[k] = phi[k] @ made[:n, n:]
        for _ in range(halvings):
            q[k] += phi[k] @ q[k] @ phi[k].T
            phi[k] = phi[k] @ phi[k]
        q[k] = 0.5 * (q[k] + q[k].T)
    return Transitions(of.astype(np.int64), phi, q)


def derivatives(plant: "Plant") -> Array:
    """Return the constant derivatives of the equations by the states, (N, N)."""
    d = differentiate(leading(plant.model), "rhs")
    n = plant.sigma.size
    values = dict.fromkeys(d.program.inputs, 0.0)
    values |= {f"p{n + k}": float(v) for k, v in enumerate(plant.belief.theta)}
    made, F = d.program.run(values), np.zeros((n, n))
    for (row, column), value in zip(d.entries, made[d.rows :], strict=True):
        if column < n:
            F[row, column] = value
    return F
