"""Video in: frames in the order of display, upright RGB or RGBA, with the timestamps of the file."""

import heapq
import weakref
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kolbench.errors import DataError
from kolbench.video import inspection
from kolbench.video.fields import deinterlaced
from kolbench.video.frame import Frame
from kolbench.video.inspection import TRY_AGAIN, opened
from kolbench.video.pixels import HDR_TRANSFERS, Pixels, square_size
from kolbench.video.timelines import display_matrix, plain, upright, video_stream

# of these codecs every packet gives one picture, so a packet without one is a loss
ONE_PICTURE_A_PACKET = frozenset({"h264", "hevc", "vp9", "av1"})
# alpha of these lies beside the pictures, where only libvpx looks for it
ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}

Decode = Callable[[Any], list[Any]]  # a packet -> the frames that come out


class VideoReader:
    """A video file; each iteration decodes it from the start, in memory that is constant in its length.

    One thread at a time may iterate. As a context manager it closes what iterations left open.

    Args:
        path: the file.
        alpha: whether transparency is read: the pictures of a stream that has an alpha channel are then
            (H, W, 4) uint8 RGBA, straight alpha; all others are (H, W, 3).

    Attributes:
        path: the file.
        height, width: of the upright frames, in square pixels.
        time_base: seconds of one unit of pts.
        frame_count: pictures in the file, counted without decoding (for progress bars).
        start, last, end: pts of the first and the last frame, and when the last one's display ends.
        origin: seconds to take from every timestamp so that the file's clock starts at 0 (MPEG-TS).
        has_sound: whether there is a sound stream.
        notes: sentences on what is shown otherwise than it is in the file.

    Raises:
        DataError: the file is missing, empty, no video, only sound, damaged or cut off, or its first
            frame cannot be decoded.
    """

    def __init__(self, path: str | Path, alpha: bool = False) -> None:
        self.path = Path(path)
        self._alpha = alpha
        self.notes: list[str] = []
        self._running: weakref.WeakSet[Generator[Frame, None, None]] = weakref.WeakSet()
        self._survey = inspection.take(self.path)
        self.time_base = self._survey.time_base
        self.frame_count = self._survey.frames
        self.last, self.end = self._survey.last, self._survey.end
        self.origin = self._survey.origin
        with opened(self.path) as container:
            self.has_sound = bool(container.streams.audio)
            aspect = video_stream(container, self.path).sample_aspect_ratio or None
            pixels = Pixels(aspect)
            self._to_image = pixels.to_rgba if alpha else pixels.to_rgb
            self.start, first = next(self._decoded(container, _own_decoder))
            self._colours = _colours_of(first)
            self._size = (first.width, first.height)
            self._matrix = display_matrix(first)
            a, b, c, d = self._matrix
            lies = abs(b) + abs(c) > abs(a) + abs(d)
            square = square_size(*self._size, aspect)
            self.width, self.height = square[::-1] if lies else square
            if aspect is not None and square != self._size:
                self.notes.append(
                    f"{self.path.name} has pixels of {aspect.numerator}:{aspect.denominator}; its frames of "
                    f"{self._size[0]}x{self._size[1]} become {square[0]}x{square[1]} of square ones."
                )
            if first.interlaced_frame:
                self.notes.append(f"{self.path.name} is interlaced; each frame is made one whole picture.")
            if first.color_trc in HDR_TRANSFERS:
                self.notes.append(
                    f"{self.path.name} is HDR ({HDR_TRANSFERS[first.color_trc]}); "
                    "its colours are brought to standard range."
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for frames in list(self._running):
            frames.close()

    @property
    def seconds(self) -> float:
        """From the first frame to the end of the last one's display."""
        return self._seconds(self.end)

    def __iter__(self) -> Iterator[Frame]:
        """Frames in the order of display.

        Raises:
            DataError: a frame is damaged, lost or of another size; names the second.
        """
        frames = self._frames()
        self._running.add(frames)
        return frames

    def _frames(self) -> Generator[Frame, None, None]:
        with opened(self.path) as container:
            decoder = self._alpha_decoder if self._alpha else _own_decoder
            for frame in deinterlaced(self._stamped(self._decoded(container, decoder))):
                image = upright(self._to_image(frame), self._matrix)
                yield Frame(image, frame.pts, self._seconds(frame.pts))

    def _stamped(self, decoded: Iterator[tuple[int, Any]]) -> Iterator[Any]:
        """The frames, all of one size, each with the pts at which it is shown."""
        for pts, frame in decoded:
            if (frame.width, frame.height) != self._size:
                raise DataError(
                    f"{self.path} changes its size from {self._size[0]}x{self._size[1]} to "
                    f"{frame.width}x{frame.height} at {self._seconds(pts):.2f} s; "
                    "cut it there, or convert it to one size."
                )
            frame.pts = pts
            yield frame

    def _seconds(self, pts: int) -> float:
        return float((pts - self.start) * self.time_base)

    def _alpha_decoder(self, stream: Any) -> Decode:
        """Decodes alpha too, wherever it lies."""
        import av

        name = ALPHA_DECODERS.get(stream.codec_context.codec.canonical_name)
        said = {key.lower(): value for key, value in stream.metadata.items()}
        if name is None or said.get("alpha_mode") != "1":
            return _own_decoder(stream)
        decoder: Any = av.CodecContext.create(name, "r")

        def decode(packet: Any) -> list[Any]:
            frames: list[Any] = decoder.decode(packet)
            for frame in frames:
                # libvpx sees the packets, but not what the container says of them
                frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc = self._colours
            return frames

        return decode

    def _decoded(self, container: Any, decoder: Callable[[Any], Decode]) -> Iterator[tuple[int, Any]]:
        """(pts, decoded frame) as they are shown; whatever is damaged or missing is an error."""
        import av

        stream = video_stream(container, self.path)
        if stream.codec_context is None:
            raise DataError(f"{self.path} is of a kind that cannot be decoded here. {TRY_AGAIN}")
        stream.thread_type = "AUTO"
        every = stream.codec_context.codec.canonical_name in ONE_PICTURE_A_PACKET
        clock = _Clock(self.path, self._survey, every)
        decode = decoder(stream)
        begun = False
        for packet in container.demux(stream):
            begun |= packet.is_keyframe
            clock.expect(packet)
            try:
                frames = decode(packet)
            except av.error.EOFError:
                break
            except av.error.FFmpegError as error:
                if begun:
                    raise clock.broken(plain(error)) from None
                # a recording that starts between two key frames can be shown from the next one
                continue
            for frame in frames:
                yield clock.show(frame), frame
        clock.finish()


def _own_decoder(stream: Any) -> Decode:
    """FFmpeg's first choice for the stream."""
    decode: Decode = stream.codec_context.decode
    return decode


def _colours_of(frame: Any) -> tuple[int, int, int, int]:
    """Matrix, range, primaries and transfer, by their numbers in ITU-T H.273."""
    return frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc


class _Clock:
    """Gives every decoded frame its pts and finds packets of which no frame came.

    Only the packets inside the decoder are remembered.
    """

    def __init__(self, path: Path, taken: inspection.Survey, every: bool) -> None:
        self.path = path
        self.survey = taken
        self.every = every
        self.awaited: list[int] = []
        self.shown: int | None = None

    def expect(self, packet: Any) -> None:
        stamp = packet.dts if packet.pts is None else packet.pts
        if stamp is not None and packet.size and not packet.is_discard:
            heapq.heappush(self.awaited, stamp)

    def show(self, frame: Any) -> int:
        if frame.is_corrupt:
            raise self.broken("a frame is corrupt")
        pts = self._stamp(frame)
        if self.shown is not None and pts <= self.shown:
            if pts < self.shown:
                raise DataError(
                    f"{self.path} jumps back in time after {self._seconds(self.shown):.2f} s. {TRY_AGAIN}"
                )
            # two frames of one moment: the second follows as soon as the clock allows
            pts += 1
        before = self.shown
        missing = False
        while self.awaited and self.awaited[0] <= pts:
            missing |= heapq.heappop(self.awaited) < pts
        self.shown = pts
        # what precedes the first frame cannot be decoded where a recording was cut: that is no damage
        if missing and self.every and before is not None and not frame.interlaced_frame:
            raise self.broken("a frame is missing")
        return pts

    def _stamp(self, frame: Any) -> int:
        if self.survey.stamps_are_dts and self.awaited:
            return self.awaited[0]
        if frame.pts is not None:
            return int(frame.pts)
        if frame.dts is not None:
            return int(frame.dts)
        return self.survey.start if self.shown is None else self.shown + 1

    def finish(self) -> None:
        if self.shown is None:
            raise DataError(f"{self.path} holds no frame that can be decoded. {TRY_AGAIN}")
        if self.every and self.awaited:
            raise self.broken("the last frames are missing")

    def broken(self, reason: str) -> DataError:
        place = 0.0 if self.shown is None else self._seconds(self.shown)
        return DataError(f"{self.path} is damaged after {place:.2f} s: {reason}. {TRY_AGAIN}")

    def _seconds(self, pts: int) -> float:
        return float((pts - self.survey.start) * self.survey.time_base)
