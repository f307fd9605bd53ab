"""Frames some rows at a time, and planes as colours: what all compositing calculates with."""

from collections.abc import Iterator

import cv2
import numpy as np

from kolbench.types import Float32Array, UInt8Array

# so many rows at a time keep the float copies in the cache
_STRIP = 64


def strips(frame: UInt8Array | Float32Array) -> Iterator[slice]:
    """The rows of a frame, some at a time."""
    for top in range(0, frame.shape[0], _STRIP):
        yield slice(top, top + _STRIP)


def thrice(plane: Float32Array) -> Float32Array:
    """(h, w) -> (h, w, 3)."""
    return np.asarray(cv2.merge([plane] * 3), np.float32)
