"""Small video clips whose pictures, timestamps and sound are known, and clips that are broken."""

import itertools
import struct
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from kolbench.video.codecs import format_name_of
from kolbench.video.reader import VideoReader
from kolbench.video.sequence import PngSequence
from kolbench.video.writers import VideoWriter, open_writer

TIME_BASE = Fraction(1, 90_000)
PIXEL_FORMATS = {"prores_ks": "yuv444p10le", "png": "rgb24", "mjpeg": "yuvj420p"}
# how a phone marks a video held in another way: (a, b, c, d) of the display matrix by clockwise degrees
MATRICES = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
IRREGULAR_MS = (0, 33, 67, 400, 433, 1200)
TONE_HZ = 440
# names and formats of all kinds of output
OUTPUTS = (
    ("o.mp4", None),
    ("o.mov", None),
    ("o.mkv", None),
    ("o.webm", None),
    ("o.mov", "prores"),
    ("o", None),
)


def square(number: int, size: tuple[int, int], seed: int = 0) -> tuple[int, int, int]:
    """(top, left, side) of the red square in frame `number`; it goes to and fro."""
    height, width = size
    side = max(2, height // 3)
    way = max(1, width - side)
    step = (4 * number + 17 * seed) % (2 * way)
    return (height - side) // 2, min(step, 2 * way - step), side


def picture(number: int, size: tuple[int, int] = (96, 128), seed: int = 0) -> np.ndarray:
    """(H, W, 3) uint8: a red square before a blue-green ramp, a yellow disc that falls, a white bar."""
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    image = np.stack(
        [np.full(size, 40), 60 + 120 * columns // width, 60 + 120 * rows // height], axis=-1
    ).astype(np.uint8)
    centre = (3 * number + 11 * seed) % height
    image[(rows - centre) ** 2 + (columns - 3 * width // 4) ** 2 < (height // 8) ** 2] = (230, 220, 30)
    top, left, side = square(number, size, seed)
    image[top : top + side, left : left + side] = (220, 30, 40)
    image[: max(1, height // 16), : width // 2] = 235
    return image


def two_views() -> tuple[np.ndarray, np.ndarray]:
    """Two pictures (48, 64, 3) uint8 that nobody takes for one shot."""
    y, x = np.mgrid[:48, :64]
    one = np.stack([np.where(x < 24, 20, 200), 2 * y + 60, np.full_like(x, 90)], axis=-1)
    two = np.stack([np.full_like(x, 120), np.where(y < 12, 230, 30), 3 * x], axis=-1)
    return one.astype(np.uint8), two.astype(np.uint8)


def cutout(number: int, size: tuple[int, int] = (96, 128), seed: int = 0) -> np.ndarray:
    """(H, W, 4) uint8: `picture` cut out by a disc, whose edge is soft and which goes to the right."""
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    radius = height / 3
    centre = width / 3 + (4 * number + 5 * seed) % (width // 3)
    distance = np.hypot(rows - height / 2, columns - centre)
    alpha = np.clip((radius - distance) / 4 + 0.5, 0, 1)
    return np.dstack([picture(number, size, seed), np.rint(255 * alpha).astype(np.uint8)])


def write_cutouts(
    path: Path, pictures: Sequence[np.ndarray], fps: int = 25, format_name: str | None = None
) -> Path:
    """A clip of (H, W, 4) uint8 pictures in one of our own formats."""
    format_name = format_name_of(path, True, format_name)
    step = round(1 / (fps * TIME_BASE))
    end = step * len(pictures)
    height, width = pictures[0].shape[:2]
    with VideoWriter(path, None, height, width, format_name, time_base=TIME_BASE, end=end) as writer:
        for number, image in enumerate(pictures):
            writer.write(image, step * number)
    return path


def make_clip(
    path: Path,
    frames: int = 30,
    size: tuple[int, int] = (96, 128),
    fps: float = 30,
    stamps_ms: Sequence[float] | None = None,
    last_ms: float | None = None,
    codec: str = "libx264",
    options: Mapping[str, str] | None = None,
    pixel_format: str | None = None,
    sound: str | Sequence[str] | None = None,
    sample_rate: int = 44_100,
    sound_from: float = 0.0,
    rotation: int = 0,
    mirrored: bool = False,
    seed: int = 0,
    pictures: Sequence[np.ndarray] | None = None,
    format_name: str | None = None,
    layout: str = "stereo",
    described: Mapping[str, str] | None = None,
    default_sound: int | None = None,
) -> Path:
    """Writes a clip of `picture(0), picture(1), ...` and returns its path.

    Args:
        frames: how many; ignored where `stamps_ms` or `pictures` say it.
        size: (height, width), as they lie in the file.
        stamps_ms: when each picture begins, in ms; None = at `fps`.
        last_ms: how long the last one shows; None = as long as the one before.
        codec: FFmpeg's encoder. options: of it. pixel_format: None = yuv420p, or what the codec needs.
        sound: FFmpeg's encoder (aac, libopus, pcm_s16le, libmp3lame) of a stereo tone, or one per stream;
            the second stream sounds an octave higher. sound_from: seconds at which it begins.
        rotation: clockwise degrees by which an MP4 or MOV says it is to be turned; mirrored: left and
            right exchanged before that.
        pictures: (H, W, 3|4) uint8 in place of the drawn ones.
        format_name: FFmpeg's name of the container; None = by the suffix.
        layout: of the sound's channels. described: what the container says of itself.
        default_sound: the stream of sound that players are to take; None = nothing is said.
    """
    if pictures is not None:
        frames, size = len(pictures), pictures[0].shape[:2]
    stamps_ms = [1000 * n / fps for n in range(frames)] if stamps_ms is None else list(stamps_ms)
    if last_ms is None:
        last_ms = stamps_ms[-1] - stamps_ms[-2] if len(stamps_ms) > 1 else 1000 / fps
    begins = [round(ms * 90) for ms in (*stamps_ms, stamps_ms[-1] + last_ms)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format=format_name) as container:
        stream = container.add_stream(codec, rate=round(fps), options=dict(options or {}))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = size[1], size[0]
        stream.pix_fmt = pixel_format or PIXEL_FORMATS.get(codec, "yuv420p")
        stream.time_base = stream.codec_context.time_base = TIME_BASE
        container.metadata.update(described or {})
        tones = [
            _Tone(container, name, sample_rate, sound_from, n, layout) for n, name in enumerate(_names(sound))
        ]
        for number, tone in enumerate(tones):
            if default_sound is not None:
                chosen = av.stream.Disposition.default if number == default_sound else 0
                tone.stream.disposition = av.stream.Disposition(chosen)
        durations = {}
        for number, (start, end) in enumerate(itertools.pairwise(begins)):
            image = picture(number, size, seed) if pictures is None else pictures[number]
            frame = av.VideoFrame.from_ndarray(image, format="rgb24" if image.shape[2] == 3 else "rgba")
            frame.pts, frame.time_base = start, TIME_BASE
            durations[start] = end - start
            _mux(container, stream.encode(frame), durations)
            for tone in tones:
                tone.sound_until(end / 90_000)
        _mux(container, stream.encode(), durations)
        for tone in tones:
            tone.finish()
    if rotation or mirrored:
        turn(path, rotation, mirrored)
    return path


def _names(sound: str | Sequence[str] | None) -> Sequence[str]:
    if sound is None:
        return ()
    return (sound,) if isinstance(sound, str) else sound


def _mux(
    container: av.container.OutputContainer, packets: "Iterable[av.Packet[Any]]", durations: dict[int, int]
) -> None:
    for packet in packets:
        packet.duration = durations.pop(packet.pts, 0)
        container.mux(packet)


class _Tone:
    def __init__(
        self,
        container: av.container.OutputContainer,
        codec: str,
        rate: int,
        start: float,
        octave: int,
        layout: str = "stereo",
    ) -> None:
        self.container = container
        stream = container.add_stream(codec, rate=rate)
        assert isinstance(stream, av.AudioStream)
        self.stream = stream
        self.stream.codec_context.layout = self.layout = layout
        self.rate, self.pitch = rate, TONE_HZ * 2**octave
        self.first = self.done = round(start * rate)

    def sound_until(self, seconds: float) -> None:
        while self.done < seconds * self.rate:
            times = np.arange(self.done, self.done + 1024) / self.rate
            wave = (8000 * np.sin(2 * np.pi * self.pitch * times)).astype(np.int16)
            channels = self.stream.codec_context.channels
            samples = np.repeat(wave, channels)[None]
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout=self.layout)
            frame.sample_rate, frame.pts, frame.time_base = self.rate, self.done, Fraction(1, self.rate)
            self.container.mux(self.stream.encode(frame))
            self.done += 1024

    def finish(self) -> None:
        self.container.mux(self.stream.encode(None))


def turn(path: Path, degrees: int, mirrored: bool = False) -> None:
    """Writes a display matrix into the first track header of an MP4 or MOV."""
    a, b, c, d = MATRICES[degrees]
    if mirrored:
        a, b = -a, -b
    data = bytearray(path.read_bytes())
    # version and flags, times, id, reserved, duration, layer, volume: the matrix follows 40 bytes on
    start = data.index(b"tkhd") + 4 + 40
    assert struct.unpack(">9i", data[start : start + 36])[::4] == (1 << 16, 1 << 16, 1 << 30)
    values = (a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    data[start : start + 36] = struct.pack(">9i", *values)
    path.write_bytes(data)


def sound_alone(path: Path, codec: str = "aac", seconds: float = 1.0) -> Path:
    """A file without pictures."""
    with av.open(str(path), "w") as container:
        tone = _Tone(container, codec, 44_100, 0.0, 0)
        tone.sound_until(seconds)
        tone.finish()
    return path


def faulty_clips(folder: Path) -> dict[str, Path]:
    """Files that are no videos, by what is wrong with them.

    empty: 0 bytes. page: HTML that is named .mp4. noise. sound_only. headless: an MP4 whose end, which
    holds its index, is missing. cut_mp4, cut_mkv, cut_webm: broken off, although the beginning can be read.
    damaged: noise in the middle of the pictures.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = {name: folder / f"{name}.mp4" for name in ("empty", "page", "noise", "sound_only", "headless")}
    made["empty"].write_bytes(b"")
    made["page"].write_text("<!DOCTYPE html><html><body>404 Not Found</body></html>" * 50)
    made["noise"].write_bytes(np.random.default_rng(0).bytes(20_000))
    sound_alone(made["sound_only"])
    whole = make_clip(folder / "whole.mp4", 90, options={"crf": "5"}, sound="aac").read_bytes()
    made["headless"].write_bytes(whole[: len(whole) // 2])
    (folder / "whole.mp4").unlink()
    for suffix, codec in (("mp4", "libx264"), ("mkv", "libx264"), ("webm", "libvpx-vp9")):
        made[f"cut_{suffix}"] = cut = folder / f"cut.{suffix}"
        fast = {"cpu-used": "8", "deadline": "realtime"} if codec == "libvpx-vp9" else {"crf": "5"}
        whole = _index_first(make_clip(cut, 90, codec=codec, options=fast))
        cut.write_bytes(whole[: len(whole) // 2])
    made["damaged"] = folder / "damaged.mp4"
    damaged = bytearray(make_clip(made["damaged"], 90, options={"crf": "5"}).read_bytes())
    middle = len(damaged) // 2
    damaged[middle : middle + 300] = np.random.default_rng(1).bytes(300)
    made["damaged"].write_bytes(damaged)
    return made


def _index_first(path: Path) -> bytes:
    """The clip's bytes, an MP4's index moved to the beginning."""
    if path.suffix != ".mp4":
        return path.read_bytes()
    target = path.with_name("index_first.mp4")
    with (
        av.open(str(path)) as source,
        av.open(str(target), "w", container_options={"movflags": "+faststart"}) as container,
    ):
        copied = container.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = copied
                container.mux(packet)
    data = target.read_bytes()
    target.unlink()
    return data


def copy(
    source: Path,
    target: Path,
    format_name: str | None = None,
    sound: bool = True,
    alpha: np.ndarray | None = None,
) -> VideoWriter | PngSequence:
    """Reads and writes a whole clip; `alpha` (H, W) uint8 makes its pictures transparent."""
    with (
        VideoReader(source) as reader,
        open_writer(target, reader, alpha is not None, format_name, sound) as writer,
    ):
        for frame in reader:
            image = frame.image if alpha is None else np.dstack([frame.image, alpha])
            writer.write(image, frame.pts)
    return writer


def names_in(folder: Path) -> list[str]:
    """What lies in a folder, hidden files too."""
    return sorted(path.name for path in folder.iterdir())


def level_error(image: np.ndarray, expected: np.ndarray) -> float:
    """Mean absolute difference of two pictures in levels."""
    assert image.shape == expected.shape
    return float(np.abs(image.astype(int) - expected.astype(int)).mean())


# ITU-R BT.709 and BT.601: weights of red and blue in luma
WEIGHTS = {"bt709": (0.2126, 0.0722), "bt601": (0.299, 0.114)}
COLOURS = np.array(
    [
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
        (255, 255, 0),
        (0, 255, 255),
        (255, 0, 255),
        (255, 255, 255),
        (0, 0, 0),
    ],
    np.uint8,
)


def planes_of(colour: np.ndarray, matrix: str, bits: int, full: bool) -> list[int]:
    """Y, Cb, Cr of an RGB colour, by the formulas of the two recommendations."""
    red, blue = WEIGHTS[matrix]
    r, g, b = colour / 255.0
    y = red * r + (1 - red - blue) * g + blue * b
    chroma = (b - y) / (2 * (1 - blue)), (r - y) / (2 * (1 - red))
    top, one = 2**bits - 1, 2 ** (bits - 8)
    if full:
        return [round(y * top), *(min(top, round(c * top + 2 ** (bits - 1))) for c in chroma)]
    return [round((16 + 219 * y) * one), *(round((128 + 224 * c) * one) for c in chroma)]
