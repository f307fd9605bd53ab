"""The frames of clips in time, by the numbers in their names, and those among them that have no truth."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from kolbench.data import listing


class Frame(NamedTuple):
    """A frame of a clip; row: of the source, None of a frame without truth."""

    name: str
    row: int | None


def in_time(clip: str, name: str) -> tuple[str, list[tuple[int, str]], str]:
    """The key by which frames are sorted: clip after clip, and frame 2 before frame 10.

    Args:
        clip: that the frame is of. name: of the frame, unique.
    """
    parts = [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
    return clip, parts, name


def unscored_before(
    names: Sequence[str], clips: Sequence[str], others: Mapping[str, str]
) -> dict[int, list[str]]:
    """Finds the frames without truth that stand right before each frame that has one.

    Args:
        names: of the frames with truth. clips: of each. others: frame without truth -> its clip.

    Returns:
        Index of a frame with truth -> names in time; what follows a clip's last one stands before none.
    """
    rows = {name: row for row, name in enumerate(names)}
    clip_of = {**others, **dict(zip(names, clips, strict=True))}
    found: dict[int, list[str]] = {}
    waiting: list[str] = []
    for name in sorted(clip_of, key=lambda name: in_time(clip_of[name], name)):
        waiting = [other for other in waiting if clip_of[other] == clip_of[name]]
        if name not in rows:
            waiting.append(name)
        elif waiting:
            found[rows[name]], waiting = waiting, []
    return found


def unscored_after(names: Sequence[str], clips: Sequence[str], others: Mapping[str, str]) -> dict[int, str]:
    """Finds the frame without truth that stands right behind each clip's last frame that has one.

    Args:
        names: of the frames with truth. clips: of each. others: frame without truth -> its clip.

    Returns:
        Index of a clip's last frame with truth -> name, where there is one.
    """
    rows = {name: row for row, name in enumerate(names)}
    clip_of = {**others, **dict(zip(names, clips, strict=True))}
    found: dict[str, tuple[int, str]] = {}
    last = ""
    for name in sorted(clip_of, key=lambda name: in_time(clip_of[name], name)):
        clip = clip_of[name]
        if name in rows:
            # what stood behind an earlier one stands between two
            found.pop(clip, None)
        elif last in rows and clip_of[last] == clip:
            found[clip] = rows[last], name
        last = name
    return dict(found.values())


def whole_clips(
    names: Sequence[str], clips: Sequence[str], unscored: Mapping[int, Sequence[str]]
) -> dict[str, list[Frame]]:
    """Lists the frames of each clip, with those that have no truth.

    Args:
        names: of a source's rows, in time. clips: of each, "" = of none. unscored: row -> frames before it.

    Returns:
        Clip -> its frames in time, up to the last one with a truth.
    """
    found: dict[str, list[Frame]] = {}
    for row, (name, clip) in enumerate(zip(names, clips, strict=True)):
        if clip:
            before = [Frame(other, None) for other in unscored.get(row, ())]
            found.setdefault(clip, []).extend([*before, Frame(name, row)])
    return found


def first_frames(rows: Sequence[int], clips: Sequence[str]) -> list[int]:
    """Finds the first frame of each picture's clip among some pictures.

    Args:
        rows: of a source, each once. clips: of all of its rows, "" = of none.

    Returns:
        For each of `rows` the place in `rows` of its clip's first frame; of a picture of no clip its own.
    """
    first: dict[str, int] = {}
    for place in sorted(range(len(rows)), key=lambda place: rows[place]):
        first.setdefault(clips[rows[place]], place)
    return [first[clips[row]] if clips[row] else place for place, row in enumerate(rows)]


def random_frame(places: Sequence[int], place: int, draw: int) -> int:
    """Draws a frame of a clip to go with another one (COSNet's code).

    Args:
        places: of the clip's frames, in any numbering. place: of the frame itself, one of them.
        draw: decides.

    Returns:
        One of `places`; drawn once more where it is the frame itself, which it may then be again.
    """
    first, second = draw % len(places), draw // len(places) % len(places)
    return places[second] if places[first] == place else places[first]


def clip_mates(rows: Sequence[int], clips: Sequence[str]) -> list[list[int]]:
    """Finds all frames of each picture's clip among some pictures.

    Args:
        rows: of a source, each once. clips: of all of its rows, "" = of none.

    Returns:
        For each of `rows` the places in `rows` of its clip's frames, itself among them, in time; of a picture
        of no clip its own.
    """
    frames: dict[str, list[int]] = {}
    for place in sorted(range(len(rows)), key=lambda place: rows[place]):
        frames.setdefault(clips[rows[place]] or f"\0{place}", []).append(place)
    return [frames[clips[row] or f"\0{place}"] for place, row in enumerate(rows)]


def unscored_note(found: Mapping[int, Iterable[str]]) -> list[str]:
    """Says which frames have no truth; lines to print."""
    names = sorted(name for before in found.values() for name in before)
    if not names:
        return []
    return [
        f"{len(names)} frames without a mask are seen by methods that remember frames, and are not scored: "
        f"{listing.shorten(names)}"
    ]
