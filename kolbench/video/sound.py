"""The sound of a video, packet by packet beside its new pictures: copied, or encoded anew if need be."""

from collections.abc import Generator, Mapping
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from kolbench.errors import DataError
from kolbench.video.clocks import Mending, mended
from kolbench.video.inspection import opened
from kolbench.video.sound_plans import SoundPlan
from kolbench.video.sound_tracks import Copied, Encoded, Track
from kolbench.video.timelines import plain

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}


class Encoding(NamedTuple):
    """An encoder for sound. rates: samples a second that it takes, the first one in place of all others."""

    encoder: str
    name: str
    rates: tuple[int, ...]
    bits_per_channel: int


AAC = Encoding("aac", "AAC", (48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000), 96_000)
OPUS = Encoding("libopus", "Opus", (48000,), 64_000)


class Sound:
    """All sound streams of a video on their way into a container.

    Args:
        path: the source. plans: of its streams of sound, see `plan_sound`. mending, origin: of the
            source's reader. container: PyAV's output, which already has its video stream. target: its file,
            for messages.

    Attributes:
        notes: a sentence for each stream that is not copied as it is.

    Raises:
        DataError: the source cannot be read.
    """

    def __init__(
        self,
        path: Path,
        plans: Mapping[int, SoundPlan],
        mending: Mending,
        origin: Fraction,
        container: Any,
        target: Path,
    ) -> None:
        self.notes: list[str] = []
        self._path = path
        self._mending = mending
        self._origin = origin
        self._container = container
        self._target = target
        self._opened = ExitStack()
        self._source = self._opened.enter_context(opened(path))
        found = {stream: self._track(stream, plans[stream.index]) for stream in self._source.streams.audio}
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
            for packet in mended(self._source.demux(streams), self._mending) if streams else ():
                yield from self._tracks[packet.stream.index].packets(packet)
        except (av.error.FFmpegError, ValueError) as error:
            raise DataError(
                f"The sound of {self._path} is damaged: {plain(error)}. Convert the file with another "
                "program, or leave the sound out with sound=false."
            ) from None

    def _track(self, stream: Any, plan: SoundPlan) -> Track | None:
        if not plan.is_known:
            self.notes.append(f"{self._target.name}: sound of an unknown kind is left out.")
            return None
        if plan.why_encoded is None:
            copied = self._container.add_stream_from_template(stream)
            _keep_description(stream, copied)
            return Copied(copied, self._origin, stream.codec_context.sample_rate or 1000)
        encoding = OPUS if self._container.format.name == "webm" else AAC
        self.notes.append(
            f"{self._target.name}: the sound was encoded anew as {encoding.name}, because {plan.why_encoded}."
        )
        return Encoded(self._new_stream(stream, encoding, plan.channels), self._origin)

    def _new_stream(self, stream: Any, encoding: Encoding, channels: int) -> Any:
        asked = stream.codec_context.sample_rate
        rate = asked if asked in encoding.rates else encoding.rates[0]
        made = self._container.add_stream(encoding.encoder, rate=rate)
        made.codec_context.layout = LAYOUTS.get(channels, "stereo")
        made.codec_context.bit_rate = encoding.bits_per_channel * made.codec_context.channels
        _keep_description(stream, made)
        return made


def _keep_description(source: Any, made: Any) -> None:
    """The language and title of a stream, and whether players take it by default."""
    for key in ("language", "title"):
        if key in source.metadata:
            made.metadata[key] = source.metadata[key]
    made.disposition = source.disposition
