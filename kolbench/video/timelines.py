"""Frames of videos, spread evenly over time: where they lie, and how they come out upright."""

import bisect
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from kolbench.errors import DataError
from kolbench.types import UInt8Array
from kolbench.video.clocks import NOTHING_TO_MEND, ClockSurvey, Mending, mended
from kolbench.video.containers import open_file
from kolbench.video.fields import deinterlaced
from kolbench.video.pixels import Pixels

# AVFMT_TS_DISCONT: the clock of these containers starts anywhere
CLOCK_STARTS_ANYWHERE = 0x0200
# AV_DISPOSITION_ATTACHED_PIC
ATTACHED_PICTURE = 1 << 10


class Moment(NamedTuple):
    """A frame to extract: its number in order of display, its pts, and seconds since the first frame."""

    number: int
    pts: int
    seconds: float


class Timeline(NamedTuple):
    """All frames of a video, found by reading its packets without decoding.

    pts: sorted, in units of time_base seconds. keyframes: the pts where decoding can start. end: pts at
    which the last frame's display ends. mending: how a clock that starts anew becomes the one that these are
    of; nothing can be sought in such a file, so it has no keyframes.
    """

    pts: list[int]
    keyframes: list[int]
    end: int
    time_base: Fraction
    mending: Mending = NOTHING_TO_MEND


def read_timeline(path: Path) -> Timeline:
    """The timestamps of a video's frames; nominal rates and headers are not trusted.

    Raises:
        DataError: the file is empty, damaged, holds no video or no frame.
    """
    import av

    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty (0 bytes); copy it again.")
    try:
        timeline, mending = _timeline(path, NOTHING_TO_MEND)
        return _timeline(path, mending)[0] if mending.corrections else timeline
    except av.error.FFmpegError as error:
        raise DataError(
            f"{path} cannot be read as a video: {plain(error)}. Copy or convert it again."
        ) from None


def _timeline(path: Path, mending: Mending) -> tuple[Timeline, Mending]:
    """The timeline under a mending, and what is to be mended besides."""

    with open_file(path) as container:
        stream = video_stream(container, path)
        clocks = ClockSurvey(bool(container.format.flags & CLOCK_STARTS_ANYWHERE))
        # only numbers are kept: the packets themselves are the whole file
        stamps = []
        for packet in mended(container.demux(stream), mending):
            clocks.add(packet)
            stamp = packet.pts if packet.pts is not None else packet.dts
            stamps.append((stamp, bool(packet.is_keyframe), bool(packet.is_discard), packet.duration or 0))
        pts = sorted({stamp for stamp, _, discard, _ in stamps if stamp is not None and not discard})
        if not pts or stream.time_base is None:
            raise DataError(f"{path} holds no frame; record or copy it again.")
        keyframes = sorted(stamp for stamp, key, _, _ in stamps if stamp is not None and key)
        last = max(duration for stamp, _, _, duration in stamps if stamp == pts[-1])
        end = pts[-1] + (last or _usual_step(pts))
        known = [] if mending.corrections else keyframes
        return Timeline(pts, known, end, stream.time_base, mending), clocks.result()


def plain(error: Any) -> str:
    """What FFmpeg says is wrong, without codes and file names."""
    return str(getattr(error, "strerror", None) or error)


def video_stream(container: Any, path: Path) -> Any:
    """The first stream that moves; the cover picture of a song does not.

    Raises:
        DataError: there is none.
    """
    for stream in container.streams.video:
        if not stream.disposition & ATTACHED_PICTURE:
            return stream
    raise DataError(f"{path} holds no video stream, only sound or data.")


def _usual_step(pts: Sequence[int]) -> int:
    return int(np.median(np.diff(pts))) if len(pts) > 1 else 1


def choose_moments(timeline: Timeline, count: int) -> list[Moment]:
    """The frames displayed at the centres of `count` equal parts of the duration, in order of time.

    Where a frame is on display at two centres (variable frame rate), the nearest unused one stands in;
    a video with no more than `count` frames gives all.
    """
    pts = timeline.pts
    if len(pts) <= count:
        chosen = set(range(len(pts)))
    else:
        chosen = set()
        for part in range(count):
            centre = pts[0] + (timeline.end - pts[0]) * Fraction(2 * part + 1, 2 * count)
            shown = bisect.bisect_right(pts, centre) - 1
            chosen.add(shown if shown not in chosen else _nearest_unused(pts, centre, chosen))
    return [Moment(n, pts[n], float((pts[n] - pts[0]) * timeline.time_base)) for n in sorted(chosen)]


def _nearest_unused(pts: Sequence[int], centre: Fraction, used: set[int]) -> int:
    return min((n for n in range(len(pts)) if n not in used), key=lambda n: (abs(pts[n] - centre), n))


def extract(
    path: Path,
    timeline: Timeline,
    moments: Iterable[Moment],
    replaced: Callable[[Moment], object] = lambda moment: None,
) -> Iterator[tuple[Moment, UInt8Array]]:
    """Decodes the chosen frames one by one, upright, with square pixels: (moment, (H, W, 3) uint8 RGB).

    Args:
        path: of the video. timeline: of it. moments: in order of time.
        replaced: called with each moment whose frame is damaged; the next whole frame stands for it.

    Raises:
        DataError: a frame cannot be decoded.
    """
    import av

    try:
        with open_file(path) as container:
            stream = video_stream(container, path)
            stream.thread_type = "AUTO"
            frames, position = _decode(container, stream, timeline.mending), timeline.pts[0]
            pixels = Pixels(stream.sample_aspect_ratio or None)
            for moment in moments:
                start = bisect.bisect_right(timeline.keyframes, moment.pts) - 1
                jumps = start >= 0 and timeline.keyframes[start] > position
                if jumps:
                    frames = _decode_from(container, stream, timeline.keyframes[start])
                frame = _frame_at(frames, moment.pts)
                if jumps and (frame is None or frame.pts != moment.pts):
                    # a broken index leads to another place, so everything is decoded up to here
                    frame = _frame_at(_decode_from(container, stream, timeline.pts[0]), moment.pts)
                if frame is None:
                    raise DataError(
                        f"{path} breaks off before {moment.seconds:.2f} s; copy or convert it again."
                    )
                position = moment.pts
                if frame.pts is not None and frame.pts > moment.pts:
                    replaced(moment)
                yield moment, upright(pixels.to_rgb(frame), display_matrix(frame))
    except av.error.FFmpegError as error:
        raise DataError(f"{path} cannot be decoded: {plain(error)}. Copy or convert it again.") from None


def _decode_from(container: Any, stream: Any, pts: int) -> Iterator[Any]:
    container.seek(pts, stream=stream, backward=True)
    return _decode(container, stream, NOTHING_TO_MEND)


def _decode(container: Any, stream: Any, mending: Mending) -> Iterator[Any]:
    return deinterlaced(_intact(container, stream, mending))


def _intact(container: Any, stream: Any, mending: Mending) -> Iterator[Any]:
    """Decoded frames without those that are damaged."""
    import av

    for packet in mended(container.demux(stream), mending):
        try:
            frames = packet.decode()
        except av.error.EOFError:
            return
        except av.error.InvalidDataError:
            continue
        yield from (frame for frame in frames if not frame.is_corrupt)


def _frame_at(frames: Iterator[Any], pts: int) -> Any:
    """The first frame that is not earlier than pts; frames without any timestamp are taken as they come."""
    for frame in frames:
        if frame.pts is None or frame.pts >= pts:
            return frame
    return None


def display_matrix(frame: Any) -> tuple[int, int, int, int]:
    """(a, b, c, d) by which a frame is shown: x' = a x + c y, y' = b x + d y (ISO 14496-12, 6.2.2)."""
    try:
        data = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:
        # side data of a kind that PyAV has no name for hides the matrix, but not its rotation
        quarter = round(frame.rotation / 90) % 4
        return ((1, 0, 0, 1), (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0))[quarter]
    if data is None:
        return 1, 0, 0, 1
    a, b, _, c, d = np.frombuffer(data, np.int32)[:5].tolist()
    return a, b, c, d


def upright(image: UInt8Array, matrix: tuple[int, int, int, int]) -> UInt8Array:
    """(H, W, 3) uint8 as it lies in the file -> as it is shown, turned by quarters and mirrored."""
    a, b, c, d = matrix
    lies = abs(b) + abs(c) > abs(a) + abs(d)
    turned = np.asarray(cv2.transpose(image) if lies else image, np.uint8)
    if (c if lies else a) < 0:
        turned = np.asarray(cv2.flip(turned, 1), np.uint8)
    if (b if lies else d) < 0:
        turned = np.asarray(cv2.flip(turned, 0), np.uint8)
    return np.ascontiguousarray(turned)
