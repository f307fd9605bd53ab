"""One stream of sound on its way into a container: its packets, or what is decoded and encoded anew."""

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

# a gap or an overlap below this is the rounding of a container's clock
JITTER_SECONDS = Fraction(1, 50)


class Track(Protocol):
    """One stream of sound on its way out."""

    def packets(self, packet: Any) -> Iterator[Any]:
        """What is written for one packet of the source, whose last one is empty."""


class Copied:
    """The packets themselves, their clock moved; one that repeats or steps back comes a sample later.

    Args:
        stream: of the output. origin: seconds that are taken from every time. rate: samples a second.
    """

    def __init__(self, stream: Any, origin: Fraction, rate: int) -> None:
        self._stream = stream
        self._origin = origin
        self._sample = Fraction(1, rate)
        self._last: int | None = None

    def packets(self, packet: Any) -> Iterator[Any]:
        """The packet; nothing of an empty one."""
        if not packet.size:
            return
        shift = round(self._origin / packet.time_base)
        given = packet.pts if packet.dts is None else packet.dts
        if self._last is None:
            dts = (given or 0) - shift
        else:
            # output clocks count samples or milliseconds: one of these at least
            next_one = self._last + max(1, math.ceil(self._sample / packet.time_base))
            dts = next_one if given is None else given - shift
            dts = max(dts, next_one) if dts <= self._last else dts
        pts = dts if packet.pts is None else max(packet.pts - shift, dts)
        self._last = packet.dts = dts
        packet.pts = pts
        packet.stream = self._stream
        yield packet


class Encoded:
    """The sound decoded and encoded anew, in one layout and rate; where it has a gap there is silence.

    Args:
        stream: of the output, an encoder. origin: seconds that are taken from every time.

    Attributes:
        damaged: packets that could not be decoded.
    """

    def __init__(self, stream: Any, origin: Fraction) -> None:
        self.damaged = 0
        self._stream = stream
        self._origin = origin
        self._context = stream.codec_context
        self._rate = int(self._context.sample_rate)
        self._form: tuple[str, str, int] | None = None
        self._resampler: Any = None
        # samples of the output: where the next one belongs, and where the source goes on
        self._position: int | None = None
        self._expected = Fraction(0)
        self._surplus = 0

    def packets(self, packet: Any) -> Iterator[Any]:
        """What the encoder gives for it."""
        import av

        try:
            frames = packet.decode()
        except av.error.EOFError:
            frames = []
        except av.error.FFmpegError:
            self.damaged += 1
            frames = []
        for frame in frames:
            for fitted in self._fitted(frame):
                yield from self._stream.encode(fitted)
        if not packet.size:
            for fitted in self._rest():
                yield from self._stream.encode(fitted)
            yield from self._stream.encode(None)

    def _fitted(self, frame: Any) -> Iterator[Any]:
        """The frame in the encoder's form, after the silence that precedes it."""
        start = self._expected
        if frame.pts is not None:
            start = (frame.pts * frame.time_base - self._origin) * self._rate
        if self._position is None:
            self._position, self._expected = round(start), start
        if abs(start - self._expected) > JITTER_SECONDS * self._rate:
            yield from self._rest()
            yield from self._silence(round(start) - self._position)
            self._surplus = max(0, self._position - round(start))
            self._expected = start
        form = frame.format.name, frame.layout.name, frame.sample_rate
        if form != self._form:
            yield from self._rest()
            self._form = form
            self._resampler = self._new_resampler(frame.layout.nb_channels)
        self._expected += Fraction(frame.samples * self._rate, frame.sample_rate)
        for resampled in self._resampler.resample(frame):
            yield from self._placed(resampled)

    def _new_resampler(self, channels: int) -> Any:
        import av

        # swresample would make one channel quieter on its way to two
        layout = "mono" if channels == 1 else self._context.layout
        return av.AudioResampler(self._context.format, layout, self._rate)

    def _rest(self) -> Iterator[Any]:
        """What the resampler holds back."""
        if self._resampler is None:
            return
        resampler, self._resampler, self._form = self._resampler, None, None
        for frame in resampler.resample(None):
            yield from self._placed(frame)

    def _silence(self, samples: int) -> Iterator[Any]:
        while samples > 0:
            count = min(samples, self._rate)
            yield from self._placed(self._frame(self._zeros(count)))
            samples -= count

    def _zeros(self, count: int) -> Any:
        channels = self._context.channels
        shape = (channels, count) if self._context.format.is_planar else (1, channels * count)
        return np.zeros(shape, np.float32 if "flt" in self._context.format.name else np.int16)

    def _spread(self, samples: Any) -> Any:
        """One channel in all channels of the output."""
        channels = self._context.channels
        if self._context.format.is_planar:
            return np.repeat(samples, channels, axis=0)
        return np.repeat(samples, channels, axis=1)

    def _placed(self, frame: Any) -> Iterator[Any]:
        """The frame at its place, without the samples that were there before."""
        if not frame.samples:
            return
        if frame.layout.nb_channels < self._context.channels:
            frame = self._frame(self._spread(frame.to_ndarray()))
        dropped = min(self._surplus, frame.samples)
        self._surplus -= dropped
        if dropped == frame.samples:
            return
        if dropped:
            step = 1 if self._context.format.is_planar else self._context.channels
            frame = self._frame(frame.to_ndarray()[:, dropped * step :])
        assert self._position is not None
        frame.pts, frame.time_base = self._position, Fraction(1, self._rate)
        self._position += frame.samples
        yield frame

    def _frame(self, samples: Any) -> Any:
        import av

        layout = self._context.layout.name
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples), format=self._context.format.name, layout=layout
        )
        frame.sample_rate = self._rate
        return frame
