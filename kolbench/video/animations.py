"""Animated pictures as clips: what FFmpeg cannot play is written once as a lossless video of this machine."""

import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from kolbench.errors import DataError
from kolbench.io import images

# FFmpeg plays GIF and APNG itself
_BY_PILLOW = ("WEBP", "AVIF")
_MILLISECONDS = Fraction(1, 1000)


class Stamp(NamedTuple):
    """What tells a file from another one of the same name."""

    size: int
    changed: int


def is_animation(path: Path) -> bool:
    """Whether a file is a picture of several frames that a viewer plays."""
    with suppress(DataError):
        return images.frames_in(path) > 1
    return False


def playable(path: Path) -> Path:
    """The file itself, or, of an animated WebP or AVIF, a video with the same frames, times and alpha.

    Raises:
        DataError: a frame is damaged.
    """
    if not _needs_pillow(path):
        return path
    found = path.stat()
    return _converted(path.absolute(), Stamp(found.st_size, found.st_mtime_ns)).file


def _needs_pillow(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(12)
    is_webp = start[:4] == b"RIFF" and start[8:] == b"WEBP"
    return (is_webp or start[4:] == b"ftypavis") and is_animation(path)


class _Converted:
    """A video in a folder of its own, which goes when nobody needs it any more."""

    def __init__(self, path: Path) -> None:
        folder = Path(tempfile.mkdtemp(prefix="kolbench-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.file = folder / "animation.mkv"
        _write(self.file, images.animation(path))


@lru_cache(maxsize=2)
def _converted(path: Path, stamp: Stamp) -> _Converted:
    return _Converted(path)


def _write(target: Path, frames: Iterator[images.Played]) -> None:
    import av

    with av.open(str(target), "w") as container:
        stream = None
        begins = 0
        for frame in frames:
            if stream is None:
                stream = container.add_stream("ffv1")
                stream.height, stream.width = frame.rgba.shape[:2]
                stream.pix_fmt, stream.time_base = "bgra", _MILLISECONDS
                stream.codec_context.time_base = _MILLISECONDS
            picture = av.VideoFrame.from_ndarray(frame.rgba, format="rgba").reformat(format="bgra")
            picture.pts, picture.time_base = begins, _MILLISECONDS
            for packet in stream.encode(picture):
                packet.duration = frame.milliseconds
                container.mux(packet)
            begins += frame.milliseconds
        if stream is not None:
            container.mux(stream.encode())
