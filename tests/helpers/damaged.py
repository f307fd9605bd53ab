"""Clips as receivers and recorders leave them: packets lost, clocks that start anew, times out of order."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.helpers import clips

TS_PACKET = 188
FLV_HEADER = 13
FLV_SOUND = 8
# identifiers that FFmpeg gives to the first streams of a transport stream
VIDEO_PID, SOUND_PID = 0x100, 0x101


def textured(count: int, seed: int = 0) -> list[np.ndarray]:
    """Pictures (96, 128, 3) uint8 that move over a fine texture, so that a frame fills many TS packets."""
    grain = np.random.default_rng(0).integers(0, 30, (96, 128, 1))
    return [(clips.picture(n, seed=seed) * 0.85 + grain).astype(np.uint8) for n in range(count)]


def transport_stream(
    path: Path, frames: int, seed: int = 0, sound: str | None = "aac", layout: str = "stereo"
) -> Path:
    """A clip of `textured` pictures at 30 a second, with a key frame at every tenth."""
    options = {"g": "10", "bf": "0", "crf": "6", "x264-params": "scenecut=0"}
    pictures = textured(frames, seed)
    return clips.make_clip(path, pictures=pictures, sound=sound, options=options, layout=layout)


def joined(path: Path, parts: Sequence[Path]) -> Path:
    """The bytes of several clips one after the other; of FLV files but the first without their header."""
    skipped = FLV_HEADER if path.suffix == ".flv" else 0
    data = [part.read_bytes() for part in parts]
    path.write_bytes(data[0] + b"".join(part[skipped:] for part in data[1:]))
    return path


def frame_packets(path: Path, pid: int = VIDEO_PID) -> list[list[int]]:
    """Of each frame (or PES packet), the places of its TS packets in the file."""
    data = path.read_bytes()
    found: list[list[int]] = []
    for place in range(0, len(data), TS_PACKET):
        if (data[place + 1] & 0x1F) << 8 | data[place + 2] == pid:
            if data[place + 1] & 0x40:
                found.append([])
            found[-1].append(place)
    return found


def lose(path: Path, place: int, how: str = "cut") -> Path:
    """Cuts the TS packet at a place out, or overwrites it with zeros."""
    data = path.read_bytes()
    instead = b"" if how == "cut" else bytes(TS_PACKET)
    path.write_bytes(data[:place] + instead + data[place + TS_PACKET :])
    return path


def retime_sound(path: Path, number: int, milliseconds: int) -> Path:
    """Writes another time into a sound packet of an FLV, counted from 0."""
    data = bytearray(path.read_bytes())
    place = FLV_HEADER
    while True:
        kind, size = data[place], int.from_bytes(data[place + 1 : place + 4], "big")
        # the first one holds the decoder's settings
        if kind == FLV_SOUND and data[place + 12] == 1:
            if number == 0:
                break
            number -= 1
        place += 11 + size + 4
    data[place + 4 : place + 7] = milliseconds.to_bytes(3, "big")
    path.write_bytes(data)
    return path
