"""Stores: what was saved comes back to the last bit, and what was not saved by us, or not left alone, is refused."""

import json
import pickle
import random
import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr
from models import Dosing, Room
from stored import LAYOUTS, in_layout, made_up, sampled

import workbench as wb
from workbench.base import treefile
from workbench.base.errors import StoreError
from workbench.base.plain import content
from workbench.calibrate.problem import pose
from workbench.calibrate.store import open_store
from workbench.declare.describe import digest, document

KINDS = ["nc", "zarr"]
MARK = "wrote by a pickle"


@pytest.fixture(scope="module")
def stores(tmp_path_factory) -> dict[str, Path]:
    """Return the sampled calibration saved in both kinds of store."""
    folder = tmp_path_factory.mktemp("stores")
    for kind in KINDS:
        sampled().save(folder / f"patients.{kind}")
    return {kind: folder / f"patients.{kind}" for kind in KINDS}


@pytest.fixture
def copy(stores, tmp_path):
    """Return a function that copies a store, to be spoilt."""

    def make(kind: str) -> Path:
        path = tmp_path / f"copy.{kind}"
        (shutil.copytree if kind == "zarr" else shutil.copy)(stores[kind], path)
        return path

    return make


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """Return a small netCDF store without inputs of its own, quick to read."""
    path = tmp_path_factory.mktemp("small") / "small.nc"
    in_layout("time").save(path)
    return path


def assert_same(ours: xr.DataTree, theirs: xr.DataTree) -> None:
    assert [node.path for node in ours.subtree] == [node.path for node in theirs.subtree]
    for a, b in zip(ours.subtree, theirs.subtree, strict=True):
        assert list(a.data_vars) == list(b.data_vars)
        assert repr(a.attrs) == repr(b.attrs)
        for name in b.variables:
            one, other = a[name].variable, b[name].variable
            assert (one.dims, one.dtype.str, repr(one.attrs)) == (other.dims, other.dtype.str, repr(other.attrs)), name
            if one.dtype.kind == "O":
                assert [(type(v), v) for v in one.values.flat] == [(type(v), v) for v in other.values.flat]
            else:
                assert one.values.tobytes() == other.values.tobytes(), name
            assert (name in a.coords) == (name in b.coords)
    assert ours.identical(theirs)


def assert_same_problem(ours, theirs) -> None:
    for part in ("offset", "begin", "level", "slope", "jump"):
        assert getattr(ours.schedule, part).tobytes() == getattr(theirs.schedule, part).tobytes()
    assert ours.observations.units == theirs.observations.units
    assert ours.observations.layout == theirs.observations.layout
    assert ours.observations.clock == theirs.observations.clock
    for part in ("time", "unit_index"):
        assert getattr(ours.observations, part).tobytes() == getattr(theirs.observations, part).tobytes()
    assert {n: v.tobytes() for n, v in ours.observations.values.items()} == {
        n: v.tobytes() for n, v in theirs.observations.values.items()
    }
    assert ours.pool == theirs.pool


@pytest.mark.parametrize("kind", KINDS)
def test_a_calibration_comes_back(stores, kind):
    first, opened = sampled(), wb.Calibration.open(stores[kind], Dosing)
    assert_same(opened.tree, first.tree)
    assert_same_problem(opened.problem, first.problem)
    assert opened.summary().equals(first.summary())
    assert opened.trust == first.trust
    options = {"inputs": {"release": {0.0: 1.0, 30.0: 2.0}}, "seed": 3}
    assert wb.forecast(opened, [12.0, 30.0], **options).identical(wb.forecast(first, [12.0, 30.0], **options))
    assert "model" not in vars(opened), "the PyMC model is built when it is asked for"
    assert [rv.name for rv in opened.model.basic_RVs] == [rv.name for rv in first.model.basic_RVs]
    assert opened.model.coords == first.model.coords
    assert opened.model is opened.model


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_comes_back(tmp_path, layout, kind):
    first = in_layout(layout)
    path = tmp_path / f"store.{kind}"
    first.save(path)
    opened = wb.Calibration.open(str(path), Dosing())
    assert_same(opened.tree, first.tree)
    assert_same_problem(opened.problem, first.problem)
    again = tmp_path / f"again.{kind}"
    opened.save(again)
    assert content(treefile.read(again)) == content(treefile.read(path))


@pytest.mark.parametrize("kind", KINDS)
def test_without_the_model_the_tree_comes_back(stores, kind):
    opened = wb.Calibration.open(stores[kind])
    assert_same(opened.tree, sampled().tree)
    assert opened.problem is None
    assert opened.model is None
    assert repr(opened) == repr(sampled())
    with pytest.raises(StoreError, match=r"opened without its model; expected Calibration\.open\(path, model\)"):
        opened.save(stores[kind].with_name("other.nc"))


def test_a_store_says_where_it_comes_from(stores):
    stored = [open_store(stores[kind]) for kind in KINDS]
    assert stored[0].declaration == stored[1].declaration == document(Dosing())
    assert stored[0].versions["numpy"] == np.__version__
    assert set(stored[0].versions) >= {"python", "twin-workbench", "pymc", "pytensor", "nutpie", "numba", "xarray"}


def test_other_tools_read_it(stores):
    ours = sampled().posterior
    with xr.open_datatree(stores["nc"], engine="h5netcdf") as tree:
        assert float(tree["posterior/ke"].mean()) == float(ours["ke"].mean())
        assert tree["posterior/ke"].attrs["units"] == "1/h"
        assert tree.attrs["workbench_digest"] == digest(Dosing())
    with h5py.File(stores["nc"]) as file:
        assert "_FillValue" not in file["posterior/ke"].attrs, "no number stands for a missing one"
        assert file["posterior/unit"].asstr()[...].tolist() == ["a", "b"]
    array = zarr.open_group(stores["zarr"], mode="r", use_consolidated=False)["posterior/ka"]
    assert np.array_equal(array[...], ours["ka"].values)


def test_the_hash_is_of_the_contents_alone(stores, tmp_path):
    assert content(treefile.read(stores["nc"])) == content(treefile.read(stores["zarr"]))
    packed = tmp_path / "packed.nc"
    with xr.open_datatree(stores["nc"], engine="h5netcdf", decode_times=False) as tree:
        how = {"zlib": True, "shuffle": True, "chunksizes": (1, 50), "fletcher32": True, "_FillValue": None}
        tree.to_netcdf(packed, engine="h5netcdf", encoding={"/posterior": {"ke": how}})
    with h5py.File(packed) as file:
        assert file["posterior/ke"].chunks == (1, 50)
    assert_same(wb.Calibration.open(packed).tree, sampled().tree)


@pytest.mark.parametrize("kind", KINDS)
def test_extremes_come_back(tmp_path, kind):
    payload = np.array([0x7FF8000000000123, 0x8000000000000000, 1], dtype=np.uint64).view(np.float64)
    dataset = xr.Dataset(
        {
            "z": (
                "x",
                payload,
                {"units": "hours", "list": [1.0], "flag": True, "none": None, "text": "json:1", "": ""},
            ),
            "big": ("x", np.array([2**64 - 1, 0, 1], dtype=np.uint64)),
            "swapped": ("x", np.array([1, 2, 3], dtype=">i2")),
            "narrow": ("x", np.array([1, 2, 3], dtype=np.float32)),
            "wide": ("x", np.array(["ä", "", "日本"], dtype="<U9")),
            "none": ("empty", np.array([], dtype="<U3")),
            "scalar": ((), np.datetime64("2024-01-01T00:00:00.123456789")),
            "when": ("x", np.array(["NaT", "1500-01-01", "2024-01-01"], dtype="datetime64[s]")),
            "yes": ("x", np.array([True, False, True])),
            "a": ("x", np.zeros(3)),
        },
        {"x": ("x", np.array([1, "1", 2.5], dtype=object)), "beside": ("x", np.arange(3))},
        {
            "words": "w" * 200_000,
            "nan": float("nan"),
            "huge": 2**70,
            "nested": {"a": [1, {"b": None}]},
            "int": 1,
            "f": 1.0,
        },
    )
    dataset["z"].attrs.pop("")
    tree = xr.DataTree.from_dict({"b": dataset, "a/deep": xr.Dataset({"z": 1.0}), "hollow": xr.Dataset()})
    tree.attrs = {"mine": "kept"}
    path = tmp_path / f"tree.{kind}"
    treefile.write(tree, path)
    for one in (back := treefile.read(path)).subtree:
        one.attrs = {k: v for k, v in one.attrs.items() if not k.startswith("workbench_")}
    assert_same(back, tree)


# -- what was changed ----------------------------------------------------------------------------------------------


def flip(path: Path, place: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[place] ^= 1
    path.write_bytes(raw)


@pytest.mark.parametrize("name", ["posterior/ke", "workbench/inputs/dose/value", "observed_data/concentration"])
def test_one_bit_is_seen_in_netcdf(copy, name):
    path = copy("nc")
    with h5py.File(path) as file:
        place = file[name].id.get_offset()
    flip(path, place + 8)
    with pytest.raises(StoreError, match=r"copy\.nc: got contents that do not match their hash"):
        wb.Calibration.open(path)
    flip(path, place + 8)
    assert_same(wb.Calibration.open(path).tree, sampled().tree)


@pytest.mark.parametrize("name", ["posterior/ke", "workbench/inputs/dose/value"])
def test_one_bit_is_seen_in_zarr(copy, name):
    path = copy("zarr")
    chunk = next(part for part in sorted((path / name / "c").rglob("*")) if part.is_file())
    flip(chunk, chunk.stat().st_size // 2)
    with pytest.raises(StoreError, match=r"copy\.zarr: got"):
        wb.Calibration.open(path)
    chunk.unlink()  # zarr takes a chunk that is not there for missing values
    with pytest.raises(StoreError, match=r"copy\.zarr: got contents that do not match their hash"):
        wb.Calibration.open(path)


def test_bits_anywhere(small, tmp_path):
    rng, want = random.Random(7), content(treefile.read(small))
    path, refused = tmp_path / "small.nc", 0
    for _ in range(15):
        shutil.copy(small, path)
        flip(path, rng.randrange(path.stat().st_size))
        try:
            assert content(treefile.read(path)) == want, "a bit of the contents changed, and nobody saw it"
        except StoreError:
            refused += 1
    assert refused > 3


CHANGES = {
    "attribute": lambda f: f["posterior/ke"].attrs.modify("units", "1/s"),
    "attribute more": lambda f: f["posterior/ke"].attrs.__setitem__("note", "fine"),
    "root": lambda f: f.attrs.__setitem__("workbench_versions", "{}"),
    "hash": lambda f: f.attrs.__setitem__("workbench_sha256", "0" * 64),
    "group more": lambda f: f.create_group("more"),
    "variable more": lambda f: f["sample_stats"].create_dataset("more", data=1.0),
    "fill value": lambda f: f["posterior/ke"].attrs.__setitem__("missing_value", f["posterior/ke"][0, 0]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changes_are_seen(copy, change):
    path = copy("nc")
    with h5py.File(path, "r+") as file:
        CHANGES[change](file)
    with pytest.raises(StoreError, match=r"do not match their hash; expected a store as it was saved: it was changed"):
        wb.Calibration.open(path)


@pytest.mark.parametrize("lost", ["posterior", "posterior/ke", "workbench/inputs/dose", "observed_data/time"])
def test_what_is_missing_is_named(copy, lost):
    path = copy("nc")
    with h5py.File(path, "r+") as file:
        del file[lost]
    with pytest.raises(StoreError, match=rf"got no '/{lost}[/'].*|damaged"):
        wb.Calibration.open(path)
    path = copy("zarr")
    shutil.rmtree(path / lost)
    with pytest.raises(StoreError, match=rf"got no '/{lost}[/'].*the store is not whole"):
        wb.Calibration.open(path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_declaration_that_was_exchanged_is_seen_by_its_digest(copy, kind):
    path = copy(kind)
    tree = treefile.read(path)
    tree.attrs["workbench_declaration"] = json.dumps(document(Room()))
    treefile.write(tree, path)  # with a hash that fits
    with pytest.raises(StoreError, match="got a declaration that does not match its digest"):
        wb.Calibration.open(path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_newer_format_is_refused(copy, kind):
    path = copy(kind)
    if kind == "nc":
        with h5py.File(path, "r+") as file:
            file.attrs["workbench_format"] = 2
    else:
        edit(path / "zarr.json", lambda node: node["attributes"].update(workbench_format=2))
    with pytest.raises(
        StoreError, match="got format 2, of a newer workbench; expected at most 1: update the workbench"
    ):
        wb.Calibration.open(path)


def test_what_is_no_store_of_ours(small, tmp_path):
    path = tmp_path / "a.nc"
    for size in (0, 1, 100, 3000, small.stat().st_size - 1):
        path.write_bytes(small.read_bytes()[:size])
        with pytest.raises(StoreError, match=r"a\.nc: got a store that is damaged, or none at all \(.+\)"):
            wb.Calibration.open(path)
    xr.Dataset({"a": 1.0}).to_netcdf(path, engine="h5netcdf")
    with pytest.raises(StoreError, match=r"got data that the workbench did not save; expected a saved calibration"):
        wb.Calibration.open(path)
    folder = tmp_path / "a.zarr"
    with pytest.raises(StoreError, match=r"a\.zarr', which does not exist; expected a store that was saved"):
        wb.Calibration.open(folder)
    folder.mkdir()
    with pytest.raises(StoreError, match=r"a\.zarr: got a store that is damaged, or none at all"):
        wb.Calibration.open(folder)
    xr.Dataset({"a": 1.0}).to_zarr(folder, mode="w", consolidated=False, zarr_format=3)
    with pytest.raises(StoreError, match="got data that the workbench did not save"):
        wb.Calibration.open(folder)
    folder.rename(tmp_path / "b.nc")
    with pytest.raises(StoreError, match=r"b\.nc: got a folder; expected a file"):
        wb.Calibration.open(tmp_path / "b.nc")
    path.rename(tmp_path / "b.zarr")
    with pytest.raises(StoreError, match=r"b\.zarr: got a file; expected a folder"):
        wb.Calibration.open(tmp_path / "b.zarr")
    for name in ("a.pkl", "a", "a.h5"):
        with pytest.raises(
            StoreError, match=rf"got path '{name}'; expected one that ends in \.nc \(netCDF\) or \.zarr"
        ):
            wb.Calibration.open(tmp_path / name)


# -- what would run, or look elsewhere -----------------------------------------------------------------------------


class Harm:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.write_text, (self.path, MARK)


@pytest.fixture
def harm(tmp_path, monkeypatch):
    """Return a pickle, and a check that nobody opened it."""
    path = tmp_path / "harm.txt"
    payload = pickle.dumps(Harm(path))
    pickle.loads(payload)
    assert path.read_text() == MARK, "the pickle works"
    path.unlink()
    yield payload
    assert not path.exists()


def edit(path: Path, change) -> None:
    node = json.loads(path.read_text())
    change(node)
    path.write_text(json.dumps(node))


def codecs(*names):
    return lambda node: node.update(codecs=[{"name": name, "configuration": {}} for name in names])


def within_shards(place):
    inner = {"codecs": [{"name": "bytes"}], "index_codecs": [{"name": "bytes"}]}
    inner[place].append({"name": "numcodecs.pickle"})
    return lambda node: node.update(codecs=[{"name": "sharding_indexed", "configuration": inner}])


ZARR = {
    "pickle": (codecs("pickle"), "packed by 'pickle'; expected one of 'blosc', 'bytes'"),
    "numcodecs": (codecs("numcodecs.pickle", "bytes"), "packed by 'numcodecs.pickle'"),
    "in shards": (within_shards("codecs"), "packed by 'numcodecs.pickle'"),
    "in their index": (within_shards("index_codecs"), "packed by 'numcodecs.pickle'"),
    "short": (lambda node: node.update(codecs=["json2", "bytes"]), "packed by 'json2'"),
    "objects": (lambda node: node.update(data_type="object"), "of type 'object'; expected numbers or text"),
    "raw": (lambda node: node.update(data_type={"name": "raw_bytes", "configuration": {}}), "of type 'raw_bytes'"),
    "old": (lambda node: node.update(zarr_format=2), "of zarr format 2"),
    "transformer": (lambda node: node.update(storage_transformers=[{"name": "x"}]), "a storage transformer"),
}


@pytest.mark.parametrize("change", ZARR)
def test_zarr_that_could_run_code(copy, harm, change):
    path = copy("zarr")
    array = path / "posterior" / "ke"
    edit(array / "zarr.json", ZARR[change][0])
    for chunk in (array / "c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(harm)
    with pytest.raises(StoreError) as caught:
        wb.Calibration.open(path)
    assert ZARR[change][1] in str(caught.value)


def test_zarr_of_the_second_format_with_a_pickle_codec(tmp_path, harm):
    path = tmp_path / "old.zarr"
    path.mkdir()
    codec = {"id": "pickle", "protocol": 5}
    array = {"zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "order": "C", "fill_value": None}
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    (path / ".zattrs").write_text('{"workbench_format": 1}')
    (path / "a").mkdir()
    (path / "a" / ".zarray").write_text(json.dumps({**array, "compressor": None, "filters": [codec]}))
    (path / "a" / "0").write_bytes(harm)
    with pytest.raises(StoreError, match=r"old\.zarr: got a store that is damaged, or none at all"):
        wb.Calibration.open(path)


def test_zarr_that_points_elsewhere(copy, tmp_path):
    path = copy("zarr")
    chunk = next(part for part in (path / "posterior" / "ke" / "c").rglob("*") if part.is_file())
    chunk.rename(tmp_path / "elsewhere")
    chunk.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(
        StoreError, match=r"posterior/ke/c/.*, which points elsewhere; expected data in the store itself"
    ):
        wb.Calibration.open(path)


def opaque(file, harm):
    file["posterior"].attrs.create("note", np.void(harm))


def text(file, harm):
    file["posterior"].attrs["note"] = harm.hex()


def compound(file, harm):
    file["posterior"].create_dataset("note", data=np.zeros(2, dtype=[("a", "f8"), ("b", "i4")]))


def opaque_array(file, harm):
    file["posterior"].create_dataset("note", data=np.void(harm))


def bytes_of_any_length(file, harm):
    made = file["posterior"].create_dataset("note", (1,), dtype=h5py.vlen_dtype(np.uint8))
    made[0] = np.frombuffer(harm, dtype=np.uint8)


def external_link(file, harm):
    file["posterior"]["note"] = h5py.ExternalLink("/etc/passwd", "/")


def soft_link(file, harm):
    file["posterior"]["note"] = h5py.SoftLink("/posterior/ke")


def external_file(file, harm):
    file["posterior"].create_dataset("note", (8,), dtype="u1", external=[("/etc/passwd", 0, 8)])


def virtual(file, harm):
    layout = h5py.VirtualLayout((2, 200), dtype="f8")
    layout[:] = h5py.VirtualSource("/tmp/other.h5", "a", shape=(2, 200))
    file["posterior"].create_virtual_dataset("note", layout)


def foreign_filter(file, harm):
    file["posterior"].create_dataset("note", data=np.zeros(100), chunks=(100,), compression="lzf")


def group_in_itself(file, harm):
    file["posterior"]["again"] = file["posterior"]


def reference(file, harm):
    file["posterior"].attrs.create("note", file["posterior"].ref, dtype=h5py.ref_dtype)


def named_type(file, harm):
    file["posterior"]["note"] = np.dtype("f8")


HDF5 = {
    opaque: "attribute 'note' of '/posterior', which is no plain data",
    text: "do not match their hash",
    compound: "got '/posterior/note' of type",
    opaque_array: "got '/posterior/note' of type",
    bytes_of_any_length: "got '/posterior/note' of type object",
    external_link: "got 'note', which points elsewhere",
    soft_link: "got 'note', which points elsewhere",
    external_file: "got '/posterior/note', whose values are in another file",
    virtual: "got '/posterior/note', whose values are in another file",
    foreign_filter: "got '/posterior/note' packed by HDF5's filter 32000; expected deflate or none",
    group_in_itself: "got groups nested more than 8 deep",
    reference: "attribute 'note' of '/posterior', which is no plain data",
    named_type: "got '/posterior/note' of type",
}


@pytest.mark.parametrize("change", HDF5, ids=lambda change: change.__name__)
def test_hdf5_that_is_more_than_plain_data(copy, harm, change):
    path = copy("nc")
    with h5py.File(path, "r+") as file:
        change(file, harm)
    with pytest.raises(StoreError) as caught:
        wb.Calibration.open(path)
    assert HDF5[change] in str(caught.value)


# -- the model that is given ---------------------------------------------------------------------------------------


class Other(Dosing):
    """The same equations, other beliefs and another output."""

    ka = wb.Parameter("1/h", prior=wb.prior.LogNormal(median=2.0, sigma=0.5))
    depth = wb.Output("mg")

    def observe(self, t, x, u, p):
        return {"concentration": x.centre / p.V, "total": x.depot, "depth": x.depot}


@pytest.mark.parametrize("kind", KINDS)
def test_another_model_is_refused(stores, kind):
    with pytest.raises(StoreError) as caught:
        wb.Calibration.open(stores[kind], Other)
    said = str(caught.value)
    assert "got a model that is not the stored one" in said
    assert "ka.prior.median: got 2.0, expected 1.2" in said
    assert 'observe.total: got "x.depot", expected "(x.depot + x.centre)"' in said
    assert "depth: got it declared, expected no such quantity" in said
    assert "ke" not in said.replace("keep", "")
    with pytest.raises(StoreError, match=r"ka: got no such quantity, expected it declared"):
        wb.Calibration.open(stores[kind], Room())


# -- writing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_an_old_store_is_replaced_whole_or_not_at_all(stores, tmp_path, monkeypatch, kind):
    path = tmp_path / f"store.{kind}"
    first, second = in_layout("labels"), in_layout("time")
    first.save(path)
    writer = "to_netcdf" if kind == "nc" else "to_zarr"
    whole = getattr(xr.DataTree, writer)

    def interrupted(tree, *arguments, **keywords):
        whole(tree, *arguments, **keywords)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(xr.DataTree, writer, interrupted)
        with pytest.raises(KeyboardInterrupt):
            second.save(path)
    assert_same(wb.Calibration.open(path).tree, first.tree)
    with monkeypatch.context() as patch:
        patch.setattr(xr.DataTree, writer, lambda tree, *places, **how: whole(spoilt(tree), *places, **how))
        with pytest.raises(StoreError, match="was not written: got contents that do not match their hash"):
            second.save(path)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", lambda *_: fail("disk full"))
        patch.setattr(Path, "replace", lambda *_: fail("disk full"))
        with pytest.raises(StoreError, match="was not written: disk full"):
            second.save(path)
    assert_same(wb.Calibration.open(path).tree, first.tree)
    second.save(path)
    assert_same(wb.Calibration.open(path).tree, second.tree)
    assert [part.name for part in tmp_path.iterdir()] == [path.name]


def fail(words: str):
    raise OSError(words)


def spoilt(tree: xr.DataTree) -> xr.DataTree:
    tree.attrs["spoilt"] = 1
    return tree


def test_paths_that_cannot_be_written(tmp_path):
    first = in_layout("labels")
    with pytest.raises(StoreError, match=r"got path 'a\.json'; expected one that ends in \.nc \(netCDF\) or \.zarr"):
        first.save(tmp_path / "a.json")
    with pytest.raises(StoreError, match=r"expected its folder '.*nowhere' to exist"):
        first.save(tmp_path / "nowhere" / "a.nc")
    (tmp_path / "results.zarr").mkdir()
    (tmp_path / "results.zarr" / "thesis.tex").write_text("years of work")
    (tmp_path / "file.zarr").write_text("a file")
    (tmp_path / "folder.nc").mkdir()
    for name in ("results.zarr", "file.zarr", "folder.nc"):
        with pytest.raises(StoreError, match=r"where something else is; expected a free path, or an old store"):
            first.save(tmp_path / name)
    assert (tmp_path / "results.zarr" / "thesis.tex").read_text() == "years of work"


def test_a_package_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(treefile, "find_spec", lambda name: None)
    for work in (in_layout("labels").save, wb.Calibration.open):
        with pytest.raises(StoreError, match=r"got path 'a\.zarr', which needs the package 'zarr'; expected it to be"):
            work(tmp_path / "a.zarr")


def test_what_cannot_be_kept(tmp_path):
    calibration = in_layout("labels")
    for values, said in (
        ([1j], "'odd' of type complex128"),
        ([(1, 2)], r"\(1, 2\) in 'odd'"),
        (["a\0b"], "embedded NULLs"),
    ):
        array = np.empty(1, dtype=object)
        array[0] = values[0]
        tree = calibration.tree.copy()
        dataset = tree["posterior"].to_dataset()
        dataset["odd"] = ("one", array if isinstance(values[0], tuple) else np.array(values))
        tree["posterior"] = xr.DataTree(dataset)
        with pytest.raises(StoreError, match=rf"a\.nc was not written: .*{said}"):
            wb.Calibration(tree, problem=calibration.problem).save(tmp_path / "a.nc")
    tree = calibration.tree.copy()
    del tree["sample_stats"]
    with pytest.raises(StoreError, match="got a calibration without group 'sample_stats'; expected 'posterior'"):
        wb.Calibration(tree, problem=calibration.problem).save(tmp_path / "a.nc")
    assert list(tmp_path.iterdir()) == []


def test_inputs_that_changed_since_the_calibration(tmp_path):
    doses = tmp_path / "doses.csv"
    doses.write_text("time,dose [g]\n0,0.1\n1,0.2\n")
    data = pd.DataFrame({"time": [0.0, 1.0, 3.0], "concentration": [1.0, 2.0, 1.5]})
    inputs = {"dose": doses, "infusion": 0.0, "release": 0.0}
    calibration = made_up(pose(Dosing(), data, inputs=inputs))
    calibration.save(tmp_path / "a.nc")
    doses.write_text("time,dose [g]\n0,0.1\n1,0.3\n")
    with pytest.raises(StoreError, match="got inputs that have changed since the calibration; expected the same files"):
        calibration.save(tmp_path / "b.nc")
    opened = wb.Calibration.open(tmp_path / "a.nc", Dosing)
    assert opened.problem.schedule.jump.sum() == pytest.approx(300.0)
