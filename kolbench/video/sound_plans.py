"""Whether the sound of a video can be copied into a container, found out before anything is predicted."""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, Self

from kolbench.errors import DataError
from kolbench.video.clocks import Mending, mended
from kolbench.video.inspection import opened
from kolbench.video.sound_tracks import Copied
from kolbench.video.timelines import plain

# what players expect in a container, which is less than its muxer takes; None = whatever the muxer takes
HOLDS: dict[str, frozenset[str] | None] = {
    "mp4": frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"}),
    "mov": frozenset(
        {"aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be"}
    ),
    "webm": frozenset({"opus", "vorbis"}),
    "matroska": None,
}
ADTS_HEADER = 4


class SoundPlan(NamedTuple):
    """What becomes of one stream of sound.

    is_known: whether it can be decoded at all. why_encoded: why it cannot be copied; None = it is copied.
    channels: the most that it ever has.
    """

    is_known: bool
    why_encoded: str | None
    channels: int


def plan_sound(
    path: Path, mending: Mending, origin: Fraction, kind: str, suffix: str, muxing: Mapping[str, str]
) -> dict[int, SoundPlan]:
    """By index of the stream, whether it can be copied: the muxer is given all packets, which go nowhere.

    Args:
        path: the source. mending, origin: see VideoReader. kind: FFmpeg's name of the output's container.
        suffix: of the output. muxing: options of its muxer.

    Raises:
        DataError: the source cannot be read.
    """
    import av

    with opened(path) as source:
        streams = [stream for stream in source.streams.audio if stream.codec_context is not None]
        trials = {stream.index: _Trial(stream, origin, kind, suffix, muxing) for stream in streams}
        try:
            # without any stream demux would give all
            for packet in mended(source.demux(streams), mending) if streams else ():
                trials[packet.stream.index].take(packet)
        except (av.error.FFmpegError, ValueError) as error:
            raise DataError(
                f"The sound of {path} is damaged: {plain(error)}. Convert the file with another program, "
                "or leave the sound out with sound=false."
            ) from None
        unknown = {
            s.index: SoundPlan(False, None, 0) for s in source.streams.audio if s.codec_context is None
        }
        return unknown | {index: trial.result() for index, trial in trials.items()}


class _Nowhere:
    """A file that keeps nothing but its position."""

    def __init__(self) -> None:
        self.position = self.size = 0

    def write(self, data: Any) -> int:
        count = len(data)
        self.position += count
        self.size = max(self.size, self.position)
        return count

    def seek(self, offset: int, whence: int = 0) -> int:
        self.position = offset + (0, self.position, self.size)[whence]
        return self.position

    def tell(self) -> int:
        return self.position

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True


class _Trial:
    """One stream, copied into a container that goes nowhere, until something speaks against it."""

    def __init__(
        self, stream: Any, origin: Fraction, kind: str, suffix: str, muxing: Mapping[str, str]
    ) -> None:
        self._stream = stream
        self._form: object = None
        self._channels = int(stream.codec_context.channels)
        self._container: Any = None
        self._why: str | None = None
        codec, holds = stream.codec_context.codec.canonical_name, HOLDS[kind]
        if holds is not None and codec not in holds:
            self._why = f"{suffix} does not hold {codec}"
            return
        self._begin(origin, kind, muxing, f"{suffix} does not hold {codec}")

    def _begin(self, origin: Fraction, kind: str, muxing: Mapping[str, str], otherwise: str) -> None:
        import av

        # moving the index to the beginning would read what was written
        options = {key: value for key, value in muxing.items() if key != "movflags"}
        self._container = av.open(_Nowhere(), "w", format=kind, container_options=options)
        try:
            copied = self._container.add_stream_from_template(self._stream)
        except ValueError:
            # a muxer without a place for the codec
            self._why = otherwise
            return
        self._track = Copied(copied, origin, self._stream.codec_context.sample_rate or 1000)

    def take(self, packet: Any) -> None:
        import av

        if packet.size:
            self._look_at(packet)
        if self._why is not None or self._container is None:
            return
        try:
            for copied in self._track.packets(packet):
                self._container.mux(copied)
        except (av.error.FFmpegError, ValueError) as error:
            self._why = f"it cannot be copied ({plain(error)})"

    def _look_at(self, packet: Any) -> None:
        """Finds sound whose channels or rate change on the way: a container names one of each."""
        form = _form_of(packet, self._stream.codec_context)
        if form is None:
            return
        if self._form is not None and form.said != self._form and self._why is None:
            self._why = "its channels or its rate change on the way"
        self._form = form.said
        self._channels = max(self._channels, form.channels)

    def result(self) -> SoundPlan:
        import av

        if self._container is not None:
            try:
                self._container.close()
            except (av.error.FFmpegError, ValueError) as error:
                self._why = self._why or f"it cannot be copied ({plain(error)})"
        return SoundPlan(True, self._why, self._channels)


class _Form(NamedTuple):
    said: object
    channels: int

    @classmethod
    def of_config(cls, data: bytes) -> Self:
        """AudioSpecificConfig of AAC (ISO 14496-3, 1.6.2.1)."""
        return cls(data[:2], (data[1] >> 3) & 0xF)


def _form_of(packet: Any, context: Any) -> _Form | None:
    """What an AAC packet says of itself; None where it says nothing."""
    if context.codec.canonical_name != "aac":
        return None
    if packet.has_sidedata("new_extradata"):
        data = bytes(packet.get_sidedata("new_extradata"))
    else:
        data = bytes(context.extradata or b"")
    start = bytes(memoryview(packet)[:ADTS_HEADER])
    if len(start) == ADTS_HEADER and start[0] == 0xFF and start[1] & 0xF6 == 0xF0:
        # ADTS (ISO 14496-3, 1.A.2.2): profile, rate and channels
        channels = (start[2] & 1) << 2 | start[3] >> 6
        return _Form((start[2] >> 2, channels), channels)
    return _Form.of_config(data) if len(data) > 1 else None
