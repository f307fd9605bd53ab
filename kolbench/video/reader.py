"""Video in: frames in the order of display, upright RGB or RGBA, with the timestamps of the file."""

import heapq
import weakref
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kolbench.errors import DataError
from kolbench.video import inspection
from kolbench.video.clocks import Mending, mended
from kolbench.video.damage import Damage
from kolbench.video.fields import deinterlaced
from kolbench.video.frame import Frame
from kolbench.video.inspection import TRY_AGAIN, opened
from kolbench.video.pixels import HDR_TRANSFERS, Pixels, square_size
from kolbench.video.timelines import display_matrix, upright, video_stream

# of these codecs every packet gives one picture, so a packet without one is a loss
ONE_PICTURE_A_PACKET = frozenset({"h264", "hevc", "vp9", "av1"})
# alpha of these lies beside the pictures, where only libvpx looks for it
ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}

LAST_TRIES = 32
# a frame that refers to a damaged one is not shown for so long; what is still damaged then is better than a
# picture that stands still
HELD_SECONDS = 2
# AV_PICTURE_TYPE_B
BIDIRECTIONAL = 3
# what the file says of itself and outputs keep; where it was taken is nobody's business
DESCRIPTION = frozenset({"title", "creation_time", "date"})

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
        description: title and dates of creation, as the file says them.
        has_sound: whether there is a sound stream.
        notes: sentences on what is shown otherwise than it is in the file, complete after an iteration.

    Raises:
        DataError: the file is missing, empty, no video, only sound or cut off, or none of its frames can be
            decoded.
    """

    def __init__(self, path: str | Path, alpha: bool = False) -> None:
        self.path = Path(path)
        self._alpha = alpha
        self._notes: list[str] = []
        self._running: weakref.WeakSet[Generator[Frame, None, None]] = weakref.WeakSet()
        self._survey = inspection.take(self.path)
        self.time_base = self._survey.time_base
        self.frame_count = self._survey.frames
        self.last, self.end = self._survey.last, self._survey.end
        self.origin = self._survey.origin
        self._damage = Damage()
        with opened(self.path) as container:
            self.has_sound = bool(container.streams.audio)
            self.description = {key: text for key, text in container.metadata.items() if key in DESCRIPTION}
            aspect = video_stream(container, self.path).sample_aspect_ratio or None
            pixels = Pixels(aspect)
            self._to_image = pixels.to_rgba if alpha else pixels.to_rgb
            self.start, first = next(self._decoded(container, _own_decoder, Damage()))
            self._colours = _colours_of(first)
            self._size = (first.width, first.height)
            self._matrix = display_matrix(first)
            a, b, c, d = self._matrix
            lies = abs(b) + abs(c) > abs(a) + abs(d)
            square = square_size(*self._size, aspect)
            self.width, self.height = square[::-1] if lies else square
            if aspect is not None and square != self._size:
                self._notes.append(
                    f"{self.path.name} has pixels of {aspect.numerator}:{aspect.denominator}; its frames of "
                    f"{self._size[0]}x{self._size[1]} become {square[0]}x{square[1]} of square ones."
                )
            if first.interlaced_frame:
                self._notes.append(f"{self.path.name} is interlaced; each frame is made one whole image.")
            if first.color_trc in HDR_TRANSFERS:
                self._notes.append(
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

    @property
    def mending(self) -> Mending:
        """How the times of the file's packets become those that are given here."""
        return self._survey.mending

    @property
    def notes(self) -> list[str]:
        """What is shown otherwise than it is in the file, with the damage that the last iteration met."""
        said = self._damage.described(self.frame_count, self._seconds, self._restarts())
        return [*self._notes, *([f"{self.path.name} {said}"] if said else [])]

    @property
    def is_damaged(self) -> bool:
        """Whether the last iteration met frames that are lost, or the file's clock starts anew in it."""
        return bool(self._damage.frames or self._restarts())

    def _restarts(self) -> list[float]:
        start = self.start * self.time_base
        return [float(seconds - start) for seconds in self._survey.mending.restarts]

    def __iter__(self) -> Iterator[Frame]:
        """Frames in the order of display. In place of one that is lost or damaged stands the one before it.

        Raises:
            DataError: a frame is of another size; names the second.
        """
        frames = self._frames()
        self._running.add(frames)
        return frames

    def _frames(self) -> Generator[Frame, None, None]:
        with opened(self.path) as container:
            decoder = self._alpha_decoder if self._alpha else _own_decoder
            self._damage = Damage()
            for frame in deinterlaced(self._stamped(self._decoded(container, decoder, self._damage))):
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

    def _decoded(
        self, container: Any, decoder: Callable[[Any], Decode], damage: Damage
    ) -> Iterator[tuple[int, Any]]:
        """(pts, decoded frame) as they are shown; what is damaged or missing is counted in `damage`."""
        stream = video_stream(container, self.path)
        if stream.codec_context is None:
            raise DataError(f"{self.path} is of a kind that cannot be decoded here. {TRY_AGAIN}")
        stream.thread_type = "AUTO"
        every = stream.codec_context.codec.canonical_name in ONE_PICTURE_A_PACKET
        clock = _Clock(self._survey, every, damage)
        joints = self._survey.mending.joints.get(stream.index, frozenset())
        decode = decoder(stream)
        last: Any = None
        begun = False
        number = 0
        for packet in mended(container.demux(stream), self._survey.mending):
            begun |= packet.is_keyframe
            number += bool(packet.size)
            # where files were joined, the counters of their transport packets do not go on either
            clock.expect(packet, packet.is_corrupt and joints.isdisjoint((number, number + 1)))
            for frame in _tried(decode, packet, clock if begun else None):
                for pts, is_held in clock.show(frame):
                    if not is_held or last is None:
                        last = frame
                    yield pts, last
        for pts in clock.finish():
            yield pts, last
        if last is None:
            raise DataError(f"{self.path} holds no frame that can be decoded. {TRY_AGAIN}")


def _tried(decode: Decode, packet: Any, clock: "_Clock | None") -> list[Any]:
    """The frames that a packet gives; none where it is damaged, which the clock is told.

    Args:
        clock: None before the first key frame: a recording that starts between two can be shown from the
            next one, and lacks nothing.
    """
    import av

    # the decoder that is to give its last frames may complain of one, and give the others when asked again
    for _ in range(1 if packet.size else LAST_TRIES):
        try:
            return decode(packet)
        except av.error.EOFError:
            return []
        except av.error.FFmpegError:
            if clock is not None:
                clock.lose(packet)
    return []


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

    def __init__(self, taken: inspection.Survey, every: bool, damage: Damage) -> None:
        self.survey = taken
        self.every = every
        self.damage = damage
        self.awaited: list[int] = []
        self.shown: int | None = None
        self.key: int | None = None
        self.spoiled_from: int | None = None
        # packets that the container calls damaged, each with the one after it in the file
        self.flagged: list[tuple[int, int]] = []
        self.flag: int | None = None

    def expect(self, packet: Any, is_flagged: bool) -> None:
        """A packet that is decoded next. is_flagged: it, or the next one, is damaged or lost."""
        stamp = packet.dts if packet.pts is None else packet.pts
        if stamp is None or not packet.size or packet.is_discard:
            return
        heapq.heappush(self.awaited, stamp)
        if self.flag is not None:
            self.flagged.append((self.flag, stamp))
        self.flag = stamp if is_flagged else None

    def lose(self, packet: Any) -> None:
        """A packet that cannot be decoded."""
        stamp = packet.dts if packet.pts is None else packet.pts
        if stamp is not None:
            self._spoil(stamp)

    def show(self, frame: Any) -> list[tuple[int, bool]]:
        """(pts, whether the frame before stands in for it) of what is shown now, in order."""
        pts, before = self._stamp(frame), self.shown
        if before is not None and pts < before:
            self.damage.add(pts)
            return []
        # two frames of one moment: the second follows as soon as the clock allows
        pts += pts == before
        missing = []
        while self.awaited and self.awaited[0] <= pts:
            if (stamp := heapq.heappop(self.awaited)) < pts:
                missing.append(stamp)
        # what precedes the first frame cannot be decoded where a recording was cut: that is no damage
        held = self._held(missing, before) if self.every and not frame.interlaced_frame else []
        is_poor = self._is_poor(frame, pts)
        if is_poor and before is None and self.survey.keyframes > 1:
            return []
        self.shown = pts
        return [*held, (pts, is_poor and self._is_fresh(pts))]

    def _is_poor(self, frame: Any, pts: int) -> bool:
        """Whether a frame is damaged, or refers to one that is, as all do until the next key frame."""
        self._resolve_flags(pts)
        if frame.key_frame:
            self.key, self.spoiled_from = pts, None
        if frame.is_corrupt:
            self.damage.add(pts)
            # others hardly ever refer to such a frame
            if frame.pict_type != BIDIRECTIONAL:
                self._spoil(pts)
            return True
        if self.spoiled_from is None:
            return False
        self.damage.add(pts)
        return True

    def _is_fresh(self, pts: int) -> bool:
        """Whether the damage is so young that the picture is better held."""
        since = pts if self.spoiled_from is None else self.spoiled_from
        return (pts - since) * self.survey.time_base <= HELD_SECONDS

    def _spoil(self, pts: int) -> None:
        self.damage.add(pts)
        if self.spoiled_from is None:
            self.spoiled_from = pts

    def _resolve_flags(self, pts: int | None) -> None:
        """Where neither frame of a flagged pair was found damaged, one between them is lost altogether.

        Args:
            pts: of the frame that comes next; None after the last one.
        """
        for pair in [pair for pair in self.flagged if pts is None or max(pair) < pts]:
            self.flagged.remove(pair)
            if self.damage.frames.isdisjoint(pair):
                self.damage.add(pair[0])
                if self.key is None or self.key <= max(pair):
                    self._spoil(pair[0])

    def _held(self, missing: list[int], before: int | None) -> list[tuple[int, bool]]:
        held = [stamp for stamp in missing if before is not None and stamp > before]
        for stamp in held:
            self._spoil(stamp)
        return [(stamp, True) for stamp in held]

    def _stamp(self, frame: Any) -> int:
        if self.survey.stamps_are_dts and self.awaited:
            return self.awaited[0]
        if frame.pts is not None:
            return int(frame.pts)
        if frame.dts is not None:
            return int(frame.dts)
        return self.survey.start if self.shown is None else self.shown + 1

    def finish(self) -> list[int]:
        """The pts of what is missing at the end."""
        missing = sorted(set(self.awaited)) if self.every else []
        held = [pts for pts, _ in self._held(missing, self.shown)]
        if self.flag is not None:
            self.flagged.append((self.flag, self.flag))
        self._resolve_flags(None)
        return held
