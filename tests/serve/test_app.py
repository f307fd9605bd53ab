"""The page's server: what it answers, and what it refuses."""

import base64
import hashlib
import pickle
import re
import socket
import struct
import tempfile
import threading
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from kolbench import load
from kolbench.errors import DataError
from kolbench.io.hosts import is_loopback
from kolbench.segmenter import Segmenter
from kolbench.serve import serve_page, uploads
from kolbench.serve.guard import is_ours
from kolbench.serve.memory import Memory, new_token
from tests.helpers.serving import Ramp, encoded, method, ramp_and_ellipse, running, scenery, send, uploaded

ORIENTATION = 0x0112


@pytest.fixture(scope="module")
def port():
    with running(ramp_and_ellipse()) as found:
        yield found


# --- the page


def test_the_page_is_one_file_that_may_speak_with_its_server_only(port):
    answer = send(port, "GET", "/")
    assert answer.status == 200
    html = answer.body.decode()
    rules = dict(rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; "))
    assert rules["default-src"] == rules["frame-ancestors"] == rules["form-action"] == "'none'"
    assert (rules["connect-src"], rules["img-src"]) == ("'self'", "data:")
    for kind, inline in (
        ("style-src", re.findall(r"<style>(.*?)</style>", html, re.S)),
        ("script-src", re.findall(r"<script>(.*?)</script>", html, re.S)),
    ):
        digest = base64.b64encode(hashlib.sha256(inline[0].encode()).digest()).decode()
        assert len(inline) == 1
        assert rules[kind] == f"'sha256-{digest}'"
    assert all(target.startswith(("#", "data:")) for target in re.findall(r'(?:src|href)="([^"]*)"', html))
    assert not re.search(r"https?://|@import|url\(|innerHTML|eval\(", html)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"
    assert "server" not in answer.headers


def test_names_that_try_to_be_markup_are_text():
    attack = "</script><script>window.hacked = 1</script>\"'<b>"
    html, _ = serve_page.render([method(attack, Ramp(), attack)], 20, None, attack, stays_here=True)
    assert attack not in html
    assert len(re.findall("<script", html)) == 2


def test_the_page_says_how_to_load_more_where_grabcut_is_alone():
    alone, _ = serve_page.render([method("grabcut", Ramp())], 20, None, "cpu", stays_here=True)
    assert "task=serve" in alone
    assert "this computer" in alone
    two, _ = serve_page.render(ramp_and_ellipse(), 20, None, "cpu", stays_here=False)
    assert "task=serve" not in two
    assert "sent to the computer that runs this server" in two


# --- pictures and alphas


def test_a_picture_comes_back_as_levels_of_every_method(port):
    image = scenery(40, 60)
    kept = uploaded(port, encoded(image))
    assert (kept["width"], kept["height"]) == (60, 40)
    assert (send(port, "GET", f"/pictures/{kept['token']}").picture() == image).all()
    ramp = send(port, "POST", f"/pictures/{kept['token']}/alphas/0")
    found = np.frombuffer(ramp.body, np.uint8).reshape(40, 60)
    assert (found == np.rint(np.linspace(0, 1, 60, dtype=np.float32) * 255)).all()
    assert float(re.fullmatch(r"predict;dur=(\d+\.\d)", ramp.headers["server-timing"])[1]) < 5000
    ellipse = send(port, "POST", f"/pictures/{kept['token']}/alphas/1")
    expected = np.rint(255 * load("ellipse").segment(image))
    assert (np.frombuffer(ellipse.body, np.uint8).reshape(40, 60) == expected).all()


def test_a_turned_photograph_comes_back_upright(port):
    upright = np.zeros((80, 48, 3), np.uint8)
    upright[:20, :, 0] = 255  # red on top
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # the camera stored it turned left
    kept = uploaded(port, encoded(np.rot90(upright), "JPEG", exif=exif, quality=95))
    assert (kept["width"], kept["height"]) == (48, 80)
    seen = send(port, "GET", f"/pictures/{kept['token']}").picture().astype(int)
    assert np.abs(seen - upright).mean() < 3
    assert seen[:12, :, 0].min() > 200
    assert seen[40:, :, 0].max() < 60


def test_previews_are_small_and_files_of_the_picture_s_own_size(port):
    kept = uploaded(port, encoded(scenery(320, 2048)))
    assert send(port, "GET", f"/pictures/{kept['token']}").picture().shape == (240, 1536, 3)
    levels = send(port, "POST", f"/pictures/{kept['token']}/alphas/0").body
    assert len(levels) == 240 * 1536
    alpha = send(port, "POST", f"/pictures/{kept['token']}/files/alpha", {"method": 0}).picture()
    assert alpha.shape == (320, 2048)


@pytest.mark.parametrize("size", [(1, 1), (1, 2200), (1700, 3)])
def test_odd_sizes_are_served(port, size):
    kept = uploaded(port, encoded(scenery(*size)))
    seen = send(port, "GET", f"/pictures/{kept['token']}").picture()
    assert (
        len(send(port, "POST", f"/pictures/{kept['token']}/alphas/1").body) == seen.shape[0] * seen.shape[1]
    )
    for kind, channels in (("alpha", ()), ("cutout", (4,))):
        file = send(port, "POST", f"/pictures/{kept['token']}/files/{kind}", {"method": 0})
        assert file.picture().shape == (*size, *channels)


@pytest.mark.parametrize("threshold", [0, 0.5, 0.502, 0.99])
def test_the_threshold_cuts_as_the_scores_do(port, threshold):
    token = uploaded(port, encoded(scenery(8, 256)))["token"]
    soft = send(port, "POST", f"/pictures/{token}/files/alpha", {"method": 0, "threshold": None}).picture()
    assert (soft == np.arange(256)).all()
    hard = send(port, "POST", f"/pictures/{token}/files/alpha", {"method": 0, "threshold": threshold})
    assert (hard.picture() == np.where(np.arange(256) > 255 * threshold, 255, 0)).all()


def test_the_cut_out_has_the_levels_as_alpha_and_the_picture_s_colours(port):
    image = scenery(64, 96)
    token = uploaded(port, encoded(image))["token"]
    rgba = send(port, "POST", f"/pictures/{token}/files/cutout", {"method": 1}).picture()
    levels = send(port, "POST", f"/pictures/{token}/files/alpha", {"method": 1}).picture()
    assert (rgba[..., 3] == levels).all()
    assert set(np.unique(levels)) == {0, 255}
    assert (rgba[levels == 255, :3] == image[levels == 255]).all()
    assert (rgba[0, 0] == 0).all()


def test_the_ad_stands_behind_the_person_and_in_its_box_only(port):
    image = scenery(100, 80)
    token = uploaded(port, encoded(image))["token"]
    blue = np.zeros((10, 10, 3), np.uint8)
    blue[..., 2] = 255
    ad = uploaded(port, encoded(blue), "/ads")["token"]
    person = load("ellipse").segment(image) == 1
    box = {"left": 0.25, "top": 0.1, "width": 0.5, "height": 0.8, "fit": "stretch"}
    covered = np.zeros((100, 80), bool)
    covered[10:90, 20:60] = True
    for opacity in (1.0, 0.6):
        wishes = {"method": 1, "threshold": None, "ad": ad, "opacity": opacity, **box}
        found = send(port, "POST", f"/pictures/{token}/files/composite", wishes).picture()
        expected = image.astype(float)
        behind = covered & ~person
        assert behind.sum() > 100
        expected[behind] = (1 - opacity) * expected[behind] + opacity * np.array([0, 0, 255])
        assert (found[~behind] == image[~behind]).all()
        assert np.abs(found - expected).max() <= 0.51


def test_transparent_parts_of_an_ad_show_what_is_behind(port):
    image = scenery(40, 40)
    token = uploaded(port, encoded(image))["token"]
    logo = np.full((40, 40, 4), (255, 0, 0, 255), np.uint8)
    logo[:, 20:, 3] = 0
    ad = uploaded(port, encoded(logo), "/ads")["token"]
    seen = send(port, "GET", f"/pictures/{ad}").picture()
    assert (seen == logo).all()
    whole = {"left": 0, "top": 0, "width": 1, "height": 1}
    wishes = {"method": 0, "threshold": 0.99, "ad": ad, **whole}
    found = send(port, "POST", f"/pictures/{token}/files/composite", wishes).picture()
    assert (found[:, :18] == (255, 0, 0)).all()
    assert (found[:, 22:] == image[:, 22:]).all()


def test_a_turned_ad_keeps_colours_and_transparency_together(port):
    logo = np.zeros((20, 30, 4), np.uint8)
    logo[:10] = (10, 200, 30, 255)
    exif = Image.Exif()
    exif[ORIENTATION] = 8
    ad = uploaded(port, encoded(np.rot90(logo, -1), exif=exif), "/ads")
    assert (ad["width"], ad["height"]) == (30, 20)
    assert (send(port, "GET", f"/pictures/{ad['token']}").picture() == logo).all()


def test_transparency_of_sixteen_bits_and_none_at_all(port):
    """51400 / 257 = 200, 1000 / 257 = 3.9, 30000 / 257 = 116.7; OpenCV takes blue first."""
    deep = np.array([[[65535, 1000, 51400, 30000], [0, 0, 51400, 65535]]], np.uint16)
    for last, shown in (
        (30000, [[200, 4, 255, 117], [200, 0, 0, 255]]),
        (65535, [[200, 4, 255], [200, 0, 0]]),
    ):
        deep[0, 0, 3] = last
        ad = uploaded(port, cv2.imencode(".png", deep)[1].tobytes(), "/ads")
        assert send(port, "GET", f"/pictures/{ad['token']}").picture().tolist() == [shown]


def test_examples_need_no_upload(port):
    for path, channels in (("/examples/0", 3), ("/examples/ad", 4), ("/examples/background", 3)):
        kept = uploaded(port, b"", path)
        seen = send(port, "GET", f"/pictures/{kept['token']}").picture()
        assert seen.shape == (kept["height"], kept["width"], channels)
        assert seen[..., :3].std() > 30
    missing = send(port, "POST", f"/examples/{len(uploads.EXAMPLES)}", b"")
    assert missing.status == 404
    assert missing.error == f"There are {len(uploads.EXAMPLES)} examples, counted from 0."


# --- refusals


def png_of(width, height):
    """A PNG of one bit a pixel, all black: a few kilobytes however large."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(((width + 7) // 8 + 1) * height), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"<!DOCTYPE html><html>no</html>", "it is a web page (HTML)"),
        (b"", "it is empty (0 bytes)"),
        (encoded(scenery(200, 200), "JPEG")[:1500], "JPEG that is truncated or damaged"),
        (pickle.dumps({"a": 1}), "no image format that is known here"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "of the format EPS"),
        (png_of(8000, 6000), "of 8000x6000 px has more than 40 million pixels"),
        (png_of(20000, 20000), "more than 40 million pixels"),
    ],
    ids=["html", "empty", "truncated", "pickle", "postscript", "large", "bomb"],
)
def test_what_is_no_picture_is_refused_in_a_sentence(port, data, sentence):
    for path, name in (("/pictures", "The image"), ("/ads", "The ad")):
        answer = send(port, "POST", path, data)
        assert answer.status == 400
        assert sentence in answer.error
        assert answer.error.startswith(name)


def raw(port, text, *parts):
    """Sends bytes as they are and stops as soon as the server answers; the answer and how much was sent."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(text.replace("\n", "\r\n").encode())
        sent = 0
        for part in parts:
            connection.setblocking(False)
            try:
                if connection.recv(1, socket.MSG_PEEK):
                    break
            except BlockingIOError:
                pass
            connection.settimeout(20)
            try:
                connection.sendall(part)
            except OSError:
                break
            sent += len(part)
        connection.settimeout(20)
        answer = b""
        while b"}" not in answer:
            received = connection.recv(65536)
            if not received:
                break
            answer += received
        return answer.decode(), sent


def test_an_announced_upload_above_the_limit_is_not_read(port):
    head = f"POST /pictures HTTP/1.1\nHost: 127.0.0.1:{port}\nContent-Length: {1 << 31}\n\n"
    answer, _ = raw(port, head)
    assert answer.startswith("HTTP/1.1 413")
    assert "The image has more than 1 MiB, which is the limit here" in answer


def test_a_stream_is_cut_off_at_the_limit(port):
    head = f"POST /ads HTTP/1.1\nHost: 127.0.0.1:{port}\nTransfer-Encoding: chunked\n\n"
    piece = b"10000\r\n" + bytes(65536) + b"\r\n"
    answer, sent = raw(port, head, *[piece] * 2000)
    assert answer.startswith("HTTP/1.1 413")
    assert "The ad has more than 1 MiB" in answer
    assert sent < 20 << 20


def test_exactly_the_limit_is_taken(port):
    data = encoded(scenery(30, 30))
    assert send(port, "POST", "/pictures", data + bytes((1 << 20) - len(data))).status == 201
    assert send(port, "POST", "/pictures", data + bytes((1 << 20) - len(data) + 1)).status == 413


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("127.0.0.1:{}", True),
        ("localhost:{}", True),
        ("LOCALHOST:{}", True),
        ("[::1]:{}", True),
        ("127.0.0.1", False),
        ("127.0.0.1:1", False),
        ("evil.example:{}", False),
        ("localhost.evil.example:{}", False),
        ("10.0.0.1:{}", False),
        ("127.0.0.1:{}@evil.example", False),
        ("", False),
    ],
)
def test_only_its_own_names_are_answered(port, host, ours):
    answer = send(port, "GET", "/", Host=host.format(port))
    assert answer.status == (200 if ours else 421)
    if not ours:
        assert f"open http://localhost:{port}." in answer.error


def test_names_of_a_server_that_is_bound_to_more():
    assert is_ours("192.168.1.7:8000", "192.168.1.7", 8000)
    assert is_ours("box.lan:8000", "Box.lan", 8000)
    assert is_ours("localhost", "127.0.0.1", 80)
    assert not is_ours("192.168.1.8:8000", "192.168.1.7", 8000)
    # rebinding needs a name, so any address is fine where all are listened on
    assert is_ours("192.168.1.8:8000", "0.0.0.0", 8000)
    assert is_ours("[fe80::1]:8000", "::", 8000)
    assert is_ours(f"{socket.gethostname()}:8000", "0.0.0.0", 8000)
    assert not is_ours("evil.example:8000", "0.0.0.0", 8000)
    assert not is_ours("[fe80::1:8000", "::", 8000)
    assert [is_loopback(h) for h in ("127.0.0.1", "::1", "localhost", "127.3.2.1")] == [True] * 4
    assert [is_loopback(h) for h in ("0.0.0.0", "::", "192.168.1.7", "localhost.evil")] == [False] * 4


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 201),  # a script
        ({"Origin": "http://127.0.0.1:{}"}, 201),
        ({"Origin": "http://127.0.0.1:{}", "Sec-Fetch-Site": "same-origin"}, 201),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "https://127.0.0.1:{}"}, 403),
        ({"Origin": "http://localhost:{}"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_no_other_page_may_post(port, headers, status):
    filled = {key: value.format(port) for key, value in headers.items()}
    answer = send(port, "POST", "/pictures", encoded(scenery(8, 8)), **filled)
    assert answer.status == status
    if status == 403:
        assert answer.error == "Another page sent this; only the server's own page may."
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("path", "wishes", "status", "sentence"),
    [
        ("alpha", {"method": 2}, 400, "method=2 is no number of a method"),
        ("alpha", {"method": -1}, 400, "method=-1"),
        ("alpha", {"method": True}, 400, "method=True"),
        ("alpha", {}, 400, "method=None"),
        ("alpha", {"method": 0, "threshold": 1.5}, 400, "threshold=1.5 is not a number from 0 to 1"),
        ("alpha", {"method": 0, "threshold": "x"}, 400, "threshold=x"),
        ("alpha", [0], 400, "must be JSON"),
        ("alpha", b"{", 400, "must be JSON"),
        ("alpha", b"[" * 9000, 400, "must be JSON"),
        ("alpha", b'{"method": 0, "threshold": NaN}', 400, "threshold=nan"),
        ("alpha", b" " * 20000, 413, "too long"),
        ("alhpa", {"method": 0}, 400, "Did you mean kind=alpha?"),
        ("composite", {"method": 0}, 404, "no longer holds"),
        ("composite", {"method": 0, "ad": "../../etc/passwd"}, 404, "no longer holds"),
        ("composite", {"method": 0, "ad": "AD", "left": 0.9, "width": 0.4}, 400, "placement.width=0.4"),
        ("composite", {"method": 0, "ad": "AD", "opacity": 2}, 400, "look.opacity=2"),
        ("composite", {"method": 0, "ad": "AD", "fit": "tile"}, 400, "placement.fit=tile"),
        ("composite", {"method": 0, "background": "blurr"}, 400, "Did you mean background=blur?"),
        ("composite", {"method": 0, "background": ["ad"]}, 400, "background="),
        ("composite", {"method": 0, "background": "image"}, 404, "no longer holds"),
        ("composite", {"method": 0, "background": "blur", "radius": 3}, 400, "radius=3"),
        ("composite", {"method": 0, "background": "colour", "colour": "#12"}, 400, "is no colour"),
        ("composite", {"method": 0, "background": "colour", "colour": {"a": 1}}, 400, "is no colour"),
    ],
)
def test_wishes_that_cannot_be_met(port, path, wishes, status, sentence):
    token = uploaded(port, encoded(scenery(20, 20)))["token"]
    if isinstance(wishes, dict) and wishes.get("ad") == "AD":
        wishes = {**wishes, "ad": uploaded(port, encoded(scenery(8, 8)), "/ads")["token"]}
    answer = send(port, "POST", f"/pictures/{token}/files/{path}", wishes)
    assert answer.status == status
    assert sentence in answer.error


@pytest.mark.parametrize(
    ("verb", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/pictures/unknown", 404),
        ("GET", "/pictures/..%2f..%2f..%2fetc%2fpasswd", 404),
        ("POST", "/pictures/unknown/alphas/0", 404),
        ("POST", "/pictures/unknown/foregrounds/0", 404),
        ("GET", "/pictures", 405),
        ("PUT", "/", 405),
        ("OPTIONS", "/pictures", 405),
    ],
)
def test_addresses_that_lead_nowhere(port, verb, path, status):
    answer = send(port, verb, path)
    assert answer.status == status
    assert answer.error
    assert answer.headers["x-frame-options"] == "DENY"


# --- one at a time, and failures


class Waiting(Segmenter):
    """Alpha 1 once it is let go; counts how many are at it."""

    def __init__(self):
        super().__init__()
        self.begun, self.go = threading.Semaphore(0), threading.Event()
        self.now = self.most = 0

    def predict(self, *inputs):
        self.now += 1
        self.most = max(self.most, self.now)
        self.begun.release()
        assert self.go.wait(20)
        self.now -= 1
        return Ramp().predict(*inputs)


class Failing(Segmenter):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def predict(self, *inputs):
        raise self.error


def test_one_prediction_at_a_time_while_the_server_answers_others():
    waiting = Waiting()
    with running([method("waiting", waiting)]) as port:
        tokens = [uploaded(port, encoded(scenery(8, 8 + n)))["token"] for n in range(3)]
        answers = []
        threads = [
            threading.Thread(target=lambda t=t: answers.append(send(port, "POST", f"/pictures/{t}/alphas/0")))
            for t in tokens
        ]
        for thread in threads:
            thread.start()
        assert waiting.begun.acquire(timeout=20)
        assert send(port, "GET", "/").status == 200
        assert uploaded(port, encoded(scenery(8, 8)))["width"] == 8
        assert not waiting.begun.acquire(timeout=0.2)
        waiting.go.set()
        for thread in threads:
            thread.join(20)
        assert [answer.status for answer in answers] == [200] * 3
        assert waiting.most == 1
        # held by now: no second prediction
        waiting.go.clear()
        assert send(port, "POST", f"/pictures/{tokens[0]}/alphas/0").status == 200


def test_a_visitor_who_left_is_not_waited_for():
    waiting = Waiting()
    with running([method("waiting", waiting)]) as port:
        tokens = [uploaded(port, encoded(scenery(8, 8 + n)))["token"] for n in range(2)]
        first = threading.Thread(target=send, args=(port, "POST", f"/pictures/{tokens[0]}/alphas/0"))
        first.start()
        assert waiting.begun.acquire(timeout=20)
        with socket.create_connection(("127.0.0.1", port)) as gone:
            gone.sendall(
                f"POST /pictures/{tokens[1]}/alphas/0 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
            )
            assert send(port, "GET", "/").status == 200
        assert send(port, "GET", "/").status == 200
        waiting.go.set()
        first.join(20)
        last = uploaded(port, encoded(scenery(8, 30)))["token"]
        assert send(port, "POST", f"/pictures/{last}/alphas/0").status == 200
        assert waiting.begun.acquire(timeout=20)
        assert not waiting.begun.acquire(timeout=0)


def test_failing_methods_are_told_in_a_sentence(capfd, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    refusing = Failing(DataError("The image is too plain; take another."))
    broken = Failing(RuntimeError("out of memory in /secret/place.py"))
    with running([method("refusing", refusing), method("broken", broken)]) as port:
        token = uploaded(port, encoded(scenery(8, 8)))["token"]
        refused = send(port, "POST", f"/pictures/{token}/alphas/0")
        assert (refused.status, refused.error) == (400, "The image is too plain; take another.")
        failed = send(port, "POST", f"/pictures/{token}/files/cutout", {"method": 1})
        assert failed.status == 500
        assert failed.error == "The server failed at this (RuntimeError); its terminal says more."
        assert failed.headers["x-content-type-options"] == "nosniff"
        assert send(port, "GET", "/").status == 200
    said = capfd.readouterr().err
    assert re.fullmatch(r"kolbench: RuntimeError: out of memory .*; \S+ holds the details\.\n", said)
    [details] = tmp_path.iterdir()
    assert "Traceback" in details.read_text()


# --- memory


@given(
    st.lists(st.tuples(st.sampled_from(["put", "get"]), st.integers(0, 6), st.integers(0, 40))),
    st.integers(0, 60),
    st.integers(0, 4),
)
def test_memory_keeps_the_youngest_below_both_bounds(steps, most_bytes, most_arrays):
    memory = Memory(most_bytes, most_arrays)
    expected = {}  # by age
    for what, key, size in steps:
        name = str(key)
        if what == "get":
            found = memory.get(name)
            assert (found is None) == (name not in expected)
            if found is not None:
                assert found is expected[name]
                expected[name] = expected.pop(name)
            continue
        expected.pop(name, None)
        expected[name] = np.zeros(size, np.uint8)
        memory.put(name, expected[name])
        while sum(a.nbytes for a in expected.values()) > most_bytes or len(expected) > most_arrays:
            del expected[next(iter(expected))]


def test_tokens_cannot_be_guessed():
    tokens = {new_token() for _ in range(1000)}
    assert len(tokens) == 1000
    assert all(re.fullmatch(r"[\w-]{32}", token) for token in tokens)
