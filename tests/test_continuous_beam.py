"""Support forces of a continuous beam against closed forms and the three-moment equation."""

import numpy as np
import pytest

from workbench.base.errors import DataError
from workbench.domains.bridges.continuous_beam import support_forces


def test_two_equal_spans_under_uniform_load() -> None:
    assert support_forces([4, 4], 2e6, load=8e3) == pytest.approx(np.array([3 / 8, 5 / 4, 3 / 8]) * 8e3 * 4)


def test_middle_support_settles() -> None:
    """A simple beam of 2 L deflects by P L^3 / (6 EI) at its middle."""
    middle = 6 * 2e6 / 4**3 * 0.003
    assert support_forces([4, 4], 2e6, settlement=[0, 0.003, 0]) == pytest.approx([middle / 2, -middle, middle / 2])


def test_three_moment_equation_of_uneven_spans() -> None:
    spans, rigidity, load, down = [3.0, 5.0, 4.0], 3e6, [2e3, 7e3, 1e3], np.array([0.001, 0.004, -0.002, 0.003])
    a, b, c = spans
    left = np.array([[2 * (a + b), b], [b, 2 * (b + c)]])
    right = [-(load[i] * spans[i] ** 3 + load[i + 1] * spans[i + 1] ** 3) / 4 for i in (0, 1)]
    slopes = np.diff(down) / spans
    moments = [0, *np.linalg.solve(left, np.array(right) - 6 * rigidity * np.diff(slopes)), 0]
    expected = np.zeros(4)
    for i, length in enumerate(spans):
        half, shear = load[i] * length / 2, (moments[i + 1] - moments[i]) / length
        expected[i] += half + shear
        expected[i + 1] += half - shear
    assert support_forces(spans, rigidity, load=load, settlement=down) == pytest.approx(expected, rel=1e-9)


def test_rigid_motion_changes_nothing() -> None:
    level = support_forces([3, 5], 1e6, load=1e3)
    assert support_forces([3, 5], 1e6, load=1e3, settlement=[0.001, 0.004, 0.009]) == pytest.approx(level)


@pytest.mark.parametrize("bad", [{"spans": [4]}, {"spans": [4, -1]}, {"rigidity": 0.0}, {"settlement": [0.0, 0.001]}])
def test_bad_input(bad: dict) -> None:
    given = {"spans": [4, 4], "rigidity": 1e6} | bad
    with pytest.raises(DataError, match=next(iter(bad))):
        support_forces(given.pop("spans"), given.pop("rigidity"), **given)
