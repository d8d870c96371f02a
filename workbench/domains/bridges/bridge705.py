"""Bridge 705, Amsterdam: its deck as drawn, the truck of its load test, and the model that is calibrated to the test.

Sources
-------
Geometry, sections and axle loads: Barisch-Rooney JO (2020), MSc thesis, and its repository jerbaroo/bridge-sim (MIT
licence). Stiffness of piers: a concrete wall of 3.5 m and of their mean section, 2.7 by 0.8 m, clamped at its foot:
EA / h is 24 GN/m, 4 EI / h is 5.1 GN m.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workbench.declare import math as m
from workbench.declare import noise, prior
from workbench.declare.quantity import Output, Parameter
from workbench.declare.static import Static
from workbench.domains.bridges.deck import Array, Deck, Reduced, Support, Vehicle, plate, reduced, springs

if TYPE_CHECKING:
    import pandas as pd

SPANS = (13.125, 15.3, 15.3, 15.3, 15.3, 15.3, 13.125)  # m
LINES = tuple(np.concatenate([[0.0], np.cumsum(SPANS)]).tolist())
HALF_WIDTH = 16.6  # m
LANE = -8.4  # m, axis of the lane that was driven
AXES, BEARING = (-12.6, -4.2, 4.2, 12.6), 3.666  # m, of the four supports in a line, and their width
GRAVITY = 9.81e-3  # kN/kg
SECTIONS = (  # from and to (m from the edge, up to the axis), thickness there (m), modulus (GPa)
    (0.0, 0.6, 0.750, 0.740, 38.400),
    (0.6, 3.65, 0.655, 0.589, 38.400),
    (3.65, 3.85, 0.500, 0.500, 38.400),
    (3.85, 11.1, 0.500, 0.650, 41.291),
    (11.1, 11.3, 0.650, 0.650, 38.400),
    (11.3, 13.71, 0.739, 0.787, 38.400),
    (13.71, 16.6, 0.650, 0.650, 47.277),
)
PIER, ROCK = 24e6, 5.1e6  # kN/m and kN m, of a support on a clamped wall: EA / h, 4 EI / h
ABUTMENT = 1.4e6  # kN/m, of a support on bearings, assumed
EDGE = 0.6  # m, width of the edge beams

TRUCK = Vehicle(
    axles=(0.0, 3.6, 4.92, 6.37),
    wheels=tuple(
        tuple(mass * GRAVITY for mass in axle) for axle in ((5050, 5300), (4600, 4000), (4350, 3700), (4050, 3900))
    ),
    offsets=(-1.25, 1.25),
    contact=1.0,  # a 0.4 m print spread 1:1 through half the thickness, EN 1991-2, 4.3.6
)
"""The truck of the test, 350 kN."""

CRANE = Vehicle(
    axles=(0.0, 1.65, 4.05, 5.7, 7.35),
    wheels=((60.0, 60.0),) * 5,
    offsets=(-1.25, 1.25),
    contact=1.0,
)
"""A five-axle mobile crane, 12 t an axle as all-terrain cranes are built for; no standard vehicle, spacing assumed."""


PRIORS = {  # of stiffness; `LoadTest` says why
    "long": prior.LogNormal(median=1.0, sigma=0.3),
    "edge": prior.LogNormal(median=1.0, sigma=0.3),
    "across": prior.LogNormal(median=1.0, sigma=0.4),
    "twist": prior.LogNormal(median=1.0, sigma=0.4),
    "pier": prior.LogNormal(median=1.0, sigma=1.2),
    "rock": prior.LogNormal(median=1.0, sigma=1.2),
    "abutment": prior.LogNormal(median=1.0, sigma=1.2),
}
KINDS = {  # of sensors: output, dimension, unit, and how far along (m) from the middle of the truck is near
    "displacements": ("displacement", "gauge", "mm", 17.0),
    "strains": ("strain", "strip", "microstrain", 5.0),
}
GAUGES, STRIPS = ("gauge", "position"), ("strip", "position")


def factors(p: Any) -> dict[str, Any]:
    """Return the factor of each part of `bridge`'s stiffness, in its order; of numbers or symbols."""
    both = m.sqrt(p.long * p.across)  # as Huber's, equation 1 of `deck`
    return {
        "long": p.long,
        "across": p.across,
        "coupled": both,
        "twist": p.twist * both,
        "edge": p.edge,
        "pier": p.pier,
        "rock": p.rock,
        "abutment": p.abutment,
    }


class LoadTest(Static):
    """Deflections and strains of a deck under a truck at each of its positions; factors are over what drawings say.

    - long, edge, across, twist: the modulus of old concrete, cracks, asphalt and kerbs that carry; 90% within 0.6 to
      1.6, of the last two 0.5 to 1.9, as sections between the webs are smeared.
    - pier, rock: over a clamped wall's; ground gives way and bearings turn; 90% within 0.14 and 7.2.
    - abutment: over 1.4 GN/m a support, but nobody knows it, so 90% within 0.14 and 7.2, too.
    - arm: from the neutral axis to the gauge, at most half of the thickness, 0.32 m, but strain gathers in cracks.
    - zero: of what all gauges hang on, at each stop of the truck; micrometres, as gauges far from the truck read alike.
    - errors: near the truck (`KINDS`) what the model leaves out, far from it what gauges scatter and drift; some gauges
      sit on a crack, so tails are heavy.
    """

    deck: Reduced
    positions: tuple[float, ...]
    gauges: tuple[str, ...]
    strips: tuple[str, ...]
    long = Parameter("1", prior=PRIORS["long"], long_name="stiffness along")
    edge = Parameter("1", prior=PRIORS["edge"], long_name="edge beams")
    across = Parameter("1", prior=PRIORS["across"], long_name="stiffness across")
    twist = Parameter("1", prior=PRIORS["twist"], long_name="torsion")
    pier = Parameter("1", prior=PRIORS["pier"], long_name="a pier's support")
    rock = Parameter("1", prior=PRIORS["rock"], long_name="a pier against rocking")
    abutment = Parameter("1", prior=PRIORS["abutment"], long_name="an abutment's support")
    arm = Parameter("m", prior=prior.LogNormal(median=0.3, sigma=0.2), long_name="neutral axis to gauge")
    zero = Parameter("mm", prior=prior.Normal(0.0, 0.005), dims=("position",), long_name="drift of all gauges")
    displacement = Output(
        "mm",
        noise=noise.StudentT(nu=2.0, sigma=prior.HalfNormal(0.02)),
        dims=GAUGES,
        long_name="deflection near the truck",
    )
    displacement_far = Output(
        "mm",
        noise=noise.StudentT(nu=2.0, sigma=prior.HalfNormal(0.01)),
        dims=GAUGES,
        long_name="deflection far from the truck",
    )
    strain = Output(
        "microstrain", noise=noise.StudentT(sigma=prior.HalfNormal(2.0)), dims=STRIPS, long_name="strain near the truck"
    )
    strain_far = Output(
        "microstrain",
        noise=noise.StudentT(sigma=prior.HalfNormal(0.5)),
        dims=STRIPS,
        long_name="strain far from the truck",
    )

    def coords(self) -> Mapping[str, Any]:
        """Sensors by their labels, positions of the first axle in m."""
        return {"gauge": list(self.gauges), "strip": list(self.strips), "position": np.array(self.positions)}

    def observe(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return deflections (mm) and strains (microstrain) below the deck; those far from the truck are the same."""
        found = self.deck.respond(m.stack(list(factors(p).values())))
        w, strain = 1e3 * found["displacement"] + p.zero, 1e6 * p.arm * found["curvature"]
        return {"displacement": w, "displacement_far": w, "strain": strain, "strain_far": strain}


def thickness(z: Array) -> Array:
    """Return the deck's thickness (m) at z (m)."""
    return _section(z)[0]


def modulus(z: Array) -> Array:
    """Return the deck's modulus (kN/m2) at z (m), by its drawings."""
    return 1e6 * _section(z)[1]


def _section(z: Array) -> tuple[Array, Array]:
    start, end, first, last, stiff = (np.array(column) for column in zip(*SECTIONS, strict=True))
    place = HALF_WIDTH - np.abs(z)
    at = np.clip(np.searchsorted(start, place, side="right") - 1, 0, len(start) - 1)
    return first[at] + (last - first)[at] * (place - start[at]) / (end - start)[at], stiff[at]


def _lines(fixed: Sequence[float], size: float) -> Array:
    """Return lines of nodes through fixed places, at most `size` apart."""
    places = np.unique(np.round(fixed, 6))
    steps = np.ceil(np.diff(places) / size - 1e-9).astype(int)
    return np.concatenate(
        [np.linspace(a, b, n + 1)[:-1] for a, b, n in zip(places[:-1], places[1:], steps, strict=True)] + [places[-1:]]
    )


def bridge(size: float = 2.6) -> Deck:
    """Return the deck in elements of at most `size` m, with the parts that `factors` scales."""
    edges = [HALF_WIDTH - start for start, *_ in SECTIONS if start not in (3.65, 11.1)]  # strips of 0.2 m need no line
    x = _lines(LINES, size)
    z = _lines([0.0, *AXES, *edges, *(-e for e in edges)], size)
    inner = [Support(line, axis, BEARING) for line in LINES[1:-1] for axis in AXES]
    ends = [Support(line, axis, BEARING) for line in (LINES[0], LINES[-1]) for axis in AXES]
    within, outer = HALF_WIDTH - EDGE, HALF_WIDTH

    def inside(places: Array) -> Array:
        return np.where(np.abs(places) < within, modulus(places), 0.0)

    def beams(places: Array) -> Array:
        return np.where((np.abs(places) >= within) & (np.abs(places) <= outer), modulus(places), 0.0)

    whole = plate(x, z, modulus, thickness)
    parts = {"long": plate(x, z, inside, thickness)["long"]} | {n: whole[n] for n in ("across", "coupled", "twist")}
    parts["edge"] = plate(x, z, beams, thickness)["long"]
    parts["pier"] = PIER * springs(x, z, inner, 0)
    parts["rock"] = ROCK * springs(x, z, inner, 1)
    parts["abutment"] = ABUTMENT * springs(x, z, ends, 0)
    return Deck(x, z, parts)


def drawn(count: int, seed: int) -> list[dict[str, float]]:
    """Return factors of decks drawn from the priors of `LoadTest`."""
    from types import SimpleNamespace

    rng = np.random.default_rng(seed)
    laws = {name: law.frozen() for name, law in PRIORS.items()}
    return [
        {
            k: float(v)
            for k, v in factors(SimpleNamespace(**{n: law.rvs(random_state=rng) for n, law in laws.items()})).items()
        }
        for _ in range(count)
    ]


def reads(deck: Deck, places: "pd.DataFrame") -> dict[str, Array]:
    """Return what `Reduced` reads at sensors: deflections, and curvatures in the direction of each strip."""
    gauges, strips = (places[places["kind"] == kind] for kind in KINDS)
    along = (strips["direction"] == "X").to_numpy()
    x, z = strips["x"].to_numpy(), strips["z"].to_numpy()
    curved = np.where(along[:, None], deck.rows(x, z, along=2), deck.rows(x, z, across=2))
    return {"displacement": deck.rows(gauges["x"].to_numpy(), gauges["z"].to_numpy()), "curvature": curved}


def near(places: "pd.DataFrame", positions: Any) -> NDArray[np.bool_]:
    """Return whether sensors are near a truck with its first axle at positions (m): (sensors, positions)."""
    reach = np.array([KINDS[kind][-1] for kind in places["kind"]])
    gap = np.abs(places["x"].to_numpy()[:, None] - (positions - TRUCK.axles[-1] / 2))
    return np.asarray(gap < reach[:, None])


def twin(deck: Deck, basis: Array, places: "pd.DataFrame", forces: Array, positions: Sequence[float]) -> LoadTest:
    """Return the model of sensors under loads (n, k), one for each position, on a reduced basis (n, r)."""
    gauges, strips = (tuple(places.index[places["kind"] == kind]) for kind in KINDS)
    small = reduced(deck, basis, forces, reads(deck, places))
    return LoadTest(small, tuple(float(x) for x in positions), gauges, strips)
