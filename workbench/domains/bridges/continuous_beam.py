"""Support forces of a continuous Euler-Bernoulli beam whose supports settle.

Source: the three-moment equation with uneven supports, B. P. E. Clapeyron, Comptes rendus 45 (1857) 1076-1080; solved
here by the stiffness method with the cubic beam element.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.base.errors import DataError


def support_forces(
    spans: ArrayLike, rigidity: float, *, load: ArrayLike = 0.0, settlement: ArrayLike = 0.0
) -> NDArray[np.float64]:
    """Upward forces of the supports of a beam that runs over all of them.

    Parameters
    ----------
    spans : (n,) lengths between neighbouring supports, m.
    rigidity : flexural rigidity EI, the same in all spans, N m2.
    load : uniform load of each span (n,) or of all, downward, N/m.
    settlement : (n + 1,) how far each support went down, m.

    Returns
    -------
    (n + 1,) forces, N. A negative one needs a support that can pull.

    Raises
    ------
    DataError
        Fewer than two spans, a length or a rigidity that is not positive, or arrays of another shape.
    """
    lengths = np.asarray(spans, float)
    if lengths.ndim != 1 or lengths.size < 2 or not np.all(np.isfinite(lengths) & (lengths > 0)):
        raise DataError(f"spans: got {spans!r}, expected two or more positive lengths in m")
    if not (np.isfinite(rigidity) and rigidity > 0):
        raise DataError(f"rigidity: got {rigidity!r}, expected a positive number in N m2")
    load = _spread(load, lengths.size, "load")
    down = _spread(settlement, lengths.size + 1, "settlement")
    stiffness, nodal = _assemble(lengths, rigidity, load)
    deflection, turn = slice(0, None, 2), slice(1, None, 2)
    turns = np.linalg.solve(stiffness[turn, turn], nodal[turn] + stiffness[turn, deflection] @ down)
    return stiffness[deflection, turn] @ turns - stiffness[deflection, deflection] @ down - nodal[deflection]


def _assemble(
    lengths: NDArray[np.float64], rigidity: float, load: NDArray[np.float64]
) -> tuple[np.ndarray, np.ndarray]:
    """Stiffness and nodal loads; each node has its deflection (up) and its rotation."""
    size = 2 * (lengths.size + 1)
    stiffness, nodal = np.zeros((size, size)), np.zeros(size)
    for i, (a, w) in enumerate(zip(lengths, load, strict=True)):
        at = slice(2 * i, 2 * i + 4)
        element = [[12, 6 * a, -12, 6 * a], [6 * a, 4 * a**2, -6 * a, 2 * a**2]]
        element += [[-12, -6 * a, 12, -6 * a], [6 * a, 2 * a**2, -6 * a, 4 * a**2]]
        stiffness[at, at] += rigidity / a**3 * np.array(element)
        nodal[at] += w * a / 12 * np.array([-6, -a, -6, a])
    return stiffness, nodal


def _spread(values: ArrayLike, size: int, name: str) -> NDArray[np.float64]:
    """One number for all, or one for each."""
    array = np.asarray(values, float)
    if array.shape not in ((), (size,)) or not np.all(np.isfinite(array)):
        raise DataError(f"{name}: got shape {array.shape}, expected one finite number or {size} of them")
    return np.broadcast_to(array, (size,))
