"""Fetching from a real server: whole, broken off, resumed, changed, gone; and files that are here already."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from workbench.base.errors import DataError
from workbench.base.fetch import Registered, fetch, obtain, registered

DATA = b"time,level\n" + b"".join(b"%d,%d\n" % (k, k * k) for k in range(20_000))


class Publisher(BaseHTTPRequestHandler):
    """Gives DATA, with ranges; `short` breaks off after so many bytes, `other` gives other bytes."""

    short, other, seen = None, False, []

    def do_GET(self):
        asked = self.headers.get("Range")
        type(self).seen.append(asked)
        begin = int(asked.split("=")[1].rstrip("-")) if asked else 0
        body = (b"<html>please log in</html>" if self.other else DATA)[begin:]
        if begin and not body:
            self.send_error(416)
            return
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.short])

    def log_message(self, *arguments):
        """Be quiet."""


@pytest.fixture
def publisher(monkeypatch, tmp_path):
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("WORKBENCH_DATA", raising=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Publisher)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Publisher.short, Publisher.other, Publisher.seen = None, False, []
    yield f"http://127.0.0.1:{server.server_port}/tank.csv"
    server.shutdown()
    server.server_close()


def tank(url, data=DATA):
    return Registered("tank", "tanks/tank.csv", url, hashlib.sha256(data).hexdigest(), "CC0-1.0", "made up")


def test_fetched_once(publisher):
    path = obtain(tank(publisher))
    assert path.read_bytes() == DATA
    assert obtain(tank(publisher)) == path
    assert len(Publisher.seen) == 1


def test_what_broke_off_goes_on(publisher):
    Publisher.short = 50_000
    with pytest.raises(DataError, match=rf"it broke off after 50000 of {len(DATA)} bytes; .* goes on where it stopped"):
        obtain(tank(publisher))
    Publisher.short = None
    assert obtain(tank(publisher)).read_bytes() == DATA
    assert Publisher.seen == [None, "bytes=50000-"]


def test_a_whole_part_is_no_error(publisher, tmp_path):
    part = tmp_path / "cache" / "data" / "tanks" / "tank.csv.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(DATA)
    assert obtain(tank(publisher)).read_bytes() == DATA


def test_other_bytes_are_refused_and_forgotten(publisher, tmp_path):
    Publisher.other = True
    with pytest.raises(DataError, match="got other bytes"):
        obtain(tank(publisher))
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    Publisher.other = False
    assert obtain(tank(publisher)).read_bytes() == DATA


def test_no_network(publisher):
    nobody = tank("http://127.0.0.1:9/tank.csv")
    with pytest.raises(DataError, match=r"could not fetch .*refused.*; expected a network, or the file 'tanks/"):
        obtain(nobody)


def test_a_folder_of_data_goes_first(publisher, tmp_path, monkeypatch):
    here = tmp_path / "shared" / "tanks" / "tank.csv"
    here.parent.mkdir(parents=True)
    here.write_bytes(DATA)
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "shared"))
    assert obtain(tank(publisher)) == here
    here.write_bytes(DATA[:-9])
    with pytest.raises(DataError, match=r"the file was changed, or is not whole"):
        obtain(tank(publisher))
    assert Publisher.seen == []


def test_a_file_without_an_address(publisher):
    with pytest.raises(DataError, match=r"below the folder that WORKBENCH_DATA names, as it has no address"):
        obtain(tank(""))


def test_names():
    assert registered()["lynx_hare"].file == "lynx_hare/hudson-bay-lynx-hare.csv"
    with pytest.raises(DataError, match=r"got unknown data set 'lynx-hare'; .* did you mean 'lynx_hare'"):
        fetch("lynx-hare")
