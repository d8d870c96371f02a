"""A deck under its load test: closed forms of beams and plates, reciprocity, convergence, and files that are wrong."""

import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytensor
import pytensor.tensor as pt
import pytest

import workbench as wb
from workbench.base.errors import DataError
from workbench.base.share import data_file
from workbench.domains.bridges import bridge705, load_test
from workbench.domains.bridges.deck import (
    Deck,
    Support,
    Vehicle,
    basis_of,
    deflect,
    gram,
    hermite,
    plate,
    reduced,
    springs,
)

NOMINAL = SimpleNamespace(**dict.fromkeys(bridge705.PRIORS, 1.0))
UNIT = Vehicle(axles=(0.0,), wheels=((1.0,),), offsets=(0.0,), contact=0.0)
HERE = Path(os.environ.get("WORKBENCH_DATA", ""), "bridges/bridge705_load_test")


def square(elements: int) -> Deck:
    """Return a unit square with D = 1, its edges held by stiff springs that let it turn."""
    x = np.linspace(0.0, 1.0, elements + 1)
    parts = plate(x, x, lambda z: np.full_like(z, 12 * (1 - 0.2**2)), np.ones_like)
    edges = [Support(place, middle, 1 / elements) for place in (0.0, 1.0) for middle in (x[1:] + x[:-1]) / 2]
    held = springs(x, x, edges, 0)
    swap = np.arange(held.shape[0]).reshape(2 * len(x), -1).T.ravel()  # the same along the other axis
    return Deck(x, x, {**parts, "held": 1e9 * (held + held[swap][:, swap])})


def test_a_square_plate_bends_as_timoshenkos() -> None:
    deck = square(16)
    factors = dict.fromkeys(deck.parts, 1.0)
    line = deck.x
    ones = gram(line, 0, 0) @ np.tile([1.0, 0.0], len(line))  # integral of each function
    forces = np.column_stack([np.kron(ones, ones), deck.rows(0.5, 0.5)[0]])
    middle = deck.rows(0.5, 0.5) @ deflect(deck, factors, forces)
    np.testing.assert_allclose(middle[0], [0.00406, 0.01160], rtol=2.5e-3)  # tables 8 and 23, printed to three digits
    curved = deck.rows(0.5, 0.5, along=2) + 0.2 * deck.rows(0.5, 0.5, across=2)
    series = sum(  # Navier's, their equation 130, with nu = 0.2
        16
        * np.sin(i * np.pi / 2)
        * np.sin(j * np.pi / 2)
        * (i**2 + 0.2 * j**2)
        / (i * j * (i**2 + j**2) ** 2)
        / np.pi**4
        for i in range(1, 80, 2)
        for j in range(1, 80, 2)
    )
    np.testing.assert_allclose(-(curved @ deflect(deck, factors, forces[:, :1]))[0, 0], series, rtol=5e-3)


def test_a_strip_is_the_beam_of_the_textbook_under_a_moving_load() -> None:
    x, z = np.linspace(0.0, 10.0, 11), np.array([-0.5, 0.5])
    parts = plate(x, z, lambda places: np.full_like(places, 12.0 * (1 - 0.2**2)), np.ones_like)  # EI = D = 1
    held = [Support(place, 0.0, 1.0) for place in (0.0, 10.0)]
    deck = Deck(x, z, {"long": parts["long"], "across": 1e6 * parts["across"], "twist": 1e6 * parts["twist"],
                       "held": 1e6 * springs(x, z, held, 0)})  # fmt: skip
    fronts = np.array([1.0, 2.5, 5.0, 7.3])
    forces = np.array([deck.load(UNIT, front, 0.0) for front in fronts]).T
    found = (deck.rows(6.0, 0.0) @ deflect(deck, dict.fromkeys(deck.parts, 1.0), forces))[0]
    a, place = np.minimum(fronts, 6.0), np.maximum(fronts, 6.0)  # of Euler and Bernoulli, the load at either
    beam = -(10.0 - place) * a * (100.0 - (10.0 - place) ** 2 - a**2) / 60.0
    np.testing.assert_allclose(found, beam, rtol=1e-4)


def test_hermite_functions_hold_cubics_and_their_derivatives() -> None:
    nodes, at = np.array([0.0, 0.7, 2.0, 3.1]), np.array([0.0, 0.5, 1.9, 3.1])
    freedom = np.column_stack([nodes**3 - nodes, 3 * nodes**2 - 1]).ravel()
    for order, exact in enumerate((at**3 - at, 3 * at**2 - 1, 6 * at)):
        np.testing.assert_allclose(hermite(at, nodes, order) @ freedom, exact, atol=1e-12)


@pytest.fixture(scope="module")
def deck() -> Deck:
    return bridge705.bridge()


def test_loads_and_readings_may_change_places(deck: Deck) -> None:
    one, other = (20.0, -8.4), (36.2, 3.0)
    forces = np.vstack([deck.rows(*one), deck.rows(*other)]).T
    w = deflect(deck, bridge705.factors(NOMINAL), forces)
    there, back = (deck.rows(*other) @ w[:, 0])[0], (deck.rows(*one) @ w[:, 1])[0]
    np.testing.assert_allclose(there, back, rtol=1e-7)
    assert abs(there) > 1e-9


def test_supports_carry_the_truck_and_the_mesh_is_fine_enough(deck: Deck) -> None:
    fine = bridge705.bridge(1.3)
    seen = []
    for one in (deck, fine):
        forces = one.load(bridge705.TRUCK, 36.0, bridge705.LANE)[:, None]
        w = deflect(one, bridge705.factors(NOMINAL), forces)
        level = np.kron(np.tile([1.0, 0.0], len(one.x)), np.tile([1.0, 0.0], len(one.z)))  # the whole deck 1 m higher
        np.testing.assert_allclose(level @ forces, -bridge705.TRUCK.weight, rtol=1e-10)
        held = level @ (one.parts["pier"] + one.parts["abutment"]) @ w
        np.testing.assert_allclose(held, -bridge705.TRUCK.weight, rtol=1e-6)
        seen.append((one.rows([36.175, 20.775], [-8.3, -8.3]) @ w)[:, 0])
    np.testing.assert_allclose(seen[0], seen[1], rtol=0.02)


def test_the_truck_weighs_what_was_weighed() -> None:
    assert bridge705.TRUCK.weight == pytest.approx(34_950 * 9.81e-3)


def test_a_reduced_basis_converges(deck: Deck) -> None:
    forces = np.array([deck.load(bridge705.TRUCK, x, bridge705.LANE) for x in (10.5, 36.0)]).T
    reads, fresh = {"w": deck.rows([6.0, 36.0], [-8.3, -8.3])}, bridge705.drawn(3, 2)
    worst = []
    for size in (4, 8, 16):
        small = reduced(deck, basis_of(deck, bridge705.drawn(12, 1), forces, size), forces, reads)
        gaps = [small.respond(np.array(list(f.values())))["w"] - reads["w"] @ deflect(deck, f, forces) for f in fresh]
        worst.append(np.abs(gaps).max())
    assert worst[0] > 3 * worst[2]
    assert worst[1] > worst[2]
    with pytest.raises(DataError, match="got size=99; expected 1 to 24"):
        basis_of(deck, bridge705.drawn(12, 1), forces, 99)


def test_a_linear_solve_and_its_derivative() -> None:
    rng = np.random.default_rng(1)
    a, right, slope = rng.normal(size=(3, 3)) + 4 * np.eye(3), rng.normal(size=(3, 2)), rng.normal(size=(3, 3))
    np.testing.assert_allclose(a @ wb.math.solve(a, right), right, atol=1e-12)
    s = pt.dscalar("s")
    made = wb.math.solve(a + s * slope, right).sum()
    value, gradient = pytensor.function([s], [made, pytensor.grad(made, s)], mode="FAST_COMPILE")(0.0)
    inverse = np.linalg.inv(a)
    np.testing.assert_allclose(value, (inverse @ right).sum(), rtol=1e-12)
    np.testing.assert_allclose(gradient, -(inverse @ slope @ inverse @ right).sum(), rtol=1e-10)


def test_the_drawn_deck_is_nearer_to_the_test_than_nothing(deck: Deck) -> None:
    """Uncalibrated, in the range of the independent model: 0.046 mm on average over the gauges."""
    data = load_test.readings()
    positions, places = data["position"].values, load_test.sensors().loc[data["gauge"].values]
    seen = data["displacement"].fillna(data["displacement_far"])[0].values
    forces = np.array([deck.load(bridge705.TRUCK, x, bridge705.LANE) for x in positions]).T
    w = deflect(deck, bridge705.factors(NOMINAL), forces)
    found = 1e3 * deck.rows(places["x"], places["z"]) @ w
    assert np.sqrt(((found - seen) ** 2).mean(axis=1)).mean() < 0.046
    diana = load_test.diana().loc[places.index, positions].to_numpy()
    assert np.sqrt(((diana - seen) ** 2).mean(axis=1)).mean() == pytest.approx(0.046, abs=1e-3)


@pytest.mark.skipif(not HERE.is_dir(), reason="set WORKBENCH_DATA to the folder with the published files")
def test_what_comes_with_the_package_is_what_was_published() -> None:
    ours, theirs = load_test.readings(), load_test.readings(HERE / "measurements_static.csv")
    for name in ours.data_vars:
        np.testing.assert_allclose(ours[name].values, theirs[name].values, atol=6e-6)
    published = pd.read_csv(HERE / "displacement_sensors.csv", index_col="label")
    kept = load_test.sensors().loc[published.index]
    np.testing.assert_array_equal(kept[["x", "z"]], published[["x", "z"]])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("inflinedata", "inflindata", "expected a column 'inflinedata'; did you mean 'inflinedata' by 'inflindata'"),
        ("displacements,U13,", "displacements,U313,", "got sensor 'U313'; did you mean 'U13'"),
        ("displacements,U13,", "strains,U13,", "got sensor 'U13' among 'strains'; expected it in 'displacements'"),
        ("displacements,U13,10.5,", "displacements,U13,210.5,", "got the truck at 210.5 m; expected its first axle"),
        ("displacements,U13,10.5,", "displacements,U13,16.875,", "got 'U13' twice at 16.875 m"),
        ("displacements,U13,10.5,", "displacements,U13,10.5,x", "inflinedata"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    text = data_file("bridge705_readings.csv").read_text("utf-8")
    assert old in text
    (tmp_path / "mine.csv").write_text(text.replace(old, new), "utf-8")
    with pytest.raises(DataError, match=words):
        load_test.readings(tmp_path / "mine.csv")


def test_a_stuck_gauge_is_named_and_missing_positions_are_gaps() -> None:
    table = pd.read_csv(data_file("bridge705_readings.csv"), comment="#")
    stuck = table.copy()
    stuck.loc[stuck["sensorlabel"] == "U4", "inflinedata"] = 0.5
    with pytest.raises(DataError, match=r"got .U4. stuck at 0.5 at 13 positions"):
        load_test.readings(stuck)
    some = table[~((table["sensorlabel"] == "U4") & (table["xpostruck"] > 50))]
    data = load_test.readings(some)
    assert int(data["displacement_far"].sel(gauge="U4").notnull().sum()) < 6
    with pytest.raises(DataError, match="got no readings of 'strains'"):
        load_test.readings(table[table["sensortype"] == "displacements"])


def test_places_and_vehicles_off_the_deck_are_refused(deck: Deck) -> None:
    with pytest.raises(DataError, match=r"off the deck, x = 200 m, z = 0 m; expected x from 0 to 102.75 m"):
        deck.rows(200.0, 0.0)
    with pytest.raises(DataError, match="first axle at 300 m, off the bridge"):
        deck.load(bridge705.TRUCK, 300.0, bridge705.LANE)
    with pytest.raises(DataError, match="off the deck"):
        deck.load(bridge705.TRUCK, 20.0, 16.5)
    floating = Deck(deck.x, deck.z, {"nothing": 0 * deck.parts["long"]})
    with pytest.raises(DataError, match="expected supports that hold it"):
        deflect(floating, {"nothing": 1.0}, np.ones((4 * len(deck.x) * len(deck.z), 1)))
