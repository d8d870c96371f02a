"""Explicit Runge-Kutta methods as data: a method is its coefficients."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tableau:
    """An explicit method whose last stage is evaluated at the new value (first same as last).

    Attributes
    ----------
    name
        The method and its source.
    order
        Order of the value that is carried on.
    c
        Nodes of the stages.
    a
        Rows of the lower triangle, from the second stage on; the last row is the step's weights.
    error
        Weights of the stages in the error estimate.
    dense
        For each stage, the coefficients of theta, theta^2, ... in its weight at the fraction theta of the step.
    """

    name: str
    order: int
    c: tuple[float, ...]
    a: tuple[tuple[float, ...], ...]
    error: tuple[float, ...]
    dense: tuple[tuple[float, ...], ...]

    @property
    def stages(self) -> int:
        """Number of stages, the last one being the first of the next step."""
        return len(self.c)


def _expand(scale: float, *factors: tuple[float, ...]) -> tuple[float, ...]:
    """Return the coefficients of theta, theta^2, ... of a product of polynomials given from the constant up."""
    product = [scale]
    for factor in factors:
        grown = [0.0] * (len(product) + len(factor) - 1)
        for i, x in enumerate(product):
            for j, y in enumerate(factor):
                grown[i + j] += x * y
        product = grown
    return tuple(product[1:])


_T, _T2 = (0.0, 1.0), (0.0, 0.0, 1.0)

TSIT5 = Tableau(
    name="Tsitouras 5(4), Computers & Mathematics with Applications 62 (2011) 770-775, table 1 and eq. 18",
    order=5,
    c=(0.0, 0.161, 0.327, 0.9, 0.9800255409045097, 1.0, 1.0),
    a=(
        (0.161,),
        (-0.008480655492356989, 0.335480655492357),
        (2.8971530571054935, -6.359448489975075, 4.3622954328695815),
        (5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525),
        (5.86145544294642, -12.92096931784711, 8.159367898576159, -0.071584973281401, -0.028269050394068383),
        (0.09646076681806523, 0.01, 0.4798896504144996, 1.379008574103742, -3.290069515436081, 2.324710524099774),
    ),
    error=(
        -0.00178001105222577714,
        -0.0008164344596567469,
        0.007880878010261995,
        -0.1447110071732629,
        0.5823571654525552,
        -0.45808210592918697,
        0.015151515151515152,
    ),
    dense=(
        _expand(-1.0530884977290216, _T, (-1.3299890189751412, 1.0), (0.7139816917074209, -1.4364028541716351, 1.0)),
        _expand(0.1017, _T2, (1.2949852507374631, -2.1966568338249754, 1.0)),
        _expand(2.490627285651252793, _T2, (1.57803468208092486, -2.38535645472061657, 1.0)),
        _expand(-16.54810288924490272, _T2, (-1.21712927295533244, 1.0), (-0.61620406037800089, 1.0)),
        _expand(47.37952196281928122, _T2, (-1.203071208372362603, 1.0), (-0.658047292653547382, 1.0)),
        _expand(-34.87065786149660974, _T2, (-1.2, 1.0), (-0.666666666666666667, 1.0)),
        _expand(2.5, _T2, (-1.0, 1.0), (-0.6, 1.0)),
    ),
)
