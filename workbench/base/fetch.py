"""Data sets that do not travel with the package: found in a folder, or fetched once from where they were published.

`data/registry.toml` says of each its address, its hash, its licence and its source.
"""

import os
import tomllib
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from workbench.base.errors import DataError, unknown
from workbench.base.share import share

TIMEOUT = 60.0  # seconds without a byte after which an address counts as dead


@dataclass(frozen=True)
class Registered:
    """A file that may be fetched.

    Attributes
    ----------
    name
        Its name in the registry.
    file
        Its path below `WORKBENCH_DATA`, and below the cache.
    url
        Where it is published; "" for one that its publisher gives to people only, not to programs.
    sha256
        Hash of its bytes.
    licence, source
        On what terms it may be used, and whose it is.
    """

    name: str
    file: str
    url: str
    sha256: str
    licence: str
    source: str


@cache
def registered() -> dict[str, Registered]:
    """Return the files of the registry by name."""
    entries = tomllib.loads((share("data") / "registry.toml").read_text(encoding="utf-8"))
    return {name: _entry(name, entry) for name, entry in entries.items()}


def _entry(name: str, entry: dict[str, Any]) -> Registered:
    url = entry.get("url", "")
    file = entry.get("file", f"{name}/{url.rsplit('/', 1)[-1]}")
    return Registered(name, file, url, entry["sha256"], entry["licence"], entry["source"])


def fetch(name: str) -> Path:
    """Return the path of a data set, from `WORKBENCH_DATA`, from the cache, or from its address.

    A transfer that broke off goes on where it stopped. What is fetched is kept under `WORKBENCH_CACHE`, or the user's
    cache folder.

    Parameters
    ----------
    name
        A name of `data/registry.toml`.

    Raises
    ------
    DataError
        If there is no such data set; if its bytes are not those that the registry knows; if it is not here and cannot
        be fetched.
    """
    known = registered()
    if name not in known:
        raise DataError(unknown("data set", name, known))
    return obtain(known[name])


def obtain(wanted: Registered) -> Path:
    """Return the path of a registered file; errors are those of `fetch`."""
    import platformdirs
    import pooch

    given = os.environ.get("WORKBENCH_DATA")
    if given and (Path(given) / wanted.file).is_file():
        return _checked(Path(given) / wanted.file, wanted)
    cached = Path(os.environ.get("WORKBENCH_CACHE") or platformdirs.user_cache_path("workbench")) / "data" / wanted.file
    if not wanted.url and not cached.is_file():
        raise DataError(
            f"{wanted.name}: got no file {wanted.file!r}; expected it below the folder that WORKBENCH_DATA names, as "
            f"it has no address to be fetched from ({wanted.source})"
        )
    if cached.is_file():
        return _checked(cached, wanted)
    part = cached.with_name(f"{cached.name}.part")
    try:
        pooch.retrieve(
            wanted.url, f"sha256:{wanted.sha256}", cached.name, cached.parent, downloader=partial(_resume, part)
        )
    except OSError as error:  # what urllib raises is one, too
        raise DataError(
            f"{wanted.name}: could not fetch {wanted.url}: {error}; expected a network, or the file {wanted.file!r} "
            "below the folder that WORKBENCH_DATA names; fetched again, it goes on where it stopped"
        ) from None
    except ValueError:  # pooch's word for a wrong hash; what was fetched is gone
        raise DataError(
            f"{wanted.name}: got other bytes from {wanted.url} than those with sha256 {wanted.sha256[:12]}...; "
            "expected the file as it was published: it has changed, or something on the way answers in its place"
        ) from None
    return cached


def _checked(path: Path, wanted: Registered) -> Path:
    import pooch

    found = pooch.file_hash(str(path), alg="sha256")
    if found != wanted.sha256:
        raise DataError(
            f"{wanted.name}: got {path} with sha256 {found[:12]}...; expected {wanted.sha256[:12]}...: the file was "
            "changed, or is not whole; remove it, and it is fetched again"
        )
    return path


def _resume(part: Path, url: str, output_file: Any, pooch: Any) -> None:
    """Write what an address gives to the file that pooch checks, beginning where the last transfer broke off."""
    size = part.stat().st_size if part.is_file() else 0
    asked = urllib.request.Request(url, headers={"Range": f"bytes={size}-"} if size else {})
    try:
        with urllib.request.urlopen(asked, timeout=TIMEOUT) as reply:
            size = size if reply.status == 206 else 0  # an address that knows no ranges gives all of it
            whole = size + int(reply.headers.get("Content-Length") or 0)
            with part.open("ab" if size else "wb") as kept:
                while block := reply.read(1 << 16):
                    size += kept.write(block)
        if size < whole:
            raise OSError(f"it broke off after {size} of {whole} bytes")
    except urllib.error.HTTPError as error:
        if error.code != 416:  # all of it is here already
            raise
    os.replace(part, output_file)
