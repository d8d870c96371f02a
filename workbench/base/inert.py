"""What must hold before a store is opened: a netCDF file or a zarr folder that holds plain data, and nothing else.

HDF5 can point at other files, and zarr can name codecs that run code (pickle among them). Here the types, filters and
codecs that stores need are listed, and everything else is refused before any data are read.
"""

import json
from pathlib import Path
from typing import Any

from workbench.base.errors import StoreError

_DEPTH = 8  # of groups; a file can hold a group in itself
_FILTERS = {1, 2, 3}  # HDF5's numbers of deflate, shuffle and fletcher32
_SCALES = {"DIMENSION_LIST", "REFERENCE_LIST"}  # netCDF's own attributes, which link variables to their dims
_CODECS = {"blosc", "bytes", "crc32c", "gzip", "sharding_indexed", "transpose", "vlen-utf8", "zstd"}
_TYPES = {f"{kind}{bits}" for kind in ("int", "uint", "float") for bits in (8, 16, 32, 64)} | {
    "bool", "fixed_length_utf32", "string",
}  # fmt: skip


def root_attribute(path: Path, name: str) -> Any:
    """Return one attribute of a store's root, None where it has none; raises what h5py and json raise."""
    if path.suffix == ".zarr":
        return json.loads((path / "zarr.json").read_text(encoding="utf-8")).get("attributes", {}).get(name)
    import h5py

    with h5py.File(path, "r") as file:
        if name not in file.attrs or not _plain_attribute(file, name):
            return None
        found = file.attrs[name]
        return found.item() if getattr(found, "shape", None) == (1,) else found  # netCDF's single numbers


def check_inert(path: Path) -> None:
    """Refuse a store that holds more than plain data.

    Raises
    ------
    StoreError
        Naming what was found; errors of h5py and json mean that it is no whole store.
    """
    if path.suffix == ".zarr":
        _check_zarr(path)
        return
    import h5py

    with h5py.File(path, "r") as file:
        _check_group(file, 0)


def _check_group(group: Any, depth: int) -> None:
    import h5py

    if depth > _DEPTH:
        raise StoreError(f"got groups nested more than {_DEPTH} deep; expected fewer")
    _check_attributes(group)
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise StoreError(f"got {name!r}, which points elsewhere; expected data in the file itself")
        item = group[name]
        if isinstance(item, h5py.Group):
            _check_group(item, depth + 1)
            continue
        if not isinstance(item, h5py.Dataset) or not _is_plain(item.dtype):
            raise StoreError(f"got {item.name!r} of type {item.dtype}; expected numbers or text")
        if item.is_virtual or item.external:
            raise StoreError(f"got {item.name!r}, whose values are in another file; expected data in the file itself")
        made = item.id.get_create_plist()
        foreign = {made.get_filter(k)[0] for k in range(made.get_nfilters())} - _FILTERS
        if foreign:
            raise StoreError(f"got {item.name!r} packed by HDF5's filter {min(foreign)}; expected deflate or none")
        _check_attributes(item)


def _check_attributes(item: Any) -> None:
    for name in item.attrs:
        if name not in _SCALES and not _plain_attribute(item, name):
            raise StoreError(
                f"got attribute {name!r} of {item.name!r}, which is no plain data; expected numbers or text"
            )


def _plain_attribute(item: Any, name: str) -> bool:
    return _is_plain(item.attrs.get_id(name).dtype)


def _is_plain(dtype: Any) -> bool:
    import h5py

    return dtype.kind in "biufS" or h5py.check_string_dtype(dtype) is not None


def _check_zarr(path: Path) -> None:
    for part in path.rglob("*"):
        if part.is_symlink():
            raise StoreError(f"got {part.relative_to(path)}, which points elsewhere; expected data in the store itself")
        if part.name == "zarr.json":
            _check_node(json.loads(part.read_text(encoding="utf-8")), part.parent.relative_to(path).as_posix())


def _check_node(node: Any, name: str) -> None:
    if node["zarr_format"] != 3 or node["node_type"] not in ("group", "array"):
        raise StoreError(f"got {name!r} of zarr format {node['zarr_format']}; expected groups and arrays of format 3")
    if node["node_type"] == "group":
        return
    kind = node["data_type"]
    kind = kind["name"] if isinstance(kind, dict) else kind
    if kind not in _TYPES:
        raise StoreError(f"got {name!r} of type {kind!r}; expected numbers or text")
    foreign = sorted(_codec_names(node["codecs"]) - _CODECS)
    if foreign or node.get("storage_transformers"):
        raise StoreError(f"got {name!r} packed by {', '.join(map(repr, foreign)) or 'a storage transformer'}; expected "
                         f"one of {', '.join(map(repr, sorted(_CODECS)))}")  # fmt: skip


def _codec_names(codecs: Any) -> set[str]:
    """Return the names of all codecs, those inside a sharding codec included."""
    found = set()
    for codec in codecs:
        found.add(codec if isinstance(codec, str) else str(codec["name"]))
        inner = {} if isinstance(codec, str) else codec.get("configuration", {})
        found |= _codec_names(inner.get("codecs", [])) | _codec_names(inner.get("index_codecs", []))
    return found
