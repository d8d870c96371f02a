"""A tree of datasets in one netCDF file or zarr folder: exact, hashed, written whole or not at all, read as plain data.

Numbers come back to the last bit, with dtypes, attributes and the order of variables. The hash shows damage and
careless edits; it is no signature, as who rewrites a store on purpose can write its hash as well.
"""

import json
import shutil
import uuid
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import xarray as xr

from workbench.base.errors import StoreError
from workbench.base.inert import check_inert, root_attribute
from workbench.base.plain import content, decode, encode, layout, native

FORMAT = 1
PREFIX = "workbench_"  # of the root's attributes that are about the store
_FORMAT, _LAYOUT, _HASH = f"{PREFIX}format", f"{PREFIX}layout", f"{PREFIX}sha256"
_NEEDS = {".nc": ("h5netcdf", "h5py"), ".zarr": ("zarr",)}


def write(tree: xr.DataTree, path: Any) -> None:
    """Write a tree to `path`, which ends in `.nc` or `.zarr`; a store that is there already is replaced.

    The new store is written beside the old one, read back and compared, and only then takes its place, so an
    interruption leaves the old one as it was. (A file changes in one step; for a folder, renaming the old one and the
    new one are two.)

    Raises
    ------
    StoreError
        If the path cannot be written, or the tree holds what is neither numbers, text nor datetimes.
    """
    path = _target(path)
    temporary = path.with_name(f".{path.stem}-{uuid.uuid4().hex[:12]}{path.suffix}")
    try:
        _dump(tree, temporary)
        _load(temporary)  # which compares the hash
        _move(temporary, path)
    except StoreError as error:
        raise StoreError(f"{path.name} was not written: {error}") from None
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(f"{path.name} was not written: {error}") from error
    finally:
        _remove(temporary)


def read(path: Any) -> xr.DataTree:
    """Return the tree that `write` wrote; nothing in the store is executed.

    Raises
    ------
    StoreError
        If there is no store, or it is damaged, changed since it was written, written by a newer version, or holds
        more than plain data.
    """
    path = Path(path).expanduser()
    _check_suffix(path)
    if not path.exists():
        raise StoreError(f"got {str(path)!r}, which does not exist; expected a store that was saved")
    if path.is_dir() != (path.suffix == ".zarr"):
        got, expected = ("a folder", "a file") if path.is_dir() else ("a file", "a folder")
        raise StoreError(f"{path.name}: got {got}; expected {expected}")
    try:
        return _load(path)
    except StoreError as error:
        raise StoreError(f"{path.name}: {error}") from None
    except Exception as error:  # whatever h5py, zarr, json and xarray say of a damaged store
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise StoreError(f"{path.name}: got a store that is damaged, or none at all ({said})") from error


def _check_suffix(path: Path) -> None:
    if path.suffix not in _NEEDS:
        raise StoreError(f"got path {path.name!r}; expected one that ends in .nc (netCDF) or .zarr")
    absent = [package for package in _NEEDS[path.suffix] if find_spec(package) is None]
    if absent:
        raise StoreError(f"got path {path.name!r}, which needs the package {absent[0]!r}; expected it to be installed")


def _target(path: Any) -> Path:
    path = Path(path).expanduser()
    _check_suffix(path)
    if not path.parent.is_dir():
        raise StoreError(f"got path {str(path)!r}; expected its folder {str(path.parent)!r} to exist")
    store = (path / "zarr.json").is_file() if path.suffix == ".zarr" else path.is_file()
    if path.exists() and not store:
        raise StoreError(f"got path {str(path)!r}, where something else is; expected a free path, or an old store")
    return path


def _move(temporary: Path, path: Path) -> None:
    if not path.is_dir():
        temporary.replace(path)
        return
    old = temporary.with_name(f"{temporary.stem}-old{path.suffix}")
    path.rename(old)
    try:
        temporary.rename(path)
    except OSError:
        old.rename(path)
        raise
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _dump(tree: xr.DataTree, path: Path) -> None:
    datasets = {node.path: encode(node.to_dataset(inherit=False)) for node in tree.subtree}
    datasets["/"].attrs |= {_FORMAT: FORMAT, _LAYOUT: json.dumps(layout(tree)), _HASH: content(tree)}
    exact = {"_FillValue": None}  # no value stands for "missing", so every bit comes back
    encoding = {place: dict.fromkeys(map(str, one.variables), exact) for place, one in datasets.items()}
    made = xr.DataTree.from_dict(datasets)
    if path.suffix == ".zarr":
        made.to_zarr(path, mode="w", consolidated=False, zarr_format=3, encoding=encoding)
    else:
        made.to_netcdf(path, engine="h5netcdf", encoding=encoding)


def _load(path: Path) -> xr.DataTree:
    version = native(root_attribute(path, _FORMAT))
    if not isinstance(version, int):
        raise StoreError("got data that the workbench did not save; expected a saved calibration or twin")
    if version > FORMAT:
        raise StoreError(f"got format {version}, of a newer workbench; expected at most {FORMAT}: update the workbench")
    check_inert(path)
    options: dict[str, Any] = {"engine": "h5netcdf"}
    if path.suffix == ".zarr":
        options = {"engine": "zarr", "consolidated": False, "zarr_format": 3}
    with xr.open_datatree(path, decode_times=False, **options) as tree:
        raw = {node.path: node.to_dataset(inherit=False).load() for node in tree.subtree}
    _, names, wanted = (raw["/"].attrs.pop(key) for key in (_FORMAT, _LAYOUT, _HASH))
    expected: dict[str, dict[str, str]] = json.loads(names)
    for place, variables in expected.items():
        absent = [name for name in variables if place not in raw or name not in raw[place].variables]
        if place not in raw or absent:
            lost = "/".join([place.rstrip("/"), *absent[:1]])
            raise StoreError(f"got no {lost!r}; expected all that was saved: the store is not whole")
    made = xr.DataTree.from_dict({place: decode(raw[place], names) for place, names in expected.items()})
    if content(made) != wanted or set(raw) != set(expected):
        raise StoreError("got contents that do not match their hash; expected a store as it was saved: it was changed")
    return made
