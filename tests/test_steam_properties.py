"""IAPWS-IF97 against the release's verification tables, another package, and the Gibbs relation."""

import iapws
import numpy as np
import pytest

from workbench.domains.power_plants import steam_properties as if97


def test_water_as_in_table_5_of_the_release() -> None:
    h, s = if97.water(np.array([3.0, 80.0, 3.0]), np.array([300.0, 300.0, 500.0]))
    assert h == pytest.approx([115.331273, 184.142828, 975.542239], abs=1e-6)
    assert s == pytest.approx([0.392294792, 0.368563852, 2.58041912], abs=1e-8)


def test_steam_as_in_table_15_of_the_release() -> None:
    h, s = if97.steam(np.array([0.0035, 0.0035, 30.0]), np.array([300.0, 700.0, 700.0]))
    assert h == pytest.approx([2549.91145, 3335.68375, 2631.49474], abs=1e-5)
    assert s == pytest.approx([8.52238967, 10.1749996, 5.17540298], abs=1e-7)


def test_temperatures_as_in_tables_24_and_29_of_the_release() -> None:
    by_h = if97.steam_temperature(np.array([0.001, 3.0, 3.0]), h=np.array([3000.0, 3000.0, 4000.0]))
    by_s = if97.steam_temperature(np.array([0.1, 0.1, 2.5]), s=np.array([7.5, 8.0, 8.0]))
    assert by_h == pytest.approx([534.433241, 575.373370, 1010.77577], abs=1e-5)
    assert by_s == pytest.approx([399.517097, 514.127081, 1039.84917], abs=1e-5)


def test_saturation_as_in_tables_35_and_36_of_the_release() -> None:
    pressures = if97.saturation_pressure(np.array([300.0, 500.0, 600.0]))
    assert pressures == pytest.approx([0.00353658941, 2.63889776, 12.3443146], rel=1e-8)
    temperatures = if97.saturation_temperature(np.array([0.1, 1.0, 10.0]))
    assert temperatures == pytest.approx([372.755919, 453.035632, 584.149488], abs=1e-5)


@pytest.mark.parametrize("p", [0.004, 0.1, 1.0, 3.9, 9.0])
def test_another_package(p: float) -> None:
    boiling = float(if97.saturation_temperature(p))
    for T in np.linspace(boiling + 0.5, 1000.0, 7):
        found = iapws.IAPWS97(P=p, T=T)
        assert if97.steam(p, T) == pytest.approx((found.h, found.s), rel=1e-9)
        if p < 4:
            assert if97.steam_temperature(p, h=found.h) == pytest.approx(T, abs=0.025)
            assert if97.steam_temperature(p, s=found.s) == pytest.approx(T, abs=0.025)
    for T in np.linspace(280.0, boiling - 0.5, 5):
        found = iapws.IAPWS97(P=p, T=T)
        assert if97.water(p, T) == pytest.approx((found.h, found.s), rel=1e-9)


@pytest.mark.parametrize("phase", [if97.water, if97.steam])
def test_heat_at_constant_pressure_is_temperature_times_entropy(phase: object) -> None:
    p, T = (1.0, 400.0) if phase is if97.water else (0.5, 600.0)
    (h1, s1), (h2, s2) = (phase(p, T + step) for step in (-1e-3, 1e-3))  # type: ignore[operator]
    assert (h2 - h1) / (s2 - s1) == pytest.approx(T, rel=1e-6)
