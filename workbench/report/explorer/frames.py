"""What sliders show where no browser can run the model: quantiles worked out beforehand, one slider at a time."""

import base64
from typing import Any

import numpy as np

from workbench.report.explorer.control import Control
from workbench.report.explorer.scene import Scene

MOST = 600_000  # characters of all frames of a page
POSITIONS = (17, 9, 5, 3)  # of a slider: as many as there is room for
_STEPS, _UNKNOWN = 65_534, 65_535  # of the range of a curve, and what stands for NaN


def frames(scene: Scene) -> dict[str, Any]:
    """Return quantiles of a scene at positions of each slider, the others at their start, as plain data.

    Returns
    -------
    dict
        `shares` (a list for each slider, from 0 to 1, its start among them), `low` and `high` of each curve, `data`:
        whole numbers of 16 bits, little-endian, in base64, over slider, share, quantile, time and curve; 0 is `low`,
        65534 `high`, and 65535 unknown. Rounding errs by less than a hundred-thousandth of a curve's range.
    """
    shares = [_shares(control, _positions(scene)) for control in scene.controls]
    made = [
        scene.quantiles({control.name: _value(control, share)})
        for control, some in zip(scene.controls, shares, strict=True)
        for share in some
    ]
    every = np.stack(made) if made else np.empty((0, *scene.base.shape))
    both = np.concatenate([every, scene.base[None]])
    low, high = (fold(np.where(np.isfinite(both), both, fill), axis=(0, 1, 2)) for fold, fill in
                 ((np.min, np.inf), (np.max, -np.inf)))  # fmt: skip
    low, high = np.where(np.isfinite(low), low, 0.0), np.where(np.isfinite(high), high, 1.0)
    scaled = np.round((every - low) / np.where(high > low, high - low, 1.0) * _STEPS)
    whole = np.where(np.isfinite(scaled), scaled, _UNKNOWN).astype("<u2")
    data = base64.b64encode(whole.tobytes()).decode("ascii")
    return {"shares": shares, "low": low.tolist(), "high": high.tolist(), "data": data}


def _positions(scene: Scene) -> int:
    """Return as many positions of a slider as there is room for."""
    one = max(1, len(scene.controls)) * 2 * int(np.prod(scene.base.shape)) * 4 / 3
    return next((count for count in POSITIONS if (count + 1) * one <= MOST), POSITIONS[-1])


def _shares(control: Control, count: int) -> list[float]:
    return sorted({*np.linspace(0, 1, count).tolist(), _share(control)})


def _share(control: Control) -> float:
    """Return where a slider's start is, from 0 to 1."""
    if control.logarithmic:
        return float(np.log(control.start / control.low) / np.log(control.high / control.low))
    return (control.start - control.low) / (control.high - control.low)


def _value(control: Control, share: float) -> float:
    """Return what a slider sets at a share of its length."""
    if control.logarithmic:
        return float(control.low * (control.high / control.low) ** share)
    return control.low + share * (control.high - control.low)
