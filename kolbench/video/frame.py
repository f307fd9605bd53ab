"""What flows through a video pipeline."""

from typing import NamedTuple

from kolbench.types import UInt8Array


class Frame(NamedTuple):
    """One frame on display.

    image: (H, W, 3) uint8 RGB, upright; (H, W, 4) with straight alpha where that was asked for and is there.
    pts: when its display begins, in units of the video's time base. seconds: the same, since the first frame.
    """

    image: UInt8Array
    pts: int
    seconds: float
