"""What may be an index of a vector, and an array of numbers beside one."""

from typing import Any

import numpy as np


def numbers(value: Any) -> Any:
    """Return a sequence or an array of numbers as an array; None for anything else."""
    if not isinstance(value, list | tuple | np.ndarray):
        return None
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths
        return None
    return array.astype(np.float64) if array.dtype.kind in "biuf" else None


def is_index(part: Any) -> bool:
    """Return whether a part of an index is fixed: a whole number, a slice, an array of whole numbers, None or `...`."""
    if isinstance(part, slice):
        return all(end is None or _is_whole(end) for end in (part.start, part.stop, part.step))
    if isinstance(part, list | np.ndarray):
        return np.asarray(part).dtype.kind in "iu"
    return part is None or part is Ellipsis or _is_whole(part)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def index_text(part: Any) -> str:
    """Return a part of an index as text: "3", "1:", "...", "[0, 2]"."""
    if isinstance(part, slice):
        step = "" if part.step is None else f":{part.step}"
        return ":".join("" if end is None else str(end) for end in (part.start, part.stop)) + step
    return "..." if part is Ellipsis else str(np.asarray(part).tolist())
