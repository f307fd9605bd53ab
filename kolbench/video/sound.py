"""The sound of a video, packet by packet beside its new pictures: copied, or encoded anew if need be."""

from collections.abc import Generator, Iterator
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from kolbench.errors import DataError
from kolbench.video.inspection import opened
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
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}


class Encoding(NamedTuple):
    """An encoder for sound. rates: samples a second that it takes, the first one in place of all others."""

    encoder: str
    name: str
    rates: tuple[int, ...]
    bits_per_channel: int


AAC = Encoding("aac", "AAC", (48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000), 96_000)
OPUS = Encoding("libopus", "Opus", (48000,), 64_000)


class _Track(Protocol):
    """One stream of sound on its way out."""

    def packets(self, packet: Any) -> Iterator[Any]:
        """What is written for one packet of the source; its last one is empty."""


class _Copied:
    """The packets themselves, their clock moved."""

    def __init__(self, stream: Any, origin: Fraction) -> None:
        self._stream = stream
        self._origin = origin

    def packets(self, packet: Any) -> Iterator[Any]:
        if packet.dts is None:
            return
        shift = round(self._origin / packet.time_base)
        packet.dts -= shift
        if packet.pts is not None:
            packet.pts -= shift
        packet.stream = self._stream
        yield packet


class _Encoded:
    """The sound decoded and encoded anew."""

    def __init__(self, stream: Any, origin: Fraction) -> None:
        self._stream = stream
        self._origin = origin

    def packets(self, packet: Any) -> Iterator[Any]:
        for frame in packet.decode():
            if frame.pts is not None:
                frame.pts -= round(self._origin / frame.time_base)
            yield from self._stream.encode(frame)
        if packet.dts is None:
            yield from self._stream.encode(None)


class Sound:
    """All sound streams of a video on their way into a container.

    Args:
        path: the source. origin: seconds that are taken from every timestamp. container: PyAV's output,
            which already has its video stream. target: its file, for messages.

    Attributes:
        notes: a sentence for each stream that is not copied as it is.

    Raises:
        DataError: the source cannot be read.
    """

    def __init__(self, path: Path, origin: Fraction, container: Any, target: Path) -> None:
        self.notes: list[str] = []
        self._path = path
        self._origin = origin
        self._container = container
        self._target = target
        self._opened = ExitStack()
        self._source = self._opened.enter_context(opened(path))
        found = {stream: self._track(stream) for stream in self._source.streams.audio}
        self._tracks = {stream.index: track for stream, track in found.items() if track is not None}
        self._line = self._packets()
        self._next = next(self._line, None)

    def close(self) -> None:
        """Closes the source."""
        self._line.close()
        self._opened.close()

    def mux_until(self, seconds: Fraction | None) -> None:
        """Writes the packets that begin before this moment of the output; None = all that are left.

        Raises:
            DataError: the sound is damaged.
        """
        while self._next is not None:
            begins = self._next.dts * self._next.time_base
            if seconds is not None and begins >= seconds:
                return
            self._container.mux(self._next)
            self._next = next(self._line, None)

    def _packets(self) -> Generator[Any, None, None]:
        import av

        streams = [stream for stream in self._source.streams.audio if stream.index in self._tracks]
        try:
            # without any stream demux would give all
            for packet in self._source.demux(streams) if streams else ():
                yield from self._tracks[packet.stream.index].packets(packet)
        except (av.error.FFmpegError, ValueError) as error:
            raise DataError(
                f"The sound of {self._path} is damaged: {plain(error)}. Convert the file with another "
                "program, or leave the sound out with sound=false."
            ) from None

    def _track(self, stream: Any) -> _Track | None:
        if stream.codec_context is None:
            self.notes.append(f"{self._target.name}: sound of an unknown kind is left out.")
            return None
        codec = stream.codec_context.codec.canonical_name
        holds = HOLDS[self._container.format.name]
        if holds is None or codec in holds:
            # a muxer without a place for the codec says so by a ValueError
            with suppress(ValueError):
                copied = self._container.add_stream_from_template(stream)
                _keep_language(stream, copied)
                return _Copied(copied, self._origin)
        encoding = OPUS if self._container.format.name == "webm" else AAC
        self.notes.append(
            f"{self._target.name}: the sound was encoded anew as {encoding.name}, "
            f"because {self._target.suffix} does not hold {codec}."
        )
        return _Encoded(self._new_stream(stream, encoding), self._origin)

    def _new_stream(self, stream: Any, encoding: Encoding) -> Any:
        asked = stream.codec_context.sample_rate
        rate = asked if asked in encoding.rates else encoding.rates[0]
        channels = stream.codec_context.channels
        made = self._container.add_stream(encoding.encoder, rate=rate)
        made.codec_context.layout = LAYOUTS.get(channels, "stereo")
        made.codec_context.bit_rate = encoding.bits_per_channel * made.codec_context.channels
        _keep_language(stream, made)
        return made


def _keep_language(source: Any, made: Any) -> None:
    if "language" in source.metadata:
        made.metadata["language"] = source.metadata["language"]
