"""What a method is: its coefficients."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Explicit:
    """An explicit Runge-Kutta method whose last stage is evaluated at the new value (first same as last).

    Attributes
    ----------
    name, source
        The method, and where its coefficients were published.
    order
        Order of the value that is carried on.
    c
        Nodes of the stages.
    a
        Rows of the lower triangle, from the second stage on; the last row is the step's weights.
    errors
        Weights of the stages in the error estimate; a second row is the third-order estimate of DOP853, by which the
        first is damped.
    extra_c, extra_a
        Nodes and rows of further stages, taken only where the solution is wanted inside a step.
    dense
        For each stage, the further ones included, the coefficients of theta, theta^2, ... in its weight at the
        fraction theta of the step.
    boundary
        Largest |h lambda| on the negative real axis for which the method is stable.
    """

    name: str
    source: str
    order: int
    c: tuple[float, ...]
    a: tuple[tuple[float, ...], ...]
    errors: tuple[tuple[float, ...], ...]
    dense: tuple[tuple[float, ...], ...]
    boundary: float
    extra_c: tuple[float, ...] = ()
    extra_a: tuple[tuple[float, ...], ...] = ()

    @property
    def stages(self) -> int:
        """Number of stages, the last one being the first of the next step; without the further ones."""
        return len(self.c)


@dataclass(frozen=True)
class Rosenbrock:
    """A linearly implicit method, as Hairer & Wanner, Solving Ordinary Differential Equations II, eq. IV.7.25.

    Stage i solves (1 / (h gamma) - J) u_i = f(t + c_i h, y + sum a_ij u_j) + sum carry_ij / h u_j + h d_i df/dt, with
    the Jacobian J and df/dt at the beginning of the step.

    Attributes
    ----------
    name, source
        The method, and where its coefficients were published.
    order
        Order of the value that is carried on.
    gamma
        The diagonal coefficient.
    c, d
        For each stage its node, and the coefficient of df/dt.
    a, carry
        Rows of the lower triangles, from the second stage on.
    weights, error
        Weights of the stages in the step and in the error estimate.
    dense
        For each stage, the coefficients of theta, theta^2, ... in its weight at the fraction theta of the step.
    """

    name: str
    source: str
    order: int
    gamma: float
    c: tuple[float, ...]
    d: tuple[float, ...]
    a: tuple[tuple[float, ...], ...]
    carry: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]
    error: tuple[float, ...]
    dense: tuple[tuple[float, ...], ...]

    @property
    def stages(self) -> int:
        """Number of stages."""
        return len(self.c)


Method = Explicit | Rosenbrock


def expand(scale: float, *factors: tuple[float, ...]) -> tuple[float, ...]:
    """Return the coefficients of theta, theta^2, ... of a product of polynomials given from the constant up."""
    product = [scale]
    for factor in factors:
        grown = [0.0] * (len(product) + len(factor) - 1)
        for i, x in enumerate(product):
            for j, y in enumerate(factor):
                grown[i + j] += x * y
        product = grown
    return tuple(product[1:])
