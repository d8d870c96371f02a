"""Which draws belong to which mode, by what was drawn, wherever chains began.

Each draw is joined to the nearest one of a higher density (quick shift: Vedaldi & Soatto, Computer Vision - ECCV 2008,
705-718), which gives a tree; a branch of some size that hangs over a valley of the density is a mode of its own.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from workbench.calibrate.sampling.sample import Draws
from workbench.calibrate.sampling.start import Start
from workbench.calibrate.sampling.terrain import VALLEY, Mode, Terrain, valleys
from workbench.calibrate.trust.modes import record

Array = NDArray[np.float64]
Places = NDArray[np.int64]
Values = Callable[[Array], Array]
Parameters = Callable[[Array], Mapping[str, Array]]
TAKEN, FEWEST = 400, 20  # draws that are looked at, of all chains and at least of each
BRANCH = 0.02  # share of the draws that a branch needs to be a mode
LINKS = 8  # branches that are tried: those on the longest links, and the best draw of every chain
VISITED = 0.1  # share of its draws from which on a chain counts as having been in a mode


def of_climbs(drawn: Draws, start: Start, values_at: Parameters) -> str:
    """Return the record of the modes of draws that have a gradient, with those that the search found and none drew.

    Parameters
    ----------
    drawn
        Draws of all chains.
    start
        What the search found.
    values_at
        Returns the parameters at points (1, n, size), as arrays (1, n, ...).
    """
    terrain = start.terrain
    points, heights, chains = _thin(drawn)
    owner = _owners(points, heights, chains, terrain.values)
    modes = list[Mode]()
    mine = np.empty(len(points), dtype=int)
    for root in dict.fromkeys(owner.tolist()):  # in the order of their first chains
        mode = terrain.mode(terrain.climb(points[root]))
        same = [k for k, known in enumerate(modes) if terrain.joined(known.top, mode.top)]
        mine[owner == root] = same[0] if same else len(modes)
        if not same:
            modes.append(mode)
    sampled = len(modes)
    for other in start.modes:
        near = any(terrain.joined(known.top, other.top) for known in modes)
        if other.settled and not near and not _visited(terrain, other, points):
            modes.append(other)
    tops = np.array([mode.top for mode in modes])
    weights = np.array([mode.log_weight for mode in modes])
    heights = np.array([mode.log_density for mode in modes])
    return record(heights, weights, _visits(mine, chains, sampled), _centres(points, mine, tops[sampled:], values_at))


def of_draws(drawn: Draws, values: Values, values_at: Parameters) -> str:
    """Return the record of the modes of draws that have no gradient.

    A mode weighs as its best draw and the covariance of its draws say (Laplace-Metropolis: Lewis & Raftery, Journal of
    the American Statistical Association 92 (1997) 648-655).

    Parameters
    ----------
    drawn
        Draws of all chains.
    values
        Returns the log densities (n,) at points (n, size); about a hundred are asked for.
    values_at
        As in `of_climbs`.
    """
    points, heights, chains = _thin(drawn)
    owner = _owners(points, heights, chains, values)
    roots, mine = np.unique(owner, return_inverse=True)
    clouds = [points[mine == k] for k in range(len(roots))]
    fewest = min(map(len, clouds))
    weights = heights[roots].copy()
    if fewest > 2 * points.shape[1]:  # fewer have no covariance
        spreads = [np.linalg.slogdet(2 * np.pi * np.atleast_2d(np.cov(cloud.T)))[1] for cloud in clouds]
        weights += 0.5 * np.array(spreads)
    visits = _visits(mine, chains, len(roots))
    return record(heights[roots], weights, visits, _centres(points, mine, points[:0], values_at))


def _centres(points: Array, mine: Places, others: Array, values_at: Parameters) -> dict[str, Array]:
    """Return parameters (modes, ...): means of the draws of each mode, then values at the tops of others."""
    values = values_at(np.concatenate([points, others])[None])
    sampled = range(mine.max() + 1)
    return {
        name: np.array([*(v[0, : len(points)][mine == k].mean(axis=0) for k in sampled), *v[0, len(points) :]])
        for name, v in values.items()
    }


def _thin(drawn: Draws) -> tuple[Array, Array, Places]:
    """Return some draws (n, size) of all chains, their log densities (n,) and chains (n,)."""
    count, length, size = drawn.points.shape
    each = min(length, max(FEWEST, TAKEN // count))
    taken = np.linspace(0, length - 1, each).round().astype(int)
    points = drawn.points[:, taken].reshape(-1, size)
    return points, drawn.statistics["lp"][:, taken].ravel(), np.repeat(np.arange(count), each)


def _owners(points: Array, heights: Array, chains: Places, values: Values) -> Places:
    """Return for each draw the one (n,) at the top of its mode."""
    within = np.array([points[chains == c].var(axis=0) for c in np.unique(chains)]).mean(axis=0)
    scaled = points / np.sqrt(np.where(within > 0, within, 1.0))
    order = np.argsort(-heights, kind="stable")
    ranked = scaled[order]
    squares = (ranked**2).sum(axis=1)
    gaps = squares[:, None] + squares - 2 * ranked @ ranked.T
    gaps[np.triu_indices(len(ranked))] = np.inf  # only to better ones
    parent = gaps.argmin(axis=1)
    sizes = np.ones(len(ranked))
    for k in range(len(ranked) - 1, 0, -1):
        sizes[parent[k]] += sizes[k]
    first = np.unique(chains[order], return_index=True)[1]  # the best draw of each chain
    least = min(BRANCH * len(ranked), 0.5 * np.bincount(chains).min())
    large = np.flatnonzero(sizes[1:] >= least) + 1
    longest = large[np.argsort(-gaps[large, parent[large]], kind="stable")[:LINKS]]
    tried = np.union1d(longest, first[(first > 0) & (sizes[first] >= least)]).astype(int)
    cut = np.zeros(len(ranked), dtype=bool)
    if tried.size:
        cut[tried] = valleys(values, points[order[tried]], points[order[parent[tried]]]) >= VALLEY
    owner = np.arange(len(ranked))
    for k in range(1, len(ranked)):
        owner[k] = k if cut[k] else owner[parent[k]]
    owners = np.empty_like(order)
    owners[order] = order[owner]
    return owners


def _visited(terrain: Terrain, mode: Mode, points: Array) -> bool:
    """Whether the draw that is nearest to a mode lies on its slopes."""
    away = points - mode.top
    nearest = points[np.argmin(np.sum(away * np.linalg.solve(mode.spread, away.T).T, axis=1))]
    return terrain.joined(terrain.climb(nearest)[0], mode.top)


def _visits(mine: Places, chains: Places, modes: int) -> NDArray[np.bool_]:
    """Return whether a chain was in a mode (modes, chains)."""
    shares = np.array([np.bincount(mine[chains == c], minlength=modes) for c in np.unique(chains)]).T
    shares = shares / shares.sum(axis=0)
    return (shares >= VISITED) | (shares == shares.max(axis=0))
