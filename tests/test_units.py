"""Units convert as tables say, offsets of temperature included, and unknown ones are refused with the nearest name."""

import numpy as np
import pytest

from workbench.base import units
from workbench.base.errors import DataError, UnitError, WorkbenchError, nearest, unknown


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        (20.0, "degC", "K", 293.15),
        (293.15, "K", "degC", 20.0),
        (68.0, "degF", "degC", 20.0),
        (-40.0, "°C", "degF", -40.0),
        (5.0, "delta_degC", "K", 5.0),
        (9.0, "delta_degF", "delta_degC", 5.0),
        (60.0, "degC/h", "K/min", 1.0),
        (3.0, "W/m**2/degC", "W/m^2/K", 3.0),
        (1.0, "kWh", "MJ", 3.6),
        (2.0, "d", "h", 48.0),
        (5.0, "mg/L", "g/m**3", 5.0),
        (1.0, "bar", "Pa", 1e5),
        (50.0, "percent", "1", 0.5),
        (7.0, "", "1", 7.0),
        (250.0, "microstrain", "1", 2.5e-4),
        (60.0, "rpm", "rad/s", 2 * np.pi),
    ],
)
def test_conversions(value, source, target, expected):
    assert units.convert(value, source, target) == pytest.approx(expected, rel=1e-12)
    found = units.convert([value, np.nan], source, target)
    assert found.dtype == np.float64
    assert found == pytest.approx([expected, np.nan], rel=1e-12, nan_ok=True)
    assert units.convert(units.convert(value, source, target), target, source) == pytest.approx(value, rel=1e-12)


def test_factors_drop_offsets():
    assert units.factor("degC", "K") == 1.0
    assert units.factor("degF", "K") == pytest.approx(5 / 9)
    assert units.factor("K/h", "degC/min") == pytest.approx(1 / 60)
    assert units.factor("degC**2", "K**2") == 1.0


@pytest.mark.parametrize(
    ("source", "target"), [("kW", "kWh"), ("K", "m"), ("1", "s"), ("mg", "mg/L"), ("degC", "degC**2")]
)
def test_other_dimensions_are_refused(source, target):
    for call in (units.factor, lambda a, b: units.convert(1.0, a, b)):
        with pytest.raises(UnitError, match="expected a unit convertible to ") as error:
            call(source, target)
        assert f"got {source!r}" in str(error.value)


@pytest.mark.parametrize(
    ("unit", "says"),
    [
        ("hoour", "did you mean 'hour'?"),
        ("kg/metr", "did you mean 'met"),
        ("2 m", "got unknown unit '2 m'; expected one that pint knows, such as 'kW', 'mg/L', 'degC' or '1'"),
        ("m/", "got unknown unit 'm/'; expected one"),
        ("h-1", "got unknown unit 'h-1'; expected one"),
        (3, "got 3 as a unit; expected text such as 'kW', 'mg/L' or '1' for a pure number"),
        (None, "got None as a unit; expected text"),
    ],
)
def test_unknown_units(unit, says):
    with pytest.raises(UnitError) as error:
        units.parse(unit)
    assert says in str(error.value)


def test_nearest_name():
    known = ["alpha", "beta", "T", "ka"]
    assert nearest("aplha", known) == "alpha"
    assert nearest("Ka", known) == "ka"
    assert nearest("TT", known) == "T"
    assert nearest("zzz", known) is None
    assert nearest("x", []) is None
    assert unknown("state", "bta", known, "M.rhs") == (
        "M.rhs: got unknown state 'bta'; expected one of 'alpha', 'beta', 'T', 'ka'; did you mean 'beta'?"
    )
    assert unknown("state", "q", []) == "got unknown state 'q'; expected one of none (there are no such names)"
    assert issubclass(DataError, WorkbenchError)
    assert issubclass(WorkbenchError, ValueError)
