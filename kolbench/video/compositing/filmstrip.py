"""A few small frames of a clip, evenly over its time, whatever its length."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from kolbench.types import UInt8Array

# frames that are kept at most while a clip goes by, and the longer side of each in pixels
MOST, LONGEST = 48, 240


class Still(NamedTuple):
    """A small frame, (h, w, 3) uint8, and when its display begins, in seconds."""

    seconds: float
    image: UInt8Array


class Filmstrip:
    """Keeps every n-th frame of a clip, with n doubled whenever there are too many; at most 48 small ones."""

    def __init__(self) -> None:
        self._kept: list[Still] = []
        self._every = 1
        self._count = 0

    def push(self, image: UInt8Array, seconds: float) -> None:
        """Takes the next frame, (H, W, 3) uint8."""
        if self._count % self._every == 0:
            self._kept.append(Still(seconds, _small(image)))
        self._count += 1
        if len(self._kept) > MOST:
            self._kept = self._kept[::2]
            self._every *= 2

    @property
    def stills(self) -> list[Still]:
        """What is kept, in time: of short clips every frame."""
        return list(self._kept)


def on_display(stills: Sequence[Still], moments: Sequence[float]) -> list[Still]:
    """The still that stands at each moment: the last one that began by then, else the first."""
    starts = [still.seconds for still in stills]
    places = np.searchsorted(starts, moments, side="right") - 1
    return [stills[max(0, int(place))] for place in places]


def _small(image: UInt8Array) -> UInt8Array:
    height, width = image.shape[:2]
    scale = LONGEST / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)
