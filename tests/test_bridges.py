"""Structures with measured modes: closed forms, published updates, full solutions, files that are wrong."""

import os
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg

import workbench as wb
from workbench.base.errors import DataError, UnitError
from workbench.base.share import data_file
from workbench.domains.bridges import structures
from workbench.domains.bridges.modes import Structure, mac, modes_of, reduced

ALIKE = np.sqrt(10 / (12.06 / 386.0886)) / np.pi * np.sin((2 * np.arange(1, 5) - 1) * np.pi / 18)  # equal storeys
HERE = Path(os.environ.get("WORKBENCH_DATA", ""), "bridges/smu_pedestrian_bridge/SteelPedestrianBridgeExp.mat")
NOMINAL = [4.660, 4.875, 6.654, 9.901, 11.381]


@pytest.fixture(scope="module")
def beam() -> Structure:
    """Return a simply supported beam of 24 cubic elements, a part for each quarter; EI = mu = L = 1."""
    n, h = 24, 1 / 24
    k = np.array([[12, 6, -12, 6], [6, 4, -6, 2], [-12, -6, 12, -6], [6, 2, -6, 4]])
    m = np.array([[156, 22, 54, -13], [22, 4, 13, -3], [54, 13, 156, -22], [-13, -3, -22, 4]]) / 420
    parts, mass = np.zeros((4, 2 * n + 2, 2 * n + 2)), np.zeros((2 * n + 2, 2 * n + 2))
    for e in range(n):  # rotations times the element's length
        at = slice(2 * e, 2 * e + 4)
        parts[e * 4 // n, at, at] += k / h**3
        mass[at, at] += m * h
    free = np.delete(np.arange(2 * n + 2), [0, 2 * n])
    places = np.array([3, 6, 9, 12, 15, 18, 21])
    channels = np.eye(2 * n + 2)[2 * places][:, free]
    shapes = np.sin(np.outer(places * h, np.pi * np.arange(1, 4)))
    return Structure(mass[np.ix_(free, free)], parts[:, free][:, :, free], channels, shapes)


def test_a_beam_has_the_modes_of_the_textbook(beam: Structure) -> None:
    frequencies, shapes = beam.modes(np.ones(4))
    np.testing.assert_allclose(frequencies, np.pi / 2 * np.arange(1, 4) ** 2, rtol=2e-5)
    np.testing.assert_allclose(shapes, beam.shapes, atol=2e-5)
    values, _ = modes_of(beam, np.ones(4), 3)
    np.testing.assert_allclose(np.sqrt(values) / (2 * np.pi), frequencies, rtol=1e-8)


def test_channels_that_are_not_known_change_nothing_but_the_scale(beam: Structure) -> None:
    some = beam.shapes.copy()
    some[1] = some[4, 2] = np.nan
    factors = np.array([0.7, 1.2, 1.0, 1.5])
    whole, part = (Structure(beam.mass, beam.parts, beam.channels, s).modes(factors) for s in (beam.shapes, some))
    np.testing.assert_allclose(part[0], whole[0], rtol=1e-12)
    np.testing.assert_allclose(np.diag(mac(part[1], whole[1])), 1.0, rtol=1e-12)


def test_mac_of_known_angles() -> None:
    one, other = np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[3.0], [-3.0]])
    np.testing.assert_allclose(mac(one, other), [[0.5], [0.5]])


def test_a_reduced_basis_bounds_frequencies_from_above_and_converges(beam: Structure) -> None:
    rng = np.random.default_rng(1)
    snapshots, fresh = np.exp(0.3 * rng.normal(size=(2, 12, 4)))
    errors = []
    for size in (4, 8, 16):
        small, basis = reduced(beam, snapshots, size=size, count=3)
        ratios = [
            scipy.linalg.eigh(np.tensordot(f, small.parts, 1), small.mass, eigvals_only=True)[:3]
            / modes_of(beam, f, 3)[0]
            for f in fresh
        ]
        assert np.min(ratios) > 1 - 1e-7, "Ritz"
        errors.append(np.max(ratios) - 1)
        assert basis.shape == (len(beam.mass), size)
    assert errors[0] > 10 * errors[1] > 100 * errors[2]
    with pytest.raises(DataError, match="got size=99; expected 3 to 36"):
        reduced(beam, snapshots, size=99, count=3)


def test_a_structure_that_floats_is_refused(beam: Structure) -> None:
    floating = Structure(np.eye(2), np.array([[[1.0, -1.0], [-1.0, 1.0]]]), np.eye(2), np.eye(2)[:, :1])
    with pytest.raises(DataError, match="expected a structure on supports"):
        modes_of(floating, np.ones(1), 1)


def test_the_frame_by_closed_form_and_by_its_published_update() -> None:
    frame, data = structures.frame()
    np.testing.assert_allclose(np.sort(frame.modes(np.ones(4))[0]), ALIKE, rtol=1e-12)
    measured = [float(data[f"f{i}"][0]) for i in (1, 2)]
    frequencies, shapes = frame.modes(np.array(structures.FRAME))
    root = np.sqrt(np.diag(mac(shapes[:3, :2], frame.shapes[:3, :2])))
    objective = ((frequencies[:2] ** 2 / np.square(measured) - 1) ** 2).sum() + ((1 / root - 1) ** 2).sum()
    np.testing.assert_allclose(objective, 1.604e-7, rtol=0.01)  # as published; factors are printed to four digits


def test_the_frame_simulates_as_its_matrices_say() -> None:
    frame, _ = structures.frame()
    factors = np.array([0.9, 1.1, 0.8, 1.3])
    run = wb.simulate(structures.Frame(frame), [0.0], parameters={"factor": factors})
    frequencies, shapes = frame.modes(factors)
    np.testing.assert_allclose([run[f"f{i}"][0] for i in range(1, 5)], frequencies, rtol=1e-10)
    np.testing.assert_allclose(run["mode_shape"][0], shapes, atol=1e-10)


@pytest.mark.parametrize(
    ("old", "new", "error", "words"),
    [
        ("floor3", "flor3", DataError, "expected a column 'floor3'; did you mean 'floor3' by 'flor3'"),
        ("[Hz]", "[kg]", UnitError, "frequency"),
        ("-0.71911183", "much", DataError, "floor2"),
        ("4,5.52947434,-0.16875631,0.43459163,-1.0,0.69535744\n", "", DataError, "got 3 modes; expected 4"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, old: str, new: str, error: type[Exception], words: str) -> None:
    file = tmp_path / "mine.csv"
    text = data_file("four_storey_frame.csv").read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new), "utf-8")
    with pytest.raises(error, match=words.replace("[", r"\[")):
        structures.frame(file)


@pytest.mark.skipif(not HERE.is_file(), reason="needs the files that WORKBENCH_DATA names")
def test_the_footbridge_has_its_published_nominal_modes() -> None:
    bridge, data = structures.footbridge()
    values, vectors = modes_of(bridge, np.ones(17), 5)
    np.testing.assert_allclose(np.sqrt(values) / (2 * np.pi), NOMINAL, atol=6e-4)
    measured = [float(data[f"f{i}"][0]) for i in range(1, 6)]
    np.testing.assert_allclose(measured, [4.063, 4.550, 6.823, 8.653, 11.498], atol=6e-4)
    like = mac(bridge.channels @ vectors, bridge.shapes)
    assert list(like.argmax(axis=0)) == [1, 0, 2, 3, 4], "the first two change places when the bridge is updated"
    assert like.max(axis=0).min() > 0.89
