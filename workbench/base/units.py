"""Units, at the doors only: inside, every number is in the unit its quantity declares.

A degree Celsius counts as a kelvin in balances (differences and rates of temperature); at the doors, where values are
converted, its offset is respected.
"""

import functools
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.base.errors import UnitError, nearest

DIMENSIONLESS = "1"


@functools.cache
def registry() -> Any:
    """Return the one pint registry, loaded at the first use (0.5 s)."""
    import pint

    units = pint.UnitRegistry(autoconvert_offset_to_baseunit=True)
    units.define("microstrain = 1e-6")
    return units


@functools.lru_cache(maxsize=4096)
def parse(unit: str) -> Any:
    """Return the pint unit written as `unit` ("1" is dimensionless).

    Raises
    ------
    UnitError
        If pint does not know the unit.
    """
    import pint

    if not isinstance(unit, str):
        raise UnitError(f"got {unit!r} as a unit; expected text such as 'kW', 'mg/L' or '1' for a pure number")
    try:
        return registry().Unit("dimensionless" if unit.strip() in ("1", "") else unit)
    except (pint.errors.PintError, ValueError, TypeError, AttributeError, AssertionError) as error:
        word = str(getattr(error, "unit_names", unit)).strip("(),'")
        close = nearest(word, _spellings())
        hint = f"; did you mean {close!r}?" if close else ""
        raise UnitError(
            f"got unknown unit {unit!r}; expected one that pint knows, such as 'kW', 'mg/L', 'degC' or '1'{hint}"
        ) from None


@functools.cache
def _spellings() -> tuple[str, ...]:
    return tuple(name for name in dir(registry()) if not name.startswith("_"))


@functools.lru_cache(maxsize=4096)
def scale_and_dimension(unit: Any) -> tuple[float, Any]:
    """Return a pint unit's scale to base units and its dimension, offsets of temperature dropped."""
    quantity = registry().Quantity(1.0, unit)
    if not quantity._is_multiplicative:
        pieces = {name.removeprefix("degree_"): power for name, power in unit._units.items()}
        swap = {
            "Celsius": "kelvin",
            "Fahrenheit": "degree_Rankine",
            "celsius": "kelvin",
            "fahrenheit": "degree_Rankine",
        }
        text = " * ".join(f"{swap.get(name, name)}**{power}" for name, power in pieces.items())
        quantity = registry().Quantity(1.0, text)
    base = quantity.to_base_units()
    return float(base.magnitude), base.dimensionality


def factor(source: str, target: str) -> float:
    """Return the scale from `source` to `target` units (offsets ignored); UnitError when dimensions differ."""
    (a, dims_a), (b, dims_b) = scale_and_dimension(parse(source)), scale_and_dimension(parse(target))
    if dims_a != dims_b:
        raise UnitError(f"got {source!r} ({dims_a}); expected a unit convertible to {target!r} ({dims_b})")
    return a / b


def convert(values: ArrayLike, source: str, target: str) -> NDArray[np.float64]:
    """Return `values` given in unit `source` as float64 numbers in unit `target`, offsets of temperature respected.

    Raises
    ------
    UnitError
        If a unit is unknown or the two differ in dimension.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if source == target:
        return numbers
    factor(source, target)
    return np.asarray(registry().Quantity(numbers, parse(source)).to(parse(target)).magnitude, dtype=np.float64)
