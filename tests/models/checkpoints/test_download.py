"""Files of the catalogue: what is downloaded, checked, waited for, gone on with and refused."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kolbench.errors import WeightsError
from kolbench.models.checkpoints import download
from kolbench.models.checkpoints.catalogue import Entry
from tests.helpers.web import Web, served

CONTENT = bytes(range(256)) * 4096
PATH = "/releases/net.onnx"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KOLBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KOLBENCH_WEIGHTS_URL", raising=False)
    return tmp_path / "home"


@pytest.fixture
def web() -> Iterator[Web]:
    with served() as server:
        server.files[PATH] = CONTENT
        yield server


def entry(*addresses: str, content: bytes = CONTENT, size: int | None = len(CONTENT)) -> Entry:
    return Entry(
        *("net", "unet", "A network"),
        size,
        hashlib.sha256(content).hexdigest(),
        *("MIT", "yes", "onnx"),
        addresses,
        "net.onnx",
    )


def left(home: Path) -> set[str]:
    return {path.name for path in home.rglob("*") if path.is_file() and path.suffix != ".lock"}


def test_a_file_is_downloaded_once_and_said_before(home, web, capsys):
    net = entry(web.address + PATH)
    path = download.fetch(net)
    assert path == home / "weights" / "net" / "net.onnx"
    assert path.read_bytes() == CONTENT
    assert f"downloading A network (net, 1.0 MB, MIT) to {path}" in capsys.readouterr().out
    assert download.fetch(net) == path
    assert len(web.asked) == 1
    assert left(home) == {"net.onnx"}


def test_what_a_broken_connection_left_is_gone_on_with(home, web):
    net = entry(web.address + PATH)
    web.cut[PATH] = 300_000
    with pytest.raises(
        WeightsError, match=r"net could not be downloaded \(.*the connection broke; the same command goes on"
    ):
        download.fetch(net)
    assert left(home) == {"net.onnx.part"}
    assert download.fetch(net).read_bytes() == CONTENT
    assert web.asked == [(PATH, None), (PATH, "bytes=262144-")]
    assert left(home) == {"net.onnx"}


def test_a_whole_part_is_taken_as_it_is(home, web):
    part = home / "weights" / "net" / "net.onnx.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT)
    assert download.fetch(entry(web.address + PATH)).read_bytes() == CONTENT
    assert web.asked == []
    assert left(home) == {"net.onnx"}


def test_a_server_that_gives_no_parts_begins_anew(home, web):
    net = entry(web.address + PATH)
    web.cut[PATH], web.ranges = 300_000, False
    with pytest.raises(WeightsError):
        download.fetch(net)
    assert download.fetch(net).read_bytes() == CONTENT


def test_of_an_unknown_size_too(home, web):
    net = entry(web.address + PATH, size=None)
    web.cut[PATH] = 70_000
    with pytest.raises(WeightsError):
        download.fetch(net)
    assert download.fetch(net).read_bytes() == CONTENT
    assert web.asked[1] == (PATH, "bytes=65536-")


def test_another_content_is_deleted_and_named(home, web):
    net = entry(web.address + PATH, content=CONTENT[::-1])
    found = hashlib.sha256(CONTENT).hexdigest()
    with pytest.raises(
        WeightsError, match=f"the file that came has the sha256 {found}, not {net.sha256}"
    ) as caught:
        download.fetch(net)
    assert f"put the file (1.0 MB, sha256 {net.sha256}) into {home / 'weights'}" in str(caught.value)
    assert left(home) == set()


def test_a_published_md5_must_be_right_too(home, web):
    net = entry(web.address + PATH)
    with pytest.raises(WeightsError, match=f"has the md5 [0-9a-f]{{32}}, not {'0' * 32}; it is deleted"):
        download.fetch(replace(net, md5="0" * 32))
    assert left(home) == set()
    right = replace(net, md5=hashlib.md5(CONTENT, usedforsecurity=False).hexdigest())
    assert download.at_hand(replace(net, md5="0" * 32)) is None
    assert download.fetch(right).read_bytes() == CONTENT


def test_another_size_is_refused_before_it_comes(home, web):
    with pytest.raises(WeightsError, match="the answer has 1,048,576 bytes, the catalogue says 1,048,577"):
        download.fetch(entry(web.address + PATH, content=CONTENT + b"x", size=len(CONTENT) + 1))
    assert left(home) == set()


def test_the_next_address_is_tried(home, web):
    net = entry(f"{web.address}/gone.onnx", web.address + PATH)
    assert download.fetch(net).read_bytes() == CONTENT
    assert [path for path, _ in web.asked] == ["/gone.onnx", PATH]


def test_all_addresses_are_named_with_what_they_answered(home, web):
    nobody = "http://127.0.0.1:9/net.onnx"
    with pytest.raises(WeightsError) as caught:
        download.fetch(entry(f"{web.address}/gone.onnx", nobody))
    assert f"{web.address}/gone.onnx: the server answered 404 Not Found; {nobody}: no connection" in str(
        caught.value
    )


def test_redirects_are_followed_where_they_are_safe(home, web):
    web.moved = {"/old": "/older", "/older": web.address + PATH}
    assert download.fetch(entry(f"{web.address}/old")).read_bytes() == CONTENT


@pytest.mark.parametrize(
    "address",
    [
        "http://example.org/net.onnx",
        "file:///etc/passwd",
        "ftp://127.0.0.1/net.onnx",
        "http://127.0.0.1.example.org/x",
    ],
)
def test_what_is_not_safe_is_never_asked(home, web, address):
    with pytest.raises(
        WeightsError, match="is refused: only https is taken, and http from this machine itself"
    ):
        download.fetch(entry(address))
    web.moved = {"/old": address}
    with pytest.raises(
        WeightsError, match="is refused: only https is taken, and http from this machine itself"
    ):
        download.fetch(entry(f"{web.address}/old"))


def test_endless_redirects_end(home, web):
    web.moved = {"/old": "/old"}
    with pytest.raises(WeightsError, match="more than 5 redirects"):
        download.fetch(entry(f"{web.address}/old"))
    assert len(web.asked) == 6


def test_a_mirror_replaces_the_host(home, web, monkeypatch):
    monkeypatch.setenv("KOLBENCH_WEIGHTS_URL", f"{web.address}/mirror/")
    web.files = {"/mirror/a/b/net.onnx": CONTENT}
    assert download.fetch(entry("https://example.org/a/b/net.onnx?download=1")).read_bytes() == CONTENT


def test_a_mirror_must_be_safe_too(home, monkeypatch):
    monkeypatch.setenv("KOLBENCH_WEIGHTS_URL", "http://mirror.example.org")
    with pytest.raises(WeightsError, match=r"http://mirror.example.org/net.onnx is refused"):
        download.fetch(entry("https://example.org/net.onnx"))


def test_without_a_network_any_file_with_the_hash_is_taken(home):
    put = home / "somewhere" / "renamed.bin"
    put.parent.mkdir(parents=True)
    put.write_bytes(CONTENT)
    assert download.fetch(entry("https://nowhere.invalid/net.onnx")) == put
    assert download.fetch(entry("https://nowhere.invalid/net.onnx", size=None)) == put


def test_a_damaged_file_of_the_cache_is_named(home, web):
    net = entry(web.address + PATH)
    path = download.fetch(net)
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(WeightsError, match=r"is not the file of the catalogue .* delete it"):
        download.fetch(net)


def test_a_full_disk_is_named_and_nothing_is_left(home, web, monkeypatch):
    real = shutil.disk_usage(home.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: real._replace(free=1000))
    with pytest.raises(WeightsError, match=r"There is no room for net \(1\.0 MB\) in .*KOLBENCH_HOME"):
        download.fetch(entry(web.address + PATH))
    assert left(home) == set()


def test_a_disk_that_gets_full_is_named_and_nothing_is_left(home, web):
    limit = 400_000
    code = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));"
    )
    done = program(web, code)
    assert done.returncode == 1
    assert "WeightsError" in done.stderr
    assert "cannot be written (File too large)" in done.stderr


def test_a_folder_that_cannot_be_written_is_named(home, web):
    home.parent.joinpath("home").write_text("a file")
    with pytest.raises(WeightsError, match=r"cannot be written \(.*\)\. Download "):
        download.fetch(entry(web.address + PATH))


@pytest.mark.slow
def test_a_second_process_waits(home, web):
    web.slow = 1.0
    code = "print('ready', flush=True);"
    processes = [start(web, code) for _ in range(2)]
    results = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert len(web.asked) == 1
    told = "".join(out for out, _ in results)
    assert told.count("downloading A network") == 1
    assert told.count("another process is downloading net.onnx: waiting for it") == 1


def source(web: Web, before: str) -> list[str]:
    net = entry(web.address + PATH)
    return [
        sys.executable,
        "-c",
        f"{before} from kolbench.models.checkpoints import download, catalogue;"
        f"net = catalogue.{net!r}; print(download.fetch(net))",
    ]


def start(web: Web, before: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(source(web, before), stdout=-1, stderr=-1, text=True, env={**os.environ})


def program(web: Web, before: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(source(web, before), capture_output=True, text=True, check=False, timeout=60)
