import hashlib
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import constants

from interdiff.errors import InputError
from interdiff.video.data import hub as hub_module
from interdiff.video.data.hub import fetch_shard
from interdiff.video.data.settings import HubSettings
from interdiff.workflow.pipelines.video_stages import DownloadStageSettings
from interdiff.workflow.stage import Stage
from stages.video import download

ROOT = Path(__file__).parents[2]
CONTENT = np.random.default_rng(0).bytes(400_000)
REPOSITORY, FILE = "someone/clips", "a folder/shard-00003.tar"
SENT = 150_000
"""Bytes that the hub sends before it stops answering."""


class Handler(BaseHTTPRequestHandler):
    """The hub's files: /datasets/REPOSITORY/resolve/main/FILE, redirected to /storage on another host, as the hub does."""

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def answer(self):
        hub = self.server.hub
        if self.path == "/storage":
            self.send_content(hub)
        elif f"/datasets/{REPOSITORY}/" not in self.path:
            self.refuse(401, "RepoNotFound")
        elif "/resolve/main/" not in self.path:
            self.refuse(404, "RevisionNotFound")
        elif not self.path.endswith("/a%20folder/shard-00003.tar"):
            self.refuse(404, "EntryNotFound")
        elif hub.status != 200:
            self.refuse(hub.status, "")
        else:
            self.redirect(hub)

    def redirect(self, hub):
        self.send_response(302)
        self.send_header("Location", f"http://localhost:{self.server.server_port}/storage")
        self.send_header("X-Linked-Size", str(len(hub.content)))
        self.send_header("X-Linked-Etag", f'"{hub.etag or hashlib.sha256(hub.content).hexdigest()}"')
        self.end_headers()

    def send_content(self, hub):
        asked = self.headers.get("Range")
        first = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and hub.ranges else 0
        hub.asked.append(asked)
        if hub.lost and hub.asked[1:]:
            return
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(hub.content) - first))
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(hub.content) - 1}/{len(hub.content)}")
        self.end_headers()
        self.wfile.write(hub.content[first : first + SENT if hub.lost or hub.hangs else None])
        if hub.hangs:
            self.wfile.flush()
            hub.released.wait(10)

    def refuse(self, status, code):
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def hub(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 50_000)
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    huggingface_hub.close_session()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.hub = SimpleNamespace(
        endpoint=f"http://127.0.0.1:{server.server_port}",
        content=CONTENT,
        etag=None,
        status=200,
        ranges=True,
        lost=False,
        hangs=False,
        released=Event(),
        asked=[],
    )
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server.hub
    server.hub.released.set()
    server.shutdown()
    server.server_close()
    huggingface_hub.close_session()


@pytest.fixture
def fetch(hub, tmp_path):
    def run(repository=REPOSITORY, revision="main", file=FILE, endpoint=hub.endpoint):
        fetch_shard(repository, revision, file, tmp_path / "out/x.tar", tmp_path / ".state/a", endpoint=endpoint)
        return (tmp_path / "out/x.tar").read_bytes()

    return run


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_shard_is_fetched(hub, fetch, tmp_path):
    assert fetch() == CONTENT
    assert hub.asked == [None]
    assert files(tmp_path) == ["out/x.tar"]
    assert not (tmp_path / ".state/a").exists()


def test_a_lost_connection_is_gone_on_from(hub, fetch, tmp_path):
    hub.lost = True
    with pytest.raises(InputError, match=r"connection lost after 150,000 of 400,000 bytes; run again to go on"):
        fetch()
    assert (len(hub.asked), hub.asked[-1]) == (6, "bytes=150000-")
    assert not (tmp_path / "out/x.tar").exists()
    hub.lost, hub.asked = False, []
    assert fetch() == CONTENT
    assert hub.asked == ["bytes=150000-"]
    assert files(tmp_path) == ["out/x.tar"]


def test_a_killed_run_is_gone_on_from(hub, fetch, tmp_path):
    hub.hangs = True
    code = (
        "from huggingface_hub import constants; constants.DOWNLOAD_CHUNK_SIZE = 50_000; from pathlib import Path;"
        f"from interdiff.video.data.hub import fetch_shard; fetch_shard({REPOSITORY!r}, 'main', {FILE!r},"
        f" Path({str(tmp_path / 'out/x.tar')!r}), Path({str(tmp_path / '.state/a')!r}), endpoint={hub.endpoint!r})"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 30
    while sum(path.stat().st_size for path in tmp_path.rglob("*.part")) < SENT and time.monotonic() < end:
        assert process.poll() is None
        Event().wait(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    hub.hangs, hub.asked = False, []
    hub.released.set()
    assert fetch() == CONTENT
    assert hub.asked == ["bytes=150000-"]


def test_what_is_whole_is_not_fetched_again(hub, fetch, monkeypatch):
    with monkeypatch.context() as patched, pytest.raises(ZeroDivisionError):
        patched.setattr(hub_module, "atomic_path", lambda path: 1 / 0)
        fetch()
    assert fetch() == CONTENT
    assert len(hub.asked) == 1


def test_a_server_without_ranges_gives_the_whole_file(hub, fetch):
    hub.lost = True
    with pytest.raises(InputError, match="connection lost"):
        fetch()
    hub.lost = hub.ranges = False
    assert fetch() == CONTENT


def test_a_part_of_another_content_is_not_gone_on_from(hub, fetch, tmp_path):
    hub.lost = True
    with pytest.raises(InputError, match="connection lost"):
        fetch()
    hub.lost, hub.content, hub.asked = False, CONTENT[::-1], []
    assert fetch() == CONTENT[::-1]
    assert hub.asked == [None]
    assert files(tmp_path) == ["out/x.tar"]


def test_content_that_was_not_announced_is_refused(hub, fetch, tmp_path):
    hub.etag = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(InputError, match="what arrived is not what the hub announced"):
        fetch()
    assert files(tmp_path) == []


def test_an_older_shard_stays_where_a_new_one_fails(hub, fetch, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/x.tar").write_bytes(b"old")
    hub.lost = True
    with pytest.raises(InputError, match="connection lost"):
        fetch()
    assert (tmp_path / "out/x.tar").read_bytes() == b"old"


def test_without_a_connection_it_fails_at_once(hub, fetch, monkeypatch, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    message = f"{FILE} of {REPOSITORY} at main: no connection to the hub"
    began = time.monotonic()
    with pytest.raises(InputError, match=message):
        fetch(endpoint=nobody)
    assert time.monotonic() - began < 1
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=f"{message}, as HF_HUB_OFFLINE is set"):
        fetch()
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"repository": "someone/none"}, "of someone/none at main: the hub has no such data set"),
        ({"repository": "a/b/c"}, "of a/b/c at main: not the name of a data set"),
        ({"revision": "v9"}, "at v9: the data set has no such revision"),
        ({"file": "none.tar"}, "none.tar of someone/clips at main: the data set has no such file"),
    ],
)
def test_what_is_not_there_is_named(fetch, changes, message, tmp_path):
    with pytest.raises(InputError, match=message):
        fetch(**changes)
    assert files(tmp_path) == []


def test_a_refusal_is_told(hub, fetch):
    hub.status = 503
    with pytest.raises(
        InputError, match=r"shard-00003.tar of someone/clips at main: the hub refuses it with status 503"
    ):
        fetch()


def test_a_disk_without_room_is_told_before_anything_is_fetched(hub, fetch, monkeypatch, tmp_path):
    monkeypatch.setattr(hub_module.shutil, "disk_usage", lambda path: SimpleNamespace(free=399_999))
    folder = tmp_path / ".state/a"
    with pytest.raises(InputError, match=f"400,000 bytes are to be fetched; {folder} has 399,999 bytes free"):
        fetch()
    assert hub.asked == []


def test_what_is_there_already_needs_no_room(hub, fetch, monkeypatch):
    hub.lost = True
    with pytest.raises(InputError, match="connection lost"):
        fetch()
    hub.lost = False
    monkeypatch.setattr(hub_module.shutil, "disk_usage", lambda path: SimpleNamespace(free=250_000))
    assert fetch() == CONTENT


def test_the_stage_fetches_its_number(hub, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(download, "fetch_shard", partial(fetch_shard, endpoint=hub.endpoint))
    settings = DownloadStageSettings(
        hub=HubSettings(repository=REPOSITORY, file="a folder/shard-{number:05d}.tar"), number=3
    )
    outputs = {"shard": tmp_path / "video/train/00001.tar"}
    stage = Stage("video.download", {}, settings, {}, outputs, 1, 0, tmp_path)
    download.main(stage)
    assert files(tmp_path) == ["video/train/00001.tar"]
    assert outputs["shard"].read_bytes() == CONTENT
    assert "400k/400k" in capsys.readouterr().err
