"""Structures with measured modes: a four-storey laboratory frame, and a steel footbridge.

Sources
-------
Otsuki Y et al. (2022), Adv. Struct. Eng. 25(4), 698: the footbridge, its parts, its test and its updates. Matrices,
modes and the published updates of both structures: the authors' repository ywang-structures/Structural-Model-Updating.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.base.errors import DataError
from workbench.base.fetch import fetch
from workbench.base.share import data_file
from workbench.base.tables import listed, numbers_of, read_table
from workbench.declare import math as m
from workbench.declare import noise, prior
from workbench.declare.quantity import Output, Parameter
from workbench.declare.static import Static
from workbench.domains.bridges.modes import Array, Structure

if TYPE_CHECKING:
    import xarray as xr

FRAME = (0.7397, 0.7841, 0.8717, 1.5327)
"""Published stiffness factors of the frame, updated with modes 1 and 2 at floors 1 to 3, MAC form."""

FOOTBRIDGE = (4.063, 4.557, 6.819, 8.652, 11.430)
"""Frequencies (Hz) of the best published update of the footbridge, MAC form with bounds."""

SPRING, WEIGHT, GRAVITY = 10.0, 12.060, 386.0886  # of the frame: lbf/in each storey, lb each floor, in/s^2
PARTS = (
    "K_Frame",
    "K_Truss",
    *(f"K_Conc{i}" for i in range(1, 12)),
    "K_y1",
    "K_z1",
    "K_y2",
    "K_z2",
)  # as its file says


class Frame(Static):
    """Four-storey shear frame on a shake table: the springs between its floors, in steps from the base to the roof.

    - factor: laboratory springs, whose stiffness was rated; 90% within 0.6 to 1.6 of it.
    - frequencies: 1% of each; no scatter was published.
    """

    structure: Structure
    factor = Parameter(
        "1", prior=prior.LogNormal(median=1.0, sigma=0.3), dims=("storey",), long_name="stiffness factor"
    )
    f1 = Output("Hz", noise=noise.Normal(sigma=0.009), long_name="frequency of mode 1")
    f2 = Output("Hz", noise=noise.Normal(sigma=0.027), long_name="frequency of mode 2")
    f3 = Output("Hz", noise=noise.Normal(sigma=0.043), long_name="frequency of mode 3")
    f4 = Output("Hz", noise=noise.Normal(sigma=0.055), long_name="frequency of mode 4")
    mode_shape = Output(
        "1", noise=noise.Normal(sigma=prior.HalfNormal(0.1)), dims=("floor", "mode"), long_name="mode shape"
    )

    def coords(self) -> Mapping[str, Any]:
        """Storeys, floors and modes count from 1."""
        return dict.fromkeys(("storey", "floor", "mode"), np.arange(1, 5))

    def observe(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return frequencies (Hz) and scaled shapes."""
        f, shape = self.structure.modes(p.factor)
        return {f"f{i + 1}": f[i] for i in range(4)} | {"mode_shape": shape}


class Footbridge(Static):
    """Steel footbridge of trusses: its frame, its truss, its deck in eleven lengths, four bearings.

    - steel: sections and modulus are known, 90% within 8%.
    - deck: concrete's modulus, its cracks and its bond to the steel; 90% within 0.72 to 1.39.
    - bearing: springs in place of bearings and abutments, whose stiffness nobody knew; 90% within 0.14 and 7.2.
    - frequencies: the SDs are those published of repeated tests.
    - shapes: some of the 58 channels read far from any update of the model, so their errors have heavy tails.
    """

    structure: Structure
    steel = Parameter("1", prior=prior.LogNormal(median=1.0, sigma=0.05), dims=("member_kind",), long_name="steel")
    deck = Parameter("1", prior=prior.LogNormal(median=1.0, sigma=0.2), dims=("length",), long_name="concrete deck")
    bearing = Parameter("1", prior=prior.LogNormal(median=1.0, sigma=1.2), dims=("spring",), long_name="bearings")
    f1 = Output("Hz", noise=noise.Normal(sigma=0.0300), long_name="frequency of mode 1")
    f2 = Output("Hz", noise=noise.Normal(sigma=0.0215), long_name="frequency of mode 2")
    f3 = Output("Hz", noise=noise.Normal(sigma=0.0350), long_name="frequency of mode 3")
    f4 = Output("Hz", noise=noise.Normal(sigma=0.0705), long_name="frequency of mode 4")
    f5 = Output("Hz", noise=noise.Normal(sigma=0.2339), long_name="frequency of mode 5")
    mode_shape = Output(
        "1", noise=noise.StudentT(sigma=prior.HalfNormal(0.1)), dims=("channel", "mode"), long_name="mode shape"
    )

    def coords(self) -> Mapping[str, Any]:
        """Bearings are named by direction and end, modes count from 1."""
        return {
            "member_kind": ["frame", "truss"],
            "length": np.arange(1, 12),
            "spring": ["y1", "z1", "y2", "z2"],
            "channel": np.arange(1, 59),
            "mode": np.arange(1, 6),
        }

    def observe(self, t: Any, x: Any, u: Any, p: Any) -> dict[str, Any]:
        """Return frequencies (Hz) and scaled shapes."""
        f, shape = self.structure.modes(m.concatenate([p.steel, p.deck, p.bearing]))
        return {f"f{i + 1}": f[i] for i in range(5)} | {"mode_shape": shape}


def frame(path: str | Path | None = None) -> "tuple[Structure, xr.Dataset]":
    """Return the four-storey frame, in lbf, in and s, and its measured modes as data of `Frame`.

    Parameters
    ----------
    path
        A CSV file with columns `mode, frequency [Hz], floor1, floor2, floor3, floor4` of four modes; None for the
        measured ones, which come with the package.

    Raises
    ------
    DataError
        If the file cannot be read, a column is missing, or there are not four modes.
    """
    file = data_file("four_storey_frame.csv") if path is None else Path(path)
    found = read_table(file, file.name)
    names = ["frequency", *(f"floor{i}" for i in range(1, 5))]
    units = ("Hz", "1", "1", "1", "1")
    frequencies, *modes = (numbers_of(found, n, unit, file.name) for n, unit in zip(names, units, strict=True))
    if len(frequencies) != 4:
        raise DataError(f"{file.name}: got {len(frequencies)} modes; expected 4, a row each")
    shapes = np.array(modes)
    springs = np.eye(4) - np.eye(4, k=-1)  # the stretch of each storey
    parts = SPRING * springs[:, :, None] * springs[:, None, :]
    made = Structure(WEIGHT / GRAVITY * np.eye(4), parts, np.eye(4), shapes)
    return made, _readings(frequencies, shapes, "floor")


def footbridge() -> "tuple[Structure, xr.Dataset]":
    """Return the footbridge, 946 degrees of freedom, and its five measured modes as data of `Footbridge`.

    Parts are the frame, the truss, eleven lengths of the deck and four bearings; units are consistent in seconds.

    Raises
    ------
    DataError
        If a file is not here and cannot be fetched, was changed, or lacks a matrix.
    """
    model = _matrices("footbridge_model", [*PARTS, "M0", "measDOFs"])
    modes = _matrices("footbridge_modes", ["lambdaExp", "psiExp_m"])
    mass = np.asarray(model["M0"], dtype=np.float64)
    channels = np.eye(len(mass))[np.ravel(model["measDOFs"]).astype(int) - 1]  # they count from 1
    shapes = np.asarray(modes["psiExp_m"], dtype=np.float64)
    parts = np.stack([np.asarray(model[name], dtype=np.float64) for name in PARTS])  # some are small integers
    parts = (parts + parts.transpose(0, 2, 1)) / 2
    frequencies = np.sqrt(np.ravel(modes["lambdaExp"])) / (2 * np.pi)
    return Structure(mass, parts, channels, shapes), _readings(frequencies, shapes, "channel")


def _matrices(name: str, wanted: list[str]) -> dict[str, Any]:
    """Return matrices of a registered MATLAB file; version 5 of the format holds numbers, no code."""
    from scipy.io import loadmat

    path = fetch(name)
    found = loadmat(path, variable_names=wanted)
    for key in wanted:
        if key not in found:
            raise DataError(
                f"{path.name}: got {listed([k for k in found if k[0] != '_'])}; expected {key!r} among them"
            )
    return dict(found)


def _readings(frequencies: Array, shapes: Array, place: str) -> "xr.Dataset":
    """Return modes as one row of readings."""
    import xarray as xr

    data: dict[str, Any] = {f"f{i + 1}": ("time", [f], {"units": "Hz"}) for i, f in enumerate(frequencies)}
    labels = {place: np.arange(1, len(shapes) + 1), "mode": np.arange(1, shapes.shape[1] + 1)}
    data["mode_shape"] = (("time", place, "mode"), shapes[None], {"units": "1"})
    return xr.Dataset(data, {"time": [0.0], **labels})
