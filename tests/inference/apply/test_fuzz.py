"""A thousand damaged files of 15 kinds in one batch: each is used or named, and the batch goes on."""

import io
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pillow_heif
import pillow_jxl  # noqa: F401  # registers JPEG XL with Pillow
import pytest
from PIL import Image

from tests.helpers.commands import kolbench

PICTURES = ("jpg", "png", "gif", "bmp", "webp", "tif", "heic", "avif", "jxl")
CODECS = {
    "mp4": "libx264",
    "mov": "mpeg4",
    "mkv": "libx264",
    "webm": "libvpx",
    "ts": "mpeg2video",
    "avi": "mjpeg",
}
OF_EACH = 67
HEIGHT, WIDTH, FRAMES = 48, 64, 4


def scene(number: int) -> np.ndarray:
    """A gradient with a bright disc that moves."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    picture = np.stack([x * 3, y * 4, np.full_like(x, 90)], -1)
    picture[(x - 20 - 4 * number) ** 2 + (y - 24) ** 2 < 100] = (230, 200, 180)
    return picture.astype(np.uint8)


def picture(suffix: str) -> bytes:
    pillow_heif.register_heif_opener()
    kinds = {"jpg": "JPEG", "tif": "TIFF", "heic": "HEIF"}
    buffer = io.BytesIO()
    Image.fromarray(scene(0)).save(buffer, kinds.get(suffix, suffix.upper()))
    return buffer.getvalue()


def video(suffix: str, folder: Path) -> bytes:
    path = folder / f"whole.{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(CODECS[suffix], rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = WIDTH, HEIGHT
        stream.pix_fmt = "yuvj420p" if suffix == "avi" else "yuv420p"
        for number in range(FRAMES):
            for packet in stream.encode(av.VideoFrame.from_ndarray(scene(number), format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path.read_bytes()


def cut(data: bytearray, rng: np.random.Generator) -> bytearray:
    return data[: int(rng.integers(0, len(data)))]


def flipped(data: bytearray, rng: np.random.Generator) -> bytearray:
    for place in rng.integers(0, len(data), int(rng.integers(1, 20))):
        data[int(place)] ^= 1 << int(rng.integers(0, 8))
    return data


def _span(data: bytearray, rng: np.random.Generator) -> slice:
    start = int(rng.integers(0, len(data)))
    return slice(start, min(len(data), start + int(rng.integers(1, 200))))


def zeroed(data: bytearray, rng: np.random.Generator) -> bytearray:
    span = _span(data, rng)
    data[span] = bytes(len(data[span]))
    return data


def lost(data: bytearray, rng: np.random.Generator) -> bytearray:
    del data[_span(data, rng)]
    return data


def doubled(data: bytearray, rng: np.random.Generator) -> bytearray:
    span = _span(data, rng)
    return data[: span.start] + data[span] + data[span.start :]


def noisy(data: bytearray, rng: np.random.Generator) -> bytearray:
    span = _span(data, rng)
    data[span] = rng.bytes(len(data[span]))
    return data


def headless(data: bytearray, rng: np.random.Generator) -> bytearray:
    """Sizes and counts stand in the first bytes: these are made very large."""
    for place in rng.integers(0, min(64, len(data)), 4):
        data[int(place)] = 255
    return data


Damage = Callable[[bytearray, np.random.Generator], bytearray]
DAMAGES: tuple[Damage, ...] = (cut, flipped, zeroed, lost, doubled, noisy, headless)


@pytest.mark.slow
def test_a_thousand_damaged_files_are_used_or_named(tmp_path: Path) -> None:
    folder, made = tmp_path / "in", tmp_path / "seeds"
    folder.mkdir()
    made.mkdir()
    seeds = {suffix: picture(suffix) for suffix in PICTURES} | {
        suffix: video(suffix, made) for suffix in CODECS
    }
    names = []
    for kind, (suffix, whole) in enumerate(seeds.items()):
        for number in range(OF_EACH):
            rng = np.random.default_rng([kind, number])
            name = f"{suffix}_{number:02d}"
            (folder / f"{name}.{suffix}").write_bytes(DAMAGES[number % len(DAMAGES)](bytearray(whole), rng))
            names.append(f"{name}.{suffix}")
    # what comes last shows that the batch went on
    (folder / "zz_good.png").write_bytes(seeds["png"])
    assert len(names) >= 1000
    done = kolbench(
        *("task=predict", "experiment=ellipse", f"input={folder}", f"output={tmp_path / 'out'}"),
        "save=alpha",
        cwd=tmp_path,
        code=1,
    )
    said = done.stdout + done.stderr
    written = {path.name.split(".")[0] for path in (tmp_path / "out").iterdir()}
    skipped = [line for line in said.splitlines() if line.startswith("skipped: ")]
    neither = [
        name
        for name in names
        if name.split(".")[0] not in written and not any(name in line for line in skipped)
    ]
    assert neither == []
    assert "zz_good" in written
    # what nobody foresaw is named too, but it is a gap in what is foreseen
    assert [line for line in skipped if "a fault of kolbench" in line] == []
    # most damage to a picture or a video cannot be repaired, some does not matter
    assert len(skipped) > 300
    assert len(written) > 200
