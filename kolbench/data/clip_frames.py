"""The frames of clips in time, by the numbers in their names."""

import re


def in_time(clip: str, name: str) -> tuple[str, list[tuple[int, str]], str]:
    """The key by which frames are sorted: clip after clip, and frame 2 before frame 10.

    Args:
        clip: that the frame is of. name: of the frame, unique.
    """
    parts = [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
    return clip, parts, name
