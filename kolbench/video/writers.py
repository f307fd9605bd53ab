"""Video out: pictures with the timestamps and the sound of their source, whole or not at all."""

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from kolbench.errors import ConfigError, DataError, KolbenchError
from kolbench.types import UInt8Array
from kolbench.video.codecs import CONTAINERS, HOW_ALPHA_IS_KEPT, PNG, VIDEO_FORMATS, format_name_of
from kolbench.video.partial import PartialFile
from kolbench.video.pixels import BT709, LIMITED, Pixels, pad_to_even
from kolbench.video.reader import VideoReader
from kolbench.video.sequence import PngSequence
from kolbench.video.sound import Sound
from kolbench.video.sound_plans import SoundPlan, plan_sound
from kolbench.video.timelines import plain

# only a hint for the encoder's rate control where there is no source; timestamps decide
ASSUMED_RATE = Fraction(30)


def open_writer(
    path: str | Path,
    source: VideoReader,
    needs_alpha: bool = False,
    format_name: str | None = None,
    sound: bool = True,
) -> "VideoWriter | PngSequence":
    """A writer of pictures of the source's size, in the format that `codecs.format_name_of` finds.

    Raises:
        ConfigError: see `format_name_of`, and the writers.
    """
    chosen = format_name_of(path, needs_alpha, format_name)
    if chosen == PNG:
        return PngSequence(path, source, sound=sound)
    return VideoWriter(path, source, source.height, source.width, chosen, sound=sound)


class VideoWriter:
    """Writes one video; a context manager, after which the file is whole, or as it was before.

    Args:
        path: the output; its suffix names the container. While it is made it is `.NAME.part` beside it.
        source: the video whose time base, sound and end are kept; None = no sound.
        height, width: of the pictures.
        format_name: one of codecs.VIDEO_FORMATS.
        time_base: seconds of one unit of pts; None = the source's.
        sound: whether the source's sound is kept. A source without sound gives none.
        end: pts at which the last picture's display ends; None = as in the source where its last frame was
            written, else after as long as the last but one.
        options: of the encoder, beside or in place of the format's own.

    Attributes:
        notes: sentences on what is not as in the source, complete after the block.
        sound_plans: what becomes of the source's streams of sound, by index; known from the block's begin on.

    Raises:
        ConfigError: the output is the source, a folder or cannot be written.
        DataError: the source's sound cannot be read; said when the block begins.
    """

    def __init__(
        self,
        path: str | Path,
        source: VideoReader | None,
        height: int,
        width: int,
        format_name: str,
        time_base: Fraction | None = None,
        sound: bool = True,
        end: int | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        if source is None and time_base is None:
            raise ValueError("a writer without a source needs a time base")
        self.path = Path(path)
        self.notes: list[str] = []
        self._format = VIDEO_FORMATS[format_name_of(path, False, format_name)]
        self._source = source
        self._size = (height, width)
        self._time_base = time_base or (source.time_base if source else Fraction(1))
        self._shift = round(source.origin / self._time_base) if source else 0
        self._with_sound = sound and source is not None and source.has_sound
        self._end = end
        self._options = dict(self._format.options) | dict(options or {})
        self._partial = PartialFile(self.path)
        self._pixels = Pixels()
        self._container: Any = None
        self._stream: Any = None
        self._sound: Sound | None = None
        self.sound_plans: dict[int, SoundPlan] = {}
        self._held: Any = None
        self._last_step = 0
        self._durations: dict[int, int] = {}

    def __enter__(self) -> Self:
        import av

        if self._source is not None and self.path.exists() and self.path.samefile(self._source.path):
            raise ConfigError(f"output={self.path} is the input itself; give another name.")
        self._partial.begin()
        suffix = self.path.suffix.lower()
        kind = CONTAINERS[suffix]
        muxing = self._muxing(kind)
        try:
            if self._source is not None and self._with_sound:
                source = self._source
                self.sound_plans = plan_sound(
                    source.path, source.mending, source.origin, kind, suffix, muxing
                )
            self._container = av.open(
                str(self._partial.made.absolute()), "w", format=kind, container_options=muxing
            )
            if self._source is not None:
                self._container.metadata.update(self._source.description)
        except BaseException:
            self._partial.discard()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                with self._said_plainly():
                    self._finish()
                    self._container.close()
                    self._partial.commit()
        finally:
            # after a success there is nothing left to discard
            self._partial.discard()
            self._close()

    def _muxing(self, kind: str) -> dict[str, str]:
        if kind in ("mp4", "mov"):
            # the movie's own clock is as fine as the video's, so that an offset to the sound stays exact
            return {"movflags": "+faststart", "movie_timescale": str(self._time_base.denominator)}
        # else the lead-in of copied AAC, which lies before 0, would push all timestamps
        return {"avoid_negative_ts": "disabled"}

    def _close(self) -> None:
        if self._sound is not None:
            self._sound.close()
        # a half-made file is gone already, so whatever closing it says is of no interest
        with suppress(Exception):
            self._container.close()

    def write(self, image: UInt8Array, pts: int) -> None:
        """Appends a picture.

        Args:
            image: (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA uint8, straight alpha; all of one kind.
            pts: when its display begins, in units of the time base; above the one before.

        Raises:
            ConfigError: the format holds no alpha, or no 16 bits.
            KolbenchError: the encoder or the disk refuses.
        """
        if image.ndim == 2:
            image = np.repeat(image[..., None], 3, axis=2)
        self._check(image)
        with self._said_plainly():
            if self._stream is None:
                self._begin(transparent=image.shape[2] == 4)
            prepared = pad_to_even(image) if self._format.halves_colour else image
            frame = self._pixels.from_rgb(prepared, self._stream.pix_fmt)
            frame.pts, frame.time_base = pts - self._shift, self._time_base
            if self._held is not None:
                self._last_step = frame.pts - self._held.pts
                if self._last_step <= 0:
                    raise ValueError(f"pts {pts} does not follow {self._held.pts + self._shift}")
                self._encode(self._held, self._last_step)
            self._held = frame

    def _check(self, image: UInt8Array) -> None:
        if image.dtype != np.uint8:
            raise ConfigError(
                f"output={self.path}: a video holds 8 bits; write a folder of PNGs for 16 (format=png)."
            )
        if image.shape[:2] != self._size or image.shape[2] not in (3, 4):
            raise ValueError(f"an image of {image.shape} in a video of {self._size}")
        if image.shape[2] == 4 and self._format.transparent is None:
            raise ConfigError(f"output={self.path} has no alpha channel; {HOW_ALPHA_IS_KEPT}.")

    def _begin(self, transparent: bool) -> None:
        import av

        height, width = self._size
        stream = self._container.add_stream(self._format.codec, rate=self._rate(), options=self._options)
        if self._format.halves_colour and (height % 2 or width % 2):
            self.notes.append(
                f"{self.path.name}: {width}x{height} was made {width + width % 2}x{height + height % 2} by "
                "repeating the last column or row, because 4:2:0 video needs even sides."
            )
            height, width = height + height % 2, width + width % 2
        stream.disposition = av.stream.Disposition.default
        stream.width, stream.height = width, height
        stream.pix_fmt = self._format.transparent if transparent else self._format.opaque
        context = stream.codec_context
        stream.time_base = context.time_base = self._time_base
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = LIMITED
        self._stream = stream
        if self._source is not None and self._with_sound:
            self._sound = Sound(
                self._source.path,
                self.sound_plans,
                self._source.mending,
                self._source.origin,
                self._container,
                self.path,
            )
            self.notes += self._sound.notes

    def _rate(self) -> Fraction:
        """The mean rate, a hint for the encoder."""
        if self._source is None:
            return ASSUMED_RATE
        units = self._source.end - self._source.start
        return (self._source.frame_count / (units * self._source.time_base)).limit_denominator(1001)

    def _encode(self, frame: Any, duration: int) -> None:
        self._durations[frame.pts] = duration
        self._mux(self._stream.encode(frame))

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            packet.duration = self._durations.pop(packet.pts, 0)
            if self._sound is not None:
                self._sound.mux_until(packet.pts * self._time_base)
            self._container.mux(packet)

    def _finish(self) -> None:
        if self._held is None:
            raise DataError(f"output={self.path} got no image; nothing was written.")
        complete = self._complete()
        end = self._end_pts(complete)
        self._encode(self._held, max(1, end - self._held.pts))
        self._mux(self._stream.encode(None))
        if self._sound is not None:
            self._sound.mux_until(None if complete else end * self._time_base)

    def _complete(self) -> bool:
        """Whether the source's last frame was written."""
        if self._source is None:
            return False
        shown = (self._held.pts + self._shift) * self._time_base
        return bool(shown >= self._source.last * self._source.time_base)

    def _end_pts(self, complete: bool) -> int:
        """When the last picture's display ends, on the output's clock."""
        if self._end is not None:
            return self._end - self._shift
        if complete and self._source is not None:
            return round(self._source.end * self._source.time_base / self._time_base) - self._shift
        step = self._last_step or round(1 / (self._rate() * self._time_base))
        return int(self._held.pts) + step

    @contextmanager
    def _said_plainly(self) -> Iterator[None]:
        import av

        try:
            yield
        except av.error.FFmpegError as error:
            raise self._failure(error) from None
        except OSError as error:
            raise self._failure(error) from None

    def _failure(self, error: Any) -> KolbenchError:
        if error.errno == errno.ENOSPC:
            return KolbenchError(f"The disk is full: {self.path} could not be written. Free some space.")
        return KolbenchError(f"Writing {self.path} failed: {plain(error)}. Nothing was left of it.")
