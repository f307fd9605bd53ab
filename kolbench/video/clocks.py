"""The times of a video's packets: where a clock starts anew or one packet is out of line, and the mending."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

# steps back that are taken for jitter, and steps ahead that are taken for another clock, in seconds;
# the ffmpeg program has the same two
BACK = Fraction(1, 10)
AHEAD = Fraction(10)
# streams of one part lie no further apart in the file
APART = Fraction(1)


class Correction(NamedTuple):
    """Seconds to add to the times of a stream's packets, from the one with this number on."""

    first: int
    seconds: Fraction


class Mending(NamedTuple):
    """How the times of a file's packets become those of one clock.

    corrections: by index of the stream. joints: by index of the stream, the numbers of the packets at which
    its clock starts anew. restarts: seconds, on the mended clock, at which the file's clock starts anew.
    """

    corrections: Mapping[int, tuple[Correction, ...]]
    joints: Mapping[int, frozenset[int]]
    restarts: tuple[Fraction, ...]


NOTHING_TO_MEND = Mending({}, {}, ())


def mended(packets: Iterable[Any], mending: Mending) -> Iterator[Any]:
    """The same packets, their times changed in place; each stream's are counted from the first one on."""
    counted: dict[int, int] = {}
    waiting = {index: list(reversed(found)) for index, found in mending.corrections.items()}
    shifts: dict[int, int] = {}
    for packet in packets:
        index = packet.stream_index
        if packet.size and waiting.get(index):
            number = counted.get(index, 0)
            counted[index] = number + 1
            while waiting[index] and waiting[index][-1].first <= number:
                shifts[index] = round(waiting[index].pop().seconds / packet.time_base)
        shift = shifts.get(index, 0)
        if packet.size and shift:
            packet.pts = None if packet.pts is None else packet.pts + shift
            packet.dts = None if packet.dts is None else packet.dts + shift
        yield packet


@dataclass
class _Part:
    """What one stream has of one part of the file.

    begin, end: of display, in the stream's units. before: the stream's part before this one.
    """

    begin: int
    end: int
    before: int | None


class _Packet(NamedTuple):
    number: int
    dts: int
    pts: int
    duration: int


@dataclass
class _Line:
    """The packets of one stream, as far as they were followed.

    back, ahead: BACK and AHEAD in the stream's units. waiting: the last packet, until the next one is known.
    marks: number of a packet, the part it belongs to, and units to add from it on.
    """

    time_base: Fraction
    back: int
    ahead: int
    number: int = 0
    waiting: _Packet | None = None
    last: int | None = None
    step: int = 1
    part: int = 0
    before: int | None = None
    parts: dict[int, _Part] = field(default_factory=dict)
    marks: list[tuple[int, int, int]] = field(default_factory=list)
    joints: set[int] = field(default_factory=set)

    def holds(self, dts: int) -> bool:
        """Whether this time goes on from the last one."""
        return self.last is None or self.last - self.back <= dts <= self.last + self.step + self.ahead


class ClockSurvey:
    """Finds, packet by packet, where the clock of a file starts anew.

    Files are joined, and recorders restart. A packet whose time of decoding lies back by more than BACK, or
    ahead by more than AHEAD where the container's clock may jump, begins a new part, and so do those of the
    other streams. Parts are put one after the other, none of their streams before it has ended, so that the
    streams of a part stay in step. A single packet out of line is put where the one before it ends.

    Args:
        jumps_ahead: whether steps ahead are taken for another clock.
    """

    def __init__(self, jumps_ahead: bool) -> None:
        self._jumps_ahead = jumps_ahead
        self._lines: dict[int, _Line] = {}
        # the latest time of each part, in seconds of its own clock
        self._latest: list[Fraction] = [Fraction(0)]

    def add(self, packet: Any) -> None:
        """Takes the next packet of the file."""
        if not packet.size or not packet.time_base:
            return
        line = self._lines.get(packet.stream_index)
        if line is None:
            back, ahead = (int(seconds / packet.time_base) for seconds in (BACK, AHEAD))
            line = self._lines[packet.stream_index] = _Line(packet.time_base, back, ahead)
        number, line.number = line.number, line.number + 1
        if packet.dts is None:
            return
        if line.waiting is not None:
            self._settle(line, line.waiting, packet.dts)
        pts = packet.dts if packet.pts is None else packet.pts
        line.waiting = _Packet(number, packet.dts, pts, packet.duration or 0)

    def result(self) -> Mending:
        """After the last packet."""
        for line in self._lines.values():
            if line.waiting is not None:
                self._settle(line, line.waiting, None)
                line.waiting = None
        offsets = self._offsets()
        corrections = {
            index: tuple(
                Correction(number, offsets[part] + units * line.time_base)
                for number, part, units in line.marks
            )
            for index, line in self._lines.items()
            if line.marks
        }
        joints = {index: frozenset(line.joints) for index, line in self._lines.items() if line.joints}
        return Mending(corrections, joints, tuple(self._begins(n, offsets) for n in range(1, len(offsets))))

    def _settle(self, line: _Line, packet: _Packet, following: int | None) -> None:
        """Decides on a packet, knowing when the next one of its stream is decoded."""
        if line.last is not None and not line.holds(packet.dts):
            early = packet.dts < line.last
            if early if following is None else line.holds(following):
                packet = self._put_in_line(line, packet, line.last)
            elif early or self._jumps_ahead:
                self._begin_part(line, packet)
        elif line.last is not None and packet.dts > line.last:
            line.step = packet.duration or packet.dts - line.last
        end = packet.pts + (packet.duration or line.step)
        part = line.parts.setdefault(line.part, _Part(packet.pts, end, line.before))
        part.begin, part.end = min(part.begin, packet.pts), max(part.end, end)
        line.last = packet.dts
        self._latest[line.part] = packet.dts * line.time_base

    def _put_in_line(self, line: _Line, packet: _Packet, last: int) -> _Packet:
        """A single packet that is out of line, right after the one before."""
        units = last + line.step - packet.dts
        line.marks += [(packet.number, line.part, units), (packet.number + 1, line.part, 0)]
        return packet._replace(dts=packet.dts + units, pts=packet.pts + units)

    def _begin_part(self, line: _Line, packet: _Packet) -> None:
        seconds = packet.dts * line.time_base
        # another stream may have come to the same part before
        later = range(line.part + 1, len(self._latest))
        known = [part for part in later if abs(seconds - self._latest[part]) < APART]
        if not known:
            self._latest.append(seconds)
        line.before, line.part = line.part, known[0] if known else len(self._latest) - 1
        line.marks.append((packet.number, line.part, 0))
        line.joints.add(packet.number)

    def _offsets(self) -> list[Fraction]:
        """Seconds to add to the clock of each part."""
        offsets = [Fraction(0)]
        for number in range(1, len(self._latest)):
            gaps = []
            for line in self._lines.values():
                part = line.parts.get(number)
                if part is not None and part.before is not None:
                    ended = offsets[part.before] + line.parts[part.before].end * line.time_base
                    gaps.append(ended - part.begin * line.time_base)
            offsets.append(max(gaps))
        return offsets

    def _begins(self, number: int, offsets: list[Fraction]) -> Fraction:
        """When a part begins, on the mended clock."""
        lines = [line for line in self._lines.values() if number in line.parts]
        return offsets[number] + min(line.parts[number].begin * line.time_base for line in lines)
