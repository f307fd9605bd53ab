"""Opening a video of unknown origin, and what its packets tell before anything is decoded."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from kolbench.errors import DataError
from kolbench.io.stand_ins import PAGE, stand_in
from kolbench.video.clocks import NOTHING_TO_MEND, ClockSurvey, Mending, mended
from kolbench.video.containers import READ, open_file
from kolbench.video.timelines import CLOCK_STARTS_ANYWHERE, plain, video_stream

# these say in a header how long they last, which tells when the rest is missing
WITH_LENGTH = frozenset({"mov", "matroska"})
MISSING_SECONDS = 0.5
TRY_AGAIN = "Copy it again, or convert it with another program."


class Survey(NamedTuple):
    """A video as its packets describe it, in memory that does not depend on its length.

    frames: how many packets hold a picture that is shown. keyframes: how many of them decoding can start at.
    start, last: pts of the first and last of them; end: pts at which the last one's display ends.
    time_base: seconds of one unit of pts. origin: seconds at which the file's clock starts, 0 unless its
    kind of container starts anywhere (MPEG-TS). stamps_are_dts: the packets carry times of decoding, which
    say nothing of reordered pictures (AVI). mending: how a clock that starts anew becomes one, which all
    other times here are of.
    """

    frames: int
    keyframes: int
    start: int
    last: int
    end: int
    time_base: Fraction
    origin: Fraction
    stamps_are_dts: bool
    mending: Mending


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The PyAV container of a file on this machine, whatever its name looks like.

    Raises:
        DataError: there is no such file, it is empty, or no video container; what goes wrong inside the
            block with FFmpeg is said as a DataError as well.
    """
    import av

    if not path.is_file():
        raise DataError(f"{path} is not a file; check the path.")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty (0 bytes); copy it again.")
    try:
        with open_file(path) as container:
            yield container
    except av.error.FFmpegError as error:
        raise DataError(f"{path} cannot be read as a video: {_reason(path, error)}") from None


def _reason(path: Path, error: Exception) -> str:
    """What the file is instead, where that is plain to see, and what to do."""
    with path.open("rb") as file:
        instead = stand_in(file.read(512))
    if instead:
        page = "it is a web page (HTML) with a video's name; download the video itself"
        return f"{page if instead == PAGE else instead}."
    if getattr(error, "errno", None) == errno.EINVAL:
        # what FFmpeg answers for a container that is not on the list
        return f"it is none of the containers that are read here ({READ}). {TRY_AGAIN}"
    return f"{plain(error)}. {TRY_AGAIN}"


def take(path: Path) -> Survey:
    """Reads all packets of all streams once, and again where their clock is to be mended; decodes nothing.

    Raises:
        DataError: the file is empty, no video, holds no picture or breaks off.
    """
    survey, mending = _read(path, NOTHING_TO_MEND)
    return _read(path, mending)[0] if mending.corrections else survey


def _read(path: Path, mending: Mending) -> tuple[Survey, Mending]:
    """The file under a mending, and what is to be mended of it besides."""
    with opened(path) as container:
        stream = video_stream(container, path)
        discontinuous = bool(container.format.flags & CLOCK_STARTS_ANYWHERE)
        tally, reach, clocks = _Tally(), 0.0, ClockSurvey(discontinuous)
        moving = {found.index for found in (stream, *container.streams.audio)}
        for packet in mended(container.demux(), mending):
            if packet.stream_index in moving:
                clocks.add(packet)
            stamp = packet.dts if packet.pts is None else packet.pts
            if stamp is None or packet.time_base is None:
                continue
            reach = max(reach, float((stamp + (packet.duration or 0)) * packet.time_base))
            if packet.stream_index == stream.index and packet.size and not packet.is_discard:
                tally.add(stamp, packet.duration or 0, packet.is_keyframe)
        if not tally.frames or not stream.time_base:
            raise DataError(f"{path} holds no frame; record or copy it again.")
        _require_whole(path, container, reach)
        survey = Survey(
            tally.frames,
            tally.keyframes,
            tally.start,
            tally.last,
            _end(tally, stream),
            stream.time_base,
            _origin(container) if discontinuous else Fraction(0),
            container.format.name == "avi" and not tally.reordered,
            mending,
        )
        return survey, clocks.result()


def _origin(container: Any) -> Fraction:
    return Fraction(container.start_time or 0, 1_000_000)


class _Tally:
    """Counts pictures and remembers the outermost two."""

    def __init__(self) -> None:
        self.frames = self.keyframes = 0
        self.start = self.last = self.duration = 0
        self.reordered = False

    def add(self, stamp: int, duration: int, is_keyframe: bool) -> None:
        self.reordered |= self.frames > 0 and stamp < self.last
        if not self.frames or stamp > self.last:
            self.last, self.duration = stamp, duration
        self.start = min(self.start, stamp) if self.frames else stamp
        self.frames += 1
        self.keyframes += is_keyframe

    def usual_step(self) -> int:
        return max(1, round((self.last - self.start) / max(1, self.frames - 1)))


def _end(tally: _Tally, stream: Any) -> int:
    """When the last picture's display ends: Matroska says so in a tag, others in the packet, if at all."""
    tagged = _seconds(stream.metadata.get("DURATION", ""))
    if tagged is not None and (end := int(tagged / stream.time_base)) > tally.last:
        return end
    return tally.last + (tally.duration or tally.usual_step())


def _seconds(clock: str) -> Fraction | None:
    """`00:00:01.400000000` -> seconds."""
    try:
        hours, minutes, seconds = clock.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)
    except ValueError:
        return None


def _require_whole(path: Path, container: Any, reach: float) -> None:
    kind = container.format.name.split(",")[0]
    said = (container.duration or 0) / 1_000_000
    if kind in WITH_LENGTH and reach < said - MISSING_SECONDS:
        raise DataError(
            f"{path} breaks off at {reach:.2f} s, but says of itself that it lasts {said:.2f} s. {TRY_AGAIN}"
        )
